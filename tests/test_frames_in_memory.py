"""Frames of pandas and Polars, and Arrow of any kind, as rows: what a job does with them in Parquet; and results as frames.

Two oracles: the file that the frame's own library writes, as the job's source reads it, and the same rows as dicts.
"""

from __future__ import annotations

import datetime
import subprocess
import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline import GroupEvents
from pipeline.dataset.manifest import read as read_manifest
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from tests.jobs import done as job_done
from tests.jobs import read_arrays, read_rejected, recovered
from tests.test_ptransforms import _KEPT, _keep, collect
from transforms import (
    Applied,
    Column,
    Densify,
    SequenceGroup,
    apply,
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
    sequences,
)
from transforms.beam import GOOD, REJECTED
from transforms.rows import frames
from transforms.rows.from_python import batches_of

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

NAN = float("nan")
UTC = datetime.UTC
NEW_YEAR = datetime.datetime(2024, 1, 1, 12, 30)

FLOATS = sequence_numeric_column("x", ())
FILLED = sequence_numeric_column("x", (), non_finite="fill", observed_mask=True)
PAIRS = sequence_numeric_column("x", (2,))
IDS = sequence_categorical_column_with_identity("x", 100)
WORDS = sequence_categorical_column_with_hash_bucket("x", 1000)
NUMBER = numeric_column("x")
OPTIONAL = numeric_column("x", default_value=-1.0)
WORD = categorical_column_with_vocabulary_list("x", ["a", "b"], num_oov_buckets=1)
KEY = passthrough_column("x")
WHOLE = passthrough_column("x", "int64")
BYTES = passthrough_column("x", "bytes")


def arrow(values: Sequence[Any], kind: pa.DataType) -> Any:
    """A column of pandas with a dtype of Arrow."""
    return pandas.Series(values, dtype=pandas.ArrowDtype(kind))


PANDAS: dict[str, tuple[Any, Sequence[Column]]] = {
    "float64": ([1.5, NAN, np.inf, -0.0], [NUMBER, OPTIONAL]),
    "float32": (np.array([1.5, NAN, 1e-40], np.float32), [NUMBER, OPTIONAL]),
    "float16": (np.array([1.5, NAN, 6e4], np.float16), [NUMBER]),
    "int8": (np.array([1, -1], np.int8), [NUMBER, WHOLE, categorical_column_with_identity("x", 2)]),
    "uint64": (np.array([1, 2**64 - 1], np.uint64), [passthrough_column("x", "uint64"), NUMBER, WHOLE]),
    "bool": ([True, False], [NUMBER]),
    "Int64": (pandas.array([1, None, 2**53 + 1], "Int64"), [WHOLE, NUMBER, OPTIONAL]),
    "Float64": (pandas.array([1.5, None], "Float64"), [NUMBER, OPTIONAL]),
    "boolean": (pandas.array([True, None], "boolean"), [NUMBER, OPTIONAL]),
    "str": (["a", None, "é"], [KEY, WORD]),
    "string": (pandas.array(["a", None, "zz"], "string"), [KEY, WORD]),
    "bytes": ([b"a", None, b"\xff"], [BYTES, KEY]),
    "category": (pandas.Categorical(["a", None, "c", "a"]), [KEY, WORD]),
    "category of integers": (pandas.Categorical([3, 4, 3]), [WHOLE, NUMBER]),
    "times": (pandas.to_datetime(["2024-01-01", None]), [NUMBER, OPTIONAL]),
    "times in a zone": (pandas.Series([NEW_YEAR]).dt.tz_localize("Europe/Zurich"), [numeric_column("x", dtype="float64")]),
    "dates": ([datetime.date(2024, 1, 1), None], [WHOLE]),
    "durations": (pandas.to_timedelta([1.5, None], "s"), [OPTIONAL]),
    "decimals": ([Decimal("1.5"), None], [NUMBER, WHOLE]),
    "lists": ([[1.0, 2.0], None, [], [NAN], [3.0, None], NAN], [FLOATS, FILLED]),
    "lists of integers": ([[1, 2], None, [], [3, None], [200]], [IDS, FLOATS]),
    "lists of words": ([["a", "b"], None, [], ["c", None]], [WORDS]),
    "tuples": ([(1.0, 2.0), ()], [FLOATS]),
    "arrays": ([np.array([1.0, NAN], np.float32), None, np.array([], np.float32)], [FLOATS, FILLED]),
    "arrays of several dtypes": ([np.array([1, 2]), np.array([1.5])], [FLOATS]),
    "lists of lists": ([[[1.0, 2.0], [3.0, 4.0]], None, [], [[5.0]]], [PAIRS]),
    "lists of Arrow": (arrow([[1.5, NAN], None, []], pa.list_(pa.float32())), [FLOATS, FILLED]),
    "fixed lists of Arrow": (arrow([[1, 2], [3, 4]], pa.list_(pa.int32(), 2)), [FLOATS, IDS]),
    "words of Arrow": (arrow(["a", None], pa.string()), [KEY, WORD]),
    "nothing": ([None, None], [FLOATS, OPTIONAL, NUMBER]),
}  # fmt: skip


def series(values: Sequence[Any], kind: Any = None) -> Any:
    """A column of Polars."""
    return polars.Series("x", values, kind)


