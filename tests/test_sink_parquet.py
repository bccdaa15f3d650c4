"""The Parquet sink against pyarrow's own reader; damage to its files against ours."""

from __future__ import annotations

import contextlib
import hashlib
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.sinks.formats import SINKS
from pipeline.sinks.parquet import ROW_GROUP_BYTES, arrow_schema
from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import Limits
from transforms.columns.results import Output
from transforms.errors import JobError
from transforms.rows import origin

SINK = SINKS["parquet"]
OUTPUTS = [
    Output("x", "float32", (4, 3), "values", "x"),
    Output("half", "float16", (4,), "values", "half"),
    Output("brain", "bfloat16", (), "values", "brain"),
    Output("ids", "int64", (4,), "values", "ids"),
    Output("small", "int8", (4,), "values", "small"),
    Output("text", "string", (), "values", "text"),
    Output("raw", "bytes", (), "values", "raw"),
    Output("sequence_length", "int64", (), "length", "sequence"),
    Output("sequence_mask", "bool", (4,), "mask", "sequence"),
    Output("x_observed", "bool", (4, 3), "observed", "x"),
]


def lists(values: np.ndarray) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), values[0].size)


def batch(count: int, seed: int = 0) -> pa.RecordBatch:
    rng = np.random.default_rng(seed)
    return pa.RecordBatch.from_pydict(
        {
            "x_observed": lists((rng.random((count, 4, 3)) < 0.5).astype(np.int64)),
            "sequence_mask": lists(rng.random((count, 4)) < 0.5),
            "sequence_length": pa.array(rng.integers(0, 5, count)),
            "raw": pa.array([b"\xff%d" % k for k in range(count)], pa.large_binary()),
            "text": pa.array([f"é{k}" for k in range(count)], pa.large_string()),
            "small": lists(rng.integers(-128, 128, (count, 4))),
            "ids": lists(rng.integers(-(2**63), 2**63 - 1, (count, 4))),
            "brain": pa.array(rng.normal(size=count).astype(np.float32)),
            "half": lists(rng.normal(size=(count, 4)).astype(np.float16).astype(np.float32)),
            "x": lists(rng.normal(size=(count, 4, 3)).astype(np.float32)),
        }
    )


def write(path: Any, *batches: pa.RecordBatch, outputs: list[Output] = OUTPUTS) -> Any:
    writer = SINK.open(str(path), outputs)
    assert [writer.write(b) for b in batches] == [b.num_rows for b in batches]
    return writer.close()


def read(path: Any) -> list[dict[str, Any]]:
    """Values by name as our own source reads them, batch by batch."""
    source = SOURCES["parquet"]
    asked = dict.fromkeys(source.features(str(path)), "float32")
    steps = [step for s in source.parts(str(path)) for step in source.read(s, asked, Limits())]
    batches = [step.batch for step in steps if step.batch is not None]
    return [{n: b.column(n).to_pylist() for n in b.schema.names if n != origin.RECORD_COLUMN} for b in batches]


def test_pyarrow_reads_what_was_written(tmp_path):
    whole = batch(500)
    path = tmp_path / "a.parquet"
    written = write(path, whole.slice(0, 100), whole.slice(0, 0), whole.slice(100, 1), whole.slice(101))
    made = pq.read_table(path)
    made.validate(full=True)
    assert made.schema.names == [output.name for output in OUTPUTS]
    for output in OUTPUTS:
        column = made.column(output.name).combine_chunks()
        want = whole.column(output.name)
        if output.shape:
            assert column.type == pa.fixed_shape_tensor(column.type.value_type, output.shape)
            column = column.storage
        if output.name == "x_observed":
            want = want.cast(pa.list_(pa.bool_(), 12))
        assert column.to_pylist() == want.to_pylist(), output.name
    data = path.read_bytes()
    assert (written.path, written.rows, written.bytes) == (str(path), 500, len(data))
    assert written.sha256 == hashlib.sha256(data).hexdigest()


