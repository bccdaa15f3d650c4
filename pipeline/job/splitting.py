"""Division of the rows of a run into its splits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from pipeline.dataset.splits import Splits
from pipeline.job.writing import SPLIT_OUTPUT
from transforms.beam import GOOD, REJECTED, TALLIES, in_global_window, typed
from transforms.rows import digests, origin
from transforms.rows.tally import Tally, add, count_rejected, under
from transforms.splits import assign

COLUMN: Final = SPLIT_OUTPUT.name


class DivideRows(beam.PTransform):
    """Divides batches by their rows' splits, before anything else looks at them.

    Takes batches with their origin; gives `GOOD` batches of one split each (see `origin.split_of`), about as large as before,
    `REJECTED` rows without a split, and `TALLIES`.

    Args:
      splits: the splits.
      only: the split whose rows are passed on; an empty string for all.
    """

    def __init__(self, splits: Splits, only: str = ""):
        super().__init__()
        self._splits, self._only = splits, only

    def expand(self, batches: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """Divides the batches of a collection."""
        divide = _Divide(self._splits, self._only)
        made = batches | "Divide" >> beam.ParDo(divide).with_outputs(REJECTED, TALLIES, main=GOOD)
        return typed(made, GOOD, REJECTED)


class _Divide(beam.DoFn):
    """Collects rows of a split, within a file, until they fill a batch: small batches cost a graph more."""

    def __init__(self, splits: Splits, only: str):
        self._splits, self._only = splits, only

    def start_bundle(self) -> None:
        self._tally: Tally = Counter()
        self._gathered: dict[str, list[pa.RecordBatch]] = {}

    def process(self, batch: pa.RecordBatch) -> Iterator[Any]:
        """Divides a batch, and yields the full batches."""
        file = origin.file_of(batch)
        if self._splits.rule is None:
            yield origin.in_split(batch, self._splits.of_file(file))
            return
        found, rejected = assign.parts(batch, self._splits.rule)
        if rejected is not None:
            self._tally.update(count_rejected(rejected))
            yield TaggedOutput(REJECTED, rejected)
        for name, part in found:
            digest = digests.total(part.column(origin.DIGEST_COLUMN))
            add(self._tally, under(name, {(file, "rows", "read"): part.num_rows, (file, "digest", "read"): digest}))
            if self._only in ("", name):
                yield from self._gather(name, part, batch.num_rows)

    def _gather(self, name: str, part: pa.RecordBatch, enough: int) -> Iterator[pa.RecordBatch]:
        held = self._gathered.get(name, [])
        if held and not held[0].schema.equals(
            part.schema, check_metadata=True
        ):  # of another file, or read as other types
            yield self._taken(name)
            held = []
        self._gathered[name] = [*held, part]
        if sum(one.num_rows for one in self._gathered[name]) >= enough:
            yield self._taken(name)

    def _taken(self, name: str) -> pa.RecordBatch:
        held = self._gathered.pop(name)
        return origin.in_split(pa.concat_batches(held) if len(held) > 1 else held[0], name)

    def finish_bundle(self) -> Iterator[Any]:
        """Yields the rows that were collected."""
        for name in list(self._gathered):
            yield in_global_window(self._taken(name))
        if self._tally:
            yield TaggedOutput(TALLIES, in_global_window(self._tally))


def with_split(rejected: pa.RecordBatch, splits: Splits) -> pa.RecordBatch:
    """Returns rejected rows with the column `split`, empty for a record that belongs to none."""
    file = rejected.column("file")[0].as_py() if rejected.num_rows else ""
    name = origin.split_of(rejected) or splits.of_file(file)
    return rejected.append_column(COLUMN, pa.array([name] * rejected.num_rows, pa.string()))
