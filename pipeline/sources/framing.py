"""TFRecord framing: bytes to records and back, with every checksum.

A record is a little-endian uint64 length, the masked CRC-32C of those 8 bytes, the data, and the masked
CRC-32C of the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). A file
has no header and no footer, so one that was cut between two records cannot be told from a whole one.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final

import google_crc32c

from pipeline.sources.base import BrokenFile, broken

HEADER_BYTES: Final = 12
FOOTER_BYTES: Final = 4
_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")


def masked_crc(data: bytes) -> int:
    """Returns the CRC-32C of the data, rotated and offset as TFRecord stores it.

    >>> hex(masked_crc(b"abc"))
    '0x21f5b4f0'
    """
    return _masked(google_crc32c.value(data))


def _masked(crc: int) -> int:
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
    blocks = iter(blocks)
    buffer, at, start = b"", 0, 0  # buffer[at:] is unread, and buffer[0] stands at `start` in the data
    while True:
        if len(buffer) - at < HEADER_BYTES:
            buffer, at, start = _filled(buffer[at:], HEADER_BYTES, blocks), 0, start + at
            if not buffer:
                return
        header = buffer[at : at + HEADER_BYTES]
        length = int.from_bytes(header[:8], "little")
        if header != _header(length) or length > max_record_bytes:
            raise _bad_header(header, path, f"{unit} {start + at}", start + at == 0, max_record_bytes)
        end = at + HEADER_BYTES + length + FOOTER_BYTES
        if len(buffer) < end:
            buffer, at, start = _filled(buffer[at:], end - at, blocks), 0, start + at
            end = HEADER_BYTES + length + FOOTER_BYTES
            if len(buffer) < end:
                where, missing = f"{unit} {start}", end - len(buffer)
                raise broken(path, f"cut short: {missing} bytes of the record at {where} are missing")
        record = buffer[at + HEADER_BYTES : end - FOOTER_BYTES]
        crc = google_crc32c.value(record)
        if buffer[end - FOOTER_BYTES : end] != _CRC.pack(_masked(crc)):
            what = f"the record at {unit} {start + at}, {length} bytes long"
            raise broken(path, f"bad checksum (CRC-32C) of {what}")
        if checksums is not None:
            checksums.append(crc)
        yield record
        at = end


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
