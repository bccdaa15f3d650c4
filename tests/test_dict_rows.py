"""Python rows to Arrow batches: exact, in order, and each row of the type that it has by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms import rows
from transforms.dict_rows import BATCH_ROWS, batches_of, from_dicts

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
    numbers = [n for batch in batches for n in rows.row_numbers(batch).tolist()]
    assert numbers == list(range(first, first + len(data)))
    back = [row for batch in batches for row in batch.to_pylist()]
    for row, made in zip(data, back, strict=True):
        for key, value in row.items():
            if isinstance(made[key], dict):  # what Arrow cannot hold, as text
                assert made[key] == {"unreadable": repr(value)}
                continue
            assert made[key] == value or isinstance(value, str | bytes)
            if isinstance(value, bool) or value == [True]:
                assert kinds(made[key]) == kinds(value)
        assert {key for key, value in made.items() if value is not None} - {rows.ROW_COLUMN, rows.RECORD_COLUMN} <= set(
            row
        )


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
    table = pa.table({"x": pa.chunked_array([[1], [2, 3]])})
    assert [rows.row_numbers(batch).tolist() for batch in batches_of(table)] == [[0], [1, 2]]
    batch = rows.with_origin(pa.record_batch({"x": [1, 2]}), "f", 40)
    (same,) = batches_of(batch)
    assert rows.row_numbers(same).tolist() == [40, 41]
    assert rows.file_of(same) == "f"
