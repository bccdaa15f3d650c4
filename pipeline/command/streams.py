"""Standard output and standard error: closed, full, or with nobody who reads, they do not change what the command does.

What cannot be printed is remembered, and said in the end where that can be done.
"""

from __future__ import annotations

import io
import os
import sys
from typing import Any, Final, TextIO

OUTPUT: Final = 1

_FAULTS: Final[dict[int, OSError]] = {}
"""File descriptors that took less than was written to them, and why."""


class _Lenient(io.FileIO):
    """A file that drops what it cannot take, and remembers why."""

    def write(self, data: Any) -> int:
        """See the base class. Buffers above it would try again when the process ends, and change its exit code to 120."""
        try:
            return super().write(data)
        except OSError as error:
            _FAULTS.setdefault(self.fileno(), error)
            return memoryview(data).nbytes


def begin() -> None:
    """Replaces standard output and error by streams on which printing never fails.

    A closed one is opened on the null device: otherwise the next file that is opened would get its number, and TensorFlow, which
    logs to file descriptor 2, would write into a shard.
    """
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest number, which is this one
    sys.stdout, sys.stderr = opened(1, like=sys.stdout), opened(2, like=sys.stderr)


def opened(number: int, like: TextIO | None = None, close: bool = False) -> TextIO:
    """Returns a stream on a file descriptor that drops what cannot be written.

    Args:
      number: the file descriptor.
      like: whose encoding and buffering it has.
      close: whether closing it closes the file descriptor.
    """
    buffer = io.BufferedWriter(_Lenient(number, "wb", closefd=close))
    if not isinstance(like, io.TextIOWrapper):
        return io.TextIOWrapper(buffer, "utf-8", "backslashreplace", line_buffering=True)
    lines, through = like.line_buffering, like.write_through
    return io.TextIOWrapper(buffer, like.encoding, like.errors, line_buffering=lines, write_through=through)


def unprinted() -> OSError | None:
    """Returns, once, why standard output did not take all that was printed."""
    if sys.stdout is not None:
        sys.stdout.flush()
    return _FAULTS.pop(OUTPUT, None)
