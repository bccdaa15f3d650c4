"""TFRecord files of tf.Examples or tf.SequenceExamples (also mixed), plain or gzip."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, TypeAlias

import numpy as np
import pyarrow as pa

from pipeline.sources import examples, framing, sequence_examples, wire
from pipeline.sources.base import BatchLimits, Read, Source, Split, open_input, size_of
from pipeline.sources.examples import ExampleDecoder
from pipeline.sources.parts import batches, with_origins
from pipeline.sources.sequence_examples import SequenceExampleDecoder

EXAMPLE: Final = "tf.Example"
SEQUENCE_EXAMPLE: Final = "tf.SequenceExample"

_Decoder: TypeAlias = ExampleDecoder | SequenceExampleDecoder


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
        decoders = _Decoders(features, split.path)
        blocks = framing.Blocks(open_input(split.path), split.path)
        first, seen = split.first_row, 0
        for records in batches(self._records(blocks, split.path), limits):
            size, seen = blocks.consumed - seen, blocks.consumed
            for batch, rejected in decoders.decoded(records, first):
                yield Read(batch, rejected, size)
                size = 0
            first += len(records)

    def features(self, path: str, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. What is sampled is also bounded in bytes, as a batch is."""
        blocks = framing.Blocks(open_input(path), path)
        records = next(batches(itertools.islice(self._records(blocks, path), sample), BatchLimits(rows=sample)), [])
        if wire.only_features(pa.array(records, pa.large_binary())).all():
            return examples.kinds(records) if records else {}
        return sequence_examples.kinds(records)

    def _records(self, blocks: framing.Blocks, path: str) -> Iterator[bytes]:
        data, unit = framing.uncompressed(blocks, path)
        return framing.records(data, path, self.max_record_bytes, unit)


class _Decoders:
    """Decodes the records of one file, each as what it is."""

    def __init__(self, features: Mapping[str, str], path: str):
        self._examples = ExampleDecoder(features)
        self._sequences = SequenceExampleDecoder(features)
        self._path = path

    def decoded(
        self, records: Sequence[bytes], first_row: int
    ) -> Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]:
        """Yields the rows of a batch of records, good and rejected ones: all tf.Examples, then all tf.SequenceExamples.

        By kind, and not in runs: a tf.SequenceExample without feature lists looks like a tf.Example, so that in an
        ordinary file they may alternate.
        """
        original = pa.array(records, pa.large_binary())
        numbers = first_row + np.arange(len(records))
        plain = wire.only_features(original)
        if plain.all():
            yield from self._rows(self._examples, records, original, numbers, EXAMPLE)
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
                own = list(itertools.compress(records, mask))
                yield from self._rows(decoder, own, original.take(pa.array(chosen)), numbers[chosen], record_format)

    def _rows(
        self,
        decoder: _Decoder,
        records: Sequence[bytes],
        original: pa.Array,
        numbers: np.ndarray,
        record_format: str,
    ) -> Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]:
        found, bad = decoder.decode(records)
        bad = {position: message or f"expected a serialized {record_format}" for position, message in bad.items()}
        yield from with_origins(found, bad, original, numbers, self._path, record_format)
