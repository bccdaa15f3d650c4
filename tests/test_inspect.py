"""`seqcols inspect`: drafts that run as they are, for every source, for the demo and for real data."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from pipeline.command.demo import make_sample
from tests.inspecting import WRITERS, drafted, inspected, rejected, same_number
from tests.jobs import assert_balanced, done, read_arrays
from tests.marks import slow_but
from transforms.spec.spec import Spec


def kinds(spec: Spec) -> dict[str, str]:
    return {column.key: column.type_name for column in spec.columns}


def histories(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Rows of a key, a label, a word, an amount, and three sequences of one length and one of another."""
    random = np.random.default_rng(seed)
    made = []
    for k in range(count):
        n, m = random.integers(1, 9), random.integers(1, 5)
        made.append(
            {
                "id": f"user {k}",
                "label": int(random.integers(0, 3)),
                "country": str(random.choice(["CH", "FR", "IT"])),
                "age": float(random.normal(40, 10)),
                "items": random.integers(0, 50, n).tolist(),
                "seconds": random.gamma(2, 100, n).tolist(),
                "words": random.choice(["a b", "c", "d"], n).tolist(),
                "rooms": random.integers(0, 4, m).tolist(),
            }
        )
    return made


EXPECTED = {
    "id": "passthrough_column",
    "label": "categorical_column_with_identity",
    "country": "categorical_column_with_learned_vocabulary",
    "age": "numeric_column",
    "items": "sequence_categorical_column_with_identity",
    "seconds": "sequence_numeric_column",
    "words": "sequence_categorical_column_with_learned_vocabulary",
    "rooms": "sequence_categorical_column_with_identity",
}


@pytest.mark.parametrize("end", WRITERS)
def test_every_source_is_drafted_alike(tmp_path, end):
    rows = histories(240)
    for k in range(2):
        WRITERS[end](tmp_path / f"in-{k}.{end}", rows[120 * k : 120 * (k + 1)])
    spec, outcome = drafted(tmp_path, tmp_path / f"in-*.{end}")
    assert kinds(spec) == EXPECTED
    assert rejected(outcome) == 0
    assert outcome.ledger["rows"]["read"] == 240
    members = {name: sorted(column.key for column in spec.members(name)) for name in spec.group_names}
    assert sorted(members.values()) == [["items", "seconds", "words"], ["rooms"]]
    longest = {name: max(len(row[keys[0]]) for row in rows) for name, keys in members.items()}
    assert {name: spec.group(name).max_length for name in members} == longest


@pytest.mark.parametrize("end", slow_but(["parquet", "csv", "sequence.tfrecord"]))
def test_a_draft_runs_as_it_is(tmp_path, end):
    rows = histories(240)
    WRITERS[end](tmp_path / f"in.{end}", rows)
    spec, _ = drafted(tmp_path, tmp_path / f"in.{end}")
    outcome = done(spec, tmp_path / f"in.{end}", tmp_path / "out")
    assert outcome.ledger["rows"]["written"] == 240
    assert_balanced(outcome.ledger)
    made = read_arrays(tmp_path / "out", "id")
    order = sorted(range(240), key=lambda k: str(rows[k]["id"]))
    np.testing.assert_array_equal(made["items_length"], [len(rows[k]["items"]) for k in order])
    seconds = np.concatenate([row["seconds"] for row in rows]).astype(np.float32).astype(np.float64)
    first = np.array([rows[k]["seconds"][0] for k in order])
    np.testing.assert_allclose(made["seconds"][:, 0, 0], (first - seconds.mean()) / seconds.std(), rtol=1e-4, atol=1e-5)


def test_the_demo(tmp_path):
    """The sample's faults stay faults, but those of a step's width and of a number of ids, which nobody can know."""
    _, inputs, _ = make_sample(str(tmp_path / "demo"))
    spec, outcome = drafted(tmp_path, inputs)
    assert kinds(spec) == {
        "viewer": "passthrough_column",
        "videos": "sequence_categorical_column_with_identity",
        "watched": "sequence_numeric_column",
        "temperature": "sequence_numeric_column",
        "subscribed": "categorical_column_with_identity",
    }
    assert outcome.ledger["rows"]["rejected_by_reason"] == {"bad_record": 4, "not_a_number": 4}
    found = inspected(inputs)
    assert "2 values for each of 'videos' in 99.60% of the rows: perhaps shape: [2], group: videos" in " ".join(
        found.text().replace("\n  #", "").split()
    )


