"""Publishing: whatever step it dies at, the manifest names a whole data set, old or new."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from pipeline import Request
from pipeline.command.tf_examples import write_examples
from pipeline.dataset import layout, leftovers, publish
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import named_files, read
from pipeline.job import cleaning, preparing, running
from tests.faults.injection import before_changes, failing, killed_before
from tests.jobs import listing, read_arrays, run_job
from tests.marks import slow_but
from tests.prepared import put_manifest, put_version_1
from transforms import (
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    passthrough_column,
    sequence_categorical_column_with_identity,
)
from transforms.errors import JobError, SpecError

OLD, NEW, NEXT = (f"2026010{day}T000000-0000000{day}" for day in (1, 2, 3))


def shard(place: Layout, name: str, rows: int) -> dict[str, Any]:
    data = f"{place.run_id} {name}".encode() * rows
    layout.make_dirs(place.at("examples"))
    layout.write_bytes(place.at("examples", f"{place.run_id}-{name}"), data)
    digest = hashlib.sha256(data).hexdigest()
    return {"path": f"examples/{place.run_id}-{name}", "rows": rows, "bytes": len(data), "sha256": digest}


def written(root: Path, run: str, shards: int) -> tuple[Layout, dict[str, Any], str]:
    """What a run has before it publishes: its shards, its content, its staged transform."""
    place = Layout(str(root), run)
    files = [shard(place, f"{k:012x}.tfrecord", k + 1) for k in range(shards)]
    rows = sum(file["rows"] for file in files)
    graph = Path(place.staged("transform"))
    (graph / "variables").mkdir(parents=True)
    (graph / "saved_model.pb").write_text(run)
    (graph / "variables" / "data").write_bytes(run.encode() * 100)
    layout.write_bytes(place.staged(layout.ALIVE), b"")
    content = {
        "run": run,
        "columns": "",
        "inputs": [],
        "format": "tfrecord",
        "examples": {"rows": rows, "features": {}, "files": files},
        "rejected": {"rows": 0, "files": []},
    }
    return place, content, str(graph)


def publish_run(root: Path, run: str, shards: int, transform: bool = True) -> None:
    place, content, graph = written(root, run, shards)
    publish.publish(place, content, {"run": run}, {"run": run}, graph if transform else "")


def whole(root: Path) -> str:
    """Follows the manifest to everything that it names, and returns the run that all of it is of."""
    manifest = read(str(root))
    run = str(manifest.content["run"])
    for entry in manifest.content["examples"]["files"]:
        data = Path(manifest.path(entry["path"])).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (entry["bytes"], entry["sha256"])
    for name in ("statistics", "ledger"):
        assert json.loads(Path(manifest.path(manifest.content[name])).read_text()) == {"run": run}
    if manifest.content["transform"]:
        graph = Path(manifest.path(manifest.content["transform"]))
        assert (graph / "saved_model.pb").read_text() == run
        assert (graph / "variables" / "data").read_bytes() == run.encode() * 100
    return run


def published(root: Path) -> list[str]:
    return [name for name in listing(root) if not name.startswith(layout.STAGING_PREFIX)]


def test_a_published_data_set_has_plain_names(tmp_path):
    publish_run(tmp_path, OLD, 2)
    assert whole(tmp_path) == OLD
    assert published(tmp_path) == [
        f"examples/{OLD}-000000000000.tfrecord",
        f"examples/{OLD}-000000000001.tfrecord",
        "ledger.json",
        "manifest.json",
        "statistics.json",
        "transform/saved_model.pb",
        "transform/variables/data",
    ]
    assert read(str(tmp_path)).content["transform"] == "transform"


@pytest.mark.parametrize("before", [1, 2, 5])
def test_overwriting_leaves_nothing_of_the_old_one(tmp_path, before):
    publish_run(tmp_path, OLD, before)
    (tmp_path / "mine.txt").write_text("not the data set's")
    publish_run(tmp_path, NEW, 2)
    assert whole(tmp_path) == NEW
    assert not [name for name in published(tmp_path) if OLD in name]
    assert (tmp_path / "mine.txt").exists() and len(published(tmp_path)) == 8


def test_without_rows_there_is_no_transform(tmp_path):
    publish_run(tmp_path, OLD, 2)
    publish_run(tmp_path, NEW, 0, transform=False)
    assert whole(tmp_path) == NEW
    assert published(tmp_path) == ["ledger.json", "manifest.json", "statistics.json"]


def test_the_manifest_is_replaced_in_one_step(tmp_path, monkeypatch):
    """A reader that looks whenever a file is touched always finds a whole data set."""
    publish_run(tmp_path, OLD, 3)
    seen = []
    with before_changes(str(tmp_path), lambda number, path: seen.append(whole(tmp_path))):
        publish_run(tmp_path, NEW, 1)
    assert seen[0] == OLD and seen[-1] == whole(tmp_path) == NEW and len(seen) > 10
    assert seen == sorted(seen)


@pytest.mark.parametrize("old", slow_but([0, 1, 5], 1))
def test_killed_before_any_change_the_data_set_is_whole(tmp_path_factory, old):
    """Before every call that changes the file system, in a process that then ends without another word."""
    runs = set()
    for number in range(1, 200):
        root = tmp_path_factory.mktemp("killed")
        if old:
            publish_run(root, OLD, old)
        place, content, graph = written(root, NEW, 3)
        work = functools.partial(publish.publish, place, content, {"run": NEW}, {"run": NEW}, graph)
        killed = killed_before(number, str(root), work)
        if (root / "manifest.json").exists():
            runs.add(whole(root))
        else:
            assert not old
        # The same again succeeds, whatever was left behind, and nothing of that stays.
        following = Layout(str(root), NEXT)
        with leftovers.living(following):
            assert NEW in leftovers.sweep(following)
            assert not (root / "manifest.json").exists() or whole(root) in (OLD, NEW)
        publish_run(root, NEXT, 2)
        assert whole(root) == NEXT
        assert not [name for name in published(root) if NEW in name or OLD in name or ".tmp" in name]
        if not killed:
            break
    assert not killed and number > 20 and runs == ({OLD, NEW} if old else {NEW})


@pytest.mark.parametrize("old", slow_but([0, 1, 5], 1))
def test_a_change_that_fails_leaves_a_whole_data_set(tmp_path_factory, old):
    """A full disk, from any change on: an error that names a path, or a data set that is published all the same."""
    for number in range(1, 200):
        root = tmp_path_factory.mktemp("full")
        if old:
            publish_run(root, OLD, old)
        place, content, graph = written(root, NEW, 3)
        note = None
        with failing(number, str(root)) as injected, contextlib.suppress(JobError):
            try:
                note = publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph)
            except JobError as error:
                assert str(root) in str(error) and "no space left" in str(error).lower()
                raise
        if (root / "manifest.json").exists():
            assert whole(root) == (OLD if note is None else NEW)
        else:
            assert not old and note is None
        if injected.seen < number:
            break
    assert injected.seen < number and note == [] and number > 20


def test_a_manifest_cannot_name_files_outside(tmp_path):
    """An old manifest is only a file: one that names what lies elsewhere is not replaced, and nothing there is removed."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    root = tmp_path / "root"
    publish_run(root, OLD, 1)
    content = json.loads((root / "manifest.json").read_text())
    names = ["../other/precious", str(other / "precious"), "examples/../../other/precious"]
    content["examples"]["files"] += [{"path": name, "rows": 0, "bytes": 0, "sha256": ""} for name in names]
    content["statistics"] = "../other/precious"
    put_manifest(root, content)
    with pytest.raises(JobError, match="expected a path relative to the directory"):
        publish_run(root, NEW, 1)
    assert (other / "precious").read_text() == "mine" and not list(root.glob(f"statistics-{NEW}*"))


