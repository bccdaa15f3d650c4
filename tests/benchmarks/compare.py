"""Whether two contenders have written the same rows: no time counts before that.

Contenders write rows in orders of their own. A row's mark is a number made of its integers, so rows are sorted by their marks.
Of a large data set every mark is compared, and the floats of those rows that their marks choose.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

Arrays = dict[str, np.ndarray]
TOLERANCE = 2e-6
"""Of normalised values, times 1 + their size: everything is float32 in the end."""
TOLERANCE_OF_FLOAT32 = 2e-5
"""Where means and deviations were added up in float32, too."""
BATCH = 4096


@dataclass(frozen=True)
class Rows:
    """What a contender has written.

    Attributes:
      marks: of all rows, sorted.
      arrays: every feature of the chosen rows, `[rows, values]`, sorted by their marks.
    """

    marks: np.ndarray
    arrays: Arrays


def read(folder: Path, one_in: int = 1) -> Rows:
    """Reads the files of a folder and those below it.

    Args:
      folder: with Parquet files, or TFRecord files of tf.Examples.
      one_in: of how many rows one is kept; of equal rows either all or none.

    Raises:
      ValueError: it has no such files, or no rows in them.
    """
    tables = sorted(glob.glob(f"{folder}/**/*.parquet", recursive=True))
    records = sorted(glob.glob(f"{folder}/**/*.tfrecord*", recursive=True))
    all_marks, kept = [], []
    for batch in _of_parquet(tables) if tables else _of_records(records):
        marks = marks_of(batch)
        chosen = marks % np.uint64(one_in) == 0
        all_marks.append(marks)
        kept.append({"marks": marks[chosen], **{name: array[chosen] for name, array in batch.items()}})
    if not all_marks:
        raise ValueError(f"no rows in {folder}")
    arrays = sorted_rows({name: np.concatenate([part[name] for part in kept]) for name in kept[0]})
    return Rows(np.sort(np.concatenate(all_marks)), arrays)


def _of_parquet(paths: list[str]) -> Iterator[Arrays]:
    for path in paths:
        for table in pq.ParquetFile(path).iter_batches(BATCH):
            yield {name: _flat(table.column(name)) for name in table.schema.names}


def _flat(column: pa.Array) -> np.ndarray:
    rows = len(column)
    while isinstance(column, pa.ExtensionArray) or pa.types.is_nested(column.type):
        column = column.storage if isinstance(column, pa.ExtensionArray) else column.flatten()
    return column.to_numpy(zero_copy_only=False).reshape(rows, -1)


def _of_records(paths: list[str]) -> Iterator[Arrays]:
    spec = {}
    for record in tf.data.TFRecordDataset(paths).take(1):
        for name, feature in tf.train.Example.FromString(record.numpy()).features.feature.items():
            whole = feature.HasField("int64_list")
            length = len((feature.int64_list if whole else feature.float_list).value)
            spec[name] = tf.io.FixedLenFeature([length], tf.int64 if whole else tf.float32)
    for batch in tf.data.TFRecordDataset(paths).batch(BATCH) if paths else ():
        yield {name: tensor.numpy() for name, tensor in tf.io.parse_example(batch, spec).items()}


def marks_of(arrays: Arrays) -> np.ndarray:
    """Returns a number for each row, the same wherever its integers are the same."""
    generator = np.random.default_rng(1)
    marks = np.zeros(len(next(iter(arrays.values()))), np.uint64)
    for name in sorted(arrays):
        if arrays[name].dtype.kind in "iu":
            factors = generator.integers(1, 2**63, arrays[name].shape[1], np.uint64) | np.uint64(1)
            marks += arrays[name].astype(np.uint64) @ factors
    return marks ^ marks >> np.uint64(29)


def sorted_rows(arrays: Arrays) -> Arrays:
    """Sorts rows by their marks, those of equal marks by the first value of each float feature."""
    floats = [arrays[name][:, 0] for name in sorted(arrays) if arrays[name].dtype.kind == "f"]
    order = np.lexsort((*floats, arrays["marks"]))
    return {name: array[order] for name, array in arrays.items()}


def difference(one: Rows, other: Rows, tolerance: float = TOLERANCE) -> str:
    """Returns the first difference, or an empty string."""
    if one.arrays.keys() != other.arrays.keys():
        return f"features {sorted(one.arrays)} and {sorted(other.arrays)}"
    if len(one.marks) != len(other.marks):
        return f"{len(one.marks)} rows and {len(other.marks)}"
    for name, values in one.arrays.items():
        found = _first(name, values, other.arrays[name], tolerance)
        if found:
            return found
    off = int((one.marks != other.marks).sum())
    return f"the integers of {off} of {len(one.marks)} rows" if off else ""


def _first(name: str, values: np.ndarray, others: np.ndarray, tolerance: float) -> str:
    if values.shape != others.shape:
        return f"{name}: {values.shape} and {others.shape}"
    allowed = 0 if values.dtype.kind in "iu" else tolerance * (1 + np.minimum(np.abs(values), np.abs(others)))
    off = ~(np.abs(values - others) <= allowed)  # so that NaN and infinity are off
    if not off.any():
        return ""
    at = tuple(int(k) for k in np.argwhere(off)[0])
    rows = int(off.reshape(len(off), -1).any(axis=1).sum())
    return f"{name}, {rows} of {len(off)} rows, the first at {list(at)}: {values[at]} and {others[at]}"
