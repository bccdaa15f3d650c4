"""Replacing one file: whoever has not seen what is there does not replace it, on disks, in object stores of several kinds."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset import stores
from pipeline.dataset.stores import AmazonS3, Conflict, Disk, GoogleCloudStorage, Store, Unconditional
from tests import buckets
from tests.gcs_emulator import emulator
from tests.marks import slow_but
from tests.object_store import Objects, ObjectsStore

KINDS = ["disk", "objects", "gs", "s3", "unconditional"]


@pytest.fixture(params=KINDS)
def place(request, tmp_path, monkeypatch) -> Iterator[tuple[Store, str]]:
    """A store, and a path that nothing is at."""
    if request.param == "disk":
        yield Disk(), str(tmp_path / "file")
    elif request.param == "unconditional":
        yield Unconditional(), str(tmp_path / "file")
    elif request.param == "objects":
        monkeypatch.setattr(Objects, "held", {})
        yield ObjectsStore(), "objects://b/file"
    elif request.param == "s3":
        with buckets.s3() as bucket:
            yield AmazonS3(), f"{bucket.url}/some folder/file"
    else:
        with emulator() as address:
            monkeypatch.setenv("STORAGE_EMULATOR_HOST", address)
            yield GoogleCloudStorage(), "gs://b/some folder/file"


def test_only_who_has_seen_it_replaces_it(place):
    store, path = place
    assert store.read(path) == (b"", None)
    first = store.replace(path, b"one", None)
    assert store.read(path) == (b"one", first) and first is not None
    with pytest.raises(Conflict):
        store.replace(path, b"blind", None)
    second = store.replace(path, b"two", first)
    assert store.read(path) == (b"two", second) and second != first
    with pytest.raises(Conflict):
        store.replace(path, b"late", first)
    assert store.read(path)[0] == b"two"


def test_only_one_makes_it(place):
    store, path = place
    assert store.create(path, b"mine") and not store.create(path, b"yours")
    assert store.read(path)[0] == b"mine"


@pytest.mark.parametrize("place", slow_but(["disk", "objects", "gs"], "disk", "objects"), indirect=True)
def test_of_many_at_once_one_makes_it(place):
    store, path = place
    for round_number in range(5):
        barrier, name = threading.Barrier(8), f"{path}-{round_number}"

        def race(k: int, barrier: Any = barrier, name: str = name) -> bool:
            barrier.wait()
            return store.create(name, b"%d" % k)

        with ThreadPoolExecutor(8) as pool:
            won = list(pool.map(race, range(8)))
        assert won.count(True) == 1 and store.read(name)[0] == b"%d" % won.index(True)


@pytest.mark.parametrize("place", ["disk", "objects", "gs"], indirect=True)
def test_of_many_who_count_none_is_lost(place):
    """Each adds one to what it has read, until it succeeds: on a disk within the lock, elsewhere by the condition."""
    store, path = place
    folder = str(Path(path).parent)

    def count(k: int) -> None:
        while True:
            with store.alone(folder):
                data, seen = store.read(path)
                try:
                    store.replace(path, b"%d" % (int(data or b"0") + 1), seen)
                    return
                except Conflict:
                    continue

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(count, range(24)))
    assert store.read(path)[0] == b"24"


@pytest.mark.parametrize("place", ["s3"], indirect=True)
def test_what_is_gone_is_not_replaced(place):
    """S3 says that there is none, not that it is another one."""
    store, path = place
    seen = store.replace(path, b"one", None)
    with pytest.raises(Conflict):
        store.replace(f"{path}-none", b"two", seen)


def test_a_bucket_that_is_not_there_is_no_missing_file():
    with buckets.s3():
        for attempt in (
            lambda: AmazonS3().read("s3://another/a"),
            lambda: AmazonS3().replace("s3://another/a", b"", None),
        ):
            with pytest.raises(OSError, match="NoSuchBucket"):
                attempt()


def test_a_disk_leaves_no_temporary_files(tmp_path):
    store = Disk()
    store.create(str(tmp_path / "a"), b"1")
    store.create(str(tmp_path / "a"), b"2")
    store.replace(str(tmp_path / "b"), b"1", None)
    with pytest.raises(Conflict):
        store.replace(str(tmp_path / "b"), b"2", None)
    with pytest.raises(OSError):
        store.replace(str(tmp_path / "nowhere" / "c"), b"1", None)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_schemes():
    assert isinstance(stores.store_of("/a/b"), Disk) and isinstance(stores.store_of("a/b"), Disk)
    assert isinstance(stores.store_of("gs://a/b"), GoogleCloudStorage)
    assert isinstance(stores.store_of("s3://a/b"), AmazonS3)
    assert isinstance(stores.store_of("hdfs://a/b"), Unconditional)
