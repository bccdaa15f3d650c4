"""Small valid files of everything that the package reads, to be spoilt by `tests.fuzz.mutate`.

Made from code and a fixed seed, so that an input is known by its number. Where SEQCOLS_TEST_DATA names the directory of real
data sets, some rows of those, too (`real_entries`); they have inputs of their own, so that the others stay what they are.

A new format is one more function in `_MAKERS`, a new codec one line in `files.CODECS` and its name in the list of a maker.
"""

from __future__ import annotations

import csv
import io
import json
import os
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.command.tf_examples import encode
from pipeline.sources.tfrecord.framing import framed
from tests.fuzz import documents
from tests.fuzz.files import Entry, parquet_file
from transforms.rows.rejection import SCHEMA

Row = dict[str, Any]


def entries() -> list[Entry]:
    """Returns the files that are made from code, always the same."""
    return [entry for make in _MAKERS for entry in make(random.Random(make.__name__))]


def sample_row(rng: random.Random, number: int) -> Row:
    """Returns a row that every column takes, with a value of each kind now and then at the edge of what is allowed."""
    steps = rng.choice([0, 1, 2, 5])
    return {
        "id": number,
        "name": rng.choice(["omar", "", "é", "a,b", 'say "no"', "two\nlines", "日本"]),
        "raw": rng.choice([b"\x00\xff", b"", b"abc"]),
        "ids": [rng.randrange(10) for _ in range(steps)] or None,
        "x": [rng.choice([0.0, -1.5, 1e30, rng.random()]) for _ in range(2 * steps)],
        "n": [rng.choice([0, -1, 2**31 - 1, rng.randrange(100)]) for _ in range(rng.randrange(1, 4))],
        "words": [rng.choice(["omar", "stringer", "marlo", "", "x" * 30]) for _ in range(rng.randrange(4))],
        "t": [rng.choice([20.5, float("nan"), float("inf"), -3.0]) for _ in range(rng.randrange(4))],
        "csv": rng.choice(["1;2.5;nan", "", " 7 ", None]),
        "w": [rng.random(), -rng.random()],
        "label": rng.choice([0, 1, 2, None]),
        "steps": [[rng.random(), rng.random()] for _ in range(rng.randrange(3))],
        "many": [[rng.randrange(10) for _ in range(rng.randrange(3))] for _ in range(rng.randrange(3))],
        "not_a_column": rng.choice([None, "skipped", "é"]),
    }


def _rows(rng: random.Random, count: int = 5) -> list[Row]:
    """Returns good rows, and one in which something is bad."""
    made = [sample_row(rng, number) for number in range(count)]
    spoilt: Row = rng.choice(
        [{"ids": [99]}, {"x": [1.0]}, {"w": None}, {"n": None}, {"t": ["warm"]}, {"label": [1, 2]}]
    )
    made[rng.randrange(count)] |= spoilt
    return made


def _flat(row: Mapping[str, Any]) -> Row:
    """Returns a row without nested lists, as a tf.Example holds it."""
    return {k: [v for step in value for v in step] if k in ("steps", "many") else value for k, value in row.items()}


def example_record(row: Mapping[str, Any]) -> bytes:
    """Returns a row as a tf.Example, in every process the same bytes: protobuf writes maps in any order otherwise."""
    from tensorflow.core.example import example_pb2

    return bytes(example_pb2.Example.FromString(encode(row)).SerializeToString(deterministic=True))


def sequence_record(row: Mapping[str, Any]) -> bytes:
    """Returns a row as a tf.SequenceExample: some of the sequences are feature lists, the rest is context."""
    from tensorflow.core.example import example_pb2

    made = example_pb2.SequenceExample()
    lists = {k: v for k, v in row.items() if k in ("ids", "x", "steps", "many") and v is not None}
    context = example_pb2.Example.FromString(encode({k: v for k, v in row.items() if k not in lists}))
    made.context.CopyFrom(context.features)
    for name, steps in lists.items():
        width = 2 if name == "x" else 1
        cut = steps if name in ("steps", "many") else [steps[k : k + width] for k in range(0, len(steps), width)]
        for step in cut:
            one = example_pb2.Example.FromString(encode({name: list(step)}))
            made.feature_lists.feature_list[name].feature.add().CopyFrom(one.features.feature[name])
    return bytes(made.SerializeToString(deterministic=True))


