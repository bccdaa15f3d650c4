"""Measures of drift: against SciPy's and TFDV's definitions, written out, and against what sampling alone does."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.bins import bins_of
from transforms.distributions import drift, spans
from transforms.distributions.spans import Spans

GENERATOR = np.random.default_rng(0)


def counted(values: np.ndarray, centre: float = 0.0, whole: bool = False) -> Spans:
    """Counts values as a job does, around a centre."""
    bins, counts = np.unique(bins_of((values - centre).astype(np.float32)), return_counts=True)
    return spans.of_bins(bins.astype(np.int64), counts, centre, whole)


def divergence(one: Spans, other: Spans) -> float:
    return drift.jensen_shannon(*drift.in_common(one, other))


@pytest.mark.parametrize(
    "one, other, expected",
    [
        ({"a": 1}, {"a": 7}, 0),
        ({"a": 1}, {"b": 1}, 1),
        ({"a": 1, "b": 2, "c": 3}, {"a": 3, "b": 2, "c": 1}, Fraction(1, 3)),
        ({"a": 5, "b": 5}, {"a": 5, "b": 2, "c": 3}, Fraction(3, 10)),
        ({"a": 9, "b": 1}, {"b": 1, "c": 1}, Fraction(9, 10)),
        ({}, {}, 0),
        ({"a": 0}, {"a": 3}, 1),
    ],
)
def test_l_infinity_is_the_largest_difference_of_shares(one, other, expected):
    """TFDV's `LInftyDistance`: counts are normalised each by their own total, then the largest absolute difference."""
    assert drift.l_infinity(one, other)[0] == pytest.approx(float(expected), abs=1e-15)
    assert drift.l_infinity(other, one)[0] == drift.l_infinity(one, other)[0]


def test_l_infinity_names_the_category():
    assert drift.l_infinity({"a": 5, "b": 5}, {"a": 5, "b": 1, "c": 4}) == (0.4, "b")
    assert drift.l_infinity({"a": 5}, {"a": 1})[1] is None


# `scipy.spatial.distance.jensenshannon(p, q, base=2) ** 2` of SciPy 1.17.1. SciPy itself is not installed for tests: TensorFlow
# would import it in every run, which takes 0.3 s and tens of megabytes, and the tests would not run what users run.
OF_SCIPY = [
    ([1, 0], [0, 1], 1.0),
    ([1, 1], [1, 0], 0.3112781244591328),
    ([1, 2, 3, 4], [4, 3, 2, 1], 0.15356065532898452),
    ([10, 0, 5, 85], [1, 1, 1, 1], 0.3261758663953874),
    ([1000, 1, 0, 0, 3], [998, 0, 2, 1, 3], 0.001992751065448825),
]


def written_out(p: list[int], q: list[int]) -> float:
    """The definition, term by term: (KL(p || m) + KL(q || m)) / 2 in base 2."""
    total = 0.0
    for one, other in ((p, q), (q, p)):
        for a, b in zip(one, other, strict=True):
            share = Fraction(a, sum(one))
            middle = (share + Fraction(b, sum(other))) / 2
            total += float(share) * math.log2(share / middle) if share else 0.0
    return total / 2


@pytest.mark.parametrize("p, q, expected", OF_SCIPY)
def test_jensen_shannon_is_scipys_squared(p, q, expected):
    found = drift.jensen_shannon(np.array(p), np.array(q))
    assert found == pytest.approx(expected, rel=1e-11)
    assert found == pytest.approx(written_out(p, q), rel=1e-11)
    assert found == drift.jensen_shannon(np.array(q), np.array(p))
    assert drift.jensen_shannon(np.array(p) * 7, np.array(p)) == pytest.approx(0, abs=1e-15)


def test_jensen_shannon_of_nothing():
    nothing, something = np.zeros(3), np.array([0, 2, 0])
    assert [drift.jensen_shannon(*pair) for pair in ((nothing, nothing), (nothing, something))] == [0, 1]


