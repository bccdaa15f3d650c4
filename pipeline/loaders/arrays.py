"""NumPy batches of a data set: the one reader, which the other loaders hand on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from pipeline.dataset.manifest import Manifest
from pipeline.dataset.pieces import Piece, pieces
from pipeline.errors import UsageError
from pipeline.loaders import blocks
from pipeline.loaders.opening import Roots, chosen, open_manifests
from pipeline.loaders.reading import Arrays
from pipeline.loaders.reading import blocks as read_blocks
from pipeline.sinks.base import Sink
from pipeline.sinks.formats import SINKS
from transforms.columns import Output
from transforms.errors import listed


class DataFile(NamedTuple):
    """A file that batches are read from: where it is, how many rows it has, and what has written it."""

    path: str
    rows: int
    sink: Sink


@dataclass(repr=False)
class Batches:
    """Batches of a data set, or of several. Every iteration begins anew: the first is epoch 0, the next epoch 1.

    Batches do not reach over the end of an epoch. Can be pickled, before and after it was iterated.

    Attributes:
      manifests: the data sets, all with the same features.
      outputs: the features that a batch has, with shapes and dtypes.
      batch_size: rows in a batch; the last one of an epoch may have fewer, unless `drop_remainder`.
      shuffle: rows that the pool holds which they are shuffled through; 0 leaves them in the order of the manifests.
      seed: decides the order, together with the number of the epoch and of the shard.
      epochs: how many epochs one iteration goes through; None for no end.
      shards: among how many the rows are divided.
      shard: the number of this shard, from 0.
      drop_remainder: whether a last batch with fewer rows is left out.
      even: whether every shard yields the same number of batches.
      epoch: the one that the next iteration begins with.
    """

    manifests: tuple[Manifest, ...]
    outputs: list[Output]
    batch_size: int
    shuffle: int = 0
    seed: int = 0
    epochs: int | None = 1
    shards: int = 1
    shard: int = 0
    drop_remainder: bool = False
    even: bool = False
    epoch: int = field(default=0, compare=False)

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("shuffle", 0), ("seed", 0), ("shards", 1), ("shard", 0), ("epoch", 0)):
            check_count(name, getattr(self, name), least)
        if self.epochs is not None:
            check_count("epochs", self.epochs, 1)
        if self.shard >= self.shards:
            raise UsageError(f"shard: expected one of 0 to {self.shards - 1} ({self.shards} shards), got {self.shard}")

    def __repr__(self) -> str:
        """The rows, and what a batch has."""
        first, *more = self.manifests
        of = f"{first.root!r}{f' and {len(more)} more' if more else ''}"
        shard = f"shard {self.shard} of {self.shards}, " if self.shards > 1 else ""
        features = listed(f"{output.name} {output.dtype} {list(output.shape)}" for output in self.outputs)
        return f"Batches({self.rows:,} rows of {of}, {shard}batches of {self.batch_size}; {features})"

    @property
    def rows(self) -> int:
        """Rows of this shard, all features of each, in an epoch; with `even` or `drop_remainder` some may be left out."""
        return sum(piece.rows for piece in self.pieces)

    @property
    def pieces(self) -> list[Piece]:
        """The pieces that this shard reads, in the order of the manifests."""
        return self._pieces()[self.shard]

    @cached_property
    def files(self) -> list[DataFile]:
        """The files of all data sets, in their order."""
        return [
            DataFile(path, entry["rows"], SINKS[manifest.format])
            for manifest in self.manifests
            for path, entry in zip(manifest.files, manifest.content["examples"]["files"], strict=True)
        ]

    @property
    def seed_of_shard(self) -> int:
        """One number derived from the seed and the shard, for code that takes only one."""
        return int(np.random.SeedSequence([self.seed, self.shard]).generate_state(1)[0])

    def __len__(self) -> int:
        """Batches in an epoch of this shard."""
        shards = self._pieces()
        chosen = shards if self.even else [shards[self.shard]]
        rows = [sum(piece.rows for piece in own) for own in chosen]
        return min(blocks.batches_in(count, self.batch_size, self.drop_remainder) for count in rows)

    def __iter__(self) -> Iterator[Arrays]:
        """Begins an epoch, or the number of epochs that `epochs` says.

        Raises:
          JobError: while it is iterated: a file is gone, is damaged, or does not hold what the manifest says.
        """
        first = self.epoch
        self.epoch += self.epochs or 1
        numbers = itertools.count(first) if self.epochs is None else range(first, first + self.epochs)
        if not len(self):  # or it would look for a batch without end
            return iter(())
        return itertools.chain.from_iterable(map(self.in_epoch, numbers))

    def in_epoch(self, epoch: int) -> Iterator[Arrays]:
        """Yields the batches of an epoch: feature name to an array `[batch_size, *shape]`, its own, that may be written to.

        Numbers and booleans come in the manifest's dtype (bfloat16 that of ml_dtypes), text as str and bytes as bytes in
        arrays of objects.
        """
        stream = self._blocks(epoch)
        if self.shuffle:
            stream = blocks.shuffled(stream, self.shuffle, np.random.default_rng([self.seed, epoch, self.shard]))
        return itertools.islice(blocks.cut(stream, self.batch_size, self.drop_remainder), len(self))

    def _blocks(self, epoch: int) -> Iterator[Arrays]:
        own = self.pieces
        if self.shuffle:
            order = np.random.default_rng([self.seed, epoch, self.shard, 1]).permutation(len(own))
            own = [own[k] for k in order.tolist()]
        return itertools.chain.from_iterable(map(self._read, own))

    def _read(self, piece: Piece) -> Iterator[Arrays]:
        file = self.files[piece.file]
        return read_blocks(file.path, file.sink, self.outputs, piece.start, piece.stop, file.rows)

    def _pieces(self) -> list[list[Piece]]:
        return pieces([file.rows for file in self.files], self.shards, self.even)


def numpy_batches(
    root: Roots,
    batch_size: int,
    *,
    features: Sequence[str] | None = None,
    shuffle: int = 0,
    seed: int = 0,
    epochs: int | None = 1,
    shards: int = 1,
    shard: int = 0,
    drop_remainder: bool = False,
    even: bool = False,
    bucket: int | None = None,
    verify: bool = False,
    split: str | None = None,
) -> Batches:
    """Opens a finished data set to be read in batches of NumPy arrays, of any format and on any Beam file system.

    Only files that the manifest names are read. What a batch holds is dense, as docs/outputs.md describes it: an absent or
    empty sequence is a row of padding whose length is 0 and whose mask is false. Checksums of records and pages are verified
    while they are read, and so are the manifest's numbers of rows.

    Args:
      root: directory of the data set; or several, of data sets with the same features and the same transform (see `seqcols run
        --transform`), of any formats: rows are shuffled through all of them, and divided among shards over all of them.
      batch_size: rows in a batch.
      features: the features to read, in this order; None for all.
      shuffle: size in rows of the pool that rows are shuffled through; 0 for the order of the manifest. The order of the
        files is shuffled, too. If the pool has room for all rows of the shard, every order is equally likely.
      seed: decides the order. The same seed, shards and NumPy result in the same order, whatever the format.
      epochs: how many epochs one iteration goes through, each in a different order; None for no end.
      shards: the number of trainers that the rows are divided among: every row is read by one of them, the same in every epoch.
        Shards are whole files if no shard then has more than a tenth over its even share, otherwise runs of rows.
      shard: the number of this shard, from 0.
      drop_remainder: whether rows that do not fill a last batch are left out, so that every batch has `batch_size` rows.
      even: whether every shard gives equally many batches, as trainers in step need it. Rows are then divided evenly, and
        what only some shards would have a batch for is left out.
      bucket: T of the length bucket to read, where the data sets have such (docs/lengths.md): its rows alone are read.
      verify: whether all files are read and compared with the manifest first, as by `seqcols verify --rows 0`.
      split: the split to read, if the data sets have splits (docs/splits.md); only its rows are read.

    Returns:
      An iterable with a length, of dicts from feature name to `[batch_size, *shape]`. An empty data set gives no batch.

    Raises:
      JobError: there is no finished data set, or, with `verify`, it is not as it was published.
      UsageError: an argument has a value that is not allowed, or the data sets are not of one transform.
    """
    manifests = open_manifests(root, verify, bucket, split)
    return Batches(
        manifests,
        chosen(manifests[0], features),
        batch_size,
        shuffle,
        seed,
        epochs,
        shards,
        shard,
        drop_remainder,
        even,
    )


def check_count(name: str, value: Any, least: int) -> None:
    """Checks a number that somebody gives.

    Raises:
      UsageError: it is no integer, or too small.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name}: expected an integer of {least} or more, got {value!r}")
