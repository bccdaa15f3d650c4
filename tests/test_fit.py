"""Statistics of a PCollection, and the transform that other pipelines (and the same one) use."""

from __future__ import annotations

import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pandas
import polars
import pyarrow as pa
import pytest
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.transforms.window import FixedWindows, TimestampedValue

from tests.marks import slow_but
from tests.test_beam_rows import _KEPT, _keep, total
from transforms import (
    Densify,
    SequenceGroup,
    Validate,
    apply,
    categorical_column_with_learned_vocabulary,
    embedding_column,
    indicator_column,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_categorical_column_with_vocabulary_file,
    sequence_numeric_column,
)
from transforms.beam import GOOD, REJECTED
from transforms.fit.fit import Fit, FitAndDensify
from transforms.spec import text as spec_text

COLUMNS = [
    passthrough_column("id", "int64"),
    sequence_numeric_column("x", (2,), -1.0, normalizer_fn="z_score"),
    numeric_column("w", normalizer_fn="z_score"),
]
GROUP = SequenceGroup()
ROWS: list[dict[str, Any]] = [{"id": k, "x": [float(k), 0.5] * (k % 5), "w": k / 3} for k in range(40)]
ROWS[7]["x"] = [1.0]
ROWS[9]["w"] = "a"

SOURCES: dict[str, list[Any]] = {
    "dicts": ROWS,
    "Rows": [beam.Row(**row) for row in ROWS],
    "batches": [pa.RecordBatch.from_pylist([{**row, "w": str(row["w"])} for row in ROWS[k : k + 7]]) for k in range(0, 40, 7)],
    "pandas": [pandas.DataFrame(ROWS)],
    "Polars": [polars.DataFrame([{**row, "w": str(row["w"])} for row in ROWS])],
    "Tables": [pa.Table.from_pylist([{**row, "w": str(row["w"])} for row in ROWS])],
}  # fmt: skip


def kept(tag: str) -> list[Any]:
    return [value for other, value in _KEPT if other == tag]


@pytest.mark.slow
def test_slices_of_batches(tmp_path):
    """tfx_bsl makes no ragged tensors of slices. Lists of large text are canonical already, and stay what they are cut from."""
    words = pa.array([["a"], ["b", "a"], [], ["b"], ["b", "b"]], pa.large_list(pa.large_string()))
    batch = pa.RecordBatch.from_pydict({"x": words, "shop": pa.array(["u", "v", "u", "v", "v"])})
    columns = [
        sequence_categorical_column_with_learned_vocabulary("x"),
        categorical_column_with_learned_vocabulary("shop"),
    ]
    with beam.Pipeline(FnApiRunner()) as root:
        cut = [batch.slice(0, 2), batch.slice(2, 2), batch.slice(4)]
        root | beam.Create(cut, reshuffle=False) | Fit(columns, GROUP, transform=str(tmp_path / "t"))
    made = apply(batch, columns, GROUP, transform=str(tmp_path / "t"))
    assert made["x"].tolist() == [[1, -1], [0, 1], [-1, -1], [0, -1], [0, 0]]
    assert made["shop"].tolist() == [1, 0, 1, 0, 0]


