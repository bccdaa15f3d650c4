"""Rows as Python dicts to Arrow batches, so that a row's types depend on that row alone."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa

from transforms.rows import frames, origin, paths
from transforms.rows.frames import ArrowStream
from transforms.rows.marks import MIXED, NO_TEXT, NUMBERS, unreadable

BATCH_ROWS: Final = 1024

_NUMPY_TIMES: Final = {np.datetime64, np.timedelta64}
_UNITS: Final = ("s", "ms", "us", "ns")

_PYTHON: Final = frozenset({bool, bytes, dict, float, int, list, str, tuple, type(None)})
"""Types that Arrow takes as they are."""


def batches_of(
    data: Iterable[Mapping[str, Any]] | ArrowStream, features: Iterable[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yields rows as Arrow batches that number them from 0; `features`: see `from_dicts`.

    Args:
      data: dicts, or a frame: of pandas, Polars, or Arrow. A row of a frame's column that no type of Arrow holds is of the type
        that it has by itself, as a dict's.
      features: see `from_dicts`.

    Raises:
      TypeError: the data are no rows, a row is no mapping, or a key is no text.
      ValueError: a name is reserved, or stands twice.
    """
    if isinstance(data, pa.RecordBatch):
        frames.check_names(data.schema.names)
        yield data if origin.ROW_COLUMN in data.schema.names else origin.with_origin(data, "", 0)
        return
    if frames.is_frame(data):
        yield from batches_of_frame(frames.framed(data))
        return
    if not frames.may_be_rows(data):
        raise frames.no_rows(data)
    pending: list[Mapping[str, Any]] = []
    first = 0
    for row in data:
        pending.append(_checked(row))
        if len(pending) == BATCH_ROWS:
            yield from from_dicts(pending, first, features)
            first, pending = first + BATCH_ROWS, []
    if pending:
        yield from from_dicts(pending, first, features)


def batches_of_frame(frame: frames.Framed) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a frame as `batches_of` does."""
    first = 0
    for batch in _gathered(frame.table.to_batches(max_chunksize=BATCH_ROWS)):
        if frame.others:
            yield from _with_others(batch, frame.others, first)
        else:
            yield batch if origin.ROW_COLUMN in batch.schema.names else origin.with_origin(batch, "", first)
        first += batch.num_rows


def _gathered(pieces: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yields batches, small ones that follow each other as one: thousands of chunks would take longer than their rows."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for piece in pieces:
        if pending and count + piece.num_rows > BATCH_ROWS:
            yield from _joined(pending)
            pending, count = [], 0
        pending.append(piece)
        count += piece.num_rows
    yield from _joined(pending)


def _joined(pieces: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    try:
        return pieces if len(pieces) < 2 else [pa.concat_batches(pieces)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # too large, or of a type that Arrow does not join
        return pieces


def _checked(row: Any) -> Mapping[str, Any]:
    """Returns a row as a mapping, its keys checked."""
    if isinstance(row, Mapping):
        check_keys(row)
        return row
    if not hasattr(row, "_asdict"):
        raise frames.no_row(row)
    return row_dict(row)


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


def from_dicts(
    data: Sequence[Mapping[str, Any]], first_row: int = 0, features: Iterable[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Converts dicts to as few batches as their types allow.

    Arrow infers one type for a whole column. Where it can hold every row exactly (integers beside floats become float64, and
    Arrow refuses those that would lose digits) that changes no row's result. Where it cannot, rows are converted one by one.

    Args:
      data: the rows.
      first_row: the number of the first one.
      features: features that columns read. Those that are found by a path (`rows.paths`) become columns of their own, so that the
        type of nothing else in the same structs matters to them. They are no part of the record of a row.
    """
    found = paths.dotted(features)
    try:
        yield _with_paths(origin.with_origin(_batch(data), "", first_row), data, found)
        return
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError):
        if len(data) == 1:
            yield _with_paths(origin.with_origin(_as_text(data[0]), "", first_row), data, found)
            return
    half = len(data) // 2
    yield from from_dicts(data[:half], first_row, found)
    yield from from_dicts(data[half:], first_row + half, found)


