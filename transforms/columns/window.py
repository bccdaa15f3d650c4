"""Windows: the steps of each row that are kept, and their place in `[T]`. The one place where sequences are cut and padded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import tensorflow as tf

if TYPE_CHECKING:
    from transforms.groups import SequenceGroup


@dataclass(frozen=True)
class Window:
    """The steps of a batch that are kept, for all columns of one sequence group, or of several groups.

    The rows of several groups are stacked: the batch of the first group, then that of the second. The groups differ only in T.
    Rows are moved as runs of steps, by kernels that copy a run at a time; a gather by step costs some 10 ns for every step.

    Attributes:
      runs: int64 `[2 * rows + 1]`, splits of all steps into two runs per row, one of which is kept.
      kept: int64 `[rows]`, the number of the kept run of every row.
      splits: int64 `[rows + 1]`, row splits of the kept steps.
      length: int64 `[rows]`, kept steps of each row.
      missing: int64 `[rows]`, steps of padding of each row.
      sizes: int64 `[groups]`, T of each.
      static_lengths: T of each group if it is known when the graph is built, otherwise None.
      padding: the side of the padding.
    """

    runs: tf.Tensor
    kept: tf.Tensor
    splits: tf.Tensor
    length: tf.Tensor
    missing: tf.Tensor
    sizes: tf.Tensor
    static_lengths: tuple[int | None, ...]
    padding: Literal["post", "pre"]

    @classmethod
    def each(cls, steps: tf.Tensor, groups: Sequence[SequenceGroup], sizes: Any) -> list[Window]:
        """Returns a window for each of several groups.

        Args:
          steps: int64 `[groups, batch]`, steps of each row.
          groups: their policies, which have one `truncate` and one `padding`.
          sizes: int64 `[groups]`, T of each.
        """
        sizes = tf.convert_to_tensor(sizes, tf.int64)
        parts = zip(
            *(tf.unstack(p, num=len(groups)) for p in _cut(steps, sizes[:, tf.newaxis], groups[0])), strict=True
        )
        kept, size = _kept(steps[0], groups[0]), tf.split(sizes, len(groups))
        return [
            cls(runs, kept, splits, length, missing, own, (group.fixed_length,), group.padding)
            for group, own, (runs, splits, length, missing) in zip(groups, size, parts, strict=True)
        ]

    @classmethod
    def of(cls, steps: tf.Tensor, groups: Sequence[SequenceGroup], sizes: Any) -> Window:
        """Returns one window for all of several groups; arguments as for `each`."""
        sizes = tf.convert_to_tensor(sizes, tf.int64)
        by_row = tf.broadcast_to(sizes[:, tf.newaxis], tf.shape(steps))
        steps, by_row = tf.reshape(steps, [1, -1]), tf.reshape(by_row, [1, -1])
        runs, splits, length, missing = (part[0] for part in _cut(steps, by_row, groups[0]))
        known = tuple(group.fixed_length for group in groups)
        return cls(runs, _kept(length, groups[0]), splits, length, missing, sizes, known, groups[0].padding)

    @property
    def uniform(self) -> bool:
        """Whether all rows have one T."""
        return len(self.static_lengths) == 1 or (None not in self.static_lengths and len(set(self.static_lengths)) == 1)

    @property
    def mask(self) -> tf.Tensor:
        """Bool, True where a step stands; in the shape of what `place` makes of scalars."""
        if not self.uniform:
            return self.place(tf.ones([self.splits[-1]], tf.bool), tf.zeros([1], tf.bool))
        size = self.static_lengths[0] or self.sizes[0]
        mask = mask_of(self.length, size, self.padding)
        mask.set_shape([None, self.static_lengths[0]])
        return mask

    def select(self, steps: tf.Tensor) -> tf.Tensor:
        """Returns the kept ones of `[steps, ...]`, `[kept, ...]`."""
        runs = tf.RaggedTensor.from_row_splits(steps, self.runs, validate=False)
        return tf.gather(runs, self.kept).flat_values

    def place(self, kept: tf.Tensor, padding: tf.Tensor) -> tf.Tensor:
        """Places kept steps `[kept, ...]` into `[rows, T, ...]`, with one step `[1, ...]` as padding.

        Of groups that differ in T it makes `[places, ...]`: the T places of every row, row after row.
        """
        if not self.uniform:
            return self._padded(kept, padding)
        size, inner = self.static_lengths[0], kept.shape[1:]
        if self.padding == "pre":
            rows = tf.size(self.length, tf.int64)
            shape = [-1, size, *inner] if size else tf.stack([rows, self.sizes[0], *inner])
            made = tf.reshape(self._padded(kept, padding), shape)
        else:
            ragged = tf.RaggedTensor.from_row_splits(kept, self.splits, validate=False)
            shape = [None, size, *inner] if size else tf.stack([-1, self.sizes[0], *inner])
            made = ragged.to_tensor(padding[0], shape=shape)
        made.set_shape([None, size, *inner])
        return made

    def apart(self, placed: tf.Tensor) -> list[tf.Tensor]:
        """Returns the results of `place` for each of the groups, `[batch, T, ...]`."""
        count = len(self.static_lengths)
        if count == 1:
            return [placed]
        if self.uniform:
            return tf.unstack(tf.reshape(placed, [count, -1, *placed.shape[1:]]))
        batch, inner = tf.size(self.length, tf.int64) // count, placed.shape[1:]
        parts = tf.split(placed, self.sizes * batch, num=count)
        left = tf.tile(tf.constant([list(inner)], tf.int64), [count, 1])
        shapes = tf.concat([tf.fill([count, 1], batch), self.sizes[:, tf.newaxis], left], axis=1)
        made = [tf.reshape(part, shape) for part, shape in zip(parts, tf.unstack(shapes, num=count), strict=True)]
        for tensor, size in zip(made, self.static_lengths, strict=True):
            tensor.set_shape([None, size, *inner])
        return made

    def _padded(self, kept: tf.Tensor, padding: tf.Tensor) -> tf.Tensor:
        """Returns every row as a run of kept steps and a run of padding, `[places, ...]`."""
        blank = tf.broadcast_to(padding, tf.stack([tf.reduce_sum(self.missing), *kept.shape[1:]]))
        splits = tf.concat([self.splits, self.splits[-1:] + tf.cumsum(self.missing)], axis=0)
        runs = tf.RaggedTensor.from_row_splits(tf.concat([kept, blank], axis=0), splits, validate=False)
        count = tf.size(self.missing, tf.int64)
        both = [tf.range(count), tf.range(count, 2 * count)]
        order = tf.stack(both if self.padding == "post" else both[::-1], axis=1)
        return tf.gather(runs, tf.reshape(order, [-1])).flat_values


def mask_of(length: tf.Tensor, size: Any, padding: str) -> tf.Tensor:
    """Returns where the kept steps of rows stand, bool `[..., size]`.

    Args:
      length: int64 `[...]`, kept steps of each row.
      size: T.
      padding: on which side padding stands.
    """
    return ~tf.sequence_mask(size - length, size) if padding == "pre" else tf.sequence_mask(length, size)


def _cut(steps: tf.Tensor, sizes: tf.Tensor, group: SequenceGroup) -> tuple[tf.Tensor, ...]:
    """Returns `runs`, `splits`, `length` and `missing` of rows of some steps, for each line of `[lines, rows]`."""
    length = tf.minimum(steps, sizes)
    end = tf.cumsum(steps, axis=1)
    cut = end - length if group.truncate == "tail" else end - steps + length
    runs = tf.reshape(tf.stack([cut, end], axis=2), tf.stack([tf.shape(steps)[0], -1]))
    return _after_zero(runs), _after_zero(tf.cumsum(length, axis=1)), length, sizes - length


def _kept(rows: tf.Tensor, group: SequenceGroup) -> tf.Tensor:
    return tf.range(tf.size(rows, tf.int64)) * 2 + int(group.truncate == "tail")


def _after_zero(ends: tf.Tensor) -> tf.Tensor:
    return tf.pad(ends, [[0, 0], [1, 0]])
