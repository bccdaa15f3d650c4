from __future__ import annotations

from tests.harness import Case, T
from transforms.columns import sequence_numeric_column

CASES = [
    Case(
        "sequence_numeric",
        sequence_numeric_column("x", shape=2, default_value=-1.0),
        expected=[([1, 2.5], [[1, 2.5], [-1, -1], [-1, -1]]), ([[1, 2], [3, 4]], [[1, 2], [3, 4], [-1, -1]])],
        missing=[[-1, -1]] * T,
        out_of_bounds=(["1e300", 1.0], "wrong_type"),
        rejected=[
            ([1.0], "incomplete_step"),
            ([[1.0]], "wrong_step_width"),
            ([1.0, float("inf")], "non_finite"),
            ([1.0, 1e300], "non_finite"),
            ([1.0, None], "non_finite"),
            (["1", "one"], "not_a_number"),
            ([b"\xff", b"1"], "invalid_utf8"),
            ([True, 2], "wrong_type"),
            (1.0, "wrong_type"),
            ([[[1.0]]], "wrong_type"),
        ],
        empty=[[-1, -1]] * T,
    ),
    Case(
        "sequence_numeric_int32",
        sequence_numeric_column("x", dtype="int32", shape=()),
        expected=[([1, -2], [1, -2, 0]), (["7", " +8 "], [7, 8, 0]), ([3.0], [3, 0, 0])],
        missing=[0] * T,
        out_of_bounds=([2**31], "integer_overflow"),
        rejected=[([3.5], "not_an_integer"), ([float("nan")], "not_an_integer"), ([None], "null_value")],
        empty=[0] * T,
        dtype="int32",
    ),
]
