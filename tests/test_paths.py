"""Where a run may write: nasty names in a sandbox, and each way in which a path could stand for something else."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import pytest
from apache_beam.io.filesystems import FileSystems

from pipeline.command.demo import COLUMNS, make_sample
from pipeline.command.tf_examples import write_examples
from pipeline.dataset import layout, target
from pipeline.dataset.target import OWN_NAMES, checked_output
from pipeline.errors import UsageError
from pipeline.job.request import Request, check_values
from tests import prepared
from tests.faults import paths
from tests.jobs import call, done, listing, read_arrays
from transforms import JobError, SequenceGroup, make_spec, sequence_numeric_column
from transforms.stored import trees


def checked(output: Any, **more: Any) -> str:
    return checked_output(str(output), **more)


@pytest.mark.slow
def test_no_name_touches_files_elsewhere():
    found = paths.attempt(paths.names(paths.asked_for()))
    assert found["trials"] == paths.asked_for()
    assert found["lost"] == found["failed"] == 0
    assert min(found["refused"], found["published"]) > found["trials"] // 10


def test_the_sandbox_notices(monkeypatch):
    """Without the rule against patterns, and with Beam's own way to delete, `run[12]` deletes in run1 and run2."""

    def delete(path: str) -> None:
        with contextlib.suppress(Exception):
            FileSystems.delete([path])

    monkeypatch.setattr(target, "GLOB", "(?!)")
    monkeypatch.setattr(trees, "delete", delete)
    found = paths.attempt(["run[12]", "a"])
    assert found["refused"] == 0 and found["lost"] > 0


def test_a_name_with_glob_characters_would_touch_no_other(monkeypatch):
    """The rule is for the libraries underneath: what is ours takes no path for a pattern."""
    monkeypatch.setattr(target, "GLOB", "(?!)")
    found = paths.attempt(["run[12]", "run*", "r?n1"])
    assert found["published"] == 3 and found["lost"] == 0


def test_the_names_of_a_run_are_those_of_its_layout():
    folders = (*layout.SHARDED, layout.TRANSFORM, layout.SERVING)
    assert (
        *folders,
        layout.STATISTICS,
        layout.LEDGER,
        layout.DISTRIBUTIONS,
        layout.REPORT,
        layout.MANIFEST,
    ) == OWN_NAMES


def test_a_relative_path_in_a_directory_that_looks_like_a_pattern(tmp_path, monkeypatch):
    for name in ("run1", "run[12]"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "run[12]")
    for name in ("out", ".", "./a/b"):
        with pytest.raises(UsageError, match=r"a glob character in '.*run\[12\]"):
            checked(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/", "is the root of the file system"),
        ("//", "is the root of the file system"),
        ("/.", "is the root of the file system"),
        ("gs://", "expected a bucket"),
        ("gs:///", "expected a bucket"),
        ("s3:///a/b", "expected a bucket"),
        ("file:///tmp/x", "give the path itself, without file://"),
        ("FILE://x", "give the path itself, without file://"),
        ("nothing://a/b", "there is no file system for such URLs"),
        ("a/gs://b", "'://' stands only in URLs"),
        ("3d://b", "'://' stands only in URLs"),
        ("gs://b/../c", "'..' is not allowed in a URL"),
        ("gs://b/a*", "a glob character"),
        ("a\\b", "a backslash is not allowed"),
        ("a\x7fb", "control characters"),
        ("a\x9bb", "control characters"),
        ("\ud800", "bytes that are no UTF-8"),
        ("a\udcff", "bytes that are no UTF-8"),
    ],
)
def test_what_stands_for_something_else(tmp_path, monkeypatch, name, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=message):
        checked(name)
    with pytest.raises(UsageError, match=message):
        check_values(Request(prepared.SPEC, ["in"], "out", cache=name))
    with pytest.raises(UsageError, match=message):
        make_sample(name)
    assert not os.listdir(tmp_path)


def test_two_slashes_are_one(tmp_path):
    assert checked(f"/{tmp_path}/a//b/") == f"{tmp_path}/a/b"


@pytest.mark.parametrize("name", OWN_NAMES)
def test_links_inside_are_refused(tmp_path, name):
    """Through them the run would write, and remove, elsewhere."""
    (tmp_path / "other").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).symlink_to(tmp_path / "other")
    with pytest.raises(UsageError, match=f"/out/{name}' is a symbolic link"):
        checked(tmp_path / "out", overwrite=True)


@pytest.mark.parametrize("name", ["transform", "serving", "statistics.json", "ledger.json"])
def test_what_no_data_set_has_put_there_is_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(UsageError, match=f"holds '{name}' and no data set"):
        checked(tmp_path, overwrite=True)
    prepared.prepare(str(tmp_path / "out")).publish()
    assert checked(tmp_path / "out", overwrite=True) == str(tmp_path / "out")


