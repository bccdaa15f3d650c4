"""Names looked up among keys that stand in a text, in a time that does not depend on how many names there are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from transforms.kernels.compiled import kernel
from transforms.kernels.crc import crc32c


class Names(NamedTuple):
    """Names, and a hash table of them.

    Attributes:
      text: uint8, all names, one behind the other.
      splits: int64 `[names + 1]`, where they start and end.
      slots: int32, a power of two of them, more than twice the names: the number of the name, or -1. A name is in the slot that
        the lowest bits of its CRC-32C say, or in the next free one.
    """

    text: np.ndarray
    splits: np.ndarray
    slots: np.ndarray

    @classmethod
    def of(cls, names: Sequence[str]) -> Names:
        """Makes a table of names, all different."""
        encoded = [name.encode(errors="surrogatepass") for name in names]
        splits = np.zeros(len(names) + 1, np.int64)
        np.cumsum([len(name) for name in encoded], out=splits[1:])
        slots = np.full(4 << len(names).bit_length(), -1, np.int32)
        found = cls(np.frombuffer(b"".join(encoded), np.uint8), splits, slots)
        _fill(found)
        return found


@kernel
def _fill(names: Any) -> Any:
    last = len(names.slots) - 1
    for k in range(len(names.splits) - 1):
        slot = np.int64(crc32c(names.text, names.splits[k], names.splits[k + 1]) & np.uint64(last))
        while names.slots[slot] >= 0:
            slot = (slot + 1) & last
        names.slots[slot] = k


@kernel
def number_of(names: Any, text: Any, at: Any, end: Any) -> Any:
    """Returns the number of the name that stands between two positions of a text; -1 for none."""
    last = len(names.slots) - 1
    slot = np.int64(crc32c(text, at, end) & np.uint64(last))
    while names.slots[slot] >= 0:
        number = np.int64(names.slots[slot])
        start = names.splits[number]
        if names.splits[number + 1] - start == end - at:
            same = True
            for k in range(end - at):
                if names.text[np.uintp(start + k)] != text[np.uintp(at + k)]:
                    same = False
                    break
            if same:
                return number
        slot = (slot + 1) & last
    return np.int64(-1)
