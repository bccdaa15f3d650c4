"""The parts of our tf.Transform analyzers: merging accumulators, and writing down the result."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol, Self

import apache_beam as beam


class Accumulator(Protocol):
    """The sum of some batches: `contributed.Packed`, `details.Details` of `transforms.statistics`. Each method returns itself."""

    def add(self, *contributed: Any) -> Self:
        """Adds the arrays that a batch contributed."""

    def merge(self, others: Iterable[Any]) -> Self:
        """Adds others."""

    def compact(self) -> Self:
        """Makes itself small."""


class _Merge(beam.CombineFn):
    """Merges what batches contribute, or what others have merged."""

    def __init__(self, make: Callable[[], Accumulator]):
        self._make = make

    def create_accumulator(self) -> Accumulator:
        return self._make()

    def add_input(self, accumulator: Accumulator, element: Any) -> Accumulator:
        # tf.Transform hands over the arrays of a batch, or accumulators from its cache.
        return accumulator.add(*element) if isinstance(element, tuple | list) else accumulator.merge([element])

    def merge_accumulators(self, accumulators: Iterable[Accumulator]) -> Accumulator:
        return self._make().merge(accumulators)

    def compact(self, accumulator: Accumulator) -> Accumulator:
        return accumulator.compact()

    def extract_output(self, accumulator: Accumulator) -> Accumulator:
        return accumulator.compact()


class Combined(beam.PTransform):
    """Both of tf.Transform's stages: batches to accumulators (what its cache keeps), and accumulators to one.

    Args:
      make: makes an accumulator of nothing.
      of: tells it from others; the same in every process.
    """

    def __init__(self, make: Callable[[], Accumulator], of: str):
        super().__init__()
        self._make, self._of = make, of

    def __repr__(self) -> str:
        # tf.Transform 1.21 makes names in its cache of this; Beam's own has an address in it.
        return f"{type(self).__module__}.{type(self).__name__}({self._of})"

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Merges."""
        return pcoll | "Merge" >> beam.CombineGlobally(_Merge(self._make))


class Extracted(beam.PTransform):
    """Returns the result of a merge as an analyzer's one output, and can write it to a file.

    Args:
      write: takes the merged accumulator and the path, and returns the output.
      path: the file to write it to; an empty string for none.
    """

    def __init__(self, write: Callable[[Any, str], Any], path: str):
        super().__init__()
        self._write, self._path = write, path

    def expand(self, pcoll: beam.PCollection) -> tuple[beam.PCollection]:
        """Writes."""
        return (pcoll | "WriteDown" >> beam.Map(self._write, self._path),)
