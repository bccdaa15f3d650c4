"""How the values of a field are spread over the events: the figures by which a key differs from a property or a reading."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

CLOSE: Final = 0.3
"""Gaps to the next event of the same value, of those that chance would give: their median is 0.6 to 0.7 by chance."""

EVEN: Final = (0.8, 1.25)
"""Gaps that are near their mean: a fifth of them by chance."""

NEARLY: Final = 0.8
"""Share of gaps, rows or times that show a habit."""

OFTEN: Final = 0.5
"""Share of all times at which most values have an event, where these are read at the same times."""

SEVERAL: Final = 1.5
"""Events at a time, at least, in readings of several things at the same times."""

RARELY: Final = 0.02
"""Share of the events, or of the steps in time, that may do otherwise."""

NEAR: Final = 0.1
"""Distance of values that follow each other, as a share of the number of values: 0.3 by chance."""

LEAST: Final = 10
"""Different values from which on their distances tell something."""


@dataclass(frozen=True)
class Spread:
    """Figures of a field in events that have it and a time.

    Attributes:
      rows: how many events these are.
      distinct: how many different values.
      repeated: share of the events whose value another one has.
      moments: of the values that several events have, the median number of different times.
      is_close: whether events of one value stand closer together in time than by chance.
      is_even: whether events of one value come at even distances.
      is_grid: whether most values have an event at most of the times, several a time, and hardly ever two of one.
      is_together: whether events of one value stand together in the files.
      follows_time: whether the values grow with time.
      drifts: whether values next to each other in time are near in size, as those of a measurement are.
    """

    rows: int
    distinct: int
    repeated: float
    moments: float
    is_close: bool = False
    is_even: bool = False
    is_grid: bool = False
    is_together: bool = False
    follows_time: bool = False
    drifts: bool = False

    @property
    def each(self) -> float:
        """Events per value, on average."""
        return self.rows / max(self.distinct, 1)


def spread(codes: np.ndarray, times: np.ndarray, are_numbers: bool) -> Spread:
    """Returns the figures of a field.

    Args:
      codes: int64 `[n]`, its values as numbers from 0 in their order, by file.
      times: int64 `[n]`, the times of the events.
      are_numbers: whether the values are numbers, so that a distance means something.
    """
    counts = np.bincount(codes) if len(codes) else np.zeros(0, np.int64)
    distinct = int((counts > 0).sum())
    repeated = float(counts[counts > 1].sum() / max(len(codes), 1))
    if repeated == 0:
        return Spread(len(codes), distinct, 0.0, 0.0)
    moments = np.bincount(_pairs(codes, times)[0], minlength=len(counts))
    in_time = codes[np.argsort(times, kind="stable")]
    gaps = _gaps(in_time, counts)
    return Spread(
        len(codes),
        distinct,
        repeated,
        float(np.median(moments[counts > 1])),
        bool(np.median(gaps) < CLOSE),
        bool(((gaps >= EVEN[0]) & (gaps <= EVEN[1])).mean() >= NEARLY),
        _is_grid(times, counts, moments),
        _is_together(codes, counts),
        _follows(in_time, distinct),
        are_numbers and _drifts(in_time, distinct),
    )


def _gaps(in_time: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Returns how many events lie from one to the next of the same value, as a share of the mean by its frequency."""
    order = np.argsort(in_time, kind="stable")
    same = in_time[order][1:] == in_time[order][:-1]
    return np.diff(order)[same] * counts[in_time[order][1:][same]] / len(in_time)


def _is_grid(times: np.ndarray, counts: np.ndarray, moments: np.ndarray) -> bool:
    """Whether most values have an event at most of the times, several a time, and hardly ever two of one."""
    different = len(np.unique(times))
    often = np.median(moments[counts > 1]) >= OFTEN * different
    return bool(often and len(times) >= SEVERAL * different and moments.sum() >= (1 - RARELY) * len(times))


def _is_together(codes: np.ndarray, counts: np.ndarray) -> bool:
    chance = float(((counts / len(codes)) ** 2).sum())
    return bool((codes[1:] == codes[:-1]).mean() >= max(0.5, 3 * chance))


def _follows(in_time: np.ndarray, distinct: int) -> bool:
    steps = np.diff(in_time)
    changes = steps[steps != 0]
    return bool(distinct > 2 and len(changes) and (changes < 0).mean() <= RARELY)


def _drifts(in_time: np.ndarray, distinct: int) -> bool:
    steps = np.abs(np.diff(in_time))
    steps = steps[steps > 0]
    return bool(distinct >= LEAST and len(steps) and np.median(steps) < NEAR * distinct)


def togetherness(codes: np.ndarray, of: np.ndarray) -> tuple[float, float]:
    """Returns how far events of one value share another field's value, 0 as by chance and 1 always; and how many values do not.

    Args:
      codes: int64 `[n]`, the values of one field as numbers from 0.
      of: int64 `[n]`, those of the other field.

    Returns:
      The agreement of pairs of events of one value beyond that of any two events, each event counting alike; NaN without a pair,
      or where the other field is the same in all events. And the share of values with several events that stand with several
      values of the other field.
    """
    counts = np.bincount(codes).astype(np.float64)
    first, both = _pairs(codes, of)
    total = np.bincount(of).astype(np.float64)
    chance = float((total * (total - 1)).sum() / max(len(of) * (len(of) - 1), 1))
    several = counts > 1
    if not several.any() or chance >= 1:
        return float("nan"), 0.0
    same = np.bincount(first, both * (both - 1.0), len(counts))[several]
    weight = counts[several]
    agreement = float((same / (weight * (weight - 1)) * weight).sum() / weight.sum())
    mixed = np.bincount(first, minlength=len(counts))[several] > 1
    return (agreement - chance) / (1 - chance), float(mixed.mean())


def _pairs(codes: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first part of every different pair, and how often the pair is there, int64 `[pairs]` each."""
    number = np.unique(others, return_inverse=True)[1]
    width = int(number.max(initial=0)) + 1
    pairs, counts = np.unique(codes * width + number, return_counts=True)
    return pairs // width, counts
