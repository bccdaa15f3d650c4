"""The Avro source against fastavro's own reader, and against damage of every kind."""

from __future__ import annotations

import base64
import datetime
import io
import json
import pickle
import random
import tracemalloc
import uuid
import zlib
from collections.abc import Mapping, Sequence
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources import compression
from pipeline.sources.formats import SOURCES, source_for
from pipeline.sources.limits import Limits
from tests.faults.formats import BLOCK_PACKERS, SYNC, avro_bytes, avro_container, repacked
from tests.jobs import assert_balanced, done, read_arrays, read_rejected, recovered, run_job
from tests.marks import slow_but
from transforms import (
    SequenceGroup,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import JobError
from transforms.rows import origin
from transforms.rows.marks import UNREADABLE, unreadable

SOURCE = SOURCES["avro"]
LIMITS: list[dict[str, int]] = [
    {},
    *({"max_batch_rows": n} for n in (1, 7)),
    *({"max_batch_bytes": n} for n in (1, 100)),
]


def record(*fields: tuple[str, Any], name: str = "R") -> dict[str, Any]:
    return {"type": "record", "name": name, "fields": [{"name": n, "type": kind} for n, kind in fields]}


def array(items: Any) -> dict[str, Any]:
    return {"type": "array", "items": items}


def union(*branches: Any) -> list[Any]:
    return list(branches)


SCHEMA = record(
    ("id", "long"),
    ("small", "int"),
    ("x", array("float")),
    ("y", union("null", array("double"))),
    ("nested", array(array(union("null", "long")))),
    ("text", union("string", "null")),
    ("data", "bytes"),
    ("flag", "boolean"),
    ("kind", {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}),
    ("kinds", array("Kind")),
    ("fixed", {"type": "fixed", "name": "Two", "size": 2}),
    ("names", array("string")),
    ("map", {"type": "map", "values": union("null", "string")}),
    ("sub", record(("a", "int"), ("b", array("string")), name="Sub")),
)
TYPES = {
    "id": pa.int64(),
    "small": pa.int32(),
    "x": pa.large_list(pa.float32()),
    "y": pa.large_list(pa.float64()),
    "nested": pa.large_list(pa.large_list(pa.int64())),
    "text": pa.large_string(),
    "data": pa.large_binary(),
    "flag": pa.bool_(),
    "kind": pa.large_string(),
    "kinds": pa.large_list(pa.large_string()),
    "fixed": pa.large_binary(),
    "names": pa.large_list(pa.large_string()),
    "map": pa.map_(pa.large_string(), pa.large_string()),
    "sub": pa.struct([("a", pa.int32()), ("b", pa.large_list(pa.large_string()))]),
}


def made_row(rng: random.Random, number: int) -> dict[str, Any]:
    some = range(rng.randrange(4))
    return {
        "id": number,
        "small": rng.randrange(-(2**31), 2**31),
        "x": [float(np.float32(rng.random())) for _ in some],
        "y": None if rng.random() < 0.3 else [rng.random() for _ in some],
        "nested": [[rng.choice([None, rng.randrange(2**62)]) for _ in some] for _ in some],
        "text": rng.choice([None, "", "é\x00\n", "abc"]),
        "data": rng.randbytes(3),
        "flag": rng.random() < 0.5,
        "kind": rng.choice("AB"),
        "kinds": [rng.choice("AB") for _ in some],
        "fixed": rng.randbytes(2),
        "names": ["ü" * k for k in some],
        "map": {f"k{k}": rng.choice([None, "v"]) for k in some},
        "sub": {"a": 1, "b": ["x" for _ in some]},
    }


def made_rows(count: int, seed: int = 0) -> list[dict[str, Any]]:
    rng = random.Random(seed)
    return [made_row(rng, k) for k in range(count)]


def write(path: Path, schema: Any, records: Sequence[Any], codec: str = "null", sync_interval: int = 16_000) -> str:
    """Of snappy and zstandard fastavro writes what is packed afterwards: it needs another library for them."""
    by_hand = codec in BLOCK_PACKERS
    whole = avro_container(schema, records, "null" if by_hand else codec, sync_interval)
    path.write_bytes(repacked(whole, codec) if by_hand else whole)
    return str(path)


def reads(path: str | Path, **limits: int) -> list[Any]:
    [split] = SOURCE.parts(str(path))
    return list(SOURCE.read(split, {}, Limits(**limits)))


def results(steps: Sequence[Any]) -> list[dict[str, tuple[Any, pa.DataType]]]:
    """Every row's values with their types."""
    made: dict[int, dict[str, tuple[Any, pa.DataType]]] = {}
    for step in steps:
        assert step.rejected is None
        if step.batch is None:
            continue
        numbers = origin.row_numbers(step.batch).tolist()
        assert numbers == sorted(numbers)
        names = [name for name in step.batch.schema.names if name not in origin.RESERVED]
        columns = {name: step.batch.column(name) for name in names}
        for k, number in enumerate(numbers):
            assert number not in made
            made[number] = {name: (column[k].as_py(), column.type) for name, column in columns.items()}
    assert sorted(made) == list(range(len(made)))
    return [made[number] for number in range(len(made))]


def read(path: str | Path, **limits: int) -> list[dict[str, Any]]:
    return [{name: value for name, (value, _) in row.items()} for row in results(reads(path, **limits))]


def expected(path: str | Path) -> list[Any]:
    """What fastavro's reader says, with maps as Arrow shows them."""
    with Path(path).open("rb") as handle:
        return [as_arrow(row) for row in fastavro.reader(handle)]


CODECS = ["null", "deflate", "bzip2", "xz", "zstandard", "snappy"]


def as_arrow(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: list(value.items()) if name == "map" else value for name, value in row.items()}


def container(schema: Any, *blocks: tuple[int, bytes], codec: str = "null") -> bytes:
    """A file, put together by hand; blocks are counts and data."""
    text = schema if isinstance(schema, bytes) else json.dumps(schema).encode()
    meta = {b"avro.schema": text, b"avro.codec": codec.encode()}
    head = b"".join(avro_bytes(len(part)) + part for entry in meta.items() for part in entry)
    body = b"".join(avro_bytes(count) + avro_bytes(len(data)) + data + SYNC for count, data in blocks)
    return b"Obj\x01" + avro_bytes(len(meta)) + head + avro_bytes(0) + SYNC + body


def encoded(schema: Any, *records: Any) -> bytes:
    out = io.BytesIO()
    for row in records:
        fastavro.schemaless_writer(out, schema, row)
    return out.getvalue()


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("interval", slow_but([1000, 10_000_000], 10_000_000))
def test_values_types_rows_and_records_are_those_of_the_file(tmp_path, codec, interval):
    path = write(tmp_path / "a.avro", SCHEMA, made_rows(1500), codec=codec, sync_interval=interval)
    plain = write(tmp_path / "plain.avro", SCHEMA, made_rows(1500))
    steps = reads(path, max_batch_rows=1024)
    found = results(steps)
    assert [{name: value for name, (value, _) in row.items()} for row in found] == expected(plain)
    assert all({name: kind for name, (_, kind) in row.items()} == TYPES for row in found)
    assert [step.batch.num_rows for step in steps if step.batch is not None] == [0, 1024, 476]
    assert all(origin.file_of(step.batch) == path for step in steps if step.batch is not None)
    assert sum(step.size for step in steps) == SOURCE.parts(path)[0].size
    kind, streams = origin.encode_records(steps[1].batch, np.array([3]))
    [stream] = streams.to_pylist()
    assert kind == "arrow-ipc" and recovered(stream) == expected(plain)[3]
    assert SOURCE.features(path) == TYPES
    assert steps[0].batch.schema.names == [*TYPES, origin.ROW_COLUMN, origin.RECORD_COLUMN]


def test_what_a_row_becomes_depends_on_that_row_alone(tmp_path):
    path = write(tmp_path / "a.avro", SCHEMA, made_rows(300), sync_interval=500)
    want = results(reads(path))
    for limits in LIMITS:
        assert results(reads(path, **limits)) == want


def test_batches_keep_both_limits(tmp_path):
    schema = record(("x", array("long")))
    path = write(tmp_path / "a.avro", schema, [{"x": [0] * (5000 if k == 300 else k % 50)} for k in range(700)])
    batches = [step.batch for step in reads(path, max_batch_rows=100, max_batch_bytes=1000) if step.batch is not None]
    sizes = [batch.column("x").nbytes // 8 for batch in batches]
    assert sum(batch.num_rows for batch in batches) == 700 and max(batch.num_rows for batch in batches) <= 100
    assert [batch.num_rows for batch, size in zip(batches, sizes, strict=True) if size > 1000] == [1]


LEAVES: dict[str, st.SearchStrategy[Any]] = {
    "long": st.integers(-(2**63), 2**63 - 1),
    "int": st.integers(-(2**31), 2**31 - 1),
    "float": st.floats(width=32, allow_nan=False),
    "double": st.floats(allow_nan=False),
    "string": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
    "boolean": st.booleans(),
}


def nested(kind: Any, values: st.SearchStrategy[Any], depth: int) -> tuple[Any, st.SearchStrategy[Any]]:
    for _ in range(depth):
        kind, values = array(union("null", kind)), st.lists(st.none() | values, max_size=3)
    return union("null", kind), st.none() | values


@given(st.lists(st.tuples(st.sampled_from(sorted(LEAVES)), st.integers(0, 3)), min_size=1, max_size=4), st.data())
def test_rows_of_any_types_come_back(tmp_path, columns, data):
    fields = {f"f{k}": nested(kind, LEAVES[kind], depth) for k, (kind, depth) in enumerate(columns)}
    schema = record(*((name, kind) for name, (kind, _) in fields.items()))
    wanted = st.fixed_dictionaries({name: values for name, (_, values) in fields.items()})
    path = write(tmp_path / "a.avro", schema, data.draw(st.lists(wanted, max_size=6)), sync_interval=20)
    for limits in LIMITS:
        assert read(path, **limits) == expected(path)


VARIED = union("null", "long", "double", "string", "boolean", array("int"), {"type": "map", "values": "int"})
VALUES = [None, 1, 1.5, "s", True, [1, 2], {"a": 1}, 2**60, [], "t", 2.0]
FOUND = [
    (None, pa.null()),
    (1, pa.int64()),
    (1.5, pa.float64()),
    (b"s", pa.binary()),
    (True, pa.bool_()),
    ([1, 2], pa.list_(pa.int64())),
    (unreadable({"a": 1}), UNREADABLE),
    (2**60, pa.int64()),
    ([], pa.list_(pa.null())),
    (b"t", pa.binary()),
    (2.0, pa.float64()),
]


def test_each_row_of_a_union_of_several_types_has_its_own(tmp_path):
    order = random.Random(1).choices(range(len(VALUES)), k=500)
    schema = record(("id", "int"), ("u", VARIED))
    path = write(tmp_path / "a.avro", schema, [{"id": k, "u": VALUES[k]} for k in order], sync_interval=300)
    for limits in LIMITS:
        steps = reads(path, **limits)
        assert [row["u"] for row in results(steps)] == [FOUND[k] for k in order]
        assert [row["id"][0] for row in results(steps)] == order
    assert len(reads(path)) <= 2 + len(set(map(str, FOUND)))
    assert SOURCE.features(path) == {"id": pa.int32(), "u": pa.null()}


def test_lists_of_several_types_are_what_arrow_can_hold(tmp_path):
    values = [[1, 2.5], [1, 2], [2**60 + 1, 0.5], [True, 1], ["a", 1], ["a", "b"]]
    schema = record(("u", array(union("boolean", "long", "double", "string"))))
    found = [row["u"] for row in results(reads(write(tmp_path / "a.avro", schema, [{"u": v} for v in values])))]
    assert found[0] == ([1.0, 2.5], pa.list_(pa.float64()))
    assert found[5] == ([b"a", b"b"], pa.list_(pa.binary()))
    assert [next(iter(value.values())) for value, _ in found[2:5]] == [
        "[1152921504606846977, 0.5]",
        "[True, 1]",
        "[b'a', 1]",
    ]


def test_types_that_arrow_has_not(tmp_path):
    schema = record(
        ("self", union("null", "R")),
        ("bag", {"type": "map", "values": union("long", "string")}),
        ("mixed", record(("a", union("int", "string")), ("b", "long"), name="M")),
        ("mixes", array("M")),
        ("same", union("string", {"type": "enum", "name": "E", "symbols": ["A"]})),
        ("nothing", "null"),
        ("wide", {"type": "bytes", "logicalType": "decimal", "precision": 80}),
    )
    row = {
        "bag": {"a": 1, "b": "x"},
        "mixed": {"a": 1, "b": 2},
        "mixes": [{"a": "s", "b": 3}],
        "same": "A",
        "nothing": None,
    }
    row = {**row, "self": None, "wide": Decimal(5)}
    path = write(tmp_path / "a.avro", schema, [row, {**row, "self": row}])
    kinds = {name: UNREADABLE for name in ("self", "bag")}
    mixed = pa.struct([("a", UNREADABLE), ("b", pa.int64())])
    kinds |= {"mixed": mixed, "mixes": pa.large_list(mixed)}
    assert SOURCE.features(path) == {**kinds, "same": pa.large_string(), "nothing": pa.null(), "wide": pa.null()}
    first, second = read(path)
    assert first["wide"] == Decimal(5)
    assert first["bag"] == unreadable({"a": 1, "b": b"x"}) and first["self"] is None and first["same"] == "A"
    assert next(iter(second["self"].values())).startswith("{'self': None, 'bag'")
    assert first["mixed"] == {"a": unreadable(1), "b": 2}  # a field of several types leaves its neighbours alone
    assert first["mixes"] == [{"a": unreadable(b"s"), "b": 3}]


def test_decimals_of_more_digits_than_arrow_has(tmp_path):
    """As BigQuery's BIGNUMERIC: each row has the digits that it needs, and one that needs more leaves the others alone."""
    wide = {"type": "bytes", "logicalType": "decimal", "precision": 100, "scale": 38}
    values = [
        Decimal("0.125"),
        Decimal("-5"),
        Decimal("12345678901234567890123456789012345678.5"),
        None,
        Decimal(10) ** 50,
    ]
    schema = record(("x", union("null", wide)), ("y", array(wide)))
    path = write(tmp_path / "a.avro", schema, [{"x": x, "y": [Decimal("0.5")]} for x in values])
    rows = read(path)
    assert [row["x"] for row in rows][:4] == values[:4]
    assert rows[4]["x"] == unreadable(Decimal(10**50).quantize(Decimal(1).scaleb(-38), context=Context(prec=100)))
    assert [row["y"] for row in rows] == [[Decimal("0.5")]] * 5


def logical(kind: str, means: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": means, **more}


def test_logical_types_are_those_of_arrow(tmp_path):
    schema = record(
        ("day", logical("int", "date")),
        ("at", logical("long", "timestamp-micros")),
        ("times", array(logical("long", "timestamp-millis"))),
        ("time", logical("int", "time-millis")),
        ("uuid", logical("string", "uuid")),
        ("price", logical("bytes", "decimal", precision=9, scale=2)),
        ("fixed", logical("fixed", "decimal", precision=40, name="F", size=20)),
        ("unknown", logical("long", "my-type")),
    )
    at = datetime.datetime(2020, 1, 2, tzinfo=datetime.UTC)
    row = {"day": datetime.date(1970, 2, 1), "at": at, "times": [at], "time": datetime.time(0, 0, 1), "uuid": "u"}
    row = {**row, "price": Decimal("1.25"), "fixed": Decimal(7), "unknown": 3}
    path = write(tmp_path / "a.avro", schema, [row])
    assert read(path) == [row]
    kinds = SOURCE.features(path)
    assert (kinds["day"], kinds["at"], kinds["uuid"]) == (pa.date32(), pa.timestamp("us", "UTC"), pa.large_string())
    assert (kinds["times"], kinds["time"]) == (pa.large_list(pa.timestamp("ms", "UTC")), pa.time32("ms"))
    assert (kinds["price"], kinds["fixed"]) == (pa.decimal128(9, 2), pa.decimal256(40, 0))


def test_times_and_uuids_in_a_union_of_several_types_are_what_they_are_alone(tmp_path):
    day, at, local = (
        datetime.date(1970, 2, 1),
        datetime.datetime(2020, 1, 2, 3, tzinfo=datetime.UTC),
        "local-timestamp-micros",
    )
    one = uuid.UUID(int=7)
    kinds: list[tuple[Any, pa.DataType, Any]] = [
        (logical("int", "date"), pa.date32(), day),
        (logical("int", "time-millis"), pa.time32("ms"), datetime.time(1, 2, 3, 4000)),
        (logical("long", "time-micros"), pa.time64("us"), datetime.time(1, 2, 3, 4)),
        (logical("long", "timestamp-millis"), pa.timestamp("ms", "UTC"), at),
        (logical("long", "timestamp-micros"), pa.timestamp("us", "UTC"), at),
        (logical("long", local), pa.timestamp("us"), at.replace(tzinfo=None)),
        (logical("fixed", "uuid", name="Id", size=16), pa.uuid(), one),
    ]
    for kind, arrow, value in kinds:
        again, put = ("Id", one.bytes) if value is one else (kind, value)
        schema = record(("u", union("null", kind, "double")), ("v", array(union("string", again))))
        rows = [{"u": put, "v": [put, put]}, {"u": 1.5, "v": ["a"]}, {"u": None, "v": [put, "a"]}]
        path = write(tmp_path / "a.avro", schema, rows)
        for limits in LIMITS:
            found = results(reads(path, **limits))
            assert [row["u"] for row in found] == [(value, arrow), (1.5, pa.float64()), (None, pa.null())]
            assert found[0]["v"] == ([value, value], pa.large_list(arrow)) and found[1]["v"][0] == [b"a"]
            assert "seqcols" not in str(found[2]["v"][0].values()) and "b'a'" in str(found[2]["v"])
        assert SOURCE.features(path) == {"u": pa.null(), "v": pa.null()}


def test_logical_types_that_python_or_avro_have_not(tmp_path):
    schema = record(("at", logical("long", "timestamp-micros")), ("odd", logical("bytes", "decimal", precision="9")))
    (tmp_path / "a.avro").write_bytes(container(schema, (1, avro_bytes(2**62) + avro_bytes(1) + b"x")))
    (batch,) = [one.batch for one in reads(tmp_path / "a.avro") if one.batch is not None and one.batch.num_rows]
    assert batch.column("at").cast(pa.int64()).to_pylist() == [2**62]  # a year that Python has not
    assert batch.column("odd").to_pylist() == [b"x"]


def test_text_that_is_not_utf8_is_its_columns_business(tmp_path):
    schema = record(("s", "string"), ("m", {"type": "map", "values": "string"}), ("u", union("long", "string")))
    as_bytes = record(("s", "bytes"), ("m", {"type": "map", "values": "bytes"}), ("u", union("long", "bytes")))
    data = encoded(as_bytes, {"s": b"\xff", "m": {"k": b"\xfe"}, "u": b"\xfd"}, {"s": b"a", "m": {}, "u": 1})
    (tmp_path / "a.avro").write_bytes(container(schema, (2, data.replace(b"k", b"\xfc"))))
    steps = reads(tmp_path / "a.avro")
    columns = [step.batch for step in steps if step.batch is not None][1]
    assert columns.column("s").type == pa.large_string()
    assert columns.column("s").cast(pa.large_binary()).to_pylist() == [b"\xff"]
    assert columns.column("m").keys.to_pylist() == ["\\xfc"] and columns.column("u").to_pylist() == [b"\xfd"]
    assert [step.batch.num_rows for step in steps if step.batch is not None] == [0, 1, 1]


def test_names_defaults_and_nested_definitions(tmp_path):
    inner = {"type": "record", "name": "In", "namespace": "b", "fields": [{"name": "e", "type": "a.E"}]}
    schema = {
        "type": "record",
        "name": "R",
        "namespace": "a",
        "doc": "about",
        "fields": [
            {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["X"], "default": "X"}, "default": 5},
            {"name": "i", "type": inner, "aliases": ["j"]},
            {"name": "l", "type": {"type": {"type": "array", "items": {"type": "long"}}}},
            {"name": "i2", "type": ["null", "b.In"]},
        ],
    }
    data = avro_bytes(0) + avro_bytes(0) + avro_bytes(1) + avro_bytes(7) + avro_bytes(0) + avro_bytes(1) + avro_bytes(0)
    (tmp_path / "a.avro").write_bytes(container(schema, (1, data)))
    assert read(tmp_path / "a.avro") == [{"e": "X", "i": {"e": "X"}, "l": [7], "i2": {"e": "X"}}]


def test_files_without_rows(tmp_path):
    path = write(tmp_path / "a.avro", SCHEMA, [])
    assert read(path) == [] and SOURCE.features(path) == TYPES
    (tmp_path / "b.avro").write_bytes(container(record(("x", "int")), (0, b""), (1, avro_bytes(5)), (0, b"")))
    assert read(tmp_path / "b.avro") == [{"x": 5}]
    assert results(reads(write(tmp_path / "c.avro", record(), [{}, {}]))) == [{}, {}]


def block_ends(whole: bytes) -> list[int]:
    return [at + len(SYNC) for at in range(len(whole)) if whole[at : at + len(SYNC)] == SYNC]


@pytest.mark.parametrize("codec", slow_but(["null", "deflate", "snappy", "zstandard"], "null", "snappy"))
def test_every_cut_is_noticed_except_between_two_blocks(tmp_path, codec):
    path = write(tmp_path / "a.avro", SCHEMA, made_rows(60), codec=codec, sync_interval=300)
    plain = write(tmp_path / "plain.avro", SCHEMA, made_rows(60), sync_interval=300)
    whole, unpacked = Path(path).read_bytes(), Path(plain).read_bytes()
    ends = block_ends(whole)
    assert len(ends) > 5 and ends[-1] == len(whole)
    counts = [sum(1 for _ in fastavro.reader(io.BytesIO(unpacked[:end]))) for end in block_ends(unpacked)]
    before = dict(zip(ends, counts, strict=True))
    for size in [
        *random.Random(1).sample(range(len(whole)), 300),
        *(end + k for end in ends[:-1] for k in (-1, 0, 1, 2)),
    ]:
        (tmp_path / "cut.avro").write_bytes(whole[:size])
        if size in before:
            assert len(read(tmp_path / "cut.avro")) == before[size]
            continue
        with pytest.raises(JobError, match=r"^\S+/cut\.avro: .*(cut short|not an Avro container)") as error:
            read(tmp_path / "cut.avro")
        assert "\n" not in str(error.value)


WRITTEN_BY_CRAMJAM = {
    "snappy": b"""T2JqAQQUYXZyby5jb2RlYwxzbmFwcHkWYXZyby5zY2hlbWHMAXsidHlwZSI6ICJyZWNvcmQiLCAibmFtZSI6ICJyIiwgImZpZWxkcyI6IFt7
        Im5hbWUiOiAieCIsICJ0eXBlIjogeyJ0eXBlIjogImFycmF5IiwgIml0ZW1zIjogImxvbmcifX1dfQAAAQIDBAUGBwgJCgsMDQ4PBkKIARDwAQIEBv4D
        ANIDADQAAAKAgICAgICAgIABAPyLAykAAQIDBAUGBwgJCgsMDQ4P""",
    "zstandard": b"""T2JqAQQUYXZyby5jb2RlYxJ6c3RhbmRhcmQWYXZyby5zY2hlbWHMAXsidHlwZSI6ICJyZWNvcmQiLCAibmFtZSI6ICJyIiwgImZpZWxkcyI6
        IFt7Im5hbWUiOiAieCIsICJ0eXBlIjogeyJ0eXBlIjogImFycmF5IiwgIml0ZW1zIjogImxvbmcifX1dfQAAAQIDBAUGBwgJCgsMDQ4PBjootS/9IIil
        AABY8AECBAYAAAKAAQACADiCSFOnBQABAgMEBQYHCAkKCwwNDg8=""",
}


@pytest.mark.parametrize("codec", WRITTEN_BY_CRAMJAM)
def test_files_that_fastavro_wrote_with_cramjam(tmp_path, codec):
    (tmp_path / "a.avro").write_bytes(base64.b64decode(WRITTEN_BY_CRAMJAM[codec]))
    assert read(tmp_path / "a.avro") == [{"x": [1, 2, 3] * 40}, {"x": []}, {"x": [2**62]}]


def test_snappy_blocks_are_checked(tmp_path):
    data = avro_bytes(3) * 1000
    packed = BLOCK_PACKERS["snappy"](data)
    size = b"\xff\xff\xff\xff\x0f"  # 4 GiB, as snappy claims it
    wrong = {
        packed[:-1] + bytes([packed[-1] ^ 1]): "damaged, it cannot be unpacked .bad checksum",
        packed[:10] + packed[-4:]: "damaged, it cannot be unpacked",
        b"": "damaged, it cannot be unpacked",
        b"\x80" * 9: "damaged, it cannot be unpacked",
        size + packed[2:]: r"unpacked it has more than 268435456 bytes \(--max-record-bytes\)",
    }
    for block, what in wrong.items():
        (tmp_path / "a.avro").write_bytes(container(ONE, (1000, block), codec="snappy"))
        with pytest.raises(JobError, match=rf"^\S+a\.avro: block at byte \d+: {what}"):
            read(tmp_path / "a.avro")


@pytest.mark.parametrize("codec", slow_but(CODECS[1:], "deflate", "zstandard"))
def test_a_file_of_blocks_that_unpack_to_too_much_is_broken(tmp_path, codec, monkeypatch):
    monkeypatch.setattr(compression, "MEASURED_BYTES", 1 << 20)
    path = write(tmp_path / "a.avro", record(("x", array("long"))), [{"x": [7] * 500_000}] * 6, codec=codec)
    ratio = 18 if codec == "snappy" else 500
    assert len(read(path, max_unpack_ratio=10**6)) == 6
    with pytest.raises(JobError, match=r"^\S+a\.avro: unpacks to [\d,]+ times its size .* \(--max-unpack-ratio\)"):
        read(path, max_unpack_ratio=ratio)


@pytest.mark.parametrize("codec", slow_but(CODECS, "null", "xz", "snappy"))
def test_a_flipped_bit_is_an_error_of_the_file_or_changes_values(tmp_path, codec):
    """Blocks have no checksums: most of what is wrong with the values themselves is not noticed."""
    whole = Path(write(tmp_path / "a.avro", SCHEMA, made_rows(40), codec=codec, sync_interval=400)).read_bytes()
    body = whole.index(SYNC) + len(SYNC)
    noticed = 0
    flips = random.Random(3).sample(range(len(whole) * 8), 300)
    for bit in flips:
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        (tmp_path / "b.avro").write_bytes(damaged)
        try:
            reads(tmp_path / "b.avro")
        except JobError as error:
            assert str(error).startswith(f"{tmp_path}/b.avro: ") and "\n" not in str(error)
            noticed += 1
    assert noticed > len(flips) / 10
    for at in range(len(whole) - len(SYNC), len(whole)):
        (tmp_path / "b.avro").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(JobError, match=r"block at byte \d+: damaged: the sync marker after it is another one"):
            read(tmp_path / "b.avro")
    assert body < len(whole)


ONE = record(("x", "long"))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "not an Avro container file"),
        (b"Obj\x02" + bytes(100), "not an Avro container file"),
        (b"id,x\n1,2\n", "not an Avro container file"),
        (b"Obj\x01" + avro_bytes(2**40), "header: cut short"),
        (b"Obj\x01" + avro_bytes(1) + avro_bytes(2**40), "header: it claims 1099511627776 bytes"),
        (b"Obj\x01" + b"\xff" * 20, "header: damaged: a number is longer than ten bytes"),
        (container(b"{"), "the header holds no schema"),
        (container(b"[" * 100_000), "the header holds no schema"),
        (container("long"), r"its schema cannot be read \(expected a record for every row\)"),
        (container(record(("x", "nope"))), r"its schema cannot be read \(nope\)"),
        (container(record(("x", array("int")), ("x", "int"))), r"its schema cannot be read \(2 fields are named 'x'\)"),
        (container({"type": "record"}), "its schema cannot be read"),
        (container(7), "its schema cannot be read"),
        (container(record(("__record__", "int"))), "the column name '__record__' is reserved"),
        (
            container(ONE, codec="lz4"),
            "codec 'lz4' cannot be read, expected one of null, deflate, bzip2, xz, zstandard",
        ),
    ],
)
def test_headers_that_cannot_be_read(tmp_path, data, what):
    (tmp_path / "a.avro").write_bytes(data)
    for attempt in [lambda: SOURCE.features(str(tmp_path / "a.avro")), lambda: read(tmp_path / "a.avro")]:
        with pytest.raises(JobError, match=r"^\S+/a\.avro: " + what) as error:
            attempt()
        assert "\n" not in str(error.value)


