"""TFRecord framing: see `pipeline.sources.tfrecord.framing`."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from transforms.kernels.blocks import copied, word_at
from transforms.kernels.compiled import kernel
from transforms.kernels.crc import crc32c

HEADER_BYTES: Final = 12
"""A record's length, little-endian in 8 bytes, and their masked CRC-32C in 4."""

FOOTER_BYTES: Final = 4
"""The masked CRC-32C of the record."""

REASONS = ANOTHER, DAMAGED, FULL = range(3)
"""Why no more records are taken of a text: what follows is no whole record, be it a part of one, or a header that is damaged or
claims too much; a whole one that is damaged; there is no room for more."""

_LOW: Final = np.uint64(0xFFFFFFFF)


@kernel
def masked(crc: Any) -> Any:
    """Returns a checksum, uint64, rotated and offset as TFRecord stores it."""
    return ((crc >> np.uint64(15) | crc << np.uint64(17)) + np.uint64(0xA282EAD8)) & _LOW


@kernel
def _number(text: Any, at: Any) -> Any:
    found = np.uint64(0)
    for k in range(4):
        found |= np.uint64(text[at + k]) << np.uint64(8 * k)
    return found


@kernel
def cut(text: Any, longest: Any, most: Any, splits: Any, checksums: Any) -> Any:
    """Takes whole records at the beginning of a text out of their frames, both checksums of each checked.

    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details

    Args:
      text: uint8; the records are moved together at its beginning, over what stood around them.
      longest: the longest record allowed.
      most: the most bytes of records to take; the first one may have more.
      splits: takes where the records start and end, one behind the other: int64, one more than the most records to take.
      checksums: takes the CRC-32C of each, uint64.

    Returns:
      How many records there are; where they ended in the text; and why no more were taken, one of `REASONS`.
    """
    count, at, place, size = 0, np.int64(0), np.int64(0), len(text)
    splits[0] = 0
    while at + HEADER_BYTES + FOOTER_BYTES <= size:
        length = np.int64(word_at(text, at))
        if masked(crc32c(text, at, at + 8)) != _number(text, at + 8) or length < 0 or length > longest:
            return count, at, ANOTHER
        if length > size - at - HEADER_BYTES - FOOTER_BYTES:
            return count, at, ANOTHER
        if count == len(checksums) or (count > 0 and place + length > most):
            return count, at, FULL
        start = at + HEADER_BYTES
        checksum = crc32c(text, start, start + length)
        if masked(checksum) != _number(text, start + length):
            return count, at, DAMAGED
        copied(text, start, length, text, place)
        place += length
        count += 1
        splits[count], checksums[count - 1] = place, checksum
        at = start + length + FOOTER_BYTES
    return count, at, ANOTHER


@kernel
def put_frame(out: np.ndarray, begin: int, end: int) -> int:
    """Writes what stands before and after a record, its length and the checksums of both, and returns where that ends."""
    _put_number(out, begin - HEADER_BYTES, np.uint64(end - begin), 8)
    _put_number(out, begin - 4, masked(crc32c(out, begin - HEADER_BYTES, begin - 4)), 4)
    _put_number(out, end, masked(crc32c(out, begin, end)), 4)
    return end + FOOTER_BYTES


@kernel
def _put_number(out: np.ndarray, at: int, number: Any, size: int) -> None:
    """Writes the lowest bytes of a uint64, the lowest first."""
    for k in range(size):
        out[at + k] = number >> np.uint64(8 * k) & np.uint64(0xFF)
