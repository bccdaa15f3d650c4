"""What a person may ask for; and above all where a run may write."""

from __future__ import annotations

import os
import re
from typing import Any

import pytest

from pipeline.dataset.manifest import sealed
from pipeline.dataset.target import checked_output
from pipeline.errors import UsageError
from pipeline.job import executing
from pipeline.job.request import FORMATS, Request, check_values
from pipeline.sinks.formats import SINKS
from pipeline.sources.limits import DEFAULTS, Limits
from tests.prepared import put_manifest
from transforms import make_spec, sequence_numeric_column
from transforms.parse.step_limit import MAX_STEPS

SPEC = make_spec([sequence_numeric_column("x")])


def asked(**more: Any) -> Request:
    return Request(SPEC, **{"inputs": ["a.tfrecord"], "output": "out", **more})


def test_the_formats_are_the_sinks():
    assert set(FORMATS) == set(SINKS)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"format": "csv"}, "--format: expected one of .*, got 'csv'"),
        ({"max_rejected": -0.1}, "--max-rejected: expected a fraction from 0 to 1, got -0.1"),
        ({"max_rejected": 1.5}, "--max-rejected: expected a fraction from 0 to 1, got 1.5"),
        ({"max_rejected": 10}, "--max-rejected: .* got 10"),
        ({"max_rejected": float("nan")}, "--max-rejected: .* got nan"),
        ({"workers": -1}, "--workers: expected 0 .* or more, got -1"),
        ({"on_bad_file": "ignore"}, "--on-bad-file: expected one of fail, skip, got 'ignore'"),
        ({"max_record_bytes": 0}, "--max-record-bytes: expected 1 to 2147483647 bytes, got 0"),
        ({"max_record_bytes": 2**31}, "--max-record-bytes: .* got 2147483648"),
        ({"max_record_bytes": "1MiB"}, "--max-record-bytes: .* got '1MiB'"),
        ({"max_batch_bytes": -1}, "--max-batch-bytes: expected 1 to 2147483647 bytes, got -1"),
        ({"max_steps": 0}, "--max-steps: expected 1 or more, got 0"),
        ({"max_steps": 1.5}, "--max-steps: .* got 1.5"),
        ({"max_unpack_ratio": 0.5}, "--max-unpack-ratio: expected 1 or more, got 0.5"),
        ({"max_unpack_ratio": float("nan")}, "--max-unpack-ratio: .* got nan"),
        ({"inputs": []}, "--input: expected at least one file pattern"),
    ],
)
def test_values_that_are_not_allowed(more, message):
    with pytest.raises(UsageError, match=message):
        check_values(asked(**more))


VALUES: list[dict[str, Any]] = [
    {},
    {"max_rejected": 0},
    {"max_rejected": 1},
    {"workers": 0},
    {"format": "parquet"},
    {"on_bad_file": "skip"},
    {"max_record_bytes": 2**31 - 1, "max_batch_bytes": 1, "max_steps": 1, "max_unpack_ratio": 1},
    {"max_unpack_ratio": float("inf")},
]


@pytest.mark.parametrize("more", VALUES)
def test_values_that_are(more):
    check_values(asked(**more))


def test_the_limits_are_those_asked_for():
    assert asked().limits == DEFAULTS
    limits = asked(max_record_bytes=1, max_steps=2, max_unpack_ratio=3.0, max_batch_bytes=4).limits
    assert limits == Limits(max_record_bytes=1, max_steps=2, max_unpack_ratio=3.0, max_batch_bytes=4)


def test_the_steps_that_help_shows_are_those_of_the_transforms():
    assert DEFAULTS.max_steps == MAX_STEPS


def test_limits_are_at_least_one():
    with pytest.raises(ValueError, match="max_batch_rows: expected 1 or more, got 0"):
        Limits(max_batch_rows=0)


@pytest.mark.parametrize("args", [["--runner=X"], ["--runner", "X"], ["--a", "--runner=X"]])
def test_a_runner_that_is_named_runs_there(args):
    assert not asked(beam_args=args).runs_here


@pytest.mark.parametrize("args", [[], ["--runner_log_level=X"], ["--job_name=--runner"]])
def test_otherwise_the_job_runs_here(args):
    assert asked(beam_args=args).runs_here


GLOBS = ["run*", "run?", "run[12]/data", "a]"]
PARENTS = ["a\\..\\b", "gs://bucket/../other", "../a*/b"]
CONTROLS = ["a\nb", "a\x00b", "\x1b[31m"]


@pytest.mark.parametrize("name", [*GLOBS, *PARENTS, *CONTROLS, ""])
def test_paths_that_could_touch_other_files_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="--output"):
        checked_output(name)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize("name", ["out", "a/b/c", "a..b", "...", "..a", "out/", "über out", "-x", "{a}", "~"])
