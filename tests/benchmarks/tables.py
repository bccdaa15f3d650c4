"""Results as tables, for the terminal and for docs/benchmarks.md."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable

from tests.benchmarks.goals import GOALS
from tests.benchmarks.jobs import Job
from tests.benchmarks.results import Results


@dataclass(frozen=True)
class Table:
    """A table of text; columns after the first `words` ones are numbers."""

    title: str
    heads: Sequence[str]
    lines: Sequence[Sequence[str]]
    words: int = 1

    def rich(self) -> RichTable:
        """For the terminal."""
        table = RichTable(title=self.title, title_justify="left")
        for number, head in enumerate(self.heads):
            table.add_column(head, justify="left" if number < self.words else "right")
        for line in self.lines:
            table.add_row(*line)
        return table

    def markdown(self) -> str:
        """For the page."""
        rules = ["---" if number < self.words else "---:" for number in range(len(self.heads))]
        lines = [self.heads, rules, *self.lines]
        return "\n".join(
            "|" + "|".join(f" {cell} " if cell[:3] != "---" else cell for cell in line) + "|" for line in lines
        )


def measured(job: Job, results: Results) -> Table:
    """Medians of a job's runs."""
    lines = []
    for (name, rows), made in sorted(results.runs.items(), key=lambda run: (not run[0][1], run[0][1])):
        wall, cpu = results.median(name, rows, "wall"), results.median(name, rows, "cpu")
        memory = results.median(name, rows, "peak")
        peak = f"{memory / 1e6:,.0f}" if memory else ""
        counts = [f"{rows:,}", f"{rows / wall:,.0f}"] if rows else ["", ""]
        lines.append([name, counts[0], str(len(made)), f"{wall:.2f}", f"{cpu:.2f}", peak, counts[1]])
    heads = ["", "rows", "runs", "wall s", "CPU s", "peak MB", "rows/s"]
    return Table(f"{job.key}: {job.title}", heads, lines)


def row_costs(job: Job, results: Results) -> Table:
    """The cost of a row between two sizes."""
    lines = []
    for name, pairs in job.slopes.items():
        for small, large in pairs:
            if (name, small) in results.runs and (name, large) in results.runs:
                cpu, wall = (results.slope(name, (small, large), what) * 1e6 for what in ("cpu", "wall"))
                lines.append(
                    [name, f"{small:,} to {large:,}", *(f"{x:,.1f}" if x > 0 else "noise" for x in (cpu, wall))]
                )
    return Table(f"{job.key}: the cost of a row", ["", "rows", "CPU µs", "wall µs"], lines)


def of(job: Job, results: Results) -> list[Table]:
    """All tables of a job."""
    return [table for table in (measured(job, results), row_costs(job, results)) if table.lines]


def goals(results: Mapping[str, Results]) -> Table:
    """The goals of the jobs that were measured."""
    lines = [goal.judged(results) for goal in GOALS if goal.job in results]
    return Table("Goals", ["job", "", "goal", "figure", ""], lines, words=5)


def page(jobs: Iterable[Job], results: Mapping[str, Results]) -> str:
    """Returns what stands between the marks of docs/benchmarks.md."""
    parts = [
        _machines(results),
        "![Cost of a row and peak memory](benchmarks.svg)",
        "### Goals",
        goals(results).markdown(),
    ]
    for job in jobs:
        if job.key in results:
            parts += [f"### {job.key}: {job.title}", *(table.markdown() for table in of(job, results[job.key]))]
    return "\n\n".join(parts)


def _machines(results: Mapping[str, Results]) -> str:
    """A line for each machine and day, with its jobs."""
    jobs: dict[str, list[str]] = {}
    for key, one in sorted(results.items()):
        jobs.setdefault(f"{one.when}, {one.machine}", []).append(key)
    return "\n".join(f"- {', '.join(keys)}: {text}" for text, keys in jobs.items())
