"""TensorFlow as the oracle: rows as serialized tf.Examples, parsed and made dense by TensorFlow's own columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf
import tf_keras

from transforms import dtypes

Rows = Sequence[Mapping[str, Any]]


def serialized(rows: Rows, kinds: Mapping[str, str]) -> list[bytes]:
    """Rows as serialized tf.Examples; None is a feature that is not there."""
    made = []
    for row in rows:
        features = {}
        for key, values in row.items():
            if values is None:
                continue
            if dtypes.carrier(kinds[key]) == "int64":
                features[key] = tf.train.Feature(int64_list=tf.train.Int64List(value=values))
            else:
                features[key] = tf.train.Feature(float_list=tf.train.FloatList(value=values))
        made.append(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    return made


def parsed(rows: Rows, columns: Sequence[Any], kinds: Mapping[str, str]) -> dict[str, Any]:
    """What `tf.io.parse_example` gives for the columns' own parse spec.

    TensorFlow parses int64 and float32 only and fails for every other dtype: those are parsed as these and then cast.
    """
    spec = tf.feature_column.make_parse_example_spec(list(columns))
    carriers = {}
    for key, feature in spec.items():
        carrier = tf.as_dtype(dtypes.carrier(kinds[key]))
        carriers[key] = feature._replace(dtype=carrier)
    features = tf.io.parse_example(serialized(rows, kinds), carriers)
    return {key: tf.cast(value, spec[key].dtype) for key, value in features.items()}


def as_sparse(rows: Rows, key: str, kind: str) -> tf.SparseTensor:
    """One feature of variable length."""
    return tf.io.parse_example(serialized(rows, {key: kind}), {key: tf.io.VarLenFeature(tf.as_dtype(kind))})[key]


def sequence_features(rows: Rows, columns: Sequence[Any], kinds: Mapping[str, str]) -> tuple[tf.Tensor, tf.Tensor]:
    """`(sequence_input, sequence_length)` of TensorFlow's own layer. Keras would cast float64 and float16 by itself."""
    layer = tf_keras.experimental.SequenceFeatures(list(columns), autocast=False)
    return layer(parsed(rows, columns, kinds))


def context_numeric(rows: Rows, column: Any, kinds: Mapping[str, str]) -> tf.Tensor:
    """A context column made dense by TensorFlow's own layer."""
    return tf_keras.layers.DenseFeatures([column], autocast=False)(parsed(rows, [column], kinds))
