"""Values of Python, NumPy and tensors to Arrow arrays: of several rows where one type holds them all, or of a single row."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np
import pyarrow as pa

from transforms.rows.marks import MIXED, NO_TEXT, NUMBERS, unreadable

_NUMPY_TIMES: Final = {np.datetime64, np.timedelta64}
_UNITS: Final = ("s", "ms", "us", "ns")

_PYTHON: Final = frozenset({bool, bytes, dict, float, int, list, str, tuple, type(None)})
"""Types that Arrow takes as they are."""

NOT_TAKEN: Final = (
    pa.ArrowInvalid,
    pa.ArrowTypeError,
    pa.ArrowNotImplementedError,
    OverflowError,
    TypeError,
    ValueError,
)
"""The exceptions with which Arrow refuses values of Python."""


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
        return _of_numpy(value)
    except (RuntimeError, TypeError, ValueError):  # a tensor that holds no values, for example
        return value


def _inside(value: Any) -> Any:
    """Returns lists with each value in them as `as_arrow` returns it."""
    return [_inside(item) for item in value] if isinstance(value, list | tuple) else as_arrow(value)


def _of_numpy(value: Any) -> Any:
    if np.ma.is_masked(value):  # to NumPy alone, what is masked is there
        return [None if one is np.ma.masked else _of_numpy(one) for one in value] if value.ndim else None
    if hasattr(type(value), "detach"):  # a tensor of PyTorch: not its gradient, and in the machine's own memory
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value  # which PyTorch has no array for
    array = np.asarray(value)
    if array.dtype.name == "bfloat16":  # Arrow does not have it, and float32 holds all its values
        array = array.astype(np.float32)
    if array.ndim == 0:
        return array[()]
    return array if array.ndim == 1 else [_of_numpy(part) for part in array]


def column_of(values: list[Any]) -> pa.Array:
    """Returns values of several rows as `as_arrow` gives them, in the one type that Arrow infers for all.

    Raises:
      pa.ArrowInvalid, pa.ArrowTypeError: there is none, or in it the value of a row would be another one than by itself.
    """
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


def alone(value: Any) -> pa.Array:
    """Returns the value of a single row as an array of one, whatever it is: see `_unfit`."""
    for plain in (as_arrow, _inside):
        try:
            return column_of([plain(value)])
        except NOT_TAKEN:
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
            return column_of([as_arrow(_in_units(value))])
        if kinds == {int} and all(leaf is None or 0 <= leaf < 2**64 for leaf in leaves):
            return pa.array([value], _nested(pa.uint64(), pa.array([_mapped(value, bool)]).type))
        if kinds and kinds <= {int, float}:
            return pa.array([_mapped(value, lambda leaf: {NUMBERS.field(0).name: repr(leaf)})])
        if kinds & {bool, np.bool_} and all(issubclass(kind, int | float | np.bool_ | np.number) for kind in kinds):
            return pa.array([_mapped(value, lambda leaf: {MIXED.field(0).name: str(leaf).lower()})])
        if kinds == {str}:
            return pa.array([_mapped(value, _half_text)])
    except NOT_TAKEN:
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
