"""The encoder's bytes against what protocol buffers write of the same rows."""

from __future__ import annotations

import hashlib
import itertools
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import google_crc32c
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.marks import tried
from transforms.kernels import encode
from transforms.kernels.encode import BOOLEANS, BYTES, FLOATS, INTEGERS, Feature

ENDS = st.lists(st.text("aé_\0", max_size=3) | st.just("long" * 40), max_size=5)
SIZES = st.integers(0, 3) | st.just(130)
INTEGER = st.integers(-(2**63), 2**63 - 1) | st.integers(-2, 300)


@st.composite
def batches(draw: Any) -> tuple[int, list[tuple[Feature, list[Any]]]]:
    """The rows of a batch, and its features, each with its values as a list: in the order of their names, context first."""
    count, names = draw(st.integers(0, 3)), [f"{k}{end}".encode() for k, end in enumerate(draw(ENDS))]
    context = draw(st.integers(0, len(names)))
    made = []
    for k, name in enumerate(names):
        steps = draw(SIZES) if k >= context else None
        made.append(feature_of(draw, name, count, draw(SIZES), steps))
    return count, made


def feature_of(draw: Any, name: bytes, count: int, width: int, steps: int | None) -> tuple[Feature, list[Any]]:
    size, kind = (
        count * width * (1 if steps is None else steps),
        draw(st.sampled_from([BYTES, FLOATS, INTEGERS, BOOLEANS])),
    )
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    if kind == FLOATS:
        floats = rng.normal(size=size).astype(np.float32)
        return Feature(name, kind, floats, width, steps), floats.tolist()
    if kind == INTEGERS:
        few = np.array(draw(st.lists(INTEGER, min_size=1, max_size=8)), np.int64)
        integers = few[rng.integers(0, len(few), size)]
        return Feature(name, kind, integers, width, steps), integers.tolist()
    if kind == BOOLEANS:
        first, bits = draw(st.integers(0, 9)), rng.integers(0, 2, size)
        packed = np.packbits(np.concatenate([np.ones(first, int), bits]), bitorder="little")
        return Feature(name, kind, packed, width, steps, first=first), bits.tolist()
    lengths = rng.choice([0, 1, 5, 130], size)
    starts = np.concatenate([[2], 2 + np.cumsum(lengths)]).astype(np.int64)
    text = rng.integers(0, 256, starts[-1] + 3).astype(np.uint8)
    return Feature(name, kind, text, width, steps, starts), [bytes(text[a:b]) for a, b in itertools.pairwise(starts)]


def framed(record: bytes) -> bytes:
    header = struct.pack("<Q", len(record))
    return header + checksum(header) + record + checksum(record)


def checksum(data: bytes) -> bytes:
    crc = google_crc32c.value(data)
    return struct.pack("<I", ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF)


def messages(count: int, features: list[tuple[Feature, list[Any]]]) -> Iterator[Any]:
    """The rows as protocol buffers."""
    for row in range(count):
        made = tf.train.SequenceExample()
        made.context.SetInParent() if any(feature.steps is None for feature, _ in features) else None
        made.feature_lists.SetInParent() if any(feature.steps is not None for feature, _ in features) else None
        for feature, values in features:
            if feature.steps is None:
                put(made.context.feature[feature.name.decode()], feature, values, row)
                continue
            lists = made.feature_lists.feature_list[feature.name.decode()].feature
            for step in range(feature.steps):
                put(lists.add(), feature, values, row * feature.steps + step)
        yield made


def put(into: Any, feature: Feature, values: list[Any], number: int) -> None:
    name = {BYTES: "bytes_list", FLOATS: "float_list"}.get(feature.kind, "int64_list")
    into_list = getattr(into, name)
    into_list.SetInParent()
    into_list.value.extend(values[number * feature.width :][: feature.width])


def records(features: list[Feature], count: int, most: int = encode.PIECE_BYTES) -> bytes:
    return b"".join(piece.tobytes() for piece in encode.records(features, count, most))


@given(batches(), st.integers(1, 300))
@settings(max_examples=tried(200))
def test_pieces_of_any_size_make_the_same_records(batch, most):
    count, features = batch
    assert records([feature for feature, _ in features], count, most) == records([f for f, _ in features], count)


def test_pieces_are_about_as_long_as_asked_for():
    feature = Feature(b"x", FLOATS, np.zeros(1000 * 100, np.float32), 100)
    first, *sizes, last = [len(piece) for piece in encode.records([feature], 1000, 10_000)]
    assert first == len(records([feature], 1)) and last <= sizes[0]
    assert len(set(sizes)) == 1 and 9_000 < sizes[0] <= 10_000


