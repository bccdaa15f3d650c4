"""A data set is published with the first replacement of its manifest: whatever fails after that is a note, and exit code 0."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.tf_examples import write_examples
from pipeline.dataset import layout, publish, stores
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import read
from pipeline.dataset.stores import Conflict, Disk
from pipeline.job import cache, cleaning, executing, verdict
from pipeline.job.cache_files import CachePiece
from pipeline.job.executing import Outcome
from tests import prepared
from tests.faults.injection import before_changes
from tests.jobs import call, listing
from tests.test_publish import NEW, OLD, publish_run, whole, written
from transforms.errors import JobError

FULL = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "there")
COLUMNS = """\
columns: [{type: sequence_numeric_column, key: x, normalizer_fn: z_score}]
sequence_groups: {sequence: {max_length: 2}}
"""


def test_a_run_whose_cache_and_result_cannot_be_written(tmp_path, command_line):
    """The disk of the cache is full when the old data set is gone already, and how the run ended cannot be written down."""
    (tmp_path / "c.yaml").write_text(COLUMNS)
    write_examples(str(tmp_path / "in.tfrecord"), [{"x": [float(k)]} for k in range(9)])
    prepared.prepare(str(tmp_path / "out")).publish()

    def full(number: int, path: str) -> None:
        if (path.startswith(f"{tmp_path}/cache/") and ".json" in path) or path.endswith("/result.json"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    arguments = ["--input", tmp_path / "in.tfrecord", "--output", tmp_path / "out", "--overwrite"]
    with before_changes(str(tmp_path), full):
        result = call("run", tmp_path / "c.yaml", *arguments, "--cache", tmp_path / "cache")
    assert result.exit_code == 0, result.output
    assert read(str(tmp_path / "out")).rows == 9 and "9 read, 9 written" in result.stdout
    assert "seqcols: published, but how the run ended could not be written down" in result.stderr
    assert listing(tmp_path / "cache") == []
    assert not [name for name in listing(tmp_path / "out") if name.startswith(".")]


def test_a_cache_keeps_the_parts_that_it_can(tmp_path, monkeypatch):
    pieces = []
    for k in range(3):
        (tmp_path / f"{k}.piece").write_bytes(b"")
        pieces.append(CachePiece(k, b"key", str(tmp_path / f"{k}.piece"), 0, ""))
    analysis = cache.Analysis((), str(tmp_path), ((), (), ()), keys=(b"key",))
    wrote: list[Any] = []

    def write_index(folder: str, files: Any, tally: Any, own: Any) -> None:
        if len(wrote) == 1:
            wrote.append(None)
            raise JobError(f"{folder}/a.json: cannot be written (no space left on device)")
        wrote.append(own)

    monkeypatch.setattr(cache, "write_index", write_index)
    (note,) = cache.commit(analysis, pieces, {})
    assert note.startswith(f"--cache: {tmp_path}/a.json: cannot be written (no space") and "published" in note
    assert listing(tmp_path) == ["0.piece", "2.piece"]
    assert [len(own[b"key"]) for own in wrote if own] == [1, 1]


def test_old_files_that_cannot_be_removed(tmp_path, monkeypatch):
    publish_run(tmp_path, OLD, 1)
    delete = layout.delete
    monkeypatch.setattr(layout, "delete", lambda path: None if OLD in path else delete(path))
    place, content, graph = written(tmp_path, NEW, 2)
    (note,) = publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph)
    assert (
        note
        == f"published, but {place.output}/examples/{OLD}-000000000000.tfrecord of the old data set could not be removed"
    )
    assert whole(tmp_path) == NEW


def test_a_manifest_that_is_in_place_and_cannot_be_flushed(tmp_path, monkeypatch):
    def refuse(path: str) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    publish_run(tmp_path, OLD, 1)
    place, content, graph = written(tmp_path, NEW, 2)
    monkeypatch.setattr(stores, "sync_folder", refuse)
    assert publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph) == []
    assert whole(tmp_path) == NEW


@pytest.mark.parametrize("error", [OSError(errno.ETIMEDOUT, "timed out"), Conflict("a")])
def test_a_store_whose_answer_is_lost(tmp_path, error):
    """It has replaced the manifest, and says that it has not, or is asked again and finds what it has written itself."""

    class Lossy(Disk):
        def replace(self, path: str, data: bytes, seen: stores.Version) -> stores.Version:
            if seen is None:
                super().replace(path, data, seen)
            raise error

    place = Layout(str(tmp_path), NEW)
    seen = publish._replace_manifest(Lossy(), place, {"run": NEW}, None)
    assert layout.read_json(place.at(layout.MANIFEST))["run"] == NEW
    with pytest.raises(JobError, match=r"cannot replace .*: timed out|another run has published"):
        publish._replace_manifest(Lossy(), place, {"run": OLD}, seen)


def published(root: Path, result: bytes | None) -> tuple[Layout, Outcome]:
    """A run that has published, and what it wrote down of it; then the pipeline failed."""
    made = prepared.prepare(str(root))
    made.content["runs"] = [{"read": 13, "written": 11, "rejected": 2}]
    graphs = made.graphs
    publish.publish(made.place, made.content, made.ledger, {}, graphs["transform"], staged_serving=graphs["serving"])
    if result is not None:
        Path(made.place.result).write_bytes(result)
    return made.place, Outcome(verdict.FAILED, "a worker is gone")


@pytest.mark.parametrize("result", [None, b"", b'{"status": "do'])
def test_a_run_that_could_not_say_how_it_ended(tmp_path, result):
    place, outcome = published(tmp_path, result)
    executing.conclude(place, outcome)
    assert (outcome.status, outcome.message, outcome.ledger["rows"]["written"]) == ("done", "", 11)
    assert outcome.repaired["rejected"] == 2 and len(outcome.rejected_files) == 1
    assert outcome.notes == ["published, but how the run ended could not be written down (a worker is gone)"]
    assert not Path(place.staging).exists() and read(str(tmp_path)).rows == 11


@pytest.mark.parametrize("result", [None, b"", b'{"status": "do'])
def test_a_run_that_did_not_publish_has_failed(tmp_path, result):
    place = prepared.prepare(str(tmp_path)).place
    if result is not None:
        Path(place.result).write_bytes(result)
    for message in ("", "a worker is gone"):
        outcome = Outcome(verdict.FAILED, message)
        executing.take_result(place, outcome)
        assert (outcome.status, outcome.message) == ("failed", message or "the job ended without a result")


def test_leftovers_that_cannot_be_removed(tmp_path, monkeypatch):
    place, outcome = published(tmp_path, b'{"status": "done", "message": ""}')

    def refuse(*arguments: Any) -> None:
        raise FULL

    monkeypatch.setattr(cleaning, "_remove", refuse)
    executing.conclude(place, outcome)
    assert outcome.status == "done" and "leftovers could not be removed" in outcome.notes[0]
    with pytest.raises(OSError):
        executing.conclude(Layout(str(tmp_path), OLD), Outcome(verdict.FAILED))


def test_a_file_that_cannot_be_written_is_named_and_not_there(tmp_path, monkeypatch):
    def full(number: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # which names no file

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(JobError, match=f"^{tmp_path}/a.json: cannot be written \\(no space left on device\\)$"):
        layout.write_json(str(tmp_path / "a.json"), {})
    with pytest.raises(OSError, match=f"{tmp_path}/decided"):
        Disk().create(str(tmp_path / "decided"), b"")
    assert listing(tmp_path) == []
