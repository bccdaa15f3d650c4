"""Features of sequences, step by step: time differences, figures of a whole sequence, and the fate of each event."""

from __future__ import annotations

from typing import Any

import numpy as np

from transforms.kernels.compiled import kernel

_EXACT = np.uint64(2**53)
"""The bound up to which every integer is a float64."""

_TOP = np.uint64(2**62)
_ALL = np.uint64(2**64 - 1)
_ZERO, _ONE, _TWO = np.uint64(0), np.uint64(1), np.uint64(2)

PREVIOUS, FIRST, LAST = 0, 1, 2
"""The step that a time difference is taken to."""


@kernel
def since(times: Any, splits: Any, which: Any, times_by: Any, divided_by: Any, out: Any) -> None:
    """Computes the time from the step before (0 for the first), from the first one, or to the last one.

    Args:
      times: int64 `[steps]`, ascending within a sequence.
      splits: int64 `[sequences + 1]`.
      which: `PREVIOUS`, `FIRST` or `LAST`.
      times_by: uint64; this or the next is 1.
      divided_by: uint64: a difference, exact, is multiplied and divided by these, and rounded once.
      out: float64 `[steps]`, filled.
    """
    for row in range(len(splits) - 1):
        begin, end = splits[row], splits[row + 1]
        for k in range(begin, end):
            other = max(k - 1, begin) if which == PREVIOUS else begin if which == FIRST else end - 1
            early, late = (k, other) if which == LAST else (other, k)
            difference = np.uint64(times[late]) - np.uint64(times[early])  # of any two int64, modulo 2^64
            out[k] = _quotient(difference, divided_by) if times_by == _ONE else _product(difference, times_by)


@kernel
def _quotient(number: Any, by: Any) -> Any:
    """Returns number / by, uint64 and below 2^62, as the nearest float64."""
    if number <= _EXACT:
        return np.float64(number) / np.float64(by)
    whole, rest, shift = number // by, number % by, 0
    while whole < _TOP:  # more bits than a float64 has, and whether there are any more
        rest *= _TWO
        whole *= _TWO
        if rest >= by:
            rest -= by
            whole += _ONE
        shift += 1
    return np.ldexp(np.float64(whole | (_ONE if rest > _ZERO else _ZERO)), -shift)


@kernel
def _product(number: Any, by: Any) -> Any:
    """Returns number * by, uint64 and below 2^31, as the nearest float64."""
    shift = 0
    while number >> np.uint64(shift) > _TOP // by:
        shift += 1
    low = (number & ((_ONE << np.uint64(shift)) - _ONE)) * by
    product = (number >> np.uint64(shift)) * by + (low >> np.uint64(shift))
    lost = low & ((_ONE << np.uint64(shift)) - _ONE)
    return np.ldexp(np.float64(product | (_ONE if lost > _ZERO else _ZERO)), shift)


@kernel
def extremes(ranks: Any, skipped: Any, splits: Any, largest: Any, out: Any) -> None:
    """Finds the first step of the smallest or the largest value in each sequence, -1 if all are skipped.

    Args:
      ranks: int64 `[steps]`, in the order of the values.
      skipped: bool `[steps]`, steps without a value.
      splits: int64 `[sequences + 1]`.
      largest: whether to find the largest.
      out: int64 `[sequences]`, filled.
    """
    for row in range(len(splits) - 1):
        best = -1
        for k in range(splits[row], splits[row + 1]):
            if not skipped[k]:
                better = best < 0 or (ranks[k] > ranks[best] if largest else ranks[k] < ranks[best])
                best = k if better else best
        out[row] = best


@kernel
def sums(values: Any, skipped: Any, splits: Any, least: Any, most: Any, out: Any, good: Any) -> None:
    """Adds up the values of each sequence, step by step.

    Args:
      values: int64 or float64 `[steps]`.
      skipped: bool `[steps]`, steps without a value.
      splits: int64 `[sequences + 1]`.
      least: the least number of the dtype; for floats minus infinity.
      most: the largest; for floats infinity.
      out: of the same dtype, `[sequences]`, zeros; filled.
      good: bool `[sequences]`, filled: whether there is a value, and the sum of integers is an int64.
    """
    for row in range(len(splits) - 1):
        total, any_value, fits = out[row], False, True
        for k in range(splits[row], splits[row + 1]):
            if not skipped[k]:
                value = values[k]
                # Checked before they are added: LLVM assumes that a signed sum never wraps around.
                fits = fits and not (total > most - value if value > 0 else total < least - value)
                total, any_value = total + value if fits else total, True
        out[row], good[row] = total, any_value and fits


@kernel
def different(codes: Any, skipped: Any, splits: Any, seen: Any, out: Any) -> None:
    """Counts the different values of each sequence.

    Args:
      codes: int32 or int64 `[steps]`, from 0: equal values have one code.
      skipped: bool `[steps]`, steps without a value.
      splits: int64 `[sequences + 1]`.
      seen: int64 `[codes]`, -1 everywhere; changed.
      out: int64 `[sequences]`, filled.
    """
    for row in range(len(splits) - 1):
        count = 0
        for k in range(splits[row], splits[row + 1]):
            if not skipped[k] and seen[codes[k]] != row:
                seen[codes[k]] = row
                count += 1
        out[row] = count


@kernel
def mark(begins: Any, ends: Any, fate: Any, order: Any, fates: Any) -> None:
    """Records the fate of the events of some sequences: of several fates the one with the highest number.

    Args:
      begins: int64 `[sequences]`, where each begins in `order`.
      ends: int64 `[sequences]`.
      fate: int8 `[sequences]`.
      order: int64, positions of events.
      fates: int8 `[events]`, changed.
    """
    for row in range(len(begins)):
        for at in range(begins[row], ends[row]):
            fates[order[at]] = max(fates[order[at]], fate[row])
