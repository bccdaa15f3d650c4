"""TFRecord files of tf.Examples or tf.SequenceExamples (also mixed), plain or packed."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.limits import DEFAULTS, Limits
from pipeline.sources import examples, framing, sequence_examples, wire
from pipeline.sources.base import Read, Source, Split, size_of
from pipeline.sources.examples import ExampleDecoder
from pipeline.sources.packing import Content
from pipeline.sources.parts import batches, screened, with_origins
from pipeline.sources.sequence_examples import SequenceExampleDecoder
from transforms import rows

EXAMPLE: Final = "tf.Example"
SEQUENCE_EXAMPLE: Final = "tf.SequenceExample"

_Decoder: TypeAlias = ExampleDecoder | SequenceExampleDecoder


@dataclass(frozen=True)
class TFRecord(Source):
    """Reads TFRecord files, each as one split: the format has no marks to start from in the middle.

    A record that is longer than `Limits.max_record_bytes` breaks the file.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".tfrecord", ".tfrecords")

    def splits(self, path: str) -> list[Split]:
        """See the base class."""
        return [Split(path, size=size_of(path))]

    def read(self, split: Split, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. A feature that no row of a batch has is a column of nulls."""
        decoders = _Decoders(features, split.path)
        content = _opened(split.path, limits)
        first, seen = split.first_row, 0
        checksums: list[int] = []
        for records in batches(_records(content, split.path, limits, checksums), limits):
            size, seen = content.consumed - seen, content.consumed
            own = np.array(checksums[: len(records)], np.uint64)
            del checksums[: len(records)]
            for batch, rejected in decoders.decoded(records, first, own):
                yield Read(batch, rejected, size)
                size = 0
            first += len(records)

    def screen(self, split: Split, features: Mapping[str, str], limits: Limits) -> Iterator[tuple[int, int]]:
        """See the base class. No record is decoded: one that cannot be is a rejected row."""
        content = _opened(split.path, limits)
        yield from screened(content, _records(content, split.path, limits), limits)

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. What is sampled is also bounded in bytes, as a batch is."""
        found = _records(_opened(path, limits), path, limits)
        records = next(batches(itertools.islice(found, sample), replace(limits, max_batch_rows=sample)), [])
        if wire.only_features(pa.array(records, pa.large_binary())).all():
            return examples.kinds(records) if records else {}
        return sequence_examples.kinds(records)


def _opened(path: str, limits: Limits) -> Content:
    # A plain file whose first record is 560,927 bytes long begins like a gzip file; its checksum tells.
    return Content(path, limits, framing.is_header)


def _records(content: Content, path: str, limits: Limits, checksums: list[int] | None = None) -> Iterator[bytes]:
    return framing.records(content, path, limits.max_record_bytes, content.unit, checksums)


def decoded(
    records: Sequence[bytes], path: str, features: Mapping[str, str], header: str
) -> Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]:
    """Yields records that were read before, numbered from 0: good and rejected ones. There is no header."""
    yield from _Decoders(features, path).decoded(records, 0)


class _Decoders:
    """Decodes the records of one file, each as what it is."""

    def __init__(self, features: Mapping[str, str], path: str):
        self._examples = ExampleDecoder(features)
        self._sequences = SequenceExampleDecoder(features)
        self._path = path

    def decoded(
        self, records: Sequence[bytes], first_row: int, checksums: np.ndarray | None = None
    ) -> Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]:
        """Yields the rows of a batch of records, good and rejected ones: all tf.Examples, then all tf.SequenceExamples.

        By kind, and not in runs: a tf.SequenceExample without feature lists looks like a tf.Example, so that in an
        ordinary file they may alternate. Their digests are made of the checksums (CRC-32C), where these are at hand.
        """
        original = pa.array(records, pa.large_binary())
        numbers = first_row + np.arange(len(records))
        plain = wire.only_features(original)
        if plain.all():
            yield from self._rows(self._examples, original, numbers, checksums, EXAMPLE)
            return
        listed = ~plain & wire.has_lists(original)
        kinds: list[tuple[_Decoder, str, np.ndarray]] = [
            (self._examples, EXAMPLE, plain),
            (self._sequences, EXAMPLE, ~plain & ~listed),  # garbage, mostly; also examples in several pieces
            (self._sequences, SEQUENCE_EXAMPLE, listed),
        ]
        for decoder, record_format, mask in kinds:
            chosen = np.flatnonzero(mask)
            if len(chosen):
                sums = None if checksums is None else checksums[chosen]
                yield from self._rows(decoder, rows.taken(original, chosen), numbers[chosen], sums, record_format)

    def _rows(
        self,
        decoder: _Decoder,
        original: pa.Array,
        numbers: np.ndarray,
        checksums: np.ndarray | None,
        record_format: str,
    ) -> Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]:
        found, bad = decoder.decode(original)
        bad = {position: message or f"expected a serialized {record_format}" for position, message in bad.items()}
        yield from with_origins(found, bad, original, numbers, self._path, record_format, checksums=checksums)
