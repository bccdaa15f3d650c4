from __future__ import annotations

import numpy as np

from tests.harness import Case
from transforms.columns import (
    categorical_column_with_identity,
    embedding_column,
    sequence_categorical_column_with_identity,
    shared_embedding_column,
)

TABLE = np.array([[1, 2], [3, 4], [0, -5]])
NOTHING = [0.0, 0.0]

CASES = [
    Case(
        "embedding_ids",
        embedding_column(sequence_categorical_column_with_identity("x", 10, padding_id=-5), 4),
        expected=[([3, 1], [3, 1, -5]), ([[3], [], [1]], [3, -5, 1])],
        missing=[-5] * 3,
        out_of_bounds=([10], "out_of_range"),
        rejected=[([[1, 2]], "wrong_step_width"), ([0.5], "not_an_integer")],
        empty=[-5] * 3,
        dtype="int64",
    ),
    Case(
        "embedding_vectors",
        embedding_column(sequence_categorical_column_with_identity("x", 3), 2, table=TABLE, max_norm=2.5),
        expected=[([0, 2], [[1, 2], [0, -2.5], NOTHING]), ([[], [0]], [NOTHING, [1, 2], NOTHING])],
        missing=[NOTHING] * 3,
        out_of_bounds=([3], "out_of_range"),
        rejected=[(["a"], "not_a_number")],
        empty=[NOTHING] * 3,
    ),
    Case(
        "shared_embedding_of_several_ids",
        shared_embedding_column(
            sequence_categorical_column_with_identity("x", 3, max_ids=2), 2, "films", combiner="sum", table=TABLE
        ),
        expected=[([[0, 1], [], [2]], [[4, 6], NOTHING, [0, -5]]), ([0, 1], [[1, 2], [3, 4], NOTHING])],
        missing=[NOTHING] * 3,
        out_of_bounds=([[0, -1]], "out_of_range"),
        rejected=[([[0, 1, 2]], "wrong_step_width")],
        empty=[NOTHING] * 3,
    ),
    Case(
        "shared_embedding_in_context",
        shared_embedding_column(categorical_column_with_identity("x", 3, max_ids=2), 2, "films", table=TABLE),
        expected=[([0, 1], [2, 3]), (2, [0, -5])],
        missing=NOTHING,
        out_of_bounds=(3, "out_of_range"),
        rejected=[([0, 1, 2], "wrong_value_count")],
        empty=NOTHING,
    ),
]
