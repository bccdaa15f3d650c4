"""TFRecord files of tf.Examples, plain or gzip."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import pyarrow as pa

from pipeline.sinks import wire
from pipeline.sinks.base import OutputFile, Sink, Writer, Written, flat_values
from pipeline.sources.framing import framed
from pipeline.sources.packing import GZIP
from transforms.columns.base import Output
from transforms.parse_specs import known_shape, parse_spec


@dataclass(frozen=True)
class TFRecord(Sink):
    """Writes a feature for each output: its values in row-major order, as its carrier (bool as int64).

    The same rows give the same bytes: features stand in the order of the outputs. The gzip header holds no time.

    Attributes:
      compression: `"gzip"` or None.
      level: how hard zlib tries, 1 to 9.
    """

    compression: Literal["gzip"] | None = None
    level: int = 6

    @property
    def name(self) -> str:
        """See the base class."""
        return "tfrecord.gz" if self.compression else "tfrecord"

    def open(self, path: str, outputs: Sequence[Output]) -> Writer:
        """See the base class."""
        parse_spec(outputs)
        return RecordWriter(OutputFile(path), Examples(outputs).encode, self._packer())

    def _packer(self) -> Any:
        return zlib.compressobj(self.level, wbits=GZIP) if self.compression else None


class Examples:
    """Encodes dense batches as serialized tf.Examples.

    Field numbers are those of tensorflow/core/example/example.proto and feature.proto.

    Args:
      outputs: what is encoded; other columns of a batch are left out.
    """

    def __init__(self, outputs: Sequence[Output]):
        self._outputs = list(outputs)

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        """Returns one record a row; empty ones where there are no outputs."""
        found: list[bytes] = self.pieces(batch).strings(batch.num_rows).to_pylist()
        return found

    def pieces(self, batch: pa.RecordBatch) -> wire.Pieces:
        """Returns the records of a batch, not yet put together."""
        if not self._outputs:
            return wire.constant(b"")
        return wire.field(1, wire.joined(self._entry(batch, output) for output in self._outputs))

    @staticmethod
    def _entry(batch: pa.RecordBatch, output: Output) -> wire.Pieces:
        """Returns an output as an entry of the map Features.feature: its name, and a Feature."""
        feature = feature_of(flat_values(batch, output), prod(known_shape(output)), batch.num_rows)
        return wire.field(1, wire.joined([wire.field(1, wire.constant(output.name.encode())), wire.field(2, feature)]))


def feature_of(values: pa.Array, width: int, count: int) -> wire.Pieces:
    """Returns `count` messages Feature of `width` values each, given row after row."""
    if pa.types.is_floating(values.type):
        packed = wire.floats(values.to_numpy().reshape(count, width))
        return wire.field(2, wire.field(1, packed))
    if pa.types.is_integer(values.type) or pa.types.is_boolean(values.type):
        numbers = values.cast(pa.int64()).to_numpy()
        return wire.field(3, wire.field(1, wire.varints(numbers.reshape(count, width))))
    strings = wire.field(1, wire.values(values))
    return wire.field(1, strings if width == 1 else strings.grouped(width, count))


class RecordWriter(Writer):
    """Writes what becomes a record a row.

    Args:
      file: where to.
      encode: makes the records of a batch.
      packer: compresses (see zlib), or None.
    """

    def __init__(self, file: OutputFile, encode: Callable[[pa.RecordBatch], list[bytes]], packer: Any):
        self._file, self._encode, self._packer = file, encode, packer
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> int:
        """See the base class."""
        data = framed(self._encode(batch))
        self._file.write(self._packer.compress(data) if self._packer else data)
        self._rows += batch.num_rows
        return batch.num_rows

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
