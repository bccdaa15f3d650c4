"""Folders on any of Beam's file systems, for TensorFlow, which has others: it works on copies on this machine's disk.

TensorFlow 2.21 knows this machine's files and `gs://`, by a client of its own, which is set up otherwise than Beam's. It knows
neither `s3://` nor `hdfs://` nor Azure's. So whatever is saved or loaded with TensorFlow goes through `written` and `fetched`,
and every file system that Beam knows works alike. What tf.Transform writes while it analyses is the exception: see `is_known`.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Final

from transforms.stored.files import file_systems

BLOCK_BYTES: Final = 1 << 20

GLOB: Final = r"[*?\[\]]"
"""Characters that make a path a pattern to Beam's file systems."""


def is_remote(path: str) -> bool:
    """Returns whether a path is a URL of one of Beam's file systems, not of this machine's disk."""
    return "://" in path


def is_known(path: str) -> bool:
    """Returns whether TensorFlow itself can write there.

    tf.Transform hands paths of graphs from worker to worker, and reads and writes them with TensorFlow wherever it runs: nothing
    of ours can step in between. The folder that it works in must be such a place, and one that all workers reach.
    """
    import tensorflow as tf  # takes seconds

    return path.partition("://")[0] in tf.io.gfile.get_registered_schemes() if is_remote(path) else True


def files_below(folder: str) -> list[str]:
    """Returns the paths of all files below a folder, in order; none where there is no such folder."""
    if is_remote(folder):
        return sorted(entry.path for entry in entries_below(folder.rstrip("/")))
    return sorted(os.path.join(at, name) for at, _, names in os.walk(folder) for name in names)


def entries_below(folder: str) -> Iterator[Any]:
    """Yields Beam's `FileMetadata` (path, size, time of change) of every file below a folder of a remote file system.

    By its own listing: `FileSystems.match` (Beam 2.77) would take a folder `run[12]` for a pattern, and list `run1`.
    """
    prefix = f"{folder}/"
    for entry in file_systems().get_filesystem(folder)._list(prefix):
        if entry.path.startswith(prefix):
            yield entry


def copy(source: str, target: str, write: Callable[[str, BinaryIO], None] | None = None) -> list[str]:
    """Copies the files below a folder to another, of the same or another file system; folders without files are left out.

    Args:
      source: the folder.
      target: the folder to copy it to.
      write: a function that writes a file at a path from an open one; None to copy files as they are.

    Returns:
      The paths that were written.

    Raises:
      OSError: a file cannot be read or written.
    """
    from apache_beam.io.filesystem import CompressionTypes

    root, systems = source.rstrip("/"), file_systems()
    made = []
    for path in files_below(root):
        where = systems.join(target, *path.removeprefix(root).lstrip("/").split("/"))
        if systems.get_filesystem(where).has_dirs():
            with contextlib.suppress(OSError):  # it exists
                systems.mkdirs(systems.split(where)[0])
        with systems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as read:
            if write is not None:
                write(where, read)
            else:
                with systems.create(where, compression_type=CompressionTypes.UNCOMPRESSED) as written:
                    shutil.copyfileobj(read, written, BLOCK_BYTES)
        made.append(where)
    return made


def delete(path: str) -> None:
    """Deletes a file or a tree; what is not there is fine.

    Raises:
      ValueError: it is of a remote file system and has glob characters, which that would take for a pattern.
    """
    if not is_remote(path):
        # Not FileSystems.delete (Beam 2.77), which takes every path for a pattern: `run[12]` would delete `run1`.
        with contextlib.suppress(OSError):
            shutil.rmtree(path) if os.path.isdir(path) and not os.path.islink(path) else os.remove(path)
        return
    if re.search(GLOB, path):
        raise ValueError(f"expected a path without glob characters to delete, got {path!r}")
    systems = file_systems()
    with contextlib.suppress(Exception):
        systems.delete([path])
    with contextlib.suppress(Exception):
        if not systems.get_filesystem(path).has_dirs():
            systems.delete([path.rstrip("/") + "/"])  # how Beam 2.77's object stores tell a tree


@contextlib.contextmanager
def fetched(folder: str) -> Iterator[str]:
    """Yields a folder of this machine with the same files: the folder itself, or a copy that is there while the block runs.

    What TensorFlow has loaded of it stays loaded.

    Raises:
      OSError: there is no file in it.
    """
    if not is_remote(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="seqcols-") as here:
        copy(folder, here)
        if not os.listdir(here):
            raise FileNotFoundError(2, "no such folder, or no file in it", folder)
        yield here


@contextlib.contextmanager
def written(folder: str) -> Iterator[str]:
    """Yields a folder of this machine to write to: the folder itself, or one that is copied to it when the block is done."""
    if not is_remote(folder):
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="seqcols-") as here:
        yield here
        copy(here, folder)
