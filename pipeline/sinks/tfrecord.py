"""TFRecord files of tf.Examples, plain or gzip."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal

import numpy as np
import pyarrow as pa

from pipeline.sinks import records
from pipeline.sinks.base import OutputFile, Sink, Writer, Written, flat_values
from pipeline.sinks.contents import Contents, Tell
from pipeline.sources.packings import GZIP
from transforms.columns.results import Output
from transforms.kernels import encode
from transforms.rows.numbers import numbers_of
from transforms.spec.parse_specs import known_shape, parse_spec

Features = Callable[[pa.RecordBatch], list[encode.Feature]]


@dataclass(frozen=True)
class TFRecordSink(Sink):
    """Writes a feature for each output: its values in row-major order, as its carrier (bool as int64).

    The same rows give the same bytes: features stand in the order of the outputs. The gzip header holds no time.

    Attributes:
      compression: `"gzip"` or None.
      level: how hard zlib tries, 1 to 9.
    """

    source: ClassVar[str] = "tfrecord"

    compression: Literal["gzip"] | None = None
    level: int = 6

    @property
    def name(self) -> str:
        """See the base class."""
        return "tfrecord.gz" if self.compression else "tfrecord"

    def open(self, path: str, outputs: Sequence[Output]) -> Writer:
        """See the base class."""
        parse_spec(outputs)
        return RecordWriter(OutputFile(path), lambda batch: [feature_of(batch, o) for o in outputs], self._packer())

    @property
    def compression_type(self) -> str:
        """See the base class."""
        return "GZIP" if self.compression else ""

    def columns(
        self, path: str, outputs: Sequence[Output], start: int, stop: int | None
    ) -> Iterator[tuple[Mapping[str, pa.Array], int]]:
        """See the base class; records before the first one are read, and not decoded."""
        return records.columns(path, outputs, start, stop, self.has_lists)

    def look_through(
        self, path: str, blocks: Iterator[bytes], outputs: Sequence[Output], found: Contents, tell: Tell
    ) -> None:
        """See the base class."""
        kind = records.SequenceExamples if self.has_lists else records.Examples
        records.look_through(path, blocks, kind(outputs), found)

    def _packer(self) -> Any:
        return zlib.compressobj(self.level, wbits=GZIP) if self.compression else None


def feature_of(batch: pa.RecordBatch, output: Output, listed: bool = False) -> encode.Feature:
    """Returns an output of a batch as the encoder takes it.

    Args:
      batch: dense rows.
      output: the feature to encode.
      listed: whether it becomes a feature list, its first dimension the steps.
    """
    values, shape, name = flat_values(batch, output), known_shape(output), output.name.encode()
    steps, width = (shape[0], prod(shape[1:])) if listed else (None, prod(shape))
    if pa.types.is_floating(values.type):
        floats = np.ascontiguousarray(numbers_of(values), np.float32)
        return encode.Feature(name, encode.FLOATS, floats, width, steps)
    if pa.types.is_boolean(values.type):
        bits = np.frombuffer(values.buffers()[1] or b"", np.uint8)
        return encode.Feature(name, encode.BOOLEANS, bits, width, steps, first=values.offset)
    if pa.types.is_integer(values.type):
        # The same 64 bits, of which a cast back makes the same number.
        integers = numbers_of(values).astype(np.int64, copy=False)
        return encode.Feature(name, encode.INTEGERS, integers, width, steps)
    strings = values.cast(pa.large_binary())
    _, starts, data = strings.buffers()
    found = np.frombuffer(starts or bytes(8), np.int64)[strings.offset :]
    return encode.Feature(name, encode.BYTES, np.frombuffer(data or b"", np.uint8), width, steps, found)


class RecordWriter(Writer):
    """Writes what becomes a record a row.

    Args:
      file: where to.
      features: returns what is written of a batch, see `transforms.kernels.encode`.
      packer: compresses (see zlib), or None.
    """

    def __init__(self, file: OutputFile, features: Features, packer: Any):
        self._file, self._features, self._packer = file, features, packer
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> int:
        """See the base class."""
        for piece in encode.records(self._features(batch), batch.num_rows):
            self._file.write(self._packer.compress(piece.data) if self._packer else piece.data)
        self._rows += batch.num_rows
        return batch.num_rows

    def reaches(self, size: int) -> bool:
        """See the base class; what a packer holds back, some 64 KiB at most, does not count."""
        return self._file.bytes >= size

    def close(self) -> Written:
        """See the base class."""
        if self._packer:
            self._file.write(self._packer.flush())
            self._packer = None
        self._file.close()
        return self._file.written(self._rows)

    def abort(self) -> None:
        """See the base class."""
        self._file.abort()
