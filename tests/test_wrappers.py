"""Columns made of columns against TensorFlow's own: values, names, concatenation, and the constructors' exceptions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tf_keras

from tests.marks import slow_but
from transforms.columns import (
    bucketized_column,
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
    embedding_column,
    indicator_column,
    numeric_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
    shared_embeddings,
    weighted_categorical_column,
)
from transforms.errors import SpecError
from transforms.groups import SequenceGroup
from transforms.memory import apply
from transforms.spec.make_spec import make_spec

fc = tf.feature_column
IDS = 7
WORDS = ["omar", "stringer", "marlo", "", "é", "avon"]
Nested = list[list[list[Any]]]


def nested(rng: np.random.Generator, count: int, of: list[Any], most: int = 3) -> Nested:
    """Rows of steps of up to `most` values, many steps without any; the last of a row has one, as TensorFlow drops it else."""
    rows: Nested = []
    for _ in range(count):
        steps = [
            [of[k] for k in rng.integers(0, len(of), rng.integers(0, most + 1))] for _ in range(rng.integers(0, 6))
        ]
        rows.append([*steps, [of[0]]] if steps and not steps[-1] else steps)
    return rows


def sparse(rows: Any, dtype: Any, most: int = 3) -> tf.SparseTensor:
    """Nested rows as TensorFlow's columns take them: `[batch, steps, ids]`."""
    at = [(r, s, k) for r, steps in enumerate(rows) for s, step in enumerate(steps) for k in range(len(step))]
    values = [value for steps in rows for step in steps for value in step]
    shape = [len(rows), max(map(len, rows), default=0), most]
    return tf.SparseTensor(np.array(at, np.int64).reshape(-1, 3), tf.constant(values, dtype), shape)


