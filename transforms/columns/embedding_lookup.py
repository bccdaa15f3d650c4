"""Ids to vectors of a given table, as TensorFlow's embedding columns look them up and combine them."""

from __future__ import annotations

import hashlib

import tensorflow as tf

from transforms.columns.categorical import StepIds
from transforms.columns.vocabulary_lookup import Track
from transforms.stored.embedding_tables import EmbeddingTable


class _Rows(tf.Module):
    """A table as a variable: a constant would be a part of the graph's text, which may have 2 GB at most."""

    def __init__(self, values: tf.Tensor):
        super().__init__()
        self.values = tf.Variable(values, trainable=False)


def embedding_rows(table: EmbeddingTable, max_norm: float | None, track: Track) -> tf.Variable:
    """Returns a table in the graph, float32 `[ids, dimension]`. It is there once, however many columns look it up.

    Args:
      table: the values.
      max_norm: a vector with a larger Euclidean norm is shortened to it; None for no limit.
      track: keeps the table alive.
    """

    def make() -> _Rows:
        values = tf.constant(table.values)
        # Clipped once and not at every lookup: the same vector is the same, whatever stands beside it.
        return _Rows(values if max_norm is None else tf.clip_by_norm(values, max_norm, axes=[1]))

    name = hashlib.sha256(f"{table.digest} {max_norm}".encode()).hexdigest()[:16]
    return track(make, f"embedding_{name}").values


def combined(rows: tf.Tensor, steps: StepIds, combiner: str) -> tf.Tensor:
    """Returns one vector for every step, float32 `[steps, dimension]`.

    The sum of the step's vectors times their weights (`sum`), divided by the sum of the weights (`mean`) or by the root of
    the sum of their squares (`sqrtn`); with `mean` and `sqrtn` a weight of 0 or less leaves the id out. A step without an id
    is zeros. Of the vectors `[[1, 2], [3, 4]]` the ids `[[0, 1], [1, -1]]` give the means `[[2, 3], [3, 4]]`.

    `tf.nn.safe_embedding_lookup_sparse` of TensorFlow 2.21 does the same, but the last bit of its weighted `sqrtn` depends on
    what else is in the batch. Here the vectors of a step are added one after the other, in float32 as there.

    Args:
      rows: `[ids, dimension]`.
      steps: ids `[steps, M]`; what is no row counts as no id.
      combiner: `mean`, `sum` or `sqrtn`.
    """
    there = tf.logical_and(steps.ids >= 0, steps.ids < rows.shape[0])
    weights = tf.cast(there, tf.float32)
    if steps.weights is not None:
        counts = there if combiner == "sum" else tf.logical_and(there, steps.weights > 0)
        weights = tf.where(counts, steps.weights, tf.zeros_like(steps.weights))
    ids = tf.where(there, steps.ids, 0)
    total = tf.gather(rows, ids[:, 0]) * weights[:, :1]
    for k in range(1, steps.ids.shape[1]):
        total += tf.gather(rows, ids[:, k]) * weights[:, k : k + 1]
    if combiner == "sum" or (steps.ids.shape[1] == 1 and steps.weights is None):
        return total
    return tf.math.divide_no_nan(total, _norm(weights, combiner))


def _norm(weights: tf.Tensor, combiner: str) -> tf.Tensor:
    """Returns what the sum of each step is divided by, float32 `[steps, 1]`."""
    wide = [tf.cast(one, tf.float64) for one in tf.unstack(weights, axis=1)]
    if combiner == "mean":
        return tf.cast(tf.add_n(wide), tf.float32)[:, tf.newaxis]
    # The root in float64: that of float32 is rounded otherwise where the kernel takes several at once.
    return tf.cast(tf.sqrt(tf.add_n([one * one for one in wide])), tf.float32)[:, tf.newaxis]
