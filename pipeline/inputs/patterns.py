"""Paths and patterns that a person gives: which part of one is a path as it stands, and which files the rest matches.

Beam's file systems (2.77) take a whole path for a pattern, with the directory that a relative one begins in. So the part that is
there as it is written is taken off first, and only what follows is matched, by Beam's rules.
"""

from __future__ import annotations

import contextlib
import os
import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from apache_beam.io.filesystem import FileMetadata, FileSystem

from pipeline.dataset.layout import MANIFEST, exists
from pipeline.dataset.target import URL
from transforms.stored import trees
from transforms.stored.files import file_systems, plain_path

WILD: Final = re.compile(r"[*?[]")
"""Characters that begin something that matches more than itself."""

EVERYTHING: Final = "**"
"""The pattern of all files below a folder."""

HIDDEN: Final = ("_", ".")
"""How names begin that are no data where a folder or a pattern finds them: `_SUCCESS`, `.part-0.parquet.crc`, `_delta_log/`."""

_UNFINISHED: Final = ("._COPYING_", "_$folder$")
"""How the names of files end that Hadoop is still copying, or that stand for a folder in an object store."""

TABLES: Final = {
    re.compile(r"(?:(.+?)/)?_delta_log/.*"): "a Delta Lake table",
    re.compile(r"(?:(.+?)/)?\.hoodie/.*"): "an Apache Hudi table",
    re.compile(r"(?:(.+?)/)?metadata/v?\d+[^/]*\.metadata\.json(?:\.gz)?"): "an Apache Iceberg table",
}
"""Paths of what a table's folder holds beside data, with that folder, and what it is. A table keeps rows that were deleted."""

BESIDE: Final = ("_delta_log/", ".hoodie/", "metadata/")
"""Folders in which these lie."""


@dataclass(frozen=True)
class Place:
    """The place that a path or a pattern stands for.

    Attributes:
      root: whole path or URL of the leading part, which is not a pattern.
      pattern: the pattern for the paths below `root`; an empty string if there is nothing more.
      literal: the longest leading part that ends in a name with glob characters and exists exactly as written; an empty
        string for none.
    """

    root: str
    pattern: str = ""
    literal: str = ""

    @property
    def is_remote(self) -> bool:
        """Whether it is a URL."""
        return trees.is_remote(self.root)


def place_of(given: str) -> Place:
    """Takes a path or pattern apart.

    Raises:
      Exception: whatever a remote file system says that cannot be asked.
    """
    given = plain_path(given)
    url = re.match(rf"{URL.pattern}[^/]*", given)
    root = url[0] if url else "/" if given.startswith("/") else os.getcwd()
    rest = given[url.end() + 1 :].rstrip("/") if url else given
    parts = rest.split("/") if rest else []
    if not url:  # where `a//b` is another name than `a/b`
        parts = [part for part in parts if part not in ("", ".")]
    literal = ""
    for k, part in enumerate(parts):
        here = _below(root, part)
        if WILD.search(part):
            if not (exists(here) if url else os.path.lexists(here)):
                return Place(root, "/".join(parts[k:]), literal)
            literal = here
        root = here
    return Place(root, "", literal)


def _below(root: str, part: str) -> str:
    """Returns the path of something in a folder as the system reads it: `..` of a link is beside what the link leads to."""
    if trees.is_remote(root):
        return f"{root}/{part}"
    if part == "..":
        return os.path.dirname(os.path.realpath(root) if os.path.islink(root) else root)
    return os.path.join(root, part)


@dataclass(frozen=True)
class Matched:
    """The files that lie below the root of a place.

    Attributes:
      entries: Beam's `FileMetadata` (path, size, time of change) of the files that the pattern matches.
      hidden: others that it matches, whose names say that they are no data, by their paths below the root.
      folders: all folders that hold a `manifest.json`.
      tables: folder of a table (see `TABLES`) to what it is.
    """

    entries: list[Any]
    hidden: list[str]
    folders: set[str]
    tables: dict[str, str] = field(default_factory=dict)


