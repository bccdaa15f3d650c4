"""Data sets in which every sequence of a group is empty, and T is left to the data: T is 0, and nothing fails."""

from __future__ import annotations

import json

import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline import Request, read_manifest, run
from tests.marks import slow_but
from transforms import (
    SequenceGroup,
    apply,
    indicator_column,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

ROWS = [{"x": [], "y": [1.0], "w": 1.0}, {"x": [], "y": [], "w": 2.0}]


@pytest.mark.parametrize("sink", slow_but(["tfrecord", "parquet", "sequence_example"]))
def test_t_is_0(tmp_path, sink):
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    columns = [
        sequence_numeric_column("x", shape=2, normalizer_fn="z_score", group="empty"),
        sequence_numeric_column("y", group="full"),
        numeric_column("w"),
    ]
    groups = {"empty": SequenceGroup(), "full": SequenceGroup()}
    outcome = run(Request(make_spec(columns, groups), [str(tmp_path / "in.jsonl")], str(tmp_path / "out"), format=sink))
    assert outcome.status == "done", outcome.message
    manifest = read_manifest(str(tmp_path / "out"))
    shapes = {output.name: output.shape for output in manifest.outputs}
    assert (shapes["x"], shapes["empty_mask"], shapes["y"]) == ((0, 2), (0,), (1, 1))
    (path,) = manifest.files
    if sink == "parquet":
        table = pq.read_table(path)
        assert table["x"].to_pylist() == [[], []] and table["w"].to_pylist() == [[1.0], [2.0]]
    elif sink == "tfrecord":
        records = list(tf.data.TFRecordDataset(path).as_numpy_iterator())
        assert tf.io.parse_example(records, manifest.feature_spec())["y"].shape == (2, 1, 1)
    assert apply(ROWS, make_spec(columns, groups))["x"].shape == (2, 0, 2)


@pytest.mark.slow
def test_in_one_feature(tmp_path):
    (tmp_path / "in.jsonl").write_text('{"x": []}\n{}\n')
    columns = [
        indicator_column(sequence_categorical_column_with_identity("x", 3)),
        sequence_numeric_column("z"),
    ]
    spec = make_spec(columns, SequenceGroup(concatenate=True))
    (tmp_path / "in.jsonl").write_text('{"x": [], "z": []}\n{}\n')
    assert run(Request(spec, [str(tmp_path / "in.jsonl")], str(tmp_path / "out"))).status == "done"
    shapes = {output.name: output.shape for output in read_manifest(str(tmp_path / "out")).outputs}
    assert shapes["sequence_input"] == (0, 4)