HEAD = len(container(ONE))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (avro_bytes(-1) + avro_bytes(0) + SYNC, "damaged: it claims -1 records"),
        (avro_bytes(1) + avro_bytes(2**40) + b"x", "it claims 1099511627776 bytes, at most 268435456 are allowed"),
        (avro_bytes(1) + avro_bytes(-5) + b"x", "damaged: it claims -5 bytes"),
        (avro_bytes(1) + avro_bytes(9) + b"x", "cut short: 8 bytes or more are missing"),
        (avro_bytes(2) + avro_bytes(1) + avro_bytes(5) + SYNC, r"damaged: row 4 cannot be decoded"),
        (avro_bytes(1) + avro_bytes(2) + avro_bytes(5) * 2 + SYNC, "damaged: 1 bytes are left after its last record"),
        (
            avro_bytes(1) + avro_bytes(1) + avro_bytes(5) + SYNC[::-1],
            "damaged: the sync marker after it is another one",
        ),
    ],
)
def test_blocks_that_cannot_be_read(tmp_path, data, what):
    good = (3, avro_bytes(1) * 3)
    (tmp_path / "a.avro").write_bytes(container(ONE, good) + data)
    at = len(container(ONE, good))
    with pytest.raises(JobError, match=rf"^\S+/a\.avro: block at byte {at}: {what}"):
        read(tmp_path / "a.avro")


