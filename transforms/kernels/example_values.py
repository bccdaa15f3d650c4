"""The values of tf.Examples and tf.SequenceExamples, by what `transforms.kernels.examples` found, in Arrow's layout."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from transforms.kernels.blocks import copied
from transforms.kernels.compiled import kernel
from transforms.kernels.examples import FLOATS, INTEGERS
from transforms.kernels.protobuf import DELIMITED, DEPTH, field, varint

_FIELD_1, _FIELD_2, _FIELD_3 = 0x0A, 0x12, 0x1A
_NUMBER, _FLOAT = 0x08, 0x0D
_BIT: Final = 0x80


class ValueArrays(NamedTuple):
    """The arrays that values are written to. Each feature has a range of its own in those that it needs.

    Attributes:
      integers: int64.
      floats: uint8, four for each float32.
      ends: int64, where each byte string ends in `data`.
      data: uint8, the byte strings.
      steps: int64, where the values of each step end: in `integers`, `floats` or `ends`.
      has_kind: bool, whether each step has a kind.
    """

    integers: np.ndarray
    floats: np.ndarray
    ends: np.ndarray
    data: np.ndarray
    steps: np.ndarray
    has_kind: np.ndarray


@kernel
def _list(text: Any, at: Any, end: Any, kind: Any, out: Any, place: Any, data: Any) -> Any:
    """Puts the values of a list where they go; returns the places after them."""
    while at < end:
        tag, begin, at = field(text, at, end, DEPTH)
        if tag == _FIELD_1 and kind == INTEGERS:
            while begin < at:
                byte = text[np.uintp(begin)]
                if byte < _BIT:
                    out.integers[np.uintp(place)] = byte
                    begin += 1
                else:
                    out.integers[np.uintp(place)], begin = varint(text, begin, at)
                place += 1
        elif tag == _FIELD_1 and kind == FLOATS:
            copied(text, begin, at - begin, out.floats, 4 * place)
            place += (at - begin) >> 2
        elif tag == _FIELD_1:
            copied(text, begin, at - begin, out.data, data)
            data += at - begin
            out.ends[place] = data
            place += 1
        elif tag == _NUMBER and kind == INTEGERS:
            out.integers[place], _ = varint(text, begin, at)
            place += 1
        elif tag == _FLOAT and kind == FLOATS:
            copied(text, begin, at - begin, out.floats, 4 * place)
            place += 1
    return place, data


@kernel
def _feature(
    text: Any, at: Any, end: Any, kind: Any, out: Any, first: Any, place: Any, first_data: Any, data: Any
) -> Any:
    """Puts the values of a piece of a `Feature` behind those of its other pieces; a list of another kind takes them back.

    Returns:
      The places after them, and whether the piece has a kind.
    """
    has_kind = False
    while at < end:
        tag, begin, at = field(text, at, end, DEPTH)
        if tag & 7 == DELIMITED and tag <= _FIELD_3:
            has_kind = True
            if tag >> 3 == kind:
                place, data = _list(text, begin, at, kind, out, place, data)
            else:
                place, data = first, first_data
    return place, data, has_kind


@kernel
def _of_steps(text: Any, at: Any, end: Any, kind: Any, out: Any, place: Any, data: Any, step: Any) -> Any:
    """Puts the values of a list of `Feature` where they go, and what its steps are; returns the places after them."""
    while at < end:
        tag, begin, at = field(text, at, end, DEPTH)
        if tag == _FIELD_1:
            place, data, has_kind = _feature(text, begin, at, kind, out, place, place, data, data)
            out.steps[step], out.has_kind[step] = place, has_kind
            step += 1
    return place, data, step


@kernel
def fill(
    text: Any,
    splits: Any,
    rows: Any,
    found: Any,
    slots: Any,
    nested: Any,
    kinds: Any,
    out: Any,
    at: Any,
    data: Any,
    step: Any,
) -> Any:
    """Puts the values of features where they go, row after row.

    Args:
      text: uint8.
      splits: int64 `[records + 1]`, where the records start and end in it.
      rows: int64 `[rows]`, the records wanted, which can be parsed.
      found: the places of features in the records, a `Found`.
      slots: int64 `[features]`, the slot of each.
      nested: bool `[features]`, whether it is a feature list.
      kinds: int64 `[features]`, the kind of its values; in no row does it have values of another.
      out: takes them, a `ValueArrays`.
      at: int64 `[features]`, the place of its first value; moved to the place after the last.
      data: int64 `[features]`, that of its first byte in `data`, likewise.
      step: int64 `[features]`, that of its first step, likewise.
    """
    for row in rows:
        for k in range(len(slots)):
            start = found.begin[slots[k], row]
            if start < 0:
                continue
            inner, end = splits[row] + start, splits[row] + found.end[slots[k], row]
            first, first_data = at[k], data[k]
            while inner < end:
                tag, begin, inner = field(text, inner, end, DEPTH)
                if tag != _FIELD_2:
                    continue
                if nested[k]:
                    at[k], data[k], step[k] = _of_steps(text, begin, inner, kinds[k], out, at[k], data[k], step[k])
                elif found.values[slots[k], row] > 0:
                    at[k], data[k], _ = _feature(text, begin, inner, kinds[k], out, first, at[k], first_data, data[k])


@kernel
def measure(rows: Any, found: Any, slots: Any, nested: Any, splits: Any, sums: Any) -> None:
    """Measures the lists that features become.

    Args:
      rows: int64 `[rows]`, the records wanted.
      found: the places of features in the records, a `Scanned`.
      slots: int64 `[features]`, the slot of each.
      nested: bool `[features]`, whether it is a feature list: the list of a row holds its steps, else its values.
      splits: int64 `[features, rows + 1]`, filled: where the list of each row begins and ends, from 0 on.
      sums: int64 `[features, 4]`, filled: all values; steps; bytes of the entries; and the rows without the feature.
    """
    for k in range(len(slots)):
        slot, end, values, steps, size, absent = slots[k], 0, 0, 0, 0, 0
        splits[k, 0] = 0
        for n in range(len(rows)):
            row = rows[n]
            values += found.values[slot, row]
            steps += found.steps[slot, row]
            size += found.end[slot, row] - found.begin[slot, row]
            there = found.begin[slot, row] >= 0 if nested[k] else found.kind[slot, row] != 0
            absent += not there
            end += found.steps[slot, row] if nested[k] else found.values[slot, row]
            splits[k, n + 1] = end
        sums[k, 0], sums[k, 1], sums[k, 2], sums[k, 3] = values, steps, size, absent


@kernel
def run_of(rows: Any, first: Any, found: Any, slots: Any, kinds: Any) -> Any:
    """Returns where the longest run of rows ends that starts at the first and in which no feature has values of two kinds.

    Args:
      rows: int64 `[rows]`.
      first: where the run starts in them.
      found: the places of features in the records, a `Found`.
      slots: int64 `[features]`, the slot of each.
      kinds: takes the kind of each feature's values in the run, int64 `[features]`; 0 where it has none.
    """
    kinds[:] = 0
    for n in range(first, len(rows)):
        row = rows[n]
        for k in range(len(slots)):
            kind = found.kind[slots[k], row] if found.values[slots[k], row] > 0 else 0
            if kind > 0 and kinds[k] > 0 and kind != kinds[k]:
                return n
        for k in range(len(slots)):
            if found.values[slots[k], row] > 0:
                kinds[k] = found.kind[slots[k], row]
    return len(rows)
