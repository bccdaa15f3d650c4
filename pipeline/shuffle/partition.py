"""The events of one partition to sequences, and what became of each event, by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from pipeline.shuffle.blocks import Block
from transforms.events import trim
from transforms.events.counted import counted
from transforms.events.figures import Figures
from transforms.events.incoming import Incoming
from transforms.events.sequences import sequences
from transforms.events.trim import Most, Trimmed, most_needed
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows.tally import Tally, add

TRIMMED_BYTES: Final = 12 << 20
"""Of a partition that grows past this, keys with more events than a sequence can hold are trimmed on the way."""


class Partition(NamedTuple):
    """The sequences of a partition, and the fate of its events.

    Attributes:
      table: the sequences, ordered by key, split and time.
      tally: `(file, "events", fate)`, events by what became of them; `(file, "event_digest", fate)`, the sum of their digests;
        `("", "sequences", what)`: `rows`, `steps`, `targets`, `used_again`, and those `too_long` to be written.
      figures: figures of the events for people.
    """

    table: pa.Table
    tally: Tally
    figures: Figures


@dataclass(frozen=True)
class Grouping:
    """How events are grouped.

    Attributes:
      incoming: the events.
      borders: split to where it begins (see `transforms.events.sequences.sequences`).
      max_steps: most steps of a sequence.
    """

    incoming: Incoming
    borders: Mapping[str, Any]
    max_steps: int = MAX_STEPS

    @property
    def most(self) -> Most | None:
        """The most events of a key that decide on its sequence."""
        return most_needed(self.incoming.events, bool(self.borders), self.max_steps)

    @property
    def schema(self) -> pa.Schema:
        """The schema of the sequences."""
        none = pa.table({name: pa.nulls(0, kind) for name, kind in self.incoming.kinds.items()})
        made = sequences(none, self.incoming.events, borders=self.borders, max_steps=self.max_steps)
        return made.table.schema

    def grouped(self, blocks: Iterable[Block]) -> Partition:
        """Makes sequences of all events of some keys.

        Args:
          blocks: the events, in any order.
        """
        held, limit = _Held(), TRIMMED_BYTES
        most, tally = self.most, Counter[tuple[Any, ...]]()
        for block in blocks:
            held.add(block)
            if most is not None and held.size > limit:
                add(tally, held.trim(self.incoming, most))
                limit = max(TRIMMED_BYTES, 2 * held.size)
        if not held.blocks:
            return Partition(self.schema.empty_table(), tally, Figures())
        table = held.table.select(list(self.incoming.kinds))
        trimmed = trim.together(held.trimmed)
        found, figures = counted(table, self.incoming.events, self.borders, self.max_steps, trimmed)
        add(tally, held.counted(found.fates))
        of_all = found.counts
        for what in ("steps", "targets", "used_again"):
            tally["", "sequences", what] = getattr(of_all, what)
        tally["", "sequences", "rows"], tally["", "sequences", "too_long"] = of_all.sequences, len(found.too_long)
        return Partition(found.table, tally, figures)


class _Held:
    """Events of one partition, as far as they have come.

    Attributes:
      blocks: the blocks.
      size: bytes of these.
      trimmed: what was trimmed of them.
    """

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.trimmed: list[Trimmed] = []
        self.size = 0

    def add(self, block: Block) -> None:
        """Takes a block."""
        self.blocks.append(block)
        self.trimmed += [block.trimmed] if block.trimmed is not None else []
        self.size += block.batch.nbytes

    @property
    def table(self) -> pa.Table:
        """All of them."""
        return pa.Table.from_batches([block.batch for block in self.blocks])

    def trim(self, incoming: Incoming, most: Most) -> Tally:
        """Drops the events of heavy keys that decide on nothing; returns what was counted of them."""
        table = self.table.select(list(incoming.kinds))
        kept = trim.kept(incoming.events, table, most.events)
        if kept.all():
            return Counter()
        tally = self.counted(np.where(kept, 0, most.fate).astype(np.int8))
        self.trimmed.append(trim.counted(incoming.events, table.filter(pa.array(~kept))))
        self.blocks = [block.filtered(own) for block, own in self._each(kept)]
        self.size = sum(block.batch.nbytes for block in self.blocks)
        return tally

    def counted(self, fates: np.ndarray) -> Tally:
        """Counts events by what became of them; see `Block.by_fate`."""
        tally: Tally = Counter()
        for block, own in self._each(fates):
            add(tally, block.by_fate(own))
        return tally

    def _each(self, of_events: np.ndarray) -> Iterator[tuple[Block, np.ndarray]]:
        """Yields each block, and what an array has of its events."""
        end = 0
        for block in self.blocks:
            begin, end = end, end + block.batch.num_rows
            yield block, of_events[begin:end]
