"""`seqcols repair` with mended events: what is added is what a run over mended inputs makes; what would change is refused."""

from __future__ import annotations

import csv
import io
import json
import random
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file.reader import dumps, loads
from pipeline.dataset import events_ledger, field_types, leftovers
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.job.executing import Outcome
from pipeline.repair import dropped_events
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.verify.verify import verify
from tests.jobs import arrays_of, assert_balanced, call, done, read_json, read_rejected, recovered
from tests.marks import slow_but
from tests.test_excluded_events import places
from tests.test_sequences_job import assert_events_balance, rows_of
from transforms import (
    SequenceGroup,
    make_spec,
    sequence_categorical_column_with_hash_bucket,
    sequence_numeric_column,
    sequences,
)
from transforms.errors import JobError, SpecError
from transforms.spec.spec import Spec

Event = dict[str, Any]

SHOPPING: dict[str, Any] = {
    "key": "user",
    "order_by": ["at", "item"],
    "features": {"items": "item", "hours": {"since_previous": "h"}, "user_again": {"n_unique": "item"}},
}
MENDED = range(100, 105)
"""Users none of whose events can be read at first."""


def spec_of(events: dict[str, Any] = SHOPPING, **more: Any) -> Spec:
    columns = [
        sequence_numeric_column("hours", **more),
        sequence_categorical_column_with_hash_bucket("items", hash_bucket_size=50),
    ]
    return make_spec(columns, SequenceGroup(max_length=8), events=events)


def events_of(seed: int, users: Collection[int] = (*range(8), *MENDED), each: int = 6) -> list[Event]:
    """Events of some users in any order, with times that tie."""
    draw = random.Random(seed)
    rows = [
        {
            "user": user,
            "at": draw.randrange(10**6) // 1000 * 1000,
            "item": draw.choice("abcdef"),
            "price": draw.random(),
        }
        for user in users
        for _ in range(each)
    ]
    return draw.sample(rows, len(rows))


# Formats: how each is written, and the record of one event as `rejected/` keeps it


def _jsonl(path: Path, rows: list[Any]) -> None:
    path.write_bytes(b"".join((row if isinstance(row, bytes) else _json(row)) + b"\n" for row in rows))


def _json(row: Event) -> bytes:
    return json.dumps(row).encode()


def _line(row: Event) -> bytes:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(row.values())
    return out.getvalue().encode()


def _csv(path: Path, rows: list[Any]) -> None:
    path.write_bytes(b"user,at,item,price\n" + b"".join(_line(row) + b"\n" for row in rows))


def _ipc(row: Event) -> bytes:
    batch = pa.RecordBatch.from_pylist([row])
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return out.getvalue().to_pybytes()


def _parquet(path: Path, rows: list[Any]) -> None:
    kinds = pa.schema([("user", pa.int64()), ("at", pa.int64()), ("item", pa.string()), ("price", pa.float64())])
    pq.write_table(pa.Table.from_pylist(rows, kinds), path, row_group_size=20)


def _avro(path: Path, rows: list[Any]) -> None:
    kinds = {"user": ["null", "long"], "at": ["null", "long"], "item": "string", "price": "double"}
    fields = [{"name": name, "type": kind} for name, kind in kinds.items()]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "event", "fields": fields}, rows)


def _example(row: Event) -> bytes:
    import tensorflow as tf

    made = tf.train.Example()
    for name, value in row.items():
        if isinstance(value, int):
            made.features.feature[name].int64_list.value.append(value)
        elif isinstance(value, float):
            made.features.feature[name].float_list.value.append(value)
        elif value is not None:
            made.features.feature[name].bytes_list.value.append(value.encode())
    return bytes(made.SerializeToString(deterministic=True))


def _tfrecord(path: Path, rows: list[Any]) -> None:
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as file:
        for row in rows:
            file.write(row if isinstance(row, bytes) else _example(row))


FORMATS: dict[str, tuple[Callable[[Path, list[Any]], None], Callable[[Event], bytes]]] = {
    "jsonl": (_jsonl, _json),
    "csv": (_csv, _line),
    "parquet": (_parquet, _ipc),
    "avro": (_avro, _ipc),
    "tfrecord": (_tfrecord, _example),
}