def matched(place: Place) -> Matched:
    """Lists what lies below the root.

    Raises:
      Exception: the pattern is none (`[z-a]`), or whatever a remote file system says that cannot be listed.
    """
    matches, is_data, start = expression(place.pattern).match, _data_test(place.pattern), _start(place)
    entries = {entry.path: entry for entry in trees.entries_below(place.root)} if place.is_remote else {}
    made = Matched([], [], set())
    for path in entries if place.is_remote else trees.files_below(place.root):
        if path.endswith(f"/{MANIFEST}"):
            made.folders.add(path.removesuffix(f"/{MANIFEST}"))
        made.tables.update(_table_of(path, start))
        if not matches(path[start:]):
            continue
        if not is_data(path[start:]):
            made.hidden.append(path[start:])
            continue
        with contextlib.suppress(OSError):  # it may be gone by now, or lead nowhere
            made.entries.append(entries.get(path) or metadata(path))
    return made


def _table_of(path: str, start: int) -> dict[str, str]:
    """Returns the folder of the table that a path belongs to, by its part from `start` on, and what that is; else nothing."""
    for marks, what in TABLES.items() if any(name in path for name in BESIDE) else ():
        if found := marks.fullmatch(path[start:]):
            return {(path[:start] + (found[1] or "")).rstrip("/"): what}
    return {}


def table_above(root: str) -> dict[str, str]:
    """Returns the folder of a table that a folder of this machine lies in, and what that is; else nothing.

    An object store is not asked: it takes a request for every folder above.
    """
    while not trees.is_remote(root) and root != os.path.dirname(root):
        root = os.path.dirname(root)
        for name in BESIDE:
            with contextlib.suppress(OSError):  # most often there is no such folder
                for one in os.listdir(os.path.join(root, name)):
                    if table := _table_of(os.path.join(root, name, one), len(root.rstrip("/")) + 1):
                        return table
    return {}


def _data_test(pattern: str) -> Callable[[str], bool]:
    """Returns a function that tells of a path below the root whether its names are those of data.

    One that begins with `_` or `.` is if it matches a part of the pattern that begins so; and `_name=value` says a feature.
    """
    asked = [expression(part).match for part in pattern.split("/") if part.startswith(HIDDEN)]

    def is_data(below: str) -> bool:
        for name in below.split("/"):
            says_feature = name.startswith("_") and "=" in name
            if name.startswith(HIDDEN) and not says_feature and not any(matches(name) for matches in asked):
                return False
        return not below.endswith(("/", *_UNFINISHED))

    return is_data


def expression(pattern: str) -> re.Pattern[str]:
    """Returns what a pattern is to Beam, as a regular expression.

    Raises:
      re.error: it is none.
    """
    with warnings.catch_warnings():  # Python has one for `[[]`, which is how to say [
        warnings.simplefilter("ignore", FutureWarning)
        return re.compile(FileSystem.translate_pattern(pattern))


def _start(place: Place) -> int:
    """Returns where in the paths below the root the part begins that is matched."""
    return len(place.root) + (place.root != "/")


def matches_folders(place: Place) -> bool:
    """Returns whether the pattern matches a directory of this machine."""
    matches, start = expression(place.pattern).match, _start(place)
    walk = () if place.is_remote else os.walk(place.root)
    return any(matches(os.path.join(at, name)[start:]) for at, folders, _ in walk for name in folders)


def metadata(path: str) -> Any:
    """Returns Beam's `FileMetadata` of a file.

    Raises:
      Exception: there is none, or whatever a remote file system says.
    """
    if trees.is_remote(path):
        return file_systems().get_filesystem(path).metadata(path)
    status = os.stat(path)
    return FileMetadata(path, status.st_size, status.st_mtime)
