"""Which tests are slow: what `make test` leaves to `make test-all`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

EXAMPLES = {"share": 1.0}
"""The share of its examples that a property test tries; conftest.py sets it."""


def slow_but(values: Iterable[Any], *quick: Any, single: bool = False) -> list[Any]:
    """Returns the values of a parameter, all marked slow but those named: one of a kind is tried every time, all of them at last.

    Args:
      values: what the parameter takes. A tuple is the values of several parameters; with `single` it is one value.
      quick: those that stay, a tuple by its first value or whole.
      single: whether each is the value of one parameter, as a fixture has.
    """

    def first(value: Any) -> Any:
        return value[0] if isinstance(value, tuple) else value

    values = list(values)
    assert all(any(name in (value, first(value)) for value in values) for name in quick), quick
    return [
        value
        if value in quick or first(value) in quick
        else pytest.param(*(value if isinstance(value, tuple) and not single else (value,)), marks=pytest.mark.slow)
        for value in values
    ]


def tried(count: int) -> int:
    """Returns how many examples a property test tries: all of `count` beside the slow tests, else a part."""
    return max(1, round(count * EXAMPLES["share"]))
