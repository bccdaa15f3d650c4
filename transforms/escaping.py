"""Text that came from outside, made safe to show. The one rule for messages, summaries, progress and rejected values.

Visible characters stay. Line ends, control characters (which can control a terminal), marks of direction and
width, and bytes that are not text are escaped as in a Python string.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

MAX_VALUE_BYTES: Final = 256
"""The most bytes of an offending value that are kept, after escaping."""

LONGEST_LINE: Final = 10_000
"""Characters of a message. The longest path that Linux knows has 4,096 bytes."""


_IGNORED: Final = re.compile(
    "[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u3164\ufe00-\ufe0f\uffa0\U000e0100-\U000e01ef]"
)
"""Characters without width that Python calls printable: Default_Ignorable_Code_Point of Unicode's DerivedCoreProperties.txt."""


def one_line(text: str) -> str:
    r"""Returns text as one line that is safe on a terminal. Backslashes stay: parts of it may have been escaped before.

    >>> one_line("a\x1b[31m\nb")
    'a\\x1b[31m\\nb'
    """
    shown = text[: LONGEST_LINE + 1]
    if not shown.isprintable() or _IGNORED.search(shown):
        shown = "".join(c if c.isprintable() and not _IGNORED.match(c) else _escaped(c) for c in shown)
    return shown if len(shown) <= LONGEST_LINE else shown[: LONGEST_LINE - 3] + "..."


def value(text: str) -> str:
    r"""Returns an offending value for people: one line, at most `MAX_VALUE_BYTES` bytes of UTF-8, backslashes doubled.

    >>> value("C:\\temp\x1b")
    'C:\\\\temp\\x1b'
    """
    shown = one_line(text[: MAX_VALUE_BYTES + 1].replace("\\", "\\\\"))
    data = shown.encode()
    return shown if len(data) <= MAX_VALUE_BYTES else data[: MAX_VALUE_BYTES - 3].decode(errors="ignore") + "..."


def first_of(things: Sequence[str], noun: str = "") -> str:
    """Returns the first, and how many more there are: a message is one line.

    >>> first_of(["a.csv", "b.csv", "c.csv"], "file")
    'a.csv (and 2 more files)'
    """
    others = len(things) - 1
    more = f" {noun}{'s' * (others > 1)}" if noun else ""
    return f"{things[0]} (and {others:,} more{more})" if others else things[0]


def of_bytes(data: bytes) -> str:
    """Returns bytes as text for `value`: those that are no UTF-8 are escaped there, each by itself."""
    return data[: MAX_VALUE_BYTES + 1].decode("utf-8", "surrogateescape")


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no text, as `surrogateescape` carries it
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")
