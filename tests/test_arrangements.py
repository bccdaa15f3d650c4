"""A few arrangements of the same rows; `make faults` tries 100."""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults import arrangements


@pytest.mark.slow
def test_no_arrangement_shows():
    assert arrangements.attempt(4) == 0


def test_float64_would_show_in_what_order_the_values_are_added_up():
    values = arrangements.made()["wide"].to_numpy()
    sums = {float(np.cumsum(order)[-1]) for order in (values, values[::-1], np.sort(values))}
    assert len(sums) > 1
