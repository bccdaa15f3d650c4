"""Keys with more events than any of their sequences can hold, trimmed before all of their events have come together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa

from transforms.events import figures
from transforms.events.accounting import LONGER, WINDOWS
from transforms.events.figures import Figures
from transforms.events.keys import numbered
from transforms.events.spec import Events
from transforms.events.table import EventTable


class Most(NamedTuple):
    """The most events of a key that decide on its sequence.

    Attributes:
      events: how many of its last events count.
      fate: what becomes of those before them, a number in `transforms.events.accounting.FATES`.
    """

    events: int
    fate: int


def most_needed(events: Events, has_borders: bool, max_steps: int) -> Most | None:
    """Returns the most events of a key that decide on its sequence; None where each of them may be a step of some sequence.

    >>> most_needed(Events(key="user", order_by="at", windows={"last": 50}), False, 1000)
    Most(events=50, fate=2)

    Args:
      events: the section.
      has_borders: whether events are split by time.
      max_steps: most steps of a sequence.
    """
    windows, ahead = events.windows, events.target.next if events.target else 0
    if has_borders or events.sessions is not None or events.unique is not None:
        return None
    if windows is not None:
        return None if windows.last is None else Most(windows.last + ahead, WINDOWS)
    # One more says that there were too many.
    most = max_steps + ahead + (events.longer == "reject")
    return Most(max(most, events.min_events + ahead), LONGER)


_CELLS: Final = 1 << 16


def suspects(hashes: np.ndarray, most: int) -> np.ndarray:
    """Returns the rows of every key that has more than so many, and of some that have not, int64, ascending.

    >>> suspects(np.array([7, 1, 7, 7, 2], np.uint64), 2).tolist()
    [0, 2, 3]

    Args:
      hashes: uint64 `[rows]`, of their keys.
      most: how many.
    """
    cells = (hashes % np.uint64(_CELLS)).astype(np.int64)
    many = np.bincount(cells, minlength=_CELLS) > most
    return np.flatnonzero(many[cells]) if many.any() else np.zeros(0, np.int64)


def kept(events: Events, table: pa.Table, most: int) -> np.ndarray:
    """Returns which events are among the last ones of their key, bool `[events]`.

    Args:
      events: the section.
      table: events with a key and a time each.
      most: how many of a key.
    """
    found = np.ones(len(table), bool)
    ids, count = EventTable(events, table).numbered()
    heavy = np.bincount(ids, minlength=count) > most
    if not heavy.any():
        return found
    rows = np.flatnonzero(heavy[ids])
    number = np.cumsum(heavy) - 1
    own = EventTable(events, table.take(pa.array(rows)))
    order, begins = own.ordered(number[ids[rows]], int(heavy.sum()))
    place = np.arange(len(order)) - np.repeat(begins[1:], np.diff(begins))
    found[rows[order[place < -most]]] = False
    return found


@dataclass(frozen=True)
class Trimmed:
    """The events that were trimmed from some keys, for the figures of all events.

    Attributes:
      keys: the fields of the keys, one row per key and time that it was trimmed.
      events: int64 `[rows]`, how many events of it.
      figures: when these were.
    """

    keys: pa.Table
    events: np.ndarray
    figures: Figures


def counted(events: Events, table: pa.Table) -> Trimmed:
    """Counts trimmed events.

    Args:
      events: the section.
      table: those events, at least one.
    """
    whole = EventTable(events, table)
    ids, count = whole.numbered()
    one = np.empty(count, np.int64)
    one[ids] = np.arange(len(ids))
    times = figures.of_times(whole.times.values, whole.times.tick)
    return Trimmed(_keys(whole, one), np.bincount(ids, minlength=count), times)


def together(parts: Sequence[Trimmed]) -> Trimmed | None:
    """Returns everything that was trimmed; None for nothing."""
    if not parts:
        return None
    keys, events = pa.concat_tables([part.keys for part in parts]), np.concatenate([part.events for part in parts])
    return Trimmed(keys, events, figures.together(part.figures for part in parts))


def added_to(counts: np.ndarray, whole: EventTable, one: np.ndarray, trimmed: Trimmed) -> np.ndarray:
    """Returns how many events of each key there were before it was trimmed.

    Args:
      counts: int64 `[keys]`, how many there are, in the order of the keys.
      whole: the events.
      one: int64 `[keys]`, an event of each.
      trimmed: what was trimmed of some of these keys.
    """
    own = pa.concat_tables([_keys(whole, one), trimmed.keys])
    ids, _ = numbered([own.column(name).combine_chunks() for name in own.schema.names])
    made = counts.copy()
    np.add.at(made, ids[len(one) :], trimmed.events)
    return made


def _keys(whole: EventTable, rows: np.ndarray) -> pa.Table:
    return pa.table({name: whole.field(name).take(pa.array(rows)) for name in whole.spec.key})