def spoilt(row: Event, k: int, name: str) -> Any:
    """An event that cannot be read: without a time or a key, with a time that is none, or no record at all."""
    if name == "csv":
        return {**row, "at": "yesterday"}
    if k % 3 == 2 and name in ("jsonl", "tfrecord"):
        return b'{"user": 1, "at": oops}' if name == "jsonl" else b"no example"
    return {**row, "at" if k % 3 else "user": None}


def write_both(folder: Path, rows: list[Event], bad: Collection[int], name: str = "jsonl") -> tuple[Path, Path]:
    """Writes events twice, in two files each: some of them spoilt, and all as they should be."""
    write = FORMATS[name][0]
    dirty = [spoilt(row, k, name) if k in bad else row for k, row in enumerate(rows)]
    for where, those in (("dirty", dirty), ("clean", rows)):
        (folder / where).mkdir(parents=True)
        half = len(rows) // 2
        write(folder / where / f"a.{name}", those[:half])
        write(folder / where / f"b.{name}", those[half:])
    return folder / "dirty", folder / "clean"


def rejected_of(root: Path) -> pa.Table:
    return read_rejected(read_manifest(str(root)).rejected_event_files)


def mend(root: Path, path: Path, rows: list[Event], name: str = "jsonl", only: Any = None) -> Path:
    """Writes the records of rejected events as they should be."""
    table = rejected_of(root)
    half, record = len(rows) // 2, FORMATS[name][1]
    places = [(Path(row["file"]).name[0], row["row"]) for row in table.to_pylist()]
    chosen = [rows[number + half * (file == "b")] for file, number in places]
    made = table.select(["file", "row"]).append_column("record", pa.array([record(row) for row in chosen], pa.binary()))
    keep = [only is None or only(row) for row in chosen]
    pq.write_table(made.filter(pa.array(keep)), path)
    return path


def of_users(root: Path, users: Collection[int]) -> list[str]:
    """The sequences of some users, to the last bit."""
    rows = rows_of(root).to_pylist()
    return sorted(repr({**row, "user": int(row["user"])}) for row in rows if int(row["user"]) in users)


def examples_of(manifest: Manifest) -> list[bytes]:
    """Every example of a data set, all its features to the last bit, whatever the order."""
    arrays = arrays_of(manifest)
    return sorted(b"".join(np.ascontiguousarray(a[k]).tobytes() for a in arrays.values()) for k in range(manifest.rows))


def clean_run(spec: Spec, clean: Path, root: Path, by: Path | None = None, **more: Any) -> Outcome:
    given = {"transform": str(by)} if by else {}
    return done(spec, clean / "*", root, format="parquet", **given, **more)


def assert_like(root: Path, whole: Path) -> None:
    """Asserts that a repaired data set is what a run over clean events makes."""
    everybody = {int(row["user"]) for row in rows_of(whole).to_pylist()}
    assert of_users(root, everybody) == of_users(whole, everybody)
    assert examples_of(read_manifest(str(root))) == examples_of(read_manifest(str(whole)))
    first, second = (read_json(one, "ledger.json") for one in (root, whole))
    assert_balanced(first)
    assert_events_balance(first["events"])
    assert {**events_ledger.build(events_ledger.tally_of(first["events"])), "skipped_files": []} == first["events"]
    for what in ("rows", "dropped", "rejected_by_reason", "sequences"):
        assert first["events"][what] == second["events"][what], what
    assert (first["rows"], first["columns"]) == (second["rows"], second["columns"])
    one, two = (read_json(folder, "distributions.json")["events"] for folder in (root, whole))
    assert one.pop("largest") == pytest.approx(two.pop("largest"), rel=1 / 32) and one == two
    checked = verify(str(root))
    assert checked.faults == [] and checked.compared is not None
    assert checked.compared.rows == read_manifest(str(root)).rows


