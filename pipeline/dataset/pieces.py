"""Rows of files divided among shards, every row to exactly one of them, by the numbers of rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

MOST_OVER: Final = 1.1
"""The most that the largest shard may have, as a multiple of its even share of the rows, if files are to be kept whole."""


@dataclass(frozen=True)
class Piece:
    """Rows that stand one after another in a file.

    Attributes:
      file: number of the file in the manifest.
      start: its first row.
      stop: the row after its last.
    """

    file: int
    start: int
    stop: int

    @property
    def rows(self) -> int:
        """The number of rows, 1 or more."""
        return self.stop - self.start


def pieces(counts: Sequence[int], shards: int, even: bool = False) -> list[list[Piece]]:
    """Divides the rows of files among shards.

    Whole files, where there are enough of them to leave no shard with more than `MOST_OVER` times its even share; a file is
    then opened by one shard only. Else runs of rows, as long as each other but for one row.

    >>> pieces([3, 3], 2)
    [[Piece(file=0, start=0, stop=3)], [Piece(file=1, start=0, stop=3)]]
    >>> pieces([3], 2)
    [[Piece(file=0, start=0, stop=1)], [Piece(file=0, start=1, stop=3)]]

    Args:
      counts: rows of each file.
      shards: the number of shards, 1 or more.
      even: whether shards must not differ by more than a row.

    Returns:
      The pieces of each shard, in the order of the files; none for a shard without rows.
    """
    whole = _files(counts, shards)
    largest = max(sum(piece.rows for piece in own) for own in whole)
    return whole if not even and largest * shards <= MOST_OVER * sum(counts) else runs(counts, shards)


def _files(counts: Sequence[int], shards: int) -> list[list[Piece]]:
    """Gives each file, the largest first, to the shard that has fewest rows so far."""
    loads, owner = [0] * shards, {}
    for file in sorted(range(len(counts)), key=lambda file: -counts[file]):
        owner[file] = loads.index(min(loads))
        loads[owner[file]] += counts[file]
    made: list[list[Piece]] = [[] for _ in range(shards)]
    for file, count in enumerate(counts):
        if count:
            made[owner[file]].append(Piece(file, 0, count))
    return made


def runs(counts: Sequence[int], shards: int) -> list[list[Piece]]:
    """Cuts the rows of all files, one after another, into runs as long as each other but for one row; arguments as `pieces`."""
    ends = np.cumsum([0, *counts])
    total = int(ends[-1])
    return [_between(ends, total * k // shards, total * (k + 1) // shards) for k in range(shards)]


def _between(ends: np.ndarray, start: int, stop: int) -> list[Piece]:
    first, last = np.searchsorted(ends, [start, stop - 1], side="right") - 1
    found = (
        Piece(int(k), int(max(start - ends[k], 0)), int(min(stop, ends[k + 1]) - ends[k]))
        for k in range(first, last + 1 if stop > start else first)
    )
    return [piece for piece in found if piece.stop > piece.start]
