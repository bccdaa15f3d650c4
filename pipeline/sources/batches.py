"""Shared by decoders of row formats: records to batches, halving what fails, joining what is left, and bad rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import pyarrow as pa

from pipeline.sources.base import Decoded
from pipeline.sources.compression import Content
from pipeline.sources.limits import Limits
from transforms import escaping
from transforms.rows import digests, origin, rejection
from transforms.rows.numbers import arrow_of
from transforms.rows.ragged import Ragged, splits_of

T = TypeVar("T")


@dataclass(frozen=True)
class Part:
    """Rows of one batch that have the same types: the columns asked for, and int64 positions in the batch."""

    batch: pa.RecordBatch
    positions: np.ndarray

    @classmethod
    def at(cls, start: int, batch: pa.RecordBatch) -> Part:
        """Returns rows that stand one after another in the batch."""
        return cls(batch, np.arange(start, start + batch.num_rows))


def batches(records: Iterable[bytes], limits: Limits) -> Iterator[list[bytes]]:
    """Gathers records up to the limits. A record larger than they allow is a batch of its own."""
    held: list[bytes] = []
    size = 0
    for record in records:
        if held and (len(held) >= limits.max_batch_rows or size + len(record) > limits.max_batch_bytes):
            yield held
            held, size = [], 0
        held.append(record)
        size += len(record)
    if held:
        yield held


def screened(content: Content, records: Iterable[bytes], limits: Limits) -> Iterator[tuple[int, int]]:
    """Reads records without decoding any: see `Source.screen`."""
    seen = 0
    for held in batches(records, limits):
        size, seen = content.consumed - seen, content.consumed
        yield len(held), size


def halved(
    attempt: Callable[[Sequence[bytes]], T | None], records: Sequence[bytes], start: int = 0
) -> Iterator[tuple[int, Sequence[bytes], T | None]]:
    """Halves records until `attempt` accepts the parts.

    Yields:
      Position of the first record, the records, and the result of `attempt`: None for a record that it does not accept.
    """
    made = attempt(records)
    if made is not None or len(records) <= 1:
        yield start, records, made
        return
    half = len(records) // 2
    yield from halved(attempt, records[:half], start)
    yield from halved(attempt, records[half:], start + half)


def of_rows(batch: pa.RecordBatch, count: int) -> pa.RecordBatch:
    """Returns the batch with its number of rows, which one without columns has forgotten."""
    if batch.num_columns:
        return batch
    return pa.RecordBatch.from_struct_array(pa.array([{}] * count, pa.struct([])))


def with_origins(
    parts: Iterable[Part],
    bad: Mapping[int, str],
    records: pa.Array,
    numbers: np.ndarray,
    path: str,
    record_format: str,
    header: str = "",
    checksums: np.ndarray | None = None,
) -> Decoded:
    """Yields what became of the records of one batch: good rows with their origin, then the rejected ones.

    Args:
      parts: the decoded rows.
      bad: positions of the records that cannot be decoded, ascending, with what was expected instead.
      records: the original records, large_binary `[records]`.
      numbers: int64 `[records]`, their row numbers in the file.
      path: the file.
      record_format: the format of the records.
      header: needed to read them again, see `origin.with_origin`.
      checksums: uint64 `[records]`, their CRC-32C where they are at hand: good rows get their digests of them.
    """
    for part in parts:
        at = slice(None) if len(part.positions) == len(records) else part.positions
        own = records if isinstance(at, slice) else records.take(arrow_of(at))
        made = origin.with_origin(part.batch, path, numbers[at], own, record_format, header)
        if checksums is not None:
            found = digests.of_rows(path, numbers[at], checksums[at])
            made = digests.with_digests(made, arrow_of(found))
        yield made, None
    if not bad:
        return
    own = origin.taken(records, np.array(list(bad), np.int64))
    nothing = pa.RecordBatch.from_arrays([], [])
    batch = origin.with_origin(nothing, path, numbers[list(bad)], own, record_format, header)
    shown = [escaping.of_bytes(record.as_buffer()[: escaping.MAX_VALUE_BYTES + 1].to_pybytes()) for record in own]
    faults = [
        rejection.Fault("bad_record", "", np.array([k]), [value], message)
        for k, (value, message) in enumerate(zip(shown, bad.values(), strict=True))
    ]
    yield None, rejection.split(batch, faults)[1]


def joined(parts: list[Part]) -> list[Part]:
    """Joins neighbours of the same types. A list column without any value, if only of empty lists, fits every list."""
    groups: list[list[Part]] = []
    kinds: dict[str, tuple[pa.DataType, bool]] = {}  # type of each column of the last group, and whether values say so
    for part in parts:
        columns = [(name, part.batch.column(name), _holds_values(part.batch.column(name))) for name in _names(part)]
        if groups and all(_fits(column.type, held, *kinds[name]) for name, column, held in columns):
            groups[-1].append(part)
        else:
            groups.append([part])
            kinds = {}
        kinds.update({name: (column.type, held) for name, column, held in columns if held or name not in kinds})
    return [_concatenated(group) for group in groups]


def _names(part: Part) -> list[str]:
    return list(part.batch.schema.names)


def _fits(kind: pa.DataType, held: bool, expected: pa.DataType, expected_held: bool) -> bool:
    return kind == expected or (_is_list(kind) and _is_list(expected) and not (held and expected_held))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _concatenated(parts: list[Part]) -> Part:
    if len(parts) == 1:
        return parts[0]
    positions = np.concatenate([part.positions for part in parts])
    names = _names(parts[0])
    if not names:
        return Part(of_rows(parts[0].batch, len(positions)), positions)
    arrays = [_chunks([part.batch.column(name) for part in parts]) for name in names]
    return Part(pa.RecordBatch.from_arrays(arrays, names), positions)


def _chunks(columns: list[pa.Array]) -> pa.Array:
    kind = next((c.type for c in columns if _holds_values(c)), columns[0].type)
    return pa.concat_arrays([c if c.type == kind else _without_values(c, kind) for c in columns])


def _holds_values(column: pa.Array) -> bool:
    return not _is_list(column.type) or len(column.flatten()) > 0


def _without_values(column: pa.Array, kind: pa.DataType) -> pa.Array:
    """Returns empty lists and nulls as those of another type: an empty list is empty whatever it is a list of."""
    empty = Ragged(pa.nulls(0, kind.value_type), splits_of(np.zeros(len(column))), Ragged.of(column).present)
    return empty.to_list_array().cast(kind)
