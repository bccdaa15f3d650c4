"""Progress of a run: workers record what they have read, the driver shows it.

The note is a file that each worker rewrites now and then in a folder of this machine. It works for threads and for processes,
and needs nothing of the runner; on a cluster there is no such folder and the engine shows its own progress.
"""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TextIO

from transforms.escaping import one_line

SECONDS_BETWEEN_NOTES: Final = 0.25
MEASURABLE_SECONDS: Final = 0.5
"""No rate is shown for less: it would be a figure of chance."""


def now() -> int:
    """Returns the time in milliseconds since 1970."""
    return time.time_ns() // 1_000_000


@dataclass
class Note:
    """The progress of one worker in one pass; written to `folder` at most every quarter of a second."""

    folder: str
    number: int
    rows: int = 0
    size: int = 0
    _name: str = field(default_factory=lambda: uuid.uuid4().hex)
    _written: float = 0.0

    def add(self, rows: int, size: int) -> None:
        """Counts rows and the input bytes that they stand for."""
        self.rows += rows
        self.size += size
        if self.folder and time.monotonic() - self._written > SECONDS_BETWEEN_NOTES:
            self.write()

    def write(self) -> None:
        """Writes the note. A full disk or a removed folder must not fail the work that it is about."""
        if not self.folder:
            return
        self._written = time.monotonic()
        path = Path(self.folder) / f"{self.number}-{self._name}.json"
        with contextlib.suppress(OSError):
            path.with_suffix(".tmp").write_text(json.dumps({"rows": self.rows, "size": self.size}))
            os.replace(path.with_suffix(".tmp"), path)


def read_notes(folder: str) -> dict[int, tuple[int, int]]:
    """Returns rows and bytes read by pass number."""
    made: dict[int, tuple[int, int]] = {}
    for path in Path(folder).glob("*.json"):
        with contextlib.suppress(OSError, ValueError):
            note = json.loads(path.read_text())
            number = int(path.name.split("-")[0])
            rows, size = made.get(number, (0, 0))
            made[number] = rows + note["rows"], size + note["size"]
    return made


@contextlib.contextmanager
def shown(folder: str, passes: list[str], total_bytes: int | Sequence[int], stream: TextIO) -> Iterator[None]:
    """Shows the progress of a run while the block runs: bars on a terminal, plain lines elsewhere.

    Args:
      folder: where workers leave their notes.
      passes: names of the passes, in order.
      total_bytes: the bytes that each pass reads; one figure if they read the same.
      stream: where to show it.
    """
    stop = threading.Event()
    show = _bars if stream.isatty() else _lines
    totals = [total_bytes] * len(passes) if isinstance(total_bytes, int) else list(total_bytes)
    thread = threading.Thread(target=show, args=(folder, passes, totals, stream, stop), daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextlib.contextmanager
def counted(total: int, stream: TextIO | None) -> Iterator[Callable[[str, int], None]]:
    """Shows on a terminal how much of a total is done; elsewhere nothing.

    Args:
      total: bytes, or what else is counted.
      stream: where to show it.

    Yields:
      A function to report progress: takes the file that is read, and how much of it was read since the last call.
    """
    if stream is None or not stream.isatty():
        yield lambda path, count: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: list[Any] = [
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        TextColumn("{task.description}", markup=False),
    ]
    with Progress(*columns, console=Console(file=stream), transient=True) as progress:
        task = progress.add_task("", total=max(total, 1))
        yield lambda path, count: progress.update(task, advance=count, description=one_line(os.path.basename(path)))


@contextlib.contextmanager
def waiting(what: str, stream: TextIO | None) -> Iterator[None]:
    """Says on a terminal what is being done while the block runs, and wipes that away at its end; elsewhere says nothing."""
    shows = stream is not None and stream.isatty()

    def show(text: str) -> None:
        if shows and stream is not None:
            with contextlib.suppress(OSError, ValueError):  # a terminal that is gone must not fail the work
                print(text, end="", file=stream, flush=True)

    show(f"{what} ...")
    try:
        yield
    finally:
        show(_WIPED)


_WIPED: Final = "\r\x1b[2K"
"""The characters that take a terminal to the beginning of a line, and erase it."""


def say_what_is_compiled(stream: TextIO | None) -> None:
    """Says that kernels are compiled first, where they are: looking at the input needs them already."""
    from transforms.kernels import compiled

    if stream and (note := compiled.note()):
        print(f"seqcols: {note}", file=stream, flush=True)


def _bars(folder: str, passes: list[str], totals: list[int], stream: TextIO, stop: threading.Event) -> None:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns: list[Any] = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[what]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    ]
    with Progress(*columns, console=Console(file=stream), transient=False) as progress:
        tasks = [
            progress.add_task(
                f"pass {k + 1}/{len(passes)}: {name}", total=max(totals[k], 1), what=_waits_for(k), start=False
            )
            for k, name in enumerate(passes)
        ]
        done = False
        while not done:
            done = stop.wait(0.2)
            for number, (rows, size) in sorted(read_notes(folder).items()):
                task = progress.tasks[number]
                if not task.started:
                    progress.start_task(tasks[number])
                elapsed = task.elapsed or 0.0
                rate = rows / elapsed if elapsed > MEASURABLE_SECONDS else 0.0
                what = f"{rows:,} rows, {rate:,.0f}/s"
                progress.update(tasks[number], completed=min(size, totals[number]), what=what)


def _waits_for(number: int) -> str:
    """Returns what a pass waits for that has not begun."""
    return f"waits for pass {number}" if number else "starting"


def _lines(folder: str, passes: list[str], totals: list[int], stream: TextIO, stop: threading.Event) -> None:
    began: dict[int, float] = {}
    said: dict[int, int] = {}
    wait, last, waited = 1.0, time.monotonic(), False
    done = False
    while not done:
        done = stop.wait(0.2)
        notes = read_notes(folder)
        for number in notes:
            began.setdefault(number, time.monotonic())
        if not done and time.monotonic() - last < wait:
            continue
        if not done and not notes and not waited:
            waited = True
            print(f"pass 1/{len(passes)} {passes[0]}: {_waits_for(0)}", file=stream, flush=True)
        last, wait = time.monotonic(), min(wait * 1.5, 10.0)  # often at first, seldom in a long run
        for number, (rows, size) in sorted(notes.items()):
            if said.get(number) == rows:
                continue
            said[number] = rows
            passed = max(time.monotonic() - began[number], 1e-3)
            share = min(size / max(totals[number], 1), 1.0)
            left = f", {passed / share - passed:,.0f} s left" if 0 < share < 1 else ""
            head = f"pass {number + 1}/{len(passes)} {passes[number]}"
            rate = f", {rows / passed:,.0f} rows/s" if passed > MEASURABLE_SECONDS else ""
            print(f"{head}: {rows:,} rows, {share:.0%}{rate}{left}", file=stream, flush=True)
