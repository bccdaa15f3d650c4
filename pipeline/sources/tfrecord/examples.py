"""tf.Example and tf.SequenceExample records to Arrow, whatever kinds their features have, with each row's result its own.

A context feature is a list a row, a feature list one list a step. Kernels (`transforms.kernels.examples`) parse the records.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.sources.batches import Part, of_rows
from transforms.kernels import example_values, examples
from transforms.kernels.buffers import ALIGNMENT, aligned
from transforms.kernels.example_values import ValueArrays
from transforms.kernels.examples import BYTES, FLOATS, INTEGERS, Scanned
from transforms.kernels.names import Names
from transforms.rows.numbers import lists_of
from transforms.rows.ragged import Ragged, splits_of

TYPES: Final = {
    "int64": pa.large_list(pa.int64()),
    "float32": pa.large_list(pa.float32()),
    "string": pa.large_list(pa.large_binary()),
}
"""Carrier to the type of a column."""

_KINDS: Final = {"int64": INTEGERS, "float32": FLOATS, "string": BYTES}
_LEAVES: Final = {kind: TYPES[carrier].value_type for carrier, kind in _KINDS.items()}

_APART: Final = {INTEGERS: ALIGNMENT // 8, FLOATS: ALIGNMENT // 4, BYTES: 1}
"""The values of a feature start at a multiple of so many, so that tensors share them."""


def texts_of(records: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns the bytes that records stand in, uint8, and where they start and end in it, int64 `[records + 1]`.

    Args:
      records: large_binary `[records]`, without nulls; may be a slice.
    """
    _, offsets, data = records.buffers()
    if not len(records):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    splits = np.frombuffer(offsets, np.int64)[records.offset : records.offset + len(records) + 1]
    return np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(0, np.uint8), splits


def with_lists(records: pa.Array) -> np.ndarray:
    """Tells which records are tf.SequenceExamples, bool `[records]`: those that show a field 2.

    Parsing does not distinguish them from tf.Examples: a message skips unknown fields, and field 1 is the features of the one and
    the context of the other. A tf.SequenceExample without feature lists is a tf.Example, byte for byte.

    Args:
      records: large_binary `[records]`.
    """
    text, splits = texts_of(records)
    found = np.empty(len(records), bool)
    examples.shows_lists(text, splits, found)
    return found


