"""Events in files of this machine, where no engine shuffles them: written by column, read partition by partition.

The columns of events that were dealt lie as the bytes that they are, those of a partition side by side. They are read to where
they stay: nothing is packed, and no block is joined to another.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shuffle.blocks import Block, Dealt, Shares
from transforms.errors import JobError
from transforms.events import trim
from transforms.events.trim import Trimmed
from transforms.rows.fields import is_text, text_buffers
from transforms.rows.ragged import splits_of

FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
"""A file of events is new, whoever writes it."""

READ_BYTES: Final = 12 << 20
"""A block is complete once it has this much of a partition."""

_PIECES: Final = 1000
"""Pieces of memory that one system call reads or writes; Linux takes 1,024."""


@dataclass(frozen=True)
class StoredDeal:
    """Where events that were dealt are in a file.

    Of each partition there are, for each column, the bytes of its flags (one a value, 0 for null), if it has nulls; of its
    values, of texts their lengths as int64; and of its text.

    Attributes:
      at: where the first partition begins.
      begins: uint32 `[partitions + 1]`, the first event of each partition, and the end of the last.
      nulls: by column, whether it has any.
      texts: by column, int64 `[partitions + 1]`, the bytes of text before each partition, and in all; None where it has none.
      files: the file of each run of the events as they came; one may have several.
      shares: how many events of each partition each run has.
      trimmed: events that were dropped before, by partition.
    """

    at: int
    begins: np.ndarray
    nulls: Sequence[bool]
    texts: Sequence[np.ndarray | None]
    files: Sequence[str]
    shares: Shares
    trimmed: dict[int, Trimmed]

    def rows(self, partition: int) -> int:
        """Returns how many events of a partition there are."""
        return int(self.begins[partition + 1]) - int(self.begins[partition])

    def text(self, column: int, partition: int) -> int:
        """Returns how many bytes of text a column has in a partition."""
        ends = self.texts[column]
        return 0 if ends is None else int(ends[partition + 1] - ends[partition])

    def place(self, partition: int, widths: Sequence[int]) -> int:
        """Returns where a partition begins, which is where the one before it ends; `widths` are those of the columns."""
        texts = sum(int(ends[partition]) for ends in self.texts if ends is not None)
        return self.at + int(self.begins[partition]) * (sum(widths) + sum(self.nulls)) + texts


@dataclass(frozen=True)
class DealtFile:
    """A file of events.

    Attributes:
      path: where it is.
      schema: of their fields and digests.
      deals: what is in it.
    """

    path: str
    schema: pa.Schema
    deals: Sequence[StoredDeal]

    @property
    def widths(self) -> list[int]:
        """The bytes of a value in each column, apart from its text."""
        return [_width(kind) for kind in self.schema.types]


def _width(kind: pa.DataType) -> int:
    if is_text(kind):
        return 8
    return 0 if pa.types.is_null(kind) else max(1, kind.bit_width // 8)


class DealtWriter:
    """Writes events to a file of their own in a folder, which is made with the first of them."""

    def __init__(self, folder: str):
        self._folder = folder
        self._path = os.path.join(folder, f"{secrets.token_hex(8)}.events")
        self._deals: list[StoredDeal] = []
        self._schema = pa.schema([])
        self._file, self._end = -1, 0

    def write(self, dealt: Dealt) -> None:
        """Appends events.

        Raises:
          JobError: the file cannot be written.
        """
        batch, order = dealt.gathered.batch, pa.array(dealt.order)
        stored = [_stored(column.take(order), dealt.begins) for column in batch.columns]
        self._schema = batch.schema.remove_metadata()
        deal = StoredDeal(
            self._end,
            dealt.begins.astype(np.uint32),
            [own.has_nulls for own in stored],
            [own.texts for own in stored],
            dealt.gathered.files,
            dealt.shares,
            dict(dealt.trimmed),
        )
        self._deals.append(deal)
        buffers = [buffer for own in stored for buffer in own.buffers]
        self._append([piece for part in zip(*buffers, strict=True) for piece in part])

    def _append(self, pieces: list[memoryview]) -> None:
        try:
            if self._file < 0:
                os.makedirs(self._folder, exist_ok=True)
                self._file = os.open(self._path, FLAGS, 0o600)
            while pieces:
                done = os.writev(self._file, pieces[:_PIECES])
                self._end += done
                pieces = _without(pieces, done)
        except OSError as error:
            raise JobError(f"{self._path}: cannot be written ({error.strerror or error})") from error

    def close(self) -> DealtFile | None:
        """Closes the file and returns it; None where nothing was written."""
        if self._file < 0:
            return None
        self.abandon()
        return DealtFile(self._path, self._schema, self._deals)

    def abandon(self) -> None:
        """Closes the file."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def _without(pieces: list[memoryview], done: int) -> list[memoryview]:
    """Returns pieces of memory without their first bytes."""
    for k, piece in enumerate(pieces):
        if done < len(piece):
            return [piece[done:], *pieces[k + 1 :]]
        done -= len(piece)
    return []


class _StoredColumn(NamedTuple):
    """A column as it is stored: its buffers, each in a piece a partition, and what `StoredDeal` says of it."""

    buffers: list[list[memoryview]]
    has_nulls: bool
    texts: np.ndarray | None = None


