"""Arrow input of every kind: list types, slices, chunks, nulls over garbage, types that no column takes."""

from __future__ import annotations

import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.test_memory import COLUMNS, POLICY
from transforms.columns import numeric_column, passthrough_column, sequence_numeric_column
from transforms.memory import apply
from transforms.rows.marks import UNREADABLE
from transforms.spec.make_spec import make_spec
from transforms.stages import parse_batch, validate_batch

LISTS = [[1.0, 2.0], None, [], [3.0], [4.0, 5.0, 6.0]]
PAIRS = [[1.0, 2.0], None, [3.0, 4.0], [5.0, 6.0], None]


def hidden_garbage() -> pa.Array:
    """A null list over values that are there: nobody may read them."""
    offsets, values = pa.array([0, 2, 4, 4, 5, 8]), pa.array([1.0, 2.0, 66.0, 66.0, 3.0, 4.0, 5.0, 6.0])
    return pa.LargeListArray.from_arrays(offsets, values, mask=pa.array([False, True, False, False, False]))


PIECES = [[1.0], [2.0, 1.0]]
ARROW: list[tuple[pa.Array, list[Any]]] = [
    (pa.array(LISTS, pa.list_(pa.float32())), LISTS),
    (pa.array(LISTS, pa.large_list(pa.float64())), LISTS),
    (pa.array(LISTS, pa.list_view(pa.float16())), LISTS),
    (pa.array(LISTS, pa.large_list_view(pa.int8())), LISTS),
    (pa.array(LISTS, pa.list_(pa.uint64())), LISTS),
    (pa.array(PAIRS, pa.list_(pa.float32(), 2)), PAIRS),
    (hidden_garbage(), LISTS),
    (
        pa.ListViewArray.from_arrays(
            pa.array([3, 0, 2], pa.int32()), pa.array([2, 2, 1], pa.int32()), pa.array([1.0, 2.0, 3.0, 4.0, 5.0])
        ),
        [[4.0, 5.0], [1.0, 2.0], [3.0]],
    ),
    (
        pa.LargeListArray.from_arrays(pa.array([0, 1, 3]), pa.array(["1", "2", "1"]).dictionary_encode()),
        [[1.0], [2.0, 1.0]],
    ),
    (
        pa.LargeListArray.from_arrays(pa.array([0, 1, 3]), pa.array(["1", "2", "1"], pa.string_view())),
        [[1.0], [2.0, 1.0]],
    ),
    (pa.nulls(3), [None] * 3),
]


def runs(values: list[Any]) -> pa.Array:
    return pc.run_end_encode(pa.array(values))


VIEWS = pa.array(["1", "2", "1"], pa.string_view())
ARROW += [
    (
        pa.LargeListArray.from_arrays(pa.array([0, 1, 3]), pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), VIEWS)),
        PIECES,
    ),
    (pa.LargeListArray.from_arrays(pa.array([0, 1, 3]), runs([1, 2, 1])), PIECES),
    (pa.ListViewArray.from_arrays(pa.array([0, 1], pa.int32()), pa.array([1, 2], pa.int32()), runs([1, 2, 1])), PIECES),
]


@pytest.mark.parametrize(("array", "rows"), ARROW, ids=[str(array.type) for array, _ in ARROW])
def test_arrow_types_slices_and_chunks(array, rows):
    column = sequence_numeric_column("x", (), -1.0)
    expected = apply([{"x": row} for row in rows], [column], POLICY)["x"]
    batch = pa.record_batch({"x": array})
    np.testing.assert_array_equal(apply(batch, [column], POLICY)["x"], expected)
    np.testing.assert_array_equal(apply(batch.slice(1), [column], POLICY)["x"], expected[1:])
    np.testing.assert_array_equal(apply(batch.slice(1, 1), [column], POLICY)["x"], expected[1:2])
    table = pa.Table.from_batches([batch, batch.slice(1), batch.slice(0, 0), batch])
    made = apply(table, [column], POLICY)
    np.testing.assert_array_equal(made["x"], np.concatenate([expected, expected[1:], expected]))
    assert made.rows.tolist() == list(range(3 * len(rows) - 1))


