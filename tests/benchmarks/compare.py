"""Whether two contenders have written the same rows: no time counts before that."""

from __future__ import annotations

import glob
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

Arrays = dict[str, np.ndarray]
TOLERANCE = 2e-5
"""Of normalised values: contenders take means and deviations in float32 or float64."""


def arrays_of(folder: Path) -> Arrays:
    """Returns every feature of the files in a folder, `[rows, values]`, in an order that rows themselves decide."""
    tables = sorted(glob.glob(f"{folder}/**/*.parquet", recursive=True))
    arrays = _of_parquet(tables) if tables else _of_records(sorted(glob.glob(f"{folder}/**/*.tfrecord*", recursive=True)))
    return sorted_rows({name: array.reshape(len(array), -1) for name, array in arrays.items()})


def _of_parquet(paths: list[str]) -> Arrays:
    table = pa.concat_tables([pq.ParquetFile(path).read() for path in paths])
    made = {}
    for name in table.column_names:
        column = pa.concat_arrays(table.column(name).chunks)
        column = column.storage if isinstance(column, pa.ExtensionArray) else column
        flat = column.flatten() if hasattr(column, "flatten") and pa.types.is_nested(column.type) else column
        made[name] = flat.to_numpy(zero_copy_only=False).reshape(len(column), -1)
    return made


def _of_records(paths: list[str]) -> Arrays:
    first = tf.train.Example.FromString(next(iter(tf.data.TFRecordDataset(paths[:1]))).numpy())
    spec = {}
    for name, feature in first.features.feature.items():
        dtype, held = (tf.int64, feature.int64_list) if feature.HasField("int64_list") else (tf.float32, feature.float_list)
        spec[name] = tf.io.FixedLenFeature([len(held.value)], dtype)
    batches = [tf.io.parse_example(b, spec) for b in tf.data.TFRecordDataset(paths).batch(4096)]
    return {name: np.concatenate([batch[name].numpy() for batch in batches]) for name in spec}


def sorted_rows(arrays: Arrays) -> Arrays:
    """Sorts rows by their integers and then by floats, rounded: of these contenders may differ in the last bits."""
    names = sorted(arrays)
    rng = np.random.default_rng(1)
    marks = np.zeros(len(arrays[names[0]]), np.int64)
    for name in names:
        if arrays[name].dtype.kind in "iu":
            with np.errstate(over="ignore"):
                marks += arrays[name] @ rng.integers(1, 2**62, arrays[name].shape[1])
    floats = [arrays[name][:, 0] for name in names if arrays[name].dtype.kind == "f"]
    order = np.lexsort((*floats, marks))
    return {name: array[order] for name, array in arrays.items()}


def difference(one: Arrays, other: Arrays) -> str:
    """Returns the first difference, or an empty string."""
    if one.keys() != other.keys():
        return f"features {sorted(one)} and {sorted(other)}"
    for name, values in one.items():
        if values.shape != other[name].shape:
            return f"{name}: {values.shape} and {other[name].shape}"
        off = np.abs(values.astype(np.float64) - other[name]) > (0 if values.dtype.kind in "iu" else TOLERANCE)
        if off.any():
            row = int(np.argmax(off.any(axis=1)))
            return f"{name}, row {row} of {int(off.any(axis=1).sum())} that differ: {values[row]} and {other[name][row]}"
    return ""
