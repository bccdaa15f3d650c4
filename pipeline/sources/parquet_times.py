"""Times in Parquet's old INT96, which Spark, Hive and Impala write: a day, and the nanoseconds in it.

pyarrow (25.0.1) reads them as nanoseconds since 1970, and wraps those that do not fit: 9999-12-31, which means "never" in many
tables, becomes 1816-03-29. As microseconds they fit, but what is finer is cut off. Neither says a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.errors import JobError

NANOSECONDS: Final = "ns"
MICROSECONDS: Final = "us"

_MOST: Final = (2**63 - 1) // 1000
"""The last microsecond before and after 1970 that nanoseconds can count to, in 1677 and in 2262."""

_ROWS: Final = 4096


def of_int96(file: Any, numbers: Sequence[int]) -> list[int]:
    """Returns those of some columns of an open Parquet file, by number, that hold INT96."""
    return [number for number in numbers if file.schema.column(number).physical_type == "INT96"]


def unit_of(in_microseconds: Any, in_nanoseconds: Any, part: int, numbers: Sequence[int], where: str) -> str:
    """Returns the unit in which all times of some columns of a row group are exact.

    Args:
      in_microseconds: the open Parquet file, which reads INT96 as microseconds.
      in_nanoseconds: the same, as nanoseconds.
      part: the row group.
      numbers: its columns of INT96.
      where: the place, for the error.

    Raises:
      JobError: there is none: one of the times is finer than a microsecond, and one beyond what nanoseconds can count.
    """
    if not any(bool(_beyond(coarse).any()) for coarse in _times(in_microseconds, part, numbers)):
        return NANOSECONDS
    both = zip(_times(in_microseconds, part, numbers), _times(in_nanoseconds, part, numbers), strict=True)
    for coarse, fine in both:
        if (~_beyond(coarse) & (coarse * 1000 != fine)).any():
            raise JobError(
                f"{where}: INT96 times before 1677 or after 2262 beside times finer than a microsecond; "
                f"expected one or the other (Spark and pyarrow write TIMESTAMP_MICROS on request)"
            )
    return MICROSECONDS


def _beyond(coarse: np.ndarray) -> np.ndarray:
    return np.asarray((coarse > _MOST) | (coarse < -_MOST))


def _times(file: Any, part: int, numbers: Sequence[int]) -> Iterator[np.ndarray]:
    """Yields the times of columns as integers, int64 `[times]`, column by column and batch by batch; a null is 0."""
    for number in numbers:
        for batch in file.reader.iter_batches(_ROWS, row_groups=[part], column_indices=[number], use_threads=False):
            times = _innermost(batch.column(0))
            yield times.cast(pa.int64()).fill_null(0).to_numpy(zero_copy_only=False)


def _innermost(array: pa.Array) -> pa.Array:
    """Returns the times in lists and structs that hold only one column of Parquet's."""
    while not pa.types.is_timestamp(array.type):
        if pa.types.is_map(array.type):  # of a map's columns Arrow reads the keys with the values
            array = next(one for one in (array.keys, array.items) if _holds_times(one.type))
        else:
            fields = array.flatten()
            array = fields if isinstance(fields, pa.Array) else next(one for one in fields if _holds_times(one.type))
    return array


def _holds_times(kind: pa.DataType) -> bool:
    return pa.types.is_timestamp(kind) or any(_holds_times(kind.field(k).type) for k in range(kind.num_fields))
