"""The main job on real input: utterances of 12 values a step, and histories of 1 to 12,576 steps with genuine NaN."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft

import transforms
from tests.jobs import assert_balanced, done, read_arrays, read_json, read_rejected, recovered
from tests.marks import slow_but
from transforms import (
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

T = 64


def ragged(table: pa.Table, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Values and row splits of a list column."""
    column = table.column(name).combine_chunks()
    lengths = np.asarray(column.value_lengths())
    return column.flatten().to_numpy(), np.concatenate([[0], np.cumsum(lengths)])


def close(got: Any, expected: Any, rtol: float = 1e-9) -> None:
    np.testing.assert_allclose(np.asarray(got, np.float64), expected, rtol=rtol, atol=0)


# Vowels

LPC = sequence_numeric_column("lpc", (12,), normalizer_fn="z_score")
SPEAKER = numeric_column("speaker", dtype="int64")


def vowels(data: Path, split: str) -> tuple[pa.Table, np.ndarray, np.ndarray]:
    """A split's table, its steps `[steps, 12]` in float64, and the row splits in steps."""
    table = pq.read_table(data / "vowels" / f"{split}.parquet")
    values, splits = ragged(table, "lpc")
    return table, values.astype(np.float64).reshape(-1, 12), splits // 12


@pytest.fixture(scope="module", params=slow_but([29, "longest"]))
def utterances(request, real_data, tmp_path_factory) -> tuple[Any, Path, int]:
    """A job over train: T as the issue asks for it (the longest of both splits), or the longest of train, which is 26."""
    spec = make_spec([LPC, SPEAKER], SequenceGroup(max_length=request.param))
    root = tmp_path_factory.mktemp("vowels")
    outcome = done(spec, real_data / "vowels/train.parquet", root)
    assert_balanced(outcome.ledger)
    size = 26 if request.param == "longest" else request.param
    expected = {"values": 51_288, "kept": 51_288, "padded": 270 * size * 12 - 51_288, "truncated": 0, "rejected": 0}
    assert {what: outcome.ledger["columns"]["lpc"][what] for what in expected} == expected
    return spec, root, size


def test_vowels_are_normalised_per_dimension(utterances, real_data):
    _, root, size = utterances
    table, raw, splits = vowels(real_data, "train")
    made = read_arrays(root)
    assert made["lpc"].shape == (270, size, 12) and made["lpc"].dtype == np.float32
    np.testing.assert_array_equal(made["sequence_length"], np.diff(splits))
    np.testing.assert_array_equal(made["sequence_mask"], np.arange(size) < np.diff(splits)[:, None])
    np.testing.assert_array_equal(made["speaker"][:, 0], table["speaker"].to_numpy())
    present = made["lpc"][made["sequence_mask"]].astype(np.float64)
    assert np.abs(present.mean(axis=0)).max() < 1e-5
    assert np.abs(present.var(axis=0) - 1).max() < 1e-5
    assert not made["lpc"][~made["sequence_mask"]].any()
    np.testing.assert_allclose(present, (raw - raw.mean(axis=0)) / raw.std(axis=0), rtol=1e-6, atol=1e-7)


def test_vowels_statistics_are_those_of_numpy(utterances, real_data):
    _, root, size = utterances
    _, raw, splits = vowels(real_data, "train")
    statistics = read_json(root, "statistics.json")
    lpc = statistics["columns"]["lpc"]
    assert lpc["count"] == [len(raw)] * 12 and len(raw) == 4274
    for name, expected in {"mean": raw.mean(0), "variance": raw.var(0), "min": raw.min(0), "max": raw.max(0)}.items():
        close(lpc[name], expected)
    group, lengths = statistics["groups"]["sequence"], np.diff(splits)
    assert (group["T"], group["rows"], group["max"]) == (size, 270, 26)
    close(group["mean"], lengths.mean())
    assert group["histogram"] == np.stack(np.unique(lengths, return_counts=True), axis=1).tolist()