def theirs(columns: list[Any], features: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    dense, lengths = tf_keras.experimental.SequenceFeatures(columns)(features)
    return dense.numpy(), lengths.numpy()


def same(made: Any, output: str, expected: tuple[np.ndarray, np.ndarray]) -> None:
    dense, lengths = expected
    np.testing.assert_array_equal(made.lengths(), lengths)
    assert made[output].dtype == np.float32
    np.testing.assert_allclose(made[output], dense, rtol=1e-6, atol=0)


def seeds(count: int) -> Iterator[np.random.Generator]:
    return (np.random.default_rng([17, seed]) for seed in range(count))


def test_indicator_of_identity():
    total = 0
    for rng in seeds(20):
        rows = nested(rng, int(rng.integers(1, 9)), list(range(IDS)))
        ours = indicator_column(sequence_categorical_column_with_identity("x", IDS, max_ids=3))
        column = fc.indicator_column(fc.sequence_categorical_column_with_identity("x", IDS))
        assert ours.name == column.name
        made = apply([{"x": steps} for steps in rows], [ours])
        same(made, ours.name, theirs([column], {"x": sparse(rows, tf.int64)}))
        total += int(made[ours.name].sum())
    assert total > 300


def test_indicator_of_words():
    for rng in seeds(20):
        rows = nested(rng, int(rng.integers(1, 9)), WORDS)
        ours = indicator_column(sequence_categorical_column_with_hash_bucket("x", 5, max_ids=3))
        column = fc.indicator_column(fc.sequence_categorical_column_with_hash_bucket("x", 5))
        features = {"x": sparse(rows, tf.string)}
        same(apply([{"x": steps} for steps in rows], [ours]), ours.name, theirs([column], features))
        # A word without an id counts for nothing, and its step for the length.
        listed = indicator_column(sequence_categorical_column_with_vocabulary_list("x", WORDS[:3], max_ids=3))
        column = fc.indicator_column(fc.sequence_categorical_column_with_vocabulary_list("x", WORDS[:3]))
        same(apply([{"x": steps} for steps in rows], [listed]), listed.name, theirs([column], features))


@pytest.mark.parametrize("combiner", ["mean", "sum", "sqrtn"])
@pytest.mark.parametrize("max_norm", [None, 1.5])
@pytest.mark.parametrize("most", [1, 3])
def test_embedding(combiner, max_norm, most):
    for rng in seeds(6):
        table = rng.normal(size=(3, 4)).astype(np.float32)
        rows = nested(rng, int(rng.integers(1, 9)), WORDS, most)
        ids = sequence_categorical_column_with_vocabulary_list("x", WORDS[:3], max_ids=most)
        ours = embedding_column(ids, 4, combiner, max_norm=max_norm, table=table)
        column = fc.embedding_column(
            fc.sequence_categorical_column_with_vocabulary_list("x", WORDS[:3]),
            4,
            combiner,
            tf.constant_initializer(table),
            max_norm=max_norm,
        )
        assert ours.name == column.name
        features = {"x": sparse(rows, tf.string, most)}
        same(apply([{"x": steps} for steps in rows], [ours]), ours.name, theirs([column], features))


def in_a_graph(make_columns: Any, features: dict[str, Any], layer: Any) -> Any:
    """TensorFlow's shared embeddings refuse to run eagerly."""
    plain = {
        key: tf.compat.v1.SparseTensorValue(*(part.numpy() for part in (f.indices, f.values, f.dense_shape)))
        for key, f in features.items()
    }
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        given = {key: tf.SparseTensor(*value) for key, value in plain.items()}
        columns = make_columns()
        made = layer(columns)(given)
        session.run(tf.compat.v1.global_variables_initializer())
        return [column.name for column in columns], session.run(made)


@pytest.mark.parametrize("combiner", ["mean", "sqrtn"])
def test_shared_embeddings(combiner):
    for rng in seeds(3):
        table = rng.normal(size=(IDS, 4)).astype(np.float32)
        rows = nested(rng, 6, list(range(IDS)))
        other = [[list(rng.permutation(step)) for step in steps] for steps in rows]
        ids = [sequence_categorical_column_with_identity(key, IDS, max_ids=3) for key in ("x", "a")]
        ours = shared_embeddings(ids, 4, combiner, max_norm=2, table=table)

        def make(table: Any = table) -> Any:
            columns = [fc.sequence_categorical_column_with_identity(key, IDS) for key in ("x", "a")]
            return fc.shared_embeddings(columns, 4, combiner, tf.constant_initializer(table), max_norm=2)

        features = {"x": sparse(rows, tf.int64), "a": sparse(other, tf.int64)}
        names, (dense, lengths) = in_a_graph(make, features, tf_keras.experimental.SequenceFeatures)
        assert [column.name for column in ours] == names
        data = [{"x": x, "a": a} for x, a in zip(rows, other, strict=True)]
        same(apply(data, ours, SequenceGroup(concatenate=True)), "sequence_input", (dense, lengths))


def test_default_name_of_a_collection_is_tensorflows():
    ids = [categorical_column_with_identity(key, 3) for key in ("x", "a")]
    columns = [fc.categorical_column_with_identity(key, 3) for key in ("x", "a")]
    with tf.Graph().as_default():
        (first, _) = fc.shared_embeddings(columns, 2)
        assert shared_embeddings(ids, 2)[0].collection == first.shared_embedding_column_creator._name


BOUNDARIES: list[Any] = [(0,), (-1.5, 0, 2), (0.1, 0.2, 0.3), (1, 16777217), (-(2.0**100), 2.0**100)]


@pytest.mark.parametrize("boundaries", BOUNDARIES)
@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_bucketized(boundaries, dtype):
    rng = np.random.default_rng(3)
    edges = np.array([*boundaries, 0, 0.1, 16777216, 16777217, -1, -1.5, 2, 1e30], np.float64)
    drawn = np.concatenate([rng.choice(edges, 40), rng.normal(size=20) * 3])
    values = drawn.astype(np.float32) if dtype == "float32" else np.clip(drawn, -(2.0**62), 2.0**62).astype(np.int64)
    numbers = values.reshape(-1, 2)
    column = fc.bucketized_column(fc.numeric_column("x", 2, dtype=tf.as_dtype(dtype)), boundaries)
    expected = tf_keras.layers.DenseFeatures([column])({"x": tf.constant(numbers)}).numpy()
    for ours in (
        bucketized_column(numeric_column("x", 2, dtype=dtype), boundaries),
        bucketized_column(sequence_numeric_column("x", 2, dtype=dtype), boundaries),
    ):
        assert ours.name == column.name
        assert ours.id_count == column.num_buckets
        made = apply([{"x": row} for row in numbers], [ours, indicator_column(ours)])
        np.testing.assert_array_equal(made["x_bucketized_indicator"].reshape(expected.shape), expected)
        sparse_ids = column.get_sparse_tensors(
            {column: tf.raw_ops.Bucketize(input=tf.cast(numbers, tf.float32), boundaries=list(boundaries))}, None
        )
        ids = tf.sparse.to_dense(sparse_ids.id_tensor).numpy()
        np.testing.assert_array_equal(made["x_bucketized"].reshape(ids.shape), ids)


def test_bucketized_defaults_and_normalizers_as_tensorflow():
    boundaries, function = (0.5, 2), lambda x: x * 2
    column = fc.bucketized_column(fc.numeric_column("x", default_value=0.5, normalizer_fn=function), boundaries)
    ours = indicator_column(
        bucketized_column(numeric_column("x", default_value=0.5, normalizer_fn=function), boundaries)
    )
    rows = [{"x": [0.2]}, {}, {"x": [1.0]}]
    dense = tf_keras.layers.DenseFeatures([column])({"x": tf.constant([[0.2], [0.5], [1.0]])})
    np.testing.assert_array_equal(apply(rows, [ours])[ours.name], dense)


def test_nan_is_kept_as_tensorflow_buckets_it():
    column = fc.bucketized_column(fc.numeric_column("x"), (0, 1))
    values = [[float("nan")], [float("inf")], [-float("inf")]]
    expected = tf_keras.layers.DenseFeatures([column])({"x": tf.constant(values)})
    ours = indicator_column(bucketized_column(numeric_column("x", non_finite="keep"), (0, 1)))
    np.testing.assert_array_equal(apply([{"x": x} for x in values], [ours])[ours.name], expected)


@pytest.mark.parametrize("wrap", ["indicator", "mean", "sum", "sqrtn"])
def test_weighted(wrap):
    """TensorFlow has no weighted sequences that work: the steps of ours are the rows of its context column."""
    for rng in seeds(8):
        rows = nested(rng, int(rng.integers(1, 9)), list(range(IDS)))
        weights = [
            [[float(w) for w in rng.choice([0.0, 0.5, 1.0, 3.25, -1.0], len(s))] for s in steps] for steps in rows
        ]
        table = rng.normal(size=(IDS, 4)).astype(np.float32)
        inner = weighted_categorical_column(sequence_categorical_column_with_identity("x", IDS, max_ids=3), "w")
        column = fc.weighted_categorical_column(fc.categorical_column_with_identity("x", IDS), "w")
        assert inner.name == column.name
        if wrap == "indicator":
            ours, column = indicator_column(inner), fc.indicator_column(column)
        else:
            ours = embedding_column(inner, 4, wrap, table=table, max_norm=3)
            column = fc.embedding_column(column, 4, wrap, tf.constant_initializer(table), max_norm=3)
        made = apply([{"x": x, "w": w} for x, w in zip(rows, weights, strict=True)], [ours])
        steps = [[step for row in part for step in row] for part in (rows, weights)]
        flat = [
            tf.sparse.reshape(sparse([part], kind), [-1, 3])
            for part, kind in zip(steps, (tf.int64, tf.float32), strict=True)
        ]
        if not len(steps[0]):
            continue
        dense = tf_keras.layers.DenseFeatures([column])({"x": flat[0], "w": flat[1]}).numpy()
        np.testing.assert_allclose(made[ours.name][made.mask()], dense, rtol=1e-6, atol=0)
        assert not made[ours.name][~made.mask()].any()


def test_concatenation_of_all_kinds():
    for rng in seeds(10):
        count = int(rng.integers(1, 9))
        table = rng.normal(size=(IDS, 3)).astype(np.float32)
        ids = nested(rng, count, list(range(IDS)))
        words = [
            [[WORDS[k] for k in rng.integers(0, len(WORDS), max(len(step), 1))] for step in steps] for steps in ids
        ]
        ids = [
            [step or [0] for step in steps] for steps in ids
        ]  # TensorFlow takes a step without ids for none at the end
        numbers = [rng.normal(size=(len(steps), 2)).astype(np.float32) for steps in ids]
        ours = [
            embedding_column(sequence_categorical_column_with_identity("b", IDS, max_ids=3), 3, table=table),
            sequence_numeric_column("a_indicator", shape=(2, 1)),
            indicator_column(sequence_categorical_column_with_hash_bucket("a", 5, max_ids=3)),
            sequence_numeric_column("Z", shape=2),
        ]
        columns = [
            fc.embedding_column(
                fc.sequence_categorical_column_with_identity("b", IDS), 3, initializer=tf.constant_initializer(table)
            ),
            fc.sequence_numeric_column("a_indicato", shape=(2, 1)),
            fc.indicator_column(fc.sequence_categorical_column_with_hash_bucket("a", 5)),
            fc.sequence_numeric_column("Z", shape=2),
        ]
        ours[1] = sequence_numeric_column("a_indicato", shape=(2, 1))
        data = [
            {"b": b, "a": a, "Z": z.reshape(-1), "a_indicato": z.reshape(-1)}
            for b, a, z in zip(ids, words, numbers, strict=True)
        ]
        flat = sparse([[[v] for v in z.reshape(-1)] for z in numbers], tf.float32, 1)
        flat = tf.sparse.reshape(flat, [count, -1])
        features = {"b": sparse(ids, tf.int64), "a": sparse(words, tf.string), "Z": flat, "a_indicato": flat}
        expected = theirs(columns, features)
        same(apply(data, ours, SequenceGroup(concatenate=True)), "sequence_input", expected)
        side_by_side, lengths = apply(data, ours).sequence_input()
        np.testing.assert_array_equal(lengths, expected[1])
        np.testing.assert_allclose(side_by_side, expected[0], rtol=1e-6, atol=0)


def test_ids_are_written_beside_a_concatenation():
    ids = sequence_categorical_column_with_identity("x", 4)
    made = apply([{"x": [1, 2]}], [indicator_column(ids), embedding_column(ids, 8)], SequenceGroup(concatenate=True))
    assert made["sequence_input"].tolist() == [[[0, 1, 0, 0], [0, 0, 1, 0]]]
    assert made["x_embedding"].tolist() == [[1, 2]]
    with pytest.raises(SpecError, match="expected a column of numbers"):
        make_spec([embedding_column(ids, 8)], SequenceGroup(concatenate=True))


@pytest.mark.parametrize("combiner", slow_but(["mean", "sum", "sqrtn"], "sqrtn"))
def test_a_row_does_not_depend_on_the_others(combiner):
    """To the bit, also where vectors are summed."""
    rng = np.random.default_rng(5)
    table = (rng.normal(size=(50, 7)) * 10.0 ** rng.integers(-6, 6, (50, 1))).astype(np.float32)
    ids = sequence_categorical_column_with_identity("x", 50, max_ids=9)
    weighted = weighted_categorical_column(ids, "w")
    columns = [
        embedding_column(ids, 7, combiner, table=table, max_norm=3),
        embedding_column(weighted, 7, combiner, table=table),
        indicator_column(weighted),
    ]
    rows = nested(rng, 40, list(range(50)), 9)
    data = [{"x": x, "w": [list(rng.normal(size=len(step)) ** 2) for step in x]} for x in rows]
    whole = apply(data, columns, SequenceGroup(max_length=6))
    for k, row in enumerate(data):
        alone = apply([row], columns, SequenceGroup(max_length=6), fitted=whole.fitted)
        for column in columns:
            assert alone[column.name][0].tobytes() == whole[column.name][k].tobytes()
    tensorflows = apply(list(reversed(data)), columns, SequenceGroup(max_length=6))
    for column in columns:
        assert tensorflows[column.name][::-1].tobytes() == whole[column.name].tobytes()


def raised(make: Any, inner: Any, arguments: dict[str, Any]) -> type[Exception] | None:
    try:
        make(inner, **arguments)
    except Exception as error:
        return type(error)
    return None


EMBEDDING: list[dict[str, Any]] = [
    *[{"dimension": n} for n in (0, -1, None, 1, "a", [])],
    *[{"dimension": 2, "initializer": i} for i in (None, tf.zeros_initializer(), 3, len)],
    *[{"dimension": 2, name: "a"} for name in ("ckpt_to_load_from", "tensor_name_in_ckpt")],
    {"dimension": 2, "ckpt_to_load_from": "a", "tensor_name_in_ckpt": "b"},
    *[{"dimension": 2, "max_norm": n} for n in (None, 1, 2.5)],
    *[{"dimension": 2, "trainable": n} for n in (True, False)],
    *[{"dimension": 2, "use_safe_embedding_lookup": n} for n in (True, False)],
    *[{"dimension": 2, "combiner": n} for n in ("mean", "sum", "sqrtn")],
    {"dimension": 2, "dimensions": 3},
    {},
]
BUCKETS: list[dict[str, Any]] = [
    *[{"boundaries": b} for b in ((0,), [0, 1], (), [], None, (1, 0), (0, 0), 3, "", (0, 0.5, 0.25), {}, {1: 2})],
]
WEIGHTS: list[dict[str, Any]] = [
    {},
    *[
        {"weight_feature_key": "w", "dtype": kind}
        for kind in (tf.float32, tf.int32, tf.float64, tf.string, None, tf.bool)
    ],
    {"weight_feature_key": "w", "weights": 1},
]


@pytest.mark.parametrize(
    ("ours", "tensorflows", "arguments"),
    [
        *[(embedding_column, fc.embedding_column, a) for a in EMBEDDING],
        *[(weighted_categorical_column, fc.weighted_categorical_column, a) for a in WEIGHTS],
        *[(indicator_column, fc.indicator_column, a) for a in ({}, {"dimension": 3})],
    ],
)
def test_constructor_errors_are_tensorflows(ours, tensorflows, arguments):
    inner = categorical_column_with_identity("x", 3), fc.categorical_column_with_identity("x", 3)
    assert raised(ours, inner[0], arguments) == raised(tensorflows, inner[1], arguments)


@pytest.mark.parametrize("arguments", BUCKETS)
@pytest.mark.parametrize("shape", [1, (2,), (2, 2), (2, 1)])
def test_errors_of_buckets_are_tensorflows(arguments, shape):
    inner = numeric_column("x", shape), fc.numeric_column("x", shape)
    assert raised(bucketized_column, inner[0], arguments) == raised(fc.bucketized_column, inner[1], arguments)


def test_errors_of_shared_embeddings_are_tensorflows():
    tables = [
        ([("identity", 3), ("identity", 3)], {"dimension": 2}),
        ([("identity", 3), ("identity", 4)], {"dimension": 2}),
        ([("identity", 3), ("hash_bucket", 3)], {"dimension": 2}),
        ([("identity", 3)], {"dimension": 0}),
        ([("identity", 3)], {"dimension": None}),
        ([("identity", 3)], {"dimension": 2, "initializer": 3}),
        ([("identity", 3)], {"dimension": 2, "ckpt_to_load_from": "a"}),
    ]
    makers = {"identity": categorical_column_with_identity, "hash_bucket": categorical_column_with_hash_bucket}
    for kinds, arguments in tables:
        ours = [makers[kind](f"x{k}", size) for k, (kind, size) in enumerate(kinds)]
        with tf.Graph().as_default():
            columns = [getattr(fc, makers[kind].__name__)(f"x{k}", size) for k, (kind, size) in enumerate(kinds)]
            expected = raised(fc.shared_embeddings, columns, arguments)
        assert raised(shared_embeddings, ours, arguments) == expected, (kinds, arguments)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: indicator_column(numeric_column("x")),
            "categorical_column: expected a categorical column, got 'numeric_column'",
        ),
        (lambda: indicator_column(3), "categorical_column: expected a column"),
        (
            lambda: bucketized_column(categorical_column_with_identity("x", 3), [0]),
            "source_column: expected 'sequence_numeric_column' or 'numeric_column', got",
        ),
        (lambda: bucketized_column(numeric_column("x"), [0, float("nan")]), "boundaries: must be finite, got nan"),
        (lambda: bucketized_column(numeric_column("x"), [0], 3), "expected boundaries or num_quantiles, got both"),
        (lambda: bucketized_column(numeric_column("x"), num_quantiles=1), "num_quantiles: expected an int >= 2, got 1"),
        (
            lambda: bucketized_column(numeric_column("x", observed_mask=True), [0]),
            "source_column: 'x': observed_mask does not apply",
        ),
        (
            lambda: weighted_categorical_column(categorical_column_with_identity("x", 3), "x"),
            "weight_feature_key: 'x' is the feature of the ids",
        ),
        (
            lambda: embedding_column(categorical_column_with_identity("x", 3), 2, combiner="max"),
            "combiner: expected 'mean', 'sum' or 'sqrtn', got 'max'",
        ),
        (
            lambda: embedding_column(categorical_column_with_identity("x", 3), 2, max_norm=0),
            "max_norm: expected a number > 0.0, got 0",
        ),
    ],
)
def test_messages_of_what_tensorflow_notices_late_or_never(make, message):
    with pytest.raises((TypeError, ValueError)) as caught:
        make()
    assert str(caught.value).startswith(message), caught.value
    assert "\n" not in str(caught.value)
