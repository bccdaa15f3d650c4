"""All benchmark jobs, ours and every peer on the same rows, and the goals: `make bench`.

    python -m tests.benchmarks.run [--only J1,J4] [--repeats 3] [--quick] [--last] [--write]

Outputs are compared before any time counts; contenders that disagree end the run with code 1. `--write` keeps the results in
docs/benchmarks.json, and makes the figure and the tables of docs/benchmarks.md anew from all that it keeps.
"""

from __future__ import annotations

import argparse
import compileall
import datetime
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.benchmarks import jobs, tables
from tests.benchmarks.jobs import JOBS, Job
from tests.benchmarks.machine import description
from tests.benchmarks.measured import measure
from tests.benchmarks.results import Results, load, save

if TYPE_CHECKING:
    from tests.benchmarks import compare

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "bench"
DOCS: Final = ROOT / "docs"
MARKS: Final = ("<!-- figures: make bench ARGS=--write -->", "<!-- end of figures -->")


class Disagreement(Exception):
    """Contenders have not written the same rows."""


class Runner:
    """Runs jobs and shows how far it is.

    Args:
      repeats: how often each contender is run on each size.
      progress: shows what runs.
      folder: for inputs, which stay, and outputs, which do not.
    """

    def __init__(self, repeats: int, progress: Progress, folder: Path = FOLDER):
        self._repeats, self._progress, self._folder = repeats, progress, folder
        self._bar = progress.add_task("", total=0)

    def runs(self, job: Job) -> int:
        """Returns how many runs a job makes."""
        sizes = {rows for sizes in job.sizes.values() for rows in sizes}
        return len(job.commands) * self._repeats + sum(
            len(job.contenders(rows)) * job.times(rows, self._repeats) for rows in sizes
        )

    def run(self, job: Job) -> Results:
        """Runs a job.

        Raises:
          Disagreement: contenders differ.
          RuntimeError: one failed.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        results = Results(job.key, datetime.date.today().isoformat(), description())
        self._progress.update(self._bar, total=self.runs(job), completed=0)
        for rows in sorted({rows for sizes in job.sizes.values() for rows in sizes}):
            self._size(job, rows, results)
        for name in [*job.commands] * self._repeats:
            self._say(f"{job.key}  {name}")
            results.add(name, 0, measure(jobs.command_of(name, self._folder), code=jobs.COMMANDS[name]))
            self._progress.advance(self._bar)
        return results

    def _size(self, job: Job, rows: int, results: Results) -> None:
        self._say(f"{job.key}  {rows:,} rows: making the input")
        pattern, names = job.data(self._folder, rows), job.contenders(rows)
        compared = len(names) > 1 and isinstance(job.columns, str) and rows not in job.twice
        warm(pattern)
        first: compare.Rows | None = None
        for number in range(job.times(rows, self._repeats)):
            for name in in_turn(names, number):
                output = self._folder / "out"
                shutil.rmtree(output, ignore_errors=True)
                self._contender(job, rows, name, pattern, output, results)
                if compared and not number:
                    first = self._agreed(job, rows, (names[0], name), output, first)
        shutil.rmtree(output)

    def _contender(self, job: Job, rows: int, name: str, pattern: str, output: Path, results: Results) -> None:
        self._say(f"{job.key}  {rows:,} rows: {name}")
        columns = self._folder / f"{job.key}.yaml"
        columns.write_text(job.columns_of(name), encoding="utf-8")
        os.sync()  # what others have written must not be flushed while this one is measured
        results.add(name, rows, measure(job.command(name, columns, pattern, output)))
        for what, made in job.figures(output, pattern).items() if job.figures else ():
            results.add(f"{name}: {what}", 0, made)
        self._progress.advance(self._bar)

    def _agreed(
        self, job: Job, rows: int, names: tuple[str, str], output: Path, first: compare.Rows | None
    ) -> compare.Rows:
        """Compares an output with that of the first contender, if this is another's; returns the first one's."""
        from tests.benchmarks import compare  # loads TensorFlow

        self._say(f"{job.key}  {rows:,} rows: reading what {names[1]} has written")
        made = compare.read(output, max(1, rows // jobs.ALL_COMPARED))
        tolerance = compare.TOLERANCE_OF_FLOAT32 if names[1] in jobs.FLOAT32 else compare.TOLERANCE
        found = compare.difference(first, made, tolerance) if first else ""
        if found:
            raise Disagreement(f"{job.key}, {rows:,} rows: {names[0]} and {names[1]} differ: {found}")
        if len(made.marks) != rows and not job.makes_rows:
            raise Disagreement(f"{job.key}: {len(made.marks):,} rows were written, of {rows:,}")
        return first or made

    def _say(self, what: str) -> None:
        self._progress.update(self._bar, description=what)


def in_turn(names: Sequence[str], number: int) -> list[str]:
    """Returns the order of a repeat: each begins in turn, so that nobody always runs on a warmer machine."""
    first = number % len(names)
    return [*names[first:], *names[:first]]


def warm(pattern: str) -> None:
    """Reads the input once, so that the first contender does not wait for the disk where the others do not."""
    for path in sorted(Path(pattern).parent.glob(Path(pattern).name)):
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass


def write(results: dict[str, Results], docs: Path = DOCS) -> None:
    """Keeps results, and makes the page and the figure anew from all that are kept."""
    from tests.benchmarks.chart import draw

    save(docs / "benchmarks.json", results.values())
    kept, page = load(docs / "benchmarks.json"), docs / "benchmarks.md"
    draw(kept, docs / "benchmarks.svg")
    text = page.read_text(encoding="utf-8")
    head, tail = text.split(MARKS[0])[0], text.split(MARKS[1])[1]
    page.write_text(f"{head}{MARKS[0]}\n\n{tables.page(JOBS, kept)}\n\n{MARKS[1]}{tail}", encoding="utf-8")


def quoted() -> int:
    """Tests the pages that quote figures, so that whoever measures is told which to write anew; returns the exit code."""
    command = [sys.executable, "-m", "pytest", "-q", "tests/test_quoted_figures.py"]
    return subprocess.run(command, cwd=DOCS.parent, check=False).returncode


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    keys = [job.key for job in JOBS]
    parser.add_argument("--only", default=",".join(keys), help="jobs, with commas between them (default: all)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each contender on each size; medians count")
    parser.add_argument("--quick", action="store_true", help="few rows, once, for trying it out: no goals")
    parser.add_argument("--last", action="store_true", help="run nothing, take what docs/benchmarks.json keeps")
    parser.add_argument(
        "--write", action="store_true", help="keep the results, make docs/benchmarks.md and figure anew"
    )
    options = parser.parse_args(arguments)
    options.only = options.only.split(",")
    unknown = [key for key in options.only if key not in keys]
    if unknown:
        parser.error(f"--only {unknown[0]!r}: expected some of {', '.join(keys)}")
    if options.repeats < 1:
        parser.error(f"--repeats {options.repeats}: expected 1 or more")
    if options.quick and (options.write or options.last):
        parser.error("--quick goes with neither --write nor --last: its figures mean nothing")
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the jobs; returns the exit code."""
    options, began = parsed(arguments), time.monotonic()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    for package in ("pipeline", "seqcols", "transforms", "tests/benchmarks"):  # as of what pip installs
        compileall.compile_dir(ROOT / package, quiet=2)
    out = Console() if sys.stdout.isatty() else Console(width=130)
    last = load(DOCS / "benchmarks.json") if options.last else {}
    results = {key: one for key, one in last.items() if key in options.only}
    chosen = [jobs.quick(job) if options.quick else job for job in JOBS if job.key in options.only]
    columns = SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        runner = Runner(1 if options.quick else options.repeats, progress)
        for job in chosen:
            try:
                if not options.last:
                    results[job.key] = runner.run(job)
            except (Disagreement, RuntimeError) as error:
                print(f"bench: {error}", file=sys.stderr)
                return 1
            if job.key in results:
                out.print(*(table.rich() for table in tables.of(job, results[job.key])), sep="\n")
            if options.write:
                write({key: results[key] for key in [job.key] if key in results})
    if options.quick:
        out.print("quick: few rows, once; goals are not judged")
    else:
        out.print(tables.goals(results).rich())
    out.print(f"{len(results)} jobs in {(time.monotonic() - began) / 60:.0f} min; {description()}", highlight=False)
    return quoted() if options.write else 0


if __name__ == "__main__":
    sys.exit(main())
