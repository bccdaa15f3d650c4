"""Arrays as text (`delimiter: json`) against json, Python's own reader and NumPy's printer, in the parser and when served."""

from __future__ import annotations

import ast
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.jobs import done, read_arrays
from transforms import (
    SequenceGroup,
    make_spec,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from transforms.dtypes import DIGITS
from transforms.kernels.array_text import FLAT, MIXED, NESTED, NO_ARRAY, arrays_of_text
from transforms.parse.form import JSON, Form
from transforms.parse.parse import Parsed, parse

FLOATS = Form("x", "float64", JSON, reject_overflow=False)
PAIRS = Form("x", "float64", JSON, step_width=2, reject_overflow=False)
INTEGERS = Form("x", "int64", JSON)
WORDS = Form("x", "string", JSON, ids=True)
DIGIT_WORDS = Form("x", DIGITS, JSON, ids=True)
BYTES = Form("x", "bytes", JSON, ids=True)


def parsed(texts: list[Any], form: Form, **more: Any) -> list[Any]:
    """Returns each row's values, or the reason why it has none."""
    made: Parsed = parse(pa.array(texts, pa.large_string()), form, **more)
    rows = made.array.to_pylist()
    for fault in reversed(made.faults):
        for row in fault.rows.tolist():
            rows[row] = fault.reason
    return rows


def same(one: Any, other: Any) -> bool:
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(same, one, other))
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


NUMBERS = st.floats(allow_nan=True, width=64) | st.integers(-(2**53), 2**53)
SURROGATES = st.characters(exclude_categories=["Cs"])


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(NUMBERS, max_size=6), min_size=1, max_size=6))
def test_numbers(rows):
    expected = [[float(value) for value in row] for row in rows]
    for written in (json.dumps, repr, lambda row: json.dumps(row, indent=1), lambda row: repr(tuple(row))):
        assert same(parsed([written(row) for row in rows], FLOATS), expected), written
    with np.printoptions(threshold=10**6, floatmode="unique"):
        assert same(parsed([str(np.array(row, np.float64)) for row in rows], FLOATS), expected)
    assert same(parsed([repr(list(np.array(row, np.float64))) for row in rows], FLOATS), expected)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.lists(st.text(SURROGATES, max_size=5), max_size=5), min_size=1, max_size=5))
def test_words(rows):
    for written in (json.dumps, repr, lambda row: json.dumps(row, ensure_ascii=False)):
        texts = [written(row) for row in rows]
        assert parsed(texts, WORDS) == rows, texts
    for row in rows:
        text = str(np.array(row, object))
        assert parsed([text], WORDS) == [row], text


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.binary(max_size=5), max_size=5), min_size=1, max_size=5))
def test_bytes(rows):
    assert parsed([repr(row) for row in rows], BYTES) == rows


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(st.tuples(NUMBERS, NUMBERS).map(list), max_size=4), min_size=1, max_size=5))
def test_lists_of_lists(rows):
    """Beside lists of values, which are cut into steps."""
    flat = [[float(value) for step in row for value in step] for row in rows]
    texts = [json.dumps(row if k % 2 else [value for step in row for value in step]) for k, row in enumerate(rows)]
    assert same(parsed(texts, PAIRS), flat)
    with np.printoptions(threshold=10**6, floatmode="unique"):
        assert same(
            parsed([str(np.array(row, np.float64).reshape(-1, 2)) if row else "[]" for row in rows], PAIRS), flat
        )


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        (INTEGERS, "[1, 2.0, -3]", [1, 2, -3]),
        (INTEGERS, "[1. 2.]", [1, 2]),
        (INTEGERS, "[9223372036854775807]", [2**63 - 1]),
        (INTEGERS, "[1.5]", "not_a_number"),
        (INTEGERS, "[9007199254740994.0]", "not_a_number"),
        (INTEGERS, "[null]", "null_value"),
        (FLOATS, "", []),
        (FLOATS, "  [ ] ", []),
        (FLOATS, "null", None),
        (FLOATS, "None", None),
        (FLOATS, '["1.5"]', [1.5]),
        (FLOATS, "[0 1 ... 8 9]", "not_a_number"),
        (FLOATS, "[true, null, false]", [1.0, math.nan, 0.0]),
        (FLOATS, "[ True False]", [1.0, 0.0]),
        (FLOATS, "[np.False_, np.True_]", [0.0, 1.0]),
        (FLOATS, "[true, 1]", "wrong_type"),
        (FLOATS, '["true"]', "not_a_number"),
        (FLOATS, "[truest]", "not_a_number"),
        (INTEGERS, "[[true], [false]]", [1, 0]),
        (INTEGERS, "[true, 2]", "wrong_type"),
        (INTEGERS, '[true, "2"]', "wrong_type"),
        (WORDS, "[true]", "wrong_type"),
        (DIGIT_WORDS, "[18446744073709551615, 7, 2.0]", ["18446744073709551615", "7", "2"]),
        (DIGIT_WORDS, "['18446744073709551615']", ["18446744073709551615"]),
        (DIGIT_WORDS, "[18446744073709551616]", "integer_overflow"),
        (DIGIT_WORDS, "[-1]", "integer_overflow"),
        (DIGIT_WORDS, "[true]", ["1"]),
        (DIGIT_WORDS, "[x]", "not_a_number"),
        (FLOATS, "[1", "wrong_type"),
        (FLOATS, "1, 2", "wrong_type"),
        (FLOATS, "5", "wrong_type"),
        (FLOATS, "[1,]", "wrong_type"),
        (FLOATS, "[1,,2]", "wrong_type"),
        (FLOATS, "[1 2, 3]", "wrong_type"),
        (FLOATS, "[1] [2]", "wrong_type"),
        (FLOATS, "[1)", "wrong_type"),
        (FLOATS, "(1, 2)", [1.0, 2.0]),
        (FLOATS, "(1,)", [1.0]),
        (FLOATS, "(1)", "wrong_type"),
        (FLOATS, "[[1][2]]", "wrong_type"),
        (FLOATS, "[1, [2]]", "wrong_type"),
        (FLOATS, "[[1], 2]", "wrong_type"),
        (FLOATS, "[[[1]]]", "wrong_type"),
        (FLOATS, "array([1, 2])", "wrong_type"),
        (FLOATS, "[array([1, 2])]", "wrong_type"),
        (FLOATS, '{"a": 1}', "wrong_type"),
        (WORDS, "[1]", "wrong_type"),
        (WORDS, "[a, b]", "wrong_type"),
        (WORDS, "['a''b']", "wrong_type"),
        (WORDS, r"['\q']", "wrong_type"),
        (WORDS, "['a", "wrong_type"),
        (WORDS, r'["\ud83d"]', "invalid_utf8"),
        (WORDS, r'["\ud83d\ude00"]', ["\U0001f600"]),
        (WORDS, "[None]", "null_value"),
    ],
)
def test_one_text(form, text, expected):
    """Alone and between others, which do not change it."""
    other = "['z']" if form is WORDS else "[7]"
    for at, texts in ((0, [text]), (1, [other, text, None, other]), (2, ["[True]", "[1, false]", text])):
        assert same(parsed(texts, form)[at], expected)