def test_an_old_manifest_names_only_what_a_run_writes(tmp_path):
    """Whatever somebody has written into it, and whatever links lie beside it."""
    out, other = tmp_path / "out", tmp_path / "other"
    prepared.prepare(str(out)).publish()
    other.mkdir()
    for name in ("precious", "notes.txt"):
        (other / name).write_text("mine")
        (out / name).write_text("mine")
    (out / "examples" / "mine.txt").write_text("mine")
    (out / "linked").symlink_to(other)
    content = json.loads((out / "manifest.json").read_text())
    names = ["../other/precious", str(other / "precious"), "linked/precious", "notes.txt", "", ".", "./", "examples", "examples/",
             "examples/..", "linked", "*", "n*", "examples/*", "file:///x", "examples/../../other/precious"]  # fmt: skip
    for name in names:
        bad = json.loads(json.dumps(content))
        bad["examples"]["files"].append({"path": name, "rows": 0, "bytes": 0, "sha256": ""})
        bad |= dict.fromkeys(("statistics", "ledger", "distributions", "report", "transform", "serving"), name)
        prepared.put_manifest(out, bad)
        run = f"20260102T000000-{names.index(name):08x}"
        try:
            prepared.prepare(str(out), run=run).publish()
        except JobError as error:
            assert "expected a path relative to the directory" in str(error), name
            prepared.put_manifest(out, content)
            continue
        content = json.loads((out / "manifest.json").read_text())
        assert content["run"] == run
        assert all((out / entry["path"]).exists() for entry in content["examples"]["files"]), name
    assert {path.read_text() for path in (*other.iterdir(), out / "notes.txt", out / "examples" / "mine.txt")} == {
        "mine"
    }
    assert sorted(os.listdir(other)) == ["notes.txt", "precious"]


class TestDemo:
    def test_is_made_again_where_it_was_made(self, tmp_path):
        for _ in range(2):
            make_sample(str(tmp_path / "demo"))
        assert (tmp_path / "demo" / "columns.yaml").read_text() == COLUMNS

    @pytest.mark.parametrize("name", ["columns.yaml", "input/viewers.tfrecord", "output/manifest.json", "notes.txt"])
    def test_overwrites_nothing_of_anybody(self, tmp_path, name):
        """`seqcols demo .` in a directory with a data set of one's own would have replaced it."""
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("mine")
        before = listing(tmp_path)
        result = call("demo", tmp_path)
        assert result.exit_code == 2
        assert result.stderr.endswith("is not empty and was not made by the demo; choose another directory\n")
        assert listing(tmp_path) == before and (tmp_path / name).read_text() == "mine"

    @pytest.mark.parametrize("name", ["demo", "demo/input", "demo/columns.yaml"])
    def test_follows_no_links(self, tmp_path, name):
        (tmp_path / "other").mkdir()
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tmp_path / "other")
        with pytest.raises(UsageError, match="is a symbolic link"):
            make_sample(str(tmp_path / "demo"))
        assert not os.listdir(tmp_path / "other")

    def test_where_it_cannot_be(self):
        for name, message in (
            ("gs://bucket/x", "of this machine"),
            ("a/../b[1]", "glob"),
            ("a[1]", "glob"),
        ):
            with pytest.raises(UsageError, match=message):
                make_sample(name)


@pytest.mark.slow
def test_a_job_in_a_directory_with_a_strange_name(tmp_path, monkeypatch):
    """Every character that is allowed; TensorFlow saves its graphs there, too."""
    monkeypatch.chdir(tmp_path)
    write_examples("in.tfrecord", [{"x": [1.0]}, {"x": [3.0, 5.0]}])
    name = "-x ~ %2e $HOME 'q' \"é\" {a,b};#&|`id` (x) ^!@=+: \u202e東.."
    spec = make_spec([sequence_numeric_column("x", normalizer_fn="z_score")], SequenceGroup(max_length=2))
    for _ in range(2):
        done(spec, "in.tfrecord", f"{name}/{name}", overwrite=True, cache=f"cache {name}")
    assert sorted(os.listdir()) == sorted([name, f"cache {name}", "in.tfrecord"])
    assert read_arrays(tmp_path / name / name)["sequence_length"].tolist() == [1, 2]
    assert call("verify", f"./{name}/{name}").exit_code == 0


def test_input_whose_name_is_no_text(tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff.tfrecord"
    Path(os.fsdecode(path)).write_bytes(b"")
    result = call("run", "c.yaml", "--input", f"{tmp_path}/*.tfrecord", "--output", tmp_path / "out")
    assert result.exit_code == 2  # no columns file; below with one
    (tmp_path / "c.yaml").write_text("columns: [{type: sequence_numeric_column, key: x}]\n")
    result = call("run", tmp_path / "c.yaml", "--input", f"{tmp_path}/*.tfrecord", "--output", tmp_path / "out")
    assert result.exit_code == 1
    assert (
        result.stderr
        == f"seqcols: error: input '{tmp_path}/*.tfrecord': {tmp_path}/\\xff.tfrecord: a name that is no UTF-8\n"
    )