def _tfrecords(rng: random.Random) -> Iterator[Entry]:
    examples = [example_record(_flat(row)) for row in _rows(rng)]
    sequences = [sequence_record(row) for row in _rows(rng)]
    mixed = [record for pair in zip(examples, sequences, strict=True) for record in pair][:7]
    for format, records in (
        ("TFRecord of tf.Example", examples),
        ("TFRecord of tf.SequenceExample", sequences),
        ("TFRecord of both", mixed),
    ):
        for codec in ("", "gz"):
            file = "input.tfrecord" + (f".{codec}" if codec else "")
            yield Entry(format, file, framed(records), "tfrecord", codec)
    yield Entry("TFRecord of tf.Example", "unnamed", framed(examples), "tfrecord")


def _json_lines(rng: random.Random) -> Iterator[Entry]:
    def line(row: Row) -> str:
        named = {k: v.decode("latin-1") if isinstance(v, bytes) else v for k, v in row.items()}
        return json.dumps(named, ensure_ascii=rng.random() < 0.5)

    text = "".join(f"{line(row)}\n" for row in _rows(rng)).encode()
    yield Entry("JSON Lines", "input.jsonl", text, "lines")
    yield Entry("JSON Lines", "input.jsonl.gz", text, "lines", "gz")
    yield Entry("JSON Lines", "input.ndjson", b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), "lines")
    yield Entry("JSON Lines", "unnamed", text, "lines", "gz")
    wide = [json.dumps({"id": k, "x": [0.5] * 2 * k, "n": [k], "w": [1, 2.5]}) + "\n" for k in range(12)]
    yield Entry("JSON Lines", "input.jsonl", "".join(wide).encode(), "lines")


def _cell(value: Any) -> str | None:
    """Returns a value as a cell: what is in a list after one another, a semicolon between."""
    if isinstance(value, list):
        return ";".join(str(_cell(item)) for item in value)
    return value.decode("latin-1") if isinstance(value, bytes) else None if value is None else str(value)


def _csv(rng: random.Random) -> Iterator[Entry]:
    for end, delimiter, codec, file in (
        ("\n", ",", "", "input.csv"),
        ("\r\n", ",", "gz", "input.csv.gz"),
        ("\n", "\t", "", "input.tsv"),
    ):
        rows = _rows(rng)
        held = io.StringIO(newline="")
        writer = csv.writer(held, delimiter=delimiter, lineterminator=end)
        writer.writerow(rows[0])
        writer.writerows([_cell(value) for value in _flat(row).values()] for row in rows)
        yield Entry("CSV", file, held.getvalue().encode(), "lines", codec, "texts")


PARQUET: Final = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.string()),
        ("raw", pa.binary()),
        ("ids", pa.list_(pa.int64())),
        ("x", pa.list_(pa.float32())),
        ("n", pa.large_list(pa.int32())),
        ("words", pa.list_(pa.dictionary(pa.int32(), pa.string()))),
        ("t", pa.list_(pa.float64())),
        ("csv", pa.large_string()),
        ("w", pa.list_(pa.float64(), 2)),
        ("label", pa.uint8()),
        ("steps", pa.list_(pa.list_(pa.float32()))),
        ("many", pa.list_(pa.list_(pa.int16()))),
        ("not_a_column", pa.string()),
    ]
)
_OTHER: Final = {
    "id": pa.uint64(),
    "name": pa.dictionary(pa.int32(), pa.string()),
    "t": pa.list_(pa.float16()),
    "label": pa.float64(),
    "n": pa.list_(pa.string()),
    "not_a_column": pa.struct([("a", pa.timestamp("ns")), ("b", pa.list_(pa.decimal128(5, 2)))]),
}


def _table(rng: random.Random, other: bool = False) -> pa.Table:
    rows = [{k: v for k, v in row.items() if row.get("w")} for row in _rows(rng, 6)]
    rows = [
        {**row, "t": [1.0], "label": 1} if "warm" in str(row) or row.get("label") == [1, 2] else row for row in rows
    ]
    if not other:
        return pa.Table.from_pylist([row for row in rows if row], PARQUET)
    schema = pa.schema([field.with_type(_OTHER.get(field.name, field.type)) for field in PARQUET])
    for row in rows:
        row["t"] = [np.float16(value) for value in row.get("t", [])]
        row["n"] = [str(value) for value in row.get("n") or [1]]
        row["not_a_column"] = None
    return pa.Table.from_pylist([row for row in rows if row], schema)


