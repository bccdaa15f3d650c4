"""Events of any kind (Arrow, pandas, Polars, dicts) to one table, and a field of it to one plain array."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.rows import origin
from transforms.rows.ragged import unwrapped

Frame: TypeAlias = Any
"""A pyarrow Table or RecordBatch, anything with `__arrow_c_stream__` (a frame of pandas or Polars), or dicts, one per event."""

_INDEX: Final = "__index_level_"
"""The prefix of a pandas index without a name, which nobody asked for."""


def table_of(data: Frame) -> pa.Table:
    """Returns events as a table.

    Raises:
      TypeError: the data are not events.
      ValueError: two fields have the same name, or values of dicts have types that Arrow cannot hold in one column.
    """
    if isinstance(data, pa.Table):
        table = data
    elif isinstance(data, pa.RecordBatch):
        table = pa.Table.from_batches([data])
    elif hasattr(data, "__arrow_c_stream__"):
        table = pa.table(data)
        table = table.select([name for name in table.schema.names if not name.startswith(_INDEX)])
    else:
        table = _of_dicts(data)
    names = table.schema.names
    if len(set(names)) < len(names):
        raise ValueError(f"expected fields of different names, got {', '.join(names)}")
    return table


def _of_dicts(data: Any) -> pa.Table:
    rows = None if isinstance(data, Mapping | str | bytes) or not isinstance(data, Iterable) else list(data)
    if rows is None or not all(isinstance(row, Mapping) for row in rows):
        raise TypeError(f"expected events (Arrow, a frame of pandas or Polars, or dicts), got {type(data).__name__}")
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        return pa.table({name: pa.array([row.get(name) for row in rows]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ValueError(f"expected values of one type in each field: {error}") from None


def field_names(table: pa.Table) -> list[str]:
    """Returns the names of the fields of events, without the columns of their origin."""
    return [name for name in table.schema.names if name not in origin.RESERVED]


def field_of(table: pa.Table, name: str) -> pa.Array:
    """Returns a field as one array of a plain type: large strings and binaries, no dictionary, no view."""
    column = table.column(name)
    kind = column.type
    if pa.types.is_string(kind) or pa.types.is_binary(kind):  # whose offsets end at 2 GiB
        column = column.cast(pa.large_string() if pa.types.is_string(kind) else pa.large_binary())
    whole = column.chunk(0) if column.num_chunks == 1 else pa.concat_arrays(column.chunks or [pa.nulls(0, column.type)])
    whole = unwrapped(origin.plain(pa.RecordBatch.from_arrays([whole], ["x"])).column(0))
    if pa.types.is_string(whole.type) or pa.types.is_binary(whole.type):
        whole = whole.cast(pa.large_string() if pa.types.is_string(whole.type) else pa.large_binary())
    if pa.types.is_fixed_size_binary(whole.type):
        whole = whole.cast(pa.large_binary())
    return pc.cast(whole, pa.float32()) if pa.types.is_float16(whole.type) else whole


def is_text(kind: pa.DataType) -> bool:
    """Returns whether an array of `field_of` holds text or bytes."""
    return pa.types.is_large_string(kind) or pa.types.is_large_binary(kind)


def text_buffers(array: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns the offsets, int64 `[n + 1]`, and the bytes, uint8, of large strings or binaries. Nulls have some bytes or none."""
    if not len(array):
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    _, offsets, data = array.buffers()
    found = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    return found, np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8)
