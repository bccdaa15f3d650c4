"""Whole jobs with splits: every row once, in its split or rejected, by the figures of train."""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file.reader import dumps
from pipeline.compare.comparison import compare
from pipeline.compare.described import read as described
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.job import wiring
from pipeline.job.request import Request
from pipeline.job.running import check
from pipeline.job.verdict import check_analysis
from pipeline.loaders import numpy_batches
from pipeline.planning.plan import plan
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.verify import verify
from tests.jobs import arrays_of, assert_balanced, call, done, read_json, read_rejected, run_job
from transforms import (
    SequenceGroup,
    make_spec,
    passthrough_column,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
)
from transforms.errors import JobError, SpecError
from transforms.splits.assign import assigned
from transforms.splits.rule import Split

BY_USER = Split(by="key", key="user", fractions={"train": 0.6, "validation": 0.2, "test": 0.2})
COLUMNS = [
    passthrough_column("id", "int64"),
    sequence_numeric_column("x", normalizer_fn="z_score"),
]
SPEC = make_spec(COLUMNS, split=BY_USER)
NAMES = ("train", "validation", "test")


def rows_of(seed: int, count: int) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [
        {"id": k, "user": rng.randrange(40), "x": [rng.uniform(-9, 9) for _ in range(rng.randrange(7))]}
        for k in range(count)
    ]


