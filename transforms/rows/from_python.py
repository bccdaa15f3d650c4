"""Rows as Python dicts to Arrow batches, so that a row's types depend on that row alone."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.rows import origin

BATCH_ROWS: Final = 1024

NO_TEXT: Final = pa.struct([("seqcols: text that UTF-8 cannot hold", pa.binary())])
"""The type of text with half of a surrogate pair, which JSON can write but an Arrow string cannot hold, and of its neighbours."""


def batches_of(data: Iterable[Mapping[str, Any]] | pa.RecordBatch | pa.Table) -> Iterator[pa.RecordBatch]:
    """Yields rows as Arrow batches that number them from 0.

    Raises:
      TypeError: a row is no mapping, or a key is no text.
      ValueError: a name is reserved, or stands twice.
    """
    if isinstance(data, pa.RecordBatch | pa.Table):
        batches = [data] if isinstance(data, pa.RecordBatch) else data.to_batches(max_chunksize=BATCH_ROWS)
        first = 0
        for batch in batches:
            if len(set(batch.schema.names)) < batch.num_columns:
                raise ValueError(f"expected columns of different names, got {', '.join(batch.schema.names)}")
            yield batch if origin.ROW_COLUMN in batch.schema.names else origin.with_origin(batch, "", first)
            first += batch.num_rows
        return
    if isinstance(data, Mapping):
        raise TypeError(f"expected rows (an iterable of dicts, or Arrow), got {type(data).__name__}")
    pending: list[Mapping[str, Any]] = []
    first = 0
    for row in data:
        if not isinstance(row, Mapping):
            raise TypeError(f"expected a row to be a dict, got {type(row).__name__}")
        check_keys(row)
        pending.append(row)
        if len(pending) == BATCH_ROWS:
            yield from from_dicts(pending, first)
            first, pending = first + BATCH_ROWS, []
    if pending:
        yield from from_dicts(pending, first)


def row_dict(row: Any) -> dict[str, Any]:
    """Returns a row with a schema (`beam.Row`, a NamedTuple) as a dict.

    >>> import apache_beam as beam
    >>> row_dict(beam.Row(x=[1, 2], label="a"))
    {'x': [1, 2], 'label': 'a'}

    Raises:
      TypeError: it is no such row.
      ValueError: a name is reserved for a row's origin.
    """
    as_dict = getattr(row, "_asdict", None)
    if as_dict is None:
        raise TypeError(f"expected a row (a dict, a beam.Row or a NamedTuple) or Arrow data, got {type(row).__name__}")
    made: dict[str, Any] = dict(as_dict())
    check_keys(made)
    return made


def check_keys(row: Mapping[str, Any]) -> None:
    """Checks the names of a row's features.

    Raises:
      TypeError: one is no text.
      ValueError: one is reserved for a row's origin, or has half of a surrogate pair in it.
    """
    for key in row:
        if not isinstance(key, str):
            raise TypeError(f"expected the name of a feature as text, got {key!r}")
        if not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key):
            raise ValueError(f"expected the name of a feature as text, got half of a surrogate pair in {key!r}")
        if key in origin.RESERVED:
            raise ValueError(f"the name {key!r} is reserved")


def from_dicts(data: Sequence[Mapping[str, Any]], first_row: int = 0) -> Iterator[pa.RecordBatch]:
    """Converts dicts to as few batches as their types allow.

    Arrow infers one type for a whole column. Where it can hold every row exactly (integers beside floats become float64, and
    Arrow refuses those that would lose digits) that changes no row's result. Where it cannot, rows are converted one by one.
    """
    try:
        yield origin.with_origin(_batch(data), "", first_row)
        return
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError):
        if len(data) == 1:
            yield origin.with_origin(_as_text(data[0]), "", first_row)
            return
    half = len(data) // 2
    yield from from_dicts(data[:half], first_row)
    yield from from_dicts(data[half:], first_row + half)


def _batch(data: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    keys = list(dict.fromkeys(key for row in data for key in row))
    columns = {key: _array([_plain(row.get(key)) for row in data]) for key in keys}
    return pa.RecordBatch.from_pydict(columns) if columns else pa.RecordBatch.from_struct_array(_empty(len(data)))


def _empty(count: int) -> pa.StructArray:
    return pa.array([{}] * count, pa.struct([]))


def _plain(value: Any) -> Any:
    """NumPy arrays of two dimensions, which Arrow does not take, become lists of arrays."""
    return list(value) if isinstance(value, np.ndarray) and value.ndim == 2 else value


def _array(values: list[Any]) -> pa.Array:
    array = pa.array(values)
    kind, depth = array.type, 0
    while pa.types.is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if depth > 1 and len(values) > 1 and any(_only_nulls(value) for value in values):
        raise pa.ArrowTypeError("nulls that are values alone and steps beside nested rows")
    if len(values) > 1 and (pa.types.is_decimal(kind) or pa.types.is_temporal(kind)):
        raise pa.ArrowTypeError("integers that would become decimals or times")
    if pa.types.is_boolean(kind) or not pa.types.is_primitive(kind):
        return array
    # Beside numbers Arrow takes True for 1 where a whole column is converted; alone it is a boolean.
    if {bool, np.bool_} & _leaf_types(values, depth):
        raise pa.ArrowTypeError("booleans among numbers")
    return array


def _only_nulls(value: Any) -> bool:
    """Whether a list (or one in it) holds nulls only: by themselves they are values, beside lists they are lists."""
    if not isinstance(value, Collection) or isinstance(value, str | bytes) or not len(value):
        return False
    return all(item is None for item in value) or any(_only_nulls(item) for item in value)


def _leaf_types(values: Sequence[Any], depth: int) -> set[type]:
    """Returns the types of all values that stand in lists of a depth."""
    if not depth:
        return set(map(type, values))
    # A value of an array would be created only to be looked at: its dtype says the same.
    arrays: set[type] = {value.dtype.type for value in values if isinstance(value, np.ndarray)} - {np.object_}
    lists = (v for v in values if v is not None and not (isinstance(v, np.ndarray) and v.dtype != object))
    return arrays | _leaf_types(list(itertools.chain.from_iterable(lists)), depth - 1)


def _as_text(row: Mapping[str, Any]) -> pa.RecordBatch:
    """A single row that Arrow cannot hold: what it can not becomes text, or a type that no column takes.

    Numbers become their text, which columns parse (an integer of any size has one), text with half of a surrogate pair
    `NO_TEXT`; anything else a struct.
    """
    columns = {}
    for key, value in row.items():
        try:
            columns[key] = _array([_plain(value)])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError):
            columns[key] = _unfit(value)
    return pa.RecordBatch.from_pydict(columns)


def _unfit(value: Any) -> pa.Array:
    if isinstance(value, list | tuple) and all(type(item) in (int, float) for item in value):
        return pa.array([[repr(item) for item in value]])
    try:
        return pa.array([_no_text(value)])
    except TypeError:
        return pa.array([{"unreadable": repr(value)}])


def _no_text(value: Any) -> Any:
    if isinstance(value, str):
        return {NO_TEXT.field(0).name: value.encode("utf-8", "surrogatepass")}
    if isinstance(value, list | tuple):
        return [_no_text(item) for item in value]
    if value is None:
        return None
    raise TypeError("no text")
