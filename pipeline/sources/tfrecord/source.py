"""TFRecord files of tf.Examples or tf.SequenceExamples (also mixed), plain or packed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from pipeline.sources.base import Decoded, FilePart, Read, Source, size_of
from pipeline.sources.batches import with_origins
from pipeline.sources.compression import Content
from pipeline.sources.limits import DEFAULTS, Limits
from pipeline.sources.tfrecord import framing
from transforms.rows import origin

EXAMPLE: Final = "tf.Example"
SEQUENCE_EXAMPLE: Final = "tf.SequenceExample"


@dataclass(frozen=True)
class TFRecordSource(Source):
    """Reads TFRecord files, each as one split: the format has no marks to start from in the middle.

    A record that is longer than `Limits.max_record_bytes` breaks the file.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".tfrecord", ".tfrecords")
    record_formats: ClassVar[tuple[str, ...]] = (EXAMPLE, SEQUENCE_EXAMPLE)

    def parts(self, path: str) -> list[FilePart]:
        """See the base class."""
        return [FilePart(path, size=size_of(path))]

    def read(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. A feature that no row of a batch has is a column of nulls."""
        decoder = _Decoder(features, split.path)
        content = _opened(split.path, limits)
        first, seen = split.first_row, 0
        for found in _cuts(content, split.path, limits):
            size, seen = content.consumed - seen, content.consumed
            for batch, rejected in decoder.decoded(found.array(), first, found.checksums):
                yield Read(batch, rejected, size)
                size = 0
            first += len(found)

    def screen(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[tuple[int, int]]:
        """See the base class. No record is decoded: one that cannot be is a rejected row."""
        content = _opened(split.path, limits)
        seen = 0
        for found in _cuts(content, split.path, limits):
            size, seen = content.consumed - seen, content.consumed
            yield len(found), size

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. What is sampled is also bounded in bytes, as a batch is."""
        from pipeline.sources.tfrecord import examples as example_records

        for found in _cuts(_opened(path, limits), path, replace(limits, max_batch_rows=sample)):
            return example_records.kinds(found.array())
        return {}

    def decoded(self, records: Sequence[bytes], path: str, features: Mapping[str, str], header: str) -> Decoded:
        """See the base class. There is no header."""
        yield from _Decoder(features, path).decoded(pa.array(records, pa.large_binary()), 0)

    def as_written(self, records: Sequence[bytes]) -> bytes:
        """See the base class."""
        return framing.framed(records)


def _opened(path: str, limits: Limits) -> Content:
    # A plain file whose first record is 560,927 bytes long begins like a gzip file; its checksum tells.
    return Content(path, limits, framing.is_header)


def _cuts(content: Content, path: str, limits: Limits) -> Iterator[framing.UnframedRecords]:
    return framing.cuts(content.fill, path, limits, content.unit)


class _Decoder:
    """Decodes the records of one file, each as what it is."""

    def __init__(self, features: Mapping[str, str], path: str):
        from pipeline.sources.tfrecord import examples as example_records  # which imports the kernels

        self._records = example_records.RecordDecoder(features)
        self._with_lists = example_records.with_lists
        self._path = path

    def decoded(self, records: pa.Array, first_row: int, checksums: np.ndarray | None = None) -> Decoded:
        """Yields the rows of a batch of records, good and rejected ones: all tf.Examples, then all tf.SequenceExamples.

        By kind, and not in runs: a tf.SequenceExample without feature lists looks like a tf.Example, so that in an
        ordinary file they may alternate. Their digests are computed from the checksums (CRC-32C), if these are at hand.
        """
        numbers = first_row + np.arange(len(records))
        listed = self._with_lists(records)
        for record_format, mask in ((EXAMPLE, ~listed), (SEQUENCE_EXAMPLE, listed)):
            chosen = np.flatnonzero(mask)
            if len(chosen) == len(records) > 0:
                yield from self._of_a_kind(records, numbers, checksums, record_format)
            elif len(chosen):
                sums = None if checksums is None else checksums[chosen]
                yield from self._of_a_kind(origin.taken(records, chosen), numbers[chosen], sums, record_format)

    def _of_a_kind(
        self, records: pa.Array, numbers: np.ndarray, checksums: np.ndarray | None, record_format: str
    ) -> Decoded:
        found, bad = self._records.decode(records, record_format == SEQUENCE_EXAMPLE)
        bad = {k: message or f"expected a serialized {record_format}" for k, message in bad.items()}
        yield from with_origins(found, bad, records, numbers, self._path, record_format, checksums=checksums)
