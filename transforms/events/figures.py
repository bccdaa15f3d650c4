"""Figures of events for people: how many a key, the gaps between them, sessions, and events by time.

They add up over partitions, in any order to the same, and take little memory however many events there are: numbers are
counted in buckets, times in bins that are as narrow as `MOST_BINS` of them allow.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Self

import numpy as np

from transforms.kernels import event_figures
from transforms.kernels.event_figures import BUCKETS, SLOTS
from transforms.kernels.values import read_only
from transforms.parse.units import UNITS
from transforms.rows.tally import BUCKETS_AN_OCTAVE

EVENTS, GAPS, STEPS = "events", "gaps", "steps"
SESSIONS, SESSION_EVENTS, SESSION_TIMES = "sessions", "session_events", "session_times"

WHATS: Final = (EVENTS, GAPS, STEPS, SESSIONS, SESSION_EVENTS, SESSION_TIMES)
"""The figures that are counted in buckets: events of a key, times from one to the next, steps of a sequence that is written;
with `sessions`, sessions of a key, events of a session, and times from its first event to its last."""

MOST_BINS: Final = SLOTS // 4
"""The most bins that times are counted in, empty ones left out."""

MINUTE, DAY = 60, 86400

_NONE: Final = np.zeros(0, np.int64)

Counted = tuple[np.ndarray, np.ndarray]
"""Buckets or bins, ascending, and the number in each; int64."""


@dataclass(frozen=True, eq=False)
class Figures:
    """Figures of some events.

    Attributes:
      counts: what (see `WHATS`) to the lower ends of buckets and the number in each (see `transforms.rows.tally.length_bucket`).
        Times are in ticks.
      largest: what to the largest number.
      tick: nanoseconds per tick of times; 0 where there are no events.
      span: the first and the last time, in ticks since 1970; None where there are no events.
      width: seconds that a bin of times is wide: 60, 3,600, 86,400, or a power of 2 times that.
      times: bins since 1970, and the number of events in each.
      splits: events by split, train first; empty unless time divides them.
    """

    counts: Mapping[str, Counted] = field(default_factory=dict)
    largest: Mapping[str, int] = field(default_factory=dict)
    tick: int = 0
    span: tuple[int, int] | None = None
    width: int = MINUTE
    times: Counted = (_NONE, _NONE)
    splits: tuple[int, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """Returns what `from_json` takes."""
        pairs = {what: np.stack(counted, axis=1).tolist() for what, counted in {**self.counts, "": self.times}.items()}
        return {
            "tick": self.tick,
            "span": list(self.span) if self.span else None,
            "width": self.width,
            "times": pairs.pop(""),
            "splits": list(self.splits),
            "largest": dict(self.largest),
            "counts": pairs,
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Returns what `as_json` gave.

        Raises:
          ValueError, LookupError, TypeError, OverflowError: it is something else.
        """
        if content["width"] < MINUTE or content["tick"] < 0:
            raise ValueError(
                f"expected a width from {MINUTE} and a tick from 0, got {content['width']}, {content['tick']}"
            )
        return cls(
            {str(what): _counted(pairs) for what, pairs in content["counts"].items()},
            {str(what): int(n) for what, n in content["largest"].items()},
            int(content["tick"]),
            (int(content["span"][0]), int(content["span"][1])) if content["span"] else None,
            int(content["width"]),
            _counted(content["times"]),
            tuple(map(int, content["splits"])),
        )


def _counted(pairs: Any) -> Counted:
    found = np.array(pairs, np.int64).reshape(-1, 2)
    if (np.diff(found[:, 0]) <= 0).any() or (found[:, 1] <= 0).any():
        raise ValueError("expected ascending bins, and how many are in each")
    return found[:, 0], found[:, 1]


def in_buckets(numbers: np.ndarray) -> Counted:
    """Counts whole numbers, 0 or more, by bucket.

    >>> [side.tolist() for side in in_buckets(np.array([3, 64, 65, 3]))]
    [[3, 64], [2, 2]]
    """
    counts = np.zeros(BUCKETS, np.int64)
    event_figures.count_numbers(read_only(numbers), counts)
    return _packed(counts)


