"""TFRecord framing: bytes to records and back, with every checksum.

A record is a little-endian uint64 length, the masked CRC-32C of those 8 bytes, the data, and the masked
CRC-32C of the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). A file
has no header and no footer, so one that was cut between two records looks like a whole one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

import google_crc32c
import numpy as np
import pyarrow as pa

from pipeline.sources.base import BrokenFile, broken
from pipeline.sources.compression import Fill
from pipeline.sources.limits import Limits

HEADER_BYTES: Final = 12
FOOTER_BYTES: Final = 4

LEAST_BYTES, MOST_BYTES = 64 << 10, 4 << 20
"""How much of a file there is room for at a time, however few or many bytes a batch may have."""

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")


def masked_crc(data: bytes) -> int:
    """Returns the CRC-32C of the data, rotated and offset as TFRecord stores it.

    >>> hex(masked_crc(b"abc"))
    '0x21f1576e'
    """
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def _header(length: int) -> bytes:
    packed = _LENGTH.pack(length)
    return packed + _CRC.pack(masked_crc(packed))


def framed(records: Sequence[bytes]) -> bytes:
    """Returns the records as they stand in a TFRecord file."""
    parts = [b""] * (3 * len(records))
    parts[0::3] = map(_header, map(len, records))
    parts[1::3] = records
    parts[2::3] = map(_CRC.pack, map(masked_crc, records))
    return b"".join(parts)


def is_header(data: bytes) -> bool:
    """Tells whether data begins with the header of a record."""
    return len(data) >= HEADER_BYTES and data[:HEADER_BYTES] == _header(_LENGTH.unpack_from(data)[0])


@dataclass(frozen=True)
class UnframedRecords:
    """Records that stand one behind the other in a text.

    Attributes:
      text: uint8, with the records in it.
      splits: int64 `[records + 1]`, where each starts and ends.
      checksums: uint64 `[records]`, the CRC-32C of each.
    """

    text: np.ndarray
    splits: np.ndarray
    checksums: np.ndarray

    def __len__(self) -> int:
        return len(self.checksums)

    def slice(self, first: int, last: int) -> UnframedRecords:
        """Returns some of the records. Copies nothing."""
        return UnframedRecords(self.text, self.splits[first : last + 1], self.checksums[first:last])

    def array(self) -> pa.Array:
        """Returns the records, large_binary `[records]`, and nothing but them. Copies no record."""
        first, last = int(self.splits[0]), int(self.splits[-1])
        buffers = [None, pa.py_buffer(self.splits - first), pa.py_buffer(self.text[first:last])]
        return pa.Array.from_buffers(pa.large_binary(), len(self), buffers)


def records(fill: Fill, path: str, limits: Limits, unit: str = "byte") -> Iterator[bytes]:
    """Yields the records that `cuts` finds, one by one, with the same arguments."""
    for found in cuts(fill, path, limits, unit):
        for start, end in pairwise(found.splits.tolist()):
            yield found.text[start:end].tobytes()


def cuts(fill: Fill, path: str, limits: Limits, unit: str = "byte") -> Iterator[UnframedRecords]:
    """Takes records out of their frames, up to the limits of a batch at once, and checks both checksums of each.

    Args:
      fill: reads the unpacked data.
      path: name of the file, for errors.
      limits: the longest record allowed (a header that claims more is an error before anything is allocated), and the most in a
        batch; a longer record is a batch of its own.
      unit: the unit of offsets in errors.

    Raises:
      JobError: anything but whole records.
    """
    from transforms.kernels import framing

    at_once = min(max(limits.max_batch_bytes, LEAST_BYTES), MOST_BYTES)
    text, start = np.empty(0, np.uint8), 0  # what is read and not yet cut; it stands at `start` in the data
    while True:
        splits, checksums = np.empty(limits.max_batch_rows + 1, np.int64), np.empty(limits.max_batch_rows, np.uint64)
        most = limits.max_record_bytes, limits.max_batch_bytes
        count, size, why = framing.cut(text, *most, splits, checksums)
        found, text, start = UnframedRecords(text, splits[: count + 1], checksums[:count]), text[size:], start + size
        if count:
            yield found
        del found  # a long record would be held twice
        if why == framing.FULL and len(text) >= size:  # room for another batch like that one
            continue
        if why == framing.DAMAGED:
            length = int.from_bytes(text[:8], "little")
            raise broken(path, f"bad checksum (CRC-32C) of the record at {unit} {start}, {length} bytes long")
        header = text[:HEADER_BYTES].tobytes()
        end = HEADER_BYTES
        if len(header) == HEADER_BYTES:
            length = int.from_bytes(header[:8], "little")
            if header != _header(length) or length > limits.max_record_bytes:
                raise _bad_header(header, path, f"{unit} {start}", start == 0, limits.max_record_bytes)
            end += length + FOOTER_BYTES
        text = _filled(text, max(end, len(text) + 1), at_once, fill)
        if not len(text):
            return
        if len(text) < HEADER_BYTES:
            raise _bad_header(text.tobytes(), path, f"{unit} {start}", start == 0, limits.max_record_bytes)
        if len(text) < end:
            raise broken(path, f"cut short: {end - len(text)} bytes of the record at {unit} {start} are missing")


def between(found: Iterable[UnframedRecords], first: int, last: int | None) -> Iterator[UnframedRecords]:
    """Yields the records from one number to another, or to the end. Reads nothing behind them."""
    at = 0
    for cut in found:
        own = cut.slice(max(first - at, 0), len(cut) if last is None else max(last - at, 0))
        at += len(cut)
        if len(own):
            yield own
        if last is not None and at >= last:
            return


def _bad_header(header: bytes, path: str, where: str, is_first: bool, max_record_bytes: int) -> BrokenFile:
    if is_header(header):
        length = _LENGTH.unpack_from(header)[0]
        allowed = f"at most {max_record_bytes} are allowed (--max-record-bytes)"
        return broken(path, f"the record at {where} claims {length} bytes, {allowed}")
    if is_first:
        return broken(path, "not a TFRecord file, or the header of its first record is damaged")
    if len(header) < HEADER_BYTES:
        return broken(path, f"cut short in the header of the record at {where}")
    return broken(path, f"bad checksum (CRC-32C) of the header of the record at {where}")


def _filled(text: np.ndarray, size: int, at_once: int, fill: Fill) -> np.ndarray:
    """Returns a text with what follows it: at least `size` bytes in all, less only at the end, and more where it takes no wait.

    Room is made as the data come: a header can claim more than there is.

    Args:
      text: what is at hand, no more than `at_once` or what an earlier call returned.
      size: the bytes that are needed.
      at_once: the bytes to have room for in any case.
      fill: reads what follows.
    """
    room, end = text, len(text)
    while True:
        larger = np.empty(max(at_once, min(2 * end, size)), np.uint8)
        larger[:end], room = room[:end], larger
        view, more = room.data, 1
        while end < min(size, len(room)) and more:
            more = fill(view[end:])
            end += more
        if end >= size or not more:
            return room[:end]
