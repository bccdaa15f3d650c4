"""TFRecord files of tf.SequenceExamples, plain or gzip: context, and a feature list for every sequence."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from pipeline.sinks import wire
from pipeline.sinks.base import OutputFile, Sink, Writer, Written, flat_values
from pipeline.sinks.tfrecord import lists_of
from pipeline.sources.framing import GZIP, framed
from transforms.columns.base import Output
from transforms.parse_specs import known_shape, sequence_spec


@dataclass(frozen=True)
class SequenceExample(Sink):
    """Writes an output whose first dimension is T as a feature list of T steps, padding included; any other as context.

    What is in a step is in row-major order, as the carrier of its dtype (bool as int64). `tf.io.parse_sequence_example` reads it
    back with what `Manifest.sequence_feature_spec` gives. Field numbers are those of tensorflow/core/example/example.proto and
    feature.proto.

    Attributes:
      compression: `"gzip"` or None.
      level: how hard zlib tries, 1 to 9.
    """

    compression: Literal["gzip"] | None = None
    level: int = 6

    @property
    def name(self) -> str:
        """See the base class."""
        return "sequence_example.gz" if self.compression else "sequence_example"

    @property
    def suffix(self) -> str:
        """See the base class."""
        return ".tfrecord.gz" if self.compression else ".tfrecord"

    def open(self, path: str, outputs: Sequence[Output]) -> Writer:
        """See the base class."""
        sequence_spec(outputs)
        packer = zlib.compressobj(self.level, wbits=GZIP) if self.compression else None
        return _Writer(OutputFile(path), outputs, packer)


class _Writer(Writer):
    def __init__(self, file: OutputFile, outputs: Sequence[Output], packer: Any):
        self._file, self._packer = file, packer
        self._context = [output for output in outputs if not output.sequence]
        self._lists = [output for output in outputs if output.sequence]
        self._encoder = RecordBatchToExamplesEncoder()
        self._rows = 0

    def write(self, batch: pa.RecordBatch) -> int:
        if not batch.num_rows:
            return 0
        entries = [wire.field(1, _entry(batch, output)) for output in self._lists]
        lists = wire.field(2, wire.joined(entries)) if entries else wire.constant(b"", batch.num_rows)
        # A tf.Example of the context alone has the bytes of a SequenceExample's context: field 1, Features.
        context = self._examples(batch)
        splits = np.concatenate([[0], np.cumsum(lists.sizes)])
        data = lists.data.tobytes()
        records = [one + data[a:b] for one, a, b in zip(context, splits[:-1], splits[1:], strict=True)]
        framed_records = framed(records)
        self._file.write(self._packer.compress(framed_records) if self._packer else framed_records)
        self._rows += batch.num_rows
        return batch.num_rows

    def _examples(self, batch: pa.RecordBatch) -> list[bytes]:
        if not self._context:
            return [b""] * batch.num_rows
        columns = [lists_of(batch, output) for output in self._context]
        lists = pa.RecordBatch.from_arrays(columns, [output.name for output in self._context])
        return list(self._encoder.encode(lists))

    def close(self) -> Written:
        if self._packer:
            self._file.write(self._packer.flush())
            self._packer = None
        self._file.close()
        return self._file.written(self._rows)

    def abort(self) -> None:
        self._file.abort()


def _entry(batch: pa.RecordBatch, output: Output) -> wire.Pieces:
    """Returns an output as an entry of the map FeatureLists.feature_list, one a row: its name, and a FeatureList."""
    rows, (steps, *inner) = batch.num_rows, known_shape(output)
    values = flat_values(batch, output)
    if pa.types.is_boolean(values.type):
        values = values.cast(pa.int64())
    numbers = values.to_numpy(zero_copy_only=False)
    width = prod(inner)
    if pa.types.is_floating(values.type):
        number = 2  # Feature.float_list
        flat = np.ascontiguousarray(numbers.astype("<f4")).view(np.uint8)
        packed = wire.Pieces(flat, np.full(rows * steps, 4 * width, np.int64))
    else:
        number = 3  # Feature.int64_list
        packed = wire.varints(numbers).grouped(np.full(rows * steps, width, np.int64))
    features = wire.field(number, wire.field(1, packed))
    feature_list = wire.field(1, features).grouped(np.full(rows, steps, np.int64))
    name = wire.constant(output.name.encode(), rows)
    return wire.joined([wire.field(1, name), wire.field(2, feature_list)])
