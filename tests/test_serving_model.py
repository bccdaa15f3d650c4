"""The serving model as a server has it: TensorFlow alone, requests alone and together, right and wrong ones."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline.command.tf_examples import encode
from pipeline.sources.tfrecord.framing import framed
from tests.jobs import Arrays, done, read_arrays, run_job
from tests.test_serving import ROWS, SPEC, row
from transforms import (
    SequenceGroup,
    SpecError,
    categorical_column_with_identity,
    indicator_column,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.serve import inputs
from transforms.serve import model as serving
from transforms.serve.model import VALID

SOUND_ULPS = 2
"""`sound` goes through log1p of TensorFlow, whose last bit depends on how many values are computed together."""


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> tuple[list[bytes], Arrays, Path]:
    """Requests, what the job wrote for each (by viewer), and the directory of the model."""
    folder = tmp_path_factory.mktemp("model")
    rng = random.Random(1)
    requests = [encode(row(rng, k)) for k in range(ROWS)]
    (folder / "a.tfrecord").write_bytes(framed(requests))
    done(SPEC, folder / "a.tfrecord", folder / "out")
    return requests, read_arrays(folder / "out", sort_by="viewer"), folder / "out" / "serving"


@pytest.fixture(scope="module")
def model(served) -> Any:
    return tf.saved_model.load(str(served[2]))


def same(made: Any, written: Arrays, chosen: list[int]) -> None:
    """Asserts that answers are the bytes that were written, in the dtypes that the manifest declares."""
    assert set(made) == (set(written) - {"viewer"}) | {VALID}
    assert made[VALID].numpy().all()
    for name, tensor in made.items():
        if name == VALID:
            continue
        expected = written[name][chosen]
        assert (tensor.dtype.name, tensor.shape) == (expected.dtype.name, expected.shape), name
        if name == "sound":
            np.testing.assert_array_max_ulp(tensor.numpy(), expected, SOUND_ULPS)
        else:
            assert tensor.numpy().tobytes() == expected.tobytes(), name


def test_requests_alone_and_together(served, model):
    requests, written, _ = served
    call = model.signatures["serving_default"]
    same(call(examples=tf.constant(requests)), written, list(range(ROWS)))
    for k in (0, 7, 59):
        same(call(examples=tf.constant([requests[k]])), written, [k])
    rng = random.Random(2)
    for _ in range(5):
        chosen = [rng.randrange(ROWS) for _ in range(rng.randrange(2, 90))]
        same(call(examples=tf.constant([requests[k] for k in chosen])), written, chosen)


def test_no_request(served, model):
    _, written, _ = served
    made = model.signatures["serving_default"](examples=tf.constant([], tf.string))
    assert {name: tuple(tensor.shape) for name, tensor in made.items()} == {
        **{name: (0, *array.shape[1:]) for name, array in written.items() if name != "viewer"},
        VALID: (0,),
    }


def features(requests: list[bytes], model: Any) -> dict[str, tf.RaggedTensor]:
    kinds = {"ids": tf.int64, "x": tf.float32, "temperature": tf.float32, "sound": tf.float32, "weight": tf.float32}
    spec = {
        key: tf.io.RaggedFeature(kind, row_splits_dtype=tf.int64) for key, kind in (kinds | {"label": tf.int64}).items()
    }
    return tf.io.parse_example(requests, spec)


def test_ragged_tensors(served, model):
    requests, written, _ = served
    same(model.ragged(features(requests, model)), written, list(range(ROWS)))


def test_ragged_tensors_as_parts(served, model):
    requests, written, _ = served
    parts = {}
    for key, tensor in features(requests, model).items():
        parts |= {key: tensor.values, f"{key}_row_splits": tensor.row_splits}
    same(model.signatures["ragged"](**parts), written, list(range(ROWS)))


def test_shapes_are_known(model):
    """T of the group whose longest row the data decided, too."""
    shapes = {
        name: spec.shape.as_list() for name, spec in model.signatures["serving_default"].structured_outputs.items()
    }
    assert shapes["temperature"] == [None, 11, 1]
    assert shapes["x"] == [None, 6, 2]
    assert shapes[VALID] == [None]


def test_features_that_a_request_must_have():
    asked = sequence_categorical_column_with_identity("ids", 10, required=True)
    columns = [indicator_column(asked), numeric_column("age", required=True), numeric_column("height")]
    assert sorted(serving.required_features(make_spec(columns, SequenceGroup(max_length=2)))) == ["age", "ids"]


@pytest.mark.slow
def test_tensorflow_alone_loads_it(served):
    requests, written, path = served
    code = f"""