POLARS: dict[str, tuple[Any, Sequence[Column]]] = {
    "Float64": (series([1.5, NAN, None, -0.0]), [NUMBER, OPTIONAL]),
    "Float32": (series([1.5, NAN, None, 1e-40], polars.Float32), [NUMBER, OPTIONAL]),
    "Int64": (series([1, None, 2**53 + 1]), [WHOLE, NUMBER]),
    "UInt64": (series([1, 2**64 - 1], polars.UInt64), [passthrough_column("x", "uint64"), WHOLE]),
    "Boolean": (series([True, None]), [OPTIONAL]),
    "String": (series(["a", None, "é"]), [KEY, WORD]),
    "Binary": (series([b"a", None, b"\xff"]), [BYTES, KEY]),
    "Categorical": (series(["a", None, "c"], polars.Categorical), [KEY, WORD]),
    "Enum": (series(["b", None, "a"], polars.Enum(["a", "b"])), [KEY, WORD]),
    "Datetime": (series([NEW_YEAR, None]), [numeric_column("x", dtype="float64"), OPTIONAL]),
    "Datetime in a zone": (series([NEW_YEAR]).dt.replace_time_zone("Europe/Zurich"), [numeric_column("x", dtype="float64")]),
    "Date": (series([datetime.date(2024, 1, 1), None]), [WHOLE]),
    "Duration": (series([datetime.timedelta(seconds=1.5), None]), [OPTIONAL]),
    "Decimal": (series([Decimal("1.5"), None]), [NUMBER, WHOLE]),
    "List": (series([[1.0, NAN], None, [], [3.0, None]]), [FLOATS, FILLED]),
    "List of integers": (series([[1, 2], None, [], [3, None], [200]], polars.List(polars.Int16)), [IDS, FLOATS]),
    "List of words": (series([["a", "b"], None, [], ["c", None]]), [WORDS]),
    "List of Categorical": (series([["a"], ["b", "a"]], polars.List(polars.Categorical)), [WORDS]),
    "List of List": (series([[[1.0, 2.0]], None, [], [[5.0]]]), [PAIRS]),
    "List of Null": (series([[], [None]]), [FLOATS, IDS]),
    "Array": (series([[1, 2], [3, 4]], polars.Array(polars.Int8, 2)), [FLOATS, IDS]),
    "Array of Array": (series([[[1, 2]], [[3, 4]]], polars.Array(polars.Array(polars.Float32, 2), 1)), [PAIRS]),
    "Null": (series([None, None]), [FLOATS, OPTIONAL]),
}  # fmt: skip


def in_file(path: Path) -> pa.RecordBatch:
    """The rows of a file as the job's source gives them."""
    source = source_for(str(path))
    (split,) = source.parts(str(path))
    (read,) = source.read(split, dict.fromkeys(source.features(str(path)), ""), Limits())
    assert read.rejected is None and read.batch is not None
    return read.batch


def outcome(made: Applied, *left_out: str) -> Any:
    """All of a result that can be compared: bits, dtypes, rejected rows with their records, counts."""
    rejected = made.rejected.drop_columns(["file", "digest", *left_out]).to_pylist()
    for row in rejected:
        if "record" in row:
            row["record"] = repr(recovered(row["record"]))
    arrays = {
        name: (a.dtype.name, a.shape, a.tolist() if a.dtype == object else a.tobytes())
        for name, a in made.arrays.items()
    }
    tally = {key[1:]: count for key, count in made.tally.items() if count}
    return arrays, made.rows.tolist(), rejected, tally


def same_as_in_file(frame: Any, path: Path, columns: Sequence[Column]) -> None:
    batch = in_file(path)
    for column in columns:
        assert outcome(apply(frame, column)) == outcome(apply(batch, column))


def without_records(made: Applied) -> Any:
    """A result without what differs between Arrow and dicts: how a null is shown, and the record's types."""
    arrays, rows, rejected, _ = outcome(made, "record", "value", "message")
    return arrays, rows, rejected


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_means_what_its_parquet_does(tmp_path, name):
    values, columns = PANDAS[name]
    frame = pandas.DataFrame({"x": values})
    frame.to_parquet(tmp_path / "x.parquet")
    same_as_in_file(frame, tmp_path / "x.parquet", columns)


@pytest.mark.parametrize("name", POLARS)
def test_polars_means_what_its_parquet_does(tmp_path, name):
    values, columns = POLARS[name]
    frame = polars.DataFrame({"x": values})
    frame.write_parquet(tmp_path / "x.parquet")
    same_as_in_file(frame, tmp_path / "x.parquet", columns)


@pytest.mark.parametrize("name", POLARS)
def test_polars_means_what_its_dicts_do(name):
    values, columns = POLARS[name]
    frame = polars.DataFrame({"x": values})
    for column in columns:
        assert without_records(apply(frame, column)) == without_records(apply(frame.to_dicts(), column))


@pytest.mark.parametrize("name", PANDAS)
def test_pandas_means_what_its_values_do_where_none_is_missing(name):
    values, columns = PANDAS[name]
    column = pandas.DataFrame({"x": values})["x"]
    rows = [{"x": None if absent else value} for value, absent in zip(column.to_list(), column.isna(), strict=True)]
    if (
        name == "arrays of several dtypes"
    ):  # by themselves integers; beside the others floats, which are the same numbers
        rows = [{"x": np.asarray(row["x"], float)} for row in rows]
    for one in columns:
        assert without_records(apply(pandas.DataFrame({"x": values}), one)) == without_records(apply(rows, one))


STRUCTS = [{"at": {"b": [1, 2]}}, {"at": None}, {"at": {"b": None}}]


@pytest.mark.parametrize("library", [pandas, polars])
def test_fields_of_structs(tmp_path, library):
    frame, column = library.DataFrame(STRUCTS), sequence_numeric_column("at.b", ())
    frame.to_parquet(tmp_path / "x.parquet") if library is pandas else frame.write_parquet(tmp_path / "x.parquet")
    assert outcome(apply(frame, column)) == outcome(apply(in_file(tmp_path / "x.parquet"), column))
    assert apply(frame, column)["at.b"].tolist() == [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]


