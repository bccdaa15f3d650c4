"""Files of every format and codec that can be read, as bytes: what loops that cut, flip and mutate files begin with.

    for kind in KINDS.values():
        path.with_name(kind.name).write_bytes(kind.make(rows_of(100)))

Written by the libraries of each format, not by the package.
"""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import random
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from backports import zstd

from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.rows import origin

Row = dict[str, Any]
Make = Callable[[Sequence[Row]], bytes]
FEATURES = {"id": "int64", "x": "float32", "name": "string"}
SYNC = bytes(range(16))


@dataclass(frozen=True)
class Kind:
    """A format and how it is packed.

    Attributes:
      name: of a file of this kind, which tells the source what it is.
      make: rows to the bytes of a file.
      whole_at: what is between two places at which a cut cannot be told from an end; "" where every cut can be.
    """

    name: str
    make: Make
    whole_at: str = ""


def rows_of(count: int, seed: int = 0) -> list[Row]:
    """Rows with an id, a list of floats (which float32 holds exactly) and a text with everything that is quoted."""
    rng = random.Random(seed)
    names = ["", 'say "hi"', "a,b", "é\\n", "plain", "tab\tand space "]
    return [
        {
            "id": k,
            "x": [rng.randrange(1000) / 8 for _ in range(rng.randrange(1, 7))],
            "name": rng.choice(names) + str(k),
        }
        for k in range(count)
    ]


def example(row: Row) -> bytes:
    features = {
        "id": tf.train.Feature(int64_list=tf.train.Int64List(value=[row["id"]])),
        "x": tf.train.Feature(float_list=tf.train.FloatList(value=row["x"])),
        "name": tf.train.Feature(bytes_list=tf.train.BytesList(value=[row["name"].encode()])),
    }
    return bytes(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True))


def tfrecord(data: Sequence[Row]) -> bytes:
    return framed([example(row) for row in data])


def framed(records: Sequence[bytes]) -> bytes:
    """Records as TensorFlow's own writer frames them."""
    path = Path(f"ram://seqcols-{random.random()}")
    with tf.io.TFRecordWriter(str(path).replace(":/", "://")) as writer:
        for record in records:
            writer.write(record)
    with tf.io.gfile.GFile(str(path).replace(":/", "://"), "rb") as file:
        return bytes(file.read())


def jsonl(data: Sequence[Row]) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in data).encode()


def csv_text(data: Sequence[Row], delimiter: str = ",") -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator="\n")
    writer.writerow(FEATURES)
    writer.writerows([row["id"], ";".join(map(str, row["x"])), row["name"]] for row in data)
    return text.getvalue().encode()


def parquet(compression: str, **options: Any) -> Make:
    def make(data: Sequence[Row]) -> bytes:
        out = io.BytesIO()
        table = pa.Table.from_pylist(list(data))
        pq.write_table(table, out, compression=compression, row_group_size=max(len(data) // 3, 1), **options)
        return out.getvalue()

    return make


AVRO_SCHEMA = {
    "type": "record",
    "name": "row",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "x", "type": {"type": "array", "items": "float"}},
        {"name": "name", "type": "string"},
    ],
}


def avro(codec: str) -> Make:
    """fastavro packs blocks with snappy and zstd only with a library that is not installed: those are packed here."""

    def make(data: Sequence[Row]) -> bytes:
        if codec not in BLOCK_PACKERS:
            return avro_container(AVRO_SCHEMA, data, codec, 500)
        return repacked(avro_container(AVRO_SCHEMA, data, "null", 500), codec)

    return make


def avro_container(schema: Any, data: Sequence[Row], codec: str, interval: int) -> bytes:
    out = io.BytesIO()
    fastavro.writer(out, schema, data, codec=codec, sync_marker=SYNC, sync_interval=interval)
    return out.getvalue()


def snappy_block(data: bytes) -> bytes:
    return bytes(pa.Codec("snappy").compress(data, asbytes=True)) + zlib.crc32(data).to_bytes(4, "big")


