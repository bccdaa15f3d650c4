"""Rows with a schema and Arrow tables in Beam pipelines: what goes in comes out in kind, with the same results."""

from __future__ import annotations

import typing
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from transforms import (
    Densify,
    Parse,
    SequenceGroup,
    Validate,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.beam import GOOD, REJECTED, TALLIES
from transforms.rows.from_python import row_dict
from transforms.rows.rejection import SCHEMA
from transforms.rows.tally import Tally, add

COLUMNS = [
    passthrough_column("id", "int64"),
    sequence_numeric_column("x", (2,), -1.0),
    sequence_categorical_column_with_identity("ids", 10, group="csv", delimiter=","),
]
GROUPS = {"sequence": SequenceGroup(max_length=3), "csv": SequenceGroup(max_length=2)}
STAGES: dict[str, Any] = {
    "parse": Parse(COLUMNS, GROUPS),
    "validate": Validate(COLUMNS, GROUPS),
    "densify": Densify(COLUMNS, GROUPS),
}

ROWS: list[dict[str, Any]] = [
    {"id": k, "x": [float(k), 0.5] * (k % 5), "ids": ",".join("123"[: k % 4])} for k in range(30)
]
ROWS[7]["ids"] = "1,99"
ROWS[8]["ids"] = "a"
ROWS[11]["x"] = [1.0]


class Watched(typing.NamedTuple):
    """A row as people declare one."""

    id: int
    x: Sequence[float]
    ids: str


_KEPT: list[tuple[str, Any]] = []


def _keep(value: Any, tag: str) -> None:
    _KEPT.append((tag, value))


def collect(elements: Sequence[Any], transform: Any, kind: Any = Any) -> dict[str, list[Any]]:
    """Runs a transform and returns its outputs as lists."""
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        made = root | beam.Create(elements, reshuffle=False).with_output_types(kind)
        done = made | "Stage" >> transform
        for tag in (GOOD, REJECTED, TALLIES):
            done[tag] | f"Keep {tag}" >> beam.Map(_keep, tag)
    return {tag: [value for other, value in _KEPT if other == tag] for tag in (GOOD, REJECTED, TALLIES)}


def total(tallies: Sequence[Tally]) -> Tally:
    made: Tally = Tally()
    for part in tallies:
        add(made, part)
    return made


KINDS: dict[str, tuple[list[Any], Any, Any]] = {
    "beam.Row": ([beam.Row(**row) for row in ROWS], Any, beam.Row),
    "NamedTuple": ([Watched(**row) for row in ROWS], Watched, beam.Row),
    "Table": ([pa.Table.from_pylist(ROWS[:20]), pa.Table.from_pylist(ROWS[20:])], pa.Table, pa.Table),
}


def as_dicts(elements: Sequence[Any]) -> list[dict[str, Any]]:
    made = [row for e in elements for row in (e.to_pylist() if isinstance(e, pa.Table) else [row_dict(e)])]
    return [{name: value for name, value in row.items() if not name.startswith("__")} for row in made]


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_goes_in_comes_out_in_kind(kind, name):
    elements, hint, comes_out = KINDS[kind]
    made = collect(elements, STAGES[name], hint)
    dicts = collect(ROWS, STAGES[name])
    assert all(isinstance(e, comes_out) for tag in (GOOD, REJECTED) for e in made[tag])
    assert as_dicts(made[GOOD]) == [dict(row) for row in dicts[GOOD]]
    assert total(made[TALLIES]) == total(dicts[TALLIES])
    rejected = as_dicts(made[REJECTED])
    assert all(list(row) == SCHEMA.names for row in rejected)
    facts = [(row["reason"], row["column"], row["value"]) for row in rejected]
    assert facts == [(row["reason"], row["column"], row["value"]) for row in dicts[REJECTED]]
    assert facts == [("not_a_number", "ids", "a")] + [
        ("out_of_range", "ids", "99 at step 1"),
        ("incomplete_step", "x", facts[-1][2]),
    ] * (name != "parse")
    for row in rejected:
        (original,) = pa.ipc.open_stream(row["record"]).read_all().to_pylist()
        assert original in ROWS


@pytest.mark.parametrize("kind", KINDS)
def test_stages_follow_each_other(kind):
    """Also over a shuffle: a row says by itself how far it has come."""

    class All(beam.PTransform):
        def expand(self, rows: Any) -> Any:
            parsed = rows | "Parse" >> STAGES["parse"]
            valid = parsed[GOOD] | "Shuffle" >> beam.Reshuffle() | "Validate" >> STAGES["validate"]
            return valid[GOOD] | "Again" >> beam.Reshuffle() | "Densify" >> STAGES["densify"]

    elements, hint, comes_out = KINDS[kind]
    made = collect(elements, All(), hint)
    assert all(isinstance(e, comes_out) for e in made[GOOD]) and not made[REJECTED]
    alone = collect(elements, STAGES["densify"], hint)
    assert sorted(map(repr, as_dicts(made[GOOD]))) == sorted(map(repr, as_dicts(alone[GOOD])))


def test_kinds_may_stand_side_by_side():
    mixed = [ROWS[0], beam.Row(**ROWS[1]), pa.Table.from_pylist(ROWS[2:4]), pa.RecordBatch.from_pylist(ROWS[4:6])]
    made = collect(mixed, STAGES["densify"])
    assert {type(e) for e in made[GOOD]} >= {beam.Row, pa.Table, pa.RecordBatch}
    assert sum(isinstance(e, dict) for e in made[GOOD]) == 1
    assert total(made[TALLIES]) == total(collect(ROWS[:6], STAGES["densify"])[TALLIES])


def test_a_table_without_good_rows_is_left_out():
    made = collect([pa.Table.from_pylist(ROWS[7:9])], STAGES["densify"])
    assert made[GOOD] == [] and made[REJECTED][0].num_rows == 2


@pytest.mark.parametrize("row", [[1, 2], 3, "text", None])
def test_what_is_no_row_is_refused(row):
    with pytest.raises(TypeError, match=f"expected a row .*, got {type(row).__name__}"):
        row_dict(row)


def test_reserved_names_are_refused():
    with pytest.raises(ValueError, match="'__row__' is reserved"):
        row_dict(beam.Row(__row__=1))
