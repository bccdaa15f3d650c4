"""Statistics of each row by itself: those of its kept, observed steps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from transforms.normalizers import Statistics

if TYPE_CHECKING:
    from transforms.columns.steps import Steps


def of_rows(values: tf.Tensor, steps: Steps, probabilities: Sequence[float] = ()) -> Statistics:
    """Returns for every step the statistics of its own row and dimension.

    For the row 1, 2, 6 each of the three steps gets count 3, mean 3, variance 14/3, min 1, max 6, and 2 for the probability 0.5.
    A row's figures are the same to the last bit whatever other rows share its batch: the sums add a row's values one
    after the other.

    Args:
      values: `[n, *shape]`, any numeric dtype.
      steps: where they stand; only observed, finite values count.
      probabilities: quantiles that are wanted, each in [0, 1].

    Returns:
      float64 `[n, *shape]` each: count, mean, population variance (ddof 0, around the mean found first), min, max, and
      quantiles as `np.quantile` interpolates them. Where the row has no observed value in the dimension: 0, 0, 0, +inf,
      -inf, NaN.
    """
    shape = tf.shape(values)
    width = int(np.prod(values.shape[1:], dtype=np.int64))
    flat = tf.reshape(tf.cast(values, tf.float64), [-1, width])
    observed = tf.logical_and(tf.reshape(steps.observed, [-1, width]), tf.math.is_finite(flat))
    count, *others = _moments(flat, observed, steps)
    quantiles = _quantiles(flat, observed, count, steps, probabilities) if probabilities else []

    def by_step(figure: tf.Tensor) -> tf.Tensor:
        return tf.reshape(tf.gather(figure, steps.rows), shape)

    found = {p: by_step(quantile) for p, quantile in zip(probabilities, quantiles, strict=True)}
    mean, variance, low, high = (by_step(figure) for figure in others)
    return Statistics(by_step(count), mean, variance, low, high, found)


def _moments(flat: tf.Tensor, observed: tf.Tensor, steps: Steps) -> tuple[tf.Tensor, ...]:
    """Returns count, mean, variance, min and max, `[rows, width]` each."""

    def total(figures: tf.Tensor) -> tf.Tensor:
        return tf.math.unsorted_segment_sum(figures, steps.rows, steps.num_rows)

    zero, infinity = tf.constant(0.0, tf.float64), tf.constant(np.inf, tf.float64)
    count = total(tf.cast(observed, tf.float64))
    safe = tf.maximum(count, 1.0)
    mean = total(tf.where(observed, flat, zero)) / safe
    off = tf.where(observed, flat - tf.gather(mean, steps.rows), zero)
    # The second term is zero but for rounding of the mean; it takes that rounding out again.
    variance = tf.maximum(total(off * off) / safe - tf.square(total(off) / safe), 0.0)
    # Segments without values come out as the largest and the lowest finite number.
    none = tf.equal(count, 0)
    low = tf.math.unsorted_segment_min(tf.where(observed, flat, infinity), steps.rows, steps.num_rows)
    high = tf.math.unsorted_segment_max(tf.where(observed, flat, -infinity), steps.rows, steps.num_rows)
    return count, mean, variance, tf.where(none, infinity, low), tf.where(none, -infinity, high)


def _quantiles(
    flat: tf.Tensor, observed: tf.Tensor, count: tf.Tensor, steps: Steps, probabilities: Sequence[float]
) -> list[tf.Tensor]:
    """Returns a quantile `[rows, width]` for every probability."""
    infinity = tf.constant(np.inf, tf.float64)
    across = tf.transpose(tf.where(observed, flat, infinity))
    # By value first, then by row, which keeps the order of values: each row's stand together, those that count in front.
    by_value = tf.argsort(across, axis=1, stable=True)
    by_row = tf.argsort(tf.gather(steps.rows, by_value), axis=1, stable=True)
    ordered = tf.gather(tf.gather(across, by_value, batch_dims=1), by_row, batch_dims=1)
    # One more, so that a batch without any step has something to point at.
    ordered = tf.concat([ordered, tf.fill([tf.shape(across)[0], 1], infinity)], axis=1)
    held = tf.math.unsorted_segment_sum(tf.ones_like(steps.rows), steps.rows, steps.num_rows)
    starts = tf.cumsum(held, exclusive=True)[:, tf.newaxis]
    last = tf.maximum(count - 1, 0)

    def at(place: tf.Tensor) -> tf.Tensor:
        return tf.transpose(tf.gather(ordered, tf.transpose(starts + tf.cast(place, tf.int64)), batch_dims=1))

    def one(probability: float) -> tf.Tensor:
        place = tf.constant(probability, tf.float64) * last
        below = tf.floor(place)
        share = place - below
        low, high = at(below), at(tf.minimum(below + 1, last))
        # NumPy's own way of interpolating: exact at both ends.
        between = tf.where(share >= 0.5, high - (high - low) * (1 - share), low + (high - low) * share)
        return tf.where(tf.equal(count, 0), tf.constant(np.nan, tf.float64), between)

    return [one(probability) for probability in probabilities]
