"""Parse, Validate and Densify in anybody's Beam pipeline: by themselves, on Arrow and on dicts, in any batches and windows."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.internal import cloudpickle_pickler
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from pipeline.job import batch_coder
from transforms import (
    Densify,
    Parse,
    SequenceGroup,
    Validate,
    apply,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.beam import GOOD, REJECTED, TALLIES
from transforms.rows.rejection import SCHEMA
from transforms.rows.tally import Tally, add

COLUMNS = [
    passthrough_column("id", "int64"),
    sequence_numeric_column("x", (2,), -1.0),
    sequence_categorical_column_with_identity("ids", 10, group="csv", delimiter=","),
    numeric_column("w", default_value=0.5),
]
GROUPS = {"sequence": SequenceGroup(max_length=3, truncate="tail"), "csv": SequenceGroup(max_length=2)}

ROWS: list[dict[str, Any]] = [
    {"id": k, "x": [float(k), 0.5] * (k % 5), "ids": ",".join("123"[: k % 4]), "w": None if k % 3 else float(k)}
    for k in range(40)
]
BAD: dict[int, tuple[dict[str, Any], str, str]] = {
    5: ({"ids": "1,x"}, "not_a_number", "parse"),
    11: ({"ids": "1,99"}, "out_of_range", "validate"),
    17: ({"x": [1.0]}, "incomplete_step", "validate"),
    23: ({"w": "a"}, "not_a_number", "parse"),
    29: ({"x": [float("nan"), 1.0]}, "non_finite", "validate"),
    39: ({"id": None}, "missing", "validate"),
}
for number, (change, _, _) in BAD.items():
    ROWS[number] = {**ROWS[number], **change}


def as_text(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that one Arrow table can hold: `w` as text in all of them."""
    return [{**row, "w": None if row["w"] is None else str(row["w"])} for row in rows]


TABLE = pa.Table.from_pylist(as_text(ROWS))


def batches(*sizes: int) -> list[pa.RecordBatch]:
    made: list[pa.RecordBatch] = []
    start = 0
    while start < len(ROWS):
        size = sizes[len(made) % len(sizes)]
        made += TABLE.slice(start, size).combine_chunks().to_batches()
        start += size
    return made


def collect(elements: Sequence[Any], transform: beam.PTransform, before: Any = None) -> dict[str, list[Any]]:
    """Runs a transform and returns its outputs as lists."""
    batch_coder.register()
    kept: dict[str, list[Any]] = {GOOD: [], REJECTED: [], TALLIES: []}
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        made = root | beam.Create(elements, reshuffle=False)
        if before is not None:
            made |= before
        done = made | "Stage" >> transform
        for tag in kept:
            done[tag] | f"Keep {tag}" >> beam.Map(_keep, tag)
    for tag, value in _KEPT:
        kept[tag].append(value)
    return kept


_KEPT: list[tuple[str, Any]] = []


def _keep(value: Any, tag: str) -> None:
    _KEPT.append((tag, value))


def rows_of(good: Sequence[Any]) -> dict[int, dict[str, Any]]:
    """Good rows by id, whichever way they came."""
    flat = [row for part in good for row in (part.to_pylist() if isinstance(part, pa.RecordBatch) else [part])]
    made = {}
    for row in flat:
        number = row["id"][0] if isinstance(row["id"], list) else row["id"]
        made[number] = {name: value for name, value in row.items() if not name.startswith("__")}
    assert len(made) == len(flat)
    return made


def total(tallies: Sequence[Tally]) -> dict[Any, int]:
    made: Tally = Tally()
    for part in tallies:
        add(made, part)
    return {key: count for key, count in made.items() if count}


STAGES = {
    "parse": (Parse(COLUMNS, GROUPS), {"parse"}),
    "validate": (Validate(COLUMNS, GROUPS), {"parse", "validate"}),
    "densify": (Densify(COLUMNS, GROUPS), {"parse", "validate"}),
}


@pytest.fixture(scope="module", params=STAGES)
def stage(request) -> Any:
    """A stage, and its outputs for one batch and for dicts."""
    transform, rules = STAGES[request.param]
    return request.param, transform, rules, collect(batches(40), transform), collect(ROWS, transform)


def test_bad_rows_come_out_tagged(stage):
    _, _, rules, of_batch, of_dicts = stage
    expected = [(row, reason) for row, (_, reason, rule) in sorted(BAD.items()) if rule in rules]
    table = pa.Table.from_batches(of_batch[REJECTED], SCHEMA).sort_by("row")
    assert list(zip(table["row"].to_pylist(), table["reason"].to_pylist(), strict=True)) == expected
    dicts = sorted(of_dicts[REJECTED], key=lambda row: row["row"])
    assert [(row["row"], row["reason"]) for row in dicts] == expected
    assert all(set(row) == set(SCHEMA.names) for row in dicts)
    for k, (number, _) in enumerate(expected):
        original = pa.ipc.open_stream(table["record"][k].as_py()).read_all().to_pylist()[0]
        assert repr(original) == repr(TABLE.slice(number, 1).to_pylist()[0])


