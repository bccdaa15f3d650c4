"""Reading: files to splits to batches, counted and noted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from pipeline import allocator
from pipeline.inputs.places import Places, among
from pipeline.inputs.preflight import Reads, refuse_schema
from pipeline.job.progress import Note, now
from pipeline.sources.base import FilePart
from pipeline.sources.folders import features_of
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from transforms.beam import GOOD, REJECTED, TALLIES, in_global_window, typed
from transforms.events.accounting import EXCLUDED
from transforms.rows import digests, metrics, origin, rejection
from transforms.rows.numbers import numbers_of
from transforms.rows.tally import Tally, count_rejected


class ReadBatches(beam.PTransform):
    """Reads files into batches.

    Takes file names; gives `GOOD` batches with their origin, `REJECTED` rows that could not be decoded, `TALLIES`.

    Args:
      spec: the columns that are read.
      limits: the largest records and files to accept.
      spread: whether splits are dealt out to several workers. That costs a shuffle of their names (never of data).
      notes: folder for progress notes on this machine, or an empty string.
      number: the number of the pass, for the notes.
      names: path to the name by which a file is known, where that is another.
      excluded: the rows that are left out, and only counted: `(file, "events", "excluded")` how many, `(file, "event_digest",
        "excluded")` the sum of their digests.
    """

    def __init__(
        self,
        spec: Reads,
        limits: Limits,
        spread: bool,
        notes: str,
        number: int,
        names: Mapping[str, str] | None = None,
        excluded: Places | None = None,
    ):
        super().__init__()
        self._spec, self._limits, self._spread = spec, limits, spread
        self._notes, self._number, self._names, self._excluded = notes, number, names, excluded

    def expand(self, files: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """Splits and reads."""
        splits = files | "Split" >> beam.FlatMap(parts_of, self._limits)
        if self._spread:
            splits |= "Deal" >> beam.Reshuffle()
        read = _Read(self._spec, self._limits, self._notes, self._number, self._names, self._excluded)
        made = splits | "Read" >> beam.ParDo(read).with_outputs(REJECTED, TALLIES, main=GOOD)
        return typed(made, GOOD, REJECTED)


def parts_of(path: str, limits: Limits) -> list[FilePart]:
    """Returns the parts of a file that can be read by themselves."""
    return source_for(path, limits).parts(path)


def _said(path: str, features: Collection[str]) -> int:
    """Returns a digest of what the folders of a file say of its rows, 0 for nothing: records do not hold it, columns do."""
    values = {name: value for name, value in sorted(features_of(path).items()) if name in features}
    return int(digests.of_text(json.dumps(values))) if values else 0


class _Read(beam.DoFn):
    def __init__(
        self,
        spec: Reads,
        limits: Limits,
        notes: str,
        number: int,
        names: Mapping[str, str] | None = None,
        excluded: Places | None = None,
    ):
        self._spec, self._limits, self._notes, self._number = spec, limits, notes, number
        self._names, self._excluded = names or {}, excluded or {}

    def setup(self) -> None:
        """Prepares the worker's memory for batches."""
        allocator.begin_pass()

    def start_bundle(self) -> None:
        self._tally: Tally = Counter()
        self._note = Note(self._notes, self._number)

    def process(self, split: FilePart) -> Iterator[Any]:
        """Reads a split; yields good batches, and rejected rows tagged `REJECTED`."""
        self._tally.setdefault(("", "began", self._number), now())
        source, name = source_for(split.path, self._limits), self._names.get(split.path, split.path)
        features = self._spec.read_features
        held: dict[str, pa.DataType] | None = None  # the schema, of the first batch; it counts once there are rows
        checked = not source.has_schema
        said = 0 if source.has_schema else _said(split.path, features)
        for read in source.read(split, features, self._limits):
            count = 0
            if read.batch is not None and held is None:
                held = {field.name: field.type for field in read.batch.schema}
            if read.batch is not None and read.batch.num_rows:
                if not checked and held is not None:
                    refuse_schema(split.path, held, self._spec)
                    checked = True
                count += read.batch.num_rows
                batch = digests.attach(origin.plain(digests.renamed(read.batch, name)), features)
                numbers, marks = origin.row_numbers(batch), batch.column(origin.DIGEST_COLUMN)
                self._count_digests(name, marks, numbers, said)
                left = self._left(batch, name, numbers, marks)
                if left.num_rows:
                    yield left
            if read.rejected is not None:
                count += read.rejected.num_rows
                rejected = digests.attach_rejected(rejection.of_file(read.rejected, name))
                numbers, marks = numbers_of(rejected.column("row")), rejected.column("digest")
                self._count_digests(name, marks, numbers, said)
                left = self._left(rejected, name, numbers, marks)
                self._tally.update(count_rejected(left))
                if left.num_rows:
                    yield TaggedOutput(REJECTED, left)
            self._tally[name, "rows", "read"] += count
            self._note.add(count, read.size)

    def _count_digests(self, name: str, found: pa.Array, numbers: np.ndarray, said: int) -> None:
        self._tally[name, "digest", "read"] += digests.total(found)
        self._tally[name, "digest", "content"] += digests.without_file(found, name, numbers) + said * len(numbers)

    def _left(self, batch: pa.RecordBatch, name: str, numbers: np.ndarray, marks: pa.Array) -> pa.RecordBatch:
        """Returns rows without those that are excluded, which are counted."""
        if name not in self._excluded:
            return batch
        excluded = among(self._excluded, name, numbers)
        self._tally[name, "events", EXCLUDED] += int(np.count_nonzero(excluded))
        self._tally[name, "event_digest", EXCLUDED] += digests.total(marks.filter(pa.array(excluded)))
        return batch.filter(pa.array(~excluded))

    def finish_bundle(self) -> Iterator[Any]:
        self._note.write()
        if self._tally:
            self._tally["", "ended", self._number] = now()
        metrics.report(self._tally)
        yield TaggedOutput(TALLIES, in_global_window(self._tally))
