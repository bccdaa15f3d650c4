"""Parity: the in-memory call against TensorFlow's own columns, on the same rows as TensorFlow users hold them."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from hypothesis import given
from hypothesis import strategies as st
from tensorflow.python.feature_column.feature_column_v2 import FeatureTransformationCache

from tests.marks import slow_but
from tests.oracle import as_sparse, context_numeric, parsed, sequence_features
from transforms import dtypes
from transforms.columns import (
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.memory import apply

fc = tf.feature_column
COMPARED: Counter[str] = Counter()
"""Rows compared with TensorFlow, by what was compared. `test_enough_cases` runs last and checks the sum."""

SHAPES: list[Any] = [(), (1,), 2, (3, 2)]
FLOAT_FUNCTIONS = [None, None, lambda x: (x - 3.0) / 4.2, tf.math.square, lambda x: tf.math.log1p(tf.abs(x))]
INT_FUNCTIONS = [None, lambda x: x * 2 + 1, lambda x: (x - 3.0) / 4.2]
NAMES = ["A", "a_b", "b", "a", "_z", "B2", "é", "a_indicator"]


def same(ours: np.ndarray, theirs: Any, rows: int, what: str) -> None:
    """Asserts equality (floats to 1e-6 relative) and counts the rows."""
    expected = tf.cast(theirs, tf.float32).numpy() if theirs.dtype.is_floating else theirs.numpy()
    assert ours.shape == expected.shape
    if theirs.dtype.is_floating:
        subnormal = (
            np.abs(expected) < np.finfo(np.float32).tiny
        )  # which is 0 here, as most of TensorFlow's kernels make it
        np.testing.assert_allclose(ours, np.where(subnormal, 0, expected), rtol=1e-6, atol=0)
    else:
        np.testing.assert_array_equal(ours, expected)
    COMPARED[what] += rows


def lengths_of(rng: np.random.Generator, count: int) -> list[int]:
    """Steps a row: short and long, often none, sometimes none in the whole batch."""
    regime = rng.integers(5)
    if regime == 0:
        return [0] * count
    longest = [0, 1, 4, 12, 50][regime]
    return [0 if rng.random() < 0.2 else int(rng.integers(0, longest + 1)) for _ in range(count)]


def values_of(rng: np.random.Generator, dtype: str, count: int) -> list[Any]:
    """Values that the dtype holds, a few of them at its ends."""
    if dtype in dtypes.INTEGERS:
        low, high = dtypes.integer_range(dtype)
        small = rng.integers(max(low, -100), min(high, 100), count, endpoint=True)
        return [int(rng.choice(np.array([low, high]))) if rng.random() < 0.02 else int(v) for v in small]
    return [float(np.float32(v)) for v in rng.normal(0, 10.0 ** rng.integers(-2, 3), count)]


def feature(rng: np.random.Generator, values: list[Any]) -> list[Any] | None:
    """An empty sequence stands as an empty list or as no feature at all."""
    return None if not values and rng.random() < 0.5 else values


def numeric_pair(rng: np.random.Generator, name: str, dtype: str) -> tuple[Any, Any]:
    """The same random column, ours and TensorFlow's."""
    kind = tf.as_dtype(dtype)
    functions = INT_FUNCTIONS if kind.is_integer else FLOAT_FUNCTIONS
    function = functions[rng.integers(len(functions))]
    default = [0, 1, 7][rng.integers(3)] if kind.is_integer else [0.0, -1.5, 7.25, 3][rng.integers(4)]
    shape = SHAPES[rng.integers(len(SHAPES))]
    ours = sequence_numeric_column(name, shape, default, kind, function, non_finite=keep(kind))
    # A normalizer is given floats here, also of an integer column; TensorFlow gives it a SparseTensor of integers.
    floats = tf.float32 if kind.is_integer else kind
    on_values = function and (lambda sparse: sparse.with_values(function(tf.cast(sparse.values, floats))))
    return ours, fc.sequence_numeric_column(name, shape, default, kind, on_values)


def keep(kind: tf.DType) -> str:
    return "reject" if kind.is_integer else "keep"


