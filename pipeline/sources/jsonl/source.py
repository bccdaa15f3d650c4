"""JSON Lines files, one JSON object a line, plain or packed (https://jsonlines.org)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Final

import numpy as np
import pyarrow as pa

from pipeline.sources.base import Decoded, FilePart, Read, Source, broken, refuse_utf16, size_of
from pipeline.sources.batches import batches, screened, with_origins
from pipeline.sources.compression import Content
from pipeline.sources.jsonl.rows import BLANK, JSONDecoder, is_json, kinds
from pipeline.sources.limits import DEFAULTS, Limits

_BOM: Final = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class JSONLines(Source):
    """Reads JSON Lines files, each as one split: rows are numbered, and only the lines before them tell how.

    Lines end in a line feed, with or without a carriage return before it. Blank lines are no rows; a line that is no JSON
    object is a rejected one. A last line without a line end that is no JSON at all was cut short, and the file with it. A
    byte order mark at the start of a file is skipped.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")
    record_formats: ClassVar[tuple[str, ...]] = ("json",)

    def parts(self, path: str) -> list[FilePart]:
        """See the base class."""
        return [FilePart(path, size=size_of(path))]

    def read(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. A feature that no row of a batch has is a column of nulls."""
        decoder = JSONDecoder(features)
        content = Content(split.path, limits, begins_object)
        first, seen = split.first_row, 0
        for lines in batches(_lines(content, split.path, limits), limits):
            size, seen = content.consumed - seen, content.consumed
            for batch, rejected in _decoded(decoder, lines, split.path, first):
                yield Read(batch, rejected, size)
                size = 0
            first += len(lines)

    def screen(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[tuple[int, int]]:
        """See the base class. No line but an unfinished one is decoded."""
        content = Content(split.path, limits, begins_object)
        yield from screened(content, _lines(content, split.path, limits), limits)

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. What is sampled is also bounded in bytes, as a batch is."""
        lines = itertools.islice(_lines(Content(path, limits, begins_object), path, limits), sample)
        return kinds(next(batches(lines, replace(limits, max_batch_rows=sample)), []))

    def decoded(self, records: Sequence[bytes], path: str, features: Mapping[str, str], header: str) -> Decoded:
        """See the base class. There is no header."""
        yield from _decoded(JSONDecoder(features), records, path, 0)

    def as_written(self, records: Sequence[bytes]) -> bytes:
        """See the base class."""
        return b"".join(record + b"\n" for record in records)


def begins_object(head: bytes) -> bool:
    """Returns whether the first bytes of a file are those of a JSON object: it is not packed then."""
    return head.removeprefix(_BOM).lstrip(b" \t\r\n").startswith(b"{")


def _decoded(decoder: JSONDecoder, lines: Sequence[bytes], path: str, first: int) -> Decoded:
    parts, bad = decoder.decode(lines)
    original, numbers = pa.array(lines, pa.large_binary()), first + np.arange(len(lines))
    yield from with_origins(parts, bad, original, numbers, path, "json")


def _lines(content: Content, path: str, limits: Limits) -> Iterator[bytes]:
    return lines_of(content, path, limits.max_record_bytes, content.unit)


def lines_of(blocks: Iterable[bytes], path: str, most: int, unit: str = "byte") -> Iterator[bytes]:
    """Cuts blocks into lines, without their ends and without blank ones.

    Args:
      blocks: the unpacked data.
      path: name of the file, for errors.
      most: the longest line allowed, in bytes.
      unit: the unit of offsets in errors.

    Raises:
      JobError: a line is longer than that, or the last one has no end and is no JSON.
    """
    held: list[bytes] = []  # the start of a line, in pieces
    size, start = 0, 0
    for block in itertools.chain(blocks, [b""]):
        done = block.rfind(b"\n") + 1
        if done or not block:  # everything up to the last line end; at the end of the file, everything
            text = b"".join([*held, block[:done]])
            if start == 0:
                refuse_utf16(text, path)
                text, start = text.removeprefix(_BOM), len(_BOM) if text.startswith(_BOM) else 0
            if not block and text.strip(BLANK) and not is_json(text):
                raise broken(path, f"cut short: the last line, at {unit} {start}, has no line end and is no JSON")
            yield from _lines_in(text, most, f"{path}: a line at {unit} {start} or after")
            start += len(text)
            held, size = [], 0
        held.append(block[done:])
        size += len(held[-1])
        if size > most:
            raise broken(f"{path}: the line at {unit} {start}", f"longer than {most} bytes (--max-record-bytes)")


def _lines_in(text: bytes, most: int, where: str) -> Iterator[bytes]:
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n")
    lines = text.split(b"\n")
    if max(map(len, lines)) > most:
        raise broken(where, f"longer than {most} bytes (--max-record-bytes)")
    return (line for line in lines if line.strip(BLANK))
