"""A sample of rows in memory: dicts, or a frame of pandas, Polars or Arrow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import pyarrow as pa

from pipeline.inputs import event_fields
from pipeline.inspect.sample import Sample, features_of
from pipeline.sources.jsonl.rows import kinds_of
from transforms.events.incoming import plain_kinds
from transforms.rows import frames, origin, paths
from transforms.rows.frames import ArrowStream
from transforms.rows.from_python import batches_of, batches_of_frame

Rows: TypeAlias = Iterable[Mapping[str, Any]] | ArrowStream
"""Dicts, or a frame: of pandas, Polars or Arrow."""

RUNS: Final = 64
"""Runs of rows that a sample of many rows is spread over."""


class MemoryRows:
    """Rows to take samples of.

    Args:
      data: dicts or a frame. An iterator is read to its end.

    Raises:
      TypeError, ValueError: they are no rows.
    """

    def __init__(self, data: Rows):
        self._frame = frames.framed(data) if frames.is_frame(data) else None
        if self._frame is None and not frames.may_be_rows(data):
            raise frames.no_rows(data, "files or rows")
        self._dicts: list[Any] = [] if self._frame is not None else list(data)  # type: ignore[arg-type]
        self._count = len(self._dicts) if self._frame is None else self._frame.table.num_rows
        if self._frame is None:
            self._kinds = kinds_of(batches_of(self._dicts))
        else:
            known = {field.name: field.type for field in self._frame.table.schema}
            self._kinds = known | kinds_of(batches_of_frame(self._frame.select(list(self._frame.others))))

    def take(self, most: int) -> Sample:
        """Returns a sample of at most so many rows: all of them, or runs of rows that lie evenly among all."""
        is_whole, what = self._count <= most, "a frame" if self._frame is not None else "a list of dicts"
        made = Sample(is_whole=is_whole, of=what if is_whole else f"{what} of {self._count:,} rows")
        made.names = {name: None for name, _ in paths.leaves(self._kinds) if name not in origin.RESERVED}
        for start, stop in [(0, self._count)] if is_whole else _runs(self._count, most):
            batches = map(origin.plain, self._batches(start, stop))
            made.batches += [features_of(batch, made.names) for batch in batches if batch.num_rows]
        return made

    def held(self, sample: Sample) -> event_fields.Held:
        """Returns the fields that the rows have as events."""
        return [(sample.of, plain_kinds(self._kinds))]

    def _batches(self, start: int, stop: int) -> Iterator[pa.RecordBatch]:
        if self._frame is None:
            return batches_of(self._dicts[start:stop])
        return batches_of_frame(self._frame.slice(start, stop))


def _runs(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Yields the first and the end of runs of rows, `most` together."""
    runs = min(RUNS, most)
    for run in range(runs):
        start = count * run // runs
        yield start, start + most * (run + 1) // runs - most * run // runs
