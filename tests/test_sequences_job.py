"""Whole jobs on events: `seqcols sequences`, and runs whose rows are sequences of events."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file import events_file
from pipeline.columns_file.reader import loads
from pipeline.command.tf_examples import write_examples
from pipeline.dataset import leftovers, manifest
from pipeline.dataset.layout import Layout
from pipeline.errors import UsageError
from pipeline.inputs import event_fields
from pipeline.inputs.match import InputFile, Inputs
from pipeline.job import screening
from pipeline.job import sequences as sequences_job
from pipeline.job.request import Request
from pipeline.job.running import check, run
from pipeline.job.sequences import sequences as make_sequences
from pipeline.job.sequences_plan import partitions_of
from pipeline.planning import summary as planning_summary
from pipeline.planning.plan import plan
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.sources.base import Source
from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS, Limits
from pipeline.verify import verify
from tests.jobs import assert_balanced, read_arrays, read_json, read_rejected
from tests.marks import slow_but, tried
from tests.test_events import COMMITS, as_bytes, bits
from tests.test_shuffle import case
from transforms import make_spec, passthrough_column, sequence_numeric_column, sequences
from transforms.errors import JobError, SpecError
from transforms.events.accounting import DROPPED
from transforms.events.make_events import make_events
from transforms.spec.spec import Spec

SHOPPING = {"key": "user", "order_by": "at", "features": {"items": "item", "hours": {"since_previous": "h"}}}
SPEC = make_spec([sequence_numeric_column("hours", normalizer_fn="z_score")], events=SHOPPING)
HISTORIES = Path(os.environ.get("SEQCOLS_TEST_DATA", "")) / "commits"


def alone(events: dict[str, Any]) -> Spec:
    """The spec of a request that makes sequences and nothing else."""
    return Spec.model_construct(sequence_groups={}, columns=[], split=None, events=make_events(events))


def made(events: dict[str, Any], inputs: Any, root: Path, **more: Any) -> Any:
    """Makes sequences as a data set, which must succeed."""
    outcome = make_sequences(Request(alone(events), [str(one) for one in inputs], str(root), **more))
    assert outcome.status == "done", outcome.message
    return outcome


def rows_of(root: Path) -> pa.Table:
    """The sequences of a data set, ordered as in memory as far as they are of one partition each."""
    found = manifest.read(str(root))
    return pa.concat_tables([pq.read_table(path) for path in found.sequence_files])


def events_of(seed: int, count: int) -> list[dict[str, Any]]:
    draw = random.Random(seed)
    return [
        {"user": draw.randrange(20), "at": draw.randrange(10**6), "item": draw.choice("abc"), "price": draw.random()}
        for _ in range(count)
    ]


def write_jsonl(path: Path, rows: list[Any]) -> Path:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


# Real data


@pytest.fixture(scope="module")
def forty(tmp_path_factory) -> str:
    """The events of four files in forty, in another order."""
    folder = tmp_path_factory.mktemp("forty")
    whole = pa.concat_tables([pq.read_table(path) for path in sorted(HISTORIES.glob("events-*.parquet"))])
    whole = whole.take(pa.array(np.random.default_rng(0).permutation(len(whole))))
    for k in range(40):
        start, stop = (len(whole) * n // 40 for n in (k, k + 1))
        pq.write_table(whole.slice(start, stop - start), folder / f"events-{k:02}.parquet")
    return str(folder / "*.parquet")


@pytest.mark.skipif(not HISTORIES.name or not HISTORIES.exists(), reason="SEQCOLS_TEST_DATA names no real data sets")
@pytest.mark.parametrize("workers", slow_but([1, 2, 4], 2))
@pytest.mark.parametrize("files", slow_but(["4", "40"], "40"))
def test_real_events_give_the_histories_made_of_them(files, workers, forty, tmp_path):
    inputs = str(HISTORIES / "events-*.parquet") if files == "4" else forty
    outcome = made(COMMITS, [inputs], tmp_path / "out", workers=workers, partitions=7)
    whole = pa.concat_tables([pq.read_table(path) for path in sorted(HISTORIES.glob("events-*.parquet"))])
    order = [("actor", "ascending"), ("repository", "ascending")]
    found = rows_of(tmp_path / "out").sort_by(order)
    wanted = sequences(whole, COMMITS).table.sort_by(order)
    assert as_bytes(found.cast(wanted.schema)) == as_bytes(wanted)
    histories = pq.read_table(HISTORIES / "histories.parquet").sort_by(order)
    assert found["paths"].to_pylist() == histories["paths"].to_pylist()
    hours = found["hours"].combine_chunks().flatten().to_numpy().astype(np.float32)
    assert hours.tobytes() == histories["hours"].combine_chunks().flatten().to_numpy().tobytes()
    events = outcome.ledger["events"]
    assert events["rows"] == {"read": 201_404, "used": 201_404, "rejected": 0}
    assert len(events["files"]) == int(files)
    assert verify.verify(str(tmp_path / "out")).faults == []


# Random events


@pytest.mark.parametrize("number", range(tried(8)))
def test_random_events_in_files_give_what_memory_gives(number, tmp_path):
    seed = next(f"job {number} {k}" for k in range(100) if len(case(f"job {number} {k}")[0]) > 9)
    table, spec, _, max_steps = case(seed)
    draw = random.Random(seed)
    owner = np.array([draw.randrange(3) for _ in range(len(table))])
    for k in range(3):
        pq.write_table(table.filter(pa.array(owner == k)), tmp_path / f"{k}.parquet", row_group_size=7)
    whole = sequences(table, spec, max_steps=max_steps)
    request = Request(
        alone(spec),
        [str(tmp_path / "*.parquet")],
        str(tmp_path / "out"),
        max_steps=max_steps,
        partitions=draw.choice([1, 4]),
        workers=draw.choice([1, 2]),
        max_rejected=1.0,
        allow_empty=True,
    )
    outcome = make_sequences(request)
    assert outcome.status == "done", outcome.message
    found = rows_of(tmp_path / "out") if whole.counts.sequences else whole.table
    assert sorted(bits(found.cast(whole.table.schema))) == sorted(bits(whole.table)), seed
    events = outcome.ledger["events"]
    assert events["rows"] == {"read": len(table), "used": whole.counts.used, "rejected": whole.counts.rejected}
    assert events["dropped"] == whole.counts.dropped
    assert_events_balance(events)


def assert_events_balance(events: dict[str, Any]) -> None:
    """Every event is one thing, in every file, by number and by digest; and the sums over files are the whole."""
    sums: Counter[str] = Counter()
    for entry in (*events["files"].values(), events):
        rows, dropped = entry["rows"], sum(entry["dropped"][rule] for rule in DROPPED)
        assert rows["read"] == rows["used"] + dropped + rows["rejected"] + rows.get("excluded", 0)
        marks = {name: int(text, 16) for name, text in entry["row_digests"].items()}
        left = marks["used"] + marks["dropped"] + marks["rejected"] + marks.get("excluded", 0)
        assert (marks["read"] - left) % 2**64 == 0
    for entry in events["files"].values():
        sums.update(entry["rows"])
    assert all(sums[name] == n for name, n in events["rows"].items())
    found = events["sequences"]
    assert found["steps"] + found["targets"] == events["rows"]["used"] + found["used_again"]


# Formats, types, bad events


def test_events_of_every_format_give_the_same(tmp_path):
    """CSV has times and numbers as text, which for the sequences are that text."""
    rows = events_of(1, 200)
    wanted = {str(row["user"]): row for row in sequences(rows, SHOPPING).table.to_pylist()}
    write_jsonl(tmp_path / "a.jsonl", rows[:50])
    pq.write_table(pa.Table.from_pylist(rows[50:100]), tmp_path / "b.parquet")
    lines = ["user,at,item", *(f"{row['user']},{row['at']},{row['item']}" for row in rows[100:150])]
    (tmp_path / "c.csv").write_text("\n".join(lines) + "\n")
    write_examples(str(tmp_path / "d.tfrecord"), [{**row, "item": row["item"].encode()} for row in rows[150:]])
    with pytest.raises(
        JobError, match=r"the field 'at' has types that do not go together: .*int64 in .*a.jsonl; .*c.csv"
    ):
        made(SHOPPING, [tmp_path / "*.*"], tmp_path / "refused")
    for name, few in (("abd", [0, 1, 3]), ("c", [2])):
        inputs = [tmp_path / ["a.jsonl", "b.parquet", "c.csv", "d.tfrecord"][k] for k in few]
        made(SHOPPING, inputs, tmp_path / name)
    some = [row for k, row in enumerate(rows) if not 100 <= k < 150]
    for name, own in (("abd", some), ("c", rows[100:150])):
        found = {str(as_text(row["user"])): row for row in rows_of(tmp_path / name).to_pylist()}
        wanted = {str(row["user"]): row for row in sequences(own, SHOPPING).table.to_pylist()}
        assert found.keys() == wanted.keys()
        for key, row in found.items():
            assert [as_text(item) for item in row["items"]] == wanted[key]["items"]
            assert row["hours"] == wanted[key]["hours"]


def as_text(value: Any) -> Any:
    return value.decode() if isinstance(value, bytes) else value


def test_bad_events_are_rejected_by_file_and_row_and_can_be_recovered(tmp_path):
    rows: list[Any] = [dict(row, at=str(row["at"])) for row in events_of(2, 60)]
    rows[3]["user"], rows[10]["at"], rows[20]["item"] = None, "yesterday", ["a", "b"]
    del rows[30]["at"]
    rows[40] = "{broken"
    write_jsonl(tmp_path / "a.jsonl", rows[:35])
    write_jsonl(tmp_path / "b.jsonl", rows[35:])
    outcome = made(SHOPPING, [tmp_path / "*.jsonl"], tmp_path / "out")
    rejected = read_rejected(outcome.rejected_files).to_pylist()
    assert [(Path(row["file"]).name, row["row"], row["reason"], row["column"]) for row in rejected] == [
        ("a.jsonl", 3, "missing", "user"),
        ("a.jsonl", 10, "not_a_time", "at"),
        ("a.jsonl", 20, "wrong_type", "item"),
        ("a.jsonl", 30, "missing", "at"),
        ("b.jsonl", 5, "bad_record", ""),
    ]
    assert json.loads(rejected[1]["record"]) == rows[10] and rejected[4]["record"] == b"{broken"
    events = outcome.ledger["events"]
    assert events["rows"] == {"read": 60, "used": 55, "rejected": 5}
    assert events["rejected_by_reason"] == {"bad_record": 1, "missing": 2, "not_a_time": 1, "wrong_type": 1}
    assert_events_balance(events)
    assert verify.verify(str(tmp_path / "out")).faults == []
    outcome = make_sequences(
        Request(alone(SHOPPING), [str(tmp_path / "*.jsonl")], str(tmp_path / "no"), max_rejected=0.08)
    )
    assert outcome.status == "too_many_rejected"
    assert outcome.message == "5 of 60 events rejected (8.33%), --max-rejected allows 8.00%; nothing was published"
    assert sorted(path.name for path in (tmp_path / "no").iterdir()) == ["rejected"]


def test_what_files_cannot_give_is_said_before_anything_is_written(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", events_of(0, 5))
    pq.write_table(pa.table({"user": [1], "at": [1], "itm": ["a"]}), tmp_path / "b.parquet")
    with pytest.raises(JobError, match=r"b.parquet: events: the file has no field 'item'; did you mean 'itm'\?"):
        made(SHOPPING, [tmp_path / "*"], tmp_path / "out")
    with pytest.raises(
        SpecError, match=r"events.features.items: the events have no field 'itm'; did you mean 'item'\?"
    ):
        made({**SHOPPING, "features": {"items": "itm"}}, [tmp_path / "a.jsonl"], tmp_path / "out")
    with pytest.raises(UsageError, match="names a split, and a sequence has events of several files"):
        made(SHOPPING, [f"train={tmp_path / 'a.jsonl'}"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_broken_file_can_be_left_out(tmp_path):
    rows = events_of(4, 100)
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "a.parquet")
    pq.write_table(pa.Table.from_pylist(events_of(5, 100)), tmp_path / "b.parquet")
    data = (tmp_path / "b.parquet").read_bytes()
    (tmp_path / "b.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(JobError, match=r"b.parquet: damaged, cut short"):
        made(SHOPPING, [tmp_path / "*.parquet"], tmp_path / "out")
    outcome = made(SHOPPING, [tmp_path / "*.parquet"], tmp_path / "out", on_bad_file="skip")
    assert [Path(file.path).name for file in outcome.skipped] == ["b.parquet"]
    assert sorted(bits(rows_of(tmp_path / "out"))) == sorted(bits(sequences(rows, SHOPPING).table))
    assert [Path(one["path"]).name for one in read_json(tmp_path / "out", "ledger.json")["skipped_files"]] == [
        "b.parquet"
    ]
    checked = check(Request(SPEC, [str(tmp_path / "*.parquet")], on_bad_file="skip"))
    assert checked.status == "done", checked.message
    assert checked.ledger["rows"]["read"] == len(rows_of(tmp_path / "out"))
    assert [Path(one["path"]).name for one in checked.ledger["skipped_files"]] == ["b.parquet"]


def test_no_events_and_none_that_are_left(tmp_path):
    pq.write_table(
        pa.Table.from_pylist(
            events_of(0, 5)[:0], pa.schema([("user", pa.int64()), ("at", pa.int64()), ("item", pa.string())])
        ),
        tmp_path / "none.parquet",
    )
    pq.write_table(pa.Table.from_pylist(events_of(0, 5)), tmp_path / "few.parquet")
    outcome = make_sequences(Request(alone(SHOPPING), [str(tmp_path / "none.parquet")], str(tmp_path / "out")))
    assert (
        outcome.message
        == "no sequences to write: 0 events read, 0 rejected (--allow-empty publishes an empty data set)"
    )
    events = {**SHOPPING, "min_events": 9}
    outcome = make_sequences(Request(alone(events), [str(tmp_path / "few.parquet")], str(tmp_path / "out")))
    assert outcome.message == "no sequences to write: 5 events read, 0 rejected, 5 dropped by min_events"
    assert not (tmp_path / "out").exists()
    made(SHOPPING, [tmp_path / "none.parquet"], tmp_path / "out", allow_empty=True)
    assert manifest.read(str(tmp_path / "out")).sequences["rows"] == 0


def test_a_disk_that_is_too_small_is_refused_beforehand(tmp_path, monkeypatch):
    write_jsonl(tmp_path / "a.jsonl", events_of(0, 1000))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10**9, 10**9, 10))
    with pytest.raises(
        UsageError, match=r"events need about 1 MiB of disk while they are grouped, and .* has 1 MiB left"
    ):
        made(SHOPPING, [tmp_path / "a.jsonl"], tmp_path / "out")


def test_no_file_is_looked_at_for_nothing(tmp_path, monkeypatch):
    """An engine needs no room here, fields that are named are not looked for, and the first file without one is enough."""
    for name in "ab":
        pq.write_table(pa.Table.from_pylist(events_of(0, 5)), tmp_path / f"{name}.parquet")
    monkeypatch.setattr(sequences_job, "bytes_needed", None)
    monkeypatch.setattr(sequences_job, "sampled", None)
    screened: list[str] = []
    opened: list[str] = []

    def broken(_request: Request, _output: str, _files: Any, features: Any, _stream: Any) -> dict[str, str]:
        screened.extend(features)
        return {}

    def noted(path: str, limits: Limits) -> Source:
        opened.append(path)
        return source_for(path, limits)

    monkeypatch.setattr(screening, "broken", broken)
    monkeypatch.setattr(event_fields, "source_for", noted)
    more = {"on_bad_file": "skip", "beam_args": ["--runner=FlinkRunner"]}
    asked = Request(alone(SHOPPING), [str(tmp_path / "*")], str(tmp_path / "out"), **more)
    assert sequences_job.planned(asked, Layout(asked.output, "run"), None).disk_bytes == 0
    assert sorted(screened) == ["at", "item", "user"]
    paths = sorted(str(path) for path in tmp_path.glob("*.parquet"))
    assert next(event_fields.lacking("price", [(path, {}) for path in paths], DEFAULTS)) == paths[0]
    assert opened == paths[:1]


@pytest.mark.parametrize(
    ("size", "asked", "wanted"),
    [(0, None, 1), (1, None, 1), (9 << 20, None, 3), (8 << 30, None, 256), (1 << 40, None, 1 << 14), (5, 9, 9)],
)
def test_the_number_of_partitions_goes_by_the_input(size, asked, wanted):
    request = Request(alone(SHOPPING), ["x"], "out", partitions=asked)
    assert partitions_of(request, Inputs((InputFile("x", size),))) == wanted


# With columns


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    rows: list[Any] = events_of(7, 400)
    rows[5]["user"] = None
    write_jsonl(folder / "a.jsonl", rows[:200])
    write_jsonl(folder / "b.jsonl", rows[200:])
    return folder


def test_a_run_reads_the_sequences_and_publishes_them(shop, tmp_path):
    root = tmp_path / "out"
    outcome = run(Request(SPEC, [str(shop / "*.jsonl")], str(root), format="parquet", partitions=3, workers=2))
    assert outcome.status == "done", outcome.message
    assert_balanced(outcome.ledger)
    assert_events_balance(outcome.ledger["events"])
    found = manifest.read(str(root))
    assert [Path(one["path"]).name for one in found.content["inputs"]] == ["a.jsonl", "b.jsonl"]
    assert found.sequences["partitions"] == 3 and found.sequences["events"] == {"read": 400, "used": 399, "rejected": 1}
    rows = [json.loads(line) for name in "ab" for line in (shop / f"{name}.jsonl").read_text().splitlines()]
    whole = sequences(rows, SHOPPING).table
    assert sorted(bits(rows_of(root))) == sorted(bits(whole))
    hours = np.concatenate([np.array(row, np.float32) for row in whole["hours"].to_pylist()])
    statistics = read_json(root, "statistics.json")["columns"]["hours"]
    assert statistics["count"] == [len(hours)] and statistics["mean"] == [pytest.approx(float(hours.mean()), rel=1e-5)]
    assert sorted(read_arrays(root)["sequence_length"].tolist()) == sorted(
        len(row) for row in whole["hours"].to_pylist()
    )
    assert leftovers.unnamed(leftovers.listing(str(root)), found.content) == []
    moved = root.rename(tmp_path / "moved")
    seen = verify.verify(str(moved))
    assert seen.faults == [] and seen.compared is not None and seen.compared.rows == found.rows
    assert seen.files.sequences == whole.num_rows and seen.files.rejected_events == 1


def test_sequences_need_not_be_kept(shop, tmp_path):
    root = tmp_path / "out"
    outcome = run(Request(SPEC, [str(shop / "*.jsonl")], str(root), keep_sequences=False))
    assert outcome.status == "done", outcome.message
    assert not (root / "sequences").exists() and not list(root.glob(".seqcols-*"))
    seen = verify.verify(str(root))
    assert seen.faults == [] and seen.compared is not None and not seen.compared.rows
    assert "were not kept" in "\n".join(verify.lines(seen))


def test_a_damaged_sequence_is_found(shop, tmp_path):
    root = tmp_path / "out"
    assert run(Request(SPEC, [str(shop / "*.jsonl")], str(root))).status == "done"
    (path,) = manifest.read(str(root)).sequence_files
    data = bytearray(Path(path).read_bytes())
    data[len(data) // 3] ^= 4
    Path(path).write_bytes(data)
    assert any("its SHA-256 is not what the manifest says" in fault for fault in verify.verify(str(root)).faults)
    os.remove(path)
    assert [fault for fault in verify.verify(str(root)).faults if fault.endswith("is missing")]


def test_sequences_alone_are_an_input_like_any_other(shop, tmp_path):
    made(SHOPPING, [shop / "*.jsonl"], tmp_path / "sequences")
    columns = make_spec([sequence_numeric_column("hours", normalizer_fn="z_score")])
    for name, spec, inputs in (("two", columns, tmp_path / "sequences"), ("one", SPEC, shop / "*.jsonl")):
        assert run(Request(spec, [str(inputs)], str(tmp_path / name))).status == "done"
    one, two = (read_arrays(tmp_path / name) for name in ("one", "two"))
    assert sorted(map(repr, one["hours"].tolist())) == sorted(map(repr, two["hours"].tolist()))
    with pytest.raises(JobError, match="holds sequences of events and no examples: seqcols run reads them as --input"):
        manifest.read_examples(str(tmp_path / "sequences"))


def test_check_and_plan_work_on_sequences(shop):
    request = Request(SPEC, [str(shop / "*.jsonl")])
    outcome = check(request)
    assert outcome.status == "done", outcome.message
    assert outcome.ledger["rows"]["read"] == outcome.ledger["events"]["sequences"]["rows"] == 20
    planned = plan(request)
    document = planned.document()
    assert document["rows"]["read"] == 20 and document["groups"].keys() == {"sequence"}
    events = document["events"]
    assert {name: events[name] for name in ("rows", "sequences")} == {
        name: outcome.ledger["events"][name] for name in ("rows", "sequences")
    }
    assert events["partitions"] == 1 and events["disk_bytes"] >= sum(
        path.stat().st_size for path in shop.glob("*.jsonl")
    )
    said = planning_summary.lines(planned)
    assert f"sequences: 20, of {events['rows']['used']:,} steps" in said
    assert any(line.startswith("grouping: 1 partition, of 20 sequences on average; about ") for line in said)
    assert plan(replace(request, partitions=7)).document()["events"]["partitions"] == 7
    assert sum("of disk in" in note for note in outcome.notes) == 1


def test_the_same_command_run_again_and_over_a_data_set(shop, tmp_path):
    root = tmp_path / "out"
    asked = {"format": "parquet"}
    assert run(Request(SPEC, [str(shop / "*.jsonl")], str(root), **asked)).status == "done"
    first = set(manifest.read(str(root)).sequence_files)
    with pytest.raises(UsageError, match="holds a finished data set; --overwrite replaces it"):
        run(Request(SPEC, [str(shop / "*.jsonl")], str(root), **asked))
    assert run(Request(SPEC, [str(shop / "*.jsonl")], str(root), overwrite=True, **asked)).status == "done"
    second = set(manifest.read(str(root)).sequence_files)
    assert not first & second and {str(path) for path in (root / "sequences").iterdir()} == second
    assert verify.verify(str(root)).faults == []


REFUSED = [
    ({"cache": "cache"}, "--cache: does not apply to events"),
    ({"statistics_inputs": ["x"]}, "--statistics-input: does not apply to events"),
    ({"partitions": 0}, "--partitions: expected 1 to 1,048,576, got 0"),
    ({"wait": False, "output": "gs://b/o", "beam_args": ["--runner=FlinkRunner"]}, "--no-wait: a job of its own makes"),
]


@pytest.mark.parametrize(("more", "message"), REFUSED)
def test_options_that_events_do_not_go_with(more, message, tmp_path):
    with pytest.raises(UsageError, match=message):
        run(Request(SPEC, ["x"], **{"output": str(tmp_path / "out"), **more}))


def test_options_of_events_without_events(tmp_path):
    spec = make_spec([sequence_numeric_column("hours")])
    for more, option in (({"partitions": 2}, "--partitions"), ({"keep_sequences": False}, "--no-keep-sequences")):
        with pytest.raises(UsageError, match=f"{option}: applies to events"):
            run(Request(spec, ["x"], str(tmp_path / "out"), **more))


def test_repair_mends_sequences_and_not_events_that_are_as_they_were(shop, tmp_path):
    root = tmp_path / "out"
    rejecting = make_spec([sequence_numeric_column("prices")], events={**SHOPPING, "features": {"prices": "price"}})
    rows = [json.loads(line) for name in "ab" for line in (shop / f"{name}.jsonl").read_text().splitlines()]
    rows[7]["price"] = None
    write_jsonl(tmp_path / "c.jsonl", rows)
    assert run(Request(rejecting, [str(tmp_path / "c.jsonl")], str(root), format="parquet")).status == "done"
    found = manifest.read(str(root))
    assert (found.rows, found.content["rejected"]["rows"], found.sequences["rejected"]["rows"]) == (19, 1, 1)
    filling = make_spec([sequence_numeric_column("prices", non_finite="fill")], events=rejecting.events)
    (events,) = found.rejected_event_files
    again = repair(Repair(spec=filling, rejected=events, output=str(root)))
    assert again.repaired["events"] == {"read": 1, "added": 0, "refused": 0, "rejected": 1}
    outcome = repair(Repair(spec=filling, rejected=str(root / "rejected")))
    assert outcome.status == "done" and outcome.repaired["written"] == 1
    assert verify.verify(str(root)).faults == [] and manifest.read(str(root)).rows == 20
    with pytest.raises(
        UsageError, match=r"no row of this data set was rejected; of its rejected events \(1\) give a file"
    ):
        repair(Repair(spec=filling, rejected=str(root / "rejected")))


COMBINED = {
    "key": "user",
    "order_by": "at",
    "features": {"prices": "price", "hours": {"since_previous": "h"}},
    "sessions": {"gap": "10h"},
    "windows": {"length": 3, "stride": 2},
    "target": {"field": "item"},
    "min_events": 2,
}
GROUPS = {
    "buckets": ({"max_length": 3, "bucket_by_length": [2, 3]}, "z_score"),
    "the longest": ({"max_length": "longest"}, "z_score"),
    "by key": ({"max_length": 3}, {"type": "z_score", "per": "key", "key": "user"}),
}


@pytest.mark.parametrize("name", slow_but(GROUPS, "buckets"))
def test_all_rules_together_with_all_that_columns_do(name, shop, tmp_path):
    policy, normalizer = GROUPS[name]
    text = {
        "events": COMBINED,
        "sequence_groups": {"sequence": policy},
        "columns": [
            {"type": "sequence_numeric_column", "key": "prices", "normalizer_fn": normalizer},
            {"type": "sequence_numeric_column", "key": "hours"},
            {"type": "categorical_column_with_hash_bucket", "key": "target_item", "hash_bucket_size": 5},
            {"type": "categorical_column_with_identity", "key": "user", "num_buckets": 20},
        ],
    }
    spec = loads(json.dumps(text))
    outcome = run(Request(spec, [str(shop / "*.jsonl")], str(tmp_path / "out"), format="parquet", partitions=4))
    assert outcome.status == "done", outcome.message
    rows = [json.loads(line) for name in "ab" for line in (shop / f"{name}.jsonl").read_text().splitlines()]
    whole = sequences(rows, COMBINED)
    assert outcome.ledger["rows"]["written"] == whole.counts.sequences > 0
    assert outcome.ledger["events"]["dropped"] == whole.counts.dropped
    assert sorted(bits(rows_of(tmp_path / "out"))) == sorted(bits(whole.table))
    assert verify.verify(str(tmp_path / "out")).faults == []


# Splits

BY_TIME = """
events: {key: user, order_by: at, features: {items: item, hours: {since_previous: h}, times: at}, target: {field: item}}
columns:
  - {type: sequence_numeric_column, key: hours, normalizer_fn: z_score}
  - {type: categorical_column_with_hash_bucket, key: target_item, hash_bucket_size: 5}
