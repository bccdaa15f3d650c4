"""What is asked of all values of a column at once, in one pass: most batches hold nothing that has to be looked at further."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np

from transforms.kernels.compiled import kernel


class FloatKinds(NamedTuple):
    """Whether any of some floats is subnormal (not 0, but below the smallest normal one), and whether any is NaN or infinite."""

    subnormal: bool
    non_finite: bool


FLOATS: Final[dict[str, tuple[Any, int]]] = {"float32": (np.uint32, 23), "float64": (np.uint64, 52)}
"""Names of dtypes: the integer that has the bits of one, and how many of them are its mantissa (IEEE 754, 3.4)."""


def float_kinds(values: np.ndarray) -> FloatKinds:
    """Returns what kinds of floats there are: of none, neither.

    >>> float_kinds(np.array([1.0, np.nan, -0.0], np.float32))
    FloatKinds(subnormal=False, non_finite=True)

    Args:
      values: float32 or float64 `[n]`.
    """
    unsigned, mantissa = FLOATS[values.dtype.name]
    sign, smallest = 1 << 8 * values.itemsize - 1, 1 << mantissa
    limits = (sign - 1, smallest - 1, sign - smallest)  # infinity has all bits of the exponent
    subnormal, non_finite = _float_kinds(read_only(values).view(unsigned), *map(np.uint64, limits))
    return FloatKinds(bool(subnormal), bool(non_finite))


def all_within(values: np.ndarray, low: int, high: int) -> bool:
    """Returns whether every one of some integers is at least `low` and less than `high`: of none, yes.

    Args:
      values: int64 `[n]`.
      low: at least -2**63.
      high: less than 2**63.
    """
    return bool(_all_within(read_only(values), low, high))


def read_only(values: np.ndarray) -> np.ndarray:
    """Returns an array as kernels take it. Numba compiles them anew for one that may be written, or is not contiguous."""
    view = np.ascontiguousarray(values).view()
    view.flags.writeable = False
    return view


@kernel
def _float_kinds(bits: Any, unsigned: Any, most: Any, infinity: Any) -> Any:
    """Returns whether the bits without a sign are anywhere in [1, most], and whether they are anywhere infinity or more."""
    least, largest = infinity, np.uint64(0)
    for k in range(len(bits)):
        size = np.uint64(bits[np.uintp(k)]) & unsigned
        largest = max(largest, size)
        least = min(least, size if size > 0 else infinity)
    return least <= most, largest >= infinity


@kernel
def _all_within(values: Any, low: Any, high: Any) -> Any:
    least, largest = low, low
    for k in range(len(values)):
        least, largest = min(least, values[np.uintp(k)]), max(largest, values[np.uintp(k)])
    return (least >= low and largest < high) or len(values) == 0
