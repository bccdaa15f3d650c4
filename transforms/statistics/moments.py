"""Count, mean, variance, smallest and largest of many columns: the correctly rounded ones, of exact sums.

What batches amount to are integers (`transforms.kernels.sums`) that merge by adding, so that the same values have the same mean
and variance, to the last bit, however they were parted and in whatever order they came. Only the end is rounded.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

ROWS: Final = ("count", "mean", "variance", "min", "max")
"""Rows of a table; the variance is that of the population (ddof 0)."""


def empty(dimensions: int) -> np.ndarray:
    """Returns the table of no values: `[5, dimensions]` float64, count, mean and variance 0, min +inf, max -inf."""
    table = np.zeros((len(ROWS), dimensions))
    table[3], table[4] = np.inf, -np.inf
    return table


@dataclass
class Moments:
    """The moments of values, in parts with figures of their own, each of the same number of dimensions. Pickles.

    Attributes:
      dtype: dtype of the values: `float32`, `float64` or `int64`.
      counts: int64 `[parts, width]`.
      low: float64 `[parts, width]`, +inf without values.
      high: float64 `[parts, width]`, -inf without values.
      limbs: uint32 `[parts, width, limbs]`, the sums (see `transforms.kernels.sums`).
    """

    dtype: str
    counts: np.ndarray
    low: np.ndarray
    high: np.ndarray
    limbs: np.ndarray

    @classmethod
    def empty(cls, dtype: str, parts: int, width: int) -> Moments:
        """Returns what no values amount to."""
        from transforms.kernels.sums import LAYOUTS

        shape = (parts, width)
        limbs = np.zeros((*shape, LAYOUTS[dtype].limbs), np.uint32)
        return cls(dtype, np.zeros(shape, np.int64), np.full(shape, np.inf), np.full(shape, -np.inf), limbs)

    @classmethod
    def of(cls, values: np.ndarray, observed: np.ndarray, splits: np.ndarray) -> Moments:
        """Returns what values amount to.

        Args:
          values: float32, float64 or int64 `[n, width]`.
          observed: bool `[n, width]`; values elsewhere do not count, whatever they are. The others are finite.
          splits: int64 `[parts + 1]`, where each part begins and ends.
        """
        from transforms.kernels import sums
        from transforms.kernels.values import read_only

        if observed.shape != values.shape or splits[0] < 0 or splits[-1] > len(values) or (np.diff(splits) < 0).any():
            raise ValueError(f"expected ascending splits of {len(values)} values, got {splits!r}")
        made = cls.empty(values.dtype.name, len(splits) - 1, values.shape[1])
        layout, values = sums.LAYOUTS[made.dtype], read_only(values)
        bits = values.view(np.uint32 if made.dtype == "float32" else np.uint64)
        own = (layout.mantissa_bits, layout.sum_limbs, made.counts, made.low, made.high, made.limbs)
        sums.add_values(values, bits, read_only(observed), read_only(splits), *own)
        return made

    def add(self, other: Moments, into: np.ndarray | None = None) -> Moments:
        """Adds parts to parts of this, and returns it.

        Args:
          other: the addend.
          into: int64, to which part each of its parts is added; to the one of the same number, if left out.
        """
        from transforms.kernels import sums
        from transforms.kernels.values import read_only

        into = np.arange(len(other.counts)) if into is None else into
        if other.dtype != self.dtype or other.limbs.shape[1:] != self.limbs.shape[1:] or len(into) != len(other.counts):
            raise ValueError(
                f"expected sums of {self.dtype} {self.counts.shape}, got {other.dtype} {other.counts.shape}"
            )
        if len(into) and not 0 <= into.min() <= into.max() < len(self.counts):
            raise ValueError(f"expected parts of {len(self.counts)}, got {into!r}")
        counts, low, high, limbs, at = map(read_only, (other.counts, other.low, other.high, other.limbs, into))
        sum_limbs = sums.LAYOUTS[self.dtype].sum_limbs
        sums.merge(counts, low, high, limbs, at, sum_limbs, self.counts, self.low, self.high, self.limbs)
        return self

    def figures(self) -> np.ndarray:
        """Returns float64 `[parts, 5, width]`, in the order of `ROWS`: as `empty` without values."""
        from transforms.kernels.sums import LAYOUTS

        layout = LAYOUTS[self.dtype]
        end = layout.sum_limbs * 4
        made = np.zeros((2, self.counts.size))
        texts = self.limbs.astype("<u4").reshape(self.counts.size, layout.limbs)
        for k, count in enumerate(self.counts.reshape(-1).tolist()):
            if count:
                text = texts[k].tobytes()
                total = int.from_bytes(text[:end], "little", signed=True)
                squares = int.from_bytes(text[end:], "little", signed=True)
                made[:, k] = rounded(count, total, squares, layout.unit)
        mean, variance = made.reshape(2, *self.counts.shape)
        return np.stack([self.counts.astype(np.float64), mean, variance, self.low, self.high], axis=1)


def rounded(count: int, total: int, squares: int, unit: int) -> tuple[float, float]:
    """Returns mean and variance, each the float64 nearest to the true one; infinite beyond that.

    >>> rounded(3, 6, 14, 0)  # 1, 2 and 3
    (2.0, 0.6666666666666666)

    Args:
      count: number of values, not 0.
      total: their sum, in units of two to the power of `unit`.
      squares: the sum of their squares, in units of two to twice that power.
      unit: 0 or less.
    """
    # Python divides integers of any size with one rounding.
    mean = total / (count << -unit)
    try:
        return mean, (count * squares - total * total) / (count * count << -2 * unit)
    except OverflowError:
        return mean, math.inf


def pooled(table: np.ndarray) -> np.ndarray:
    """Returns the table `[5, 1]` of all dimensions together, to some last bits, from that of each `[5, dimensions]`."""
    count, mean, variance, low, high = table
    total = count.sum()
    safe = max(total, 1.0)
    with np.errstate(over="ignore", invalid="ignore"):  # variances may be infinite
        middle = (count * mean / safe).sum()
        spread = (count * (variance + (mean - middle) ** 2) / safe).sum()
    return np.array([[total], [middle], [spread], [low.min(initial=np.inf)], [high.max(initial=-np.inf)]])


def dumps(table: np.ndarray) -> bytes:
    """Returns a table as the JSON that is kept with a data set (`moments.json`)."""
    return json.dumps({"rows": ROWS, "table": np.asarray(table).tolist()}).encode()


def loads(text: bytes | str) -> np.ndarray:
    """Returns a table that `dumps` wrote, or an earlier version: that had the sum of squared deviations for the variance."""
    found = json.loads(text)
    table = np.array(found["table"], np.float64).reshape(len(ROWS), -1)
    if "rows" not in found:
        table[2] /= np.maximum(table[0], 1)
    return table


def readable(figures: np.ndarray, there: np.ndarray) -> Any:
    """Returns figures as lists for JSON: None where there are no values, and where a figure was beyond float64."""
    return np.where(there & np.isfinite(figures), figures.astype(object), np.array(None, object)).tolist()


def slices(widths: Sequence[int]) -> list[slice]:
    """Returns where each column stands in a table of columns with these widths."""
    ends = np.cumsum(widths)
    return [slice(int(end) - width, int(end)) for end, width in zip(ends, widths, strict=True)]
