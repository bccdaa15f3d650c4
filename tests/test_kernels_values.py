"""What is asked of all values of a column at once, against NumPy and Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from transforms.kernels.values import FLOATS, all_within, float_kinds

INT64 = st.integers(-(2**63), 2**63 - 1)


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_kinds_of_floats(dtype, data):
    values = data.draw(arrays.arrays(dtype, st.integers(0, 40)))
    small = (values != 0) & (np.abs(values) < np.finfo(dtype).smallest_normal)
    assert float_kinds(values) == (small.any(), (~np.isfinite(values)).any())


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_floats_at_the_borders(dtype):
    limits = np.finfo(dtype)
    normal = np.array([0.0, limits.smallest_normal, limits.max, 1.0], dtype)
    smallest = np.array([limits.smallest_subnormal], dtype)
    largest = np.nextafter(normal[1:2], np.array([0], dtype))
    for sign in (1, -1):
        assert float_kinds(sign * normal) == (False, False)
        for small in (smallest, largest):
            assert float_kinds(np.concatenate([normal, sign * small])) == (True, False)
        assert float_kinds(np.array([1, sign * np.inf], dtype)) == (False, True)
        assert float_kinds(np.copysign(np.array([np.nan], dtype), sign)) == (False, True)
    assert float_kinds(normal[::2]) == (False, False), "not contiguous"


@given(st.lists(INT64, max_size=40), INT64, INT64)
@example([], 0, 0)
@example([2**63 - 1], -(2**63), 2**63 - 1)
@example([-(2**63)], -(2**63) + 1, 2**63 - 1)
def test_integers_within_bounds(values, low, high):
    assert all_within(np.array(values, np.int64), low, high) == all(low <= value < high for value in values)
