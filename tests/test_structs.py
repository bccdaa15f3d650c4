"""Features inside structs: what a path finds, against plain Python; in every source; and what is read for it."""

from __future__ import annotations

import json
import re
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.inputs import preflight
from pipeline.repair.records import DECODERS
from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS
from tests.jobs import done, read_arrays
from transforms import (
    SequenceGroup,
    Spec,
    apply,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import JobError
from transforms.rows import origin, paths
from transforms.splits.rule import Split

EVENT = pa.struct([("item", pa.int64()), ("ms", pa.float64()), ("tags", pa.list_(pa.string()))])
ROW = {
    "events": pa.list_(EVENT),
    "user": pa.struct(
        [("id", pa.int64()), ("home", pa.struct([("city", pa.string()), ("seen", pa.list_(pa.int32()))]))]
    ),
}
PATHS = ["events.item", "events.ms", "events.tags", "user.id", "user.home.city", "user.home.seen"]


def maybe(strategy):
    return st.none() | strategy


ITEMS = st.integers(-(2**40), 2**40)
EVENTS = st.fixed_dictionaries(
    {
        "item": maybe(ITEMS),
        "ms": maybe(st.floats(-5, 5, width=32)),
        "tags": maybe(st.lists(st.sampled_from("ab"), max_size=2)),
    }
)
HOMES = st.fixed_dictionaries(
    {"city": maybe(st.sampled_from("xyz")), "seen": maybe(st.lists(st.integers(0, 9), max_size=3))}
)
ROWS = st.fixed_dictionaries(
    {
        "events": maybe(st.lists(maybe(EVENTS), max_size=3)),
        "user": maybe(st.fixed_dictionaries({"id": maybe(ITEMS), "home": maybe(HOMES)})),
    }
)


def walked(value: Any, *names: str) -> Any:
    """The specification: a field of a struct, of every struct in a list; null where the struct is."""
    if value is None or not names:
        return value
    if isinstance(value, list):
        return [walked(item, *names) for item in value]
    return walked(value.get(names[0]), *names[1:])


def test_a_struct_of_any_one_field_has_a_path():
    for name in ("unreadable", "x"):
        rows = pa.table({"s": [{name: 5}]})
        assert apply(rows, numeric_column(f"s.{name}"))["s." + name].tolist() == [[5.0]]


@given(st.lists(ROWS, min_size=1, max_size=5), st.integers(0, 2))
def test_a_path_is_a_walk(rows, skipped):
    batch = pa.RecordBatch.from_pylist(rows, pa.schema(ROW)).slice(skipped)
    for path in PATHS:
        expected = [walked(row, *path.split(".")) for row in rows[skipped:]]
        found = paths.column(batch, path)
        assert found is not None and found.to_pylist() == expected
        kind = paths.kind_of(ROW, path)
        assert kind is not None and pa.array(expected, kind).to_pylist() == expected
        assert [paths.picked(row, path) for row in rows[skipped:]] == expected


def test_a_name_wins_over_a_path_at_every_level():
    inner = {"b.c": 1, "b": {"c": 2}}
    for row, expected in [
        ({"a.b.c": 0, "a": inner}, 0),
        ({"a.b": {"c": 3}, "a": inner}, 3),
        ({"a": inner}, 1),
        ({"a": {"b": {"c": 2}}}, 2),
        ({"a.b": {"d": 3}, "a": inner}, 1),
        ({"a": {"b": {"d": 2}}}, None),
        ({"a": None}, None),
    ]:
        assert paths.picked(row, "a.b.c") == expected
        batch = pa.RecordBatch.from_pylist([row])
        found = paths.column(batch, "a.b.c")
        assert (None if found is None else found.to_pylist()[0]) == expected


def test_leaves_are_what_a_column_can_name():
    assert [name for name, _ in paths.leaves({"x": pa.int8(), **ROW, "e": pa.struct([])})] == ["x", *PATHS, "e"]
    assert dict(paths.leaves(ROW))["events.tags"] == pa.large_list(pa.list_(pa.string()))


def parquet(path, rows):
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(ROW)), path / "x.parquet")


