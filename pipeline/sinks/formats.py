"""File formats that dense data are written in. A new one is one file and one line in `SINKS`."""

from __future__ import annotations

from typing import Final

from pipeline.sinks.base import Sink
from pipeline.sinks.parquet import ParquetSink
from pipeline.sinks.sequence_example import SequenceExample
from pipeline.sinks.tfrecord import TFRecordSink

SINKS: Final[dict[str, Sink]] = {
    "parquet": ParquetSink(),
    "tfrecord": TFRecordSink(),
    "tfrecord.gz": TFRecordSink(compression="gzip"),
    "sequence_example": SequenceExample(),
    "sequence_example.gz": SequenceExample(compression="gzip"),
}
