"""TFRecord files of tf.Examples, plain or gzip."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import pyarrow as pa
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from pipeline.sinks.base import OutputFile, Sink, Writer, Written, flat_values, list_offsets
from pipeline.sources.framing import framed
from pipeline.sources.packing import GZIP
from transforms.columns.base import Output
from transforms.parse_specs import known_shape, parse_spec


@dataclass(frozen=True)
class TFRecord(Sink):
    """Writes a feature for each output: its values in row-major order, as its carrier (bool as int64).

    The same rows give the same values, not the same bytes: protobuf leaves the order of an example's features open, and
    tfx_bsl 1.21 encodes them in another order each time. The gzip header holds no time.

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

    Args:
      outputs: what is encoded; other columns of a batch are left out.
    """

    def __init__(self, outputs: Sequence[Output]):
        self._outputs = list(outputs)
        self._encoder = RecordBatchToExamplesEncoder()

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        """Returns one record a row; empty ones where there are no outputs."""
        if not self._outputs:
            return [b""] * batch.num_rows
        columns = [lists_of(batch, output) for output in self._outputs]
        lists = pa.RecordBatch.from_arrays(columns, [output.name for output in self._outputs])
        return list(self._encoder.encode(lists))


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


def lists_of(batch: pa.RecordBatch, output: Output) -> pa.Array:
    """Returns a column as a list array of what the encoder takes.

    That of tfx_bsl 1.21 refuses fixed-size lists, booleans and text.
    """
    values = flat_values(batch, output)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    elif pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        values = values.cast(pa.large_binary())
    return pa.LargeListArray.from_arrays(list_offsets(batch.num_rows, prod(known_shape(output))), values)
