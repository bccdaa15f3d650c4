"""Digests of rows: bits of values spread and added, in whole numbers modulo 2^64. All arrays are uint64 unless said otherwise."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from transforms.kernels.compiled import kernel
from transforms.kernels.crc import crc32c

SPREAD: Final = np.uint64(0x9E3779B97F4A7C15)
FIRST: Final = np.uint64(0xBF58476D1CE4E5B9)
SECOND: Final = np.uint64(0x94D049BB133111EB)
_FIRST_INVERSE, _SECOND_INVERSE = (np.uint64(pow(int(one), -1, 2**64)) for one in (FIRST, SECOND))


@kernel
def mixed(word: Any) -> Any:
    """Returns a number with its bits spread over all of its bits: the last step of SplitMix64.

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", 2014.
    """
    word = (word ^ word >> np.uint64(30)) * FIRST
    word = (word ^ word >> np.uint64(27)) * SECOND
    return word ^ word >> np.uint64(31)


@kernel
def unmixed(word: Any) -> Any:
    """Takes `mixed` back: each of its steps has an inverse modulo 2^64."""
    word = (word ^ word >> np.uint64(31) ^ word >> np.uint64(62)) * _SECOND_INVERSE
    word = (word ^ word >> np.uint64(27) ^ word >> np.uint64(54)) * _FIRST_INVERSE
    return word ^ word >> np.uint64(30) ^ word >> np.uint64(60)


@kernel
def spread(bits: Any, made: Any) -> None:
    """Fills `made` with the bits of numbers, unsigned integers of any size, spread over 64; `[n]` both."""
    for k in range(len(made)):
        word = np.uint64(bits[np.uintp(k)]) * FIRST
        made[np.uintp(k)] = word ^ word >> np.uint64(32)


@kernel
def add_column(content: Any, made: Any) -> None:
    """Adds the hash of a row's next value to that of those before it, `[rows]` both; `made` is zeros at first."""
    for k in range(len(made)):
        made[np.uintp(k)] = mixed(made[np.uintp(k)] + SPREAD) + content[np.uintp(k)]


@kernel
def placed(files: Any, numbers: Any, content: Any, made: Any) -> None:
    """Fills `made` with the digest of each row.

    Args:
      files: a hash of each row's file, `[rows]`; or of all of them, `[1]`.
      numbers: int64 `[rows]`, their numbers in it.
      content: `[rows]`, a hash of each row's content.
      made: `[rows]`, filled.
    """
    many = np.uintp(len(files) > 1)
    for k in range(len(made)):
        place = _place(files[np.uintp(k) * many], numbers[np.uintp(k)])
        made[np.uintp(k)] = mixed(place + content[np.uintp(k)])


@kernel
def _place(file: Any, number: Any) -> Any:
    return mixed(np.uint64(number) * SPREAD + file)


@kernel
def contents(file: Any, numbers: Any, digests: Any, made: Any) -> None:
    """Fills `made`, `[rows]`, with the hashes of contents that digests were made of; arguments otherwise as of `placed`."""
    for k in range(len(made)):
        made[np.uintp(k)] = unmixed(digests[np.uintp(k)]) - _place(file, numbers[np.uintp(k)])


@kernel
def total_without_file(file: Any, numbers: Any, digests: Any) -> Any:
    """Returns the sum of the digests that rows would have in a file whose hash is 0; arguments as of `contents`."""
    total = np.uint64(0)
    for k in range(len(digests)):
        number = numbers[np.uintp(k)]
        content = unmixed(digests[np.uintp(k)]) - _place(file, number)
        total += mixed(_place(np.uint64(0), number) + content)
    return total


@kernel
def of_lists(values: Any, splits: Any, made: Any) -> None:
    """Fills `made`, `[lists]`, with a hash of each list: two sums of its values' hashes, one by place, and its length.

    Args:
      values: `[values]`.
      splits: int64 `[lists + 1]`, where each list begins in `values`, and where the last one ends; within them.
      made: filled.
    """
    for k in range(len(made)):
        begin, end = splits[np.uintp(k)], splits[np.uintp(k + 1)]
        first = second = np.uint64(0)
        for at in range(begin, end):
            first += values[np.uintp(at)]
            second += values[np.uintp(at)] * np.uint64(at - begin)
        made[np.uintp(k)] = mixed(first * SECOND + second + np.uint64(end - begin) * SPREAD)


@kernel
def checksums(ends: Any, text: Any, made: Any) -> None:
    """Fills `made`, `[n]`, with the CRC-32C of `text[ends[k]:ends[k + 1]]`; text uint8, ends int64 `[n + 1]`, within it."""
    for k in range(len(made)):
        made[np.uintp(k)] = crc32c(text, ends[np.uintp(k)], ends[np.uintp(k + 1)])
