"""tf.Example and tf.SequenceExample read off their bytes: first what stands where, then the values.

A tf.SequenceExample is a `Features` (context, field 1) and a `FeatureLists` (field 2); a tf.Example is a `Features` (field 1).
Each is a map of names: to a `Feature`, which is one of three lists, or to a list of `Feature`, one a step.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto,
https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/feature.proto

All that protocol buffers allow is read as their parser reads it: of entries with one key the last one counts, messages in pieces
are one, of the lists of a `Feature` the last kind counts, numbers are packed or not, and what is unknown is skipped.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from transforms.kernels.compiled import kernel
from transforms.kernels.names import number_of
from transforms.kernels.protobuf import DELIMITED, DEPTH, LONGEST_TAG, field, is_utf8, packed_varints, varint

BYTES, FLOATS, INTEGERS = 1, 2, 3
"""Kinds of a feature: the fields of `Feature`. One without values may have no kind, 0."""

MIXED: Final = 4
"""The kind of a feature list whose steps have several."""

_FIELD_1, _FIELD_2, _FIELD_3 = 0x0A, 0x12, 0x1A  # tags of delimited fields
_NUMBER, _FLOAT = 0x08, 0x0D  # field 1 of a list whose numbers are not packed


class Scanned(NamedTuple):
    """The places of features in records: `[slots, rows]` each. A slot is a name in the context, or in the feature lists.

    Attributes:
      begin: int32, where the map's entry with the feature starts, from the record's start; -1 where there is none.
      end: int32, where it ends.
      kind: uint8.
      values: int32, how many values it has.
      steps: int32, how many steps a feature list has.
    """

    begin: np.ndarray
    end: np.ndarray
    kind: np.ndarray
    values: np.ndarray
    steps: np.ndarray

    @classmethod
    def nothing(cls, slots: int, rows: int) -> Scanned:
        """Returns what is found in records without features."""
        shape = slots, rows
        numbers = [np.zeros(shape, np.int32) for _ in range(3)]
        return cls(np.full(shape, -1, np.int32), numbers[0], np.zeros(shape, np.uint8), numbers[1], numbers[2])


@kernel
def _values_in(text: Any, at: Any, end: Any, kind: Any, depth: Any) -> Any:
    """Returns how many values a list has; -1 where it is none."""
    count = 0
    while at < end:
        tag, begin, at = field(text, at, end, depth)
        if tag < 0:
            return -1
        if tag == _FIELD_1:
            found = 1
            if kind == FLOATS:
                found = (at - begin) >> 2 if (at - begin) & 3 == 0 else -1
            elif kind == INTEGERS:
                found = packed_varints(text, begin, at)
            if found < 0:
                return -1
            count += found
        elif (tag == _NUMBER and kind == INTEGERS) or (tag == _FLOAT and kind == FLOATS):
            count += 1
    return count


@kernel
def _merged(text: Any, at: Any, end: Any, kind: Any, count: Any, depth: Any) -> Any:
    """Returns the kind, and how many values, of a `Feature` with another piece of it; the kind is -1 where that is none."""
    while at < end:
        tag, begin, at = field(text, at, end, depth)
        if tag < 0:
            return -1, 0
        if tag & 7 == DELIMITED and tag <= _FIELD_3:
            own = tag >> 3
            found = _values_in(text, begin, at, own, depth - 1)
            if found < 0:
                return -1, 0
            count = count + found if own == kind else found
            kind = own
    return kind, count


@kernel
def _steps(text: Any, at: Any, end: Any, kind: Any, count: Any, steps: Any, depth: Any) -> Any:
    """Does what `_merged` does for a list of `Feature`; returns how many steps it has, too."""
    while at < end:
        tag, begin, at = field(text, at, end, depth)
        if tag < 0:
            return -1, 0, 0
        if tag == _FIELD_1:
            own, found = _merged(text, begin, at, 0, 0, depth - 1)
            if own < 0:
                return -1, 0, 0
            if own > 0:
                kind = own if kind in (0, own) else MIXED
            count += found
            steps += 1
    return kind, count, steps


@kernel
def _map(text: Any, at: Any, end: Any, lists: Any, depth: Any, names: Any, base: Any, row: Any, found: Any) -> Any:
    """Finds what stands in a map, of features or of feature lists. Returns whether it is one."""
    first = len(names.splits) - 1 if lists else 0
    while at < end:
        tag, start, at = field(text, at, end, depth)
        if tag < 0:
            return False
        if tag != _FIELD_1:
            continue
        inner, key, key_end, kind, count, steps = start, start, start, 0, 0, 0
        while inner < at:
            tag, begin, inner = field(text, inner, at, depth - 1)
            if tag < 0:
                return False
            if tag == _FIELD_1:
                key, key_end = begin, inner
                if not is_utf8(text, key, key_end):
                    return False
            elif tag == _FIELD_2:
                if lists:
                    kind, count, steps = _steps(text, begin, inner, kind, count, steps, depth - 2)
                else:
                    kind, count = _merged(text, begin, inner, kind, count, depth - 2)
                if kind < 0:
                    return False
        number = number_of(names, text, key, key_end)
        if number >= 0:
            slot = first + number
            found.begin[slot, row], found.end[slot, row] = start - base, at - base
            found.kind[slot, row], found.values[slot, row], found.steps[slot, row] = kind, count, steps
    return True


@kernel
def scan(text: Any, splits: Any, names: Any, lists: Any, found: Any, good: Any) -> Any:
    """Returns the places of features in records, each of which is parsed whole.

    Args:
      text: uint8.
      splits: int64 `[rows + 1]`, where the records start and end in it.
      names: the features wanted, a `Names`.
      lists: whether the records have feature lists: else they are tf.Examples, whose field 2 is unknown.
      found: takes what is found, a `Scanned.nothing`: a slot for each name in the context, then (`lists`) in the lists.
      good: takes whether each record can be parsed, bool `[rows]`. What is found in others means nothing.
    """
    for row in range(len(splits) - 1):
        at, end = splits[row], splits[row + 1]
        good[row] = True
        while at < end:
            tag, begin, at = field(text, at, end, DEPTH)
            if tag < 0:
                good[row] = False
                break
            if tag == _FIELD_1 or (lists and tag == _FIELD_2):
                own = _map(text, begin, at, tag == _FIELD_2, DEPTH - 1, names, splits[row], row, found)
                if not own:
                    good[row] = False
                    break


@kernel
def shows_lists(text: Any, splits: Any, found: Any) -> Any:
    """Tells which records show a field 2, as all that have feature lists do.

    Args:
      text: uint8.
      splits: int64 `[rows + 1]`, where the records start and end in it.
      found: takes the answers, bool `[rows]`.
    """
    for row in range(len(splits) - 1):
        at, end = splits[row], splits[row + 1]
        found[row] = False
        while at < end:
            tag, begin = varint(text, at, end, LONGEST_TAG)
            if begin >= 0 and tag == _FIELD_2:
                found[row] = True
                break
            tag, _, at = field(text, at, end, DEPTH)
            if tag < 0:
                break


@kernel
def keys(text: Any, splits: Any, good: Any, starts: Any, ends: Any) -> Any:
    """Finds the names of all features of records.

    Args:
      text: uint8.
      splits: int64 `[rows + 1]`, where the records start and end in it.
      good: which of them can be parsed, bool `[rows]`; others have none.
      starts: receives where each name starts: int64, with room for half the number of bytes.
      ends: takes where it ends, like `starts`.

    Returns:
      How many there are; one that is found again counts again.
    """
    count = 0
    for row in range(len(good)):
        at, end = splits[row], splits[row + 1]
        while good[row] and at < end:
            tag, entry, at = field(text, at, end, DEPTH)
            while tag & 7 == DELIMITED and tag <= _FIELD_2 and entry < at:
                own, inner, entry = field(text, entry, at, DEPTH)
                if own != _FIELD_1:
                    continue
                starts[count] = ends[count] = inner
                while inner < entry:
                    own, begin, inner = field(text, inner, entry, DEPTH)
                    if own == _FIELD_1:
                        starts[count], ends[count] = begin, inner
                count += 1
    return count
