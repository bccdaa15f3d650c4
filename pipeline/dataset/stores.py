"""Replacing one file so that of several who try one succeeds: on disks by a lock and a rename, in object stores by a condition.

A version says what somebody has seen in a file, and a file is only replaced by whoever has seen what is in it now. Everything
else that a run writes has a name that no other run uses, and needs no such care.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Final

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.stored.files import file_systems, naming

Version = str | None
"""The version of a file's content; None where there is no file. Only equality means anything."""


class Conflict(Exception):
    """The file holds something else than the one who wants to replace it has seen."""


class Store(ABC):
    """Replaces the files of one scheme. Paths are whole paths or URLs.

    Attributes:
      is_local: whether locks can tell runs on this machine apart, and files can be renamed over others.
    """

    is_local: bool = False

    @abstractmethod
    def read(self, path: str) -> tuple[bytes, Version]:
        """Returns what is in a file and its version; `(b"", None)` where there is none."""

    @abstractmethod
    def replace(self, path: str, data: bytes, seen: Version) -> Version:
        """Replaces a file in one step, or makes it where `seen` is None, and returns its new version.

        Raises:
          Conflict: its version is not the one seen.
          OSError: it cannot be written.
        """

    def create(self, path: str, data: bytes) -> bool:
        """Makes a file; returns whether it was not there before."""
        try:
            self.replace(path, data, None)
        except Conflict:
            return False
        return True

    @contextlib.contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        """Keeps other runs on this machine out of a folder while the block runs, where that can be done."""
        yield


class Disk(Store):
    """Files of this machine: the version is a digest, and a lock on the folder makes reading and renaming one step."""

    is_local = True

    def read(self, path: str) -> tuple[bytes, Version]:
        """See the base class."""
        try:
            with open(path, "rb") as file:
                data = file.read()
        except FileNotFoundError:
            return b"", None
        return data, hashlib.sha256(data).hexdigest()

    def replace(self, path: str, data: bytes, seen: Version) -> Version:
        """See the base class. Whoever replaces what others may replace too does so in `alone`."""
        if self.read(path)[1] != seen:
            raise Conflict(path)
        temporary = f"{path}.{secrets.token_hex(4)}.tmp"
        try:
            write_synced(temporary, data)
            os.replace(temporary, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.remove(temporary)
            raise
        sync_folder(os.path.dirname(path))
        return hashlib.sha256(data).hexdigest()

    def create(self, path: str, data: bytes) -> bool:
        """See the base class. Safe without a lock: a hard link is only created if there is no file."""
        temporary = f"{path}.{secrets.token_hex(4)}.tmp"
        write_synced(temporary, data)
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
        finally:
            os.remove(temporary)
        return True

    @contextlib.contextmanager
    def alone(self, folder: str) -> Iterator[None]:
        """See the base class. The lock ends with the process, whatever happens to it."""
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


class GoogleCloudStorage(Store):
    """Objects of Cloud Storage: the version is the generation, and writing is conditional on it (`ifGenerationMatch`)."""

    def _blob(self, path: str) -> Any:
        from google.cloud import storage

        bucket, _, name = path.removeprefix("gs://").partition("/")
        return storage.Client().bucket(bucket).blob(name)

    def read(self, path: str) -> tuple[bytes, Version]:
        """See the base class. What is read is of the generation that is returned, even if the object is replaced meanwhile."""
        from google.api_core.exceptions import NotFound, PreconditionFailed

        blob = self._blob(path)
        try:
            blob.reload()
            generation = blob.generation  # downloading may forget it
            data: bytes = blob.download_as_bytes(if_generation_match=generation)
        except NotFound:
            return b"", None
        except PreconditionFailed:  # replaced between the two requests
            return self.read(path)
        return data, str(generation)

    def replace(self, path: str, data: bytes, seen: Version) -> Version:
        """See the base class."""
        from google.api_core.exceptions import PreconditionFailed

        blob = self._blob(path)
        try:
            blob.upload_from_string(data, if_generation_match=int(seen or 0))
        except PreconditionFailed as error:
            raise Conflict(path) from error
        return str(blob.generation)


class AmazonS3(Store):
    """Objects of S3: the version is the ETag, and writing is conditional on it (`If-Match`, `If-None-Match`).

    Other stores that speak its protocol either know these conditions, or refuse them, or (old ones) take no notice.
    """

    def _client(self) -> Any:
        from apache_beam.io.aws.s3io import S3IO

        # Made by Beam, with the options that its own files are opened with (`--s3_endpoint_url` and the like).
        return S3IO(options=file_systems().get_filesystem("s3://")._options).client.client

    def _place(self, path: str) -> dict[str, str]:
        bucket, _, key = path.removeprefix("s3://").partition("/")
        return {"Bucket": bucket, "Key": key}

    def read(self, path: str) -> tuple[bytes, Version]:
        """See the base class."""
        from botocore.exceptions import ClientError

        try:
            found = self._client().get_object(**self._place(path))
            return found["Body"].read(), str(found["ETag"])
        except ClientError as error:
            if error.response["Error"]["Code"] == "NoSuchKey":
                return b"", None
            raise OSError(0, " ".join(str(error).split()), path) from error

    def replace(self, path: str, data: bytes, seen: Version) -> Version:
        """See the base class."""
        from botocore.exceptions import ClientError

        condition = {"IfMatch": seen} if seen else {"IfNoneMatch": "*"}
        try:
            return str(self._client().put_object(**self._place(path), Body=data, **condition)["ETag"])
        except ClientError as error:
            # In turn: another version is there, another is being written, and none is there any more.
            if error.response["Error"]["Code"] in ("PreconditionFailed", "ConditionalRequestConflict", "NoSuchKey"):
                raise Conflict(path) from error
            raise OSError(0, " ".join(str(error).split()), path) from error


class Unconditional(Store):
    """A file system without conditional writes: compares, then writes. Two runs at the same moment do not notice each other."""

    def read(self, path: str) -> tuple[bytes, Version]:
        """See the base class."""
        if not FileSystems.exists(path):
            return b"", None
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            data: bytes = file.read()
        return data, hashlib.sha256(data).hexdigest()

    def replace(self, path: str, data: bytes, seen: Version) -> Version:
        """See the base class."""
        if self.read(path)[1] != seen:
            raise Conflict(path)
        with FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            file.write(data)
        return hashlib.sha256(data).hexdigest()


STORES: Final[dict[str, Store]] = {"": Disk(), "gs": GoogleCloudStorage(), "s3": AmazonS3()}
"""Scheme of a path to how its files are replaced."""


def store_of(path: str) -> Store:
    """Returns how the files of a path's scheme are replaced."""
    scheme = path.partition("://")[0] if "://" in path else ""
    return STORES.get(scheme, Unconditional())


def write_synced(path: str, data: bytes) -> None:
    """Writes a local file so that its content survives a power cut; its name does, once `sync_folder` has returned.

    Raises:
      OSError: it cannot be written; the error names the file, and nothing of it is left.
    """
    try:
        with naming(path), open(path, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        with contextlib.suppress(OSError):
            os.remove(path)
        raise


def sync_folder(path: str) -> None:
    """Makes sure that the names in a folder of this machine are there after a power cut; does nothing in object stores."""
    if "://" in path:
        return
    descriptor = os.open(path or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
