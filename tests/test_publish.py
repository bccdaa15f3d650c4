"""Publishing: whatever step it dies at, the manifest names a whole data set, old or new."""

from __future__ import annotations

import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from pipeline import Request, cleaning, layout, publish, running
from pipeline.layout import Layout
from pipeline.manifest import FORMAT_VERSION, named_files, read
from pipeline.tf_examples import write_examples
from tests.jobs import listing, read_arrays, run_job
from transforms import (
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    passthrough_column,
    sequence_categorical_column_with_identity,
)
from transforms.errors import JobError, SpecError


class Killed(BaseException):
    """Stands for a kill: nothing catches it."""


def shard(place: Layout, name: str, rows: int) -> dict[str, Any]:
    data = f"{place.run_id} {name}".encode() * rows
    layout.make_dirs(place.at("examples"))
    layout.write_bytes(place.at("examples", f"{place.run_id}-{name}"), data)
    digest = hashlib.sha256(data).hexdigest()
    return {"path": f"examples/{place.run_id}-{name}", "rows": rows, "bytes": len(data), "sha256": digest}


def written(root: Path, run: str, shards: int) -> tuple[Layout, dict[str, Any], str]:
    """What a run has before it publishes: its shards, its content, its staged transform."""
    place = Layout(str(root), run)
    files = [shard(place, f"{k}.tfrecord", k + 1) for k in range(shards)]
    rows = sum(file["rows"] for file in files)
    graph = Path(place.staged("transform"))
    (graph / "variables").mkdir(parents=True)
    (graph / "saved_model.pb").write_text(run)
    (graph / "variables" / "data").write_bytes(run.encode() * 100)
    layout.write_bytes(place.staged(layout.TOKEN), b"")
    content = {
        "format_version": FORMAT_VERSION,
        "run": run,
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
    publish_run(tmp_path, "one", 2)
    assert whole(tmp_path) == "one"
    assert published(tmp_path) == [
        "examples/one-0.tfrecord",
        "examples/one-1.tfrecord",
        "ledger.json",
        "manifest.json",
        "statistics.json",
        "transform/saved_model.pb",
        "transform/variables/data",
    ]
    assert read(str(tmp_path)).content["transform"] == "transform"


@pytest.mark.parametrize("before", [1, 2, 5])
def test_overwriting_leaves_nothing_of_the_old_one(tmp_path, before):
    publish_run(tmp_path, "one", before)
    (tmp_path / "mine.txt").write_text("not the data set's")
    publish_run(tmp_path, "two", 2)
    assert whole(tmp_path) == "two"
    assert not [name for name in published(tmp_path) if "one" in name]
    assert (tmp_path / "mine.txt").exists() and len(published(tmp_path)) == 8


def test_without_rows_there_is_no_transform(tmp_path):
    publish_run(tmp_path, "one", 2)
    publish_run(tmp_path, "two", 0, transform=False)
    assert whole(tmp_path) == "two"
    assert published(tmp_path) == ["ledger.json", "manifest.json", "statistics.json"]


def test_the_manifest_is_replaced_in_one_step(tmp_path, monkeypatch):
    """A reader that looks whenever a file is touched always finds a whole data set."""
    publish_run(tmp_path, "one", 3)
    seen = []
    for owner, name in ((FileSystems, "create"), (FileSystems, "rename"), (FileSystems, "delete")):
        monkeypatch.setattr(
            owner, name, staticmethod(looking(getattr(owner, name), lambda: seen.append(whole(tmp_path))))
        )
    publish_run(tmp_path, "two", 1)
    assert seen[0] == "one" and seen[-1] == "two" and len(seen) > 10
    assert seen == sorted(seen)


def looking(function: Any, look: Any) -> Any:
    def call(*args: Any, **more: Any) -> Any:
        look()
        result = function(*args, **more)
        look()
        return result

    return call


STEPS = 60


@pytest.mark.parametrize("old", [0, 1, 5])
def test_killed_at_any_step_the_data_set_is_whole(tmp_path_factory, monkeypatch, old):
    """Every call that changes the file system, killed before it and after it."""
    runs = set()
    finished = False
    for step in range(STEPS):
        root = tmp_path_factory.mktemp("killed")
        if old:
            publish_run(root, "old", old)
        place, content, graph = written(root, "new", 3)
        work = functools.partial(publish.publish, place, content, {"run": "new"}, {"run": "new"}, graph)
        finished = not kill_at(step, monkeypatch, work)
        if (root / "manifest.json").exists():
            runs.add(whole(root))
        else:
            assert not old
        # The same again succeeds, whatever was left behind.
        publish_run(root, "next", 2)
        assert whole(root) == "next"
        if finished:
            break
    assert finished and runs == ({"old", "new"} if old else {"new"})


def kill_at(step: int, monkeypatch: pytest.MonkeyPatch, work: Any) -> bool:
    """Runs, killed at the n-th point; returns whether it came that far."""
    left = [step]

    def tick() -> None:
        left[0] -= 1
        if left[0] < 0:
            raise Killed

    with monkeypatch.context() as patched:
        for name in ("create", "rename", "delete"):
            patched.setattr(FileSystems, name, staticmethod(looking(getattr(FileSystems, name), tick)))
        patched.setattr(layout, "delete", deleting)
        try:
            work()
        except Killed:
            return True
    return False


def deleting(path: str) -> None:
    """As `layout.delete`, which takes an exception of the file system for a file that is not there."""
    if layout.exists(path):
        FileSystems.delete([path])


def test_a_manifest_cannot_name_files_outside(tmp_path):
    """An old manifest is only a file: what it names elsewhere is not removed."""
    other = tmp_path / "other"
    other.mkdir()
    (other / "precious").write_text("mine")
    root = tmp_path / "root"
    publish_run(root, "one", 1)
    content = json.loads((root / "manifest.json").read_text())
    names = ["../other/precious", str(other / "precious"), "examples/../../other/precious"]
    content["examples"]["files"] += [{"path": name, "rows": 0, "bytes": 0, "sha256": ""} for name in names]
    content["statistics"] = "../other/precious"
    (root / "manifest.json").write_text(json.dumps(content))
    publish_run(root, "two", 1)
    assert (other / "precious").read_text() == "mine" and whole(root) == "two"


def test_a_manifest_that_cannot_be_replaced_is_an_error(tmp_path, monkeypatch):
    rename = FileSystems.rename

    def refuse(sources: list[str], targets: list[str]) -> None:
        if targets[0].endswith("manifest.json"):
            raise OSError("read-only")
        rename(sources, targets)

    publish_run(tmp_path, "one", 1)
    monkeypatch.setattr(FileSystems, "rename", staticmethod(refuse))
    with pytest.raises(JobError, match=r"cannot replace .*manifest.json.*read-only"):
        publish_run(tmp_path, "two", 1)
    monkeypatch.undo()
    assert whole(tmp_path) == "one"


def test_reading_what_is_no_data_set(tmp_path):
    with pytest.raises(JobError, match="holds no finished data set"):
        read(str(tmp_path))
    (tmp_path / "manifest.json").write_text('{"format_version": 99}')
    with pytest.raises(JobError, match="expected format_version 1, got 99"):
        read(str(tmp_path))


def test_every_named_file_is_yielded():
    parts = {part: {"files": [{"path": f"{part}/a"}, {"path": f"{part}/b"}]} for part in ("examples", "rejected")}
    content = {**parts, "transform": None, "statistics": "s.json", "ledger": "l.json"}
    assert list(named_files(content)) == ["examples/a", "examples/b", "rejected/a", "rejected/b", "s.json", "l.json"]


IDS = make_spec(
    [passthrough_column("id", "int64"), sequence_categorical_column_with_identity("ids", 10)],
    SequenceGroup(max_length=4),
)


@pytest.mark.parametrize("when", ["statistics", "manifest"])
def test_a_run_that_fails_once_its_manifest_stands_keeps_its_shards(tmp_path, monkeypatch, when):
    """A full disk while the plain names are made: the manifest names the new shards already, so cleaning up must spare them."""
    write_examples(str(tmp_path / "a.tfrecord"), [{"id": k, "ids": [k]} for k in range(5)])
    replaced = publish._replace_manifest
    calls: list[Any] = []

    def full(*args: Any) -> None:
        if calls or when == "manifest":
            raise OSError(28, "no space left on device")

    def replace(place: Layout, content: Any) -> None:
        if calls and when == "manifest":
            full()
        replaced(place, content)
        calls.append(content)
        if when == "statistics":
            monkeypatch.setattr(publish, "_copy", full)

    monkeypatch.setattr(publish, "_replace_manifest", replace)
    outcome = run_job(IDS, tmp_path / "a.tfrecord", tmp_path / "out")
    assert calls, outcome.message
    arrays = read_arrays(tmp_path / "out")
    assert arrays["id"].tolist() == [0, 1, 2, 3, 4]


def test_a_run_that_was_stopped_does_not_publish(tmp_path):
    publish_run(tmp_path, "old", 1)
    place, content, graph = written(tmp_path, "new", 2)
    assert layout.claim(place, layout.STOPPED)
    with pytest.raises(JobError, match="was stopped"):
        publish.publish(place, content, {}, {}, graph)
    assert whole(tmp_path) == "old"


def test_a_run_that_publishes_is_not_cleaned_away(tmp_path):
    place, content, graph = written(tmp_path, "new", 2)
    with cleaning.run_in(place):
        publish.publish(place, content, {"run": "new"}, {"run": "new"}, graph)
        layout.write_json(place.result, {"status": "done"})
        assert cleaning.stop()
    assert whole(tmp_path) == "new"
    assert not Path(place.staging).exists()


def test_a_run_that_is_stopped_is_cleaned_away(tmp_path):
    publish_run(tmp_path, "old", 1)
    place, _, _ = written(tmp_path, "new", 2)
    with cleaning.run_in(place):
        assert not cleaning.stop()
    assert whole(tmp_path) == "old"
    assert not list(tmp_path.rglob("*new*"))


def test_of_two_runs_the_second_is_refused(tmp_path):
    """Both began in an empty directory; the one that comes second must not replace what it has not seen."""
    first, second = written(tmp_path, "first", 2), written(tmp_path, "second", 1)
    publish.publish(first[0], first[1], {"run": "first"}, {"run": "first"}, first[2], replaces=None)
    with pytest.raises(JobError, match=r"another run \(first\) has published"):
        publish.publish(second[0], second[1], {}, {}, second[2], replaces=None)
    assert not cleaning.clean(second[0])
    assert whole(tmp_path) == "first"
    assert not list(tmp_path.rglob("*second*"))


def test_what_is_published_while_a_run_gets_ready_is_not_replaced(tmp_path, monkeypatch):
    """Between the check of the directory and the job lie seconds; without --overwrite nothing may be lost by them."""
    write_examples(str(tmp_path / "in.tfrecord"), [{"k": 1}])
    root, preflight = tmp_path / "root", running._preflight

    def meanwhile(*arguments: Any) -> Any:
        publish_run(root, "other", 1)
        return preflight(*arguments)

    monkeypatch.setattr(running, "_preflight", meanwhile)
    spec = make_spec([categorical_column_with_identity("k", 2)])
    outcome = running.run(Request(spec, [str(tmp_path / "in.tfrecord")], str(root)))
    assert outcome.status == "failed"
    assert "another run (other) has published" in outcome.message
    assert whole(root) == "other"


def test_columns_that_only_pass_through_are_refused_before_the_run(tmp_path):
    request = Request(make_spec([passthrough_column("k")]), [str(tmp_path / "in.tfrecord")], str(tmp_path / "out"))
    with pytest.raises(SpecError, match="expected a column to densify"):
        running.run(request)
    assert not (tmp_path / "out").exists()
