"""Blocks: events of one partition as the bytes that cross a shuffle, an Arrow IPC stream each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.events import trim
from transforms.events.accounting import FATES
from transforms.events.figures import Figures
from transforms.events.incoming import Incoming
from transforms.events.trim import Most, Trimmed
from transforms.kernels.partitions import summed
from transforms.kernels.values import read_only
from transforms.rows import keys, origin
from transforms.rows.tally import Tally, add

GATHERED_BYTES: Final = 16 << 20
"""So much Arrow data is gathered before it is partitioned: blocks of many partitions are small enough as it is."""

BLOCK_BYTES: Final = 8 << 20
"""Arrow data of a block, at most."""

HEAVY: Final = 32
"""A key is trimmed before it travels where it has more than one of so many events, or of as many as there are partitions."""

FILE_COLUMN: Final = "__seqcols_file"
"""Column of a block: the number of each event's file among those that the block names."""

_FILES: Final = b"seqcols.files"
_TRIMMED: Final = b"seqcols.trimmed"
_FIGURES: Final = b"seqcols.figures"
_EVENTS: Final = "__seqcols_events"


@dataclass(frozen=True)
class Block:
    """Some events of one partition.

    Attributes:
      batch: their fields, the digests of their rows, and `FILE_COLUMN`.
      files: the files that they are from.
      trimmed: events of this partition that were dropped before; None for none.
    """

    batch: pa.RecordBatch
    files: Sequence[str]
    trimmed: Trimmed | None = None

    def packed(self) -> pa.Buffer:
        """Returns it as bytes: see `unpacked`."""
        more = {} if self.trimmed is None else {_TRIMMED: _trimmed_packed(self.trimmed).to_pybytes()}
        return _packed(self.batch, {_FILES: json.dumps(list(self.files)), **more})


def unpacked(data: bytes) -> Block:
    """Returns the block that some bytes are of; its values stay in them."""
    batch, noted = _unpacked(data)
    trimmed = _trimmed_unpacked(noted[_TRIMMED]) if _TRIMMED in noted else None
    return Block(batch, json.loads(noted[_FILES]), trimmed)


def _packed(batch: pa.RecordBatch, noted: Mapping[bytes, Any]) -> pa.Buffer:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema.with_metadata(noted)) as writer:
        writer.write_batch(batch)
    return out.getvalue()


def _unpacked(data: bytes) -> tuple[pa.RecordBatch, Mapping[bytes, bytes]]:
    with pa.ipc.open_stream(data) as reader:
        return reader.read_next_batch(), reader.schema.metadata


def _trimmed_packed(trimmed: Trimmed) -> pa.Buffer:
    table = trimmed.keys.append_column(_EVENTS, pa.array(trimmed.events)).combine_chunks()
    return _packed(table.to_batches()[0], {_FIGURES: json.dumps(trimmed.figures.as_json())})


def _trimmed_unpacked(data: bytes) -> Trimmed:
    batch, noted = _unpacked(data)
    keys_of = pa.Table.from_batches([batch]).drop_columns([_EVENTS]).replace_schema_metadata()
    return Trimmed(keys_of, batch.column(_EVENTS).to_numpy(), Figures.from_json(json.loads(noted[_FIGURES])))


