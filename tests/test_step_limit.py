"""Rows with too many steps, in every form that a sequence has: rejected by name, whole, and at little cost."""

from __future__ import annotations

import tracemalloc
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from tests.harness import recovered
from transforms import (
    Densify,
    Parse,
    SequenceGroup,
    Validate,
    apply,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.parse.step_limit import too_long
from transforms.rows.ragged import Ragged
from transforms.stages import parse_batch, validate_batch

IDENTITY, HASH, NUMERIC = (
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_hash_bucket,
    sequence_numeric_column,
)

# column, a row of 5 steps, one of 4, steps in the message
FORMS: dict[str, tuple[Any, Any, Any]] = {
    "numbers": (NUMERIC("x"), [1.0] * 5, [1.0] * 4),
    "integers": (IDENTITY("x", 10), [1] * 5, [1] * 4),
    "text": (HASH("x", 10), ["a"] * 5, ["a"] * 4),
    "numbers as text": (NUMERIC("x"), ["1"] * 5, ["1"] * 4),
    "wide steps": (NUMERIC("x", shape=(2,)), [1.0] * 10, [1.0] * 8),
    "an incomplete step": (NUMERIC("x", shape=(2,), incomplete_step="pad"), [1.0] * 9, [1.0] * 7),
    "nested": (NUMERIC("x", shape=(2,)), [[1.0, 2.0]] * 5, [[1.0, 2.0]] * 4),
    "nested ids": (IDENTITY("x", 10, max_ids=3), [[1, 2]] * 5, [[1, 2, 3]] * 4),
    "empty steps": (IDENTITY("x", 10, max_ids=3), [[]] * 4 + [[1]], [[1], [], [], [2]]),
    "several ids, flat": (IDENTITY("x", 10, max_ids=3), [1] * 5, [1] * 4),
    "delimited": (NUMERIC("x", delimiter=";"), "1;2;3;4;5", "1;2;3;4"),
    "delimited bytes": (NUMERIC("x", delimiter=";"), b"1;2;3;4;5", b"1;2;3;4"),
    "delimited, in a list": (NUMERIC("x", delimiter=";"), ["1;2;3;4;5"], ["1;2;3;4"]),
    "delimited, wide steps": (NUMERIC("x", shape=(2,), delimiter="--"), "--".join("1" * 10), "--".join("1" * 8)),
}


@pytest.mark.parametrize("form", FORMS)
def test_a_row_with_too_many_steps_is_rejected(form):
    column, long, fits = FORMS[form]
    rows = [{"x": fits}, {"x": long, "other": "kept"}, {"x": fits}, {}, {"x": None}]
    made = apply(rows, [column], SequenceGroup(max_length=4), max_steps=4)
    (row,) = made.rejected.select(["row", "reason", "column", "value", "message"]).to_pylist()
    message = "expected at most 4 steps (--max-steps)"
    assert row == {"row": 1, "reason": "over_limit", "column": "x", "value": "5 steps", "message": message}
    assert recovered(made, 0) == rows[1]
    assert made.rows.tolist() == [0, 2, 3, 4] and made.lengths().tolist() == [4, 4, 0, 0]
    assert made.tally["", "column", "x", "present"] == 3
    alone = apply([rows[0]], [column], SequenceGroup(max_length=4), max_steps=4)
    np.testing.assert_array_equal(made["x"][:1], alone["x"])
    assert apply(rows, [column], SequenceGroup(max_length=5)).rows.tolist() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("form", FORMS)
def test_values_balance(form):
    """The values of a rejected row are those that would have been kept."""
    column, long, fits = FORMS[form]
    rows = [{"x": fits}, {"x": long}]
    refused, taken = (apply(rows, [column], SequenceGroup(max_length=5), max_steps=most).tally for most in (4, 5))
    values = ("", "column", "x", "values")
    assert refused[values] == taken[values]
    rejected = refused["", "column", "x", "rejected"]
    kept = apply(rows[:1], [column], SequenceGroup(max_length=5)).tally[values]
    assert rejected == taken[values] - kept > 0


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.large_list(pa.float64()),
        pa.list_(pa.float32(), 5),
        pa.list_view(pa.float32()),
        pa.large_list_view(pa.float32()),
    ],
)
def test_every_list_of_arrow(kind):
    array = pa.array([[1.0] * 5, None, [2.0] * 5], kind)
    for data, rows in ((array, [0, 2]), (array.slice(1), [1]), (array.slice(1, 1), [])):
        found = too_long(data, 4, 1)
        assert (found is None) == (not rows)
        if found is not None:
            assert found.rows.tolist() == rows and found.steps.tolist() == [5] * len(rows)
            assert Ragged.of(found.rest).lengths.sum() == 0
            assert Ragged.of(found.rest).present.tolist() == Ragged.of(data).present.tolist()
        assert too_long(data, 5, 1) is None


def test_a_dictionary_and_a_scalar():
    words = pa.array([["a"] * 5, ["b"]], pa.list_(pa.dictionary(pa.int8(), pa.string())))
    made = apply(pa.table({"x": words}), [HASH("x", 10)], SequenceGroup(max_length=2), max_steps=4)
    assert made.rejected["reason"].to_pylist() == ["over_limit"]
    made = apply([{"w": 3.0}], [numeric_column("w"), NUMERIC("x")], SequenceGroup(max_length=2), max_steps=1)
    assert made.rows.tolist() == [0]


def test_an_example_of_many_values_is_one_step():
    made = apply([{"w": [1.0] * 50}], [numeric_column("w", shape=(50,))], max_steps=1)
    assert made["w"].shape == (1, 50)


def test_ten_million_steps_take_little_memory():
    """Before anything is made of them: several ids a step would take 100 places each."""
    array = pa.array([np.zeros(10_000_000, np.int64), [1, 2]])
    batch = pa.RecordBatch.from_pydict({"x": array})
    column = IDENTITY("x", 10, max_ids=100)
    tracemalloc.start()
    done = parse_batch(batch, [column])
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert done.rejected is not None and done.rejected["reason"].to_pylist() == ["over_limit"]
    assert validate_batch(done.batch, make_spec(column)).batch.num_rows == 1
    assert peak < 400 << 20  # the record in rejected/ among them, twice; the row has 80 MB


@pytest.mark.parametrize("stage", [Parse, Validate, Densify])
def test_the_stages_of_a_pipeline_have_the_limit(stage):
    rows = [{"x": [1.0] * 3}, {"x": [2.0]}]
    for more, rejected in (({}, []), ({"max_steps": 2}, ["over_limit"])):
        with beam.Pipeline(FnApiRunner()) as pipeline:
            made = pipeline | beam.Create(rows) | stage(NUMERIC("x"), SequenceGroup(max_length=3), **more)
            assert_that(made.rejected | beam.Map(lambda row: row["reason"]), equal_to(rejected))