@pytest.mark.slow
def test_vowels(tmp_path, real_data):
    spec, outcome = drafted(tmp_path, real_data / "vowels/*.parquet")
    assert kinds(spec) == {"lpc": "sequence_numeric_column", "speaker": "categorical_column_with_identity"}
    assert rejected(outcome) == 0 and outcome.ledger["rows"]["read"] == 640
    assert spec.columns[1].model_dump()["num_buckets"] == 10
    assert "a multiple of 12 values in every row" in inspected(real_data / "vowels/*.parquet").text()
    assert done(spec, real_data / "vowels/*.parquet", tmp_path / "out").ledger["rows"]["written"] == 640


@pytest.mark.slow
def test_histories_of_commits(tmp_path, real_data):
    path = real_data / "commits/histories.parquet"
    spec, outcome = drafted(tmp_path, path)
    assert rejected(outcome) == 0
    assert kinds(spec)["actor"] == "categorical_column_with_hash_bucket"
    assert sorted(column.key for column in spec.members("items")) == ["hours", "items", "paths"]
    assert done(spec, path, tmp_path / "out").ledger["rows"]["rejected"] == 0


def test_a_sample_that_is_a_part(tmp_path, real_data):
    path = real_data / "commits/events-*.parquet"
    found = inspected(path, events=False)
    assert found.sample.rows == 5000 and not found.sample.is_whole
    spec, outcome = drafted(tmp_path, path, events=False)
    assert outcome.ledger["rows"]["read"] == 201_404 and rejected(outcome) == 0
    assert kinds(spec)["time"] == "numeric_column"


# Figures against pyarrow and NumPy on the files themselves.


def test_the_figures_of_real_data_are_those_of_numpy(real_data):
    path = real_data / "commits/histories.parquet"
    table = pq.read_table(path)
    for profile in inspected(path).profiles:
        column = table.column(profile.name).combine_chunks()
        assert profile.held == len(column) - column.null_count
        values = column.flatten() if pa.types.is_list(column.type) else column
        lengths = np.asarray(column.value_lengths()) if pa.types.is_list(column.type) else np.ones(len(column))
        np.testing.assert_array_equal(profile.lengths, lengths)
        assert profile.empty == int((lengths == 0).sum())
        if pa.types.is_string(values.type):
            counts = {one["values"]: one["counts"] for one in pc.value_counts(values).to_pylist()}
            word, times = profile.top
            assert profile.distinct == len(counts)
            assert counts[word.decode()] == times == max(counts.values())
            continue
        numbers = values.to_numpy(zero_copy_only=False)
        finite = numbers[np.isfinite(numbers.astype(np.float64))]
        assert profile.numbers.non_finite == len(numbers) - len(finite)
        assert profile.numbers.low == finite.min() and profile.numbers.high == finite.max()
        assert same_number(profile.numbers.mean, finite.astype(np.float64).mean())
        if numbers.dtype.kind == "i":
            assert profile.distinct == len(np.unique(numbers))


