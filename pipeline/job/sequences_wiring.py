"""The graph that makes sequences of events: read, partition, group, write.

files -> read -> partition -> (the engine's shuffle, or files) -> group -> write -> end
|         |                                                                     |
+---------+-> write rejected ---------------------------------------------------+
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsList, AsSingleton, TaggedOutput

from pipeline.dataset import events_ledger, layout
from pipeline.dataset.layout import Layout
from pipeline.job import batch_coder
from pipeline.job.combine import Rejects, at_end, first_rejects, sum_figures, sum_tallies
from pipeline.job.reading import ReadBatches
from pipeline.job.request import DEFAULT_SHARD_BYTES
from pipeline.job.sequences_plan import EventsPlan, Sequences
from pipeline.job.verdict import sequences_verdict
from pipeline.job.wiring import Tuning
from pipeline.job.writing import Shard, WriteShards
from pipeline.shuffle.group_events import Shuffle
from pipeline.sinks.nested import SUFFIX, open_nested
from pipeline.sinks.parquet import RowGroups
from transforms.beam import GOOD, REJECTED, TALLIES, in_global_window
from transforms.errors import JobError
from transforms.events.figures import Figures
from transforms.rows import metrics
from transforms.rows.tally import Tally

BATCH_ROWS: Final = 1 << 16
"""Events in a batch, at most: of rows, which are longer, fewer are enough."""

MADE: Final = "sequences.json"
"""File in the staging folder that lists the sequences which the pipeline wrote."""


def build(root: beam.Pipeline, plan: EventsPlan, tuning: Tuning, end: Any = None) -> beam.PCollection:
    """Adds making sequences to a pipeline.

    Args:
      root: the pipeline.
      plan: what is to be made.
      tuning: how to run it.
      end: what is done last with the sequences that were made, as by `written_down`; None for that.

    Returns:
      A PCollection with one element, what `end` returned.
    """
    batch_coder.register()
    files = root | "Files" >> beam.Create([file.path for file in plan.inputs.files], reshuffle=False)
    limits = replace(tuning.limits, max_batch_rows=BATCH_ROWS)
    how = (plan.fields, limits, tuning.spread, tuning.notes, tuning.passes_before)
    read = files | "Read" >> ReadBatches(*how, excluded=plan.excluded)
    grouped = read[GOOD] | "Sequences" >> Shuffle(plan.grouping, plan.partitions, plan.folder)
    folder = folder_of(plan)
    write = WriteSequences(folder, plan.place.run_id, plan.grouping.schema, packed=plan.kept or "://" in folder)
    written = grouped.good | "Write" >> beam.ParDo(write).with_outputs(TALLIES, main="parts")
    refused = (read[REJECTED], grouped.rejected)
    rejected = [_write_rejected(part, plan.place, k) for k, part in enumerate(refused)]
    counted = (read[TALLIES], grouped.tallies, written[TALLIES])
    return at_end(
        root,
        _collected,
        plan,
        end=end or written_down,
        shards=AsList(written.parts),
        rejected=AsList(rejected | "RejectedParts" >> beam.Flatten()),
        tally=AsSingleton(sum_tallies(counted, "Ledger")),
        figures=AsSingleton(sum_figures(grouped.figures)),
        examples=AsSingleton(first_rejects(refused)),
    )


def folder_of(plan: EventsPlan) -> str:
    """Returns where sequences are written: where they stay, or where they go with the run."""
    return plan.place.at(layout.SEQUENCES) if plan.kept else plan.place.staged(layout.SEQUENCES)


def _write_rejected(rejected: beam.PCollection, place: Layout, number: int) -> beam.PCollection:
    write = WriteShards(place.at(layout.REJECTED), place.run_id, "parquet", None)
    return (rejected | f"WriteRejected{number}" >> beam.ParDo(write).with_outputs(TALLIES, main="parts")).parts


class WriteSequences(beam.DoFn):
    """Writes batches of sequences to files; yields a `Shard` for each, and how many rows were written tagged `TALLIES`.

    Args:
      folder: where the files go.
      run_id: begins their names.
      schema: of the sequences.
      packed: see `open_nested`.
    """

    def __init__(self, folder: str, run_id: str, schema: pa.Schema, packed: bool):
        self._folder, self._run_id, self._schema, self._packed = folder, run_id, schema, packed
        self._file: RowGroups | None = None

    def start_bundle(self) -> None:
        """Begins with no file: a bundle without rows writes none."""
        self._abandon()
        self._tally: Tally = Counter()
        self._size = 0

    def process(self, batch: pa.RecordBatch) -> Iterator[Shard]:
        """Writes a batch."""
        if self._file is None:
            path = beam.io.filesystems.FileSystems.join(self._folder, layout.shard_name(self._run_id, SUFFIX))
            self._file, self._size = open_nested(path, self._schema, self._packed), 0
        self._tally["", "sequences", "written"] += self._file.write(batch)
        self._size += batch.nbytes
        if self._size > DEFAULT_SHARD_BYTES:
            yield self._closed()

    def _closed(self) -> Shard:
        assert self._file is not None
        done, self._file = self._file.close(), None
        return Shard(done.path, done.rows, done.bytes, done.sha256)

    def finish_bundle(self) -> Iterator[Any]:
        """Closes the last file."""
        if self._file is not None:
            yield in_global_window(self._closed())
        metrics.report(self._tally)
        yield TaggedOutput(TALLIES, in_global_window(self._tally))

    def teardown(self) -> None:
        """Removes the file of a bundle that failed."""
        self._abandon()

    def _abandon(self) -> None:
        if self._file is not None:
            self._file.abort()
        self._file = None


def _collected(
    _: None,
    plan: EventsPlan,
    end: Callable[[Sequences], Mapping[str, Any]],
    shards: Sequence[Shard],
    rejected: Sequence[Shard],
    tally: Tally,
    figures: Figures,
    examples: Rejects,
) -> Mapping[str, Any]:
    """Does what is done last with everything that the pipeline has collected."""
    book = {**events_ledger.build(tally), "skipped_files": plan.skipped_files}
    ordered, refused = (sorted(own, key=lambda shard: shard.path) for own in (shards, rejected))
    return end(Sequences(plan, ordered, refused, book, figures, examples))


def written_down(made: Sequences) -> Mapping[str, Any]:
    """Looks at what was made, and writes it down for the job that reads it.

    Raises:
      JobError: events do not add up, or too many were rejected.
    """
    result = {**sequences_verdict(made), "rejected_examples": made.examples}
    if result["status"] != "done":
        layout.write_result(made.plan.place, result)
        raise JobError(result["message"])
    files = (("shards", made.shards), ("rejected", made.rejected))
    entries = {what: [as_json(shard) for shard in own] for what, own in files}
    held = {"ledger": made.ledger, "figures": made.figures.as_json(), "rejected_examples": made.examples}
    layout.write_json(made.plan.place.staged(MADE), {**entries, **held})
    return result


def as_json(shard: Shard) -> dict[str, Any]:
    """Returns a file as JSON holds it."""
    return {name: getattr(shard, name) for name in ("path", "rows", "bytes", "sha256", "row_digest")}


def read_made(plan: EventsPlan) -> Sequences:
    """Reads what `written_down` wrote."""
    held = layout.read_json(plan.place.staged(MADE))
    shards, rejected = ([Shard(**one) for one in held[what]] for what in ("shards", "rejected"))
    figures = Figures.from_json(held["figures"])
    return Sequences(plan, shards, rejected, held["ledger"], figures, held["rejected_examples"])
