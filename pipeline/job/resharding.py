"""As many files of examples as somebody asks for (`--shards`), whatever bundles wrote.

Bundles stage their batches (`pipeline.job.staged`). When all have done so, each file that is asked for is a run of staged rows,
which a worker reads and writes batch by batch. Names and numbers alone cross a shuffle. The disk holds the rows twice meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.pvalue import AsList

from pipeline.dataset import pieces
from pipeline.job import staged
from pipeline.job.writing import Shard, ShardTarget
from transforms.columns import Output
from transforms.rows import digests, origin
from transforms.spec.spec import Spec


@dataclass(frozen=True)
class Run:
    """Rows of one file to write, of one split and length bucket.

    Attributes:
      outputs: the features, with the T of the data set.
      length: T of the length bucket, 0 for none.
      split: the split, empty for none.
      parts: staged files, each with its first row and the row after its last.
    """

    outputs: tuple[Output, ...]
    length: int
    split: str
    parts: tuple[tuple[str, int, int], ...]


class Reshard(beam.PTransform):
    """Writes staged files of any number as a given number of others; takes and gives `Shard`s.

    Args:
      target: where the files go.
      spec: the columns.
      count: how many files each split, of each length bucket, has. One with fewer rows has a file for each row.
      sampled: whether it is noted where some rows come from.
    """

    def __init__(self, target: ShardTarget, spec: Spec, count: int, sampled: bool):
        super().__init__()
        self._target, self._spec, self._count, self._sampled = target, spec, count, sampled

    def expand(self, parts: beam.PCollection) -> beam.PCollection:
        """Divides and writes."""
        once = parts.pipeline | "Staged" >> beam.Create([None], reshuffle=False)
        found = once | "Divide" >> beam.FlatMap(lambda _, parts, count: runs(parts, count), AsList(parts), self._count)
        write = _WriteRuns(self._target, self._spec, self._sampled)
        return found | "Deal" >> beam.Reshuffle() | "Write" >> beam.ParDo(write)


class _WriteRuns(beam.DoFn):
    def __init__(self, target: ShardTarget, spec: Spec, sampled: bool):
        self._target, self._spec, self._sampled = target, spec, sampled

    def process(self, run: Run) -> Iterator[Shard]:
        """Writes a file."""
        shard = self._target.begin(self._spec, run.outputs, run.length, run.split)
        try:
            for path, start, stop in run.parts:
                for batch in staged.read(path, start, stop):
                    shard.write(batch, digests.total(batch.column(origin.DIGEST_COLUMN)), self._sampled)
            written = shard.close()
        except BaseException:
            shard.writer.abort()
            raise
        yield written


def runs(parts: Sequence[Shard], count: int) -> list[Run]:
    """Divides the rows of staged files: those of each split, of each length bucket, evenly but for one row.

    Rows stay in the order of the input, as far as bundles have them so.
    """
    groups: dict[tuple[str, int, tuple[Output, ...]], list[Shard]] = {}
    for part in sorted(parts, key=_place):
        groups.setdefault((part.split, part.length, part.outputs), []).append(part)
    made = []
    for (split, length, outputs), own in groups.items():
        rows = [part.rows for part in own]
        for cut in pieces.runs(rows, min(count, sum(rows))):
            made.append(Run(outputs, length, split, tuple((own[p.file].path, p.start, p.stop) for p in cut)))
    return made


def _place(part: Shard) -> tuple[str, int, str]:
    """Returns where the first row of a staged file is from, as far as it is known."""
    file, row = (part.samples[0].file, part.samples[0].row) if part.samples else ("", 0)
    return file, row, part.path
