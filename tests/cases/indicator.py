from __future__ import annotations

from tests.harness import Case
from transforms.columns import (
    bucketized_column,
    categorical_column_with_hash_bucket,
    indicator_column,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)

NOTHING = [0.0] * 3

CASES = [
    Case(
        "indicator_of_several_ids",
        indicator_column(sequence_categorical_column_with_identity("x", 3, max_ids=2, padding_id=7)),
        expected=[([[1, 2], [], [1, 1]], [[0, 1, 1], NOTHING, [0, 2, 0]]), ([2, 0], [[0, 0, 1], [1, 0, 0], NOTHING])],
        missing=[NOTHING] * 3,
        out_of_bounds=([[3]], "out_of_range"),
        rejected=[([[0, 1, 2]], "wrong_step_width"), ([[0.5]], "not_an_integer"), ([1, None], "null_value")],
        empty=[NOTHING] * 3,
    ),
    Case(
        "indicator_of_words_without_an_id",
        indicator_column(sequence_categorical_column_with_vocabulary_list("x", ["a", "b", "c"])),
        expected=[(["b", "z"], [[0, 1, 0], NOTHING, NOTHING])],
        missing=[NOTHING] * 3,
        out_of_bounds=([""], [NOTHING] * 3),
        rejected=[([1], "wrong_type")],
        empty=[NOTHING] * 3,
    ),
    Case(
        "indicator_in_context",
        indicator_column(categorical_column_with_hash_bucket("x", 10, max_ids=2)),
        expected=[("omar", [0, 0, 0, 0, 0, 0, 1, 0, 0, 0]), (["omar", "stringer"], [0, 0, 0, 0, 1, 0, 1, 0, 0, 0])],
        missing=[0] * 10,
        out_of_bounds=("", [0, 0, 0, 1, 0, 0, 0, 0, 0, 0]),
        rejected=[(["a", "b", "c"], "wrong_value_count")],
        empty=[0] * 10,
    ),
    Case(
        "indicator_of_buckets",
        indicator_column(bucketized_column(sequence_numeric_column("x", shape=2), [0])),
        expected=[([-1, 1], [[1, 0, 0, 1], [0] * 4, [0] * 4])],
        missing=[[0] * 4] * 3,
        out_of_bounds=([1e30, -1e30], [[0, 1, 1, 0], [0] * 4, [0] * 4]),
        rejected=[([1.0], "incomplete_step"), ([1.0, float("inf")], "non_finite")],
        empty=[[0] * 4] * 3,
    ),
]
