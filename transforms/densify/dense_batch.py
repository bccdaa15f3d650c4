"""The graph's outputs as dense Arrow columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from transforms.columns import Column, Output
from transforms.columns.passthrough import Passthrough
from transforms.densify.graph import Arrays
from transforms.rows import origin
from transforms.rows.ragged import Ragged
from transforms.spec.spec import Spec

if TYPE_CHECKING:
    pass


def final_outputs(spec: Spec, arrays: Arrays) -> list[Output]:
    """Returns the outputs with the shapes and dtypes that they really have: T known, the dtype the normalizer's."""
    passed = [column.name for column in spec.columns if not column.in_graph]
    sizes = {name: (int(np.prod(a.shape[1:], dtype=np.int64)), a.dtype.name) for name, a in arrays.items()}
    return [o if o.name in passed else o.settled(*sizes[o.name]) for o in spec.outputs()]


def dense_batch(batch: pa.RecordBatch, arrays: Arrays, spec: Spec) -> pa.RecordBatch:
    """Returns the dense rows as Arrow: scalars as plain columns, tensors as fixed-size lists, masks as booleans."""
    columns: dict[str, pa.Array] = {}
    passed = {column.name: column for column in spec.columns if not column.in_graph}
    for output in spec.outputs():
        if output.name in passed:
            columns[output.name] = _passed_through(passed[output.name], batch)
            continue
        array = arrays[output.name]
        if output.dtype == "bool":
            array = array.astype(bool)
        width = int(np.prod(array.shape[1:], dtype=np.int64))
        flat = pa.array(array.reshape(-1))
        columns[output.name] = flat if array.ndim == 1 else _fixed_size(flat, width, batch.num_rows)
    columns[origin.ROW_COLUMN] = pa.array(origin.row_numbers(batch))
    if origin.DIGEST_COLUMN in batch.schema.names:
        columns[origin.DIGEST_COLUMN] = batch.column(origin.DIGEST_COLUMN)
    dense = pa.RecordBatch.from_pydict(columns).replace_schema_metadata(
        {origin.FILE_KEY: origin.file_of(batch).encode()}
    )
    split = origin.split_of(batch)
    return origin.in_split(dense, split) if split else dense


def _fixed_size(flat: pa.Array, width: int, count: int) -> pa.Array:
    """Returns values as `count` lists of `width`. pyarrow 25 makes none of width 0 from values: every sequence is empty then."""
    if width:
        return pa.FixedSizeListArray.from_arrays(flat, width)
    return pa.array([[]] * count, pa.list_(flat.type, 0))


def _passed_through(column: Column, batch: pa.RecordBatch) -> pa.Array:
    """One scalar a row: the value that validation left, or the column's default."""
    assert isinstance(column, Passthrough)
    view = Ragged.of(batch.column(column.key))
    there = view.lengths > 0
    at = pa.array(np.where(there, view.splits[:-1], 0), pa.int64(), mask=~there)
    values = view.values.take(at)
    if column.default_value is None:
        return values
    default = column.default_value
    if column.dtype == "bytes" and isinstance(default, str):
        default = default.encode()  # type: ignore[assignment]
    return values.fill_null(pa.scalar(default, values.type))
