"""What is said to somebody whose column rejects most rows: the column that was probably meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.command.summary import meant
from tests.jobs import call
from transforms import (
    categorical_column_with_identity,
    indicator_column,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.columns import Column

IDS = sequence_categorical_column_with_identity("x", 10)
WORDS = "if these are words: {}categorical_column_with_learned_vocabulary, or another column of words"
STEPS = "if these are the steps of a sequence: sequence_{}"


@pytest.mark.parametrize(
    ("column", "reason", "expected"),
    [
        (IDS, "not_a_number", WORDS.format("sequence_")),
        (indicator_column(IDS), "not_a_number", WORDS.format("sequence_")),
        (categorical_column_with_identity("x", 10), "not_a_number", WORDS.format("")),
        (numeric_column("x"), "wrong_value_count", STEPS.format("numeric_column; if each row has as many: shape: [N]")),
        (
            categorical_column_with_identity("x", 10),
            "wrong_value_count",
            STEPS.format("categorical_column_with_identity"),
        ),
        (IDS, "out_of_range", ""),
        (sequence_numeric_column("x"), "not_a_number", ""),
        (passthrough_column("x"), "wrong_value_count", ""),
    ],
)
def test_the_column_that_was_meant(column: Column, reason: str, expected: str):
    spec = make_spec([column, sequence_numeric_column("y")])
    rows: list[dict[str, Any]] = [{"column": column.name}]
    assert meant(spec, reason, rows, 0.5) == expected
    assert meant(spec, reason, rows, 0.4) == ""  # then it is the rows that are wrong
    assert meant(spec, reason, [*rows, {"column": "y"}], 1.0) == ""


def test_it_is_said_below_the_rows(tmp_path: Path, command_line: None):
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"x": ["red", "blue"]}) + "\n" for _ in range(3)))
    (tmp_path / "c.yaml").write_text(
        "columns: [{type: sequence_categorical_column_with_identity, key: x, num_buckets: 3}]\n"
    )
    done = call("check", tmp_path / "c.yaml", "--input", tmp_path / "a.jsonl")
    assert done.exit_code == 3
    assert done.stdout.endswith(
        f"    a.jsonl row 2 column 'x': red - expected an integer\n    {WORDS.format('sequence_')}\n"
    )
