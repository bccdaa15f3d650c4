"""Events through blocks, partitions and Beam: the same sequences as in memory, to the bit, and every event accounted for."""

from __future__ import annotations

import itertools
import os
import pickle
import random
import secrets
import uuid
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from pipeline import GroupEvents
from pipeline.shuffle import blocks, files, partition
from pipeline.shuffle.blocks import Block, Dealt, Gatherer, Shares, unpacked
from pipeline.shuffle.files import DealtWriter, read
from pipeline.shuffle.partition import Grouping
from tests.event_oracle import NANOSECONDS
from tests.marks import tried
from tests.test_events import bits, random_events, random_spec
from transforms.errors import JobError, SpecError
from transforms.events.accounting import DROPPED
from transforms.events.figures import Figures, together
from transforms.events.incoming import Incoming, cast, one_type, plain_kinds
from transforms.events.make_events import make_events, resolved
from transforms.events.sequences import Grouped, sequences
from transforms.rows import digests, origin
from transforms.rows.tally import Tally, add, count_rejected

SHOPPING = {"key": "user", "order_by": "at", "features": {"items": "item", "hours": {"since_previous": "h"}}}


def incoming_of(spec: dict[str, Any], schema: pa.Schema) -> Incoming:
    kinds = plain_kinds({field.name: field.type for field in schema})
    events = resolved(make_events(spec), list(kinds))
    return Incoming(events, {name: kinds[name] for name in events.fields})


