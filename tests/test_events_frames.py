"""Events as people have them: frames of pandas and Polars, dicts, batches with their origin; and what is rejected of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.test_events import as_bytes
from transforms import Events, Grouped, make_events, sequences
from transforms.events.accounting import FATES
from transforms.rows import origin
from transforms.rows.rejection import SCHEMA

ROWS = [
    {"user": 2, "at": 30, "item": "c", "value": 1.5},
    {"user": 1, "at": 10, "item": "a", "value": None},
    {"user": 2, "at": 20, "item": "b", "value": 0.5},
]
SPEC = {"key": "user", "order_by": "at", "features": {"items": "item", "values": "value"}}
WANTED = [
    {"user": 1, "items": ["a"], "values": [None]},
    {"user": 2, "items": ["b", "c"], "values": [0.5, 1.5]},
]


def test_arrow_and_dicts():
    table = pa.Table.from_pylist(ROWS)
    chunks = pa.concat_tables([table.slice(k, 1) for k in range(3)])
    for data in (
        ROWS,
        iter(ROWS),
        table,
        table.to_batches()[0],
        chunks,
        pa.RecordBatchReader.from_batches(table.schema, table.to_batches()),
    ):
        assert sequences(data, SPEC).table.to_pylist() == WANTED


def test_pandas():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(ROWS)
    frame["item"] = frame["item"].astype("category")
    for one in (frame, frame[::-1], frame.assign(at=pandas.to_datetime(frame["at"], unit="s"))):
        assert sequences(one, SPEC).table.to_pylist() == WANTED
    with_gap = pandas.DataFrame([*ROWS, {"user": None, "at": 5, "item": "x", "value": 1.0}])  # users are floats now
    found = sequences(with_gap, SPEC)
    assert found.table["user"].to_pylist() == [1.0, 2.0] and found.counts.rejected == 1


def test_polars():
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame(ROWS).with_columns(polars.col("item").cast(polars.Categorical))
    assert sequences(frame, SPEC).table.to_pylist() == WANTED


@pytest.mark.parametrize("data", [5, "events", {"user": [1]}, [5], None])
def test_what_is_no_events_is_refused(data: Any):
    with pytest.raises(TypeError, match="expected events"):
        sequences(data, SPEC)


def test_dicts_of_several_types_are_refused():
    with pytest.raises(ValueError, match="expected values of one type in each field"):
        sequences(
            [{"user": 1, "at": 1, "item": "a", "value": 1.0}, {"user": "b", "at": 1, "item": "a", "value": 1.0}], SPEC
        )


def test_no_events_give_no_sequences_of_the_same_types():
    table = pa.Table.from_pylist(ROWS)
    none = sequences(table.slice(0, 0), SPEC)
    assert none.table.schema == sequences(table, SPEC).table.schema and none.counts.sequences == 0
    assert (len(none.rejected), len(none.too_long), none.counts.read) == (0, 0, 0)


BAD = pa.table(
    {
        "user": [1.0, None, math.nan, 1.0, 1.0, 1.0],
        "site": ["a", "a", "a", None, "a", "a"],
        "at": ["2024-01-01", "2024-01-01", "2024-01-01", "2024-01-01", None, "tomorrow\x1b"],
        "item": list("abcdef"),
    }
)


def test_events_without_a_key_or_a_time_are_rejected():
    spec = {"key": ["user", "site"], "order_by": "at", "features": {"items": "item"}}
    found = sequences(BAD, spec)
    assert found.table.to_pylist() == [{"user": 1.0, "site": "a", "items": ["a"]}]
    assert found.rejected.schema == SCHEMA
    said = [tuple(row[name] for name in ("row", "reason", "column", "value")) for row in found.rejected.to_pylist()]
    assert said == [
        (1, "missing", "user", "absent"),
        (2, "missing", "user", "absent"),
        (3, "missing", "site", "absent"),
        (4, "missing", "at", "absent"),
        (5, "not_a_time", "at", "tomorrow\\x1b"),
    ]
    for row in found.rejected.to_pylist():  # the event as it was
        event = pa.ipc.open_stream(row["record"]).read_all()
        assert repr(event.to_pylist()) == repr(BAD.slice(row["row"], 1).to_pylist())
    assert [FATES[fate] for fate in found.fates] == ["used", *["rejected"] * 5]
    assert (found.counts.read, found.counts.used, found.counts.rejected) == (6, 1, 5)
    assert found.positions.tolist() == [0]


def test_rejected_events_are_named_by_their_file_and_row():
    batch = origin.with_origin(BAD.to_batches()[0], "events-7.parquet", 100)
    found = sequences(batch, {"key": ["user", "site"], "order_by": "at"})
    assert found.table.schema.names == ["user", "site", "at", "item"]
    named = [(row["file"], row["row"]) for row in found.rejected.to_pylist()]
    assert named == [("events-7.parquet", 100 + k) for k in range(1, 6)]


def test_sequences_that_are_too_long():
    table = pa.table({"user": [1] * 5 + [2], "at": list(range(6)), "item": list("abcdef")})
    spec = {"key": "user", "order_by": "at", "features": {"items": "item"}}
    found = sequences(table, spec, max_steps=3)
    assert found.table.to_pylist() == [{"user": 2, "items": ["f"]}]
    assert found.too_long.to_pylist() == [{"user": 1, "steps": 5}] and found.counts.dropped["longer"] == 5
    kept = sequences(table, {**spec, "longer": "last"}, max_steps=3)
    assert kept.table.to_pylist() == [{"user": 1, "items": ["c", "d", "e"]}, {"user": 2, "items": ["f"]}]
    assert len(kept.too_long) == 0 and kept.counts.dropped["longer"] == 2


def test_an_integer_sum_that_no_int64_holds_is_missing():
    table = pa.table({"user": [1, 1, 2, 2], "at": [1, 2, 1, 2], "n": [2**62, 2**62, 2**62, -(2**62)]})
    assert sequences(table, {"key": "user", "order_by": "at", "features": {"s": {"sum": "n"}}}).table[
        "s"
    ].to_pylist() == [None, 0]


def test_one_key_with_very_many_events():
    """In any order: one long segment is merged, not inserted."""
    count = 300_000
    times = np.random.default_rng(0).permutation(count)
    table = pa.table({"user": pa.array(np.zeros(count, np.int64)), "at": times, "n": times})
    found = sequences(table, {"key": "user", "order_by": "at", "features": {"n": "n"}}, max_steps=count)
    assert found.table["n"].combine_chunks().flatten().to_numpy().tolist() == list(range(count))


def test_the_public_face():
    events = make_events(SPEC)
    found = sequences(ROWS, events)
    assert isinstance(events, Events) and isinstance(found, Grouped)
    assert repr(found) == "Grouped(2 sequences of 3 events; user, items, values)"
    assert as_bytes(found.table) == as_bytes(sequences(ROWS[::-1], events).table)
