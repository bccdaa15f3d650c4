"""File formats that rows are read from. A new one is one file and one line in `SOURCES`."""

from __future__ import annotations

from typing import Final

from pipeline.sources.base import BatchLimits, Read, Source, Split, open_input
from pipeline.sources.parquet import Parquet
from pipeline.sources.tfrecord import TFRecord

SOURCES: Final[dict[str, Source]] = {
    "parquet": Parquet(),
    "tfrecord": TFRecord(),
}

PARQUET_MAGIC: Final = b"PAR1"


def source_for(path: str) -> Source:
    """Returns the source that reads a file, by the end of its name; otherwise its first bytes decide.

    Raises:
      JobError: the name says nothing and the file cannot be opened.
    """
    for source in SOURCES.values():
        if path.lower().endswith(source.suffixes):
            return source
    with open_input(path) as handle:
        return SOURCES["parquet" if handle.read(len(PARQUET_MAGIC)) == PARQUET_MAGIC else "tfrecord"]


__all__ = ["SOURCES", "BatchLimits", "Read", "Source", "Split", "source_for"]
