"""TFRecord framing: bytes to records and back, with every checksum.

A record is a little-endian uint64 length, the masked CRC-32C of those 8 bytes, the data, and the masked
CRC-32C of the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). A file
has no header and no footer, so one that was cut between two records cannot be told from a whole one.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, TypeVar

import google_crc32c
import numpy as np

from pipeline.sources.base import BrokenFile, broken

HEADER_BYTES: Final = 12
FOOTER_BYTES: Final = 4
_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")
_Crc = TypeVar("_Crc", int, np.ndarray)


def masked_crc(data: bytes) -> int:
    """Returns the CRC-32C of the data, rotated and offset as TFRecord stores it.

    >>> hex(masked_crc(b"abc"))
    '0x21f5b4f0'
    """
    return _masked(google_crc32c.value(data))


def _masked(crc: _Crc) -> _Crc:
    """Masks a checksum, or an array of them, uint32."""
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


def records(
    blocks: Iterable[bytes],
    path: str,
    max_record_bytes: int,
    unit: str = "byte",
    checksums: list[int] | None = None,
) -> Iterator[bytes]:
    """Cuts blocks into records and checks both checksums of each.

    Args:
      blocks: the unpacked data.
      path: name of the file, for errors.
      max_record_bytes: the longest record allowed. A header that claims more is an error before anything is
        allocated.
      unit: what offsets in errors count.
      checksums: takes the CRC-32C of every record, before it is yielded; None for nobody.

    Raises:
      JobError: anything but whole records.
    """
    return itertools.chain.from_iterable(_runs(iter(blocks), path, max_record_bytes, unit, checksums))


def _runs(
    blocks: Iterator[bytes], path: str, max_record_bytes: int, unit: str, checksums: list[int] | None
) -> Iterator[list[bytes]]:
    """Yields the records of a block at once: a generator that is asked for each costs as much as its checksum."""
    buffer, start = b"", 0  # buffer[0] stands at `start` in the data
    while True:
        found, at = _cut(buffer, max_record_bytes)
        crcs = list(map(google_crc32c.value, found))
        good = _good(buffer, found, crcs)
        if checksums is not None:
            checksums.extend(crcs[:good])
        begin, start = start, start + at
        buffer = buffer[at:]  # before the records are handed on: a long one would be held twice
        if found[:good]:
            yield found[:good]
        if good < len(found):
            at, length = sum(len(r) + HEADER_BYTES + FOOTER_BYTES for r in found[:good]), len(found[good])
            what = f"the record at {unit} {begin + at}, {length} bytes long"
            raise broken(path, f"bad checksum (CRC-32C) of {what}")
        del found
        if len(buffer) < HEADER_BYTES:
            buffer = _filled(buffer, HEADER_BYTES, blocks)
            if not buffer:
                return
        header = buffer[:HEADER_BYTES]
        length = int.from_bytes(header[:8], "little")
        if header != _header(length) or length > max_record_bytes:
            raise _bad_header(header, path, f"{unit} {start}", start == 0, max_record_bytes)
        end = HEADER_BYTES + length + FOOTER_BYTES
        buffer = _filled(buffer, end, blocks)
        if len(buffer) < end:
            missing = end - len(buffer)
            raise broken(path, f"cut short: {missing} bytes of the record at {unit} {start} are missing")


def _cut(buffer: bytes, max_record_bytes: int) -> tuple[list[bytes], int]:
    """Returns the records that stand whole at the beginning, by headers that are good, and where they end."""
    found: list[bytes] = []
    at, size, header, unpack = 0, len(buffer), _header, _LENGTH.unpack_from
    while at + HEADER_BYTES <= size:
        (length,) = unpack(buffer, at)
        end = at + HEADER_BYTES + length + FOOTER_BYTES
        if end > size or length > max_record_bytes or not buffer.startswith(header(length), at):
            break
        found.append(buffer[at + HEADER_BYTES : end - FOOTER_BYTES])
        at = end
    return found, at


def _good(buffer: bytes, found: list[bytes], crcs: list[int]) -> int:
    """Returns how many records at the beginning have the checksums that stand after them."""
    ends = np.cumsum(np.fromiter(map(len, found), np.int64, len(found)) + (HEADER_BYTES + FOOTER_BYTES))
    text = np.frombuffer(buffer, np.uint8)
    stored = text[ends[:, None] + np.arange(-FOOTER_BYTES, 0)].view("<u4")[:, 0]
    wrong = np.flatnonzero(_masked(np.array(crcs, np.uint32)) != stored)
    return int(wrong[0]) if len(wrong) else len(found)


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
    """Returns `rest` and as many more blocks as it takes to have `size` bytes, or all that are left."""
    parts, have = [rest], len(rest)
    while have < size and (block := next(blocks, b"")):
        parts.append(block)
        have += len(block)
    return b"".join(parts)