def test_an_integer_that_is_too_long_for_its_type(tmp_path):
    (tmp_path / "a.avro").write_bytes(container(record(("x", "int")), (2, avro_bytes(1) + avro_bytes(2**31))))
    with pytest.raises(JobError, match=r"a\.avro: rows 0 to 1 do not fit its schema"):
        read(tmp_path / "a.avro")


@pytest.mark.parametrize("size", [100, 64 << 20])
def test_an_absurd_block_is_refused_before_it_fills_memory(tmp_path, size):
    packer = zlib.compressobj(9, wbits=-15)
    bomb = packer.compress(bytes(size)) + packer.flush()
    (tmp_path / "a.avro").write_bytes(container(ONE, (1, bomb), codec="deflate"))
    tracemalloc.start()
    with pytest.raises(
        JobError, match="unpacked it has more than 1048576 bytes" if size > 100 else "99 bytes are left"
    ):
        list(SOURCE.read(SOURCE.parts(str(tmp_path / "a.avro"))[0], {}, Limits(max_record_bytes=1 << 20)))
    assert tracemalloc.get_traced_memory()[1] < 4 << 20
    tracemalloc.stop()


def test_a_large_file_takes_bounded_memory(tmp_path):
    schema = record(("x", array("long")), ("s", "string"))
    rows_ = [{"x": list(range(100)), "s": "a" * 1000} for _ in range(10_000)]
    path = write(tmp_path / "a.avro", schema, rows_, codec="deflate")
    del rows_
    before, peak, count = pa.total_allocated_bytes(), 0, 0
    tracemalloc.start()
    for step in SOURCE.read(SOURCE.parts(path)[0], {}, Limits(max_batch_bytes=1 << 20)):
        peak = max(peak, pa.total_allocated_bytes() - before)
        count += step.batch.num_rows if step.batch is not None else 0
    assert count == 10_000
    assert tracemalloc.get_traced_memory()[1] < 10 << 20 and peak < 10 << 20  # of 18 MB
    tracemalloc.stop()


