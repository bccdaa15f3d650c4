r"""Delimited text to records, as RFC 4180 quotes them: where each row ends, found in NumPy.

A quote at the start of a cell opens a quoted cell, in which line ends and delimiters are text and two quotes are one. A quote
anywhere else in an unquoted cell is text, as Python's csv module and Arrow have it. What follows a closing quote must be a
delimiter or a line end: a quote that somebody forgot to close shows there. `\n`, `\r\n` and a lone `\r` end a line.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

BOM: Final = b"\xef\xbb\xbf"
QUOTE: Final = ord('"')
LF: Final = ord("\n")
CR: Final = ord("\r")
SCANNED_BYTES: Final = 1 << 20


@dataclass(frozen=True)
class Records:
    """Whole records that stand one after the other.

    Attributes:
      text: the text that contains them.
      offsets: int64 `[records + 1]`; record k is `text[offsets[k]:offsets[k + 1]]`, its line end included.
      malformed: bool `[records]`: something stands after a closing quote.
      start: where in the (unpacked) file the text starts, in bytes.
      problem: why no record can be found after these, or an empty string.
    """

    text: bytes
    offsets: np.ndarray
    malformed: np.ndarray
    start: int = 0
    problem: str = ""

    def without_first(self) -> Records:
        """Returns all records but the first."""
        return replace(self, offsets=self.offsets[1:], malformed=self.malformed[1:])

    def is_open_ended(self, k: int) -> bool:
        """Returns whether a record has no line end, which is allowed only for the last one of a file."""
        return self.text[self.offsets[k + 1] - 1] not in (LF, CR)


def split(blocks: Iterable[bytes], delimiter: int, most: int, before: int = 0) -> Iterator[Records]:
    """Cuts blocks of text at the ends of records.

    Args:
      blocks: the text, in blocks of any sizes. A byte order mark at its start is left out.
      delimiter: the byte that separates cells.
      most: the longest record looked for, in bytes. One that is longer, and a quote left open until the end, end
        the records with a `problem`.
      before: the number of bytes of the file before the text.
    """
    blocks, mark = _without_bom(blocks)
    before += mark
    held, last = io.BytesIO(), False  # a long record stands here once, not in parts and joined
    while not last:
        # Twice what is held, so that a long record is looked through a few times and not once a block.
        last = _filled(held, min(2 * held.tell(), most), blocks)
        found = _bounded(_cut(held.getvalue(), delimiter, last, before), most, last)
        if found.problem or len(found.malformed):
            yield found
        if found.problem:
            return
        done = int(found.offsets[-1])
        if done:
            held = io.BytesIO()
            held.write(found.text[done:])
            before += done
        del found


def _filled(held: io.BytesIO, least: int, blocks: Iterator[bytes]) -> bool:
    """Adds blocks to what is held until it is more than `least` bytes; returns whether there are no more."""
    while held.tell() <= least:
        block = next(blocks, b"")
        if not block:
            return True
        held.write(block)
    return False


def _without_bom(blocks: Iterable[bytes]) -> tuple[Iterator[bytes], int]:
    """Returns the blocks without a byte order mark at their start, and the size of what was left out."""
    blocks = iter(blocks)
    head = b""
    while len(head) < len(BOM) and (block := next(blocks, b"")):
        head += block
    text = head.removeprefix(BOM)
    return itertools.chain([text] if text else [], blocks), len(head) - len(text)


def _bounded(found: Records, most: int, last: bool) -> Records:
    """Returns the records up to the first that is too long or does not end, wherever the blocks were cut."""
    left = len(found.text) - int(found.offsets[-1])
    long = np.flatnonzero(np.diff(found.offsets) > most)
    if not len(long) and left <= (0 if last else most):
        return found
    count = int(long[0]) if len(long) else len(found.malformed)
    what = "a quote is open until the end of the file"
    if len(long) or left > most:
        what = f"it is longer than {most} bytes (--max-record-bytes)"
    problem = f"{what} (the row starts at byte {found.start + int(found.offsets[count])} of the text)"
    return replace(found, offsets=found.offsets[: count + 1], malformed=found.malformed[:count], problem=problem)


def _cut(text: bytes, delimiter: int, last: bool, start: int) -> Records:
    data = np.frombuffer(text, np.uint8)
    quotes, ends = _special_quotes(data, delimiter), _line_ends(data, last)
    if len(quotes):
        ends = ends[np.searchsorted(quotes, ends) % 2 == 0]
    offsets = np.concatenate([[0], ends + 1])
    if last and offsets[-1] < len(text) and len(quotes) % 2 == 0:
        offsets = np.append(offsets, len(text))
    malformed = np.zeros(len(offsets) - 1, bool)
    closing = quotes[1::2]
    closing = closing[closing + 1 < offsets[-1]]
    after = data[closing + 1]
    wrong = closing[(after != delimiter) & (after != LF) & (after != CR) & (after != QUOTE)]
    malformed[np.searchsorted(offsets, wrong, side="right") - 1] = True
    return Records(text, offsets, malformed, start)


def _line_ends(data: np.ndarray, last: bool) -> np.ndarray:
    """Returns where lines end, inside quotes too: the position of the last byte of each line end."""
    returns, feeds = _places(data, CR), _places(data, LF)
    if not len(returns):
        return feeds
    ends = np.sort(np.concatenate([returns, feeds]))
    # What follows a return at the end of the data is not known yet; it may belong to the same line end.
    following = data[np.minimum(ends + 1, len(data) - 1)]
    pair = np.where(ends + 1 < len(data), following == LF, not last)
    return ends[~((data[ends] == CR) & pair)]


def _places(data: np.ndarray, byte: int) -> np.ndarray:
    """Returns where a byte stands, int64, without a mask as long as the data."""
    parts = (data[at : at + SCANNED_BYTES] for at in range(0, len(data), SCANNED_BYTES))
    found = [np.flatnonzero(part == byte) + k * SCANNED_BYTES for k, part in enumerate(parts)]
    return np.concatenate(found) if found else np.zeros(0, np.int64)


def _special_quotes(data: np.ndarray, delimiter: int) -> np.ndarray:
    """Returns the positions of the quotes that open and close quoted cells, alternately.

    Of two quotes that stand for one in a quoted cell the first closes it and the second opens it again.
    """
    quotes = _places(data, QUOTE)
    if not len(quotes):
        return quotes
    previous = data[quotes - 1]
    starts = (previous == delimiter) | (previous == LF) | (previous == CR) | (quotes == 0)
    opening = starts[::2].copy()
    opening[1:] |= quotes[2::2] == quotes[1::2][: len(opening) - 1] + 1
    if opening.all():
        return quotes
    kept, inside, closed = [], False, -2  # quotes as text: one after the other decides what the next one is
    for at, start in zip(quotes.tolist(), starts.tolist(), strict=True):
        if inside:
            closed = at
        elif not start and at != closed + 1:
            continue
        kept.append(at)
        inside = not inside
    return np.array(kept, np.int64)
