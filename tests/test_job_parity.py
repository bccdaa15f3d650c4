"""Parity of the whole job with TensorFlow's own columns: from files, through the job, and back with tf.data or pyarrow."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from tests.jobs import Arrays, done, read_arrays
from tests.marks import slow_but
from tests.oracle import context_numeric, sequence_features, serialized
from transforms import (
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

fc = tf.feature_column
ROWS = 120
COMPARED: Counter[str] = Counter()


def documented(x: Any) -> Any:
    """The normalizer that TensorFlow's documentation shows."""
    return (x - 3.0) / 4.2


def squared(x: Any) -> Any:
    return x * x


NUMERIC: dict[str, tuple[Any, float, str, Any]] = {
    "plain": ((1,), 0.0, "float32", None),
    "A": ((), -1.5, "float32", documented),
    "pair": ((2,), 7.25, "float32", squared),
    "é matrix": ((3, 2), 0.0, "float32", documented),
    "wide": ((2,), 0.5, "float64", None),
    "whole": ((1,), 4, "int64", squared),
    "small": ((2,), -3, "int32", None),
}
"""Key to shape, default, dtype and normalizer."""

CONTEXT: dict[str, tuple[Any, Any, str, Any]] = {
    "weight": ((2,), 1.5, "float32", documented),
    "count": ((1,), 3, "int64", None),
}
BUCKETS = 9
KINDS = {**{key: c[2] for key, c in {**NUMERIC, **CONTEXT}.items()}, "ids": "int64", "label": "int64", "row": "int64"}


def our_spec() -> Any:
    columns: list[Any] = [passthrough_column("row", "int64")]
    for key, (shape, default, dtype, function) in NUMERIC.items():
        group = "together" if key in ("plain", "A") else f"of {key}"
        columns.append(sequence_numeric_column(key, shape, default, dtype, function, group=group))
    columns.append(sequence_categorical_column_with_identity("ids", BUCKETS, 2, group="together"))
    columns += [numeric_column(key, *arguments) for key, arguments in CONTEXT.items()]
    columns.append(categorical_column_with_identity("label", 3, 0))
    return make_spec(columns, {column.group: SequenceGroup() for column in columns if column.is_sequence})


def make_rows() -> list[dict[str, Any]]:
    rng = np.random.default_rng(11)
    rows = []
    for number in range(ROWS):
        row: dict[str, Any] = {"row": [number]}
        together = int(rng.choice([0, 1, 2, 5, 11]))
        for key, (shape, _, dtype, _) in NUMERIC.items():
            steps = together if key in ("plain", "A") else int(rng.choice([0, 1, 3, 8]))
            row[key] = values(rng, dtype, steps * int(np.prod(shape)))
        row["ids"] = [int(v) for v in rng.integers(-3, BUCKETS + 3, together)] or absent(rng)
        for key, (shape, _, dtype, _) in CONTEXT.items():
            row[key] = values(rng, dtype, int(np.prod(shape))) if rng.random() < 0.8 else None
        row["label"] = [int(rng.integers(-1, 4))]
        rows.append(row)
    return rows


def absent(rng: np.random.Generator) -> list[Any] | None:
    return [] if rng.random() < 0.5 else None


def values(rng: np.random.Generator, dtype: str, count: int) -> list[Any] | None:
    if not count:
        return absent(rng)
    if dtype.startswith("int"):
        return [int(v) for v in rng.integers(-1000, 1000, count)]
    return [float(np.float32(v)) for v in rng.normal(0, 10.0 ** rng.integers(-2, 4), count)]


DATA = make_rows()


def write_tfrecord(folder: Path) -> str:
    records = serialized(DATA, KINDS)
    for part in range(3):
        packed = tf.io.TFRecordOptions("GZIP") if part == 1 else None
        with tf.io.TFRecordWriter(str(folder / f"{part}.tfrecord"), packed) as writer:
            for record in records[part::3]:
                writer.write(record)
    return str(folder / "*.tfrecord")


def write_parquet(folder: Path) -> str:
    types = {key: pa.list_(pa.float32() if dtype.startswith("float") else pa.int64()) for key, dtype in KINDS.items()}
    schema = pa.schema([pa.field(key, types[key]) for key in DATA[0]])
    for part in range(2):
        pq.write_table(pa.Table.from_pylist(DATA[part::2], schema), folder / f"{part}.parquet", row_group_size=25)
    return str(folder / "*.parquet")


