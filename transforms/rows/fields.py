"""The fields of a table as plain arrays: of a few types, whatever types a source, pandas or Polars has for them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from transforms.rows import origin
from transforms.rows.ragged import simple


def field_names(table: pa.Table | pa.RecordBatch) -> list[str]:
    """Returns the names of the fields of events; those that tell where they are from are none."""
    return [name for name in table.schema.names if name not in origin.RESERVED]


def field_of(table: pa.Table | pa.RecordBatch, name: str) -> pa.Array:
    """Returns a field as one plain array; see `plain`."""
    return plain(table.column(name))


def plain(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    """Returns values as one array of a type that everything here knows: large strings and binaries, no dictionary, no view."""
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):  # whose offsets end at 2 GiB
        column = column.cast(pa.large_string() if pa.types.is_string(kind) else pa.large_binary())
    whole = column
    if isinstance(column, pa.ChunkedArray):
        whole = (
            column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.nulls(0, column.type)])
        )
    whole = simple(origin.plain(pa.RecordBatch.from_arrays([whole], ["x"])).column(0))
    if pa.types.is_string(whole.type) or pa.types.is_binary(whole.type):
        whole = whole.cast(pa.large_string() if pa.types.is_string(whole.type) else pa.large_binary())
    return whole


def is_text(kind: pa.DataType) -> bool:
    """Tells whether a plain array holds text or bytes."""
    return pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)


def text_buffers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns the offsets, int64 `[n + 1]`, and the bytes, uint8, of large strings or binaries. Nulls have some bytes or none."""
    if not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offsets, data = array.buffers()
    found = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return found, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
