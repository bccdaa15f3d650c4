"""Writing shards from bundles: dense examples through a sink, rejected rows as Parquet.

Every bundle writes files of its own under names that no other has, and hands on what it wrote. A bundle that an engine runs
twice leaves files that no manifest names; publishing removes them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from pipeline.dataset import layout, samples
from pipeline.dataset.samples import SampledRows
from pipeline.job.request import DEFAULT_SHARD_BYTES
from pipeline.job.staged import SUFFIX, StagedWriter
from pipeline.sinks.base import OutputFile, Writer
from pipeline.sinks.formats import SINKS
from transforms.beam import TALLIES, in_global_window
from transforms.columns import Output
from transforms.densify import length_buckets
from transforms.rows import digests, metrics, origin, rejection
from transforms.rows.numbers import numbers_of
from transforms.rows.tally import Tally, add, under
from transforms.spec.spec import Spec, length_name

REJECTED_OUTPUTS: Final = [
    Output(
        field.name,
        {"string": "string", "binary": "bytes"}.get(str(field.type), str(field.type)),
        (),
        "values",
        field.name,
    )
    for field in rejection.SCHEMA
]

SPLIT_OUTPUT: Final = Output("split", "string", (), "values", "split")
"""The column that rejected rows also have if a data set has splits."""

MOST_OPEN: Final = 256
"""Shards that a bundle has open at a time: of 64 splits with 64 length buckets there could be 4,096, each an open file."""


@dataclass(frozen=True)
class Shard:
    """A file that a bundle wrote: where, how much, what is in it, and where some of its rows come from.

    `row_digest` is the sum of its rows' digests (see `transforms.rows.digests`). `outputs` have the T of the data set, the file
    that of its length bucket, `length`, if that is not 0. `split` is that of its rows, empty if the data set has none.
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    row_digest: int = 0
    outputs: tuple[Output, ...] = ()
    samples: tuple[SampledRows, ...] = ()
    length: int = 0
    split: str = ""

    def entry(self, root: str) -> dict[str, Any]:
        """Returns the file as the manifest lists it, its path relative to the output directory."""
        made = asdict(self)
        del made["outputs"], made["samples"], made["length"], made["split"]
        made["path"] = self.path.removeprefix(root).lstrip("/")
        made["row_digest"] = digests.as_text(self.row_digest)
        if self.samples:
            made["samples"] = samples.by_file(self.samples)
        if self.length:
            made["T"] = self.length
        if self.split:
            made["split"] = self.split
        return made


class OpenShard:
    """A file that is being written.

    Args:
      writer: writes it.
      outputs: the features, with the T of the data set.
      length: T of the length bucket that it belongs to, 0 for none.
      split: the split that its rows belong to; empty for none.

    Attributes:
      rows: how many it has so far.
    """

    def __init__(self, writer: Writer, outputs: tuple[Output, ...], length: int, split: str):
        self.writer = writer
        self._outputs, self._length, self._split, self._digest = outputs, length, split, 0
        self.rows = 0
        self._sampler = samples.Sampler(samples.BUCKET_WINDOW if length or split else samples.WINDOW)

    def write(self, batch: pa.RecordBatch, digest: int, sampled: bool) -> int:
        """Writes rows, the sum of whose digests is given, and returns how many."""
        written = self.writer.write(batch)
        if sampled:
            self._sampler.add(batch)
        self._digest += digest
        self.rows += written
        return written

    def close(self) -> Shard:
        """Finishes the file."""
        done = self.writer.close()
        found = self._sampler.samples
        written = (done.path, done.rows, done.bytes, done.sha256, self._digest)
        return Shard(*written, self._outputs, found, self._length, self._split)


@dataclass(frozen=True)
class ShardTarget:
    """Where shards go, and what writes them.

    Attributes:
      folder: the folder.
      run_id: begins their names.
      sink: name of the sink; empty for batches as they are (see `pipeline.job.staged`).
    """

    folder: str
    run_id: str
    sink: str

    def begin(self, spec: Spec | None, outputs: tuple[Output, ...], length: int, split: str) -> OpenShard:
        """Begins a shard; for the arguments see there, `spec` is None for rejected rows."""
        name = layout.shard_name(self.run_id, SINKS[self.sink].suffix if self.sink else SUFFIX, split)
        path = beam.io.filesystems.FileSystems.join(self.folder, name)
        own: Sequence[Output] = outputs
        if spec is not None and length:
            own = length_buckets.outputs_in(outputs, spec.bucketed_names, length)
        writer = SINKS[self.sink].open(path, own) if self.sink else StagedWriter(OutputFile(path))
        return OpenShard(writer, outputs, length, split)


