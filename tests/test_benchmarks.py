"""The benchmarks' own logic: comparing, medians and slopes, goals, tables. `make bench` runs the rest."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from rich.progress import Progress

from pipeline.columns_file.reader import loads
from tests.benchmarks import chart, compare, data, groups, jobs, latency, run, tables, wide
from tests.benchmarks.goals import GOALS, Goal
from tests.benchmarks.jobs import JOBS, OURS, TFT
from tests.benchmarks.measured import Measured, measure
from tests.benchmarks.peers import compiled_loop, limit
from tests.benchmarks.results import Results, load, save


@pytest.fixture
def results() -> Results:
    made = Results("J4", "2026-01-01", "a machine")
    for wall in (3.0, 1.0, 2.0):
        made.add(OURS, 1000, Measured(wall, 2 * wall, 10_000_000))
    made.add(TFT, 1000, Measured(4.0, 1.0, 40_000_000))
    return made


def written(folder: Path, floats: np.ndarray, ids: np.ndarray) -> compare.Rows:
    folder.mkdir()
    columns = {"x": list(floats), "id": list(ids), "label": ids[:, 0]}
    pq.write_table(pa.table(columns), folder / "a.parquet")
    return compare.read(folder)


class TestCompare:
    floats = np.arange(12, dtype=np.float32).reshape(4, 3)
    ids = np.array([[5, 1], [7, 2], [7, 3], [5, 1]])

    def difference(self, folder: Path, floats: np.ndarray, ids: np.ndarray) -> str:
        one = written(folder / "one", self.floats, self.ids)
        return compare.difference(one, written(folder / "other", floats, ids))

    def test_order_does_not_matter(self, tmp_path: Path):
        order = [2, 3, 1, 0]
        assert self.difference(tmp_path, self.floats[order], self.ids[order]) == ""

    def test_rounding_does_not_matter(self, tmp_path: Path):
        assert self.difference(tmp_path, self.floats * np.float32(1 + 1e-6), self.ids) == ""

    @pytest.mark.parametrize("value", [9.001, np.nan, np.inf])
    def test_another_float_is_found(self, tmp_path: Path, value: float):
        floats = self.floats.copy()
        floats[3, 0] = value
        assert "x, 1 of 4 rows" in self.difference(tmp_path, floats, self.ids)

    def test_another_integer_is_found(self, tmp_path: Path):
        assert self.difference(tmp_path, self.floats, self.ids + np.array([[0, 0], [0, 0], [0, 1], [0, 0]]))

    def test_a_missing_row_is_found(self, tmp_path: Path):
        assert self.difference(tmp_path, self.floats[1:], self.ids[1:]) == "4 rows and 3"

    def test_swapped_integers_are_found(self, tmp_path: Path):
        assert self.difference(tmp_path, self.floats, self.ids[:, ::-1])

    def test_of_some_rows_all_marks_count(self, tmp_path: Path):
        rows = written(tmp_path / "a", np.zeros((1000, 1)), np.arange(1000)[:, None])
        part = compare.read(tmp_path / "a", one_in=4)
        assert 150 < len(part.arrays["x"]) < 350
        assert np.array_equal(part.marks, rows.marks)

    def test_no_rows_are_an_error(self, tmp_path: Path):
        with pytest.raises(ValueError, match="no rows"):
            compare.read(tmp_path)


@pytest.mark.parametrize(
    "peer", [limit, pytest.param(compiled_loop, marks=pytest.mark.slow)]
)  # slow while it is compiled
def test_the_loops_do_what_their_formula_says(tmp_path: Path, peer: ModuleType):
    pattern = data.make(tmp_path, 40)
    peer.main(pattern, str(tmp_path / "out"))
    made = compare.read(tmp_path / "out").arrays
    raw = [data.batch(np.random.default_rng([11, number]), 10).to_pylist() for number in range(4)]
    steps = np.concatenate([np.reshape(row["accel"], (-1, 3))[-128:] for rows in raw for row in rows])
    scaled = (steps - steps.mean(axis=0)) / steps.std(axis=0)
    there = np.arange(128) < made["steps_length"]
    found = made["accel"].reshape(-1, 128, 3)[there]
    assert np.allclose(np.sort(found, axis=0), np.sort(scaled, axis=0), atol=1e-5)
    assert not made["accel"].reshape(-1, 128, 3)[~there].any()
    assert sorted(made["label"][:, 0]) == sorted(row["label"][0] for rows in raw for row in rows)


def test_data_are_seeded_and_files_are_the_same_in_larger_sets(tmp_path: Path):
    few, more = data.make(tmp_path, 20, files=2), data.make(tmp_path, 40, files=4)
    files = [Path(pattern).parent / "part-001.tfrecord" for pattern in (few, more)]
    one, other = ([tf.train.Example.FromString(record) for record in limit.records(str(path))] for path in files)
    assert len(one) == 10 and one == other  # not their bytes: the encoder of tfx_bsl 1.21 varies the order of features


def test_medians_and_what_is_kept(tmp_path: Path, results: Results):
    assert results.median(OURS, 1000, "wall") == 2.0
    other = Results("J1", "2026-01-02", "another")
    save(tmp_path / "a.json", [results, other])
    save(tmp_path / "a.json", [Results("J1", "2026-01-03", "third")])
    kept = load(tmp_path / "a.json")
    assert kept["J4"] == results
    assert kept["J1"].machine == "third"


def test_slopes_leave_start_up_out():
    made = Results("J1", "", "", {("a", n): [Measured(5 + n * 0.01, 2 + n * 0.03, 0)] for n in (100, 400)})
    assert made.slope("a", (100, 400), "wall") == pytest.approx(0.01)
    assert made.slope("a", (100, 400), "cpu") == pytest.approx(0.03)


@pytest.mark.parametrize(
    ("allowed", "least", "figure", "outcome"),
    [
        (0.5, False, 0.5, "met"),
        (0.5, False, 0.6, "missed by 20 %"),
        (1.05, False, 1.051, "missed by 0.10 %"),
        (20, True, 21, "met"),
        (20, True, 15, "missed by 25 %"),
        (1.0, False, -0.1, "not judged: noise"),
    ],
)
def test_goals_are_judged(allowed: float, least: bool, figure: float, outcome: str):
    assert Goal("J1", "", allowed, lambda results: figure, least=least).outcome(figure) == outcome


def test_a_goal_that_was_not_measured_says_so(results: Results):
    goals = {line[1]: line[-1] for line in tables.goals({"J4": results}).lines}
    assert goals == {
        "wall at 1,000 rows, of tf.Transform's": "met",
        "`seqcols --help`": "not measured",
        "an error in the columns file": "not measured",
    }


def test_every_goal_is_about_what_is_run():
    for job in JOBS:
        runs = {
            (name, rows): [Measured(rows + 1, rows + 1, rows + 1)]
            for name, sizes in job.sizes.items()
            for rows in sizes
        }
        runs |= {(name, 0): [Measured(1, 1, 1)] for name in job.commands}
        figures = [f"{name}: {what}" for name in job.sizes for what in (groups.LOAD, groups.ASK) if job.figures]
        made = Results(job.key, "", "", runs | {(name, 0): [Measured(1, 1, 1)] for name in figures})
        assert all(goal.figure(made) > 0 for goal in GOALS if goal.job == job.key)


def test_the_page_is_made_of_what_is_kept(tmp_path: Path, results: Results):
    (tmp_path / "benchmarks.md").write_text(f"before\n{run.MARKS[0]}\nold\n{run.MARKS[1]}\nafter\n")
    run.write({"J4": results}, tmp_path)
    text = (tmp_path / "benchmarks.md").read_text()
    assert text.startswith("before\n") and text.endswith("\nafter\n") and "old" not in text
    assert "- J4: 2026-01-01, a machine" in text
    assert "| seqcols | 1,000 | 3 | 2.00 | 4.00 | 10 | 500 |" in text


def test_the_figure_shows_what_was_measured():
    made = Results("J2", "", "", {(OURS, n): [Measured(n * 1e-5, n * 3e-5, 2_000_000)] for n in jobs.MAIN})
    shown = [(point["contender"], point["panel"], round(point["value"], 6)) for point in chart.points({"J2": made})]
    assert shown == [(OURS, "cpu", 30), (OURS, "wall", 10), (OURS, "peak", 2)]


def test_contenders_begin_in_turn():
    assert [run.in_turn("abc", number) for number in range(4)] == [[*"abc"], [*"bca"], [*"cab"], [*"abc"]]


def test_columns_files_are_what_they_seem():
    for job in JOBS:
        assert all(loads(job.columns_of(name)).columns for name in job.sizes)
    assert len(loads(wide.columns_file()).columns) == 250
    assert [len(loads(columns).columns) for columns in latency.COLUMNS.values()] == [1, 20, 250]
    with pytest.raises(ValueError, match="sequence_numeric_colum'"):
        loads(jobs.MISSPELT)


def test_children_are_measured():
    child = "import time; x = b'x' * 60_000_000; y = sum(i for i in range(3_000_000)); time.sleep(0.4)"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    made = measure([sys.executable, "-c", code])
    assert made.peak > 60_000_000
    assert 0.05 < made.cpu < made.wall + 0.5 and made.wall > 0.4


def test_a_command_that_fails_says_what_it_said():
    with pytest.raises(RuntimeError, match="code 3, expected 0:\noh no"):
        measure([sys.executable, "-c", "import sys; print('oh no', file=sys.stderr); sys.exit(3)"])


class TestRunner:
    """With peers that write Parquet files made here."""

    job = jobs.Job("J9", "", {"a": [4], "b": [4]}, {}, {})

    def runner(self, folder: Path, monkeypatch: pytest.MonkeyPatch, values: dict[str, int]) -> run.Runner:
        def command(_: jobs.Job, name: str, columns: Path, pattern: str, output: Path) -> list[str]:
            output.mkdir()
            pq.write_table(pa.table({"id": [1, 2, 3, values[name]]}), output / "a.parquet")
            return [sys.executable, "-c", ""]

        monkeypatch.setattr(jobs.Job, "command", command)
        return run.Runner(2, Progress(disable=True), folder)

    def test_runs_count_where_outputs_agree(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        made = self.runner(tmp_path, monkeypatch, {"a": 4, "b": 4}).run(self.job)
        assert {name: len(runs) for name, runs in made.runs.items()} == {("a", 4): 2, ("b", 4): 2}

    def test_a_disagreement_ends_the_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        with pytest.raises(run.Disagreement, match="J9, 4 rows: a and b differ"):
            self.runner(tmp_path, monkeypatch, {"a": 4, "b": 5}).run(self.job)


@pytest.mark.parametrize("options", ["--only J9", "--repeats 0", "--quick --write"])
def test_wrong_options_are_refused(options: str):
    with pytest.raises(SystemExit):
        run.parsed(options.split())
