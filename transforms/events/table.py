"""A table of events, and whatever is asked of them more than once: plain fields, times, keys as numbers, the order."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import pyarrow as pa

from transforms.events import order
from transforms.events.keys import numbered
from transforms.events.spec import Events
from transforms.parse.times import Times, shows_all, times_of
from transforms.rows.fields import field_names, field_of


class EventTable:
    """Events, all of them with a key and a time.

    Args:
      spec: the section of events.
      table: their fields.
    """

    def __init__(self, spec: Events, table: pa.Table):
        self.spec, self.table, self._fields = spec, table, dict[str, pa.Array]()
        self.names = field_names(table)

    def field(self, name: str) -> pa.Array:
        """Returns a field as one plain array."""
        if name not in self._fields:
            self._fields[name] = field_of(self.table, name)
        return self._fields[name]

    @cached_property
    def times(self) -> Times:
        """The time of each event."""
        return times_of(self.field(self.spec.order_by[0]), self.spec.time.unit)

    def ranked(self, names: Sequence[str], signed_zeros: bool = True) -> list[order.Ranked]:
        """Returns what ranks some fields."""
        return [order.ranked(self.field(name), signed_zeros) for name in names]

    def numbered(self) -> tuple[np.ndarray, int]:
        """Returns the number of each event's key, int64 `[events]`, in the order of the keys, and how many there are."""
        return numbered([self.field(name) for name in self.spec.key])

    def ordered(self, ids: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns positions of events, int64 `[events]`, key after key and in order; and where those of each key begin, and end.

        Args:
          ids: the number of each event's key, every one of `[0, count)` among them.
          count: how many there are.
        """
        # Of one key or time there may be several texts, which tell events apart where they are written.
        several = [name for name in (*self.spec.key, self.spec.order_by[0]) if not shows_all(self.field(name).type)]
        ties = self.ranked([*self.spec.tie_fields(self.names), *several])
        return order.grouped(ids, count, self.times.values, ties)