def write(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def split_of(rows: list[dict[str, Any]], rule: Split = BY_USER) -> list[str]:
    codes, _ = assigned(pa.RecordBatch.from_pydict({"user": [row.get("user") for row in rows]}), rule)
    return [rule.split_names[code] for code in codes]


class Case:
    """Two files with rows of all kinds, and the data set made of them."""

    def __init__(self, folder: Path):
        self.rows = rows_of(3, 300)
        for k in (10, 110, 210):
            self.rows[k]["x"] = ["bad"]
        for k in (20, 220):
            del self.rows[k]["user"]
        texts: list[Any] = list(self.rows)
        self.files = [
            write(folder / "a.jsonl", [*texts[:150], "{broken"]),
            write(folder / "b.jsonl", texts[150:]),
        ]
        self.root = folder / "out"
        self.outcome = done(SPEC, self.files, self.root, workers=2)
        self.manifest = read_manifest(str(self.root))
        self.split = split_of(self.rows)

    def good(self, name: str) -> list[dict[str, Any]]:
        return [
            r for r, s in zip(self.rows, self.split, strict=True) if s == name and "user" in r and r["x"] != ["bad"]
        ]


@pytest.fixture(scope="module")
def case(tmp_path_factory) -> Case:
    return Case(tmp_path_factory.mktemp("splits"))


def test_every_row_is_in_its_split_or_rejected(case):
    assert case.manifest.splits == list(NAMES)
    seen = Counter()
    for name in NAMES:
        arrays = arrays_of(case.manifest.split(name))
        assert sorted(arrays["id"].tolist()) == [row["id"] for row in case.good(name)]
        seen.update(arrays["id"].tolist())
    assert max(seen.values()) == 1
    rejected = read_rejected(case.manifest.rejected_files).to_pylist()
    found = [(Path(row["file"]).name, row["row"], row["reason"], row["split"]) for row in rejected]
    assert found == [
        ("a.jsonl", 10, "not_a_number", case.split[10]),
        ("a.jsonl", 20, "no_split", ""),
        ("a.jsonl", 110, "not_a_number", case.split[110]),
        ("a.jsonl", 150, "bad_record", ""),
        ("b.jsonl", 60, "not_a_number", case.split[210]),
        ("b.jsonl", 70, "no_split", ""),
    ]


def test_train_alone_gives_the_statistics(case, tmp_path):
    values = np.array([v for row in case.good("train") for v in row["x"]], np.float32).astype(np.float64)
    statistics = read_json(case.root, "statistics.json")
    assert statistics["split"] == "train" == case.manifest.statistics_split
    assert statistics["columns"]["x"]["count"] == [len(values)]
    np.testing.assert_allclose(statistics["columns"]["x"]["mean"], [values.mean()], rtol=1e-12)
    np.testing.assert_allclose(statistics["columns"]["x"]["variance"], [values.var()], rtol=1e-12)
    alone = done(make_spec(COLUMNS), write(tmp_path / "train.jsonl", case.good("train")), tmp_path / "alone")
    assert alone.ledger["rows"]["written"] == len(case.good("train"))
    own = read_json(tmp_path / "alone", "statistics.json")["columns"]["x"]
    assert [own[what] for what in ("mean", "variance", "min", "max", "count")] == [
        statistics["columns"]["x"][what] for what in ("mean", "variance", "min", "max", "count")
    ]
    for name in NAMES:
        arrays = arrays_of(case.manifest.split(name))
        by_id = {row["id"]: row["x"] for row in case.good(name)}
        for number, made, length in zip(arrays["id"], arrays["x"], arrays["sequence_length"], strict=True):
            wanted = (np.array(by_id[number], np.float32) - values.mean()) / values.std()
            np.testing.assert_allclose(made[:length, 0], wanted, rtol=1e-5, atol=1e-6)


def test_train_alone_gives_the_quantiles(case, tmp_path):
    columns = [passthrough_column("id", "int64"), sequence_numeric_column("x", normalizer_fn="robust")]
    done(make_spec(columns, split=BY_USER), case.files, tmp_path / "out")
    values = np.concatenate([np.array(row["x"], np.float32) for row in case.good("train")]).astype(np.float64)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    for name in NAMES:
        arrays = arrays_of(read_manifest(str(tmp_path / "out")).split(name))
        by_id = {row["id"]: row["x"] for row in case.good(name)}
        for number, made, length in zip(arrays["id"], arrays["x"], arrays["sequence_length"], strict=True):
            wanted = (np.array(by_id[number], np.float32) - middle) / (high - low)
            np.testing.assert_allclose(made[:length, 0], wanted, rtol=1e-5, atol=1e-5)


def test_the_ledger_balances_by_split(case):
    book = read_json(case.root, "ledger.json")
    assert_balanced(book)
    for name in NAMES:
        assert_balanced(book["splits"][name])
        own = book["splits"][name]["rows"]
        assert own["written"] == len(case.good(name)) == case.manifest.split(name).rows
        assert case.manifest.content["splits"]["rows"][name] == {k: own[k] for k in ("read", "written", "rejected")}
    left = {
        what: book["rows"][what] - sum(book["splits"][n]["rows"][what] for n in NAMES)
        for what in ("read", "written", "rejected")
    }
    assert left == {"read": 3, "written": 0, "rejected": 3}, "a broken record, and two without a key"


def test_the_report_has_every_split(case):
    page = (case.root / "report.html").read_text()
    for name in NAMES:
        own = read_json(case.root, "ledger.json")["splits"][name]["rows"]
        assert re.search(
            rf"<tr><th[^>]*>[^\n]*>{name}<[^\n]*<td>{own['read']:,}</td><td>{own['written']:,}</td>", page
        ), name
    assert re.search(r"Statistics are of \d+ rows of [^\n]*train", page)


def test_nobody_trains_on_test(case):
    with pytest.raises(ValueError, match="ask split"):
        _ = case.manifest.files
    with pytest.raises(ValueError, match="one of train, validation, test"):
        case.manifest.feature_spec()
    with pytest.raises(ValueError, match=r"got 'tset'; did you mean 'test'"):
        case.manifest.split("tset")
    with pytest.raises(
        UsageError, match="split: expected the name of a split, one of train, validation, test, got None"
    ):
        numpy_batches(str(case.root), 4)
    assert case.manifest.content["format_version"] == 3
    assert all(f"-{entry['split']}-" in entry["path"] for entry in case.manifest.content["examples"]["files"])
    batches = numpy_batches(str(case.root), 1000, split="test")
    (batch,) = batches
    assert sorted(batch["id"].tolist()) == [row["id"] for row in case.good("test")]
    with pytest.raises(UsageError, match="split: expected none, as the data set has no splits, got 'test'"):
        numpy_batches(str(one_split(case)), 1000, split="test")


def test_rows_without_a_split_are_not_called_rows_without_features(tmp_path):
    rows = [{"id": k, "user": True, "x": [1.0]} for k in range(5)]
    outcome = run_job(SPEC, write(tmp_path / "a.jsonl", rows), tmp_path / "out")
    assert outcome.status == "too_many_rejected" and "5 of 5 rows" in outcome.message
    kept = [*rows_of(3, 300), *({"id": 300 + k, "x": [1.0]} for k in range(10))]
    path = write(tmp_path / "b.jsonl", kept)
    roots = [str(tmp_path / name) for name in ("one", "other")]
    for root in roots:
        done(SPEC, path, Path(root))
    compared = compare(*map(described, roots))
    held = [figure for part in compared.parts for figure in part.figures if figure.label == "rows that hold it"]
    assert held and all(figure.sides == (1.0, 1.0) for figure in held)


def one_split(case: Case) -> Path:
    root = case.root.parent / "plain"
    if not root.exists():
        done(make_spec(COLUMNS), case.files[1], root)
    return root


def test_it_is_verified(case):
    found = verify.files(str(case.root))
    assert found.faults == []
    verify.compare(found, (), 1000, None)
    assert found.faults == [] and found.compared is not None and found.compared.rows >= 200


def test_check_and_plan_know_splits(case):
    outcome = check(Request(SPEC, [str(path) for path in case.files]))
    assert outcome.ledger["splits"] == case.outcome.ledger["splits"]
    lengths = Counter(len(row["x"]) for row in case.good("train"))
    planned = plan(Request(SPEC, [str(path) for path in case.files]))
    assert planned.groups["sequence"]["rows"] == sum(lengths.values())


def test_a_split_of_a_data_set_is_an_input(case, tmp_path):
    with pytest.raises(JobError, match="has the splits train, validation, test"):
        run_job(LONGEST, case.root, tmp_path / "out")
    outcome = done(LONGEST, [f"train={case.root}", f"test={case.root}"], tmp_path / "out")
    assert {n: own["rows"]["written"] for n, own in outcome.ledger["splits"].items()} == {
        n: len(case.good(n)) for n in ("train", "test")
    }


def test_a_repair_finds_the_split_anew(case, tmp_path):
    root = tmp_path / "out"
    done(SPEC, case.files, root)
    table = read_rejected(read_manifest(str(root)).rejected_files)
    mended = []
    for row in table.to_pylist():
        if row["reason"] == "no_split":
            record = json.loads(row["record"])
            row["record"] = json.dumps({**record, "user": 1}).encode()
        elif row["reason"] == "not_a_number":
            record = json.loads(row["record"])
            row["record"] = json.dumps({**record, "x": [1.0], "user": 5}).encode()
        mended.append(row)
    pq.write_table(pa.Table.from_pylist(mended, table.schema), tmp_path / "mended.parquet")
    outcome = repair(Repair(str(tmp_path / "mended.parquet"), SPEC, str(root)))
    assert outcome.status == "done", outcome.message
    assert outcome.repaired == {
        "read": 6,
        "written": 5,
        "rejected": 1,
        **{k: v for k, v in outcome.repaired.items() if k not in ("read", "written", "rejected")},
    }
    book = read_json(root, "ledger.json")
    assert_balanced(book)
    manifest = read_manifest(str(root))
    ones, fives = split_of([{"user": 1}, {"user": 5}])
    for name in NAMES:
        own = book["splits"][name]
        assert own["rows"]["read"] == own["rows"]["written"] + own["rows"]["rejected"] == manifest.split(name).rows
        ids = set(arrays_of(manifest.split(name))["id"].tolist())
        assert {20, 220} <= ids or name != ones
        assert {10, 110, 210} <= ids or name != fives
    assert verify.files(str(root)).faults == []
    rule = re.escape("expected that of the data set, split: {by: key, key: user, ")
    with pytest.raises(SpecError, match=f"split: {rule}.*, got none$"):
        repair(Repair(str(root), make_spec(COLUMNS)))


def test_named_inputs(case, tmp_path):
    spec = make_spec(COLUMNS)
    more = write(tmp_path / "c.jsonl", rows_of(4, 10))
    inputs = [f"train={case.files[0]}", f"train={more}", f"test={case.files[1]}"]
    outcome = done(spec, inputs, tmp_path / "out", max_rejected=0.05)
    assert {n: own["rows"]["read"] for n, own in outcome.ledger["splits"].items()} == {"train": 161, "test": 150}
    manifest = read_manifest(str(tmp_path / "out"))
    assert {Path(i["path"]).name: i["split"] for i in manifest.content["inputs"]} == {
        "a.jsonl": "train",
        "b.jsonl": "test",
        "c.jsonl": "train",
    }
    rejected = read_rejected(manifest.rejected_files)
    assert set(zip(rejected["reason"].to_pylist(), rejected["split"].to_pylist(), strict=True)) == {
        ("not_a_number", "train"),
        ("bad_record", "train"),
        ("not_a_number", "test"),
    }
    alone = done(spec, [case.files[0], more], tmp_path / "alone")
    assert alone.ledger["columns"] == outcome.ledger["splits"]["train"]["columns"]
    for what in ("mean", "variance"):
        assert (
            read_json(tmp_path / "alone", "statistics.json")["columns"]["x"][what]
            == read_json(tmp_path / "out", "statistics.json")["columns"]["x"][what]
        )
    assert verify.files(str(tmp_path / "out")).faults == []


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        (["trian={}/a.jsonl"], "unknown split 'trian', expected one of train, validation, test; did you mean 'train'"),
        (["fold1={}/a.jsonl"], r"unknown split 'fold1'.*split: \{by: input, names: \[fold1"),
        (["train={}/a.jsonl", "{}/b.jsonl"], "names no split, as the others do"),
        (["train={}/a.jsonl", "test={}/*.jsonl"], "is in the splits 'train' and 'test'"),
        (
            ["test={}/a.jsonl"],
            "--statistics-split: expected one of test, got 'train'; --statistics-split names another",
        ),
    ],
)
def test_inputs_that_are_refused(case, tmp_path, inputs, message):
    with pytest.raises(UsageError, match=message):
        run_job(make_spec(COLUMNS), [one.format(case.root.parent) for one in inputs], tmp_path / "out")


