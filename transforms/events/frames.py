"""Events as they come (Arrow, pandas, Polars, dicts) to one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, TypeAlias

import pyarrow as pa

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
