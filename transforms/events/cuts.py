"""Ordered events to sequences: split by time, unique, sessions, windows, target, min_events, longer; in that order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from transforms.events.accounting import LONGER, MIN_EVENTS, UNIQUE, USED
from transforms.events.order import Ranked, equal_runs, refined, segments
from transforms.events.spec import Events, Windows
from transforms.kernels import event_order, event_steps
from transforms.kernels.values import read_only
from transforms.parse.units import duration

EARLIEST: Final = -(2**63)


@dataclass(frozen=True)
class Listed:
    """The events of each key, and of each split of it: its events up to the split's end, in order.

    Attributes:
      order: int64, positions of events.
      begins: int64 `[lists]`, where each list begins in `order`; lists may overlap.
      ends: int64 `[lists]`.
      splits: int64 `[lists]`, the number of the split, 0 for the first.
      borders: int64 `[splits]`, the earliest time of each.
      whole: bool `[lists]`, whether a list is the last one of its key, with all its events.
    """

    order: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    splits: np.ndarray
    borders: np.ndarray
    whole: np.ndarray


@dataclass(frozen=True)
class Cut:
    """The sequences that are written.

    Attributes:
      order: int64, positions of events.
      begins: int64 `[sequences]`, where the steps of each begin in `order`.
      ends: int64 `[sequences]`, where they end; the target's events follow.
      splits: int64 `[sequences]`, the number of the split.
      too_long: int64 `[n, 4]`, sequences that were dropped: where their steps begin and end, the split, and how many steps.
      sessions: the sessions of each key, whatever became of them; None if there is no gap that would end one.
    """

    order: np.ndarray
    begins: np.ndarray
    ends: np.ndarray
    splits: np.ndarray
    too_long: np.ndarray
    sessions: SessionRuns | None


class SessionRuns(NamedTuple):
    """The sessions of each key.

    Attributes:
      begins: int64 `[sessions]`, where each begins in the order.
      ends: int64 `[sessions]`.
      of_key: int64 `[keys]`, how many there are of each.
    """

    begins: np.ndarray
    ends: np.ndarray
    of_key: np.ndarray


def listed(order: np.ndarray, begins: np.ndarray, times: np.ndarray, borders: Sequence[int]) -> Listed:
    """Returns a list for each split in which a key has an event: all its events before the split's end.

    Args:
      order: int64 `[n]`, positions of events, key after key, in order.
      begins: int64 `[keys + 1]`.
      times: int64, by position.
      borders: where each split but the first begins, ascending.
    """
    lower = np.array([EARLIEST, *borders], np.int64)
    starts, stops = begins[:-1], begins[1:]
    if not borders:
        return Listed(order, starts, stops, np.zeros(len(starts), np.int64), lower, np.ones(len(starts), bool))
    by_time = times[order]
    before = [np.zeros(len(starts), np.int64)]
    for border in borders:
        running = np.append(0, np.cumsum(by_time < border))
        before.append(running[stops] - running[starts])
    until = np.stack([*before[1:], stops - starts], axis=1)
    has = until > np.stack(before, axis=1)
    keys, splits = np.nonzero(has)
    return Listed(order, starts[keys], starts[keys] + until[has], splits, lower, np.diff(keys, append=-1) != 0)


def unique(lists: Listed, times: np.ndarray, fields: Sequence[Ranked], by_time: bool, fates: np.ndarray) -> Listed:
    """Keeps the last, by order, of the events that are equal in some fields, in each list separately.

    Args:
      lists: the events.
      times: int64, by position.
      fields: functions that rank the fields, without the time and the key.
      by_time: whether the time is one of them.
      fates: int8, by position, changed.
    """
    order, begins = segments(lists.begins, lists.ends, lists.order)
    runs = begins[:-1], begins[1:]
    if by_time:
        runs = equal_runs(*runs, times[order])
    place = np.arange(len(order))

    def at_places(field: Ranked) -> Ranked:
        return lambda at: field(order[at])

    runs = refined(*runs, place, [at_places(field) for field in fields])
    dropped = np.zeros(len(order), bool)
    event_order.mark_all_but_last(read_only(runs[0]), read_only(runs[1]), place, dropped)
    np.maximum.at(fates, order[dropped], UNIQUE)
    kept = np.append(0, np.cumsum(~dropped))
    return Listed(order[~dropped], kept[begins[:-1]], kept[begins[1:]], lists.splits, lists.borders, lists.whole)


def cut(events: Events, lists: Listed, times: np.ndarray, tick: int, max_steps: int, fates: np.ndarray) -> Cut:
    """Cuts lists into sequences, and records the fates of their events.

    Args:
      events: the spec.
      lists: the events.
      times: int64, by position.
      tick: nanoseconds per unit of `times`.
      max_steps: the most steps in a sequence.
      fates: int8, by position, changed.
    """
    begins, ends, of_list = lists.begins, lists.ends, np.arange(len(lists.begins))
    sessions = None
    if events.sessions is not None:
        gap = int(duration(events.sessions.gap) / tick)
        begins, ends, of_list = _sessions(lists, times, gap)
        sessions = _of_keys(lists, begins, ends, of_list)
    ahead = events.target.next if events.target else 0
    steps = np.maximum(ends - begins - ahead, 0)
    session, offset, size = _windows(events.windows, steps)
    first = begins[session] + offset
    last = np.minimum(first + size + ahead, ends[session])
    splits = lists.splits[of_list[session]]
    if len(lists.borders) > 1:  # a list that ends before its split begins belongs to another split
        own = times[lists.order[last - 1]] >= lists.borders[splits]
        first, last, size, splits = first[own], last[own], size[own], splits[own]
    short = size < events.min_events
    longer = ~short & (size > max_steps)
    trimmed = longer & (events.longer == "last")
    fate = np.where(short, MIN_EVENTS, np.where(longer & ~trimmed, LONGER, USED)).astype(np.int8)
    start = np.where(trimmed, first + size - max_steps, first)
    _mark(first[trimmed], start[trimmed], np.full(int(trimmed.sum()), LONGER, np.int8), lists.order, fates)
    _mark(start, last, fate, lists.order, fates)
    kept, over = fate == USED, fate == LONGER
    too_long = np.stack([first[over], first[over] + size[over], splits[over], size[over]], axis=1)
    return Cut(lists.order, start[kept], first[kept] + size[kept], splits[kept], too_long, sessions)


def _mark(begins: np.ndarray, ends: np.ndarray, fate: np.ndarray, order: np.ndarray, fates: np.ndarray) -> None:
    event_steps.mark(read_only(begins), read_only(ends), read_only(fate), read_only(order), fates)


def _sessions(lists: Listed, times: np.ndarray, gap: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns where sessions begin and end in the order, and the list of each."""
    order, splits = segments(lists.begins, lists.ends, lists.order)
    by_time = times[order].view(np.uint64)
    new = np.zeros(len(order) + 1, bool)
    new[1:-1] = by_time[1:] - by_time[:-1] > np.uint64(
        min(gap, 2**64 - 1)
    )  # of int64, modulo 2^64; across lists no matter
    new[splits] = True
    at = np.flatnonzero(new)
    of_list = np.searchsorted(splits, at[:-1], side="right") - 1
    moved = (lists.begins - splits[:-1])[of_list]
    return at[:-1] + moved, at[1:] + moved, of_list


