"""What dead runs leave: found by name, removed by the next run, and nothing else is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline import Request, UsageError
from pipeline.command.tf_examples import write_examples
from pipeline.dataset import layout, leftovers, stores
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import read
from pipeline.dataset.target import interrupted_run
from pipeline.job import running
from tests.faults import races
from tests.jobs import listing, run_job
from tests.marks import slow_but
from tests.object_store import SCHEME, Objects, ObjectsStore
from transforms import SequenceGroup, make_spec, passthrough_column, sequence_numeric_column

A, B, C, D = (f"2026010{day}T000000-0000000{day}" for day in range(1, 5))
MANIFEST = {
    "run": A,
    "examples": {"files": [{"path": f"examples/{A}-00000000000a.tfrecord"}]},
    "rejected": {"files": []},
    "transform": "transform",
    "serving": None,
    "statistics": "statistics.json",
    "ledger": "ledger.json",
    "distributions": "distributions.json",
}
OURS = [
    f"examples/{A}-00000000000a.tfrecord",
    "transform/saved_model.pb",
    "statistics.json",
    "ledger.json",
    "distributions.json",
    "manifest.json",
]
KEPT = [f"rejected/{C}-00000000000c.parquet", f"rejected/{C}-ledger.json"]
PEOPLES = [
    "examples/mine.tfrecord",
    "notes.txt",
    "statistics-2026.json",
    "serving/model",
    "manifest.json.bak",
    "manifest.json.x.tmp",
]
LEFT = {
    f"examples/{A}-00000000000b.tfrecord": A,
    f"examples/{B}-00000000000b.tfrecord.gz": B,
    f"examples/{C}-00000000000b.parquet": C,
    f"rejected/{B}-00000000000b.parquet": B,
    f"statistics-{B}.json": B,
    f"ledger-{A}.json": A,
    f"distributions-{B}.json": B,
    f"transform-{B}/variables/data": B,
    f"serving-{B}/saved_model.pb": B,
    f".seqcols-{B}/transform/saved_model.pb": B,
    f".seqcols-{D}/alive": D,
    "manifest.json.0123abcd.tmp": "",
}


def test_what_no_manifest_names_and_only_that():
    files = [*OURS, *KEPT, *PEOPLES, *LEFT]
    assert dict(leftovers.unnamed(files, MANIFEST)) == LEFT
    without = dict(leftovers.unnamed(files, {}))
    assert without == {**LEFT, OURS[0]: A}


def test_plain_names_that_were_not_taken_yet_are_left_over():
    manifest = {**MANIFEST, "transform": f"transform-{A}", "statistics": f"statistics-{A}.json"}
    files = [
        f"transform-{A}/saved_model.pb",
        "transform/saved_model.pb",
        f"statistics-{A}.json",
        "statistics.json",
        "ledger.json",
    ]
    assert leftovers.unnamed(files, manifest) == [("transform/saved_model.pb", ""), ("statistics.json", "")]


def test_a_run_that_lives_is_left_alone(tmp_path):
    dead, alive, mine = (Layout(str(tmp_path), run) for run in (A, B, C))
    for place in (dead, alive):
        (tmp_path / "examples").mkdir(exist_ok=True)
        (tmp_path / f"examples/{place.run_id}-00000000000a.parquet").write_text("rows")
    with leftovers.living(dead):
        assert leftovers.is_alive(dead)
    with leftovers.living(alive), leftovers.living(mine):
        assert leftovers.is_alive(alive) and not leftovers.is_alive(dead)
        assert leftovers.sweep(mine) == [A]
        assert listing(tmp_path) == [
            f".seqcols-{B}/alive",
            f".seqcols-{C}/alive",
            f"examples/{B}-00000000000a.parquet",
        ]
    assert not Path(dead.staging).exists()


def test_in_an_object_store_age_decides_and_the_dead_do_not_come_back(monkeypatch):
    monkeypatch.setattr(Objects, "held", {})
    monkeypatch.setitem(stores.STORES, SCHEME, ObjectsStore())
    root = f"{SCHEME}://bucket/out"
    young = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() - 6 * 86400)) + "-0000000a"
    old = time.strftime("%Y%m%dT%H%M%S", time.gmtime(time.time() - 8 * 86400)) + "-0000000b"
    publishing = {run: races.prepared(root, run, 1) for run in (young, old)}
    mine = Layout(root, layout.new_run_id())
    with leftovers.living(mine):
        assert leftovers.sweep(mine) == [old]
        assert [name for name in leftovers.listing(root) if old in name] == [f".seqcols-{old}/{layout.DECIDED}"]
        assert [name for name in leftovers.listing(root) if young in name]
        with pytest.raises(Exception, match="was stopped"):
            publishing[old](None)
        assert publishing[young](None) == []
    assert races.whole(root) == young


SPEC = make_spec([passthrough_column("id", "int64"), sequence_numeric_column("x")], SequenceGroup(max_length=3))


@pytest.fixture
def killed(tmp_path) -> Path:
    """A directory whose data set is whole and whose run died before it had cleaned up."""
    write_examples(str(tmp_path / "a.tfrecord"), [{"id": k, "x": [1.0]} for k in range(5)])
    root = tmp_path / "out"
    assert run_job(SPEC, tmp_path / "a.tfrecord", root).status == "done"
    staging = Layout(str(root), read(str(root)).content["run"]).staging
    os.makedirs(staging)
    (Path(staging) / layout.ALIVE).touch()
    return root


@pytest.mark.slow
def test_the_command_that_was_killed_runs_again(killed):
    first = read(str(killed)).content["run"]
    assert interrupted_run(str(killed)) == first
    assert run_job(SPEC, killed.parent / "a.tfrecord", killed).status == "done"
    assert read(str(killed)).content["run"] != first and interrupted_run(str(killed)) is None
    assert not [name for name in listing(killed) if first in name]
    with pytest.raises(UsageError, match="holds a finished data set"):
        run_job(SPEC, killed.parent / "a.tfrecord", killed)


@pytest.mark.parametrize("what", slow_but(["columns", "inputs", "format"], "columns"))
def test_another_command_does_not_replace_what_a_killed_one_has_published(killed, what):
    other = make_spec(SPEC.columns, SequenceGroup(max_length=4)) if what == "columns" else SPEC
    name = "b.tfrecord" if what == "inputs" else "a.tfrecord"
    write_examples(str(killed.parent / "b.tfrecord"), [{"id": 7, "x": [1.0]}])
    request = Request(
        other, [str(killed.parent / name)], str(killed), format="parquet" if what == "format" else "tfrecord"
    )
    with pytest.raises(
        UsageError, match="of other inputs or columns, whose run was killed before it was done; --overwrite"
    ):
        running.run(request)


def test_two_runs_at_once():
    """A few trials; `make faults` has a hundred of each kind."""
    races.main(6)
    assert Objects.held


@pytest.mark.slow
@pytest.mark.parametrize("runner", [[], ["--runner", "DirectRunner"]])
def test_a_run_leaves_nothing_in_the_temporary_directory(tmp_path, runner):
    """Not even empty folders: Beam, tf.Transform and TensorFlow each make some."""
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"x": [k, 1.0]}) + "\n" for k in range(9)))
    (tmp_path / "c.yaml").write_text("columns: [{type: sequence_numeric_column, key: x, normalizer_fn: z_score}]\n")
    (tmp_path / "temporary").mkdir()
    arguments = ["run", "c.yaml", "--input", "in.jsonl", "--output", f"file://{tmp_path}/out", *runner]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary")}
    subprocess.run([sys.executable, "-m", "seqcols", *arguments], cwd=tmp_path, env=environment, check=True)
    assert read(str(tmp_path / "out")).rows == 9
    assert not os.listdir(tmp_path / "temporary")