def histories(count: int) -> dict[str, list[Any]]:
    random = np.random.default_rng(0)
    sizes = random.integers(0, 9, count).tolist()
    made: dict[str, list[Any]] = {
        "id": [f"u{k}" for k in range(count)],
        "x": [random.normal(size=n).astype(np.float32).tolist() for n in sizes],
        "ids": [random.integers(0, 12, n).tolist() for n in sizes],
        "w": random.normal(size=count).tolist(),
    }
    made["x"][3] = [NAN]
    made["ids"][3] = [1]
    made["w"][5] = None
    return made


SPEC = make_spec(
    [
        passthrough_column("id"),
        sequence_numeric_column("x", (), normalizer_fn="z_score"),
        sequence_categorical_column_with_identity("ids", 11),
        numeric_column("w", normalizer_fn=["log1p", "min_max"]),
    ],
    SequenceGroup(max_length=5, truncate="tail"),
)


def test_a_frame_and_a_job_make_the_same_bits(tmp_path):
    rows = histories(300)
    frame = pandas.DataFrame(rows)
    frame.to_parquet(tmp_path / "in.parquet")
    job = job_done(SPEC, tmp_path / "in.parquet", tmp_path / "out", format="parquet", max_rejected=1.0)
    theirs = read_arrays(tmp_path / "out")
    rejected = read_rejected(read_manifest(str(tmp_path / "out")).rejected_files).sort_by("row")
    for own in (apply(frame, SPEC), apply(polars.DataFrame(rows), SPEC)):
        assert own.rejected.num_rows == job.ledger["rows"]["rejected"] > 10
        for name, array in own.arrays.items():
            assert array.dtype == theirs[name].dtype and array.tolist() == theirs[name].tolist(), name
        names = ["row", "reason", "column", "message"]
        assert rejected.select(names).to_pylist() == own.rejected.select(names).to_pylist()


MIXED: dict[str, list[Any]] = {
    "numbers and text": [1.5, "n/a", None, 2**70, True],
    "lists of numbers and of text": [[1.0], ["a"], None, []],
    "lists and values": [[1.0], 2.0],
    "integers of any size": [2**64, 1, None],
    "arrays of two dimensions": [np.ones((2, 2)), None, np.zeros((0, 2)), np.ones((1, 3))],
    "arrays of integers in two dimensions": [np.ones((2, 1), int), [[3]]],
    "complex numbers": [1 + 2j, 1j],
    "objects": [object, 1.0],
}


@pytest.mark.parametrize("name", MIXED)
@pytest.mark.parametrize("column", [NUMBER, FLOATS, PAIRS, IDS, KEY], ids=lambda column: column.type_name)
def test_values_that_no_type_of_arrow_holds_together_go_row_by_row(name, column):
    """A bad value in one row rejects that row, and not the frame."""
    values = MIXED[name]
    cells = np.empty(len(values), object)
    for k, value in enumerate(values):
        cells[k] = value
    frame = pandas.DataFrame({"id": range(len(values)), "x": cells})
    rows = [{"id": k, "x": value} for k, value in enumerate(values)]
    assert outcome(apply(frame, column)) == outcome(apply(rows, column))


def test_nan_in_cells_is_null_whatever_arrow_holds():
    """As in cells that Arrow holds: an array of one dimension, a value."""
    cells = pandas.Series([np.array([[1.0, NAN], [2.0, 3.0]]), None, np.array([[4.0, 5.0]])], dtype=object)
    filled = sequence_numeric_column("x", (2,), non_finite="fill", observed_mask=True)
    made = apply(pandas.DataFrame({"x": cells}), filled)
    assert made["x"].tolist() == [[[1.0, 0.0], [2.0, 3.0]], [[0.0, 0.0]] * 2, [[4.0, 5.0], [0.0, 0.0]]]
    assert made["x_observed"][0].tolist() == [[True, False], [True, True]]
    whole = sequence_numeric_column("x", (2,), dtype="int64")
    assert apply(pandas.DataFrame({"x": cells}), whole).rejected["reason"].to_pylist() == ["null_value"]
    lists = pandas.DataFrame({"x": [[[1.0, NAN], [2.0, 3.0]], None, [[4.0, 5.0]]]})  # which Arrow holds
    assert apply(lists, whole).rejected["reason"].to_pylist() == ["null_value"]
    made = apply(pandas.DataFrame({"x": pandas.Series([1.0, NAN, "a"], dtype=object)}), [OPTIONAL])
    assert made["x"].tolist() == [[1.0], [-1.0]] and made.rejected["row"].to_pylist() == [2]


def test_wide_integers_and_objects_of_polars():
    """Arrow refuses 128 bits, and takes pointers for objects."""
    wide = polars.DataFrame({"x": polars.Series([2**100, 1, None], dtype=polars.Int128)})
    assert apply(wide, OPTIONAL)["x"].tolist() == [[float(2**100)], [1.0], [-1.0]]
    lists = polars.DataFrame({"x": polars.Series([[1, 2], [3]], dtype=polars.List(polars.Int128))})
    assert apply(lists, IDS)["x"].tolist() == [[1, 2], [3, -1]]
    objects = polars.DataFrame({"x": polars.Series([1, "a", None], dtype=polars.Object), "y": [1, 2, 3]})
    made = apply(objects, [OPTIONAL, passthrough_column("y", "int64")])
    assert made["x"].tolist() == [[1.0], [-1.0]] and made["y"].tolist() == [1, 3]
    assert made.rejected.select(["row", "reason", "value"]).to_pylist() == [
        {"row": 1, "reason": "not_a_number", "value": "a"}
    ]


