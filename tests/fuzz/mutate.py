"""Seeded ways to spoil a file: bytes of any kind, text, and structures whose checksums and lengths are put right again.

Every function is pure: contents and a random generator in, contents out. Some of them know a structure, so that what lies
behind a checksum or a packing is reached, and not the checksum again and again.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence
from typing import Final

from pipeline.sources.compression import filled_from
from pipeline.sources.limits import WIDEST
from pipeline.sources.tfrecord import framing
from tests.fuzz import avro
from tests.fuzz.documents import index_file
from tests.fuzz.files import Entry
from tests.fuzz.mutate_text import TEXT, changed_json

Rng = random.Random

LONGEST: Final = 1 << 16
"""Bytes that contents may grow to: what is looked for is found in small files, and many of them."""

INTEGERS: Final = (0, 1, -1, 127, 128, 255, 256, 32767, 65535, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, -(2**63))


def mutated(entry: Entry, others: Sequence[Entry], rng: Rng) -> bytes:
    """Returns a spoilt file: mostly what is in it, packed again; now and then the packed bytes."""
    structured = STRUCTURED.get(entry.layout)
    if structured is None or rng.random() < 0.3:
        return spoilt(entry.packed(entry.data), [other.data for other in others], rng)
    return entry.packed(structured(entry.data, [other.data for other in others if other.layout == entry.layout], rng))


def spoilt(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns bytes spoilt in one to four places."""
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        data = rng.choice(BYTES)(data, others, rng)
    return data[:LONGEST]


def _span(data: bytes, rng: Rng) -> tuple[int, int]:
    """Returns a range of the data, most often a short one."""
    start = rng.randint(0, len(data))
    most = rng.choice((1, 4, 16, 64, len(data)))
    return start, min(len(data), start + rng.randint(0, most))


def flip_bits(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Flips one to eight bits."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if made:
            made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def set_number(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Overwrites one, two, four or eight bytes with an integer at the edge of something."""
    width = rng.choice((1, 2, 4, 8))
    number = rng.choice(INTEGERS) & (1 << 8 * width) - 1
    at = rng.randint(0, len(data))
    return data[:at] + number.to_bytes(width, rng.choice(("little", "big"))) + data[at + width :]


def put_varint(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Puts a varint, most often a huge or an endless one, into the data or over them."""
    number = rng.choice((*(n & 2**64 - 1 for n in INTEGERS), 2**70, 2**28, len(data)))
    at = rng.randint(0, len(data))
    over = rng.choice((0, 1, 1, 2))
    return data[:at] + rng.choice((avro.varint(number), b"\xff" * 11)) + data[at + over :]


def cut(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Cuts the data short, or a range out of them."""
    start, end = _span(data, rng)
    return data[:start] + rng.choice((b"", b"", data[end:], data[end:]))


def duplicate(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Repeats a range, where it stands or elsewhere."""
    start, end = _span(data, rng)
    at = rng.choice((end, rng.randint(0, len(data))))
    return data[:at] + data[start:end] * rng.choice((1, 1, 1, 2, 2, 50)) + data[at:]


def swap(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Swaps two neighbouring ranges."""
    a, b, c = sorted(rng.randint(0, len(data)) for _ in range(3))
    return data[:a] + data[b:c] + data[a:b] + data[c:]


def noise(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Overwrites a range with random bytes, with zeros or with ones."""
    start, end = _span(data, rng)
    size = end - start
    return data[:start] + rng.choice((rng.randbytes(size), b"\0" * size, b"\xff" * size)) + data[end:]


def splice(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Goes on with part of another file."""
    other = rng.choice(others) if others else data
    start, end = _span(other, rng)
    at = rng.randint(0, len(data))
    return data[:at] + rng.choice((other[start:], other[start:end] + data[at:]))


BYTES: Final = (flip_bits, flip_bits, set_number, put_varint, cut, duplicate, swap, noise, splice)


def spoilt_text(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns text spoilt as text, now and then as bytes."""
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        data = rng.choice(TEXT if rng.random() < 0.9 else BYTES)(data, others, rng)
    return data[:LONGEST]


def spoilt_records(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns a TFRecord file with records spoilt, moved or mixed with those of another, under right checksums."""
    records = _records(data)
    foreign = _records(rng.choice(others)) if others else records
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(records))
        kind = rng.randrange(10)
        if kind < 7:
            records[at] = spoilt(records[at], foreign, rng)
        elif kind == 7:
            records.insert(at, rng.choice((b"", rng.choice(foreign), rng.randbytes(rng.randrange(40)))))
        elif kind == 8:
            records[at] += rng.choice(records)  # protobuf merges what stands one after the other
        else:
            records[at:at] = [rng.choice(records)] * rng.choice((1, 1, 3, 3, 20))
    return framing.framed(records)


def _records(data: bytes) -> list[bytes]:
    return list(framing.records(filled_from([data]), "", WIDEST))


def spoilt_parquet(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns a Parquet file whose footer is spoilt and has its right length, or whose pages are and keep theirs."""
    size = struct.unpack("<I", data[-8:-4])[0]
    pages, footer = data[: -8 - size], data[-8 - size : -8]
    if rng.random() < 0.6:
        others = [other[-8 - struct.unpack("<I", other[-8:-4])[0] : -8] for other in others]
        footer = spoilt(footer, others, rng)
        return pages + footer + struct.pack("<I", len(footer)) + b"PAR1"
    return spoilt(pages, [], rng)[: len(pages)].ljust(len(pages), b"\0") + data[-8 - size :]


def spoilt_avro(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns an Avro file whose schema or records are spoilt, with lengths and packing put right."""
    held = avro.taken_apart(data)
    if rng.random() < 0.5:
        schemas = [avro.taken_apart(other).schema for other in others]
        return held.changed(schema=spoilt_text(held.schema, schemas, rng)).data()
    blocks = list(held.blocks)
    at = rng.randrange(len(blocks))
    count, payload = blocks[at]
    if rng.random() < 0.2:
        count = rng.choice((0, -1, count + 1, count - 1, 2**40))
    blocks[at] = (count, spoilt(payload, [block for _, block in blocks], rng))
    return held.changed(blocks=blocks).data()


def spoilt_json(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns JSON with other values in it; now and then spoilt as text."""
    return (spoilt_text if rng.random() < 0.3 else changed_json)(data, others, rng)


def spoilt_index(data: bytes, others: Sequence[bytes], rng: Rng) -> bytes:
    """Returns an index of the cache that is spoilt inside, under the right checksum, or outside."""
    if rng.random() < 0.7:
        return index_file(spoilt_json(data, others, rng))
    return spoilt_text(index_file(data), others, rng)


STRUCTURED: Final[dict[str, Callable[[bytes, Sequence[bytes], Rng], bytes]]] = {
    "tfrecord": spoilt_records,
    "lines": spoilt_text,
    "yaml": spoilt_text,
    "json": spoilt_json,
    "parquet": spoilt_parquet,
    "avro": spoilt_avro,
    "index": spoilt_index,
}
