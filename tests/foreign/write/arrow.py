"""Writes Parquet files with pyarrow, in every encoding and codec it has: `python arrow.py FOLDER`. Needs pyarrow."""

import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
from pyarrow import csv


def types() -> pa.Table:
    """Returns one column of every type of Arrow that Parquet can hold and the other tools here have not."""
    texts = pa.array(["ann", None])
    return pa.table(
        {
            "id": pa.array([1, 2]),
            "f16": pa.array([1.5, None], pa.float16()),
            "f32": pa.array([1.5, None], pa.float32()),
            "f64": pa.array([2.25, None], pa.float64()),
            "i32": pa.array([-7, None], pa.int32()),
            "d32": pa.array([Decimal("1.25"), None], pa.decimal32(5, 2)),
            "d256": pa.array([Decimal("12345678901234567890.5"), None], pa.decimal256(76, 10)),
            "date64": pa.array([1709164800000, None], pa.date64()),
            "time32": pa.array([45015, None], pa.time32("s")),
            "time64": pa.array([45015250000001, None], pa.time64("ns")),
            "at": pa.array([1709209815, None], pa.timestamp("s", "Asia/Kathmandu")),
            "large": texts.cast(pa.large_string()),
            "view": texts.cast(pa.string_view()),
            "bytes_view": pa.array([b"\x00\xff", None], pa.binary_view()),
            "fixed": pa.array([b"abc", None], pa.binary(3)),
            "dictionary": texts.dictionary_encode(),
            "numbers": pa.array([70, None]).dictionary_encode(),
            "items": pa.array([[12, 7], []], pa.large_list(pa.int32())),
            "words": pa.array([["a", "b c"], []], pa.list_(pa.dictionary(pa.int32(), pa.string()))),
            "pair": pa.array([[1.5, 2.5], [0.0, 1.0]], pa.list_(pa.float32(), 2)),
            "halves": pa.array([[1.5, 2.5], []], pa.list_(pa.float16())),
            "nothing": pa.nulls(2),
            "user.id": pa.array([9, 8]),
            "tags": pa.array([[("k", 1)], []], pa.map_(pa.string(), pa.int32())),
        }
    )


def encoded() -> pa.Table:
    """Returns columns of the types that the encodings below are for."""
    return pa.table(
        {
            "id": pa.array(range(60), pa.int64()),
            "small": pa.array([k % 7 for k in range(60)], pa.int32()),
            "f32": pa.array([k / 4 for k in range(60)], pa.float32()),
            "f64": pa.array([k / 8 for k in range(60)], pa.float64()),
            "name": pa.array([f"item-{k // 3:04}" for k in range(60)]),
            "items": pa.array([list(range(k % 4)) for k in range(60)], pa.list_(pa.int64())),
            "flag": pa.array([k % 3 == 0 for k in range(60)]),
        }
    )


ENCODINGS = {
    "delta": {"id": "DELTA_BINARY_PACKED", "small": "DELTA_BINARY_PACKED", "name": "DELTA_BYTE_ARRAY"},
    "delta_length": {"name": "DELTA_LENGTH_BYTE_ARRAY", "items.list.element": "DELTA_BINARY_PACKED"},
    "split": dict.fromkeys(["f32", "f64", "id", "small"], "BYTE_STREAM_SPLIT"),
    "rle": {"flag": "RLE"},
}


def main(to: Path) -> None:
    """Writes everything."""
    pq.write_table(types(), to / "types.parquet")
    pq.write_table(types().drop_columns(["f16", "halves"]), to / "flavor.parquet", version="1.0", flavor="spark")
    for name, encodings in ENCODINGS.items():
        how = {"use_dictionary": False, "column_encoding": encodings, "data_page_version": "2.0", "row_group_size": 25}
        pq.write_table(encoded(), to / f"{name}.parquet", **how, compression="none", write_page_checksum=name == "rle")
    for codec in ("gzip", "brotli", "lz4", "zstd", "snappy"):
        pq.write_table(encoded().slice(0, 20), to / f"{codec}.parquet", compression=codec)
    pq.write_table(types().slice(0, 0), to / "empty.parquet")
    csv.write_csv(encoded().select(["id", "f64", "name", "flag"]).slice(0, 3), to / "plain.csv")
    with pa.ipc.new_stream(to / "stream", encoded().schema) as writer:
        writer.write_table(encoded().slice(0, 3))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
