"""The first line of a CSV file: the names of the features, and what separates them."""

from __future__ import annotations

import csv
import io
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from pipeline.sources.base import broken, refuse_utf16
from pipeline.sources.csv import records as csv_records
from pipeline.sources.csv.records import BOM, Records
from pipeline.sources.packings import bare_name
from transforms.errors import JobError
from transforms.rows import origin

DELIMITERS: Final = (",", ";", "\t", "|", "\x01")
"""Delimiters that are recognised without being named; the last is Hive's own."""

_NAMED: Final = re.compile(rb"sep=([\x01-\x09\x20\x21\x23-\x7e])(\r\n|\n|\r)")
"""The line before the header with which a file names its delimiter, as spreadsheets write and read it."""

_LONGEST: Final = 1 << 20
"""Bytes of a file in which its first line is looked for."""


@dataclass(frozen=True)
class Header:
    """The header of a file.

    Attributes:
      names: of the features.
      text: its line, after the one that names the delimiter if there is one: all that is needed to read rows again.
      delimiter: separates cells.
    """

    names: list[str]
    text: str
    delimiter: str


def opened(blocks: Iterable[bytes], path: str, most: int) -> tuple[Header, Iterator[Records]]:
    """Reads the header of a file.

    Args:
      blocks: the unpacked file.
      path: its name.
      most: the longest row, in bytes.

    Returns:
      The header, and the records after it.

    Raises:
      JobError: there is none, or it cannot be read.
    """
    named, delimiter, before, blocks = _delimited(iter(blocks), path)
    found = csv_records.split(blocks, ord(delimiter), most, before)
    first = next(found, None)
    if first is None:
        raise broken(path, "empty, expected a header that names the features")
    if not len(first.malformed):
        raise broken(path, f"the header cannot be read: {first.problem}")
    try:
        text = first.text[first.offsets[0] : first.offsets[1]].decode()
    except UnicodeDecodeError as error:
        raise broken(path, "the header is not UTF-8 text", error) from error
    if first.malformed[0]:
        raise broken(path, "the header has something after a closing quote")
    try:
        names = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as error:
        raise broken(path, "the header cannot be read", error) from error
    _refuse_names(names, path)
    return Header(names, named + text.rstrip("\r\n"), delimiter), itertools.chain([first.without_first()], found)


def is_text(head: bytes) -> bool:
    """Returns whether the first bytes of a file are those of a header: it is not packed then."""
    text = head.removeprefix(BOM).decode("utf-8", "ignore")
    whole = len(text.encode()) >= len(head.removeprefix(BOM)) - 3  # a character may be cut at the end
    odd = any(character < " " and character not in "\t\r\n\x01" for character in text)
    return whole and not odd and any(one in text for one in (*DELIMITERS, "\r", "\n"))


def _refuse_names(names: list[str], path: str) -> None:
    if not any(names):
        raise broken(path, "the header is empty, expected the names of the features")
    for name, times in Counter(names).items():
        if name in origin.RESERVED:
            raise JobError(f"{path}: the column name {name!r} is reserved")
        if times > 1:
            raise JobError(f"{path}: has {times} columns named {name!r}")


def _delimited(blocks: Iterator[bytes], path: str) -> tuple[str, str, int, Iterator[bytes]]:
    """Returns the line that names the delimiter, the delimiter, where the header begins, and the blocks from there."""
    head = b""
    while not re.search(rb"[\r\n]", head[: -1 if head.endswith(b"\r") else None]) and len(head) < _LONGEST:
        block = next(blocks, b"")
        if not block:
            break
        head += block
    refuse_utf16(head, path)
    mark = len(BOM) if head.startswith(BOM) else 0
    named = _NAMED.match(head, mark)
    if named:
        return (
            named[0].decode("latin-1"),
            named[1].decode("latin-1"),
            named.end(),
            _chained(head[named.end() :], blocks),
        )
    line = re.split(rb"[\r\n]", head[mark:], maxsplit=1)[0]
    return "", _likeliest(line.decode("utf-8", "replace"), path), 0, _chained(head, blocks)


def _chained(head: bytes, blocks: Iterator[bytes]) -> Iterator[bytes]:
    return itertools.chain([head] if head else [], blocks)


def _likeliest(line: str, path: str) -> str:
    r"""Returns what separates the cells of a header: what the file's name says, or if that does not stand there, what does.

    >>> _likeliest("id;price;date", "a.csv"), _likeliest("id", "a.csv"), _likeliest("a,b", "a.tsv"), _likeliest("a;b,c", "a.csv")
    (';', ',', ',', ',')
    """
    bare = re.sub('"[^"]*"', "", line)
    usual = "\t" if bare_name(path).endswith(".tsv") else ","
    likeliest = max(DELIMITERS, key=bare.count)
    return usual if usual in bare or likeliest not in bare else likeliest
