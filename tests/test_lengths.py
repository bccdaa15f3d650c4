"""What T costs, from the sketch of lengths: against the same counted on the lengths themselves, row by row."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.planning import lengths
from pipeline.planning.lengths import Lengths
from transforms.rows.tally import EXACT_LENGTHS, Tally, add, bucket_end, count_lengths, length_bucket

RESOLUTION = 1 / 32
"""How far off a length is at most, of itself: 32 buckets an octave."""


def sketch(rows: Sequence[int]) -> Lengths:
    """Counts rows in two batches, as a pass does, and adds the tallies up."""
    tally: Tally = Counter()
    for part in (rows[: len(rows) // 2], rows[len(rows) // 2 :]):
        add(tally, count_lengths("g", np.array(part, np.int64)))
    return Lengths.of_tally(tally, "g")


def by_hand(rows: Sequence[int], sizes: Sequence[int], reject: bool = False) -> dict[str, int]:
    """Goes from row to row: cuts or drops it, pads it to the first T that it fits."""
    found = dict.fromkeys(("rows", "places", "kept", "cut_rows", "cut_steps"), 0)
    for length in rows:
        found["cut_rows"] += length > sizes[-1]
        if length > sizes[-1] and reject:
            found["cut_steps"] += length
            continue
        kept = min(length, sizes[-1])
        found["rows"] += 1
        found["places"] += next(size for size in sizes if size >= kept)
        found["kept"] += kept
        found["cut_steps"] += length - kept
    return found


def smallest(rows: Sequence[int], budget: float, reject: bool) -> int:
    """Tries every T from 1."""
    return next(t for t in range(1, max(rows) + 2) if by_hand(rows, [t], reject)["cut_steps"] <= budget * sum(rows))


short = st.lists(st.integers(0, EXACT_LENGTHS - 1), min_size=1, max_size=30)
mixed = st.lists(
    st.integers(0, 5000) | st.integers(0, 100) | st.sampled_from([64, 65, 127, 128, 129]), min_size=1, max_size=30
)
budgets = st.floats(0, 0.3)


def test_the_end_of_a_bucket_is_the_last_length_in_it():
    every = np.arange(100_000)
    ends = bucket_end(every)
    np.testing.assert_array_equal(length_bucket(ends), length_bucket(every))
    assert (length_bucket(ends + 1) > length_bucket(every)).all()
    assert ((ends - length_bucket(every)) * 32 <= np.maximum(every, 1)).all()


@given(short, st.lists(st.integers(1, 80), min_size=1, max_size=4, unique=True), st.booleans())
def test_below_64_steps_all_is_exact(rows, sizes, reject):
    found, sizes = sketch(rows), sorted(sizes)
    for one, bounds in (
        (lengths.cost(found, sizes[-1], reject), sizes[-1:]),
        (lengths.bucketed(found, sizes, reject), sizes),
    ):
        assert vars(one) == by_hand(rows, bounds, reject)
    assert lengths.most_cut(found, sizes[-1], reject) == by_hand(rows, sizes, reject)["cut_steps"]


@given(mixed, st.data(), st.booleans())
def test_above_no_figure_is_off_by_more_than_the_resolution(rows, data, reject):
    found = sketch(rows)
    sizes = sorted(
        data.draw(st.sets(st.sampled_from([*(int(end) for end in found.ends if end), 6000]), min_size=1, max_size=4))
    )
    exact, made = by_hand(rows, sizes, reject), lengths.bucketed(found, sizes, reject)
    # A T that is the end of a bucket parts no bucket.
    for what in ("rows", "places", "cut_rows"):
        assert getattr(made, what) == pytest.approx(exact[what]), what
    for what in ("kept", "cut_steps"):
        assert abs(getattr(made, what) - exact[what]) <= RESOLUTION * sum(rows) + 1e-6, what
    assert made.kept + made.cut_steps == pytest.approx(sum(rows))
    assert lengths.most_cut(found, sizes[-1], reject) >= exact["cut_steps"]


@given(mixed, st.integers(1, 6000))
def test_nor_is_it_for_any_other_t(rows, size):
    found = sketch(rows)
    exact, made = by_hand(rows, [size]), lengths.cost(found, size)
    for what in ("kept", "cut_steps"):
        assert abs(getattr(made, what) - exact[what]) <= RESOLUTION * sum(rows) + 1e-6, what
    same = int((length_bucket(np.array(rows)) == length_bucket(np.array([size]))).sum())
    assert abs(made.cut_rows - exact["cut_rows"]) <= same + 1e-6


@given(mixed, budgets, st.booleans())
def test_what_is_proposed_keeps_the_budget_and_is_no_longer_than_need_be(rows, budget, reject):
    size = lengths.propose(sketch(rows), budget, reject)
    assert by_hand(rows, [size], reject)["cut_steps"] <= budget * sum(rows)
    if max(rows) < EXACT_LENGTHS:
        assert size == smallest(rows, budget, reject)
    else:  # as if all rows were as long as their buckets allow
        longer = [min(int(end), max(rows)) for end in bucket_end(np.array(rows))]
        allowed = budget * sum(rows) / sum(longer)
        assert size <= bucket_end(np.array(smallest(longer, allowed, reject)))


@given(st.lists(st.integers(0, 12), min_size=1, max_size=20), st.integers(1, 14), st.integers(1, 4), st.booleans())
def test_no_other_boundaries_take_fewer_places(rows, size, most, reject):
    made = lengths.partitions(sketch(rows), size, most, reject)
    for count, bounds in enumerate(made, 1):
        assert len(bounds) == count and bounds == sorted(set(bounds)) and bounds[-1] == size
        others = [[*some, size] for some in itertools.combinations(range(1, size), count - 1)]
        fewest = min(by_hand(rows, other, reject)["places"] for other in others)
        assert by_hand(rows, bounds, reject)["places"] == fewest


@given(st.lists(st.integers(1, 700), min_size=2, max_size=6, unique=True))
def test_boundaries_above_64_steps_are_within_the_resolution_of_the_best(rows):
    size = max(rows)
    bounds = lengths.partitions(sketch(rows), size, 2)[-1]
    others = [[*some, size] for some in itertools.combinations(sorted(set(rows) - {size}), 1)] + [[size]]
    fewest = min(by_hand(rows, other)["places"] for other in others)
    assert by_hand(rows, bounds)["places"] <= fewest * (1 + RESOLUTION)


def test_more_buckets_never_take_more_places():
    rows = np.random.default_rng(7).lognormal(4, 1, 5000).astype(np.int64)
    found = sketch(rows.tolist())
    size = lengths.propose(found, 0.01)
    places = [lengths.bucketed(found, bounds).places for bounds in lengths.partitions(found, size, 8)]
    assert len(places) == 8 and places == sorted(places, reverse=True) and places[-1] < places[0] / 3
    assert places[0] == size * len(rows)
    assert places[-1] == by_hand(rows.tolist(), lengths.partitions(found, size, 8)[-1])["places"]


def test_no_rows_and_rows_without_steps():
    none, empty = sketch([]), sketch([0, 0])
    assert (none.rows, none.longest, none.quantile(0.5), empty.rows, empty.quantile(0.5)) == (0, 0, 0, 2, 0)
    assert lengths.propose(none, 0.1) == lengths.propose(empty, 0.1) == 1
    assert vars(lengths.cost(empty, 3)) == by_hand([0, 0], [3])
    assert (lengths.cost(none, 3).padding, lengths.cost(empty, 3).padding) == (0, 1)
    assert lengths.partitions(empty, 1, 3) == [[1]]


@given(mixed)
def test_quantiles_are_lengths_that_so_many_rows_do_not_exceed(rows):
    found = sketch(rows)
    for share in (0.5, 0.9, 1.0):
        size = found.quantile(share)
        exact = sorted(rows)[int(np.ceil(share * len(rows))) - 1]
        assert exact <= size <= exact * (1 + RESOLUTION)
