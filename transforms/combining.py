"""What our analyzers are made of, for tf.Transform: accumulators merged, and what is found written down."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apache_beam as beam


class Combined(beam.PTransform):
    """Both of tf.Transform's stages: batches to accumulators (what its cache keeps), and accumulators to one.

    Args:
      merge: merges them.
      of: tells it from others of its kind; the same in every process.
    """

    def __init__(self, merge: beam.CombineFn, of: str):
        super().__init__()
        self._merge, self._of = merge, of

    def __repr__(self) -> str:
        # tf.Transform 1.21 makes names in its cache of this; Beam's own has an address in it.
        return f"{type(self._merge).__module__}.{type(self._merge).__name__}({self._of})"

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Merges."""
        return pcoll | "Merge" >> beam.CombineGlobally(self._merge)


class Found(beam.PTransform):
    """What was found as an analyzer's one output; also written down.

    Args:
      write: takes the merged accumulator and the path, and returns the output.
      path: where it is written down; an empty string for nowhere.
    """

    def __init__(self, write: Callable[[Any, str], Any], path: str):
        super().__init__()
        self._write, self._path = write, path

    def expand(self, pcoll: beam.PCollection) -> tuple[beam.PCollection]:
        """Writes."""
        return (pcoll | "WriteDown" >> beam.Map(self._write, self._path),)
