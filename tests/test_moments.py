"""Statistics against NumPy in float64, over accepted, kept, finite steps."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from transforms import moments
from transforms.columns import numeric_column, sequence_numeric_column
from transforms.groups import SequenceGroup
from transforms.memory import Applied, apply
from transforms.normalizers import ZScore

SINGLE = st.floats(-1e6, 1e6, width=32) | st.sampled_from([1e30, -1e30, 0.0, 3.0, 1e-30])


def table_of(values: np.ndarray) -> np.ndarray:
    """The table of `[n, dimensions]` in plain NumPy, in extended precision."""
    if not len(values):
        return moments.empty(values.shape[1])
    wide = values.astype(np.longdouble)
    spread = ((wide - wide.mean(axis=0)) ** 2).sum(axis=0)
    return np.stack(
        [np.full(wide.shape[1], len(wide)), wide.mean(axis=0), spread, wide.min(axis=0), wide.max(axis=0)]
    ).astype(float)


@given(rows=st.lists(st.tuples(SINGLE, SINGLE), max_size=30), cuts=st.lists(st.integers(0, 30), max_size=4))
def test_batches_merge_to_the_whole(rows, cuts):
    values = np.array(rows, np.float32).reshape(-1, 2)
    parts = np.split(values, sorted(min(cut, len(values)) for cut in cuts))
    tables = [moments.of_batch(tf.constant(part), tf.ones(part.shape, tf.bool)).numpy() for part in parts]
    merged, expected = moments.merge(tables), table_of(values)
    largest = float(np.abs(values).max(initial=0))
    np.testing.assert_allclose(merged[0], expected[0])
    np.testing.assert_allclose(merged[1], expected[1], rtol=1e-12, atol=1e-13 * largest)
    np.testing.assert_allclose(merged[2], expected[2], rtol=1e-9, atol=1e-13 * largest**2)
    np.testing.assert_array_equal(merged[3:], expected[3:])
    np.testing.assert_allclose(
        moments.variance(merged), expected[2] / np.maximum(expected[0], 1), rtol=1e-9, atol=1e-13 * largest**2
    )


def test_a_large_mean_keeps_the_variance():
    """Where sums of squares lose every digit: 1e9 + {0, 1, 2}, in many batches."""
    values = (1e9 + np.arange(3000) % 3)[:, None]
    tables = [
        moments.of_batch(tf.constant(part), tf.ones(part.shape, tf.bool)).numpy() for part in np.split(values, 100)
    ]
    np.testing.assert_allclose(moments.variance(moments.merge(tables)), [values.var()], rtol=1e-9)


def test_unobserved_values_do_not_count():
    values = np.array([[1.0, np.nan], [np.inf, 5.0], [3.0, 7.0]])
    observed = np.isfinite(values)
    table = moments.of_batch(tf.constant(values), tf.constant(observed)).numpy()
    np.testing.assert_allclose(table, np.concatenate([table_of(values[[0, 2], :1]), table_of(values[1:, 1:])], axis=1))


def kept_steps(rows: list[list[float]], made: Applied, width: int, group: SequenceGroup, over: str) -> np.ndarray:
    """The steps `[n, width]` of accepted rows that count, cut by hand."""
    size = group.fixed_length if over == "kept" else None
    steps = []
    for k in made.rows:
        row = np.array(rows[k], np.float32).reshape(-1, width)
        steps.append(row if size is None else row[:size] if group.truncate == "head" else row[-size:])
    return np.concatenate([np.zeros((0, width), np.float32), *steps]).astype(np.float64)


@pytest.mark.parametrize("per", ["dimension", "column"])
@pytest.mark.parametrize("over", ["kept", "all"])
@pytest.mark.parametrize(("truncate", "size"), [("head", 2), ("tail", 2), ("reject", 4), ("head", "longest")])
@pytest.mark.parametrize("non_finite", ["reject", "fill", "keep"])
def test_z_score(per, over, truncate, size, non_finite):
    rng = np.random.default_rng([5, size if isinstance(size, int) else 0])
    rows = [rng.normal([5, -300], [0.1, 40], (n, 2)).ravel().tolist() for n in rng.integers(0, 7, 40)]
    rows[3][:1] = [float("nan")]
    rows[4][-1:] = [float("inf")]
    group = SequenceGroup(max_length=size, truncate=truncate, padding="pre")
    column = sequence_numeric_column(
        "x", 2, -9.0, normalizer_fn=ZScore(per=per), statistics_over=over, non_finite=non_finite
    )
    made = apply([{"x": row} for row in rows], [column], group)
    steps = kept_steps(rows, made, 2, group, over)
    steps[~np.isfinite(steps)] = np.nan
    axis = 0 if per == "dimension" else None
    mean, deviation = np.nanmean(steps, axis=axis), np.nanstd(steps, axis=axis)
    shown = kept_steps(rows, made, 2, group, "kept")
    expected = (shown - mean) / deviation
    if non_finite == "fill":
        expected[~np.isfinite(shown)] = -9.0
    ours = made["x"][made.mask()]
    np.testing.assert_allclose(ours, expected, rtol=1e-6, atol=1e-6 * np.abs(mean / deviation).max())
    assert (made["x"][~made.mask()] == -9.0).all()
    assert (2 in made.rows) == (truncate != "reject" or len(rows[2]) <= 8)


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([[5.0, 5.0], [5.0]], [[0, 0], [0, -1]]),
        ([[0.1] * 3], [[0, 0, 0]]),  # its variance comes out as 1e-34 and not 0
        ([[7.0]], [[0]]),
        ([[], None], [[], []]),
        ([[1.0, 2.0, 3.0]], [[-(1.5**0.5), 0, 1.5**0.5]]),
    ],
)
def test_constant_single_and_no_values(rows, expected):
    made = apply([{"x": row} for row in rows], [sequence_numeric_column("x", (), -1.0, normalizer_fn="z_score")])
    np.testing.assert_allclose(made["x"], expected, rtol=1e-6, atol=1e-7)


def test_one_huge_value_does_not_swallow_the_others():
    values = np.array([1e30, 1.0, 2.0, 3.0], np.float32)
    made = apply([{"x": values}], [sequence_numeric_column("x", (), normalizer_fn="z_score")])
    wide = values.astype(np.float64)
    np.testing.assert_allclose(made["x"][0], (wide - wide.mean()) / wide.std(), rtol=1e-6)


@pytest.mark.parametrize("per", ["dimension", "column"])
def test_context_numeric_counts_present_values_only(per):
    rows: list[dict[str, Any]] = [{"x": [1.0, 10.0]}, {}, {"x": [2.0, 30.0]}, {"x": [3.0]}, {"x": [6.0, float("nan")]}]
    made = apply(rows, [numeric_column("x", 2, 4.0, normalizer_fn=ZScore(per=per))])
    present = np.array([[1.0, 10.0], [2.0, 30.0]])
    axis = 0 if per == "dimension" else None
    expected = (np.array([[1.0, 10.0], [4.0, 4.0], [2.0, 30.0]]) - present.mean(axis=axis)) / present.std(axis=axis)
    np.testing.assert_allclose(made["x"], expected, rtol=1e-6)


def test_statistics_are_taken_along_to_other_rows():
    columns = [sequence_numeric_column("x", (), normalizer_fn="z_score")]
    first = apply([{"x": [1.0, 2.0, 3.0]}], columns)
    second = apply([{"x": [4.0]}, {"x": [2.0] * 5}], columns, fitted=first.fitted)
    np.testing.assert_allclose(second["x"], [[2 * 1.5**0.5, 0, 0], [0, 0, 0]], rtol=1e-6)
    assert second.lengths().tolist() == [1, 3]  # T is a statistic too
