"""The raw values of a batch inside the graph, and the steps of a column among them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    import tensorflow as tf

    RawTensors = Mapping[str, tf.RaggedTensor]
    """The features of a batch by key, `[batch, (values)]`, as parse and validate leave them."""

    Asked = tuple[tf.Tensor, "Steps"]
    """Values `[n, *shape]`, and where they stand."""


@dataclass(frozen=True)
class Steps:
    """The steps of a numeric column in a batch, and where they stand.

    Attributes:
      values: `[n, *shape]`, in the dtype that they are parsed as.
      observed: bool `[n, *shape]`, which of the values come from the data: neither completed nor to be filled.
      splits: int64 `[rows + 1]`, row splits of the steps; steps past the last belong to no row.
      raw: all features of the batch, for statistics by key.
      imputed: bool `[n, *shape]`, which of the values are gaps that are replaced before normalising: by the last value before
        them (which `values` already holds), or by the mean (which `normalize` inserts). None for none.
    """

    values: tf.Tensor
    observed: tf.Tensor
    splits: tf.Tensor
    raw: RawTensors
    imputed: tf.Tensor | None = None

    @cached_property
    def rows(self) -> tf.Tensor:
        """Int64 `[n]`, the row of each, ascending. Few columns ask for it."""
        import tensorflow as tf

        return tf.repeat(tf.range(self.num_rows), self.splits[1:] - self.splits[:-1])

    @property
    def num_rows(self) -> tf.Tensor:
        """Int64, rows in the batch."""
        import tensorflow as tf

        return tf.size(self.splits, tf.int64) - 1

    def stack_of(self, count: int) -> tf.Tensor:
        """Returns in which of `count` batches of rows, one below the other, each step is, int64 `[n]`."""
        import tensorflow as tf

        first = self.stack_splits(count)[1:-1, tf.newaxis]
        marks = tf.scatter_nd(first, tf.ones([count - 1], tf.int64), [tf.shape(self.values, tf.int64)[0] + 1])
        return tf.cumsum(marks)[:-1]

    def stack_splits(self, count: int) -> tf.Tensor:
        """Returns where the steps of each of `count` batches of rows begin and end, int64 `[count + 1]`."""
        import tensorflow as tf

        lengths = tf.reshape(self.splits[1:] - self.splits[:-1], [count, -1])
        return tf.pad(tf.cumsum(tf.reduce_sum(lengths, axis=1)), [[1, 0]])


def rows_without(flags: tf.Tensor, values: tf.RaggedTensor) -> tf.Tensor:
    """Returns the rows of which no value is flagged, bool `[batch]`; `flags` are as long as the flat values."""
    import tensorflow as tf

    running = tf.concat([[0], tf.cumsum(tf.cast(flags, tf.int64))], axis=0)
    ends = tf.gather(running, values.row_splits)
    return tf.equal(ends[1:], ends[:-1])
