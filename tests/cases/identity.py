from __future__ import annotations

import numpy as np

from tests.harness import Case, T
from transforms.columns import categorical_column_with_identity, sequence_categorical_column_with_identity

CASES = [
    Case(
        "sequence_identity",
        sequence_categorical_column_with_identity("x", 10),
        expected=[([3, 0], [3, 0, -1]), ([[4], [], [5]], [4, -1, 5]), (["9"], [9, -1, -1]), ([3.0], [3, -1, -1])],
        missing=[-1] * T,
        out_of_bounds=([10], "out_of_range"),
        rejected=[
            ([-1], "out_of_range"),
            ([-(2**63)], "out_of_range"),
            ([3.5], "not_an_integer"),
            (np.array([2**63], np.uint64), "integer_overflow"),
            ([2**64], "integer_overflow"),
            (["9223372036854775808"], "integer_overflow"),
            (["9" * 90], "integer_overflow"),
            ([[1, 2]], "wrong_step_width"),
            ([1, None], "null_value"),
            ([True, 2], "wrong_type"),
        ],
        empty=[-1] * T,
        dtype="int64",
    ),
    Case(
        "sequence_identity_default",
        sequence_categorical_column_with_identity("x", 10, default_value=7, padding_id=-5),
        expected=[([3], [3, -5, -5]), ([[], [3]], [-5, 3, -5])],
        missing=[-5] * T,
        out_of_bounds=([10, -1, -(2**63)], [7, 7, 7]),
        rejected=[(["ten"], "not_a_number")],
        empty=[-5] * T,
        dtype="int64",
    ),
    Case(
        "identity",
        categorical_column_with_identity("x", 10),
        expected=[([3], 3), (4, 4), ("5", 5), (True, 1)],
        missing=-1,
        out_of_bounds=(10, "out_of_range"),
        rejected=[([1, 2], "wrong_value_count"), (2.5, "not_an_integer")],
        empty=-1,
        dtype="int64",
    ),
]
