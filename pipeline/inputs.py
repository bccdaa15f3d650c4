"""Which files a run reads."""

from __future__ import annotations

import glob
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from apache_beam.io.filesystems import FileSystems

from transforms.errors import JobError


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
      path: where it is.
      size: bytes.
      updated: when it was last changed, seconds since 1970; 0 where the file system does not say.
      checksum: what an object store says of its contents, or an empty string.
    """

    path: str
    size: int
    updated: float = 0.0
    checksum: str = ""


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
    found_files: dict[str, InputFile] = {}
    times: Counter[str] = Counter()
    for pattern in patterns:
        # Beam 2.77 finds nothing for a local pattern without a directory (`*.tfrecord`).
        where = pattern if "://" in pattern else os.path.abspath(pattern)
        for file in _matched(pattern, where):
            found_files[file.path] = file
            times[file.path] += 1
    files = tuple(found_files[path] for path in sorted(found_files))
    return Inputs(files, tuple(path for path in sorted(times) if times[path] > 1))


def _matched(pattern: str, where: str) -> list[InputFile]:
    try:
        entries = FileSystems.match([where])[0].metadata_list
    except Exception as error:
        raise JobError(f"input {pattern!r}: cannot be listed: {error}") from error
    found = [
        InputFile(entry.path, int(entry.size_in_bytes), float(entry.last_updated_in_seconds or 0.0))
        for entry in entries
    ]
    if not found and "://" not in where and os.path.isfile(where):  # its name only looks like a pattern
        status = os.stat(where)
        found = [InputFile(where, status.st_size, status.st_mtime)]
    if not found:
        folders = "://" not in where and any(map(os.path.isdir, glob.iglob(where)))
        raise JobError(f"input {pattern!r}: {'only directories match' if folders else 'no file matches'}")
    for file in found:
        _refuse_other(pattern, file.path)
    return found


def _refuse_other(pattern: str, path: str) -> None:
    """Refuses what is no file: a directory, or a pipe, which would be waited for without end and can be read only once."""
    if "://" in path or os.path.isfile(path):
        return
    if os.path.isdir(path):
        hint = f"{pattern.rstrip('/')}/*"
        raise JobError(f"input {pattern!r}: is a directory, give a pattern of the files in it ({hint!r})")
    raise JobError(f"input {pattern!r}: {path!r} is no file")
