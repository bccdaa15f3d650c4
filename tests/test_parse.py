"""Source columns to canonical list columns."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.parse.form import NO_ID, NO_WORD, Form
from transforms.parse.parse import Parsed, column_type_error, parse

IDS = Form("x", "int64", ids=True)
TWO_IDS = Form("x", "int64", step_width=2, ids=True)
WORDS = Form("x", "string", step_width=2, ids=True)
FLOATS = Form("x", "float32")
PAIRS = Form("x", "float32", step_width=2)
DELIMITED = Form("x", "int64", delimiter="::")
WORDY = Form("x", "string", delimiter=",", ids=True)
ONE = Form("x", "int64", scalars=True)


def faulty(made: Parsed) -> dict[int, tuple[str, str]]:
    """Row to the reason and the value of its first fault."""
    found: dict[int, tuple[str, str]] = {}
    for fault in made.faults:
        for row, value in zip(fault.rows.tolist(), fault.values, strict=True):
            found.setdefault(row, (fault.reason, value))
    return found


@pytest.mark.parametrize(
    ("form", "rows", "expected", "faults", "values"),
    [
        (IDS, [[[3], [], [5]], [], None, [[]]], [[3, NO_ID, 5], [], None, [NO_ID]], {}, [2, 0, 0, 0]),
        (IDS, [[[3], [4, 5]], [[6]]], None, {0: ("wrong_step_width", "[4, 5]")}, [3, 1]),
        (IDS, [[[3], [4, 5], []], [[]]], None, {0: ("wrong_step_width", "[4, 5]")}, [3, 0]),
        (IDS, [[[[3]]], [], [[]]], None, {0: ("wrong_type", "[[3]]")}, [0, 0, 0]),
        (TWO_IDS, [[[1, 2], [], [3]], None, []], [[1, 2, NO_ID, NO_ID, 3, NO_ID], None, []], {}, [3, 0, 0]),
        (TWO_IDS, [[1, 2], None], [[1, NO_ID, 2, NO_ID], None], {}, [2, 0]),
        (TWO_IDS, [[[1, 2, 3]], [[4]]], None, {0: ("wrong_step_width", "[1, 2, 3]")}, [3, 1]),
        (WORDS, [[["a"], ["b", ""]]], [["a", NO_WORD, "b", ""]], {}, [3]),
        (WORDS, [["a", NO_WORD]], None, {0: ("wrong_type", NO_WORD)}, [2]),
        (IDS, [[NO_ID, 1]], [[NO_ID + 1, 1]], {}, [2]),
        (PAIRS, [[[1, 2], [3, 4]], None], [[1, 2, 3, 4], None], {}, [4, 0]),
        (PAIRS, [[[1, 2], [3]], [[]]], None, {0: ("wrong_step_width", "[3]"), 1: ("wrong_step_width", "[]")}, [3, 0]),
        (DELIMITED, ["1::2", " 3 ", "", "  ", None], [[1, 2], [3], [], [], None], {}, [2, 1, 0, 0, 0]),
        (DELIMITED, [["1::2"], [], None, [None]], [[1, 2], [], None, []], {}, [2, 0, 0, 0]),
        (WORDY, [" a , b c,,  d", " ", "\u2003e\u00a0,f\t"], [["a", "b c", "", "d"], [], ["e", "f"]], {}, [4, 0, 2]),
        (WORDY, ["[UNK]", "[CLS],hello,[SEP]"], [["[UNK]"], ["[CLS]", "hello", "[SEP]"]], {}, [1, 3]),
        (
            DELIMITED,
            ["[1::2]", "[]", "3"],
            None,
            dict(enumerate([("wrong_type", "[1::2]"), ("wrong_type", "[]")])),
            [0, 0, 1],
        ),
        (DELIMITED, ["1::", "1,2"], None, {0: ("not_a_number", ""), 1: ("not_a_number", "1,2")}, [2, 1]),
        (DELIMITED, [["1", "2"]], None, {0: ("wrong_value_count", "['1', '2']")}, [1]),
        (DELIMITED, [1, None], None, {0: ("wrong_type", "1")}, [0, 0]),
        (DELIMITED, [[1], [], [None]], None, {0: ("wrong_type", "[1]")}, [0, 0, 0]),
        (FLOATS, [1.0, None], None, {0: ("wrong_type", "1")}, [0, 0]),
        (ONE, [1, None], [[1], None], {}, [1, 0]),
        (ONE, ["1", "x"], None, {1: ("not_a_number", "x")}, [1, 1]),
    ],
)
def test_parse(form, rows, expected, faults, values):
    for array in (pa.array(rows), pa.concat_arrays([pa.array(rows)[:1], pa.array(rows)]).slice(1)):
        made = parse(array, form)
        assert faulty(made) == faults
        assert made.values_in.tolist() == values
        assert len(made.array) == len(rows)
        if expected is not None:
            assert made.array.to_pylist() == expected
    assert pa.types.is_large_list(made.array.type)


NESTED = st.lists(st.none() | st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=4), min_size=1, max_size=6)


@given(rows=NESTED)
def test_nested_ids(rows):
    made = parse(pa.array(rows, pa.list_(pa.list_(pa.int32()))), IDS)
    for k, row in enumerate(rows):
        wide = [step for step in row or [] if len(step) > 1]
        assert faulty(made).get(k) == (("wrong_step_width", str(wide[0])) if wide else None)
        if not wide:
            assert made.array[k].as_py() == (None if row is None else [step[0] if step else NO_ID for step in row])
        assert made.values_in[k] == sum(map(len, row or []))


@given(rows=st.lists(st.none() | st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5), min_size=1, max_size=6))
def test_text_and_numbers_parse_alike(rows):
    numbers = parse(pa.array(rows, pa.list_(pa.int32())), IDS)
    text = [None if row is None else [str(v) for v in row] for row in rows]
    joined = [None if row is None else "::".join(row) for row in text]
    assert parse(pa.array(text, pa.list_(pa.string())), IDS).array == numbers.array
    assert parse(pa.array(joined, pa.string()), DELIMITED).array == numbers.array


@pytest.mark.parametrize(
    ("kind", "form", "fits"),
    [
        (pa.list_(pa.int8()), FLOATS, True),
        (pa.list_(pa.list_(pa.string())), FLOATS, True),
        (pa.list_(pa.list_(pa.list_(pa.int8()))), FLOATS, False),
        (pa.list_(pa.bool_()), FLOATS, True),
        (pa.list_(pa.struct([("a", pa.int8())])), FLOATS, False),
        (pa.float32(), FLOATS, False),
        (pa.float32(), ONE, True),
        (pa.null(), FLOATS, True),
        (pa.list_(pa.null()), IDS, True),
        (pa.list_(pa.timestamp("s")), IDS, True),
        (pa.list_(pa.month_day_nano_interval()), IDS, False),
        (pa.string(), DELIMITED, True),
        (pa.list_(pa.binary()), DELIMITED, True),
        (pa.int64(), DELIMITED, False),
        (pa.list_(pa.dictionary(pa.int8(), pa.string())), IDS, True),
    ],
)
def test_column_type_error_tells_what_every_row_would(kind, form, fits):
    assert (column_type_error(kind, form) == "") == fits
    if not fits:  # and indeed no value of such a type gets through
        one: Any = pa.array([1]).cast(kind) if not pa.types.is_nested(kind) else None
        assert one is None or faulty(parse(one, form))


def test_faults_show_the_first_bad_value_of_each_row():
    made = parse(pa.array([["1", "a", "b"], ["2"], ["c"]]), FLOATS)
    (fault,) = made.faults
    assert (fault.rows.tolist(), fault.values, fault.column) == ([0, 2], ["a", "c"], "x")
    np.testing.assert_array_equal(made.values_in, [3, 1, 1])


ARRAYS = (
    "[]", "[ ]", "[[]]", "['a', 'b']", '["a"]', "[b'a']", "[1]", "[1,2]", "[ 1 2 ]", "[-1]", "[+1]", "[.5]", "[nan,1]", "[NaN]",
    "[null]", "[None]", "[true,false]", "[True]", "[-inf]", "[Infinity]", "[[1],[2]]", "[[],['a']]", "[1\n,2]", "['']", '["]"]',
    "[1]|[2]",
)  # fmt: skip
NO_ARRAYS = (
    "[UNK]", "[CLS]|hello|[SEP]", "[nano]", "[nullable]", "[Nonesuch]", "[trueish]", "[a,1]", "[[UNK]]", "[]|x|[]", "a[1]",
    "[1]a", "['a'", "{1}", "(1)",
)  # fmt: skip


@pytest.mark.parametrize("delimiter", [",", "|"])
def test_text_that_is_an_array_is_refused_and_the_remedy_named(delimiter):
    for form in (
        Form("x", "string", delimiter, ids=True),
        Form("x", "float32", delimiter),
        Form("x", "int64", delimiter),
    ):
        made = parse(pa.array([f" {text}\n" for text in ARRAYS]), form)
        assert {reason for reason, _ in faulty(made).values()} == {"wrong_type"}
        assert sorted(faulty(made)) == list(range(len(ARRAYS)))
        assert made.faults[0].message.endswith("got text that is an array: 'delimiter: json' reads it")
    words = parse(pa.array(list(NO_ARRAYS)), Form("x", "string", delimiter, ids=True))
    assert not words.faults
    assert words.array.to_pylist() == [text.split(delimiter) for text in NO_ARRAYS]


LEAVES = {
    "int64": st.sampled_from([0, 1, -1, NO_ID, NO_ID + 1, 2**63 - 1]),
    "float32": st.sampled_from([0.0, -0.0, 1.5, 1e-40, float("nan"), float("inf")]),
    "float64": st.sampled_from([0.0, 1.5, 1e-40, 5e-324, float("nan"), float("-inf"), 1e300]),
}


@pytest.mark.parametrize("dtype", LEAVES)
@given(data=st.data())
def test_what_is_canonical_already_parses_as_if_it_were_not(dtype, data):
    values = (
        LEAVES[dtype] if data.draw(st.booleans()) else LEAVES[dtype].filter(lambda value: abs(value) in (0, 1, 1.5))
    )
    rows = data.draw(st.lists(st.none() | st.lists(values, max_size=4), min_size=1, max_size=5))
    form = Form(
        "x",
        dtype,
        step_width=data.draw(st.integers(1, 2)),
        ids=data.draw(st.booleans()),
        scalars=data.draw(st.booleans()),
    )
    kind = data.draw(st.sampled_from([pa.list_, pa.large_list]))(pa.type_for_alias(dtype))
    given_rows, most = pa.array([[1], *rows], kind).slice(data.draw(st.integers(0, 1))), data.draw(st.integers(1, 4))
    made = parse(given_rows, form, most)
    with mock.patch("transforms.parse.parse._canonical_already", return_value=None):
        expected = parse(given_rows, form, most)
    assert faulty(made) == faulty(expected)
    assert made.values_in.tolist() == expected.values_in.tolist()
    assert made.nulls == expected.nulls and made.rounded == expected.rounded
    assert made.array.type == expected.array.type
    assert repr(made.array.to_pylist()) == repr(expected.array.to_pylist()), "NaN and the sign of zero, too"
