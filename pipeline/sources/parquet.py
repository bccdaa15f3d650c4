"""Parquet files, split by row group."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from pipeline.limits import DEFAULTS, Limits
from pipeline.sources.base import Read, Source, Split, broken, open_input, size_of
from transforms import rows

_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes that a value of a physical type takes in Arrow; for text and bytes the file's figure has to do."""

_BUFFER_BYTES: Final = 1 << 18


@dataclass(frozen=True)
class Parquet(Source):
    """Reads Parquet files, one row group a split; every column, so that a rejected row can be shown whole.

    Page checksums are verified where the file has them. Without them (most writers leave them out) a flipped
    bit is mostly not noticed. How long a row is shows only once it is decoded.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    packed: ClassVar[bool] = False
    has_schema: ClassVar[bool] = True

    def splits(self, path: str) -> list[Split]:
        """See the base class."""
        with opened(path) as file:
            groups = [file.metadata.row_group(k) for k in range(file.num_row_groups)]
            rows_in, rows_said = sum(group.num_rows for group in groups), file.metadata.num_rows
        if rows_in != rows_said:  # the footer has no checksum
            raise broken(path, f"damaged: its row groups have {rows_in} rows, its metadata say {rows_said}")
        # Not the sizes of their columns: see `_probed`.
        shares = np.cumsum([0.0, *(max(group.total_byte_size, 1) for group in groups)])
        ends = (size_of(path) * (shares / max(shares[-1], 1))).astype(np.int64)
        firsts = np.cumsum([0, *(group.num_rows for group in groups)])
        return [Split(path, k, int(firsts[k]), int(ends[k + 1] - ends[k])) for k in range(len(groups))]

    def read(self, split: Split, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. A feature that the file lacks is absent from the batches."""
        where = f"{split.path}: row group {split.part}"
        with opened(split.path, where) as file:
            _check_names(split.path, file.schema_arrow.names, features)
            group = _probed(file, split.part)
            expected, done, spent = group.num_rows, 0, 0
            found = _batches(file, split.part, _batch_rows(group, limits))
            most = min(limits.max_batch_bytes, limits.max_record_bytes)
            for batch in (part for whole in found for part in _bounded(whole, most)):
                if batch.nbytes > limits.max_record_bytes:
                    raise broken(f"{split.path}: row {split.first_row + done}", _too_long(batch.nbytes, limits))
                made = rows.with_origin(batch, split.path, split.first_row + done)
                done += batch.num_rows
                share = split.size * done // max(expected, 1)
                yield Read(made, None, share - spent)
                spent = share
        if done != expected:
            raise broken(where, f"holds {done} rows, its metadata say {expected}")

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. The schema tells; no row is read."""
        with opened(path) as file:
            return {field.name: field.type for field in file.schema_arrow}


@contextmanager
def opened(path: str, where: str = "") -> Iterator[Any]:
    """Opens a Parquet file; what Arrow raises until it is closed becomes a JobError that names the place."""
    import pyarrow.parquet as pq

    with open_input(path) as handle:
        try:
            # Unbuffered, Arrow would hold a row group's compressed columns whole; pre-buffered as well.
            yield pq.ParquetFile(handle, page_checksum_verification=True, pre_buffer=False, buffer_size=_BUFFER_BYTES)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise broken(where or path, "damaged, cut short, or not a Parquet file that can be read", error) from error


def _check_names(path: str, names: list[str], features: Mapping[str, str]) -> None:
    for name in names:
        if name in rows.RESERVED:
            raise broken(path, f"the column name {name!r} is reserved")
        if name in features and names.count(name) > 1:
            raise broken(path, f"has {names.count(name)} columns named {name!r}")


def _batches(file: Any, part: int, batch_rows: int) -> Iterator[pa.RecordBatch]:
    # Threads would only compete with the other workers, and Beam's file handles are Python anyway.
    return file.iter_batches(batch_rows, row_groups=[part], use_threads=False)


def _probed(file: Any, part: int) -> Any:
    """Returns the metadata of a row group after reading its first row.

    pyarrow 25 ends the process (std::terminate) when `column(k)` is asked of metadata that are damaged in the wrong
    place, for example in a histogram. Reading finds the same damage and raises.
    """
    next(_batches(file, part, 1), None)
    return file.metadata.row_group(part)


def _batch_rows(group: Any, limits: Limits) -> int:
    """Returns how many rows of a row group make a batch.

    The file's uncompressed size says little of columns that repeat themselves: a run of a million zeros takes
    some bytes. How many values a column has is known, though.
    """
    size = 0
    for k in range(group.num_columns):
        column = group.column(k)
        size += max(column.total_uncompressed_size, column.num_values * _WIDTHS.get(column.physical_type, 4))
    return max(1, min(limits.max_batch_rows, limits.max_batch_bytes * group.num_rows // max(size, 1)))


def _too_long(size: int, limits: Limits) -> str:
    return f"{size} bytes as Arrow data, at most {limits.max_record_bytes} are allowed (--max-record-bytes)"


def _bounded(batch: pa.RecordBatch, most: int) -> Iterator[pa.RecordBatch]:
    """Halves a batch until each part is small enough or one row: rows need not be as long as the average."""
    if batch.num_rows <= 1 or batch.nbytes <= most:
        if batch.num_rows:
            yield batch
        return
    half = batch.num_rows // 2
    yield from _bounded(batch.slice(0, half), most)
    yield from _bounded(batch.slice(half), most)
