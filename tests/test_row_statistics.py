"""Statistics of a row: against NumPy, and the same to the last bit whatever other rows share the batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.marks import tried
from transforms import SequenceGroup, apply, sequence_numeric_column
from transforms.columns.steps import Steps
from transforms.normalizers import Statistics, ZScore
from transforms.rows.ragged import splits_of
from transforms.statistics.row_statistics import of_rows

PROBABILITIES = (0.0, 0.01, 0.25, 0.5, 0.9, 1.0)
NAMES = ("count", "mean", "variance", "min", "max")

Row = tuple[np.ndarray, np.ndarray]
"""Values `[steps, *shape]` and which of them are observed."""


def run(values: Any, observed: Any, splits: Any) -> list[tf.Tensor]:
    made = of_rows(values, Steps(values, observed, splits, {}), PROBABILITIES)
    return [*(getattr(made, name) for name in NAMES), *(made.quantiles[p] for p in PROBABILITIES)]


COMPILED = tf.function(
    run,
    input_signature=[
        tf.TensorSpec([None, 2], tf.float32),
        tf.TensorSpec([None, 2], tf.bool),
        tf.TensorSpec([None], tf.int64),
    ],
)


def found(rows: list[Row], function: Any = run) -> Statistics:
    values, observed = (np.concatenate([row[k] for row in rows]) for k in range(2))
    splits = splits_of(np.array([len(row[0]) for row in rows], np.int64))
    made = [t.numpy() for t in function(*(tf.constant(t) for t in (values, observed, splits)))]
    (count, mean, variance, low, high), quantiles = made[: len(NAMES)], made[len(NAMES) :]
    return Statistics(count, mean, variance, low, high, dict(zip(PROBABILITIES, quantiles, strict=True)))


def make(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any = np.float32) -> Row:
    steps = int(rng.integers(0, 9))
    values = rng.normal(10.0 ** rng.integers(-3, 9), 10.0 ** rng.integers(-3, 5), (steps, *shape)).astype(dtype)
    values[rng.random(values.shape) < 0.1] = dtype(1e30 if dtype is np.float32 else 2**62)
    if dtype is np.float32:
        values[rng.random(values.shape) < 0.1] = np.nan
    return values, rng.random(values.shape) < rng.choice([0.0, 0.5, 1.0])


@pytest.mark.parametrize("shape", [(), (1,), (2, 3)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64])
def test_figures_are_numpys(shape, dtype):
    rng = np.random.default_rng(5)
    rows = [make(rng, shape, dtype) for _ in range(80)]
    made = found(rows)
    first, compared = 0, 0
    for values, observed in rows:
        for at in np.ndindex(*values.shape):
            own = (slice(None), *at[1:])
            mine = values[own][observed[own] & np.isfinite(values[own].astype(float))].astype(np.float64)
            place = (first + at[0], *at[1:])
            if not len(mine):
                assert [getattr(made, name)[place] for name in NAMES] == [0, 0, 0, np.inf, -np.inf]
                assert all(np.isnan(quantile[place]) for quantile in made.quantiles.values())
                continue
            assert made.count[place] == len(mine)
            assert (made.min[place], made.max[place]) == (mine.min(), mine.max())
            np.testing.assert_allclose(made.mean[place], mine.mean(), rtol=1e-12, atol=1e-12)
            np.testing.assert_allclose(made.variance[place], mine.var(), rtol=1e-9, atol=1e-12 * np.abs(mine).max())
            np.testing.assert_array_equal(
                [quantile[place] for quantile in made.quantiles.values()], np.quantile(mine, PROBABILITIES)
            )
            compared += 1
        first += len(values)
    assert compared > 100


@pytest.mark.parametrize("function", [run, COMPILED], ids=["eager", "graph"])
@settings(max_examples=tried(15), deadline=None)
@given(st.integers(0, 2**32))
def test_a_row_is_the_same_to_the_last_bit_in_every_batch(function, seed):
    rng = np.random.default_rng(seed)
    rows = [make(rng, (2,)) for _ in range(int(rng.integers(1, 20)))]
    rows.append(tuple(np.concatenate([row[k] for row in rows]) for k in range(2)))  # a long one, too
    together = found(rows, function)
    first = 0
    for row in rows:
        alone = found([row], function)
        part = slice(first, first + len(row[0]))
        for name in NAMES:
            assert getattr(alone, name).tobytes() == getattr(together, name)[part].tobytes(), name
        for p in PROBABILITIES:
            assert alone.quantiles[p].tobytes() == together.quantiles[p][part].tobytes(), p
        first += len(row[0])


def test_long_rows_are_the_same_alone_and_among_others():
    rng = np.random.default_rng(6)
    rows = [(rng.normal(size=(n, 2)).astype(np.float32), np.ones((n, 2), bool)) for n in (1, 4097, 0, 20_001, 3)]
    together = found(rows)
    for k, row in enumerate(rows):
        first = sum(len(other[0]) for other in rows[:k])
        alone = found([row])
        for name in NAMES:
            assert getattr(alone, name).tobytes() == getattr(together, name)[first : first + len(row[0])].tobytes()


def test_no_steps_and_no_rows():
    nothing = (np.zeros((0, 2), np.float32), np.zeros((0, 2), bool))
    for rows in ([nothing], [nothing, nothing]):
        made = found(rows)
        assert made.mean.shape == made.quantiles[0.5].shape == (0, 2)


def test_z_score_of_every_row():
    rng = np.random.default_rng(7)
    rows = [rng.normal(5, 3, int(n)).astype(np.float32) for n in rng.integers(0, 6, 20)]
    rows[3] = np.full(4, 0.1, np.float32)  # a constant row
    rows[4] = np.array([1e30, 1.0, 2.0], np.float32)
    column = sequence_numeric_column("x", (), -9.0, normalizer_fn=ZScore(per="row"))
    made = apply([{"x": row} for row in rows], [column])
    for row, got in zip(rows, made["x"], strict=True):
        if not len(row):
            continue
        wide = row.astype(np.float64)
        expected = np.zeros(len(row)) if np.ptp(row) == 0 else (wide - wide.mean()) / wide.std()
        np.testing.assert_allclose(got[: len(row)], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("truncate", ["head", "tail"])
@pytest.mark.parametrize("over", ["kept", "all"])
def test_steps_that_are_cut_off_count_on_request(truncate, over):
    rows = [np.arange(n, dtype=np.float32) ** 2 for n in (2, 3, 7)]
    group = SequenceGroup(max_length=3, truncate=truncate)
    column = sequence_numeric_column("x", (), normalizer_fn=ZScore(per="row"), statistics_over=over)
    made = apply([{"x": row} for row in rows], [column], group)
    for row, got in zip(rows, made["x"], strict=True):
        kept = row[:3] if truncate == "head" else row[-3:]
        counted = row if over == "all" else kept
        np.testing.assert_allclose(got[: len(kept)], (kept - counted.mean()) / counted.std(), rtol=1e-5, atol=1e-6)
