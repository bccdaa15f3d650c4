"""Events in files of this machine, where no engine shuffles them: written by column, read partition by partition.

They are read to where they stay: nothing is packed, and no block is joined to another.
"""

from __future__ import annotations

import itertools
import os
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.shuffle.blocks import Block, Dealt
from pipeline.shuffle.stored import Room, StoredDeal, stored, width_of
from transforms.errors import JobError
from transforms.events import trim

FLAGS: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL
"""A file of events is new, whoever writes it."""

READ_BYTES: Final = 12 << 20
"""A block is complete once it has this much of a partition."""

_PIECES: Final = 1000
"""Pieces of memory that one system call reads or writes; Linux takes 1,024."""


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
        return [width_of(kind) for kind in self.schema.types]


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
        columns = [stored(column.take(order), dealt.begins) for column in batch.columns]
        self._schema = batch.schema.remove_metadata()
        deal = StoredDeal(
            self._end,
            dealt.begins.astype(np.uint32),
            [own.has_nulls for own in columns],
            [own.texts for own in columns],
            dealt.gathered.files,
            dealt.shares,
            dict(dealt.trimmed),
        )
        self._deals.append(deal)
        buffers = [buffer for own in columns for buffer in own.buffers]
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
        Room(kind, rows, any(deal.nulls[k] for _, deal in held), sum(deal.text(k, partition) for _, deal in held))
        for k, kind in enumerate(schema.types)
    ]
    widths = [room.width for room in rooms]
    for path, own in itertools.groupby(held, key=lambda pair: pair[0].path):
        try:
            with open(path, "rb", buffering=0) as file:
                for _, deal in own:
                    pieces = [piece for k, room in enumerate(rooms) for piece in room.pieces(deal, k, partition)]
                    _fill(file.fileno(), pieces, deal.place(partition, widths))
        except OSError as error:
            raise JobError(f"{path}: cannot be read ({error.strerror or error})") from error
    shares = [deal.shares.share(partition, deal.files) for _, deal in held]
    return Block(
        pa.RecordBatch.from_arrays([room.array() for room in rooms], schema=schema),
        [name for names, _ in shares for name in names],
        np.concatenate([counts for _, counts in shares]),
        trim.together([deal.trimmed[partition] for _, deal in held if partition in deal.trimmed]),
    )


def _fill(file: int, pieces: list[memoryview], begin: int) -> None:
    """Reads bytes from a place in a file on until some pieces of memory are full."""
    while pieces:
        done = os.preadv(file, pieces[:_PIECES], begin)
        if not done and any(map(len, pieces[:_PIECES])):
            raise OSError("it ends too early")
        pieces, begin = _without(pieces, done), begin + done
