"""The goals, each a ratio inside one run or a time, and whether they were met."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from tests.benchmarks.groups import ASK, GROUPS, LOAD, ONE_GROUP
from tests.benchmarks.jobs import (
    COMPILED,
    EVENTS,
    FAULT,
    HELP,
    IMPORTS,
    LARGEST,
    MAIN,
    ML,
    ONE_WORKER,
    OURS,
    POLARS,
    TFT,
    TWO_WORKERS,
)
from tests.benchmarks.results import Results, What

LARGE: Final = MAIN[1]


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


def slopes(peer: str, what: What, ours: str = OURS, sizes: tuple[int, int] = MAIN) -> Callable[[Results], float]:
    """Our cost of a row, divided by a peer's."""
    return lambda results: results.slope(ours, sizes, what) / results.slope(peer, sizes, what)


def above_imports(results: Results) -> float:
    """Our peak memory in MB without what the imports take."""
    return (results.median(OURS, LARGE, "peak") - results.median(IMPORTS, 0, "peak")) / 1e6


def of_groups(what: str) -> Callable[[Results], float]:
    """A figure of the graph with 250 groups, divided by that with one."""
    named = [f"{contender}: {what}" for contender in (GROUPS, ONE_GROUP)]
    return lambda results: results.median(named[0], 0, "cpu") / results.median(named[1], 0, "cpu")


GOALS: Final = [
    Goal("J1", "CPU a row, of tf.Transform's", 0.28, slopes(TFT, "cpu")),
    Goal("J1", "wall at 800,000 rows, of tf.Transform's", 0.35, against(TFT, LARGE, "wall")),
    Goal("J1", "peak memory at 800,000 rows, of tf.Transform's", 0.22, against(TFT, LARGE, "peak")),
    Goal("J1", "peak memory at 800,000 rows, above what the imports take", 200, above_imports, " MB"),
    Goal("J1", "CPU a row, of the compiled loop's", 2.0, slopes(COMPILED, "cpu")),
    Goal("J1", "the compiled loop's CPU a row, of tf.Transform's", 0.15, slopes(TFT, "cpu", COMPILED)),
    Goal(
        "J1",
        "wall a row from 800,000 to 3,200,000 rows with two workers, of that with one",
        0.6,
        slopes(ONE_WORKER, "wall", TWO_WORKERS, LARGEST),
    ),
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
        lambda r: r.median(OURS, LARGEST[1], "peak") / r.median(OURS, LARGE, "peak"),
    ),
    Goal(
        "J1",
        "CPU a row from 800,000 to 3,200,000 rows, of that from 200,000 to 800,000",
        1.05,
        lambda r: r.slope(OURS, LARGEST, "cpu") / r.slope(OURS, MAIN, "cpu"),
    ),
    Goal("J2", "wall a row, of Polars'", 1.0, slopes(POLARS, "wall")),
    Goal("J2", "peak memory at 800,000 rows, of Polars'", 0.9, against(POLARS, LARGE, "peak")),
    Goal("J3", "CPU at 20,000 rows, of tf.Transform's", 0.25, against(TFT, 20_000, "cpu")),
    Goal("J3", "wall at 1,000 rows, the graph and all else", 12, lambda r: r.median(OURS, 1_000, "wall"), " s"),
    Goal("J4", "wall at 1,000 rows, of tf.Transform's", 1.0, against(TFT, 1_000, "wall")),
    Goal("J4", "`seqcols --help`", 0.5, lambda r: r.median(HELP, 0, "wall"), " s"),
    Goal("J4", "an error in the columns file", 1, lambda r: r.median(FAULT, 0, "wall"), " s"),
    Goal(
        "J3-groups",
        "CPU at 1,000 rows with 250 groups, of that with one",
        1.5,
        lambda r: r.median(GROUPS, 1_000, "cpu") / r.median(ONE_GROUP, 1_000, "cpu"),
    ),
    Goal("J3-groups", "loading the graph, CPU with 250 groups, of that with one", 1.5, of_groups(LOAD)),
    Goal("J3-groups", "a request of one row, CPU with 250 groups, of that with one", 1.5, of_groups(ASK)),
    Goal("J5", "CPU an event from 10 to 40 million, of Polars'", 1.0, slopes(POLARS, "cpu", sizes=EVENTS)),
    Goal("J5", "wall an event from 10 to 40 million, of Polars'", 1.0, slopes(POLARS, "wall", sizes=EVENTS)),
    Goal("J5", "peak memory at 40 million events", 1200, lambda r: r.median(OURS, EVENTS[1], "peak") / 1e6, " MB"),
    Goal(
        "J5",
        "peak memory at 40 million events, of that at 10 million",
        1.05,
        lambda r: r.median(OURS, EVENTS[1], "peak") / r.median(OURS, EVENTS[0], "peak"),
    ),
]
