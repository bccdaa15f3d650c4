"""Avro object container files."""

from __future__ import annotations

import io
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

from pipeline.sources.avro import schema as avro_schema
from pipeline.sources.avro.container import MAGIC, Container
from pipeline.sources.avro.schema import VARYING
from pipeline.sources.base import UNPACKED, FilePart, Read, Source, broken, open_input, size_of
from pipeline.sources.batches import of_rows
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.errors import JobError
from transforms.rows import origin
from transforms.rows.marks import UNREADABLE, unreadable
from transforms.rows.ragged import Ragged, is_list

_Row = dict[str, Any]


@dataclass(frozen=True)
class Avro(Source):
    """Reads Avro files of records, each as one split. Types are those of the schema (see `avro.schema`).

    The rows of a batch that differ in the types of a union come in batches of their own. fastavro makes a dict of
    every row, which takes most of the time; from there on it is columns.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".avro",)
    magic: ClassVar[bytes] = MAGIC
    packed: ClassVar[bool] = False
    has_schema: ClassVar[bool] = True

    def parts(self, path: str) -> list[FilePart]:
        """See the base class."""
        return [FilePart(path, size=size_of(path))]

    def read(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. First comes a batch without rows that has all fields of the schema."""
        with open_input(split.path) as handle:
            container = Container(handle, split.path, limits)
            table = _RecordTable(split.path, container.schema)
            yield Read(table.empty(), None, 0)
            row, seen = 0, 0
            for held in _batches(table.records(container), limits):
                size, seen = container.at - seen, container.at
                for batch in table.batches(held, row):
                    yield Read(batch, None, size)
                    size = 0
                row += len(held)
            if container.at > seen:
                yield Read(None, None, container.at - seen)

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. The schema tells; no row is read. A union of several types has the null type."""
        with open_input(path) as handle:
            return _RecordTable(path, Container(handle, path, limits).schema).types

    def unpacked_bytes(self, path: str, size: int, features: Collection[str], limits: Limits = DEFAULTS) -> int:
        """See the base class: its blocks may be packed."""
        with open_input(path) as handle:
            return size * UNPACKED if Container(handle, path, limits).codec != "null" else size


def _batches(records: Iterator[tuple[_Row, int]], limits: Limits) -> Iterator[list[_Row]]:
    held: list[_Row] = []
    size = 0
    for record, length in records:
        if held and (len(held) >= limits.max_batch_rows or size + length > limits.max_batch_bytes):
            yield held
            held, size = [], 0
        held.append(record)
        size += length
    if held:
        yield held


class _RecordTable:
    """Decodes the records of one file.

    Attributes:
      types: name of each field to its Arrow type.
    """

    def __init__(self, path: str, schema: Any):
        self._path = path
        try:
            _, self.types = avro_schema.parse(schema)
            self._schema, _ = avro_schema.parse(schema, text="bytes")
        except ValueError as error:
            raise broken(path, "its schema cannot be read", error) from error
        for name in self.types:
            if name in origin.RESERVED:
                raise JobError(f"{path}: the column name {name!r} is reserved")
        self._read_as = {name: avro_schema.decoded(kind) for name, kind in self.types.items()}
        self._varying = [name for name, kind in self.types.items() if kind == VARYING]
        self._unreadable = {name: kind for name, kind in self.types.items() if avro_schema.is_unsettled_inside(kind)}
        for name in self._varying:
            del self._unreadable[name]

    def empty(self) -> pa.RecordBatch:
        """Returns a batch of all fields without rows."""
        none = pa.RecordBatch.from_arrays([pa.nulls(0, kind) for kind in self.types.values()], list(self.types))
        return origin.with_origin(none, self._path, 0)

    def records(self, container: Container) -> Iterator[tuple[_Row, int]]:
        """Yields each record with its size in bytes."""
        decode, row = avro_schema.decoder(self._schema), 0
        for block in container.blocks():
            data, start = io.BytesIO(block.data), 0
            for _ in range(block.count):
                try:
                    # Only keys of maps are still text by now; no column reads them.
                    record: Any = decode(data, self._schema, None, handle_unicode_errors="backslashreplace")
                except RecursionError as error:
                    raise broken(
                        block.where, f"row {row} holds values in values, too many levels to be decoded"
                    ) from error
                except Exception as error:  # whatever fastavro falls over where data are damaged
                    why = f"damaged: row {row} cannot be decoded"
                    raise broken(block.where, why, error) from error
                end = data.tell()
                yield record, end - start
                start, row = end, row + 1
            if start != len(block.data):
                raise broken(block.where, f"damaged: {len(block.data) - start} bytes are left after its last record")

    def batches(self, records: list[_Row], first_row: int) -> Iterator[pa.RecordBatch]:
        """Yields the records, those of the same types in one batch."""
        for name, kind in self._unreadable.items():
            for record in records:
                record[name] = _readable(record[name], kind)
        for kinds, positions in self._groups(records).items():
            own = dict(zip(self._varying, kinds, strict=True))
            kind = pa.struct([(name, own.get(name, self._read_as[name])) for name in self.types])
            try:
                columns = pa.array([records[k] for k in positions], kind).flatten()
            except (pa.ArrowException, OverflowError) as error:
                where = f"rows {first_row} to {first_row + len(records) - 1}"
                raise broken(self._path, f"{where} do not fit its schema", error) from error
            columns = [
                _settled(column) if name in own else _as(column, self.types[name])
                for name, column in zip(self.types, columns, strict=True)
            ]
            batch = of_rows(pa.RecordBatch.from_arrays(columns, list(self.types)), len(positions))
            yield origin.with_origin(batch, self._path, first_row + np.array(positions))

    def _groups(self, records: list[_Row]) -> dict[tuple[pa.DataType, ...], list[int]]:
        """Returns the types in the fields that vary, and the positions of the records that have them."""
        if not self._varying:
            return {(): list(range(len(records)))}
        groups: dict[tuple[pa.DataType, ...], list[int]] = {}
        for position, record in enumerate(records):
            groups.setdefault(tuple(_own_type(record, name) for name in self._varying), []).append(position)
        return groups


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Returns a decoded column as its type says: the same bits, of which nothing is copied but UUIDs."""
    bare = avro_schema.without_uuids(kind)
    return column.view(bare) if bare == kind else column.view(bare).cast(kind)


