"""Small files that a spec names, on this machine or on any of Beam's file systems."""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from collections.abc import Iterator
from typing import Any, BinaryIO


def plain_path(path: str) -> str:
    """Returns a path of this machine without the `file://` that other tools put before it; everything else as it is.

    >>> plain_path("file:///data/a%20b"), plain_path("gs://bucket/a")
    ('/data/a%20b', 'gs://bucket/a')
    """
    return re.sub("^file://(localhost)?(?=/)", "", path, flags=re.IGNORECASE)


def opened(path: str) -> BinaryIO:
    """Opens a file for reading.

    Args:
      path: a local path, or a URL of one of Beam's file systems (`gs://...`).

    Raises:
      OSError: there is none, or it is a directory, a pipe or the like, from which reading might never end.
    """
    path = plain_path(path)
    if "://" in path:
        from apache_beam.io.filesystem import CompressionTypes

        system = _file_system(path)
        try:
            file: BinaryIO = system.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
            return file
        except OSError:
            raise
        except Exception as error:  # no such object, no rights: each client library says it its own way
            raise OSError(0, " ".join(str(error).split())) from error
    if os.path.exists(path) and not os.path.isfile(path):
        raise OSError(
            0, f"expected a file, got {'a directory' if os.path.isdir(path) else 'neither file nor directory'}"
        )
    return open(path, "rb")


def read(path: str) -> bytes:
    """Returns what a file holds; see `opened`."""
    with opened(path) as file:
        return file.read()


def digest(path: str) -> str:
    """Returns the SHA-256 of what a file holds, an empty string where it cannot be read."""
    with contextlib.suppress(OSError):
        return hashlib.sha256(read(path)).hexdigest()
    return ""


@contextlib.contextmanager
def naming(path: str) -> Iterator[None]:
    """Names a file in errors that do not: a disk is full when a file is written to, where the system knows it by a number."""
    try:
        yield
    except OSError as error:
        if error.filename:
            raise
        raise OSError(error.errno or 0, error.strerror or str(error), path) from error


def stamp(path: str) -> tuple[float, int, str]:
    """Returns what changes when a file does: when it was written, its size, and its `version`.

    Raises:
      OSError: there is none.
    """
    path = plain_path(path)
    if "://" not in path:
        found = os.stat(path)
        return found.st_mtime_ns, found.st_size, version(path)
    entry = _file_system(path).metadata(path)
    return entry.last_updated_in_seconds, entry.size_in_bytes, version(path)


def version(path: str) -> str:
    """Returns what tells a file from another of the same size and time of writing, as far as its file system knows such a thing.

    On a disk that is the inode and the time of change, which nobody can set; in an object store the checksum or the ETag. An
    empty string where there is neither, or no file.
    """
    with contextlib.suppress(Exception):  # no such file or object, no rights: each client library says it its own way
        if "://" in path:
            return str(_file_system(path).checksum(path))
        found = os.stat(path)
        return f"{found.st_ino}-{found.st_ctime_ns}"
    return ""


def file_systems() -> Any:
    """Returns Beam's `FileSystems`, ready to be used outside a pipeline: its own options are set by the first one that is built.

    Beam 2.77 opens nothing on `s3://` without any options. Without those of a pipeline, credentials and the like are taken from
    where each client library looks for them.
    """
    from apache_beam.io.filesystems import FileSystems  # takes 2 s to import

    if FileSystems._pipeline_options is None:
        from apache_beam.options.pipeline_options import PipelineOptions

        FileSystems.set_options(PipelineOptions([]))
    return FileSystems


def _file_system(path: str) -> Any:
    try:
        return file_systems().get_filesystem(path)
    except ValueError:
        raise OSError(0, "unknown file system, or Beam's extra for it is not installed") from None
