"""Rows of a published file as arrays, in bounded blocks, with every checksum in the file verified on the way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.sources.base import broken
from pipeline.sources.compression import Content
from pipeline.sources.limits import WIDEST
from pipeline.sources.parquet import opened
from pipeline.sources.tfrecord import framing
from transforms.columns import Output
from transforms.spec.parse_specs import known_shape, parse_spec

Arrays = dict[str, np.ndarray]
"""Feature name to `[rows, *shape]`."""

ARROW_TEXT: Final = {"string": pa.large_string(), "bytes": pa.large_binary()}


def blocks(path: str, format: str, outputs: Sequence[Output], start: int, stop: int, rows: int) -> Iterator[Arrays]:
    """Reads rows of a file.

    Args:
      path: the file, of any Beam file system.
      format: name of the sink that wrote it.
      outputs: the features to read; others are skipped.
      start: the first row.
      stop: the row after the last. The end of the file is looked at only where that is the last one.
      rows: how many the file has, by the manifest.

    Yields:
      Arrays of at most `WIDEST.max_batch_rows` rows: numbers and booleans in the declared dtype (bfloat16 that of ml_dtypes),
      text as str and bytes as bytes in arrays of objects. They may be read-only.

    Raises:
      JobError: the file cannot be opened, is damaged, or does not hold what the manifest says.
    """
    end = None if stop == rows else stop
    read = _parquet if format == "parquet" else _records
    at = start
    for columns, count in read(path, format, outputs, start, end):
        yield {output.name: _array(columns.get(output.name), output, count, f"{path}: row {at}") for output in outputs}
        at += count
    if at != stop:
        raise broken(path, f"does not hold the {rows:,} rows that the manifest says")


def _parquet(
    path: str, format: str, outputs: Sequence[Output], start: int, stop: int | None
) -> Iterator[tuple[Mapping[str, pa.Array], int]]:
    """Yields columns of the rows wanted, and how many; row groups without any are not read."""
    names = [output.name for output in outputs]
    with opened(path) as file:
        sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
        firsts = np.cumsum([0, *sizes])
        last = firsts[-1] if stop is None else stop
        groups = [k for k, first in enumerate(firsts[:-1]) if first < last and firsts[k + 1] > start]
        absent = [name for name in names if name not in file.schema_arrow.names]
        if absent:
            raise broken(path, f"has no feature {absent[0]!r}, which the manifest names")
        at = int(firsts[groups[0]]) if groups else 0
        found = file.iter_batches(_batch_rows(outputs), row_groups=groups, columns=names, use_threads=False)
        for batch in found:
            own = batch.slice(max(start - at, 0), max(min(last - at, batch.num_rows) - max(start - at, 0), 0))
            at += batch.num_rows
            if own.num_rows:
                yield dict(zip(own.schema.names, own.columns, strict=True)), own.num_rows


def _records(
    path: str, format: str, outputs: Sequence[Output], start: int, stop: int | None
) -> Iterator[tuple[Mapping[str, pa.Array], int]]:
    """Yields columns of the rows wanted, and how many. Records before them are read, and not decoded."""
    from pipeline.sources.tfrecord.examples import RecordDecoder

    decoder = RecordDecoder({name: field["dtype"] for name, field in parse_spec(outputs).items()})
    content = Content(path, WIDEST, framing.is_header)
    found = framing.cuts(content, path, WIDEST.max_record_bytes, content.unit)
    at = start
    for records, _ in framing.gathered(framing.between(found, start, stop), WIDEST):
        parts, bad = decoder.decode(records, format.startswith("sequence_example"))
        if bad or len(parts) != 1:
            row = min(bad) if bad else len(parts[0].positions)
            raise broken(path, f"row {at + row} is not of the kinds that the manifest says")
        at += len(records)
        yield dict(zip(parts[0].batch.schema.names, parts[0].batch.columns, strict=True)), len(records)


def _batch_rows(outputs: Sequence[Output]) -> int:
    """Returns how many rows are about as large as a batch may be."""
    size = sum(8 * prod(known_shape(output)) for output in outputs)
    return max(1, min(WIDEST.max_batch_rows, WIDEST.max_batch_bytes // max(size, 1)))


def _array(column: pa.Array | None, output: Output, count: int, where: str) -> np.ndarray:
    """Returns a column as `[rows, *shape]` in the declared dtype."""
    shape = known_shape(output)
    values = pa.nulls(0) if column is None else column
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
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
