"""`--transform`: new rows by the columns, statistics, T and vocabularies of a finished data set."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.compare.comparison import compare
from pipeline.compare.described import described
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.job.request import Request
from pipeline.job.running import run
from pipeline.planning.plan import plan_of
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.verify import verify
from tests.jobs import arrays_of, assert_balanced, call, done, read_arrays, read_json, read_rejected, run_job
from tests.reports import sides_of
from tests.test_split_jobs import BY_USER, COLUMNS, rows_of, split_of, write
from transforms import (
    SequenceGroup,
    make_spec,
    passthrough_column,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
)
from transforms.errors import JobError, SpecError

SPEC = make_spec(
    [
        *COLUMNS,
        sequence_numeric_column("q", normalizer_fn="robust"),
        sequence_categorical_column_with_learned_vocabulary("w", num_oov_buckets=2, group="words"),
    ],
    {"sequence": SequenceGroup(truncate="tail"), "words": SequenceGroup()},
)
TEXT = """version: 1
sequence_groups:
  sequence: {truncate: tail}
  words: {}
columns:
  - {type: passthrough_column, key: id, dtype: int64}
  - {type: sequence_numeric_column, key: x, normalizer_fn: z_score}
  - {type: sequence_numeric_column, key: q, normalizer_fn: robust}
  - {type: sequence_categorical_column_with_learned_vocabulary, key: w, num_oov_buckets: 2, group: words}