def test_schema_is_the_declared_one():
    schema = arrow_schema(OUTPUTS)
    assert not any(field.nullable for field in schema)
    assert schema.field("half").type == pa.fixed_shape_tensor(pa.float16(), (4,))
    assert schema.field("brain").type == pa.float32() and schema.field("raw").type == pa.large_binary()
    assert schema.field("small").type.value_type == pa.int8() and schema.field("text").type == pa.large_string()
    assert schema.field("sequence_mask").type.value_type == pa.bool_()


def test_every_integer_and_float_dtype_can_be_written(tmp_path):
    names = [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
    outputs = [Output(name, name, (2,), "values", name) for name in [*names, "float64"]]
    values = {name: lists(np.array([[0, 1], [2, 127]])) for name in names}
    floats = lists(np.array([[0, 1], [2, 127]], np.float32))
    write(tmp_path / "a", pa.RecordBatch.from_pydict({**values, "float64": floats}), outputs=outputs)
    made = pq.read_table(tmp_path / "a")
    for name in [*names, "float64"]:
        assert made.column(name).combine_chunks().to_numpy_ndarray().dtype == np.dtype(name)
        assert made.column(name).combine_chunks().storage.to_pylist() == [[0, 1], [2, 127]]


def test_row_groups_are_bounded(tmp_path):
    outputs = [Output("x", "float32", (1000,), "values", "x"), Output("id", "int64", (), "values", "id")]
    big = pa.RecordBatch.from_pydict({"x": lists(np.zeros((10_000, 1000), np.float32)), "id": np.arange(10_000)})
    pieces = [big.slice(k, 100) for k in range(0, 3000, 100)] + [big.slice(3000)]
    write(tmp_path / "a.parquet", *pieces, outputs=outputs)
    file = pq.ParquetFile(tmp_path / "a.parquet")
    counts = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
    assert sum(counts) == 10_000 and max(counts) * 4008 <= ROW_GROUP_BYTES and len(counts) <= 8
    assert pq.read_table(tmp_path / "a.parquet").column("id").to_pylist() == list(range(10_000))


def test_files_without_rows(tmp_path):
    assert write(tmp_path / "a").rows == 0
    assert write(tmp_path / "b", batch(5).slice(0, 0)).rows == 0
    assert pq.read_table(tmp_path / "a").schema.equals(arrow_schema(OUTPUTS))
    assert read(tmp_path / "a") == read(tmp_path / "b") == []


def test_numbers_that_do_not_fit_are_never_rounded(tmp_path):
    writer = SINK.open(str(tmp_path / "a"), [Output("small", "int8", (), "values", "small")])
    with pytest.raises(pa.ArrowInvalid, match="not in range"):
        writer.write(pa.RecordBatch.from_pydict({"small": [1000]}))
    writer.abort()


def test_every_flipped_bit_is_noticed(tmp_path):
    """Pages have checksums. Their headers and the footer have none; most flips there change what nobody reads."""
    path = tmp_path / "a.parquet"
    write(path, batch(300))
    whole, want = path.read_bytes(), read(path)
    noticed = 0
    for bit in random.Random(0).sample(range(len(whole) * 8), 300):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        try:
            made = read(path)
        except JobError as error:
            assert str(error).startswith(str(path)) and "\n" not in str(error)
            noticed += 1
            continue
        assert made == want, bit
    assert noticed > 250


def test_a_damaged_footer_does_not_end_the_process(tmp_path):
    """pyarrow 25 aborts when it is asked about such a column; see `pipeline.sources.parquet._readable`."""
    path = tmp_path / "a.parquet"
    write(path, batch(20))
    whole = path.read_bytes()
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    for bit in random.Random(1).sample(range(footer * 8, len(whole) * 8), 1000):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(damaged)
        with contextlib.suppress(JobError):
            read(path)