def _of_keys(lists: Listed, begins: np.ndarray, ends: np.ndarray, of_list: np.ndarray) -> SessionRuns:
    """Returns the sessions of the lists that have all events of their keys."""
    own = lists.whole[of_list]
    counts = np.bincount(of_list, minlength=len(lists.begins))
    return SessionRuns(begins[own], ends[own], counts[lists.whole])


def _windows(windows: Windows | None, steps: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the session of each window, the number of its steps before the window, and the number in the window.

    A session without steps has one window, without steps.
    """
    every = np.arange(len(steps))
    if windows is None:
        return every, np.zeros(len(steps), np.int64), steps
    if windows.last is not None:
        size = np.minimum(steps, windows.last)
        return every, steps - size, size
    length = windows.length or 1
    stride = windows.stride or length
    if windows.partial == "drop":
        counts = np.where(steps < length, 0, 1 + (steps - length) // stride)
    else:  # up to the first that reaches the end, or the last that begins before it
        counts = np.minimum(1 + -(-np.maximum(steps - length, 0) // stride), -(-steps // stride))
    counts = np.where(steps == 0, 1, counts)
    session = np.repeat(every, counts)
    number = np.arange(len(session)) - np.repeat(np.cumsum(counts) - counts, counts)
    return session, number * stride, np.minimum(length, steps[session] - number * stride)
