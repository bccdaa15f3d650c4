"""Frames of pandas and Polars, and whatever else hands over Arrow data, to Arrow: the one place that does.

Neither library is imported: whoever has a frame has imported it already.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, TypeGuard

import numpy as np
import pyarrow as pa

from transforms import escaping
from transforms.rows import origin
from transforms.rows.python_values import NOT_TAKEN
from transforms.rows.ragged import bare_type, unwrapped

_INDEX: Final = "__index_level_"
"""The prefix of what Arrow names an index of pandas without a name, which nobody asked for."""

_UNFIT: Final = ("Int128", "Object")
"""Types of Polars that Arrow does not have: it refuses the first, and takes pointers for the second."""

_STEPS: Final = {
    "to_frame": "it is one column, and .to_frame() makes a frame of it",
    "toArrow": "call .toArrow() first",
    "collect": "call .collect() first",
    "compute": "call .compute() first",
    "to_table": "call .to_table() first",
}
"""Methods of what is nearly a frame (a Series, frames that are not computed yet), and the advice to those who give one."""


class ArrowStream(Protocol):
    """Anything that hands over Arrow data: a frame of pandas or Polars, a Table, a RecordBatch, a RecordBatchReader."""

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any: ...


@dataclass(frozen=True)
class Framed:
    """A frame as Arrow.

    Attributes:
      table: the columns, but those of `others`; all rows, also where no column is left.
      others: the values of columns that no type of Arrow holds together, by name: they go row by row, as those of dicts.
    """

    table: pa.Table
    others: Mapping[str, list[Any]] = field(default_factory=dict)

    def slice(self, start: int, stop: int) -> Framed:
        """Returns rows from one up to another."""
        return Framed(
            self.table.slice(start, stop - start), {name: held[start:stop] for name, held in self.others.items()}
        )

    def select(self, names: Sequence[str]) -> Framed:
        """Returns some columns, all rows of them."""
        table = self.table.select([name for name in self.table.schema.names if name in names])
        return Framed(table, {name: held for name, held in self.others.items() if name in names})

    def whole(self) -> pa.Table:
        """Returns all columns as a table.

        Raises:
          ValueError: there are columns that no type of Arrow holds.
        """
        for name, values in self.others.items():
            kinds = sorted({type(value).__name__ for value in values if value is not None})
            raise ValueError(f"column {name!r}: expected values of one type, got {escaping.one_line(', '.join(kinds))}")
        return self.table


def is_frame(data: Any) -> bool:
    """Returns whether data are a table: of Arrow, or of a library that hands over Arrow data (but not a single column)."""
    if isinstance(data, pa.Table | pa.RecordBatch):
        return True
    kind = type(data)  # not the object: a frame of pandas has its columns as attributes
    streams = hasattr(kind, "__arrow_c_stream__") or hasattr(kind, "__arrow_c_array__")
    return streams and not hasattr(kind, "to_frame") and not issubclass(kind, pa.ChunkedArray | pa.Array)


def framed(data: Any) -> Framed:
    """Returns a frame as Arrow, as its library writes it to Parquet.

    >>> framed(pa.record_batch({"x": [1, 2]})).table.num_rows
    2

    Raises:
      TypeError: it hands over Arrow data that are no rows.
      ValueError: two columns have the same name, or one has the name of what tells where rows are from.
    """
    if isinstance(data, pa.RecordBatch):
        data = pa.Table.from_batches([data])
    if not isinstance(data, pa.Table):
        made = _of_library(data)
        reserved = [name for name in (*made.table.schema.names, *made.others) if name in origin.RESERVED]
        if reserved:
            raise ValueError(f"the name {reserved[0]!r} is reserved")
        return made
    check_names(data.schema.names)
    return Framed(data)


def check_names(names: Iterable[str]) -> None:
    """Checks that columns have different names.

    Raises:
      ValueError: two have the same.
    """
    names = list(names)
    if len(set(names)) < len(names):
        raise ValueError(f"expected columns of different names, got {', '.join(names)}")


def may_be_rows(data: Any) -> TypeGuard[Iterable[Any]]:
    """Returns whether data that are no frame can be gone through row by row: text, one dict or numbers of NumPy cannot."""
    if isinstance(data, Mapping | str | bytes | pa.Array | pa.ChunkedArray) or hasattr(type(data), "to_frame"):
        return False
    return isinstance(data, Iterable) and not (isinstance(data, np.ndarray) and data.dtype != object)


def no_rows(data: Any, wanted: str = "rows") -> TypeError:
    """Returns the error for data that are no rows: the type given, and what was probably meant."""
    hint = _hint(data)
    shown = f"{type(data).__name__}{f': {hint}' if hint else ''}"
    return TypeError(f"expected {wanted} (dicts, an Arrow table, or a frame of pandas or Polars), got {shown}")


def no_row(row: Any) -> TypeError:
    """Returns the error for one of several rows that is none."""
    if is_frame(row):
        hint = "join several frames to one (pandas.concat, polars.concat, pyarrow.concat_tables)"
    elif hasattr(type(row), "to_dict"):
        hint = "give the whole frame, or .to_dict() of the row"
    elif isinstance(row, list | tuple | np.ndarray):
        hint = "its values need the name of a feature: {'x': [...]}"
    else:
        hint = _hint(row)
    return TypeError(f"expected a row to be a dict, got {type(row).__name__}{f': {hint}' if hint else ''}")


def _hint(data: Any) -> str:
    if isinstance(data, str | os.PathLike):
        return f"read {str(data)!r} first (pandas.read_parquet, polars.read_parquet), or use seqcols run or inspect"
    if isinstance(data, Mapping):
        return "a single row is [row]; columns of one length are pyarrow.table(columns)"
    if isinstance(data, pa.Array | pa.ChunkedArray):
        return "it is one column, and pyarrow.table({name: column}) makes a table of it"
    if isinstance(data, np.ndarray):
        return "pandas.DataFrame(array) makes a frame of a structured array" if data.dtype.names else _NAMED
    return next((advice for method, advice in _STEPS.items() if hasattr(type(data), method)), "")


_NAMED: Final = "[{'x': row} for row in array] gives its rows the name of a feature"


def _of_library(data: Any) -> Framed:
    pandas, polars = sys.modules.get("pandas"), sys.modules.get("polars")
    if pandas is not None and isinstance(data, pandas.DataFrame):
        return _of_pandas(data)
    if polars is not None and isinstance(data, polars.DataFrame):
        others = {
            name: data[name].to_list() for name, kind in data.schema.items() if any(u in str(kind) for u in _UNFIT)
        }
        return Framed(_with_rows(pa.table(data.drop(list(others))), data.height), others)
    try:
        table = pa.table(data)
    except pa.ArrowInvalid as error:
        if "non-struct" not in str(error):  # what its own library could not read, for example
            raise
        raise no_rows(data) from None
    check_names(table.schema.names)
    return Framed(table)


def _of_pandas(frame: Any) -> Framed:
    """Returns the columns, and of the index the levels that have a name, as `to_parquet` writes them.

    A range is an index, too: `to_parquet` would leave it to pandas to count again.
    """
    names = list(map(_name, frame.columns))
    of_index = [None if name is None else _name(name) for name in frame.index.names]
    levels = [name for name in of_index if name is not None and name not in names]
    check_names([*names, *levels])
    frame = frame.set_axis(names, axis="columns").rename_axis(index=of_index)
    try:
        return Framed(_from_pandas(frame, bool(levels)))
    except NOT_TAKEN:
        pass
    try:
        index = _from_pandas(frame.iloc[:, :0], bool(levels))
    except NOT_TAKEN as error:
        raise ValueError(f"the index: expected values of one type: {escaping.one_line(str(error.args[0]))}") from None
    columns, others = dict(zip(index.schema.names, index.columns, strict=True)), {}
    for at, name in enumerate(names):
        try:
            columns[name] = _from_pandas(frame.iloc[:, [at]], False).column(0)
        except NOT_TAKEN:
            column = frame.iloc[:, at]
            given = zip(column.to_list(), column.isna().to_list(), strict=True)
            others[name] = [None if absent else _without_nan(value) for value, absent in given]
    return Framed(_with_rows(pa.table(columns), len(frame)), others)


def _name(given: Any) -> str:
    """Returns the name of a column of pandas as its Parquet has it; of several levels, the text of a tuple of texts."""
    if isinstance(given, tuple):
        return str(tuple(one if one is None or one != one else _name(one) for one in given))
    return given.decode("utf-8", "backslashreplace") if isinstance(given, bytes) else str(given)


def _from_pandas(frame: Any, index: bool) -> pa.Table:
    table = pa.Table.from_pandas(frame, preserve_index=index).replace_schema_metadata()
    for at, kind in enumerate(table.schema.types):
        if isinstance(bare_type(bare_type(kind)), pa.StructType):
            # Intervals, also as categories, whose words Arrow's streams cannot be read with: structs, with paths to their ends.
            made = [unwrapped(unwrapped(chunk)) for chunk in table.column(at).chunks]
            table = table.set_column(at, table.schema.names[at], pa.chunked_array(made, bare_type(bare_type(kind))))
    return _with_rows(table.select([n for n in table.schema.names if not n.startswith(_INDEX)]), len(frame))


def _with_rows(table: pa.Table, count: int) -> pa.Table:
    """Returns a table with its number of rows, which one without columns has forgotten."""
    if table.num_columns or table.num_rows == count:
        return table
    return pa.Table.from_batches([pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([])))])


def _without_nan(value: Any) -> Any:
    """Returns values of a cell with null for NaN, as pyarrow takes those of cells that it can hold."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind != "f" or not np.isnan(value).any():
            return value
        return np.ma.masked_array(value, np.isnan(value))
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and value != value else value