@pytest.mark.parametrize("name", slow_but(FORMATS, "jsonl"))
def test_mended_events_of_every_format_become_the_sequences_of_a_clean_run(name, tmp_path):
    rows, root = events_of(1), tmp_path / "out"
    bad = [k for k, row in enumerate(rows) if row["user"] in MENDED]
    dirty, clean = write_both(tmp_path, rows, bad, name)
    first = done(spec_of(), dirty / "*", root, format="parquet", max_rejected=1.0)
    assert first.ledger["events"]["rows"] == {"read": 78, "used": 48, "rejected": 30}
    for row, k in zip(rejected_of(root).to_pylist(), bad, strict=True):
        was = spoilt(rows[k], k, name)
        if row["record_format"] == "arrow-ipc":
            assert {**recovered(row["record"]), "price": was["price"]} == was
        else:
            assert row["record"].rstrip(b"\n") == (was if isinstance(was, bytes) else FORMATS[name][1](was))
    mended = mend(root, tmp_path / "mended.parquet", rows, name)
    outcome = repair(Repair(str(mended), spec_of(), str(root)))
    assert (outcome.status, outcome.message) == ("done", ""), outcome.notes
    assert outcome.repaired["events"] == {"read": 30, "added": 30, "refused": 0, "rejected": 0}
    assert outcome.repaired["written"] == len(MENDED) and outcome.ledger == read_json(root, "ledger.json")
    clean_run(spec_of(), clean, tmp_path / "whole")
    assert_like(root, tmp_path / "whole")
    found = read_manifest(str(root))
    assert [run["kind"] for run in found.content["runs"]] == ["run", "repair"]
    assert found.content["runs"][1]["events"] == outcome.repaired["events"]
    assert not found.rejected_event_files and found.sequences["rows"] == found.rows == 13
    assert not leftovers.unnamed(leftovers.listing(str(root)), found.content)
    with pytest.raises(UsageError, match=r"mended.parquet: .*row \d+ is no rejected row or event of"):
        repair(Repair(str(mended), spec_of(), str(root)))


RULES: dict[str, tuple[dict[str, Any], int, dict[str, Any]]] = {
    "min_events": ({"min_events": 4}, 1, {}),
    "longer": ({"longer": "reject"}, 6, {"max_steps": 5}),
    "windows": ({"windows": {"length": 4, "stride": 2, "partial": "drop"}, "target": {"field": "item"}}, 2, {}),
    "sessions": ({"sessions": {"gap": "50h"}, "unique": ["item"], "min_events": 2}, 1, {}),
}
"""A rule, how many good events of a key it drops as too few (or too many), and options of the run."""


@pytest.mark.parametrize("rule", slow_but(RULES, "min_events"))
def test_events_that_a_rule_dropped_are_taken_again(rule, tmp_path):
    """Keys have good events without a sequence, and mended ones beside them: only all together are what a clean run has."""
    section, good, more = RULES[rule]
    spec, root = spec_of({**SHOPPING, **section}), tmp_path / "out"
    rows = [*events_of(2, range(8), 5), *events_of(3, MENDED, good), *events_of(4, [*MENDED, 200], 5)]
    bad = range(40 + good * len(MENDED), len(rows))
    dirty, clean = write_both(tmp_path, rows, bad)
    done(spec, dirty / "*", root, format="parquet", max_rejected=1.0, **more)
    assert not of_users(root, MENDED)
    outcome = repair(Repair(str(mend(root, tmp_path / "mended.parquet", rows)), spec, str(root)))
    assert (outcome.status, outcome.message) == ("done", ""), outcome.notes
    if rule == "longer":  # only user 200 has a sequence: with the events of the others there are even more
        few = [k for k in bad if rows[k]["user"] != 200]
        clean = write_both(tmp_path / "few", rows, few)[0]
        assert outcome.repaired["events"] == {"read": len(bad), "added": 5, "refused": len(few), "rejected": 0}
    else:
        assert outcome.repaired["events"]["added"] == len(bad)
    clean_run(spec, clean, tmp_path / "whole", max_rejected=1.0, **more)
    assert_like(root, tmp_path / "whole")