def test_a_manifest_that_was_damaged_meanwhile_is_not_replaced(tmp_path):
    publish_run(tmp_path, OLD, 1)
    data = (tmp_path / "manifest.json").read_bytes()
    (tmp_path / "manifest.json").write_bytes(data.replace(b"2026", b"2027", 1))
    with pytest.raises(JobError, match=r"manifest.json.*damaged: sha256: expected the digest of the lines before"):
        publish_run(tmp_path, NEW, 1)
    assert json.loads((tmp_path / "statistics.json").read_text()) == {"run": OLD}


def test_a_data_set_of_version_1_is_overwritten(tmp_path):
    publish_run(tmp_path, OLD, 2)
    put_version_1(tmp_path)
    assert whole(tmp_path) == OLD
    publish_run(tmp_path, NEW, 1)
    assert whole(tmp_path) == NEW and not [name for name in published(tmp_path) if OLD in name]
    assert read(str(tmp_path)).content["format_version"] == 2


def test_a_manifest_that_cannot_be_replaced_is_an_error(tmp_path, monkeypatch):
    replace = os.replace

    def refuse(source: str, target: str) -> None:
        if target.endswith("manifest.json"):
            raise OSError(30, "read-only")
        replace(source, target)

    publish_run(tmp_path, OLD, 1)
    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(JobError, match=r"cannot replace .*manifest.json.*read-only"):
        publish_run(tmp_path, NEW, 1)
    monkeypatch.undo()
    assert whole(tmp_path) == OLD
    assert not list(tmp_path.glob("*.tmp"))


