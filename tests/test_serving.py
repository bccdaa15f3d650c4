"""The saved graph as a server calls it: the bytes that the job wrote, for every request alone, together, in any order."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft

from pipeline.command.tf_examples import encode
from pipeline.sources.tfrecord.framing import framed
from tests.jobs import Arrays, done, read_arrays
from transforms import (
    SequenceGroup,
    apply,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

pytestmark = pytest.mark.slow  # tests/test_serving_model.py asks the same of the serving model

ROWS = 60
GRAPH_OUTPUTS = (
    "ids",
    "x",
    "x_observed",
    "temperature",
    "weight",
    "sound",
    "watch_length",
    "watch_mask",
    "room_length",
    "label",
)


WATCH = ("x", "x_observed", "watch_length", "watch_mask")
"""What may differ where the first column of the group has no ids: its steps are those of the group."""


def scaled(x: Any) -> Any:
    return (x - 3.0) / 4.2


def log_of_magnitude(x: Any) -> Any:
    return tf.math.log1p(tf.abs(x))


SPEC = make_spec(
    [
        passthrough_column("viewer"),
        sequence_categorical_column_with_identity("ids", 50, default_value=3, group="watch"),
        sequence_numeric_column(
            "x",
            (2,),
            -1.0,
            normalizer_fn="z_score",
            non_finite="fill",
            observed_mask=True,
            incomplete_step="pad",
            group="watch",
        ),
        sequence_numeric_column("temperature", normalizer_fn=scaled, group="room"),
        numeric_column("sound", default_value=1.0, normalizer_fn=log_of_magnitude),
        numeric_column("weight", (2,), (0.5, 1.5), normalizer_fn="z_score"),
        categorical_column_with_identity("label", 2),
    ],
    {
        "watch": SequenceGroup(max_length=6, truncate="tail", padding="pre"),
        "room": SequenceGroup(max_length="longest", mask=False),
    },
)


def row(rng: random.Random, number: int) -> dict[str, Any]:
    steps = rng.choice([0, 1, 3, 6, 9])
    x = [rng.gauss(100, 30) for _ in range(2 * steps)]
    if steps and rng.random() < 0.3:
        x[rng.randrange(len(x))] = float("nan")
    return {
        "viewer": f"v{number:03d}",
        "ids": np.array([rng.randrange(-5, 60) for _ in range(steps)], np.int64) if steps else None,
        "x": (x[:-1] if rng.random() < 0.2 else x) or None,
        "temperature": [rng.gauss(20, 3) for _ in range(rng.randrange(12))],
        "sound": rng.gauss(0, 100) if rng.random() < 0.8 else None,
        "weight": None if rng.random() < 0.2 else [rng.random(), rng.random()],
        "label": rng.randrange(2),
    }


@pytest.fixture(scope="module")
def served(tmp_path_factory) -> tuple[list[bytes], Arrays, Path]:
    """Requests, what the job wrote for each (by viewer), and the directory of the graph."""
    folder = tmp_path_factory.mktemp("serving")
    rng = random.Random(1)
    requests = [encode(row(rng, k)) for k in range(ROWS)]
    for part in range(3):
        (folder / f"{part}.tfrecord").write_bytes(framed(requests[part::3]))
    done(SPEC, folder / "*.tfrecord", folder / "out")
    return requests, read_arrays(folder / "out", sort_by="viewer"), folder / "out" / "transform"


@pytest.fixture(scope="module")
def serve(served) -> Any:
    """As a server calls it: serialized requests in, dense arrays out, by the specs that the graph was saved with."""
    output = tft.TFTransformOutput(str(served[2]))
    spec = output.raw_feature_spec()
    layer = output.transform_features_layer()

    def call(requests: Any) -> Arrays:
        return {name: dense(tensor) for name, tensor in layer(tf.io.parse_example(requests, spec)).items()}

    return call


def dense(tensor: Any) -> np.ndarray:
    """A group whose T the data decided comes as a ragged tensor of equal rows."""
    if isinstance(tensor, tf.RaggedTensor):
        assert len(set(np.diff(tensor.row_splits))) <= 1
        return tensor.to_tensor().numpy()
    return tensor.numpy()


def same_bytes(made: Arrays, written: Arrays, rows: list[int]) -> None:
    """All but `sound`: TensorFlow 2.21 computes log1p, exp and their like eight values at a time and the rest one by one, in
    two ways that differ in the last bit. What is built in, and plain arithmetic, does not depend on the company."""
    assert set(made) == set(written) - {"viewer"}
    for name, array in made.items():
        expected = written[name][rows]
        assert array.shape == expected.shape, name
        if name == "sound":
            np.testing.assert_array_max_ulp(array, expected, 2)
            continue
        assert array.astype(expected.dtype).tobytes() == expected.tobytes(), name


def test_requests_are_parsed_by_the_spec_that_was_saved(served):
    spec = tft.TFTransformOutput(str(served[2])).raw_feature_spec()
    kinds = {name: feature.dtype for name, feature in spec.items()}
    assert kinds == {
        "ids": tf.int64,
        "x": tf.float32,
        "temperature": tf.float32,
        "weight": tf.float32,
        "sound": tf.float32,
        "label": tf.int64,
    }


def test_one_by_one(served, serve):
    requests, written, _ = served
    for k, request in enumerate(requests):
        same_bytes(serve([request]), written, [k])


@pytest.mark.parametrize("size", [2, 7, 59, 60])
def test_in_batches(served, serve, size):
    requests, written, _ = served
    for start in range(0, ROWS, size):
        rows = list(range(start, min(start + size, ROWS)))
        same_bytes(serve([requests[k] for k in rows]), written, rows)


def test_in_any_order_and_company(served, serve):
    requests, written, _ = served
    rng = random.Random(2)
    for _ in range(10):
        rows = [rng.randrange(ROWS) for _ in range(rng.randrange(1, 90))]
        same_bytes(serve([requests[k] for k in rows]), written, rows)


def test_in_memory_gives_the_same_bytes(served):
    """One implementation: the in-memory call with the saved graph."""
    requests, written, transform = served
    rng = random.Random(1)
    rows = [row(rng, k) for k in range(ROWS)]
    assert [encode(r) for r in rows] == requests
    made = apply(rows, SPEC, transform=str(transform))
    assert made.rows.tolist() == list(range(ROWS))
    same_bytes({name: made[name] for name in GRAPH_OUTPUTS}, written, list(range(ROWS)))


@pytest.mark.parametrize(
    ("absent", "touched"), [("label", {"label"}), ("weight", {"weight"}), ("ids", {"ids", *WATCH})]
)
def test_a_feature_that_a_request_lacks_altogether(serve, served, absent, touched):
    """A label is not known when a model serves: what does not depend on it is as ever."""
    requests, written, _ = served
    made = serve([without(request, absent) for request in requests])
    assert set(GRAPH_OUTPUTS) == set(made)
    same_bytes(
        {name: array for name, array in made.items() if name not in touched},
        {name: array for name, array in written.items() if name not in touched},
        list(range(ROWS)),
    )


def test_a_feature_that_is_not_even_parsed(served):
    """What stands alone is as ever; sequence groups go through the graph side by side, and need all of their features."""
    requests, written, transform = served
    output = tft.TFTransformOutput(str(transform))
    spec = output.raw_feature_spec()
    del spec["label"]
    made = output.transform_raw_features(tf.io.parse_example(requests, spec), drop_unused_features=True)
    arrays = {name: dense(tensor) for name, tensor in made.items()}
    same_bytes(arrays, {name: array for name, array in written.items() if name != "label"}, list(range(ROWS)))


def without(request: bytes, key: str) -> bytes:
    """A serialized tf.Example without one of its features."""
    example = tf.train.Example.FromString(request)
    example.features.feature.pop(key, None)
    return example.SerializeToString()


def test_no_request(served, serve):
    made = serve(tf.constant([], tf.string))
    assert {name: len(array) for name, array in made.items()} == dict.fromkeys(GRAPH_OUTPUTS, 0)


def test_a_value_never_seen(served, serve):
    """Ids, lengths and numbers that no row had: by the column's rules, without an error."""
    _, written, _ = served
    longest = written["temperature"].shape[1]
    request = encode(
        {"ids": np.array([10**12, -1]), "x": [float("inf"), 1.0, 2.0, 3.0], "temperature": [1.0] * 100, "label": 1}
    )
    made = serve([request])
    assert made["ids"].tolist() == [[-1, -1, -1, -1, 3, 3]]
    assert made["temperature"].shape == (1, longest, 1) and made["room_length"].tolist() == [longest]
    assert made["x"][0, 4, 0] == -1.0 and made["x_observed"][0].sum() == 3
