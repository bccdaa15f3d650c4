"""Every kind of bad row in every format, each alone among good neighbours, which must come out as if it were not there."""

from __future__ import annotations

import itertools
import json
import random
import zlib
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from tests.faults.bad_records import BAD, SPEC, Item, in_format, spec_of, write
from tests.faults.outcomes import Outcomes, of_file, of_rows
from tests.faults.record_formats import ALL, PARQUET, RECORDS, file_name, good_row, typed
from tests.jobs import recovered
from transforms import escaping
from transforms.rows.reasons import DROPPED, REASONS
from transforms.splits.assign import NO_SPLIT

CASES = [(format, bad) for format in ALL for bad in in_format(format)]
LEAST = 12


@pytest.mark.parametrize("format", ALL)
def test_every_format_has_its_kinds(format):
    assert len({bad.kind for bad in in_format(format)}) >= LEAST


def test_every_reason_has_its_row():
    assert {bad.reason for bad in BAD} == set(REASONS) - {NO_SPLIT, "not_a_time", *DROPPED}, (
        "splits, events and dropped rows have tests of their own"
    )


@pytest.mark.parametrize(("format", "bad"), CASES, ids=[f"{format}-{bad.kind}-{bad.column}" for format, bad in CASES])
def test_a_bad_row_alone_among_good_ones(tmp_path, format, bad):
    rng = random.Random(zlib.crc32(f"{format} {bad.kind}".encode()))
    at, count = rng.randrange(6), 6
    items = [Item(good_row(rng, number), bad if number == at else None) for number in range(count)]
    made, path = outcomes(tmp_path, "mixed", format, items)
    without, _ = outcomes(tmp_path, "good", format, [item for item in items if item.bad is None])
    assert without.rejected == []
    assert made.digests() == without.digests()
    assert sorted(made.digests()) == [number for number in range(count) if number != at]
    (found,) = made.rejected
    assert (found["file"], found["row"]) == (str(path) if path else "", at)
    assert (found["reason"], found["column"]) == (bad.reason, bad.column)
    assert found["message"].startswith("expected ")
    assert_value(found["value"], bad.value, items[at], format)
    assert_record(found, items[at], format, path, at)


def outcomes(folder: Path, name: str, format: str, items: list[Item]) -> tuple[Outcomes, Path | None]:
    if format == "memory":
        return of_rows([item.values() for item in items], spec_of(format)), None
    path = folder / file_name(format, name)
    write(path, format, items)
    return of_file(path, spec_of(format)), path


def assert_value(shown: str, expected: str | None, item: Item, format: str) -> None:
    """Where the record itself is shown, it is its beginning, escaped."""
    if expected is not None:
        assert shown == expected
        return
    assert len(shown.encode()) <= 256 and shown.isprintable()
    assert shown == escaping.value(escaping.of_bytes(item.record(format)))


def assert_record(found: dict[str, Any], item: Item, format: str, path: Path | None, at: int) -> None:
    """The original comes back: byte for byte, or with exact types and values."""
    if format in RECORDS:
        record = item.record(format)
        assert found["record"] == record
        assert found["record_format"] in ({"jsonl": ["json"], "csv": ["csv"]}.get(format) or kinds_of(record))
        return
    assert found["record_format"] == "arrow-ipc"
    held = recovered(found["record"])
    if format == "parquet":
        assert path is not None
        read = [name for name in PARQUET.names if name in SPEC.features]  # of others, file and row say where they stand
        original = pq.read_table(path).slice(at, 1).select(read)
        stream = pa.ipc.open_stream(found["record"])
        assert stream.schema.types == original.schema.types == [PARQUET.field(name).type for name in read]
        assert repr(held) == repr(original.to_pylist()[0])  # repr: NaN equals itself
    elif format == "avro":
        assert path is not None
        with path.open("rb") as file:
            row: Any = next(itertools.islice(fastavro.reader(file), at, None))
        assert repr(row) == repr(typed(item.values()))
        assert repr(held) == repr({**row, "x": as_bytes(row["x"])})  # a union of several types
    else:
        given = {name: value for name, value in item.values().items() if value is not None}
        if (
            item.bad is not None and item.bad.kind == "a boolean among numbers"
        ):  # which Arrow cannot hold, as the docs say
            given["ids"] = [{"seqcols: booleans among numbers": json.dumps(value)} for value in given["ids"]]
        assert repr({name: value for name, value in held.items() if value is not None}) == repr(given)


def kinds_of(record: bytes) -> list[str]:
    """What a record of a TFRecord file may be called: without feature lists the two kinds look alike."""
    try:
        lists = tf.train.SequenceExample.FromString(record).feature_lists.feature_list
    except DecodeError:
        return ["tf.Example", "tf.SequenceExample"]
    return ["tf.SequenceExample" if lists else "tf.Example"]


def as_bytes(values: list[Any]) -> list[Any]:
    return [value.encode() if isinstance(value, str) else value for value in values]
