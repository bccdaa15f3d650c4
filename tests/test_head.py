"""`seqcols head`: the first rows of a data set for people."""

from __future__ import annotations

import json

import pytest

from tests.jobs import call, done
from transforms import (
    SequenceGroup,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)

ROWS = [
    {"user": "ann\x1b", "items": ["tea", "milk", "rum"], "x": [1.5, 2.0], "y": [1.0, 2.0], "n": 3},
    {"user": "ben", "items": [], "x": [*range(20)], "y": [0.5, 0.5], "n": 4},
]

SPEC = make_spec(
    [
        passthrough_column("user"),
        sequence_categorical_column_with_vocabulary_list("items", ["tea", "milk"], num_oov_buckets=1, group="items"),
        sequence_numeric_column("x", group="x"),
        sequence_numeric_column("y", shape=(2,), group="y"),
        numeric_column("n"),
    ],
    {
        "items": SequenceGroup(max_length=5, padding="pre"),
        "x": SequenceGroup(max_length=20, mask=False),
        "y": SequenceGroup(max_length=1),
    },
)

SHOWN = """\
row 0
  user          'ann\\\\x1b'
  items         ['tea', 'milk', '(unknown words)'] and 2 of padding
  x             [1.5, 2] and 18 of padding
  y             [[1, 2]]
  n             3
  items_length  3
  x_length      2
  y_length      1
row 1
  user          'ben'
  items         [] and 5 of padding
  x             [0, 1, 2, 3, 4, 5, 6, 7, ...]
  y             [[0.5, 0.5]]
  n             4
  items_length  0
  x_length      20
  y_length      1
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("head")
    (folder / "a.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return folder


@pytest.mark.parametrize("form", ["parquet", pytest.param("tfrecord", marks=pytest.mark.slow)])
def test_rows_are_shown_without_padding_and_with_words(folder, form):
    root = folder / form
    done(SPEC, folder / "a.jsonl", root, format=form)
    said = call("head", root)
    assert (said.exit_code, said.stdout, said.stderr) == (0, SHOWN, "seqcols: 2 of 2 rows\n")
    said = call("head", root, "-n", 1)
    assert (said.stdout, said.stderr) == (SHOWN[: SHOWN.index("row 1")], "seqcols: 1 of 2 rows\n")
    said = call("head", root, "--split", "train")
    assert (said.exit_code, said.stderr) == (
        2,
        "seqcols: error: --split: expected none, as this data set has no splits, got 'train'\n",
    )


def test_rows_of_splits_and_length_buckets(folder):
    columns = make_spec([sequence_numeric_column("x")], SequenceGroup(max_length=20, bucket_by_length=[4]))
    root, source = folder / "split", folder / "a.jsonl"
    (folder / "b.jsonl").write_text(source.read_text().splitlines()[0])
    done(columns, [f"train={source}", f"test={folder / 'b.jsonl'}"], root)
    said = call("head", root)
    assert said.exit_code == 0 and said.stdout.splitlines()[1:5:3] == [
        "  x                [1.5, 2] and 2 of padding",
        "  x                [0, 1, 2, 3, 4, 5, 6, 7, ...]",
    ]
    assert said.stderr.splitlines() == [
        "seqcols: 2 of 2 rows of the split train",
        "seqcols: --split shows another split, one of train, test",
    ]
    assert call("head", root, "--split", "test").stderr == "seqcols: 1 of 1 rows of the split test\n"
    said = call("head", root, "--split", "tst")
    assert said.stderr == "seqcols: error: --split: expected one of train, test, got 'tst'; did you mean 'test'?\n"
