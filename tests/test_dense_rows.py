"""How long a dense row may be: refused with the columns file where T and shapes say so, else as soon as T is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from pipeline import Request, check
from pipeline.columns_file.reader import loads
from pipeline.command.commands import cli
from pipeline.command.tf_examples import write_examples
from pipeline.job.request import check_values
from tests.jobs import listing, run_job
from transforms import (
    SequenceGroup,
    SpecError,
    apply,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.spec import dense_rows
from transforms.spec.make_spec import job_faults

MOST = 256 << 20


@pytest.mark.parametrize("steps", [1, 3])
def test_bytes_are_those_of_the_arrays(steps):
    spec = make_spec(
        [
            sequence_numeric_column("x", (2, 3), observed_mask=True, group="g"),
            sequence_categorical_column_with_identity("i", 9, max_ids=4, group="g"),
            sequence_numeric_column("n", dtype="int32"),
            sequence_numeric_column("d", dtype="float64"),
            numeric_column("c", (5,), default_value=0.0),
        ],
        {"g": SequenceGroup(max_length=steps), "sequence": SequenceGroup(max_length=7, mask=False)},
    )
    made = apply([{}], spec)
    stored = {name: array.astype(np.int64) if array.dtype == np.int32 else array for name, array in made.arrays.items()}
    total = sum(array.nbytes for array in stored.values())
    assert not dense_rows.faults(spec, total, "")
    assert dense_rows.faults(spec, total - 1, "")


TOO_LONG: list[tuple[str, str]] = [
    (
        "columns: [{type: sequence_numeric_column, key: x}]\nsequence_groups:\n  sequence: {max_length: 268435456}",
        "line 3",
    ),
    ("columns: [{type: sequence_numeric_column, key: x, shape: [2, 1000000000]}]", "line 1"),
    ("columns:\n  - {type: numeric_column, key: y}\n  - {type: numeric_column, key: x, shape: 2147483647}", "line 3"),
    (
        "columns:\n  - type: indicator_column\n    categorical_column:\n"
        "      {type: sequence_categorical_column_with_identity, key: x, num_buckets: 16000000}\n"
        "sequence_groups: {sequence: {max_length: 9}}",
        "line 5",
    ),
    (
        "columns:\n  - {type: sequence_categorical_column_with_identity, key: x, num_buckets: 9, max_ids: 99999999}",
        "line 2",
    ),
]


@pytest.mark.parametrize(("text", "line"), TOO_LONG)
@pytest.mark.parametrize("command", ["run", "check", "plan"])
def test_a_columns_file_that_asks_for_too_much_is_refused(tmp_path, text, line, command):
    (tmp_path / "columns.yaml").write_text(text)
    arguments = [command, str(tmp_path / "columns.yaml"), "--input", str(tmp_path / "nothing")]
    arguments += ["--output", str(tmp_path / "out")] if command == "run" else []
    made = CliRunner().invoke(cli, arguments)
    assert made.exit_code == 2
    assert f"columns.yaml: {line}: " in made.stderr
    assert "expected at most" in made.stderr and ("--max-record-bytes" in made.stderr or "2 GiB" in made.stderr)


def test_the_message_says_what_fits():
    spec = make_spec(
        [sequence_numeric_column("x", 2), numeric_column("y", (10,))], SequenceGroup(max_length=50_000_000)
    )
    [fault] = job_faults(spec, MOST)
    fitting = (MOST - 48) // 9  # two floats and the mask a step; ten floats and the length besides
    assert str(fault) == (
        f"sequence_groups.sequence.max_length: expected at most {fitting} (a step takes 9 bytes; "
        f"--max-record-bytes: {MOST}), got 50000000"
    )
    fits = make_spec([sequence_numeric_column("x", 2), numeric_column("y", (10,))], SequenceGroup(max_length=fitting))
    assert not job_faults(fits, MOST)
    check_values(Request(spec, ["x"], max_record_bytes=500_000_000))  # the option allows it


def test_what_takes_no_memory_stays_free():
    """Ids and hashes cost what a row holds of them, however many there may be."""
    text = "columns: [{type: sequence_categorical_column_with_identity, key: x, num_buckets: 9223372036854775807},"
    text += "{type: sequence_categorical_column_with_hash_bucket, key: y, hash_bucket_size: 9223372036854775807}]"
    assert not job_faults(loads(text), MOST)


def test_an_example_has_two_gib_at_most():
    """As many as protobuf takes; what is larger would fail only when memory ends."""
    columns = [sequence_numeric_column("a"), sequence_numeric_column("c", shape=(3, 7))]
    most = (2**31 - 1 - 8) // 89
    assert make_spec(columns, SequenceGroup(max_length=most))
    with pytest.raises(SpecError, match=rf"expected at most {most} \(.*2 GiB.*\), got {most + 1}"):
        make_spec(columns, SequenceGroup(max_length=most + 1))


def test_a_t_that_the_data_decide_is_refused_before_the_second_pass(tmp_path):
    """Rows of 200 ids are 250 bytes as records, and 1,600 as int64."""
    spec = make_spec([sequence_categorical_column_with_identity("x", 9)])
    write_examples(tmp_path / "in.tfrecord", [{"x": [1] * 200}, {"x": [1]}])
    asked: dict[str, Any] = {"inputs": [str(tmp_path / "in.tfrecord")], "max_record_bytes": 1000}
    says = "the longest row of the sequence group 'sequence' has 200 steps: a dense row would take 1808 bytes"
    outcome = check(Request(spec, **asked))
    assert (outcome.status, outcome.message.partition(",")[0]) == ("failed", says)
    outcome = run_job(spec, tmp_path / "in.tfrecord", tmp_path / "out", max_record_bytes=1000)
    assert (outcome.status, says in outcome.message) == ("failed", True)
    assert not [name for name in listing(tmp_path / "out") if name.endswith(".tfrecord")]


def test_columns_that_only_pass_through_are_refused_alike(tmp_path: Path):
    (tmp_path / "columns.yaml").write_text("version: 1\ncolumns:\n  - {type: passthrough_column, key: x}")
    for command in (["check"], ["run", "--output", str(tmp_path / "out")]):
        arguments = [*command[:1], str(tmp_path / "columns.yaml"), "--input", "x", *command[1:]]
        made = CliRunner().invoke(cli, arguments)
        assert made.exit_code == 2
        assert "line 2: columns: expected a column to densify, got only passthrough_column" in made.stderr
    spec = loads((tmp_path / "columns.yaml").read_text())
    with pytest.raises(SpecError, match="only passthrough_column"):
        check(Request(spec, ["x"]))
