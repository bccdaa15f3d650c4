"""The events of one partition to sequences, and what became of each event, by file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.shuffle.blocks import FILE_COLUMN, Block
from transforms.events.accounting import FATES
from transforms.events.incoming import Incoming
from transforms.events.sequences import Grouped, sequences
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows import origin
from transforms.rows.tally import Tally


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
    def schema(self) -> pa.Schema:
        """The schema of the sequences."""
        none = pa.table({name: pa.nulls(0, kind) for name, kind in self.incoming.kinds.items()})
        return self._sequences(none).table.schema

    def grouped(self, blocks: Iterable[Block]) -> tuple[pa.Table, Tally]:
        """Makes sequences of all events of some keys.

        Args:
          blocks: the events, in any order.

        Returns:
          The sequences, ordered by key, split and time; and the events counted (see `counted`).
        """
        batches, files, names = [], [], dict[str, int]()
        for block in blocks:
            numbers = np.array([names.setdefault(name, len(names)) for name in block.files], np.int64)
            files.append(numbers[block.batch.column(FILE_COLUMN).to_numpy()])
            batches.append(block.batch)
        if not batches:
            return self.schema.empty_table(), Counter()
        table = pa.Table.from_batches(batches)
        digests = np.concatenate([batch.column(origin.DIGEST_COLUMN).to_numpy() for batch in batches])
        found = self._sequences(table.select(list(self.incoming.kinds)))
        return found.table, counted(found, np.concatenate(files), digests, list(names))

    def _sequences(self, table: pa.Table) -> Grouped:
        return sequences(table, self.incoming.events, borders=self.borders, max_steps=self.max_steps)


def counted(found: Grouped, files: np.ndarray, digests: np.ndarray, names: list[str]) -> Tally:
    """Counts what became of events: `(file, "events", fate)` how many, `(file, "event_digest", fate)` the sum of their digests.

    And `("", "sequences", what)`: `rows`, `steps`, `targets`, `used_again`, and those `too_long` to be written.

    Args:
      found: the sequences.
      files: int64 `[events]`, the number of each one's file in `names`.
      digests: uint64 `[events]`.
      names: of the files.
    """
    tally: Tally = Counter()
    cells = files * len(FATES) + found.fates
    count = np.bincount(cells, minlength=len(names) * len(FATES))
    order = np.argsort(cells, kind="stable")
    ends = np.cumsum(count)
    running = np.append(np.uint64(0), np.cumsum(digests[order], dtype=np.uint64))  # modulo 2^64
    with np.errstate(over="ignore"):
        sums = running[ends] - running[ends - count]
    for cell in np.flatnonzero(count).tolist():
        file, fate = names[cell // len(FATES)], FATES[cell % len(FATES)]
        tally[file, "events", fate] = int(count[cell])
        tally[file, "event_digest", fate] = int(sums[cell])
    of_all = found.counts
    tally["", "sequences", "rows"] = of_all.sequences
    tally["", "sequences", "steps"] = of_all.steps
    tally["", "sequences", "targets"] = of_all.targets
    tally["", "sequences", "used_again"] = of_all.used_again
    tally["", "sequences", "too_long"] = len(found.too_long)
    return tally
