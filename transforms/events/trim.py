"""Keys with more events than any of their sequences can hold, trimmed before all of their events have come together."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from transforms.events.accounting import LONGER, WINDOWS
from transforms.events.spec import Events
from transforms.events.table import EventTable


class Most(NamedTuple):
    """The most events of a key that decide on its sequence.

    Attributes:
      events: so many of its last events.
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
