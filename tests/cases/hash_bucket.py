from __future__ import annotations

from tests.harness import Case
from transforms.columns import categorical_column_with_hash_bucket, sequence_categorical_column_with_hash_bucket

CASES = [
    Case(
        "sequence_hash_bucket",
        sequence_categorical_column_with_hash_bucket("x", 10),
        expected=[(["omar", "stringer"], [6, 4, -1]), ([["marlo"], [], [b"omar"]], [1, -1, 6])],
        missing=[-1] * 3,
        out_of_bounds=([""], [3, -1, -1]),
        rejected=[
            (["a", None], "null_value"),
            ([1], "wrong_type"),
            ([b"\xff"], "invalid_utf8"),
            ([["a", "b"]], "wrong_step_width"),
            (["\0seqcols: no word\0"], "wrong_type"),
        ],
        empty=[-1] * 3,
        dtype="int64",
    ),
    Case(
        "sequence_hash_bucket_of_several_integers",
        sequence_categorical_column_with_hash_bucket("x", 10, "int32", max_ids=2),
        expected=[([[1, 2], [], [1]], [[9, 9], [-1, -1], [9, -1]]), ([1, 2], [[9, -1], [9, -1], [-1, -1]])],
        missing=[[-1, -1]] * 3,
        out_of_bounds=([2**31], "integer_overflow"),
        rejected=[([[1, 2, 3]], "wrong_step_width"), ([1.5], "not_an_integer"), (["a"], "not_a_number")],
        empty=[[-1, -1]] * 3,
        dtype="int64",
    ),
    Case(
        "hash_bucket",
        categorical_column_with_hash_bucket("x", 10),
        expected=[("omar", 6), (["stringer"], 4), (b"marlo", 1)],
        missing=-1,
        out_of_bounds=("", 3),
        rejected=[(["a", "b"], "wrong_value_count"), (1, "wrong_type")],
        empty=-1,
        dtype="int64",
    ),
    Case(
        "hash_bucket_of_several_bytes",
        categorical_column_with_hash_bucket("x", 10, "bytes", max_ids=2, padding_id=10),
        expected=[(["omar", b"stringer"], [6, 4]), ("marlo", [1, 10])],
        missing=[10, 10],
        out_of_bounds=(b"\xff", [3, 10]),
        rejected=[(["a", "b", "c"], "wrong_value_count")],
        empty=[10, 10],
        dtype="int64",
    ),
    Case(
        "hash_bucket_of_any_integer",
        categorical_column_with_hash_bucket("x", 1000, "int64"),
        expected=[(-(2**63) + 1, 769), (2**63 - 1, 319)],
        missing=-1,
        out_of_bounds=(-(2**63), "integer_overflow"),
        rejected=[([None], "null_value")],
        empty=-1,
        dtype="int64",
    ),
]
