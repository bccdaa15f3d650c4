"""The TFRecord sink against TensorFlow's own reader and parser."""

from __future__ import annotations

import hashlib
import json
import pickle
import random
from math import prod
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from pipeline.sinks.formats import SINKS
from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import Limits
from transforms.columns.results import Output
from transforms.errors import JobError
from transforms.spec.parse_specs import feature_spec, parse_spec

OUTPUTS = [
    Output("x", "float32", (4, 3), "values", "x"),
    Output("half", "float16", (4,), "values", "half"),
    Output("ids", "int64", (4,), "values", "ids"),
    Output("small", "int8", (), "values", "small"),
    Output("label", "float32", (), "values", "label"),
    Output("text", "string", (), "values", "text"),
    Output("raw", "bytes", (), "values", "raw"),
    Output("sequence_length", "int64", (), "length", "sequence"),
    Output("sequence_mask", "bool", (4,), "mask", "sequence"),
    Output("x_observed", "bool", (4, 3), "observed", "x"),
]


def values_of(rows: int, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        "x": rng.normal(size=(rows, 4, 3)).astype(np.float32),
        "half": rng.normal(size=(rows, 4)).astype(np.float16).astype(np.float32),
        "ids": rng.integers(-(2**63), 2**63 - 1, (rows, 4)),
        "small": rng.integers(-128, 128, rows),
        "label": rng.normal(size=rows).astype(np.float32),
        "text": np.array([f"é{k}" for k in range(rows)], object),
        "raw": np.array([b"\xff\x00%d" % k for k in range(rows)], object),
        "sequence_length": rng.integers(0, 5, rows),
        "sequence_mask": rng.random((rows, 4)) < 0.5,
        "x_observed": rng.random((rows, 4, 3)) < 0.5,
    }


def batch_of(values: dict[str, np.ndarray]) -> pa.RecordBatch:
    """A dense batch as the pipeline makes it; columns in another order, and one that no output asks for."""
    columns = {"extra": pa.array(np.zeros(len(values["ids"])))}
    for name, value in sorted(values.items()):
        flat = pa.array(value.ravel(), pa.large_binary() if name == "raw" else None)
        flat = flat.cast(pa.large_string()) if name == "text" else flat
        columns[name] = flat if value.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, prod(value.shape[1:]))
    return pa.RecordBatch.from_pydict(columns)


def write(sink: str, path: Any, *batches: pa.RecordBatch) -> Any:
    writer = SINKS[sink].open(str(path), OUTPUTS)
    for batch in batches:
        assert writer.write(batch) == batch.num_rows
    return writer.close()


def read(path: Any, compression: str = "") -> dict[str, np.ndarray]:
    records = list(tf.data.TFRecordDataset(str(path), compression).as_numpy_iterator())
    return {
        n: t.numpy() for n, t in tf.io.parse_example(tf.constant(records, tf.string), feature_spec(OUTPUTS)).items()
    }


@pytest.mark.parametrize(("sink", "compression"), [("tfrecord", ""), ("tfrecord.gz", "GZIP")])
def test_tensorflow_reads_what_was_written(tmp_path, sink, compression):
    values = values_of(250)
    whole = batch_of(values)
    path = tmp_path / f"a{SINKS[sink].suffix}"
    written = write(sink, path, whole.slice(0, 100), whole.slice(100, 1), whole.slice(0, 0), whole.slice(101))
    made = read(path, compression)
    assert set(made) == set(values)
    for name, value in values.items():
        want = np.array([v.encode() for v in value], object) if name == "text" else value
        assert made[name].shape == want.shape and (made[name] == want).all(), name
    data = path.read_bytes()
    assert (written.path, written.rows, written.bytes) == (str(path), 250, len(data))
    assert written.sha256 == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("sink", ["tfrecord", "tfrecord.gz"])
def test_our_own_source_reads_it_back(tmp_path, sink):
    path = tmp_path / f"a{SINKS[sink].suffix}"
    values = values_of(50)
    write(sink, path, batch_of(values))
    [split] = SOURCES["tfrecord"].parts(str(path))
    [step] = SOURCES["tfrecord"].read(split, {"x": "float32"}, Limits())
    assert step.batch is not None
    assert step.batch.column("x").to_pylist() == values["x"].reshape(50, 12).tolist()


def test_masks_may_be_integers(tmp_path):
    values = values_of(20)
    as_ints = {n: v.astype(np.int64) if v.dtype == bool else v for n, v in values.items()}
    write("tfrecord", tmp_path / "a", batch_of(values))
    write("tfrecord", tmp_path / "b", batch_of(as_ints))
    first, second = read(tmp_path / "a"), read(tmp_path / "b")
    assert all((first[name] == second[name]).all() for name in first)


