"""File formats that rows are read from. A new one is one file and one line in `SOURCES`."""

from __future__ import annotations

from typing import Final

from pipeline.sources.avro.source import Avro
from pipeline.sources.base import Source, open_input
from pipeline.sources.compression import Content
from pipeline.sources.csv.source import CSV
from pipeline.sources.jsonl.source import JSONLines
from pipeline.sources.limits import DEFAULTS, Limits
from pipeline.sources.packings import bare_name, codec_of
from pipeline.sources.parquet import ParquetSource
from pipeline.sources.tfrecord.framing import is_header
from pipeline.sources.tfrecord.source import TFRecordSource
from transforms.errors import JobError

SOURCES: Final[dict[str, Source]] = {
    "jsonl": JSONLines(),
    "parquet": ParquetSource(),
    "avro": Avro(),
    "csv": CSV(),
    "tfrecord": TFRecordSource(),
}

SNIFFED_BYTES: Final = 256


def source_for(path: str, limits: Limits = DEFAULTS) -> Source:
    """Returns the source that reads a file, by the end of its name; otherwise its first bytes decide.

    Raises:
      JobError: the name says nothing and the file cannot be opened; or it is packed, and of a format that never is.
    """
    bare = bare_name(path)
    # The longest ending counts.
    named = [(len(end), name) for name, source in SOURCES.items() for end in source.suffixes if bare.endswith(end)]
    name = max(named)[1] if named else _format_of(_head(path, limits))
    if not SOURCES[name].packed and bare != path.lower():
        raise JobError(f"{path}: {name} files cannot be read packed as a whole, unpack it first")
    return SOURCES[name]


def _head(path: str, limits: Limits) -> bytes:
    """Returns the first bytes of a file, unpacked."""
    with open_input(path) as handle:
        head = handle.read(SNIFFED_BYTES)
    if not codec_of(path, b"" if is_header(head) else head):
        return head
    return next(iter(Content(path, limits, is_header)), b"")[:SNIFFED_BYTES]


def _format_of(head: bytes) -> str:
    """Returns the format of a file by its first bytes, unpacked."""
    for name, source in SOURCES.items():
        if source.magic and head.startswith(source.magic):
            return name
    is_json = not is_header(head) and head.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"{")
    return "jsonl" if is_json else "tfrecord"
