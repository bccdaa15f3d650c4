"""Blocks: events of one partition as the bytes that cross a shuffle, an Arrow IPC stream each."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from typing import Any, Final, NamedTuple, Self

import numpy as np
import pyarrow as pa

from transforms.events import trim
from transforms.events.accounting import FATES
from transforms.events.figures import Figures
from transforms.events.incoming import Incoming
from transforms.events.trim import Most, Trimmed
from transforms.kernels.partitions import count_runs, summed
from transforms.kernels.values import read_only
from transforms.rows import keys, origin
from transforms.rows.tally import Tally, add

GATHERED_BYTES: Final = 8 << 20
"""So much Arrow data is gathered before it is dealt to partitions, or more where these are many."""

PART_BYTES: Final = 32 << 10
"""So much is gathered for each partition: smaller blocks cost more than what is in them."""

BLOCK_BYTES: Final = 8 << 20
"""Arrow data of a block, at most."""

HEAVY: Final = 32
"""A key is trimmed before it travels where it has more than one of so many events, or of as many as there are partitions."""

_FILES: Final = b"seqcols.files"
_COUNTS: Final = b"seqcols.counts"
_TRIMMED: Final = b"seqcols.trimmed"
_FIGURES: Final = b"seqcols.figures"
_EVENTS: Final = "__seqcols_events"


@dataclass(frozen=True)
class Block:
    """Some events of one partition, in runs of one file each.

    Attributes:
      batch: their fields, and the digests of their rows.
      files: the file of each run; one may have several.
      counts: int64 `[runs]`, how many events each has.
      trimmed: events of this partition that were dropped before; None for none.
    """

    batch: pa.RecordBatch
    files: Sequence[str]
    counts: np.ndarray
    trimmed: Trimmed | None = None

    def packed(self) -> pa.Buffer:
        """Returns it as bytes: see `unpacked`."""
        noted = {_FILES: json.dumps(list(self.files)), _COUNTS: json.dumps(self.counts.tolist())}
        if self.trimmed is not None:
            noted[_TRIMMED] = _trimmed_packed(self.trimmed).to_pybytes()
        return _packed(self.batch, noted)

    def by_fate(self, fates: np.ndarray) -> Tally:
        """Counts the events by what became of them, 0 for those that nothing has become of yet.

        Args:
          fates: int8 `[events]`, numbers in `transforms.events.accounting.FATES`.

        Returns:
          `(file, "events", fate)`, how many, and `(file, "event_digest", fate)`, the sum of their digests.
        """
        digests, ends = self.batch.column(origin.DIGEST_COLUMN).to_numpy(), np.cumsum(self.counts)
        many, sums = (np.zeros((len(self.files), len(FATES)), dtype) for dtype in (np.int64, np.uint64))
        with np.errstate(over="ignore"):  # sums of digests are modulo 2^64
            summed(read_only(ends), read_only(fates), read_only(digests), many, sums)
        tally = Counter[tuple[Any, ...]]()
        for run, fate in np.argwhere(many).tolist():
            if fate:
                tally[self.files[run], "events", FATES[fate]] += int(many[run, fate])
                tally[self.files[run], "event_digest", FATES[fate]] += int(sums[run, fate])
        return tally

    def filtered(self, stays: np.ndarray) -> Block:
        """Returns those of its events that stay, bool `[events]`, with nothing trimmed."""
        before = np.append(0, np.cumsum(stays))
        ends = np.cumsum(self.counts)
        return Block(self.batch.filter(pa.array(stays)), self.files, before[ends] - before[ends - self.counts])


def unpacked(data: bytes) -> Block:
    """Returns the block that some bytes are of; its values stay in them."""
    batch, noted = _unpacked(data)
    trimmed = _trimmed_unpacked(noted[_TRIMMED]) if _TRIMMED in noted else None
    return Block(batch, json.loads(noted[_FILES]), np.array(json.loads(noted[_COUNTS]), np.int64), trimmed)


class Shares(NamedTuple):
    """The events of partitions by file.

    Attributes:
      starts: int64 `[partitions + 1]`, where what is said of each partition begins, and where that of the last ends.
      files: uint32, numbers of files that have events in the partition.
      counts: uint32, how many.
    """

    starts: np.ndarray
    files: np.ndarray
    counts: np.ndarray

    @classmethod
    def of(cls, order: np.ndarray, begins: np.ndarray, counts: np.ndarray) -> Self:
        """Counts events that are dealt in an `order` with these `begins`; `counts` are those of files, as in `Block`."""
        starts = np.zeros(len(begins), np.int64)
        room = np.empty(len(order), np.uint32), np.empty(len(order), np.uint32)
        count_runs(read_only(order), read_only(begins), read_only(np.cumsum(counts)), starts, *room)
        return cls(starts, *(found[: starts[-1]].copy() for found in room))

    def share(self, partition: int, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """Returns the names of a partition's files, and how many of its events each has, int64."""
        own = slice(*self.starts[partition : partition + 2].tolist())
        return [names[k] for k in self.files[own].tolist()], self.counts[own].astype(np.int64)