def case(seed: str) -> tuple[pa.Table, dict[str, Any], dict[str, datetime], int]:
    """Random events and a section; borders of splits now and then; the most steps."""
    draw = random.Random(seed)
    table, unit = random_events(draw)
    spec = random_spec(draw, unit)
    times = [time for time in table["time"].to_pylist() if time is not None]
    borders = {}
    if times and draw.random() < 0.3:
        at = sorted({draw.choice(times) * NANOSECONDS[unit] // 1000 for _ in range(2)})
        borders = {
            f"part{k}": datetime.fromtimestamp(0, UTC) + pa.scalar(one, pa.duration("us")).as_py()
            for k, one in enumerate(at)
        }
    return table, spec, borders, draw.choice([3, 1000])


def blocks_of(dealt: Dealt | None) -> list[tuple[int, Block]]:
    return [] if dealt is None else list(dealt.blocks())


class Shuffled:
    """Partitions of events that have gone through a shuffle: as bytes, or through files in a folder, now and then another."""

    def __init__(self, count: int, folder: str):
        self._parts, self._closed = [[] for _ in range(count)], []
        self._folder, self._writer = folder, DealtWriter(folder)

    def take(self, dealt: Dealt | None, another: bool) -> None:
        if not self._folder:
            for number, block in blocks_of(dealt):
                self._parts[number].append(block.packed())
        elif dealt is not None:
            self._writer.write(dealt)
        if another:
            self._closed.append(self._writer.close())
            self._writer = DealtWriter(self._folder)

    def partitions(self) -> list[Iterator[Block]]:
        closed = [file for file in self._closed if file is not None]
        return [read(closed, k) if self._folder else map(unpacked, part) for k, part in enumerate(self._parts)]


def grouped(
    grouping: Grouping, batches: list[pa.RecordBatch], count: int, folder: str = ""
) -> tuple[pa.Table, Tally, Figures]:
    """What becomes of batches, each of a file of its own, that go through a shuffle."""
    gatherer, shuffled = Gatherer(grouping.incoming, count, grouping.most), Shuffled(count, folder)
    tally = Counter()
    for k, batch in enumerate(batches):
        given = digests.attach(origin.with_origin(batch, f"file {k}", 0), grouping.incoming.kinds)
        tally[f"file {k}", "digest", "read"] = digests.total(given.column(origin.DIGEST_COLUMN))
        tally[f"file {k}", "rows", "read"] = given.num_rows
        ready, rejected = grouping.incoming.ready(given)
        tally.update(count_rejected(rejected))
        shuffled.take(gatherer.add(ready, f"file {k}"), k % 2 == 0)
        shuffled.take(gatherer.flush() if k % 3 == 0 else None, False)
    shuffled.take(gatherer.flush(), True)
    add(tally, gatherer.tally)
    made = [grouping.grouped(part) for part in shuffled.partitions()]
    for part in made:
        add(tally, part.tally)
    return pa.concat_tables([part.table for part in made]), tally, together([part.figures for part in made])


def assert_accounted(tally: Tally, whole: Grouped, files: int) -> None:
    """Holds what was counted by file to what was read of it, and the sums to those of the whole in memory."""
    for k in range(files):
        file = f"file {k}"
        dropped = sum(tally[file, "events", rule] for rule in DROPPED)
        assert tally[file, "rows", "read"] == tally[file, "events", "used"] + dropped + tally[file, "rows", "rejected"]
        marks = [
            tally[file, "digest", "rejected"],
            *(n for key, n in tally.items() if key[:2] == (file, "event_digest")),
        ]
        assert (tally[file, "digest", "read"] - sum(marks)) % 2**64 == 0
    sums: Counter[str] = Counter()
    for key, n in tally.items():
        if key[1] == "events":
            sums[key[2]] += n
    assert sums["used"] == whole.counts.used
    assert {rule: sums[rule] for rule in DROPPED} == whole.counts.dropped
    found = {what: tally["", "sequences", what] for what in ("rows", "steps", "targets", "used_again", "too_long")}
    counts = whole.counts
    assert found == {
        "rows": counts.sequences,
        "steps": counts.steps,
        "targets": counts.targets,
        "used_again": counts.used_again,
        "too_long": len(whole.too_long),
    }


def cut_at_random(table: pa.Table, draw: random.Random) -> list[pa.RecordBatch]:
    """A table's rows in another order, in batches of any size, some empty."""
    order = list(range(len(table)))
    draw.shuffle(order)
    table = table.take(pa.array(order, pa.int64()))
    cuts = sorted(draw.randint(0, len(table)) for _ in range(draw.randint(0, 5)))
    bounds = [0, *cuts, len(table)]
    made = []
    for start, stop in itertools.pairwise(bounds):
        part = table.slice(start, stop - start).combine_chunks()
        made.append(part.to_batches()[0] if len(part) else pa.RecordBatch.from_pylist([], schema=table.schema))
    return made


@pytest.mark.parametrize("part", range(10))
def test_partitions_of_random_events_give_what_memory_gives(part: int, tmp_path, monkeypatch):
    """Through an engine's blocks, and through files."""
    monkeypatch.setattr(partition, "TRIMMED_BYTES", 500)  # so that heavy keys are trimmed on the way
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 300)
    monkeypatch.setattr(files, "READ_BYTES", 400)
    for number in range(tried(60)):
        seed = f"shuffle {part} {number}"
        table, spec, borders, max_steps = case(seed)
        draw = random.Random(f"cut {seed}")
        batches = cut_at_random(table, draw)
        grouping = Grouping(incoming_of(spec, table.schema), borders, max_steps)
        folder = draw.choice(["", str(tmp_path / f"{number}")])
        found, tally, _ = grouped(grouping, batches, draw.choice([1, 2, 7]), folder)
        whole = sequences(table, spec, borders=borders, max_steps=max_steps)
        assert sorted(bits(found)) == sorted(bits(whole.table)), seed
        assert found.schema == whole.table.schema, seed
        assert_accounted(tally, whole, len(batches))


class Batches(beam.PTransform):
    """Batches in a pipeline, pickled once as this is."""

    def __init__(self, batches: list[pa.RecordBatch]):
        super().__init__()
        self._batches = batches

    def expand(self, root: Any) -> Any:
        made = root | beam.Create(range(len(self._batches)), reshuffle=False)
        return made | beam.Map(lambda k, batches: batches[k], self._batches).with_output_types(pa.RecordBatch)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("through_files", [False, True])
def test_a_pipeline_gives_what_memory_gives(seed: int, through_files: bool, tmp_path):
    table, spec, borders, max_steps = next(
        found for k in range(100) if len((found := case(f"pipeline {seed} {k}"))[0]) > 50
    )
    batches = cut_at_random(table, random.Random(seed))
    folder = str(tmp_path / "blocks") if through_files else ""
    more = {"borders": borders, "max_steps": max_steps, "partitions": 5, "folder": folder}
    good, rejected, _ = Collected(tmp_path).of(Batches(batches), spec, table.schema, **more)
    whole = sequences(table, spec, borders=borders, max_steps=max_steps)
    made = sorted(row for batch in good for row in bits(pa.Table.from_batches([batch])))
    assert made == sorted(bits(whole.table))
    assert sum(batch.num_rows for batch in rejected) == whole.counts.rejected
    assert {batch.schema for batch in good} <= {whole.table.schema}
    if through_files:
        assert list((tmp_path / "blocks").iterdir())


class Collected:
    """What a pipeline gives, by way of files: its functions are pickled."""

    def __init__(self, folder: Any):
        self._folder = folder / "collected"
        self._folder.mkdir()

    def of(
        self, events: Any, spec: dict[str, Any], schema: pa.Schema, **more: Any
    ) -> tuple[list[Any], list[Any], Tally]:
        with beam.Pipeline(FnApiRunner()) as root:
            found = root | events | GroupEvents(spec, schema, **more)
            for name in ("good", "rejected", "tallies"):
                getattr(found, name) | name >> beam.ParDo(_Keep(str(self._folder), name))
        return self._read("good"), self._read("rejected"), sum(self._read("tallies"), Counter())

    def _read(self, name: str) -> list[Any]:
        return [pickle.loads(path.read_bytes()) for path in sorted(self._folder.glob(f"{name}-*"))]


class _Keep(beam.DoFn):
    def __init__(self, folder: str, name: str):
        self._folder, self._name = folder, name

    def process(self, element: Any) -> Iterator[Any]:
        Path(self._folder, f"{self._name}-{uuid.uuid4().hex}").write_bytes(pickle.dumps(element))
        return iter(())


EVENTS = [
    {"user": 1, "at": 30, "item": "b"},
    {"user": "1", "at": 10, "item": "a"},
    {"user": None, "at": 10, "item": "a"},
    {"user": 2, "at": 5, "item": "c"},
    {"user": 2, "item": "d"},
]


def test_dicts_come_back_as_dicts(tmp_path):
    schema = pa.schema([("user", pa.string()), ("at", pa.int64()), ("item", pa.string())])
    events = beam.Create(EVENTS).with_output_types(dict)
    good, rejected, tally = Collected(tmp_path).of(events, SHOPPING, schema)
    assert sorted(good, key=lambda row: row["user"]) == [
        {"user": "1", "items": ["a", "b"], "hours": [0.0, 20 / 3600]},
        {"user": "2", "items": ["c"], "hours": [0.0]},
    ]
    assert sorted((row["reason"], row["column"]) for row in rejected) == [("missing", "at"), ("missing", "user")]
    assert tally["", "events", "used"] == 3 and tally["", "rows", "rejected"] == 2


def test_what_cannot_work_is_said_before_the_pipeline_runs():
    schema = pa.schema([("user", pa.string()), ("at", pa.int64())])
    with pytest.raises(SpecError, match="the events have no field 'item'"):
        GroupEvents(SHOPPING, schema)
    whole = schema.append(pa.field("item", pa.string()))
    with pytest.raises(SpecError, match="expected ascending borders"):
        GroupEvents(SHOPPING, whole, borders={"b": 2, "a": 1})
    with pytest.raises(ValueError, match="partitions: expected 1 or more, got 0"):
        GroupEvents(SHOPPING, whole, partitions=0)


PARTITIONS = {0: ["c"], 3: ["a", "b", "d"]}


def test_a_key_is_in_the_partition_of_its_hash_whatever_its_type():
    """5 and "5" go together, and the partition of a key is for ever the same."""
    for kind in (pa.int64(), pa.string(), pa.float64()):
        users = pa.array([5, 6, 7, 5]).cast(kind) if kind != pa.string() else pa.array(["5", "6", "7", "5"])
        batch = pa.RecordBatch.from_pydict({"user": users, "at": [1, 2, 3, 4], "item": list("abcd")})
        gatherer = Gatherer(incoming_of(SHOPPING, batch.schema), 4)
        assert gatherer.add(batch, "f") is None
        found = {number: block.batch.column("item").to_pylist() for number, block in blocks_of(gatherer.flush())}
        assert found == PARTITIONS


COLUMNS = {
    "ints": pa.array([1, 2**62, -3, 4, 5], pa.int64()),
    "some": pa.array([None, 7, None, 8, 9], pa.int16()),
    "floats": pa.array([0.5, None, -0.0, 1e30, float("nan")], pa.float32()),
    "flags": pa.array([True, None, False, True, False]),
    "all_set": pa.array([True, True, False, True, False]),
    "words": pa.array(["", None, "ab", "ç" * 50, "x"], pa.large_string()),
    "bytes": pa.array([b"\0", b"", b"ab", b"xyz", b"-"], pa.large_binary()),
    "nothing": pa.nulls(5),
    "days": pa.array([0, 1, None, -3, 4], pa.date32()),
    "when": pa.array([0, 1, 2, -3, 4], pa.timestamp("ns", "Asia/Tokyo")),
    "prices": pa.array(["1.25", None, "-3.50", "0.00", "9.99"]).cast(pa.decimal128(38, 2)),
    "wide": pa.array(["1.25", "7.00", "-3.50", "0.00", "9.99"]).cast(pa.decimal256(50, 2)),
}


@pytest.mark.parametrize("block_bytes", [1, 1 << 20])
def test_columns_of_all_types_are_read_back_by_partition(block_bytes: int, tmp_path, monkeypatch):
    """Also where one part of a column has nulls and another none; a partition without events is no block."""
    monkeypatch.setattr(files, "READ_BYTES", block_bytes)
    batch = pa.RecordBatch.from_pydict(COLUMNS)
    deals = {"f": ([4, 3, 2, 1, 0], [3, 2]), "g": ([1], [0, 1]), "h": ([3, 4, 0, 1], [1, 3])}
    written = []
    for names in ("f", "gh"):
        writer = DealtWriter(str(tmp_path / "made" / "now"))
        for name in names:
            order, parts = deals[name]
            whole = Block(batch, [name], np.array([len(batch)]))
            writer.write(Dealt(whole, np.array(order), np.cumsum([0, *parts, 0]), {}))
        written.append(writer.close())
    for k, wanted_files in enumerate(["fh", "fgh"]):
        found = list(read(written, k))
        assert "".join(name for block in found for name in block.files) == wanted_files
        rows = [order[: parts[0]] if k == 0 else order[parts[0] :] for order, parts in deals.values()]
        assert [n for block in found for n in block.counts.tolist()] == [len(own) for own in rows if own]
        wanted = batch.take(pa.array([row for own in rows for row in own]))
        assert repr(pa.Table.from_batches([block.batch for block in found]).to_pylist()) == repr(wanted.to_pylist())
        assert len(found) == (len(wanted_files) if block_bytes == 1 else 1)
    assert list(read(written, 2)) == []
    with pytest.raises(JobError, match=r"now/.*\.events: cannot be read \(No such file or directory\)"):
        (tmp_path / "made" / "now").rename(tmp_path / "gone")
        list(read(written, 0))


@pytest.mark.parametrize("seed", range(20))
def test_a_partition_names_only_files_that_it_has_events_of(seed: int):
    rng = np.random.default_rng(seed)
    rows = rng.integers(0, 5, rng.integers(1, 30))  # of runs of files, some of which lost all their events
    parts = rng.integers(0, 4, int(rows.sum()))
    order, ends = np.argsort(parts, kind="stable"), np.cumsum(np.bincount(parts, minlength=5))
    found = Shares.of(order, np.append(0, ends), rows)
    of_row = np.repeat(np.arange(len(rows)), rows)
    for k in range(5):
        own = np.bincount(of_row[parts == k], minlength=len(rows))
        wanted = [f"f{run}" for run in np.flatnonzero(own)], own[own > 0].tolist()
        names, counts = found.share(k, [f"f{run}" for run in range(len(rows))])
        assert (names, counts.tolist()) == wanted


def test_files_are_open_one_at_a_time(tmp_path, monkeypatch):
    """There is one for each worker and bundle, and each worker reads all."""
    written = []
    for _ in range(5):
        writer = DealtWriter(str(tmp_path))
        writer.write(one_event())
        written.append(writer.close())
    seen, really = [], os.preadv

    def preadv(*how: Any) -> int:
        paths = (path.resolve() for path in Path("/proc/self/fd").iterdir())
        seen.append(sum(path.suffix == ".events" for path in paths))
        return really(*how)

    monkeypatch.setattr(os, "preadv", preadv)
    assert [block.counts.tolist() for block in read(written, 0)] == [[1] * 5]
    assert seen == [1] * 5


def test_a_folder_is_made_with_the_first_events_and_a_short_file_is_told(tmp_path):
    writer = DealtWriter(str(tmp_path / "made" / "now"))
    assert writer.close() is None and not (tmp_path / "made").exists()
    writer.write(one_event())
    file = writer.close()
    assert file is not None
    os.truncate(file.path, 7)
    with pytest.raises(JobError, match=r"\.events: cannot be read \(it ends too early\)"):
        list(read([file], 0))


def one_event() -> Dealt:
    batch = pa.RecordBatch.from_pydict({"x": [1]})
    return Dealt(Block(batch, ["f"], np.array([1])), np.array([0]), np.array([0, 1]), {})


def test_a_full_disk_names_the_file_of_events(tmp_path, monkeypatch):
    monkeypatch.setattr(secrets, "token_hex", lambda size: "a")
    writer = DealtWriter(str(tmp_path))
    (tmp_path / "a.events").symlink_to("/dev/full")
    monkeypatch.setattr("pipeline.shuffle.files.FLAGS", os.O_WRONLY)
    with pytest.raises(JobError, match=r"a\.events: cannot be written \(No space left on device\)"):
        writer.write(one_event())
    writer.abandon()


KINDS = [
    ([pa.int32(), pa.int64()], False, pa.int64()),
    ([pa.int64(), pa.uint64()], False, None),
    ([pa.int64(), pa.float32()], False, pa.float64()),
    ([pa.large_string(), pa.large_binary()], False, pa.large_binary()),
    ([pa.int64(), pa.large_string()], False, None),
    ([pa.int64(), pa.large_string()], True, pa.large_string()),
    ([pa.null(), pa.int64()], False, pa.int64()),
    ([], False, pa.null()),
    ([pa.timestamp("s"), pa.timestamp("ms", "UTC")], False, pa.timestamp("ms", "UTC")),
    ([pa.timestamp("us", "Asia/Tokyo")], False, pa.timestamp("us", "Asia/Tokyo")),
    ([pa.list_(pa.int64()), pa.int64()], False, pa.int64()),
    ([pa.bool_(), pa.large_string()], False, None),
]


@pytest.mark.parametrize(("kinds", "is_key", "wanted"), KINDS)
def test_a_field_has_one_type_for_all_files(kinds: list[pa.DataType], is_key: bool, wanted: pa.DataType | None):
    assert one_type(kinds, is_key) == wanted


CASTS = [
    (pa.array([1, None, 2**53]), pa.float64(), [1.0, None, 2.0**53], []),
    (pa.array([1, 2**60 + 1]), pa.float64(), [1.0, None], [1]),
    (pa.array([1.0, 1.5, None]), pa.int64(), [1, None, None], [1]),
    (pa.array([[1], [], None, [1, 2]]), pa.int64(), [1, None, None, None], [3]),
    (pa.array([1, None]), pa.large_string(), ["1", None], []),
    (pa.array(["1", None]).cast(pa.large_string()), pa.int64(), [None, None], [0]),
    (pa.array([{"a": 1}]), pa.int64(), [None], [0]),
    (pa.array([None, None]), pa.int64(), [None, None], []),
    (pa.array([b"\xff", b"a"], pa.large_binary()), pa.large_string(), [None, "a"], [0]),
    (pa.array([1], pa.timestamp("s")), pa.timestamp("ms", "UTC"), [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)], []),
]


