"""`seqcols plan`: its figures against the job's own, run with the T that it is about."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.columns_file.reader import load
from pipeline.command.tf_examples import write_examples
from pipeline.errors import UsageError
from pipeline.job.request import Request
from pipeline.planning import plan as planning
from tests.jobs import call, done, read_arrays
from tests.marks import slow_but
from transforms import SequenceGroup, make_spec, passthrough_column, sequence_numeric_column
from transforms.spec.spec import Spec

pytestmark = pytest.mark.usefixtures("command_line")

COLUMNS = """\
sequence_groups:
  watch: {max_length: 30, truncate: tail}
  notes: {max_length: 20, truncate: reject, mask: false}
columns:
  - {type: sequence_categorical_column_with_identity, key: videos, num_buckets: 10, group: watch}
  - {type: sequence_numeric_column, key: seconds, shape: [3], group: watch}
  - {type: sequence_numeric_column, key: words, dtype: float16, group: notes}
"""
RNG = np.random.default_rng(20)
WATCH = RNG.lognormal(3, 1, 600).astype(np.int64)
NOTES = RNG.integers(0, 60, 600)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 good rows in two files, two bad ones, and a columns file."""
    root = tmp_path_factory.mktemp("plan")
    (root / "columns.yaml").write_text(COLUMNS)
    rows: list[Any] = [
        {"videos": [1] * n, "seconds": [0.5] * (3 * n), "words": [1.0] * m}
        for n, m in zip(WATCH.tolist(), NOTES.tolist(), strict=True)
    ]
    bad = {"videos": [11], "seconds": [1.0] * 3, "words": []}
    write_examples(str(root / "in-0.tfrecord"), [*rows[:200], bad])
    write_examples(str(root / "in-1.tfrecord"), [*rows[200:], bad])
    return root


def plan(folder: Path, *more: Any) -> Any:
    return call("plan", folder / "columns.yaml", "--input", folder / "in-*.tfrecord", *more)


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    request = Request(load(str(folder / "columns.yaml")), [str(folder / "in-*.tfrecord")])
    made: dict[str, Any] = json.loads(json.dumps(planning.plan(request).document()))
    return made


def with_lengths(folder: Path, **sizes: int) -> Spec:
    """Returns the columns with another T for each group."""
    spec = load(str(folder / "columns.yaml"))
    policies = {name: spec.group(name).model_copy(update={"max_length": size}) for name, size in sizes.items()}
    return spec.model_copy(update={"sequence_groups": policies})


@pytest.mark.parametrize(
    ("group", "name"),
    slow_but([("watch", "max_length"), ("watch", "proposed"), ("notes", "proposed")]),
)
def test_a_job_with_that_t_gives_the_figures(folder, found, tmp_path, group, name):
    planned = found["groups"][group]
    row = next(row for row in planned["fixed"] if name in row["is"])
    # Rows that one group rejects would be missing from the figures of the other.
    longest = {name: one["longest"] for name, one in found["groups"].items()}
    spec = with_lengths(folder, **{**longest, group: row["T"]})
    done(spec, folder / "in-*.tfrecord", tmp_path, format="parquet", max_rejected=1)
    arrays, lengths = read_arrays(tmp_path), {"watch": WATCH, "notes": NOTES}[group]
    own = {"watch": ("videos", "seconds", "watch_length", "watch_mask"), "notes": ("words", "notes_length")}[group]
    rows = len(arrays["videos"])
    assert sum(arrays[name].nbytes for name in own) == row["bytes"]
    assert row["bytes_per_row"] == pytest.approx(row["bytes"] / rows)
    kept = int(arrays[f"{group}_length"].sum())
    off = max(lengths[lengths >= 64].sum() / lengths.sum() / 32, 1e-9)  # longer ones are known to 1/32
    assert 1 - kept / (rows * row["T"]) == pytest.approx(row["padding"], abs=off)
    assert 1 - kept / lengths.sum() == pytest.approx(row["truncated_steps"], abs=off)
    assert (lengths > row["T"]).mean() == pytest.approx(row["truncated_rows"])


def test_what_is_counted(found):
    assert found["rows"]["read"] == 602 and found["rows"]["rejected"] == 2
    for group, lengths in (("watch", WATCH), ("notes", NOTES)):
        one = found["groups"][group]
        assert (one["rows"], one["steps"], one["longest"]) == (600, lengths.sum(), lengths.max())
        assert sum(rows for _, _, rows in one["histogram"]) == 600
        assert all(low == high for low, high, _ in one["histogram"] if low < 64)
    watch = found["groups"]["watch"]
    assert (watch["step_bytes"], watch["row_bytes"]) == (8 + 3 * 4 + 1, 8)
    assert (found["groups"]["notes"]["step_bytes"], watch["max_length"], watch["truncate"]) == (2, 30, "tail")


def test_what_is_proposed_keeps_the_budget(found):
    for group, lengths in (("watch", WATCH), ("notes", NOTES)):
        size = found["groups"][group]["proposed"]["max_length"]
        lost = lengths[lengths > size].sum() if group == "notes" else np.maximum(lengths - size, 0).sum()
        assert lost <= 0.01 * lengths.sum()
        assert found["groups"][group]["proposed"]["bucket_by_length"][-1] == size


