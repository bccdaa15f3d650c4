"""A flipped bit in files that have checksums: noticed, or nothing that was read is any different."""

from __future__ import annotations

import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from pipeline.inputs.preflight import refuse_schema
from pipeline.sinks.formats import SINKS
from pipeline.sources.formats import source_for
from tests.faults.figures import note, trials
from tests.faults.formats import KINDS, read, rows_of
from transforms import (
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.columns.results import Output
from transforms.errors import JobError

OUTPUTS = [
    Output("id", "int64", (), "values", "id"),
    Output("x", "float32", (4, 2), "values", "x"),
    Output("ids", "int64", (4,), "ids", "ids"),
    Output("name", "string", (), "values", "name"),
    Output("mask", "bool", (4,), "mask", "sequence"),
]
COLUMNS = [
    numeric_column("id", dtype="int64"),
    sequence_numeric_column("x", (2,)),
    sequence_categorical_column_with_identity("ids", 100),
    passthrough_column("name"),
]
FEATURES = {"id": "int64", "x": "float32", "ids": "int64", "name": "string"}


def written(sink: str, path: Path) -> bytes:
    """A file as a run writes it, some pages long."""
    count, rng = 3000, np.random.default_rng(5)
    batch = pa.RecordBatch.from_pydict(
        {
            "id": pa.array(np.arange(count)),
            "x": lists(rng.normal(size=(count, 8)).astype(np.float32)),
            "ids": lists(rng.integers(0, 100, (count, 4))),
            "name": pa.array([f"é{k % 700}" for k in range(count)], pa.large_string()),
            "mask": lists(rng.random((count, 4)) < 0.5),
        }
    )
    writer = SINKS[sink].open(str(path), OUTPUTS)
    writer.write(batch)
    writer.close()
    return path.read_bytes()


def lists(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values.shape[1])


CASES: dict[str, Callable[[Path], bytes]] = {
    "ours.tfrecord": lambda path: written("tfrecord", path),
    "ours.parquet": lambda path: written("parquet", path),
    "a.tfrecord": lambda path: KINDS["a.tfrecord"].make(rows_of(100)),
    "a.tfrecord.gz": lambda path: KINDS["a.tfrecord.gz"].make(rows_of(100)),
    "a.tfrecord.bz2": lambda path: KINDS["a.tfrecord.bz2"].make(rows_of(100)),
    "a.tfrecord.xz": lambda path: KINDS["a.tfrecord.xz"].make(rows_of(100)),
    "a.tfrecord.zst": lambda path: KINDS["a.tfrecord.zst"].make(rows_of(100)),
    "a.jsonl.gz": lambda path: KINDS["a.jsonl.gz"].make(rows_of(100)),
    "a.jsonl.bz2": lambda path: KINDS["a.jsonl.bz2"].make(rows_of(100)),
    "a.jsonl.xz": lambda path: KINDS["a.jsonl.xz"].make(rows_of(100)),
    "a.jsonl.zst": lambda path: KINDS["a.jsonl.zst"].make(rows_of(100)),
}


def read_as_a_run_does(path: Path, ours: bool) -> list[Any]:
    """A run looks at the schema of a file before it reads it."""
    source = source_for(str(path))
    if ours and source.has_schema:
        refuse_schema(str(path), source.features(str(path)), make_spec(COLUMNS))
    names = FEATURES if ours else {"id": "int64", "x": "float32", "name": "string"}
    return [{key: as_bytes(row[key]) for key in names} for row in read(path, features=names)]


def as_bytes(value: Any) -> Any:
    """Text in a Parquet file says in its footer, which has no checksum, that it is text: a column takes either."""
    return value.encode() if isinstance(value, str) else value


@pytest.mark.parametrize("name", CASES)
def test_a_flipped_bit(tmp_path, name):
    path = tmp_path / name
    whole = CASES[name](path)
    path.write_bytes(whole)
    want = read_as_a_run_does(path, name.startswith("ours"))
    assert len(want) >= 100
    detected = harmless = 0
    count = trials(10, 1000)
    for bit in bits_of(whole, count, name):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            found = read_as_a_run_does(path, name.startswith("ours"))
        except JobError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            detected += 1
            continue
        assert found == want, f"bit {bit} of byte {bit // 8} of {len(whole)} changed what is read"
        harmless += 1
    note(f"flipped bit: {name}", count, detected=detected, harmless=harmless, lost=0)
    assert detected > count / 2


def bits_of(whole: bytes, count: int, name: str) -> list[int]:
    """Three in four anywhere; the others where formats keep what they say of themselves: the first and last 2 % of a file."""
    rng, edge = random.Random(name), max(len(whole) * 8 // 50, count)
    edges = [*range(min(edge, len(whole) * 4)), *range(len(whole) * 8 - min(edge, len(whole) * 4), len(whole) * 8)]
    return [*rng.sample(range(len(whole) * 8), count - count // 4), *rng.sample(edges, count // 4)]


def test_the_header_of_gzip_holds_what_nothing_checks(tmp_path):
    """Where a flipped bit changes nothing that anybody reads."""
    data = KINDS["a.tfrecord"].make(rows_of(10))
    (tmp_path / "a.tfrecord.gz").write_bytes(gzip.compress(data, mtime=0))
    other = bytearray((tmp_path / "a.tfrecord.gz").read_bytes())
    other[4] ^= 1
    (tmp_path / "b.tfrecord.gz").write_bytes(other)
    assert read(tmp_path / "a.tfrecord.gz") == read(tmp_path / "b.tfrecord.gz")
