"""File formats that dense data are written in. A new one is one file and one line in `SINKS`."""

from __future__ import annotations

from typing import Final

from pipeline.sinks.base import Sink
from pipeline.sinks.parquet import Parquet
from pipeline.sinks.sequence_example import SequenceExample
from pipeline.sinks.tfrecord import TFRecord

SINKS: Final[dict[str, Sink]] = {
    "parquet": Parquet(),
    "tfrecord": TFRecord(),
    "tfrecord.gz": TFRecord(compression="gzip"),
    "sequence_example": SequenceExample(),
    "sequence_example.gz": SequenceExample(compression="gzip"),
}
