"""What was measured: medians, the cost of a row, and how it is kept in docs/benchmarks.json."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Final, Literal

from tests.benchmarks.measured import Measured

What = Literal["wall", "cpu", "peak"]
DIGITS: Final = 3


@dataclass
class Results:
    """Every run of a job.

    Attributes:
      job: its key.
      when: the day.
      machine: its description.
      runs: by contender and rows, in the order in which they were made.
    """

    job: str
    when: str
    machine: str
    runs: dict[tuple[str, int], list[Measured]] = field(default_factory=dict)

    def add(self, contender: str, rows: int, made: Measured) -> None:
        """Adds a run."""
        self.runs.setdefault((contender, rows), []).append(made)

    def median(self, contender: str, rows: int, what: What) -> float:
        """Returns the median over the repeats: seconds, or bytes.

        Raises:
          KeyError: there is no such run.
        """
        return float(median(getattr(made, what) for made in self.runs[contender, rows]))

    def slope(self, contender: str, sizes: tuple[int, int], what: What) -> float:
        """Returns seconds a row between two sizes: what is the same for both, such as start-up, is taken out.

        >>> two = {("a", 100): [Measured(5.0, 4.0, 0)], ("a", 300): [Measured(9.0, 6.0, 0)]}
        >>> Results("J1", "", "", two).slope("a", (100, 300), "wall")
        0.02
        """
        small, large = sizes
        return (self.median(contender, large, what) - self.median(contender, small, what)) / (large - small)


def load(path: Path) -> dict[str, Results]:
    """Returns the results that a file keeps, by job; none if there is no file."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.exists() else []
    return {entry["job"]: _of(entry) for entry in kept}


def save(path: Path, results: Iterable[Results]) -> None:
    """Adds jobs to a file; those of the same key are replaced, others stay."""
    both = load(path) | {one.job: one for one in results}
    path.write_text(json.dumps([_entry(both[key]) for key in sorted(both)], indent=1) + "\n", encoding="utf-8")


def _entry(results: Results) -> dict[str, Any]:
    runs = [
        {"contender": name, "rows": rows, **{key: round(value, DIGITS) for key, value in asdict(made).items()}}
        for (name, rows), all_made in results.runs.items()
        for made in all_made
    ]
    return {"job": results.job, "when": results.when, "machine": results.machine, "runs": runs}


def _of(entry: dict[str, Any]) -> Results:
    results = Results(entry["job"], entry["when"], entry["machine"])
    for run in entry["runs"]:
        results.add(run["contender"], run["rows"], Measured(run["wall"], run["cpu"], run["peak"]))
    return results
