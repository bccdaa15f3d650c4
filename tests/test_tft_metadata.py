"""Our graphs annotate nothing, so tf.Transform need not look: the schema that it writes is the same to the byte."""

from __future__ import annotations

from pathlib import Path

import apache_beam as beam
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_transform import schema_inference

from transforms import (
    Fit,
    SequenceGroup,
    categorical_column_with_learned_vocabulary,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
)
from transforms.fit import tft_metadata

COLUMNS = [
    sequence_numeric_column("x", (2,), normalizer_fn="z_score"),
    sequence_categorical_column_with_identity("k", 9),
    sequence_categorical_column_with_learned_vocabulary("w", num_oov_buckets=1),
    categorical_column_with_learned_vocabulary("c", num_oov_buckets=1),
    numeric_column("n", normalizer_fn="min_max"),
]
ROWS = [{"x": [1.0, 2.0, 3.0, 5.0], "k": [1, 2], "w": ["a", "b"], "c": ["u"], "n": [k]} for k in range(4)]
GROUP = SequenceGroup(max_length=3, truncate="tail")


def fitted(columns, folder: Path) -> Path:
    with beam.Pipeline(FnApiRunner()) as root:
        root | beam.Create(ROWS) | Fit(columns, GROUP, transform=str(folder))
    return folder / "transformed_metadata" / "schema.pbtxt"


def scaled(values: tf.Tensor) -> tf.Tensor:
    return tft.scale_to_0_1(values)


@pytest.fixture
def traced(monkeypatch) -> list[bool]:
    """Whether overrides were asked for, for each function that tf.Transform has traced for what it annotates."""
    found: list[bool] = []
    theirs = tft_metadata._theirs

    def noted(preprocessing_fn, structured_inputs, tf_graph_context, evaluate_schema_overrides):
        found.append(evaluate_schema_overrides)
        return theirs(preprocessing_fn, structured_inputs, tf_graph_context, evaluate_schema_overrides)

    monkeypatch.setattr(tft_metadata, "_theirs", noted)
    return found


def test_the_schema_is_that_of_tf_transform_by_itself(tmp_path, monkeypatch, traced):
    ours = fitted(COLUMNS, tmp_path / "ours").read_bytes()
    assert not traced
    monkeypatch.setattr(schema_inference, "get_traced_metadata_fn", tft_metadata._theirs)
    theirs = fitted(COLUMNS, tmp_path / "theirs").read_bytes()
    assert traced == [False, True]
    assert ours == theirs


def test_what_a_persons_function_annotates_is_asked_for(tmp_path, traced):
    fitted([sequence_numeric_column("x", (2,), normalizer_fn=scaled)], tmp_path / "t")
    assert traced == [False, True]