@pytest.mark.parametrize("dtype", slow_but(dtypes.INTEGERS + dtypes.FLOATS, "int64", "float32", "bfloat16"))
def test_numeric(dtype):
    rng = np.random.default_rng([1, sum(map(ord, dtype))])
    for _ in range(60 if dtype in ("float32", "int64") else 6):
        ours, theirs = numeric_pair(rng, "x", dtype)
        count = int(rng.integers(1, 13))
        rows = [{"x": feature(rng, values_of(rng, dtype, n * ours.step_width))} for n in lengths_of(rng, count)]
        if dtype == "float32" and rng.random() < 0.3:
            for row in rows:
                row["x"] = [
                    v if rng.random() < 0.8 else [np.nan, np.inf, -np.inf][rng.integers(3)] for v in row["x"] or []
                ]
        made = apply(rows, [ours])
        dense, lengths = sequence_features(rows, [theirs], {"x": dtype})
        np.testing.assert_array_equal(made.lengths(), lengths)
        same(made.sequence_input()[0], tf.cast(dense, tf.float32), count, "numeric")
        assert made["x"].shape == (count, dense.shape[1], *ours.shape)
        np.testing.assert_array_equal(made.mask(), np.arange(dense.shape[1]) < lengths.numpy()[:, None])


@pytest.mark.slow
def test_columns_are_concatenated_in_code_point_order():
    rng = np.random.default_rng(2)
    for _ in range(60):
        count = int(rng.integers(1, 9))
        names = list(rng.permutation(NAMES)[: rng.integers(2, 5)])
        pairs = [numeric_pair(rng, str(name), "float32") for name in names]
        steps = lengths_of(rng, count)
        rows = [
            {ours.key: feature(rng, values_of(rng, "float32", n * ours.step_width)) for ours, _ in pairs} for n in steps
        ]
        made = apply(rows, [ours for ours, _ in pairs])
        dense, lengths = sequence_features(rows, [theirs for _, theirs in pairs], dict.fromkeys(names, "float32"))
        ours_dense, ours_lengths = made.sequence_input()
        assert ours_dense.dtype == np.float32
        assert ours_lengths.dtype == np.int64
        np.testing.assert_array_equal(ours_lengths, lengths)
        same(ours_dense, dense, count, "concatenated")


def ids_of(rng: np.random.Generator, buckets: int, count: int, outside: bool) -> list[int]:
    inside = rng.integers(0, buckets, count)
    beyond = np.array([-1, -2, buckets, buckets + 1, 2**63 - 1, -(2**63)])
    return [int(rng.choice(beyond)) if outside and rng.random() < 0.3 else int(v) for v in inside]


@pytest.mark.parametrize("with_default", slow_but([False, True], True))
def test_identity(with_default):
    rng = np.random.default_rng([3, with_default])
    for _ in range(60):
        buckets = int(rng.choice([1, 2, 10, 1000]))
        default = int(rng.integers(buckets)) if with_default else None
        count = int(rng.integers(1, 13))
        rows = [{"x": feature(rng, ids_of(rng, buckets, n, with_default))} for n in lengths_of(rng, count)]
        made = apply(rows, [sequence_categorical_column_with_identity("x", buckets, default)])
        theirs = fc.sequence_categorical_column_with_identity("x", buckets, default)
        features = parsed(rows, [theirs], {"x": "int64"})
        sparse = theirs.get_sparse_tensors(FeatureTransformationCache(features), None).id_tensor
        ids = tf.sparse.to_dense(sparse, default_value=-1)
        same(made["x"], ids[:, :, 0] if ids.shape[2] else ids[:, :, :1], count, "ids")
        dense, lengths = sequence_features(rows, [fc.indicator_column(theirs)], {"x": "int64"})
        np.testing.assert_array_equal(made.lengths(), lengths)
        one_hot = made["x"][:, :, None] == np.arange(buckets)
        same(one_hot.astype(np.float32), dense, count, "indicator")


