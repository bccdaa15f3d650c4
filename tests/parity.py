"""Seeded random cases for every column and wrapper that TensorFlow has too: ours, TensorFlow's, and rows for both.

A case is a column (or several) with random arguments and a batch of random rows: lengths that are often 0, values at the ends of
their ranges, words in and out of the vocabulary, several ids a step. `tests/test_parity_fuzz.py` runs them.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf
import tf_keras
from tensorflow.python.feature_column.feature_column_v2 import FeatureTransformationCache

from transforms import SequenceGroup, apply, shared_embeddings
from transforms.columns import Column, constructor
from transforms.columns.from_tensorflow import converted

fc = tf.feature_column
Rng = np.random.Generator

WORDS = ["omar", "stringer", "marlo", "", " ", "é", "a b", "007", "7", "x" * 60, "日本"]


@dataclass
class Case:
    """One comparison.

    Attributes:
      how: `sequence` (SequenceFeatures), `context` (DenseFeatures) or `ids` (the ids before any wrapper).
      ours: our columns.
      theirs: TensorFlow's, in the same order.
      rows: what our columns read.
      features: what TensorFlow's read.
      files: keeps temporary files alive.
    """

    how: str
    ours: list[Column]
    theirs: list[Any]
    rows: list[dict[str, Any]] = field(default_factory=list)
    features: dict[str, Any] = field(default_factory=dict)
    files: list[Any] = field(default_factory=list)


def ours(name: str, *arguments: Any, **more: Any) -> Any:
    """Builds one of our columns by the name of its type."""
    return constructor(name)(*arguments, **more)


def pick(rng: Rng, *options: Any) -> Any:
    """Returns one of the options."""
    return options[rng.integers(len(options))]


def lengths(rng: Rng) -> list[int]:
    """Steps of each row: often none, sometimes none in the whole batch."""
    count = int(rng.integers(1, 8))
    longest = pick(rng, 0, 1, 3, 8, 20)
    return [0 if rng.random() < 0.25 else int(rng.integers(0, longest + 1)) for _ in range(count)]


def sparse(rows: list[Any], kind: Any) -> tf.SparseTensor:
    """Lists, or lists of lists, as TensorFlow parses them: None and an empty list are both nothing."""
    nested = any(isinstance(value, list) for row in rows for value in row or [])
    places, values = [], []
    for r, row in enumerate(rows):
        for t, value in enumerate(row or []):
            for m, one in enumerate(value if nested else [value]):
                places.append((r, t, m) if nested else (r, t))
                values.append(one)
    rank = 3 if nested else 2
    shape = [len(rows), *[max([p[k] for p in places], default=-1) + 1 for k in range(1, rank)]]
    indices = np.array(places, np.int64).reshape(-1, rank)
    return tf.SparseTensor(indices, tf.constant(values, kind), shape)


def put(case: Case, key: str, rows: list[Any], kind: Any, rng: Rng) -> None:
    """Adds a feature to the rows: an empty sequence as an empty list or as no feature at all."""
    case.rows = case.rows or [{} for _ in rows]
    case.features[key] = sparse(rows, kind)
    for row, values in zip(case.rows, rows, strict=True):
        if values or rng.random() < 0.5:
            row[key] = values


# --- categorical columns: (our arguments by family) and the values that they are given


@dataclass
class Family:
    """A categorical column: both constructors' arguments, its ids, and how a value is drawn."""

    name: str
    arguments: dict[str, Any]
    ids: int
    kind: Any
    draw: Callable[[], Any]
    more: dict[str, Any] = field(default_factory=dict)


def identity(rng: Rng, case: Case) -> Family:
    """Ids in the range; and outside where there is a default."""
    buckets = int(pick(rng, 1, 2, 10, 1000))
    default = pick(rng, None, int(rng.integers(buckets)))
    outside = [-1, -7, buckets, 2**62] if default is not None else []

    def draw() -> int:
        return int(pick(rng, *outside)) if outside and rng.random() < 0.3 else int(rng.integers(buckets))

    return Family("identity", {"num_buckets": buckets, "default_value": default}, buckets, tf.int64, draw)


