"""TFRecord framing: bytes to records and back, with every checksum; and gzip, as a stream of bounded blocks.

A record is a little-endian uint64 length, the masked CRC-32C of those 8 bytes, the data, and the masked
CRC-32C of the data (https://www.tensorflow.org/tutorials/load_data/tfrecord#tfrecords_format_details). A file
has no header and no footer, so one that was cut between two records cannot be told from a whole one.
"""

from __future__ import annotations

import itertools
import struct
import zlib
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import BinaryIO, Final

import google_crc32c

from pipeline.sources.base import broken
from transforms.errors import JobError

BLOCK_BYTES: Final = 4 << 20
"""How much is read, or decompressed, at once."""

HEADER_BYTES: Final = 12
FOOTER_BYTES: Final = 4
GZIP: Final = 31
"""zlib's `wbits` for a gzip member with its header and trailer."""

GZIP_MAGIC: Final = b"\x1f\x8b\x08"

_LENGTH: Final = struct.Struct("<Q")
_CRC: Final = struct.Struct("<I")


def masked_crc(data: bytes) -> int:
    """Returns the CRC-32C of the data, rotated and offset as TFRecord stores it.

    >>> hex(masked_crc(b"abc"))
    '0x21f5b4f0'
    """
    crc = google_crc32c.value(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


@lru_cache(maxsize=1 << 16)
def _header(length: int) -> bytes:
    packed = _LENGTH.pack(length)
    return packed + _CRC.pack(masked_crc(packed))


def framed(records: Iterable[bytes]) -> bytes:
    """Returns the records as they stand in a TFRecord file."""
    parts: list[bytes] = []
    for record in records:
        parts += (_header(len(record)), record, _CRC.pack(masked_crc(record)))
    return b"".join(parts)


def is_header(data: bytes) -> bool:
    """Tells whether data begins with the header of a record."""
    return len(data) >= HEADER_BYTES and data[:HEADER_BYTES] == _header(_LENGTH.unpack_from(data)[0])


class Blocks:
    """A file in blocks, closed at its end.

    Attributes:
      consumed: bytes read so far.
    """

    def __init__(self, handle: BinaryIO, path: str):
        self._handle = handle
        self._path = path
        self.consumed = 0

    def __iter__(self) -> Iterator[bytes]:
        """Reads the rest of the file."""
        with self._handle as handle:
            while block := self._read(handle):
                self.consumed += len(block)
                yield block

    def _read(self, handle: BinaryIO) -> bytes:
        try:
            return handle.read(BLOCK_BYTES)
        except OSError as error:
            raise broken(self._path, f"cannot be read at byte {self.consumed}", error) from error


def gunzip(blocks: Iterable[bytes], path: str) -> Iterator[bytes]:
    """Decompresses gzip data of one or several members, at most `BLOCK_BYTES` at once however well it packs.

    Beam and Python's own text layers read a gzip file that was cut short as a shorter file; this does not.

    Raises:
      JobError: the data is no gzip data, damaged, or ends early.
    """
    member, within, at = zlib.decompressobj(GZIP), True, 0
    for block in blocks:
        unread = block
        while unread:
            try:
                data = member.decompress(unread, BLOCK_BYTES)
            except zlib.error as error:
                raise broken(path, f"damaged gzip data at byte {at} or after", error) from error
            left, within = member.unconsumed_tail, True
            if member.eof:
                left, member, within = member.unused_data, zlib.decompressobj(GZIP), False
            at += len(unread) - len(left)
            unread = left
            if data:
                yield data
    if within:
        raise broken(path, f"cut short: the gzip stream ended early, after byte {at}")


def uncompressed(blocks: Iterable[bytes], path: str) -> tuple[Iterator[bytes], str]:
    """Returns what is in a file that may be gzip, and what offsets in it count.

    It is taken for gzip when its name ends in `.gz` or its first bytes say so.
    """
    blocks = iter(blocks)
    head = next(blocks, b"")
    blocks = itertools.chain([head], blocks) if head else blocks
    if path.lower().endswith(".gz") or _is_gzip(head):
        return gunzip(blocks, path), "uncompressed byte"
    return blocks, "byte"


def unpacked_head(head: bytes) -> bytes:
    """Returns the first bytes of a file, decompressed where they are gzip: at most as many again."""
    try:
        return zlib.decompressobj(GZIP).decompress(head, len(head)) if _is_gzip(head) else head
    except zlib.error:
        return head


def _is_gzip(head: bytes) -> bool:
    """A plain TFRecord file whose first record is 560,927 bytes long begins like a gzip file; its checksum tells."""
    return head.startswith(GZIP_MAGIC) and not is_header(head)


def records(blocks: Iterable[bytes], path: str, max_record_bytes: int, unit: str = "byte") -> Iterator[bytes]:
    """Cuts blocks into records and checks both checksums of each.

    Args:
      blocks: the uncompressed data.
      path: name of the file, for errors.
      max_record_bytes: the longest record allowed. A header that claims more is an error before anything is
        allocated.
      unit: what offsets in errors count.

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
        if buffer[end - FOOTER_BYTES : end] != _CRC.pack(masked_crc(record)):
            what = f"the record at {unit} {start + at}, {length} bytes long"
            raise broken(path, f"bad checksum (CRC-32C) of {what}")
        yield record
        at = end


def _bad_header(header: bytes, path: str, where: str, is_first: bool, max_record_bytes: int) -> JobError:
    if is_header(header):
        length = _LENGTH.unpack_from(header)[0]
        return broken(path, f"the record at {where} claims {length} bytes, at most {max_record_bytes} are allowed")
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
