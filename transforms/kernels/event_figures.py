"""Counts of events for people: gaps and other whole numbers in buckets, and times in bins, in one pass and fixed memory."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from transforms.kernels.blocks import bits
from transforms.kernels.compiled import kernel

BUCKETS: Final = 64 + 57 * 32
"""The number of buckets: numbers below 64 have one each, larger ones 32 an octave up to 2^63."""

SLOTS: Final = 1 << 15
"""Places of a table of bins, a power of two, four times as many as the bins that it may hold."""

_SHIFT: Final = np.uint64(64 - 15)
_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
_MOST: Final = np.uint64(2**63 - 1)


@kernel
def _place(number: Any) -> Any:
    """Returns the bucket of a uint64; those above 2^63 - 1 count as that."""
    number = min(number, _MOST)
    octave = bits(number >> np.uint64(6))
    return np.int64((number >> octave) + np.uint64(32) * octave)


@kernel
def count_numbers(numbers: Any, counts: Any) -> None:
    """Counts numbers by bucket.

    Args:
      numbers: int64 `[n]`, 0 or more.
      counts: int64 `[BUCKETS]`, added to.
    """
    for k in range(len(numbers)):
        counts[_place(np.uint64(numbers[k]))] += 1


@kernel
def count_gaps(begins: Any, ends: Any, order: Any, times: Any, counts: Any) -> Any:
    """Counts the time between an event and the one before it by bucket.

    Args:
      begins: int64 `[n]`, where runs of events begin in `order`.
      ends: int64 `[n]`.
      order: int64, positions of events, in a run by time.
      times: int64, by position.
      counts: int64 `[BUCKETS]`, added to.

    Returns:
      The longest, at most 2^63 - 1; 0 for none.
    """
    longest = np.uint64(0)
    for run in range(len(begins)):
        before = np.uint64(times[order[begins[run]]]) if begins[run] < ends[run] else np.uint64(0)
        for k in range(begins[run] + 1, ends[run]):
            time = np.uint64(times[np.uintp(order[np.uintp(k)])])
            gap = time - before  # of any two int64, modulo 2^64
            before = time
            longest = max(longest, gap)
            counts[_place(gap)] += 1
    return np.int64(min(longest, _MOST))


@kernel
def count_times(times: Any, width: Any, most: Any, bins: Any, counts: Any) -> Any:
    """Counts times by bin, in a table with open addressing.

    Args:
      times: int64 `[n]`.
      width: the width of a bin, in their unit; the bin of a time is the quotient, rounded down.
      most: the largest number of different bins.
      bins: int64 `[SLOTS]`, changed: the bin in each place.
      counts: int64 `[SLOTS]`, zeros; changed: its times.

    Returns:
      Whether there are no more bins than that; if there are, the table holds a part of the times.
    """
    used = 0
    for k in range(len(times)):
        found = times[k] // width
        slot = np.int64(np.uint64(found) * _SPREAD >> _SHIFT)
        while counts[slot] and bins[slot] != found:
            slot = (slot + 1) % SLOTS
        if not counts[slot]:
            if used == most:
                return False
            bins[slot] = found
            used += 1
        counts[slot] += 1
    return True