@pytest.mark.parametrize(("array", "kind", "wanted", "bad"), CASTS)
def test_a_value_of_another_type_is_rejected_and_no_other(array: pa.Array, kind: pa.DataType, wanted: Any, bad: Any):
    found, faults = cast(array, kind, "x")
    assert (found.type, found.to_pylist()) == (kind, wanted)
    assert [row for fault in faults for row in fault.rows.tolist()] == bad
    assert all(fault.reason == "wrong_type" and fault.column == "x" for fault in faults)


def test_gathered_batches_are_cut_by_size(monkeypatch):
    monkeypatch.setattr(blocks, "GATHERED_BYTES", 1500)
    incoming = incoming_of(SHOPPING, pa.schema([("user", pa.int64()), ("at", pa.int64()), ("item", pa.string())]))
    monkeypatch.setattr(blocks, "PART_BYTES", 500)
    gatherer, rows = Gatherer(incoming, 3), 0
    for k in range(10):
        batch = pa.RecordBatch.from_pydict({"user": np.arange(20), "at": np.arange(20), "item": [f"{k}"] * 20})
        dealt = gatherer.add(incoming.ready(origin.with_origin(batch, "f", 0))[0], "f")
        rows += sum(block.batch.num_rows for _, block in blocks_of(dealt))
    assert 0 < rows < 200
    assert rows + sum(block.batch.num_rows for _, block in blocks_of(gatherer.flush())) == 200
    assert gatherer.flush() is None