def test_a_file_of_another_split_does_not_count_for_the_statistics(case, tmp_path):
    train, test = case.files
    (tmp_path / "linked.jsonl").symlink_to(test)
    for file in (test, tmp_path / "linked.jsonl"):
        with pytest.raises(UsageError, match=rf"--statistics-input: '.*{file.name}' is in the split 'test', and would"):
            run_job(
                make_spec(COLUMNS), [f"train={train}", f"test={test}"], tmp_path / "out", statistics_inputs=[str(file)]
            )
    more = write(tmp_path / "more.jsonl", case.rows[:9])
    inputs = [f"train={train}", f"test={test}"]
    with pytest.raises(UsageError, match=r"'test=.*jsonl': names a split, .* statistics of 'train' alone; drop test="):
        run_job(make_spec(COLUMNS), inputs, tmp_path / "out", statistics_inputs=[f"test={more}"])
    asked = {"statistics_inputs": [str(more), str(train)]}
    outcome = done(make_spec(COLUMNS), [f"train={train}", f"test={test}"], tmp_path / "out", **asked)
    assert outcome.ledger["splits"]["train"]["rows"]["read"] == 151
    counted = [row for row in (*case.rows[:9], *case.rows[:150]) if row["x"] != ["bad"]]
    statistics = read_json(tmp_path / "out", "statistics.json")
    assert statistics["columns"]["x"]["count"] == [sum(len(row["x"]) for row in counted)]


