"""`--append`: rows added to a data set by its own transform, every one accounted for; and taken back."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.command.tf_examples import write_examples
from pipeline.compare.described import described
from pipeline.dataset import distributions
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.inputs import preflight
from pipeline.job.request import Request
from pipeline.job.running import run
from pipeline.job.undoing import undo_append
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.verify import verify
from tests.jobs import arrays_of, assert_balanced, call, done, read_arrays, read_json, read_rejected, run_job
from tests.reports import sides_of
from tests.test_split_jobs import COLUMNS, rows_of, write
from transforms import SequenceGroup, make_spec
from transforms.errors import JobError
from transforms.splits.rule import Split

SPEC = make_spec(COLUMNS, SequenceGroup(max_length=5, truncate="tail"))


def day(number: int, count: int = 40) -> list[dict[str, Any]]:
    return [{**row, "id": row["id"] + 1000 * number} for row in rows_of(number, count)]


BAD = {"id": 9, "user": 1, "x": ["bad"]}


class Case:
    """A data set of a day, with two more days appended to it."""

    def __init__(self, folder: Path):
        self.folder, self.root = folder, folder / "out"
        self.days = [write(folder / f"day{k}.jsonl", [*day(k), BAD]) for k in (1, 2, 3)]
        self.fitted = done(SPEC, self.days[0], self.root, format="parquet")
        shutil.copytree(self.root, folder / "first")
        self.appended = [done(SPEC, path, self.root, append=True) for path in self.days[1:]]
        self.manifest = read_manifest(str(self.root))


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("append"))


def test_every_row_is_there_once_by_the_figures_of_the_first_day(case, tmp_path):
    arrays = read_arrays(case.root, "id")
    assert arrays["id"].tolist() == sorted(row["id"] for k in (1, 2, 3) for row in day(k))
    done(SPEC, case.days[1], tmp_path / "alone", transform=str(case.folder / "first"), format="parquet")
    alone = read_arrays(tmp_path / "alone", "id")
    of_day = np.isin(arrays["id"], alone["id"])
    assert all(arrays[name][of_day].tobytes() == alone[name].tobytes() for name in alone)
    for name in ("statistics.json",):
        assert (case.root / name).read_bytes() == (case.folder / "first" / name).read_bytes()


def test_the_ledger_and_the_manifest_are_those_of_the_whole(case):
    book = read_json(case.root, "ledger.json")
    assert_balanced(book)
    assert book["rows"] == {"read": 123, "written": 120, "rejected": 3, "rejected_by_reason": {"not_a_number": 3}}
    assert set(book["files"]) == {str(path) for path in case.days}
    assert [own["kind"] for own in case.manifest.content["runs"]] == ["run", "append", "append"]
    assert [own["written"] for own in case.manifest.content["runs"]] == [40, 40, 40]
    assert case.manifest.content["run"] == case.manifest.content["runs"][-1]["run"]
    assert len(case.manifest.files) == 3 and case.manifest.rows == 120
    assert read_rejected(case.manifest.rejected_files).num_rows == 3
    inputs = case.manifest.content["inputs"]
    assert [one.get("run") for one in inputs] == [None, *(own["run"] for own in case.manifest.content["runs"][1:])]
    assert case.appended[0].ledger["rows"]["read"] == 41, "an outcome tells of its own rows"
    found = verify.files(str(case.root))
    verify.compare(found, (), 1000, None)
    assert found.faults == [] and found.compared is not None and found.compared.rows == 120
    assert [note for note in found.files.notes if "no part" in note] == []


def test_the_counts_of_the_fitted_run_are_kept_apart(case):
    known = distributions.read(case.manifest)
    runs = [own["run"] for own in case.manifest.content["runs"]]
    assert list(known) == ["fitted", f"append {runs[1]} fitted", f"append {runs[2]} fitted"]
    assert [sum(own.lengths["sequence"].values()) for own in known.values()] == [40, 40, 40]
    fitted, every = described(case.manifest, fitted=True), described(case.manifest)
    assert (fitted.ledger["rows"]["written"], every.ledger["rows"]["written"]) == (40, 120)
    assert fitted.facts is not None and every.facts is not None
    assert (fitted.facts.rows, every.facts.rows) == ((40, 40), (120, 120))


def test_appends_are_taken_back_one_after_the_other(case, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(case.root, root)
    result = call("undo-append", root)
    assert result.exit_code == 0, result.output
    assert "rows: 82 read, 80 written, 2 rejected" in result.output
    manifest = read_manifest(str(root))
    assert manifest.rows == 80 and len(manifest.files) == 2
    assert_balanced(read_json(root, "ledger.json"))
    found = verify.files(str(root))
    assert found.faults == [] and found.files.notes == []
    undo_append(str(root))
    assert read_json(root, "ledger.json") == {**read_json(case.folder / "first", "ledger.json")}
    first = read_manifest(str(case.folder / "first"))
    manifest = read_manifest(str(root))
    assert [entry["path"] for entry in manifest.content["examples"]["files"]] == [
        entry["path"] for entry in first.content["examples"]["files"]
    ]
    assert manifest.content["inputs"] == first.content["inputs"]
    assert verify.files(str(root)).faults == []
    with pytest.raises(UsageError, match=r"the last run is no append, it is a run \("):
        undo_append(str(root))
    outcome = done(SPEC, case.days[2], root, append=True)
    assert outcome.status == "done" and read_manifest(str(root)).rows == 80


def test_a_file_is_not_appended_twice(case, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(case.root, root)
    before = (root / "manifest.json").read_bytes()
    for path in case.days[:2]:
        outcome = run_job(SPEC, path, root, append=True)
        assert outcome.status == "failed"
        assert "has the rows of this file already; --again adds them once more" in outcome.message
    assert (root / "manifest.json").read_bytes() == before
    assert verify.files(str(root)).files.notes == []
    done(SPEC, case.days[0], root, append=True, again=True)
    manifest = read_manifest(str(root))
    assert manifest.rows == 160
    assert_balanced(read_json(root, "ledger.json"))
    found = verify.files(str(root))
    verify.compare(found, (), 1000, None)
    assert found.faults == []


@pytest.mark.parametrize("suffix", [".tfrecord", ".jsonl"])
def test_a_content_that_comes_back_under_its_path_is_not_appended_twice(tmp_path, suffix):
    """The digests of rows do not depend on what their file is called: those of TFRecords come from the reader."""
    path = tmp_path / f"today{suffix}"

    def put(number: int) -> None:
        rows = [{**row, "x": row["x"] or [0.0]} for row in day(number, 8)]
        write(path, rows) if suffix == ".jsonl" else write_examples(str(path), rows)

    for number in (1, 2):
        put(number)
        done(SPEC, path, tmp_path / "out", append=number > 1)
    put(1)
    outcome = run_job(SPEC, path, tmp_path / "out", append=True)
    assert outcome.status == "failed" and "has the rows of this file already" in outcome.message
    files = read_json(tmp_path / "out", "ledger.json")["files"]
    put(2)
    alone = done(SPEC, path, tmp_path / "alone").ledger["files"][str(path)]
    assert [own["content_digest"] for own in files.values()][1] == alone["content_digest"]
    assert [own["row_digests"] for own in files.values()][1] != alone["row_digests"]


def test_another_content_of_the_same_path_is_a_file_of_its_own(tmp_path):
    path = write(tmp_path / "today.jsonl", [*day(1), BAD])
    done(SPEC, path, tmp_path / "out")
    write(path, [*day(2), {**BAD, "id": 10}])
    done(SPEC, path, tmp_path / "out", append=True)
    manifest = read_manifest(str(tmp_path / "out"))
    run_id = manifest.content["run"]
    book = read_json(tmp_path / "out", "ledger.json")
    assert set(book["files"]) == {str(path), f"{path}@{run_id}"}
    assert {one["rows"]["read"] for one in book["files"].values()} == {41}
    assert set(read_rejected(manifest.rejected_files)["file"].to_pylist()) == {str(path), f"{path}@{run_id}"}
    found = verify.files(str(tmp_path / "out"))
    verify.compare(found, (), 1000, None)
    assert found.faults == [] and found.compared is not None and found.compared.rows == 40
    assert any("was replaced by a file that was appended" in note for note in found.compared.notes)
    outcome = repair(Repair(str(tmp_path / "out" / "rejected"), SPEC))
    assert outcome.status == "done", outcome.message
    with pytest.raises(UsageError, match="the last run is no append, it is a repair"):
        undo_append(str(tmp_path / "out"))


@pytest.mark.parametrize("name", ["statistics.json", "ledger.json", "distributions.json"])
def test_what_is_damaged_is_not_carried_over(case, tmp_path, name):
    """It would have a digest that fits from then on."""
    root = Path(shutil.copytree(case.root, tmp_path / "out"))
    text = (root / name).read_text()
    (root / name).write_text(text.replace("1", "2", 1))
    for act in (
        lambda: run_job(SPEC, case.days[0], root, append=True, again=True),
        lambda: run_job(SPEC, case.days[0], tmp_path / "other", transform=str(root)),
        lambda: undo_append(str(root)),
    ):
        with pytest.raises(JobError, match=f"{name}: is not what was published: seqcols verify says more"):
            act()
    (root / name).unlink()
    if name == "distributions.json":
        done(SPEC, case.days[0], tmp_path / "other", transform=str(root))
    else:
        with pytest.raises(JobError, match=rf"{name}: cannot be read \(No such file or directory\)"):
            run_job(SPEC, case.days[0], tmp_path / "other", transform=str(root))


def test_the_format_is_that_of_the_data_set(case, tmp_path):
    root = Path(shutil.copytree(case.folder / "first", tmp_path / "out"))
    result = call("run", "--append", "--input", case.days[1], "--output", root, "--format", "tfrecord")
    assert result.exit_code == 2
    assert "--format: does not apply, --append adds to" in result.output
    result = call("run", "--append", "--input", case.days[1], "--output", root)
    assert result.exit_code == 0 and "the data\n" in result.output


def test_what_does_not_apply(case, tmp_path):
    root = str(case.root)
    for options, name in (
        ({"overwrite": True}, "--overwrite"),
        ({"transform": root}, "--transform"),
        ({"cache": "c"}, "--cache"),
    ):
        with pytest.raises(UsageError, match=f"{name}: does not apply"):
            run_job(SPEC, case.days[0], root, append=True, **options)
    with pytest.raises(UsageError, match="--again: does not apply without --append"):
        run_job(SPEC, case.days[0], tmp_path / "out", again=True)
    with pytest.raises(JobError, match="holds no finished data set"):
        run_job(SPEC, case.days[0], tmp_path / "out", append=True)
    with pytest.raises(ValueError, match="the columns differ from those of"):
        run_job(make_spec(COLUMNS), case.days[0], root, append=True)
    with pytest.raises(UsageError, match=r"the split 'test' is none of .*, which has no splits"):
        run_job(SPEC, f"test={case.days[0]}", root, append=True)


def test_from_the_command_line_without_columns(case, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(case.folder / "first", root)
    result = call("run", "--append", "--input", case.days[1], "--output", root)
    assert result.exit_code == 0, result.output
    outcome = run(Request(None, [str(case.days[2])], str(root), append=True))  # type: ignore[arg-type]
    assert outcome.status == "done" and read_manifest(str(root)).rows == 120
    assert sides_of(root) == [(str(root), "40"), (str(root), "40")]  # the fitted rows, and those of this append


def test_the_next_run_over_it_fits_again(case, tmp_path):
    root, cache = tmp_path / "out", str(tmp_path / "cache")
    done(SPEC, case.days[0], root, cache=cache)
    done(SPEC, case.days[1], root, append=True)
    done(SPEC, case.days[:2], root, overwrite=True, cache=cache)
    content = read_manifest(str(root)).content
    statistics = read_json(root, content["statistics"])
    assert [own["kind"] for own in content["runs"]] == ["run"] and statistics["of"]["from_cache"] == 1
    done(SPEC, case.days[:2], tmp_path / "fresh")
    assert statistics["columns"] == read_json(tmp_path / "fresh", "statistics.json")["columns"]


def test_a_file_that_does_not_belong_to_the_others_is_refused_under_a_path_that_was_read(tmp_path, monkeypatch):
    """As any other, also if nobody has looked at it before the pass: it has another name in the ledger."""
    monkeypatch.setattr(preflight, "MOST_SAMPLED", 1)
    path = write(tmp_path / "today.jsonl", day(1, 5))
    done(SPEC, path, tmp_path / "out")
    write(path, [{"id": row["id"], "X": row["x"]} for row in day(2, 5)])
    others = [write(tmp_path / f"{name}.jsonl", day(number, 5)) for number, name in ((3, "first"), (4, "zero"))]
    outcome = run_job(SPEC, [path, *others], tmp_path / "out", append=True)
    assert outcome.status == "failed" and "the feature 'x' is absent; did you mean 'X'?" in outcome.message


def test_rows_that_all_have_no_split(tmp_path):
    """The feature that decides is at fault, and no column: nobody has looked for those."""
    spec = make_spec(COLUMNS, split=Split(by="feature", feature="part"))
    good, bad = ([{**row, "part": part} for row in day(1, 6)] for part in ("train", "tomorrow"))
    bad_file = write(tmp_path / "bad.jsonl", bad)
    outcome = run_job(spec, bad_file, tmp_path / "out")
    assert outcome.status == "too_many_rejected" and "6 of 6 rows rejected" in outcome.message
    done(spec, write(tmp_path / "good.jsonl", good), tmp_path / "out")
    for options in ({"append": True}, {"transform": str(tmp_path / "out")}):
        target = tmp_path / ("out" if "append" in options else "other")
        outcome = run_job(spec, bad_file, target, max_rejected=1.0, **options)
        assert outcome.message == "no rows to write: 6 read, 6 rejected"


def test_nothing_to_append(case, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(case.folder / "first", root)
    before = read_manifest(str(root))
    empty = write(tmp_path / "empty.jsonl", [])
    outcome = run_job(SPEC, empty, root, append=True)
    assert outcome.message == "no rows to write: 0 read, 0 rejected (--allow-empty appends nothing)"
    assert read_manifest(str(root)).content == before.content
    done(SPEC, empty, root, append=True, allow_empty=True)
    after = read_manifest(str(root))
    assert after.rows == before.rows and [run["kind"] for run in after.content["runs"]] == ["run", "append"]
    assert verify.files(str(root)).faults == []


def test_too_many_rejects_of_what_is_appended(case, tmp_path):
    root = tmp_path / "out"
    shutil.copytree(case.folder / "first", root)
    bad = write(tmp_path / "bad.jsonl", [*day(7, 8), BAD, BAD])
    outcome = run_job(SPEC, bad, root, append=True)
    assert outcome.status == "too_many_rejected"
    assert read_manifest(str(root)).content["run"] == read_manifest(str(case.folder / "first")).content["run"]


@pytest.mark.parametrize("by", ["key", "input"])
def test_appending_to_splits(tmp_path, by):
    rule = Split(by="key", key="user", fractions={"train": 0.5, "test": 0.5}) if by == "key" else None
    spec = make_spec(COLUMNS, SequenceGroup(max_length=5), split=rule)
    paths = [write(tmp_path / f"{k}.jsonl", [*day(k), BAD]) for k in (1, 2, 3)]

    def given(*numbers: int) -> list[str]:
        names = ["" if by == "key" else "train=" if k < 3 else "test=" for k in numbers]
        return [f"{name}{paths[k - 1]}" for name, k in zip(names, numbers, strict=True)]

    done(spec, given(1, 3), tmp_path / "out")
    done(spec, given(2), tmp_path / "out", append=True)
    manifest = read_manifest(str(tmp_path / "out"))
    book = read_json(tmp_path / "out", "ledger.json")
    assert_balanced(book)
    done(spec, given(1, 2, 3), tmp_path / "whole")
    whole = read_json(tmp_path / "whole", "ledger.json")
    for name in ("train", "test"):
        assert_balanced(book["splits"][name])
        assert book["splits"][name]["rows"] == whole["splits"][name]["rows"]
        assert book["splits"][name]["row_digests"] == whole["splits"][name]["row_digests"]
        ids = arrays_of(manifest.split(name))["id"]
        assert sorted(ids) == sorted(arrays_of(read_manifest(str(tmp_path / "whole")).split(name))["id"])
    assert manifest.content["splits"]["rows"] == read_manifest(str(tmp_path / "whole")).content["splits"]["rows"]
    assert verify.files(str(tmp_path / "out")).faults == []
    undo_append(str(tmp_path / "out"))
    assert verify.files(str(tmp_path / "out")).faults == []
    if by == "input":
        with pytest.raises(UsageError, match="name the split of each"):
            run_job(spec, paths[1], tmp_path / "out", append=True)
    with pytest.raises(
        ValueError, match=r"split: expected that of the data set, .*, got split: {by: feature, feature: f}$"
    ):
        run_job(
            make_spec(COLUMNS, SequenceGroup(max_length=5), split=Split(by="feature", feature="f")),
            paths[1],
            tmp_path / "out",
            append=True,
        )


def test_the_digest_of_a_file_does_not_depend_on_its_name(tmp_path):
    from transforms.rows import digests, origin

    batch = pa.RecordBatch.from_pydict({"x": [1, 2, 3]})
    named = [digests.attach(origin.with_origin(batch, name, 5), ["x"]) for name in ("a", "b")]
    sums = [digests.total(one.column(origin.DIGEST_COLUMN)) for one in named]
    assert sums[0] != sums[1]
    without = [
        digests.without_file(one.column(origin.DIGEST_COLUMN), origin.file_of(one), origin.row_numbers(one))
        for one in named
    ]
    assert without[0] == without[1] != 0
    path = write(tmp_path / "a.jsonl", day(1))
    book = done(SPEC, path, tmp_path / "out").ledger
    assert (
        json.loads(json.dumps(book["files"][str(path)]["content_digest"]))
        != book["files"][str(path)]["row_digests"]["read"]
    )