def hashed(rng: Rng, case: Case) -> Family:
    """Words, or integers that are hashed as text."""
    size = int(pick(rng, 1, 2, 10, 1000))
    if rng.random() < 0.5:
        return Family("hash_bucket", {"hash_bucket_size": size}, size, tf.string, lambda: pick(rng, *WORDS))
    kind = pick(rng, tf.int64, tf.int32)
    draw = lambda: int(rng.integers(-(2**31), 2**31 - 1)) if rng.random() < 0.5 else int(rng.integers(0, 50))  # noqa: E731
    return Family("hash_bucket", {"hash_bucket_size": size, "dtype": kind}, size, kind, draw)


def out_of_vocabulary(rng: Rng, size: int) -> dict[str, Any]:
    """Buckets for unknown words, a default, or neither."""
    return pick(rng, {}, {"num_oov_buckets": int(rng.integers(1, 4))}, {"default_value": int(rng.integers(size))})


def listed(rng: Rng, case: Case) -> Family:
    """A vocabulary of words or of integers."""
    words = [str(word) for word in rng.permutation(WORDS)[: rng.integers(1, 8)]]
    if rng.random() < 0.5:
        more = out_of_vocabulary(rng, len(words))
        arguments = {"vocabulary_list": words, **more}
        return Family(
            "vocabulary_list",
            arguments,
            len(words) + more.get("num_oov_buckets", 0),
            tf.string,
            lambda: pick(rng, *WORDS),
        )
    numbers = [int(n) for n in rng.permutation(20)[: rng.integers(1, 8)]]
    more = out_of_vocabulary(rng, len(numbers))
    arguments = {"vocabulary_list": numbers, "dtype": tf.int64, **more}
    ids = len(numbers) + more.get("num_oov_buckets", 0)
    return Family("vocabulary_list", arguments, ids, tf.int64, lambda: int(rng.integers(-3, 25)))


def from_file(rng: Rng, case: Case) -> Family:
    """A vocabulary in a file, words or integers, maybe only the first of them: lines that end in either way, the last one maybe
    not, or the records of a gzipped TFRecord."""
    integers = rng.random() < 0.25
    chosen = rng.permutation(20) - 3 if integers else rng.permutation([w for w in WORDS if w])
    words = [str(word) for word in chosen[: rng.integers(1, 8)]]
    folder = tempfile.TemporaryDirectory()
    case.files.append(folder)
    path = Path(folder.name) / pick(rng, "words.txt", "words.txt", "words.tfrecord.gz")
    if path.suffix == ".gz":
        with tf.io.TFRecordWriter(str(path), "GZIP") as writer:
            for word in words:
                writer.write(word.encode())
    else:
        end = pick(rng, "\n", "\r\n")
        path.write_bytes((end.join(words) + pick(rng, "", end)).encode())
    size = int(rng.integers(1, len(words) + 1))
    more = out_of_vocabulary(rng, size)
    arguments = {"vocabulary_file": str(path), "vocabulary_size": pick(rng, None, size), **more}
    if arguments["vocabulary_size"] is None:
        size = len(words)
    ids = size + more.get("num_oov_buckets", 0)
    if integers:
        return Family(
            "vocabulary_file", {**arguments, "dtype": tf.int64}, ids, tf.int64, lambda: int(rng.integers(-5, 25))
        )
    return Family("vocabulary_file", arguments, ids, tf.string, lambda: pick(rng, *WORDS))


FAMILIES = [identity, hashed, listed, from_file]


def categorical(
    rng: Rng, case: Case, key: str, steps: list[int], most: int = 1, sequence: bool = True
) -> tuple[Any, Any, int]:
    """Adds a categorical column of a random family with its feature; returns ours, theirs and its number of ids.

    Ours is built by our constructor, or made of theirs.
    """
    family = pick(rng, *FAMILIES)(rng, case)
    prefix = ("sequence_" if sequence else "") + "categorical_column_with_"
    theirs = getattr(fc, prefix + family.name)(key, **family.arguments)
    if rng.random() < 0.5:
        mine = converted(theirs, max_ids=most)
    else:
        mine = ours(prefix + family.name, key, **family.arguments, max_ids=most)
    if most > 1 and sequence:
        rows = [[[family.draw() for _ in range(rng.integers(1, most + 1))] for _ in range(n)] for n in steps]
    else:
        rows = [[family.draw() for _ in range(n)] for n in steps]
    put(case, key, rows, family.kind, rng)
    return mine, theirs, family.ids