def test_what_is_a_path_and_what_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = make_spec(COLUMNS)
    for folder in ("day=27", "train=1", "1"):
        (tmp_path / folder).mkdir()
        write(tmp_path / folder / "rows.jsonl", rows_of(1, 5))
    outcome = done(spec, "day=27/*", tmp_path / "day")
    assert "splits" not in outcome.ledger, "day is no name of a split"
    with pytest.raises(UsageError, match=r"files are there by the whole text, and by '1/rows.jsonl'"):
        run_job(spec, "train=1/rows.jsonl", tmp_path / "both")
    outcome = done(spec, "./train=1/rows.jsonl", tmp_path / "path")
    assert "splits" not in outcome.ledger
    outcome = done(spec, "train=./1/rows.jsonl", tmp_path / "name")
    assert list(outcome.ledger["splits"]) == ["train"]
    declared = make_spec(COLUMNS, split=Split(by="input", names=["train", "day"]))
    outcome = done(declared, ["train=./1/*", "day=./day=27/*"], tmp_path / "declared")
    assert list(outcome.ledger["splits"]) == ["train", "day"]
    with pytest.raises(UsageError, match="names no split, and split: has by: input"):
        run_job(declared, "1/*", tmp_path / "none")
    with pytest.raises(UsageError, match="names a split, and the columns file divides the rows by key"):
        run_job(SPEC, "train=./1/*", tmp_path / "two")