class RecordDecoder:
    """Decodes batches of serialized tf.Examples or tf.SequenceExamples.

    Args:
      features: wanted names, each with what carries its values where none of a batch say so: "int64", "float32" or "string".
    """

    def __init__(self, features: Mapping[str, str]):
        self._features = list(features)
        self._table = Names.of(self._features)
        self._kinds = np.array([_KINDS[carrier] for carrier in features.values()], np.int64)

    def decode(self, records: pa.Array, lists: bool) -> tuple[list[Part], dict[int, str]]:
        """Decodes one batch.

        Args:
          records: large_binary `[records]`, without nulls.
          lists: whether they are tf.SequenceExamples; else they are tf.Examples, whose field 2 means nothing.

        Returns:
          The rows, in as few parts as their types allow: a column is a large list of int64, float32 or large_binary where
          the feature stands in the context, and a large list of such lists, one a step, where it is a feature list; null where
          the feature is absent. A step is null where it has no kind. And the positions of the records that cannot be decoded,
          ascending, with what was expected; with an empty text where that is a tf.Example or a tf.SequenceExample.
        """
        text, splits = texts_of(records)
        found, good = self.scanned(text, splits, lists)
        bad = dict.fromkeys(np.flatnonzero(~good).tolist(), "")
        if lists:
            bad |= self._faults(found, good)
            good[list(bad)] = False
        parts = []
        for rows, nested in self._groups(found, np.flatnonzero(good), lists):
            parts += list(self._parts(text, splits, found, rows, nested))
        return parts, dict(sorted(bad.items()))

    def scanned(self, text: np.ndarray, splits: np.ndarray, lists: bool) -> tuple[Scanned, np.ndarray]:
        """Returns what stands where in records, and which of them can be parsed: see `transforms.kernels.examples.scan`."""
        count = len(splits) - 1
        found, good = Scanned.nothing(len(self._features) * (1 + lists), count), np.empty(count, bool)
        examples.scan(text, splits, self._table, lists, found, good)
        return found, good

    def _faults(self, found: Scanned, good: np.ndarray) -> dict[int, str]:
        """Returns the rows whose features cannot be columns, and why not: lists of several kinds first, then features in both."""
        size = len(self._features)
        mixed = (found.kind[size:] == examples.MIXED) & good
        both = (found.kind[:size] != 0) & (found.begin[size:] >= 0) & good
        faults = {}
        for row in np.flatnonzero(mixed.any(axis=0) | both.any(axis=0)).tolist():
            if mixed[:, row].any():
                name = self._features[int(np.argmax(mixed[:, row]))]
                faults[row] = f"expected steps of one kind in the feature list {name!r}"
            else:
                name = self._features[int(np.argmax(both[:, row]))]
                faults[row] = f"expected {name!r} in the context or in the feature lists, got both"
        return faults

    def _groups(self, found: Scanned, rows: np.ndarray, lists: bool) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields rows that have each feature in the same place, and which features are feature lists in them."""
        size = len(self._features)
        if not lists or not size:
            if len(rows):
                yield rows, np.zeros(size, bool)
            return
        flat, nested = found.kind[:size, rows] != 0, found.begin[size:, rows] >= 0
        everywhere = nested.any(axis=1) & ~flat.any(axis=1)
        mixed = np.flatnonzero(nested.any(axis=1) & flat.any(axis=1))
        if not len(mixed):
            if len(rows):
                yield rows, everywhere
            return
        places, group = np.unique(nested[mixed], axis=1, return_inverse=True)
        group = group.reshape(-1)
        for k in sorted(range(places.shape[1]), key=lambda k: int(np.argmax(group == k))):
            own = everywhere.copy()
            own[mixed] = places[:, k]
            yield rows[group == k], own

    def _parts(
        self, text: np.ndarray, splits: np.ndarray, found: Scanned, rows: np.ndarray, nested: np.ndarray
    ) -> Iterator[Part]:
        """Yields rows, those after one another in a part whose types agree."""
        slots = np.arange(len(nested)) + nested * len(nested)
        first = 0
        while first < len(rows):
            kinds = np.empty(len(slots), np.int64)
            last = example_values.run_of(rows, first, found, slots, kinds)
            own = rows[first:last]
            columns = _columns(text, splits, own, found, slots, nested, np.where(kinds == 0, self._kinds, kinds))
            yield Part(of_rows(pa.RecordBatch.from_arrays(columns, self._features), len(own)), own)
            first = last


def kinds(records: pa.Array) -> dict[str, pa.DataType]:
    """Returns every feature in the records with its type; where rows differ, the type that comes first.

    A feature list is a list of lists. The type of what has no kind is null; a record that cannot be parsed, or has a feature list
    of several kinds, has no features.

    Args:
      records: large_binary `[records]`, without nulls.
    """
    text, splits = texts_of(records)
    _, good = RecordDecoder({}).scanned(text, splits, True)
    starts, ends = np.empty((2, len(text) // 2 + 1), np.int64)
    count = examples.keys(text, splits, good, starts, ends)
    found_keys = {text[a:b].tobytes() for a, b in zip(starts[:count].tolist(), ends[:count].tolist(), strict=True)}
    names = [key.decode() for key in sorted(found_keys)]
    found, good = RecordDecoder(dict.fromkeys(names, "int64")).scanned(text, splits, True)
    good &= ~(found.kind == examples.MIXED).any(axis=0)
    there, kind = (found.begin >= 0) & good, np.where(good, found.kind, 0)
    made = {}
    for k, name in enumerate(names):
        flat, nested = _type_of(kind[k], kind[k] != 0), _type_of(kind[len(names) + k], there[len(names) + k])
        if flat and (not nested or flat[0] <= nested[0]):
            made[name] = pa.large_list(flat[1])
        elif nested:
            made[name] = pa.large_list(pa.large_list(nested[1]))
        elif there[k].any():
            made[name] = pa.null()
        elif there[len(names) + k].any():
            made[name] = pa.large_list(pa.null())
    return made


def _type_of(kind: np.ndarray, present: np.ndarray) -> tuple[int, pa.DataType] | None:
    """Returns the first row that has a feature, and the type of its values where a row says it first; None where none does."""
    return (int(np.argmax(present)), _LEAVES[int(kind[np.argmax(kind != 0)])]) if kind.any() else None


def _columns(
    text: np.ndarray,
    splits: np.ndarray,
    rows: np.ndarray,
    found: Scanned,
    slots: np.ndarray,
    nested: np.ndarray,
    kinds: np.ndarray,
) -> list[pa.Array]:
    """Returns the columns of some rows, whose features have values of the kinds given."""
    apart = -(-(len(rows) + 1) // _APART[INTEGERS]) * _APART[INTEGERS]
    lists = aligned(len(slots) * apart, np.int64).reshape(len(slots), apart)[:, : len(rows) + 1]
    sums = np.empty((len(slots), 4), np.int64)
    example_values.measure(rows, found, slots, nested, lists, sums)
    totals, step_totals, sizes, absent = sums.T
    sizes = np.where(kinds == BYTES, sizes, 0)  # an entry is longer than what is in it
    at = np.zeros(len(slots), np.int64)
    room = dict.fromkeys(_LEAVES, 0)
    for own in room:
        at[kinds == own], room[own] = _places(totals[kinds == own], own == BYTES, _APART[own])
    data, size = _places(sizes, False)
    step, step_count = _places(step_totals, True)
    out = ValueArrays(
        aligned(room[INTEGERS], np.int64),
        aligned(4 * room[FLOATS], np.uint8),
        np.empty(room[BYTES], np.int64),
        np.empty(size, np.uint8),
        np.empty(step_count, np.int64),
        np.empty(step_count, bool),
    )
    strings = kinds == BYTES
    out.ends[at[strings] - 1] = data[strings]
    out.steps[step - 1] = at
    firsts, first_steps = at.copy(), step.copy()
    example_values.fill(text, splits, rows, found, slots, nested, kinds, out, at, data, step)
    columns = []
    for k in range(len(slots)):
        values = _values(out, int(kinds[k]), int(firsts[k]), int(at[k]))
        if nested[k]:
            first, last = first_steps[k], step[k]
            ends = out.steps[first - 1 : last] - firsts[k]
            values = Ragged(values, ends, out.has_kind[first:last]).to_list_array()
        if not absent[k]:
            columns.append(lists_of(values, lists[k]))
            continue
        present = found.begin[slots[k], rows] >= 0 if nested[k] else found.kind[slots[k], rows] != 0
        columns.append(Ragged(values, lists[k], present).to_list_array())
    return columns


def _places(sizes: np.ndarray, one_before: bool, apart: int = 1) -> tuple[np.ndarray, int]:
    """Returns where pieces of these sizes start, one behind the other, and where the last one ends.

    Args:
      sizes: int64 `[pieces]`.
      one_before: whether there is room for one more before each.
      apart: what each starts at a multiple of.
    """
    splits = splits_of(-(-(sizes + one_before) // apart) * apart)
    return splits[:-1] + one_before, int(splits[-1])


def _values(out: ValueArrays, kind: int, first: int, last: int) -> pa.Array:
    """Returns values as an array that holds nothing but them: a pickle, else, holds all columns with each."""
    if kind == INTEGERS:
        buffers = [None, pa.py_buffer(out.integers[first:last])]
    elif kind == FLOATS:
        buffers = [None, pa.py_buffer(out.floats[4 * first : 4 * last])]
    else:
        ends = out.ends[first - 1 : last]
        buffers = [None, pa.py_buffer(ends - ends[0]), pa.py_buffer(out.data[ends[0] : ends[-1]])]
    return pa.Array.from_buffers(_LEAVES[kind], last - first, buffers)
