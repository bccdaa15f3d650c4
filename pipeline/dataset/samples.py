"""The origin of some rows of each shard, recorded as it is written, so that `seqcols verify` can trace them back to the input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa

from transforms.rows import origin

WINDOW: Final = 16
"""Rows of a shard, one after the other, that are noted together."""

BUCKET_WINDOW: Final = 4
"""The same in a length bucket, where neighbours were none in the input, so that each row is noted by itself."""

MOST_WINDOWS: Final = 64
"""Past it every other window of a shard is dropped."""


class SampledRows(NamedTuple):
    """Neighbouring rows of a shard that were neighbours in the input.

    Attributes:
      position: number of the first row in the shard.
      file: the input file.
      row: number of that row in the file.
      size: how many rows.
    """

    position: int
    file: str
    row: int
    size: int


class Sampler:
    """Records windows spread evenly over a shard of any number of rows, 32 to 64 of them if it has that many.

    Args:
      window: rows in each.
    """

    def __init__(self, window: int = WINDOW) -> None:
        self._rows, self._window, self._stride = 0, window, window
        self._found: dict[int, list[SampledRows]] = {}

    def add(self, batch: pa.RecordBatch) -> None:
        """Looks at a dense batch that was written next. One whose rows have no numbers of their own is passed over."""
        first, self._rows = self._rows, self._rows + batch.num_rows
        if origin.ROW_COLUMN not in batch.schema.names:
            return
        numbers, file = origin.row_numbers(batch), origin.file_of(batch)
        start = first - first % self._stride
        while start < self._rows:
            low, high = max(start, first), min(start + self._window, self._rows)
            if low < high:
                self._found.setdefault(start, []).extend(_runs(numbers[low - first : high - first], low, file))
            if len(self._found) > MOST_WINDOWS:
                self._stride *= 2
                self._found = {at: found for at, found in self._found.items() if at % self._stride == 0}
            start += self._stride - start % self._stride

    @property
    def samples(self) -> tuple[SampledRows, ...]:
        """The samples so far."""
        return tuple(sample for found in self._found.values() for sample in found)


def _runs(numbers: np.ndarray, position: int, file: str) -> list[SampledRows]:
    """Cuts rows of a shard, from a position on, where their numbers in the input file are no neighbours."""
    starts = np.append(0, np.flatnonzero(np.diff(numbers) != 1) + 1)
    counts = np.diff(np.append(starts, len(numbers)))
    return [
        SampledRows(position + at, file, int(numbers[at]), n)
        for at, n in zip(starts.tolist(), counts.tolist(), strict=True)
    ]


def by_file(found: Iterable[SampledRows]) -> dict[str, list[list[int]]]:
    """Returns samples as the manifest holds them: by input file, each as position, row and count.

    >>> by_file([SampledRows(0, "a", 3, 16), SampledRows(16, "a", 19, 2)])
    {'a': [[0, 3, 16], [16, 19, 2]]}
    """
    made: dict[str, list[list[int]]] = {}
    for sample in found:
        made.setdefault(sample.file, []).append([sample.position, sample.row, sample.size])
    return made


def of_entry(entry: Mapping[str, Any]) -> list[SampledRows]:
    """Returns the samples of a file that the manifest lists, in the order of the shard."""
    return sorted(
        SampledRows(at, file, row, n) for file, runs in entry.get("samples", {}).items() for at, row, n in runs
    )
