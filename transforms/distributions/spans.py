"""Counts of ranges of numbers, which bins around a centre, and buckets of lengths, stand for."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from transforms.distributions import histograms
from transforms.rows.tally import bucket_end


@dataclass(frozen=True)
class Spans:
    """Counts of ranges of numbers that do not overlap, ascending.

    Attributes:
      lower: where each begins, float64.
      upper: where it ends; the same as `lower` if the range is one number.
      counts: the number of values in it.
      whole: whether all are whole numbers.
      beside: the number of values that are not finite: infinity, minus infinity, NaN.
      centre: the value that they were counted around.
    """

    lower: np.ndarray
    upper: np.ndarray
    counts: np.ndarray
    whole: bool = False
    beside: tuple[int, int, int] = (0, 0, 0)
    centre: float = 0.0

    @property
    def not_finite(self) -> int:
        """The number of values that are not finite."""
        return sum(self.beside)

    @property
    def total(self) -> int:
        """The number of finite values."""
        return int(self.counts.sum())

    def quantile(self, share: float) -> float:
        """Returns a quantile, as if numbers were spread evenly over their range; a whole one where all are."""
        running = np.cumsum(self.counts)
        at = int(np.searchsorted(running, share * running[-1]))
        inside = (share * running[-1] - (running[at] - self.counts[at])) / self.counts[at]
        value = float(self.lower[at] + inside * (self.upper[at] - self.lower[at]))
        return float(math.ceil(value - 0.5)) if self.whole else value


def of_bins(bins: np.ndarray, counts: np.ndarray, centre: float = 0.0, whole: bool = False) -> Spans:
    """Returns the ranges that bins stand for.

    Args:
      bins: see `transforms.distributions.histograms.BINS`.
      counts: of each bin.
      centre: the value that values were counted around.
      whole: whether the values are whole numbers. Each then takes the room from 0.5 before to 0.5 after it.
    """
    finite = histograms.is_finite(bins)
    lower, upper = histograms.edges(bins[finite])
    if whole:
        below_zero = bins[finite] >= histograms.BINS // 2
        lower = np.where(below_zero, np.floor(lower) + 0.5, np.ceil(lower) - 0.5)
        upper = np.where(below_zero, np.floor(upper) + 0.5, np.ceil(upper) - 0.5)
        centre = float(round(centre))
    order = np.lexsort([upper, lower])
    infinity = 255 << histograms.MANTISSA_BITS
    plus, minus = (int(counts[bins == odd].sum()) for odd in (infinity, infinity + histograms.BINS // 2))
    beside = (plus, minus, int(counts[~finite].sum()) - plus - minus)
    return Spans(lower[order] + centre, upper[order] + centre, counts[finite][order], whole, beside, centre)


def of_lengths(histogram: Mapping[int, int]) -> Spans:
    """Returns the ranges of lengths in steps, by the lower ends of their buckets (see `transforms.rows.tally.length_bucket`)."""
    lengths = np.array(sorted(histogram), np.int64)
    counts = np.array([histogram[int(at)] for at in lengths], np.int64)
    return Spans(lengths - 0.5, bucket_end(lengths) + 0.5, counts, whole=True)
