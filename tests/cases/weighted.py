from __future__ import annotations

from typing import Any

from tests.harness import Case
from transforms.columns import (
    categorical_column_with_vocabulary_list,
    indicator_column,
    sequence_categorical_column_with_identity,
    weighted_categorical_column,
)

WRONG: dict[str, Any] = {"[4]": [1.0, 1.0], "[5]": [float("nan")], "[6]": [float("inf")], "[7]": None, "[8]": ["heavy"]}
"""Weights that do not fit what they stand beside."""


def weights(value: Any) -> dict[str, Any]:
    """A weight of a half for the first id, one more for each that follows it in the step."""
    if str(value) in WRONG:
        return {"w": WRONG[str(value)]}
    if isinstance(value, list) and any(isinstance(step, list) for step in value):
        return {"w": [[k + 0.5 for k in range(len(step))] for step in value]}
    count = len(value) if isinstance(value, list) else 1
    return {"w": None if value is None else [k + 0.5 for k in range(count)]}


CASES = [
    Case(
        "weighted",
        weighted_categorical_column(sequence_categorical_column_with_identity("x", 10), "w"),
        expected=[([3, 1], [3, 1, -1]), ([[3], [], [1]], [3, -1, 1])],
        missing=[-1] * 3,
        out_of_bounds=([10], "out_of_range"),
        rejected=[
            ([4], "length_mismatch"),
            ([5], "non_finite"),
            ([6], "non_finite"),
            ([7], "length_mismatch"),
            ([8], "not_a_number"),
        ],
        empty=[-1] * 3,
        dtype="int64",
        more=weights,
    ),
    Case(
        "indicator_of_weighted_ids",
        indicator_column(
            weighted_categorical_column(sequence_categorical_column_with_identity("x", 4, max_ids=2), "w")
        ),
        expected=[([[3, 3], [], [0, 1]], [[0, 0, 0, 2], [0] * 4, [0.5, 1.5, 0, 0]])],
        missing=[[0] * 4] * 3,
        out_of_bounds=([[4]], "out_of_range"),
        rejected=[([4], "out_of_range"), ([[1, 2, 3]], "wrong_step_width")],
        empty=[[0] * 4] * 3,
        more=weights,
    ),
    Case(
        "weighted_in_context",
        indicator_column(
            weighted_categorical_column(
                categorical_column_with_vocabulary_list("x", ["a", "b"], max_ids=2), "w", "float16"
            )
        ),
        expected=[("a", [0.5, 0]), (["a", "b"], [0.5, 1.5]), (["z", "b"], [0, 1.5])],
        missing=[0, 0],
        out_of_bounds=("z", [0, 0]),
        rejected=[(["a", "b", "a"], "wrong_value_count")],
        empty=[0, 0],
        more=weights,
    ),
]
