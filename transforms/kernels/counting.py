"""Counting numbers and ids of kept steps, for the report: see `transforms.distributions`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from transforms.kernels.compiled import kernel

MANTISSA_BITS: Final = 4
"""The bin of a number is what the first bits of it as a float32 say: sign, exponent, and so many of the mantissa."""

_DROPPED: Final = np.uint32(23 - MANTISSA_BITS)


@kernel
def count_before(
    values: Any, splits: Any, kept: Any, tail: bool, centre: Any, finite_only: bool, counts: Any, seen: Any
) -> None:
    """Counts the numbers of kept steps as they were parsed.

    Args:
      values: float32, float64 or int64, those of all rows one after the other.
      splits: int64 `[rows + 1]`, where each row begins in them.
      kept: int64 `[rows]`, how many of a row's steps are kept.
      tail: whether those are the last of its steps, not the first.
      centre: `[width]` or `[1]`, like the values: what they are counted around; `[0]` for 0.
      finite_only: whether others than finite numbers were filled.
      counts: int64 `[width or 1, bins]`, which is added to.
      seen: bool `[kept steps, width]`, is set: which numbers the row had, neither completed nor filled.
    """
    width, apart, own = seen.shape[1], counts.shape[0] > 1, len(centre) > 1
    step = 0
    for row in range(len(kept)):
        at, end = splits[row], splits[row + 1]
        if tail:
            at += ((end - at + width - 1) // width - kept[row]) * width
        for _ in range(kept[row]):
            for k in range(width):
                there = at + k < end
                if there:
                    value = values[at + k]
                    there = not finite_only or np.isfinite(value)
                    if len(centre):
                        value = value - centre[k if own else 0]
                    if there:
                        counts[k if apart else 0, np.float32(value).view(np.uint32) >> _DROPPED] += 1
                seen[step, k] = there
            at += width
            step += 1


@kernel
def count_after(made: Any, kept: Any, pre: bool, seen: Any, counts: Any) -> None:
    """Counts the numbers of kept steps as they are written.

    Args:
      made: float32 `[rows, T, width]`.
      kept: int64 `[rows]`, how many of the T steps are kept ones.
      pre: whether those are the last, not the first.
      seen: bool `[kept steps, width]`: which numbers count.
      counts: int64 `[width or 1, bins]`, which is added to.
    """
    size, width, apart = made.shape[1], made.shape[2], counts.shape[0] > 1
    step = 0
    for row in range(len(kept)):
        first = size - kept[row] if pre else 0
        for place in range(first, first + kept[row]):
            for k in range(width):
                if seen[step, k]:
                    counts[k if apart else 0, made[row, place, k].view(np.uint32) >> _DROPPED] += 1
            step += 1


@kernel
def count_ids(made: Any, kept: Any, pre: bool, words: int, counts: Any) -> int:
    """Counts the ids of kept steps, and returns how many of them are those of unknown words.

    Args:
      made: int64 `[rows, T, places]`.
      kept: int64 `[rows]`, how many of the T steps are kept ones.
      pre: whether those are the last, not the first.
      words: from which id on words are unknown.
      counts: int64 `[most + 2]`, which is added to: ids from -1 on, the last of all others.
    """
    size, places, most = made.shape[1], made.shape[2], len(counts) - 2
    unknown = 0
    for row in range(len(kept)):
        first = size - kept[row] if pre else 0
        for place in range(first, first + kept[row]):
            for k in range(places):
                one = made[row, place, k]
                counts[min(max(one, -1), most) + 1] += 1
                unknown += one >= words
    return unknown
