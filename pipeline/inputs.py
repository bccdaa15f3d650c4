"""Which files a run reads."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from apache_beam.io.filesystems import FileSystems

from transforms.errors import JobError


@dataclass(frozen=True)
class InputFile:
    """A file to read, and its size in bytes."""

    path: str
    size: int


@dataclass(frozen=True)
class Inputs:
    """The files of a run in order of their names, and those that more than one pattern matched (read once)."""

    files: tuple[InputFile, ...]
    repeated: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def match(patterns: Sequence[str]) -> Inputs:
    """Expands patterns through Beam's file systems; a file that several match is read once.

    Raises:
      JobError: a pattern matches no file.
    """
    sizes: dict[str, int] = {}
    times: Counter[str] = Counter()
    for pattern in patterns:
        # Beam 2.77 finds nothing for a local pattern without a directory (`*.tfrecord`).
        where = pattern if "://" in pattern else os.path.abspath(pattern)
        try:
            found = FileSystems.match([where])[0].metadata_list
        except Exception as error:
            raise JobError(f"input {pattern!r}: cannot be listed: {error}") from error
        if not found:
            raise JobError(f"input {pattern!r}: no file matches")
        for entry in found:
            sizes[entry.path] = int(entry.size_in_bytes)
            times[entry.path] += 1
    files = tuple(InputFile(path, sizes[path]) for path in sorted(sizes))
    return Inputs(files, tuple(path for path in sorted(times) if times[path] > 1))
