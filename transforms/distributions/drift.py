"""Measures of drift between counts: those of TensorFlow Data Validation, on bins that two data sets share.

The formulas are those of `tensorflow_data_validation/anomalies/metrics.cc` (TFDV 1.x), which the drift and skew comparators of
its schemas use: `LInftyDistance` for categories, `JensenShannonDivergence` for numbers, in base 2, on histograms whose values
are taken as spread evenly over their bins. Two things differ. Values that are not finite form three categories (infinity, minus
infinity, NaN), of which two data sets may have the same share; in TFDV such values of one never equal those of the other, so
that a data set would differ from itself. And bins are merged to a few dozen that hold about the same share of both, because with
thousands of narrow bins the chance of sampling alone would look like drift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final, TypeVar

import numpy as np

from transforms.distributions.spans import Spans

COMMON_BINS: Final = 40
"""The most bins that two distributions are merged to; a number that is more frequent than 1 in 40 has one for itself."""

Category = TypeVar("Category")


def l_infinity(one: Mapping[Category, int], other: Mapping[Category, int]) -> tuple[float, Category | None]:
    """Returns the L-infinity distance between two distributions over categories: the largest difference in a category's share.

    >>> l_infinity({"a": 3, "b": 1}, {"a": 1, "c": 1})
    (0.5, 'c')

    Args:
      one: counts by category.
      other: the same for the other; a missing category has no share.

    Returns:
      The distance, 0 to 1: 0 if neither has counts, 1 if only one of them has; and the category that differs most, None
      for none.
    """
    totals = sum(one.values()), sum(other.values())
    if not all(totals):
        return float(any(totals)), None
    shares = {key: one.get(key, 0) / totals[0] - other.get(key, 0) / totals[1] for key in {**one, **other}}
    most = max(shares, key=lambda key: abs(shares[key]))
    return abs(shares[most]), most if shares[most] else None


def jensen_shannon(one: np.ndarray, other: np.ndarray) -> float:
    """Returns the Jensen-Shannon divergence in base 2 of two distributions over the same bins.

    It is (KL(p || m) + KL(q || m)) / 2 with m = (p + q) / 2: the square of `scipy.spatial.distance.jensenshannon(p, q, 2)`.

    >>> jensen_shannon(np.array([1, 1]), np.array([1, 0])).__round__(4)
    0.3113

    Args:
      one: counts `[bins]`, of any scale.
      other: the same for the other.

    Returns:
      0 for equal distributions to 1 for those without a bin in common: 0 if neither has counts, 1 if only one of them has.
    """
    totals = float(one.sum()), float(other.sum())
    if not all(totals):
        return float(any(totals))
    p, q = one / totals[0], other / totals[1]
    m = (p + q) / 2
    found = sum(float((side[side > 0] * np.log2(side[side > 0] / m[side > 0])).sum()) for side in (p, q)) / 2
    return min(max(found, 0.0), 1.0)


def by_chance(bins: int, one: float, other: float) -> float:
    """Returns about the divergence between two samples of one distribution: (bins - 1) (1/n + 1/m) / (8 ln 2).

    That is its expected value if numbers are drawn independently, by the first terms of its series; those of a sequence
    seldom are, so take it as a lower bound. 0 for fewer than two bins, or if one sample has no counts.

    >>> round(by_chance(40, 1000, 1000), 4), by_chance(1, 5, 5)
    (0.0141, 0.0)

    Args:
      bins: the number of bins with counts.
      one: n, the size of one sample.
      other: m, the size of the other.
    """
    return max(bins - 1, 0) * (1 / one + 1 / other) / (8 * math.log(2)) if one and other else 0.0


def in_common(one: Spans, other: Spans) -> tuple[np.ndarray, np.ndarray]:
    """Returns the counts of two distributions over the same bins, float64 `[bins]` each.

    Bins around different centres are cut where both allow it (see `cuts`), and merged to at most `COMMON_BINS`; then come
    infinity, minus infinity and NaN, if there are any. An empty distribution has zeros.
    """
    beside = np.array([one.beside, other.beside], np.float64)
    ends = cuts(one, other)
    if len(ends) < 2:
        return beside[0], beside[1]
    sides = np.stack([spread(side, ends) for side in (one, other)])
    share = (sides / np.maximum(sides.sum(axis=1, keepdims=True), 1)).mean(axis=0)
    share /= share.sum()
    cell = np.minimum(((np.cumsum(share) - share / 2) * COMMON_BINS).astype(np.int64), COMMON_BINS - 1)
    starts = np.flatnonzero(np.diff(cell, prepend=-1))
    merged = np.concatenate([np.add.reduceat(sides, starts, axis=1), beside], axis=1)
    merged = merged[:, merged.any(axis=0)]
    return merged[0], merged[1]


def spread(spans: Spans, ends: np.ndarray) -> np.ndarray:
    """Returns counts over other bins, as if numbers were spread evenly over their own: float64 `[bins]`.

    Args:
      spans: the distribution.
      ends: where the other bins end, ascending, float64 `[bins + 1]`. They cover the whole distribution.
    """
    if not len(spans.counts):
        return np.zeros(len(ends) - 1)
    whole = np.concatenate([[0.0], np.cumsum(spans.counts, dtype=np.float64)])
    at = np.searchsorted(spans.upper, ends, "right")  # all bins before it lie left of an end
    inside = np.minimum(at, len(spans.counts) - 1)
    width = np.where(spans.upper > spans.lower, spans.upper - spans.lower, 1.0)[inside]
    part = np.clip((ends - spans.lower[inside]) / width, 0.0, 1.0) * (at == inside)
    running = whole[at] + part * spans.counts[inside]
    running[0] = 0.0
    return np.diff(running)


def cuts(one: Spans, other: Spans) -> np.ndarray:
    """Returns the ends of the bins that two distributions are converted to, ascending, float64.

    With one centre these are the ends of their own bins. With two centres an end of one may lie inside a bin of the other, and
    cutting that bin assumes that its numbers are spread evenly. A bin is cut only by an end at which one bin follows another,
    so that there may be numbers on both sides, and only if it is not the wider one. There is also no cut where a bin of one only
    ends and a bin of the other only begins, or where a bin has no width: one number may be on both sides. So a number that both
    have, far from any other, stays whole.
    """
    ends = np.unique(np.concatenate([one.lower, one.upper, other.lower, other.upper]))
    if not len(one.counts) or not len(other.counts) or one.centre == other.centre:
        return ends
    allowed = np.ones(len(ends), bool)
    for own, its in ((one, other), (other, one)):
        at = np.minimum(np.searchsorted(its.upper, ends, "right"), len(its.counts) - 1)
        inside = (its.lower[at] < ends) & (ends < its.upper[at])
        ending, beginning = (np.isin(ends, side) for side in (own.upper, own.lower))
        widths = own.upper - own.lower
        left, right = (np.minimum(np.searchsorted(side, ends), len(widths) - 1) for side in (own.upper, own.lower))
        narrow = its.upper[at] - its.lower[at] <= np.minimum(widths[left], widths[right])
        allowed &= ~inside | (ending & beginning & narrow)
        if not own.whole:
            meets = np.isin(ends, its.lower) & ~np.isin(ends, its.upper)
            allowed &= ~(ending & ~beginning & meets) & ~np.isin(ends, own.lower[widths == 0])
    allowed[[0, -1]] = True
    return ends[allowed]