UNLIKE: list[tuple[pa.Array, list[Any]]] = [
    (runs([1.5, 1.5, None, 2.5]), [1.5, 1.5, None, 2.5]),
    (runs(["1", "1", None, "b"]), ["1", "1", None, "b"]),
    (pa.StructArray.from_arrays([runs([1, 1, 2, 2])], ["a"]), [{"a": 1}, {"a": 1}, {"a": 2}, {"a": 2}]),
    (
        pa.UnionArray.from_sparse(
            pa.array([0, 1, 0, 1], pa.int8()), [pa.array([1, 2, 3, 4]), pa.array(["a", "b", "c", "d"])]
        ),
        [{UNREADABLE.field(0).name: text} for text in ("1", "'b'", "3", "'d'")],
    ),
    (
        pa.UnionArray.from_dense(
            pa.array([0, 1, 0, 1], pa.int8()),
            pa.array([0, 0, 1, 1], pa.int32()),
            [pa.array([1, 2]), pa.array(["a", "b"])],
        ),
        [{UNREADABLE.field(0).name: text} for text in ("1", "'a'", "2", "'b'")],
    ),
]


@pytest.mark.parametrize(("array", "values"), UNLIKE, ids=[str(array.type) for array, _ in UNLIKE])
@pytest.mark.parametrize("column", ["x", "y"])
def test_types_that_arrow_has_too_few_kernels_for(array, values, column):
    """Read by a column or not: the rows are accepted or rejected one by one, and what is kept of them has the values."""
    for first in (0, 1):
        batch = pa.record_batch({"x": array, "y": pa.array(["1", "b", "c", "4"])}).slice(first)
        spec = make_spec([numeric_column(column)])
        parsed = parse_batch(batch, spec.columns)
        valid = validate_batch(parsed.batch, spec)
        assert parsed.rejected is not None or valid.rejected is not None
        for rejected in filter(None, (parsed.rejected, valid.rejected)):
            for row, record in zip(rejected["row"].to_pylist(), rejected["record"].to_pylist(), strict=True):
                assert pa.ipc.open_stream(record).read_all()["x"].to_pylist() == [values[first + row]]


def test_every_arrow_type_is_taken_or_rejected():
    leaves = [
        pa.bool_(),
        pa.date32(),
        pa.timestamp("ns"),
        pa.duration("s"),
        pa.time64("us"),
        pa.decimal128(9, 2),
        pa.binary(1),
    ]
    leaves += [
        pa.struct([("a", pa.int8())]),
        pa.month_day_nano_interval(),
        pa.map_(pa.string(), pa.int8()),
        pa.string_view(),
    ]
    leaves += [
        pa.binary_view(),
        pa.large_binary(),
        pa.float16(),
        pa.uuid(),
        pa.json_(),
        pa.dictionary(pa.int8(), pa.string()),
    ]
    values = {pa.bool_(): True, pa.struct([("a", pa.int8())]): {"a": 1}, pa.map_(pa.string(), pa.int8()): [("a", 1)]}
    values |= {pa.month_day_nano_interval(): pa.MonthDayNano([1, 1, 1]), pa.decimal128(9, 2): decimal.Decimal(1)}
    values |= dict.fromkeys([pa.binary(1), pa.binary_view(), pa.large_binary()], b"\xff") | {pa.uuid(): b"0" * 16}
    values |= dict.fromkeys([pa.string_view(), pa.json_(), pa.dictionary(pa.int8(), pa.string())], "x")
    for leaf in leaves:
        for kind, wrap in (
            (leaf, False),
            (pa.list_(leaf), True),
            (pa.list_(leaf, 1), True),
            (pa.large_list(leaf), True),
        ):
            one = values.get(leaf, 1)
            storage = (
                pa.array([one], leaf.storage_type) if isinstance(leaf, pa.BaseExtensionType) else pa.array([one], leaf)
            )
            flat = leaf.wrap_array(storage) if isinstance(leaf, pa.BaseExtensionType) else storage
            array = flat if not wrap else pa.LargeListArray.from_arrays(pa.array([0, 1]), flat).cast(kind)
            for column in COLUMNS:
                parsed = parse_batch(pa.record_batch({"x": array}), [column])
                valid = validate_batch(parsed.batch, make_spec([column]))
                rejected = [part for part in (parsed.rejected, valid.rejected) if part is not None]
                assert valid.batch.num_rows + sum(part.num_rows for part in rejected) == 1, (kind, column)
                assert all(all(part["value"].to_pylist()) for part in rejected)


def test_text_that_is_not_utf8_in_a_string_column():
    """Arrow believes a file that says its bytes are text; people must still be shown what they are."""
    offsets = pa.py_buffer(np.array([0, 1, 3], np.int32).tobytes())
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"1\xff2")])
    for array in (bad, pa.LargeListArray.from_arrays(pa.array([0, 1, 2]), bad)):
        for column in (numeric_column("x"), passthrough_column("x")):
            made = apply(pa.record_batch({"x": array}), [column])
            assert made.rejected.select(["row", "reason", "value"]).to_pylist() == [
                {"row": 1, "reason": "invalid_utf8", "value": "\\xff2"}
            ]
