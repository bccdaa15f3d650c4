"""Writes files with DuckDB: `python duck.py FOLDER`. Needs duckdb."""

import sys
from pathlib import Path

import duckdb

TYPES = """
  select * from (values
    (1, true, -8::tinyint, 16::smallint, 200::utinyint, 60000::usmallint, 4000000000::uinteger, 18446744073709551615::ubigint,
     170141183460469231731687303715884105727::hugeint, 1.5::float, 2.25::double, 12.34::decimal(10, 2), 5.0001::decimal(38, 4),
     date '2024-02-29', timestamp '2024-02-29 12:30:15.25', timestamptz '2024-02-29 12:30:15.25+02',
     timestamp_s '2024-02-29 12:30:15',
     timestamp_ms '2024-02-29 12:30:15.25', timestamp_ns '2024-02-29 12:30:15.250000001', time '12:30:15.25',
     interval '1 day', uuid '00112233-4455-6677-8899-aabbccddeeff', 'ann', 'low'::enum('low', 'high'), '\\x00\\xFF'::blob,
     [12, 7], [1.5, 2.5]::double[2], [[1, 2], [], [3]], [{'item': 'a', 'ms': 20}, {'item': 'b', 'ms': 30}], {'city': 'Oslo'},
     map {'k': 1}),
    (2, false, null, null, null, null, null, 0, null, 'nan', null, null, null, null, null, null,
     null, null, null, null, null, null, 'say "hi", ü', null, null, [], [0.0, 1.0], [], [], null, null)
  ) t(id, flag, i8, i16, u8, u16, u32, u64, huge, f32, f64, price, wide, day, "at", zoned, at_s, at_ms, at_ns, clock, span, uuid,
      name, level, raw, items, pair, nested, events, home, tags)
"""

FEW = "select id, flag, day, \"at\", name, price, items, ['a', 'b c'] words, events, home from t"


def main(to: Path) -> None:
    """Writes everything."""
    duckdb.connect(str(to / "data.duckdb")).close()
    base = duckdb.connect()
    base.execute("set timezone = 'UTC'")
    base.execute(f"create table t as {TYPES}")
    for name, options in {
        "types.parquet": "",
        "v2.parquet": "parquet_version v2, compression zstd",
        "lz4.parquet": "compression lz4",
        "brotli.parquet": "compression brotli",
    }.items():
        base.execute(f"copy t to '{to / name}' (format parquet{', ' if options else ''}{options})")
    for name, options in {
        "plain.csv": "",
        "odd.csv": "delimiter '|', nullstr '\\N', force_quote (name)",
        "zstd.csv.zst": "compression zstd",
    }.items():
        base.execute(f"copy ({FEW}) to '{to / name}' (format csv, header true{', ' if options else ''}{options})")
    for name, options in {"lines.json": "", "array.json": "array true", "lines.json.gz": "compression gzip"}.items():
        base.execute(f"copy ({FEW}) to '{to / name}' (format json{', ' if options else ''}{options})")
    base.execute(
        f"copy (select id, [1.5, 2.5]::double[2] ok, case when id = 1 then [1.5, 2.5]::double[2] end pair from t) "
        f"to '{to / 'null_array.parquet'}' (format parquet)"
    )
    parts = "select id, items, case when id = 1 then 'a b/ü' end shop from t"
    base.execute(f"copy ({parts}) to '{to / 'partitioned'}' (format parquet, partition_by (shop), overwrite_or_ignore)")
    base.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
