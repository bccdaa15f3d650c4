"""The serving model behind TensorFlow Serving's REST API: what JSON can say of a row gets what the job wrote for it."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import meta_graph_pb2

from pipeline import export_model
from tests import rest
from tests.jobs import Arrays, done, read_arrays
from tests.rest import RestError
from transforms import (
    SequenceGroup,
    categorical_column_with_vocabulary_list,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
)
from transforms.serve.model import VALID

ROWS = 24
KEYS = ("ids", "x", "exact", "text", "tags", "raw", "age", "size", "label")
WIDTHS = {"x": 2}
"""Numbers in a step, where it is more than one."""

SPEC = make_spec(
    [
        passthrough_column("row", "int64"),
        sequence_categorical_column_with_identity("ids", 50, default_value=3, group="watch"),
        sequence_numeric_column("x", (2,), normalizer_fn="z_score", group="watch"),
        sequence_numeric_column("exact", dtype="float64", normalizer_fn="z_score", group="watch"),
        sequence_numeric_column("text", dtype="int32", delimiter=",", group="other"),
        sequence_categorical_column_with_learned_vocabulary(
            "tags", top_k=4, num_oov_buckets=2, max_ids=2, group="tags"
        ),
        sequence_categorical_column_with_learned_vocabulary("raw", top_k=2, dtype="bytes", group="other"),
        numeric_column("age", default_value=7.0),
        numeric_column("size", (2,), (0.5, 1.5), normalizer_fn="z_score"),
        categorical_column_with_vocabulary_list("label", ["no", "yes"]),
    ],
    {
        "watch": SequenceGroup(max_length=4, truncate="tail", padding="pre"),
        "other": SequenceGroup(max_length="longest"),
        "tags": SequenceGroup(max_length=3),
    },
)


def row(draw: random.Random, number: int) -> dict[str, Any]:
    """A row as Python has it: for every feature a list, of `tags` one of lists."""
    steps, others = draw.choice([0, 1, 3, 6]), draw.randrange(1, 4)
    return {
        "row": number,
        "ids": [draw.randrange(-5, 60) for _ in range(steps)],
        "x": [float(np.float32(draw.gauss(100, 30))) for _ in range(2 * steps)],
        "exact": [draw.gauss(1, 1) for _ in range(steps)],
        "text": [",".join(str(draw.randrange(99)) for _ in range(others))],
        "tags": [[draw.choice("uvwxyz") for _ in range(draw.randrange(3))] for _ in range(draw.randrange(5))],
        "raw": [draw.choice([b"a", b"\xff", b"?"]) for _ in range(others)],
        "age": draw.choice([[], [float(draw.randrange(90))]]),
        "size": draw.choice([[], [0.25, draw.random()]]),
        "label": draw.choice([[], ["no"], ["yes"], ["perhaps"]]),
    }


DRAW = random.Random(5)
DRAWN = [row(DRAW, number) for number in range(ROWS)]


@pytest.fixture(scope="module")
def data_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rest")
    columns = {key: pa.array([row[key] for row in DRAWN]) for key in ("row", *KEYS) if key != "text"}
    table = pa.table({**columns, "text": pa.array([row["text"][0] for row in DRAWN])})
    pq.write_table(table, folder / "rows.parquet")
    done(SPEC, folder / "rows.parquet", folder / "out", format="parquet")  # which holds float64
    return folder / "out"


@pytest.fixture(scope="module")
def written(data_set: Path) -> Arrays:
    return read_arrays(data_set, sort_by="row")


@pytest.fixture(scope="module")
def model(data_set: Path) -> rest.Model:
    return rest.Model(export_model(str(data_set), str(data_set.parent / "model")).path)


@pytest.fixture(scope="module")
def plain(data_set: Path) -> rest.Model:
    """The model that every data set has, which takes no lists."""
    made = rest.Model(str(data_set / "serving"))
    assert {"serving_default", "ragged"} < made.signatures.keys() and "padded" not in made.signatures
    return made


def json_of(value: Any) -> Any:
    """Bytes as REST sends them."""
    if isinstance(value, bytes):
        return {"b64": base64.b64encode(value).decode()}
    return [json_of(one) for one in value] if isinstance(value, list) else value


def padded(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The instances of a request: all lists of a feature as long as the longest, at least one step."""
    made: list[dict[str, Any]] = [{} for _ in rows]
    for key in KEYS:
        width = WIDTHS.get(key, 1)
        lists = [row[key] for row in rows]
        if key in WIDTHS:
            lists = [[one[k : k + width] for k in range(0, len(one), width)] for one in lists]
        most = max(1, *map(len, lists))
        nothing: Any = {"x": [0.0, 0.0], "tags": ["", ""], "text": "", "raw": "", "label": ""}.get(key, 0)
        for instance, one in zip(made, lists, strict=True):
            filled = [[*step, "", ""][:2] for step in one] if key == "tags" else one
            instance[key] = json_of(filled) + [nothing] * (most - len(one))
            instance[f"{key}_length"] = len(one)
            if key == "tags":
                instance["tags_step_length"] = [len(step) for step in one] + [0] * (most - len(one))
    return made


