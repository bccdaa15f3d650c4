"""Count, mean, variance, smallest and largest of many columns at once, exact to float64.

One analyzer for all columns: wide data pays for every analyzer, not for every column. Each batch gives a
`[5, dimensions]` table (in TensorFlow kernels), tables are merged by Chan's rule (in NumPy), which keeps the precision that
plain sums of squares lose: T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample
variances", 1979.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import tensorflow as tf

ROWS: Final = ("count", "mean", "m2", "min", "max")
"""Rows of a table; `m2` is the sum of squared deviations from the mean."""


def empty(dimensions: int) -> np.ndarray:
    """Returns the table of no values: `[5, dimensions]` float64, count 0, min +inf, max -inf."""
    table = np.zeros((len(ROWS), dimensions))
    table[3], table[4] = np.inf, -np.inf
    return table


beyond = np.errstate(over="ignore", invalid="ignore")
"""For functions whose sums may be beyond float64, which then are infinite or NaN."""


@beyond
def merge(tables: Iterable[np.ndarray]) -> np.ndarray:
    """Merges tables `[5, dimensions]` of disjoint values into the table of all of them."""
    stack = np.stack(list(tables))
    count = stack[:, 0].sum(axis=0)
    safe = np.maximum(count, 1)
    mean = (stack[:, 0] * stack[:, 1]).sum(axis=0) / safe
    spread = (stack[:, 2] + stack[:, 0] * (stack[:, 1] - mean) ** 2).sum(axis=0)
    return np.stack([count, mean, spread, stack[:, 3].min(axis=0), stack[:, 4].max(axis=0)])


def of_batch(values: tf.Tensor, observed: tf.Tensor) -> tf.Tensor:
    """Returns the table of one batch.

    Args:
      values: `[n, dimensions]`, any numeric dtype.
      observed: bool `[n, dimensions]`; values elsewhere do not count, whatever they are.

    Returns:
      `[5, dimensions]` float64. With no values: as `empty`.
    """
    import tensorflow as tf

    # A dimension a line: TensorFlow sums along lines several times as fast as down columns.
    there = tf.transpose(observed)
    wide = tf.where(there, tf.cast(tf.transpose(values), tf.float64), 0.0)
    count = tf.reduce_sum(tf.cast(there, tf.float64), axis=1)
    safe = tf.maximum(count, 1.0)
    mean = tf.reduce_sum(wide, axis=1) / safe
    off = tf.where(there, wide - mean[:, tf.newaxis], 0.0)
    # The second term is zero but for rounding of the mean; it takes that rounding out again.
    m2 = tf.reduce_sum(off * off, axis=1) - tf.square(tf.reduce_sum(off, axis=1)) / safe
    infinity = tf.constant(np.inf, tf.float64)
    low = tf.reduce_min(tf.where(there, wide, infinity), axis=1)
    high = tf.reduce_max(tf.where(there, wide, -infinity), axis=1)
    return tf.stack([count, mean, tf.maximum(m2, 0.0), low, high])


def of_parts(values: tf.Tensor, observed: tf.Tensor, splits: tf.Tensor) -> tf.Tensor:
    """Returns the tables of several parts of a batch side by side, each to the last bit as `of_batch` gives it.

    Args:
      values: `[n, dimensions]`, part after part.
      observed: bool `[n, dimensions]`.
      splits: int64 `[parts + 1]`, where each part begins and ends.

    Returns:
      `[5, parts * dimensions]` float64.
    """
    import tensorflow as tf

    count, width = splits.shape[0] - 1, values.shape[1]
    tables = tf.map_fn(
        lambda ends: of_batch(values[ends[0] : ends[1]], observed[ends[0] : ends[1]]),
        tf.stack([splits[:-1], splits[1:]], axis=1),
        fn_output_signature=tf.TensorSpec([len(ROWS), width], tf.float64),
    )
    return tf.reshape(tf.transpose(tables, [1, 0, 2]), [len(ROWS), count * width])


def variance(table: tf.Tensor | np.ndarray) -> tf.Tensor | np.ndarray:
    """Returns the population variance `[dimensions]` (ddof 0) of a table; 0 where there are no values."""
    count = table[0]
    return table[2] / (count + (count == 0 if isinstance(count, np.ndarray) else _is_zero(count)))


def _is_zero(count: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    return tf.cast(tf.equal(count, 0), tf.float64)


def readable(figures: np.ndarray, there: np.ndarray) -> Any:
    """Returns figures as lists for JSON: None where there are no values, and where a sum was beyond float64."""
    return np.where(there & np.isfinite(figures), figures.astype(object), np.array(None, object)).tolist()


def slices(widths: Sequence[int]) -> list[slice]:
    """Returns where each column stands in a table of columns with these widths."""
    ends = np.cumsum(widths)
    return [slice(int(end) - width, int(end)) for end, width in zip(ends, widths, strict=True)]
