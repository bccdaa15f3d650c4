"""Files cut short, at any byte, in every format and codec: noticed, or where that cannot be, what is read is what was there."""

from __future__ import annotations

import random
import re
from pathlib import Path
from typing import Any

import pytest

from tests.faults.figures import note, trials
from tests.faults.formats import KINDS, SYNC, plain, read, rows_of
from transforms.errors import JobError

ROWS = rows_of(150, 7)
ENDS = 12
"""Of the sizes tried, so many are the last ones: the ends of checksums, footers and trailers."""


def sizes_of(whole: bytes, count: int, seed: str) -> list[int]:
    ends = range(len(whole) - min(ENDS, count // 4), len(whole))
    return [*random.Random(seed).sample(range(ends[0]), count - len(ends)), *ends]


def looks_whole(name: str, cut: bytes) -> bool:
    """Whether nobody can tell the rest of such a file from a whole one, by the rules of its format."""
    if ".tfrecord" in name:
        at = 0
        while at < len(cut):
            at += 16 + int.from_bytes(cut[at : at + 8], "little")
        return at == len(cut)
    if ".avro" in name:
        return cut.endswith(SYNC)
    if ".jsonl" in name:
        return cut[-1:] in (b"", b"\n", b"}")
    if b"\n" not in cut:  # in its header: columns are missing, for which a run fails
        return bool(cut)
    # The last cell of a row begins after its second delimiter; others of these rows stand in quotes.
    last = re.sub(rb'"(?:[^"]|"")*"', b"", cut[cut.rfind(b"\n") + 1 :])
    return b'"' not in last and last.count(b"\t" if ".tsv" in name else b",") == (2 if last else 0)


@pytest.mark.parametrize("name", KINDS)
def test_a_file_cut_short(tmp_path, name):
    kind, path = KINDS[name], tmp_path / name
    whole = kind.make(ROWS)
    path.write_bytes(whole)
    assert [plain(row, name) for row in read(path)] == ROWS
    detected = unknowable = 0
    for size in sizes_of(whole, trials(12, 200), name):
        path.write_bytes(whole[:size])
        try:
            found = read(path)
        except JobError as error:
            assert str(error).startswith(f"{path}: ") and "\n" not in str(error)
            assert re.search(
                "cut short|not a|not an|empty|cannot be read|header|its last row|open until the end", str(error)
            )
            detected += 1
            continue
        assert kind.whole_at and looks_whole(name, whole[:size]), (size, whole[:size][-40:])
        assert_is_prefix(name, found, whole[:size])
        unknowable += 1
    note(f"cut short: {name}", detected + unknowable, detected=detected, unknowable=unknowable, lost=0)
    assert detected or not kind.whole_at


def assert_is_prefix(name: str, found: list[Any], cut: bytes) -> None:
    """The rows are the first ones of the file; of text, the last cell of the last row may be cut."""
    if ("csv" in name or "tsv" in name) and not cut.endswith(b"\n"):
        if b"\n" not in cut:  # cut within its header: columns are missing, and the run fails for that
            assert found == []
            return
        *found, last = found
        row, cell = ROWS[len(found)], last["name"] or b""
        assert row["name"].encode().startswith(cell)
        assert plain(last | {"name": b""}, name) == row | {"name": ""}
    assert [plain(row, name) for row in found] == ROWS[: len(found)]


def test_files_of_all_sizes_are_tried(tmp_path: Path):
    for count in (12, 200):
        sizes = sizes_of(bytes(5000), count, "x")
        assert len(set(sizes)) == count and max(sizes) == 4999
