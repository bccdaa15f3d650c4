"""Whole jobs over files in which one row in a hundred is bad, of every kind: the good rows come out as if there were no others.

`SEQCOLS_FAULT_ROWS` says how many rows a format has: 2,000 by default, 100,000 in `make faults`.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pipeline.dataset.manifest import read as read_manifest
from tests.faults.bad_records import Item, mixed, spec_of, write
from tests.faults.figures import note
from tests.faults.outcomes import MOST_STEPS, digests, of_file
from tests.faults.record_formats import ALL, file_name
from tests.jobs import assert_balanced, done, read_arrays, read_rejected
from tests.marks import slow_but

ROWS = int(os.environ.get("SEQCOLS_FAULT_ROWS", "2000"))
SHARE = 0.01
FILES = 3
SMALL = 10_000
"""Up to here formats share a job, and their good rows alone go through the stages without one: a job takes seconds to start."""

FORMATS = [format for format in ALL if format != "memory"]
TOGETHER = [
    ("csv",),
    tuple(format for format in FORMATS if format != "csv"),
]  # where all is text, the columns are others
CASES = TOGETHER if ROWS <= SMALL else [(format,) for format in FORMATS]


@pytest.mark.timeout(300 + ROWS // 50)
@pytest.mark.parametrize("formats", slow_but(CASES, single=True), ids="+".join)
def test_one_bad_row_in_a_hundred_changes_no_good_row(tmp_path, formats):
    rng = random.Random(f"{formats} {ROWS}")
    items = {format: mixed(rng, format, ROWS, SHARE, k * ROWS) for k, format in enumerate(formats)}
    files = [
        (format, k, items[format][k * ROWS // FILES : (k + 1) * ROWS // FILES])
        for format in formats
        for k in range(FILES)
    ]
    paths = [tmp_path / file_name(format, f"{format}-{k}") for format, k, _ in files]
    for path, (format, _, part) in zip(paths, files, strict=True):
        write(path, format, part)
    sink = "tfrecord.gz" if "csv" in formats or "parquet" in formats else "parquet"
    outcome = done(spec_of(formats[0]), paths, tmp_path / "out", format=sink, max_rejected=SHARE, max_steps=MOST_STEPS)
    made = digests(read_arrays(tmp_path / "out"))
    rejected = read_rejected(read_manifest(str(tmp_path / "out")).rejected_files).to_pylist()
    assert_balanced(outcome.ledger)
    expected: dict[int, str] = {}
    wanted: Counter[Any] = Counter()
    told = Counter((row["file"], row["row"], row["reason"], row["column"]) for row in rejected)
    for format in formats:
        own = alone(tmp_path, format, [item for item in items[format] if item.bad is None], sink)
        named = [(path, part) for path, (other, _, part) in zip(paths, files, strict=True) if other == format]
        bad = Counter((str(path), *place) for path, part in named for place in bad_places(part))
        lost = len(own.keys() - made.keys()) + (bad - told).total()
        changed = sum(made[number] != digest for number, digest in own.items() if number in made)
        note(f"bad record, {format}", trials=ROWS, bad=bad.total(), lost=lost, changed=changed)
        assert (lost, changed) == (0, 0)
        expected |= own
        wanted += bad
    assert made == expected and told == wanted
    assert outcome.ledger["rows"]["read"] == ROWS * len(formats)
    assert outcome.ledger["rows"]["rejected"] == wanted.total() == round(ROWS * SHARE) * len(formats)


def bad_places(items: list[Item]) -> list[tuple[int, str, str]]:
    """Where bad rows stand, and what they must be rejected for."""
    return [(number, item.bad.reason, item.bad.column) for number, item in enumerate(items) if item.bad is not None]


def alone(folder: Path, format: str, items: list[Item], sink: str) -> dict[int, str]:
    """What good rows become without the bad ones."""
    path = folder / file_name(format, "good")
    write(path, format, items)
    if len(items) > SMALL:
        done(spec_of(format), path, folder / "good", format=sink)
        return digests(read_arrays(folder / "good"))
    made = of_file(path, spec_of(format))
    assert not made.rejected
    return made.digests()