def test_buckets_take_fewer_bytes(found):
    one = found["groups"]["watch"]
    total = [row["bytes"] for row in one["buckets"]]
    assert [len(row["T"]) for row in one["buckets"]] == [1, 2, 3, 4]
    assert total == sorted(total, reverse=True) and total[-1] < total[0] / 2
    fixed = next(row for row in one["fixed"] if "proposed" in row["is"])
    assert fixed["in_buckets"] == one["buckets"][-1]
    bounds = np.array(one["buckets"][-1]["T"])
    places = bounds[np.searchsorted(bounds, np.minimum(WATCH, bounds[-1]))].sum()
    assert total[-1] == places * one["step_bytes"] + 600 * one["row_bytes"]


@pytest.mark.slow
def test_a_data_set_gives_the_same_without_its_inputs(folder, found, tmp_path):
    done(with_lengths(folder, watch=30, notes=60), folder / "in-*.tfrecord", tmp_path / "out")
    made = json.loads(call("plan", tmp_path / "out", "--json").stdout)
    assert made["groups"]["watch"] == found["groups"]["watch"]
    assert made["rows"] is None and "'notes'" in made["notes"][0]
    assert made["groups"]["notes"]["proposed"] == found["groups"]["notes"]["proposed"]


def test_the_command_prints_a_table_for_every_group(folder, found):
    result = plan(folder, "--buckets", 2, "--budget", 0.05)
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "rows: 602 read, 2 rejected, whose lengths do not count; seqcols check tells why"
    assert any(line.startswith("sequence group 'watch': 600 rows") for line in lines)
    assert any(line.startswith("30 (max_length)") for line in lines)
    ends = [line for line in lines if line.startswith("proposed: ")]
    assert len(ends) == 2 and all("loses at most 5.00% of the steps" in line for line in ends)
    heads = [line.split()[0] for line in lines if "rejected rows  " in line or "cut rows  " in line]
    assert heads == ["T", "T", "T", "T"]
    assert json.loads(plan(folder, "--json").stdout) == found


def test_rows_that_normalise_to_no_length(tmp_path):
    write_examples(str(tmp_path / "in.tfrecord"), [{"id": ["a"], "x": []}, {"id": ["b"], "x": []}])
    spec = make_spec([passthrough_column("id"), sequence_numeric_column("x")], SequenceGroup(max_length="longest"))
    one = planning.plan(Request(spec, [str(tmp_path / "in.tfrecord")])).groups["sequence"]
    assert one["proposed"] == {"max_length": 1, "bucket_by_length": [1]}
    assert [row["padding"] for row in one["fixed"]] == [1.0]


def test_no_row_that_is_accepted(tmp_path):
    write_examples(str(tmp_path / "in.tfrecord"), [{"x": [float("nan")]}])
    spec = make_spec(sequence_numeric_column("x"))
    found = planning.plan(Request(spec, [str(tmp_path / "in.tfrecord")], max_rejected=1))
    assert found.groups["sequence"]["proposed"] is None
    from pipeline.planning.summary import lines

    assert lines(found)[-1] == "sequence group 'sequence': no rows"


def test_too_many_rejected_rows_are_said_beside_the_plan(folder):
    result = plan(folder, "--max-rejected", 0.001)
    assert result.exit_code == 3 and "proposed: " in result.stdout
    assert "2 of 602 rows rejected" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--budget", "nan"], "--budget: expected a fraction from 0 to 1, got nan"),
        (["--budget", "1.5"], "--budget: expected a fraction from 0 to 1, got 1.5"),
        (["--buckets", "0"], "--buckets: expected 1 or more, got 0"),
        (["--buckts", "2"], "unknown option '--buckts'; did you mean '--buckets'?"),
        (["--runner=FlinkRunner"], "plan runs on this machine: --runner does not apply"),
    ],
)
def test_wrong_use(folder, arguments, message):
    result = plan(folder, *arguments)
    assert result.exit_code == 2 and result.stderr == f"seqcols: error: {message}\n"


def test_what_has_no_input_or_no_lengths(folder, tmp_path):
    result = call("plan", folder / "columns.yaml")
    assert (result.exit_code, result.stderr) == (2, "seqcols: error: --input: expected at least one file pattern\n")
    result = call("plan", tmp_path)
    assert result.exit_code == 1 and "holds no finished data set" in result.stderr
    result = call("plan", tmp_path, "--input", "x")
    assert result.exit_code == 2 and "--input does not apply" in result.stderr
    result = call("plan", tmp_path, "--max-steps", "3")
    assert result.exit_code == 2 and "--max-steps does not apply" in result.stderr
    with pytest.raises(UsageError, match="the columns have no sequence, and so no T"):
        planning.plan(Request(make_spec(passthrough_column("id")), [str(folder / "in-0.tfrecord")]))
    (folder / "cut.tfrecord").write_bytes((folder / "in-0.tfrecord").read_bytes()[:-3])
    result = call("plan", folder / "columns.yaml", "--input", folder / "cut.tfrecord")
    assert result.exit_code == 1 and "cut.tfrecord" in result.stderr and not result.stdout