WAYS = [("tfrecord", "tfrecord"), ("tfrecord", "parquet"), ("parquet", "tfrecord.gz")]


@pytest.fixture(scope="module", params=slow_but(WAYS, single=True), ids="-to-".join)
def made(request, tmp_path_factory) -> Arrays:
    """What a job wrote, in the order of the rows."""
    source, sink = request.param
    folder = tmp_path_factory.mktemp(source)
    pattern = write_tfrecord(folder) if source == "tfrecord" else write_parquet(folder)
    outcome = done(our_spec(), pattern, folder / "out", format=sink)
    assert outcome.ledger["rows"]["written"] == ROWS
    arrays = read_arrays(folder / "out", sort_by="row")
    assert arrays["row"].tolist() == list(range(ROWS))
    return arrays


def same(ours: np.ndarray, theirs: Any, what: str) -> None:
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours.astype(np.float64), tf.cast(theirs, tf.float64), rtol=1e-6, atol=0)
    COMPARED[what] += ROWS


@pytest.mark.parametrize("key", NUMERIC)
def test_sequences_of_numbers(made, key):
    shape, default, dtype, function = NUMERIC[key]
    on_values = function and (lambda sparse: sparse.with_values(function(sparse.values)))
    column = fc.sequence_numeric_column(key, shape, default, tf.as_dtype(dtype), on_values)
    dense, lengths = sequence_features(DATA, [column], KINDS)
    group = "together" if key in ("plain", "A") else f"of {key}"
    np.testing.assert_array_equal(made[f"{group}_length"], lengths)
    np.testing.assert_array_equal(made[f"{group}_mask"], np.arange(dense.shape[1]) < np.asarray(lengths)[:, None])
    same(made[key].reshape(ROWS, dense.shape[1], -1), dense, key)


def test_sequences_of_ids(made):
    column = fc.indicator_column(fc.sequence_categorical_column_with_identity("ids", BUCKETS, 2))
    dense, lengths = sequence_features(DATA, [column], KINDS)
    np.testing.assert_array_equal(made["together_length"], lengths)
    assert made["ids"].dtype == np.int64 and ((made["ids"] == -1) == ~made["together_mask"]).all()
    same(made["ids"][..., None] == np.arange(BUCKETS), dense, "ids")


def test_columns_of_one_group_side_by_side(made):
    """`SequenceFeatures` concatenates by name; the data at rest give the same."""
    ids = fc.sequence_categorical_column_with_identity("ids", BUCKETS, 2)
    _, default, _, function = NUMERIC["A"]
    theirs = [
        fc.sequence_numeric_column("plain"),
        fc.indicator_column(ids),
        fc.sequence_numeric_column(
            "A", (), default, normalizer_fn=lambda sparse: sparse.with_values(function(sparse.values))
        ),
    ]
    dense, _ = sequence_features(DATA, theirs, KINDS)
    one_hot = made["ids"][..., None] == np.arange(BUCKETS)
    same(np.concatenate([made["A"][..., None], one_hot, made["plain"]], axis=2), dense, "together")


@pytest.mark.parametrize("key", CONTEXT)
def test_context_numbers(made, key):
    shape, default, dtype, function = CONTEXT[key]
    column = fc.numeric_column(key, shape, default, tf.as_dtype(dtype), function)
    same(made[key].reshape(ROWS, -1), context_numeric(DATA, column, KINDS), key)


def test_context_ids(made):
    column = fc.indicator_column(fc.categorical_column_with_identity("label", 3, 0))
    same(made["label"][:, None] == np.arange(3), context_numeric(DATA, column, KINDS), "label")


def test_dtypes_are_the_declared_ones(made):
    """But for integers that a function made floats of."""
    for key, (_, _, dtype, function) in {**NUMERIC, **CONTEXT}.items():
        assert made[key].dtype == np.dtype("float32" if function else dtype), key


@pytest.mark.slow
def test_enough_cases(request):
    mine = {item.originalname for item in request.session.items if item.module is request.module}
    if len(mine) < len([name for name in globals() if name.startswith("test_")]):
        pytest.skip("only some of this module's tests were asked for")
    assert sum(COMPARED.values()) >= 1000 * len(WAYS), COMPARED
