"""Exact sums of numbers and of their squares, as integers: no order, batch or worker shows in them.

Every float32 is a whole multiple of 2^-149, every float64 one of 2^-1074. In such units a sum is an integer, and so is, in units
of 2^-298 or 2^-2148, a sum of squares. They are kept as two's complement in limbs of 32 bits, the lowest first: of a float32 in
31 limbs (124 bytes), of a float64 in 202, of an int64 in 10. Each has room for 2^63 values, and merging is adding integers.

The idea is that of long accumulators: U. Kulisch, W. Miranker, "Computer Arithmetic in Theory and Practice", 1981. How floats are
made up: IEEE 754-2019, section 3.4.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from transforms.kernels.compiled import kernel, kernel_with_arrays


class NumberLayout(NamedTuple):
    """The layout of the sums of one kind of number.

    Attributes:
      mantissa_bits: bits of the fraction in a float; 0 for integers.
      unit: sums are in units of 2 to this power, sums of squares in those of 2 to twice this power.
      sum_limbs: limbs of a sum.
      limbs: limbs of both, the sum first.
    """

    mantissa_bits: int
    unit: int
    sum_limbs: int
    limbs: int


LAYOUTS: Final = {
    "float32": NumberLayout(23, -149, 11, 11 + 20),
    "float64": NumberLayout(52, -1074, 68, 68 + 134),
    "int64": NumberLayout(0, 0, 4, 4 + 6),
}
"""Layout by dtype: one limb more than needed for the largest number (or its square), and 63 bits for 2^63 values, and a sign."""

_BLOCK: Final = 1 << 10
"""Rows of a dimension that are added one after the other, before what outgrew 32 bits is carried on. No more than 2^28."""

_EXPONENTS: Final = 256
"""Of a float32."""

_LIMB = np.uint64(32)
_MASK = np.uint64(0xFFFFFFFF)
_LOW = np.int64(0xFFFFFFFF)


@kernel_with_arrays
def add_values(
    values: np.ndarray,
    bits: Any,
    observed: np.ndarray,
    splits: np.ndarray,
    mantissa_bits: int,
    sum_limbs: int,
    counts: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    limbs: np.ndarray,
) -> None:
    """Adds values to what is known of the parts that they belong to.

    Args:
      values: `[n, width]` float32, float64 or int64.
      bits: the same memory as uint32 or uint64.
      observed: bool `[n, width]`; values elsewhere do not count, the others are finite.
      splits: int64 `[parts + 1]`, ascending in `[0, n]`, where each part begins and ends.
      mantissa_bits: see `NumberLayout`.
      sum_limbs: see `NumberLayout`.
      counts: int64 `[parts, width]`, changed.
      low: float64 `[parts, width]`, the smallest, changed; -0.0 counts as 0.0.
      high: float64 `[parts, width]`, the largest, changed.
      limbs: uint32 `[parts, width, limbs]`, changed.
    """
    width, size = limbs.shape[1], limbs.shape[2]
    wide, bins = np.zeros(size, np.int64), np.zeros(3 * _EXPONENTS, np.int64)
    for part in range(len(splits) - 1):
        for start in range(splits[part], splits[part + 1], _BLOCK):
            end = min(start + _BLOCK, splits[part + 1])
            for place in range(width):
                count, least, most = 0, low[part, place], high[part, place]
                for row in range(start, end):
                    if observed[row, place]:
                        value = np.float64(values[row, place]) + 0.0
                        count += 1
                        least = value if value < least else least
                        most = value if value > most else most
                        number = np.uint64(bits[row, place])
                        if mantissa_bits == 23:
                            _add_float32(number, bins)
                        elif mantissa_bits == 52:
                            _add_float64(number, sum_limbs, wide)
                        else:
                            _add_int64(number, sum_limbs, wide)
                counts[part, place] += count
                low[part, place], high[part, place] = least, most
                if count:
                    if mantissa_bits == 23:
                        _take_out(bins, sum_limbs, wide)
                    _settle(wide, limbs[part, place], 0, sum_limbs)
                    _settle(wide, limbs[part, place], sum_limbs, size)


@kernel
def _add_float32(bits: Any, bins: np.ndarray) -> None:
    """Adds the mantissa of a float32 and the lower and upper 32 bits of its square to what has its exponent.

    Numbers of one column have few exponents: three additions each take a third of the time of those to the limbs.
    """
    exponent = (bits >> np.uint64(23)) & np.uint64(0xFF)
    magnitude = np.int64(bits & np.uint64(0x7FFFFF))
    if exponent:
        magnitude |= 1 << 23
    square = magnitude * magnitude
    bins[exponent] += -magnitude if bits >> np.uint64(31) else magnitude
    bins[exponent + np.uint64(_EXPONENTS)] += square & _LOW
    bins[exponent + np.uint64(2 * _EXPONENTS)] += square >> 32


@kernel
def _take_out(bins: np.ndarray, sum_limbs: int, wide: np.ndarray) -> None:
    """Moves what `_add_float32` gathered into limbs that are yet to be settled."""
    for exponent in range(_EXPONENTS):
        shift = exponent - 1 if exponent else 0
        if bins[_EXPONENTS + exponent] | bins[2 * _EXPONENTS + exponent]:
            _add_at(bins[exponent], shift, 0, wide)
            _add_at(bins[_EXPONENTS + exponent], 2 * shift, sum_limbs, wide)
            _add_at(bins[2 * _EXPONENTS + exponent], 2 * shift + 32, sum_limbs, wide)
            bins[exponent] = bins[_EXPONENTS + exponent] = bins[2 * _EXPONENTS + exponent] = 0


@kernel
def _add_at(number: Any, shift: int, first: int, wide: np.ndarray) -> None:
    """Adds an int64 below 2^62, times two to the power of `shift`, to limbs that are yet to be settled, from `first` on."""
    at, by = first + (shift >> 5), shift & 31
    lower, upper = (number & _LOW) << by, (number >> 32) << by
    wide[at] += lower & _LOW
    wide[at + 1] += (lower >> 32) + (upper & _LOW)
    wide[at + 2] += upper >> 32


@kernel
def _add_float64(bits: Any, sum_limbs: int, wide: np.ndarray) -> None:
    """Adds a float64 and its square to limbs that are yet to be settled, int64."""
    exponent = np.int64((bits >> np.uint64(52)) & np.uint64(0x7FF))
    magnitude = bits & np.uint64((1 << 52) - 1)
    if exponent:
        magnitude |= np.uint64(1 << 52)
        exponent -= 1
    at, by = np.uint64(exponent >> 5), np.uint64(exponent & 31)
    sign = -1 if bits >> np.uint64(63) else 1
    lower, upper = (magnitude & _MASK) << by, (magnitude >> _LIMB) << by
    wide[at] += sign * np.int64(lower & _MASK)
    wide[at + np.uint64(1)] += sign * np.int64((lower >> _LIMB) + (upper & _MASK))
    wide[at + np.uint64(2)] += sign * np.int64(upper >> _LIMB)
    _add_square(magnitude, np.uint64(2 * exponent & 31), np.uint64(sum_limbs + (exponent >> 4)), wide)


@kernel
def _add_int64(bits: Any, sum_limbs: int, wide: np.ndarray) -> None:
    """As `_add_float64`, of an int64."""
    magnitude, sign = bits, 1
    if bits >> np.uint64(63):
        magnitude, sign = ~bits + np.uint64(1), -1
    wide[0] += sign * np.int64(magnitude & _MASK)
    wide[1] += sign * np.int64(magnitude >> _LIMB)
    _add_square(magnitude, np.uint64(0), np.uint64(sum_limbs), wide)


@kernel
def _add_square(magnitude: Any, by: Any, at: Any, wide: np.ndarray) -> None:
    """Adds the square of a number of up to 64 bits, moved by up to 31: in halves, as one multiplies on paper."""
    lower, upper = magnitude & _MASK, magnitude >> _LIMB
    first, cross, last = lower * lower, lower * upper, upper * upper
    second = (first >> _LIMB) + (cross & _MASK) * np.uint64(2)
    third = (second >> _LIMB) + (cross >> _LIMB) * np.uint64(2) + (last & _MASK)
    fourth = (third >> _LIMB) + (last >> _LIMB)
    above = np.uint64(0)
    for piece in (first & _MASK, second & _MASK, third & _MASK, fourth):
        moved = piece << by
        wide[at] += np.int64((moved & _MASK) + above)
        above = moved >> _LIMB
        at += np.uint64(1)
    if above:  # there is no limb for it where there can be none
        wide[at] += np.int64(above)


@kernel
def _settle(wide: np.ndarray, limbs: np.ndarray, first: int, end: int) -> None:
    """Adds limbs that outgrew 32 bits, int64, to settled ones, uint32, and makes them 0; `[first, end)` is one integer."""
    carry = np.int64(0)
    for k in range(first, end):
        carry += wide[k] + np.int64(limbs[k])
        limbs[k] = carry & _LOW
        carry >>= 32
        wide[k] = 0


@kernel
def merge(
    counts: np.ndarray,
    low: np.ndarray,
    high: np.ndarray,
    limbs: np.ndarray,
    into: np.ndarray,
    sum_limbs: int,
    all_counts: np.ndarray,
    all_low: np.ndarray,
    all_high: np.ndarray,
    all_limbs: np.ndarray,
) -> None:
    """Adds what is known of some parts to what is known of others.

    Args:
      counts: int64 `[parts, width]`.
      low: float64 `[parts, width]`.
      high: float64 `[parts, width]`.
      limbs: uint32 `[parts, width, limbs]`.
      into: int64 `[parts]`, to which of the others each is added.
      sum_limbs: see `NumberLayout`.
      all_counts: int64 `[others, width]`, changed, and so are the next.
      all_low: float64 `[others, width]`.
      all_high: float64 `[others, width]`.
      all_limbs: uint32 `[others, width, limbs]`.
    """
    size = limbs.shape[2]
    for part in range(len(into)):
        other = into[part]
        for place in range(counts.shape[1]):
            if counts[part, place]:
                all_counts[other, place] += counts[part, place]
                all_low[other, place] = min(all_low[other, place], low[part, place])
                all_high[other, place] = max(all_high[other, place], high[part, place])
                carry = np.int64(0)
                for k in range(size):
                    if k == sum_limbs:
                        carry = np.int64(0)
                    carry += np.int64(limbs[part, place, k]) + np.int64(all_limbs[other, place, k])
                    all_limbs[other, place, k] = carry & _LOW
                    carry >>= 32
