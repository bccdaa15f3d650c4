"""Histograms for people: from counts in fixed bins to some dozens of bars and to quantiles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from pipeline.report.figures import duration, figure
from transforms.distributions.spans import Spans
from transforms.rows.tally import BUCKETS_AN_OCTAVE, EXACT_LENGTHS

MOST_BARS: Final = 40
SHOWN: Final = (0.005, 0.995)
"""The quantiles that an axis covers; values beyond them are shown only if they are near."""

QUANTILES: Final = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)

_LONG_TAIL: Final = 30.0
"""If positive values reach this many times as far as their median, the axis is logarithmic."""


Scale = Callable[[Any], Any]
"""A function from numbers to places on an axis."""


@dataclass(frozen=True)
class Chart:
    """Bars, ready to be drawn in a box of 100 x 100.

    Attributes:
      path: an SVG path of all bars.
      ticks: the labels below: the left end, the middle, the right end.
      logarithmic: whether the axis is.
      outside: the number of values to the left or right of it.
      heights: the number in each bar, rounded.
      low: where the axis begins.
      high: where it ends.
    """

    path: str
    ticks: tuple[str, str, str]
    logarithmic: bool
    outside: int
    heights: tuple[int, ...]
    low: float
    high: float

    def place(self, value: float) -> float | None:
        """Returns where a number stands on a linear axis, from 0 to 100; None for beyond it."""
        at = 100 * (value - self.low) / (self.high - self.low)
        return round(at, 1) if 0 <= at <= 100 and not self.logarithmic else None


def chart(spans: Spans) -> Chart | None:
    """Returns the bars of a histogram; None where there is nothing to show."""
    if not spans.total:
        return None
    low, high, logarithmic, scale, ends = _axis([spans])
    heights = _rebinned(spans, ends, scale)
    inside = float(heights.sum())
    texts = _ticks(low, high, logarithmic, spans.whole)
    path = bar_path(_places(ends), heights / heights.max() * 100)
    return Chart(
        path, texts, logarithmic, round(spans.total - inside), tuple(round(float(h)) for h in heights), low, high
    )


def doubling(spans: Spans, largest: int) -> Chart | None:
    """Returns the bars of whole numbers of any size: one bar each, or as many bars for each octave, made of whole buckets.

    Args:
      spans: their ranges, as `transforms.distributions.spans.of_lengths` gives them, from 1 on.
      largest: the largest number.
    """
    if not spans.total:
        return None
    numbers = np.ceil(spans.lower).astype(np.int64)
    first = int(numbers[0])
    if largest < min(first + MOST_BARS, EXACT_LENGTHS):
        ends = np.arange(first, largest + 2)
    else:
        octaves, parts = range(max(first, 1).bit_length() - 1, largest.bit_length()), BUCKETS_AN_OCTAVE
        while parts > 1 and parts * len(octaves) > MOST_BARS:
            parts //= 2
        ends = np.unique([(1 << k) + (j << k) // parts for k in octaves for j in range(parts)] + [1 << octaves.stop])
        ends = ends[np.searchsorted(ends, first, side="right") - 1 :]
    heights = np.zeros(len(ends) - 1)
    np.add.at(heights, np.searchsorted(ends, numbers, side="right") - 1, spans.counts)
    while heights[-1] == 0:
        ends, heights = ends[:-1], heights[:-1]
    path = bar_path(np.linspace(0, 100, len(ends)), heights / heights.max() * 100)
    lower = [f"{int(at):,}" for at in ends[:-1]]
    ticks = (lower[0], lower[len(lower) // 2] if len(lower) > 2 else "", lower[-1] if len(lower) > 1 else "")
    return Chart(path, ticks, False, 0, tuple(map(int, heights)), float(ends[0]), float(ends[-1]))


def durations(spans: Spans, tick: int) -> Chart | None:
    """Returns the bars of times on a logarithmic axis, without those that are 0; None if there are no others.

    Args:
      spans: their ranges, in ticks.
      tick: nanoseconds per tick.
    """
    some = spans.lower > 0
    if not some.any():
        return None
    above = Spans(spans.lower[some], spans.upper[some], spans.counts[some])
    low, high = float(above.lower[0]), float(above.upper[-1])
    if high < 10 * low:
        middle = math.sqrt(low * high)
        low, high = middle / math.sqrt(10), middle * math.sqrt(10)
    ends = np.linspace(math.log10(low), math.log10(high), MOST_BARS + 1)
    heights = _rebinned(above, ends, np.log10)
    path = bar_path(_places(ends), heights / heights.max() * 100)
    ticks = tuple(duration(value * tick) for value in (low, math.sqrt(low * high), high))
    return Chart(path, ticks, True, 0, tuple(round(float(h)) for h in heights), low, high)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Overlaid:
    """Two histograms in one box of 100 x 100, as shares: bars, and the outline of the other before them.

    Attributes:
      bars: an SVG path of the first.
      outline: an SVG path of the second.
      ticks: the labels below: the left end, the middle, the right end.
      logarithmic: whether the axis is.
      outside: the number of values of each to the left or right of it.
    """

    bars: str
    outline: str
    ticks: tuple[str, str, str]
    logarithmic: bool
    outside: tuple[int, int]


def overlaid(one: Spans, other: Spans) -> Overlaid | None:
    """Returns two histograms on one axis; None if there is nothing to show."""
    full = [spans for spans in (one, other) if spans.total]
    if not full:
        return None
    low, high, logarithmic, scale, ends = _axis(full)
    heights = [_rebinned(spans, ends, scale) if spans.total else np.zeros(len(ends) - 1) for spans in (one, other)]
    first, second = (round(spans.total - float(own.sum())) for spans, own in zip((one, other), heights, strict=True))
    shares = [own / max(spans.total, 1) for spans, own in zip((one, other), heights, strict=True)]
    top = max(float(own.max()) for own in shares) or 1.0
    bars, outline = (
        draw(_places(ends), own / top * 100) for draw, own in zip((bar_path, _outline), shares, strict=True)
    )
    return Overlaid(bars, outline, _ticks(low, high, logarithmic, full[0].whole), logarithmic, (first, second))


def _axis(sides: Sequence[Spans]) -> tuple[float, float, bool, Scale, np.ndarray]:
    """Returns where an axis begins and ends, whether it is logarithmic, its scale, and where its bars end on that."""
    ranges, middles = [_range(spans) for spans in sides], [spans.quantile(0.5) for spans in sides]
    low, high = min(low for low, _ in ranges), max(high for _, high in ranges)
    whole, middle = all(spans.whole for spans in sides), min(middles)
    logarithmic = not whole and low > 0 and middle > 0 and high > _LONG_TAIL * middle
    scale: Scale = np.log10 if logarithmic else np.asarray
    if whole and high - low <= MOST_BARS:
        ends = np.arange(math.floor(low), math.ceil(high)) + 0.5
        ends = np.unique(np.concatenate([[low], ends, [high]]))
    else:
        ends = np.linspace(scale(low), scale(high), MOST_BARS + 1)
    return low, high, logarithmic, scale, ends


def _range(spans: Spans) -> tuple[float, float]:
    """Returns the ends of the axis: all numbers, where the few outside of `SHOWN` are not far away."""
    first, last = float(spans.lower[0]), float(spans.upper.max())
    low, high = (spans.quantile(share) for share in SHOWN)
    if spans.whole:
        low, high = low - 0.5, high + 0.5
    if last - first <= 1.5 * (high - low) or high <= low:
        low, high = first, last
    if not high > low:  # one number, and its bin has no width
        room = max(0.5, MOST_BARS * float(np.spacing(abs(low))))  # beyond 2^53 there is no number within 0.5
        return low - room, high + room
    return low, high


def _rebinned(spans: Spans, ends: np.ndarray, scale: Scale) -> np.ndarray:
    """Spreads the counts over other ranges, those of a range evenly."""
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, upper = scale(spans.lower), scale(spans.upper)
    tiny = np.float64(ends[0]) - 1.0
    lower, upper = (np.nan_to_num(side, nan=tiny, neginf=tiny, posinf=1e300) for side in (lower, upper))
    width = np.maximum(upper - lower, np.finfo(np.float64).tiny)
    made = np.zeros(len(ends) - 1)
    for at, (left, right) in enumerate(itertools.pairwise(ends)):
        last = at == len(made) - 1
        with np.errstate(over="ignore"):  # where the width is next to nothing, which is looked at below
            share = np.clip((np.minimum(upper, right) - np.maximum(lower, left)) / width, 0, 1)
        point = (upper - lower <= 0) | (width < 1e-12 * (ends[-1] - ends[0]))  # all of it is in one bar
        inside = (lower >= left) & ((lower < right) | (last & (lower <= right)))
        made[at] = float((np.where(point, inside, share) * spans.counts).sum())
    return made


def _places(ends: np.ndarray) -> np.ndarray:
    return (ends - ends[0]) / (ends[-1] - ends[0]) * 100


def _outline(ends: np.ndarray, heights: np.ndarray) -> str:
    parts = [
        f"V{100 - (max(height, 1) if height > 0 else 0):.1f}H{right:.1f}"
        for right, height in zip(ends[1:], heights, strict=True)
    ]
    return f"M{ends[0]:.1f} 100{''.join(parts)}V100" if heights.any() else ""


def bar_path(ends: np.ndarray, heights: np.ndarray) -> str:
    """Returns an SVG path of bars in a box of 100 x 100: where they end, one more than bars, and their heights; none for 0."""
    parts = []
    for left, right, height in zip(ends[:-1], ends[1:], heights, strict=True):
        if height > 0:
            gap = min(0.3, (right - left) * 0.15)
            parts.append(f"M{left + gap / 2:.1f} 100V{100 - max(height, 1):.1f}H{right - gap / 2:.1f}V100")
    return "".join(parts)


def _ticks(low: float, high: float, logarithmic: bool, whole: bool) -> tuple[str, str, str]:
    middle = math.sqrt(low * high) if logarithmic else (low + high) / 2
    if whole:
        low, middle, high = math.ceil(low), round(middle), math.floor(high)
        if middle in (low, high):
            return figure(low), "", figure(high)
    span = None if logarithmic else high - low
    return tuple(figure(value, span) for value in (low, middle, high))  # type: ignore[return-value]
