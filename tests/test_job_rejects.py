"""Bad input through the whole job: every reason, in every format where it can occur; nothing lost, everything counted."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.finish import too_many_rejected
from pipeline.manifest import read as read_manifest
from pipeline.running import Outcome
from pipeline.sources.framing import framed
from pipeline.tf_examples import encode
from tests.jobs import assert_balanced, done, listing, read_arrays, read_rejected, recovered, run_job
from transforms import (
    REASONS,
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

GROUPS = {
    "watch": SequenceGroup(max_length=4, truncate="tail"),
    "short": SequenceGroup(max_length=3, truncate="reject"),
    "text": SequenceGroup(max_length=2),
}
SPEC = make_spec(
    [
        passthrough_column("id", "int64"),
        passthrough_column("name", default_value="nobody"),
        sequence_categorical_column_with_identity("ids", 10, group="watch"),
        sequence_numeric_column("x", (2,), group="watch"),
        sequence_numeric_column("n", dtype="int32", required=True, group="short"),
        sequence_numeric_column("steps", (2,), group="text"),
        sequence_numeric_column("csv", delimiter=",", group="csv"),
        numeric_column("w", (2,)),
        categorical_column_with_identity("label", 3, 0),
    ],
    {**GROUPS, "csv": SequenceGroup(max_length=2)},
)


@dataclass(frozen=True)
class Bad:
    """What is put into a good row (or instead of it), and what `rejected/` must say of it."""

    reason: str
    column: str
    value: str
    change: Mapping[str, Any] | bytes
    formats: tuple[str, ...] = ("tfrecord", "parquet")


ONLY_TFRECORD, ONLY_PARQUET = ("tfrecord",), ("parquet",)
NAN = float("nan")

BAD = [
    Bad("bad_record", "", "no tf.Example\\x1b[31m", b"no tf.Example\x1b[31m", ONLY_TFRECORD),
    Bad("wrong_type", "name", "7", {"name": [7]}, ONLY_TFRECORD),
    Bad("wrong_type", "csv", "[1.5]", {"csv": [1.5]}, ONLY_TFRECORD),
    Bad("not_a_number", "x", "n/a", {"x": ["1", "n/a", "2", "3"], "ids": [1, 2]}, ONLY_TFRECORD),
    Bad("not_a_number", "csv", "one", {"csv": "1,one"}),
    Bad("not_an_integer", "ids", "2.5", {"ids": [2.5, 1.0], "x": [0.0] * 4}, ONLY_TFRECORD),
    Bad("not_an_integer", "label", "0.5", {"label": 0.5}),
    Bad("integer_overflow", "n", "2147483648", {"n": [1, 2**31]}),
    Bad("null_value", "ids", "null", {"ids": [1, None], "x": [0.0] * 4}, ONLY_PARQUET),
    Bad("null_value", "n", "null", {"n": [None]}, ONLY_PARQUET),
    Bad("invalid_utf8", "name", "\\xff\\xfe", {"name": b"\xff\xfe"}),
    Bad("missing", "n", "absent", {"n": None}),
    Bad("missing", "w", "absent", {"w": None}),
    Bad("non_finite", "x", "nan at step 1", {"x": [0.0, 1.0, 2.0, NAN], "ids": [1, 2]}),
    Bad("non_finite", "w", "inf", {"w": [1.0, float("inf")]}),
    Bad("non_finite", "csv", "1e39", {"csv": "1e39"}),
    Bad("incomplete_step", "x", "3 values", {"x": [1.0, 2.0, 3.0], "ids": [1, 2]}),
    Bad("wrong_step_width", "steps", "[3.0]", {"steps": [[1.0, 2.0], [3.0]]}, ONLY_PARQUET),
    Bad("wrong_value_count", "w", "3 values", {"w": [1.0, 2.0, 3.0]}),
    Bad("wrong_value_count", "label", "2 ids", {"label": [1, 2]}, ONLY_TFRECORD),
    Bad("wrong_value_count", "csv", "[b'1', b'2']", {"csv": ["1", "2"]}, ONLY_TFRECORD),
    Bad("out_of_range", "ids", "10 at step 1", {"ids": [3, 10, -1], "x": [0.0] * 6}),
    Bad("length_mismatch", "x", "ids: 3, x: 2", {"ids": [1, 2, 3], "x": [0.0] * 4}),
    Bad("too_long", "n", "4 steps", {"n": [1, 2, 3, 4]}),
]


def good_row(rng: random.Random, number: int) -> dict[str, Any]:
    steps = rng.randrange(7)
    return {
        "id": number,
        "name": f"name-{number}",
        "ids": [rng.randrange(10) for _ in range(steps)] or None,
        "x": [rng.random() for _ in range(2 * steps)],
        "n": [rng.randrange(100) for _ in range(rng.randrange(1, 4))],
        "steps": [[rng.random(), rng.random()] for _ in range(rng.randrange(4))],
        "csv": ",".join(str(rng.randrange(100)) for _ in range(rng.randrange(3))) or None,
        "w": [rng.random(), rng.random()],
        "label": rng.randrange(3),
    }


def as_record(row: Mapping[str, Any] | bytes) -> bytes:
    """A tf.Example has no nested lists: steps lie flat."""
    if isinstance(row, bytes):
        return row
    return encode({**row, "steps": [value for step in row["steps"] for value in step]})


PARQUET = pa.schema(
    [
        ("id", pa.int64()),
        ("name", pa.binary()),
        ("ids", pa.list_(pa.int64())),
        ("x", pa.list_(pa.float32())),
        ("n", pa.large_list(pa.int64())),
        ("steps", pa.list_(pa.list_(pa.float32()))),
        ("csv", pa.string()),
        ("w", pa.list_(pa.float64())),
        ("label", pa.float64()),
        ("not_a_column", pa.string()),
    ]
)


def write(path: Path, rows: Sequence[Any]) -> None:
    if path.suffix == ".tfrecord":
        path.write_bytes(framed([as_record(row) for row in rows]))
    else:
        named = [
            {**row, "name": row["name"] if isinstance(row["name"], bytes) else row["name"].encode()} for row in rows
        ]
        table = pa.Table.from_pylist([{**row, "not_a_column": f"é{row['id']}"} for row in named], PARQUET)
        pq.write_table(table, path, row_group_size=17)


@dataclass(frozen=True)
class Case:
    """One job over two files of good and bad rows. `rows`: (file name, row number, row, what is bad or None)."""

    format: str
    rows: list[tuple[str, int, Any, Bad | None]]
    root: Path
    outcome: Outcome

    @property
    def bad(self) -> dict[tuple[str, int], tuple[Any, Bad]]:
        return {(file, number): (row, bad) for file, number, row, bad in self.rows if bad is not None}


@pytest.fixture(scope="module", params=["tfrecord", "parquet"])
def case(request, tmp_path_factory) -> Case:
    folder = tmp_path_factory.mktemp(request.param)
    rng = random.Random(5)
    bads = [bad for bad in BAD if request.param in bad.formats]
    rows = []
    for part in range(2):
        name = f"part-{part}.{request.param}"
        order: list[Bad | None] = [*bads, *[None] * 60]
        rng.shuffle(order)
        order = [bads[0], *order, bads[-1]]  # also as the first and as the last row of a file
        for number, bad in enumerate(order):
            row: Any = good_row(rng, 1000 * part + number)
            if bad is not None:
                row = bad.change if isinstance(bad.change, bytes) else {**row, **bad.change}
            rows.append((name, number, row, bad))
        write(folder / name, [row for file, _, row, _ in rows if file == name])
    output = "parquet" if request.param == "tfrecord" else "tfrecord"
    outcome = done(SPEC, folder / f"*.{request.param}", folder / "out", format=output, max_rejected=1.0)
    return Case(request.param, rows, folder / "out", outcome)


def test_every_reason_has_its_row():
    assert {bad.reason for bad in BAD} == set(REASONS)


def test_file_row_column_and_value_are_named(case):
    rejected = read_rejected(case.outcome.rejected_files)
    assert rejected.num_rows == len(case.bad)
    for found in rejected.to_pylist():
        _, bad = case.bad[Path(found["file"]).name, found["row"]]
        assert (found["reason"], found["column"], found["value"]) == (bad.reason, bad.column, bad.value)
        assert found["message"].startswith("expected ")


def test_records_are_recovered_as_they_were(case):
    for found in read_rejected(case.outcome.rejected_files).to_pylist():
        row, _ = case.bad[Path(found["file"]).name, found["row"]]
        if case.format == "tfrecord":
            assert found["record_format"] == "tf.Example" and found["record"] == as_record(row)
        else:
            assert found["record_format"] == "arrow-ipc"
            stream = pa.ipc.open_stream(found["record"])
            assert stream.schema.names == PARQUET.names
            original = pq.read_table(case.root.parent / Path(found["file"]).name).slice(found["row"], 1)
            assert repr(recovered(found["record"])) == repr(original.to_pylist()[0])  # repr: NaN equals itself


def test_nothing_is_lost(case):
    """The ids of written and rejected rows are those of the input; rejected rows are found by file and number."""
    made = read_arrays(case.root)
    good = [row["id"] for _, _, row, bad in case.rows if bad is None]
    assert sorted(made["id"].tolist()) == good
    rejected = read_rejected(case.outcome.rejected_files)
    places = sorted(
        (Path(file).name, row) for file, row in zip(*map(pa.ChunkedArray.to_pylist, rejected.columns[:2]), strict=True)
    )
    assert places == sorted(case.bad)


def test_good_neighbours_are_untouched(case):
    made = read_arrays(case.root, sort_by="id")
    for k, row in enumerate(row for _, _, row, bad in case.rows if bad is None):
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
    reasons = Counter(bad.reason for _, bad in case.bad.values())
    assert book["rows"]["rejected_by_reason"] == dict(sorted(reasons.items()))
    for file, entry in book["files"].items():
        mine = [(row, bad) for name, _, row, bad in case.rows if name == Path(file).name]
        assert entry["rows"]["read"] == len(mine)
        assert entry["rows"]["written"] == sum(bad is None for _, bad in mine)
        readable = [(row, bad) for row, bad in mine if not isinstance(row, bytes)]
        for name in ("ids", "x", "n", "w"):
            counts = entry["columns"][name]
            assert counts["values"] == sum(len(row[name] or []) for row, _ in readable)
            assert counts["rejected"] == sum(len(row[name] or []) for row, bad in readable if bad is not None)
        kept = sum(min(len(row["ids"] or []), 4) for row, bad in readable if bad is None)
        assert entry["columns"]["ids"]["kept"] == kept
        assert entry["columns"]["x"]["padded"] == 8 * entry["rows"]["written"] - 2 * kept
        assert entry["columns"]["ids"]["absent"] == sum(not row["ids"] for row, bad in readable if bad is None)


def test_examples_of_every_reason_are_shown(case):
    assert set(case.outcome.rejected_examples) == {bad.reason for _, bad in case.bad.values()}
    for rows in case.outcome.rejected_examples.values():
        places = [(row["file"], row["row"]) for row in rows]
        assert 1 <= len(rows) <= 3 and places == sorted(places)


@pytest.mark.parametrize("rows", [1, 3, 7, 10, 30, 49, 100, 1000, 10_000_019])
def test_exactly_the_allowed_share_is_allowed(rows):
    for bad in {0, 1, 2, 3, rows // 10, rows // 3, rows - 1}:
        if bad < rows:
            assert not too_many_rejected({"read": rows, "rejected": bad}, bad / rows)
            assert too_many_rejected({"read": rows, "rejected": bad + 1}, bad / rows)
    assert not too_many_rejected({"read": rows, "rejected": rows}, 1.0)
    assert not too_many_rejected({"read": 0, "rejected": 0}, 0.0)


IDS = make_spec(
    [passthrough_column("id", "int64"), sequence_categorical_column_with_identity("ids", 10)],
    SequenceGroup(max_length=4),
)


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


def spoilt(rng: random.Random, row: dict[str, Any]) -> bytes:
    kind = rng.randrange(5)
    if kind == 0:
        return bytes(rng.randrange(256) for _ in range(rng.randrange(1, 60))) + b"\xff"
    if kind == 1:
        return encode({**row, "ids": [99]})
    if kind == 2:
        return encode({**row, "ids": ["1", "?"]})
    if kind == 3:
        return encode({**row, "ids": [0.5]})
    return encode({**row, "id": None})


def test_one_percent_bad_of_20000_changes_no_good_row(tmp_path):
    """The good rows come out as they do in a run without the bad ones, whatever batches and decoders they shared."""
    rng = random.Random(9)
    bad = set(rng.sample(range(20_000), 200))
    rows = [{"id": k, "ids": [rng.randrange(10) for _ in range(rng.randrange(6))] or None} for k in range(20_000)]
    records = [encode(row) for row in rows]
    mixed = [spoilt(rng, rows[k]) if k in bad else record for k, record in enumerate(records)]
    for name, chosen in (("mixed", mixed), ("good", [r for k, r in enumerate(records) if k not in bad])):
        (tmp_path / f"{name}.tfrecord").write_bytes(framed(chosen))
        done(IDS, tmp_path / f"{name}.tfrecord", tmp_path / name, format="parquet", max_rejected=0.01)
    made = {name: read_arrays(tmp_path / name, sort_by="id") for name in ("mixed", "good")}
    assert made["mixed"]["id"].tolist() == sorted(set(range(20_000)) - bad)
    for name, array in made["good"].items():
        np.testing.assert_array_equal(made["mixed"][name], array)
    rejected = read_rejected(read_manifest(str(tmp_path / "mixed")).rejected_files)
    assert rejected["row"].to_pylist() == sorted(bad)
    assert rejected["record"].to_pylist() == [mixed[k] for k in sorted(bad)]