LONGEST = make_spec([passthrough_column("id", "int64"), sequence_numeric_column("x")])


@pytest.mark.parametrize("truncate", ["head", "tail"])
def test_the_longest_row_of_train_decides_t(tmp_path, truncate):
    spec = make_spec(LONGEST.columns, SequenceGroup(truncate=truncate))
    train = write(tmp_path / "train.jsonl", [{"id": 0, "x": [1, 2, 3]}, {"id": 1, "x": []}])
    test = write(tmp_path / "test.jsonl", [{"id": 2, "x": [1, 2, 3, 4, 5]}, {"id": 3, "x": [6]}])
    outcome = done(spec, [f"train={train}", f"test={test}"], tmp_path / "out")
    assert outcome.ledger["splits"]["test"]["columns"]["x"]["truncated"] == 2
    arrays = arrays_of(read_manifest(str(tmp_path / "out")).split("test"))
    assert arrays["x"].shape == (2, 3, 1) and arrays["sequence_length"].tolist() == [3, 1]
    assert arrays["x"][0, :, 0].tolist() == ([1, 2, 3] if truncate == "head" else [3, 4, 5])
    found = verify.files(str(tmp_path / "out"))
    verify.compare(found, (), 100, None)
    assert found.faults == []


def test_another_split_may_give_the_statistics(case, tmp_path):
    done(SPEC, case.files, tmp_path / "out", statistics_split="test")
    values = np.array([v for row in case.good("test") for v in row["x"]], np.float32).astype(np.float64)
    statistics = read_json(tmp_path / "out", "statistics.json")
    assert statistics["split"] == "test" and statistics["columns"]["x"]["count"] == [len(values)]
    with pytest.raises(UsageError, match="expected one of train, validation, test, got 'tset'; did you mean 'test'"):
        run_job(SPEC, case.files, tmp_path / "no", statistics_split="tset")
    with pytest.raises(UsageError, match="'test': the data set has no splits"):
        run_job(make_spec(COLUMNS), case.files, tmp_path / "no", statistics_split="test")


def test_too_many_rejects_in_one_split(tmp_path):
    good = rows_of(1, 100)
    files = [
        write(tmp_path / "train.jsonl", good[:90]),
        write(tmp_path / "test.jsonl", [*good[90:98], *({"id": 0, "x": ["bad"]} for _ in range(2))]),
    ]
    inputs = [f"train={files[0]}", f"test={files[1]}"]
    outcome = run_job(make_spec(COLUMNS), inputs, tmp_path / "out")
    assert outcome.status == "too_many_rejected"
    assert outcome.message.startswith("split 'test': 2 of 10 rows rejected (20.00%), --max-rejected allows 10.00%")
    done(make_spec(COLUMNS), inputs, tmp_path / "out", max_rejected=0.2)


