"""Protocol buffer bytes of many messages at once, in NumPy: for what no library encodes from Arrow.

The format is that of https://protobuf.dev/programming-guides/encoding: a field is a tag, and for a nested message its length as
a varint and its bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Pieces:
    """Byte strings one after the other.

    Attributes:
      data: uint8, all of them.
      sizes: int64 `[n]`, the bytes in each.
    """

    data: np.ndarray
    sizes: np.ndarray

    def grouped(self, counts: np.ndarray) -> Pieces:
        """Returns runs of `counts` (int64 `[m]`) pieces as one piece each."""
        ends = np.concatenate([[0], np.cumsum(self.sizes)])[np.concatenate([[0], np.cumsum(counts)])]
        return Pieces(self.data, np.diff(ends))


def constant(value: bytes, count: int) -> Pieces:
    """Returns the same bytes `count` times."""
    return Pieces(np.tile(np.frombuffer(value, np.uint8), count), np.full(count, len(value), np.int64))


def varints(numbers: np.ndarray) -> Pieces:
    """Returns integers as varints: 7 bits a byte, the lowest first, negative ones as 64-bit two's complement.

    >>> varints(np.array([1, 300])).data.tolist()
    [1, 172, 2]
    """
    left = numbers.astype(np.int64).view(np.uint64)
    sizes = np.ones(len(left), np.int64)
    for k in range(1, 10):
        sizes += left >= np.uint64(1) << np.uint64(7 * k)
    starts = np.cumsum(sizes) - sizes
    data = np.empty(int(sizes.sum()), np.uint8)
    for k in range(int(sizes.max(initial=0))):
        has = sizes > k
        low = (left[has] >> np.uint64(7 * k)) & np.uint64(0x7F)
        more = sizes[has] > k + 1
        data[starts[has] + k] = low.astype(np.uint8) | (more.astype(np.uint8) << 7)
    return Pieces(data, sizes)


def joined(parts: Sequence[Pieces]) -> Pieces:
    """Returns pieces put together one by one: the first of every part, then the second of every part."""
    total = np.sum([part.sizes for part in parts], axis=0)
    data = np.empty(int(total.sum()), np.uint8)
    place = np.cumsum(total) - total
    for part in parts:
        own = np.cumsum(part.sizes) - part.sizes
        data[np.repeat(place - own, part.sizes) + np.arange(len(part.data))] = part.data
        place = place + part.sizes
    return Pieces(data, total)


def field(number: int, messages: Pieces) -> Pieces:
    """Returns nested messages (or text, or packed numbers) as fields with their length before them."""
    tag = constant(bytes([number << 3 | 2]), len(messages.sizes))
    return joined([tag, varints(messages.sizes), messages])
