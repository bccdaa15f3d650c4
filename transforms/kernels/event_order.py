"""Events by key and in order: positions and int64 keys sorted together, segment by segment."""

from __future__ import annotations

from typing import Any

import numpy as np

from transforms.kernels.compiled import kernel

_RUN = 16
"""The most events that are sorted by insertion, because a merge does not pay for fewer."""


@kernel
def group(ids: Any, times: Any, begins: Any, order: Any, grouped: Any) -> None:
    """Puts the events of each key together, in their order in the input.

    Args:
      ids: int32 or int64 `[n]`, the key of each, from 0.
      times: int64 `[n]`.
      begins: int64 `[keys + 1]`, zeros; filled with where each key's events begin, and where those of the last end.
      order: int64 `[n]`, filled with positions of events.
      grouped: int64 `[n]`, filled with their times.
    """
    for k in range(len(ids)):
        begins[ids[k]] += 1
    total = np.int64(0)
    for key in range(len(begins)):
        total += begins[key]
        begins[key] = total
    for k in range(len(ids) - 1, -1, -1):
        begins[ids[k]] -= 1
        place = begins[ids[k]]
        order[place] = k
        grouped[place] = times[k]


@kernel
def sort_segments(begins: Any, ends: Any, keys: Any, order: Any, spare_keys: Any, spare_order: Any) -> None:
    """Sorts each segment by its keys; equal keys stay in their order.

    Args:
      begins: int64 `[segments]`, where each begins.
      ends: int64 `[segments]`, where each ends.
      keys: int64 `[n]`, changed.
      order: int64 `[n]`, the values that move with them, changed.
      spare_keys: int64, room for half of the longest segment.
      spare_order: int64, the same room.
    """
    for k in range(len(begins)):
        begin, end = begins[k], ends[k]
        for at in range(begin, end, _RUN):
            _insert(keys, order, at, min(at + _RUN, end))
        width = np.int64(_RUN)
        while width < end - begin:
            for at in range(begin, end - width, 2 * width):
                _merge(keys, order, at, at + width, min(at + 2 * width, end), spare_keys, spare_order)
            width *= 2


@kernel
def _insert(keys: Any, order: Any, begin: Any, end: Any) -> None:
    for at in range(begin + 1, end):
        key, what = keys[np.uintp(at)], order[np.uintp(at)]
        place = at
        while place > begin and keys[np.uintp(place - 1)] > key:
            keys[np.uintp(place)], order[np.uintp(place)] = keys[np.uintp(place - 1)], order[np.uintp(place - 1)]
            place -= 1
        keys[np.uintp(place)], order[np.uintp(place)] = key, what


@kernel
def _merge(keys: Any, order: Any, begin: Any, middle: Any, end: Any, spare_keys: Any, spare_order: Any) -> None:
    if keys[middle - 1] <= keys[middle]:
        return
    size = middle - begin
    for k in range(size):
        spare_keys[np.uintp(k)], spare_order[np.uintp(k)] = keys[np.uintp(begin + k)], order[np.uintp(begin + k)]
    left, right, place = np.int64(0), middle, begin
    while left < size and right < end:  # a choice without a branch, which the processor would foresee half of the time
        key, what = spare_keys[np.uintp(left)], spare_order[np.uintp(left)]
        other, other_what = keys[np.uintp(right)], order[np.uintp(right)]
        second = other < key
        keys[np.uintp(place)] = other if second else key
        order[np.uintp(place)] = other_what if second else what
        right += np.int64(second)
        left += 1 - np.int64(second)
        place += 1
    for k in range(left, size):
        keys[np.uintp(place)], order[np.uintp(place)] = spare_keys[np.uintp(k)], spare_order[np.uintp(k)]
        place += 1


@kernel
def ties(begins: Any, ends: Any, keys: Any, tied_begins: Any, tied_ends: Any) -> Any:
    """Finds the runs of two or more equal keys within segments.

    Args:
      begins: int64 `[segments]`.
      ends: int64 `[segments]`.
      keys: int64 `[n]`, equal ones side by side.
      tied_begins: int64, filled; there are at most `n // 2`.
      tied_ends: int64, likewise.

    Returns:
      The number of runs, and the number of keys in all of them.
    """
    count = total = np.int64(0)
    for k in range(len(begins)):
        at = begins[k]
        while at < ends[k]:
            after = at + 1
            while after < ends[k] and keys[after] == keys[at]:
                after += 1
            if after - at > 1:
                tied_begins[count], tied_ends[count] = at, after
                count += 1
                total += after - at
            at = after
    return count, total


@kernel
def gather(begins: Any, ends: Any, values: Any, out: Any, out_begins: Any) -> None:
    """Copies segments of values one after the other.

    Args:
      begins: int64 `[segments]`; segments may overlap.
      ends: int64 `[segments]`.
      values: int64 `[n]`.
      out: int64, as long as all segments, filled.
      out_begins: int64 `[segments + 1]`, filled with where each begins, and where the last one ends.
    """
    place = np.int64(0)
    for k in range(len(begins)):
        out_begins[k] = place
        for at in range(begins[k], ends[k]):
            out[place] = values[at]
            place += 1
    out_begins[len(begins)] = place


@kernel
def scatter(begins: Any, ends: Any, values: Any, out: Any) -> None:
    """Copies values back to the segments that `gather` took them from."""
    place = np.int64(0)
    for k in range(len(begins)):
        for at in range(begins[k], ends[k]):
            out[at] = values[place]
            place += 1


@kernel
def mark_all_but_last(begins: Any, ends: Any, order: Any, marked: Any) -> None:
    """Marks the events of each run except its last.

    Args:
      begins: int64 `[runs]`.
      ends: int64 `[runs]`.
      order: int64 `[n]`, places.
      marked: bool, set at these places.
    """
    for k in range(len(begins)):
        for at in range(begins[k], ends[k] - 1):
            marked[order[at]] = True
