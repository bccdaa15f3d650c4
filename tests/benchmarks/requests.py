"""What it costs to check and read one serialized record in the serving graph, beside TensorFlow's own parser.

    python -m tests.benchmarks.requests

The columns are sequences of 50 floats each; the figures are the best of 200 calls, in milliseconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import tensorflow as tf

from transforms.parse.form import Form
from transforms.serve import record_features

STEPS = 50
CALLS = 200


def record(columns: int) -> bytes:
    """Returns a tf.Example of so many features."""
    values = np.random.default_rng(1).normal(size=(columns, STEPS))
    features = {
        f"column_{k:03}": tf.train.Feature(float_list=tf.train.FloatList(value=v)) for k, v in enumerate(values)
    }
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString()


def ours(columns: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Reads records as the serving graph does."""
    forms = {f"column_{k:03}": Form(f"column_{k:03}", "float32") for k in range(columns)}
    return lambda records: _all(record_features.read(records, forms).features)


def tensorflows(columns: int) -> Callable[[tf.Tensor], tf.Tensor]:
    """Reads them as TensorFlow does, which fails a batch for one bad record."""
    kinds = {f"column_{k:03}": tf.io.RaggedFeature(tf.float32, row_splits_dtype=tf.int64) for k in range(columns)}
    return lambda records: _all(tf.io.parse_example(records, kinds))


def _all(features: dict[str, tf.RaggedTensor]) -> tf.Tensor:
    """One number, so that nothing is left out, and no time goes into handing over 250 tensors."""
    return tf.add_n([tf.reduce_sum(feature.values) for feature in features.values()])


def milliseconds(function: Callable[[tf.Tensor], tf.Tensor], records: tf.Tensor) -> float:
    """Returns the best of many calls."""
    call = tf.function(function, [tf.TensorSpec([None], tf.string)], autograph=False).get_concrete_function()
    best = float("inf")
    for _ in range(CALLS):
        began = time.perf_counter()
        call(records)
        best = min(best, time.perf_counter() - began)
    return best * 1e3


if __name__ == "__main__":
    for count in (1, 20, 250):
        one = tf.constant([record(count)])
        figures = [milliseconds(read(count), one) for read in (ours, tensorflows)]
        print(
            f"{count} columns, {len(one.numpy()[0]):,} bytes: {figures[0]:.2f} ms, TensorFlow's parser {figures[1]:.2f} ms"
        )
