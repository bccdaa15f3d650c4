"""Events by time for people: from counts in fixed bins to bars by day, or by what else fits, with the borders of splits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.report.charts import SHOWN, bar_path
from transforms.events.figures import DAY, MINUTE, Figures

MOST_BARS: Final = 190
"""The most bars; a phone shows one every two pixels."""

COLOURS: Final = 4
"""Number of colours, in which splits take turns."""

_WEEK: Final = 7 * DAY
_MONDAY: Final = 4 * DAY
"""1970-01-05."""

_FIXED: Final = {"minute": MINUTE, "5 minutes": 5 * MINUTE, "hour": 3600, "day": DAY, "week": _WEEK}
_CALENDAR: Final = {"month": 1, "quarter": 3, "year": 12, "10 years": 120, "100 years": 1200, "1,000 years": 12000}
"""Widths of bars in months."""

_MONTH_SECONDS: Final = 31 * DAY
_LAST: Final = 1 << 61
"""Seconds that can be reckoned with."""

_FAR: Final = 1 << 55
"""Seconds that NumPy has a date for: about a thousand million years."""


@dataclass(frozen=True)
class Timeline:
    """Bars by time, ready to be drawn in a box of 100 x 100.

    Attributes:
      by: what a bar stands for: "day", "week".
      paths: the number of a colour, and an SVG path of the bars that have it.
      marks: where borders stand, from 0 to 100.
      ticks: the labels below: the left end, the middle, the right end.
      top: the label of the highest bar, and its events.
      before: events to the left of the axis.
      after: events to the right of it.
    """

    by: str
    paths: tuple[tuple[int, str], ...]
    marks: tuple[float, ...]
    ticks: tuple[str, str, str]
    top: tuple[str, int]
    before: int
    after: int


def timeline(figures: Figures, borders: Sequence[int]) -> Timeline | None:
    """Returns the bars of events by time; None if there are none.

    Args:
      figures: the figures of the events.
      borders: where each split but the first begins, in seconds since 1970, ascending.
    """
    bins, counts = figures.times
    if not len(bins):
        return None
    begins = np.clip(bins, -_LAST // figures.width, _LAST // figures.width) * figures.width
    low, high = _range(begins, counts, figures.width, borders)
    by, ends = next(_ends(low, high, figures.width))
    place = np.searchsorted(ends, begins, side="right") - 1
    inside = (place >= 0) & (place < len(ends) - 1)
    heights = np.zeros(len(ends) - 1, np.int64)
    np.add.at(heights, place[inside], counts[inside])
    split = np.searchsorted(np.array(borders, np.int64), ends[:-1], side="right")
    scale = 100 / float(ends[-1] - ends[0])
    places, shares = (ends - ends[0]) * scale, heights / heights.max() * 100
    paths = tuple(
        (int(number) % COLOURS, bar_path(places, np.where(split == number, shares, 0)))
        for number in np.unique(split[heights > 0])
    )
    marks = tuple(round(float(at - ends[0]) * scale, 2) for at in borders if ends[0] <= at <= ends[-1])
    middle, top = len(heights) // 2, int(heights.argmax())
    left, between, right = (label(int(ends[k]), by) for k in (0, middle, len(heights) - 1))
    ticks = left, between if len(heights) > 2 else "", right if len(heights) > 1 else ""
    beside = int(counts[place < 0].sum()), int(counts[place >= len(ends) - 1].sum())
    return Timeline(by, paths, marks, ticks, (label(int(ends[top]), by), int(heights[top])), *beside)


def _range(begins: np.ndarray, counts: np.ndarray, width: int, borders: Sequence[int]) -> tuple[int, int]:
    """Returns the ends of the axis in seconds: around the bins inside of `SHOWN`, and the others and borders that are not far."""
    running = np.cumsum(counts)
    first, last = (int(begins[np.searchsorted(running, share * running[-1])]) for share in SHOWN)
    room = (last + width - first) // 2
    low, high = first - room, last + width + room
    near = [at for at in borders if low <= at <= high]
    inside = begins[(begins >= low) & (begins < high)]
    return min([int(inside[0]), *near]), max([int(inside[-1]) + width, *near])


def _ends(low: int, high: int, width: int) -> Iterator[tuple[str, np.ndarray]]:
    """Yields what bars may stand for, each bar made of whole bins, and where they begin and the last one ends, in seconds."""
    for name, step in _FIXED.items():
        start = _MONDAY if step == _WEEK else 0
        if step % width == 0 and (high - low) // step <= MOST_BARS:
            yield name, _steps(low - start, high - start, step) + start
    if width <= DAY:
        for name, months in _CALENDAR.items():
            if (high - low) // (months * _MONTH_SECONDS) <= MOST_BARS and max(abs(low), abs(high)) < _FAR:
                yield name, _months(low, high, months)
    width = max(width, DAY)
    while (high - low) // width > MOST_BARS:
        width *= 2
    yield f"{width // DAY:,} days", _steps(low, high, width)


def _steps(low: int, high: int, step: int) -> np.ndarray:
    return np.arange(low // step, max(-(-high // step), low // step + 1) + 1) * step


def _months(low: int, high: int, months: int) -> np.ndarray:
    """Returns the beginnings of spans of a number of months."""
    first, last = (int(np.datetime64(at, "s").astype("datetime64[M]").astype(np.int64)) for at in (low, high - 1))
    # NumPy counts months from January 1970; years, tens and hundreds of years begin with those of the calendar.
    since = (first + 1970 * 12) // months * months - 1970 * 12
    found = np.arange(since, last + months + 1, months).astype("datetime64[M]")
    return found.astype("datetime64[s]").astype(np.int64)


def label(seconds: int, by: str = "second") -> str:
    """Returns a moment for people, as exact as `by` needs it.

    >>> label(86400, "day"), label(86400, "month"), label(90, "minute")
    ('1970-01-02', '1970-01', '1970-01-01 00:01')
    """
    if abs(seconds) >= _FAR:
        return f"{seconds:,} s"
    exact = {"month": "M", "quarter": "M", "year": "Y", "10 years": "Y", "100 years": "Y", "1,000 years": "Y"}
    exact |= {"minute": "m", "5 minutes": "m", "hour": "m", "second": "s"}
    return str(np.datetime64(seconds, "s").astype(f"datetime64[{exact.get(by, 'D')}]")).replace("T", " ")
