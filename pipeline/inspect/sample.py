"""A sample of rows, spread over the files: the first rows of files, or of their parts, that lie evenly among all of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Final, TypeVar

import pyarrow as pa

from pipeline.sources.base import FilePart, Read, Source
from pipeline.sources.batches import of_rows
from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS, INSPECTED_ROWS, Limits
from transforms.rows import origin, paths

MOST_PARTS: Final = 64
"""Files, or parts of files, that are open at once, and over which a sample is spread."""

MOST_BYTES: Final = 256 << 20
"""Arrow data past which a sample ends early. It is held in memory."""

THREADS: Final = 8

Item = TypeVar("Item")


@dataclass
class Sample:
    """Rows as the sources give them.

    Attributes:
      batches: the rows, without their origin. A feature that a batch does not have is absent in its rows.
      names: all features, in the order in which files tell them; of structs their fields, by their paths.
      bad: rows that could not be decoded at all; they are in no batch.
      files: how many files there are.
      read: file to the number of its rows in the sample.
      schemas: file to its features and their types, of the files that say so for all their rows.
      is_whole: whether the sample is all rows of all files.
      of: what it is of, where these are no files, as people call it.
    """

    batches: list[pa.RecordBatch] = field(default_factory=list)
    names: dict[str, None] = field(default_factory=dict)
    bad: int = 0
    files: int = 0
    read: dict[str, int] = field(default_factory=dict)
    schemas: dict[str, Mapping[str, pa.DataType]] = field(default_factory=dict)
    is_whole: bool = False
    of: str = ""

    @property
    def rows(self) -> int:
        """The number of rows that could be decoded."""
        return sum(batch.num_rows for batch in self.batches)


def take(paths: Sequence[str], most: int = INSPECTED_ROWS, limits: Limits = DEFAULTS) -> Sample:
    """Reads a sample.

    Args:
      paths: the files.
      most: rows at most. With fewer rows in the files, or in those of 64 that the sample begins with, it goes on until it has
        them or all rows there are.
      limits: the largest records and files to accept.

    Raises:
      JobError: a file that is looked at cannot be read.
    """
    sources = {path: source_for(path, limits) for path in paths}
    with ThreadPoolExecutor(THREADS) as pool:
        told = [path for path, source in sources.items() if source.has_schema]
        features = pool.map(lambda path: sources[path].features(path, limits), told)
        schemas: dict[str, Mapping[str, pa.DataType]] = dict(zip(told, features, strict=True))
    depths: dict[str, int] = {}
    while True:
        reader = _SampleReader(sources, schemas, most, limits, depths)
        reader.run()
        # What a row of a file without a schema holds is known only of rows that were looked at.
        short = {path: n for path, n in reader.made.read.items() if path not in schemas and n > depths[path]}
        if not short:
            return reader.made
        depths |= short


class _SampleReader:
    """Reads one sample: files, or their parts, in turn, a batch of each.

    `depths`: of files without a schema, the number of first rows whose features are read; added to.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        schemas: dict[str, Mapping[str, pa.DataType]],
        most: int,
        limits: Limits,
        depths: dict[str, int],
    ):
        self._sources, self._most, self._limits, self._depths = sources, most, limits, depths
        self._size = 0
        self.made = Sample(files=len(sources), schemas=schemas)
        for names in schemas.values():
            self.made.names |= dict.fromkeys(name for name, _ in paths.leaves(names))

    def run(self) -> None:
        """Reads until there are enough rows, or no more."""
        for files in _spread(list(self._sources)):
            for parts in _spread([split for path in files for split in self._sources[path].parts(path)]):
                # Having enough, it goes on to the next row, which tells whether there are more.
                share = max(1, -(-(self._most - self._taken) // len(parts)))
                limits = replace(self._limits, max_batch_rows=min(share, self._limits.max_batch_rows))
                if not self._read([self._opened(split, share, limits) for split in parts]):
                    return
        self.made.is_whole = True

    @property
    def _taken(self) -> int:
        return self.made.rows + self.made.bad

    def _opened(self, split: FilePart, share: int, limits: Limits) -> tuple[str, Iterator[Read]]:
        path, source = split.path, self._sources[split.path]
        features: Mapping[str, pa.DataType] = dict(paths.leaves(self.made.schemas.get(path, {})))
        if not source.has_schema:
            depth = self._depths.setdefault(path, 2 * share)
            features = source.features(path, replace(limits, max_batch_bytes=MOST_BYTES), depth)
            features = {n: kind for n, kind in sorted(paths.leaves(features)) if n not in origin.RESERVED}
            self.made.names |= dict.fromkeys(features)
        # A run asks for one feature at least, and sources count on it; a name that begins so is no feature's.
        carriers = {name: _carrier(kind) for name, kind in features.items()} or {origin.ROW_COLUMN + "none": "int64"}
        return path, source.read(split, carriers, limits)

    def _read(self, parts: list[tuple[str, Iterator[Read]]]) -> bool:
        """Reads parts in turn to their ends; returns False as soon as there is enough."""
        while parts:
            alive = []
            for path, reads in parts:
                read = next(reads, None)
                if read is None:
                    continue
                alive.append((path, reads))
                if not self._add(path, read):
                    return False
            parts = alive
        return True

    def _add(self, path: str, read: Read) -> bool:
        left = self._most - self._taken
        batch = None if read.batch is None else origin.plain(read.batch.slice(0, left))
        bad = 0 if read.rejected is None else min(read.rejected.num_rows, left - (batch.num_rows if batch else 0))
        if batch is not None and batch.num_rows:
            self.made.batches.append(features_of(batch, self.made.names))
            self._size += self.made.batches[-1].nbytes
        self.made.bad += bad
        count = bad + (batch.num_rows if batch is not None else 0)
        self.made.read[path] = self.made.read.get(path, 0) + count
        return count == read.rows and self._size <= MOST_BYTES


def features_of(batch: pa.RecordBatch, names: Iterable[str]) -> pa.RecordBatch:
    """Returns a batch without its origin, those of its features that are in structs under their paths."""
    found = {name: paths.column(batch, name) for name in names if name not in origin.RESERVED}
    held = {name: column for name, column in found.items() if column is not None}
    return of_rows(pa.RecordBatch.from_arrays(list(held.values()), names=list(held)), batch.num_rows)


def _carrier(kind: pa.DataType) -> str:
    """Returns the carrier that a feature of a type is expected in; only speed depends on it."""
    while pa.types.is_nested(kind) and hasattr(kind, "value_type"):
        kind = kind.value_type
    if pa.types.is_integer(kind):
        return "int64"
    return "float32" if pa.types.is_floating(kind) or pa.types.is_null(kind) else "string"


def _spread(items: list[Item]) -> Iterator[list[Item]]:
    """Yields items in parts of at most `MOST_PARTS`; the first items are spread evenly over all."""
    step = max(1, -(-len(items) // MOST_PARTS))
    rest = [item for k, item in enumerate(items) if k % step]
    if items:
        yield items[::step]
    for start in range(0, len(rest), MOST_PARTS):
        yield rest[start : start + MOST_PARTS]
