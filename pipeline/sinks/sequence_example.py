"""TFRecord files of tf.SequenceExamples, plain or gzip: context, and a feature list for every sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pyarrow as pa

from pipeline.sinks import wire
from pipeline.sinks.base import OutputFile, Writer, flat_values
from pipeline.sinks.tfrecord import Examples, RecordWriter, TFRecord
from transforms.columns.base import Output
from transforms.parse_specs import known_shape, sequence_spec


@dataclass(frozen=True)
class SequenceExample(TFRecord):
    """Writes an output whose first dimension is T as a feature list of T steps, padding included; any other as context.

    What is in a step is in row-major order, as the carrier of its dtype (bool as int64). `tf.io.parse_sequence_example` reads it
    back with what `Manifest.sequence_feature_spec` gives. Field numbers are those of tensorflow/core/example/example.proto and
    feature.proto.
    """

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
        return RecordWriter(OutputFile(path), _SequenceExamples(outputs).encode, self._packer())


class _SequenceExamples:
    """Encodes dense batches as serialized tf.SequenceExamples."""

    def __init__(self, outputs: Sequence[Output]):
        # A tf.Example of the context alone has the bytes of a SequenceExample's context: field 1, Features.
        self._context = Examples([output for output in outputs if not output.sequence])
        self._lists = [output for output in outputs if output.sequence]

    def encode(self, batch: pa.RecordBatch) -> list[bytes]:
        """Returns one record a row."""
        context = self._context.encode(batch)
        if not self._lists or not batch.num_rows:
            return context
        lists = wire.field(2, wire.joined([wire.field(1, _entry(batch, output)) for output in self._lists]))
        splits = np.concatenate([[0], np.cumsum(lists.sizes)])
        data = lists.data.tobytes()
        return [one + data[a:b] for one, a, b in zip(context, splits[:-1], splits[1:], strict=True)]


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
