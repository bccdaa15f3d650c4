"""Columns of float16 and bfloat16: what is written, served and made in memory is one and the same."""

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from pipeline import Request, read_manifest, run
from tests.marks import slow_but
from transforms import SequenceGroup, apply, make_spec, numeric_column, sequence_numeric_column

ROWS: list[dict[str, Any]] = [{"x": [1.0, 70000.0], "z": [0.1, 0.7], "c": 70000.0}, {"x": [2.5], "z": [3.3], "c": 0.1}]


@pytest.mark.parametrize("dtype", slow_but(["float16", "bfloat16"]))
def test_job_graph_and_memory_agree(tmp_path, dtype):
    more = {"dtype": dtype, "non_finite": "fill", "default_value": -9, "observed_mask": True}
    columns = [
        sequence_numeric_column("x", **more),
        sequence_numeric_column("z", dtype=dtype, normalizer_fn="z_score"),
        numeric_column("c", **more),
    ]
    spec = make_spec(columns, SequenceGroup(max_length=2))
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "in.parquet")
    for name in ("parquet", "tfrecord"):
        outcome = run(Request(spec, [str(tmp_path / "in.parquet")], str(tmp_path / name), name))
        assert (outcome.status, outcome.message) == ("done", "")
    memory = apply(ROWS, spec)
    manifest = read_manifest(str(tmp_path / "tfrecord"))
    records = list(tf.data.TFRecordDataset(manifest.files).as_numpy_iterator())
    examples = tf.io.parse_example(records, manifest.feature_spec())
    table = pq.read_table(read_manifest(str(tmp_path / "parquet")).files)
    graph = tft.TFTransformOutput(str(tmp_path / "parquet" / "transform"))
    raw = {
        name: tf.ragged.constant([np.ravel(row[name]).tolist() for row in ROWS], tf.float32, row_splits_dtype=tf.int64)
        for name in ("x", "z", "c")
    }
    served = graph.transform_raw_features(raw)
    for name in ("x", "z", "c", "x_observed", "c_observed"):
        want = served[name].numpy()
        np.testing.assert_array_equal(examples[name].numpy(), want)
        np.testing.assert_array_equal(memory[name].astype(np.float32), want)
        flat = table[name].combine_chunks().storage.flatten().to_numpy(zero_copy_only=False)
        np.testing.assert_array_equal(flat.astype(np.float32).reshape(want.shape), want)
        if want.dtype == np.float32:
            rounded = tf.cast(tf.cast(want, tf.as_dtype(dtype)), tf.float32)
            np.testing.assert_array_equal(want, rounded)
    large = dtype == "bfloat16"  # whose range is that of float32
    assert served["x_observed"].numpy()[0].reshape(-1).tolist() == [1, int(large)]
    assert (served["c"].numpy()[0, 0] == -9) == (not large)
