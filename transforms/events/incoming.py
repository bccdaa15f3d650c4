"""Events as sources give them to batches that can be grouped: of the types that a run has decided on, the bad ones left out."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.events.checks import event_faults
from transforms.events.spec import Events
from transforms.parse import carriers
from transforms.rows import keys, origin, rejection
from transforms.rows.fields import field_names, is_text, plain
from transforms.rows.ragged import Ragged, is_list
from transforms.rows.rejection import Fault

_UNITS: Final = ("s", "ms", "us", "ns")


@dataclass(frozen=True)
class Incoming:
    """Events on their way to be grouped.

    Attributes:
      events: the section, its features named.
      kinds: the type of each field that it reads, by name: one for all files.
    """

    events: Events
    kinds: Mapping[str, pa.DataType]

    def ready(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, pa.RecordBatch | None]:
        """Returns the events of a batch that can be grouped, and those that cannot.

        Args:
          batch: as a source gives it, with its origin (see `transforms.rows.origin`).

        Returns:
          The fields of `kinds` and, where the batch has them, the digests of its rows; and the rejected events in
          `rejection.SCHEMA`, None for none: those with a value of another type, without a key or a time, or with a time that
          cannot be read.
        """
        fields, faults = {}, []
        for name, kind in self.kinds.items():
            given = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
            fields[name], found = cast(plain(given), kind, name)
            faults += found
        table = pa.RecordBatch.from_pydict(fields)
        faults += event_faults(self.events, pa.Table.from_batches([table]))
        if origin.DIGEST_COLUMN in batch.schema.names:
            table = table.append_column(origin.DIGEST_COLUMN, batch.column(origin.DIGEST_COLUMN))
        good, rejected = rejection.split(batch, faults)
        return table if rejected is None else table.filter(pa.array(good)), rejected


def cast(array: pa.Array, kind: pa.DataType, name: str) -> tuple[pa.Array, list[Fault]]:
    """Returns values of a field in the type that it has in a run, null where there is none that fits; and those that do not.

    >>> cast(pa.array([1.5, 2.0]), pa.int64(), "price")[0].to_pylist()
    [None, 2]

    Args:
      array: plain (see `transforms.rows.fields.plain`); of lists of one value each that value counts.
      kind: see `one_type`.
      name: of the field, for faults.
    """
    given, bad = array, np.zeros(len(array), bool)
    while is_list(array.type):
        lists = Ragged.of(array)
        bad |= lists.lengths > 1
        array = plain(lists.values.take(pa.array(np.maximum(lists.splits[1:] - 1, 0), mask=lists.lengths != 1)))
    if array.type != kind:
        valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
        array = _converted(array, kind)
        bad |= valid & ~pc.is_valid(array).to_numpy(zero_copy_only=False)
    rows = np.flatnonzero(bad)
    if not len(rows):
        return array, []
    why = f"expected one value ({kind}, as in the first rows of the files), got {given.type}"
    return array, [Fault("wrong_type", name, rows, carriers.texts(given, rows), why)]


def _converted(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Returns values in another type, null where one does not fit."""
    if pa.types.is_null(array.type) or not _fits(array.type, kind):
        return pa.nulls(len(array), kind)
    if is_text(kind) and not is_text(array.type):  # a key that is text in another file
        there = pc.is_valid(array).to_numpy(zero_copy_only=False)
        return keys.spread(keys.texts([array.drop_null()]), there).cast(kind)
    try:
        return pc.cast(array, kind)
    except pa.ArrowInvalid:
        return pa.concat_arrays([_one(array.slice(k, 1), kind) for k in range(len(array))])


def _one(array: pa.Array, kind: pa.DataType) -> pa.Array:
    try:
        return pc.cast(array, kind)
    except pa.ArrowInvalid:
        return pa.nulls(1, kind)


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _is_moment(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def _fits(kind: pa.DataType, wanted: pa.DataType) -> bool:
    if is_text(wanted):
        return is_text(kind) or keys.is_key(kind)
    return (_is_number(kind) and _is_number(wanted)) or (_is_moment(kind) and _is_moment(wanted))


def one_type(kinds: Collection[pa.DataType], is_key: bool = False) -> pa.DataType | None:
    """Returns the type that a field has in a run, which holds the values of all types that files have it in; None for none.

    >>> one_type([pa.int32(), pa.int64()]), one_type([pa.int64(), pa.large_string()], is_key=True)
    (DataType(int64), DataType(large_string))

    Args:
      kinds: plain types; a list counts as what it holds.
      is_key: whether 5 and "5" are one.
    """
    found = {_value_type(kind) for kind in kinds} - {pa.null()}
    if len(found) < 2:
        return next(iter(found), pa.null())
    whole = all(pa.types.is_integer(kind) for kind in found)
    if all(pa.types.is_integer(kind) or pa.types.is_floating(kind) for kind in found):
        kind = pa.from_numpy_dtype(reduce(np.promote_types, (kind.to_pandas_dtype() for kind in found)))
        return None if whole and pa.types.is_floating(kind) else kind
    if all(is_text(kind) for kind in found):
        return pa.large_binary()
    if all(pa.types.is_timestamp(kind) for kind in found):
        zones = {kind.tz for kind in found}
        unit = max((kind.unit for kind in found), key=_UNITS.index)
        return pa.timestamp(unit, zones.pop() if len(zones) == 1 else "UTC")
    if is_key and all(keys.is_key(kind) for kind in found):
        return pa.large_binary() if pa.large_binary() in found else pa.large_string()
    return None


def _value_type(kind: pa.DataType) -> pa.DataType:
    while is_list(kind):
        kind = kind.value_type
    return plain(pa.nulls(0, kind)).type


def plain_kinds(features: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Returns the plain types of what a file has, by name."""
    none = pa.Table.from_batches([], pa.schema(list(features.items())))
    return {name: _value_type(plain(none.column(name)).type) for name in field_names(none)}