import sys
for name in ("tensorflow_transform", "tfx_bsl", "apache_beam", "transforms", "pipeline", "pyarrow"):
    sys.modules[name] = None
import tensorflow as tf
made = tf.saved_model.load({str(path)!r}).signatures["serving_default"](examples=tf.constant([{requests[0]!r}]))
print(made["watch_length"].numpy().tolist(), made[{VALID!r}].numpy().tolist())
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd="/", check=False)
    assert found.stdout == f"{[int(written['watch_length'][0])]} [True]\n", found.stderr[-2000:]


WRONG: list[dict[str, Any]] = [
    {"ids": [50]},
    {"ids": [-1]},
    {"ids": [1, 2, 3]},
    {"x": [1.0, 2.0, 3.0]},
    {"x": [float("nan"), 1.0, 2.0, 3.0]},
    {"x": [1.0, float("-inf"), 2.0, 3.0]},
    {"ids": [1, 2, 3, 4], "x": [1.0] * 8},
    {"ids": [7], "x": [1.0] * 2},
    {"ids": None, "x": None},
    {"label": []},
    {"label": [0, 1]},
    {"label": [2]},
    {"label": None},
    {"sound": []},
    {"sound": [1.0, 2.0]},
    {"text": ["1,x"]},
    {"text": ["1", "2"]},
    {"text": ["70000"]},
    {"text": [b"\xff"]},
    {"inner": None},
    {"odd": [-5.0]},
]
"""What a row holds instead of what is right, each a reason to reject it."""

RULES = make_spec(
    [
        sequence_categorical_column_with_identity("ids", 50, group="short"),
        sequence_numeric_column("x", (2,), normalizer_fn="z_score", group="short"),
        sequence_numeric_column("text", dtype="int16", delimiter=",", group="other"),
        categorical_column_with_identity("label", 2, required=True, default_value=None),
        numeric_column("sound"),
        numeric_column("odd", normalizer_fn="tensorflow.math:sqrt"),
        indicator_column(sequence_categorical_column_with_identity("inner", 5, required=True, group="inner")),
    ],
    {
        "short": SequenceGroup(max_length=3, truncate="reject", min_length=2),
        "other": SequenceGroup(max_length=2),
        "inner": SequenceGroup(max_length=2),
    },
)


def right(number: int) -> dict[str, Any]:
    return {
        "ids": [number % 50, 1],
        "x": [float(number), 1.0, 2.0, 3.0],
        "text": [f"{number}, 2"],
        "label": [number % 2],
        "sound": [float(number)],
        "odd": [4.0 * number],
        "inner": [number % 5, 4],
    }


def example(values: dict[str, Any]) -> bytes:
    made = tf.train.Example()
    for key, value in values.items():
        if value is None:
            continue
        feature = made.features.feature[key]
        if key == "text":
            feature.bytes_list.value.extend(v if isinstance(v, bytes) else v.encode() for v in value)
        elif key in ("ids", "label", "inner"):
            feature.int64_list.SetInParent()
            feature.int64_list.value.extend(value)
        else:
            feature.float_list.SetInParent()
            feature.float_list.value.extend(value)
    return made.SerializeToString()


@pytest.mark.slow
def test_what_the_job_rejects_is_marked_and_harms_no_other(tmp_path):
    """Wrong rows among right ones: the job wrote those that the model marks, and no value of another row is touched."""
    records = []
    for number, wrong in enumerate(WRONG):
        records += [example(right(number)), example(right(number) | wrong)]
    (tmp_path / "a.tfrecord").write_bytes(framed(records))
    done(RULES, tmp_path / "a.tfrecord", tmp_path / "out", max_rejected=0.6)
    written = read_arrays(tmp_path / "out")
    made = tf.saved_model.load(str(tmp_path / "out" / "serving")).signatures["serving_default"](
        examples=tf.constant(records)
    )
    good = made[VALID].numpy()
    empty_label = 2 * WRONG.index({"label": []}) + 1
    assert np.flatnonzero(good).tolist() == sorted([*range(0, len(records), 2), empty_label])
    order = np.lexsort([written["odd"][:, 0], written["sound"][:, 0]])
    for name, array in written.items():
        ours = made[name].numpy()[good]
        mine = np.lexsort([made["odd"].numpy()[good][:, 0], made["sound"].numpy()[good][:, 0]])
        np.testing.assert_array_equal(ours[mine], array[order], name)
    assert not made["short_length"].numpy()[~good & (np.arange(len(records)) != len(records) - 1)].any()


