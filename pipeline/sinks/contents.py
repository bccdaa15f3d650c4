"""The contents of a file that a sink has written, found by reading it to its end; its bytes are hashed on the way."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

Tell = Callable[[int], None]
"""A function that is called with the number of bytes that were read."""


@dataclass
class Contents:
    """The contents of a file, whatever is wrong with it.

    Attributes:
      bytes: its size.
      sha256: its SHA-256, hexadecimal.
      rows: whole rows, up to the damage if there is any.
      faults: faults inside, one line each: damage, and for every feature the first row in which it is not as declared.
      features: the latter by name, while the file is read.
    """

    bytes: int = 0
    sha256: str = ""
    rows: int = 0
    faults: list[str] = field(default_factory=list)
    features: dict[str, str] = field(default_factory=dict)


def hashed(blocks: Iterable[bytes], found: Contents, tell: Tell) -> Iterator[bytes]:
    """Yields the blocks of a file, and notes their bytes and at the end their SHA-256."""
    made = hashlib.sha256()
    for block in blocks:
        made.update(block)
        found.bytes += len(block)
        tell(len(block))
        yield block
    found.sha256 = made.hexdigest()