def test_the_test_split_takes_the_statistics_of_train(utterances, real_data):
    """Through the in-memory call and through tf.Transform's own class. Utterances longer than T are cut at their end."""
    spec, root, size = utterances
    _, raw, _ = vowels(real_data, "train")
    table, steps, splits = vowels(real_data, "test")
    normal = (steps - raw.mean(axis=0)) / raw.std(axis=0)
    lengths = np.minimum(np.diff(splits), size)
    kept = np.concatenate([normal[start : start + n] for start, n in zip(splits[:-1], lengths, strict=True)])

    applied = transforms.apply(table, spec, transform=str(root / "transform"))
    assert applied.rejected.num_rows == 0 and applied["lpc"].shape == (370, size, 12)
    np.testing.assert_array_equal(applied.lengths(), lengths)
    np.testing.assert_allclose(applied["lpc"][applied.mask()], kept, rtol=1e-6, atol=1e-7)
    assert not applied["lpc"][~applied.mask()].any()
    np.testing.assert_array_equal(applied["speaker"][:, 0], table["speaker"].to_numpy())

    output = tft.TFTransformOutput(str(root / "transform"))
    lpc = tf.RaggedTensor.from_row_splits(steps.astype(np.float32).reshape(-1), splits * 12)
    speaker = tf.RaggedTensor.from_row_splits(table["speaker"].to_numpy(), np.arange(371))
    served = output.transform_raw_features({"lpc": lpc, "speaker": speaker})
    dense = served["lpc"].to_tensor() if isinstance(served["lpc"], tf.RaggedTensor) else served["lpc"]
    np.testing.assert_array_equal(dense, applied["lpc"])


# Histories

HISTORY = SequenceGroup(max_length=T, truncate="tail")


def columns(non_finite: str) -> list[Any]:
    mask = {"observed_mask": True} if non_finite == "fill" else {}
    return [
        passthrough_column("actor", "int64"),
        passthrough_column("repository"),
        sequence_categorical_column_with_identity("items", 23360, group="history"),
        sequence_numeric_column(
            "churn", (2,), -1.0, normalizer_fn="z_score", non_finite=non_finite, group="history", **mask
        ),
        sequence_numeric_column("hours", normalizer_fn="z_score", group="history"),
        categorical_column_with_identity("returned", 2),
    ]