def asked(model: rest.Model, name: str, **request: Any) -> Any:
    """The answer's `predictions` or `outputs`."""
    (made,) = json.loads(model.predict(json.dumps({"signature_name": name, **request}))).values()
    return made


def same(predictions: Sequence[Mapping[str, Any]], written: Arrays, chosen: Sequence[int]) -> None:
    """Asserts that an answer holds the bits that were written."""
    assert len(predictions) == len(chosen)
    for made, k in zip(predictions, chosen, strict=True):
        assert made.keys() == (written.keys() - {"row"}) | {VALID}
        assert made[VALID] is True
        for name, array in written.items():
            if name != "row":
                assert np.array(made[name], array.dtype).tobytes() == array[k].tobytes(), (k, name)


def test_rows_alone_and_together(model, written):
    for k in range(0, ROWS, 5):
        same(asked(model, "padded", instances=padded([DRAWN[k]])), written, [k])
    same(asked(model, "padded", instances=padded(DRAWN)), written, range(ROWS))
    draw = random.Random(1)
    chosen = [draw.randrange(ROWS) for _ in range(7)]
    same(asked(model, "padded", instances=padded([DRAWN[k] for k in chosen])), written, chosen)


def test_columns(model, written):
    instances = padded(DRAWN)
    columns = {name: [one[name] for one in instances] for name in instances[0]}
    made = asked(model, "padded", inputs=columns)
    rows = [{name: made[name][k] for name in made} for k in range(ROWS)]
    same(rows, written, range(ROWS))


def test_the_padding_counts_for_nothing(model, written):
    """Longer lists, other values behind the lengths, the numbers of integers."""
    instances = padded(DRAWN[:3])
    for one in instances:
        one["ids"] += [9, 8]
        one["x"] += [[float("nan"), 1]] * 3
        one["tags"] += [["q", "q"]]
        one["tags_step_length"] += [7]
    same(asked(model, "padded", instances=instances), written, range(3))