def test_the_kind_that_goes_in_comes_out(stage):
    _, _, rules, of_batch, of_dicts = stage
    assert all(isinstance(part, pa.RecordBatch) for part in of_batch[GOOD])
    assert all(isinstance(part, dict) for part in of_dicts[GOOD])
    good = {k for k in range(40) if k not in BAD or BAD[k][2] not in rules} - ({39} if "validate" in rules else set())
    if "validate" in rules:
        assert set(rows_of(of_batch[GOOD])) == set(rows_of(of_dicts[GOOD])) == good


@pytest.mark.parametrize("sizes", [(1,), (3, 7), (39, 1)])
def test_batch_boundaries_change_nothing(stage, sizes):
    name, transform, _, whole, _ = stage
    cut = collect(batches(*sizes), transform)
    if name != "parse":  # a row without an id is among the parsed ones
        assert repr(sorted(rows_of(cut[GOOD]).items())) == repr(sorted(rows_of(whole[GOOD]).items()))
    else:
        joined = [pa.Table.from_batches(part).drop_columns("__row__") for part in (cut[GOOD], whole[GOOD])]
        assert repr(joined[0].to_pylist()) == repr(joined[1].to_pylist())
    reasons = [sorted(pa.Table.from_batches(part[REJECTED])["value"].to_pylist()) for part in (cut, whole)]
    assert reasons[0] == reasons[1]
    assert total(cut[TALLIES]) == total(whole[TALLIES])


def test_densified_rows_are_those_of_the_call_in_memory():
    made = rows_of(collect(ROWS, Densify(COLUMNS, GROUPS))[GOOD])
    applied = apply(ROWS, COLUMNS, GROUPS)
    assert sorted(made) == applied.rows.tolist()
    for k, number in enumerate(applied.rows.tolist()):
        for name, value in made[number].items():
            np.testing.assert_array_equal(np.asarray(value).reshape(-1), np.asarray(applied[name][k]).reshape(-1), name)


def test_one_after_another_is_the_last_one_alone():
    class All(beam.PTransform):
        def expand(self, rows: Any) -> Any:
            parsed = rows | "Parse" >> Parse(COLUMNS, GROUPS)
            valid = parsed[GOOD] | "Validate" >> Validate(COLUMNS, GROUPS)
            return valid[GOOD] | "Densify" >> Densify(COLUMNS, GROUPS)

    chained = collect(batches(16), All())
    alone = collect(batches(16), Densify(COLUMNS, GROUPS))
    assert [part.to_pylist() for part in chained[GOOD]] == [part.to_pylist() for part in alone[GOOD]]
    assert not chained[REJECTED]


class WithWindow(beam.DoFn):
    def process(self, row: Any, window: Any = beam.DoFn.WindowParam) -> Any:
        yield {**row, "window": int(window.start)}


def test_windows_of_dict_rows_stay(stage):
    """Rows are gathered into batches within their windows only, and leave in the window that they came in."""
    _, transform, rules, _, _ = stage

    class Windowed(beam.PTransform):
        def expand(self, rows: Any) -> Any:
            stamped = rows | beam.Map(lambda row: TimestampedValue(row, 10 * (row["id"] or 0) % 70))
            done = stamped | beam.WindowInto(FixedWindows(20)) | "Stage" >> transform
            return {
                GOOD: done[GOOD] | "Good" >> beam.ParDo(WithWindow()),
                REJECTED: done[REJECTED] | "Rejected" >> beam.ParDo(WithWindow()),
                TALLIES: done[TALLIES],
            }

    made = collect(ROWS[:39], Windowed())
    good, rejected = rows_of(made[GOOD]), made[REJECTED]
    assert len(good) + len(rejected) == 39
    assert len(rejected) == sum(rule in rules for k, (_, _, rule) in BAD.items() if k < 39)
    for number, row in good.items():
        assert row["window"] == 10 * number % 70 // 20 * 20
    for row in rejected:
        number = pa.ipc.open_stream(row["record"]).read_all()["id"][0].as_py()
        assert row["window"] == 10 * number % 70 // 20 * 20


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("pickler", [pickle, cloudpickle_pickler], ids=["pickle", "beam"])
def test_transforms_can_be_pickled(name, pickler):
    transform, _ = STAGES[name]
    again = pickler.loads(pickler.dumps(transform))
    assert type(again) is type(transform) and again.spec == transform.spec
    assert callable(again.make())


def test_one_column_is_enough():
    made = collect([{"x": "1,2"}, {"x": "1,b"}], Parse(sequence_numeric_column("x", delimiter=",")))
    assert [row["x"] for row in made[GOOD]] == [[1.0, 2.0]] and [row["value"] for row in made[REJECTED]] == ["b"]


def test_statistics_need_the_directory_of_a_job():
    with pytest.raises(ValueError, match="transform=DIR"):
        Densify(sequence_numeric_column("x", normalizer_fn="z_score"), SequenceGroup(max_length=3))
    with pytest.raises(ValueError, match="longest row"):
        Densify(sequence_numeric_column("x"))