@dataclass(frozen=True)
class Dealt:
    """Events that were gathered, dealt to partitions.

    Attributes:
      gathered: the events, as they came.
      order: int64 `[events]`, their positions, partition after partition, each in the order that they came in.
      begins: int64 `[partitions + 1]`, where each partition begins in the order, and where the last one ends.
      trimmed: events that were dropped before, by partition.
    """

    gathered: Block
    order: np.ndarray
    begins: np.ndarray
    trimmed: Mapping[int, Trimmed]

    @property
    def shares(self) -> Shares:
        """How many events of each partition each file has."""
        return Shares.of(self.order, self.begins, self.gathered.counts)

    def blocks(self) -> Iterator[tuple[int, Block]]:
        """Yields the number of each partition that has events, ascending, and a block of it, or several."""
        batch, shares = self.gathered.batch.take(pa.array(self.order)), self.shares
        trimmed = dict(self.trimmed)
        for k in np.flatnonzero(np.diff(self.begins)).tolist():
            files, counts = shares.share(k, self.gathered.files)
            part = batch.slice(int(self.begins[k]), int(counts.sum()))
            each = max(1, part.num_rows * BLOCK_BYTES // max(part.nbytes, 1))  # a heavy key makes a large one
            until = np.cumsum(counts)
            for start in range(0, part.num_rows, each):
                own = np.clip(until, start, start + each) - np.clip(until - counts, start, start + each)
                yield k, Block(part.slice(start, each), files, own, trimmed.pop(k, None))


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


class Gatherer:
    """Events, gathered until they are worth being partitioned.

    A key that would fill a partition by itself, with more events than decide on its sequence, is trimmed here: what is dropped
    need not travel.

    Args:
      incoming: the events.
      partitions: how many there are.
      most: the most events of a key that decide on its sequence; None if each may.

    Attributes:
      tally: what was counted of events that were trimmed (see `Block.by_fate`).
    """

    def __init__(self, incoming: Incoming, partitions: int, most: Most | None = None):
        self._incoming, self._partitions, self._most = incoming, partitions, most
        self._held: list[tuple[str, pa.RecordBatch]] = []
        self._size, self._enough = 0, max(GATHERED_BYTES, partitions * PART_BYTES)
        self.tally: Tally = Counter()

    def add(self, batch: pa.RecordBatch, file: str) -> Dealt | None:
        """Takes events of one file, as `Incoming.ready` gives them; deals out all that was gathered, if it is enough."""
        if batch.num_rows:
            self._held.append((file, batch))
            self._size += batch.nbytes
        return self.flush() if self._size >= self._enough else None

    def flush(self) -> Dealt | None:
        """Deals out what was gathered; None for nothing."""
        if not self._held:
            return None
        whole = self._gathered()
        hashes = keys.hashes([whole.batch.column(name) for name in self._incoming.events.key])
        stays, trimmed = self._trim(whole, hashes)
        if trimmed:
            whole, hashes = whole.filtered(stays), hashes[stays]
        return Dealt(whole, *keys.partitions(hashes, self._partitions), trimmed)

    def _gathered(self) -> Block:
        """Returns all that was gathered, with digests; nothing is then."""
        held, self._held, self._size = self._held, [], 0
        whole = pa.Table.from_batches([batch for _, batch in held]).combine_chunks().to_batches()[0]
        if origin.DIGEST_COLUMN not in whole.schema.names:
            nothing = pa.array(np.zeros(whole.num_rows, np.uint64))
            whole = whole.append_column(origin.DIGEST_COLUMN, nothing)
        runs = [(file, [batch.num_rows for _, batch in own]) for file, own in groupby(held, key=itemgetter(0))]
        return Block(whole, [file for file, _ in runs], np.array([sum(rows) for _, rows in runs], np.int64))

    def _trim(self, whole: Block, hashes: np.ndarray) -> tuple[np.ndarray, dict[int, Trimmed]]:
        """Returns which events stay, bool `[events]`, and of the others what is known of them, by partition."""
        stays = np.ones(len(hashes), bool)
        if self._most is None:
            return stays, {}
        rows = trim.suspects(hashes, max(self._most.events, len(hashes) // min(self._partitions, HEAVY)))
        if not len(rows):
            return stays, {}
        events, fields = self._incoming.events, list(self._incoming.kinds)
        table = pa.Table.from_batches([whole.batch.take(pa.array(rows))])
        stays[rows] = trim.kept(events, table.select(fields), self._most.events)
        add(self.tally, whole.by_fate(np.where(stays, 0, self._most.fate).astype(np.int8)))
        gone = pa.Table.from_batches([whole.batch.filter(pa.array(~stays))])
        parts = hashes[~stays] % np.uint64(self._partitions)
        own = {int(k): gone.filter(pa.array(parts == k)).select(fields) for k in np.unique(parts)}
        return stays, {k: trim.counted(events, part) for k, part in own.items()}
