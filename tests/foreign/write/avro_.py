"""Writes Avro files with fastavro and with Apache's avro: `python avro_.py FOLDER`. Needs both, and their codecs."""

import datetime as dt
import sys
import uuid
from decimal import Decimal
from pathlib import Path

import avro.datafile
import avro.io
import avro.schema
import fastavro

WHEN = dt.datetime(2024, 2, 29, 12, 30, 15, 250000, dt.UTC)


def logical(kind: str, name: str, **more: object) -> list:
    """Returns a logical type, or null."""
    return ["null", {"type": kind, "logicalType": name, **more}]


SCHEMA = {
    "type": "record",
    "name": "Row",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "flag", "type": ["null", "boolean"]},
        {"name": "price", "type": logical("bytes", "decimal", precision=10, scale=2)},
        {"name": "day", "type": logical("int", "date")},
        {"name": "at", "type": logical("long", "timestamp-millis")},
        {"name": "at_us", "type": logical("long", "timestamp-micros")},
        {"name": "local", "type": logical("long", "local-timestamp-millis")},
        {"name": "clock", "type": logical("long", "time-micros")},
        {"name": "uuid", "type": logical("string", "uuid")},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["red", "blue"]}},
        {"name": "name", "type": ["null", "string"]},
        {"name": "items", "type": {"type": "array", "items": "long"}},
        {"name": "gaps", "type": {"type": "array", "items": ["null", "double"]}},
        {"name": "mixed", "type": ["null", "long", "string"]},
        {"name": "tags", "type": {"type": "map", "values": "long"}},
    ],
}
ROWS = [
    {
        "id": 1,
        "flag": True,
        "price": Decimal("12.34"),
        "day": WHEN.date(),
        "at": WHEN,
        "at_us": WHEN,
        "local": WHEN.replace(tzinfo=None),
        "clock": WHEN.time(),
        "uuid": uuid.UUID("00112233-4455-6677-8899-aabbccddeeff"),
        "kind": "red",
        "name": "ann, ü",
        "items": [12, 7],
        "gaps": [1.5, None],
        "mixed": 5,
        "tags": {"k": 1},
    },
    {
        **dict.fromkeys(["flag", "price", "day", "at", "at_us", "local", "clock", "uuid", "name"]),
        "id": 2,
        "kind": "blue",
        "items": [],
        "gaps": [],
        "mixed": "five",
        "tags": {},
    },
]


def main(to: Path) -> None:
    """Writes everything."""
    for codec in ("null", "deflate", "snappy", "zstandard", "bzip2", "xz", "lz4"):
        with (to / f"fast.{codec}.avro").open("wb") as file:
            fastavro.writer(file, SCHEMA, ROWS, codec=codec)
    few = {**SCHEMA, "fields": [field for field in SCHEMA["fields"] if field["name"] not in ("local", "clock")]}
    rows = [{name: value for name, value in row.items() if name not in ("local", "clock")} for row in ROWS]
    rows = [{**row, "uuid": row["uuid"] and str(row["uuid"])} for row in rows]
    writer = avro.io.DatumWriter(avro.schema.make_avsc_object(few))
    with avro.datafile.DataFileWriter(
        (to / "apache.avro").open("wb"), writer, writer.writers_schema, codec="deflate"
    ) as file:
        for row in rows:
            file.append(row)
    with (to / "bare.bin").open("wb") as file:
        fastavro.schemaless_writer(file, SCHEMA, ROWS[0])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