def table_of(rng: Rng, ids: int, dimension: int) -> np.ndarray:
    """A table of embeddings."""
    return rng.normal(size=(ids, dimension)).astype(np.float32)


def constant(table: np.ndarray) -> Callable[..., tf.Tensor]:
    """An initializer that gives a table."""
    return lambda shape, dtype=tf.float32, partition_info=None: tf.constant(table, dtype)


def embedded(rng: Rng, mine: Any, theirs: Any, ids: int) -> tuple[Any, Any]:
    """Wraps both in an embedding column with the same table."""
    dimension = int(rng.integers(1, 5))
    table = table_of(rng, ids, dimension)
    combiner, norm = pick(rng, "mean", "sum", "sqrtn"), pick(rng, None, 0.5, 1.5)
    left = ours("embedding_column", mine, dimension, combiner, max_norm=norm, table=table)
    right = fc.embedding_column(theirs, dimension, combiner, constant(table), max_norm=norm)
    return left, right


def numeric(
    rng: Rng, case: Case, key: str, steps: list[int], kinds: Any = (tf.float32, tf.float32, tf.int64)
) -> tuple[Any, Any]:
    """Adds a sequence_numeric_column with its feature."""
    kind = pick(rng, *kinds)
    shape = pick(rng, (), (1,), 2, (3, 2))
    width = int(np.prod(shape))
    default = pick(rng, 0, 7) if kind.is_integer else pick(rng, 0.0, -1.5, 3)
    function = pick(rng, None, None, lambda x: (x - 3.0) / 4.2)
    sparse_function = function and (lambda s: s.with_values(function(tf.cast(s.values, tf.float32))))
    draw = (lambda: int(rng.integers(-99, 99))) if kind.is_integer else (lambda: float(np.float32(rng.normal() * 10)))
    put(case, key, [[draw() for _ in range(n * width)] for n in steps], kind, rng)
    theirs = fc.sequence_numeric_column(key, shape, default, kind, sparse_function)
    if rng.random() < 0.5:
        return converted(theirs), theirs
    return ours("sequence_numeric_column", key, shape, default, kind, function), theirs


# --- one function for each kind of case


def sequence_numeric_case(rng: Rng) -> Case:
    """sequence_numeric_column."""
    case = Case("sequence", [], [])
    mine, theirs = numeric(rng, case, "x", lengths(rng))
    case.ours, case.theirs = [mine], [theirs]
    return case


def ids_case(rng: Rng) -> Case:
    """The ids of a sequence categorical column, before any wrapper."""
    case = Case("ids", [], [])
    mine, theirs, _ = categorical(rng, case, "x", lengths(rng), most=int(pick(rng, 1, 1, 3)))
    case.ours, case.theirs = [mine], [theirs]
    return case


def indicator_case(rng: Rng) -> Case:
    """indicator_column over a sequence."""
    case = Case("sequence", [], [])
    mine, theirs, _ = categorical(rng, case, "x", lengths(rng), most=int(pick(rng, 1, 3)))
    case.ours, case.theirs = [ours("indicator_column", mine)], [fc.indicator_column(theirs)]
    return case


def embedding_case(rng: Rng) -> Case:
    """embedding_column with a table over a sequence."""
    case = Case("sequence", [], [])
    mine, theirs = embedded(rng, *categorical(rng, case, "x", lengths(rng), most=int(pick(rng, 1, 3))))
    case.ours, case.theirs = [mine], [theirs]
    return case


