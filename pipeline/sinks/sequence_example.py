"""TFRecord files of tf.SequenceExamples, plain or gzip: context, and a feature list for every sequence."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import pyarrow as pa

from pipeline.sinks.base import OutputFile, Writer
from pipeline.sinks.tfrecord import RecordWriter, TFRecordSink, feature_of
from transforms.columns.results import Output
from transforms.kernels import encode
from transforms.spec.parse_specs import sequence_spec


@dataclass(frozen=True)
class SequenceExample(TFRecordSink):
    """Writes an output whose first dimension is T as a feature list of T steps, padding included; any other as context.

    What is in a step is in row-major order, as the carrier of its dtype (bool as int64). `tf.io.parse_sequence_example` reads it
    back with what `Manifest.sequence_feature_spec` gives.
    """

    has_lists: ClassVar[bool] = True

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
        context = [output for output in outputs if not output.sequence]
        lists = [output for output in outputs if output.sequence]

        def features(batch: pa.RecordBatch) -> list[encode.Feature]:
            return [feature_of(batch, o) for o in context] + [feature_of(batch, o, listed=True) for o in lists]

        return RecordWriter(OutputFile(path), features, self._packer())