def assert_as_applied(transform: str) -> None:
    """The saved statistics are those that the rows have in memory."""
    by_graph, in_memory = (apply(ROWS, COLUMNS, GROUP, transform=where) for where in (transform, None))
    for name, array in in_memory.arrays.items():
        np.testing.assert_allclose(by_graph[name], array, rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("kind", slow_but(SOURCES, "Tables"))
def test_statistics_of_any_kind_of_rows(tmp_path, kind):
    target = str(tmp_path / "deep" / "transform")
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        done = root | beam.Create(SOURCES[kind], reshuffle=False) | Fit(COLUMNS, GROUP, transform=target)
        for tag in ("ready", "rejected", "tallies"):
            getattr(done, tag) | f"Keep {tag}" >> beam.Map(_keep, tag)
    assert kept("ready") == [target]
    rejected = [
        row for part in kept("rejected") for row in (part.to_pylist() if hasattr(part, "to_pylist") else [part])
    ]
    reasons = sorted(row["reason"] if isinstance(row, dict) else row.reason for row in rejected)
    assert reasons == ["incomplete_step", "not_a_number"]
    assert total(kept("tallies"))["", "rows", "rejected"] == 2
    assert_as_applied(target)
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["transform"]


@pytest.mark.slow
def test_validated_rows_are_not_parsed_again(tmp_path):
    target = str(tmp_path / "transform")
    with beam.Pipeline(FnApiRunner()) as root:
        valid = root | beam.Create(ROWS) | Validate(COLUMNS, GROUP)
        valid[GOOD] | Fit(COLUMNS, GROUP, transform=target)
    assert_as_applied(target)


def test_other_rows_wait_for_the_transform(tmp_path):
    """One pipeline fits to some rows and densifies others."""
    target = str(tmp_path / "transform")
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        fitted = root | "Some" >> beam.Create(ROWS) | Fit(COLUMNS, GROUP, transform=target)
        others = root | "Others" >> beam.Create([{"id": 1, "x": [2.0, 2.0], "w": 1.0}])
        dense = others | Densify(COLUMNS, GROUP, transform=target, ready=fitted.ready)
        dense[GOOD] | "Keep" >> beam.Map(_keep, "good")
    ((_, row),) = _KEPT
    wanted = apply([{"id": 1, "x": [2.0, 2.0], "w": 1.0}], COLUMNS, GROUP, fitted=apply(ROWS, COLUMNS, GROUP).fitted)
    np.testing.assert_allclose(row["x"], wanted["x"].reshape(-1), rtol=1e-6)


@pytest.mark.parametrize("windowed", slow_but([False, True]))
def test_fit_and_densify(tmp_path, windowed):
    target = str(tmp_path / "transform")
    _KEPT.clear()
    with beam.Pipeline(FnApiRunner()) as root:
        rows = root | beam.Create(ROWS)
        if windowed:
            rows = rows | beam.Map(lambda row: TimestampedValue(row, row["id"])) | beam.WindowInto(FixedWindows(10))
        done = rows | FitAndDensify(COLUMNS, GROUP, transform=target)
        done[GOOD] | "Good" >> beam.ParDo(_Windowed()) | "Keep" >> beam.Map(_keep, "good")
        done[REJECTED] | "Bad" >> beam.Map(_keep, "bad")
    assert len(kept("bad")) == 2
    made = sorted(kept("good"), key=lambda pair: pair[0]["id"])
    wanted = apply(ROWS, COLUMNS, GROUP)
    assert [row["id"] for row, _ in made] == wanted["id"].tolist()
    np.testing.assert_allclose([row["x"] for row, _ in made], wanted["x"].reshape(len(made), -1), rtol=1e-6)
    if windowed:
        assert all(int(start) == row["id"] // 10 * 10 for row, start in made)


class _Windowed(beam.DoFn):
    def process(self, row: Any, window: Any = beam.DoFn.WindowParam) -> Any:
        yield row, getattr(window, "start", 0)


@pytest.mark.parametrize("rows", slow_but([[], [ROWS[7]]]))
def test_no_rows_are_an_error(tmp_path, rows):
    with pytest.raises(Exception, match="no rows to find statistics of"), beam.Pipeline(FnApiRunner()) as root:
        root | beam.Create(rows) | Fit(COLUMNS, GROUP, transform=str(tmp_path / "t"))
    assert not (tmp_path / "t" / "transform_fn").exists()


@pytest.mark.slow
def test_a_transform_is_replaced(tmp_path):
    target = str(tmp_path / "transform")
    for rows in ([{"id": 1, "x": [5.0, 5.0], "w": 9.0}], ROWS):
        with beam.Pipeline(FnApiRunner()) as root:
            root | beam.Create(rows) | Fit(COLUMNS, GROUP, transform=target)
    assert_as_applied(target)


def test_wrong_use_is_refused_at_construction():
    with pytest.raises(ValueError, match="only passthrough_column"):
        Fit(passthrough_column("id", "int64"), transform="t")
    with pytest.raises(ValueError, match=r"glob characters, got 'a\*'"):
        Fit(COLUMNS, transform="a*")


def _twice(x: Any) -> Any:
    return x * 2.0


def test_a_spec_as_text(tmp_path: Path):
    spec = make_spec(COLUMNS, GROUP)
    assert spec_text.dumps(spec).startswith("{") and spec_text.loads(spec_text.dumps(spec)) == spec
    named = make_spec(sequence_numeric_column("x", normalizer_fn="tests.test_fit:_twice"))
    assert spec_text.dumps(named).startswith("{") and spec_text.loads(spec_text.dumps(named)) == named
    objects = make_spec(sequence_numeric_column("x", normalizer_fn=_twice))
    assert spec_text.loads(spec_text.dumps(objects)) == objects


def test_the_digest_changes_with_what_counts(monkeypatch):
    def digest(*columns: Any, group: Any = GROUP, more: str = "") -> str:
        return spec_text.digest(make_spec(list(columns), group), more)

    plain = sequence_numeric_column("x")
    assert digest(plain) == digest(sequence_numeric_column("x"))
    others = [
        digest(sequence_numeric_column("x", incomplete_step="pad")),
        digest(sequence_numeric_column("x", default_value=1.0)),
        digest(plain, numeric_column("w")),
        digest(plain, group=SequenceGroup(max_length=3)),
        digest(plain, more="2"),
    ]
    assert len({digest(plain), *others}) == len(others) + 1
    named = sequence_numeric_column("x", normalizer_fn="tests.test_fit:_twice")
    before = digest(named)
    monkeypatch.setattr(inspect, "getsource", lambda module: "another source")
    assert digest(named) != before


def test_the_digest_changes_with_the_files_that_columns_name(tmp_path):
    words, table = tmp_path / "words", tmp_path / "table.npy"

    def digest() -> str:
        ids = sequence_categorical_column_with_vocabulary_file("x", words)
        return spec_text.digest(make_spec([indicator_column(ids), embedding_column(ids, 1, table=table)]))

    made = []
    for word, number in [("a", 1.0), ("b", 1.0), ("b", 2.0), ("b", 2.0)]:
        words.write_text(word)
        np.save(table, [[number]])
        made.append(digest())
    assert len(set(made)) == 3 and made[2] == made[3]


@pytest.mark.slow
def test_the_digest_of_a_function_is_the_same_in_every_process():
    """A pickled spec is not: what is in its sets is ordered by hashes. Another function is another one."""
    script = """
import numpy as np
from transforms import *
from transforms.spec.text import digest
ids = sequence_categorical_column_with_identity("ids", 2)
def of(function, table):
    embedded = embedding_column(ids, 2, table=np.array(table))
    print(digest(make_spec([sequence_numeric_column("x", normalizer_fn=[function, "z_score"]), embedded])))
of(lambda x: x * 2, [[1, 2], [3, 4]])
of(lambda x: x * 3, [[1, 2], [3, 4]])
of(lambda x: x * 2, [[1, 2], [3, 5]])
"""
    made = [
        subprocess.run(
            [sys.executable, "-c", script],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(__file__).parent.parent,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()
        for seed in ("1", "2")
    ]
    assert made[0] == made[1]
    assert len(set(made[0])) == 3
