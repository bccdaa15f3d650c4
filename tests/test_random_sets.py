"""Random data sets, each row accounted for by its id: in examples or in rejected, once, and what it would be by itself.

`SEQCOLS_FAULT_SETS` says how many: 10 by default, 500 in `make faults`. Every tenth goes through a whole job, with columns that
may need statistics; the others through the same sources, stages and sinks in this process. `SEQCOLS_FAULT_SEED` begins elsewhere.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from apache_beam.pvalue import TaggedOutput

from pipeline.dataset import ledger
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest import read as read_manifest
from pipeline.dataset.manifest_entries import features_of
from pipeline.job.writing import Shard, WriteShards
from pipeline.sources.limits import Limits
from tests.faults.figures import note
from tests.faults.outcomes import Outcomes, digests, of_file, of_rows
from tests.faults.random_files import alone
from tests.faults.random_sets import DataSet, data_set, write
from tests.jobs import arrays_of, assert_balanced, read_rejected, run_job
from transforms import apply
from transforms.stage_functions import StageFunction, densify_stage

SETS = int(os.environ.get("SEQCOLS_FAULT_SETS", "10"))
FIRST = int(os.environ.get("SEQCOLS_FAULT_SEED", "0"))
JOB_EVERY = 10

Place = tuple[str, int]
Found = dict[Place, Any]
"""A row's file and number, to what became of it: the digest of its values, or the reason and the column."""


@pytest.fixture(scope="module")
def totals() -> Iterator[Counter[str]]:
    """What is counted over all sets, noted at the end."""
    counts: Counter[str] = Counter({"trials": 0, "rows": 0, "rejected": 0, "lost": 0, "changed": 0})
    yield counts
    note("random data set", **counts)


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed % JOB_EVERY else pytest.mark.slow) for seed in range(FIRST, FIRST + SETS)],
)
def test_every_row_is_accounted_for(tmp_path, seed, totals):
    through_job = seed % JOB_EVERY == 0
    data = data_set(seed, fits=through_job)
    paths = write(data, tmp_path)
    found, stage, book = (by_job if through_job else by_stages)(data, paths, tmp_path, seed)
    expected = {
        (str(path), number): by_itself(data, row, stage) if isinstance(row, dict) else ("bad_record", "")
        for path, rows in zip(paths, data.files, strict=True)
        for number, row in enumerate(rows)
    }
    totals["trials"] += 1
    totals["rows"] += len(expected)
    totals["rejected"] += sum(isinstance(one, tuple) for one in found.values())
    totals["lost"] += len(expected.keys() - found.keys())
    totals["changed"] += sum(found[place] != one for place, one in expected.items() if place in found)
    assert found == expected
    assert_balanced(book)
    assert book["rows"]["read"] == len(expected)


def by_itself(data: DataSet, row: dict[str, Any], stage: StageFunction) -> Any:
    """What a row becomes alone, in memory."""
    made = of_rows([alone(data.format, row)], data.spec, stage)
    if made.rejected:
        (rejected,) = made.rejected
        return rejected["reason"], rejected["column"]
    return made.digests()[row["id"]]


def by_job(data: DataSet, paths: list[Path], folder: Path, seed: int) -> tuple[Found, StageFunction, Any]:
    """Runs the job; where no row can be written that fails, and keeps the rejected ones."""
    outcome = run_job(data.spec, paths, folder / "out", format=data.sink, max_rejected=1.0)
    if outcome.status == "failed":
        assert outcome.message.startswith("no rows to write"), outcome.message
        return (
            found_in(data, paths, {}, rejected_in(outcome.rejected_files)),
            densify_stage(data.spec, None),
            outcome.ledger,
        )
    manifest = read_manifest(str(folder / "out"))
    transform = str(folder / "out" / "transform") if data.spec.needs_analysis else None
    found = found_in(data, paths, digests(arrays_of(manifest)), rejected_in(manifest.rejected_files))
    return found, densify_stage(data.spec, transform), outcome.ledger


def by_stages(data: DataSet, paths: list[Path], folder: Path, seed: int) -> tuple[Found, StageFunction, Any]:
    """Reads, densifies and writes in this process, what a bundle of the job does."""
    stage = densify_stage(data.spec, None)
    limits = Limits(max_batch_rows=(1, 3, 1024)[seed % 3])
    made = Outcomes()
    for path in paths:
        one = of_file(path, data.spec, limits, stage)
        made.dense += one.dense
        made.rejected += one.rejected
        made.tally.update(one.tally)
    parts = shards(data, made, folder)
    sizes = {name: data.spec.group(name).fixed_length for name in data.spec.group_names}
    book = ledger.build(made.tally, data.spec, sizes)
    assert not ledger.imbalances(book)
    rows = digests(arrays_of(manifest_of(data, parts, folder))) if parts else {}
    for row in made.dense[:1] if seed % 4 == 0 else ():
        as_applied(data, row, rows)
    return found_in(data, paths, rows, made.rejected), stage, book


def shards(data: DataSet, made: Outcomes, folder: Path) -> list[Shard]:
    """Writes dense batches as a bundle does; adds what the sink counts."""
    (folder / "examples").mkdir()
    bundle = WriteShards(str(folder / "examples"), "run", data.sink, data.spec)
    bundle.start_bundle()
    parts = [part for batch in made.dense for part in bundle.process(batch)]
    for last in bundle.finish_bundle():
        value = last.value.value if isinstance(last, TaggedOutput) else last.value
        if isinstance(value, Shard):
            parts.append(value)
        else:
            made.tally.update(value)
    return parts


def manifest_of(data: DataSet, parts: list[Shard], root: Path) -> Manifest:
    files = [part.entry(str(root)) for part in parts]
    return Manifest(
        str(root), {"format": data.sink, "examples": {"features": features_of(parts[0].outputs), "files": files}}
    )


def rejected_in(files: list[str]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = read_rejected(files).to_pylist() if files else []
    return rows


def found_in(data: DataSet, paths: list[Path], rows: Mapping[int, str], rejected: list[dict[str, Any]]) -> Found:
    """What became of rows by place. None may have become two things."""
    places = {
        row["id"]: (str(path), number)
        for path, own in zip(paths, data.files, strict=True)
        for number, row in enumerate(own)
        if isinstance(row, dict)
    }
    found: Found = {places[number]: digest for number, digest in rows.items()}
    for row in rejected:
        place = row["file"], row["row"]
        assert place not in found, f"{place} is found twice"
        assert row["record"] is not None and row["message"].startswith("expected ")
        found[place] = row["reason"], row["column"]
    return found


def as_applied(data: DataSet, batch: pa.RecordBatch, rows: Mapping[int, str]) -> None:
    """The call in memory gives the same for the first row of a batch."""
    first = batch.column("id")[0].as_py()
    (row,) = [row for own in data.files for row in own if isinstance(row, dict) and row["id"] == first]
    assert digests(apply([alone(data.format, row)], data.spec).arrays) == {first: rows[first]}


def test_sets_are_of_every_format_and_kind():
    made = [data_set(seed, fits=False) for seed in range(200)]
    assert len({data.format for data in made}) == 6 and len({data.sink for data in made}) == 5
    types = {column.type_name for data in made for column in data.spec.columns}
    assert len(types) >= 12, types
    assert {len(data.files) for data in made} == {1, 2, 3}
