"""The contribution of a batch to statistics: its values as they are, in a few tensors for all columns; and the sum of many."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from transforms.statistics import moments
from transforms.statistics.moments import Moments

if TYPE_CHECKING:
    import tensorflow as tf

DTYPES: Final = ("float32", "float64", "int64")
"""The dtypes in which values are summed; nothing is rounded for it."""


@dataclass(frozen=True)
class Contribution:
    """The description of values that are contributed together.

    Attributes:
      dtype: one of `DTYPES`.
      width: dimensions.
      count: the number of parts with figures of their own, rows above and rows below.
      places: their places in the table of moments, part after part; none if there is no such table.
    """

    dtype: str
    width: int
    count: int = 1
    places: tuple[int, ...] = ()


@dataclass(frozen=True)
class Given:
    """The values of one part in a batch.

    Attributes:
      values: `[n, width]`, any numeric dtype.
      observed: bool `[n, width]`; values elsewhere do not count, whatever they are.
      splits: int64 `[count + 1]`, where each of its parts begins and ends; None if there is only one.
    """

    values: tf.Tensor
    observed: tf.Tensor
    splits: tf.Tensor | None = None

    def part(self, places: Iterable[int] = ()) -> Contribution:
        """Returns its description, which is the same for all batches."""
        kind = self.values.dtype
        dtype = "int64" if kind.is_integer or kind.is_bool else "float64" if kind.size == 8 else "float32"
        return Contribution(
            dtype, self.values.shape[1], 1 if self.splits is None else self.splits.shape[0] - 1, tuple(places)
        )


def tensors(given: Sequence[Given]) -> list[tf.Tensor]:
    """Returns the values of all parts as few tensors: wide data pays for every input of an analyzer.

    Returns:
      For each of `DTYPES` that occurs the values of its parts, flat, one part after the other; which of all are observed, bool;
      and all splits, int64.
    """
    import tensorflow as tf

    made = []
    for dtype in DTYPES:
        own = [tf.reshape(tf.cast(one.values, dtype), [-1]) for one in given if one.part().dtype == dtype]
        made += [tf.concat(own, 0)] if own else []
    made.append(tf.concat([tf.reshape(one.observed, [-1]) for one in given], 0))
    whole = [tf.stack([0, tf.shape(one.values, tf.int64)[0]]) if one.splits is None else one.splits for one in given]
    return [*made, tf.concat(whole, 0)]


def taken(parts: Sequence[Contribution], arrays: Sequence[Any]) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Yields values `[n, width]`, observed and splits of each part, from the result of `tensors`."""
    dtypes = [dtype for dtype in DTYPES if any(part.dtype == dtype for part in parts)]
    *numbers, observed, splits = (np.asarray(array).reshape(-1) for array in arrays)
    starts = dict.fromkeys(dtypes, 0)
    flag, split = 0, 0
    for part in parts:
        own = splits[split : split + part.count + 1]
        size = int(own[-1]) * part.width
        start = starts[part.dtype]
        values = numbers[dtypes.index(part.dtype)][start : start + size].reshape(-1, part.width)
        yield values, observed[flag : flag + size].reshape(-1, part.width), own
        starts[part.dtype], flag, split = start + size, flag + size, split + part.count + 1


@dataclass
class Packed:
    """The statistics of some batches for all moments of a level: an accumulator that changes as it absorbs others. Pickles.

    Attributes:
      parts: the contributions that are collected.
      found: the moments of each part; those of no values, if left out.
    """

    parts: tuple[Contribution, ...]
    found: list[Moments] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.found = self.found or [Moments.empty(part.dtype, part.count, part.width) for part in self.parts]

    def add(self, *arrays: Any) -> Packed:
        """Adds what a batch contributed (see `tensors`), and returns this."""
        for known, given in zip(self.found, taken(self.parts, arrays), strict=True):
            known.add(Moments.of(*given))
        return self

    def merge(self, others: Iterable[Packed]) -> Packed:
        """Adds others to this one, and returns it."""
        for other in others:
            for known, added in zip(self.found, other.found, strict=True):
                known.add(added)
        return self

    def compact(self) -> Packed:
        """Returns this, which is as small as it can be."""
        return self

    def table(self) -> np.ndarray:
        """Returns the table of moments `[5, dimensions]`."""
        made = moments.empty(sum(len(part.places) for part in self.parts))
        for part, known in zip(self.parts, self.found, strict=True):
            made[:, list(part.places)] = known.figures().transpose(1, 0, 2).reshape(len(moments.ROWS), -1)
        return made

    def to_bytes(self) -> bytes:
        """Returns it as bytes that the same parts can be read from: for a cache."""
        return b"".join(array.astype(array.dtype.newbyteorder("<")).tobytes() for array in self._arrays())

    @classmethod
    def from_bytes(cls, parts: Sequence[Contribution], data: bytes) -> Packed:
        """Returns what `to_bytes` wrote.

        Raises:
          ValueError: it is something else.
        """
        made, file = cls(tuple(parts)), io.BytesIO(data)
        for array in made._arrays():
            array[...] = np.frombuffer(file.read(array.nbytes), array.dtype.newbyteorder("<")).reshape(array.shape)
        if file.read(1):
            raise ValueError(f"expected {file.tell() - 1} bytes of moments, got {len(data)}")
        return made

    def _arrays(self) -> Iterator[np.ndarray]:
        for known in self.found:
            yield from (known.counts, known.low, known.high, known.limbs)
