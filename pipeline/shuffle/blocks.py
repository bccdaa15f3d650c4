"""Blocks: events of one partition as the bytes that cross a shuffle, an Arrow IPC stream each."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from transforms.events.incoming import Incoming
from transforms.rows import keys, origin

GATHERED_BYTES: Final = 16 << 20
"""So much Arrow data is gathered before it is partitioned: blocks of many partitions are small enough as it is."""

BLOCK_BYTES: Final = 8 << 20
"""Arrow data of a block, at most."""

FILE_COLUMN: Final = "__seqcols_file"
"""Column of a block: the number of each event's file among those that the block names."""

_FILES: Final = b"seqcols.files"


@dataclass(frozen=True)
class Block:
    """Some events of one partition.

    Attributes:
      batch: their fields, the digests of their rows, and `FILE_COLUMN`.
      files: the files that they are from.
    """

    batch: pa.RecordBatch
    files: Sequence[str]

    def packed(self) -> pa.Buffer:
        """Returns it as bytes: see `unpacked`."""
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, self.batch.schema.with_metadata({_FILES: json.dumps(list(self.files))})) as writer:
            writer.write_batch(self.batch)
        return out.getvalue()


def unpacked(data: bytes) -> Block:
    """Returns the block that some bytes are of; its values stay in them."""
    with pa.ipc.open_stream(data) as reader:
        return Block(reader.read_next_batch(), json.loads(reader.schema.metadata[_FILES]))


class Gatherer:
    """Events, gathered until they are worth being partitioned.

    Args:
      incoming: the events.
      partitions: how many there are.
    """

    def __init__(self, incoming: Incoming, partitions: int):
        self._incoming, self._partitions = incoming, partitions
        self._held: list[pa.RecordBatch] = []
        self._files: list[str] = []
        self._size = 0

    def add(self, batch: pa.RecordBatch, file: str) -> Iterator[tuple[int, Block]]:
        """Takes events of one file, as `Incoming.ready` gives them; yields blocks of all that was gathered, if it is enough."""
        if not batch.num_rows:
            return
        self._held.append(batch)
        self._files.append(file)
        self._size += batch.nbytes
        if self._size >= GATHERED_BYTES:
            yield from self.flush()

    def flush(self) -> Iterator[tuple[int, Block]]:
        """Yields the number of each partition that something was gathered of, ascending, and a block of it."""
        if not self._held:
            return
        names = list(dict.fromkeys(self._files))
        numbers = [names.index(file) for file in self._files]
        whole = pa.Table.from_batches(self._held).combine_chunks().to_batches()[0]
        files = np.repeat(np.array(numbers, np.int32), [batch.num_rows for batch in self._held])
        self._held, self._files, self._size = [], [], 0
        if origin.DIGEST_COLUMN not in whole.schema.names:
            nothing = pa.array(np.zeros(whole.num_rows, np.uint64))
            whole = whole.append_column(origin.DIGEST_COLUMN, nothing)
        whole = whole.append_column(FILE_COLUMN, pa.array(files))
        order, begins = keys.partitions([whole.column(name) for name in self._incoming.events.key], self._partitions)
        whole = whole.take(pa.array(order))
        for k in np.flatnonzero(np.diff(begins)).tolist():
            part = whole.slice(int(begins[k]), int(begins[k + 1] - begins[k]))
            each = max(1, part.num_rows * BLOCK_BYTES // max(part.nbytes, 1))  # a heavy key makes a large one
            for start in range(0, part.num_rows, each):
                yield k, Block(part.slice(start, each), names)
