"""NumPy batches of a data set: the one reader, which the other loaders hand on."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.dataset import layout
from pipeline.dataset.manifest import Manifest, read_examples
from pipeline.errors import UsageError
from pipeline.loaders import blocks, plan
from pipeline.loaders.plan import Piece
from pipeline.loaders.reading import Arrays
from pipeline.loaders.reading import blocks as read_blocks
from pipeline.sinks.formats import SINKS
from pipeline.verify import verify
from transforms.columns import Output
from transforms.errors import JobError, listed, nearest


@dataclass
class Batches:
    """Batches of a data set. Every iteration begins anew: the first is epoch 0, the next epoch 1.

    Batches do not reach over the end of an epoch. Can be pickled, before and after it was iterated.

    Attributes:
      manifest: the data set.
      outputs: the features that a batch has, with shapes and dtypes.
      batch_size: rows in a batch; the last one of an epoch may have fewer, unless `drop_remainder`.
      shuffle: rows that the pool holds which they are shuffled through; 0 leaves them in the order of the manifest.
      seed: decides the order, together with the number of the epoch and of the shard.
      epochs: how many epochs one iteration goes through; None for no end.
      shards: among how many the rows are divided.
      shard: the number of this shard, from 0.
      drop_remainder: whether a last batch with fewer rows is left out.
      even: whether every shard yields the same number of batches.
      epoch: the one that the next iteration begins with.
    """

    manifest: Manifest
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
            _check_count(name, getattr(self, name), least)
        if self.epochs is not None:
            _check_count("epochs", self.epochs, 1)
        if self.shard >= self.shards:
            raise UsageError(f"shard: expected one of 0 to {self.shards - 1} ({self.shards} shards), got {self.shard}")

    @property
    def rows(self) -> int:
        """Rows of this shard, all features of each, in an epoch; with `even` or `drop_remainder` some may be left out."""
        return sum(piece.rows for piece in self.pieces)

    @property
    def pieces(self) -> list[Piece]:
        """The pieces that this shard reads, in the order of the manifest."""
        return self._pieces()[self.shard]

    @property
    def counts(self) -> list[int]:
        """Rows of each file."""
        return [entry["rows"] for entry in self.manifest.content["examples"]["files"]]

    @property
    def seed_of_shard(self) -> int:
        """One number derived from the seed and the shard, for code that takes only one."""
        return int(np.random.SeedSequence([self.seed, self.shard]).generate_state(1)[0])

    def __len__(self) -> int:
        """Batches in an epoch of this shard."""
        shards = self._pieces()
        chosen = shards if self.even else [shards[self.shard]]
        rows = [sum(piece.rows for piece in own) for own in chosen]
        return min(plan.batches_in(count, self.batch_size, self.drop_remainder) for count in rows)

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
        path, rows = self.manifest.files[piece.file], self.counts[piece.file]
        return read_blocks(path, SINKS[self.manifest.format], self.outputs, piece.start, piece.stop, rows)

    def _pieces(self) -> list[list[Piece]]:
        return plan.pieces(self.counts, self.shards, self.even)


def numpy_batches(
    root: str,
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
      root: directory of the data set.
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
      bucket: T of the length bucket to read, where the data set has such (docs/lengths.md): its rows alone are read.
      verify: whether all files are read and compared with the manifest first, as by `seqcols verify --rows 0`.
      split: the split to read, where the data set has splits (docs/splits.md): its rows alone are read.

    Returns:
      An iterable with a length, of dicts from feature name to `[batch_size, *shape]`. An empty data set gives no batch.

    Raises:
      JobError: there is no finished data set, or, with `verify`, it is not as it was published.
      UsageError: an argument has a value that is not allowed.
    """
    manifest = open_manifest(root, verify, bucket, split)
    return Batches(
        manifest, chosen(manifest, features), batch_size, shuffle, seed, epochs, shards, shard, drop_remainder, even
    )


def open_manifest(root: str, verified: bool, bucket: int | None = None, split: str | None = None) -> Manifest:
    """Opens a finished data set, or a split or a length bucket of one, and verifies all its files if that is asked for.

    Raises:
      JobError: there is none, it is of a format that is not known, or it is not as it was published.
      UsageError: it has splits, or length buckets, and none is chosen, or not the one that is.
    """
    manifest = read_examples(str(root).rstrip("/") or "/")
    if manifest.format not in SINKS:
        path = manifest.path(layout.MANIFEST)
        raise JobError(f"{path}: unknown format {manifest.format!r}{nearest(manifest.format, SINKS)}")
    if verified:
        faults = verify.files(manifest.root).faults
        if faults:
            more = f" (and {len(faults) - 1:,} more faults: seqcols verify)" if len(faults) > 1 else ""
            raise JobError(f"{faults[0]}{more}")
    names = manifest.splits
    if (split not in names) if names else (split is not None):
        allowed = f"the name of a split, one of {', '.join(names)}" if names else "none, as the data set has no splits"
        raise UsageError(f"split: expected {allowed}, got {split!r}{_hint(split, dict.fromkeys(names))}")
    manifest = manifest if split is None else manifest.split(split)
    sizes = manifest.bucket_lengths
    if (bucket not in sizes) if sizes else (bucket is not None):
        allowed = f"T of a length bucket, one of {sizes}" if sizes else "none, as the data set has no length buckets"
        raise UsageError(f"bucket: expected {allowed}, got {bucket!r}")
    return manifest if bucket is None else manifest.bucket(bucket)


def chosen(manifest: Manifest, features: Sequence[str] | None) -> list[Output]:
    """Returns the outputs with these names, in this order; all of them for None.

    Raises:
      UsageError: there is no such feature, or it is named twice; or none is asked for.
    """
    outputs = {output.name: output for output in manifest.outputs}
    if features is None:
        return list(outputs.values())
    names = [features] if isinstance(features, str) else list(features)
    for name in names:
        if name not in outputs:
            raise UsageError(
                f"features: {name!r} is not in the data set; it has {listed(outputs)}{_hint(name, outputs)}"
            )
        if names.count(name) > 1:
            raise UsageError(f"features: {name!r} is named twice")
    if not names:
        raise UsageError(f"features: expected at least one of {listed(outputs)}, got none")
    return [outputs[name] for name in names]


def _hint(name: Any, names: Mapping[str, Any]) -> str:
    return nearest(name, names) if isinstance(name, str) else ""


def _check_count(name: str, value: Any, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
        raise UsageError(f"{name}: expected an integer of {least} or more, got {value!r}")
