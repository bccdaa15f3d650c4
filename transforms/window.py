"""Which steps of each row are kept, and where in `[T]` they go: the one place where sequences are cut and padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import tensorflow as tf

if TYPE_CHECKING:
    from transforms.groups import SequenceGroup


@dataclass(frozen=True)
class Window:
    """The steps of a batch that are kept, for all columns of one sequence group.

    Attributes:
      source: int64 `[kept]`, the position of every kept step among all steps of the batch.
      target: int64 `[batch, T]`, the position among the kept steps of what stands there; `kept` where padding stands.
      length: int64 `[batch]`, kept steps of each row.
      mask: bool `[batch, T]`, True where a step stands.
      static_length: T where it is known when the graph is built.
    """

    source: tf.Tensor
    target: tf.Tensor
    length: tf.Tensor
    mask: tf.Tensor
    static_length: int | None

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
        before = tf.cumsum(steps, exclusive=True)
        if group.truncate == "tail":
            before += steps - length
        kept_before = tf.cumsum(length, exclusive=True)
        kept = tf.reduce_sum(length)
        source = tf.range(kept) + tf.repeat(before - kept_before, length)
        place = tf.range(size)[tf.newaxis, :]
        if group.padding == "pre":
            place -= (size - length)[:, tf.newaxis]
        mask = tf.logical_and(place >= 0, place < length[:, tf.newaxis])
        target = tf.where(mask, place + kept_before[:, tf.newaxis], kept)
        mask.set_shape([None, group.fixed_length])
        target.set_shape([None, group.fixed_length])
        return cls(source, target, length, mask, group.fixed_length)

    def select(self, steps: tf.Tensor) -> tf.Tensor:
        """Returns the kept ones of `[steps, ...]`, `[kept, ...]`."""
        return tf.gather(steps, self.source)

    def place(self, kept: tf.Tensor, padding: tf.Tensor) -> tf.Tensor:
        """Places kept steps `[kept, ...]` into `[batch, T, ...]`, with one step `[1, ...]` as padding."""
        return tf.gather(tf.concat([kept, padding], axis=0), self.target)