split: {by: time, validation: 400000, test: 700000}
"""


def test_no_event_of_a_later_split_is_in_an_earlier_one(shop, tmp_path):
    spec = loads(BY_TIME)
    assert spec.events is not None
    outcome = run(Request(spec, [str(shop / "*.jsonl")], str(tmp_path / "out"), format="parquet"))
    assert outcome.status == "done", outcome.message
    found = rows_of(tmp_path / "out")
    ends = {"train": 400_000, "validation": 700_000, "test": 10**6}
    seen: set[tuple[Any, str]] = set()
    for row in found.to_pylist():
        assert max(row["times"]) < ends[row["split"]]
        assert (row["user"], row["split"]) not in seen
        seen.add((row["user"], row["split"]))
    train = [row["hours"] for row in found.to_pylist() if row["split"] == "train"]
    statistics = read_json(tmp_path / "out", "statistics.json")
    assert statistics["columns"]["hours"]["count"] == [sum(map(len, train))]
    counts = {name: own["rows"]["written"] for name, own in outcome.ledger["splits"].items()}
    assert counts == dict(Counter(row["split"] for row in found.to_pylist()))
    # Whatever comes after the border changes nothing in train.
    rows = [json.loads(line) for name in "ab" for line in (shop / f"{name}.jsonl").read_text().splitlines()]
    write_jsonl(tmp_path / "early.jsonl", [row for row in rows if row["at"] < 400_000])
    made_early = sequences([row for row in rows if row["at"] < 400_000], spec.events).table
    own = found.filter(pa.compute.equal(found["split"], "train")).drop_columns(["split"])
    assert sorted(bits(own)) == sorted(bits(made_early))


def test_splits_by_key_keep_a_key_in_one(shop, tmp_path):
    spec = make_spec(
        [sequence_numeric_column("hours", normalizer_fn="z_score")],
        split={"by": "key", "key": "user", "fractions": {"train": 0.7, "test": 0.3}},  # type: ignore[arg-type]
        events={**SHOPPING, "sessions": {"gap": "1d"}},
    )
    outcome = run(Request(spec, [str(shop / "*.jsonl")], str(tmp_path / "out")))
    assert outcome.status == "done", outcome.message
    rows = outcome.ledger["splits"]
    assert all(rows[name]["rows"]["written"] for name in ("train", "test"))


# The columns file

FAULTY = [
    (
        "hours",
        "hour",
        "line 4: columns[0].key: the sequences that events: makes have no feature 'hour'; did you mean 'hours'?",
    ),
    ("order_by", "orderby", "line 2: events.orderby: unknown key 'orderby'; did you mean 'order_by'?"),
    ("by: time", "by: input", "line 6: split.by: expected key, feature or time, got 'input'"),
    (
        "by: time,",
        "by: time, feature: item,",
        "line 6: split.feature: events are divided by their time, 'at', got 'item'",
    ),
    (
        "by: time,",
        "by: time, unit: ms,",
        "line 6: split.unit: expected 's', which numbers count under events.time, got 'ms'",
    ),
]


@pytest.mark.parametrize(("old", "new", "message"), FAULTY)
def test_faults_of_the_section_have_their_line(old, new, message):
    text = BY_TIME.replace(f"key: {old}" if old == "hours" else old, f"key: {new}" if old == "hours" else new, 1)
    with pytest.raises(SpecError) as caught:
        loads(text)
    assert message in str(caught.value)


def test_a_file_of_events_alone(tmp_path):
    path = tmp_path / "events.yaml"
    path.write_text("version: 1\nevents: {key: user, order_by: at}\nsplit: {by: time, test: 5}\n")
    found = events_file.load_events(path)
    assert found.events == make_events({"key": "user", "order_by": "at"}) and found.split is not None
    path.write_text(events_file.dumps(found))
    assert events_file.load_events(path) == found
    path.write_text(BY_TIME)
    assert events_file.load_events(path).events == loads(BY_TIME).events
    for text, message in (
        ("columns: [{type: sequence_numeric_column, key: x}]", "expected a section 'events'"),
        ("events: {key: user}", "line 1: events.order_by: expected a value"),
        ("events: {key: user, order_by: at}\nsplit: {by: input}", "line 2: split.by: expected key, feature or time"),
        ("[1]", "expected a mapping with 'events'"),
        ("evnts: {}", "expected a section 'events'"),
    ):
        path.write_text(text)
        with pytest.raises(SpecError) as caught:
            events_file.load_events(path)
        assert message in str(caught.value)


def test_columns_that_no_sequence_fits_are_refused_before_events_are_grouped(tmp_path):
    at = pa.array([1, 2], pa.timestamp("us"))
    pq.write_table(pa.table({"user": [1, 1], "at": at, "item": ["a", "b"]}), tmp_path / "a.parquet")
    events = {**SHOPPING, "features": {"hours": {"since_previous": "h"}, "latest": {"last": "at"}}}
    spec = make_spec([sequence_numeric_column("hours"), passthrough_column("latest")], events=events)
    with pytest.raises(JobError, match=r"^events: column 'latest': expected values that fit string, got timestamp"):
        run(Request(spec, [str(tmp_path / "a.parquet")], str(tmp_path / "out")))
    assert os.listdir(tmp_path) == ["a.parquet"]
