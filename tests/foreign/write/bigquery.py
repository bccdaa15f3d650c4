"""Imitates what BigQuery exports, as its documentation says: `python bigquery.py FOLDER`. Needs fastavro, pyarrow.

See "Export table data" in its documentation: Avro (with and without logical types), JSON (INT64 and NUMERIC as text, nulls left
out), CSV, Parquet.
"""

import csv
import datetime as dt
import gzip
import json
import sys
from decimal import Decimal
from pathlib import Path

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq

WHEN = dt.datetime(2024, 2, 29, 12, 30, 15, 250000, dt.UTC)
EVENT = {
    "type": "record",
    "name": "Events",
    "namespace": "root",
    "fields": [{"name": "item", "type": ["null", "string"]}, {"name": "ms", "type": ["null", "long"]}],
}


def schema(logical: bool) -> dict:
    """Returns the schema of the export, with or without `use_avro_logical_types`."""
    text = lambda kind: {"type": "string", "sqlType": kind}  # noqa: E731
    times = {
        "day": {"type": "int", "logicalType": "date"},
        "local": {"type": "string", "logicalType": "datetime"},
        "at": {"type": "long", "logicalType": "timestamp-micros"},
        "clock": {"type": "long", "logicalType": "time-micros"},
    }
    if not logical:
        times = {"day": text("DATE"), "local": text("DATETIME"), "at": "long", "clock": text("TIME")}
    kinds = {
        "id": "long",
        "score": "double",
        "flag": "boolean",
        "name": "string",
        "raw": "bytes",
        "price": {"type": "bytes", "logicalType": "decimal", "precision": 38, "scale": 9},
        "big": {"type": "bytes", "logicalType": "decimal", "precision": 77, "scale": 38},
        **times,
        "place": text("GEOGRAPHY"),
        "doc": text("JSON"),
    }
    fields = [{"name": name, "type": ["null", kind]} for name, kind in kinds.items()]
    fields += [{"name": "items", "type": {"type": "array", "items": "long"}}]
    fields += [{"name": "events", "type": {"type": "array", "items": EVENT}}]
    return {"type": "record", "name": "Root", "fields": fields}


def rows(logical: bool) -> list[dict]:
    """Returns a row of usual values, and one of nulls."""
    usual = {
        "id": 2**53 + 1,
        "score": 1.5,
        "flag": True,
        "name": "ann, ü",
        "raw": b"\x00\xff",
        "price": Decimal("12.34"),
        "big": Decimal("0.125"),
        "day": WHEN.date() if logical else "2024-02-29",
        "local": "2024-02-29T12:30:15.250000",
        "at": WHEN if logical else 1709209815250000,
        "clock": WHEN.time() if logical else "12:30:15.250000",
        "place": "POINT(1 2)",
        "doc": '{"a":1}',
        "items": [12, 7],
        "events": [{"item": "a", "ms": 20}, {"item": None, "ms": 30}],
    }
    return [usual, {**dict.fromkeys(usual), "items": [], "events": []}]


def main(to: Path) -> None:
    """Writes everything, under the names that BigQuery gives: `prefix-000000000000.avro`."""
    for name, logical, codec in (("logical", True, "snappy"), ("plain", False, "deflate")):
        with (to / f"{name}-000000000000.avro").open("wb") as file:
            fastavro.writer(file, schema(logical), rows(logical), codec=codec)

    lines = [
        {
            "id": str(2**53 + 1),
            "score": 1.5,
            "flag": True,
            "name": "ann, ü",
            "raw": "AP8=",
            "price": "12.34",
            "day": "2024-02-29",
            "local": "2024-02-29T12:30:15.250000",
            "at": "2024-02-29 12:30:15.250000 UTC",
            "items": ["12", "7"],
            "events": [{"item": "a", "ms": "20"}, {"item": "b", "ms": "30"}],
        },
        {"items": [], "events": []},
    ]
    text = "".join(json.dumps(line, separators=(",", ":"), ensure_ascii=False) + "\n" for line in lines)
    (to / "rows-000000000000.json").write_text(text)
    (to / "rows-000000000001.json.gz").write_bytes(gzip.compress(text.encode(), mtime=0))

    with (to / "rows-000000000000.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "score", "flag", "name", "price", "day", "at"])
        writer.writerow([2**53 + 1, "1.5", "true", "ann, ü", "12.34", "2024-02-29", "2024-02-29 12:30:15.25 UTC"])
        writer.writerow([""] * 7)

    own, kinds = (
        rows(True),
        {"price": pa.decimal128(38, 9), "big": pa.decimal256(76, 38), "at": pa.timestamp("us", "UTC")},
    )
    kinds |= {"local": pa.timestamp("us"), "day": pa.date32(), "clock": pa.time64("us")}
    own[0]["local"] = WHEN.replace(tzinfo=None)
    table = pa.table({name: pa.array([row[name] for row in own], kinds.get(name)) for name in own[0]})
    pq.write_table(table, to / "rows-000000000000.parquet", compression="snappy")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
