"""Folders on other file systems: found, copied and deleted alike, with or without folders of their own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pipeline.dataset import layout
from tests.object_store import SCHEME, Objects
from transforms.stored import trees

FILES = {"a": b"1", "deep/er/b": b"2", "deep/c": b""}


@pytest.fixture(params=["disk", "objects"])
def folder(request, tmp_path, monkeypatch) -> str:
    """A folder with files, beside one whose name begins like its own."""
    monkeypatch.setattr(Objects, "held", {})
    root = str(tmp_path) if request.param == "disk" else f"{SCHEME}://bucket"
    for name, data in [*((f"tree/{name}", data) for name, data in FILES.items()), ("tree2/a", b"other")]:
        if request.param == "disk":
            Path(root, name).parent.mkdir(parents=True, exist_ok=True)
            Path(root, name).write_bytes(data)
        else:
            Objects.put(f"{root}/{name}", data)
    return f"{root}/tree"


def content(folder: str) -> dict[str, bytes]:
    """What is in a folder of this machine."""
    root = Path(folder)
    return {str(path.relative_to(root)): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_files_are_found(folder):
    assert trees.files_below(folder) == sorted(f"{folder}/{name}" for name in FILES)
    assert trees.files_below(f"{folder}3") == []
    assert layout.exists(folder) and layout.exists(f"{folder}/deep") and layout.exists(f"{folder}/a")
    assert not layout.exists(f"{folder}/dee") and not layout.exists(f"{folder}3")


def test_a_tree_is_deleted_and_no_other(folder):
    trees.delete(f"{folder}/a")
    assert trees.files_below(folder) == [f"{folder}/deep/c", f"{folder}/deep/er/b"]
    trees.delete(folder)
    assert trees.files_below(folder) == [] and trees.files_below(f"{folder}2") == [f"{folder}2/a"]
    trees.delete(folder)  # is not there


def test_a_copy_is_there_while_it_is_used(folder):
    with trees.fetched(folder) as here:
        assert os.path.isdir(here) and content(here) == FILES
        assert (here == folder) == (not trees.is_remote(folder))
    assert os.path.exists(here) == (not trees.is_remote(folder))


@pytest.mark.parametrize("folder", ["objects"], indirect=True)
def test_what_is_not_there_cannot_be_fetched(folder):
    with pytest.raises(FileNotFoundError, match="no such folder, or no file in it"), trees.fetched(f"{folder}3"):
        pass


def test_what_is_written_gets_there(folder):
    target = f"{folder}-made"
    with trees.written(target) as here:
        for name, data in FILES.items():
            path = Path(here, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
    with trees.fetched(target) as back:
        assert content(back) == FILES


@pytest.mark.parametrize("folder", ["objects"], indirect=True)
def test_what_is_not_done_does_not(folder):
    with pytest.raises(ZeroDivisionError), trees.written(f"{folder}-made") as here:
        Path(here, "a").write_bytes(b"1")
        raise ZeroDivisionError
    assert trees.files_below(f"{folder}-made") == [] and not os.path.exists(here)


def test_what_tensorflow_knows():
    known = {"/a": True, "a/b": True, "gs://b/a": True, "s3://b/a": False, "hdfs://b/a": False, f"{SCHEME}://b": False}
    assert {path: trees.is_known(path) for path in known} == known
