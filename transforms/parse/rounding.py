"""Detection of rounding that makes different values of a column equal, in some values of every batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

LOOKED_AT: Final = 4096
"""Values of a batch, the first ones: neighbours are what rounding makes equal, and more would cost time in every batch."""

FEW: Final = 1000
"""One in this many different values must be lost before it is reported: some fractions always meet in float32."""

_WHOLE: Final = {"float32": 2**24, "float64": 2**53}
"""Up to where every integer is a number of the dtype."""


@dataclass(frozen=True)
class Rounded:
    """The effect of rounding on some values.

    Attributes:
      different: how many distinct values there were.
      left: how many distinct values were left.
      whole: how many were lost among whole numbers. These are times, counts or keys, which must stay distinct.
    """

    different: int = 0
    left: int = 0
    whole: int = 0

    @property
    def matters(self) -> bool:
        """Whether a person should know."""
        return self.whole > 0 or (self.different - self.left) * FEW > self.different

    def __add__(self, other: Rounded) -> Rounded:
        """Adds up the findings of several batches."""
        return Rounded(self.different + other.different, self.left + other.left, self.whole + other.whole)


def rounded(values: np.ndarray, made: np.ndarray) -> Rounded:
    """Returns what rounding did; nothing was different where it changed no value.

    >>> rounded(np.array([16777216, 16777217]), np.array([16777216, 16777217], np.float32))
    Rounded(different=2, left=1, whole=1)

    Args:
      values: integers or floats `[n]`.
      made: the rounded values, float32 or float64.
    """
    values, made = values[:LOOKED_AT], made[:LOOKED_AT]
    is_whole = values.dtype.kind in "iu"
    if is_whole:
        limit = _WHOLE[made.dtype.name]
        if not len(values) or (int(values.min()) >= -limit and int(values.max()) <= limit):
            return Rounded()
    finite = np.isfinite(made)  # a null among integers has become NaN, which is no value of its own
    values, made = values[finite], made[finite]
    if not is_whole:
        if (values == made).all():
            return Rounded()
        is_whole = bool(((np.floor(values) == values) & (np.abs(values) <= _WHOLE["float64"])).all())
    different, left = len(np.unique(values)), len(np.unique(made))
    return Rounded(different, left, different - left if is_whole else 0)
