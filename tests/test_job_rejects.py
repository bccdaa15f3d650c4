"""Bad input through the whole job: every reason, in every format where it can occur; nothing lost, everything counted."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.command.tf_examples import encode
from pipeline.dataset.manifest import read as read_manifest
from pipeline.job.executing import Outcome
from pipeline.job.verdict import too_many_rejected
from pipeline.sources.tfrecord.framing import framed
from tests.faults.bad_records import SPEC, Bad, Item, in_format, write
from tests.faults.outcomes import MOST_STEPS
from tests.faults.record_formats import PARQUET, Row, file_name, good_row
from tests.jobs import assert_balanced, done, listing, read_arrays, read_rejected, recovered, run_job
from tests.marks import slow_but
from transforms import (
    SequenceGroup,
    make_spec,
    passthrough_column,
    sequence_categorical_column_with_identity,
)


@dataclass(frozen=True)
class Case:
    """One job over two files of good and bad rows. `items`: file name and row number to the row."""

    format: str
    items: dict[tuple[str, int], Item]
    root: Path
    outcome: Outcome

    @property
    def bad(self) -> dict[tuple[str, int], Item]:
        return {place: item for place, item in self.items.items() if item.bad}

    @property
    def good(self) -> list[Row]:
        return [item.row for item in self.items.values() if not item.bad]


@pytest.fixture(scope="module", params=slow_but(["example", "parquet"], "example"))
def case(request, tmp_path_factory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    rng = random.Random(5)
    kinds = in_format(request.param)
    items = {}
    for part in range(2):
        name = file_name(request.param, f"part-{part}")
        order: list[Bad | None] = [*kinds, *[None] * 60]
        rng.shuffle(order)
        order = [kinds[0], *order, kinds[-1]]  # also as the first and as the last row of a file
        own = [Item(good_row(rng, 1000 * part + number), bad) for number, bad in enumerate(order)]
        items.update({(name, number): item for number, item in enumerate(own)})
        write(folder / name, request.param, own)
    output = "parquet" if request.param == "example" else "tfrecord"
    outcome = done(
        SPEC,
        folder / file_name(request.param, "*"),
        folder / "out",
        format=output,
        max_rejected=1.0,
        max_steps=MOST_STEPS,
    )
    return Case(request.param, items, folder / "out", outcome)


def test_file_row_column_and_value_are_named(case):
    rejected = read_rejected(case.outcome.rejected_files)
    assert rejected.num_rows == len(case.bad)
    for found in rejected.to_pylist():
        bad = case.bad[Path(found["file"]).name, found["row"]].bad
        assert (found["reason"], found["column"]) == (bad.reason, bad.column)
        assert bad.value in (found["value"], None)
        assert found["message"].startswith("expected ")


def test_records_are_recovered_as_they_were(case):
    for found in read_rejected(case.outcome.rejected_files).to_pylist():
        item = case.bad[Path(found["file"]).name, found["row"]]
        if case.format == "example":
            assert found["record_format"].startswith("tf.") and found["record"] == item.record("example")
        else:
            assert found["record_format"] == "arrow-ipc"
            stream = pa.ipc.open_stream(found["record"])
            assert stream.schema.names == [name for name in PARQUET.names if name in SPEC.features]  # what columns read
            original = pq.read_table(case.root.parent / Path(found["file"]).name).slice(found["row"], 1)
            original = original.select(stream.schema.names)
            assert repr(recovered(found["record"])) == repr(original.to_pylist()[0])  # repr: NaN equals itself


def test_nothing_is_lost(case):
    """The ids of written and rejected rows are those of the input; rejected rows are found by file and number."""
    made = read_arrays(case.root)
    assert sorted(made["id"].tolist()) == [row["id"] for row in case.good]
    rejected = read_rejected(case.outcome.rejected_files)
    places = sorted(
        (Path(file).name, row) for file, row in zip(*map(pa.ChunkedArray.to_pylist, rejected.columns[:2]), strict=True)
    )
    assert places == sorted(case.bad)


def test_good_neighbours_are_untouched(case):
    made = read_arrays(case.root, sort_by="id")
    for k, row in enumerate(case.good):
        assert made["id"][k] == row["id"] and made["label"][k] == row["label"]
        assert made["name"][k] in (row["name"], row["name"].encode())
        ids, n, csv = row["ids"] or [], row["n"], [float(v) for v in row["csv"].split(",")] if row["csv"] else []
        np.testing.assert_array_equal(made["ids"][k], (ids[-4:] + [-1] * 4)[:4])
        np.testing.assert_array_equal(made["x"][k].reshape(-1), np.array((row["x"][-8:] + [0] * 8)[:8], np.float32))
        np.testing.assert_array_equal(made["n"][k].reshape(-1), (n + [0] * 3)[:3])
        flat = [value for step in row["steps"][:2] for value in step]
        np.testing.assert_array_equal(made["steps"][k].reshape(-1), np.array((flat + [0] * 4)[:4], np.float32))
        np.testing.assert_array_equal(made["csv"][k].reshape(-1), np.array((csv + [0] * 2)[:2], np.float32))
        np.testing.assert_array_equal(made["w"][k], np.array(row["w"], np.float32))
        lengths = (min(len(ids), 4), len(n), min(len(row["steps"]), 2), len(csv))
        assert tuple(made[f"{group}_length"][k] for group in ("watch", "short", "text", "csv")) == lengths


def test_the_ledger_counts_every_reason(case):
    book = case.outcome.ledger
    assert_balanced(book)
    reasons = Counter(item.bad.reason for item in case.bad.values())
    assert book["rows"]["rejected_by_reason"] == dict(sorted(reasons.items()))
    for file, entry in book["files"].items():
        mine = [item for (name, _), item in case.items.items() if name == Path(file).name]
        assert entry["rows"]["read"] == len(mine)
        assert entry["rows"]["written"] == sum(item.bad is None for item in mine)
        readable = [item for item in mine if not (item.bad and callable(item.bad.change))]
        for name in ("ids", "x", "n", "w"):
            counts = entry["columns"][name]
            assert counts["values"] == sum(len(item.values()[name] or []) for item in readable)
            assert counts["rejected"] == sum(len(item.values()[name] or []) for item in readable if item.bad)
        good = [item.row for item in mine if not item.bad]
        kept = sum(min(len(row["ids"] or []), 4) for row in good)
        assert entry["columns"]["ids"]["kept"] == kept
        assert entry["columns"]["x"]["padded"] == 8 * entry["rows"]["written"] - 2 * kept
        assert entry["columns"]["ids"]["absent"] == sum(not row["ids"] for row in good)


def test_examples_of_every_reason_are_shown(case):
    assert set(case.outcome.rejected_examples) == {item.bad.reason for item in case.bad.values()}
    for rows in case.outcome.rejected_examples.values():
        places = [(row["file"], row["row"]) for row in rows]
        assert 1 <= len(rows) <= 3 and places == sorted(places)


def book(read: int, rejected: int) -> dict[str, Any]:
    return {"rows": {"read": read, "rejected": rejected}}


@pytest.mark.parametrize("rows", [1, 3, 7, 10, 30, 49, 100, 1000, 10_000_019])
def test_exactly_the_allowed_share_is_allowed(rows):
    for bad in {0, 1, 2, 3, rows // 10, rows // 3, rows - 1}:
        if bad < rows:
            assert not too_many_rejected(book(rows, bad), bad / rows)
            assert too_many_rejected(book(rows, bad + 1), bad / rows)
    assert not too_many_rejected(book(rows, rows), 1.0)
    assert not too_many_rejected(book(0, 0), 0.0)


IDS = make_spec(
    [passthrough_column("id", "int64"), sequence_categorical_column_with_identity("ids", 10)],
    SequenceGroup(max_length=4),
)


@pytest.mark.slow
def test_one_more_than_max_rejected_is_not_published(tmp_path):
    """3 of 30 with a limit of 0.1 are published; 4 of 30 are not, are kept to look at, and leave the old data set alone."""
    rows = [{"id": k, "ids": [99] if k % 10 == 0 else [k % 10]} for k in range(30)]
    (tmp_path / "a.tfrecord").write_bytes(framed([encode(row) for row in rows]))
    outcome = done(IDS, tmp_path / "a.tfrecord", tmp_path / "out", max_rejected=0.1)
    assert outcome.ledger["rows"] == {
        "read": 30,
        "written": 27,
        "rejected": 3,
        "rejected_by_reason": {"out_of_range": 3},
    }
    before = {name: (tmp_path / "out" / name).read_bytes() for name in listing(tmp_path / "out")}

    rows[1]["ids"] = [-1]
    (tmp_path / "a.tfrecord").write_bytes(framed([encode(row) for row in rows]))
    outcome = run_job(IDS, tmp_path / "a.tfrecord", tmp_path / "out", max_rejected=0.1, overwrite=True)
    assert outcome.status == "too_many_rejected"
    assert outcome.message.startswith("4 of 30 rows rejected (13.33%), --max-rejected allows 10.00%")
    assert read_rejected(outcome.rejected_files)["row"].to_pylist() == [0, 1, 10, 20]
    after = {name: (tmp_path / "out" / name).read_bytes() for name in listing(tmp_path / "out")}
    assert {name: after[name] for name in before} == before
    assert {name.split("/")[0] for name in set(after) - set(before)} == {"rejected"}
    assert read_manifest(str(tmp_path / "out")).rows == 27