def _batch(data: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    keys = list(dict.fromkeys(key for row in data for key in row))
    columns = {key: _array([as_arrow(row.get(key)) for row in data]) for key in keys}
    return pa.RecordBatch.from_pydict(columns) if columns else pa.RecordBatch.from_struct_array(_empty(len(data)))


def _with_others(batch: pa.RecordBatch, others: Mapping[str, Sequence[Any]], first: int) -> Iterator[pa.RecordBatch]:
    """Yields rows of a frame together with their values in columns of several types."""
    last = first + batch.num_rows
    own = [
        dict(zip(others, values, strict=True)) for values in zip(*(v[first:last] for v in others.values()), strict=True)
    ]
    done = 0
    for part in from_dicts(own, first):
        rows = batch.slice(done, part.num_rows)
        done += part.num_rows
        columns = {**dict(zip(rows.schema.names, rows.columns, strict=True)), **{n: part.column(n) for n in others}}
        yield origin.with_origin(pa.RecordBatch.from_pydict(columns), "", first + done - part.num_rows)


def _with_paths(batch: pa.RecordBatch, data: Sequence[Mapping[str, Any]], found: Sequence[str]) -> pa.RecordBatch:
    """Returns a batch with a column for each path.

    Raises:
      TypeError: of several rows, one has something else on the way of a path than structs. Of a single row that is what it holds.
    """
    for path in found:
        if all(path in row for row in data):
            continue
        try:
            values = [as_arrow(paths.picked(row, path)) for row in data]
        except TypeError:
            if len(data) > 1:
                raise
            column = pa.array([unreadable(data[0])])
        else:
            column = _array(values) if len(data) > 1 else _alone(values[0])
        at = batch.schema.get_field_index(path)
        batch = batch.append_column(path, column) if at < 0 else batch.set_column(at, path, column)
    return batch


def _empty(count: int) -> pa.StructArray:
    return pa.array([{}] * count, pa.struct([]))


def as_arrow(value: Any) -> Any:
    """Returns a value as Arrow takes it: arrays and tensors as arrays of one dimension, lists of such, or scalars."""
    if type(value) in _PYTHON or isinstance(value, np.generic):
        return value
    if type(value) is np.ndarray and value.ndim == 1 and value.dtype.kind != "V":
        return value
    if isinstance(value, pa.Array | pa.ChunkedArray):
        return value.to_pylist()
    if hasattr(type(value), "to_list"):  # a RaggedTensor, a Series
        return _inside(value.to_list())
    if not hasattr(type(value), "__array__"):
        return value
    try:
        return _of_array(value)
    except (RuntimeError, TypeError, ValueError):  # a tensor that holds no values, for example
        return value


def _inside(value: Any) -> Any:
    """Returns lists with each value in them as `as_arrow` returns it."""
    return [_inside(item) for item in value] if isinstance(value, list | tuple) else as_arrow(value)


def _of_array(value: Any) -> Any:
    if np.ma.is_masked(value):  # to NumPy alone, what is masked is there
        return [None if one is np.ma.masked else _of_array(one) for one in value] if value.ndim else None
    if hasattr(type(value), "detach"):  # a tensor of PyTorch: not its gradient, and in the machine's own memory
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value  # which PyTorch has no array for
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":  # Arrow does not have it, and float32 holds all its values
        array = array.astype(np.float32)
    if array.ndim == 0:
        return array[()]
    return array if array.ndim == 1 else [_of_array(part) for part in array]


def _array(values: list[Any]) -> pa.Array:
    array = pa.array(values)
    kind, depth = array.type, 0
    while pa.types.is_list(kind):
        kind, depth = kind.value_type, depth + 1
    if depth > 1 and len(values) > 1 and any(_only_nulls(value) for value in values):
        raise pa.ArrowTypeError("nulls that are values alone and steps beside nested rows")
    if pa.types.is_decimal(kind) or pa.types.is_temporal(kind):
        types = _leaf_types(values, depth)
        if len(values) > 1 and len(types) > 1:
            raise pa.ArrowTypeError("numbers that would become decimals or times, or times of several kinds")
        if any(isinstance(one, np.dtype) and np.datetime_data(one)[1] > 1 for one in types):
            raise pa.ArrowTypeError("times that count several of a unit, which Arrow 25 takes for one")
        return array
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


def _leaf_types(values: Sequence[Any], depth: int) -> set[Any]:
    """Returns the types of all values that stand in lists of a depth, nulls left out; of times of NumPy their dtypes."""
    if not depth:
        types: set[Any] = set(map(type, values)) - {type(None)}
        if types.isdisjoint(_NUMPY_TIMES):
            return types
        return (types - _NUMPY_TIMES) | {v.dtype for v in values if isinstance(v, np.datetime64 | np.timedelta64)}
    # A value of an array would be created only to be looked at: its dtype says the same.
    arrays: set[Any] = {_type_in(value.dtype) for value in values if isinstance(value, np.ndarray)} - {np.object_}
    lists = (v for v in values if v is not None and not (isinstance(v, np.ndarray) and v.dtype != object))
    return arrays | _leaf_types(list(itertools.chain.from_iterable(lists)), depth - 1)


def _type_in(dtype: np.dtype) -> Any:
    return dtype if dtype.kind in "mM" else dtype.type


def _as_text(row: Mapping[str, Any]) -> pa.RecordBatch:
    """A single row that Arrow cannot hold by itself: see `_unfit`."""
    return pa.RecordBatch.from_pydict({key: _alone(value) for key, value in row.items()})


def _alone(value: Any) -> pa.Array:
    for plain in (as_arrow, _inside):
        try:
            return _array([plain(value)])
        except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError):
            pass
    return _unfit(value)


