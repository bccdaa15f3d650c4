"""Single values to carriers, against Python's own int and float."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import dtypes
from transforms.parse import carriers
from transforms.rows.marks import unreadable


def reasons(made: carriers.Leaves) -> dict[int, str]:
    """Position to the first fault there."""
    found: dict[int, str] = {}
    for fault in made.faults:
        for position in fault.positions.tolist():
            found.setdefault(position, fault.reason)
    return found


DIGITS = st.integers(-(10**20), 10**20).map(str) | st.integers(-(10**90), 10**90).map(str)
TEXT = (
    DIGITS
    | st.from_regex(r"\A\s?[+-]?[0-9]{0,20}\s?\Z")
    | st.floats().map(repr)
    | st.text("0123456789+-.eE_ nafi,xX", max_size=8)
)


@given(st.lists(st.none() | TEXT, max_size=8))
def test_integer_text(values):
    made = carriers.convert(pa.array(values, pa.string()), "int64")
    for position, value in enumerate(values):
        reason = reasons(made).get(position)
        if value is None:
            assert reason == "null_value"
            continue
        body = value.strip()
        if not (body[1:] if body[:1] in ("+", "-") else body).isdecimal() or not body.isascii():
            assert reason == "not_a_number", value
        elif not -(2**63) <= int(body) < 2**63:
            assert reason == "integer_overflow"
        else:
            assert reason is None
            assert made.values[position] == int(body)
    assert made.nulls == values.count(None)


@given(st.lists(st.none() | TEXT, max_size=8))
def test_float_text(values):
    made = carriers.convert(pa.array(values, pa.large_string()), "float32")
    for position, value in enumerate(values):
        reason = reasons(made).get(position)
        try:
            expected = float("nan") if value is None else float(value.strip())
        except ValueError:
            assert reason == "not_a_number", value
            continue
        if value is not None and "_" in value:  # Python's own extension
            assert reason == "not_a_number"
            continue
        with np.errstate(over="ignore"):
            narrow = np.float32(expected)
        if np.isfinite(expected) and not np.isfinite(narrow):
            assert reason == "non_finite"
        else:
            assert reason is None, value
            np.testing.assert_array_equal(made.values[position], narrow)
    assert made.nulls == values.count(None)


@pytest.mark.parametrize("dtype", dtypes.INTEGERS)
@given(values=st.lists(st.none() | st.integers(-(2**63), 2**63 - 1) | st.integers(-300, 300), max_size=8))
def test_integers(dtype, values):
    low, high = dtypes.integer_range(dtype)
    made = carriers.convert(pa.array(values, pa.int64()), dtype)
    for position, value in enumerate(values):
        expected = "null_value" if value is None else None if low <= value <= high else "integer_overflow"
        assert reasons(made).get(position) == expected
        assert expected or made.values[position] == value


@given(values=st.lists(st.none() | st.floats() | st.integers(-(2**60), 2**60).map(float), max_size=8))
def test_floats_as_integers(values):
    made = carriers.convert(pa.array(values, pa.float64()), "int64")
    for position, value in enumerate(values):
        if value is None:
            assert reasons(made).get(position) == "null_value"
        elif not np.isfinite(value) or value != int(value):
            assert reasons(made).get(position) == "not_an_integer"
        elif abs(value) > 2**53:
            assert reasons(made).get(position) == "integer_overflow"
        else:
            assert reasons(made).get(position) is None
            assert made.values[position] == int(value)


@pytest.mark.parametrize("dtype", dtypes.FLOATS)
@pytest.mark.parametrize("reject", [True, False])
@given(
    values=st.lists(
        st.none() | st.floats() | st.sampled_from([65504.0, 65505.0, 3.4e38, 3.3895e38, 3.39e38, 1e300, 1e-40]),
        max_size=8,
    )
)
def test_floats(dtype, reject, values):
    made = carriers.convert(pa.array(values, pa.float64()), dtype, reject)
    limit = dtypes.largest_float(dtype)
    for position, value in enumerate(values):
        if value is None:
            assert np.isnan(made.values[position])
        elif dtype == "float64":
            assert reasons(made).get(position) is None
            np.testing.assert_array_equal(made.values[position], value)
        elif np.isfinite(value) and abs(np.float32(min(max(value, -3.4e38), 3.4e38))) > limit:
            assert reasons(made).get(position) == ("non_finite" if reject else None)
            assert reject or made.values[position] == np.copysign(np.inf, value)
        elif np.isfinite(value) and abs(value) <= 3.4e38:
            assert reasons(made).get(position) is None
            subnormal = abs(np.float32(value)) < dtypes.SMALLEST_FLOAT32
            assert made.values[position] == (0 if subnormal else np.float32(value))
    assert made.values.dtype == (np.float64 if dtype == "float64" else np.float32)


def test_uint64_beyond_int64():
    made = carriers.convert(pa.array([2**63 - 1, 2**63, 2**64 - 1], pa.uint64()), "uint64")
    assert reasons(made) == {1: "integer_overflow", 2: "integer_overflow"}


@pytest.mark.parametrize("dtype", ["string", "bytes"])
@given(values=st.lists(st.none() | st.binary(max_size=4), max_size=6))
def test_strings(dtype, values):
    made = carriers.convert(pa.array(values, pa.binary()), dtype)
    for position, value in enumerate(values):
        if value is None:
            assert reasons(made)[position] == "null_value"
            continue
        try:
            expected = value.decode() if dtype == "string" else value
        except UnicodeDecodeError:
            assert reasons(made)[position] == "invalid_utf8"
            continue
        assert reasons(made).get(position) is None
        assert made.values[position].as_py() == expected


@pytest.mark.parametrize("dtype", ["int64", "float32", "string", "bytes"])
def test_a_null_among_values_of_a_wrong_type_is_still_a_null(dtype):
    made = carriers.convert(pa.array([{"a": 1}, None]), dtype)
    assert reasons(made).get(0) == "wrong_type"
    assert reasons(made).get(1) == (None if dtype == "float32" else "null_value")
    assert dtype != "float32" or np.isnan(made.values[1])


@given(values=st.lists(st.none() | st.binary(max_size=5), min_size=1, max_size=5))
def test_texts_never_fail(values):
    shown = carriers.texts(pa.array(values, pa.binary()), np.arange(len(values)))
    assert shown == ["null" if v is None else v.decode("utf-8", "surrogateescape") for v in values]


def test_the_name_of_a_mark_is_not_shown_to_people():
    shown = carriers.texts(pa.array([unreadable(["n/a", 20.5]), None, unreadable([{"a": 1}, 2.0])]), np.arange(3))
    assert shown == ["['n/a', 20.5]", "null", "[{'a': 1}, 2.0]"]