@pytest.mark.slow
def test_names_that_tensorflow_does_not_take_and_several_ids(tmp_path):
    keys = ["1 a/é", "1_a/é", "b_row_splits", "b"]
    values = {key: [[1.0, 2.0], [], [3.0]] for key in keys}
    values["tags"] = [[["u", "v"], []], [], [["w"]]]
    table = pa.table({**values, "_t": [[[1], [2, 3]], [], [[4]]]})
    pq.write_table(table, tmp_path / "a.parquet")
    spec = make_spec(
        [
            *(sequence_numeric_column(key, group=f"g{k}") for k, key in enumerate(keys)),
            sequence_categorical_column_with_hash_bucket("tags", 9, max_ids=2),
            sequence_categorical_column_with_hash_bucket("_t", 9, "int32", max_ids=2),
        ],
        {"sequence": SequenceGroup(max_length=2), **{f"g{k}": SequenceGroup(max_length=2) for k in range(4)}},
    )
    done(spec, tmp_path / "a.parquet", tmp_path / "out")
    written, model = read_arrays(tmp_path / "out"), tf.saved_model.load(str(tmp_path / "out" / "serving"))
    ragged = {key: tf.ragged.constant(values[key], tf.float32, row_splits_dtype=tf.int64) for key in keys}
    ragged["tags"] = tf.ragged.constant(values["tags"], tf.string, ragged_rank=2, row_splits_dtype=tf.int64)
    ragged["_t"] = tf.ragged.constant(table["_t"].to_pylist(), tf.int64, ragged_rank=2, row_splits_dtype=tf.int64)
    parts: dict[str, tf.Tensor] = {}
    names = ["arg_1_a__", "arg_1_a___", "b_row_splits", "b_", "tags", "arg__t"]
    for name, tensor in zip(names, ragged.values(), strict=True):
        parts |= {name: tensor.flat_values, f"{name}_row_splits": tensor.row_splits}
        if tensor.ragged_rank == 2:
            parts[f"{name}_step_splits"] = tensor.values.row_splits
    assert set(parts) == set(model.signatures["ragged"].structured_input_signature[1])
    for made in (model.ragged(ragged), model.signatures["ragged"](**parts)):
        assert made[VALID].numpy().all()
        for name, array in written.items():
            np.testing.assert_array_equal(made[name], array, name)
    wrong = {
        **ragged,
        "tags": tf.ragged.constant([[["u", "v", "w"]], [[]], []], tf.string, 2, row_splits_dtype=tf.int64),
    }
    made = model.ragged(wrong)
    assert made[VALID].numpy().tolist() == [False, False, False], "other lengths than the rest of the group"
    same_length = [[["u", "v", "w"], []], [], [["a"]]]
    made = model.ragged({**ragged, "tags": tf.ragged.constant(same_length, tf.string, 2, row_splits_dtype=tf.int64)})
    assert made[VALID].numpy().tolist() == [False, True, True]


def changed(request: bytes, **features: tf.train.Feature) -> bytes:
    made = tf.train.Example.FromString(request)
    for key, feature in features.items():
        made.features.feature[key].CopyFrom(feature)
    return made.SerializeToString()


TEXT = tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"1"]))
FRACTION = tf.train.Feature(float_list=tf.train.FloatList(value=[1.0]))


def bad_records(request: bytes) -> list[bytes]:
    """20 records that cannot be read."""
    half = len(request) // 2
    made = [request[:-size] for size in (1, 2, 3, 7, half)]
    made += [request + tail for tail in (b"\x00", b"\x07", b"\x0a", b"\x0a\xff", b"\x23", b"\x0c")]
    made += [b"garbage", b"\xff" * 40, request[:half] + request[half + 3 :], request + request[:-1]]
    made += [changed(request, **{key: TEXT}) for key in ("ids", "x", "weight")]
    made += [changed(request, ids=FRACTION), request.replace(b"sound", b"\xff\xfe\xfd\xfc\xfb")]
    assert len(made) == 20
    return made


def test_a_record_that_does_not_parse_harms_no_other(served, model):
    """Garbage, records cut short, another kind: at five places each, alone and several together."""
    requests, written, _ = served
    call, good = model.signatures["serving_default"], list(range(1, 10))
    whole = next(r for r in requests if b"sound" in r and b"weight" in r and len(r) > 120)
    empty = {name: tensor.numpy()[0] for name, tensor in call(examples=tf.constant([b""])).items()}
    bad = bad_records(whole)
    for spoilt in [*([record] for record in bad), bad]:
        for place in (0, 1, 4, 8, 9):
            records = [requests[k] for k in good]
            records[place:place] = spoilt
            made = {name: tensor.numpy() for name, tensor in call(examples=tf.constant(records)).items()}
            ours = np.arange(place, place + len(spoilt))
            assert made[VALID].tolist() == [k not in ours for k in range(len(records))], spoilt
            for name, array in made.items():
                rest = np.delete(array, ours, axis=0)
                if name not in (VALID, "sound"):
                    assert rest.tobytes() == written[name][good].tobytes(), name
                    np.testing.assert_array_equal(array[ours], np.stack([empty[name]] * len(ours)), name)