def test_mended_events_that_a_rule_drops_stay_rejected_until_there_are_enough(tmp_path, monkeypatch):
    """What is dropped is in no input: a later repair of the key would not find it again. Of no key none is looked for."""
    spec, root = spec_of({**SHOPPING, "min_events": 4}), tmp_path / "out"
    rows = events_of(7, [*range(3), 100])
    hundred = [k for k, row in enumerate(rows) if row["user"] == 100]
    dirty, clean = write_both(tmp_path, rows, hundred[1:])
    done(spec, dirty / "*", root, format="parquet", max_rejected=1.0)
    worse = rejected_of(root).select(["file", "row"]).slice(0, 1)
    pq.write_table(worse.append_column("record", pa.array([b"{broken"])), tmp_path / "worse.parquet")
    with monkeypatch.context() as patched:
        patched.setattr(dropped_events, "of_keys", None)
        outcome = repair(Repair(str(tmp_path / "worse.parquet"), spec, str(root)))
    assert outcome.status == "done" and outcome.repaired["events"]["rejected"] == 1
    before = rejected_of(root)
    two = [rows[k] for k in hundred[1:3]]
    few = mend(root, tmp_path / "few.parquet", rows, only=lambda row: row in two)
    outcome = repair(Repair(str(few), spec, str(root)))
    assert (outcome.status, outcome.message) == ("failed", "nothing was added: all mended events were refused")
    lines = [re.search(r"(\d) mended events? of 1 key whose events make no sequence", note) for note in outcome.notes]
    assert sum(int(match[1]) for match in lines if match) == 2
    assert rejected_of(root).equals(before)
    outcome = repair(Repair(str(mend(root, tmp_path / "mended.parquet", rows)), spec, str(root)))
    assert outcome.status == "done" and outcome.repaired["events"]["added"] == 5
    clean_run(spec, clean, tmp_path / "whole")
    assert_like(root, tmp_path / "whole")


