"""Policies: what each rejects (reason, row, column, value, record), what it keeps, and that every value is accounted for."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.harness import recovered
from transforms.columns import (
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.errors import JobError
from transforms.groups import SequenceGroup
from transforms.memory import Applied, apply

NAN, INF = float("nan"), float("inf")
GOOD = {"x": [1.0, 2.0]}


def rejection_of(made: Applied) -> tuple[Any, ...]:
    """The only rejected row: number, reason, column, value."""
    (row,) = made.rejected.select(["row", "reason", "column", "value"]).to_pylist()
    return tuple(row.values())


def test_a_value_is_that_of_its_row_where_an_earlier_rule_rejected_another():
    made = apply([{"x": [NAN, 1.0, 2.0]}, {"x": [1.0] * 5}, {"x": [1.0] * 7}], sequence_numeric_column("x", 2))
    assert [tuple(row.values()) for row in made.rejected.select(["row", "reason", "value"]).to_pylist()] == [
        (0, "non_finite", "nan at step 0"),
        (1, "incomplete_step", "5 values"),
        (2, "incomplete_step", "7 values"),
    ]


# (columns' arguments, bad row, reason, value, policy)
REJECTED: list[tuple[dict[str, Any], list[Any], str, str, dict[str, Any]]] = [
    ({"shape": 2}, [1.0], "incomplete_step", "1 values", {}),
    ({"shape": 2}, [[1.0]], "wrong_step_width", "[1.0]", {}),
    ({}, [3.0, INF], "non_finite", "inf at step 1", {}),
    ({"non_finite": "keep"}, [1.0] * 4, "too_long", "4 steps", {"max_length": 3, "truncate": "reject"}),
    ({}, [1.0], "too_short", "1 steps", {"min_length": 2}),
    ({}, [], "too_short", "0 steps", {"min_length": 1}),
    ({}, [1.0], "dropped_short", "1 steps", {"min_length": 2, "shorter": "drop"}),
    ({"dtype": "int32"}, [2, 2**31], "integer_overflow", "2147483648", {}),
    ({"dtype": "int64"}, [2, 3.5], "not_an_integer", "3.5", {}),
    ({}, ["1", "1e", "x"], "not_a_number", "1e", {}),
    ({}, [1e300, 1.0], "non_finite", "1e+300", {}),
    ({"dtype": "float16"}, [1e5], "non_finite", "100000", {}),
    ({"dtype": "int8"}, [b"1", b"\xff\x1b"], "invalid_utf8", "\\xff\\x1b", {}),
    ({"delimiter": "|"}, ["1|x"], "not_a_number", "x", {}),  # type: ignore[list-item]
]


@pytest.mark.parametrize(("arguments", "bad", "reason", "value", "policy"), REJECTED)
def test_a_rejection_tells_everything(arguments, bad, reason, value, policy):
    good: Any = {"x": "1|2"} if "delimiter" in arguments else {"x": [1, 2]}
    row: Any = {"x": bad[0] if "delimiter" in arguments else bad, "other": "kept"}
    made = apply([good, row, good], [sequence_numeric_column("x", **arguments)], SequenceGroup(**policy))
    assert rejection_of(made) == (1, reason, "x", value)
    assert recovered(made, 0) == row
    assert made.rows.tolist() == [0, 2]
    assert made.tally["", "rows", f"rejected:{reason}"] == 1


def test_required():
    made = apply([GOOD, {"y": [1.0]}, {"x": []}], [sequence_numeric_column("x", required=True)])
    assert rejection_of(made) == (1, "missing", "x", "absent")
    assert made.lengths().tolist() == [2, 0]


def test_columns_that_disagree_name_the_columns_and_their_lengths():
    columns = [sequence_numeric_column("a"), sequence_numeric_column("b", shape=2)]
    made = apply([{"a": [1], "b": [1, 2]}, {"a": [1, 2], "b": [1, 2]}, {"a": [1]}], columns)
    assert made.rejected["reason"].to_pylist() == ["length_mismatch"] * 2
    assert made.rejected["value"].to_pylist() == ["a: 2, b: 1", "a: 1, b: 0"]
    assert made.rows.tolist() == [0]


def test_groups_have_lengths_of_their_own():
    columns = [sequence_numeric_column("a", group="p"), sequence_categorical_column_with_identity("b", 9, group="q")]
    groups = {"p": SequenceGroup(max_length=2, truncate="tail"), "q": SequenceGroup(max_length=4, padding="pre")}
    made = apply([{"a": [1, 2, 3], "b": [5]}, {"b": [1, 2, 3, 4, 5]}], columns, groups)
    assert made["a"][..., 0].tolist() == [[2, 3], [0, 0]]
    assert made["b"].tolist() == [[-1, -1, -1, 5], [1, 2, 3, 4]]
    assert (made.lengths("p").tolist(), made.lengths("q").tolist()) == ([2, 0], [1, 4])
    assert made.mask("q").tolist() == [[False, False, False, True], [True] * 4]
    assert made.sequence_input("p")[0].shape == (2, 2, 1)


def test_an_incomplete_step_is_completed_and_counted():
    column = sequence_numeric_column(
        "x", 2, 9.0, incomplete_step="pad", observed_mask=True, normalizer_fn=lambda x: x + 100
    )
    made = apply([{"x": [1, 2, 3]}, {"x": [4]}], [column])
    assert made["x"].tolist() == [[[101, 102], [103, 9]], [[104, 9], [9, 9]]]
    assert made["x_observed"].tolist() == [[[True, True], [True, False]], [[True, False], [False, False]]]
    assert made.lengths().tolist() == [2, 1]
    assert made.tally["", "column", "x", "completed"] == 2


def test_non_finite_values_are_filled_after_normalising():
    column = sequence_numeric_column("x", (), -7.0, "float32", lambda x: x * 2, non_finite="fill", observed_mask=True)
    made = apply([{"x": [1.0, NAN, INF]}, {"x": [-INF]}, {"x": [None]}], [column])
    assert made["x"].tolist() == [[2, -7, -7], [-7, -7, -7], [-7, -7, -7]]
    assert made["x_observed"].tolist() == [[True, False, False], [False] * 3, [False] * 3]
    assert made.lengths().tolist() == [3, 1, 1]
    assert made.tally["", "column", "x", "filled"] == 4


def test_non_finite_values_are_kept():
    made = apply([{"x": [1.0, NAN, INF, 1e300]}], [sequence_numeric_column("x", (), non_finite="keep")])
    np.testing.assert_array_equal(made["x"], np.array([[1.0, NAN, INF, INF]], np.float32))
    assert made.tally["", "column", "x", "non_finite"] == 3


def test_padding_is_normalised_on_request_only():
    def plus(x: Any) -> Any:
        return x + 10

    rows = [{"x": [1, 2]}, {"x": [3]}]
    raw = apply(rows, [sequence_numeric_column("x", (), 5.0, normalizer_fn=plus)])
    both = apply(rows, [sequence_numeric_column("x", (), 5.0, normalizer_fn=plus, normalize_padding=True)])
    assert raw["x"].tolist() == [[11, 12], [13, 5]]
    assert both["x"].tolist() == [[11, 12], [13, 15]]


def test_fail_stops_the_job():
    with pytest.raises(JobError, match="row 0: column 'x': 12 at step 1"):
        apply([{"x": [3, 12]}], [sequence_categorical_column_with_identity("x", 10, on_out_of_range="fail")])


NUMBERS = st.lists(
    st.sampled_from([0.0, 1.5, -2.0, NAN, INF, None, "x", True, 1e300]) | st.integers(-5, 12), max_size=7
)
IDS = st.lists(st.integers(-2, 12) | st.sampled_from([2.0, 2.5, None, "3"]), max_size=7)
CLEAN = st.lists(st.floats(-9, 9), max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries({"a": CLEAN}, optional={"i": st.lists(st.integers(0, 9), max_size=7), "c": st.just([1, 2])})
    | st.fixed_dictionaries({}, optional={"a": NUMBERS, "i": IDS, "c": NUMBERS}),
    min_size=1,
    max_size=8,
)


@pytest.mark.parametrize(("truncate", "kept", "counts"), [("head", [[1, 2]], (1, 0)), ("tail", [[3, 9]], (2, 1))])
def test_an_incomplete_step_that_is_cut_off_is_not_completed(truncate, kept, counts):
    column = sequence_numeric_column("x", 2, 9.0, incomplete_step="pad")
    made = apply([{"x": [1, 2, 3]}], [column], SequenceGroup(max_length=1, truncate=truncate))
    assert made["x"].tolist() == [kept]
    assert (made.tally["", "column", "x", "truncated"], made.tally["", "column", "x", "completed"]) == counts


@given(
    rows=ROWS,
    width=st.integers(1, 3),
    size=st.sampled_from([1, 2, 3, "longest"]),
    truncate=st.sampled_from(["head", "tail", "reject"]),
    padding=st.sampled_from(["pre", "post"]),
    incomplete=st.sampled_from(["reject", "pad"]),
    non_finite=st.sampled_from(["reject", "fill", "keep"]),
    default=st.none() | st.just(1),
)
def test_every_value_is_kept_truncated_or_rejected(
    rows, width, size, truncate, padding, incomplete, non_finite, default
):
    policy = SequenceGroup(max_length=size, truncate="head" if size == "longest" else truncate, padding=padding)
    columns = [
        sequence_numeric_column("a", width, incomplete_step=incomplete, non_finite=non_finite, group="p"),
        sequence_categorical_column_with_identity("i", 10, default, group="q"),
        numeric_column("c", 2, default_value=0.5, non_finite=non_finite),
    ]
    made = apply(rows, columns, {"p": policy, "q": policy})
    accepted = [rows[k] for k in made.rows]

    # What the arrays hold, told from masks and from the rows themselves, never from the tally.
    kept = {"i": int(made.mask("q").sum()), "c": sum(2 for row in accepted if row.get("c"))}
    kept["a"] = 0
    for row, mask in zip(accepted, made.mask("p"), strict=True):
        values, steps = row.get("a") or [], int(mask.sum())
        last_is_here = steps * width >= len(values) or policy.truncate == "tail"
        kept["a"] += steps * width - (-len(values) % width if last_is_here else 0)
    assert len(accepted) + made.rejected.num_rows == len(rows)
    for name in ("a", "i", "c"):
        count = {what: made.tally["", "column", name, what] for what in ("values", "truncated", "rejected")}
        assert count["values"] == sum(
            len(row.get(name) or []) for row in rows
        ) or any(  # what cannot be read has no count
            row.get(name) for row in rows if row not in accepted
        )
        assert count["values"] == kept[name] + count["truncated"] + count["rejected"], (name, count, kept)
        lost = sum(len(row.get(name) or []) for row in accepted) - kept[name]
        assert count["truncated"] == lost