@pytest.mark.parametrize(
    "wrong",
    [
        {"ids_length": 5},
        {"ids_length": -1},
        {"ids_length": 1},
        {"x": [[1.0, float("nan")]] * 4},
        {"text": ["1;2"]},
        {"raw_length": 0},
        {"tags_step_length": [3, 0, 0, 0]},
        {"tags_step_length": [-1, 0, 0, 0]},
        {"age": [1.0], "age_length": 2},
        {"size_length": 1},
    ],
    ids=str,
)
def test_a_row_that_the_job_would_reject_is_invalid_and_harms_no_other(model, written, wrong):
    rows = [one for one in range(ROWS) if len(DRAWN[one]["ids"]) == 3 and DRAWN[one]["tags"]][:3]
    most = {"ids": [1, 2, 3, 0], "exact": [0.0] * 4, "tags": [["u", "v"]] * 4}
    instances = padded([DRAWN[k] for k in rows])
    for one in instances:
        one["ids"], one["exact"] = one["ids"] + [0], one["exact"] + [0.0]
        one["x"] = [*one["x"], [0.0, 0.0]]
        one["tags"] = (one["tags"] + most["tags"])[:4]
        one["tags_step_length"] = (one["tags_step_length"] + [0] * 4)[:4]
        one["age"], one["size"] = (one["age"] + [0.0])[:1], (one["size"] + [0.0, 0.0])[:2]
    instances[1] = instances[1] | wrong
    made = asked(model, "padded", instances=instances)
    assert [one[VALID] for one in made] == [True, False, True]
    assert made[1]["watch_length"] == 0 and made[1]["ids"] == [-1] * 4
    same([made[0], made[2]], written, [rows[0], rows[2]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda one: one.pop("label"), "keys must be equal to"),
        (lambda one: one.update(viewer=1), "does not have named input: viewer"),
        (lambda one: one.update(ids=[1.5]), "1.5 is not of expected type: int64"),
        (lambda one: one.update(label=None), "None is not of expected type: string"),
        (lambda one: one.update(x=[[1.0, 2.0, 3.0]]), "steps of the shape of their column"),
        (lambda one: one.update(x=[], x_length=0), "same rank|must match|Shapes of all inputs"),
        (lambda one: one["tags_step_length"].append(1), "a number of ids for every step"),
        (lambda one: one.update(ids=[[1]]), "Shapes of all inputs must match"),
        (lambda one: one.update(x=[1.0], ids=[[1]]), "Shapes of all inputs must match"),
    ],
)
def test_what_no_row_can_be_is_refused(model, change, message):
    (one,) = padded([DRAWN[0] | {"ids": [1], "x": [1.0, 2.0], "exact": [1.0]}])
    change(one)
    with pytest.raises(RestError, match=message):
        asked(model, "padded", instances=[one])


def test_features_of_other_batches_fail_the_request(model):
    instances = padded(DRAWN[:2])
    columns = {name: [one[name] for one in instances] for name in instances[0]}
    columns["ids"] = columns["ids"][:1]
    with pytest.raises(RestError, match="as many rows in every feature"):
        asked(model, "padded", inputs=columns)


def record(row: Mapping[str, Any]) -> bytes:
    """A row as a tf.SequenceExample: steps with several ids, and all else in the context."""
    made = tf.train.SequenceExample()
    for key in KEYS:
        feature = made.context.feature[key]
        if key in ("ids",):
            feature.int64_list.value.extend(row[key])
        elif key in ("text", "raw", "label"):
            feature.bytes_list.value.extend(one if isinstance(one, bytes) else one.encode() for one in row[key])
        elif key == "tags":
            del made.context.feature[key]
            for step in row[key]:
                made.feature_lists.feature_list[key].feature.add().bytes_list.value.extend(one.encode() for one in step)
        else:
            feature.float_list.value.extend(row[key])
    return made.SerializeToString()


def test_serialized_records_as_base64(plain, written):
    """All that a record holds: no float64, which comes out as of float32."""
    records = [json_of(record(one)) for one in DRAWN]
    narrow = {name: array for name, array in written.items() if name != "exact"}
    for request in (
        {"instances": records},
        {"instances": [{"examples": one} for one in records]},
        {"inputs": records},
        {"inputs": {"examples": records}},
    ):
        made = json.loads(plain.predict(json.dumps(request)))
        assert made.keys() == ({"predictions"} if "instances" in request else {"outputs"})
        rows: Any = made.get("predictions")
        if rows is None:
            rows = [{name: made["outputs"][name][k] for name in made["outputs"]} for k in range(ROWS)]
        for one in rows:
            del one["exact"]
        same(rows, narrow, range(ROWS))


