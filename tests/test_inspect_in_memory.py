"""`seqcols.inspect`: of a frame or of rows the draft that the command makes of them in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import seqcols
from pipeline.errors import UsageError
from tests.inspecting import jsonl
from tests.jobs import call
from tests.test_inspect import histories
from transforms.errors import JobError

pandas = pytest.importorskip("pandas")
polars = pytest.importorskip("polars")

ROWS = histories(240)


def clicks(count: int) -> dict[str, list[Any]]:
    """Events of users."""
    random = np.random.default_rng(1)
    times = 1_700_000_000 + np.sort(random.integers(0, 10**6, count))
    return {
        "user": [f"u{k}" for k in random.integers(0, 40, count)],
        "time": times.tolist(),
        "item": random.integers(0, 90, count).tolist(),
        "price": random.gamma(2, 10, count).tolist(),
    }


def body(text: str) -> list[str]:
    """A draft without the line that says what it was made of."""
    first, *rest = text.splitlines()
    assert first.startswith("# Drafted by seqcols inspect from ")
    return rest


@pytest.mark.parametrize("rows", [ROWS, pa.table(clicks(2000)).to_pylist()], ids=["rows", "events"])
def test_the_draft_is_that_of_the_command(tmp_path, rows):
    """The oracle is the command, on a file of the same rows; of a file the function makes the very text."""
    table = pa.Table.from_pylist(rows)
    pq.write_table(table, tmp_path / "in.parquet")
    printed = call("inspect", tmp_path / "in.parquet").stdout
    assert seqcols.inspect(tmp_path / "in.parquet").yaml == printed
    assert seqcols.inspect([str(tmp_path / "*.parquet")]).yaml == printed
    assert ("events:" in printed) == (rows is not ROWS)
    for data in (table, pandas.DataFrame(rows), polars.DataFrame(rows), table.to_reader(), rows):
        found = seqcols.inspect(data)
        assert body(found.yaml) == body(printed), type(data)
        of = "a list of dicts" if data is rows else "a frame"
        assert found.yaml.startswith(f"# Drafted by seqcols inspect from {len(rows):,} rows, all rows of {of}.\n")
        assert str(found) == found.yaml == found.text()
        (tmp_path / "columns.yaml").write_text(found.yaml)
        assert found.spec == seqcols.load(tmp_path / "columns.yaml")


def test_dicts_are_drafted_as_lines_of_json(tmp_path):
    """Features that are in some rows, of several types, and inside structs."""
    rows: list[dict[str, Any]] = [{"a": [k], "s": {"n": k / 2}} for k in range(400)]
    rows[7] = {"a": ["x"], "only": 1.5}
    jsonl(tmp_path / "in.jsonl", rows)
    of_file, own = seqcols.inspect(tmp_path / "in.jsonl"), seqcols.inspect(iter(rows))
    assert sorted(map(repr, own.spec.columns)) == sorted(map(repr, of_file.spec.columns))
    assert own.spec.sequence_groups == of_file.spec.sequence_groups and [profile.name for profile in own.profiles] == [
        "a",
        "s.n",
        "only",
    ]
    of_pandas = seqcols.inspect(pandas.DataFrame(rows))
    assert sorted(column.key for column in of_pandas.spec.columns) == sorted(column.key for column in own.spec.columns)
    assert "'a': not_a_number: x - expected a number" in of_pandas.yaml


def test_more_rows_than_are_looked_at():
    frame = polars.DataFrame({"x": [float(k) for k in range(100_000)]})
    found = seqcols.inspect(frame, rows=1000)
    assert repr(found) == "Inspected(1,000 rows, spread evenly over a frame of 100,000 rows; x)"
    values = np.concatenate([batch.column("x").to_numpy() for batch in found.sample.batches])
    assert len(np.unique(values)) == 1000 and values[0] == 0 and values[-1] > 98_000
    assert np.diff(values).max() < 100_000 / 64 + 1
    assert "Rows outside the sample may hold what these columns reject" in found.yaml
    few = seqcols.inspect(frame, rows=3)
    assert [batch.num_rows for batch in few.sample.batches] == [1, 1, 1]
    exact = seqcols.inspect(frame.head(1000), rows=1000)
    assert exact.sample.is_whole and exact.table[0] == "sample: 1,000 rows, all rows of a frame"


def test_events_of_many_keys_are_looked_for_in_more_rows():
    """In a part of the rows the key hardly repeats."""
    count = 200_000
    random = np.random.default_rng(0)
    frame = pandas.DataFrame({"user_id": random.permutation(np.repeat(np.arange(count // 4), 4)), "n": 1.5})
    frame["time"] = pandas.date_range("2024-01-01", periods=count, freq="s")
    found = seqcols.inspect(frame, rows=2000)
    assert found.seen is not None and found.seen.section.events.key == ("user_id",) and found.seen.sample.rows == 40_000
    assert seqcols.inspect(frame, rows=2000, events=False).seen is None


def test_what_it_refuses(tmp_path):
    with pytest.raises(TypeError, match=r"^expected files or rows \(dicts, an Arrow table, .*\), got int$"):
        seqcols.inspect(5)
    with pytest.raises(TypeError, match=r"got LazyFrame: call .collect\(\) first$"):
        seqcols.inspect(polars.DataFrame({"x": [1]}).lazy())
    with pytest.raises(TypeError, match=r"^expected a row to be a dict, got int$"):
        seqcols.inspect([1])
    with pytest.raises(JobError, match=r"no file matches$"):
        seqcols.inspect(str(tmp_path / "*.parquet"))
    for rows in (0, -1, 1.5, True):
        with pytest.raises(UsageError, match=rf"^rows: expected an integer of 1 or more, got {rows}$"):
            seqcols.inspect(ROWS, rows=rows)
    for nothing in ([], pandas.DataFrame(), polars.DataFrame({"x": []})):
        with pytest.raises(JobError, match="no feature "):
            print(seqcols.inspect(nothing))


def test_a_file_with_no_rows_says_the_same(tmp_path: Path):
    table = pa.table({"x": pa.array([], pa.int64())})
    pq.write_table(table, tmp_path / "in.parquet")
    messages = []
    for data in (table, tmp_path / "in.parquet"):
        with pytest.raises(JobError) as error:
            str(seqcols.inspect(data))
        messages.append(str(error.value))
    assert messages[0] == messages[1]
