"""How many files of examples there are, and how large: `--shards` and `--shard-bytes`, against a run that asks for neither."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset import layout, leftovers
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.job import resharding, staged
from pipeline.job.request import FORMATS, Request, check_values
from pipeline.job.resharding import runs
from pipeline.job.writing import OpenShard, Shard
from pipeline.loaders import numpy_batches
from pipeline.sinks.base import OutputFile
from pipeline.verify import verify
from tests.jobs import Arrays, arrays_of, assert_balanced, call, done, listing, read_arrays, run_job
from tests.marks import slow_but
from transforms import JobError, SequenceGroup, make_spec, passthrough_column, sequence_numeric_column
from transforms.rows import origin
from transforms.splits.rule import Split

COLUMNS = [
    passthrough_column("id", "int64"),
    passthrough_column("name"),
    sequence_numeric_column("x", normalizer_fn="z_score"),
]
SPEC = make_spec(COLUMNS, SequenceGroup(max_length=4, truncate="tail", padding="pre"))
SIZES = (3, 0, 190, 250, 97)
ROWS = sum(SIZES)
BAD = {7, 200}
GOOD = ROWS - len(BAD)


def row(number: int) -> dict[str, Any]:
    rng = random.Random(number)
    x = ["bad"] if number in BAD else [rng.uniform(-9, 9) for _ in range(rng.randrange(7))]
    return {"id": number, "name": f"ü{number}", "x": x, "user": number % 30}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> str:
    """Files of unlike length, one of them without rows."""
    folder = tmp_path_factory.mktemp("inputs")
    ends = list(itertools.accumulate(SIZES))
    for k, (end, size) in enumerate(zip(ends, SIZES, strict=True)):
        (folder / f"{k}.jsonl").write_text("".join(f"{json.dumps(row(n))}\n" for n in range(end - size, end)))
    return str(folder / "*.jsonl")


@pytest.fixture(scope="module")
def plain(inputs, tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("plain") / "out"
    done(SPEC, inputs, root, allow_empty=True)
    return root


def files_of(manifest: Manifest) -> list[dict[str, Any]]:
    return list(manifest.content["examples"]["files"])


def in_each(manifest: Manifest) -> Iterator[tuple[dict[str, Any], list[int]]]:
    """The files, and which rows stand in each."""
    for entry in files_of(manifest):
        one = {**manifest.content["examples"], "files": [entry], "rows": entry["rows"]}
        yield entry, arrays_of(Manifest(manifest.root, {**manifest.content, "examples": one}))["id"].tolist()


def assert_same(got: Arrays, wanted: Arrays) -> None:
    assert list(got) == list(wanted)
    for name, array in wanted.items():
        same = [str(v) for v in got[name]] == [str(v) for v in array] if array.dtype == object else None
        assert same or got[name].tobytes() == array.tobytes(), name


def texts(arrays: Arrays) -> Arrays:
    """Text as `str`, whoever has read it."""
    made = [v.decode() if isinstance(v, bytes) else v for v in arrays["name"]]
    return {**arrays, "name": np.array(made, object)}


def assert_verified(root: Path, rows: int) -> None:
    found = verify.files(str(root))
    assert found.faults == [] and found.files.notes == []
    verify.compare(found, (), 10**6, None)
    assert found.faults == [] and found.compared is not None and found.compared.rows >= rows


@pytest.mark.parametrize("format", slow_but(FORMATS, "tfrecord", "parquet"))
@pytest.mark.parametrize(("count", "workers"), slow_but([(7, 2), (1, 1)], (7, 2)))
def test_as_many_files_as_are_asked_for(inputs, plain, tmp_path, format, count, workers):
    outcome = done(SPEC, inputs, tmp_path / "out", format=format, shards=count, workers=workers, allow_empty=True)
    assert_balanced(outcome.ledger)
    manifest = read_manifest(str(tmp_path / "out"))
    sizes = [entry["rows"] for entry in files_of(manifest)]
    assert len(sizes) == count and sum(sizes) == GOOD and max(sizes) - min(sizes) <= 1
    assert_same(*(texts(read_arrays(root, sort_by="id")) for root in (tmp_path / "out", plain)))
    assert_verified(tmp_path / "out", GOOD)
    assert {name for name in listing(tmp_path / "out") if name.startswith("examples/")} == {
        entry["path"] for entry in files_of(manifest)
    }


def test_digests_and_samples_are_those_of_each_files_rows(inputs, plain, tmp_path):
    """A row to a file says the digest of each row, which those of any other division are sums of."""
    done(SPEC, inputs, tmp_path / "each", format="parquet", shards=10**9, allow_empty=True)
    each = read_manifest(str(tmp_path / "each"))
    assert [entry["rows"] for entry in files_of(each)] == [1] * GOOD, "no file without a row"
    digest = {ids[0]: int(entry["row_digest"], 16) for entry, ids in in_each(each)}
    assert len(digest) == GOOD
    done(SPEC, inputs, tmp_path / "four", shards=4, allow_empty=True)
    for root in (plain, tmp_path / "four"):
        for entry, ids in in_each(read_manifest(str(root))):
            assert int(entry["row_digest"], 16) == sum(digest[k] for k in ids) % 2**64
    firsts = dict(zip("01234", itertools.accumulate((0, *SIZES)), strict=False))
    for entry, ids in in_each(read_manifest(str(tmp_path / "four"))):
        noted = [
            (at + k, firsts[Path(file).stem] + first + k)
            for file, found in entry["samples"].items()
            for at, first, size in found
            for k in range(size)
        ]
        assert len(noted) == entry["rows"] and all(ids[at] == number for at, number in noted)


def test_one_worker_keeps_the_order_of_the_input(inputs, tmp_path):
    done(SPEC, inputs, tmp_path / "out", shards=5, workers=1, allow_empty=True)
    found = [ids for _, ids in in_each(read_manifest(str(tmp_path / "out")))]
    assert all(ids == list(range(ids[0], ids[-1] + 1)) or BAD & set(range(ids[0], ids[-1])) for ids in found)
    assert sorted(itertools.chain(*sorted(found))) == list(itertools.chain(*sorted(found)))


def test_each_split_of_each_length_bucket(inputs, tmp_path):
    rule = Split(by="key", key="user", fractions={"train": 0.7, "validation": 0.2, "test": 0.1})
    spec = make_spec(COLUMNS, SequenceGroup(max_length=6, bucket_by_length=(1, 3)), split=rule)
    done(spec, inputs, tmp_path / "plain", allow_empty=True)
    done(spec, inputs, tmp_path / "out", shards=3, workers=2, allow_empty=True)
    sizes, names = defaultdict(list), defaultdict(set)
    manifest = read_manifest(str(tmp_path / "out"))
    for entry in files_of(manifest):
        sizes[entry["split"], entry["T"]].append(entry["rows"])
        names[entry["split"]].add(entry["path"])
    assert set(sizes) == set(itertools.product(manifest.splits, (1, 3, 6)))
    for (split, length), found in sizes.items():
        total = sum(found)
        assert len(found) == min(3, total) and max(found) - min(found) <= 1
        own = [read_manifest(str(tmp_path / n)).split(split).bucket(length) for n in ("plain", "out")]
        one, two = ({k: a[np.argsort(arrays["id"])] for k, a in arrays.items()} for arrays in map(arrays_of, own))
        assert_same(one, two)
    assert all(f"-{split}-" in path for split, paths in names.items() for path in paths)
    assert_verified(tmp_path / "out", GOOD)


@pytest.mark.slow
def test_an_append_adds_as_many(inputs, tmp_path):
    files = sorted(Path(inputs).parent.iterdir())
    done(SPEC, [str(path) for path in files[:3]], tmp_path / "out", shards=2, allow_empty=True)
    done(None, [str(path) for path in files[3:]], tmp_path / "out", shards=3, append=True)
    manifest = read_manifest(str(tmp_path / "out"))
    sizes = [entry["rows"] for entry in files_of(manifest)]
    assert len(sizes) == 5 and sum(sizes) == manifest.rows == GOOD
    assert sorted(read_arrays(tmp_path / "out")["id"].tolist()) == sorted(set(range(ROWS)) - BAD)
    assert verify.files(str(tmp_path / "out")).faults == []


def test_no_rows_no_files(tmp_path):
    (tmp_path / "empty.jsonl").write_text("")
    done(SPEC, tmp_path / "empty.jsonl", tmp_path / "out", shards=3, allow_empty=True)
    assert files_of(read_manifest(str(tmp_path / "out"))) == []


# What goes wrong on the way


def test_a_shard_that_cannot_be_written(inputs, tmp_path, monkeypatch):
    close, seen = OpenShard.close, []

    def full(self: OpenShard) -> Shard:
        made = close(self)
        seen.append(made.path)
        if len([path for path in seen if path.endswith(".tfrecord")]) == 2:
            raise JobError("no space left")
        return made

    monkeypatch.setattr(OpenShard, "close", full)
    outcome = run_job(SPEC, inputs, tmp_path / "out", shards=3)
    assert outcome.status == "failed" and "no space left" in outcome.message
    assert any(path.endswith(staged.SUFFIX) and "/.seqcols-" in path for path in seen)
    assert listing(tmp_path) == []


def test_a_staged_file_that_is_damaged(inputs, tmp_path, monkeypatch):
    divide = resharding.runs

    def spoil(parts: Any, count: int) -> Any:
        path = Path(parts[0].path)
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 4
        path.write_bytes(data)
        return divide(parts, count)

    monkeypatch.setattr(resharding, "runs", spoil)
    outcome = run_job(SPEC, inputs, tmp_path / "out", shards=3)
    assert outcome.status == "failed"
    assert re.search(rf"/\.seqcols-.*{staged.SUFFIX}: bad checksum \(CRC-32C\) of the record at byte ", outcome.message)
    assert listing(tmp_path) == []


ATTEMPTS: list[Shard] = []
"""What the engine never saw."""


class WritesTwice(resharding._WriteRuns):
    """As on an engine that loses the first attempt at each file."""

    def process(self, run: resharding.Run) -> Iterator[Shard]:
        ATTEMPTS.extend(super().process(run))
        yield from super().process(run)


def test_a_file_that_is_written_twice_counts_once(inputs, tmp_path, monkeypatch):
    monkeypatch.setattr(resharding, "_WriteRuns", WritesTwice)
    done(SPEC, inputs, tmp_path / "out", shards=3)
    manifest = read_manifest(str(tmp_path / "out"))
    assert sum(shard.rows for shard in ATTEMPTS) == manifest.rows == GOOD and len(files_of(manifest)) == 3
    assert len([name for name in listing(tmp_path / "out") if name.startswith("examples/")]) == 3
    assert_verified(tmp_path / "out", GOOD)


def test_what_a_dead_run_has_staged_is_removed(inputs, plain, tmp_path):
    dead = Layout(str(tmp_path / "out"), "20260101T000000-00000000")
    layout.make_dirs(dead.staging)
    name = layout.shard_name(dead.run_id, staged.SUFFIX, "train")
    layout.write_bytes(dead.staged(name), b"rows")
    assert leftovers.unnamed(leftovers.listing(dead.output), {}) == [
        (f"{layout.STAGING_PREFIX}{dead.run_id}/{name}", dead.run_id)
    ]
    done(SPEC, inputs, tmp_path / "out", shards=2)
    assert not [path for path in listing(tmp_path / "out") if dead.run_id in path]


# Rows divided, staged and read, without a job


@given(st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab")), max_size=9), st.integers(1, 12))
def test_every_staged_row_once(sizes, count):
    parts = [Shard(f"f{k}", rows, 0, "", split=split) for k, (rows, split) in enumerate(sizes)]
    found = runs(parts, count)
    rows = Counter((p, k) for run in found for p, start, stop in run.parts for k in range(start, stop))
    assert rows == {(part.path, k): 1 for part in parts for k in range(part.rows)}
    for split in "ab":
        total = sum(part.rows for part in parts if part.split == split)
        own = [sum(stop - start for _, start, stop in run.parts) for run in found if run.split == split]
        assert len(own) == min(count, total) and (not own or max(own) - min(own) <= 1)


@given(st.lists(st.integers(1, 30), min_size=1, max_size=8), st.data())
def test_any_staged_rows_are_read_back(tmp_path_factory, sizes, data):
    path = str(tmp_path_factory.mktemp("staged") / "f")
    writer = staged.StagedWriter(OutputFile(path))
    bounds = [0, *itertools.accumulate(sizes)]
    for first, last in itertools.pairwise(bounds):
        batch = pa.RecordBatch.from_pydict({"n": pa.array(np.arange(first, last)), "t": ["ü"] * (last - first)})
        writer.write(origin.with_origin(batch, f"file{first}", first))
    assert writer.close().rows == bounds[-1]
    start = data.draw(st.integers(0, bounds[-1] - 1))
    stop = data.draw(st.integers(start + 1, bounds[-1]))
    found = list(staged.read(path, start, stop))
    assert [n for batch in found for n in batch.column("n").to_pylist()] == list(range(start, stop))
    assert [int(n) for batch in found for n in origin.row_numbers(batch)] == list(range(start, stop))
    assert {origin.file_of(batch) for batch in found} <= {f"file{first}" for first in bounds}
    assert origin.RECORD_COLUMN not in found[0].schema.names
    with pytest.raises(JobError, match=rf"ends after {bounds[-1]} rows, before the row {bounds[-1]}"):
        list(staged.read(path, start, bounds[-1] + 1))


# How large


@pytest.mark.parametrize("format", ["tfrecord", "parquet"])
def test_files_are_closed_at_a_size(inputs, plain, tmp_path, format):
    """Within a batch of it; the last one of a bundle has what is left."""
    size = 6000
    done(SPEC, inputs, tmp_path / "out", format=format, shard_bytes=size, max_batch_bytes=500, allow_empty=True)
    sizes = sorted(entry["bytes"] for entry in files_of(read_manifest(str(tmp_path / "out"))))
    assert len(sizes) >= 3
    assert all(size <= one <= 2 * size for one in sizes[1:]), sizes
    assert_same(*(texts(read_arrays(root, sort_by="id")) for root in (tmp_path / "out", plain)))


@pytest.mark.slow
@pytest.mark.parametrize("format", ["tfrecord.gz", "sequence_example.gz"])
def test_packed_files_are_closed_at_a_size(tmp_path, format):
    """As packed, within a batch of it and what the packer holds back."""
    rng = random.Random(3)
    rows = [{"id": k, "name": "", "x": [rng.random() for _ in range(4)]} for k in range(30_000)]
    (tmp_path / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    size = 200_000
    done(SPEC, tmp_path / "rows.jsonl", tmp_path / "out", format=format, shard_bytes=size, max_batch_bytes=20_000)
    manifest = read_manifest(str(tmp_path / "out"))
    sizes = sorted(entry["bytes"] for entry in files_of(manifest))
    assert manifest.rows == len(rows) and len(sizes) >= 3
    assert all(size <= one <= size + 20_000 + 65_536 for one in sizes[1:]), sizes


# What is asked for


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"shards": 0}, "--shards: expected 1 or more, got 0"),
        ({"shards": True}, "--shards: expected 1 or more, got True"),
        ({"shard_bytes": 0}, "--shard-bytes: expected 1 or more, got 0"),
        ({"shard_bytes": 1.5}, "--shard-bytes: expected 1 or more, got 1.5"),
        ({"shards": 3, "shard_bytes": 10}, "--shards says how many files there are, and --shard-bytes how large"),
    ],
)
def test_what_is_refused(more, message):
    with pytest.raises(UsageError, match=message):
        check_values(Request(SPEC, ["a"], "out", **more))


@pytest.mark.usefixtures("command_line")
def test_the_command_takes_both(inputs, tmp_path, monkeypatch):
    columns = ["{type: passthrough_column, key: id, dtype: int64}", "{type: sequence_numeric_column, key: x}"]
    (tmp_path / "columns.yaml").write_text(f"version: 1\ncolumns: [{', '.join(columns)}]\n")
    monkeypatch.chdir(tmp_path)
    own = ("--input", inputs, "--allow-empty", "--output")
    assert call("run", "columns.yaml", *own, "three", "--shards", "3").exit_code == 0
    assert len(files_of(read_manifest("three"))) == 3 and numpy_batches("three", 100).rows == GOOD
    assert (
        call("run", "columns.yaml", *own, "small", "--shard-bytes", "2KiB", "--max-batch-bytes", "500").exit_code == 0
    )
    assert len(files_of(read_manifest("small"))) >= 3
    refused = call("run", "columns.yaml", *own, "none", "--shards", "0")
    assert refused.exit_code == 2 and "--shards: expected 1 or more, got 0" in refused.stderr
