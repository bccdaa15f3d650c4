"""Columns of `tf.feature_column`, accepted as they are: the same arguments, and the same results as TensorFlow's own layers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline import Request, check
from tests.jobs import done as job_done
from tests.jobs import read_arrays
from tests.oracle import context_numeric, sequence_features
from transforms import (
    SequenceGroup,
    SpecError,
    apply,
    dtypes,
    make_output_parse_example_spec,
    make_parse_example_spec,
    make_spec,
)
from transforms.columns import constructor
from transforms.columns.from_tensorflow import converted

fc = tf.feature_column


def ours(name: str, *arguments: Any, **more: Any) -> Any:
    return constructor(name)(*arguments, **more)


def words_file(tmp_path: Any) -> str:
    path = tmp_path / "words.txt"
    path.write_text("a\nb\nc\n")
    return str(path)


SAME: list[tuple[Any, Any]] = [
    (
        fc.numeric_column("x", (2, 3), 1.5, tf.float64),
        lambda: ours("numeric_column", "x", (2, 3), (1.5,) * 6, "float64"),
    ),
    (fc.sequence_numeric_column("x", 2, -1, tf.int32), lambda: ours("sequence_numeric_column", "x", 2, -1, "int32")),
    (
        fc.categorical_column_with_identity("x", 7, 3),
        lambda: ours("categorical_column_with_identity", "x", 7, 3),
    ),
    (
        fc.sequence_categorical_column_with_identity("x", 7),
        lambda: ours("sequence_categorical_column_with_identity", "x", 7),
    ),
    (
        fc.sequence_categorical_column_with_hash_bucket("x", 9, tf.int64),
        lambda: ours("sequence_categorical_column_with_hash_bucket", "x", 9, "int64"),
    ),
    (
        fc.categorical_column_with_hash_bucket("x", 9),
        lambda: ours("categorical_column_with_hash_bucket", "x", 9, "bytes"),
    ),
    (
        fc.sequence_categorical_column_with_vocabulary_list("x", ["a", "b"], num_oov_buckets=2),
        lambda: ours("sequence_categorical_column_with_vocabulary_list", "x", ["a", "b"], "bytes", num_oov_buckets=2),
    ),
    (
        fc.categorical_column_with_vocabulary_list("x", [3, 1], default_value=1),
        lambda: ours("categorical_column_with_vocabulary_list", "x", [3, 1], "int64", default_value=1),
    ),
    (
        fc.indicator_column(fc.sequence_categorical_column_with_identity("x", 7)),
        lambda: ours("indicator_column", ours("sequence_categorical_column_with_identity", "x", 7)),
    ),
    (
        fc.weighted_categorical_column(fc.categorical_column_with_identity("x", 7), "w"),
        lambda: ours("weighted_categorical_column", ours("categorical_column_with_identity", "x", 7), "w"),
    ),
    (
        fc.bucketized_column(fc.numeric_column("x"), [0.0, 1.0]),
        lambda: ours("bucketized_column", ours("numeric_column", "x"), boundaries=[0.0, 1.0]),
    ),
]


@pytest.mark.parametrize(
    ("theirs", "made"), SAME, ids=[type(theirs).__name__ + str(k) for k, (theirs, _) in enumerate(SAME)]
)
def test_arguments_become_ours(theirs, made):
    assert make_spec([theirs]).columns == [made()]
    assert make_spec([theirs]).columns[0].name == theirs.name
    assert make_spec(theirs) == make_spec([theirs])


def test_vocabulary_file(tmp_path):
    path = words_file(tmp_path)
    theirs = fc.sequence_categorical_column_with_vocabulary_file("x", path, num_oov_buckets=1)
    assert converted(theirs) == ours(
        "sequence_categorical_column_with_vocabulary_file", "x", path, 3, num_oov_buckets=1, dtype="bytes"
    )


def test_embeddings():
    inner = fc.sequence_categorical_column_with_identity("x", 7)
    made: Any = converted(fc.embedding_column(inner, 4, "sqrtn", max_norm=2.0))
    assert (made.name, made.dimension, made.combiner, made.max_norm) == ("x_embedding", 4, "sqrtn", 2.0)
    with tf.Graph().as_default():  # TensorFlow makes shared embeddings in a graph only
        shared = fc.shared_embeddings([inner, fc.sequence_categorical_column_with_identity("y", 7)], 4)
        spec = make_spec(shared)
        assert [column.name for column in spec.columns] == [column.name for column in shared]
    assert len({column.shared_embedding_collection_name for column in spec.columns}) == 1  # type: ignore[attr-defined]


def test_ours_around_theirs():
    inner = fc.sequence_categorical_column_with_identity("x", 7)
    assert ours("indicator_column", inner) == converted(fc.indicator_column(inner))
    assert ours("bucketized_column", fc.numeric_column("x"), boundaries=[1.0]).name == "x_bucketized"


def test_more_arguments_go_to_the_column_of_the_feature():
    theirs = fc.indicator_column(fc.sequence_categorical_column_with_identity("x", 7))
    made: Any = converted(theirs, group="g", max_ids=3)
    assert (made.sequence_group, made.categorical_column.max_ids) == ("g", 3)


def test_what_has_no_counterpart_is_named_all_at_once():
    with pytest.raises(SpecError) as caught:
        make_spec(
            [
                fc.crossed_column(["a", "b"], 5),
                fc.numeric_column("x"),
                fc.indicator_column(fc.crossed_column(["a", "b"], 5)),
            ]
        )
    assert [fault.path for fault in caught.value.faults] == ["columns[0]", "columns[2]"]
    assert all("crossed_column has no counterpart" in fault.message for fault in caught.value.faults)
    with pytest.raises(TypeError, match="expected a column"):
        converted("x")


ROWS: list[dict[str, Any]] = [{"x": [1.0, 2.0, 3.0, 4.0]}, {"x": None}, {"x": [0.5, -7.0]}]


def sparse_line(x: Any) -> Any:
    return x.with_values((x.values - 3.0) / 4.2)


@pytest.mark.parametrize(
    ("function", "oracle"),
    [
        (lambda x: (x - 3.0) / 4.2, sparse_line),  # the documented one, for which TensorFlow raises a TypeError
        (sparse_line, sparse_line),
        (lambda x: tf.sparse.map_values(tf.math.square, x), lambda x: tf.sparse.map_values(tf.math.square, x)),
    ],
    ids=["dense", "with_values", "map_values"],
)
def test_a_normalizer_on_sparse_tensors(function, oracle):
    made = apply(ROWS, [fc.sequence_numeric_column("x", (2,), normalizer_fn=function)])
    theirs = fc.sequence_numeric_column("x", (2,), normalizer_fn=oracle)
    dense, lengths = sequence_features(ROWS, [theirs], {"x": "float32"})
    np.testing.assert_allclose(made.sequence_input()[0], dense, rtol=1e-6)
    np.testing.assert_array_equal(made.lengths(), lengths)


def test_results_are_tensorflows():
    rng = np.random.default_rng(0)
    rows = [{"a": rng.integers(0, 5, n).tolist(), "x": rng.normal(size=n).astype("f4").tolist()} for n in (3, 0, 7, 1)]
    theirs = [
        fc.sequence_numeric_column("x"),
        fc.indicator_column(fc.sequence_categorical_column_with_identity("a", 5)),
    ]
    made = apply(rows, theirs, SequenceGroup(concatenate=True))
    dense, lengths = sequence_features(rows, theirs, {"x": "float32", "a": "int64"})
    np.testing.assert_allclose(made["sequence_input"], dense, rtol=1e-6)
    np.testing.assert_array_equal(made["sequence_length"], lengths)
    assert "x" not in made.arrays
    context = fc.numeric_column("x", (2,), (5.0, 6.0))
    rows = [{"x": [1.0, 2.0]}, {"x": None}]
    np.testing.assert_allclose(apply(rows, [context])["x"], context_numeric(rows, context, {"x": "float32"}))


@pytest.mark.slow
def test_a_job_of_tensorflows_columns(tmp_path):
    """As a team has them: with functions that have no name. They travel to the workers all the same."""
    rng = np.random.default_rng(1)
    rows: list[dict[str, Any]] = [
        {"id": [k], "x": rng.normal(size=n).astype("f4").tolist(), "a": rng.integers(0, 5, n).tolist(), "c": [float(k)]}
        for k, n in enumerate((3, 0, 7, 1))
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    theirs = [
        fc.sequence_numeric_column("x", normalizer_fn=sparse_line),
        fc.indicator_column(fc.sequence_categorical_column_with_identity("a", 5)),
    ]
    context = fc.numeric_column("c", normalizer_fn=lambda c: c * 2.0 - 1.0)
    group = SequenceGroup(max_length=7, concatenate=True)
    spec = make_spec([*theirs, context, ours("passthrough_column", "id", "int64")], group)
    assert check(Request(spec, [str(tmp_path / "a.parquet")])).status == "done"
    job_done(spec, tmp_path / "a.parquet", tmp_path / "out")
    made = read_arrays(tmp_path / "out", sort_by="id")
    dense, lengths = sequence_features(rows, theirs, {"x": "float32", "a": "int64", "id": "int64", "c": "float32"})
    np.testing.assert_allclose(made["sequence_input"], dense, rtol=1e-6)
    np.testing.assert_array_equal(made["sequence_length"], lengths)
    assert made["c"].tolist() == [[-1], [1], [3], [5]]


def test_parse_specs():
    columns = [
        fc.sequence_numeric_column("s", (2,)),
        fc.numeric_column("x", (2, 2), 1.0),
        fc.numeric_column("y"),
        fc.indicator_column(fc.sequence_categorical_column_with_identity("a", 5)),
        fc.categorical_column_with_hash_bucket("h", 3),
        fc.sequence_categorical_column_with_vocabulary_list("v", ["a"]),
        fc.weighted_categorical_column(fc.categorical_column_with_identity("i", 7), "w"),
        fc.bucketized_column(fc.numeric_column("b"), [0.0]),
    ]
    ours_spec, theirs = make_parse_example_spec(columns), fc.make_parse_example_spec(columns)
    assert set(ours_spec) == set(theirs)
    for key, feature in theirs.items():
        assert type(ours_spec[key]) is type(feature), key
        assert ours_spec[key].dtype == feature.dtype, key
        if isinstance(feature, tf.io.FixedLenFeature):
            assert tuple(ours_spec[key].shape) == tuple(feature.shape)
            assert np.array_equal(ours_spec[key].default_value or (), feature.default_value or ())
    # TensorFlow's spec of an int32 column cannot be parsed at all; ours parses what a tf.Example holds.
    assert make_parse_example_spec(fc.numeric_column("n", dtype=tf.int32))["n"].dtype == tf.int64


def test_output_parse_spec():
    columns = [fc.sequence_numeric_column("s", (2,)), fc.categorical_column_with_identity("i", 7)]
    found = make_output_parse_example_spec(columns, SequenceGroup(max_length=4))
    assert {name: (tuple(f.shape), f.dtype.name) for name, f in found.items()} == {
        "s": ((4, 2), "float32"),
        "i": ((), "int64"),
        "sequence_length": ((), "int64"),
        "sequence_mask": ((4,), "int64"),
    }
    assert make_output_parse_example_spec(columns, lengths={"sequence": 4}) == found
    with pytest.raises(ValueError, match="expected a known shape"):
        make_output_parse_example_spec(columns)


@pytest.mark.parametrize("normalizer", [None, "z_score", {"type": "bucketize", "num_buckets": 3}, ["log1p", "max_abs"]])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float64", "int8", "uint64"])
def test_the_output_spec_is_of_what_normalizers_make(normalizer, dtype):
    columns = [
        ours("sequence_numeric_column", "x", dtype=dtype, normalizer_fn=normalizer),
        ours("numeric_column", "y", dtype=dtype, normalizer_fn=normalizer),
    ]
    group = SequenceGroup(max_length=2)
    found = make_output_parse_example_spec(columns, group)
    made = apply([{"x": [1, 2], "y": 1}], columns, group)
    for output in made.outputs:  # with the dtypes that really came out
        carrier = "int64" if output.dtype == "bool" else dtypes.carrier(output.dtype)
        assert (found[output.name].dtype.name, tuple(found[output.name].shape)) == (carrier, output.shape), output