def test_sparse_columns_of_pandas():
    frame = pandas.DataFrame({"x": pandas.arrays.SparseArray([0.0, 1.5, 0.0]), "y": [1, 2, 3]})
    assert apply(frame, NUMBER)["x"].tolist() == [[0.0], [1.5], [0.0]]


INDEXED: list[tuple[Any, list[str]]] = [
    (None, []),
    (pandas.RangeIndex(5, 7), []),
    (pandas.Index([5, 6]), []),
    (pandas.Index([5, 6], name="id"), ["id"]),
    (pandas.RangeIndex(5, 7, name="id"), ["id"]),
    (pandas.Index([5, 5], name=7), ["7"]),
    (pandas.Index([5, 6], name="x"), []),
    (pandas.MultiIndex.from_tuples([(5, 1), (6, 2)], names=["id", None]), ["id"]),
    (pandas.MultiIndex.from_tuples([(5, 1), (6, 2)], names=["id", "at"]), ["id", "at"]),
]


@pytest.mark.parametrize(("index", "features"), INDEXED)
@pytest.mark.parametrize("values", [[1.0, 2.0], [1.0, "2"]], ids=["one type", "several"])
def test_levels_of_an_index_with_a_name_are_features(index, features, values):
    frame = pandas.DataFrame({"x": values}, index=index)
    made = frames.framed(frame)
    assert [*made.table.schema.names, *made.others] == (["x", *features] if values[1] == 2.0 else [*features, "x"])
    keys = [passthrough_column(name, "int64") for name in features]
    found = apply(frame, [NUMBER, *keys])
    assert found["x"].tolist() == [[1.0], [2.0]] and found.rows.tolist() == [0, 1]
    for name in features:
        assert found[name].tolist() == list(frame.index.get_level_values(0 if name != "at" else 1))


def test_names_of_pandas_that_are_no_text():
    numbers = apply(pandas.DataFrame([[1.0, 2.0]]), [numeric_column("0"), numeric_column("1")])
    assert numbers["1"].tolist() == [[2.0]]
    levels = pandas.DataFrame([[1.0]], columns=pandas.MultiIndex.from_tuples([("a", "b")]))
    assert apply(levels, numeric_column("('a', 'b')"))["('a', 'b')"].tolist() == [[1.0]]
    own = pandas.DataFrame({"to_frame": [1.0], "collect": [2.0]})  # which are attributes of the frame then
    assert apply(own, numeric_column("collect"))["collect"].tolist() == [[2.0]]


def test_names_of_several_levels_are_those_of_parquet(tmp_path):
    levels = [("sum", 2024), ("sum", datetime.date(2024, 1, 1)), ("mean", 0.5), ("mean", None)]
    frame = pandas.DataFrame([[1.0, 2.0, 3.0, 4.0]], columns=pandas.MultiIndex.from_tuples(levels))
    frame.to_parquet(tmp_path / "a.parquet")
    assert frames.framed(frame).table.schema.names == pq.read_schema(tmp_path / "a.parquet").names
    assert apply(frame, numeric_column("('sum', '2024')"))["('sum', '2024')"].tolist() == [[1.0]]


def test_rejected_rows_keep_categories_that_are_no_words():
    frame = pandas.DataFrame({"x": [1.0, 2.0, None, 9.0], "bin": pandas.cut([1, 2, 3, 9], [0, 2, 4])})
    done = apply(frame, categorical_column_with_identity("x", num_buckets=2))
    assert done.rejected["reason"].to_pylist() == ["out_of_range", "out_of_range"]
    records = [pa.ipc.open_stream(record).read_all() for record in done.rejected["record"].to_pylist()]
    assert [record["x"].to_pylist() for record in records] == [[2.0], [9.0]]
    assert [record["bin"].to_pylist() for record in records] == [[{"left": 0, "right": 2}], [None]]
    edges = apply(frame, numeric_column("bin.right", default_value=-1.0))
    assert edges["bin.right"].tolist() == [[2.0], [2.0], [4.0], [-1.0]]