def _settled(column: pa.Array) -> pa.Array:
    """Returns a column of a union of several types with times and UUIDs in place of marks."""
    if is_list(column.type):
        lists = Ragged.of(column)
        values = _settled(lists.values)
        return column if values is lists.values else replace(lists, values=values).to_list_array()
    kind = avro_schema.marked_as(column.type)
    return column if kind is None else _as(column.flatten()[0].cast(avro_schema.decoded(kind)), kind)


def _own_type(record: _Row, name: str) -> pa.DataType:
    """Returns the type of a value by itself. One that Arrow cannot hold, or no column takes, becomes unreadable."""
    try:
        kind = inner = pa.array([record[name]]).type
        while pa.types.is_list(inner):
            inner = inner.value_type
        if not pa.types.is_struct(inner) or avro_schema.marked_as(inner) is not None:
            return kind
    except (pa.ArrowException, OverflowError, TypeError, ValueError):
        pass
    record[name] = _as_text(record[name])
    return UNREADABLE


def _readable(value: Any, kind: pa.DataType) -> Any:
    """Returns a value with the text of what is unreadable in it."""
    if value is None or kind == UNREADABLE:
        return _as_text(value)
    if isinstance(value, list):
        return [_readable(item, kind.value_type) for item in value]
    inside = {field.name: field.type for field in kind if avro_schema.is_unsettled_inside(field.type)}
    return {**value, **{name: _readable(value[name], held) for name, held in inside.items()}}


def _as_text(value: Any) -> dict[str, str] | None:
    return None if value is None else unreadable(avro_schema.unmarked(value))
