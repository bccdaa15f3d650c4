"""The graph's outputs as dense Arrow columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from transforms.columns import Output
from transforms.densify.graph import Arrays
from transforms.rows import origin
from transforms.rows.numbers import arrow_of, steps_of
from transforms.rows.ragged import Ragged
from transforms.spec.spec import Spec


def final_outputs(spec: Spec, arrays: Arrays) -> list[Output]:
    """Returns the outputs with the shapes and dtypes that they really have: T known, the dtype the normalizer's."""
    passed = spec.passed_through
    sizes = {name: (int(np.prod(a.shape[1:], dtype=np.int64)), a.dtype.name) for name, a in arrays.items()}
    return [o if o.name in passed else o.settled(*sizes[o.name]) for o in spec.outputs()]


def dense_batch(batch: pa.RecordBatch, arrays: Arrays, spec: Spec) -> pa.RecordBatch:
    """Returns the dense rows as Arrow: scalars as plain columns, tensors as fixed-size lists, masks as booleans."""
    columns: dict[str, pa.Array] = {}
    passed = spec.passed_through
    for output in spec.outputs():
        if (column := passed.get(output.name)) is not None:
            columns[output.name] = column.passed_through(Ragged.of(batch.column(column.key)))
            continue
        array = arrays[output.name]
        if output.dtype == "bool":
            array = array.astype(bool)
        width = int(np.prod(array.shape[1:], dtype=np.int64))
        flat = arrow_of(array.reshape(-1))
        columns[output.name] = flat if array.ndim == 1 else _fixed_size(flat, width, batch.num_rows)
    columns[origin.ROW_COLUMN] = arrow_of(origin.row_numbers(batch))
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
        return steps_of(flat, width)
    return pa.array([[]] * count, pa.list_(flat.type, 0))