def test_integers_count_as_floats_and_other_kinds_do_not(served, model):
    requests, _, _ = served
    call = model.signatures["serving_default"]
    integers = tf.train.Feature(int64_list=tf.train.Int64List(value=[3, 2**53 + 1]))
    numbers = tf.train.Feature(float_list=tf.train.FloatList(value=[3.0, 2.0**53]))
    records = [changed(requests[0], weight=value) for value in (integers, numbers, TEXT)]
    made = call(examples=tf.constant(records))
    assert made[VALID].numpy().tolist() == [True, True, False]
    assert made["weight"][0].numpy().tobytes() == made["weight"][1].numpy().tobytes()


def test_a_feature_that_serving_does_not_need_may_be_absent(served, model):
    """And may be anything: a column that is passed through is no part of the answer."""
    requests, written, _ = served
    records = []
    for request in requests[:5]:
        made = tf.train.Example.FromString(request)
        del made.features.feature["viewer"]
        records += [made.SerializeToString(), changed(request, viewer=FRACTION)]
    same(model.signatures["serving_default"](examples=tf.constant(records)), written, [k // 2 for k in range(10)])


def test_tf_sequence_examples_are_read_as_the_job_reads_them(served, model):
    """Steps in feature lists, alone and among tf.Examples: what was written for the same values."""
    requests, written, _ = served
    records = []
    for request in requests[:8]:
        context = tf.train.Example.FromString(request).features
        made = tf.train.SequenceExample(context=context)
        for key in ("ids", "temperature"):
            feature = context.feature[key]
            for value in feature.int64_list.value if key == "ids" else feature.float_list.value:
                step = made.feature_lists.feature_list[key].feature.add()
                (step.int64_list if key == "ids" else step.float_list).value.append(value)
            if key in made.context.feature:
                del made.context.feature[key]
        records += [made.SerializeToString(), request]
    same(model.signatures["serving_default"](examples=tf.constant(records)), written, [k // 2 for k in range(16)])


@pytest.mark.slow
def test_names_that_differ_in_case_only(tmp_path):
    """TensorFlow compares names of arguments without regard to case."""
    keys = ["a", "A", "Temp", "temp", "TEMP_row_splits"]
    (tmp_path / "a.tfrecord").write_bytes(framed([example({key: [1.0 + k] for k, key in enumerate(keys)})]))
    spec = make_spec([sequence_numeric_column(key) for key in keys], SequenceGroup(max_length=2))
    done(spec, tmp_path / "a.tfrecord", tmp_path / "out")
    written, model = read_arrays(tmp_path / "out"), tf.saved_model.load(str(tmp_path / "out" / "serving"))
    for k, key in enumerate(keys):
        assert written[key].tolist() == [[[1.0 + k], [0.0]]]
    parts = {}
    names = model.signatures["ragged"].structured_input_signature[1]
    assert len({name.lower() for name in names}) == len(names) == 10
    for k, name in enumerate(["a", "A_", "Temp", "temp_", "TEMP_row_splits_"]):
        parts |= {name: tf.constant([1.0 + k]), f"{name}_row_splits": tf.constant([0, 1], tf.int64)}
    made = model.signatures["ragged"](**parts)
    for key in keys:
        np.testing.assert_array_equal(made[key], written[key])


def test_names_that_tensorflow_refuses_fail_before_the_first_pass(tmp_path, monkeypatch):
    """Should there be any: here the names of arguments are made as they were once, with regard to case."""
    monkeypatch.setattr(inputs, "_input_name", lambda key, taken, parts: key)
    (tmp_path / "a.tfrecord").write_bytes(framed([example({"x": [1.0], "X": [2.0]})]))
    spec = make_spec([sequence_numeric_column("x"), sequence_numeric_column("X")], SequenceGroup(max_length=2))
    with pytest.raises(SpecError, match="expected names that TensorFlow takes"):
        run_job(spec, tmp_path / "a.tfrecord", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_saving_again_gives_the_same(served, tmp_path):
    requests, written, path = served
    serving.save(SPEC, str(path.parent / "transform"), str(tmp_path / "again"))
    made = tf.saved_model.load(str(tmp_path / "again")).signatures["serving_default"](examples=tf.constant(requests))
    same(made, written, list(range(ROWS)))