def shared_embedding_case(rng: Rng) -> Case:
    """shared_embeddings with a table over two sequences, or two context columns."""
    sequence = bool(rng.random() < 0.7)
    case = Case("sequence" if sequence else "context", [], [])
    steps, family, names = lengths(rng), pick(rng, *FAMILIES)(rng, case), ["b", "a"]
    kind = ("sequence_" if sequence else "") + f"categorical_column_with_{family.name}"
    for name in names:
        counts = steps if sequence else [int(rng.integers(0, 4)) for _ in steps]
        put(case, name, [[family.draw() for _ in range(n)] for n in counts], family.kind, rng)
    dimension, combiner, norm = int(rng.integers(1, 4)), pick(rng, "mean", "sum", "sqrtn"), pick(rng, None, 0.7)
    table = table_of(rng, family.ids, dimension)
    theirs = [getattr(fc, kind)(name, **family.arguments) for name in names]
    mine = theirs
    if not sequence or rng.random() < 0.5:
        mine = [ours(kind, name, **family.arguments, **({} if sequence else {"max_ids": 3})) for name in names]
    case.ours = [*shared_embeddings(mine, dimension, combiner, max_norm=norm, table=table)]
    # TensorFlow makes them in a graph only: see `in_a_graph`.
    case.theirs = [lambda: fc.shared_embeddings(theirs, dimension, combiner, constant(table), max_norm=norm)]
    return case


def concatenated_case(rng: Rng) -> Case:
    """Several columns side by side, in one feature."""
    case = Case("sequence", [], [])
    steps = lengths(rng)
    names = [str(name) for name in rng.permutation(["A", "a_b", "b", "a", "_z", "B2", "é", "a_indicator"])]
    for name in names[: rng.integers(2, 5)]:
        kind = pick(rng, "numeric", "indicator", "embedding")
        if kind == "numeric":
            mine, theirs = numeric(rng, case, name, steps, (tf.float32,))  # TensorFlow cannot put others beside floats
        else:
            mine, theirs, ids = categorical(rng, case, name, steps)
            if kind == "embedding":
                mine, theirs = embedded(rng, mine, theirs, ids)
            else:
                mine, theirs = ours("indicator_column", mine), fc.indicator_column(theirs)
        if mine.name in [other.name for other in case.ours]:
            continue
        case.ours.append(mine)
        case.theirs.append(theirs)
    return case


def context_numeric_case(rng: Rng) -> Case:
    """numeric_column."""
    case = Case("context", [], [])
    shape, kind = pick(rng, (1,), 2, (3, 2)), pick(rng, tf.float32, tf.float32, tf.float64, tf.int64)
    default = pick(rng, None, -1, 2) if kind.is_integer else pick(rng, None, -1.5, 2.0)
    # TensorFlow gives a function integers, which the documented one cannot take.
    width, function = int(np.prod(shape)), None if kind.is_integer else pick(rng, None, lambda x: (x - 3.0) / 4.2)
    count = int(rng.integers(1, 8))
    rows = [[float(np.float32(v)) for v in rng.normal(size=width) * 9] for _ in range(count)]
    rows = [[int(v) for v in row] for row in rows] if kind.is_integer else rows
    given = [default is None or rng.random() < 0.7 for _ in rows]
    case.rows = [{"x": row} if there else {} for row, there in zip(rows, given, strict=True)]
    fill = [default or 0.0] * width
    dense = [row if there else fill for row, there in zip(rows, given, strict=True)]
    shaped = np.array(dense, kind.as_numpy_dtype).reshape(count, *([shape] if isinstance(shape, int) else shape))
    case.features["x"] = tf.constant(shaped)
    case.theirs = [fc.numeric_column("x", shape, default, kind, function)]
    case.ours = [pick(rng, ours("numeric_column", "x", shape, default, kind, function), converted(case.theirs[0]))]
    return case


def context_categorical_case(rng: Rng) -> Case:
    """indicator_column or embedding_column over a context column of several ids, with or without weights."""
    case = Case("context", [], [])
    counts = [int(rng.integers(0, 4)) for _ in range(rng.integers(1, 8))]
    mine, theirs, ids = categorical(rng, case, "x", counts, most=3, sequence=False)
    if rng.random() < 0.4:
        weights = [[float(np.float32(rng.random() + 0.1)) for _ in range(n)] for n in counts]
        case.features["w"] = sparse(weights, tf.float32)
        for row, values in zip(case.rows, weights, strict=True):
            if "x" in row:
                row["w"] = values
        mine, theirs = ours("weighted_categorical_column", mine, "w"), fc.weighted_categorical_column(theirs, "w")
    if rng.random() < 0.5:
        mine, theirs = ours("indicator_column", mine), fc.indicator_column(theirs)
    else:
        mine, theirs = embedded(rng, mine, theirs, ids)
    case.ours, case.theirs = [mine], [theirs]
    return case