def avro(path, rows):
    def record(name, fields):
        return {
            "type": "record",
            "name": name,
            "fields": [{"name": n, "type": ["null", kind]} for n, kind in fields.items()],
        }

    event = record("event", {"item": "long", "ms": "double", "tags": {"type": "array", "items": "string"}})
    home = record("home", {"city": "string", "seen": {"type": "array", "items": "int"}})
    user = record("user", {"id": "long", "home": home})
    schema = record("row", {"events": {"type": "array", "items": ["null", event]}, "user": user})
    with open(path / "x.avro", "wb") as file:
        fastavro.writer(file, schema, rows)


def json_lines(path, rows):
    (path / "x.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


WRITERS = {"parquet": parquet, "avro": avro, "jsonl": json_lines}


def read(path, spec: Spec) -> list[pa.RecordBatch]:
    source = source_for(str(path))
    parts = [read.batch for part in source.parts(str(path)) for read in source.read(part, spec.read_features, DEFAULTS)]
    return [part for part in parts if part is not None and part.num_rows]


NESTED_ROWS: list[dict[str, Any]] = [
    {"events": [{"item": 5, "ms": 1.5, "tags": ["a", "b"]}, {"item": 3, "ms": 2.5, "tags": []}],
     "user": {"id": 7, "home": {"city": "x", "seen": [1, 2, 3]}}},
    {"events": [], "user": {"id": 8, "home": None}},
    {"events": None, "user": None},
    {"events": [None, {"item": 1, "ms": 0.5, "tags": None}], "user": {"id": 9, "home": {"city": None, "seen": None}}},
]  # fmt: skip

COLUMNS = [
    sequence_categorical_column_with_identity("events.item", 10),
    sequence_numeric_column("events.ms", non_finite="fill", default_value=-1),
    sequence_categorical_column_with_hash_bucket("events.tags", 10, max_ids=2),
    sequence_numeric_column("user.home.seen", dtype="int64", group="home"),
    passthrough_column("user.id", "int64", default_value=-1),
    passthrough_column("user.home.city", default_value="?"),
]


def arrays(batches, spec):
    """What the columns make of some batches, feature by feature, and the rows that they reject."""
    made = [apply(batch, spec) for batch in batches]
    values = {o.name: [row for one in made for row in one[o.name].tolist()] for o in made[0].outputs}
    return values, [bad for one in made for bad in one.rejected.select(["row", "reason", "column"]).to_pylist()]


@pytest.mark.parametrize("kind", WRITERS)
def test_every_source_finds_the_same(tmp_path, kind):
    spec = make_spec(COLUMNS, {"sequence": SequenceGroup(max_length=2), "home": SequenceGroup(max_length=3)})
    expected, bad = arrays([NESTED_ROWS], spec)
    WRITERS[kind](tmp_path, NESTED_ROWS)
    assert arrays(read(tmp_path / f"x.{kind}", spec), spec) == (expected, bad)
    assert expected["events.item"] == [[5, 3], [-1, -1], [-1, -1]]
    assert expected["user.home.seen"] == [[[1], [2], [3]], [[0], [0], [0]], [[0], [0], [0]]]
    assert expected["user.id"] == [7, 8, -1] and expected["user.home.city"] == ["x", "?", "?"]
    # A null among the structs of a list is a step whose item is null, which no id is.
    assert bad == [{"row": 3, "reason": "null_value", "column": "events.item"}]


def test_a_null_struct_in_a_list_is_a_step_without_a_number():
    column = sequence_numeric_column("events.ms", non_finite="fill", default_value=-1)
    made = apply(NESTED_ROWS, column)
    assert made["events.ms"][:, :, 0].tolist() == [[1.5, 2.5], [-1, -1], [-1, -1], [-1, 0.5]]
    assert made.lengths().tolist() == [2, 0, 0, 2]


def test_other_fields_of_a_struct_may_be_anything():
    rows = [
        {"e": [{"item": 1, "x": 1}, {"item": 2, "x": "a"}]},
        {"e": [{"item": 3, "x": [True, 2]}]},
        {"e": 5},
        {"e": {"item": [4]}},
    ]
    made = apply(rows, sequence_categorical_column_with_identity("e.item", 10))
    assert made["e.item"].tolist() == [[1, 2], [3, -1], [4, -1]]
    assert made.rejected.select(["row", "reason"]).to_pylist() == [{"row": 2, "reason": "wrong_type"}]


def test_parquet_reads_the_leaves_asked_for_and_no_others(tmp_path):
    rows = NESTED_ROWS * 50
    path = str(tmp_path / "x.parquet")
    pq.write_table(pa.Table.from_pylist(rows, pa.schema(ROW)), path, use_dictionary=False, compression="NONE")
    spec = make_spec([COLUMNS[0], COLUMNS[4]])
    metadata = pq.read_metadata(path).row_group(0)
    spans = {
        c.path_in_schema: (c.data_page_offset, c.total_compressed_size)
        for c in map(metadata.column, range(metadata.num_columns))
    }
    whole = bytearray((tmp_path / "x.parquet").read_bytes())
    for name, (start, size) in spans.items():
        if not name.endswith(("item", "user.id")):
            whole[start : start + size] = bytes(size)  # what nobody needs can stop nobody
    (tmp_path / "x.parquet").write_bytes(whole)
    (batch,) = read(path, spec)
    assert batch.schema.field("events").type.value_type.names == ["item"]
    assert batch.schema.field("user").type.names == ["id"]
    items = paths.column(batch, "events.item")
    assert items is not None and items.to_pylist() == [walked(row, "events", "item") for row in rows]


@pytest.mark.parametrize("kind", WRITERS)
def test_an_unknown_path_is_refused_with_the_nearest_one(tmp_path, kind):
    WRITERS[kind](tmp_path, NESTED_ROWS)
    path = str(tmp_path / f"x.{kind}")
    wrong = make_spec([sequence_numeric_column("events.itme"), numeric_column("user.id", default_value=0)])
    with pytest.raises(JobError, match=re.escape("'events.itme'") + ".*did you mean 'events.item'"):
        preflight.look([path], wrong)
    preflight.look(
        [path], make_spec([sequence_numeric_column("events.item"), numeric_column("user.id", default_value=0)])
    )


def test_a_struct_itself_is_no_column(tmp_path):
    parquet(tmp_path, NESTED_ROWS)
    with pytest.raises(JobError, match=r"name one of its fields, as '<key>\.item'"):
        preflight.look([str(tmp_path / "x.parquet")], make_spec(sequence_numeric_column("events")))


def test_a_job_over_nested_rows(tmp_path):
    rows = [
        {**row, "user": {"id": k, "home": None}}
        for k, row in enumerate(NESTED_ROWS * 30)
        if row["events"] and None not in row["events"]
    ]
    parquet(tmp_path, rows)
    columns = [COLUMNS[0], sequence_numeric_column("events.ms", normalizer_fn="z_score"), COLUMNS[4]]
    spec = make_spec(columns)
    done(spec, tmp_path / "x.parquet", tmp_path / "out")
    made = read_arrays(tmp_path / "out", "user.id")
    expected = apply(rows, spec)
    for name in ("events.item", "events.ms", "sequence_length"):
        np.testing.assert_array_equal(made[name], expected[name])


def test_a_split_by_a_field_of_a_struct():
    from transforms.splits.assign import key_bytes

    batch = pa.RecordBatch.from_pylist(NESTED_ROWS, pa.schema(ROW))
    flat = pa.RecordBatch.from_pydict({"id": [7, 8, None, 9]})
    assert key_bytes(batch, ("user.id",), 0) == key_bytes(flat, ("id",), 0)
    assert Split(by="key", key="user.id", fractions={"train": 0.5, "test": 0.5}).keys == ("user.id",)


def test_a_rejected_row_keeps_the_structs_that_it_was_read_from(tmp_path):
    parquet(tmp_path, NESTED_ROWS)
    spec = make_spec([COLUMNS[0], COLUMNS[4]])
    (batch,) = read(tmp_path / "x.parquet", spec)
    form, records = origin.encode_records(batch, np.array([0, 3]))
    assert form == origin.ARROW_IPC
    decoded = [good for good, _ in DECODERS[form](records.to_pylist(), "x", spec.read_features, "") if good is not None]
    again = [row for one in decoded for row in paths.column(one, "events.item").to_pylist()]  # type: ignore[union-attr]
    assert again == [walked(NESTED_ROWS[k], "events", "item") for k in (0, 3)]