def test_rejected_rows_keep_dictionaries_of_structs():
    words = pa.array([{"a": 1}, {"a": 2}, {"a": 3}])
    coded = pa.DictionaryArray.from_arrays(pa.array([2, None, 0, 2]), words)
    done = apply(
        pa.table({"x": [9.0, 9.0, 1.0, 9.0], "word": coded}), categorical_column_with_identity("x", num_buckets=2)
    )
    records = [pa.ipc.open_stream(record).read_all() for record in done.rejected["record"].to_pylist()]
    assert [record["word"].to_pylist() for record in records] == [[{"a": 3}], [None], [{"a": 3}]]
    assert records[0]["word"].chunk(0).dictionary.to_pylist() == [{"a": 3}]


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (pandas.DataFrame([[1, 2]], columns=["x", "x"]), "expected columns of different names, got x, x"),
        (pandas.DataFrame([[1, 2]], columns=[1, "1"]), "expected columns of different names, got 1, 1"),
        (pa.table([pa.array([1]), pa.array([2])], ["x", "x"]), "expected columns of different names, got x, x"),
        (pandas.DataFrame({"x": [1], "__row__": [1]}), "the name '__row__' is reserved"),
        (polars.DataFrame({"x": [1], "__record__": [1]}), "the name '__record__' is reserved"),
        (
            pandas.DataFrame({"x": [1, 2]}, index=pandas.Index([1, "a"], name="id")),
            "the index: expected values of one type: Could not convert 'a'.*",
        ),
    ],
)
def test_names_that_cannot_be(frame, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        apply(frame, NUMBER)


def test_no_rows_and_no_columns():
    for nothing in (
        pandas.DataFrame(),
        pandas.DataFrame({"x": []}),
        pandas.DataFrame({"x": []}, dtype=object),
        polars.DataFrame(),
        polars.DataFrame({"x": []}),
        polars.DataFrame(schema={"x": polars.List(polars.Float32)}),
        polars.DataFrame(schema={"x": polars.Object}),
        pa.RecordBatchReader.from_batches(pa.schema([("x", pa.list_(pa.int8()))]), []),
    ):
        made = apply(nothing, FLOATS)
        assert made["x"].shape == (0, 0) and made.rejected.num_rows == 0 and not made.tally["", "rows", "read"]
    for absent in (pandas.DataFrame(index=range(3)), pandas.DataFrame(index=[1, 2, 3])):
        assert apply(absent, FLOATS).lengths().tolist() == [0, 0, 0]


class Streams:
    """A frame of some other library: it hands over Arrow data, and that is all that is known of it."""

    def __init__(self, table: pa.Table):
        self.table = table

    def __arrow_c_stream__(self, requested_schema: Any = None) -> Any:
        return self.table.__arrow_c_stream__(requested_schema)


class Hands:
    """The same for one array of structs."""

    def __init__(self, batch: pa.RecordBatch):
        self.batch = batch

    def __arrow_c_array__(self, requested_schema: Any = None) -> Any:
        return self.batch.__arrow_c_array__(requested_schema)


def test_chunks_readers_and_other_libraries():
    rows = [{"x": [float(k)] * (k % 3)} for k in range(2500)]
    table = pa.Table.from_pylist(rows)
    whole = outcome(apply(table, FLOATS))
    assert whole[1] == list(range(2500))
    chunks = pa.concat_tables([table.slice(k, 100) for k in range(0, 2500, 100)])
    parts = polars.concat([polars.DataFrame(table.slice(k, 500)) for k in range(0, 2500, 500)], rechunk=False)
    (batch,) = table.combine_chunks().to_batches()
    reader = pa.RecordBatchReader.from_batches(table.schema, chunks.to_batches())
    for data in (chunks, parts, batch, reader, Streams(chunks), Hands(batch), table.to_pandas(), rows):
        assert outcome(apply(data, FLOATS)) == whole


def test_chunks_of_few_rows_are_gathered():
    """Each batch costs some milliseconds, however few rows it has."""
    table = pa.table({"x": pa.array([[float(k)] for k in range(3000)]), "word": ["a", "b"] * 1500})
    ones = pa.concat_tables([table.slice(k, 1) for k in range(3000)])
    sevens = [table.slice(k, 7) for k in range(0, 3000, 7)]
    coded = pa.concat_tables([one.set_column(1, "word", one["word"].dictionary_encode()) for one in sevens])
    for data in (ones, coded):
        batches = list(batches_of(data))
        assert len(batches) <= 4 and max(batch.num_rows for batch in batches) <= 1024
        assert [batch["word"].to_pylist() for batch in batches] == [
            table["word"].slice(first, batch.num_rows).to_pylist()
            for first, batch in zip(np.cumsum([0, *(b.num_rows for b in batches)]).tolist(), batches, strict=False)
        ]
        assert outcome(apply(data, FLOATS)) == outcome(apply(table, FLOATS))


NO_ROWS: list[tuple[Any, str]] = [
    ("data.parquet", r"got str: read 'data.parquet' first \(pandas.read_parquet, .*\), or use seqcols run or inspect"),
    (Path("data"), r"got PosixPath: read 'data' first .*"),
    ({"x": 1.0}, r"got dict: a single row is \[row\]; columns of one length are pyarrow.table\(columns\)"),
    (polars.DataFrame({"x": [1.0]}).lazy(), r"got LazyFrame: call .collect\(\) first"),
    (polars.Series("x", [1.0]), r"got Series: it is one column, and .to_frame\(\) makes a frame of it"),
    (pandas.Series([1.0], name="x"), r"got Series: it is one column, and .to_frame\(\) makes a frame of it"),
    (pa.array([1.0]), r"got DoubleArray: it is one column, and pyarrow.table\({name: column}\) makes a table of it"),
    (pa.chunked_array([[1.0]]), r"got ChunkedArray: it is one column, .*"),
    (np.array([(1.0,)], [("x", "f4")]), r"got ndarray: pandas.DataFrame\(array\) makes a frame of a structured array"),
    (np.ones((2, 2)), r"got ndarray: \[{'x': row} for row in array\] gives its rows the name of a feature"),
    (Streams(pa.chunked_array([[1.0]])), r"got Streams"),
    (5, r"got int"),
    (None, r"got NoneType"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "message"), NO_ROWS, ids=[type(data).__name__ for data, _ in NO_ROWS])
def test_what_is_no_rows_is_refused(data, message):
    allowed = r"\(dicts, an Arrow table, or a frame of pandas or Polars\)"
    with pytest.raises(TypeError, match=f"^expected rows {allowed}, {message}$"):
        apply(data, NUMBER)
    if not isinstance(data, Streams):
        with pytest.raises(TypeError, match=f"^expected events {allowed}, {message}$"):
            sequences(data, {"key": "x", "order_by": "x"})


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("a.parquet", r"got str: read 'a.parquet' first .*"),
        ([1.0], r"got list: its values need the name of a feature: {'x': \[...\]}"),
        ((1.0,), r"got tuple: its values .*"),
        (pandas.DataFrame({"x": [1.0]}), r"got DataFrame: join several frames to one \(pandas.concat, .*\)"),
        (pandas.Series({"x": 1.0}), r"got Series: give the whole frame, or .to_dict\(\) of the row"),
        (5, "got int"),
    ],
)
def test_one_of_several_that_is_no_row(row, message):
    with pytest.raises(TypeError, match=f"^expected a row to be a dict, {message}$"):
        apply([{"x": 1.0}, row], NUMBER)