def test_the_gzip_header_holds_no_time(tmp_path):
    write("tfrecord.gz", tmp_path / "a", batch_of(values_of(1)))
    assert (tmp_path / "a").read_bytes()[4:8] == bytes(4)


def test_files_without_rows(tmp_path):
    assert write("tfrecord", tmp_path / "a").bytes == 0
    assert write("tfrecord.gz", tmp_path / "a.gz", batch_of(values_of(3)).slice(0, 0)).rows == 0
    assert list(tf.data.TFRecordDataset(str(tmp_path / "a.gz"), "GZIP")) == []


def test_the_spec_is_data():
    spec = parse_spec(OUTPUTS)
    assert json.loads(json.dumps(spec)) == spec
    assert spec["half"] == {"dtype": "float32", "shape": [4], "cast": "float16"}
    assert spec["small"] == {"dtype": "int64", "shape": [], "cast": "int8"}
    assert spec["raw"] == spec["text"] == {"dtype": "string", "shape": [], "cast": None}
    assert spec["sequence_mask"] == {"dtype": "int64", "shape": [4], "cast": "bool"}
    assert feature_spec(OUTPUTS)["x"] == tf.io.FixedLenFeature([4, 3], tf.float32)


@pytest.mark.parametrize("sink", list(SINKS))
def test_aborting_leaves_nothing(tmp_path, sink):
    (tmp_path / "run1").mkdir()
    (tmp_path / "run1" / "a").write_bytes(b"somebody else's")
    path = tmp_path / "run[12]" / "a"  # as a pattern it would be run1/a
    writer = SINKS[sink].open(str(path), OUTPUTS)
    writer.write(batch_of(values_of(10)))
    assert path.exists()
    writer.abort()
    writer.abort()
    assert not path.exists() and (tmp_path / "run1" / "a").exists()


@pytest.mark.parametrize("sink", list(SINKS))
def test_what_cannot_be_written(tmp_path, sink):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(JobError, match=r"file/a: cannot be written"):
        SINKS[sink].open(str(tmp_path / "file" / "a"), OUTPUTS)
    writer = SINKS[sink].open("/dev/full", [OUTPUTS[2]])
    with pytest.raises(JobError, match=r"/dev/full: cannot be written .*No space left"):
        for seed in range(200):
            writer.write(batch_of(values_of(4000, seed)))
        writer.close()
    with pytest.raises(ValueError, match="expected a known shape"):
        SINKS[sink].open(str(tmp_path / "open"), [Output("x", "float32", (None,), "values", "x")])
    assert not (tmp_path / "open").exists()


@pytest.mark.parametrize("sink", list(SINKS))
def test_a_batch_that_does_not_fit_its_outputs(tmp_path, sink):
    writer = SINKS[sink].open(str(tmp_path / "a"), [OUTPUTS[2]])
    lists = pa.FixedSizeListArray.from_arrays(pa.array(range(8)), 4)
    for column in [pa.array([1, 2]), pa.array([[1] * 4, None], lists.type), pa.array([[1, 2, 3, None]], lists.type)]:
        with pytest.raises(ValueError, match="output 'ids': expected"):
            writer.write(pa.RecordBatch.from_pydict({"ids": column}))
    with pytest.raises(ValueError, match=r"expected a column in the batch, got \['other'\]"):
        writer.write(pa.RecordBatch.from_pydict({"other": lists}))
    assert writer.write(pa.RecordBatch.from_pydict({"ids": lists})) == 2
    assert writer.close().rows == 2


def test_sinks_know_their_names():
    assert all(sink.name == name for name, sink in SINKS.items())
    assert {sink.suffix for sink in SINKS.values()} == {".tfrecord", ".tfrecord.gz", ".parquet"}
    assert all(pickle.loads(pickle.dumps(sink)) == sink for sink in SINKS.values())


def test_a_flipped_bit_is_noticed(tmp_path):
    path = tmp_path / "a.tfrecord"
    write("tfrecord", path, batch_of(values_of(50)))
    whole = path.read_bytes()
    for bit in random.Random(0).sample(range(len(whole) * 8), 100):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with pytest.raises(JobError, match=r"a\.tfrecord: "):
            list(SOURCES["tfrecord"].read(SOURCES["tfrecord"].parts(str(path))[0], {}, Limits()))