class WriteShards(beam.DoFn):
    """Writes batches to shards; yields a `Shard` for every file, and rows and steps written tagged `TALLIES`.

    A bundle has a shard open for each combination of split and length bucket that it has rows of. Beyond `MOST_OPEN` the one with
    the most rows is closed, and another is begun if there are more rows of its kind.

    Args:
      folder: where the shards go.
      run_id: begins their names.
      sink: name of the sink; empty to stage batches (see `ShardTarget`).
      spec: the columns; None for tables of rejected rows.
      shard_bytes: a shard is closed once it has this many bytes, and another one begun.
      sampled: whether it is noted where some rows come from (see `pipeline.dataset.samples`).
    """

    def __init__(
        self,
        folder: str,
        run_id: str,
        sink: str,
        spec: Spec | None,
        shard_bytes: int = DEFAULT_SHARD_BYTES,
        sampled: bool = True,
    ):
        self._target = ShardTarget(folder, run_id, sink)
        self._spec, self._shard_bytes, self._sampled = spec, shard_bytes, sampled and spec is not None
        self._shards: dict[tuple[str, int], OpenShard] = {}

    def start_bundle(self) -> None:
        """Begins with no shard: a bundle without rows writes no file."""
        self._abandon()
        self._tally: Tally = Counter()

    def process(self, batch: pa.RecordBatch) -> Iterator[Shard]:
        """Writes a batch."""
        split = origin.split_of(batch) if self._spec is not None else ""
        for length, part in self._parts(batch):
            key = split, length
            if key not in self._shards:
                if len(self._shards) >= MOST_OPEN:
                    yield self._shards.pop(max(self._shards, key=lambda one: self._shards[one].rows)).close()
                self._shards[key] = self._open(batch, split, length)
            shard = self._shards[key]
            digest = digests.total(part.column("digest" if self._spec is None else origin.DIGEST_COLUMN))
            add(self._tally, under(split, self._counted(part, shard.write(part, digest, self._sampled), digest)))
            if shard.writer.reaches(self._shard_bytes):
                yield self._shards.pop(key).close()

    def _parts(self, batch: pa.RecordBatch) -> Iterator[tuple[int, pa.RecordBatch]]:
        if self._spec is None or self._spec.bucketed_group is None:
            return iter([(0, batch)])
        return length_buckets.split(batch, self._spec)

    def finish_bundle(self) -> Iterator[Any]:
        """Closes the last shards."""
        while self._shards:
            yield in_global_window(self._shards.pop(next(iter(self._shards))).close())
        metrics.report(self._tally)
        yield TaggedOutput(TALLIES, in_global_window(self._tally))

    def teardown(self) -> None:
        """Removes the shards of a bundle that failed."""
        self._abandon()

    def _abandon(self) -> None:
        for shard in self._shards.values():
            shard.writer.abort()
        self._shards.clear()

    def _open(self, batch: pa.RecordBatch, split: str, length: int) -> OpenShard:
        """Begins a file for rows of a batch, whose T is not yet that of a bucket."""
        outputs = tuple(_outputs(self._spec, batch) if self._spec else rejected_outputs("split" in batch.schema.names))
        return self._target.begin(self._spec, outputs, length, split)

    def _counted(self, batch: pa.RecordBatch, written: int, digest: int) -> Tally:
        made: Tally = Counter()
        if self._spec is None:
            return made
        file = origin.file_of(batch)
        made[file, "rows", "written"] = written
        made[file, "digest", "written"] = digest
        for group in self._spec.group_names:
            lengths = numbers_of(batch.column(length_name(group)))
            made[file, "group", group, "steps"] = int(np.sum(lengths))
            if group == self._spec.bucketed_group:
                made[file, "group", group, "places"] = length_buckets.places(lengths, self._spec.group(group))
        return made


def rejected_outputs(has_splits: bool) -> list[Output]:
    """Returns the columns of a file of rejected rows."""
    return [*REJECTED_OUTPUTS, *([SPLIT_OUTPUT] if has_splits else [])]


def _outputs(spec: Spec, batch: pa.RecordBatch) -> list[Output]:
    """Returns the outputs as they came out in a dense batch: T known, the dtype the normalizer's."""
    made = []
    for output in spec.outputs():
        kind, width = batch.schema.field(output.name).type, 1
        if pa.types.is_fixed_size_list(kind):
            kind, width = kind.value_type, kind.list_size
        made.append(output.settled(width, {"float": "float32", "double": "float64"}.get(str(kind), str(kind))))
    return made