def test_named_tuples_are_rows():
    frame = pandas.DataFrame({"x": [1.0, 2.0]})
    assert apply(frame.itertuples(), NUMBER)["x"].tolist() == [[1.0], [2.0]]


def test_events_of_several_types_in_a_field():
    frame = pandas.DataFrame({"user": [1, "a"], "at": [1, 2]})
    with pytest.raises(ValueError, match=r"^column 'user': expected values of one type, got int, str$"):
        sequences(frame, {"key": "user", "order_by": "at"})


def test_frames_are_elements_of_a_pipeline():
    """Each comes out as a Table; the rows are those of the dicts, also where a column has values of several types."""
    cells = [[1.0, 2.0], None, ["a"], [3.0]]
    rows = [{"id": k, "x": cell} for k, cell in enumerate(cells)]
    columns = [passthrough_column("id", "int64"), FLOATS]
    mixed = pandas.DataFrame(rows)
    plain = polars.DataFrame([row for row in rows if row["id"] != 2])
    made = collect([mixed, plain], Densify(columns, SequenceGroup(max_length=2)))
    expected = apply(rows, columns, SequenceGroup(max_length=2))
    assert len(made[GOOD]) == 2 and len(made[REJECTED]) == 1
    for table in made[GOOD]:
        assert isinstance(table, pa.Table)
        assert np.array(table["x"].to_pylist()).tolist() == expected["x"].tolist()
    assert made[REJECTED][0].select(["row", "reason"]).to_pylist() == [{"row": 2, "reason": "not_a_number"}]


def test_frames_of_events_are_elements_of_a_pipeline():
    frame = pandas.DataFrame({"user": [2, 1, 2], "at": [3, 1, 2], "item": ["c", "a", "b"]})
    spec = {"key": "user", "order_by": "at"}
    schema = pa.schema([("user", pa.int64()), ("at", pa.int64()), ("item", pa.string())])
    halves = [frame.iloc[:2], polars.DataFrame(frame.iloc[2:])]
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        made = root | beam.Create(halves, reshuffle=False) | GroupEvents(spec, schema, partitions=2)
        made.good | beam.Map(_keep, GOOD)
    rows = [row for _, batch in _KEPT for row in batch.to_pylist()]
    assert sorted(rows, key=lambda row: row["user"]) == sequences(frame, spec).table.to_pylist()


class Tensor:
    """As PyTorch has them: no array while a gradient is kept."""

    dtype = "torch.float32"

    def __init__(self, values: Any, kept: bool = True):
        self.values, self.kept = values, kept

    def detach(self) -> Tensor:
        return Tensor(self.values, False)

    def cpu(self) -> Tensor:
        return self

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray:
        if self.kept:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() instead.")
        return np.asarray(self.values)


def tensors() -> Mapping[str, tuple[Any, Any, Column]]:
    """Values, what they mean as Python has it, and a column that takes them."""
    import tensorflow as tf

    return {
        "a tensor": (tf.constant([1.5, 2.5]), [1.5, 2.5], FLOATS),
        "a scalar tensor": (tf.constant(2.5), 2.5, NUMBER),
        "a tensor of steps": (tf.constant([[1, 2], [3, 4]]), [[1, 2], [3, 4]], PAIRS),
        "a tensor of words": (tf.constant(["a", "b"]), [b"a", b"b"], WORDS),
        "a word": (tf.constant("a"), b"a", KEY),
        "bfloat16": (tf.constant([1.5, 2.0**127], tf.bfloat16), [1.5, 2.0**127], FLOATS),
        "float16": (tf.constant([1.5], tf.float16), [1.5], FLOATS),
        "a variable": (tf.Variable([1.5]), [1.5], FLOATS),
        "a ragged tensor": (tf.ragged.constant([[1], [], [3]]), [[1], [], [3]], IDS),
        "a list of tensors": ([tf.constant(1.5), tf.constant(2.5)], [1.5, 2.5], FLOATS),
        "a list of steps": ([tf.constant([1.0, 2.0])], [[1.0, 2.0]], PAIRS),
        "an empty tensor": (tf.zeros([0]), [], FLOATS),
        "a tensor that is too deep": (tf.ones([1, 2, 1]), [[[1.0], [1.0]]], PAIRS),
        "no values of a sparse one": (tf.sparse.from_dense([0, 1]), object(), FLOATS),
        "a scalar array": (np.array(2.5), 2.5, NUMBER),
        "an array of steps": (np.ones((3, 2), np.float32), [[1.0, 1.0]] * 3, PAIRS),
        "an array that is too deep": (np.ones((1, 2, 1)), [[[1.0], [1.0]]], PAIRS),
        "an array of objects": (np.array([1, 2.5], dtype=object), [1, 2.5], FLOATS),
        "a masked array": (np.ma.array([1.0, 2.0], mask=[False, True]), [1.0, None], FILLED),
        "a masked array of steps": (np.ma.array([[1.0, 2.0]], mask=[[True, False]]), [[None, 2.0]], PAIRS),
        "masked": (np.ma.masked, None, OPTIONAL),
        "an Arrow array": (pa.array([1, None]), [1, None], FILLED),
        "a series of pandas": (pandas.Series([1.0, 2.0]), [1.0, 2.0], FLOATS),
        "a series of Polars": (polars.Series([1, 2]), [1, 2], IDS),
        "a tensor with a gradient": (Tensor([1.0, 2.0]), [1.0, 2.0], FLOATS),
    }  # fmt: skip


