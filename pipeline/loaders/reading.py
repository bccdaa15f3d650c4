"""Rows of a published file as arrays, in bounded blocks, with every checksum in the file verified on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.sinks.base import Sink
from pipeline.sources.base import broken
from transforms.columns import Output
from transforms.rows.ragged import unwrapped
from transforms.spec.parse_specs import known_shape

Arrays = dict[str, np.ndarray]
"""Feature name to `[rows, *shape]`."""

ARROW_TEXT: Final = {"string": pa.large_string(), "bytes": pa.large_binary()}


def blocks(path: str, sink: Sink, outputs: Sequence[Output], start: int, stop: int, rows: int) -> Iterator[Arrays]:
    """Reads rows of a file.

    Args:
      path: the file, of any Beam file system.
      sink: the sink that has written it.
      outputs: the features to read; others are skipped.
      start: the first row.
      stop: the row after the last. The end of the file is looked at only where that is the last one.
      rows: the number of rows in the file, by the manifest.

    Yields:
      Arrays of at most 4,096 rows: numbers and booleans in the declared dtype (bfloat16 that of ml_dtypes),
      text as str and bytes as bytes in arrays of objects. They may be read-only.

    Raises:
      JobError: the file cannot be opened, is damaged, or does not hold what the manifest says.
    """
    end = None if stop == rows else stop
    at = start
    for columns, count in sink.columns(path, outputs, start, end):
        yield {output.name: _array(columns.get(output.name), output, count, f"{path}: row {at}") for output in outputs}
        at += count
    if at != stop:
        raise broken(path, f"does not hold the {rows:,} rows that the manifest says")


def _array(column: pa.Array | None, output: Output, count: int, where: str) -> np.ndarray:
    """Returns a column as `[rows, *shape]` in the declared dtype."""
    shape = known_shape(output)
    values = unwrapped(pa.nulls(0) if column is None else column)
    while pa.types.is_nested(values.type):
        values = values.flatten()
    if len(values) != count * prod(shape) or values.null_count:
        what = f"{len(values) - values.null_count} values in {count} rows"
        raise broken(where, f"feature {output.name!r} has {what}, the manifest says {prod(shape)} a row")
    if output.dtype in ARROW_TEXT:
        array = values.cast(ARROW_TEXT[output.dtype]).to_numpy(zero_copy_only=False)
    else:
        array = values.to_numpy(zero_copy_only=False).astype(numpy_dtype(output), copy=False)
    return array.reshape(count, *shape)


def numpy_dtype(output: Output) -> np.dtype[Any]:
    """Returns the dtype of an output's arrays: that declared; `object` for text and bytes."""
    if output.dtype == "bfloat16":
        import ml_dtypes  # TensorFlow and JAX bring it; NumPy has no such dtype

        return np.dtype(ml_dtypes.bfloat16)
    return np.dtype(object if output.dtype in ARROW_TEXT else output.dtype)