def test_base64_that_is_no_record_is_an_invalid_row(plain, written):
    made = asked(plain, "serving_default", instances=[json_of(b"garbage"), json_of(record(DRAWN[2]))])
    assert [one[VALID] for one in made] == [False, True]


def tensors(request: dict[str, Any], **wanted: int) -> dict[str, Any]:
    """The tensors that the rules make of a request, as lists."""
    infos = {name: meta_graph_pb2.TensorInfo(dtype=kind) for name, kind in wanted.items()}
    return {name: tensor.numpy().tolist() for name, tensor in rest.inputs_of(request, infos)[0].items()}


class TestTheRulesThemselves:
    """Requests and answers as TensorFlow Serving's documentation has them, and its own tests."""

    def test_rows_and_columns(self):
        rows = {"instances": [{"s": ["foo"], "t": [1, 2]}, {"s": ["bar"], "t": [3, 4]}]}
        columns = {"inputs": {"s": [["foo"], ["bar"]], "t": [[1, 2], [3, 4]]}}
        for request in (rows, columns):
            made = tensors(request, s=types_pb2.DT_STRING, t=types_pb2.DT_INT64)
            assert made == {"s": [[b"foo"], [b"bar"]], "t": [[1, 2], [3, 4]]}

    def test_one_input_needs_no_name(self):
        assert tensors({"instances": [[1, 2], [3, 4]]}, t=types_pb2.DT_INT64) == {"t": [[1, 2], [3, 4]]}
        assert tensors({"inputs": [[1], [2]]}, t=types_pb2.DT_INT64) == {"t": [[1], [2]]}
        assert tensors({"instances": [{"b64": "aGVsbG8="}]}, t=types_pb2.DT_STRING) == {"t": [b"hello"]}
        assert tensors({"instances": [[{"b64": "aGVsbG8="}]]}, t=types_pb2.DT_STRING) == {"t": [[b"hello"]]}

    def test_numbers(self):
        made = tensors({"instances": [1, 5.003, 1435774380, 1e300, float("nan")]}, t=types_pb2.DT_FLOAT)["t"]
        assert made[:4] == [1.0, float(np.float32(5.003)), float(np.float32(1435774380)), float("inf")]
        assert np.isnan(made[4])

    @pytest.mark.parametrize(
        ("request_", "message"),
        [
            ({}, "expecting one of"),
            ({"instances": [1], "inputs": [1]}, "expecting one of"),
            ({"instances": []}, "a list with values"),
            ({"instances": [[1, 2], [3]]}, "Expecting shape"),
            ({"instances": [[[1, 2], [3]]]}, "unexpected size"),
            ({"instances": [[[1, 2], 3]]}, "incorrect level"),
            ({"instances": [[1, [3]]]}, "unexpected level"),
            ({"instances": [1.0]}, "not of expected type"),
            ({"instances": [True]}, "not of expected type"),
            ({"instances": [None]}, "not of expected type"),
            ({"instances": [{"b64": "AA=="}]}, "not of expected type"),
            ({"instances": [2**63]}, "not of expected type"),
        ],
    )
    def test_what_is_refused(self, request_, message):
        with pytest.raises(RestError, match=message):
            tensors(request_, t=types_pb2.DT_INT64)

    def test_answers(self):
        made = {"n": np.array([1, 2]), "x": np.array([[0.2], [9e6]], np.float32), "b": np.array([True, False])}
        rows = json.loads(rest.answer(made, by_row=True))
        assert rows == {"predictions": [{"n": 1, "x": [0.2], "b": True}, {"n": 2, "x": [9e6], "b": False}]}
        assert json.loads(rest.answer({"n": made["n"]}, by_row=True)) == {"predictions": [1, 2]}
        assert json.loads(rest.answer({"n": made["n"]}, by_row=False)) == {"outputs": [1, 2]}
        words = {"a": np.array([b"u"], object), "a_bytes": np.array([b"\xff"], object)}
        assert json.loads(rest.answer(words, by_row=False)) == {"outputs": {"a": ["u"], "a_bytes": [{"b64": "/w=="}]}}
