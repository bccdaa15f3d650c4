"""Parquet files, split by row group."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from pipeline.sources.base import FilePart, Read, Source, broken, open_input, size_of
from pipeline.sources.limits import DEFAULTS, Limits
from pipeline.sources.parquet_times import MICROSECONDS, NANOSECONDS, of_int96, unit_of
from transforms.errors import JobError
from transforms.rows import origin, paths

_WIDTHS: Final = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "INT96": 8, "FLOAT": 4, "DOUBLE": 8}
"""Bytes that a value of a physical type takes in Arrow; for text and bytes the file's figure has to do."""

_BESIDE: Final = 8
"""Bytes that go with each row: its digest. With each value goes one that says whether it is null."""

_DECIMAL: Final = 16
"""Bytes of a decimal in Arrow, however few it takes in a file."""

_BUFFER_BYTES: Final = 1 << 18

_NULL_IN_FIXED: Final = "Expected all lists to be of size"
"""The error of pyarrow 25 for a null list of fixed size, which Parquet allows; other readers, and pyarrow 26, read it."""

_PROBED_ROWS: Final = 1024


@dataclass(frozen=True)
class ParquetSource(Source):
    """Reads Parquet files, one row group a split, and of that only the features asked for: what nobody needs can stop nobody.

    Page checksums are verified where the file has them. Without them (most writers leave them out) a flipped
    bit is mostly not noticed. How long a row is shows only once it is decoded.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    magic: ClassVar[bytes] = b"PAR1"
    packed: ClassVar[bool] = False
    has_schema: ClassVar[bool] = True

    def parts(self, path: str) -> list[FilePart]:
        """See the base class."""
        with opened(path) as file:
            groups = [file.metadata.row_group(k) for k in range(file.num_row_groups)]
            rows_in, rows_said = sum(group.num_rows for group in groups), file.metadata.num_rows
        if rows_in != rows_said:  # the footer has no checksum
            raise broken(path, f"damaged: its row groups have {rows_in} rows, its metadata say {rows_said}")
        # Not the sizes of their columns: see `_group`.
        shares = np.cumsum([0.0, *(max(group.total_byte_size, 1) for group in groups)])
        ends = (size_of(path) * (shares / max(shares[-1], 1))).astype(np.int64)
        firsts = np.cumsum([0, *(group.num_rows for group in groups)])
        return [FilePart(path, k, int(firsts[k]), int(ends[k + 1] - ends[k])) for k in range(len(groups))]

    def read(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. A feature that the file does not have is absent from the batches."""
        where = f"{split.path}: row group {split.part}"
        with _exact(split, features, where) as (file, wanted):
            found = _readable(_group(file, split.part, wanted, limits), file, split.part, wanted, where)
            expected, done, spent = next(found), 0, 0
            most = min(limits.max_batch_bytes, limits.max_record_bytes)
            for batch in (part for whole in found for part in _bounded(whole, most)):
                if batch.nbytes > limits.max_record_bytes:
                    raise broken(f"{split.path}: row {split.first_row + done}", _too_long(batch.nbytes, limits))
                made = origin.with_origin(batch, split.path, split.first_row + done)
                done += batch.num_rows
                share = split.size * done // max(expected, 1)
                yield Read(made, None, share - spent)
                spent = share
        if done != expected:
            raise broken(where, f"holds {done} rows, its metadata say {expected}")

    def unpacked_bytes(self, path: str, size: int, features: Collection[str], limits: Limits = DEFAULTS) -> int:
        """See the base class: the metadata say it, of each column, and how many values it has where they repeat themselves."""
        with opened(path) as file:
            numbers = [k for columns in _wanted(path, file.schema_arrow, features).values() for k in columns]
            rows, row_bytes = int(file.metadata.num_rows), _row_bytes(file, numbers)
            if row_bytes is not None:
                own = rows * row_bytes
            else:
                groups = [file.metadata.row_group(k) for k in range(file.num_row_groups)]
                own = sum(_bytes_of(group.column(k)) for group in groups for k in numbers)
            return own + rows * (_BESIDE + len(numbers))

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. The schema tells; no row is read."""
        with opened(path) as file:
            return {field.name: origin.plain_type(field.type) for field in file.schema_arrow}


@contextmanager
def _exact(split: FilePart, features: Collection[str], where: str) -> Iterator[tuple[Any, dict[str, list[int]]]]:
    """Opens a file so that the times of a row group are exact; with it comes `_wanted`."""
    with ExitStack() as stack:
        file = stack.enter_context(opened(split.path, where))
        wanted = _wanted(split.path, file.schema_arrow, features)
        if times := of_int96(file, list(itertools.chain.from_iterable(wanted.values()))):
            coarse = stack.enter_context(opened(split.path, where, MICROSECONDS))
            file = file if unit_of(coarse, file, split.part, times, where) == NANOSECONDS else coarse
        yield file, wanted


@contextmanager
def opened(path: str, where: str = "", int96: str = NANOSECONDS) -> Iterator[Any]:
    """Opens a Parquet file; what Arrow raises until it is closed becomes a JobError that names the place.

    Args:
      path: the file.
      where: the place.
      int96: the unit of times that have none of their own.
    """
    import pyarrow.parquet as pq

    with open_input(path) as handle:
        try:
            # Unbuffered, Arrow would hold a row group's compressed columns whole; pre-buffered as well.
            yield pq.ParquetFile(
                handle,
                page_checksum_verification=True,
                pre_buffer=False,
                buffer_size=_BUFFER_BYTES,
                coerce_int96_timestamp_unit=int96,
            )
        except pa.ArrowNotImplementedError as error:
            raise JobError(f"{where or path}: cannot be read by pyarrow {pa.__version__} ({error})") from error
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise broken(where or path, "damaged, cut short, or not a Parquet file that can be read", error) from error


def _wanted(path: str, schema: pa.Schema, features: Collection[str]) -> dict[str, list[int]]:
    """Returns what the features asked for are read from, in the order of the file: its columns as Parquet counts them, by name.

    By number: a name with a dot in it can stand for a column of that name and for a field of a struct. Of structs only the fields
    asked for are read.
    """
    kinds = {field.name: field.type for field in schema}
    ends = list(itertools.accumulate((_leaves(field.type) for field in schema), initial=0))
    spans = dict(zip(schema.names, itertools.pairwise(ends), strict=True))  # of several of a name, the last one
    numbers: dict[str, set[int]] = {}
    for first, *rest in filter(None, (paths.find(kinds, name) for name in features)):
        numbers.setdefault(first, set()).update(_span(kinds[first], spans[first][0], rest))
    wanted = {name: sorted(numbers[name]) for name in spans if name in numbers}
    for name in wanted:
        if schema.names.count(name) > 1:
            raise JobError(f"{path}: has {schema.names.count(name)} columns named {name!r}")
    return wanted


def _span(kind: pa.DataType, start: int, path: Sequence[str]) -> range:
    """Returns the numbers of the columns of a field inside a feature, whose own columns start at a number."""
    if not path:
        return range(start, start + _leaves(kind))
    if not pa.types.is_struct(kind):
        return _span(kind.field(0).type, start, path)  # a list
    at = kind.get_field_index(path[0])
    return _span(kind.field(at).type, start + sum(_leaves(kind.field(k).type) for k in range(at)), path[1:])


def _leaves(kind: pa.DataType) -> int:
    """Returns how many columns of Parquet a feature is: lists and structs are those of the values in them."""
    if isinstance(kind, pa.BaseExtensionType):
        return _leaves(kind.storage_type)
    return sum(_leaves(kind.field(k).type) for k in range(kind.num_fields)) if kind.num_fields else 1


def _batches(file: Any, part: int, rows_each: int, columns: Iterable[Sequence[int]]) -> Iterator[pa.RecordBatch]:
    # Threads would only compete with the other workers, and Beam's file handles are Python anyway.
    numbers = list(itertools.chain.from_iterable(columns))
    return file.reader.iter_batches(rows_each, row_groups=[part], column_indices=numbers, use_threads=False)


def _group(file: Any, part: int, wanted: Mapping[str, Sequence[int]], limits: Limits) -> Iterator[Any]:
    """Yields how many rows a row group has, by its metadata; then its rows, in batches.

    Where the schema does not tell the size of a row, the first row is read before the metadata of columns: pyarrow 25 ends the
    process (std::terminate) when `column(k)` is asked of metadata that are damaged in the wrong place, say in a histogram.
    Reading finds the same damage and raises. It also unpacks a page of each column, and its dictionary.
    """
    group, numbers = file.metadata.row_group(part), list(itertools.chain.from_iterable(wanted.values()))
    yield group.num_rows
    each = _row_bytes(file, numbers)
    if each is None:
        next(_batches(file, part, 1, wanted.values()), None)
        size = max(sum(_bytes_of(group.column(k)) for k in numbers), 1)
        fitting = limits.max_batch_bytes * group.num_rows // size
    else:
        fitting = limits.max_batch_bytes // each
    rows = max(1, min(limits.max_batch_rows, fitting))
    yield from _batches(file, part, rows, wanted.values())


def _row_bytes(file: Any, numbers: Iterable[int]) -> int | None:
    """Returns how many bytes the values of some columns take in a row; None where the schema does not tell."""
    columns = [file.schema.column(k) for k in numbers]
    if any(column.max_repetition_level or column.physical_type not in _WIDTHS for column in columns):
        return None
    kinds = ((column.logical_type.type, column.physical_type) for column in columns)
    return max(sum(_DECIMAL if logical == "DECIMAL" else _WIDTHS[physical] for logical, physical in kinds), 1)


def _readable(
    found: Iterator[Any], file: Any, part: int, wanted: Mapping[str, Sequence[int]], where: str
) -> Iterator[Any]:
    """Yields the batches; where that fails for a feature that is damaged, or that pyarrow cannot read, it says which."""
    try:
        yield from found
    except (pa.ArrowException, OSError) as error:
        for name, numbers in wanted.items():
            try:
                for _ in _batches(file, part, _PROBED_ROWS, [numbers]):
                    pass
            except (pa.ArrowException, OSError) as own:
                if isinstance(own, pa.ArrowNotImplementedError) or str(own).startswith(_NULL_IN_FIXED):
                    kind = file.schema_arrow.field(name).type
                    hint = "" if isinstance(own, pa.ArrowNotImplementedError) else "; lists of any size can be null"
                    what = f"the feature {name!r} ({kind}) cannot be read by pyarrow {pa.__version__} ({own})"
                    raise JobError(f"{where}: {what}{hint}") from error
                raise type(own)(f"the feature {name!r}: {own}") from error
        raise


def _bytes_of(column: Any) -> int:
    """Returns how many bytes a column of a row group takes.

    The file's uncompressed size says little of columns that repeat themselves: a run of a million zeros takes
    some bytes. How many values a column has is known, though.
    """
    return int(max(column.total_uncompressed_size, column.num_values * _WIDTHS.get(column.physical_type, 4)))


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