def _packed(counts: np.ndarray) -> Counted:
    """Returns the lower ends of the buckets that are not empty, and their counts."""
    at = np.flatnonzero(counts)
    octave = np.maximum(at // BUCKETS_AN_OCTAVE - 1, 0)
    return (at - BUCKETS_AN_OCTAVE * octave) << octave, counts[at]


def of_times(times: np.ndarray, tick: int) -> Figures:
    """Returns the figures of times alone: when the events were."""
    if not len(times):
        return Figures()
    span = int(times.min()), int(times.max())
    width, bins, counts = MINUTE, np.empty(SLOTS, np.int64), np.zeros(SLOTS, np.int64)
    while not event_figures.count_times(read_only(times), width * UNITS["s"] // tick, MOST_BINS, bins, counts):
        width = wider(width)
        counts[:] = 0
    there = np.flatnonzero(counts)
    there = there[np.argsort(bins[there])]
    return Figures(tick=tick, span=span, width=width, times=(bins[there], counts[there]))


def wider(width: int) -> int:
    """Returns the next width of bins of times, in seconds; each bin of it holds whole ones of this.

    >>> wider(60), wider(3600), wider(86400)
    (3600, 86400, 172800)
    """
    return {MINUTE: 3600, 3600: DAY}.get(width, 2 * width)


def of_gaps(begins: np.ndarray, ends: np.ndarray, order: np.ndarray, times: np.ndarray) -> tuple[Counted, int]:
    """Counts the times between events by bucket; also returns the longest.

    Args:
      begins: int64 `[keys]`, where the events of each key begin in `order`.
      ends: int64 `[keys]`.
      order: int64, positions of events, those of a key by time.
      times: int64, by position.
    """
    counts = np.zeros(BUCKETS, np.int64)
    runs = read_only(begins), read_only(ends)
    longest = event_figures.count_gaps(*runs, read_only(order), read_only(times), counts)
    return _packed(counts), int(longest)


def together(parts: Iterable[Figures]) -> Figures:
    """Returns the figures of several parts of the events, no key in two of them.

    >>> together([of_times(np.array([5]), 10**9), of_times(np.array([70]), 10**9)]).times[0].tolist()
    [0, 1]
    """
    found = [part for part in parts if part.tick]
    whats = [what for what in WHATS if any(what in part.counts for part in found)]
    spans = [part.span for part in found if part.span]
    width = max((part.width for part in found), default=MINUTE)
    times = _sum(_at_width(part, width) for part in found)
    while len(times[0]) > MOST_BINS:
        times = _coarser(times, wider(width) // width)
        width = wider(width)
    return Figures(
        {what: _sum(part.counts[what] for part in found if what in part.counts) for what in whats},
        {what: max(part.largest.get(what, 0) for part in found) for what in whats},
        max((part.tick for part in found), default=0),
        (min(first for first, _ in spans), max(last for _, last in spans)) if spans else None,
        width,
        times,
        tuple(map(sum, zip(*(part.splits for part in found if part.splits), strict=True))),
    )


def exchanged(whole: Figures, old: Figures, new: Figures) -> Figures:
    """Returns figures in which those of some events stand in place of `old`, which are of a part of them.

    The largest number of a thing that is counted may have been of `old`, and is then at most the end of the last bucket.

    >>> old, new = (Figures({EVENTS: in_buckets(np.array([n]))}, {EVENTS: n}, 1) for n in (2, 3))
    >>> exchanged(together([old, Figures({EVENTS: in_buckets(np.array([1]))}, {EVENTS: 1}, 1)]), old, new).largest
    {'events': 3}
    """
    both = together([whole, new])
    less = {what: (lower, -counts) for what, (lower, counts) in old.counts.items()}
    counts = {what: _positive(_sum([own, less.get(what, (_NONE, _NONE))])) for what, own in both.counts.items()}
    bins, numbers = _at_width(old, both.width)
    largest = {what: min(both.largest[what], _end_of_last(own)) for what, own in counts.items()}
    splits = tuple(one - gone for one, gone in zip(both.splits, old.splits, strict=True)) if old.splits else both.splits
    times = _positive(_sum([both.times, (bins, -numbers)]))
    return replace(both, counts=counts, largest=largest, times=times, splits=splits)


def _positive(counted: Counted) -> Counted:
    there = counted[1] > 0
    return counted[0][there], counted[1][there]


def _end_of_last(counted: Counted) -> int:
    """Returns the largest number of the last bucket that is not empty, 0 where all are; exact beyond 2^53, too."""
    last = int(counted[0][-1]) if len(counted[0]) else 0
    return last + (1 << max(last.bit_length() - BUCKETS_AN_OCTAVE.bit_length(), 0)) - 1


def _at_width(part: Figures, width: int) -> Counted:
    times, own = part.times, part.width
    return _coarser(times, width // own) if own < width else times


def _coarser(times: Counted, factor: int) -> Counted:
    return _sum([(times[0] // factor, times[1])])


def _sum(parts: Iterable[Counted]) -> Counted:
    pairs = list(parts)
    if not pairs:
        return _NONE, _NONE
    bins, place = np.unique(np.concatenate([bins for bins, _ in pairs]), return_inverse=True)
    counts = np.zeros(len(bins), np.int64)
    np.add.at(counts, place, np.concatenate([counts for _, counts in pairs]))
    return bins, counts


def by_split(times: np.ndarray, borders: Sequence[int]) -> tuple[int, ...]:
    """Returns how many times are in each split, train first; nothing without borders.

    >>> by_split(np.array([1, 5, 9, 9]), [5, 7])
    (1, 1, 2)
    """
    after = [len(times), *(int(np.count_nonzero(times >= border)) for border in borders), 0]
    return tuple(one - other for one, other in itertools.pairwise(after)) if borders else ()
