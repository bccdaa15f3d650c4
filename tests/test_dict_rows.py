"""Python rows to Arrow batches: exact, in order, and each row of the type that it has by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.jsonl.rows import JSONDecoder
from transforms import (
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_numeric_column,
)
from transforms.rows import origin
from transforms.rows.from_python import BATCH_ROWS, batches_of, from_dicts
from transforms.rows.marks import unreadable
from transforms.stages import parse_batch

LEAF = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=3)
VALUE = (
    LEAF
    | st.binary(max_size=3)
    | st.lists(LEAF, max_size=3)
    | st.lists(st.lists(st.integers(0, 9), max_size=2), max_size=2)
)
ROW = st.dictionaries(st.sampled_from(["a", "b", "c"]), VALUE, max_size=3)


def kinds(value: Any) -> Any:
    """A value with its types: True, 1 and 1.0 are not the same to a column."""
    if isinstance(value, list):
        return [kinds(item) for item in value]
    return (type(value).__name__, value)


@given(data=st.lists(ROW, max_size=12), first=st.integers(0, 10**6))
def test_every_value_arrives_as_it_was(data, first):
    batches = list(from_dicts(data, first)) if data else []
    assert sum(batch.num_rows for batch in batches) == len(data)
    numbers = [n for batch in batches for n in origin.row_numbers(batch).tolist()]
    assert numbers == list(range(first, first + len(data)))
    back = [row for batch in batches for row in batch.to_pylist()]
    for row, made in zip(data, back, strict=True):
        for key, value in row.items():
            if isinstance(made[key], dict):  # what Arrow cannot hold, as text
                assert made[key] == unreadable(value)
                continue
            if isinstance(value, list) and any(
                isinstance(item, dict) for item in made[key]
            ):  # booleans or large integers
                texts = [None if item is None else next(iter(item.values())) for item in made[key]]
                assert texts == [
                    None if item is None else repr(item).replace("T", "t").replace("F", "f") for item in value
                ]
                continue
            assert made[key] == value or isinstance(value, str | bytes)
            if isinstance(value, bool) or value == [True]:
                assert kinds(made[key]) == kinds(value)
        assert {key for key, value in made.items() if value is not None} - {
            origin.ROW_COLUMN,
            origin.RECORD_COLUMN,
        } <= set(row)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ([True], [1]),
        ([1], ["1"]),
        ([2**53 + 1], [0.5]),
        (np.array([2**63], np.uint64), [-1]),
        ([None], [[1]]),
        ([1], [[1]]),
        ({True}, [1.5]),
        ([1], [__import__("decimal").Decimal("1.5")]),
        (2**64, 1),
    ],
)
def test_rows_of_different_types_stand_in_different_batches(left, right):
    for pair in ((left, right), (right, left)):
        batches = list(from_dicts([{"x": value} for value in pair]))
        alone = [next(from_dicts([{"x": value}])).column("x") for value in pair]
        assert len(batches) == 2
        assert [batch.column("x") for batch in batches] == alone


def test_compatible_rows_share_a_batch():
    data = [{"x": [1]}, {"x": [2.5]}, {"x": None}, {}, {"x": []}, {"x": np.array([1.0, 2.0])}, {"x": (3,)}]
    (batch,) = from_dicts(data)
    assert batch.column("x").to_pylist() == [[1.0], [2.5], None, None, [], [1.0, 2.0], [3.0]]


def test_batches_are_bounded_and_lazy():
    def endless() -> Any:
        yield from ({"x": [k]} for k in range(BATCH_ROWS + 1))
        raise RuntimeError("read too far")

    batches = batches_of(endless())
    assert next(batches).num_rows == BATCH_ROWS
    with pytest.raises(RuntimeError, match="read too far"):
        next(batches)
    sizes = [batch.num_rows for batch in batches_of({"x": [k]} for k in range(2 * BATCH_ROWS + 1))]
    assert sizes == [BATCH_ROWS, BATCH_ROWS, 1]


def test_arrow_is_numbered_and_not_numbered_twice():
    table = pa.table({"x": pa.chunked_array([list(range(BATCH_ROWS)), [1], [2, 3]])})
    many, few = (origin.row_numbers(batch).tolist() for batch in batches_of(table))  # small chunks come together
    assert many == list(range(BATCH_ROWS)) and few == [BATCH_ROWS, BATCH_ROWS + 1, BATCH_ROWS + 2]
    batch = origin.with_origin(pa.record_batch({"x": [1, 2]}), "f", 40)
    (same,) = batches_of(batch)
    assert origin.row_numbers(same).tolist() == [40, 41]
    assert origin.file_of(same) == "f"


HALF = "a\ud800"
NESTED: list[tuple[Any, Any]] = [
    (HALF, passthrough_column("x")),
    (HALF, passthrough_column("x", "bytes")),
    (HALF, numeric_column("x")),
    (["b", HALF], sequence_categorical_column_with_hash_bucket("x", 9)),
    ([None, HALF], sequence_categorical_column_with_hash_bucket("x", 9)),
    ([["b"], [HALF]], sequence_categorical_column_with_hash_bucket("x", 9)),
    ([HALF], sequence_numeric_column("x", dtype="int64")),
    ("b,c" + HALF, sequence_categorical_column_with_hash_bucket("x", 9, delimiter=",")),
    (["b,c" + HALF], sequence_categorical_column_with_hash_bucket("x", 9, delimiter=",")),
]


@pytest.mark.parametrize(("value", "column"), NESTED)
def test_half_of_a_surrogate_pair_is_text_that_is_not_utf8(value, column):
    """As JSON can write it: whatever a column makes of text, that row is rejected for it, and shown."""
    parsed = [parse_batch(batch, [column]) for batch in from_dicts([{"x": value, "y": 1}, {"x": value}])]
    rejected = [row for stage in parsed if stage.rejected is not None for row in stage.rejected.to_pylist()]
    assert [row["reason"] for row in rejected] == ["null_value" if value == [None, HALF] else "invalid_utf8"] * 2
    assert value == [None, HALF] or all("\\xed\\xa0\\x80" in row["value"] for row in rejected)
    assert not sum(stage.batch.num_rows for stage in parsed)


def test_half_of_a_surrogate_pair_in_a_line_of_json():
    parts, bad = JSONDecoder({"x": "string"}).decode(
        [b'{"x": ["b"]}', b'{"x": ["\\ud800"]}', b'{"x": ["\\ud83d\\ude00"]}']
    )
    stages = [parse_batch(part.batch, [sequence_categorical_column_with_hash_bucket("x", 9)]) for part in parts]
    rejected = [row for stage in stages if stage.rejected is not None for row in stage.rejected.to_pylist()]
    assert not bad and [row["reason"] for row in rejected] == ["invalid_utf8"]
    assert sum(stage.batch.num_rows for stage in stages) == 2


def test_half_of_a_surrogate_pair_in_a_name():
    with pytest.raises(ValueError, match="expected the name of a feature as text, got half of a surrogate pair in 'a"):
        list(batches_of([{HALF: 1}]))
