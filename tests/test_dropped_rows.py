"""`shorter: drop`: rows that are too short are left out, kept and counted, and are none of those that a run may have few of."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.jobs import call, read_arrays, read_json, read_rejected
from transforms import SequenceGroup, apply, passthrough_column, sequence_numeric_column

COLUMNS = """
sequence_groups:
  s: {{max_length: 4, min_length: {least}, shorter: {shorter}}}
columns:
  - {{type: passthrough_column, key: id, dtype: int64}}
  - {{type: sequence_numeric_column, key: x, normalizer_fn: z_score, group: s}}
"""

LENGTHS = [k % 5 for k in range(50)]
"""Of each five rows one has no step, one a single one: two of five are too short for `min_length: 2`."""

ROWS: list[dict[str, Any]] = [{"id": k, "x": [float(k)] * n} for k, n in enumerate(LENGTHS)]
ROWS[3]["x"] = [1.0, float("nan"), 2.0]
ROWS[6]["x"] = [float("inf")]  # short as well, but wrong
SHORT = [row["id"] for row in ROWS if len(row["x"]) < 2 and row["id"] != 6]
GOOD = [row["id"] for row in ROWS if len(row["x"]) >= 2 and row["id"] != 3]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    return tmp_path / "a.parquet"


def columns(folder: Path, shorter: str = "drop", least: int = 2) -> Path:
    path = folder / f"{shorter}{least}.yaml"
    path.write_text(COLUMNS.format(shorter=shorter, least=least))
    return path


def test_dropped_rows_are_no_rejects_but_kept(source, tmp_path):
    root = tmp_path / "out"
    done = call("run", columns(tmp_path), "--input", source, "--output", root, "--format", "parquet")
    assert done.exit_code == 0, done.output
    assert (
        f"rows: 50 read, {len(GOOD)} written, 2 rejected (4.00%), {len(SHORT)} dropped, 2 passes; the ledger balances"
        in done.output
    )
    assert "non_finite: 2" in done.output and "dropped_short" not in done.output
    assert sorted(read_arrays(root)["id"].tolist()) == GOOD
    rows = read_json(root, "ledger.json")["rows"]
    assert rows["rejected_by_reason"] == {"dropped_short": len(SHORT), "non_finite": 2}
    kept = read_rejected(map(str, (root / "rejected").glob("*.parquet"))).to_pylist()
    assert Counter(row["reason"] for row in kept) == rows["rejected_by_reason"]
    assert [row["row"] for row in kept if row["reason"] == "dropped_short"] == SHORT
    page = (root / "report.html").read_text()
    assert f"<b>{len(SHORT)}</b> dropped by <code>min_length</code>" in page
    assert "<b>2</b> rejected (4.0 %)" in page and "dropped_short" not in page


def test_the_same_rows_rejected_are_too_many(source, tmp_path):
    done = call("run", columns(tmp_path, "reject"), "--input", source, "--output", tmp_path / "out")
    assert done.exit_code == 3
    assert f"{len(SHORT) + 2} of 50 rows rejected" in done.stderr


def test_wrong_rows_are_too_many_beside_dropped_ones(source, tmp_path):
    done = call("check", columns(tmp_path), "--input", source, "--max-rejected", "0.03")
    assert done.exit_code == 3
    assert "2 of 50 rows rejected (4.00%), --max-rejected allows 3.00%" in done.stderr


def test_nothing_but_dropped_rows(tmp_path):
    pq.write_table(pa.Table.from_pylist([{"id": 1, "x": [1.0]}] * 3), tmp_path / "a.parquet")
    done = call("run", columns(tmp_path), "--input", tmp_path / "a.parquet", "--output", tmp_path / "out")
    assert done.exit_code == 1
    assert "no rows to write: 3 read, 0 rejected, 3 dropped" in done.stderr


def test_dropped_rows_are_shown_where_they_are_asked_for_and_come_back_by_a_repair(source, tmp_path):
    root = tmp_path / "out"
    assert call("run", columns(tmp_path), "--input", source, "--output", root).exit_code == 0
    shown = call("rejects", root)
    assert "dropped_short" not in shown.stdout and shown.stdout.count(": non_finite: ") == 2
    assert "2 of 2 rejected rows" in shown.stderr
    assert f"{len(SHORT)} rows were dropped, which --reason dropped_short shows" in shown.stderr
    asked = call("rejects", root, "--reason", "dropped_short")
    assert asked.stdout.count("dropped_short: column 'x': ") == len(SHORT)
    assert f"{len(SHORT)} of {len(SHORT)} dropped rows" in asked.stderr
    mended = call("repair", root / "rejected", "--columns", columns(tmp_path, least=1))
    assert mended.exit_code == 0, mended.output
    left = [k for k in SHORT if not LENGTHS[k]]
    told = f"{len(SHORT) - len(left)} of {len(SHORT) + 2} rejected rows are written now"
    assert f"{told}, 2 are rejected again, {len(left)} dropped" in mended.stdout
    assert sorted(read_arrays(root)["id"].tolist()) == sorted({*GOOD, *SHORT} - set(left))
    assert call("verify", root).exit_code == 0
    assert "rejected or dropped</th>" in (root / "report.html").read_text()  # of each run they are one number


def test_an_append_drops_rows_too(source, tmp_path):
    root, more = tmp_path / "out", tmp_path / "more.parquet"
    pq.write_table(pa.Table.from_pylist([{"id": 50 + k, "x": [1.0] * n} for k, n in enumerate((1, 2, 0, 3))]), more)
    assert call("run", columns(tmp_path), "--input", source, "--output", root).exit_code == 0
    done = call("run", "--append", "--input", more, "--output", root)
    assert done.exit_code == 0, done.output
    assert sorted(read_arrays(root)["id"].tolist()) == [*GOOD, 51, 53]
    rows = read_json(root, "ledger.json")["rows"]
    assert rows["rejected_by_reason"] == {"dropped_short": len(SHORT) + 2, "non_finite": 2}
    assert call("verify", root).exit_code == 0
    assert call("compare", root, root, "--max-drift", "0").exit_code == 0


def test_splits_tell_dropped_rows_apart(source, tmp_path):
    other = tmp_path / "b.parquet"
    pq.write_table(pa.Table.from_pylist([{"id": k, "x": [1.0, 2.0]} for k in range(5)]), other)
    inputs = ("--input", f"train={source}", "--input", f"test={other}")
    done = call("run", columns(tmp_path), *inputs, "--output", tmp_path / "out")
    assert done.exit_code == 0, done.output
    (head, test, train) = (
        line.split() for line in done.output.splitlines() if line.startswith(("split", "test", "train"))
    )
    assert head == ["split", "rows", "read", "written", "rejected", "dropped"]
    assert sorted([test, train]) == [
        ["test", "5", "5", "0", "0"],
        ["train", "50", str(len(GOOD)), "2", str(len(SHORT))],
    ]


def test_in_memory_a_short_row_that_is_wrong_is_rejected_for_that():
    group = SequenceGroup(min_length=2, shorter="drop")
    made = apply(ROWS, [passthrough_column("id", "int64"), sequence_numeric_column("x")], group)
    found = dict(zip(made.rejected["row"].to_pylist(), made.rejected["reason"].to_pylist(), strict=True))
    assert found == {**dict.fromkeys(SHORT, "dropped_short"), 3: "non_finite", 6: "non_finite"}
    assert made.rows.tolist() == GOOD


def test_a_row_of_two_groups_is_dropped_only_if_nothing_is_wrong_with_it():
    """Whichever group is looked at first."""
    columns = [sequence_numeric_column("x", group="a")] + [sequence_numeric_column(k, group="b") for k in "yz"]
    groups = {"a": SequenceGroup(min_length=1, shorter="drop"), "b": SequenceGroup()}
    rows = [
        {"x": [], "y": [1.0], "z": [1.0, 2.0]},
        {"x": [], "y": [1.0], "z": [1.0]},
        {"x": [1.0], "y": [1.0], "z": [1.0]},
    ]
    made = apply(rows, columns, groups)
    assert made.rejected["reason"].to_pylist() == ["length_mismatch", "dropped_short"]


def test_where_no_row_is_wrong_no_examples_are_announced(tmp_path):
    pq.write_table(pa.Table.from_pylist([ROWS[k] for k in (2, 4, 5)]), tmp_path / "good.parquet")
    done = call("check", columns(tmp_path), "--input", tmp_path / "good.parquet")
    assert done.exit_code == 0 and "1 dropped" in done.output and "rejected rows" not in done.output
