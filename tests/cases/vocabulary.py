from __future__ import annotations

import tempfile
from pathlib import Path

from tests.harness import Case, T
from transforms.columns import (
    categorical_column_with_learned_vocabulary,
    categorical_column_with_vocabulary_file,
    categorical_column_with_vocabulary_list,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_categorical_column_with_vocabulary_file,
    sequence_categorical_column_with_vocabulary_list,
)

FOLDER = tempfile.TemporaryDirectory(prefix="seqcols-words-")


def file_of(content: bytes) -> str:
    path = Path(FOLDER.name) / f"{len(list(Path(FOLDER.name).iterdir()))}.txt"
    path.write_bytes(content)
    return str(path)


CASES = [
    Case(
        "sequence_vocabulary_list",
        sequence_categorical_column_with_vocabulary_list("x", ["omar", "stringer", "", "b\nc"]),
        expected=[(["omar", "stringer"], [0, 1, -1]), ([["b\nc"], [], [b"omar"]], [3, -1, 0]), ([""], [2, -1, -1])],
        missing=[-1] * T,
        out_of_bounds=(["marlo", "Omar", "omar "], [-1] * T),
        rejected=[
            (["omar", None], "null_value"),
            ([1], "wrong_type"),
            ([b"\xff"], "invalid_utf8"),
            ([["omar", "omar"]], "wrong_step_width"),
            (["\0seqcols: no word\0"], "wrong_type"),
            ("omar", "wrong_type"),
        ],
        empty=[-1] * T,
        dtype="int64",
    ),
    Case(
        "sequence_vocabulary_list_of_several_integers",
        sequence_categorical_column_with_vocabulary_list("x", [7, -1], default_value=1, max_ids=2, padding_id=-9),
        expected=[([[7, -1], [], [7]], [[0, 1], [-9, -9], [0, -9]]), (["007", "+7"], [[0, -9], [0, -9], [-9, -9]])],
        missing=[[-9, -9]] * T,
        out_of_bounds=([8, 2**63 - 1, -(2**63) + 1], [[1, -9]] * T),
        rejected=[
            ([-(2**63)], "integer_overflow"),
            ([[1, 2, 3]], "wrong_step_width"),
            ([1.5], "not_an_integer"),
            (["a"], "not_a_number"),
        ],
        empty=[[-9, -9]] * T,
        dtype="int64",
    ),
    Case(
        "vocabulary_list",
        categorical_column_with_vocabulary_list("x", [b"\xff", "a"], num_oov_buckets=1),
        expected=[(b"\xff", 0), ("a", 1), ([b"a"], 1)],
        missing=-1,
        out_of_bounds=("marlo", 2),
        rejected=[(["a", "a"], "wrong_value_count"), (1, "wrong_type")],
        empty=-1,
        dtype="int64",
    ),
    Case(
        "sequence_vocabulary_file",
        sequence_categorical_column_with_vocabulary_file("x", file_of(b"omar\r\n string er\nmarlo"), 2, 10),
        expected=[(["omar", " string er"], [0, 1, -1]), ([["omar"], []], [0, -1, -1])],
        missing=[-1] * T,
        out_of_bounds=(["omar", "stringer", "marlo"], [0, 2 + 4, 2 + 1]),
        rejected=[([["omar", "omar"]], "wrong_step_width"), ([b"\xff"], "invalid_utf8"), ([True], "wrong_type")],
        empty=[-1] * T,
        dtype="int64",
    ),
    Case(
        "sequence_vocabulary_file_of_integers",
        sequence_categorical_column_with_vocabulary_file("x", file_of(b" 7\n+8\n-09\n"), default_value=0, dtype="int8"),
        expected=[([7, 8, -9], [0, 1, 2]), (["8"], [1, -1, -1])],
        missing=[-1] * T,
        out_of_bounds=([9, -128], [0, 0, -1]),
        rejected=[([128], "integer_overflow"), (["x"], "not_a_number")],
        empty=[-1] * T,
        dtype="int64",
    ),
    Case(
        "vocabulary_file",
        categorical_column_with_vocabulary_file("x", file_of(b"\xfe\n\xff\n"), dtype="bytes", max_ids=2),
        expected=[([b"\xff", b"\xfe"], [1, 0]), (b"\xff", [1, -1])],
        missing=[-1, -1],
        out_of_bounds=("a", [-1, -1]),
        rejected=[([b"a", b"b", b"c"], "wrong_value_count")],
        empty=[-1, -1],
        dtype="int64",
    ),
    Case(
        "sequence_learned_vocabulary",
        sequence_categorical_column_with_learned_vocabulary("x", top_k=2, num_oov_buckets=1),
        expected=[(["b", "b", "a"], [0, 0, 1])],
        missing=[-1] * T,
        out_of_bounds=(["b", "", "a\n"], [0, 1, 1]),
        rejected=[([1], "wrong_type"), ([b"\xff"], "invalid_utf8"), ([["b", "b"]], "wrong_step_width")],
        empty=[-1] * T,
        dtype="int64",
    ),
    Case(
        "sequence_learned_vocabulary_of_several_integers",
        sequence_categorical_column_with_learned_vocabulary("x", dtype="int64", max_ids=2),
        expected=[([[5, -3], [], [-3]], [[1, 0], [-1, -1], [0, -1]])],
        missing=[[-1, -1]] * T,
        out_of_bounds=([20, 3], [[0, -1], [1, -1], [-1, -1]]),  # equally often: by their text
        rejected=[([[1, 2, 3]], "wrong_step_width"), ([0.5], "not_an_integer")],
        empty=[[-1, -1]] * T,
        dtype="int64",
    ),
    Case(
        "learned_vocabulary",
        categorical_column_with_learned_vocabulary("x", frequency_threshold=1, default_value=0),
        expected=[("a", 0)],
        missing=-1,
        out_of_bounds=("", 0),
        rejected=[(["a", "a"], "wrong_value_count")],
        empty=-1,
        dtype="int64",
    ),
]