@pytest.mark.parametrize("dtype", ["float32", "int64", "int32", "float64"])
def test_context_numeric(dtype):
    rng = np.random.default_rng([4, sum(map(ord, dtype))])
    kind = tf.as_dtype(dtype)
    functions = INT_FUNCTIONS if kind.is_integer else FLOAT_FUNCTIONS
    for _ in range(15):
        shape = SHAPES[rng.integers(len(SHAPES))]
        width = int(np.prod(shape))
        function = functions[rng.integers(len(functions))]
        default = [None, 1][rng.integers(2)] if kind.is_integer else [None, -1.5, 2][rng.integers(3)]
        count = int(rng.integers(1, 13))
        absent = rng.random(count) < (0.3 if default is not None else 0)
        rows = [{"x": None if gone else values_of(rng, "int8", width)} for gone in absent]
        if kind.is_floating:
            rows = [{"x": row["x"] and [v / 4 for v in row["x"]]} for row in rows]
        made = apply(rows, [numeric_column("x", shape, default, kind, function)])
        on_floats = function and (lambda x, f=function: f(tf.cast(x, tf.float32) if x.dtype.is_integer else x))
        dense = context_numeric(rows, fc.numeric_column("x", shape, default, kind, on_floats), {"x": dtype})
        same(made["x"].reshape(count, -1).astype(np.float32), dense, count, "context")  # TensorFlow casts to float32


def test_context_numeric_with_a_default_for_each_value():
    for shape, default in (((2,), (1.5, -2.0)), ((3, 2), ((1.0, 2.0), (3.0, 4.0), (5.0, 6.0)))):
        rows: list[dict[str, Any]] = [{"x": None}, {"x": [float(k) for k in range(int(np.prod(shape)))]}]
        made = apply(rows, [numeric_column("x", shape, default)])
        dense = context_numeric(rows, fc.numeric_column("x", shape, default), {"x": "float32"})
        same(made["x"].reshape(2, -1), dense, 2, "context")


@given(
    steps=st.lists(
        st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=12), min_size=1, max_size=9
    ),
    width=st.integers(2, 4),
    default=st.floats(-8, 8, width=32),
)
def test_the_last_step_completed(steps, width, default):
    """TensorFlow completes an incomplete step only where a longer, complete row shares the batch: `incomplete_step="pad"`."""
    longest = -(-max(map(len, steps)) // width) * width + width
    rows = [{"x": values} for values in [*steps, [1.0] * longest]]
    made = apply(rows, [sequence_numeric_column("x", width, default, incomplete_step="pad")])
    dense, lengths = sequence_features(rows, [fc.sequence_numeric_column("x", width, default)], {"x": "float32"})
    np.testing.assert_array_equal(made.lengths(), lengths)
    same(made["x"], dense, len(rows), "completed")


@given(
    rows=st.lists(
        st.none() | st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 12), max_size=6), min_size=1, max_size=8
    ),
    buckets=st.integers(1, 10) | st.just(2**63 - 1),
)
def test_any_id_with_a_default(rows, buckets):
    data = [{"x": ids} for ids in rows]
    theirs = fc.sequence_categorical_column_with_identity("x", buckets, 0)
    features = FeatureTransformationCache({"x": as_sparse(data, "x", "int64")})
    ids = tf.sparse.to_dense(theirs.get_sparse_tensors(features, None).id_tensor, default_value=-1)
    made = apply(data, [sequence_categorical_column_with_identity("x", buckets, 0)])
    same(made["x"], tf.reshape(ids, tf.shape(ids)[:2]), len(rows), "ids")


def test_one_row_context_and_sequence_together():
    """Context and sequence columns of one row, as a model takes both."""
    rows = [{"x": [1.0, 2.0], "w": [4.0]}]
    made = apply(rows, [sequence_numeric_column("x"), numeric_column("w")])
    features = parsed(rows, [fc.sequence_numeric_column("x"), fc.numeric_column("w")], {"x": "float32", "w": "float32"})
    sequence, _ = tf_keras.experimental.SequenceFeatures([fc.sequence_numeric_column("x")])({"x": features["x"]})
    same(made["x"], sequence, 1, "both")
    same(made["w"], tf_keras.layers.DenseFeatures([fc.numeric_column("w")])({"w": features["w"]}), 1, "both")


@pytest.mark.slow
def test_enough_cases(request):
    """The number that the documentation states: rows compared with TensorFlow, none of them different."""
    mine = {item.originalname for item in request.session.items if item.module is request.module}
    if len(mine) < len([name for name in globals() if name.startswith("test_")]):
        pytest.skip("only some of this module's tests were asked for")
    once = sum(COMPARED.values()) - COMPARED["indicator"]  # the rows of "indicator" are those of "ids" again
    assert once >= 3000, COMPARED
