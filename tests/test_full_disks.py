"""A full disk: one line that names the file, whoever notices it and however many libraries it comes through."""

from __future__ import annotations

import errno
import os
import re
import secrets
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pipeline.command import tf_examples
from pipeline.command.exits import _unforeseen
from pipeline.dataset import stores
from pipeline.inspect import inspection
from pipeline.job.cache_files import WritePiece
from pipeline.job.failures import message_of, of_a_disk
from tests.jobs import run_job
from transforms import make_spec, sequence_numeric_column
from transforms.errors import JobError
from transforms.fit import details_analyzer, preprocessing_fn
from transforms.statistics.contributed import Packed
from transforms.stored.embedding_tables import EmbeddingTable
from transforms.stored.files import naming

RAW = [
    (
        'Traceback (most recent call last):\n  File "x.py", line 3\n'
        "tensorflow.python.framework.errors_impl.ResourceExhaustedError: {{function_node __wrapped__SaveV2_device_/job:localhost/"
        "replica:0}} /a/b c/variables.data-00000-of-00001; No space left on device [Op:SaveV2] [while running 'Analyse/Save']",
        "/a/b c/variables.data-00000-of-00001: no space left on device",
    ),
    ("UnknownError: gs://b/saved_model.pb; File too large\n\t [[{{node x}}]]", "gs://b/saved_model.pb: file too large"),
    ("OSError: [Errno 28] No space left on device: '/a/b' [while running 'Write']", "/a/b: no space left on device"),
    ("OSError: [Errno 122] Disk quota exceeded: '/a'", "/a: disk quota exceeded"),
    ("OSError: [Errno 28] No space left on device [while running 'Write']", "/out or /tmp: no space left on device"),
    ("BeamIOError: [Errno 30] Read-only file system: '/a/b' with exceptions None", "/a/b: read-only file system"),
]


@pytest.mark.parametrize(("text", "line"), RAW)
def test_what_libraries_say(text, line):
    assert message_of(RuntimeError(text), ["/out", "/tmp"]) == line
    assert _unforeseen(RuntimeError(text)) in (line, "temporary files: no space left on device")


@pytest.mark.parametrize(
    "text", ["no such file: /a/b", "ValueError: 3; 4", "[Errno 2] No such file or directory: '/a'"]
)
def test_other_errors_are_no_disk_s(text):
    assert of_a_disk(RuntimeError(text)) == ""


def test_our_own_line_is_left_as_it_is():
    said = "JobError: /a: cannot be written ([Errno 28] No space left on device) [while running 'Finish']"
    assert message_of(RuntimeError(said)) == "/a: cannot be written ([Errno 28] No space left on device)"


def test_a_full_temporary_directory_before_a_run(tmp_path, monkeypatch):
    """The serving model is saved once before a run, without its values: an error of the job, as later on."""

    def full(*arguments: Any, **more: Any) -> str:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/tmp/seqcols-1")

    tf_examples.write_examples(str(tmp_path / "a.tfrecord"), [{"x": [1.0]}])
    monkeypatch.setattr(tempfile, "mkdtemp", full)
    with pytest.raises(JobError, match=r"^/tmp/seqcols-1: no space left on device$"):
        run_job(make_spec(sequence_numeric_column("x")), tmp_path / "a.tfrecord", tmp_path / "out")


DETAILS: Any = SimpleNamespace(outcome=lambda: np.array([b"x"]), readable=lambda: [1])


def piece(path: Path) -> None:
    write = WritePiece(str(path.parent), 0, b"key")
    write.start_bundle()
    write.process(b"x" * 100)
    list(write.finish_bundle())


WRITERS: dict[str, Callable[[Path], object]] = {
    "draft.yaml": lambda path: inspection.write(inspection.Inspection([], str(path), overwrite=True), "text"),
    "sample.tfrecord": lambda path: tf_examples.write_examples(str(path), [b"record"]),
    "moments.json": lambda path: preprocessing_fn._written(Packed(()), str(path)),
    "details.json": lambda path: details_analyzer._written(DETAILS, str(path)),
    "synced": lambda path: stores.write_synced(str(path), b"x"),
    "a.piece": piece,
}


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_that_is_written_is_named(tmp_path, monkeypatch, name):
    monkeypatch.setattr(secrets, "token_hex", lambda size: "a")
    (tmp_path / name).symlink_to("/dev/full")
    with pytest.raises(OSError) as raised:
        WRITERS[name](tmp_path / name)
    assert (raised.value.errno, raised.value.filename) == (errno.ENOSPC, str(tmp_path / name))
    assert _unforeseen(raised.value) == f"{tmp_path / name}: no space left on device"


def test_an_embedding_table_that_is_written_is_named(tmp_path):
    table = EmbeddingTable(np.zeros((4, 2), np.float32))
    path = tmp_path / f"table-{table.digest}.npy"
    path.symlink_to("/dev/full")
    with pytest.raises(OSError, match=re.escape(str(path))):
        table.placed(str(tmp_path))


def test_a_name_that_is_known_stays(tmp_path):
    with pytest.raises(FileNotFoundError) as raised, naming("other"):
        os.mkdir(tmp_path / "a" / "b")
    assert raised.value.filename == str(tmp_path / "a" / "b")
