"""Writes files with Polars: `python polars_.py FOLDER`. Needs polars and, for the workbook, xlsxwriter."""

import datetime as dt
import sys
from decimal import Decimal
from pathlib import Path

import polars as pl

WHEN = dt.datetime(2024, 2, 29, 12, 30, 15, 250000)


def types() -> pl.DataFrame:
    """Returns a row of usual values and one of nulls, in every type that Parquet has a place for."""
    zoned = WHEN.replace(tzinfo=dt.UTC)
    columns = {
        "id": ([1, 2], pl.Int64),
        "flag": ([True, None], pl.Boolean),
        "i8": ([-8, None], pl.Int8),
        "i16": ([16, None], pl.Int16),
        "i32": ([32, None], pl.Int32),
        "u8": ([200, None], pl.UInt8),
        "u16": ([60000, None], pl.UInt16),
        "u32": ([4_000_000_000, None], pl.UInt32),
        "u64": ([2**64 - 1, None], pl.UInt64),
        "f32": ([1.5, None], pl.Float32),
        "f64": ([2.25, None], pl.Float64),
        "price": ([Decimal("12.34"), None], pl.Decimal(10, 2)),
        "day": ([WHEN.date(), None], pl.Date),
        "at_ms": ([WHEN, None], pl.Datetime("ms")),
        "at_us": ([zoned, None], pl.Datetime("us", "Europe/Paris")),
        "at_ns": ([zoned, None], pl.Datetime("ns", "UTC")),
        "span": ([dt.timedelta(seconds=90), None], pl.Duration("ms")),
        "clock": ([WHEN.time(), None], pl.Time),
        "name": (["ann, ü", None], pl.String),
        "raw": ([b"\x00\xff", None], pl.Binary),
        "kind": (["red", None], pl.Categorical),
        "level": (["low", None], pl.Enum(["low", "high"])),
        "nothing": ([None, None], pl.Null),
        "items": ([[12, 7], None], pl.List(pl.Int64)),
        "words": ([["a", "b c"], []], pl.List(pl.Categorical)),
        "pair": ([[1.5, 2.5], [0.0, 1.0]], pl.Array(pl.Float32, 2)),
        "nested": ([[[1, 2], [], [3]], []], pl.List(pl.List(pl.Int64))),
        "events": (
            [[{"item": "a", "ms": 20}, {"item": "b", "ms": 30}], []],
            pl.List(pl.Struct({"item": pl.String, "ms": pl.Int64})),
        ),
        "home": ([{"city": "Oslo"}, None], pl.Struct({"city": pl.String})),
        "steps": ([{"ms": [20, 30]}, {"ms": []}], pl.Struct({"ms": pl.List(pl.Int64)})),
    }
    return pl.DataFrame([pl.Series(name, values, kind, strict=False) for name, (values, kind) in columns.items()])


def main(to: Path) -> None:
    """Writes everything."""
    data = types()
    data.write_parquet(to / "types.parquet")
    data.lazy().sink_parquet(to / "sunk.parquet", compression="lz4", data_page_size=64)
    few = data.select("id", "flag", "price", "day", "at_us", "name", "items", "words", "events", "home")
    few.write_ndjson(to / "lines.ndjson")
    few.write_json(to / "array.json")
    data.select("id", "flag", "f64", "price", "day", "at_us", "clock", "name").write_csv(to / "plain.csv")
    odd = {"separator": ";", "include_bom": True, "quote_style": "always", "line_terminator": "\r\n"}
    data.select("id", "f64", "name").write_csv(to / "odd.csv", **odd)
    plain = data.select("id", "flag", "i32", "f32", "f64", "day", "at_ms", "name", "raw", "items", "home")
    plain.write_avro(to / "types.avro")
    data.select("id", "items").write_avro(to / "snappy.avro", compression="snappy")
    few.write_ipc(to / "few.arrow")
    few.write_ipc_stream(to / "few.arrows")
    data.select("id", "name").write_excel(to / "book.xlsx")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