"""


def more(rows: list[dict[str, Any]], words: str) -> list[dict[str, Any]]:
    return [
        {**row, "q": row["x"], "w": [words[(row["id"] + k) % len(words)] for k in range(row["id"] % 4)]} for row in rows
    ]


class Case:
    """A data set with a train and a test split, and the test rows by its transform."""

    def __init__(self, folder: Path):
        self.folder = folder
        longer = {"id": 999, "user": 1, "x": list(range(30)), "q": list(range(30)), "w": ["new"]}
        bad = {"id": 998, "user": 1, "x": ["bad"], "q": [1.0], "w": []}
        self.train = write(folder / "train.jsonl", more(rows_of(1, 200), "abcd"))
        self.test = write(folder / "test.jsonl", [*more(rows_of(2, 60), "cdefg"), longer, bad])
        done(SPEC, [f"train={self.train}", f"test={self.test}"], folder / "both")
        self.root = folder / "transformed"
        self.outcome = done(SPEC, self.test, self.root, transform=str(folder / "both"))
        self.manifest = read_manifest(str(self.root))


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("transform"))


def test_it_equals_that_split_of_one_run_bit_for_bit(case):
    of_run = arrays_of(read_manifest(str(case.folder / "both")).split("test"))
    own = arrays_of(case.manifest)
    for arrays in (of_run, own):
        order = np.argsort(arrays["id"], kind="stable")
        arrays.update({name: array[order] for name, array in arrays.items()})
    assert of_run.keys() == own.keys()
    for name, array in own.items():
        assert array.dtype == of_run[name].dtype and array.tobytes() == of_run[name].tobytes(), name
    assert own["x"].shape[1] == max(len(row["x"]) for row in rows_of(1, 200)), "T is that of the fitted data"


def test_it_is_a_whole_data_set_in_one_pass(case):
    assert case.outcome.passes == 1
    book = read_json(case.root, "ledger.json")
    assert_balanced(book)
    assert book == case.outcome.ledger
    assert book["rows"] == {"read": 62, "written": 61, "rejected": 1, "rejected_by_reason": {"not_a_number": 1}}
    both = read_json(case.folder / "both", "ledger.json")["splits"]["test"]
    assert book["columns"] == both["columns"]
    found = verify.files(str(case.root))
    verify.compare(found, (), 1000, None)
    assert found.faults == [] and found.compared is not None and found.compared.rows == 61


def test_it_says_whose_figures_they_are(case):
    before = read_manifest(str(case.folder / "both"))
    entry = {
        "data_set": before.root,
        "run": before.content["run"],
        "graph_sha256": before.content["graph_sha256"]["transform"],
    }
    assert case.manifest.content["transform_of"] == entry
    statistics = read_json(case.root, "statistics.json")
    assert statistics == {**read_json(case.folder / "both", "statistics.json"), "transform": entry}
    for name in ("graph_sha256", "vocabularies", "embeddings"):
        assert case.manifest.content[name] == before.content[name]
    assert sides_of(case.root) == [(before.root, "200"), (str(case.root), "61")]  # the rows of train, and its own
    with pytest.raises(UsageError, match=r"was made by the transform of '.*both', whose T it has: plan that one"):
        plan_of(str(case.root))


def test_a_comparison_has_no_figures_of_other_rows(case):
    both = read_manifest(str(case.folder / "both"))
    train, test = ([json.loads(line) for line in path.read_text().splitlines()] for path in (case.train, case.test))
    steps = [[len(row["x"]) for row in rows if row["x"] != ["bad"]] for rows in (train, test)]
    for other in (described(case.manifest), described(both.split("test"))):  # whose statistics are of train, too
        made = compare(described(both.split("train")), other)
        group, column = ({f.label: f.sides for f in part.figures} for part in (made.groups[0], made.columns[1]))
        assert group["mean length"] == pytest.approx([np.mean(lengths) for lengths in steps])
        assert group["longest"] == (max(steps[0]), 30)
        mean = np.mean(np.concatenate([row["x"] for row in train]))
        assert column["mean"] == pytest.approx((mean, None))


def test_the_comparison_of_events_has_the_rows_that_were_fitted(tmp_path):
    columns = [sequence_numeric_column("price", normalizer_fn="z_score")]
    events = {"key": ["user"], "order_by": ["at"], "features": {"price": "price"}}
    spec = make_spec(columns, SequenceGroup(max_length=4), events=events)
    for name, users in (("old", 7), ("new", 3)):
        rows = [{"user": k % users, "at": k, "price": float(k)} for k in range(6 * users)]
        write(tmp_path / f"{name}.jsonl", rows)
    done(spec, tmp_path / "old.jsonl", tmp_path / "old")
    done(spec, tmp_path / "new.jsonl", tmp_path / "out", transform=str(tmp_path / "old"))
    assert sides_of(tmp_path / "out") == [(str(tmp_path / "old"), "7"), (str(tmp_path / "out"), "3")]


def test_the_data_set_may_go(case, tmp_path):
    first = tmp_path / "first"
    shutil.copytree(case.folder / "both", first)
    done(SPEC, case.test, tmp_path / "second", transform=str(first))
    shutil.rmtree(first)
    done(SPEC, case.test, tmp_path / "third", transform=str(tmp_path / "second"))
    one, other = (read_arrays(path, "id") for path in (case.root, tmp_path / "third"))
    assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    held = read_manifest(str(tmp_path / "third")).content["transform_of"]
    assert held["data_set"] == str(first), "whose rows the statistics are of"
    found = verify.files(str(tmp_path / "third"))
    verify.compare(found, (), 100, None)
    assert found.faults == []


def test_a_repair_of_it(case, tmp_path):
    root = tmp_path / "out"
    done(SPEC, case.test, root, transform=str(case.folder / "both"))
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = read_rejected(read_manifest(str(root)).rejected_files)
    (row,) = table.to_pylist()
    row["record"] = json.dumps({**json.loads(row["record"]), "x": [1.0]}).encode()
    pq.write_table(pa.Table.from_pylist([row], table.schema), tmp_path / "mended.parquet")
    outcome = repair(Repair(str(tmp_path / "mended.parquet"), SPEC, str(root)))
    assert outcome.status == "done", outcome.message
    assert read_manifest(str(root)).rows == 62
    assert read_manifest(str(root)).content["transform_of"] == case.manifest.content["transform_of"]
    assert verify.files(str(root)).faults == []


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            ("normalizer_fn: z_score", "normalizer_fn: min_max"),
            "normalizer_fn: min_max",
        ),
        (("num_oov_buckets: 2", "num_oov_buckets: 3"), "num_oov_buckets: 3"),
        (("truncate: tail", "truncate: head"), "truncate"),
    ],
)
def test_columns_that_differ_are_refused_with_the_difference(case, tmp_path, changed, message):
    columns = write(tmp_path / "columns.yaml", [])
    columns.write_text(TEXT.replace(*changed))
    result = call(
        "run", columns, "--transform", case.folder / "both", "--input", case.test, "--output", tmp_path / "out"
    )
    assert result.exit_code == 2
    assert "the columns differ from those of" in result.output and message in result.output
    assert not (tmp_path / "out").exists()


def test_the_columns_file_may_be_left_out(case, tmp_path):
    columns = tmp_path / "columns.yaml"
    columns.write_text(TEXT)
    for given in ([columns], []):
        out = tmp_path / f"out{len(given)}"
        result = call("run", *given, "--transform", case.folder / "both", "--input", case.test, "--output", out)
        assert result.exit_code == 0, result.output
        assert read_arrays(out, "id")["x"].tobytes() == read_arrays(case.root, "id")["x"].tobytes()
    outcome = run(Request(None, [str(case.test)], str(tmp_path / "python"), transform=str(case.folder / "both")))  # type: ignore[arg-type]
    assert outcome.status == "done"
    result = call("run", "--input", case.test, "--output", tmp_path / "no")
    assert result.exit_code == 2 and "expected a columns file, or --transform" in result.output


@pytest.mark.parametrize(
    ("options", "name"),
    [
        ({"cache": "c"}, "--cache"),
        ({"statistics_inputs": ["a"]}, "--statistics-input"),
        ({"statistics_split": "test"}, "--statistics-split"),
    ],
)
def test_options_that_fit_do_not_apply(case, tmp_path, options, name):
    with pytest.raises(UsageError, match=f"{name}: does not apply, the statistics are those of --transform"):
        run_job(SPEC, case.test, tmp_path / "out", transform=str(case.folder / "both"), **options)


def test_what_has_no_transform(case, tmp_path):
    with pytest.raises(JobError, match="holds no finished data set"):
        run_job(SPEC, case.test, tmp_path / "out", transform=str(tmp_path))
    nothing = write(tmp_path / "nothing.jsonl", [])
    done(SPEC, nothing, tmp_path / "empty", allow_empty=True)
    with pytest.raises(UsageError, match="has no row that was written, and so no statistics"):
        run_job(SPEC, case.test, tmp_path / "out", transform=str(tmp_path / "empty"))


def test_a_graph_that_was_changed_is_refused(case, tmp_path):
    shutil.copytree(case.folder / "both", tmp_path / "damaged")
    (tmp_path / "damaged" / "transform" / "more").write_text("x")
    outcome = run_job(SPEC, case.test, tmp_path / "out", transform=str(tmp_path / "damaged"))
    assert outcome.status == "failed" and "is not what was published" in outcome.message
    assert not (tmp_path / "out" / "manifest.json").exists()


CALLS: list[int] = []


def test_functions_are_not_traced_again(case, tmp_path):
    factor = [2.0]

    def scaled(values):
        CALLS.append(1)
        return values * factor[0]

    spec = make_spec([passthrough_column("id", "int64"), sequence_numeric_column("x", normalizer_fn=scaled)])
    done(spec, case.train, tmp_path / "one")
    before, factor[0] = len(CALLS), 3.0
    assert before
    done(spec, case.train, tmp_path / "two", transform=str(tmp_path / "one"))
    assert len(CALLS) == before
    one, two = (read_arrays(tmp_path / name, "id") for name in ("one", "two"))
    assert all(one[name].tobytes() == two[name].tobytes() for name in one)


def test_a_rule_divides_new_rows_as_it_did_the_old_ones(case, tmp_path, monkeypatch):
    spec = make_spec(COLUMNS, split=BY_USER)
    done(spec, case.train, tmp_path / "first")
    tomorrow = rows_of(7, 50)
    path = write(tmp_path / "tomorrow.jsonl", tomorrow)
    monkeypatch.chdir(tmp_path)
    result = call("run", "--transform", "first", "--input", path, "--output", tmp_path / "second")
    assert result.exit_code == 0, result.output
    manifest = read_manifest(str(tmp_path / "second"))
    assert manifest.content["transform_of"]["data_set"] == str(tmp_path / "first")
    wanted = split_of(tomorrow)
    for name in manifest.splits:
        ids = arrays_of(manifest.split(name))["id"].tolist() if manifest.split(name).files else []
        assert sorted(ids) == [row["id"] for row, own in zip(tomorrow, wanted, strict=True) if own == name]
    only_test = write(
        tmp_path / "test.jsonl", [row for row, own in zip(tomorrow, wanted, strict=True) if own == "test"]
    )
    done(spec, only_test, tmp_path / "third", transform=str(tmp_path / "first"))  # an empty train is no fault here


def test_changed_words_of_a_file_are_refused(tmp_path):
    words = tmp_path / "words.txt"
    words.write_text("a\nb\n")
    text = (
        "version: 1\ncolumns:\n  - {type: sequence_categorical_column_with_vocabulary_file, key: w, "
        "vocabulary_file: words.txt}\n  - {type: sequence_numeric_column, key: x, group: x}\n"
        "sequence_groups: {sequence: {}, x: {}}\n"
    )
    (tmp_path / "columns.yaml").write_text(text)
    rows = write(tmp_path / "rows.jsonl", [{"w": ["a", "b"], "x": [1.0]}])
    assert call("run", tmp_path / "columns.yaml", "--input", rows, "--output", tmp_path / "one").exit_code == 0
    words.write_text("b\na\n")
    result = call("run", "--transform", tmp_path / "one", "--input", rows, "--output", tmp_path / "two")
    assert result.exit_code == 2
    assert "the words of column 'w' have changed since" in result.output


def test_what_people_may_have_meant(case, tmp_path):
    columns = tmp_path / "columns.yaml"
    columns.write_text(TEXT)
    result = call("run", columns, "--statistics-from", "x", "--input", case.test, "--output", tmp_path / "out")
    assert "--transform DIR uses columns, statistics and vocabularies of a finished data set" in result.output
    with pytest.raises(SpecError, match="the columns differ"):
        run_job(make_spec(COLUMNS), case.test, tmp_path / "out", transform=str(case.folder / "both"))