def test_paths_that_are_fine(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert checked_output(name) == str(tmp_path / name)
    assert not os.listdir(tmp_path)


@pytest.mark.parametrize(
    ("name", "real"),
    [
        ("../other", "other"),
        ("a/../b", "here/b"),
        ("a/..", "here"),
        ("..", ""),
        ("link/../b", "far/b"),
        ("link/../link/../../c", "c"),
    ],
)
def test_parents_are_those_that_the_system_finds(name, real, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "far" / "away").mkdir(parents=True)
    (tmp_path / "here" / "link").symlink_to(tmp_path / "far" / "away")
    (tmp_path / "far" / "link").symlink_to(tmp_path / "far" / "away")
    monkeypatch.chdir(tmp_path / "here")
    assert checked_output(name) == str(tmp_path / real)


def test_parents_do_not_hide_what_is_refused(tmp_path, monkeypatch):
    put_manifest(tmp_path, MANIFEST)
    (tmp_path / "a" / "sub").mkdir(parents=True)
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path / "a")
    with pytest.raises(UsageError, match="holds a finished data set"):
        checked_output("..")
    with pytest.raises(UsageError, match="is a symbolic link"):
        checked_output("../link")
    (tmp_path / "run*" / "sub").mkdir(parents=True)
    (tmp_path / "there").symlink_to("run*/sub")
    with pytest.raises(UsageError, match="a glob character"):
        checked_output("../there/../out")


@pytest.mark.parametrize("name", ["examples", "rejected/", "transform/more/deep", "serving/../serving/out"])
def test_folders_of_a_data_set_are_refused(tmp_path, name):
    """Beside a manifest of somebody else the same names are free."""
    put_manifest(tmp_path, MANIFEST)
    with pytest.raises(UsageError, match=r"is a folder of the data set in '.*', choose another directory"):
        checked_output(f"{tmp_path}/{name}")
    (tmp_path / "manifest.json").write_text("{}")
    assert checked_output(f"{tmp_path}/{name}") == os.path.normpath(tmp_path / name)


def test_links_and_files_are_refused(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "file").write_text("mine")
    for name in ("link", "link/", "dangling"):
        with pytest.raises(UsageError, match="is a symbolic link"):
            checked_output(f"{tmp_path}/{name}")
    with pytest.raises(UsageError, match="is not a directory"):
        checked_output(str(tmp_path / "file"))
    assert checked_output(str(tmp_path / "real")) == str(tmp_path / "real")


MANIFEST = {
    "run": "r",
    "format": "tfrecord",
    "columns": "",
    "inputs": [],
    "examples": {"rows": 0, "features": {}, "files": []},
    "rejected": {"rows": 0, "files": []},
    "transform": None,
    "serving": None,
    "statistics": "statistics.json",
    "ledger": "ledger.json",
}


def test_a_finished_data_set_is_refused_without_overwrite(tmp_path):
    put_manifest(tmp_path, MANIFEST)
    with pytest.raises(UsageError, match="holds a finished data set; --overwrite replaces it"):
        checked_output(str(tmp_path))
    assert checked_output(str(tmp_path), True) == str(tmp_path)


OF_SOMEBODY_ELSE = ["", "broken{", "[]", "3", "[" * 100_000, '{"name": "my web app", "icons": []}']


@pytest.mark.parametrize("content", [*OF_SOMEBODY_ELSE, sealed({**MANIFEST, "examples": {"files": [None]}}).decode()])
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_manifest_of_somebody_else_is_never_replaced(tmp_path, content, overwrite):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(UsageError, match="damaged or not of seqcols"):
        checked_output(str(tmp_path), overwrite)


def test_as_many_workers_as_the_input_is_worth():
    cores = len(os.sched_getaffinity(0))
    one = executing.WORKER_BYTES
    assert executing._workers(0) == executing._workers(one - 1) == 1
    assert [executing._workers(k * one) for k in (1, 2, 1000)] == [min(2, cores), min(3, cores), min(1001, cores)]
    with executing.tuned(asked(workers=3), [1], ["run"], None) as tuning:
        assert tuning.workers == 3 and tuning.spread
    with executing.tuned(asked(), [1], ["run"], None) as tuning:
        assert tuning.workers == 1 and not tuning.spread


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"output": "gs://bucket/out"}, "--no-wait: the job runs here, in this process; it needs --runner"),
        ({"output": "out", "beam_args": ["--runner=DataflowRunner"]}, "--no-wait: --output 'out' is of this machine"),
    ],
)
def test_what_cannot_be_handed_over(more, why):
    with pytest.raises(UsageError, match=re.escape(why)):
        check_values(asked(wait=False, **more))


def test_a_request_shows_itself_briefly():
    many = make_spec([sequence_numeric_column(f"x{k}") for k in range(250)])
    shown = repr(Request(many, ["in/*"], "out", workers=2))
    assert repr(Request(None, ["in"], "out")) == "Request(no columns, inputs=['in'], output='out')"  # type: ignore[arg-type]
    assert shown.startswith("Request(x0, x1, ") and len(shown) < 200
    assert shown.endswith(" and 230 more, inputs=['in/*'], output='out', workers=2)")
