"""File formats that rows are read from. A new one is one file and one line in `SOURCES`."""

from __future__ import annotations

from typing import Final

from pipeline.sources.avro import Avro
from pipeline.sources.base import BatchLimits, Read, Source, Split, open_input
from pipeline.sources.csv_text import CSV
from pipeline.sources.framing import is_header, unpacked_head
from pipeline.sources.jsonl import JSONLines
from pipeline.sources.parquet import Parquet
from pipeline.sources.tfrecord import TFRecord

SOURCES: Final[dict[str, Source]] = {
    "jsonl": JSONLines(),
    "parquet": Parquet(),
    "avro": Avro(),
    "csv": CSV(),
    "tfrecord": TFRecord(),
}

MAGIC: Final = {b"PAR1": "parquet", b"Obj\x01": "avro"}
SNIFFED_BYTES: Final = 256


def source_for(path: str) -> Source:
    """Returns the source that reads a file, by the end of its name; otherwise its first bytes decide.

    Raises:
      JobError: the name says nothing and the file cannot be opened.
    """
    named = [
        (len(end), name) for name, source in SOURCES.items() for end in source.suffixes if path.lower().endswith(end)
    ]
    if named:
        return SOURCES[max(named)[1]]  # the longest: `.jsonl.gz` is more than `.gz`
    with open_input(path) as handle:
        return SOURCES[_format_of(handle.read(SNIFFED_BYTES))]


def _format_of(head: bytes) -> str:
    for magic, name in MAGIC.items():
        if head.startswith(magic):
            return name
    is_json = not is_header(head) and unpacked_head(head).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    return "jsonl" if is_json else "tfrecord"


__all__ = ["SOURCES", "BatchLimits", "Read", "Source", "Split", "source_for"]
