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
from typing import Final

import google_crc32c
import numpy as np
import pyarrow as pa

from pipeline.sources.base import BrokenFile, broken
from pipeline.sources.limits import Limits
from transforms.rows.ragged import splits_of

HEADER_BYTES: Final = 12
FOOTER_BYTES: Final = 4
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
class FramedRecords:
    """Records that stand one after another in a text.

    Attributes:
      text: uint8, with the records in it.
      starts: int64 `[records]`, where each starts.
      ends: int64 `[records]`, where it ends.
      checksums: uint64 `[records]`, its CRC-32C.
    """

    text: np.ndarray
    starts: np.ndarray
    ends: np.ndarray
    checksums: np.ndarray

    def __len__(self) -> int:
        return len(self.starts)

    def slice(self, first: int, last: int) -> FramedRecords:
        """Returns some of the records. Copies nothing."""
        return FramedRecords(self.text, self.starts[first:last], self.ends[first:last], self.checksums[first:last])


def records(blocks: Iterable[bytes], path: str, max_record_bytes: int, unit: str = "byte") -> Iterator[bytes]:
    """Yields the records that `cuts` finds, one by one, with the same arguments."""
    for found in cuts(blocks, path, max_record_bytes, unit):
        for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True):
            yield found.text[start:end].tobytes()


def cuts(blocks: Iterable[bytes], path: str, max_record_bytes: int, unit: str = "byte") -> Iterator[FramedRecords]:
    """Cuts blocks into records and checks both checksums of each.

    Args:
      blocks: the unpacked data.
      path: name of the file, for errors.
      max_record_bytes: the longest record allowed. A header that claims more is an error before anything is
        allocated.
      unit: the unit of offsets in errors.

    Raises:
      JobError: anything but whole records.
    """
    blocks = iter(blocks)
    buffer, start = b"", 0  # buffer[0] stands at `start` in the data
    while True:
        found, at, damaged = _cut(np.frombuffer(buffer, np.uint8), max_record_bytes)
        start += at
        buffer = buffer[at:]
        if len(found):
            yield found
        del found  # a long record would be held twice
        if len(buffer) < HEADER_BYTES:
            buffer = _filled(buffer, HEADER_BYTES, blocks)
            if not buffer:
                return
        header = buffer[:HEADER_BYTES]
        length = int.from_bytes(header[:8], "little")
        if damaged:
            raise broken(path, f"bad checksum (CRC-32C) of the record at {unit} {start}, {length} bytes long")
        if header != _header(length) or length > max_record_bytes:
            raise _bad_header(header, path, f"{unit} {start}", start == 0, max_record_bytes)
        end = HEADER_BYTES + length + FOOTER_BYTES
        buffer = _filled(buffer, end, blocks)
        if len(buffer) < end:
            missing = end - len(buffer)
            raise broken(path, f"cut short: {missing} bytes of the record at {unit} {start} are missing")


def _cut(text: np.ndarray, longest: int) -> tuple[FramedRecords, int, bool]:
    """Returns the records that stand whole and sound at the beginning, where they end, and whether a damaged one follows."""
    from transforms.kernels import framing

    room = len(text) // (HEADER_BYTES + FOOTER_BYTES)
    starts, ends, checksums = np.empty(room, np.int64), np.empty(room, np.int64), np.empty(room, np.uint64)
    count, at, damaged = framing.cut(text, longest, starts, ends, checksums)
    return FramedRecords(text, starts, ends, checksums).slice(0, count), at, damaged


def between(found: Iterable[FramedRecords], first: int, last: int | None) -> Iterator[FramedRecords]:
    """Yields the records from one number to another, or to the end. Reads nothing behind them."""
    at = 0
    for cut in found:
        own = cut.slice(max(first - at, 0), len(cut) if last is None else max(last - at, 0))
        at += len(cut)
        if len(own):
            yield own
        if last is not None and at >= last:
            return


def gathered(found: Iterable[FramedRecords], limits: Limits) -> Iterator[tuple[pa.Array, np.ndarray]]:
    """Gathers records up to the limits of a batch. A record larger than they allow is a batch of its own.

    Yields:
      The records, large_binary `[records]`, and their CRC-32C, uint64 `[records]`.
    """
    held: list[FramedRecords] = []
    count = size = 0
    for cut in found:
        sizes = splits_of(cut.ends - cut.starts)
        first = 0
        while first < len(cut):
            room = int(np.searchsorted(sizes, sizes[first] + limits.max_batch_bytes - size, side="right")) - 1
            last = min(max(room, first if held else first + 1), first + limits.max_batch_rows - count, len(cut))
            if last > first:
                held.append(cut.slice(first, last))
                count, size = count + last - first, size + int(sizes[last] - sizes[first])
            if last < len(cut):
                yield _joined(held, size)
                held, count, size = [], 0, 0
            first = last
        del cut  # its text is not for whoever waits for the next one to hold
    if held:
        yield _joined(held, size)


def _joined(held: list[FramedRecords], size: int) -> tuple[pa.Array, np.ndarray]:
    from transforms.kernels import framing

    data, at = np.empty(size, np.uint8), 0
    for cut in held:
        at = framing.gather(cut.text, cut.starts, cut.ends, data, at)
    splits = splits_of(np.concatenate([cut.ends - cut.starts for cut in held]))
    buffers = [None, pa.py_buffer(splits), pa.py_buffer(data)]
    checksums = np.concatenate([cut.checksums for cut in held])
    return pa.Array.from_buffers(pa.large_binary(), len(checksums), buffers), checksums


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


def _filled(rest: bytes, size: int, blocks: Iterator[bytes]) -> bytes:
    """Returns `rest` and enough further blocks to have `size` bytes, or all that are left."""
    parts, have = [rest], len(rest)
    while have < size and (block := next(blocks, b"")):
        parts.append(block)
        have += len(block)
    return b"".join(parts)
