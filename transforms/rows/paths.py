"""Features inside structs: `events.item` of rows that hold `events: list<struct<item, ms>>`, as BigQuery and Spark write them.

A path leads through structs, and through lists of structs, of which it takes the field of each: a list of structs becomes a list
of values, a list of structs with lists a list of lists. A name wins over a path, here and within each struct: if there is a
feature `events.item`, that is meant; of several beginnings with dots the longest is tried first. A struct that is null has
null fields: in place of a whole row the feature is absent, in a list it is a null value.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.rows.marks import is_mark
from transforms.rows.ragged import Ragged, is_list

_ABSENT: Final = object()


def find(fields: Mapping[str, pa.DataType], key: str) -> tuple[str, ...] | None:
    """Returns the names that lead to a feature, from the outermost; None if there is none.

    >>> find({"events": pa.list_(pa.struct([("item", pa.int64())]))}, "events.item")
    ('events', 'item')

    Args:
      fields: name to type, of the columns of a file or a batch.
      key: the name of the feature, or the path to it.
    """
    if key in fields:
        return (key,)
    for first, rest in _cuts(key):
        inside = find(fields_of(fields[first]), rest) if first in fields else None
        if inside:
            return (first, *inside)
    return None


def kind_of(fields: Mapping[str, pa.DataType], key: str) -> pa.DataType | None:
    """Returns the type of a feature as `column` returns it; None if there is none. Arguments as those of `find`."""
    path = find(fields, key)
    return None if path is None else _kind_at(fields[path[0]], path[1:])


def column(batch: pa.RecordBatch, key: str) -> pa.Array | None:
    """Returns a feature of a batch, by its name or by a path; None if the batch has none.

    >>> rows = pa.array([{"a": [{"b": 1}, None]}, None, {"a": None}], pa.struct([("a", pa.list_(pa.struct([("b", pa.int8())])))]))
    >>> column(pa.RecordBatch.from_pydict({"x": rows}), "x.a.b").to_pylist()
    [[1, None], None, None]
    """
    at = batch.schema.get_field_index(key)
    if at >= 0:
        return batch.column(at)
    path = find({field.name: field.type for field in batch.schema}, key)
    if path is None:
        return None
    found = batch.column(path[0])
    for name in path[1:]:
        found = _field(found, name)
    return found


def picked(row: Any, key: str) -> Any:
    """Returns a feature of a row of Python values, by its name or by a path; None if the row has none.

    >>> picked({"events": [{"item": 1, "ms": 5}, {"ms": 6}, None]}, "events.item")
    [1, None, None]

    Raises:
      TypeError: on its way the path meets a value that is no struct.
    """
    found = _inside(row, key)
    return None if found is _ABSENT else found


def leaves(fields: Mapping[str, pa.DataType]) -> Iterator[tuple[str, pa.DataType]]:
    """Yields the features that a column can name, with their types: those of structs by their paths, in place of the structs."""
    for name, kind in fields.items():
        inside = fields_of(kind)
        for path in leaves(inside):
            yield f"{name}.{path[0]}", _kind_at(kind, find(inside, path[0]) or ())
        if not inside:
            yield name, kind


def dotted(keys: Iterable[str]) -> list[str]:
    """Returns the features that may be paths."""
    return [key for key in keys if "." in key]


def fields_of(kind: pa.DataType) -> dict[str, pa.DataType]:
    """Returns the fields of a struct, or of the structs in a list; none of another type."""
    while is_list(kind):
        kind = kind.value_type
    return {field.name: field.type for field in kind} if pa.types.is_struct(kind) and not is_mark(kind) else {}


def _cuts(key: str) -> Iterator[tuple[str, str]]:
    """Yields a key cut in two at each of its dots, the last one first."""
    at = key.rfind(".")
    while at >= 0:
        yield key[:at], key[at + 1 :]
        at = key.rfind(".", 0, at)


def _kind_at(kind: pa.DataType, path: tuple[str, ...]) -> pa.DataType:
    if not path:
        return kind
    if is_list(kind):
        return pa.large_list(_kind_at(kind.value_type, path))
    return _kind_at(kind.field(path[0]).type, path[1:])


def _field(array: pa.Array, name: str) -> pa.Array:
    """Returns a field of structs, null where the struct is; of those in lists, list by list."""
    if is_list(array.type):
        lists = Ragged.of(array)
        return replace(lists, values=_field(lists.values, name)).to_list_array()
    return pc.struct_field(array, array.type.get_field_index(name))


def _inside(value: Any, key: str) -> Any:
    if isinstance(value, list | tuple | np.ndarray) and not hasattr(value, "_asdict"):
        found = [_inside(item, key) for item in value]
        return [None if one is _ABSENT else one for one in found]
    if value is None:
        return None
    if not isinstance(value, Mapping):
        if not hasattr(value, "_asdict"):
            raise TypeError(f"expected a struct with the field {key!r}")
        value = value._asdict()
    if key in value:
        return value[key]
    for first, rest in _cuts(key):
        inside = _inside(value[first], rest) if first in value else _ABSENT
        if inside is not _ABSENT:
            return inside
    return _ABSENT
