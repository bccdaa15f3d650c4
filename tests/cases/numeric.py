from __future__ import annotations

from tests.harness import Case
from transforms.columns import numeric_column

CASES = [
    Case(
        "numeric",
        numeric_column("x", shape=2, default_value=(1.5, 2.5)),
        expected=[([1, 2], [1, 2]), ([[1, 2]], [1, 2]), (["1", "2e0"], [1, 2])],
        missing=[1.5, 2.5],
        out_of_bounds=([1.0, 1e39], "non_finite"),
        rejected=[([1.0], "wrong_value_count"), (1.0, "wrong_value_count"), ([1.0, float("nan")], "non_finite")],
        empty=[1.5, 2.5],
    ),
    Case(
        "numeric_without_default",
        numeric_column("x", shape=()),
        expected=[([1.5], 1.5), (2, 2.0), ("3", 3.0)],
        missing=None,
        out_of_bounds=(1e300, "non_finite"),
        rejected=[([1, 2], "wrong_value_count"), ({"a": 1}, "wrong_type"), ("x", "not_a_number")],
        empty=None,
    ),
]