def test_tensors_and_arrays_in_dicts():
    for name, (value, plain, column) in tensors().items():
        for more in ([], [{"x": "n/a"}]):  # alone, and beside a row of another type
            made, expected = apply([{"x": value}, *more], column), apply([{"x": plain}, *more], column)
            assert without_records(made) == without_records(expected), name


def test_tensors_in_cells_of_pandas():
    import tensorflow as tf

    frame = pandas.DataFrame({"x": pandas.Series([tf.constant([1.0]), tf.constant([2.0, 3.0])], dtype=object)})
    assert apply(frame, FLOATS)["x"].tolist() == [[1.0, 0.0], [2.0, 3.0]]


def test_tensors_in_structs_and_events():
    import tensorflow as tf

    rows = [{"at": {"b": tf.constant([1.0, 2.0])}}, {"at": {"b": [3.0]}}]
    assert apply(rows, sequence_numeric_column("at.b", ()))["at.b"].tolist() == [[1.0, 2.0], [3.0, 0.0]]
    events = [{"user": tf.constant(1), "at": np.array(k), "item": tf.constant("a")} for k in range(2)]
    assert sequences(events, {"key": "user", "order_by": "at"}).table["item"].to_pylist() == [[b"a", b"a"]]


DTYPES = [
    *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
    "float16",
    "bfloat16",
    "float32",
    "float64",
]


@pytest.fixture(scope="module")
def results() -> dict[str, Applied]:
    """Results with every dtype, shape and kind of output; without rows; and with T = 0."""
    columns: list[Column] = []
    for dtype in DTYPES:
        columns += [sequence_numeric_column(f"{dtype}s", dtype=dtype), numeric_column(dtype, dtype=dtype)]
    columns += [
        sequence_numeric_column("pairs", (2, 3), group="other", non_finite="fill", observed_mask=True),
        sequence_categorical_column_with_identity("ids", 9, group="other"),
        *(passthrough_column(kind, kind) for kind in ("string", "bytes")),
        passthrough_column("key", "uint64"),
    ]
    rows: list[dict[str, Any]] = []
    for k in range(4):
        row: dict[str, Any] = {"pairs": [float(k), *range(5)] * k, "ids": [k] * k}
        row |= {f"{dtype}s": [k + 1] * k for dtype in DTYPES} | {dtype: k + 100 for dtype in DTYPES}
        rows.append({**row, "string": f"é{k}", "bytes": bytes([255, k]), "key": 2**64 - 1 - k, "uint64": 2**62 + 1})
    rows[2]["string"] = None  # rejected
    spec = make_spec(columns, {"sequence": SequenceGroup(max_length=2), "other": SequenceGroup()})
    hollow = [{key: value for key, value in row.items() if key in (*DTYPES, "string", "bytes", "key")} for row in rows]
    open_length = make_spec(columns, {"sequence": SequenceGroup(), "other": SequenceGroup()})
    fixed = [apply(rows, spec), apply([], spec)]
    assert fixed[0].rows.tolist() == [0, 1, 3]
    return {"rows": fixed[0], "no rows": fixed[1], "no steps": apply(hollow, open_length)}


WHICH = ["rows", "no rows", "no steps"]


@pytest.mark.parametrize("which", WHICH)
def test_to_arrow(results, which):
    done = results[which]
    table = done.to_arrow()
    assert table.schema.names == list(done.arrays) and table.num_rows == len(done.rows)
    for output in done.outputs:
        array, column = done[output.name], table[output.name]
        kind, sizes = column.type, []
        while pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind):
            sizes.append(kind.list_size if pa.types.is_fixed_size_list(kind) else 0)
            kind = kind.value_type
        named = {"string": pa.large_string(), "bytes": pa.large_binary(), "bfloat16": pa.float32()}
        assert kind == (named.get(output.dtype) or pa.type_for_alias(output.dtype)), output
        assert sizes == (list(array.shape[1:]) if array.size or 0 not in array.shape[1:] else [0])
        assert column.null_count == 0
        assert not array.size or column.to_pylist() == array.tolist()


@pytest.mark.parametrize("which", WHICH)
def test_to_pandas(results, which):
    done = results[which]
    frame = done.to_pandas()
    assert list(frame.columns) == list(done.arrays) and len(frame) == len(done.rows)
    for name, array in done.arrays.items():
        if array.ndim == 1:
            assert frame[name].tolist() == array.tolist()
            assert array.dtype == object or frame[name].dtype == array.dtype
            continue
        assert frame[name].dtype == object
        cells = frame[name].tolist()
        assert all(cell.dtype == array.dtype and cell.shape == array.shape[1:] for cell in cells)
        if cells:
            assert np.stack(cells).tobytes() == array.tobytes()
            cells[0][...] = 1
    assert which != "rows" or done["pairs"][0].sum() == 0  # cells are copies