@settings(max_examples=500, deadline=None)
@given(st.text("[]() ,.1-e'\"\\abnuxN\n", max_size=14))
def test_what_is_taken_is_what_python_or_numpy_reads(text):
    """Nothing is taken for an array that is none: by Python's reader, or of values between spaces."""
    trimmed = text.strip()
    if not trimmed or trimmed in ("null", "None"):
        return
    raw = np.frombuffer(trimmed.encode(), np.uint8)
    form, values, steps = (np.zeros(1, np.int64) for _ in range(3))
    nothing, no_bytes = np.zeros(0, np.int64), np.zeros(0, np.uint8)
    arrays_of_text(np.array([0, len(raw)]), raw, False, form, values, steps, nothing, no_bytes, nothing, no_bytes)
    if form[0] in (NO_ARRAY, MIXED):
        assert (values[0], steps[0]) == (0, 0)
        return
    assert trimmed[0] in "[(" and trimmed[-1] in "])"
    try:
        read = ast.literal_eval(trimmed)
    except (ValueError, SyntaxError):  # words without quotes, or spaces between: what they are, others say
        return
    if isinstance(read, list | tuple) and "'" not in trimmed and '"' not in trimmed:
        nested = any(isinstance(one, list | tuple) for one in read)
        assert form[0] == (NESTED if nested else FLAT)
        assert values[0] == (sum(len(one) for one in read) if nested else len(read))


def test_the_longest_allowed():
    assert parsed(["[1, 2, 3]", "[1, 2]"], FLOATS, max_steps=2) == ["over_limit", [1.0, 2.0]]


@pytest.mark.slow
def test_cells_that_pandas_wrote(tmp_path):
    """From `to_csv` to a data set that its serving model agrees with, asked by lists."""
    from pipeline.dataset.manifest import read as read_manifest
    from pipeline.verify.verify import verify

    rng = np.random.default_rng(3)
    numbers = [rng.normal(size=k % 5) for k in range(50)]
    words = [[("a", "b c", "'")[k] for k in rng.integers(0, 3, size=len(row))] for row in numbers]
    pd.DataFrame({"x": numbers, "word": words}).to_csv(tmp_path / "a.csv", index=False)
    columns = [
        sequence_numeric_column("x", delimiter="json", normalizer_fn="z_score"),
        sequence_categorical_column_with_vocabulary_list("word", ["'", "a", "b c"], delimiter="json"),
    ]
    done(make_spec(columns, SequenceGroup(max_length=4)), tmp_path / "a.csv", tmp_path / "out")
    arrays = read_arrays(tmp_path / "out")
    assert sorted(arrays["sequence_length"].reshape(-1).tolist()) == sorted(map(len, numbers))
    values = np.concatenate(numbers)
    made = arrays["x"][arrays["sequence_mask"]].ravel()
    np.testing.assert_allclose(np.sort(made), np.sort((values - values.mean()) / values.std()), atol=1e-5)
    found = verify(str(tmp_path / "out"), most=1000).compared
    assert found is not None and found.rows > 20 and not found.difference
    import tensorflow as tf

    model = tf.saved_model.load(f"{tmp_path}/out/{read_manifest(str(tmp_path / 'out')).content['serving']}")
    assert model.signatures["ragged"].structured_input_signature[1]["x"].dtype == tf.float32
