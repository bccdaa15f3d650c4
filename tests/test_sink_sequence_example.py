"""The SequenceExample sink against TensorFlow's own parser, and its bytes against protocol buffers' own encoder."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from pipeline import Request, read_manifest, run
from pipeline.columns_file.reader import load
from pipeline.command.demo import make_sample
from pipeline.sinks.formats import SINKS
from tests.jobs import read_arrays
from tests.test_sink_tfrecord import OUTPUTS, batch_of, values_of
from transforms.columns.results import Output
from transforms.spec.parse_specs import sequence_spec

SEQUENCES = {"x", "half", "ids", "sequence_mask", "x_observed"}
MINE = [replace(output, sequence=output.name in SEQUENCES) for output in OUTPUTS]


def read(path: Path, outputs: list[Output], compression: str = "") -> dict[str, np.ndarray]:
    records = list(tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator())
    context, steps = sequence_spec(outputs)
    parsed = tf.io.parse_sequence_example(tf.constant(records, tf.string), context, steps)
    return {name: tensor.numpy() for part in parsed[:2] for name, tensor in part.items()}


@pytest.mark.parametrize(("sink", "compression"), [("sequence_example", ""), ("sequence_example.gz", "GZIP")])
def test_tensorflow_reads_what_was_written(tmp_path, sink, compression):
    values = values_of(250)
    batch = batch_of(values)
    path = tmp_path / "x"
    writer = SINKS[sink].open(str(path), MINE)
    assert [writer.write(part) for part in (batch.slice(0, 100), batch.slice(100, 0), batch.slice(100))] == [
        100,
        0,
        150,
    ]
    done = writer.close()
    assert (done.rows, done.bytes) == (250, path.stat().st_size)
    assert done.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    back = read(path, MINE, compression)
    assert set(back) == {output.name for output in MINE}
    for output in MINE:
        expected = values[output.name]
        if output.dtype in ("string", "bytes"):
            assert [v.decode() if output.dtype == "string" else v for v in back[output.name]] == expected.tolist()
        else:
            np.testing.assert_array_equal(back[output.name], expected.astype(back[output.name].dtype))


def test_a_record_is_what_protocol_buffers_would_write(tmp_path):
    outputs = [output for output in MINE if output.sequence]
    values = values_of(7)
    writer = SINKS["sequence_example"].open(str(tmp_path / "x"), outputs)
    writer.write(batch_of(values))
    writer.close()
    for row, record in enumerate(tf.data.TFRecordDataset(str(tmp_path / "x")).as_numpy_iterator()):
        expected = tf.train.SequenceExample()
        for output in outputs:
            steps = values[output.name][row].reshape(4, -1)
            for step in steps:
                made = expected.feature_lists.feature_list[output.name].feature.add()
                if output.dtype.startswith("float"):
                    made.float_list.value.extend(step)
                else:
                    made.int64_list.value.extend(int(v) for v in step)
        assert tf.train.SequenceExample.FromString(record) == expected
        assert len(record) == expected.ByteSize()


def test_no_steps_and_no_context(tmp_path):
    outputs = [Output("x", "float32", (0, 2), "values", "x", sequence=True)]
    writer = SINKS["sequence_example"].open(str(tmp_path / "x"), outputs)
    writer.write(pa.RecordBatch.from_pydict({"x": pa.array([[], []], pa.list_(pa.float32(), 0))}))
    writer.close()
    assert read(tmp_path / "x", outputs)["x"].shape == (2, 0, 2)


def test_an_open_shape_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"output 'x': expected a known shape, got \[None\]"):
        SINKS["sequence_example"].open(str(tmp_path / "x"), [Output("x", "int64", (None,), "ids", "x", sequence=True)])
    assert not (tmp_path / "x").exists()


@pytest.mark.slow
def test_a_job_writes_the_same_data_set_in_every_format(tmp_path):
    columns, inputs, _ = make_sample(str(tmp_path / "demo"))
    expected: dict[str, np.ndarray] = {}
    for sink in ("parquet", "sequence_example"):
        out = str(tmp_path / sink)
        assert run(Request(load(columns), [inputs], out, format=sink)).status == "done"
        manifest = read_manifest(out)
        if sink == "parquet":
            expected = read_arrays(out)
            continue
        assert all(path.endswith(".tfrecord") for path in manifest.files)
        context, steps = manifest.sequence_feature_spec()
        records = [r for path in manifest.files for r in tf.data.TFRecordDataset(path).as_numpy_iterator()]
        parsed = tf.io.parse_sequence_example(tf.constant(records), context, steps)
        back = {name: tensor.numpy() for part in parsed[:2] for name, tensor in part.items()}
        order, theirs = (np.argsort(arrays["viewer"].astype(str), kind="stable") for arrays in (back, expected))
        for name, array in expected.items():
            ours = back[name][order]
            want = array[theirs]
            if want.dtype == object:
                assert [v.decode() for v in ours] == want.tolist()
            else:
                np.testing.assert_array_equal(ours.astype(want.dtype), want)
    assert prod(expected["watched"].shape[1:]) == 64
