"""100,000 real words, file paths of commit histories: ids equal TensorFlow's, and what is learned is what `Counter` counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from tensorflow.python.feature_column.feature_column_v2 import FeatureTransformationCache

from transforms.columns import constructor
from transforms.memory import apply

fc = tf.feature_column
STEPS, ROWS = 100, 1_000
PREFIX = "sequence_categorical_column_with_"


@pytest.fixture(scope="module")
def words(real_data) -> list[str]:
    """The first 100,000 paths."""
    paths = pq.read_table(real_data / "commits/histories.parquet", columns=["paths"])["paths"]
    found: list[str] = pc.list_flatten(paths).slice(0, ROWS * STEPS).to_pylist()
    assert len(found) == ROWS * STEPS
    return found


@pytest.fixture(scope="module")
def frequent(words) -> list[str]:
    """The 10,000 most frequent of them, which leave thousands out."""
    counts = Counter(words)
    assert len(counts) > 10_500
    return sorted(counts, key=lambda word: (-counts[word], word.encode()))[:10_000]


def rows_of(words: list[str]) -> pa.Table:
    return pa.table({"x": pa.ListArray.from_arrays(list(range(0, ROWS * STEPS + 1, STEPS)), pa.array(words))})


def ids_of(words: list[str], family: str, *arguments: Any, **more: Any) -> np.ndarray:
    """Our ids, int64 `[ROWS, STEPS]`, in memory."""
    made = apply(rows_of(words), [constructor(PREFIX + family)("x", *arguments, **more)])
    assert made.rejected.num_rows == 0
    return made["x"]


def tensorflow_ids(words: list[str], family: str, *arguments: Any, **more: Any) -> np.ndarray:
    """TensorFlow's, the same."""
    column = getattr(fc, PREFIX + family)("x", *arguments, **more)
    dense = tf.constant(np.array(words, object).reshape(ROWS, STEPS), tf.string)
    places = np.indices(dense.shape).reshape(2, -1).T
    features = FeatureTransformationCache({"x": tf.SparseTensor(places, tf.reshape(dense, [-1]), dense.shape)})
    found = column.get_sparse_tensors(features, None).id_tensor
    return tf.reshape(tf.sparse.to_dense(found, default_value=-1), [ROWS, STEPS]).numpy()


@pytest.mark.parametrize("size", [7, 1_000, 2**40])
def test_hash_bucket(words, size):
    ids = ids_of(words, "hash_bucket", size)
    np.testing.assert_array_equal(ids, tensorflow_ids(words, "hash_bucket", size))
    assert len(np.unique(ids)) == min(size, len(set(words)))  # no two of these collide in 2^40


@pytest.mark.parametrize("more", [{}, {"default_value": 77}, {"num_oov_buckets": 100}])
def test_vocabulary_list(words, frequent, more):
    ids = ids_of(words, "vocabulary_list", frequent, **more)
    np.testing.assert_array_equal(ids, tensorflow_ids(words, "vocabulary_list", frequent, **more))
    known = set(frequent)
    unknown = sum(word not in known for word in words)
    assert unknown > 500
    if not more:
        assert (ids == -1).sum() == unknown


def test_vocabulary_file_with_buckets(words, frequent, tmp_path):
    path = tmp_path / "words.txt"
    path.write_bytes("".join(f"{word}\r\n" for word in frequent).encode())
    ids = ids_of(words, "vocabulary_file", str(path), num_oov_buckets=500)
    np.testing.assert_array_equal(ids, tensorflow_ids(words, "vocabulary_file", str(path), num_oov_buckets=500))
    assert len(np.unique(ids[ids >= 10_000])) > 400
    few = ids_of(words, "vocabulary_file", str(path), 1_000)
    np.testing.assert_array_equal(few, tensorflow_ids(words, "vocabulary_file", str(path), 1_000))


@pytest.mark.parametrize(("top_k", "threshold"), [(10_000, None), (None, 3), (None, None)])
def test_learned_vocabulary(words, frequent, top_k, threshold):
    """Against `collections.Counter`: the more frequent first, of the same frequency by bytes."""
    counts = Counter(words)
    ordered = sorted(counts, key=lambda word: (-counts[word], word.encode()))
    place = {w: k for k, w in enumerate(ordered[:top_k]) if counts[w] >= (threshold or 0)}
    ids = ids_of(words, "learned_vocabulary", top_k, threshold)
    np.testing.assert_array_equal(ids.reshape(-1), [place.get(word, -1) for word in words])
    if top_k:
        np.testing.assert_array_equal(ids, ids_of(words, "vocabulary_list", frequent))