def test_the_table_shows_them(tmp_path):
    table = pa.table(
        {
            "x": pa.array([[1.5, None], [], None, [float("nan"), 4.5, 1e300]], pa.list_(pa.float64())),
            "n": pa.array([3, 1, 2, 6], pa.int32()),
            "w": pa.array([["b", "a"], ["a"], ["b\x1b[31m"], None]),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    lines = inspected(tmp_path / "in.parquet").table
    assert lines[0] == "sample: 4 rows, all rows of 1 file"
    assert [line.split() for line in lines[2:]] == [
        ["feature", "type", "rows", "empty", "min", "median", "95%", "max", "nulls", "non-finite", "values"],
        ["x", "list<double>", "3", "1", "0", "2", "3", "3", "1", "2", "1.5", "to", "4.5,", "mean", "3"],
        ["n", "int32", "4", "0", "1", "1", "1", "1", "0", "0", "1", "to", "6,", "mean", "3"],
        ["w", "list<text>", "3", "0", "1", "1", "2", "2", "0", "0", "3", "different,", "'a'", "2", "times"],
    ]


def test_nested_lists_say_how_wide_steps_are(tmp_path):
    kind = pa.list_(pa.list_(pa.float32(), 3))
    table = pa.table({"xyz": pa.array([[[1, 2, 3], [4, 5, 6]], [[7, 8, 9]]], kind), "tags": [[[1, 2], []], [[3]]]})
    pq.write_table(table, tmp_path / "in.parquet")
    spec, outcome = drafted(tmp_path, tmp_path / "in.parquet")
    assert rejected(outcome) == 0
    arguments = {column.key: column.model_dump() for column in spec.columns}
    assert arguments["xyz"]["shape"] == (3,) and arguments["tags"]["max_ids"] == 2
    assert spec.group_names == ["sequence"]


def test_long_rows_are_cut_and_the_draft_says_what(tmp_path):
    lengths = [*range(1, 100), 4000]
    pq.write_table(pa.table({"x": [np.arange(n) for n in lengths]}), tmp_path / "in.parquet")
    spec, _ = drafted(tmp_path, tmp_path / "in.parquet")
    size = spec.group("sequence").max_length
    assert size == np.percentile(lengths, 95, method="higher") == 96
    cut = sum(max(n - 96, 0) for n in lengths) / sum(lengths)
    text = " ".join(inspected(tmp_path / "in.parquet").text().replace("\n  #", "").split())
    assert f"4.0% of the sample's rows with steps have more, up to 4,000: cut off are {cut:.1%} of all steps" in text


# The sample


def test_a_sample_is_spread_over_files_and_row_groups(tmp_path):
    for k in range(3):
        rows = [{"n": 10_000 * k + i} for i in range(1000)]
        WRITERS["parquet"](tmp_path / f"{k}.parquet", rows)
    found = inspected(tmp_path / "*.parquet", rows=300)
    assert set(found.sample.read.values()) == {100}
    numbers = np.concatenate([batch.column("n").to_numpy() for batch in found.sample.batches])
    assert sorted(set(numbers.tolist())) == [
        10_000 * k + 100 * g + i for k in range(3) for g in range(10) for i in range(10)
    ]


@pytest.mark.parametrize("rows", [1, 99, 100, 101, 1000])
def test_a_sample_has_as_many_rows_as_there_are(tmp_path, rows):
    """A file with few rows leaves its share to the others."""
    WRITERS["jsonl"](tmp_path / "a.jsonl", [{"n": k} for k in range(97)])
    WRITERS["jsonl"](tmp_path / "b.jsonl", [{"n": k} for k in range(3)])
    sample = inspected(tmp_path / "*.jsonl", rows=rows).sample
    assert sample.rows == min(rows, 100)
    assert sample.is_whole == (rows >= 100)


def test_a_feature_of_late_rows_alone_is_found(tmp_path):
    """A file that is read further than its share is looked at again for the names of features."""
    for k in range(20):
        WRITERS["tfrecord"](tmp_path / f"{k:02}.tfrecord", [{"n": 1}])
    WRITERS["tfrecord"](tmp_path / "long.tfrecord", [{"n": 1}] * 400 + [{"n": 2, "late": "x"}])
    found = inspected(tmp_path / "*.tfrecord", rows=1000)
    assert found.sample.is_whole
    assert {profile.name: profile.held for profile in found.profiles} == {"n": 421, "late": 1}


def test_more_files_than_are_open_at_once(tmp_path):
    for k in range(150):
        WRITERS["jsonl"](tmp_path / f"{k:03}.jsonl", [{"n": k}])
    assert inspected(tmp_path / "*.jsonl").sample.is_whole
    few = inspected(tmp_path / "*.jsonl", rows=10).sample
    numbers = [value for batch in few.batches for value in batch.column("n").to_pylist()]
    assert len(numbers) == 10 and max(numbers) - min(numbers) < 150 and not few.is_whole
