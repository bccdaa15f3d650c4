"""The fuzzer: inputs by number, each a real file that a seeded mutation has spoilt, tried in child processes.

    python -m tests.fuzz.run [--inputs 100000] [--first 0] [--children 2]
    python -m tests.fuzz.run --seed N      one input again, with all that it says; its file is kept

A crash, a hang, an exception that is not documented, more memory than allowed, or rows that do not add up are findings. The run
goes on after each, says all of them at its end, and exits with 1.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TextIO

from tests.faults.figures import note
from tests.fuzz.outcome import CLEAN, FAILED, REJECTED
from tests.fuzz.parent import Event, Limits, Watch

TARGET: Final = "tests.fuzz.target:Target"
OUTCOMES: Final = (CLEAN, REJECTED, FAILED, "finding")
CHUNK: Final = 200


@dataclass(frozen=True)
class Finding:
    """What an input did that none may do; `kind` is crash, hang, memory, exception or broken."""

    seed: int
    name: str
    kind: str
    at: str
    summary: str
    detail: str


@dataclass
class Report:
    """What came of all inputs: counts by name and outcome, and the findings."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)

    def add(self, event: Event) -> None:
        """Counts an input that was tried."""
        name = event.get("name", "")
        self.counts[name, event.get("outcome", "finding")] += 1
        if "finding" in event:
            kind, at = event["finding"], event.get("at", "")
            self.findings.append(Finding(event["seed"], name, kind, at, event["summary"], event["detail"]))

    @property
    def inputs(self) -> int:
        """How many inputs were tried."""
        return sum(self.counts.values())

    def table(self) -> str:
        """Returns the table that a run ends with."""
        names = sorted({name for name, _ in self.counts})
        lines = [("", "inputs", *OUTCOMES[:3], "findings")]
        for name in names:
            counts = [self.counts[name, outcome] for outcome in OUTCOMES]
            lines.append((name, *(f"{n:,}" for n in (sum(counts), *counts))))
        totals = [sum(self.counts[name, outcome] for name in names) for outcome in OUTCOMES]
        lines.append(("all", *(f"{n:,}" for n in (sum(totals), *totals))))
        widths = [max(len(line[k]) for line in lines) for k in range(len(lines[0]))]
        cells = [[line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines]
        return "\n".join("  ".join(line) for line in cells)

    def distinct(self) -> Iterator[tuple[Finding, list[int]]]:
        """Yields one finding of each kind and place, with the numbers of all of them."""
        alike: dict[tuple[str, str, str], list[Finding]] = {}
        for finding in sorted(self.findings, key=lambda one: one.seed):
            alike.setdefault((finding.kind, finding.at, finding.summary.split(":")[0]), []).append(finding)
        yield from ((those[0], [one.seed for one in those]) for those in alike.values())


def fuzz(
    seeds: range, target: str = TARGET, children: int = 2, limits: Limits | None = None, progress: TextIO | None = None
) -> Report:
    """Tries the inputs of some numbers.

    Args:
      seeds: the numbers.
      target: module and class of what tries one.
      children: processes at a time.
      limits: what an input may take.
      progress: where to say how far it is.
    """
    report, began, said = Report(), time.monotonic(), 0.0
    work = iter([range(first, min(first + CHUNK, seeds.stop)) for first in range(seeds.start, seeds.stop, CHUNK)])
    for event in Watch(target, work, children, limits or Limits()).events():
        report.add(event)
        if progress and time.monotonic() - said > (2 if progress.isatty() else 20):
            said = time.monotonic()
            rate = report.inputs / (said - began)
            end = "\r" if progress.isatty() else "\n"
            found = f"{len(report.findings)} findings"
            print(
                f"{report.inputs:,} of {len(seeds):,} inputs, {rate:.0f} a second, {found}",
                end=end,
                file=progress,
                flush=True,
            )
    return report


def _keep(seed: int, folder: Path) -> None:
    """Writes an input to a file, to be looked at."""
    from tests.fuzz.target import Target

    target = Target()
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{seed}-{target.entry(seed).file}"
    path.write_bytes(target.data(seed))
    print(f"input {seed} ({target.name(seed)}, {target.entry(seed).columns}): {path}")


def _tell(report: Report, whole: bool) -> None:
    for finding, seeds in report.distinct():
        print(f"\n{finding.kind} at {finding.at} ({len(seeds)}: --seed {', '.join(map(str, seeds[:5]))})")
        print(f"  {finding.name}: {finding.summary[:1000]}")
        if whole:
            print(finding.detail)
    print(f"\n{report.table()}" if not whole else f"\n{dict(report.counts)}")


def outcomes_of(report: Report) -> dict[str, int]:
    """Returns how many inputs ended how."""
    return {outcome: sum(n for (_, one), n in report.counts.items() if one == outcome) for outcome in OUTCOMES[:3]}


def main(arguments: Sequence[str] | None = None, target: str = TARGET) -> int:
    """Runs from the command line; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=100_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first")
    parser.add_argument("--children", type=int, default=2, help="processes at a time")
    parser.add_argument("--seed", type=int, help="number of one input to try again")
    parser.add_argument("--folder", type=Path, default=Path("build/fuzz"), help="where --seed keeps the file")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        _keep(options.seed, options.folder.absolute())
        report = fuzz(range(options.seed, options.seed + 1), target, children=1)
    else:
        seeds = range(options.first, options.first + options.inputs)
        report = fuzz(seeds, target, options.children, progress=sys.stderr)
        note("spoilt files", report.inputs, findings=len(report.findings), **outcomes_of(report))
    _tell(report, options.seed is not None)
    return int(bool(report.findings))


if __name__ == "__main__":
    sys.exit(main())
