"""Replacing one file: whoever has not seen what is there does not replace it, on disks, in object stores and in Cloud Storage."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pipeline import stores
from pipeline.stores import Conflict, Disk, GoogleCloudStorage, Store, Unconditional
from tests.gcs_emulator import emulator
from tests.object_store import Objects, ObjectsStore

KINDS = ["disk", "objects", "gs", "unconditional"]


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


@pytest.mark.parametrize("place", ["disk", "objects", "gs"], indirect=True)
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
    assert isinstance(stores.store_of("hdfs://a/b"), Unconditional)
