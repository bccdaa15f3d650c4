"""Which steps of each row are kept, and where in `[T]` they go: the one place where sequences are cut and padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf

if TYPE_CHECKING:
    from transforms.groups import SequenceGroup


@dataclass(frozen=True)
class Window:
    """The steps of a batch that are kept, for all columns of one sequence group.

    Rows are moved as runs of steps, by kernels that copy a run at a time; a gather by step costs some 10 ns for every step.

    Attributes:
      runs: int64 `[2 * batch + 1]`, splits of all steps of the batch into two runs a row, of which one is kept.
      kept: int64 `[batch]`, the number of the run that is kept of every row.
      splits: int64 `[batch + 1]`, row splits of the kept steps.
      length: int64 `[batch]`, kept steps of each row.
      size: T, an int64 scalar.
      static_length: T where it is known when the graph is built.
      padding: on which side padding stands.
    """

    runs: tf.Tensor
    kept: tf.Tensor
    splits: tf.Tensor
    length: tf.Tensor
    size: tf.Tensor
    static_length: int | None
    padding: Literal["post", "pre"]

    @classmethod
    def of(cls, steps: tf.Tensor, group: SequenceGroup, longest: Any = None) -> Window:
        """Cuts and places rows of `steps` steps, int64 `[batch]`.

        Args:
          steps: steps of each row.
          group: its policies.
          longest: T, where the group leaves it to the data.
        """
        size = tf.cast(group.fixed_length or longest, tf.int64)
        length = tf.minimum(steps, size)
        end = tf.cumsum(steps)
        tail = group.truncate == "tail"
        cut = end - length if tail else end - steps + length
        runs = _after_zero(tf.reshape(tf.stack([cut, end], axis=1), [-1]))
        kept = tf.range(tf.size(steps, tf.int64)) * 2 + int(tail)
        return cls(runs, kept, _after_zero(tf.cumsum(length)), length, size, group.fixed_length, group.padding)

    @property
    def mask(self) -> tf.Tensor:
        """Bool `[batch, T]`, True where a step stands."""
        if self.padding == "pre":
            mask = tf.logical_not(tf.sequence_mask(self.size - self.length, self.size))
        else:
            mask = tf.sequence_mask(self.length, self.size)
        mask.set_shape([None, self.static_length])
        return mask

    def select(self, steps: tf.Tensor) -> tf.Tensor:
        """Returns the kept ones of `[steps, ...]`, `[kept, ...]`."""
        runs = tf.RaggedTensor.from_row_splits(steps, self.runs, validate=False)
        return tf.gather(runs, self.kept).flat_values

    def place(self, kept: tf.Tensor, padding: tf.Tensor) -> tf.Tensor:
        """Places kept steps `[kept, ...]` into `[batch, T, ...]`, with one step `[1, ...]` as padding."""
        if self.padding == "pre":
            made = self._place_last(kept, padding)
        else:
            rows = tf.RaggedTensor.from_row_splits(kept, self.splits, validate=False)
            shape = tf.stack([-1, self.size, *kept.shape[1:]])
            made = rows.to_tensor(padding[0], shape=tf.cast(shape, tf.int64))
        made.set_shape([None, self.static_length, *kept.shape[1:]])
        return made

    def _place_last(self, kept: tf.Tensor, padding: tf.Tensor) -> tf.Tensor:
        """Step by step: there is no kernel that pads in front."""
        place = tf.range(self.size)[tf.newaxis, :] - (self.size - self.length)[:, tf.newaxis]
        source = tf.where(place >= 0, place + self.splits[:-1, tf.newaxis], self.splits[-1])
        return tf.gather(tf.concat([kept, padding], axis=0), source)


def _after_zero(ends: tf.Tensor) -> tf.Tensor:
    return tf.pad(ends, [[1, 0]])
