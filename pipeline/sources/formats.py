"""File formats that rows are read from. A new one is one file and one line in `SOURCES`."""

from __future__ import annotations

from typing import Final

from pipeline.sources.avro.source import Avro
from pipeline.sources.base import UTF_16, Source, open_input
from pipeline.sources.compression import Content
from pipeline.sources.csv.source import CSV
from pipeline.sources.folders import in_folders
from pipeline.sources.jsonl.source import JSONLines, begins_object
from pipeline.sources.limits import DEFAULTS, Limits
from pipeline.sources.packings import PACKINGS, bare_name, codec_of
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

_PIECE_BYTES: Final = 4 << 10
"""About how much of a packed file is read at once, for its first bytes."""

_REFUSED: Final = {
    b"[": "a JSON array",
    b"ORC": "an ORC file",
    b"ARROW1": "an Arrow IPC (Feather) file",
    b"FEA1": "a Feather file of version 1",
    b"\xff\xff\xff\xff": "an Arrow IPC stream",
    b"PARE": "an encrypted Parquet file",
    b"SEQ\x06": "a Hadoop SequenceFile",
    b"RCF\x01": "a Hive RCFile",
    b"PK\x03\x04": "a ZIP archive, or a spreadsheet",
    b"\xd0\xcf\x11\xe0": "a spreadsheet, or another document of Microsoft Office",
    b"\x93NUMPY": "a NumPy file",
    b"\x80": "a pickle of Python",
    b"\x89HDF": "an HDF5 file",
    b"SQLite format 3": "an SQLite data base",
    b"PGCOPY\n": "a binary copy of PostgreSQL",
    b"<": "HTML or XML",
    **dict.fromkeys(UTF_16, "UTF-16 text"),
}
"""First bytes of files that are often given and are not read, and what they are."""

_SNAPSHOT: Final = ".snapshot"
"""The end of the names that tf.data gives; what they hold are TFRecords, but of no tf.Example."""

_DUCKDB: Final = slice(8, 12), b"DUCK"

_NOT_UNPACKED: Final = {
    ".lz4": "lz4",
    ".snappy": "Snappy",
    ".sz": "Snappy",
    ".br": "Brotli",
    ".lzo": "LZO",
    ".7z": "7-Zip",
    ".z": "compress",
}
"""Ends of names of packed files that are not read, and what packs them."""

_IN_TEXT: Final = "\t\r\n\x01\x02\x03"
"""Control characters of text files; Hive separates cells, list items and map entries with the last three."""

_READ: Final = ", expected TFRecord, Parquet, Avro, CSV, or JSON Lines (one object a line)"


def source_for(path: str, limits: Limits = DEFAULTS) -> Source:
    """Returns the source that reads a file, by the end of its name; otherwise its first bytes decide.

    It also gives the features that the file's folders say (see `pipeline.sources.folders`).

    Raises:
      JobError: the name says nothing, and the file cannot be opened or is of another known format; or it is packed though
        files of its format never are.
    """
    bare = bare_name(path)
    # The longest ending counts.
    named = [(len(end), name) for name, source in SOURCES.items() for end in source.suffixes if bare.endswith(end)]
    name = max(named)[1] if named else _format_of(_head(path, limits), path)
    source = SOURCES[name]
    if not source.packed and bare != path.lower() and not _first_bytes(path).startswith(source.magic):
        raise JobError(f"{path}: {name} files cannot be read packed as a whole, unpack it first")
    return in_folders(source, path)


def _head(path: str, limits: Limits) -> bytes:
    """Returns the first bytes of a file, unpacked."""
    head = _first_bytes(path)
    if _is_plain(head) or not codec_of(path, head):
        return head
    return next(iter(Content(path, limits, _is_plain, _PIECE_BYTES)), b"")[:SNIFFED_BYTES]


def _first_bytes(path: str) -> bytes:
    with open_input(path) as handle:
        return handle.read(SNIFFED_BYTES)


def _is_plain(head: bytes) -> bool:
    return is_header(head) or begins_object(head)


def _format_of(head: bytes, path: str) -> str:
    """Returns the format of a file by its first bytes, unpacked.

    Raises:
      JobError: it is one that is not read.
    """
    for name, source in SOURCES.items():
        if source.magic and head.startswith(source.magic):
            return name
    if is_header(head):
        if path.endswith(_SNAPSHOT):
            raise JobError(f"{path}: tensors that tf.data has saved{_READ}")
        return "tfrecord"
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for magic, what in _REFUSED.items():
        if text.startswith(magic):
            raise JobError(f"{path}: {what}{_READ}")
    if text.splitlines()[:1] == [b"{"]:
        raise JobError(f"{path}: a JSON object that takes several lines{_READ}")
    if begins_object(head):
        return "jsonl"
    _refuse_unknown(head, path)
    return "tfrecord"


def _refuse_unknown(head: bytes, path: str) -> None:
    """Refuses what no first bytes tell, but a name, bytes further on, or that it is text."""
    for end, packer in _NOT_UNPACKED.items():
        if path.lower().endswith(end):
            raise JobError(f"{path}: packed with {packer}, expected one of {', '.join(PACKINGS)}")
    if bare_name(path).endswith((".yaml", ".yml")):
        raise JobError(f"{path}: a YAML file, as a columns file is{_READ}; the columns file is given without --input")
    where, mark = _DUCKDB
    if head[where] == mark:
        raise JobError(f"{path}: a DuckDB data base{_READ}")
    if head and _is_text(head):
        raise JobError(f"{path}: text, whose name does not say that it is CSV (.csv, .tsv) with a header{_READ}")


def _is_text(head: bytes) -> bool:
    """Returns whether the first bytes of a file are UTF-8 without control characters, but for line ends and delimiters."""
    text = head.decode("utf-8", "ignore")
    whole = len(text.encode()) >= len(head) - 3  # a character may be cut at the end
    return whole and not any(character < " " and character not in _IN_TEXT for character in text)
