"""Names inside an output directory, and how paths are joined and written through Beam's file systems."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.dataset.stores import store_of, write_synced
from transforms.errors import JobError
from transforms.stored import trees
from transforms.stored.files import file_systems

file_systems()  # files are looked at before there is a pipeline
MANIFEST: Final = "manifest.json"
EXAMPLES: Final = "examples"
REJECTED: Final = "rejected"
SEQUENCES: Final = "sequences"
SHARDED: Final = (EXAMPLES, REJECTED, SEQUENCES)
"""Folders of shards."""
TRANSFORM: Final = "transform"
SERVING: Final = "serving"
STATISTICS: Final = "statistics.json"
LEDGER: Final = "ledger.json"
DISTRIBUTIONS: Final = "distributions.json"
REPORT: Final = "report.html"
STAGING_PREFIX: Final = ".seqcols-"
ALIVE: Final = "alive"
DECIDED: Final = "decided"
PUBLISHING: Final = "publishing"
STOPPED: Final = "stopped"


RUN: Final = r"(\d{8}T\d{6}-[0-9a-f]{8})"
"""The names that `new_run_id` gives."""

SHARD: Final = RUN + r"(-[A-Za-z]\w*)?-[0-9a-f]{12}\.[\w.]+"
"""The names that `shard_name` gives."""


def new_run_id() -> str:
    """Returns a name that no other run has: the time, to read, and random digits, to be sure."""
    return time.strftime("%Y%m%dT%H%M%S", time.gmtime()) + "-" + secrets.token_hex(4)


def shard_name(run_id: str, suffix: str, split: str = "") -> str:
    """Returns a name for a shard of a run that no other shard has, whichever worker writes it, and however often.

    It contains the split that its rows belong to, if there is one.
    """
    return "-".join(filter(None, (run_id, split, secrets.token_hex(6)))) + suffix


def is_shard_of(run_id: str, name: str) -> bool:
    """Returns whether a file has the name of a shard of a run."""
    return name.startswith(f"{run_id}-")


@dataclass(frozen=True)
class Layout:
    """The places that one run writes to.

    Every file of a run has a name of its own, so that nothing it writes can touch what an earlier run published. Only the
    manifest is replaced, as the last step.

    Attributes:
      output: the directory.
      run_id: the run's name.
      scratch: another folder for tf.Transform to work in (see `pipeline.job.scratch`); empty where the staging folder will do.
    """

    output: str
    run_id: str
    scratch: str = ""

    def at(self, *parts: str) -> str:
        """Returns a path in the output directory."""
        return FileSystems.join(self.output, *parts)

    @property
    def staging(self) -> str:
        """Folder for what only the run itself needs."""
        return self.at(STAGING_PREFIX + self.run_id)

    def staged(self, *parts: str) -> str:
        """Returns a path in the staging folder."""
        return FileSystems.join(self.staging, *parts)

    @property
    def result(self) -> str:
        """File that says how the run ended."""
        return self.staged("result.json")


def exists(path: str) -> bool:
    """Returns whether a file or directory is there; in an object store a directory is what files lie below."""
    if FileSystems.exists(path):
        return True
    if "://" not in path or FileSystems.get_filesystem(path).has_dirs():
        return False
    return any(True for _ in trees.entries_below(path.rstrip("/")))


def make_dirs(path: str) -> None:
    """Makes a directory and its parents; one that exists is fine.

    Raises:
      JobError: it cannot be created.
    """
    if "://" in path:
        with contextlib.suppress(OSError):  # object stores have no directories
            FileSystems.mkdirs(path)
        return
    try:
        os.makedirs(path, exist_ok=True)
    except OSError as error:
        raise JobError(f"cannot make the directory {path!r}: {str(error.strerror).lower()}") from error


def delete(path: str) -> None:
    """Deletes a file or a tree; what is not there is fine."""
    trees.delete(path)


def claim(place: Layout, how: str) -> bool:
    """Decides once how a run ends, `"publishing"` or `"stopped"`: whoever makes the file that says so first.

    A run that is stopped removes its files only if it is not being published at that moment, maybe by another process.

    Returns:
      Whether the run ends (or already ended) this way. A run whose staging folder is gone was stopped.

    Raises:
      OSError: a run that wants to publish cannot write that down.
    """
    try:
        store_of(place.output).create(place.staged(DECIDED), how.encode())
    except FileNotFoundError:
        pass
    except OSError:
        if how == PUBLISHING:
            raise
    return decided(place) in (how, "" if how == STOPPED else how)


def decided(place: Layout) -> str:
    """Returns how it was decided that a run ends, an empty string where it was not."""
    with contextlib.suppress(OSError):
        return store_of(place.output).read(place.staged(DECIDED))[0].decode()
    return ""


def delete_if_empty(path: str) -> None:
    """Deletes a directory that holds nothing; object stores have none."""
    if "://" not in path:
        with contextlib.suppress(OSError):
            os.rmdir(path)


def read_bytes(path: str) -> bytes:
    """Reads a file."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
        data: bytes = file.read()
    return data


def read_json(path: str) -> Any:
    """Reads a JSON file."""
    return json.loads(read_bytes(path))


def write_bytes(path: str, data: bytes) -> None:
    """Writes a file and, where it lies on a disk, makes sure that it is there after a power cut.

    Raises:
      JobError: it cannot be written.
    """
    try:
        if "://" not in path:
            write_synced(path, data)
            return
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(data)
    except OSError as error:
        raise JobError(f"{path}: cannot be written ({(error.strerror or str(error)).lower()})") from error
    except Exception as error:  # the clients of object stores say so each in their own way
        raise JobError(f"{path}: cannot be written ({' '.join(str(error).split())})") from error


def json_bytes(content: Any) -> bytes:
    """Returns the bytes of a JSON file; a number that JSON cannot express (NaN, infinity) is an error, not a broken file."""
    return (json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


def write_json(path: str, content: Any) -> None:
    """Writes a JSON file.

    Raises:
      JobError: it cannot be written.
    """
    write_bytes(path, json_bytes(content))


def write_result(place: Layout, result: Mapping[str, Any]) -> None:
    """Writes down how a run ended; that it cannot be written changes nothing about it."""
    with contextlib.suppress(JobError):
        write_json(place.result, result)
