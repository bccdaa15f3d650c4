"""Reading the rejected rows of a data set, maybe mended by somebody, as the rows of the files that they came from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.pvalue import TaggedOutput

from pipeline.inputs.places import PLACE, batches_of
from pipeline.job.progress import Note, now
from pipeline.job.splitting import COLUMN as SPLIT
from pipeline.repair.ledger import AGAIN
from pipeline.repair.records import KeptRecords
from pipeline.sources.base import FilePart
from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import Limits
from transforms.beam import GOOD, REJECTED, TALLIES, in_global_window
from transforms.rows import digests, origin, rejection
from transforms.rows.reasons import NEVER_PARSED
from transforms.rows.tally import Tally, count_rejected, under
from transforms.spec.spec import Spec
from transforms.stages import parse_batch


class ReadKept(beam.PTransform):
    """Reads files of rejected rows into batches; outputs as `pipeline.job.reading.ReadBatches`.

    Args:
      spec: the columns that are read.
      mended: files of rejected rows (Parquet) whose records are read instead of those that were kept.
      limits: how large a batch may be.
      notes: folder for progress notes on this machine, or an empty string.
      number: the number of the pass, for the notes.
    """

    def __init__(self, spec: Spec, mended: Sequence[str], limits: Limits, notes: str, number: int):
        super().__init__()
        self._read = _ReadKept(spec, mended, limits, notes, number)

    def expand(self, files: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """Splits and reads."""
        splits = files | "Split" >> beam.FlatMap(SOURCES["parquet"].parts)
        return splits | "Read" >> beam.ParDo(self._read).with_outputs(REJECTED, TALLIES, main=GOOD)


class _ReadKept(beam.DoFn):
    def __init__(self, spec: Spec, mended: Sequence[str], limits: Limits, notes: str, number: int):
        self._spec, self._mended, self._limits = spec, tuple(mended), limits
        self._notes, self._number = notes, number

    def setup(self) -> None:
        self._records = mended_records(self._mended)

    def start_bundle(self) -> None:
        self._tally: Tally = Counter()
        self._note = Note(self._notes, self._number)

    def process(self, split: FilePart) -> Iterator[Any]:
        """Reads a split; yields good batches, and rejected rows tagged `REJECTED`."""
        self._tally.setdefault(("", "began", self._number), now())
        features = self._spec.read_features
        kept_columns = dict.fromkeys([*rejection.SCHEMA.names, SPLIT], "string")
        for read in SOURCES["parquet"].read(split, kept_columns, self._limits):
            assert read.batch is not None
            for kept, was_bad in kept_of(read.batch, self._records):
                self._tally[kept.file, "rows", "read"] += len(kept.numbers)
                self._tally[kept.file, "digest", "read"] += digests.total(kept.digests)
                for batch, rejected in kept.decoded(features, self._spec.optional_features):
                    if batch is not None:
                        self._count_again(batch, kept, was_bad)
                        yield batch
                    if rejected is not None:
                        self._tally.update(count_rejected(rejected))
                        yield TaggedOutput(REJECTED, rejected)
            self._note.add(read.batch.num_rows, read.size)

    def _count_again(self, batch: pa.RecordBatch, kept: KeptRecords, was_bad: np.ndarray) -> None:
        """Counts what the first run has counted already: of rows that could be decoded and were rejected by a rule."""
        at = np.searchsorted(kept.numbers, origin.row_numbers(batch))
        known = batch.filter(pa.array(~was_bad[at]))
        if known.num_rows:
            counted = parse_batch(known, self._spec.columns).tally
            of_columns = {key: n for key, n in counted.items() if key[1] == "column" and key[3] in ("present", "nulls")}
            self._tally.update(under(kept.split, {(key[0], AGAIN, *key[2:]): n for key, n in of_columns.items()}))

    def finish_bundle(self) -> Iterator[Any]:
        self._note.write()
        if self._tally:
            self._tally["", "ended", self._number] = now()
        yield TaggedOutput(TALLIES, in_global_window(self._tally))


def kept_of(table: pa.RecordBatch, mended: Mapping[tuple[str, int], bytes]) -> Iterator[tuple[KeptRecords, np.ndarray]]:
    """Yields rejected rows by file and format.

    Args:
      table: rows of `rejection.SCHEMA`.
      mended: file and row to the record that is read instead.

    Yields:
      The rows, and bool `[rows]`: whether a row could not be decoded, or had no split, so that no column was checked.
    """
    names = ["file", "record_format", "header", *([SPLIT] if SPLIT in table.schema.names else [])]
    found_at: dict[tuple[Any, ...], list[int]] = {}
    for k, key in enumerate(zip(*(table.column(name).to_pylist() for name in names), strict=True)):
        found_at.setdefault(key, []).append(k)
    for key, chosen in found_at.items():
        own = table.take(pa.array(chosen, pa.int64()))
        own = own.take(pa.array(np.argsort(own.column("row").to_numpy(), kind="stable")))
        file, record_format, header, *split = key
        numbers = own.column("row").to_numpy()
        originals = own.column("record").cast(pa.large_binary())
        records = [
            mended.get((file, int(number)), original)
            for number, original in zip(numbers, originals.to_pylist(), strict=True)
        ]
        was_bad = np.array([reason in NEVER_PARSED for reason in own.column("reason").to_pylist()])
        found = own.column("digest")
        yield KeptRecords(file, record_format, header, numbers, found, records, originals, *split), was_bad


def mended_records(paths: Sequence[str]) -> dict[tuple[str, int], bytes]:
    """Returns the records of files of rejected rows by file and row.

    Raises:
      JobError: such a file cannot be read, or does not have a column.
    """
    found: dict[tuple[str, int], bytes] = {}
    for batch in batches_of(paths, [*PLACE, "record"]):
        files, numbers = (batch.column(name).to_pylist() for name in PLACE)
        found.update(zip(zip(files, numbers, strict=True), batch.column("record").to_pylist(), strict=True))
    return found
