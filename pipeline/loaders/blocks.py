"""Streams of blocks of rows: cut to size, and shuffled through a pool. Nothing here looks at a single row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np

from pipeline.loaders.reading import Arrays

PIECE_ROWS = 256
"""The number of rows that go through the pool at once. A constant, so that the order does not depend on how a file is read."""


def rows_of(block: Arrays) -> int:
    """Returns the number of rows."""
    return len(next(iter(block.values())))


def batches_in(rows: int, size: int, drop_remainder: bool) -> int:
    """Returns how many batches rows make.

    >>> batches_in(10, 4, False), batches_in(10, 4, True)
    (3, 2)
    """
    return rows // size if drop_remainder else -(-rows // size)


def cut(blocks: Iterable[Arrays], size: int, drop_remainder: bool = False) -> Iterator[Arrays]:
    """Cuts a stream of blocks into such of `size` rows; the last one has what is left, and may be dropped.

    Args:
      blocks: none of them without rows.
      size: 1 or more.
      drop_remainder: whether rows that do not fill a block are left out.
    """
    held: list[Arrays] = []
    count = 0
    for block in blocks:
        at, rows = 0, rows_of(block)
        while count + rows - at >= size:
            end = at + size - count
            yield _joined([*held, _slice(block, at, end)])
            held, count, at = [], 0, end
        if at < rows:
            held.append(_slice(block, at, rows))
            count += rows - at
    if held and not drop_remainder:
        yield _joined(held)


def shuffled(blocks: Iterable[Arrays], pool_rows: int, rng: np.random.Generator) -> Iterator[Arrays]:
    """Shuffles a stream of rows through a pool.

    The pool holds the first rows. The rows that come next replace random rows of it, which go out; at the end the pool goes out
    in random order. If the pool has room for all rows, every order is equally likely.

    Args:
      blocks: none of them without rows.
      pool_rows: the size of the pool, 1 or more. Memory grows in proportion to it.
      rng: decides.
    """
    stream = iter(cut(blocks, min(pool_rows, PIECE_ROWS)))
    held: list[Arrays] = []
    count = 0
    while count < pool_rows and (block := next(stream, None)) is not None:
        held.append(block)
        count += rows_of(block)
    if not held:
        return
    pool = _joined(held)
    del held
    for block in stream:
        places = rng.choice(count, rows_of(block), replace=False)
        yield {name: array[places] for name, array in pool.items()}
        for name, array in pool.items():
            array[places] = block[name]
    order = rng.permutation(count)
    for at in range(0, count, PIECE_ROWS):
        yield {name: array[order[at : at + PIECE_ROWS]] for name, array in pool.items()}


def _slice(block: Arrays, start: int, stop: int) -> Arrays:
    return {name: array[start:stop] for name, array in block.items()}


def _joined(blocks: list[Arrays]) -> Arrays:
    """Returns blocks as one that is nobody else's and may be written to."""
    return {name: np.concatenate([block[name] for block in blocks]) for name in blocks[0]}