def test_counts_are_spread_as_tfdv_spreads_them():
    """`RebucketHistogram`: evenly over a bucket's range, by where the boundaries cut it."""
    one = Spans(np.array([0.0, 4.0]), np.array([4.0, 6.0]), np.array([8, 6]))
    assert drift.spread(one, np.array([-1.0, 0, 1, 4, 4.5, 6, 9])).tolist() == [0, 2, 6, 1.5, 4.5, 0]
    point = Spans(np.array([1.0, 2.0]), np.array([1.0, 3.0]), np.array([5, 4]))
    assert drift.spread(point, np.array([1.0, 2.5, 3.0])).tolist() == [7, 2]


@pytest.mark.parametrize("centre", [0.0, 1013.25, -7.0])
def test_a_distribution_does_not_differ_from_itself(centre):
    values = np.concatenate([GENERATOR.normal(1000, 5, 2000), [0, np.nan, np.inf, -np.inf, 1e38]])
    one = counted(values, centre)
    assert one.beside == (1, 1, 1)
    assert divergence(one, one) == 0.0


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("first, second", [(2000.3, 2001.9), (1998.0, 2003.5), (2000.0, 2001.0), (0.0, 2001.0)])
def test_numbers_apart_from_each_other_do_not_differ_for_being_counted_around_another_centre(first, second, whole):
    if whole:
        first, second = round(first), round(second)
    years = GENERATOR.choice([1995, 1999, 2000, 2001, 2002, 2010], 5000).astype(np.float64)
    wide = not first  # around 0 a bin holds 128 years
    found = divergence(counted(years, first, whole), counted(years, second, whole))
    assert found < (0.35 if wide else 1e-12)


@pytest.mark.parametrize("first, second", [(1000.0, 1001.0), (1013.0, 990.0), (1000.0, 1000.0)])
def test_a_smooth_distribution_differs_little_around_another_centre(first, second):
    values = GENERATOR.normal(1000, 10, 200_000)
    assert divergence(counted(values, first), counted(values, second)) < 0.001


def test_a_shift_is_what_the_definition_says():
    """Two normal distributions a standard deviation apart: the integral, by a million points, less what bins lose."""
    x = np.linspace(-12, 12, 1_000_001)
    p, q = (np.exp(-((x - shift) ** 2) / 2) for shift in (0, 1))
    exact = written_out([0, 1], [0, 1]) + drift.jensen_shannon(p, q)
    found = divergence(counted(GENERATOR.normal(0, 1, 400_000)), counted(GENERATOR.normal(1, 1, 400_000)))
    assert exact * 0.97 < found < exact * 1.01


def test_what_chance_alone_gives():
    samples = [
        drift.in_common(counted(GENERATOR.normal(0, 1, 3000)), counted(GENERATOR.normal(0, 1, 1000))) for _ in range(60)
    ]
    found = np.mean([drift.jensen_shannon(*pair) for pair in samples])
    expected = np.mean([drift.by_chance(len(pair[0]), 3000, 1000) for pair in samples])
    assert 0.85 < found / expected < 1.15


def test_bins_are_few_and_counts_are_kept():
    one, other = counted(GENERATOR.lognormal(0, 3, 5000)), counted(-GENERATOR.lognormal(0, 3, 700))
    p, q = drift.in_common(one, other)
    assert len(p) == len(q) <= drift.COMMON_BINS and p.sum() == pytest.approx(5000) and q.sum() == pytest.approx(700)
    assert drift.jensen_shannon(p, q) == pytest.approx(1)
    empty = Spans(np.zeros(0), np.zeros(0), np.zeros(0, np.int64))
    assert [divergence(*pair) for pair in ((empty, empty), (empty, one), (one, empty))] == [0, 1, 1]


def test_a_number_of_its_own_is_seen():
    values = GENERATOR.normal(0, 1, 20_000)
    spoilt = np.where(np.arange(20_000) % 20 == 0, -9999.0, values)
    assert divergence(counted(values), counted(spoilt)) == pytest.approx(written_out([20, 0], [19, 1]), rel=0.05)


def test_not_finite_numbers_are_categories():
    one, other = (np.concatenate([np.zeros(8), np.full(n, np.nan), np.full(2 - n, np.inf)]) for n in (2, 0))
    assert divergence(counted(one), counted(other)) == pytest.approx(written_out([8, 2, 0], [8, 0, 2]))