def test_missing_files(tmp_path):
    with pytest.raises(JobError, match="cannot be read"):
        SOURCE.parts(str(tmp_path / "missing.avro"))
    with pytest.raises(JobError, match="cannot be opened"):
        SOURCE.features(str(tmp_path / "missing.avro"))


def test_the_name_or_the_first_bytes_choose_the_source(tmp_path):
    assert source_for("a.AVRO") is SOURCE
    (tmp_path / "part-0").write_bytes(container(ONE))
    assert source_for(str(tmp_path / "part-0")) is SOURCE
    assert pickle.loads(pickle.dumps(SOURCE)) == SOURCE


SPEC = make_spec(
    [
        passthrough_column("id", "int64"),
        passthrough_column("name"),
        sequence_categorical_column_with_identity("ids", 10),
        sequence_numeric_column("x"),
        numeric_column("w", default_value=7.0),
    ],
    SequenceGroup(max_length=3),
)
JOB_SCHEMA = record(
    ("id", "long"),
    ("name", "string"),
    ("ids", array("int")),
    ("x", union("null", array("double"))),
    ("w", union("null", "float", "long", "string", {"type": "map", "values": "int"})),
    ("unread", {"type": "map", "values": union("int", "string")}),
)


def job_row(rng: random.Random, number: int) -> tuple[dict[str, Any], str]:
    """A row and why it is rejected, or an empty string."""
    ids = [rng.randrange(10) for _ in range(rng.randrange(5))]
    row: dict[str, Any] = {"id": number, "name": rng.choice(["é", "b"]), "ids": ids, "unread": {"a": 1, "b": "c"}}
    row |= {"x": [rng.random() for _ in ids] or None, "w": rng.choice([None, 1.5, 2, "2.5"])}
    bad = rng.choice(["", "", "", "", "out_of_range", "length_mismatch", "wrong_type", "not_a_number"])
    if bad == "out_of_range":
        row |= {"ids": [10], "x": [1.0]}
    if bad == "length_mismatch":
        row |= {"ids": [1, 2], "x": [1.0]}
    if bad in ("wrong_type", "not_a_number"):
        row["w"] = {"k": 1} if bad == "wrong_type" else "much"
    return row, bad


