"""TFRecord files of tf.SequenceExamples, plain or gzip: context, and a feature list for every sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import pyarrow as pa

from pipeline.sinks import wire
from pipeline.sinks.base import OutputFile, Writer, flat_values
from pipeline.sinks.tfrecord import Examples, RecordWriter, TFRecord, feature_of
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
        whole = self._context.pieces(batch)
        if self._lists:
            lists = wire.field(2, wire.joined(_entry(batch, output) for output in self._lists))
            whole = wire.joined([whole, lists])
        found: list[bytes] = whole.strings(batch.num_rows).to_pylist()
        return found


def _entry(batch: pa.RecordBatch, output: Output) -> wire.Pieces:
    """Returns an output as an entry of the map FeatureLists.feature_list, one a row: its name, and a FeatureList."""
    rows, (steps, *inner) = batch.num_rows, known_shape(output)
    features = feature_of(flat_values(batch, output), prod(inner), rows * steps)
    feature_list = wire.field(1, features).grouped(steps, rows)
    name = wire.field(1, wire.constant(output.name.encode()))
    return wire.field(1, wire.joined([name, wire.field(2, feature_list)]))
