"""Avro object container files: the header, and blocks of records with their count, size, codec and sync marker.

https://avro.apache.org/docs/1.12.0/specification/#object-container-files. A block has no checksum (but for what its codec
may have), and the file has no footer: one that was cut between two blocks looks like a whole one.

fastavro 1.13 reads containers too, but believes the lengths that a damaged one claims, unpacks without bound, takes a block
with a negative count for one without records, and does not look whether a block holds more than its records.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

import pyarrow as pa

from pipeline.sources.base import broken
from pipeline.sources.compression import Meter
from pipeline.sources.limits import Limits
from pipeline.sources.packings import PACKINGS, Inflater, Unpacker

MAGIC: Final = b"Obj\x01"
SYNC_BYTES: Final = 16
CRC_BYTES: Final = 4

Unpack = Callable[[bytes, int], bytes | None]


def _one_stream(make: Callable[[], Unpacker]) -> Unpack:
    def unpack(data: bytes, most: int) -> bytes | None:
        unpacker = make()
        unpacked = unpacker.decompress(data, most + 1)
        if len(unpacked) > most:
            return None
        if not unpacker.eof:  # data after the end are common: fastavro leaves part of zlib's checksum there
            raise ValueError("its packed data end early")
        return unpacked

    return unpack


def _snappy(data: bytes, most: int) -> bytes | None:
    """Unpacks Google's raw snappy, which begins with the size of what is packed, and verifies the CRC-32 after it."""
    packed, crc = data[:-CRC_BYTES], data[-CRC_BYTES:]
    size = sum((byte & 0x7F) << 7 * k for k, byte in enumerate(packed[: _varint_bytes(packed)]))
    if size > most:
        return None
    unpacked: bytes = pa.Codec("snappy").decompress(packed, size, asbytes=True)
    if zlib.crc32(unpacked).to_bytes(CRC_BYTES, "big") != crc:
        raise ValueError("bad checksum (CRC-32)")
    return unpacked


def _varint_bytes(data: bytes) -> int:
    return 1 + next((k for k, byte in enumerate(data[:5]) if byte < 0x80), 4)


_UNPACK: Final[dict[str, Unpack]] = {
    "null": lambda data, most: data,
    "deflate": _one_stream(lambda: Inflater(-zlib.MAX_WBITS)),
    "bzip2": _one_stream(PACKINGS["bz2"].unpacker),
    "xz": _one_stream(PACKINGS["xz"].unpacker),
    "zstandard": _one_stream(PACKINGS["zstd"].unpacker),
    "snappy": _snappy,
}
"""Codec to what unpacks a block of it: None where it holds more bytes than allowed."""

_DAMAGED: Final = (ValueError, zlib.error, pa.ArrowException, *(e for p in PACKINGS.values() for e in p.errors))


@dataclass(frozen=True)
class RecordBlock:
    """Records that stand one after another.

    Attributes:
      data: the records, uncompressed.
      count: how many.
      where: file and place in it, for errors.
    """

    data: bytes
    count: int
    where: str


class Container:
    """A container file that is read from its start to its end.

    Args:
      handle: the open file.
      path: its name, for errors.
      limits: the largest block allowed, packed and unpacked, and the longest part of a header; and how much the file may
        unpack to.

    Attributes:
      schema: the schema of its records, as JSON has it.
      codec: the name of the codec that its blocks are packed by.
      at: bytes read so far.

    Raises:
      JobError: it is no such file, or one with a codec that cannot be read.
    """

    def __init__(self, handle: BinaryIO, path: str, limits: Limits):
        self._handle, self._path, self._most = handle, path, limits.max_record_bytes
        self._meter = Meter(path, limits.max_unpack_ratio)
        self.at = 0
        self._where = f"{path}: header"
        if self._handle.read(len(MAGIC)) != MAGIC:
            raise broken(path, "not an Avro container file")
        self.at = len(MAGIC)
        metadata = self._metadata()
        self._sync = self._take(SYNC_BYTES)
        self.codec = metadata.get("avro.codec", b"null").decode("utf-8", "replace")
        if self.codec not in _UNPACK:
            raise broken(path, f"codec {self.codec!r} cannot be read, expected one of {', '.join(_UNPACK)}")
        self._unpack = _UNPACK[self.codec]
        try:
            self.schema = json.loads(metadata["avro.schema"])
        except (KeyError, ValueError, RecursionError) as error:
            raise broken(path, "the header holds no schema", error) from error

    def blocks(self) -> Iterator[RecordBlock]:
        """Reads the rest of the file.

        Raises:
          JobError: it is damaged or cut short.
        """
        while first := self._read(1):
            self._where = f"{self._path}: block at byte {self.at - 1}"
            count, size = self._number(first), self._number()
            if count < 0:
                raise broken(self._where, f"damaged: it claims {count} records")
            data = self._take(size)
            if self._take(SYNC_BYTES) != self._sync:
                raise broken(self._where, "damaged: the sync marker after it is another one")
            yield RecordBlock(self._unpacked(data), count, self._where)

    def _metadata(self) -> dict[str, bytes]:
        found: dict[str, bytes] = {}
        while count := self._number():
            if count < 0:
                count = -count
                self._number()  # size of this part of the map
            for _ in range(count):
                key = self._take(self._number()).decode("utf-8", "replace")
                found[key] = self._take(self._number())
        return found

    def _unpacked(self, data: bytes) -> bytes:
        try:
            unpacked = self._unpack(data, self._most)
        except _DAMAGED as error:
            raise broken(self._where, "damaged, it cannot be unpacked", error) from error
        if unpacked is None:
            raise broken(self._where, f"unpacked it has more than {self._most} bytes (--max-record-bytes)")
        self._meter.add(len(data), len(unpacked))
        return unpacked

    def _number(self, first: bytes = b"") -> int:
        """Reads an integer: seven bits a byte, the lowest first, the sign in the lowest bit."""
        number, shift = 0, 0
        while shift < 70:
            byte = (first or self._take(1))[0]
            first = b""
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number >> 1 ^ -(number & 1)
            shift += 7
        raise broken(self._where, "damaged: a number is longer than ten bytes")

    def _take(self, size: int) -> bytes:
        if size < 0:
            raise broken(self._where, f"damaged: it claims {size} bytes")
        if size > self._most:
            allowed = f"at most {self._most} are allowed (--max-record-bytes)"
            raise broken(self._where, f"it claims {size} bytes, {allowed}")
        data = self._read(size)
        if len(data) < size:
            raise broken(self._where, f"cut short: {size - len(data)} bytes or more are missing")
        return data

    def _read(self, size: int) -> bytes:
        parts, missing = [], size
        try:
            while missing and (part := self._handle.read(missing)):
                parts.append(part)
                missing -= len(part)
        except OSError as error:
            raise broken(self._path, f"cannot be read at byte {self.at}", error) from error
        self.at += size - missing
        return b"".join(parts)
