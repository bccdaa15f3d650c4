from __future__ import annotations

from tests.harness import Case
from transforms.columns import bucketized_column, numeric_column, sequence_numeric_column

NAN = float("nan")

CASES = [
    Case(
        "bucketized",
        bucketized_column(sequence_numeric_column("x"), (0, 1.5)),
        expected=[([-0.1, 0, 1.5], [0, 1, 2]), ([[1], [2]], [1, 2, -1]), (["-1", "1e3"], [0, 2, -1])],
        missing=[-1] * 3,
        out_of_bounds=([1e39], "non_finite"),
        rejected=[([1.0, NAN], "non_finite"), ([[1, 2]], "wrong_step_width"), (["one"], "not_a_number")],
        empty=[-1] * 3,
        dtype="int64",
    ),
    Case(
        "bucketized_steps_of_two",
        bucketized_column(sequence_numeric_column("x", 2, non_finite="fill", incomplete_step="pad"), [0, 1]),
        expected=[([1, 2, -1, 0], [[2, 5], [0, 4], [-1, -1]]), ([1, 2, 0], [[2, 5], [1, -1], [-1, -1]])],
        missing=[[-1, -1]] * 3,
        out_of_bounds=([NAN, float("inf")], [[-1, -1]] * 3),
        rejected=[([[1]], "wrong_step_width")],
        empty=[[-1, -1]] * 3,
        dtype="int64",
    ),
    Case(
        "bucketized_in_context",
        bucketized_column(numeric_column("x", default_value=0.5), (0, 1)),
        expected=[(1, 2), ([-1], 0)],
        missing=1,
        out_of_bounds=(1e39, "non_finite"),
        rejected=[([1, 2], "wrong_value_count")],
        empty=1,
        dtype="int64",
    ),
]