def _parquet(rng: random.Random) -> Iterator[Entry]:
    ways: list[dict[str, Any]] = [
        {"compression": "none"},
        {"compression": "snappy", "row_group_size": 3},
        {"compression": "zstd", "write_page_checksum": True},
        {"compression": "gzip", "data_page_version": "2.0", "use_dictionary": False},
        {"compression": "lz4", "write_page_checksum": True, "row_group_size": 4, "data_page_version": "2.0"},
        {"compression": "brotli", "write_page_index": True, "store_schema": False},
    ]
    for way in ways:
        sums = "with checksums" if way.get("write_page_checksum") else "without checksums"
        yield Entry(f"Parquet {sums}", "input.parquet", parquet_file(_table(rng), **way), "parquet")
    yield Entry("Parquet without checksums", "unnamed", parquet_file(_table(rng, other=True)), "parquet")
    narrow = pa.table({"id": pa.array(range(50)), "n": [[k] for k in range(50)], "w": [[0.0, 1.0]] * 50})
    encoded = {"use_dictionary": False, "column_encoding": {"id": "DELTA_BINARY_PACKED"}, "compression": "none"}
    yield Entry("Parquet without checksums", "input.pq", parquet_file(narrow, **encoded), "parquet", columns="narrow")
    rejected = [
        {"file": "a.csv", "row": k, "reason": "non_finite", "column": "x", "value": "nan", "message": "expected finite",
         "record_format": "csv", "record": b"1,2\n"}
        for k in range(4)
    ]  # fmt: skip
    table = pa.Table.from_pylist(rejected, SCHEMA)
    data = parquet_file(table, write_page_checksum=True, compression="zstd")
    yield Entry("rejected rows", "input.parquet", data, "parquet", columns="rejected")


AVRO: Final[dict[str, Any]] = {
    "id": "long",
    "name": ["null", "string"],
    "raw": "bytes",
    "ids": ["null", {"type": "array", "items": "int"}],
    "x": {"type": "array", "items": "float"},
    "n": ["null", {"type": "array", "items": "long"}],
    "words": {"type": "array", "items": "string"},
    "t": {"type": "array", "items": ["double", "string"]},
    "csv": ["null", "string"],
    "w": ["null", {"type": "array", "items": "double"}],
    "label": ["null", "int", {"type": "array", "items": "int"}],
    "steps": {"type": "array", "items": {"type": "array", "items": "double"}},
    "many": {"type": "array", "items": {"type": "array", "items": ["int", "null"]}},
    "not_a_column": {"type": "map", "values": "string"},
}


def _avro(rng: random.Random) -> Iterator[Entry]:
    import fastavro

    for codec in ("null", "deflate", "bzip2", "xz"):
        fields = [{"name": name, "type": kind} for name, kind in AVRO.items()]
        schema = fastavro.parse_schema({"type": "record", "name": "Row", "fields": fields})
        rows = [{**row, "not_a_column": {"a": "b"}} for row in _rows(rng)]
        held = io.BytesIO()
        fastavro.writer(held, schema, rows, codec, sync_interval=300, sync_marker=b"0123456789abcdef")
        yield Entry("Avro", "input.avro", held.getvalue(), "avro")


_MAKERS: Final[Sequence[Callable[[random.Random], Iterator[Entry]]]] = (
    _tfrecords,
    _json_lines,
    _csv,
    _parquet,
    _avro,
    documents.columns_files,
    documents.manifests,
    documents.index_files,
)


def real_entries() -> list[Entry]:
    """Returns some rows of the real data in several formats; none where SEQCOLS_TEST_DATA is not set."""
    named = os.environ.get("SEQCOLS_TEST_DATA")
    if not named or not Path(named).is_dir():
        return []
    made: list[Entry] = []
    for name in ("commits/histories.parquet", "vowels/train.parquet"):
        path = Path(named) / name
        table = next(pq.ParquetFile(path).iter_batches(4))
        rows = table.to_pylist()
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        columns = path.parent.name
        data = parquet_file(pa.Table.from_batches([table]), compression="zstd")
        made.append(Entry("real data", "input.parquet", data, "parquet", columns=columns))
        made.append(Entry("real data", "input.jsonl", text, "lines", columns=columns))
        records = framed([example_record(row) for row in rows])
        made.append(Entry("real data", "input.tfrecord", records, "tfrecord", columns=columns))
    return made