def test_a_split_without_rows(tmp_path):
    train = write(tmp_path / "train.jsonl", rows_of(1, 5))
    bad = write(tmp_path / "test.jsonl", [{"id": 0, "x": ["bad"]}])
    outcome = done(make_spec(COLUMNS), [f"train={train}", f"test={bad}"], tmp_path / "out", max_rejected=1.0)
    assert "the split 'test' has no rows" in outcome.notes
    assert read_manifest(str(tmp_path / "out")).split("test").files == []
    outcome = run_job(make_spec(COLUMNS), [f"train={bad}", f"test={train}"], tmp_path / "none", max_rejected=1.0)
    assert outcome.status == "failed"
    assert outcome.message.startswith(
        "no rows to write of the split 'train', whose statistics the others need: 1 read, 1 rej"
    )


def test_buckets_and_splits(tmp_path, case):
    policy = SequenceGroup(max_length=6, bucket_by_length=(2, 4))
    spec = make_spec(COLUMNS, policy, split=BY_USER)
    done(spec, case.files, tmp_path / "out", format="parquet")
    manifest = read_manifest(str(tmp_path / "out"))
    for name in NAMES:
        own = manifest.split(name)
        ids = [i for size in own.bucket_lengths for i in arrays_of(own.bucket(size))["id"].tolist()]
        assert sorted(ids) == [row["id"] for row in case.good(name)]
    assert verify.files(str(tmp_path / "out")).faults == []


def test_words_are_learned_from_train(tmp_path):
    spec = make_spec([sequence_categorical_column_with_learned_vocabulary("w", num_oov_buckets=1)])
    train = write(tmp_path / "train.jsonl", [{"w": ["a", "a", "b"]}])
    test = write(tmp_path / "test.jsonl", [{"w": ["c", "a"]}])
    done(spec, [f"train={train}", f"test={test}"], tmp_path / "out")
    manifest = read_manifest(str(tmp_path / "out"))
    assert arrays_of(manifest.split("test"))["w"].tolist() == [[2, 0, -1]]
    columns = tmp_path / "columns.yaml"
    columns.write_text(dumps(spec))
    asked = ("--input", f"train={train}", "--input", f"test={test}", "--statistics-split", "test")
    result = call("run", columns, *asked, "--output", tmp_path / "of_test")
    assert result.exit_code == 0, result.output
    manifest = read_manifest(str(tmp_path / "of_test"))
    assert manifest.vocabularies["w"].texts == [b"a", b"c"]
    assert arrays_of(manifest.split("train"))["w"].tolist() == [[0, 0]]  # T is that of test, too


def test_the_cache_knows_the_rule(tmp_path, case):
    cache = str(tmp_path / "cache")
    first = done(SPEC, case.files, tmp_path / "one", cache=cache)
    again = done(SPEC, case.files, tmp_path / "two", cache=cache)
    assert first.notes == again.notes == []
    assert read_json(tmp_path / "two", "statistics.json")["of"]["from_cache"] == 2
    other = make_spec(COLUMNS, split=BY_USER.model_copy(update={"seed": 1}))
    done(other, case.files, tmp_path / "three", cache=cache)
    assert read_json(tmp_path / "three", "statistics.json")["of"]["from_cache"] == 0
    one, two, three = (read_json(tmp_path / n, "statistics.json")["columns"]["x"] for n in ("one", "two", "three"))
    assert one == two != three
    assert one["mean"] == read_json(case.root, "statistics.json")["columns"]["x"]["mean"]


def test_a_file_that_changes_in_another_split_than_train(tmp_path, case, monkeypatch):
    """The analysis looks at no value of test, and notices all the same."""
    rows = [dict(row) for row in case.rows if "user" in row and row["x"] != ["bad"]]
    path = write(tmp_path / "a.jsonl", rows)
    at = next(k for k, row in enumerate(rows) if split_of([row]) == ["test"] and row["x"])

    def changes(*arguments):
        check_analysis(*arguments)
        write(path, [*rows[:at], {**rows[at], "x": [*rows[at]["x"][:-1], 8.75]}, *rows[at + 1 :]])

    monkeypatch.setattr(wiring, "check_analysis", changes)
    outcome = run_job(SPEC, path, tmp_path / "out")
    assert outcome.status == "failed" and "changed during the run" in outcome.message
