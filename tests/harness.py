"""Every column type through the same rows: expected, missing, out of bounds, rejected, empty, single, pickled.

A new column type is one more `Case` in `CASES`; `test_columns.py` runs them all.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
from apache_beam.internal import cloudpickle  # what Beam pickles with

from transforms.columns import (
    Column,
    categorical_column_with_identity,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.groups import SequenceGroup
from transforms.memory import Applied, apply

T = 3


@dataclass(frozen=True)
class Case:
    """One column and what it makes of single values of its feature `x`.

    Attributes:
      expected: value, and the dense output of T = 3 as nested lists.
      missing: what stands where a row lacks the feature, or None where such a row is rejected.
      out_of_bounds: value, and either a list (the output) or a reason code.
      rejected: value to reason code.
      empty: as `missing`, for an empty list.
    """

    name: str
    column: Column
    expected: list[tuple[Any, Any]]
    missing: Any
    out_of_bounds: tuple[Any, Any]
    rejected: list[tuple[Any, str]]
    empty: Any
    dtype: str = field(default="float32")


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
            ([True, False], "wrong_type"),
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
            ([True], "wrong_type"),
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
    Case(
        "identity",
        categorical_column_with_identity("x", 10),
        expected=[([3], 3), (4, 4), ("5", 5)],
        missing=-1,
        out_of_bounds=(10, "out_of_range"),
        rejected=[([1, 2], "wrong_value_count"), (2.5, "not_an_integer"), (True, "wrong_type")],
        empty=-1,
        dtype="int64",
    ),
    Case(
        "passthrough",
        passthrough_column("x"),
        expected=[("ä", "ä"), (["b"], "b"), (b"c", "c")],
        missing=None,
        out_of_bounds=("", ""),
        rejected=[
            (b"\xff", "invalid_utf8"),
            (["a", "b"], "wrong_value_count"),
            (1, "wrong_type"),
            ([None], "null_value"),
        ],
        empty=None,
        dtype="object",
    ),
    Case(
        "passthrough_bytes",
        passthrough_column("x", dtype="bytes", default_value="none"),
        expected=[(b"\xff", b"\xff"), ("a", b"a")],
        missing=b"none",
        out_of_bounds=(b"", b""),
        rejected=[(1.5, "wrong_type"), ([b"a", b"b"], "wrong_value_count")],
        empty=b"none",
        dtype="object",
    ),
]


def run(case: Case, values: list[Any]) -> Applied:
    """Applies a case's column to rows that hold these values; the string "absent" leaves the feature out."""
    group = SequenceGroup(max_length=T) if case.column.is_sequence else None
    rows = [{"other": k} if isinstance(v, str) and v == "absent" else {"x": v} for k, v in enumerate(values)]
    return apply(rows, [case.column], group)


def check_outcome(case: Case, value: Any, outcome: Any, made: Applied, row: int = 0) -> None:
    """Asserts that a row became an output, or a rejection with this reason that names row, column and record."""
    reasons = dict(zip(made.rejected["row"].to_pylist(), made.rejected["reason"].to_pylist(), strict=True))
    is_reason = outcome is None or (isinstance(outcome, str) and case.dtype != "object")
    if is_reason or row in reasons:
        expected = "missing" if outcome is None else outcome
        assert reasons.get(row) == expected, (value, reasons.get(row), expected)
        at = made.rejected["row"].to_pylist().index(row)
        assert made.rejected["column"][at].as_py() == "x"
        assert row not in made.rows.tolist()
        return
    output = made["x"][made.rows.tolist().index(row)]
    assert made["x"].dtype == case.dtype
    assert np.asarray(output).tolist() == outcome, value


def recovered(made: Applied, at: int) -> dict[str, Any]:
    """Returns the original row that a line of the rejected table holds."""
    record = made.rejected["record"][at].as_py()
    (row,) = pa.ipc.open_stream(record).read_all().to_pylist()
    return row


def pickled(column: Column) -> list[Column]:
    """The column after every pickler that workers use."""
    return [pickle.loads(pickle.dumps(column)), cloudpickle.loads(cloudpickle.dumps(column))]
