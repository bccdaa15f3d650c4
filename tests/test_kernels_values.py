"""What is asked of all values of a column at once, against NumPy and Python."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from transforms.kernels.values import FLOATS, exceeds, look

INT64 = st.integers(-(2**63), 2**63 - 1)


def kinds(values):
    seen = look(values)
    return seen.subnormal, seen.non_finite


@pytest.mark.parametrize("dtype", FLOATS)
@given(data=st.data())
def test_kinds_of_floats(dtype, data):
    values = data.draw(arrays.arrays(dtype, st.integers(0, 40)))
    small = (values != 0) & (np.abs(values) < np.finfo(dtype).smallest_normal)
    assert kinds(values) == (small.any(), (~np.isfinite(values)).any())


@pytest.mark.parametrize("dtype", FLOATS)
@given(
    data=st.data(),
    largest=st.sampled_from([0.0, 1.5, float(np.finfo(np.float32).max), float(np.finfo(np.float64).max)]),
)
def test_what_is_too_large(dtype, data, largest):
    values = data.draw(arrays.arrays(dtype, st.tuples(st.integers(0, 5), st.integers(0, 5))))
    beyond = ~np.isfinite(values) | (np.abs(values.astype(np.float64)) > largest)
    assert exceeds(values, largest) == beyond.any()
    assert exceeds(values[:, ::2], largest) == beyond[:, ::2].any()


@pytest.mark.parametrize("dtype", FLOATS)
def test_the_floats_at_the_borders(dtype):
    limits = np.finfo(dtype)
    normal = np.array([0.0, limits.smallest_normal, limits.max, 1.0], dtype)
    smallest = np.array([limits.smallest_subnormal], dtype)
    largest = np.nextafter(normal[1:2], np.array([0], dtype))
    for sign in (1, -1):
        assert kinds(sign * normal) == (False, False)
        for small in (smallest, largest):
            assert kinds(np.concatenate([normal, sign * small])) == (True, False)
        assert kinds(np.array([1, sign * np.inf], dtype)) == (False, True)
        assert kinds(np.copysign(np.array([np.nan], dtype), sign)) == (False, True)
    assert kinds(normal[::2]) == (False, False), "not contiguous"


@given(st.lists(INT64, max_size=40))
@example([2**63 - 1])
@example([-(2**63)])
@example([5, 7])
def test_the_smallest_and_the_largest_integer(values):
    seen = look(np.array(values, np.int64))
    assert (seen.least, seen.most) == (min(values, default=0), max(values, default=0))


@pytest.mark.parametrize("dtype", [*FLOATS, "int64"])
@given(lengths=st.lists(st.integers(0, 9), max_size=20), width=st.integers(1, 4))
def test_rows(dtype, lengths, width):
    splits = np.cumsum([0, *lengths])
    seen = look(np.ones(splits[-1], dtype), splits, width)
    assert seen.longest == max(lengths, default=0)
    assert seen.uneven == any(n % width for n in lengths)