@pytest.mark.parametrize("spec", [{"windows": {"last": 5}}, {"longer": "last"}, {}], ids=str)
def test_a_key_that_would_fill_a_partition_is_trimmed_before_the_shuffle(spec: dict[str, Any], monkeypatch):
    """Of its events those that decide on its sequence travel, of each bundle, and what was counted of the others."""
    monkeypatch.setattr(blocks, "GATHERED_BYTES", 100_000)
    monkeypatch.setattr(blocks, "PART_BYTES", 1)
    rng = np.random.default_rng(7)
    users = np.where(rng.random(60_000) < 0.9, 3, rng.integers(0, 5_000, 60_000))
    table = pa.table({"user": users, "at": rng.permutation(60_000), "item": rng.integers(0, 9, 60_000).astype(str)})
    section = {**SHOPPING, **spec}
    grouping = Grouping(incoming_of(section, table.schema), {}, 40)
    assert grouping.most is not None
    gatherer, parts = Gatherer(grouping.incoming, 4, grouping.most), [[] for _ in range(4)]
    batches = [origin.with_origin(batch, "f", 0) for batch in table.to_batches(max_chunksize=1000)]
    for batch in batches:
        given = digests.attach(batch, grouping.incoming.kinds)
        for number, block in blocks_of(gatherer.add(grouping.incoming.ready(given)[0], "f")):
            parts[number].append(block.packed())
    for number, block in blocks_of(gatherer.flush()):
        parts[number].append(block.packed())
    travelled = sum(unpacked(data).batch.num_rows for part in parts for data in part)
    rare = int(np.count_nonzero(users != 3))
    assert rare < travelled < rare + 100 * (grouping.most.events + 1)
    assert sum(n for key, n in gatherer.tally.items() if key[1] == "events") == 60_000 - travelled
    made, tally = [grouping.grouped(map(unpacked, part)) for part in parts], gatherer.tally
    for part in made:
        add(tally, part.tally)
    whole = sequences(table, section, max_steps=40)
    assert sorted(row for part in made for row in bits(part.table)) == sorted(bits(whole.table))
    assert {rule: tally["f", "events", rule] for rule in DROPPED} == whole.counts.dropped
    untrimmed = Gatherer(grouping.incoming, 1)
    dealt = [*(untrimmed.add(grouping.incoming.ready(batch)[0], "f") for batch in batches), untrimmed.flush()]
    at_once = grouping.grouped(block for own in dealt for _, block in blocks_of(own))
    assert together(part.figures for part in made).as_json() == at_once.figures.as_json()
