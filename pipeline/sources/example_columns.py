"""tf.Examples in their usual form to Arrow columns, column by column on whole buffers.

A record in its usual form is what every serializer writes: `Example` holds one `Features`, that a map of names to `Feature`, each
of one list, whose numbers are packed; lengths take no more bytes than 4, names are ASCII, and none that is wanted comes twice.
Protocol buffers allow much more. A record that deviates anywhere, or that is damaged, is not taken: it is for the parser
(`pipeline.sources.examples`) to say what it means. What is taken means the same to both.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto,
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto,
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.sources import messages, wire
from pipeline.sources.key_table import KeyTable
from transforms.ragged import Ragged, splits_of

_BYTES, _FLOATS, _INTEGERS = messages.FIELD_1, messages.FIELD_2, messages.FIELD_3
_NO_KIND: Final = 0
_KINDS: Final = {"float32": _FLOATS, "int64": _INTEGERS, "string": _BYTES}
"""Carrier to the field of `Feature` that holds such values; in the order in which they are gathered."""

_AT_ONCE: Final = 1 << 15
"""Entries that are read at once: as many as stay, with what is made of them, in a core's own cache."""


@dataclass(frozen=True)
class _Entries:
    """Entries of the maps, of any messages, in the order in which they stand in the text.

    Attributes:
      row: int64 `[entries]`, the record of each.
      name: int16 or int32 `[entries]`, the number of its name; -1 for one that is not wanted.
      kind: uint8 `[entries]`, its field in `Feature`, 0 if that is empty.
      starts: int64 `[entries]`, where the packed numbers start; of a list of bytes, where its message starts.
      ends: int64 `[entries]`, where they end.
    """

    row: np.ndarray
    name: np.ndarray
    kind: np.ndarray
    starts: np.ndarray
    ends: np.ndarray

    def take(self, which: np.ndarray) -> _Entries:
        """Returns some of the entries: of a mask, or in another order."""
        own = (self.row, self.name, self.kind, self.starts, self.ends)
        return _Entries(*(column[which] for column in own))