def _stored(array: pa.Array, begins: np.ndarray) -> _StoredColumn:
    kind, has_nulls = array.type, array.null_count > 0
    if pa.types.is_null(kind):
        return _StoredColumn([], False)
    flags = [_cut(pc.is_valid(array).cast(pa.uint8()).buffers()[1], begins)] if has_nulls else []
    if is_text(kind):
        offsets, text = text_buffers(array)
        ends = offsets[begins] - offsets[0]
        lengths = np.diff(offsets).view(np.uint8)
        buffers = [_cut(lengths, begins * _width(kind)), _cut(text[offsets[0] : offsets[-1]], ends)]
        return _StoredColumn([*flags, *buffers], has_nulls, ends)
    values = array.cast(pa.uint8()) if pa.types.is_boolean(kind) else array
    return _StoredColumn([*flags, _cut(values.buffers()[1], begins * _width(kind))], has_nulls)


def _cut(buffer: Any, ends: np.ndarray) -> list[memoryview]:
    data = memoryview(buffer)
    return [data[begin:end] for begin, end in itertools.pairwise(ends.tolist())]


def read(files: Sequence[DealtFile], partition: int) -> Iterator[Block]:
    """Reads the events of a partition, in blocks (see `READ_BYTES`).

    Args:
      files: what has been written.
      partition: its number.

    Raises:
      JobError: a file cannot be read.
    """
    held, size = list[tuple[DealtFile, StoredDeal]](), 0
    for file in files:
        widths = file.widths
        for deal in file.deals:
            if not deal.rows(partition):
                continue
            held.append((file, deal))
            size += deal.place(partition + 1, widths) - deal.place(partition, widths)
            if size >= READ_BYTES:
                yield _block(held, partition)
                held, size = [], 0
    if held:
        yield _block(held, partition)


def _block(held: Sequence[tuple[DealtFile, StoredDeal]], partition: int) -> Block:
    schema = held[0][0].schema
    rows = sum(deal.rows(partition) for _, deal in held)
    rooms = [
        _Room(kind, rows, any(deal.nulls[k] for _, deal in held), sum(deal.text(k, partition) for _, deal in held))
        for k, kind in enumerate(schema.types)
    ]
    widths = [room.width for room in rooms]
    for path, own in itertools.groupby(held, key=lambda pair: pair[0].path):
        with _Opened(path) as file:
            for _, deal in own:
                pieces = [piece for k, room in enumerate(rooms) for piece in room.pieces(deal, k, partition)]
                file.fill(pieces, deal.place(partition, widths))
    shares = [deal.shares.share(partition, deal.files) for _, deal in held]
    return Block(
        pa.RecordBatch.from_arrays([room.array() for room in rooms], schema=schema),
        [name for names, _ in shares for name in names],
        np.concatenate([counts for _, counts in shares]),
        trim.together([deal.trimmed[partition] for _, deal in held if partition in deal.trimmed]),
    )


class _Room:
    """Memory for a column of a partition, which is read piece by piece.

    Args:
      kind: its type.
      rows: how many values it has.
      has_nulls: whether any is null.
      text: bytes of its text.

    Attributes:
      width: bytes of a value.
    """

    def __init__(self, kind: pa.DataType, rows: int, has_nulls: bool, text: int):
        self._kind, self._rows, self.width = kind, rows, _width(kind)
        self._values, self._text = np.empty(rows * self.width, np.uint8), np.empty(text, np.uint8)
        self._flags = np.ones(rows if has_nulls else 0, np.uint8)
        self._row = self._byte = 0

    def pieces(self, deal: StoredDeal, column: int, partition: int) -> Iterator[memoryview]:
        """Yields the memory for the values that are stored next, in the order in which they are."""
        begin, self._row = self._row, self._row + deal.rows(partition)
        if deal.nulls[column]:
            yield self._flags.data[begin : self._row]
        yield self._values.data[begin * self.width : self._row * self.width]
        if deal.texts[column] is not None:
            start, self._byte = self._byte, self._byte + deal.text(column, partition)
            yield self._text.data[start : self._byte]

    def array(self) -> pa.Array:
        """Returns the column."""
        if not self.width:
            return pa.nulls(self._rows, self._kind)
        flags = pa.py_buffer(np.packbits(self._flags, bitorder="little")) if len(self._flags) else None
        if is_text(self._kind):
            offsets = pa.py_buffer(splits_of(self._values.view(np.int64)))
            return pa.Array.from_buffers(self._kind, self._rows, [flags, offsets, pa.py_buffer(self._text)])
        kind = pa.uint8() if pa.types.is_boolean(self._kind) else self._kind
        return pa.Array.from_buffers(kind, self._rows, [flags, pa.py_buffer(self._values)]).cast(self._kind)


class _Opened:
    """A file, open for reading."""

    def __init__(self, path: str):
        self._path, self._file = path, -1

    def __enter__(self) -> _Opened:
        try:
            self._file = os.open(self._path, os.O_RDONLY)
        except OSError as error:
            raise self._error(error) from error
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)

    def fill(self, pieces: list[memoryview], begin: int) -> None:
        """Reads bytes from a place in the file on until some pieces of memory are full."""
        try:
            while pieces:
                done = os.preadv(self._file, pieces[:_PIECES], begin)
                if not done and any(map(len, pieces[:_PIECES])):
                    raise OSError("it ends too early")
                pieces, begin = _without(pieces, done), begin + done
        except OSError as error:
            raise self._error(error) from error

    def _error(self, error: OSError) -> JobError:
        return JobError(f"{self._path}: cannot be read ({error.strerror or error})")
