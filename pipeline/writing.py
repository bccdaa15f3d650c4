"""Writing shards from bundles: dense examples through a sink, rejected rows as Parquet.

Every bundle writes files of its own under names that no other has, and hands on what it wrote. A bundle that an engine runs
twice leaves files that no manifest names; publishing removes them.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from pipeline import kill_points, samples
from pipeline.samples import Sample
from pipeline.sinks import SINKS, Writer
from transforms import digests, metrics, rejection, rows
from transforms.beam import TALLIES, in_global_window
from transforms.columns import Output
from transforms.spec import Spec, length_name
from transforms.tally import Tally

SHARD_BYTES: Final = 512 << 20
"""A bundle begins another shard past this many bytes of Arrow data."""

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


@dataclass(frozen=True)
class Part:
    """A file that a bundle wrote: where, how much, what is in it, and where some of its rows come from.

    `row_digest` is the sum of the digests of its rows (see `transforms.digests`).
    """

    path: str
    rows: int
    bytes: int
    sha256: str
    row_digest: int = 0
    outputs: tuple[Output, ...] = ()
    samples: tuple[Sample, ...] = ()

    def entry(self, root: str) -> dict[str, Any]:
        """Returns the file as the manifest lists it, its path relative to the output directory."""
        made = asdict(self)
        del made["outputs"], made["samples"]
        made["path"] = self.path.removeprefix(root).lstrip("/")
        made["row_digest"] = digests.as_text(self.row_digest)
        if self.samples:
            made["samples"] = samples.by_file(self.samples)
        return made


class WriteShards(beam.DoFn):
    """Writes batches to shards; yields a `Part` for every file, and rows and steps written tagged `TALLIES`.

    Args:
      folder: where the shards go.
      run_id: begins their names.
      sink: name of the sink.
      spec: the columns; None for tables of rejected rows.
      shard_bytes: when a shard is full.
      sampled: whether it is noted where some rows come from (see `pipeline.samples`).
    """

    def __init__(
        self,
        folder: str,
        run_id: str,
        sink: str,
        spec: Spec | None,
        shard_bytes: int = SHARD_BYTES,
        sampled: bool = True,
    ):
        self._folder, self._run_id, self._sink = folder, run_id, sink
        self._spec, self._shard_bytes, self._sampled = spec, shard_bytes, sampled and spec is not None
        self._writer: Writer | None = None

    def start_bundle(self) -> None:
        """Begins with no shard: a bundle without rows writes no file."""
        self._abandon()
        self._size = 0
        self._tally: Tally = Counter()

    def process(self, batch: pa.RecordBatch) -> Iterator[Part]:
        """Writes a batch."""
        if self._writer is None:
            self._open(batch)
        assert self._writer is not None
        written = self._writer.write(batch)
        if self._sampled:
            self._sampler.add(batch)
        self._count(batch, written)
        self._size += batch.nbytes
        if self._size > self._shard_bytes:
            yield self._close()

    def finish_bundle(self) -> Iterator[Any]:
        """Closes the last shard."""
        if self._writer is not None:
            yield in_global_window(self._close())
        metrics.report(self._tally)
        yield TaggedOutput(TALLIES, in_global_window(self._tally))

    def teardown(self) -> None:
        """Removes the shard of a bundle that failed."""
        self._abandon()

    def _abandon(self) -> None:
        if self._writer is not None:
            self._writer.abort()
            self._writer = None

    def _open(self, batch: pa.RecordBatch) -> None:
        sink = SINKS[self._sink]
        self._outputs = tuple(_outputs(self._spec, batch) if self._spec else REJECTED_OUTPUTS)
        path = beam.io.filesystems.FileSystems.join(
            self._folder, f"{self._run_id}-{uuid.uuid4().hex[:12]}{sink.suffix}"
        )
        self._writer, self._digest = sink.open(path, self._outputs), 0
        self._sampler = samples.Sampler()

    def _close(self) -> Part:
        assert self._writer is not None
        done = self._writer.close()
        self._writer, self._size = None, 0
        kill_points.at("shard")
        return Part(done.path, done.rows, done.bytes, done.sha256, self._digest, self._outputs, self._sampler.samples)

    def _count(self, batch: pa.RecordBatch, written: int) -> None:
        digest = digests.total(batch.column("digest" if self._spec is None else rows.DIGEST_COLUMN))
        self._digest += digest
        if self._spec is None:
            return
        file = rows.file_of(batch)
        self._tally[file, "rows", "written"] += written
        self._tally[file, "digest", "written"] += digest
        for group in self._spec.group_names:
            lengths = batch.column(length_name(group)).to_numpy()
            self._tally[file, "group", group, "steps"] += int(np.sum(lengths))


def _outputs(spec: Spec, batch: pa.RecordBatch) -> list[Output]:
    """Returns the outputs as they came out in a dense batch: T known, the dtype the normalizer's."""
    made = []
    for output in spec.outputs():
        kind, width = batch.schema.field(output.name).type, 1
        if pa.types.is_fixed_size_list(kind):
            kind, width = kind.value_type, kind.list_size
        made.append(output.settled(width, {"float": "float32"}.get(str(kind), str(kind))))
    return made