@given(batches())
@settings(max_examples=tried(400))
def test_records_are_what_protocol_buffers_write(batch):
    count, features = batch
    made = records([feature for feature, _ in features], count)
    expected = list(messages(count, features))
    if all(feature.width for feature, _ in features):
        assert made == b"".join(framed(one.SerializeToString(deterministic=True)) for one in expected)
    for one in expected:  # an empty list of numbers is written as one, which protocol buffers read alike
        length = int.from_bytes(made[:8], "little")
        record, made = made[12 : 12 + length], made[16 + length :]
        assert tf.train.SequenceExample.FromString(record) == one
    assert made == b""


def test_integers_of_every_length():
    numbers = [
        0,
        *(sign * 2**bits + by for bits in range(63) for sign in (1, -1) for by in (-1, 0)),
        -(2**63),
        2**63 - 1,
    ]
    made = records([Feature(b"x", INTEGERS, np.array(numbers, np.int64), len(numbers))], 1)
    expected = tf.train.Example()
    expected.features.feature["x"].int64_list.value.extend(numbers)
    assert made == framed(expected.SerializeToString())
    one = Feature(b"x", INTEGERS, np.array(numbers, np.int64))
    assert len(records([one], len(numbers))) > len(made)


def test_features_stand_in_the_order_given_and_empty_lists_are_there():
    b = Feature(b"b", FLOATS, np.zeros(0, np.float32), 0)
    unnamed = Feature(b"", BYTES, np.zeros(0, np.uint8), 0, starts=np.zeros(1, np.int64))
    entries = b"\n\t\n\x01b\x12\x04\x12\x02\n\x00" + b"\n\x06\n\x00\x12\x02\n\x00"
    assert records([b, unnamed], 1) == framed(b"\n\x13" + entries)


def test_no_features_make_empty_records():
    assert records([], 2) == 2 * framed(b"")
    assert records([], 0) == b""


@pytest.mark.parametrize("starts", [[0, 5], [3, 2], [-1, 1]])
def test_a_string_outside_of_its_buffer(starts):
    with pytest.raises(ValueError, match="a string that does not lie in its buffer"):
        records([Feature(b"x", BYTES, np.zeros(4, np.uint8), starts=np.array(starts))], 1)


@pytest.mark.parametrize("kind", [BYTES, FLOATS, INTEGERS, BOOLEANS])
def test_fewer_values_than_the_rows_have(kind):
    values = {FLOATS: np.zeros(8, np.float32), INTEGERS: np.zeros(8, np.int64)}.get(kind, np.zeros(1, np.uint8))
    feature = Feature(b"x", kind, values, 3, starts=np.zeros(9, np.int64) if kind == BYTES else None)
    assert len(records([feature], 2))
    with pytest.raises(ValueError, match="feature b'x': expected 9 values, got 8"):
        records([feature], 3)


SCRIPT = """
import hashlib, json
import numpy as np
from transforms.kernels.encode import *
rng = np.random.default_rng(0)
features = [
    Feature(b"x", FLOATS, rng.normal(size=60).astype(np.float32), 12),
    Feature(b"text", BYTES, rng.integers(0, 256, 400).astype(np.uint8), starts=np.array([0, 0, 1, 200, 200, 400])),
    Feature(b"mask", BOOLEANS, rng.integers(0, 256, 9).astype(np.uint8), 13, first=5),
    Feature(b"ids", INTEGERS, rng.integers(-2**63, 2**63 - 1, 60) >> rng.integers(0, 64, 60), 3, 4),
    Feature(b"lists", FLOATS, rng.normal(size=60).astype(np.float32), 3, 4),
]
made = b"".join(piece.tobytes() for piece in records(features, 5))
"""


@pytest.mark.parametrize("variable", ["NUMBA_DISABLE_JIT", pytest.param("NUMBA_BOUNDSCHECK", marks=pytest.mark.slow)])
def test_uncompiled_and_with_bounds_checked(tmp_path, variable):
    """The uncompiled code is what a person debugs; checking bounds finds what else would be written beside a buffer."""
    names: dict[str, Any] = {}
    exec(SCRIPT, names)
    variables = {**os.environ, variable: "1", "NUMBA_CACHE_DIR": str(tmp_path)}
    script = SCRIPT + "print(hashlib.sha256(made).hexdigest())"
    done = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == hashlib.sha256(names["made"]).hexdigest()
