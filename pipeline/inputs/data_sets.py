"""Folders that hold data sets: what lies in one is there to be read by its manifest, and is no input by its name."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator

from apache_beam.io.filesystems import FileSystems

from pipeline.dataset.layout import MANIFEST
from transforms.stored import files, trees


def is_data_set(folder: str) -> bool:
    """Returns whether a folder holds a manifest of ours, be it damaged or of a later version."""
    path = f"{folder.rstrip('/')}/{MANIFEST}"
    try:
        data = files.read(path) if FileSystems.exists(path) else b""
    except OSError:
        return False
    return b'"format_version"' in data and b'"examples"' in data


class DataSets:
    """Finds the data set that a path lies in. Each folder is looked at once."""

    def __init__(self) -> None:
        self._known: dict[str, bool] = {}

    def around(self, path: str, folders: Collection[str]) -> str:
        """Returns the nearest data set that a path lies in, as it is written or as its links lead; an empty string for none.

        Args:
          path: whole path or URL.
          folders: of a URL, the folders that may hold one: a request to a store takes its time.
        """
        for name in names_of(path):
            for folder in parents(name):
                if (folder in folders or not trees.is_remote(path)) and self.holds(folder):
                    return folder
        return ""

    def holds(self, folder: str) -> bool:
        """Returns whether a folder holds a manifest of ours."""
        folder = folder.rstrip("/")
        if folder not in self._known:
            self._known[folder] = is_data_set(folder)
        return self._known[folder]


def names_of(path: str) -> list[str]:
    """Returns a path as it is written, and as its links lead."""
    return [path] if trees.is_remote(path) else list(dict.fromkeys([os.path.abspath(path), os.path.realpath(path)]))


def parents(path: str) -> Iterator[str]:
    """Yields the folders that a whole path or URL lies in, the innermost first.

    >>> list(parents("/a/b/c")), list(parents("gs://bucket/b/c"))
    (['/a/b', '/a', ''], ['gs://bucket/b', 'gs://bucket'])
    """
    start = path.index("://") + 3 if trees.is_remote(path) else 0
    while "/" in path[start:]:
        path = path.rpartition("/")[0]
        yield path
