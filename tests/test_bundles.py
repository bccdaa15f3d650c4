"""Columns that go through the graph together against each by itself; and requests in stacks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from transforms import Column, SequenceGroup, make_spec
from transforms.columns import (
    categorical_column_with_identity,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.densify.side_by_side import bundles
from transforms.memory import apply
from transforms.serve.valid import admitted, stacks

GROUPS = {"a": SequenceGroup(max_length=4, truncate="tail"), "b": SequenceGroup(max_length=3, padding="pre")}


def sequence(key: str, group: str = "a", **more: Any) -> Column:
    return sequence_numeric_column(key, group=group, **more)


def ids(key: str, group: str = "a", **more: Any) -> Column:
    return sequence_categorical_column_with_identity(key, 50, group=group, **more)


COLUMNS: list[Column] = [
    sequence("x0", normalizer_fn="z_score"),
    ids("i0"),
    sequence(
        "p0",
        shape=(2,),
        normalizer_fn=[{"type": "clip", "min": -1.0}, "z_score"],
        observed_mask=True,
        non_finite="fill",
    ),
    sequence("x1", normalizer_fn="z_score"),
    numeric_column("context", normalizer_fn="z_score", default_value=0.0),
    sequence("other", normalizer_fn="min_max"),
    ids("i1"),
    sequence("x2", normalizer_fn="z_score"),
    sequence(
        "p1",
        shape=(2,),
        normalizer_fn=[{"type": "clip", "min": -1.0}, "z_score"],
        observed_mask=True,
        non_finite="fill",
    ),
    sequence("y0", "b", normalizer_fn="min_max"),
    sequence("learned0", normalizer_fn={"type": "clip", "quantiles": [0.1, 0.9]}),
    sequence("learned1", normalizer_fn={"type": "clip", "quantiles": [0.1, 0.9]}),
    sequence("y1", "b", normalizer_fn="min_max"),
    sequence("whole0", normalizer_fn="z_score", dtype="int64"),
    sequence("whole1", normalizer_fn="z_score", dtype="int64"),
    categorical_column_with_identity("label", 3),
]


def rows_of(columns: Sequence[Column], count: int, seed: int) -> list[dict[str, Any]]:
    """Rows whose columns differ in mean and spread; some are empty, some longer than T."""
    rng, made = np.random.default_rng(seed), []
    for _ in range(count):
        lengths = {"a": int(rng.integers(0, 8)), "b": int(rng.integers(0, 6))}
        row: dict[str, Any] = {}
        for k, column in enumerate(columns):
            size = lengths[column.sequence_group] * column.step_width if column.sequence_group else 1
            whole = "identity" in column.type_name or getattr(column, "dtype", "") == "int64"
            values = rng.integers(0, 3, size) if whole else rng.normal(10 * k, 1 + k, size).astype(np.float32)
            if column.key.startswith("p") and size > 2 and rng.random() < 0.3:
                values[1] = np.nan
            row[column.key] = values.tolist()
        made.append(row)
    return made


def alone(columns: Sequence[Column], rows: list[dict[str, Any]]) -> dict[str, np.ndarray]:
    made: dict[str, np.ndarray] = {}
    for column in columns:
        group = column.sequence_group
        made |= apply(rows, [column], {group: GROUPS[group]} if group else None).arrays
    return made


def test_what_stands_together():
    found = [[member.name for member in bundle.members] for bundle in bundles(make_spec(COLUMNS, GROUPS))]
    assert [names for names in found if len(names) > 1] == [
        ["x0", "x1", "x2"],
        ["i0", "i1"],
        ["p0", "p1"],
        ["y0", "y1"],
        ["whole0", "whole1"],
    ]
    assert sorted(name for names in found for name in names) == sorted(column.name for column in COLUMNS)


@pytest.mark.parametrize(
    "argument",
    [
        {"normalizer_fn": tf.math.log1p},
        {"normalizer_fn": {"type": "z_score", "per": "row"}},
        {"normalizer_fn": {"type": "z_score", "per": "column"}},
        {"non_finite": "mean", "normalizer_fn": "z_score"},
        {"non_finite": "forward_fill"},
        {"incomplete_step": "pad", "shape": (2,)},
    ],
    ids=["function", "per row", "per column", "mean", "forward fill", "pad"],
)
def test_what_looks_at_more_than_a_value_stands_alone(argument):
    assert all(
        bundle.single
        for bundle in bundles(make_spec([sequence("a", **argument), sequence("b", **argument)], {"a": GROUPS["a"]}))
    )


def test_together_every_column_is_what_it_is_alone():
    rows = rows_of(COLUMNS, 300, 1)
    together, apart = apply(rows, COLUMNS, GROUPS).arrays, alone(COLUMNS, rows)
    assert set(together) == set(apart)
    for name, values in together.items():
        assert values.dtype == apart[name].dtype and values.shape == apart[name].shape, name
        np.testing.assert_allclose(values, apart[name], rtol=1e-6, atol=1e-6, err_msg=name)
    wide = [row["x1"][-4:] for row in rows]
    flat = np.concatenate([np.array(row) for row in wide])
    first = next(k for k, row in enumerate(wide) if len(row) == 4)
    expected = (np.array(wide[first]) - flat.mean()) / flat.std()
    np.testing.assert_allclose(together["x1"][first, :, 0], expected, rtol=1e-5, atol=1e-5)


def test_a_group_is_concatenated_in_the_order_of_names():
    columns = [sequence(name, normalizer_fn="z_score") for name in ("c", "a", "b")]
    groups = {"a": SequenceGroup(max_length=4, concatenate=True)}
    rows = rows_of(columns, 50, 2)
    made, apart = apply(rows, columns, groups).arrays, alone(columns, rows)
    head = {"a": SequenceGroup(max_length=4)}
    apart = {c.name: apply(rows, [c], head).arrays[c.name] for c in columns}
    np.testing.assert_allclose(made["a_input"], np.concatenate([apart[n] for n in "abc"], axis=2), rtol=1e-6, atol=1e-6)


def test_requests_in_stacks_are_what_they_are_one_by_one():
    """Rows that are wrong in one feature, in every one in turn; and rows whose lengths differ."""
    columns = [*[sequence(f"x{k}") for k in range(3)], *[ids(f"i{k}") for k in range(3)], sequence("y", "b")]
    spec = make_spec(columns, GROUPS)
    assert [stack.keys for stack in stacks(spec)] == [("x0", "x1", "x2"), ("i0", "i1", "i2"), ("y",)]
    good: dict[str, Any] = {
        **{f"x{k}": [0.5, 1.5] for k in range(3)},
        **{f"i{k}": [1, 2] for k in range(3)},
        "y": [1.0],
    }
    wrong = [{**good, key: [np.nan, 1.0] if key[0] == "x" else [1, 99]} for key in list(good)[:6]]
    uneven = [{**good, key: value[:1]} for key, value in list(good.items())[:6]]
    rows = [good, *wrong, good, *uneven, good, {**good, "y": []}]
    given = {
        column.key: tf.ragged.constant(
            [row[column.key] for row in rows],
            tf.int64 if column.key[0] == "i" else tf.float32,
            row_splits_dtype=tf.int64,
        )
        for column in columns
    }
    raw, valid = admitted(spec, given, tf.ones([len(rows)], tf.bool))
    expected = [row is good or row["y"] == [] for row in rows]
    assert valid.numpy().tolist() == expected
    for key, values in raw.items():
        assert values.to_list() == [row[key] if fine else [] for row, fine in zip(rows, expected, strict=True)], key
    none = {key: values[:0] for key, values in given.items()}
    raw, valid = admitted(spec, none, tf.ones([0], tf.bool))
    assert valid.shape == (0,) and all(values.nrows() == 0 for values in raw.values())