@pytest.fixture(scope="module")
def one_dropped(tmp_path_factory) -> Path:
    """A data set in which user 100 has one good event, dropped by `min_events`, and rejected ones; another event is excluded."""
    folder: Path = tmp_path_factory.mktemp("dropped")
    rows = events_of(5, [*range(5), 100])
    hundred = [k for k, row in enumerate(rows) if row["user"] == 100]
    dirty, _ = write_both(folder, rows, hundred[1:])
    zero = next(k for k, row in enumerate(rows) if row["user"] == 0)
    place = (dirty / ("a.jsonl" if zero < len(rows) // 2 else "b.jsonl"), zero % (len(rows) // 2))
    more = {"max_rejected": 1.0, "exclude_events": [places(folder / "excluded.parquet", [place])]}
    done(spec_of({**SHOPPING, "min_events": 2}), dirty / "*", folder / "out", **more)
    mend(folder / "out", folder / "mended.parquet", rows)
    return folder


@pytest.mark.slow
def test_inputs_that_moved_or_changed(one_dropped, tmp_path):
    root, spec = Path(shutil.copytree(one_dropped / "out", tmp_path / "out")), spec_of({**SHOPPING, "min_events": 2})
    mended = str(one_dropped / "mended.parquet")
    shutil.copytree(one_dropped / "dirty", tmp_path / "moved")
    dirty = one_dropped / "dirty"
    before = (dirty / "a.jsonl").read_bytes()
    try:
        (dirty / "a.jsonl").write_bytes(before.replace(b'"item": "a"', b'"item": "b"', 1))
        with pytest.raises(JobError, match=r"a.jsonl: is not what .* was made of: run the job again"):
            repair(Repair(mended, spec, str(root)))
        (dirty / "a.jsonl").unlink()
        with pytest.raises(
            JobError, match=r"which a rule has dropped; looking for these: .*a.jsonl.*--input says where"
        ):
            repair(Repair(mended, spec, str(root)))
        outcome = repair(Repair(mended, spec, str(root), inputs=[str(tmp_path / "moved" / "*")]))
    finally:
        (dirty / "a.jsonl").write_bytes(before)
    assert outcome.status == "done" and outcome.repaired["written"] == 1
    events = outcome.ledger["events"]
    assert (
        events["rows"] == {"read": 36, "used": 35, "rejected": 0, "excluded": 1} and not events["dropped"]["min_events"]
    )
    assert_events_balance(events)
    assert not verify(str(root)).faults


# Refused: keys that have sequences


@pytest.fixture(scope="module")
def known(tmp_path_factory) -> tuple[Path, list[Event]]:
    """A data set with rejected events of users that have a sequence, and of others; and the events as they should be."""
    folder: Path = tmp_path_factory.mktemp("known")
    rows = events_of(6, [*range(6), 100, 101])
    bad = [k for k, row in enumerate(rows) if row["user"] in (100, 101)]
    bad += [k for k, row in enumerate(rows) if row["user"] in (2, 3)][1:4]
    dirty, _ = write_both(folder, rows, sorted(bad))
    (folder / "columns.yaml").write_text(dumps(spec_of(normalizer_fn="z_score")))
    done(spec_of(normalizer_fn="z_score"), dirty / "*", folder / "out", format="parquet", max_rejected=1.0)
    mend(folder / "out", folder / "mended.parquet", rows)
    return folder, rows


@pytest.fixture
def out(known, tmp_path) -> Path:
    return Path(shutil.copytree(known[0] / "out", tmp_path / "out"))


def test_events_of_keys_with_sequences_are_refused_with_a_command_that_works(known, out, tmp_path, command_line):
    folder, rows = known
    columns, mended = folder / "columns.yaml", Path(shutil.copy(folder / "mended.parquet", tmp_path / "m.parquet"))
    before = read_rejected(read_manifest(str(out)).rejected_event_files)
    made = call("repair", mended, "--columns", columns, "--output", out)
    assert made.exit_code == 0, made.stderr
    lines = [line for line in made.stderr.splitlines() if line.startswith("seqcols: ")]
    refused = [re.search(r"(\w)\.jsonl: (\d) mended events? of (\d) keys? that ha", line) for line in lines]
    assert sum(int(match[2]) for match in refused if match) == 3
    assert "12 of 15 mended events added, 0 rejected again, 3 refused; 2 of their 2 sequences written" in made.stdout
    left = rejected_of(out)
    assert left.num_rows == 3 and all(row in before.to_pylist() for row in left.to_pylist())
    assert verify(str(out)).faults == [] and read_manifest(str(out)).rows == 8
    # The same again adds nothing: what was added is no rejected event any more, and the others are refused by themselves.
    again = call("repair", mended, "--columns", columns, "--output", out)
    assert again.exit_code == 2 and "is no rejected row or event of" in again.stderr
    other = mend(out, tmp_path / "other.parquet", rows)
    once = call("repair", other, "--columns", columns, "--output", out)
    assert once.exit_code == 1
    assert "nothing was added: all mended events were refused" in once.stderr
    # The first command makes all sequences again.
    assert "what earlier repairs" not in made.stderr and "what earlier repairs" in once.stderr
    ran = call(*shlex.split(next(line for line in lines if "seqcols run" in line).partition(": seqcols")[2]))
    assert ran.exit_code == 0, ran.stderr
    whole = sequences(rows, SHOPPING)
    assert sorted(map(repr, rows_of(out).to_pylist())) == sorted(map(repr, whole.table.to_pylist()))
    events = read_json(out, "ledger.json")["events"]
    assert events["rows"] == {"read": len(rows) + 15, "used": len(rows), "rejected": 0, "excluded": 15}
    assert_events_balance(events)
    assert verify(str(out)).faults == []


def test_the_command_leaves_out_what_was_left_out_where_inputs_lie_now(tmp_path, command_line):
    """Also where the mended file lies in the data set, in which no input may."""
    rows, spec = events_of(9, range(3)), spec_of()
    zero, one = (next(k for k, row in enumerate(rows) if row["user"] == user) for user in (0, 1))
    dirty, _ = write_both(tmp_path, rows, [one])
    half, root, columns = len(rows) // 2, tmp_path / "out", tmp_path / "columns.yaml"
    columns.write_text(dumps(spec))
    excluded = places(tmp_path / "e.parquet", [(dirty / ("a.jsonl" if zero < half else "b.jsonl"), zero % half)])
    done(spec, dirty / "*", root, exclude_events=[excluded], max_rejected=1.0)
    mended = mend(root, root / "mended.parquet", rows)
    dirty.rename(tmp_path / "moved")
    made = call("repair", mended, "--columns", columns, "--output", root, "--input", tmp_path / "moved" / "*")
    assert made.exit_code == 1
    command = next(line for line in made.stderr.splitlines() if "seqcols run" in line).partition(": seqcols")[2]
    ran = call(*shlex.split(command))
    assert ran.exit_code == 0, ran.stderr
    events = read_json(root, "ledger.json")["events"]
    assert events["rows"] == {"read": len(rows) + 1, "used": len(rows) - 1, "rejected": 0, "excluded": 2}


def test_null_keys_and_times_stay_rejected(known, out, tmp_path):
    rows = known[1]
    table = rejected_of(out)
    half = len(rows) // 2
    whole = [rows[row["row"] + half * row["file"].endswith("b.jsonl")] for row in table.to_pylist()]
    records = [json.dumps({**row, "at": "soon"} if row["user"] == 100 else {**row, "user": None}) for row in whole]
    records[0] = "{broken still"
    mended = table.select(["file", "row"]).append_column("record", pa.array([r.encode() for r in records], pa.binary()))
    pq.write_table(mended, tmp_path / "mended.parquet")
    outcome = repair(Repair(str(tmp_path / "mended.parquet"), spec_of(normalizer_fn="z_score"), str(out)))
    assert outcome.status == "done" and outcome.repaired["events"] == {
        "read": 15, "added": 0, "refused": 0, "rejected": 15,
    }  # fmt: skip
    left = rejected_of(out)
    assert left.select(["file", "row", "record", "digest"]).equals(table.select(["file", "row", "record", "digest"]))
    reasons = outcome.ledger["events"]["rejected_by_reason"]
    assert reasons["bad_record"] == 1 and set(reasons) <= {"bad_record", "missing", "not_a_time", "wrong_type"}
    assert_events_balance(outcome.ledger["events"])
    assert verify(str(out)).faults == [] and read_manifest(str(out)).rows == 6


def test_what_cannot_be_repaired_is_refused_before_anything_changes(known, out, tmp_path):
    folder, _ = known
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    spec, mended = spec_of(normalizer_fn="z_score"), str(folder / "mended.parquet")
    with pytest.raises(
        UsageError, match=r"no row of this data set was rejected; of its rejected events \(15\) give a file"
    ):
        repair(Repair(str(out), spec))
    other = spec_of({**SHOPPING, "min_events": 2}, normalizer_fn="z_score")
    with pytest.raises(SpecError, match="events: expected that of the data set, whose sequences are made"):
        repair(Repair(mended, other, str(out)))
    table = pq.read_table(mended)
    pq.write_table(table.set_column(1, "row", pa.array([0] * len(table))), tmp_path / "m.parquet")
    with pytest.raises(UsageError, match="row 0 is no rejected row or event of"):
        repair(Repair(str(tmp_path / "m.parquet"), spec, str(out)))
    kept = Path(read_manifest(str(out)).rejected_event_files[0])
    whole, held = kept.read_bytes(), pq.read_table(kept)
    lost = [held[name][0].as_py() for name in ("file", "row")]
    pq.write_table(held.slice(1), kept)
    few = table.filter(pa.array([[row["file"], row["row"]] != lost for row in table.to_pylist()]))
    pq.write_table(few, tmp_path / "few.parquet")
    with pytest.raises(JobError, match=r"the events in rejected/ are not those that were rejected"):
        repair(Repair(str(tmp_path / "few.parquet"), spec, str(out)))
    kept.write_bytes(whole)
    assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before


def test_statistics_stay_and_new_columns_are_compared(known, out, tmp_path):
    """A z-score is by the statistics that there were: the same as in a run over all events by this transform."""
    folder, rows = known
    _, clean = write_both(tmp_path / "again", rows, [])
    mended = mend(out, tmp_path / "mended.parquet", rows, only=lambda row: row["user"] in (100, 101))
    outcome = repair(Repair(str(mended), spec_of(normalizer_fn="z_score"), str(out)))
    assert outcome.status == "done", outcome.message
    whole = clean_run(spec_of(normalizer_fn="z_score"), clean, tmp_path / "whole", folder / "out")
    assert whole.status == "done"
    own, other = (examples_of(read_manifest(str(root))) for root in (out, tmp_path / "whole"))
    kept = examples_of(read_manifest(str(folder / "out")))
    new = [one for one in own if one not in kept]
    assert len(new) == 2 and set(new) <= set(other)


@pytest.mark.slow
def test_without_the_sequences_nobody_knows_which_keys_have_one(known, tmp_path):
    folder, _ = known
    spec = spec_of(normalizer_fn="z_score")
    done(spec, folder / "dirty" / "*", tmp_path / "out", max_rejected=1.0, keep_sequences=False)
    with pytest.raises(UsageError, match=r"its sequences were not kept \(--no-keep-sequences\)"):
        repair(Repair(str(folder / "mended.parquet"), spec, str(tmp_path / "out")))


@pytest.mark.slow
def test_a_split_by_time(tmp_path):
    columns = [{"type": "sequence_numeric_column", "key": "hours"}]
    split = {"by": "time", "test": 500000}
    events = {**SHOPPING, "target": {"field": "item"}}
    groups = {"sequence": {"max_length": 12}}
    text = loads(json.dumps({"columns": columns, "events": events, "split": split, "sequence_groups": groups}))
    rows, root = events_of(8, [*range(8), *MENDED], 9), tmp_path / "out"
    dirty, clean = write_both(tmp_path, rows, [k for k, row in enumerate(rows) if row["user"] in MENDED])
    done(text, dirty / "*", root, format="parquet", max_rejected=1.0)
    outcome = repair(Repair(str(mend(root, tmp_path / "mended.parquet", rows)), text, str(root)))
    assert outcome.status == "done", outcome.message
    whole = clean_run(text, clean, tmp_path / "whole")
    everybody = {row["user"] for row in rows}
    assert of_users(root, everybody) == of_users(tmp_path / "whole", everybody)
    for name in ("train", "test"):
        assert outcome.ledger["splits"][name]["rows"] == whole.ledger["splits"][name]["rows"]
        one, two = (examples_of(read_manifest(str(one)).split(name)) for one in (root, tmp_path / "whole"))
        assert one == two
    assert not verify(str(root)).faults


@pytest.mark.slow
@pytest.mark.parametrize("change", ["/sequences/", "/rejected/", "/examples/", r"/manifest\.json$", r"/transform(/|$)"])
def test_killed(change, known, out, tmp_path):
    folder, rows = known
    mended = mend(out, tmp_path / "mended.parquet", rows, only=lambda row: row["user"] in (100, 101))
    arguments = ["repair", str(mended), "--columns", str(folder / "columns.yaml"), "--output", str(out)]
    command = [sys.executable, "-m", "tests.faults.killed", f"{re.escape(str(out))}.*{change}", *arguments]
    killed = subprocess.run(command, check=False, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    found = read_manifest(str(out)).rows
    assert found in (6, 8)
    again = call(*arguments)
    assert again.exit_code == (0 if found == 6 else 2), again.stderr
    assert read_manifest(str(out)).rows == 8 and verify(str(out)).faults == []


PLAIN = [
    *(pa.int8(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(), pa.bool_(), pa.null()),
    *(pa.large_string(), pa.large_binary(), pa.month_day_nano_interval()),
    *(pa.timestamp("s"), pa.timestamp("ns", "UTC"), pa.timestamp("us", "+01:00"), pa.timestamp("ms", "Europe/Paris")),
    *(pa.date32(), pa.date64(), pa.time32("ms"), pa.time64("ns"), pa.duration("us")),
    *(pa.decimal32(3, 1), pa.decimal64(9, 0), pa.decimal128(5, 2), pa.decimal256(50, -2)),
]


def test_types_of_fields_are_read_back():
    kinds = {str(k): kind for k, kind in enumerate(PLAIN)}
    assert field_types.from_json(json.loads(json.dumps(field_types.as_json(kinds)))) == kinds


def test_inputs_are_named_in_full(tmp_path):
    """Many files of a folder are given by a pattern, but only where it matches no other."""
    from pipeline.repair import again

    class Plan:
        inputs = ()
        before = Manifest(str(tmp_path), {"inputs": [{"path": str(tmp_path / f"{k}.jsonl.gz")} for k in range(5)]})

    for k in range(5):
        (tmp_path / f"{k}.jsonl.gz").touch()
    assert again._inputs(Plan()) == [f"{tmp_path}/*.gz"]  # type: ignore[arg-type]
    (tmp_path / "more.jsonl.gz").touch()
    assert again._inputs(Plan()) == [str(tmp_path / f"{k}.jsonl.gz") for k in range(5)]  # type: ignore[arg-type]
