"""TFRecord files of tf.Examples, plain or gzip."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipeline.sources import framing
from pipeline.sources.base import BatchLimits, Read, Source, Split, broken, open_input, size_of
from pipeline.sources.examples import ExampleDecoder, are_sequence_examples, kinds
from transforms import rejection, rows

RECORD_FORMAT = "tf.Example"


@dataclass(frozen=True)
class TFRecord(Source):
    """Reads TFRecord files, each as one split: the format has no marks to start from in the middle.

    A file is taken for gzip when its name ends in `.gz` or its first bytes say so.

    Attributes:
      max_record_bytes: the longest record allowed, in bytes.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".tfrecord", ".tfrecords", ".tfrecord.gz", ".tfrecords.gz", ".gz")

    max_record_bytes: int = 256 << 20

    def splits(self, path: str) -> list[Split]:
        """See the base class."""
        return [Split(path, size=size_of(path))]

    def read(self, split: Split, features: Mapping[str, str], limits: BatchLimits) -> Iterator[Read]:
        """See the base class. A feature that no row of a batch has is a column of nulls."""
        decoder = ExampleDecoder(features)
        blocks = framing.Blocks(open_input(split.path), split.path)
        first, seen = split.first_row, 0
        for records in _batches(self._records(blocks, split.path), limits):
            size, seen = blocks.consumed - seen, blocks.consumed
            for batch, rejected in _decoded(decoder, records, split.path, first):
                yield Read(batch, rejected, size)
                size = 0
            first += len(records)

    def features(self, path: str, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. What is sampled is also bounded in bytes, as a batch is."""
        blocks = framing.Blocks(open_input(path), path)
        batches = _batches(itertools.islice(self._records(blocks, path), sample), BatchLimits(rows=sample))
        records = next(batches, [])
        if records and are_sequence_examples(records):
            raise broken(path, "holds tf.SequenceExample records, expected tf.Example")
        return kinds(records) if records else {}

    def _records(self, blocks: framing.Blocks, path: str) -> Iterator[bytes]:
        data = iter(blocks)
        head = next(data, b"")
        data = itertools.chain([head], data) if head else data
        if path.lower().endswith(".gz") or _is_gzip(head):
            data = framing.gunzip(data, path)
            return framing.records(data, path, self.max_record_bytes, "uncompressed byte")
        return framing.records(data, path, self.max_record_bytes)


def _is_gzip(head: bytes) -> bool:
    """A plain file whose first record is 560,927 bytes long begins like a gzip file; its checksum tells."""
    return head[:3] == b"\x1f\x8b\x08" and not framing.is_header(head)


def _batches(records: Iterable[bytes], limits: BatchLimits) -> Iterator[list[bytes]]:
    held: list[bytes] = []
    size = 0
    for record in records:
        if held and (len(held) >= limits.rows or size + len(record) > limits.bytes):
            yield held
            held, size = [], 0
        held.append(record)
        size += len(record)
    if held:
        yield held


def _decoded(
    decoder: ExampleDecoder, records: list[bytes], path: str, first_row: int
) -> Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]:
    parts, bad = decoder.decode(records)
    for part in parts:
        whole = part.batch.num_rows == len(records)
        own = records if whole else [records[k] for k in part.positions]
        original = pa.array(own, pa.large_binary())
        yield rows.with_origin(part.batch, path, first_row + part.positions, original, RECORD_FORMAT), None
    if len(bad):
        yield None, _rejected([records[k] for k in bad], path, first_row + bad)


def _rejected(records: list[bytes], path: str, numbers: np.ndarray) -> pa.RecordBatch | None:
    original = pa.array(records, pa.large_binary())
    batch = rows.with_origin(pa.RecordBatch.from_arrays([], []), path, numbers, original, RECORD_FORMAT)
    shown = [record[: rejection.MAX_VALUE_BYTES + 1].decode("latin-1") for record in records]
    fault = rejection.Fault("bad_record", "", np.arange(len(records)), shown, "expected a serialized tf.Example")
    return rejection.split(batch, [fault])[1]