def test_the_last_step_may_be_tried_again(tmp_path):
    """An engine that lost its worker, or only its answer, runs the last step again: what it published stays."""
    publish_run(tmp_path, OLD, 2)
    place, content, graph = written(tmp_path, NEW, 3)
    for _ in range(3):
        publish.publish(place, dict(content), {"run": NEW}, {"run": NEW}, graph, replaces=OLD)
        assert whole(tmp_path) == NEW
        assert len([name for name in published(tmp_path) if name.startswith("examples/")]) == 3


def test_reading_what_is_no_data_set(tmp_path):
    with pytest.raises(JobError, match="holds no finished data set"):
        read(str(tmp_path))
    (tmp_path / "manifest.json").write_text('{"format_version": 99}')
    with pytest.raises(JobError, match="expected format_version 1, 2, 3, 4, got 99"):
        read(str(tmp_path))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"run": None}, "damaged: run: expected a string, got None"),
        ({"inputs": [{"path": "a"}]}, "damaged: inputs[0].bytes: expected a value (this key is required), got nothing"),
        (
            {"statistics": "../../mine"},
            "statistics: expected a path relative to the directory and inside it, got '../../mine'",
        ),
        ({"serving": "/tmp"}, "damaged: serving: expected a path relative to the directory and inside it, got '/tmp'"),
        ({"ledger": "run*"}, "damaged: ledger: expected a path relative to the directory and inside it, got 'run*'"),
        ({"graph_sha256": {"serving": ""}}, "graph_sha256: expected digests of what is named, got one of 'serving'"),
        ({"rejected": {"rows": -1, "files": []}}, "damaged: rejected.rows: expected an int >= 0, got -1"),
        ({"rejected": {"rows": True, "files": []}}, "damaged: rejected.rows: expected an int, got True"),
    ],
)
def test_a_damaged_manifest_says_where(tmp_path, change, message):
    named = {"transform": None, "serving": None, "statistics": "statistics.json", "ledger": "ledger.json"}
    content = {**written(tmp_path, "one", 1)[1], **named}
    put_manifest(tmp_path, content)
    assert read(str(tmp_path)).rows == 1
    put_manifest(tmp_path, {**content, **change})
    with pytest.raises(JobError, match=re.escape(message)):
        read(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["", "{", "[1]", "null", '{"format_version": true}', "\ud800", "9" * 5000, "[" * 100_000]
)
def test_what_is_no_manifest_at_all(tmp_path, text):
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(JobError, match=r"manifest.json.*(damaged|expected format_version 1, 2, 3, 4)"):
        read(str(tmp_path))


def test_every_named_file_is_yielded():
    parts = {part: {"files": [{"path": f"{part}/a"}, {"path": f"{part}/b"}]} for part in ("examples", "rejected")}
    content = {**parts, "transform": None, "statistics": "statistics.json", "ledger": "ledger-1.json"}
    expected = ["examples/a", "examples/b", "rejected/a", "rejected/b", "statistics.json", "ledger-1.json"]
    assert list(named_files(content)) == expected


@pytest.mark.parametrize(
    "name", ["../a", "/a", "", ".", "..", "examples", "a", "a*", "examples/", "rejected/../a", "a\nb", 3, None]
)
def test_what_no_run_would_name_is_not(name):
    parts = {part: {"files": [{"path": name}]} for part in ("examples", "rejected")}
    content = {**parts, "transform": name, "serving": name, "statistics": name, "ledger": name}
    assert list(named_files(content)) == []


IDS = make_spec(
    [passthrough_column("id", "int64"), sequence_categorical_column_with_identity("ids", 10)],
    SequenceGroup(max_length=4),
)


@pytest.mark.slow
def test_a_run_whose_plain_names_cannot_be_made_is_done(tmp_path, monkeypatch):
    """A full disk once the manifest stands: the data set is whole, under the run's own names; the next run puts that right."""
    write_examples(str(tmp_path / "a.tfrecord"), [{"id": k, "ids": [k]} for k in range(5)])
    copy = publish._copy

    def full(source: str, target: str) -> None:
        if Path(target).name == "serving":
            raise OSError(28, "no space left on device")
        copy(source, target)

    with monkeypatch.context() as patched:
        patched.setattr(publish, "_copy", full)
        outcome = run_job(IDS, tmp_path / "a.tfrecord", tmp_path / "out")
    assert outcome.status == "done"
    assert "could not be copied to their plain names" in outcome.notes[-1] and "no space left" in outcome.notes[-1]
    manifest = read(str(tmp_path / "out"))
    run = manifest.content["run"]
    assert manifest.content["transform"] == f"transform-{run}" and manifest.content["ledger"] == f"ledger-{run}.json"
    assert read_arrays(tmp_path / "out")["id"].tolist() == [0, 1, 2, 3, 4]
    assert run_job(IDS, tmp_path / "a.tfrecord", tmp_path / "out", overwrite=True).status == "done"
    assert not [name for name in listing(tmp_path / "out") if run in name]
    assert read(str(tmp_path / "out")).content["serving"] == "serving"


