"""Names looked up among keys that stand in a text: all keys at once, and in a time that does not depend on how many names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.sources.messages import words
from transforms.ragged import splits_of

LONGEST_KEY: Final = 255
"""Longer keys are none that are read here: each 8 bytes of the longest one take a pass."""

_SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)  # 2**64 divided by the golden ratio: Knuth's multiplicative hashing
_NOT_ASCII: Final = np.uint64(0x8080808080808080)
_FIRST_BYTES: Final = np.array([(1 << 8 * k) - 1 for k in range(9)], np.uint64)  # masks of the first k bytes of a word
_NONE: Final = -1


class KeyTable:
    """A hash table of names, chained. What a hash finds is compared byte for byte.

    Args:
      names: the names, all different.
    """

    def __init__(self, names: Sequence[str]):
        encoded = [name.encode(errors="surrogatepass") for name in names]
        splits = splits_of(np.array([len(name) for name in encoded], np.int64))
        text = np.frombuffer(b"".join(encoded) or b"\0", np.uint8)
        self._lengths = np.diff(splits)
        self._width = -(-int(self._lengths.max(initial=1)) // 8)
        hashes, self._words, _ = self._read(text, splits[:-1], self._lengths)
        bits = len(names).bit_length() + 4
        self._shift = np.uint64(64 - bits)
        self._heads = np.full(1 << bits, _NONE, np.int32)
        self._next = np.full(len(names), _NONE, np.int32)
        for k, slot in enumerate((hashes >> self._shift).tolist()):
            self._next[k], self._heads[slot] = self._heads[slot], k

    def find(self, text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Looks up keys.

        Args:
          text: uint8, not empty.
          starts: int64 `[n]`, where they start, within the text.
          ends: int64 `[n]`, where they end.

        Returns:
          int32 `[n]`, the number of the name that each key is, -1 for none. And bool `[n]`, which keys are not too long and
          ASCII, so that nobody need ask whether they are UTF-8.
        """
        lengths = ends - starts
        short = lengths <= LONGEST_KEY
        lengths = np.minimum(lengths, LONGEST_KEY + 1)
        hashes, own, ascii_only = self._read(text, starts, lengths)
        found = self._heads[hashes >> self._shift]
        wrong = np.flatnonzero((found >= 0) & ~self._same(found, lengths, own))
        while len(wrong):
            found[wrong] = self._next[found[wrong]]
            wrong = wrong[found[wrong] >= 0]
            wrong = wrong[~self._same(found[wrong], lengths[wrong], [column[wrong] for column in own])]
        return found, short & ascii_only

    def _same(self, found: np.ndarray, lengths: np.ndarray, own: list[np.ndarray]) -> np.ndarray:
        same = self._lengths.take(found, mode="clip") == lengths if len(self._lengths) else found < _NONE
        for k, column in enumerate(own if len(self._lengths) else ()):
            same &= self._words[k].take(found, mode="clip") == column
        return same

    def _read(
        self, text: np.ndarray, starts: np.ndarray, lengths: np.ndarray
    ) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """Returns the hash of each key, as many of its words as a name can have, and whether it is ASCII."""
        hashes = lengths.astype(np.uint64) * _SPREAD
        own: list[np.ndarray] = []
        ascii_only = np.ones(len(starts), bool)
        for k in range(max(-(-int(lengths.max(initial=0)) // 8), self._width)):
            which = np.flatnonzero(lengths > 8 * k)
            if len(which) == len(lengths):
                word = words(text, starts + 8 * k) & _FIRST_BYTES.take(lengths - 8 * k, mode="clip")
                ascii_only &= (word & _NOT_ASCII) == 0
                hashes = (hashes ^ word) * _SPREAD
            else:
                part = words(text, starts[which] + 8 * k) & _FIRST_BYTES.take(lengths[which] - 8 * k, mode="clip")
                ascii_only[which] &= (part & _NOT_ASCII) == 0
                hashes[which] = (hashes[which] ^ part) * _SPREAD
                word = np.zeros(len(starts), np.uint64)
                word[which] = part
            if k < self._width:
                own.append(word)
        return hashes, own, ascii_only