def bucketized_case(rng: Rng) -> Case:
    """bucketized_column, which TensorFlow makes dense as an indicator does."""
    case = Case("context", [], [])
    width = int(rng.integers(1, 4))
    edges = np.unique(np.round(rng.normal(size=rng.integers(1, 6)), 1)).tolist()
    count = int(rng.integers(1, 8))
    values = np.where(
        rng.random((count, width)) < 0.4, rng.choice(edges, (count, width)), rng.normal(size=(count, width))
    )
    values = values.astype(np.float32)
    case.rows = [{"x": row.tolist()} for row in values]
    case.features["x"] = tf.constant(values)
    theirs = fc.bucketized_column(fc.numeric_column("x", (width,)), edges)
    mine = ours("bucketized_column", ours("numeric_column", "x", (width,)), boundaries=edges)
    case.theirs, case.ours = [theirs], [ours("indicator_column", pick(rng, mine, theirs))]
    return case


KINDS: dict[str, Callable[[Rng], Case]] = {
    "sequence_numeric": sequence_numeric_case,
    "ids": ids_case,
    "indicator": indicator_case,
    "embedding": embedding_case,
    "shared_embedding": shared_embedding_case,
    "concatenated": concatenated_case,
    "context_numeric": context_numeric_case,
    "context_categorical": context_categorical_case,
    "bucketized": bucketized_case,
}


# --- comparing


def compare(case: Case) -> None:
    """Asserts that both give the same: ids and lengths exactly, floats to 1e-6 relative (of sums: to 1e-6 of their terms)."""
    made = apply(case.rows, case.ours, SequenceGroup() if case.how != "context" else None)
    assert made.rejected.num_rows == 0, made.rejected.to_pylist()
    if case.how == "ids":
        expected = dense_ids(case)
        np.testing.assert_array_equal(made["x"].reshape(expected.shape), expected)
    elif case.how == "sequence":
        if callable(case.theirs[0]):
            dense, steps = in_a_graph(case, tf_keras.experimental.SequenceFeatures)
        else:
            dense, steps = tf_keras.experimental.SequenceFeatures(case.theirs, autocast=False)(case.features)
        ours_dense, ours_steps = made.sequence_input()
        np.testing.assert_array_equal(ours_steps, steps)
        np.testing.assert_allclose(ours_dense, tf.cast(dense, tf.float32), rtol=1e-6, atol=1e-6)
    else:
        layer = tf_keras.layers.DenseFeatures
        lazy = callable(case.theirs[0])
        dense = in_a_graph(case, layer) if lazy else layer(case.theirs, autocast=False)(case.features).numpy()
        flat = [made[name].reshape(len(dense), -1) for name in sorted(column.name for column in case.ours)]
        np.testing.assert_allclose(np.concatenate(flat, 1), dense.reshape(len(dense), -1), rtol=1e-6, atol=1e-6)


def in_a_graph(case: Case, layer: Any) -> Any:
    """What a layer gives for columns that TensorFlow can only make in a graph."""
    given = {key: (s.indices.numpy(), s.values.numpy(), s.dense_shape.numpy()) for key, s in case.features.items()}
    with tf.Graph().as_default():
        features = {key: tf.SparseTensor(*parts) for key, parts in given.items()}
        made = layer(case.theirs[0](), autocast=False)(features)
        with tf.compat.v1.Session() as session:
            session.run([tf.compat.v1.global_variables_initializer(), tf.compat.v1.tables_initializer()])
            return session.run(made)


def dense_ids(case: Case) -> np.ndarray:
    """TensorFlow's ids as we write them: `[batch, T, M]` padded with -1, without M where there is one id a step."""
    cache = FeatureTransformationCache(case.features)
    found = case.theirs[0].get_sparse_tensors(cache, None).id_tensor
    most = case.ours[0].step_width
    shape = [found.dense_shape[0], found.dense_shape[1], most]
    wide = tf.SparseTensor(found.indices, tf.cast(found.values, tf.int64), shape)
    ids = tf.sparse.to_dense(wide, default_value=-1).numpy()
    return ids if most > 1 else ids[:, :, 0]
