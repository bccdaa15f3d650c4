"""bucketize: the number of the bucket that a value falls into."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import model_validator

from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.options import Boundaries, LearnedBuckets

if TYPE_CHECKING:
    import tensorflow as tf

NO_BUCKET = -1
"""Stands for the bucket of NaN: TensorFlow's own "no id"."""


class Bucketize(Normalizer):
    """Maps x to the number of boundaries that are <= x: an int64 in [0, number of boundaries].

    A value on a boundary belongs to the bucket above it, as in TensorFlow's `Bucketize` op and `bucketized_column`: with the
    boundaries 0, 10 the column -1, 0, 5, 10, 11 becomes 0, 1, 1, 2, 2. Float32 values are compared with boundaries rounded to
    float32, others with the exact boundaries. With `num_buckets` the boundaries are learned: the quantiles 1/n, 2/n
    ... (n - 1)/n of the column (`numpy.quantile`, linear interpolation; approximate for large columns), so that the buckets hold
    about the same number of values. If quantiles are equal, the buckets between them stay empty. In a constant column every value
    is on all boundaries: the last bucket. Without values there are no quantiles, and everything is in bucket 0.

    NaN (`non_finite: keep`) becomes -1. Padding is the raw `default_value`, by default 0, which is also the number of bucket 0.
    In a chain it must come last.

    Attributes:
      boundaries: where a bucket ends and the next begins, ascending.
      num_buckets: the number of buckets to learn from the data, instead of `boundaries`. At most 10,000: the sketch of the
        quantiles resolves no more.
    """

    type: Literal["bucketize"] = "bucketize"
    boundaries: Boundaries | None = None
    num_buckets: LearnedBuckets | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.boundaries is not None and self.num_buckets is not None:
            raise ValueError("num_buckets does not apply together with boundaries: give one or the other")
        if self.boundaries is None and self.num_buckets is None:
            raise ValueError("expected boundaries or num_buckets, got neither")
        return self

    @property
    def needs_statistics(self) -> bool:
        """See the base class."""
        return self.num_buckets is not None

    @property
    def only_last(self) -> bool:
        """See the base class: what comes of it are ids, and no numbers."""
        return True

    @property
    def probabilities(self) -> tuple[float, ...]:
        """See the base class."""
        buckets = self.num_buckets or 1
        return tuple(k / buckets for k in range(1, buckets))

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; returns int64, -1 for NaN."""
        import tensorflow as tf

        wide, narrow = tf.cast(values, tf.float64), values.dtype.is_floating and values.dtype != tf.float64
        if self.boundaries is not None:
            given = np.asarray(self.boundaries, np.float32 if narrow else np.float64)
            made = tf.searchsorted(given.astype(np.float64), tf.reshape(wide, [-1]), "right", tf.int64)
        else:
            learned = tf.stack([statistics.quantiles[probability] for probability in self.probabilities], axis=-1)
            if narrow:
                learned = tf.cast(tf.cast(learned, tf.float32), tf.float64)
            made = self._in_learned(wide, tf.where(tf.math.is_nan(learned), np.float64(np.inf), learned))
        made = tf.reshape(made, tf.shape(wide))
        made.set_shape(wide.shape)
        return tf.where(tf.math.is_nan(wide), np.int64(NO_BUCKET), made)

    def _in_learned(self, wide: tf.Tensor, boundaries: tf.Tensor) -> tf.Tensor:
        """Returns the buckets of values `[steps, *shape]`, given boundaries `[(steps), *shape or 1, boundaries]`, as `[-1]`."""
        import tensorflow as tf

        count = len(self.probabilities)
        size = tf.shape(wide)
        if self.per in ("row", "key"):  # a step has boundaries of its own
            rows = tf.reshape(tf.broadcast_to(boundaries, tf.concat([size, [count]], axis=0)), [-1, count])
            return tf.searchsorted(rows, tf.reshape(wide, [-1, 1]), "right", tf.int64)
        # One search a dimension, in a matrix with a row for each.
        shape = wide.shape[1:].as_list() or [1]
        width = int(np.prod(shape, dtype=np.int64))
        rows = tf.reshape(tf.broadcast_to(boundaries, [*shape, count]), [width, count])
        columns = tf.transpose(tf.reshape(wide, [-1, width]))
        return tf.transpose(tf.searchsorted(rows, columns, "right", tf.int64))
