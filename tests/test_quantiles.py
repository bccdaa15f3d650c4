"""Quantiles against NumPy: exact while short, within the documented rank error beyond; merged in any order."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.marks import tried
from transforms.statistics.quantiles import COARSE_EPS, EPS, EXACT, SAMPLED, Quantiles, of_sorted

PROBABILITIES = (0.0, 0.01, 0.1, 0.25, 1 / 3, 0.5, 0.75, 0.999, 1.0)
numbers = st.floats(allow_nan=True, allow_infinity=True, width=32) | st.sampled_from([0.0, -0.0, 1e30, 1.0, 1.0])


def one(values: np.ndarray, stream: int = 0, fine: int = 1) -> Quantiles:
    return Quantiles.of(np.asarray(values, np.float64), np.full(len(values), stream), fine)


@settings(max_examples=tried(300), deadline=None)
@given(st.lists(numbers, max_size=30), st.floats(0, 1))
@example([5.0], 0.5)
@example([3.0] * 7, 0.999)
@example([1e30, 1.0], 0.5)
def test_exact_quantiles_are_numpys_to_the_last_bit(values, probability):
    finite = np.array([v for v in values if np.isfinite(v)])
    (found,) = one(np.array(values)).at([probability], 1)
    if len(finite):
        np.testing.assert_array_equal(found, [np.quantile(finite, probability)])
    else:
        assert np.isnan(found).all()


@settings(max_examples=tried(100), deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 3), numbers), max_size=12), min_size=1, max_size=6), st.randoms())
def test_streams_are_apart_and_the_order_of_merging_does_not_matter(parts, random):
    made = [Quantiles.of(np.array([v for _, v in p], float), np.array([s for s, _ in p], int)) for p in parts]
    random.shuffle(made)
    while len(made) > 1:
        made.append(made.pop().merge([pickle.loads(pickle.dumps(made.pop()))]))
    found = made[0].at(PROBABILITIES, 5)
    for stream in range(5):
        mine = np.array([v for p in parts for s, v in p if s == stream and np.isfinite(v)])
        expected = np.quantile(mine, PROBABILITIES) if len(mine) else np.full(len(PROBABILITIES), np.nan)
        np.testing.assert_array_equal(found[:, stream], expected)


def test_exact_up_to_the_limit_and_a_sketch_beyond():
    values = np.random.default_rng(0).normal(size=EXACT + 1)
    short = one(values[:4000]).merge([one(values[4000:EXACT])])
    assert not short.sketches and short.size == EXACT
    np.testing.assert_array_equal(short.at(PROBABILITIES, 1)[:, 0], np.quantile(values[:EXACT], PROBABILITIES))
    long = copy.deepcopy(short).merge([one(values[EXACT:])])
    assert set(long.sketches) == {0} and len(long.values) == 0
    assert np.isin(long.at(PROBABILITIES, 1), values).all()


def rank_errors(values: np.ndarray, found: np.ndarray) -> np.ndarray:
    """How far, as a share of the values, the wanted rank is from the ranks that a value has."""
    ordered = np.sort(values)
    wanted = np.array(PROBABILITIES) * (len(values) - 1)
    first, last = np.searchsorted(ordered, found), np.searchsorted(ordered, found, side="right") - 1
    return np.maximum(np.maximum(first - wanted, wanted - last), 0) / len(values)


def distributions() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    size = 300_000
    return {
        "normal": rng.normal(size=size),
        "ascending": np.arange(size, dtype=float),
        "descending": -np.arange(size, dtype=float),
        "few": rng.choice([0.0, 1.0, 7.0], size, p=[0.6, 0.39, 0.01]),
        "heavy": rng.pareto(0.5, size),
        "constant": np.full(size, 0.1),
        "huge": np.concatenate([rng.normal(size=size - 1), [1e30]]),
    }


@pytest.mark.parametrize("name", distributions())
@pytest.mark.parametrize("fine", [1, 0])
def test_a_sketch_is_within_its_rank_error_however_it_was_merged(name, fine):
    values = distributions()[name]
    rng = np.random.default_rng(2)
    parts = [one(part, fine=fine) for part in np.split(values, [50, 3000, 9000, 90_000, 90_001, 200_000])]
    while len(parts) > 1:
        a, b = (parts.pop(int(rng.integers(len(parts)))) for _ in range(2))
        parts.append(pickle.loads(pickle.dumps(a.compact())).merge([b]))
    found = parts[0].at(PROBABILITIES, 1)[:, 0]
    allowed = (EPS if fine else COARSE_EPS) + 1 / SAMPLED
    errors = rank_errors(values, found)
    assert (errors <= allowed).all(), errors
    assert np.isin(found, values).all()  # never a number between two that are there
    assert found[0] == values.min() and found[-1] == values.max()
    np.testing.assert_array_equal(parts[0].at(PROBABILITIES, 1)[:, 0], found)  # asking changes nothing
    parts[0].merge([one(np.zeros(10))])


def test_long_and_short_streams_side_by_side():
    rng = np.random.default_rng(3)
    streams = rng.choice([0, 2, 5], 40_000, p=[0.9, 0.0995, 0.0005])
    values = rng.normal(streams, 1.0)
    made = Quantiles(fine=1)
    for part in np.array_split(np.arange(len(values)), 13):
        made.merge([Quantiles.of(values[part], streams[part])])
    assert set(made.sketches) == {0}
    found = made.at(PROBABILITIES, 7)
    assert (rank_errors(values[streams == 0], found[:, 0]) <= EPS + 1 / SAMPLED).all()
    for stream in (2, 5):
        np.testing.assert_array_equal(found[:, stream], np.quantile(values[streams == stream], PROBABILITIES))
    assert np.isnan(found[:, [1, 3, 4, 6]]).all()
    moved = made.renumbered(np.array([4, 1, 0, 3, 5, 2, 6])).at(PROBABILITIES, 7)
    np.testing.assert_array_equal(moved[:, [4, 0, 2]], found[:, [0, 2, 5]])


def test_what_travels_stays_small():
    values = np.random.default_rng(4).normal(size=2_000_000)
    fine, coarse = one(values).compact(), one(values, fine=0).compact()
    assert len(pickle.dumps(fine)) < 2_000_000 and len(pickle.dumps(coarse)) < 300_000


def test_nothing_and_one_value():
    assert np.isnan(Quantiles().at([0.5], 3)).all()
    assert one(np.array([np.nan, np.inf, -np.inf])).size == 0
    assert one(np.array([7.0])).at(PROBABILITIES, 1).tolist() == [[7.0]] * len(PROBABILITIES)
    assert of_sorted(np.zeros(0), np.zeros(2, int), np.zeros(2, int), []).shape == (0, 2)
