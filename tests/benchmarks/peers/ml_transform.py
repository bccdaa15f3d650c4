"""Beam's MLTransform as its documentation shows it: dicts, a transform a column; padding and encoding are user code.

`python -m tests.benchmarks.peers.ml_transform INPUT_PATTERN OUTPUT_DIR`: job J1, on the runner in this process. It takes
flat lists, so the three dimensions of `accel` are three columns.
"""

from __future__ import annotations

import os
import sys
import tempfile
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
from apache_beam.ml.transforms.base import MLTransform
from apache_beam.ml.transforms.tft import ScaleToZScore
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

T = 128
SCALED = ["temperature", "accel_0", "accel_1", "accel_2"]


def parsed(record: bytes) -> dict[str, np.ndarray]:
    features = tf.train.Example.FromString(record).features.feature
    accel = np.array(features["accel"].float_list.value, np.float32).reshape(-1, 3)[-T:]
    return {
        "watches": np.array(features["watches"].int64_list.value, np.int64)[-T:],
        "temperature": np.array(features["temperature"].float_list.value, np.float32)[-T:],
        **{f"accel_{k}": accel[:, k] for k in range(3)},
        "label": np.array(features["label"].int64_list.value, np.int64),
    }


def encoded(row: Any) -> bytes:
    row = row._asdict()
    steps = len(row["watches"])

    def padded(values: np.ndarray) -> np.ndarray:
        return np.pad(values, [(0, T - steps)] + [(0, 0)] * (values.ndim - 1))

    accel = padded(np.stack([row[f"accel_{k}"] for k in range(3)], axis=1)).reshape(-1)
    feature = {
        "watches": tf.train.Feature(int64_list=tf.train.Int64List(value=padded(row["watches"]))),
        "temperature": tf.train.Feature(float_list=tf.train.FloatList(value=padded(row["temperature"]))),
        "accel": tf.train.Feature(float_list=tf.train.FloatList(value=accel)),
        "label": tf.train.Feature(int64_list=tf.train.Int64List(value=row["label"])),
        "steps_length": tf.train.Feature(int64_list=tf.train.Int64List(value=[steps])),
    }
    return bytes(tf.train.Example(features=tf.train.Features(feature=feature)).SerializeToString())


def main(pattern: str, output: str) -> None:
    with tempfile.TemporaryDirectory() as artifacts, beam.Pipeline(FnApiRunner()) as root:
        rows = root | beam.io.ReadFromTFRecord(pattern) | beam.Map(parsed)
        scaled = rows | MLTransform(write_artifact_location=artifacts).with_transform(ScaleToZScore(columns=SCALED))
        records = scaled | beam.Map(encoded)
        records | beam.io.WriteToTFRecord(os.path.join(output, "examples"), file_name_suffix=".tfrecord")


if __name__ == "__main__":
    main(*sys.argv[1:])