def _unfit(given: Any) -> pa.Array:
    """Returns a value, or lists of values, that Arrow does not convert: numbers of any size, times of NumPy, UUIDs in lists.

    What no column takes becomes a type that says so: `MIXED`, `NO_TEXT`, or a struct.
    """
    value = _inside(given)
    leaves = list(_leaves(value))
    kinds = {type(leaf) for leaf in leaves} - {type(None)}
    try:
        if kinds == {UUID}:
            stored = pa.array([_mapped(value, lambda leaf: leaf.bytes)])
            return stored.cast(_nested(pa.binary(16), stored.type)).cast(_nested(pa.uuid(), stored.type))
        if kinds & {np.ndarray, *_NUMPY_TIMES}:
            return _array([as_arrow(_in_units(value))])
        if kinds == {int} and all(leaf is None or 0 <= leaf < 2**64 for leaf in leaves):
            return pa.array([value], _nested(pa.uint64(), pa.array([_mapped(value, bool)]).type))
        if kinds and kinds <= {int, float}:
            return pa.array([_mapped(value, lambda leaf: {NUMBERS.field(0).name: repr(leaf)})])
        if kinds & {bool, np.bool_} and all(issubclass(kind, int | float | np.bool_ | np.number) for kind in kinds):
            return pa.array([_mapped(value, lambda leaf: {MIXED.field(0).name: str(leaf).lower()})])
        if kinds == {str}:
            return pa.array([_mapped(value, _half_text)])
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError, TypeError, ValueError):
        pass  # values beside lists, for example
    return pa.array([unreadable(given)])


def _half_text(leaf: str) -> dict[str, bytes]:
    return {NO_TEXT.field(0).name: leaf.encode("utf-8", "surrogatepass")}


def _in_units(value: Any) -> Any:
    """Returns times of NumPy, also in lists, in a unit that Arrow has, or as they are where that is not the same time."""
    if isinstance(value, list | tuple):
        return [_in_units(item) for item in value]
    if not isinstance(value, np.ndarray | np.datetime64 | np.timedelta64) or value.dtype.kind not in "mM":
        return value
    unit, _ = np.datetime_data(value.dtype)
    if unit == "generic":
        return value if value.ndim or not np.isnat(value) else None
    nearest = unit if unit in _UNITS else "ns" if unit in ("ps", "fs", "as") else "s"
    made = value.astype(f"{value.dtype.kind}8[{nearest}]")
    same = (made.astype(value.dtype) == value) | np.isnat(value)  # a time may be too fine, or too far
    return made if same.all() and not (value.dtype.kind == "m" and unit in ("Y", "M")) else value


def _leaves(value: Any) -> Iterator[Any]:
    """Yields the values in lists, or a single one."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from _leaves(item)
    else:
        yield value


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """Returns lists with what a function makes of each value in them; a null stays one."""
    if isinstance(value, list | tuple):
        return [_mapped(item, function) for item in value]
    return None if value is None else function(value)


def _nested(leaf: pa.DataType, like: pa.DataType) -> pa.DataType:
    """Returns a type of lists as deep as another one, of other values."""
    return pa.list_(_nested(leaf, like.value_type)) if pa.types.is_list(like) else leaf
