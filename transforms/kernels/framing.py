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
def cut(text: Any, longest: Any, starts: Any, ends: Any, checksums: Any) -> Any:
    """Finds the records that stand whole at the beginning of a text and checks both checksums of each.

    https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details

    Args:
      text: uint8.
      longest: the longest record allowed.
      starts: takes where each record starts: int64, with room for `len(text) // 16`.
      ends: takes where each ends, like `starts`.
      checksums: takes the CRC-32C of each, uint64, like `starts`.

    Returns:
      How many records there are. Where they end: there the text ends, or something else begins: a part of a record, a header
      that is damaged or claims too much, or a whole record that is damaged. And whether it is the last of these.
    """
    count, at, size = 0, np.int64(0), len(text)
    while at + HEADER_BYTES + FOOTER_BYTES <= size:
        length = np.int64(word_at(text, at))
        if masked(crc32c(text, at, at + 8)) != _number(text, at + 8) or length < 0 or length > longest:
            break
        if length > size - at - HEADER_BYTES - FOOTER_BYTES:
            break
        start = at + HEADER_BYTES
        end = start + length
        checksum = crc32c(text, start, end)
        if masked(checksum) != _number(text, end):
            return count, at, True
        starts[count], ends[count], checksums[count] = start, end, checksum
        count += 1
        at = end + FOOTER_BYTES
    return count, at, False


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


@kernel
def gather(text: Any, starts: Any, ends: Any, out: Any, at: Any) -> Any:
    """Copies pieces of a text one behind the other.

    Args:
      text: uint8.
      starts: int64 `[n]`, where they start.
      ends: int64 `[n]`, where they end, within the text.
      out: takes them, uint8.
      at: where in `out` the first of them goes; there must be room for all.

    Returns:
      Where the last of them ends.
    """
    for n in range(len(starts)):
        copied(text, starts[n], ends[n] - starts[n], out, at)
        at += ends[n] - starts[n]
    return at
