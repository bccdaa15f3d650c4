"""Fingerprint64, against TensorFlow's."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from transforms.kernels.fingerprints import fingerprints, of_integers
from transforms.rows import keys

TEXTS = [bytes(np.random.default_rng(size).integers(0, 256, size, np.uint8)) for size in range(400)]


def of_tensorflow(texts):
    made = [tf.fingerprint([text] if text else tf.zeros([1, 0], tf.uint8)).numpy().tobytes() for text in texts]
    return [int.from_bytes(one, "little") for one in made]


def test_every_length_has_the_bits_of_tensorflows():
    assert fingerprints(pa.array(TEXTS)).tolist() == of_tensorflow(TEXTS)


@given(st.lists(st.binary(max_size=200), max_size=20))
def test_buckets_are_tensorflows(texts):
    made = fingerprints(pa.array(texts, pa.binary()))
    assert (made % np.uint64(1000)).tolist() == tf.strings.to_hash_bucket_fast(texts, 1000).numpy().tolist()


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string(), pa.binary(), pa.string_view()])
def test_slices_and_layouts(kind):
    array = pa.array(["a", "", None, "omar", "stringer"], kind)
    assert fingerprints(array[1:]).tolist() == fingerprints(pa.array([b"", b"", b"omar", b"stringer"])).tolist()
    assert fingerprints(array[:0]).tolist() == []


@given(st.lists(st.integers(-(2**63), 2**64 - 1), max_size=20))
def test_integers_have_the_bits_of_their_text(numbers):
    for dtype in (np.int64, np.uint64, np.int8, np.uint16):
        own = [n for n in (0, *numbers) if np.iinfo(dtype).min <= n <= np.iinfo(dtype).max]
        made = of_integers(np.array(own, dtype))
        assert made.tolist() == of_tensorflow([str(n).encode() for n in own])
        assert keys.hashes([pa.array(own, pa.from_numpy_dtype(dtype))]).tolist() == made.tolist()


def test_uncompiled_it_gives_the_same():
    code = (
        "import pyarrow as pa, numpy as np\n"
        "from transforms.kernels.fingerprints import fingerprints, of_integers\n"
        "texts = [bytes(np.random.default_rng(n).integers(0, 256, n, np.uint8)) for n in (0, 3, 7, 15, 31, 64, 65, 300)]\n"
        "print(fingerprints(pa.array(texts)).tolist())\n"
        "print(of_integers(np.array([0, -(2**63), 2**63 - 1, -10])).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**os.environ, "NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    chosen = [TEXTS[n] for n in (0, 3, 7, 15, 31, 64, 65, 300)]
    numbers = [str(n) for n in (0, -(2**63), 2**63 - 1, -10)]
    assert done.stdout.split("\n")[:2] == [str(fingerprints(pa.array(own)).tolist()) for own in (chosen, numbers)]