@pytest.mark.slow
def test_a_job(tmp_path):
    rng = random.Random(1)
    wanted = [job_row(rng, k) for k in range(300)]
    path = write(tmp_path / "a.avro", JOB_SCHEMA, [row for row, _ in wanted], codec="deflate", sync_interval=900)
    outcome = done(SPEC, path, tmp_path / "out", format="parquet", max_rejected=1.0)
    assert_balanced(outcome.ledger)
    rejected = read_rejected(outcome.rejected_files).to_pylist()
    assert {found["row"]: found["reason"] for found in rejected} == {k: bad for k, (_, bad) in enumerate(wanted) if bad}
    for found in rejected:
        row, _ = wanted[found["row"]]
        original = recovered(found["record"])
        assert found["record_format"] == "arrow-ipc" and found["file"] == path
        assert all(original[name] == row[name] for name in ("id", "name", "ids", "x"))
    made = read_arrays(tmp_path / "out", sort_by="id")
    good = [row for row, bad in wanted if not bad]
    assert made["id"].tolist() == [row["id"] for row in good]
    for k, row in enumerate(good):
        assert made["name"][k] in (row["name"], row["name"].encode())
        np.testing.assert_array_equal(made["ids"][k], (row["ids"][:3] + [-1] * 3)[:3])
        np.testing.assert_array_equal(
            made["x"][k].reshape(-1), np.array(((row["x"] or [])[:3] + [0.0] * 3)[:3], np.float32)
        )
        assert made["w"][k] == (7.0 if row["w"] is None else float(row["w"]))


