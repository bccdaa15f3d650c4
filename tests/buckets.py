"""Buckets on this machine: moto's S3 and gcp-storage-emulator's Cloud Storage, started and stopped by a test, without a network.

What a job left in one is read with the store's own client, not with Beam's file systems.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final
from unittest import mock

from apache_beam.internal.gcp import auth

BUCKET: Final = "bucket"


class Bucket(ABC):
    """A bucket.

    Attributes:
      url: where it is, for Beam.
      environment: what a process needs in its environment to find the store.
    """

    url: str
    environment: Mapping[str, str]

    @abstractmethod
    def put(self, name: str, data: bytes) -> None:
        """Writes an object."""

    @abstractmethod
    def get(self, name: str) -> bytes:
        """Returns what an object holds."""

    @abstractmethod
    def delete(self, name: str) -> None:
        """Deletes an object."""

    @abstractmethod
    def names(self, prefix: str = "") -> list[str]:
        """Returns the names of all objects that begin so, in order."""

    def upload(self, folder: Path, prefix: str) -> None:
        """Copies the files of a folder here."""
        for path in sorted(folder.iterdir()):
            self.put(f"{prefix}/{path.name}", path.read_bytes())

    def download(self, prefix: str, folder: Path) -> Path:
        """Copies all below a prefix to a folder, and returns that."""
        for name in self.names(f"{prefix}/"):
            path = folder / name.removeprefix(f"{prefix}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(self.get(name))
        return folder


class S3(Bucket):
    """A bucket of S3."""

    def __init__(self, address: str):
        import boto3

        self.address = address
        # moto's servers of one process hold the same buckets.
        self._bucket = f"{BUCKET}-{secrets.token_hex(4)}"
        self.url = f"s3://{self._bucket}"
        self.environment = {**KEYS, "AWS_ENDPOINT_URL_S3": address}
        self._client: Any = boto3.client("s3", endpoint_url=address)
        self._client.create_bucket(Bucket=self._bucket)

    def put(self, name: str, data: bytes) -> None:
        """See the base class."""
        self._client.put_object(Bucket=self._bucket, Key=name, Body=data)

    def get(self, name: str) -> bytes:
        """See the base class."""
        data: bytes = self._client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
        return data

    def delete(self, name: str) -> None:
        """See the base class."""
        self._client.delete_object(Bucket=self._bucket, Key=name)

    def names(self, prefix: str = "") -> list[str]:
        """See the base class."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=prefix)
        return sorted(one["Key"] for page in pages for one in page.get("Contents", []))


class CloudStorage(Bucket):
    """A bucket of Cloud Storage."""

    url = f"gs://{BUCKET}"

    def __init__(self, environment: Mapping[str, str]):
        from google.cloud import storage

        self.environment = environment
        self._bucket: Any = storage.Client().bucket(BUCKET)

    def put(self, name: str, data: bytes) -> None:
        """See the base class."""
        self._bucket.blob(name).upload_from_string(data)

    def get(self, name: str) -> bytes:
        """See the base class."""
        data: bytes = self._bucket.blob(name).download_as_bytes()
        return data

    def delete(self, name: str) -> None:
        """See the base class."""
        self._bucket.blob(name).delete()

    def names(self, prefix: str = "") -> list[str]:
        """See the base class."""
        return sorted(blob.name for blob in self._bucket.list_blobs(prefix=prefix))


KEYS: Final = {"AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_DEFAULT_REGION": "us-east-1"}
"""S3's clients sign what they ask for, whoever is asked."""


@contextlib.contextmanager
def s3() -> Iterator[S3]:
    """Yields an empty bucket of S3; `AWS_...` in the environment lead to it."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    try:
        with _set(KEYS), _clients_kept():
            host, port = server.get_host_and_port()
            made = S3(f"http://{host}:{port}")
            with _set(made.environment):
                yield made
    finally:
        server.stop()


@contextlib.contextmanager
def _clients_kept() -> Iterator[None]:
    """Lets Beam 2.77 use a client of S3 again: it makes one for every file that it looks at, which takes 0.14 s of CPU each."""
    import boto3

    make, made = boto3.session.Session.client, {}

    def client(session: Any, *arguments: Any, **more: Any) -> Any:
        key = repr((arguments, more, os.environ.get("AWS_ENDPOINT_URL_S3")))
        if key not in made:
            made[key] = make(session, *arguments, **more)
        return made[key]

    with mock.patch.object(boto3.session.Session, "client", client):
        yield


@contextlib.contextmanager
def cloud_storage() -> Iterator[CloudStorage]:
    """Yields an empty bucket of Cloud Storage; `STORAGE_EMULATOR_HOST` in the environment leads to it.

    The emulator (2026.7) takes no notice of conditions: those are tested with `tests.gcs_emulator`.
    """
    from gcp_storage_emulator.server import create_server

    logging.getLogger("gcp_storage_emulator").setLevel(logging.ERROR)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = create_server("127.0.0.1", port, in_memory=True, default_bucket=BUCKET)
    server.start()
    try:
        # Without the second, Google's libraries look for a machine of Google's that would give them rights. Beam 2.77 looks for
        # rights four times more, and waits half a minute; where it has found none once, it asks without any.
        environment = {"STORAGE_EMULATOR_HOST": f"http://127.0.0.1:{port}", "NO_GCE_CHECK": "true"}
        with _set(environment), mock.patch.object(auth._Credentials, "_credentials_init", True):
            yield CloudStorage(environment)
    finally:
        server.stop()


@contextlib.contextmanager
def _set(values: Mapping[str, str]) -> Iterator[None]:
    """Sets variables of the environment while the block runs."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