class ColumnDecoder:
    """Makes columns of the records that are in their usual form.

    Args:
      features: wanted names, each with what carries its values: "int64", "float32" or "string".
    """

    def __init__(self, features: Mapping[str, str]):
        order = [name for carrier in _KINDS for name in features if features[name] == carrier]
        counts = [sum(own == carrier for own in features.values()) for carrier in _KINDS]
        self._bounds = splits_of(np.array(counts, np.int64)).tolist()  # numbers of the names of each kind
        numbers = {name: k for k, name in enumerate(order)}
        self._places = [numbers[name] for name in features]
        self._kinds = np.array([_KINDS[features[name]] for name in order] or [_NO_KIND], np.uint8)
        self._table = KeyTable(order)
        # NumPy sorts 16 bits by radix, in linear time.
        self._small = np.dtype(np.int16 if len(order) < 1 << 15 else np.int32)

    def decode(self, records: pa.Array) -> tuple[list[pa.Array], np.ndarray]:
        """Decodes a batch.

        Args:
          records: large_binary `[records]`, without nulls.

        Returns:
          A column for each feature, in the order given: large_list of int64, float32 or large_binary `[taken]`, null where the
          row lacks the feature, or its `Feature` is empty. And bool `[records]`, which were taken.
        """
        starts, ends, text = wire.bytes_of(records)
        entries, good = self._entries(text, starts, ends)
        while True:
            if not good.all():
                entries = entries.take(good[entries.row])
            lists, bad = self._lists(text, entries)
            if not len(bad):
                return self._columns(lists, np.cumsum(good) - 1, int(np.count_nonzero(good))), good
            good[bad] = False

    def _entries(self, text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[_Entries, np.ndarray]:
        """Returns the entries of all records, those of bad records being anything, and which records are good so far."""
        tags, begin, end = messages.sized(text, starts)
        filled = starts < ends
        good = ~filled | ((tags == wire.FEATURES_TAG) & (end == ends))
        begin, end = np.where(filled & good, begin, 0), np.where(filled & good, end, 0)
        found, whole = messages.repeated(text, begin, end)
        good &= whole
        parts = [self._read(text, found, slice(at, at + _AT_ONCE)) for at in range(0, len(found.starts), _AT_ONCE)]
        name, kind, payload, fine = (
            map(np.concatenate, zip(*parts, strict=True)) if parts else self._read(text, found, slice(0))
        )
        good[found.message[~fine]] = False
        return _Entries(found.message, name, kind, payload, found.ends), good

    def _read(
        self, text: np.ndarray, found: messages.Fields, some: slice
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Returns the names, kinds and starts of the payloads of some entries, and which of them are as usual."""
        starts, ends = found.starts[some], found.ends[some]
        tags, key, key_end = messages.sized(text, starts)
        value_tags, value, value_end = messages.sized(text, np.minimum(key_end, ends))
        fine = (tags == messages.FIELD_1) & (value_tags == messages.FIELD_2) & (key_end <= ends) & (value_end == ends)
        name, ascii_only = self._table.find(text, np.where(fine, key, 0), np.where(fine, key_end, 0))
        kind, payload, holds = self._payloads(text, value, ends)
        fine &= ascii_only & holds
        fine &= (name < 0) | (kind == _NO_KIND) | (kind == self._kinds.take(name, mode="clip"))
        return name.astype(self._small), kind, payload, fine

    @staticmethod
    def _payloads(text: np.ndarray, at: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Returns the kind of each `Feature`, where its payload starts, and whether it holds one, or nothing at all."""
        kind, inner, end = messages.sized(text, at)
        empty = at == ends
        holds = empty | (((kind == _BYTES) | (kind == _FLOATS) | (kind == _INTEGERS)) & (end == ends))
        kind = np.where(empty, np.uint8(_NO_KIND), kind)
        inner = np.where(holds & ~empty, inner, ends)
        tags, packed, packed_end = messages.sized(text, inner)
        packed = np.where((inner == ends) | (kind == _BYTES), inner, packed)
        whole = (packed_end == ends) & (tags == messages.FIELD_1)
        whole &= (kind != _FLOATS) | ((ends - packed) % 4 == 0)
        whole &= (kind != _INTEGERS) | (packed == ends) | (text.take(ends - 1, mode="clip") < 0x80)
        return kind, packed, holds & (whole | (inner == ends) | (kind == _BYTES))

    def _lists(self, text: np.ndarray, entries: _Entries) -> tuple[list[_Lists], np.ndarray]:
        """Returns what the wanted entries hold, of each kind in the order of `_KINDS`. Or the records that turn out to be bad."""
        order = np.argsort(entries.name, kind="stable")
        name, row = entries.name[order], entries.row[order]
        bounds = np.searchsorted(name, np.array(self._bounds, name.dtype))
        twice = row[1:][(name[1:] == name[:-1]) & (row[1:] == row[:-1]) & (name[1:] >= 0)]
        if len(twice):
            return [], twice
        pieces = messages.turns(text, entries.starts, entries.ends)
        others = order[: bounds[0]]
        parts = [_with_kind(order[a:b], entries) for a, b in itertools.pairwise(bounds)]
        integers, bad = _integers(pieces, entries, parts[1], others[entries.kind[others] == _INTEGERS])
        if len(bad):
            return [], bad
        strings, bad = _strings(text, entries, parts[2], others[entries.kind[others] == _BYTES])
        return [_floats(pieces, entries, parts[0]), integers, strings], bad

    def _columns(self, lists: list[_Lists], numbers: np.ndarray, count: int) -> list[pa.Array]:
        made = []
        for own, first, last in zip(lists, self._bounds, self._bounds[1:], strict=False):
            bounds = np.searchsorted(own.name, np.arange(first, last + 1, dtype=own.name.dtype)).tolist()
            made += [own.column(a, b, numbers, count) for a, b in itertools.pairwise(bounds)]
        return [made[k] for k in self._places]


@dataclass(frozen=True)
class _Lists:
    """The values of the entries of one kind, name after name, and each name's row after row.

    Attributes:
      values: `[values]`.
      splits: int64 `[entries + 1]`, which of them stand in each entry.
      row: int64 `[entries]`, the record of each entry.
      name: `[entries]`, the number of its name, ascending.
    """

    values: pa.Array
    splits: np.ndarray
    row: np.ndarray
    name: np.ndarray

    def column(self, first: int, last: int, numbers: np.ndarray, count: int) -> pa.Array:
        """Returns the column of some entries, large_list `[count]`; `numbers` are those of the records in it."""
        splits = self.splits[first : last + 1]
        values = _cut_out(self.values, int(splits[0]), int(splits[-1]))
        if last - first == count:
            return pa.LargeListArray.from_arrays(pa.array(splits - splits[0]), values)
        lengths, present = np.zeros(count, np.int64), np.zeros(count, bool)
        rows = numbers[self.row[first:last]]
        lengths[rows], present[rows] = np.diff(splits), True
        return Ragged(values, splits_of(lengths), present).to_list_array()


def _cut_out(values: pa.Array, first: int, last: int) -> pa.Array:
    """Returns a slice that holds nothing but its own: a pickle, else, holds all columns with each. Copies no values."""
    if pa.types.is_large_binary(values.type):
        bounds, text = messages.bytes_of(values)
        own = bounds[first : last + 1]
        buffers = [None, pa.py_buffer(own - own[0]), pa.py_buffer(text[own[0] : own[-1]])]
    else:
        width = values.type.bit_width // 8
        buffers = [None, values.buffers()[1].slice(width * first, width * (last - first))]
    return pa.Array.from_buffers(values.type, last - first, buffers)


def _with_kind(order: np.ndarray, entries: _Entries) -> np.ndarray:
    """Leaves out entries without a kind: they say as much as if there were none."""
    kinds = entries.kind[order]
    return order if (kinds != _NO_KIND).all() else order[kinds != _NO_KIND]


def _floats(pieces: pa.Array, entries: _Entries, order: np.ndarray) -> _Lists:
    found = pieces.take(pa.array(2 * order))
    bounds, data = messages.bytes_of(found)
    values = pa.Array.from_buffers(pa.float32(), len(data) // 4, [None, pa.py_buffer(data)])
    return _Lists(values, bounds // 4, entries.row[order], entries.name[order])


def _integers(pieces: pa.Array, entries: _Entries, order: np.ndarray, others: np.ndarray) -> tuple[_Lists, np.ndarray]:
    """Returns the integers of some entries, and the records where those, or those of others, do not fit 64 bits."""
    bad = []
    for own in (others, order):
        bounds, packed = messages.bytes_of(pieces.take(pa.array(2 * own)))
        lasts, longest = np.flatnonzero(packed < 0x80), messages.varint_bytes(packed)
        if longest == messages.LONGEST_VARINT:
            places = np.searchsorted(bounds, messages.bad_varints(packed, lasts), side="right") - 1
            bad.append(entries.row[own[places]])
    if any(map(len, bad)):
        return _Lists(pa.array([], pa.int64()), bounds, order, order), np.concatenate(bad)
    splits = bounds if longest == 1 else np.searchsorted(lasts, bounds)
    values = pa.array(messages.varints(packed, lasts, longest))
    return _Lists(values, splits, entries.row[order], entries.name[order]), order[:0]


def _strings(text: np.ndarray, entries: _Entries, order: np.ndarray, others: np.ndarray) -> tuple[_Lists, np.ndarray]:
    """Returns the byte strings of some entries, and the records where those, or those of others, are not well-formed."""
    _, well = messages.repeated(text, entries.starts[others], entries.ends[others])
    places = np.sort(order)  # as they stand in the text
    found, fine = messages.repeated(text, entries.starts[places], entries.ends[places])
    names = entries.name[places]
    sizes = np.bincount(found.message, minlength=len(places))[np.argsort(names, kind="stable")]
    chosen = np.argsort(names[found.message], kind="stable")
    values = messages.turns(text, found.starts, found.ends).take(pa.array(2 * chosen))
    bad = entries.row[np.concatenate([others[~well], places[~fine]])]
    return _Lists(values, splits_of(sizes), entries.row[order], entries.name[order]), bad
