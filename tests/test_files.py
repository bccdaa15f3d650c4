"""Small files that a spec names: local ones and those of Beam's file systems."""

from __future__ import annotations

import os

import numpy as np
import pytest

from pipeline.columns_file.reader import load
from tests.object_store import SCHEME, Objects
from transforms.errors import SpecError
from transforms.stored import files
from transforms.stored.embedding_tables import read_table
from transforms.stored.vocabularies import read_vocabulary


@pytest.fixture
def store(monkeypatch):
    monkeypatch.setattr(Objects, "held", {})
    return f"{SCHEME}://bucket"


def test_the_same_from_anywhere(tmp_path, store):
    (tmp_path / "a").write_bytes(b"content")
    Objects.put(f"{store}/a", b"content")
    for path in (str(tmp_path / "a"), f"{store}/a"):
        assert files.read(path) == b"content"
        assert files.stamp(path)[1] == 7


def test_what_was_read_is_read_again_when_it_changes(tmp_path, store):
    """Also where neither the size nor the time of writing does."""
    table = np.arange(4, dtype=np.float32).reshape(2, 2)
    held = [(b"one\n", table), (b"two\n", table + 1)]
    words, vectors = tmp_path / "words.txt", tmp_path / "table.npy"
    for text, array in held:
        words.write_bytes(text)
        np.save(vectors, array)
        Objects.put(f"{store}/words.txt", text)
        for path in (words, vectors):
            changed = os.stat(path).st_ctime_ns
            while os.stat(path).st_ctime_ns == changed:  # what comes within a tick of its clock has the same time
                os.utime(path, ns=(1, 1))
        for path in (str(words), f"{store}/words.txt"):
            assert read_vocabulary(path, "string").words == (text.strip(),)
        np.testing.assert_array_equal(read_table(str(vectors)).values, array)


def test_what_is_no_file(tmp_path, store):
    os.mkfifo(tmp_path / "pipe")
    for path, why in [
        (str(tmp_path / "none"), "No such file"),
        (str(tmp_path), "expected a file, got a directory"),
        (str(tmp_path / "pipe"), "expected a file, got neither file nor directory"),
        (f"{store}/none", "none"),
        ("nowhere://a/b", "unknown file system"),
    ]:
        with pytest.raises(OSError, match=why):
            files.read(path)


def test_a_columns_file_in_a_store(store):
    Objects.put(f"{store}/spec/c.yaml", b"columns: [{type: sequence_numeric_column, key: x}]")
    assert load(f"{store}/spec/c.yaml").columns[0].name == "x"


def test_its_files_lie_beside_it(store):
    Objects.put(f"{store}/spec/words.txt", b"a\nb\n")
    text = "{type: sequence_categorical_column_with_vocabulary_file, key: x, vocabulary_file: words.txt}"
    Objects.put(f"{store}/spec/c.yaml", f"columns: [{text}]".encode())
    (column,) = load(f"{store}/spec/c.yaml").columns
    assert column.model_dump()["vocabulary_file"] == f"{store}/spec/words.txt"


@pytest.mark.parametrize("path", ["bucket/none.yaml", "nowhere"])
def test_a_columns_file_that_is_not_there(store, path):
    named = f"{store}/none.yaml" if "/" in path else "nowhere://b/c.yaml"
    with pytest.raises(SpecError, match="cannot read the columns file"):
        load(named)
