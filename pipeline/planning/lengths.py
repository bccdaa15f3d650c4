"""The cost of T: arithmetic on the sketch of lengths that every pass counts.

The sketch (`transforms.rows.tally.count_lengths`) has the rows of each bucket of lengths, and exactly their sum and the
longest. Below 64 steps a bucket is one length. Above, a row is known to within 1/32 of its length: rows of such a bucket are
taken to lie at its two ends, in the one proportion for all buckets that gives the exact sum. So a total is exact, rows longer
than the end of a bucket are counted exactly, and no figure in steps is farther off than 1/32 of the steps it is about.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transforms.rows.tally import Tally, bucket_end, lengths_by_group


@dataclass(frozen=True)
class Lengths:
    """The lengths of rows, before truncation.

    Attributes:
      starts: int64 `[n]`, the shortest length of each bucket, ascending.
      ends: int64 `[n]`, the longest.
      counts: int64 `[n]`, rows in it, each at least 1.
      steps: the sum of all lengths.
    """

    starts: np.ndarray
    ends: np.ndarray
    counts: np.ndarray
    steps: int

    @classmethod
    def of(cls, histogram: Sequence[tuple[int, int]], steps: int, longest: int) -> Lengths:
        """Returns the lengths of a histogram.

        Args:
          histogram: the lower end of each bucket, ascending, and its rows; none for no rows.
          steps: the sum of all lengths.
          longest: the largest of them.
        """
        starts, counts = np.array([*histogram, *[(0, 0)] * (not histogram)], np.int64).T
        there = counts > 0
        starts, counts = starts[there], counts[there]
        return cls(starts, np.minimum(bucket_end(starts), longest), counts, steps)

    @classmethod
    def of_tally(cls, tally: Tally, group: str) -> Lengths:
        """Returns the lengths of a sequence group that a pass has counted."""
        histogram = lengths_by_group(tally).get(group, [])
        return cls.of(histogram, tally["", "length_sum", group], tally["", "length_max", group])

    @property
    def rows(self) -> int:
        """The number of rows."""
        return int(self.counts.sum())

    @property
    def longest(self) -> int:
        """The longest of them, 0 for none."""
        return int(self.ends[-1]) if len(self.ends) else 0

    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """Returns lengths `[2 n]` and the rows of each, float64: see the top of the module."""
        spread = int((self.counts * (self.ends - self.starts)).sum())
        upper = (self.steps - int((self.counts * self.starts).sum())) / spread if spread else 0.0
        return np.concatenate([self.starts, self.ends]), np.concatenate(
            [self.counts * (1 - upper), self.counts * upper]
        )

    def quantile(self, share: float) -> int:
        """Returns a length that at least this share of the rows does not exceed: the end of a bucket; 0 for no rows."""
        if not self.rows:
            return 0
        return int(self.ends[np.searchsorted(np.cumsum(self.counts), share * self.rows)])


@dataclass(frozen=True)
class Cost:
    """The cost of writing rows as tensors of a given T, or of several (see `cost`, `bucketed`).

    Attributes:
      rows: rows that are written.
      places: steps that they take, padding included.
      kept: steps of the input among these.
      cut_rows: rows that are longer than T.
      cut_steps: steps that are lost.
    """

    rows: float
    places: float
    kept: float
    cut_rows: float
    cut_steps: float

    @property
    def padding(self) -> float:
        """The share of places that hold padding, 0 where there are none."""
        return max(1 - self.kept / self.places, 0.0) if self.places else 0.0


def cost(lengths: Lengths, size: int, reject: bool = False) -> Cost:
    """Returns what a fixed T costs.

    >>> cost(Lengths.of([(1, 2), (3, 2)], 8, 3), 2)
    Cost(rows=4.0, places=8.0, kept=6.0, cut_rows=2.0, cut_steps=2.0)

    Args:
      lengths: of the rows.
      size: T.
      reject: whether a longer row is rejected, so that all its steps are lost; else it is cut.
    """
    at, rows = lengths.points()
    over = at > size
    cut_rows = float(rows[over].sum())
    written = lengths.rows - cut_rows if reject else float(lengths.rows)
    kept = float((rows * np.where(over, 0 if reject else size, at)).sum())
    return Cost(written, written * size, kept, cut_rows, max(lengths.steps - kept, 0.0))


def bucketed(lengths: Lengths, sizes: Sequence[int], reject: bool = False) -> Cost:
    """Returns what length buckets cost: a row goes to the first whose T it does not exceed, a longer one to the last.

    Args:
      lengths: of the rows.
      sizes: T of each bucket, ascending.
      reject: see `cost`.
    """
    one = cost(lengths, sizes[-1], reject)
    at, rows = lengths.points()
    bounds = np.array(sizes)
    inside = at <= bounds[-1]
    places = float((rows[inside] * bounds[np.searchsorted(bounds, at[inside])]).sum())
    return Cost(one.rows, places + (0 if reject else one.cut_rows * sizes[-1]), one.kept, one.cut_rows, one.cut_steps)


def most_cut(lengths: Lengths, size: int, reject: bool = False) -> int:
    """Returns how many steps a T loses at most, wherever in their buckets the rows lie."""
    starts, ends, counts = lengths.starts, lengths.ends, lengths.counts
    if reject:
        whole = ends <= size
        lost, left = (counts * ends)[~whole].sum(), (counts * starts)[whole].sum()
    else:
        lost, left = (counts * np.maximum(ends - size, 0)).sum(), (counts * np.minimum(starts, size)).sum()
    return min(int(lost), lengths.steps - int(left))


def propose(lengths: Lengths, budget: float, reject: bool = False) -> int:
    """Returns the smallest T that loses no more than a share of the steps; 1 at least.

    The budget is kept wherever in their buckets the rows lie. A T inside a bucket that has rows becomes its end.

    Args:
      lengths: of the rows.
      budget: the share, 0 to 1.
      reject: see `cost`.
    """
    allowed = budget * lengths.steps
    every = range(1, max(lengths.longest, 1) + 1)
    size = every[bisect_left(every, True, hi=len(every) - 1, key=lambda t: most_cut(lengths, t, reject) <= allowed)]
    at = int(np.searchsorted(lengths.ends, size))
    inside = at < len(lengths.ends) and lengths.starts[at] <= size
    return int(lengths.ends[at]) if inside else size


def partitions(lengths: Lengths, size: int, most: int, reject: bool = False) -> list[list[int]]:
    """Returns the boundaries of 1, 2, ... buckets that take the fewest places: by dynamic programming, over the ends of buckets.

    >>> partitions(Lengths.of([(1, 90), (2, 5), (9, 5)], 145, 9), 9, 2)
    [[9], [1, 9]]

    Args:
      lengths: of the rows.
      size: T of the last bucket.
      most: the largest number of buckets; there are fewer if there are not enough lengths.
      reject: see `cost`.

    Returns:
      T of each bucket, ascending, a list for each number of buckets.
    """
    at, rows = lengths.points()
    ends = np.unique(np.maximum(lengths.ends, 1))
    bounds = np.append(ends[ends < size], size)
    below = np.array([rows[at <= bound].sum() for bound in bounds])  # a few hundred bounds, not rows
    if not reject:
        below[-1] = lengths.rows
    # take[i, j]: places of the rows above bound i and up to bound j.
    take = np.where(np.tri(len(bounds), dtype=bool).T, bounds * (below - below[:, np.newaxis]), np.inf)
    np.fill_diagonal(take, np.inf)
    best, before, made = bounds * below, [], [[size]]
    for _ in range(min(most, len(bounds)) - 1):
        total = best[:, np.newaxis] + take
        before.append(np.argmin(total, axis=0))
        best = total.min(axis=0)
        made.append(_back(bounds, before))
    return made


def _back(bounds: np.ndarray, before: Sequence[np.ndarray]) -> list[int]:
    """Follows the choices back from the last bound."""
    places = [len(bounds) - 1]
    for choices in reversed(before):
        places.append(int(choices[places[-1]]))
    return [int(bounds[place]) for place in reversed(places)]
