"""One look at all values of a column: most batches hold nothing that needs a second one."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from transforms.kernels.compiled import kernel


class Seen(NamedTuple):
    """The result of one pass over a column of numbers.

    Attributes:
      longest: the number of values in the longest row, 0 without rows.
      uneven: whether the values of some row are not a whole number of steps.
      least: the smallest integer; 0 if there is none, and for floats.
      most: the largest integer, likewise.
      subnormal: whether any float is subnormal: not 0, but below the smallest normal one.
      non_finite: whether any float is NaN or infinite.
    """

    longest: int
    uneven: bool
    least: int = 0
    most: int = 0
    subnormal: bool = False
    non_finite: bool = False


FLOATS: Final[dict[str, tuple[Any, int]]] = {"float32": (np.uint32, 23), "float64": (np.uint64, 52)}
"""Names of dtypes: the integer that has the bits of one, and how many of them are its mantissa (IEEE 754, 3.4)."""


NO_ROWS: Final = np.zeros(1, np.int64)


def look(values: np.ndarray, splits: np.ndarray = NO_ROWS, width: int = 1) -> Seen:
    """Looks at a column once.

    >>> look(np.array([1.0, np.nan, -0.0], np.float32), np.array([0, 0, 3]), width=2)
    Seen(longest=3, uneven=True, least=0, most=0, subnormal=False, non_finite=True)

    Args:
      values: int64, float32 or float64 `[n]`.
      splits: int64 `[rows + 1]`, where rows begin and end, if that is asked.
      width: values in a step.
    """
    rows = read_only(splits)
    if values.dtype == np.int64:
        least, most, longest, uneven = _integers(read_only(values), rows, width)
        return Seen(longest, uneven, least, most)
    unsigned, limits = _LIMITS[values.dtype.name]
    subnormal, infinite, longest, uneven = _floats(read_only(values).view(unsigned), *limits, rows, width)
    return Seen(longest, uneven, subnormal=subnormal, non_finite=infinite)


def exceeds(values: np.ndarray, largest: float) -> bool:
    """Tells whether any of some float32 or float64 values is beyond a number in size, infinite or NaN.

    >>> exceeds(np.array([1.0, -2.0]), 2.0), exceeds(np.array([1.0, -2.0]), 1.5), exceeds(np.array([np.nan]), np.inf)
    (False, True, True)
    """
    unsigned, (without_sign, _, _) = _LIMITS[values.dtype.name]
    most = np.array(min(largest, float(np.finfo(values.dtype).max)), values.dtype).view(unsigned)
    return bool(_largest(read_only(values.reshape(-1)).view(unsigned), without_sign) > most)


def _limits(unsigned: Any, mantissa: int) -> tuple[Any, tuple[np.uint64, np.uint64, np.uint64]]:
    """Returns, for bits without the sign, all of them, the largest subnormal number's and infinity's: all of the exponent."""
    sign, smallest = 1 << 8 * np.dtype(unsigned).itemsize - 1, 1 << mantissa
    return unsigned, (np.uint64(sign - 1), np.uint64(smallest - 1), np.uint64(sign - smallest))


_LIMITS: Final = {name: _limits(*bits) for name, bits in FLOATS.items()}


def read_only(values: np.ndarray) -> np.ndarray:
    """Returns an array as kernels take it. Numba compiles them anew for one that may be written, or is not contiguous."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


@kernel
def _floats(bits: Any, unsigned: Any, most: Any, infinity: Any, splits: Any, width: Any) -> Any:
    """Returns whether the bits without a sign are anywhere in [1, most], and whether they are anywhere infinity or more."""
    least, largest = infinity, np.uint64(0)
    for k in range(len(bits)):
        size = np.uint64(bits[np.uintp(k)]) & unsigned
        largest = max(largest, size)
        least = min(least, size if size > 0 else infinity)
    longest, uneven = _rows(splits, width)
    return least <= most, largest >= infinity, longest, uneven


@kernel
def _largest(bits: Any, without_sign: Any) -> Any:
    """Returns the largest of bits without their sign: of numbers in the order of their sizes, infinity and NaN behind them."""
    largest = np.uint64(0)
    for k in range(len(bits)):
        largest = max(largest, np.uint64(bits[np.uintp(k)]) & without_sign)
    return largest


@kernel
def _integers(values: Any, splits: Any, width: Any) -> Any:
    """Returns the smallest and the largest of the values; 0 of none."""
    least = most = values[0] if len(values) > 0 else np.int64(0)
    for k in range(len(values)):
        least, most = min(least, values[np.uintp(k)]), max(most, values[np.uintp(k)])
    longest, uneven = _rows(splits, width)
    return least, most, longest, uneven


@kernel
def _rows(splits: Any, width: Any) -> Any:
    """Returns the values of the longest row, and whether any row's are no multiple of `width`."""
    longest, uneven = np.int64(0), False
    for k in range(1, len(splits)):
        length = splits[np.uintp(k)] - splits[np.uintp(k - 1)]
        longest = max(longest, length)
        if width > 1:
            uneven |= length % width != 0
    return longest, uneven
