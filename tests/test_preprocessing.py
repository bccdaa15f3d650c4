"""`make_preprocessing_fn` in tf.Transform's own pipelines, on instance dicts and on record batches: equal to `apply`."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from tensorflow_transform.tf_metadata import dataset_metadata
from tfx_bsl.tfxio import tensor_adapter

from tests.marks import slow_but
from tests.oracle import serialized
from transforms import (
    SequenceGroup,
    apply,
    categorical_column_with_identity,
    make_preprocessing_fn,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.densify.graph import to_arrays
from transforms.fit.fit import graph_specs
from transforms.serve.model import VALID

SPEC = make_spec(
    [
        sequence_categorical_column_with_identity("ids", 50, group="watch"),
        sequence_numeric_column("x", (2,), -1.0, normalizer_fn="z_score", group="watch"),
        sequence_numeric_column("room", dtype="int64"),
        numeric_column("weight", (2,), 0.5, normalizer_fn="z_score"),
        categorical_column_with_identity("label", 2),
    ],
    {"watch": SequenceGroup(max_length=4, truncate="tail"), "sequence": SequenceGroup()},
)
KINDS = {"ids": "int64", "x": "float32", "room": "int64", "weight": "float32", "label": "int64"}


def rows() -> list[dict[str, Any]]:
    """Some rows are wrong: another length, an id out of range, a NaN, a label too many."""
    rng = random.Random(3)
    made: list[dict[str, Any]] = []
    for number in range(40):
        steps = rng.randrange(7)
        made.append(
            {
                "ids": [rng.randrange(50) for _ in range(steps)],
                "x": [rng.gauss(100, 30) for _ in range(2 * steps)],
                "room": [rng.randrange(9) for _ in range(rng.randrange(5))],
                "weight": [rng.random(), rng.random()] if number % 5 else [],
                "label": [rng.randrange(2)],
            }
        )
    made[3]["ids"] += [1]
    made[7] |= {"ids": [50], "x": [1e30, 1.0]}
    made[9] |= {"ids": [1], "x": [float("nan"), 1.0], "room": [1] * 60}
    made[11]["label"] = [0, 1]
    return made


def parse_spec() -> dict[str, Any]:
    return {key: tf.io.VarLenFeature(tf.as_dtype(kind)) for key, kind in KINDS.items()}


def check(made: dict[str, Any]) -> None:
    """Asserts that good rows equal what `apply` makes of the same rows, and that the others are marked."""
    expected = apply(rows(), SPEC)
    good = made[VALID].astype(bool)
    assert np.flatnonzero(~good).tolist() == expected.rejected["row"].to_pylist() == [3, 7, 9, 11]
    for output in SPEC.outputs():
        array = np.asarray(made[output.name])[good].reshape(expected[output.name].shape)
        np.testing.assert_array_equal(array.astype(expected[output.name].dtype), expected[output.name], output.name)
    assert not np.asarray(made["watch_length"])[~good].any()


@pytest.mark.slow
def test_instance_dicts(tmp_path):
    metadata = dataset_metadata.DatasetMetadata.from_feature_spec(parse_spec())
    with tft_beam.Context(temp_dir=str(tmp_path / "tft")):
        preprocess = make_preprocessing_fn(SPEC)
        (data, _), _ = (rows(), metadata) | tft_beam.AnalyzeAndTransformDataset(preprocess)
    # A ragged output is named as in the schema.
    check({key.removesuffix("$ragged_values"): np.array([row[key] for row in data]) for key in data[0]})


@pytest.mark.parametrize("kind", slow_but(["sparse", "ragged"]))
def test_the_graph_that_tf_transform_saves(tmp_path, kind):
    """Analysed from record batches, then served by what tf.Transform loads, as a TFX trainer does it.

    One batch is a slice, of which tfx_bsl makes tensors that hold more than its rows.
    """
    types = {"int64": pa.int64(), "float32": pa.float32()}
    columns = {key: pa.array([row[key] for row in rows()], pa.large_list(types[t])) for key, t in KINDS.items()}
    batch = pa.RecordBatch.from_pydict(columns)
    if kind == "sparse":
        metadata = dataset_metadata.DatasetMetadata.from_feature_spec(parse_spec())
        config = tensor_adapter.TensorAdapterConfig(batch.schema, _sparse(metadata.schema))
    else:
        from transforms.fit.adapter import adapter

        config = adapter(SPEC)
    with tft_beam.Context(temp_dir=str(tmp_path / "tft")):
        batches = [batch.slice(0, 17), batch.take(list(range(17, 40)))]
        saved = (batches, config) | tft_beam.AnalyzeDataset(make_preprocessing_fn(SPEC))
        saved | tft_beam.WriteTransformFn(str(tmp_path / "out"))
    given = tf.io.parse_example(serialized(rows(), KINDS), parse_spec())
    if kind == "ragged":
        given = {key: tf.RaggedTensor.from_sparse(value) for key, value in given.items()}
    check(to_arrays(tft.TFTransformOutput(str(tmp_path / "out")).transform_raw_features(given)))
    assert not list(tmp_path.glob("*.json")), "statistics were written down"


def _sparse(schema: Any) -> Any:
    from tensorflow_metadata.proto.v0 import schema_pb2

    made = {}
    for key in KINDS:
        made[key] = schema_pb2.TensorRepresentation()
        made[key].varlen_sparse_tensor.column_name = key
    return made


def test_dense_and_nested_tensors():
    """Parsed with a fixed length, or already nested. No statistics are needed: outside tf.Transform there are none."""
    spec = make_spec(
        [
            categorical_column_with_identity("w", 9, max_ids=2),
            sequence_categorical_column_with_hash_bucket("tags", 7, max_ids=2),
        ],
        SequenceGroup(max_length=2),
    )
    nested = [[["a", "b"], []], [["c"]], []]
    w, tags = tf.constant([[1, 2], [3, 4], [5, 6]]), tf.ragged.constant(nested, ragged_rank=2)
    made = make_preprocessing_fn(spec)({"w": w, "tags": tags})
    expected = apply([{"w": [2 * k + 1, 2 * k + 2], "tags": steps} for k, steps in enumerate(nested)], spec)
    for name in ("w", "tags", "sequence_length"):
        np.testing.assert_array_equal(made[name], expected[name])
    assert made[VALID].numpy().tolist() == [1, 1, 1]


def test_errors():
    preprocess = make_preprocessing_fn(SPEC)
    given = tf.io.parse_example(serialized(rows(), KINDS), parse_spec())
    with pytest.raises(ValueError, match="expected the feature 'room'"):
        preprocess({key: value for key, value in given.items() if key != "room"})
    with pytest.raises(ValueError, match="feature 'label': expected int64, got string"):
        preprocess({**given, "label": tf.constant(["a"])})
    assert set(graph_specs(SPEC)) == set(KINDS)
