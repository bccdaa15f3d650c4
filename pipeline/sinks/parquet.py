"""Parquet files with a checksum on every page, so that a flipped bit is noticed."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from pipeline.sinks.base import OutputFile, Sink, Writer, Written, flat_values
from pipeline.sinks.contents import Contents, Tell
from pipeline.sources.base import broken
from pipeline.sources.limits import WIDEST
from pipeline.sources.parquet import ParquetSource, opened
from transforms.columns.results import Output
from transforms.rows.exports import arrow_type
from transforms.spec.parse_specs import known_shape

ROW_GROUP_BYTES: Final = 8 << 20
"""Arrow data in a row group: what a reader holds at once."""


@dataclass(frozen=True)
class ParquetSink(Sink):
    """Writes a column for each output in its dtype (bfloat16, which Arrow does not have, as float32), without nulls.

    An output with a shape is a `fixed_shape_tensor`; readers that do not know that type see fixed-size lists. One without any
    value (T is 0 where every sequence is empty) is a column of empty lists.
    """

    source: ClassVar[str] = "parquet"
    keeps_float64: ClassVar[bool] = True
    times_read: ClassVar[int] = 2  # once to hash it, once by row groups

    @property
    def name(self) -> str:
        """See the base class."""
        return "parquet"

    def open(self, path: str, outputs: Sequence[Output]) -> Writer:
        """See the base class."""
        schema = arrow_schema(outputs)
        return _Writer(OutputFile(path), outputs, schema)

    def columns(
        self, path: str, outputs: Sequence[Output], start: int, stop: int | None
    ) -> Iterator[tuple[Mapping[str, pa.Array], int]]:
        """See the base class; row groups without any of the rows are not read."""
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

    def look_through(
        self, path: str, blocks: Iterator[bytes], outputs: Sequence[Output], found: Contents, tell: Tell
    ) -> None:
        """See the base class."""
        for _ in blocks:
            pass
        source = ParquetSource()
        wanted = {field.name: field.type for field in arrow_schema(outputs)}
        held = source.features(path, WIDEST)
        for name in (*wanted, *(name for name in held if name not in wanted)):
            if held.get(name) != wanted.get(name):
                found.features[name] = _other(name, wanted.get(name, _ABSENT), held.get(name, _ABSENT))
        for split in source.parts(path):
            for read in source.read(split, dict.fromkeys(held, ""), WIDEST):
                assert read.batch is not None
                for name in wanted.keys() & held.keys():
                    nulls = read.batch.column(name).is_null().to_numpy(zero_copy_only=False)
                    if nulls.any():
                        row = found.rows + int(np.argmax(nulls))
                        found.features.setdefault(name, f"row {row}: feature {name!r} is null")
                found.rows += read.batch.num_rows
                tell(read.size)


class RowGroups:
    """A Parquet file that is written row group by row group.

    Numbers that are no integers get no dictionary: it is given up after costing time. Integers and text gain from one.

    Args:
      file: the file underneath.
      schema: that of the batches.
      long: columns whose values may be long. They get neither a dictionary nor statistics, which hold several of them.
      packed: whether it is worth time to make the file small; otherwise values lie as they are.
    """

    def __init__(self, file: OutputFile, schema: pa.Schema, long: Collection[str] = (), packed: bool = True):
        import pyarrow.parquet as pq

        self._file, self._schema = file, schema
        self._held: list[pa.RecordBatch] = []
        self._size = 0
        self._rows = 0
        leaves = dict(_leaf(field) for field in schema if field.name not in long)
        self._writer = pq.ParquetWriter(
            pa.PythonFile(file, mode="w"),
            schema,
            compression="zstd" if packed else "none",
            use_dictionary=(packed and [path for path, kind in leaves.items() if not pa.types.is_floating(kind)])
            or False,
            write_statistics=list(leaves) or False,
            write_page_checksum=True,
        )

    def write(self, batch: pa.RecordBatch) -> int:
        """Holds a batch until a row group is full; returns its number of rows."""
        self._held.append(batch)
        self._size += batch.nbytes
        self._rows += batch.num_rows
        if self._size >= ROW_GROUP_BYTES:
            self._write_held()
        return batch.num_rows

    def reaches(self, size: int) -> bool:
        """See the base class; a file that is to be small has small row groups, a quarter of that size before they are packed."""
        if self._size >= min(ROW_GROUP_BYTES, size // 4):
            self._write_held()
        return self._file.bytes >= size

    def _write_held(self) -> None:
        table = pa.Table.from_batches(self._held, self._schema)
        groups = -(-self._size // ROW_GROUP_BYTES)
        if table.num_rows:
            self._writer.write_table(table, row_group_size=-(-table.num_rows // groups))
        self._held, self._size = [], 0

    def close(self) -> Written:
        """Finishes the file, on the disk itself where there is one."""
        self._write_held()
        self._writer.close()
        self._file.close()
        return self._file.written(self._rows)

    def abort(self) -> None:
        """Drops the file. Never raises."""
        self._held = []
        self._file.abort()
        with contextlib.suppress(Exception):  # it wants to write its footer, now or when it is collected
            self._writer.close()


class _Writer(Writer):
    def __init__(self, file: OutputFile, outputs: Sequence[Output], schema: pa.Schema):
        self._outputs = list(outputs)
        self._schema = schema
        long = [field.name for field in schema if pa.types.is_large_binary(_value_type(field.type))]
        self._groups = RowGroups(file, schema, long)

    def write(self, batch: pa.RecordBatch) -> int:
        columns = [
            _column(batch, output, field.type) for output, field in zip(self._outputs, self._schema, strict=True)
        ]
        return self._groups.write(pa.RecordBatch.from_arrays(columns, schema=self._schema))

    def reaches(self, size: int) -> bool:
        return self._groups.reaches(size)

    def close(self) -> Written:
        return self._groups.close()

    def abort(self) -> None:
        self._groups.abort()


def arrow_schema(outputs: Sequence[Output]) -> pa.Schema:
    """Returns the schema of the files.

    >>> arrow_schema([Output("sequence_length", "int64", (), "length", "sequence")])
    sequence_length: int64 not null

    Raises:
      ValueError: a shape is not known.
    """
    return pa.schema([pa.field(output.name, _arrow_type(output), nullable=False) for output in outputs])


def _arrow_type(output: Output) -> pa.DataType:
    value = arrow_type(output.dtype)
    if 0 in known_shape(
        output
    ):  # every sequence is empty; pyarrow 25 ends the process when it writes fixed lists of nothing
        return pa.list_(value)
    return pa.fixed_shape_tensor(value, known_shape(output)) if output.shape else value


def _value_type(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if isinstance(kind, pa.FixedShapeTensorType) or pa.types.is_list(kind) else kind


def _column(batch: pa.RecordBatch, output: Output, kind: pa.DataType) -> pa.Array:
    values = flat_values(batch, output)
    if values.type != _value_type(kind):
        values = values.cast(_value_type(kind))
    if not output.shape:
        return values
    if pa.types.is_list(kind):
        return pa.array([[]] * batch.num_rows, kind)
    lists = pa.FixedSizeListArray.from_arrays(values, type=kind.storage_type)
    return pa.ExtensionArray.from_storage(kind, lists)


def _leaf(field: pa.Field) -> tuple[str, pa.DataType]:
    """Returns the path of a column as Parquet counts them, those of lists below their names, and the type of its values."""
    path, kind = field.name, getattr(field.type, "storage_type", field.type)
    while hasattr(kind, "value_field"):
        path, kind = f"{path}.list.element", kind.value_type
    return path, kind


def _batch_rows(outputs: Sequence[Output]) -> int:
    """Returns how many rows are about as large as a batch may be."""
    size = sum(8 * prod(known_shape(output)) for output in outputs)
    return max(1, min(WIDEST.max_batch_rows, WIDEST.max_batch_bytes // max(size, 1)))


_ABSENT: Final = "no such feature"


def _other(name: str, wanted: Any, held: Any) -> str:
    kinds = (_shown(kind) if isinstance(kind, pa.DataType) else kind for kind in (held, wanted))
    return "feature {!r}: the file has {}, the manifest {}".format(name, *kinds)


def _shown(kind: pa.DataType) -> str:
    if isinstance(kind, pa.FixedShapeTensorType):
        return f"{kind.value_type} {kind.shape}"
    return str(kind)