def by_fate(names: Sequence[str], files: np.ndarray, digests: np.ndarray, fates: np.ndarray) -> Tally:
    """Counts events by what became of them, 0 for those that nothing has become of yet.

    Args:
      names: of files.
      files: int64 `[events]`, the number of each event's file among them.
      digests: uint64 `[events]`.
      fates: int64 `[events]`, numbers in `transforms.events.accounting.FATES`.

    Returns:
      `(file, "events", fate)`, how many, and `(file, "event_digest", fate)`, the sum of their digests.
    """
    cells = files * len(FATES) + fates
    count, sums = (np.zeros(len(names) * len(FATES), dtype) for dtype in (np.int64, np.uint64))
    with np.errstate(over="ignore"):  # sums of digests are modulo 2^64
        summed(read_only(cells), read_only(digests), count, sums)
    tally = Counter[tuple[Any, ...]]()
    for cell in np.flatnonzero(count).tolist():
        file, fate = names[cell // len(FATES)], FATES[cell % len(FATES)]
        if fate:
            tally[file, "events", fate] = int(count[cell])
            tally[file, "event_digest", fate] = int(sums[cell])
    return tally


class Gatherer:
    """Events, gathered until they are worth being partitioned.

    A key that would fill a partition by itself, with more events than decide on its sequence, is trimmed here: what is dropped
    need not travel.

    Args:
      incoming: the events.
      partitions: how many there are.
      most: the most events of a key that decide on its sequence; None if each may.

    Attributes:
      tally: what was counted of events that were trimmed (see `by_fate`).
    """

    def __init__(self, incoming: Incoming, partitions: int, most: Most | None = None):
        self._incoming, self._partitions, self._most = incoming, partitions, most
        self._held: list[pa.RecordBatch] = []
        self._files: list[str] = []
        self._size = 0
        self.tally: Tally = Counter()

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
        whole = self._gathered(names)
        hashes = keys.hashes([whole.column(name) for name in self._incoming.events.key])
        stays, trimmed = self._trim(whole, hashes, names)
        if trimmed:
            whole, hashes = whole.filter(pa.array(stays)), hashes[stays]
        order, begins = keys.partitions(hashes, self._partitions)
        whole = whole.take(pa.array(order))
        for k in np.flatnonzero(np.diff(begins)).tolist():
            part = whole.slice(int(begins[k]), int(begins[k + 1] - begins[k]))
            each = max(1, part.num_rows * BLOCK_BYTES // max(part.nbytes, 1))  # a heavy key makes a large one
            for start in range(0, part.num_rows, each):
                yield k, Block(part.slice(start, each), names, trimmed.pop(k, None))

    def _gathered(self, names: Sequence[str]) -> pa.RecordBatch:
        """Returns all that was gathered, with digests and the number of each event's file; nothing is then."""
        numbers = [names.index(file) for file in self._files]
        whole = pa.Table.from_batches(self._held).combine_chunks().to_batches()[0]
        files = np.repeat(np.array(numbers, np.int32), [batch.num_rows for batch in self._held])
        self._held, self._files, self._size = [], [], 0
        if origin.DIGEST_COLUMN not in whole.schema.names:
            nothing = pa.array(np.zeros(whole.num_rows, np.uint64))
            whole = whole.append_column(origin.DIGEST_COLUMN, nothing)
        return whole.append_column(FILE_COLUMN, pa.array(files))

    def _trim(
        self, whole: pa.RecordBatch, hashes: np.ndarray, names: Sequence[str]
    ) -> tuple[np.ndarray, dict[int, Trimmed]]:
        """Returns which events stay, bool `[events]`, and of the others what is known of them, by partition."""
        stays = np.ones(len(hashes), bool)
        if self._most is None:
            return stays, {}
        rows = trim.suspects(hashes, max(self._most.events, len(hashes) // min(self._partitions, HEAVY)))
        if not len(rows):
            return stays, {}
        events, fields = self._incoming.events, list(self._incoming.kinds)
        table = pa.Table.from_batches([whole.take(pa.array(rows))])
        stays[rows] = trim.kept(events, table.select(fields), self._most.events)
        gone = pa.Table.from_batches([whole.filter(pa.array(~stays))])
        files, digests = gone.column(FILE_COLUMN).to_numpy(), gone.column(origin.DIGEST_COLUMN).to_numpy()
        add(self.tally, by_fate(names, files.astype(np.int64), digests, np.full(len(gone), self._most.fate)))
        parts = hashes[~stays] % np.uint64(self._partitions)
        own = {int(k): gone.filter(pa.array(parts == k)).select(fields) for k in np.unique(parts)}
        return stays, {k: trim.counted(events, part) for k, part in own.items()}