def test_a_column_of_a_type_that_it_cannot_take_stops_the_job(tmp_path):
    spec = make_spec([numeric_column("m")])
    path = write(tmp_path / "a.avro", record(("m", {"type": "map", "values": "int"})), [{"m": {"a": 1}}])
    with pytest.raises(JobError, match=r"column 'm': expected .*, got map<"):
        run_job(spec, path, tmp_path / "out")
    write(tmp_path / "b.avro", record(("m", "int")), [{"m": 1}])
    write(tmp_path / "c.avro", record(("n", "int")), [{"n": 1}])
    with pytest.raises(JobError, match=r"c\.avro: column 'm': the file has no feature 'm'"):
        run_job(spec, [tmp_path / "b.avro", tmp_path / "c.avro"], tmp_path / "out")


def whole_of(schema: Any, block: bytes, rows: int) -> bytes:
    """A container with one block, whatever is in it."""
    head = avro_container(schema, [], "null", 16_000).split(SYNC)[0] + SYNC
    return head + avro_bytes(rows) + avro_bytes(len(block)) + block + SYNC


def test_a_record_that_holds_itself_is_read(tmp_path):
    schema = record(("id", "long"), ("next", union("null", "R")))
    row = {"id": 1, "next": {"id": 2, "next": {"id": 3, "next": None}}}
    (found,) = [step.batch for step in reads(write(tmp_path / "a", schema, [row])) if step.batch.num_rows]
    assert found.column("id").to_pylist() == [1]


@pytest.mark.parametrize(
    ("schema", "block"),
    [
        (record(("id", "long"), ("next", union("null", "R"))), b"\x02\x02" * 100_000 + b"\x02\x00"),
        (record(("id", "long"), ("all", array("R"))), b"\x02\x02" * 100_000 + b"\x02\x00"),
        (record(("id", "R"), ("x", "long")), b"\x02" * 9),  # no data are of it: it never ends
    ],
    ids=["union", "array", "endless"],
)
def test_one_that_does_so_without_end_does_not_end_the_process(schema, block, tmp_path):
    """fastavro's compiled decoder runs out of the stack."""
    (tmp_path / "a").write_bytes(whole_of(schema, block, 1))
    with pytest.raises(JobError, match="row 0 holds values in values, too many levels to be decoded"):
        reads(tmp_path / "a")
