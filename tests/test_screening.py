"""`--on-bad-file=skip`: broken files are left out whole, before anything is counted, and are listed."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner

from pipeline.command.commands import cli
from pipeline.inputs.match import match
from pipeline.job import preparing, running, screening
from pipeline.job.executing import execute
from pipeline.job.request import Request
from pipeline.sources.base import BrokenFile
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from tests.faults.formats import KINDS, rows_of
from tests.jobs import assert_balanced, done, listing, read_arrays, read_json, run_job
from transforms import SequenceGroup, make_spec, passthrough_column, sequence_numeric_column
from transforms.errors import JobError

SPEC = make_spec(
    [passthrough_column("id", "int64"), sequence_numeric_column("x", normalizer_fn="z_score")],
    SequenceGroup(max_length=6),
)

BROKEN = ["a.tfrecord", "a.tfrecord.gz", "a.jsonl.xz", "zstd.parquet", "snappy.avro", "a.jsonl"]


def put(folder: Path, name: str, count: int, seed: int, cut: float = 1.0) -> Path:
    """Writes a file of the kind that the name ends in: its first part, if cut."""
    folder.mkdir(exist_ok=True)
    kind = next(kind for kind in KINDS if name.endswith(kind))
    data = KINDS[kind].make(rows_of(count, seed))
    (folder / name).write_bytes(data[: int(len(data) * cut) - (cut < 1)])
    return folder / name


@pytest.fixture(scope="module")
def mixed(tmp_path_factory) -> dict[str, Any]:
    """Good files, and broken ones of every kind that would change the mean; and what a run of the good ones alone gives."""
    root = tmp_path_factory.mktemp("mixed")
    good = [
        put(root / "in", f"0{k}-{name}", 40, k) for k, name in enumerate(["a.tfrecord", "none.parquet", "a.jsonl.zst"])
    ]
    bad = [put(root / "in", f"1{k}-{name}", 50, 9 + k, cut=0.9) for k, name in enumerate(BROKEN)]
    alone = done(SPEC, good, root / "alone")
    skipped = done(SPEC, str(root / "in" / "*"), root / "out", on_bad_file="skip")
    return {"root": root, "good": good, "bad": bad, "alone": alone, "skipped": skipped}


@pytest.mark.slow
def test_the_data_set_is_that_of_the_good_files(mixed):
    root = mixed["root"]
    one, other = (read_arrays(root / name, "id") for name in ("out", "alone"))
    order = [np.lexsort([a["x"][:, k, 0] for k in range(6)]) for a in (one, other)]
    for name in one:
        np.testing.assert_array_equal(one[name][order[0]], other[name][order[1]])
    statistics = [read_json(root / name, "statistics.json") for name in ("out", "alone")]
    assert statistics[0] == statistics[1] and statistics[0]["rows"] == 120


@pytest.mark.slow
def test_the_broken_files_are_listed(mixed):
    root, bad = mixed["root"], [str(path) for path in mixed["bad"]]
    manifest, ledger = read_json(root / "out", "manifest.json"), read_json(root / "out", "ledger.json")
    assert [file["path"] for file in manifest["inputs"]] == [str(path) for path in mixed["good"]]
    assert manifest["skipped_files"] == ledger["skipped_files"]
    assert [file["path"] for file in ledger["skipped_files"]] == bad
    for file in ledger["skipped_files"]:
        assert file["bytes"] == Path(file["path"]).stat().st_size
        assert file["reason"].startswith(f"{file['path']}: ") and "\n" not in file["reason"]
    assert set(ledger["files"]) == {str(path) for path in mixed["good"]}
    assert_balanced(ledger)
    outcome = mixed["skipped"]
    assert [file.path for file in outcome.skipped] == bad and outcome.passes == mixed["alone"].passes + 1
    assert read_json(root / "alone", "ledger.json")["skipped_files"] == []
    assert not [name for name in listing(root / "out") if name.startswith(".seqcols-")]


@pytest.mark.slow
def test_by_default_a_broken_file_fails_the_run(mixed, tmp_path):
    with pytest.raises(BrokenFile, match="cut short"):
        run_job(SPEC, str(mixed["root"] / "in" / "*"), tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_several_workers(mixed, tmp_path):
    request = Request(SPEC, [str(mixed["root"] / "in" / "*")], on_bad_file="skip", workers=2)
    inputs, _, skipped = preparing.screened(request, str(tmp_path), None)
    assert [file.path for file in inputs.files] == [str(path) for path in mixed["good"]]
    assert skipped == mixed["skipped"].skipped


@pytest.mark.slow
def test_check_leaves_them_out_too(mixed):
    request = Request(SPEC, [str(mixed["root"] / "in" / "*")], on_bad_file="skip")
    outcome = running.check(request)
    assert outcome.status == "done" and outcome.ledger["rows"]["read"] == 120
    assert outcome.ledger["skipped_files"] == read_json(mixed["root"] / "out", "ledger.json")["skipped_files"]


@pytest.mark.parametrize("name", KINDS)
def test_screening_sees_what_reading_sees(tmp_path, name):
    """Every tenth of a file: the same error, and of a whole one the same rows and bytes."""
    path = put(tmp_path, name, 60, 1)
    whole = path.read_bytes()
    source = source_for(name)
    for size in [*range(0, len(whole), len(whole) // 10), len(whole)]:
        path.write_bytes(whole[:size])
        results = []
        for how in (lambda split: source.screen(split, {}, Limits()), lambda split: source.read(split, {}, Limits())):
            try:
                steps = [step for split in source.parts(str(path)) for step in how(split)]
                pairs = [step if isinstance(step, tuple) else (step.rows, step.size) for step in steps]
                results.append(tuple(map(sum, zip(*pairs, strict=True))) or (0, 0))
            except JobError as error:
                results.append(str(error))
        assert results[0] == results[1]


@pytest.mark.parametrize("how", [running.run, running.check])
def test_a_file_that_changes_after_it_was_looked_through(tmp_path, monkeypatch, how):
    """One pass reads its rows, so that there are none to compare."""
    spec = make_spec([passthrough_column("id", "int64"), sequence_numeric_column("x")], SequenceGroup(max_length=6))
    paths = [put(tmp_path, f"{k}-a.jsonl", 20, k) for k in range(2)]
    without_broken = screening.without_broken

    def replaced(*arguments: Any) -> Any:
        put(tmp_path, "1-a.jsonl", 20, 5)
        return without_broken(*arguments)

    monkeypatch.setattr(screening, "without_broken", replaced)
    outcome = how(Request(spec, [str(path) for path in paths], str(tmp_path / "out"), on_bad_file="skip"))
    assert outcome.status == "failed"
    assert outcome.message == f"{paths[1]}: changed during the run, so that not every pass read the same"


def test_an_engine_is_waited_for_also_where_the_run_is_handed_over(tmp_path, monkeypatch):
    """The run cannot begin before it is known which files it reads."""
    waited: list[bool] = []

    def noted(request: Request, *more: Any) -> None:
        waited.append(request.wait)
        execute(request, *more)

    monkeypatch.setattr(screening, "execute", noted)
    files = match([str(put(tmp_path, "a.jsonl", 20, 1)), str(put(tmp_path, "b-a.jsonl.gz", 20, 2, cut=0.5))]).files
    why = screening.broken(Request(SPEC, ["x"], wait=False), str(tmp_path / "out"), files, SPEC.read_features, None)
    assert waited == [True] and [Path(path).name for path in why] == ["b-a.jsonl.gz"]


@pytest.mark.slow
def test_files_that_count_for_the_statistics_only(tmp_path):
    put(tmp_path / "in", "a.tfrecord", 30, 1)
    put(tmp_path / "in", "b-a.tfrecord", 30, 2, cut=0.5)
    put(tmp_path / "old", "c-zstd.parquet", 30, 3)
    put(tmp_path / "old", "d-zstd.parquet", 30, 4, cut=0.5)
    more = {"statistics_inputs": [str(tmp_path / "old" / "*")], "on_bad_file": "skip"}
    done(SPEC, str(tmp_path / "in" / "*"), tmp_path / "out", **more)
    names = [Path(file["path"]).name for file in read_json(tmp_path / "out", "manifest.json")["skipped_files"]]
    assert names == ["b-a.tfrecord", "d-zstd.parquet"]
    statistics = read_json(tmp_path / "out", "statistics.json")
    assert [Path(path).name for path in statistics["of"]["files"]] == ["a.tfrecord", "c-zstd.parquet"]
    assert statistics["rows"] == 60


@pytest.mark.slow
def test_with_a_cache_what_is_in_it_is_not_read_through_again(tmp_path, monkeypatch):
    put(tmp_path / "old", "a-zstd.parquet", 30, 1)
    put(tmp_path / "in", "b-zstd.parquet", 30, 2)
    screened: list[str] = []
    build = screening.build

    def noted(root, place, files, features, tuning):
        screened.extend(Path(file.path).name for file in files)
        return build(root, place, files, features, tuning)

    monkeypatch.setattr(screening, "build", noted)
    more = {"statistics_inputs": [str(tmp_path / "old" / "*")], "on_bad_file": "skip", "cache": str(tmp_path / "cache")}
    inputs = str(tmp_path / "in" / "*")
    done(SPEC, inputs, tmp_path / "out", **more)
    assert sorted(screened) == ["a-zstd.parquet", "b-zstd.parquet"]
    screened.clear()
    put(tmp_path / "in", "c-zstd.parquet", 30, 3, cut=0.4)
    done(SPEC, inputs, tmp_path / "out", overwrite=True, **more)
    assert sorted(screened) == ["b-zstd.parquet", "c-zstd.parquet"]
    statistics = read_json(tmp_path / "out", "statistics.json")
    assert statistics["of"]["from_cache"] == 2 and statistics["rows"] == 60


def test_a_run_without_a_good_file_fails(tmp_path):
    for k in range(2):
        put(tmp_path / "in", f"{k}-a.tfrecord", 30, k, cut=0.5)
    more = {"on_bad_file": "skip", "allow_empty": True}
    what = r"^all 2 input files are broken, nothing is left to read \(--on-bad-file=skip\): \S+0-a\.tfrecord: cut short"
    with pytest.raises(JobError, match=what):
        run_job(SPEC, str(tmp_path / "in" / "*"), tmp_path / "out", **more)
    with pytest.raises(JobError, match=r"^the only input file is broken"):
        run_job(SPEC, str(tmp_path / "in" / "0*"), tmp_path / "out", **more)
    assert not (tmp_path / "out").exists()


def test_no_file_at_all_is_none_that_is_broken(tmp_path):
    empty = Request(SPEC, [str(tmp_path / "in" / "*")], on_bad_file="skip", allow_empty=True)
    inputs, _, skipped = preparing.screened(empty, str(tmp_path), None)
    assert (inputs.files, skipped) == ((), ())
    assert screening.without_broken({}, inputs) == (inputs, screening.NO_INPUTS, ())


def test_a_file_of_another_schema_is_no_broken_file(tmp_path, monkeypatch):
    put(tmp_path / "in", "a-zstd.parquet", 30, 1)
    (tmp_path / "in" / "b.csv").write_text("id,y\n1,2\n")
    with pytest.raises(JobError, match=r"b\.csv: column 'x': the file has no feature 'x'"):
        run_job(SPEC, str(tmp_path / "in" / "*"), tmp_path / "out", on_bad_file="skip")
    monkeypatch.setattr(screening, "build", None)  # a misspelt column is not screened first
    spec = make_spec(sequence_numeric_column("xx"), SequenceGroup(max_length=6))
    with pytest.raises(JobError, match="no feature 'xx'"):
        run_job(spec, str(tmp_path / "in" / "*"), tmp_path / "out", on_bad_file="skip")


def test_a_feature_that_cannot_be_read_is_no_damage(tmp_path):
    """pyarrow 25 reads no null in a list of fixed size: the file is whole, and its rows must be somewhere."""
    fixed = pa.array([[1, 2], None], pa.list_(pa.int64(), 2))
    pq.write_table(pa.table({"id": [1, 2], "x": [[1.0], [2.0]], "f": fixed}), tmp_path / "a.parquet")
    asked = Request(SPEC, [str(tmp_path / "a.parquet")], on_bad_file="skip")
    inputs, _, skipped = preparing.screened(asked, str(tmp_path), None)
    assert (len(inputs.files), skipped) == (1, ())
    reads = make_spec(
        [*SPEC.columns, sequence_numeric_column("f", group="f")], {**SPEC.sequence_groups, "f": SequenceGroup()}
    )
    with pytest.raises(
        JobError, match=r"a\.parquet: row group 0: the feature 'f' \(.*\) cannot be read by pyarrow"
    ) as caught:
        preparing.screened(replace(asked, spec=reads), str(tmp_path), None)
    assert not isinstance(caught.value, BrokenFile)


def test_the_command_says_what_it_skipped(tmp_path):
    put(tmp_path / "in", "a.jsonl", 30, 1)
    cut = put(tmp_path / "in", "b-a.jsonl.gz", 30, 2, cut=0.5)
    (tmp_path / "columns.yaml").write_text("columns: [{type: sequence_numeric_column, key: x}]")
    arguments = ["check", str(tmp_path / "columns.yaml"), "--input", str(tmp_path / "in" / "*"), "--on-bad-file=skip"]
    made = CliRunner().invoke(cli, arguments)
    assert made.exit_code == 0, made.output
    assert f"skipped 1 broken file, whole:\n  {cut}: cut short: the gzip stream ended early" in made.stdout
    made = CliRunner().invoke(cli, [*arguments[:-1], "--on-bad-file=drop"])
    assert made.exit_code == 2 and "'drop' is not one of 'fail', 'skip'" in made.stderr


def test_progress_is_shown(tmp_path):
    put(tmp_path / "in", "a.jsonl", 30, 1)
    shown = io.StringIO()
    running.check(Request(SPEC, [str(tmp_path / "in" / "*")], on_bad_file="skip"), shown)
    assert "pass 1/1 screen: 30 rows, 100%" in shown.getvalue() and "check: 30 rows" in shown.getvalue()