@pytest.mark.parametrize("which", WHICH)
def test_to_polars(results, which):
    done = results[which]
    frame = done.to_polars()
    assert frame.columns == list(done.arrays) and frame.height == len(done.rows)
    for output in done.outputs:
        array, column = done[output.name], frame[output.name]
        inner = column.dtype
        while hasattr(inner, "inner"):
            inner = inner.inner
        named = {"bool": "Boolean", "string": "String", "bytes": "Binary", "bfloat16": "Float32"}
        wanted = named.get(output.dtype) or output.dtype.replace("uint", "UInt").replace("int", "Int").replace(
            "float", "Float"
        )
        assert str(inner) == wanted.replace("UIInt", "UInt"), output
        if array.size:
            assert column.to_list() == array.tolist()
            assert array.ndim == 1 or column.dtype.shape == array.shape[1:]


def test_results_are_frames_that_are_taken_again(results):
    """Values of steps come back by each library; so do scalars, text and bytes."""
    done = results["rows"]
    spec = make_spec(
        [
            sequence_numeric_column("pairs", (2, 3), group="other"),
            sequence_numeric_column("float64s", dtype="float64", group="float64s"),
            sequence_numeric_column("uint8s", dtype="uint8", group="uint8s"),
            *(passthrough_column(kind, kind) for kind in ("string", "bytes")),
            passthrough_column("key", "uint64"),
        ],
        {name: SequenceGroup() for name in ("other", "float64s", "uint8s")},
    )
    flat = [row.reshape(-1, 6) for row in done["pairs"]]  # a step of several dimensions comes as its values
    of_arrow, of_polars, of_pandas = done.to_arrow(), done.to_polars(), done.to_pandas()
    pairs = [row.tolist() for row in flat]
    of_arrow = of_arrow.set_column(of_arrow.schema.get_field_index("pairs"), "pairs", pa.array(pairs))
    for frame in (
        of_arrow,
        of_polars.with_columns(polars.Series("pairs", pairs)),
        of_pandas.assign(pairs=flat),
    ):
        again = apply(frame, spec)
        assert again.rejected.num_rows == 0
        for name in ("pairs", "float64s", "uint8s", "string", "bytes", "key"):
            assert again[name].dtype == done[name].dtype and again[name].tolist() == done[name].tolist()


EVENTS = pa.table(
    {
        "user": pa.array([1, 1, 2], pa.int64()),
        "at": pa.array([1, 2, 3], pa.timestamp("us", "UTC")),
        "n": pa.array([2**53 + 1, None, 3], pa.int64()),
        "f": pa.array([1.5, None, 2.5], pa.float32()),
        "b": pa.array([True, None, False]),
        "s": pa.array(["a", None, "b"]).dictionary_encode(),
    }
)


def test_sequences_as_frames():
    features = {"n": "n", "last": {"last": "n"}, "f": "f", "b": "b", "s": "s", "at": "at"}
    made = sequences(EVENTS, {"key": "user", "order_by": "at", "features": features})
    assert made.to_arrow() is made.table
    assert made.to_polars().to_dicts() == made.table.to_pylist()
    frame = made.to_pandas()
    assert pa.Table.from_pandas(frame, preserve_index=False)["n"].to_pylist() == made.table["n"].to_pylist()
    assert frame["n"].tolist() == [[2**53 + 1, None], [3]] and frame["last"].isna().tolist() == [True, False]
    assert [list(cell) for cell in frame["s"]] == [["a", None], ["b"]]
    assert frame["f"][1].dtype == np.float32 and str(frame["user"].dtype) == "int64"
    none = sequences(EVENTS.slice(0, 0), {"key": "user", "order_by": "at", "features": features})
    assert none.to_pandas().empty and list(none.to_pandas().columns) == none.table.schema.names
    assert none.to_polars().columns == none.table.schema.names


@pytest.mark.parametrize(("name", "shown"), [("pandas", "pandas"), ("polars", "Polars")])
def test_a_library_that_is_not_installed(monkeypatch, results, name, shown):
    monkeypatch.setitem(sys.modules, name, None)
    message = f"^to_{name} needs {shown}, which is not installed: pip install {name}$"
    for made in (results["rows"], sequences(EVENTS, {"key": "user", "order_by": "at"})):
        with pytest.raises(ModuleNotFoundError, match=message):
            getattr(made, f"to_{name}")()


PROGRAM = """
import sys

class NotInstalled:
    def find_spec(self, name, path=None, target=None):
        if name in ("pandas", "polars"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, NotInstalled())
import pyarrow as pa
from transforms.rows.from_python import batches_of
from transforms import sequences
rows = [{"x": [1.0]}, {"x": ["a"]}]
assert [batch.num_rows for batch in batches_of(rows)] == [1, 1]
assert [batch.num_rows for batch in batches_of(pa.table({"x": [1]}))] == [1]
assert sequences([{"user": 1, "at": 1}], {"key": "user", "order_by": "at", "features": {"n": "at"}}).to_arrow().num_rows == 1
print("fine")
"""


def test_neither_library_is_needed():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.stdout == "fine\n", done.stderr


def test_a_frame_without_a_sequence_is_refused_as_a_file_is():
    column = sequence_numeric_column("videos")
    with pytest.raises(
        ValueError, match=r"^column 'videos': the frame has no feature 'videos'; did you mean 'vidoes'\?$"
    ):
        apply(pa.table({"vidoes": [[1.0]]}), [column])
    with pytest.raises(ValueError, match=r"the frame has no feature 'videos'; it has other$"):
        apply(pa.table({"other": [1]}), [column])
    optional = sequence_numeric_column("videos", required=False)
    assert apply(polars.DataFrame({"other": [1] * 3}), [optional]).lengths().tolist() == [0, 0, 0]
    assert apply([{"other": 1}], [column]).lengths().tolist() == [0]  # a dict says nothing of other rows
