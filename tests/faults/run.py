"""All faults at their full figures, two loops at a time, and the table of what was tried: `make faults`.

    python -m tests.faults.run [--only WORD] [--write]

`--write` puts the figures of this run into docs/faults.md, and leaves those of other loops as they are. A loop that finds
something fails; the others go on, and the exit code is 1. What the loops print is kept in `build/faults`.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tests.faults import figures

ROOT: Final = Path(__file__).parents[2]
FOLDER: Final = ROOT / "build" / "faults"
PAGE: Final = ROOT / "docs" / "faults.md"
MARKS: Final = ("<!-- figures: make faults ARGS=--write -->", "<!-- end of figures -->")


@dataclass(frozen=True)
class Loop:
    """What injects one kind of fault.

    Attributes:
      fault: which.
      happens: what happens then, for the table.
      command: what runs it, after `python -m`; `pytest` runs its tests in one process.
      variables: what the environment says beside `figures.TRIALS`.
      parts: what each of the processes that share it has at the end of its command: arguments, or `NAME=value`.
    """

    fault: str
    happens: str
    command: str
    variables: dict[str, str] = field(default_factory=dict)
    parts: Sequence[str] = ("",)


LOOPS: Final = [
    Loop(
        "a bad record: 12 kinds and more in every format, one after the other",
        "that row is in `rejected/`, with file, row, column, value and reason; its record byte for byte",
        "pytest tests/test_bad_records.py",
    ),
    Loop(
        "100,000 rows of each format, one in a hundred bad",
        "every good row comes out as it does alone, by digest",
        "pytest tests/test_bad_rows_job.py",
        {"SEQCOLS_FAULT_ROWS": "100000"},
        ("-k example", "-k 'not example'"),
    ),
    Loop(
        "500 random data sets",
        "every row by its id, written or rejected once, and what it is by itself; the ledger balances",
        "pytest tests/test_random_sets.py",
        {"SEQCOLS_FAULT_SETS": "250"},
        ("SEQCOLS_FAULT_SEED=0", "SEQCOLS_FAULT_SEED=250"),
    ),
    Loop(
        "100 random data sets with splits: a held-out split by `--transform`, files appended and taken back, some steps killed",
        "after every step every row is in its split once, as it is by itself, or rejected; ledgers balance, `verify` is clean",
        "pytest tests/test_random_splits.py",
        {"SEQCOLS_FAULT_SPLITS": "50"},
        ("SEQCOLS_FAULT_SEED=0", "SEQCOLS_FAULT_SEED=50"),
    ),
    Loop(
        "a file cut short, 200 cuts a format and codec",
        "the run fails and names the file; `--on-bad-file=skip` leaves it out. Unknowable: cut between two records",
        "pytest tests/faults/test_cuts.py",
    ),
    Loop(
        "a flipped bit, 1,000 a format that has checksums",
        "detected, or nothing that is read has changed",
        "pytest tests/faults/test_flips.py",
    ),
    Loop(
        "a file of another schema, a misspelt column, one null in all rows, no file, no rows, a file matched twice",
        "fails before anything is written and names file, column and the nearest name; a file matched twice is read once",
        "pytest tests/test_odd_inputs.py",
    ),
    Loop(
        "NaN, infinity, overflow, 1e30 among ordinary values",
        "by the column's policy; no value that is not finite is written unless the policy is `keep`",
        "pytest tests/test_imputation.py tests/test_normalizer_edges.py tests/test_late_rejects.py",
    ),
    Loop(
        "10 million steps, a gzip bomb, a header that claims 2^40 bytes",
        "rejected, or the run fails, by limits that are options; peak memory within 1.5 times that of an ordinary job",
        "pytest tests/faults/test_bounds.py",
    ),
    Loop(
        "more rejects than `--max-rejected`",
        "nothing is published, exit code 3, the rejects are kept; exact at the boundary",
        "pytest tests/test_job_rejects.py",
    ),
    Loop(
        "kill -9 before every change of a file, over nothing, a smaller and a larger data set",
        "a reader sees the old data set, the new one or none, whole; the same command succeeds then",
        "tests.faults.kills",
    ),
    Loop(
        "kill -9 before every change of a file of `--append`, `undo-append`, `--transform` and a run with splits",
        "a reader sees the data set before or after, whole; the same command succeeds then, or says that it was done already",
        "tests.faults.kills_of_appends",
        parts=("--only run", "--only undo"),
    ),
    Loop(
        "input that changes between any two passes: values, rows, order, another file",
        "the run fails and names the file; nothing is published, and nothing of it is kept in the cache",
        "tests.faults.changes",
    ),
    Loop("two runs into one directory", "one wins whole, the other is refused", "tests.faults.races 100"),
    Loop(
        "a full disk, at every change of a file and many sizes, of a run that replaces a data set or appends to it",
        "exit code 1, the path is named, the old data set is whole, nothing is left over",
        "tests.faults.full_disks 200",
    ),
    Loop(
        "a run on events: kill -9 and a full disk at every change of a file",
        "a reader sees the old data set or the new one, sequences included; the same command succeeds then; nothing is left over",
        "tests.faults.event_runs",
    ),
    Loop(
        "SIGTERM, SIGINT and SIGHUP at random moments, imports included",
        "exit code 130, one line; nothing is left in DIR or in the temporary directory; the old data set or the new one is whole",
        "tests.faults.signals 150",
        parts=("0", "150"),
    ),
    Loop(
        "standard output or error closed, full, or with nobody who reads",
        "the command's own result and exit code; a run that has published ends with 0",
        "pytest tests/test_streams.py",
    ),
    Loop(
        "the same rows in other files, order, batches, caches, with one to four workers: 100 arrangements",
        "the same rows and the same statistics, to the last bit; means and variances are the correctly rounded ones",
        "tests.faults.arrangements 100",
    ),
    Loop("a local worker is killed", "the run fails, nothing is published", "tests.faults.workers 5"),
    Loop(
        "a rejected row after the columns were mended, killed at three steps",
        "`seqcols repair` adds it; data set and ledger are those of one whole run",
        "pytest tests/test_repair.py",
    ),
    Loop(
        "an output path that ends, `..` resolved first, in a data set, at a link or in glob characters, 10,000 names",
        "refused, any other is exactly there: no file elsewhere is touched",
        "tests.faults.paths 10000",
    ),
    Loop(
        "a path that is there and has glob characters, in a folder that has them, 500 names, each beside decoys",
        "that file, never a neighbour's, however it is spelled, on disks and in stores",
        "tests.faults.literal_names 500",
    ),
    Loop(
        "an input inside the output directory, or inside another data set: wide patterns, links, the same command twice",
        "refused; a data set that is asked for as one is read by its manifest",
        "pytest tests/test_data_sets.py",
    ),
    Loop(
        "payloads for terminals, HTML and logs, in names and values",
        "escaped in all that is printed or written for people",
        "pytest tests/test_escaping.py",
    ),
    Loop(
        "a columns file with unknown or double keys, wrong types, tags, bombs",
        "errors with line, path and the nearest name; nothing is executed",
        "pytest tests/test_columns_file.py tests/test_columns_file_attacks.py tests/test_yaml_lines.py",
    ),
    Loop(
        "100,000 files spoilt by seeded mutations",
        "no crash, no hang, no exception that is not documented; rows add up",
        "tests.fuzz.run --children 1 --inputs 50000",
        parts=("--first 0", "--first 50000"),
    ),
]

LARGEST: Final = ("slowest_seconds", "peak_mb", "ordinary_mb", "budget_mb", "changes")
"""Figures of which the largest counts; of the others the sum."""


@dataclass
class Result:
    """How a loop ended: whether nothing was found, how long it took, and its figures."""

    good: bool = True
    seconds: float = 0.0
    found: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def text(self) -> str:
        """The figures, for people."""
        return ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in self.found.items()) or "none"

    def add(self, notes: Sequence[dict[str, Any]]) -> None:
        """Adds what a loop noted."""
        for note in notes:
            for name, value in note.items():
                if name != "fault":
                    both = self.found[name], value
                    self.found[name] = max(both) if name in LARGEST else sum(both)


def run(loop: Loop, number: int, part: str) -> Result:
    """Runs a loop, or a part of it, in a process of its own."""
    name = f"{number:02}-{loop.parts.index(part)}"
    noted, log, began = FOLDER / f"{name}.jsonl", FOLDER / f"{name}.log", time.monotonic()
    noted.unlink(missing_ok=True)
    variables, words = dict(loop.variables), shlex.split(loop.command)
    if re.match("[A-Z_]+=", part):
        variables.update([part.split("=")])
    else:
        words += shlex.split(part)
    more = ["-n", "0", "-m", "", "-q", "-p", "no:cacheprovider", "--timeout", "1500"] if words[0] == "pytest" else []
    environment = {**os.environ, **variables, figures.TRIALS: "full", figures.FIGURES: str(noted)}
    with log.open("w") as file:
        done = subprocess.run(
            [sys.executable, "-m", *words, *more], cwd=ROOT, env=environment, stdout=file, stderr=file, check=False
        )
    result = Result(done.returncode == 0, time.monotonic() - began)
    result.add([json.loads(line) for line in noted.read_text().splitlines()] if noted.exists() else [])
    passed = re.search(r"(\d+) passed", log.read_text())
    if passed and not result.found:
        result.found["cases"] += int(passed[1])
    return result


def table(figures_of: Mapping[int, str]) -> str:
    """Returns the table as Markdown, by the numbers of loops what is said of each."""
    lines = ["| fault | what happens | figures |", "|---|---|---|"]
    for number, text in sorted(figures_of.items()):
        lines.append(f"| {LOOPS[number].fault} | {LOOPS[number].happens} | {text} |")
    return "\n".join(lines)


def written(page: str, results: Mapping[int, Result]) -> str:
    """Returns the page with the figures of some loops, and those that it has of the others."""
    head, rest = page.split(MARKS[0])
    lines, tail = rest.split(MARKS[1])
    known = {
        line.split(" | ")[0].removeprefix("| "): line.split(" | ")[2].removesuffix(" |")
        for line in lines.splitlines()
        if " | " in line
    }
    said = {n: known.get(loop.fault, "not run at full figures") for n, loop in enumerate(LOOPS)}
    said |= {n: result.text() for n, result in results.items()}
    return f"{head}{MARKS[0]}\n\n{table(said)}\n\n{MARKS[1]}{tail}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the loops; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="loops whose fault or command has this word")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/faults.md")
    parser.add_argument("--processes", type=int, default=2, help="loops at a time")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    chosen = [n for n, loop in enumerate(LOOPS) if options.only in f"{loop.fault} {loop.command}"]
    if not chosen:
        parser.error(f"--only {options.only!r}: no loop has it")
    work = [(n, part) for n in reversed(chosen) for part in LOOPS[n].parts]
    results: dict[int, Result] = {n: Result() for n in chosen}
    console = Console(stderr=True)
    columns = SpinnerColumn(), TextColumn("{task.description}"), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console) as progress, ThreadPoolExecutor(options.processes) as pool:
        bar = progress.add_task("faults", total=len(work))
        running = {pool.submit(run, LOOPS[n], n, part): (n, part) for n, part in work}
        for made in as_completed(running):
            number, part = running[made]
            one, whole = made.result(), results[number]
            whole.good, whole.seconds = whole.good and one.good, whole.seconds + one.seconds
            whole.add([one.found])
            ended = "" if one.good else f"  FOUND SOMETHING, see {FOLDER.relative_to(ROOT)}"
            progress.console.print(
                f"{one.seconds:6.0f} s  {LOOPS[number].fault} {part}: {one.text()}{ended}",
                highlight=False,
                markup=False,
            )
            progress.advance(bar)
    print(table({n: f"{'' if one.good else '**found something**: '}{one.text()}" for n, one in results.items()}))
    seconds = time.monotonic() - began
    bad = [LOOPS[n].fault for n, result in results.items() if not result.good]
    print(f"\n{len(chosen)} faults in {seconds / 60:.0f} min; {len(bad)} found something: {'; '.join(bad) or 'none'}")
    if options.write and not bad:
        PAGE.write_text(written(PAGE.read_text(), results))
    return int(bool(bad))


if __name__ == "__main__":
    sys.exit(main())
