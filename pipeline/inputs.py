"""Which files a run reads."""

from __future__ import annotations

import glob
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from apache_beam.io.filesystems import FileSystems

from pipeline.request import GLOB
from transforms.errors import JobError
from transforms.files import version as version_of


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
      path: where it is.
      size: bytes.
      updated: when it was last changed, seconds since 1970; 0 where the file system does not say.
      version: what else tells this state of it from another (`transforms.files.version`); empty where nobody has looked.
    """

    path: str
    size: int
    updated: float = 0.0
    version: str = ""

    def with_version(self) -> InputFile:
        """Returns it with its version as it is now, unless that was looked up before."""
        return self if self.version else replace(self, version=version_of(self.path))


@dataclass(frozen=True)
class SkippedFile:
    """A file that was matched and left out of the run, because it is broken.

    Attributes:
      path: where it is.
      size: bytes.
      reason: why it cannot be read.
    """

    path: str
    size: int
    reason: str

    def entry(self) -> dict[str, str | int]:
        """Returns it as the ledger and the manifest list it."""
        return {"path": self.path, "bytes": self.size, "reason": self.reason}


@dataclass(frozen=True)
class Inputs:
    """The files of a run in order of their names, and those that were matched more than once (read once).

    `notes`: what a person should know, a line each.
    """

    files: tuple[InputFile, ...]
    repeated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def changed(files: Iterable[InputFile]) -> list[str]:
    """Returns the files whose file system says that they are not what they were when their version was looked up."""
    return [file.path for file in files if version_of(file.path) != file.version]


def match(patterns: Sequence[str], allow_empty: bool = False) -> Inputs:
    """Expands patterns through Beam's file systems; a file that several match, or that has several names, is read once.

    Args:
      patterns: paths, or patterns of them.
      allow_empty: whether a pattern may match nothing. (A path that is no pattern must be there.)

    Raises:
      JobError: a pattern matches no file.
    """
    files: dict[str, InputFile] = {}
    times: Counter[str] = Counter()
    notes = []
    for pattern in patterns:
        # Beam 2.77 finds nothing for a local pattern without a directory (`*.tfrecord`).
        where = pattern if "://" in pattern else os.path.abspath(pattern)
        found = _matched(pattern, where)
        if not found and not (allow_empty and re.search(GLOB, pattern)):
            folders = "://" not in where and any(map(os.path.isdir, glob.iglob(where)))
            raise JobError(f"input {pattern!r}: {'only directories match' if folders else 'no file matches'}")
        if not found:
            notes.append(f"input {pattern!r}: no file matches")
        for file in found:
            # A symbolic link is the file that it leads to.
            same = file.path if "://" in file.path else os.path.realpath(file.path)
            files[same] = min(files.get(same, file), file, key=lambda one: one.path)
            times[same] += 1
    ordered = sorted(files.items(), key=lambda item: item[1].path)
    repeated = tuple(file.path for same, file in ordered if times[same] > 1)
    return Inputs(tuple(file for _, file in ordered), repeated, tuple(notes))


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
    for file in found:
        _refuse_other(pattern, file.path)
    return found


def _refuse_other(pattern: str, path: str) -> None:
    """Refuses what is no file: a directory, or a pipe, which would be waited for without end and can be read only once.

    Also a file that no ledger could name.
    """
    if any("\ud800" <= character <= "\udfff" for character in path):
        raise JobError(f"input {pattern!r}: {path}: a name that is no UTF-8")
    if "://" in path or os.path.isfile(path):
        return
    if os.path.isdir(path):
        hint = f"{pattern.rstrip('/')}/*"
        raise JobError(f"input {pattern!r}: is a directory, give a pattern of the files in it ({hint!r})")
    raise JobError(f"input {pattern!r}: {path!r} is no file")
