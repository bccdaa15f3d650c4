"""Every column type through the harness, and constructors against TensorFlow's."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.harness import Case, all_cases, check_outcome, pickled, recovered, run
from transforms.columns import (
    TYPES,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.memory import apply
from transforms.rows.marks import unreadable
from transforms.rows.reasons import REASONS

fc = tf.feature_column
CASES = all_cases()
every = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def test_every_column_type_has_a_case():
    assert {type(case.column) for case in CASES} == set(TYPES.values())


@every
def test_expected(case: Case):
    made = run(case, [value for value, _ in case.expected])
    assert made.rejected.num_rows == 0
    for row, (value, output) in enumerate(case.expected):
        check_outcome(case, value, output, made, row)


@every
def test_missing_and_empty(case: Case):
    made = run(case, ["absent", None, [], case.expected[0][0]])
    for row, outcome in enumerate([case.missing, case.missing, case.empty, case.expected[0][1]]):
        check_outcome(case, row, outcome, made, row)
    if case.missing is not None:
        assert made.tally["", "column", case.column.name, "absent"] == 2
        assert made.tally["", "column", case.column.name, "empty"] == 1
    rejected = apply(case.rows(["absent", case.expected[0][0]]), [case.required()]).rejected
    assert rejected["reason"].to_pylist() == ["missing"]


@every
def test_out_of_bounds(case: Case):
    value, outcome = case.out_of_bounds
    check_outcome(case, value, outcome, run(case, [value]))


@every
def test_rejected_alone_and_among_others(case: Case):
    good = case.expected[0]
    for value, reason in case.rejected:
        assert reason in REASONS
        check_outcome(case, value, reason, run(case, [value]))
    mixed = [good[0], *[v for pair in case.rejected for v in (pair[0], good[0])]]
    made = run(case, mixed)
    for row, value in enumerate(mixed):
        check_outcome(case, value, case.rejected[row // 2][1] if row % 2 else good[1], made, row)
    assert made.rejected["row"].to_pylist() == list(range(1, len(mixed), 2))
    for at, (value, _) in enumerate(case.rejected):
        kept = recovered(made, at)["x"]
        as_text: Any = unreadable(value)
        if (
            isinstance(value, list) and kept and isinstance(kept[0], dict)
        ):  # integers past 64 bits, booleans among numbers
            as_text = [{name: json.dumps(v) for name in kept[0]} for v in value]
        if kept != as_text:
            np.testing.assert_equal(kept, value)
    assert made.tally["", "rows", "read"] == len(mixed)
    assert made.tally["", "rows", "rejected"] == len(case.rejected)
    assert made.tally["", "rows", "written"] == len(case.rejected) + 1


@every
def test_no_rows_and_single_rows(case: Case):
    none = run(case, [])
    assert none[case.output].shape[0] == 0
    assert none.rejected.num_rows == 0
    whole = run(case, [value for value, _ in case.expected])
    for row, (value, _) in enumerate(case.expected):
        np.testing.assert_array_equal(run(case, [value])[case.output][0], whole[case.output][row])


@every
def test_pickling(case: Case):
    value, output = case.expected[0]
    for column in pickled(case.column):
        assert column == case.column
        made = apply(case.rows([value]), [column], run(case, []).spec.sequence_groups or None)
        np.testing.assert_array_equal(made[case.output][0], output)


@every
def test_frozen_and_strict(case: Case):
    with pytest.raises(Exception, match="frozen"):
        setattr(case.column, next(iter(type(case.column).model_fields)), "y")
    with pytest.raises((TypeError, ValueError), match="nonsense"):
        type(case.column).make(**case.column.model_dump(exclude={"type"}), nonsense=1)


NUMERIC: list[dict[str, Any]] = [
    *[
        {"shape": shape}
        for shape in ((), (0,), (-1,), (1.5,), ("a",), "2", 2, 0, [2], (2, 0), (None,), 2.0, np.int64(2))
    ],
    *[{"dtype": kind} for kind in (tf.string, tf.bool, tf.complex64, tf.qint8, tf.int32, tf.float64, tf.bfloat16)],
    *[{"normalizer_fn": function} for function in (3, "x", [], False, len, None)],
]
IDENTITY: list[dict[str, Any]] = [
    *[{"num_buckets": n} for n in (0, -1, 1, "3", None, np.int64(3))],
    *[{"num_buckets": 3, "default_value": n} for n in (-1, 3, 2, 0, "a", np.int64(1))],
]
CONTEXT: list[dict[str, Any]] = [
    *NUMERIC,
    {"default_value": "a"},
    {"default_value": [1.0, 2.0]},
    {"shape": 2, "default_value": [1.0, 2.0]},
    {"shape": (2,), "default_value": 3},
    {"shape": (2, 1), "default_value": [[1.0], [2.0]]},
]


def raised(make: Any, arguments: dict[str, Any]) -> type[Exception] | None:
    try:
        make("x", **arguments)
    except Exception as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("ours", "theirs", "table"),
    [
        (sequence_numeric_column, fc.sequence_numeric_column, NUMERIC),
        (sequence_categorical_column_with_identity, fc.sequence_categorical_column_with_identity, IDENTITY),
        (numeric_column, fc.numeric_column, CONTEXT),
    ],
)
def test_constructor_errors_are_tensorflows(ours, theirs, table):
    wrong = [(a, raised(ours, a), raised(theirs, a)) for a in table if raised(ours, a) != raised(theirs, a)]
    assert wrong == []
    assert len([a for a in table if raised(ours, a)]) >= 6  # the table does hold errors


@pytest.mark.parametrize("key", [1, None, b"x", ["x"]])
def test_a_key_that_is_no_string_fails_earlier_than_in_tensorflow(key):
    with pytest.raises(TypeError, match="key"):
        sequence_numeric_column(key)
    fc.sequence_numeric_column(key)
    with pytest.raises((TypeError, ValueError), match="key"):
        sequence_categorical_column_with_identity(key, 3)


@pytest.mark.parametrize(
    ("dtype", "default"),
    [(tf.int64, 0.5), (tf.int64, 2**63), (tf.float32, 1e300), (tf.float32, "a"), (tf.uint8, -1), (tf.float16, 1e5)],
)
def test_a_default_that_does_not_fit_fails_earlier_than_in_tensorflow(dtype, default):
    with pytest.raises((TypeError, ValueError), match="default_value"):
        sequence_numeric_column("x", default_value=default, dtype=dtype)
    fc.sequence_numeric_column("x", default_value=default, dtype=dtype)


def test_integer_padding_is_exact():
    """Tensorflow fails for int64 with the default 0.0; a float that is an integer is that integer, in every digit."""
    assert apply([{"x": []}, {"x": [5]}], [sequence_numeric_column("x", dtype=tf.int64)])["x"].tolist() == [
        [[0]],
        [[5]],
    ]
    for default in (16777217.0, 2**62 + 1, -(2**63)):
        made = apply([{"x": []}, {"x": [5]}], [sequence_numeric_column("x", (), default, tf.int64)])
        assert made["x"].tolist() == [[int(default)], [5]]