def test_a_run_that_was_stopped_does_not_publish(tmp_path):
    publish_run(tmp_path, OLD, 1)
    place, content, graph = written(tmp_path, NEW, 2)
    assert layout.claim(place, layout.STOPPED)
    with pytest.raises(JobError, match="was stopped"):
        publish.publish(place, content, {}, {}, graph)
    assert whole(tmp_path) == OLD


def test_a_run_that_publishes_is_not_cleaned_away(tmp_path):
    place, content, graph = written(tmp_path, NEW, 2)
    with cleaning.run_in(place):
        publish.publish(place, content, {"run": NEW}, {"run": NEW}, graph)
        layout.write_json(place.result, {"status": "done"})
        assert cleaning.stop()
    assert whole(tmp_path) == NEW
    assert not Path(place.staging).exists()


def test_a_run_that_is_stopped_is_cleaned_away(tmp_path):
    publish_run(tmp_path, OLD, 1)
    place, _, _ = written(tmp_path, NEW, 2)
    with cleaning.run_in(place):
        assert not cleaning.stop()
    assert whole(tmp_path) == OLD
    assert not list(tmp_path.rglob(f"*{NEW}*"))


def test_of_two_runs_the_second_is_refused(tmp_path):
    """Both began in an empty directory; the one that comes second must not replace what it has not seen."""
    first, second = written(tmp_path, OLD, 2), written(tmp_path, NEW, 1)
    publish.publish(first[0], first[1], {"run": OLD}, {"run": OLD}, first[2], replaces=None)
    with pytest.raises(JobError, match=rf"another run \({OLD}\) has published"):
        publish.publish(second[0], second[1], {}, {}, second[2], replaces=None)
    assert not cleaning.clean(second[0])
    assert whole(tmp_path) == OLD
    assert not list(tmp_path.rglob(f"*{NEW}*"))


@pytest.mark.slow
def test_what_is_published_while_a_run_gets_ready_is_not_replaced(tmp_path, monkeypatch):
    """Between the check of the directory and the job lie seconds; without --overwrite nothing may be lost by them."""
    write_examples(str(tmp_path / "in.tfrecord"), [{"k": 1}])
    root, preflight = tmp_path / "root", preparing.look_at

    def meanwhile(*arguments: Any) -> Any:
        if not (root / "manifest.json").exists():
            publish_run(root, NEXT, 1)
        return preflight(*arguments)

    monkeypatch.setattr(preparing, "look_at", meanwhile)
    spec = make_spec([categorical_column_with_identity("k", 2)])
    outcome = running.run(Request(spec, [str(tmp_path / "in.tfrecord")], str(root)))
    assert outcome.status == "failed"
    assert f"another run ({NEXT}) has published" in outcome.message
    assert whole(root) == NEXT


def test_columns_that_only_pass_through_are_refused_before_the_run(tmp_path):
    request = Request(make_spec([passthrough_column("k")]), [str(tmp_path / "in.tfrecord")], str(tmp_path / "out"))
    with pytest.raises(SpecError, match="expected a column to densify"):
        running.run(request)
    assert not (tmp_path / "out").exists()


def test_everything_is_flushed_before_the_manifest_names_it(tmp_path, monkeypatch):
    """What a power cut would lose: each file that the first manifest names, and the names in their folders."""
    write_examples(str(tmp_path / "in.tfrecord"), [{"k": k} for k in range(4)])
    flushed: set[str] = set()
    missing: list[list[str]] = []
    fsync, replace = os.fsync, os.replace

    def noted(number: int) -> None:
        flushed.add(os.readlink(f"/proc/self/fd/{number}"))
        fsync(number)

    def replaced(source: str, target: str) -> None:
        if os.path.basename(target) == "manifest.json":
            content = json.loads(Path(source).read_text())
            root = os.path.dirname(target)
            named = [os.path.join(root, name) for name in named_files(content)]
            files = [str(f) for name in named for f in (Path(name).rglob("*") if os.path.isdir(name) else [Path(name)])]
            wanted = {*(f for f in files if os.path.isfile(f)), *(os.path.dirname(f) for f in files), source}
            missing.append(sorted(wanted - flushed))
        replace(source, target)

    monkeypatch.setattr(os, "fsync", noted)
    monkeypatch.setattr(os, "replace", replaced)
    spec = make_spec([categorical_column_with_identity("k", 3)])
    request = Request(spec, [str(tmp_path / "in.tfrecord")], str(tmp_path / "root"), max_rejected=1.0)
    outcome = running.run(request)
    assert outcome.status == "done", outcome.message
    assert missing and not any(missing), missing