BLOCK_PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "snappy": snappy_block,
    "zstandard": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
}


def repacked(container: bytes, codec: str) -> bytes:
    """Returns a container of the codec null with its blocks packed."""
    head, *blocks = container.split(SYNC)[:-1]
    head = head.replace(avro_text("avro.codec") + avro_text("null"), avro_text("avro.codec") + avro_text(codec))
    made = [head]
    for block in blocks:
        count, data = avro_number(block)
        _, data = avro_number(data)
        packed = BLOCK_PACKERS[codec](data)
        made.append(avro_bytes(count) + avro_bytes(len(packed)) + packed)
    return b"".join(part + SYNC for part in made)


def avro_text(text: str) -> bytes:
    return avro_bytes(len(text)) + text.encode()


def avro_bytes(value: int) -> bytes:
    """An integer as Avro writes it."""
    value, made = value << 1 ^ value >> 63, b""
    while value > 0x7F:
        made += bytes([value & 0x7F | 0x80])
        value >>= 7
    return made + bytes([value])


def avro_number(data: bytes) -> tuple[int, bytes]:
    """An integer at the start of some bytes, and what is after it."""
    value = shift = 0
    for k, byte in enumerate(data):
        value |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            return value >> 1 ^ -(value & 1), data[k + 1 :]
    raise AssertionError("no number")


PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": lambda data: data,
    ".gz": lambda data: gzip.compress(data, mtime=0),
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
    ".zst": lambda data: zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1}),
    ".zz": zlib.compress,
}
"""End of a name to what packs a whole file."""


def _kinds() -> Iterator[Kind]:
    texts: dict[str, tuple[Make, str]] = {
        "tfrecord": (tfrecord, "records"),
        "jsonl": (jsonl, "lines"),
        "csv": (csv_text, "lines"),
        "tsv": (lambda data: csv_text(data, "\t"), "lines"),
    }
    for ending, (make, whole_at) in texts.items():
        for packed, pack in PACKERS.items():
            yield Kind(f"a.{ending}{packed}", lambda data, m=make, p=pack: p(m(data)), "" if packed else whole_at)
    for codec in ("none", "gzip", "snappy", "zstd"):
        yield Kind(f"{codec}.parquet", parquet(codec, write_page_checksum=True))
    for codec in ("null", "deflate", "bzip2", "xz", "zstandard", "snappy"):
        yield Kind(f"{codec}.avro", avro(codec), "blocks")


KINDS: dict[str, Kind] = {kind.name: kind for kind in _kinds()}


def read(path: Path | str, limits: Limits = DEFAULTS, features: dict[str, str] = FEATURES) -> list[Any]:
    """Returns what the package reads in a file, row by row: the values of good rows, (reason, message) of rejected ones.

    Raises:
      JobError: what the package raises for a broken file.
    """
    source = source_for(str(path), limits)
    made: dict[int, Any] = {}
    for split in source.parts(str(path)):
        for step in source.read(split, features, limits):
            for batch in (step.batch, step.rejected):
                for row in batch.to_pylist() if batch is not None else ():
                    number = row.pop(origin.ROW_COLUMN) if origin.ROW_COLUMN in row else row["row"]
                    assert number not in made
                    row.pop(origin.RECORD_COLUMN, None)
                    row.pop(origin.DIGEST_COLUMN, None)  # which the file's name is a part of
                    made[number] = (row["reason"], row["message"]) if "reason" in row else row
    assert sorted(made) == list(range(len(made)))
    return [made[number] for number in range(len(made))]


def plain(row: Row, name: str) -> Row:
    """Returns a row as `rows_of` has it, from one that was read in a file of that name."""
    if ".tfrecord" in name:
        return {"id": row["id"][0], "x": row["x"], "name": row["name"][0].decode()}
    if ".csv" in name or ".tsv" in name:
        return {"id": int(row["id"]), "x": [float(x) for x in row["x"].split(b";")], "name": row["name"].decode()}
    return row