class Oracle:
    """What the histories must become, row by row in plain NumPy."""

    def __init__(self, data: Path):
        self.table = pq.read_table(data / "commits/histories.parquet")
        self.keys = list(zip(self.table["actor"].to_pylist(), self.table["repository"].to_pylist(), strict=True))
        churn, splits = ragged(self.table, "churn")
        self.churn = [churn[a:b].reshape(-1, 2) for a, b in itertools.pairwise(splits)]
        hours, splits = ragged(self.table, "hours")
        self.hours = [hours[a:b].reshape(-1, 1) for a, b in itertools.pairwise(splits)]
        items, splits = ragged(self.table, "items")
        self.items = [items[a:b] for a, b in itertools.pairwise(splits)]
        self.lengths = np.array([len(row) for row in self.items])
        self.holed = np.array([bool(np.isnan(row).any()) for row in self.churn])

    def fit(self, sequences: list[np.ndarray], rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Mean and variance over the kept, finite values of some rows, by dimension."""
        kept = np.concatenate([sequences[row][-T:] for row in rows]).astype(np.float64)
        return np.nanmean(kept, axis=0), np.nanvar(kept, axis=0)


@pytest.fixture(scope="module")
def oracle(real_data) -> Oracle:
    made = Oracle(real_data)
    assert len(set(made.keys)) == len(made.keys) == 4933
    assert (made.lengths.min(), made.lengths.max()) == (1, 12_576)
    assert made.holed.any() and not made.holed.all()
    return made


@pytest.fixture(scope="module", params=slow_but(["fill", "reject"]))
def histories(request, real_data, tmp_path_factory) -> tuple[str, Path, Any]:
    root = tmp_path_factory.mktemp("histories")
    spec = make_spec(columns(request.param), {"history": HISTORY})
    made = "parquet" if request.param == "fill" else "tfrecord.gz"
    outcome = done(spec, real_data / "commits/histories.parquet", root, format=made, max_rejected=1.0)
    return request.param, root, outcome


def accepted(oracle: Oracle, policy: str) -> np.ndarray:
    return np.flatnonzero(~oracle.holed) if policy == "reject" else np.arange(len(oracle.keys))


@pytest.mark.slow
def test_every_history_is_what_numpy_makes_of_it(histories, oracle):
    policy, root, _ = histories
    made = read_arrays(root)
    rows = accepted(oracle, policy)
    churn, hours = oracle.fit(oracle.churn, rows), oracle.fit(oracle.hours, rows)
    names = [text.decode() if isinstance(text, bytes) else text for text in made["repository"]]
    place = {key: k for k, key in enumerate(zip(made["actor"].tolist(), names, strict=True))}
    assert len(place) == len(rows) == len(names)
    for row in rows:
        k, length = place[oracle.keys[row]], min(oracle.lengths[row], T)
        assert made["history_length"][k] == length and made["history_mask"][k].tolist() == [
            i < length for i in range(T)
        ]
        np.testing.assert_array_equal(
            made["items"][k], np.pad(oracle.items[row][-T:], (0, T - length), constant_values=-1)
        )
        assert made["returned"][k] == oracle.table["returned"][int(row)].as_py()
        for name, sequence, (mean, variance), padding in (
            ("churn", oracle.churn, churn, -1.0),
            ("hours", oracle.hours, hours, 0.0),
        ):
            kept = sequence[row][-T:]
            normal = (kept.astype(np.float64) - mean) / np.sqrt(variance)
            np.testing.assert_allclose(
                made[name][k][:length], np.where(np.isnan(kept), padding, normal), rtol=2e-6, atol=1e-7
            )
            assert (made[name][k][length:] == padding).all()
        if policy == "fill":
            observed = np.zeros((T, 2), bool)
            observed[:length] = np.isfinite(oracle.churn[row][-T:])
            np.testing.assert_array_equal(made["churn_observed"][k], observed)


def test_the_ledger_is_what_numpy_counts(histories, oracle):
    policy, root, outcome = histories
    rows = accepted(oracle, policy)
    rejected = np.setdiff1d(np.arange(len(oracle.keys)), rows)
    steps, kept = oracle.lengths[rows], np.minimum(oracle.lengths[rows], T)
    book = read_json(root, "ledger.json")
    assert book == outcome.ledger
    assert_balanced(book)
    reasons = {"non_finite": len(rejected)} if len(rejected) else {}
    expected = {"read": 4933, "written": len(rows), "rejected": len(rejected), "rejected_by_reason": reasons}
    assert book["rows"] == expected
    holes = sum(int(np.isnan(oracle.churn[row][-T:]).sum()) for row in rows)  # what is cut off need not be filled
    for name, width in (("items", 1), ("churn", 2), ("hours", 1)):
        counts = book["columns"][name]
        assert counts["values"] == width * oracle.lengths.sum()
        assert counts["kept"] == width * kept.sum()
        assert counts["truncated"] == width * (steps - kept).sum()
        assert counts["rejected"] == width * oracle.lengths[rejected].sum()
        assert counts["padded"] == width * (T - kept).sum()
        assert counts["non_finite"] == counts["filled"] == (holes if name == "churn" else 0)
        assert (counts["absent"], counts["empty"], counts["nulls"], counts["replaced"]) == (0, 0, 0, 0)
    for name in ("actor", "repository", "returned"):
        assert book["columns"][name]["kept"] == len(rows) and book["columns"][name]["rejected"] == len(rejected)


def test_statistics_are_over_kept_finite_steps_of_accepted_rows(histories, oracle):
    policy, root, _ = histories
    statistics = read_json(root, "statistics.json")
    rows = accepted(oracle, policy)
    for name, sequences in (("churn", oracle.churn), ("hours", oracle.hours)):
        kept = np.concatenate([sequences[row][-T:] for row in rows]).astype(np.float64)
        found = statistics["columns"][name]
        assert found["count"] == np.isfinite(kept).sum(axis=0).tolist()
        figures: dict[str, Any] = {"mean": np.nanmean, "variance": np.nanvar, "min": np.nanmin, "max": np.nanmax}
        for figure, function in figures.items():
            close(found[figure], function(kept, axis=0))
    group = statistics["groups"]["history"]
    lengths = oracle.lengths[rows]
    assert (group["T"], group["rows"], group["max"]) == (T, len(rows), lengths.max())
    close(group["mean"], lengths.mean())
    assert sum(count for _, count in group["histogram"]) == len(rows)
    for quantile, at in group["quantiles"].items():
        exact = np.quantile(lengths, float(quantile), method="inverted_cdf")
        assert at <= exact <= max(at * 1.033, at), (quantile, at, exact)


def test_rejected_histories_are_all_there_and_whole(histories, oracle):
    policy, _, outcome = histories
    if policy == "fill":
        assert not outcome.rejected_files
        return
    rejected = read_rejected(outcome.rejected_files)
    rows = rejected["row"].to_numpy()
    np.testing.assert_array_equal(rows, np.flatnonzero(oracle.holed))
    assert set(rejected["reason"].to_pylist()) == {"non_finite"} and set(rejected["column"].to_pylist()) == {"churn"}
    assert {Path(file).name for file in rejected["file"].to_pylist()} == {"histories.parquet"}
    for row, value in zip(rows, rejected["value"].to_pylist(), strict=True):
        first = int(np.argmax(np.isnan(oracle.churn[row]).any(axis=1)))
        assert value == f"nan at step {first}"
    for k in range(0, len(rows), 7):
        original = recovered(rejected["record"][k].as_py())
        assert (original["actor"], original["repository"]) == oracle.keys[rows[k]]
        np.testing.assert_array_equal(np.array(original["churn"], np.float32), oracle.churn[rows[k]].reshape(-1))
        assert original["items"] == oracle.table["items"][int(rows[k])].as_py()
        assert "paths" not in original  # which no column reads
