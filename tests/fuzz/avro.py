"""Avro container files taken apart and put together again, so that what is behind their lengths and packing can be spoilt."""

from __future__ import annotations

import bz2
import lzma
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

MAGIC: Final = b"Obj\x01"

_PACKERS: Final[dict[bytes, tuple[Callable[[bytes], bytes], Callable[[bytes], bytes]]]] = {
    b"null": (bytes, bytes),
    b"deflate": (lambda data: zlib.compress(data, 1)[2:-4], lambda data: zlib.decompressobj(-15).decompress(data)),
    b"bzip2": (lambda data: bz2.compress(data, 1), bz2.decompress),
    b"xz": (lambda data: lzma.compress(data, preset=0), lzma.decompress),
}


def varint(number: int) -> bytes:
    """Returns seven bits a byte, the lowest first."""
    made = bytearray()
    while True:
        number, low = number >> 7, number & 0x7F
        made.append(low | (0x80 if number else 0))
        if not number:
            return bytes(made)


def long(number: int) -> bytes:
    """Returns an integer as Avro writes it: the sign in the lowest bit."""
    return varint((number << 1 ^ number >> 63) & 2**64 - 1)


@dataclass(frozen=True)
class Held:
    """What is in a container file; `blocks` are counts and unpacked records."""

    schema: bytes
    codec: bytes
    sync: bytes
    blocks: Sequence[tuple[int, bytes]]

    def changed(self, **what: Any) -> Held:
        """Returns the same with something else in it."""
        return replace(self, **what)

    def data(self) -> bytes:
        """Returns the file."""
        made = [MAGIC, long(2)]
        for key, value in ((b"avro.codec", self.codec), (b"avro.schema", self.schema)):
            made += [long(len(key)), key, long(len(value)), value]
        made += [long(0), self.sync]
        for count, records in self.blocks:
            packed = _PACKERS[self.codec][0](records)
            made += [long(count), long(len(packed)), packed, self.sync]
        return b"".join(made)


def taken_apart(data: bytes) -> Held:
    """Returns what is in a valid file."""
    at = len(MAGIC)

    def number() -> int:
        nonlocal at
        value, shift = 0, 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)

    def taken(size: int) -> bytes:
        nonlocal at
        at += size
        return data[at - size : at]

    metadata: dict[bytes, bytes] = {}
    while count := number():
        if count < 0:
            number()
        for _ in range(abs(count)):
            key = taken(number())
            metadata[key] = taken(number())
    sync, codec = taken(16), metadata.get(b"avro.codec", b"null")
    blocks = []
    while at < len(data):
        count = number()
        blocks.append((count, _PACKERS[codec][1](taken(number()))))
        taken(16)
    return Held(metadata[b"avro.schema"], codec, sync, blocks)
