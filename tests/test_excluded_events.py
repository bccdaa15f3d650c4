"""`--exclude-events`: events that a run leaves out by their places are counted, and change nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.dataset import events_ledger, manifest
from pipeline.dataset.layout import ALIVE, Layout
from pipeline.errors import UsageError
from pipeline.inputs.places import among, named, places_of
from pipeline.job.request import Request
from pipeline.job.running import check, run
from pipeline.job.sequences import sequences as make_sequences
from pipeline.verify import verify
from tests.jobs import read_rejected
from tests.reports import parsed
from tests.test_sequences_job import SHOPPING, SPEC, alone, assert_events_balance, events_of, rows_of, write_jsonl
from transforms import make_spec, sequence_numeric_column, sequences
from transforms.errors import JobError


def places(path: Path, found: list[tuple[Any, Any]], **kinds: Any) -> str:
    """A file of places."""
    files, rows = zip(*found, strict=True)
    columns = {"file": list(map(str, files)), "row": list(rows), "note": [""] * len(rows)}
    pq.write_table(pa.table({name: pa.array(values, kinds.get(name)) for name, values in columns.items()}), path)
    return str(path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    """600 events in two files: one without a user, and one that is no JSON."""
    folder = tmp_path_factory.mktemp("shop")
    rows: list[Any] = events_of(11, 600)
    rows[5]["user"], rows[20] = None, "{broken"
    write_jsonl(folder / "a.jsonl", rows[:300])
    write_jsonl(folder / "b.jsonl", rows[300:])
    return folder


def test_excluded_events_are_as_if_they_were_not_there(shop, tmp_path):
    a, b = shop / "a.jsonl", shop / "b.jsonl"
    few = [(a, 0), (a, 5), (a, 299), (b, 7)]
    one, two = places(tmp_path / "one.parquet", few), places(tmp_path / "two.parquet", [(a, 5), (a, 20)])
    asked = Request(SPEC, [str(shop / "*")], str(tmp_path / "out"), exclude_events=[one, two], workers=2)
    outcome = run(asked)
    assert outcome.status == "done", outcome.message
    lines = [
        [json.loads(line) if "broken" not in line else None for line in p.read_text().splitlines()] for p in (a, b)
    ]
    kept = [
        r for p, rows in zip((a, b), lines, strict=True) for k, r in enumerate(rows) if (p, k) not in [*few, (a, 20)]
    ]
    whole = sequences(kept, SHOPPING)
    assert sorted(map(repr, rows_of(tmp_path / "out").to_pylist())) == sorted(map(repr, whole.table.to_pylist()))
    events = outcome.ledger["events"]
    assert events["rows"] == {"read": 600, "used": 595, "rejected": 0, "excluded": 5}
    assert events["files"][str(a)]["rows"]["excluded"] == 4 and events["files"][str(b)]["rows"]["excluded"] == 1
    assert_events_balance(events)
    found = manifest.read(str(tmp_path / "out"))
    assert found.sequences["events"] == events["rows"] and found.sequences["excluded_by"] == [one, two]
    assert not found.sequences["rejected"]["files"] and verify.verify(str(tmp_path / "out")).faults == []
    checked = check(Request(SPEC, [str(shop / "*")], exclude_events=[one, two]))
    assert checked.status == "done" and checked.ledger["events"] == events
    (shown,) = parsed((tmp_path / "out" / "report.html").read_text("utf-8")).all(
        "section", **{"aria-labelledby": "events"}
    )
    fates, by_file = shown.all("table")[0].rows(), shown.all("table")[-1].rows()
    assert ["excluded", "5"] in [row[:2] for row in fates] and by_file[0][-1] == "excluded"
    assert [row[-1] for row in by_file[1:]] == ["4", "1"]


def test_what_is_not_there_cannot_be_excluded(shop, tmp_path):
    def asked(path: str, *inputs: Any) -> Request:
        given = [str(one) for one in inputs or [shop / "*"]]
        return Request(alone(SHOPPING), given, str(tmp_path / "out"), exclude_events=[path])

    beyond = places(tmp_path / "beyond.parquet", [(shop / "a.jsonl", 299), (shop / "a.jsonl", 300)])
    outcome = make_sequences(asked(beyond))
    assert outcome.status == "failed"
    assert outcome.message.endswith("a.jsonl: expected the 2 rows that are named, got 1 of them")
    other = places(tmp_path / "other.parquet", [(shop / "a.json", 0)])
    with pytest.raises(
        UsageError, match=r"--exclude-events: .*a.json' is no file that --input reads; did you mean .*a.j"
    ):
        make_sequences(asked(other))
    for path, message in (
        (places(tmp_path / "text.parquet", [("a", "first")]), "integers in 'row', got"),
        (places(tmp_path / "null.parquet", [("a", None)], row=pa.int64()), "from 0 on in every row, got 'a' and None"),
        (places(tmp_path / "less.parquet", [("a", 3), ("b", -1)]), "from 0 on in every row, got 'b' and -1"),
        (str(tmp_path / "none.parquet"), "no file matches"),
    ):
        with pytest.raises(JobError, match=message):
            make_sequences(asked(path))
    pq.write_table(pa.table({"file": ["a"]}), tmp_path / "short.parquet")
    with pytest.raises(JobError, match="no column 'row'; it has file"):
        make_sequences(asked(str(tmp_path / "short.parquet")))
    spec = make_spec([sequence_numeric_column("hours")])
    with pytest.raises(UsageError, match="--exclude-events: applies to events"):
        run(Request(spec, ["x"], str(tmp_path / "out"), exclude_events=["x"]))
    assert not (tmp_path / "out").exists()


def test_what_a_run_writes_excludes_nothing(shop, tmp_path):
    """The run removes the files that were there before; those of another data set may say what is left out."""
    made = make_sequences(Request(alone(SHOPPING), [str(shop / "*")], str(tmp_path / "one")))
    assert made.status == "done"
    rejected = str(tmp_path / "one" / "rejected" / "*")
    with pytest.raises(
        UsageError, match=r"--exclude-events: .*rejected/.* is part of --output .*one', which is written"
    ):
        make_sequences(
            Request(
                alone(SHOPPING),
                [str(shop / "*")],
                str(tmp_path / "one"),
                overwrite=True,
                exclude_events=[rejected],
            )
        )
    asked = Request(alone(SHOPPING), [str(shop / "*")], str(tmp_path / "two"), exclude_events=[rejected])
    assert make_sequences(asked).ledger["events"]["rows"]["excluded"] == 2


def test_a_killed_run_that_left_out_other_events_is_another_command(shop, tmp_path):
    asked = Request(alone(SHOPPING), [str(shop / "*")], str(tmp_path / "out"))
    assert make_sequences(asked).status == "done"
    staging = Path(Layout(asked.output, manifest.read(asked.output).content["run"]).staging)
    staging.mkdir()
    (staging / ALIVE).touch()
    one = places(tmp_path / "one.parquet", [(shop / "a.jsonl", 0)])
    with pytest.raises(UsageError, match="a whole data set of other inputs or columns, whose run was killed"):
        make_sequences(replace(asked, exclude_events=[one]))


def test_places_are_read_once_each(tmp_path):
    found = places_of([places(tmp_path / "a.parquet", [("b", 3), ("a", 9), ("b", 1), ("b", 3)], row=pa.uint8())])
    assert {file: rows.tolist() for file, rows in found.items()} == {"a": [9], "b": [1, 3]}
    assert among(found, "b", found["a"]).tolist() == [False] and among(found, "c", found["a"]).tolist() == [False]


def test_rows_of_many_files_that_take_turns_are_named(tmp_path):
    pairs = [(f"file {k * 7 % 500}", k) for k in range(2000)]
    found = places_of([places(tmp_path / "a.parquet", pairs[::3])])
    assert {(file, row) for file, rows in found.items() for row in rows.tolist()} == set(pairs[::3])
    files, rows = zip(*pairs, strict=True)
    batch = pa.RecordBatch.from_pydict({"file": list(files), "row": list(rows)})
    assert named(found, batch).tolist() == [k % 3 == 0 for k in range(2000)]
    assert not len(named(found, batch.slice(0, 0))) and places_of([]) == {}


def test_only_what_was_excluded_may_be_lost(shop, tmp_path):
    """Balance is by digest too: a ledger in which an event is excluded in place of another one does not balance."""
    one = places(tmp_path / "one.parquet", [(shop / "a.jsonl", 0)])
    root = tmp_path / "out"
    asked = Request(alone(SHOPPING), [str(shop / "*")], str(root), exclude_events=[one])
    events = make_sequences(asked).ledger["events"]
    assert not events_ledger.imbalances(events)
    for changed in (
        {"rows": {**events["rows"], "excluded": 2}},
        {"row_digests": {**events["row_digests"], "excluded": "1"}},
    ):
        assert events_ledger.imbalances({**events, **changed})
    found = manifest.read(str(root))
    rejected = read_rejected(found.path(one["path"]) for one in found.sequences["rejected"]["files"])
    assert rejected["row"].to_pylist() == [5, 20]
