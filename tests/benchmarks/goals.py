"""The goals, each a ratio inside one run or a time, and whether they were met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.jobs import FAULT, HELP, LIMIT, MAIN, ML, OURS, POLARS, TFT
from tests.benchmarks.results import Results, What

SMALL, LARGE, LARGEST = *MAIN, 3_200_000


@dataclass(frozen=True)
class Goal:
    """A figure that is to be at most, or at least, another.

    Attributes:
      job: the job's key.
      what: what is compared.
      allowed: the limit.
      figure: finds the figure; a KeyError says that it was not measured.
      unit: what stands after a figure that is no ratio.
      least: whether the limit is the least that is allowed.
    """

    job: str
    what: str
    allowed: float
    figure: Callable[[Results], float]
    unit: str = ""
    least: bool = False

    def judged(self, results: Mapping[str, Results]) -> list[str]:
        """Returns the cells of its line: job, what, goal, figure, outcome."""
        goal = f"{'at least' if self.least else 'at most'} {self.allowed:g}{self.unit}"
        try:
            figure = self.figure(results[self.job])
        except (KeyError, ZeroDivisionError):
            return [self.job, self.what, goal, "-", "not measured"]
        return [self.job, self.what, goal, f"{figure:.3g}{self.unit}", self.outcome(figure)]

    def outcome(self, figure: float) -> str:
        """Returns whether a figure meets the goal, and by how much it misses it.

        >>> Goal("J1", "", 0.5, lambda results: 0).outcome(0.6)
        'missed by 20 %'
        """
        if figure <= 0:  # a slope within the noise
            return "not judged: noise"
        if (figure >= self.allowed) if self.least else (figure <= self.allowed):
            return "met"
        off = 1 - figure / self.allowed if self.least else figure / self.allowed - 1
        return f"missed by {100 * off:.0f} %" if off >= 0.01 else f"missed by {100 * off:.2f} %"


def against(peer: str, rows: int, what: What) -> Callable[[Results], float]:
    """Our figure, divided by a peer's."""
    return lambda results: results.median(OURS, rows, what) / results.median(peer, rows, what)


def slopes(peer: str, what: What) -> Callable[[Results], float]:
    """Our cost of a row, divided by a peer's."""
    return lambda results: results.slope(OURS, MAIN, what) / results.slope(peer, MAIN, what)


GOALS: Final = [
    Goal("J1", "CPU a row, of tf.Transform's", 0.35, slopes(TFT, "cpu")),
    Goal("J1", "wall at 800,000 rows, of tf.Transform's", 0.35, against(TFT, LARGE, "wall")),
    Goal("J1", "peak memory at 800,000 rows, of tf.Transform's", 0.2, against(TFT, LARGE, "peak")),
    Goal("J1", "CPU a row, of the limit's", 1.1, slopes(LIMIT, "cpu")),
    Goal("J1", "wall at 800,000 rows, of the limit's", 0.7, against(LIMIT, LARGE, "wall")),
    Goal(
        "J1",
        "rows/s without start-up, of MLTransform's",
        20,
        lambda r: r.slope(ML, (5_000, 20_000), "wall") / r.slope(OURS, MAIN, "wall"),
        least=True,
    ),
    Goal(
        "J1",
        "peak memory at 3,200,000 rows, of that at 800,000",
        1.05,
        lambda r: r.median(OURS, LARGEST, "peak") / r.median(OURS, LARGE, "peak"),
    ),
    Goal(
        "J1",
        "CPU a row from 800,000 to 3,200,000 rows, of that from 200,000 to 800,000",
        1.05,
        lambda r: r.slope(OURS, (LARGE, LARGEST), "cpu") / r.slope(OURS, MAIN, "cpu"),
    ),
    Goal("J2", "wall a row, of Polars'", 1.0, slopes(POLARS, "wall")),
    Goal("J2", "peak memory at 800,000 rows, of Polars'", 0.8, against(POLARS, LARGE, "peak")),
    Goal("J3", "CPU at 20,000 rows, of tf.Transform's", 0.25, against(TFT, 20_000, "cpu")),
    Goal("J3", "wall at 1,000 rows, the graph and all else", 10, lambda r: r.median(OURS, 1_000, "wall"), " s"),
    Goal("J4", "wall at 1,000 rows, of tf.Transform's", 0.6, against(TFT, 1_000, "wall")),
    Goal("J4", "`seqcols --help`", 0.5, lambda r: r.median(HELP, 0, "wall"), " s"),
    Goal("J4", "an error in the columns file", 1, lambda r: r.median(FAULT, 0, "wall"), " s"),
]
