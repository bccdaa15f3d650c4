"""tf.Transform in the form that its documentation recommends: TFXIO, record batches, AnalyzeAndTransformDataset.

`python -m tests.benchmarks.peers.tf_transform INPUT_PATTERN OUTPUT_DIR`: job J1, on the runner in this process. Truncation and
padding are user code; a bad row would end the job.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import apache_beam as beam
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from tensorflow_transform.tf_metadata import schema_utils
from tfx_bsl.coders.example_coder import RecordBatchToExamples
from tfx_bsl.public import tfxio

T = 128
FEATURES = {
    "watches": tf.io.RaggedFeature(tf.int64),
    "temperature": tf.io.RaggedFeature(tf.float32),
    "accel": tf.io.RaggedFeature(tf.float32),
    "label": tf.io.FixedLenFeature([], tf.int64),
}


def last_steps(ragged: tf.RaggedTensor, width: int = 1) -> tf.Tensor:
    return ragged[:, -T * width :].to_tensor(shape=[None, T * width])


def preprocessing_fn(inputs: dict[str, Any]) -> dict[str, Any]:
    watches = inputs["watches"]
    temperature, accel = (inputs[name][:, -T * width :] for name, width in (("temperature", 1), ("accel", 3)))
    by_dimension = tft.scale_to_z_score(tf.reshape(accel.flat_values, [-1, 3]), elementwise=True)
    return {
        "watches": last_steps(watches),
        "temperature": last_steps(tft.scale_to_z_score(temperature)),
        "accel": last_steps(accel.with_flat_values(tf.reshape(by_dimension, [-1])), 3),
        "label": inputs["label"],
        "steps_length": tf.minimum(watches.row_lengths(), T),
    }


def main(pattern: str, output: str) -> None:
    run(pattern, output, FEATURES, preprocessing_fn)


def run(pattern: str, output: str, features: dict[str, Any], preprocess: Callable[..., Any]) -> None:
    source = tfxio.TFExampleRecord(
        file_pattern=pattern, telemetry_descriptors=["bench"], schema=schema_utils.schema_from_feature_spec(features)
    )
    scratch = tempfile.TemporaryDirectory()
    with scratch as folder, tft_beam.Context(temp_dir=folder), beam.Pipeline(FnApiRunner()) as root:
        raw = root | "Read" >> source.BeamSource()
        (data, _), _ = (raw, source.TensorAdapterConfig()) | tft_beam.AnalyzeAndTransformDataset(
            preprocess, output_record_batches=True
        )
        records = data | beam.FlatMapTuple(lambda batch, _: RecordBatchToExamples(batch))
        records | beam.io.WriteToTFRecord(os.path.join(output, "examples"), file_name_suffix=".tfrecord")


if __name__ == "__main__":
    main(*sys.argv[1:])
