"""tf.Transform for 200 numeric and 50 identity columns (J3): as its documentation recommends, an analyzer a column.

`python -m tests.benchmarks.peers.tf_transform_wide INPUT_PATTERN OUTPUT_DIR`
"""

from __future__ import annotations

import sys
from typing import Any

import tensorflow as tf
import tensorflow_transform as tft

from tests.benchmarks.peers.tf_transform import run
from tests.benchmarks.wide import IDS, NUMBERS, T

FEATURES = {name: tf.io.RaggedFeature(tf.float32 if name in NUMBERS else tf.int64) for name in [*NUMBERS, *IDS]}


def dense(ragged: tf.RaggedTensor) -> tf.Tensor:
    return ragged.to_tensor(shape=[None, T])


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    last = {name: values[:, -T:] for name, values in inputs.items()}
    outputs = {name: dense(tft.scale_to_z_score(last[name])) for name in NUMBERS}
    outputs |= {name: dense(last[name]) for name in IDS}
    outputs["steps_length"] = last[IDS[0]].row_lengths()
    return outputs


if __name__ == "__main__":
    run(*sys.argv[1:], FEATURES, preprocessing_fn)  # type: ignore[call-arg]
