"""Events as they come (Arrow, pandas, Polars, dicts) to one table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import pyarrow as pa

from transforms.rows import frames
from transforms.rows.frames import ArrowStream
from transforms.rows.python_values import as_arrow

Frame: TypeAlias = ArrowStream | Iterable[Mapping[str, Any]]
"""A frame of pandas, Polars or Arrow, or dicts, one per event."""


def table_of(data: Frame) -> pa.Table:
    """Returns events as a table.

    Raises:
      TypeError: the data are not events.
      ValueError: two fields have the same name, or values of one field have types that Arrow cannot hold in one column.
    """
    return frames.framed(data).whole() if frames.is_frame(data) else _of_dicts(data)


def _of_dicts(data: Any) -> pa.Table:
    rows = list(data) if frames.may_be_rows(data) else None
    if rows is None or not all(isinstance(row, Mapping) for row in rows):
        raise frames.no_rows(data, "events")
    names = list(dict.fromkeys(name for row in rows for name in row))
    try:
        return pa.table({name: pa.array([as_arrow(row.get(name)) for row in rows]) for name in names})
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise ValueError(f"expected values of one type in each field: {error}") from None
