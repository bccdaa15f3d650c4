"""Rows of a file by their numbers, and rows of a shard as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.sources.base import Source
from pipeline.sources.limits import WIDEST
from transforms.columns import Output
from transforms.rows import origin
from transforms.rows.ragged import unwrapped


def read_rows(source: Source, path: str, features: dict[str, str], wanted: np.ndarray) -> list[pa.RecordBatch]:
    """Returns the rows of a file with these numbers (ascending)."""
    found: list[pa.RecordBatch] = []
    for split in source.parts(path):
        for batch in _batches(source, split, features):
            chosen = np.isin(origin.row_numbers(batch), wanted)
            if chosen.any():
                found.append(batch.filter(pa.array(chosen)))
            if sum(part.num_rows for part in found) == len(wanted):
                return found
    return found


def _batches(source: Source, split: Any, features: dict[str, str]) -> Iterator[pa.RecordBatch]:
    for read in source.read(split, features, WIDEST):
        if read.batch is not None and read.batch.num_rows:
            yield origin.plain(read.batch)


def arrays_at(written: list[pa.RecordBatch], positions: np.ndarray, outputs: Sequence[Output]) -> dict[str, np.ndarray]:
    """Returns rows of a shard by their positions, as arrays `[rows, *shape]`."""
    numbers = np.concatenate([origin.row_numbers(batch) for batch in written])
    order = np.argsort(numbers, kind="stable")
    place = order[np.searchsorted(numbers[order], positions)]
    made = {}
    for output in outputs:
        parts = [_flat(batch.column(output.name)).reshape(batch.num_rows, *_shape(output)) for batch in written]
        made[output.name] = np.concatenate(parts)[place]
    return made


def _flat(column: pa.Array) -> np.ndarray:
    column = unwrapped(column)
    while pa.types.is_nested(column.type):
        column = column.flatten()
    if pa.types.is_null(column.type):  # a feature of T = 0 has no kind
        return np.zeros(0)
    array: np.ndarray = column.to_numpy(zero_copy_only=False)
    return array


def _shape(output: Output) -> list[int]:
    return [n for n in output.shape if n is not None]
