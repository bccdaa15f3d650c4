"""Splits compared: two of one data set, and one of two."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.jobs import call, done
from tests.test_split_jobs import COLUMNS, rows_of, write
from transforms import make_spec


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("compared")
    train = write(folder / "train.jsonl", rows_of(1, 200))
    test = write(folder / "test.jsonl", [{**row, "x": [v + 5 for v in row["x"]]} for row in rows_of(2, 100)])
    done(make_spec(COLUMNS), [f"train={train}", f"test={test}"], folder / "out")
    done(make_spec(COLUMNS), [f"test={test}", f"train={train}"], folder / "again")
    return folder / "out"


def compared(*arguments: object) -> Any:
    result = call("compare", *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_two_splits_of_one(root):
    found = compared(root, "--split", "train", "--split", "test")
    text = json.dumps(found)
    assert f"{root} (train)" in text and f"{root} (test)" in text
    result = call("compare", root, "--split", "train", "--split", "test", "--max-drift", "x=0.05")
    assert result.exit_code == 4 and "column 'x': Jensen-Shannon" in result.output
    assert call("compare", root, "--split", "train", "--split", "train", "--max-drift", "0").exit_code == 0


def test_one_split_of_two(root):
    other = root.parent / "again"
    for split in ("train", "test"):
        assert call("compare", root, other, "--split", split, "--max-drift", "0").exit_code == 0
    assert call("compare", root, other, "--max-drift", "0").exit_code == 0
    assert call("compare", root, other, "--split", "train", "--split", "test", "--max-drift", "0").exit_code == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected DIR2, or --split twice, got neither"),
        (["--split", "train"], "expected DIR2, or --split twice, got --split 1 times"),
        (
            ["--split", "train", "--split", "tset"],
            "one of train, test, got 'tset'; did you mean 'test'?",
        ),
    ],
)
def test_what_cannot_be_told(root, arguments, message):
    result = call("compare", root, *arguments)
    assert result.exit_code == 2 and message in result.output
