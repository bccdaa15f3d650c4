"""Runs with splits, `--transform`, `--append` and `undo-append`, killed before every change of a file that they make.

`python -m tests.faults.kills_of_appends [MOST] [--only WORD]`: before so many of the changes of each, evenly spread, or all.
"""

from __future__ import annotations

import argparse
import functools
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from pipeline.dataset import leftovers, manifest
from pipeline.errors import UsageError
from pipeline.job import running
from pipeline.job.executing import Outcome
from pipeline.job.request import Request
from pipeline.job.undoing import undo_append
from pipeline.job.verdict import DONE
from pipeline.verify import verify
from tests.faults.figures import note
from tests.faults.injection import before_changes, kill
from tests.faults.kills import NEW, SPEC, forked, request_of
from transforms.splits.rule import Split

OLD: Final = range(60)
LATER: Final = range(2000, 2010)
BORDERS: Final = {"validation": 30, "test": 1010}
DIVIDED: Final = SPEC.model_copy(update={"split": Split(by="time", feature="id", **BORDERS)})
"""The same columns, with the rows divided by their ids."""

Rows = set[tuple[str, int]]
"""The split and the id of each row."""


def request(folder: Path, ids: range, divided: bool = False, **more: object) -> Request:
    """Returns what runs a job over rows with these ids, and one that is rejected."""
    return replace(request_of(folder, ids, False), **({"spec": DIVIDED} if divided else {}), **more)  # type: ignore[arg-type]


def rows(divided: bool, *ids: range) -> Rows:
    """Returns the rows that a data set has."""
    return {(_split(k) if divided else "", k) for own in ids for k in own}


def _split(number: int) -> str:
    return next((name for name, at in reversed(BORDERS.items()) if number >= at), "train")


def rows_in(root: Path) -> Rows | None:
    """Returns the rows of a data set, in which verify finds nothing wrong; None where there is none."""
    if not (root / "manifest.json").exists():
        return None
    assert verify.files(str(root)).faults == []
    found = manifest.read(str(root))
    listed = [
        (entry.get("split", ""), k)
        for entry in found.content["examples"]["files"]
        for k in pq.read_table(found.path(entry["path"])).column("id").to_pylist()
    ]
    assert len(listed) == len(set(listed)) == found.rows
    return set(listed)


@dataclass(frozen=True)
class Command:
    """A command that is killed.

    Attributes:
      prepare: makes what is there before, in a folder.
      call: what is called, with the folder, and whether a finished data set may be replaced.
      before: the rows that are in the output then; None for no data set.
      after: those that are there when it is done.
      divided: whether the rows have splits.
      refused: what is said where it had been done already; an empty string if it does the same again.
    """

    prepare: Callable[[Path], bool]
    call: Callable[[Path, bool], Outcome]
    before: Rows | None
    after: Rows
    divided: bool = False
    refused: str = ""


def _done(*requests: Request) -> bool:
    return all(running.run(one).status == DONE for one in requests)


def _append(divided: bool) -> Command:
    return Command(
        lambda folder: _done(request(folder, OLD, divided)),
        lambda folder, _: running.run(request(folder, NEW, divided, append=True)),
        rows(divided, OLD),
        rows(divided, OLD, NEW),
        divided,
        "has the rows of this file already",
    )


def _undo(divided: bool) -> Command:
    return Command(
        lambda folder: _done(request(folder, OLD, divided), request(folder, NEW, divided, append=True)),
        lambda folder, _: undo_append(str(folder / "out")),
        rows(divided, OLD, NEW),
        rows(divided, OLD),
        divided,
        "the last run is no append",
    )


def _transform(folder: Path, overwrite: bool) -> Outcome:
    return running.run(request(folder, NEW, transform=str(folder / "given"), overwrite=overwrite))


def _given(folder: Path, *more: range) -> bool:
    return _done(request(folder, OLD, output=str(folder / "given")), *(request(folder, ids) for ids in more))


COMMANDS: Final = {
    "run with splits": Command(
        lambda folder: True,
        lambda folder, overwrite: running.run(request(folder, OLD, True, overwrite=overwrite)),
        None,
        rows(True, OLD),
        True,
    ),
    "run --transform": Command(_given, _transform, None, rows(False, NEW)),
    "run --transform --overwrite": Command(
        lambda folder: _given(folder, OLD),
        lambda folder, _: _transform(folder, True),
        rows(False, OLD),
        rows(False, NEW),
    ),
    "run --append": _append(False),
    "run --append, splits": _append(True),
    "undo-append": _undo(False),
    "undo-append, splits": _undo(True),
}

_ONE_AT_A_TIME: Final = threading.Lock()


@functools.cache
def _template(name: str) -> tempfile.TemporaryDirectory[str]:
    held: tempfile.TemporaryDirectory[str] = tempfile.TemporaryDirectory()
    assert forked(lambda: COMMANDS[name].prepare(Path(held.name))) == 0
    return held


def prepared(name: str, folder: Path) -> None:
    """Puts what is there before a command into a folder; it is made once and then copied."""
    with _ONE_AT_A_TIME:
        source = _template(name).name
    shutil.copytree(source, folder, dirs_exist_ok=True)


def called(name: str, folder: Path, number: int = 0, overwrite: bool = False) -> tuple[int, str]:
    """Calls a command in a child process, which is killed before its n-th change in the output, if any.

    Returns:
      Its exit code, negative where a signal ended it; and what went wrong.
    """
    said = folder / "said"
    said.write_text("")

    def work() -> bool:
        with before_changes(str(folder / "out"), kill(number)):
            try:
                outcome = COMMANDS[name].call(folder, overwrite)
            except UsageError as error:
                outcome = Outcome("failed", str(error))
        said.write_text(outcome.message)
        return outcome.status == DONE

    return forked(work), said.read_text()


def changes(name: str) -> int:
    """Returns how many changes a command makes in its output."""
    with tempfile.TemporaryDirectory() as at:
        folder = Path(at)
        prepared(name, folder)

        def work() -> bool:
            with before_changes(str(folder / "out"), lambda seen, path: None) as injected:
                done = COMMANDS[name].call(folder, False).status == DONE
            (folder / "count").write_text(str(injected.seen))
            return done

        assert forked(work) == 0, name
        assert rows_in(folder / "out") == COMMANDS[name].after, name
        return int((folder / "count").read_text())


def trial(name: str, number: int) -> None:
    """Kills a command; then a reader sees what was there before or after, and the same command succeeds or was done already."""
    where, command = f"{name}, before change {number}", COMMANDS[name]
    with tempfile.TemporaryDirectory() as at:
        folder, root = Path(at), Path(at) / "out"
        prepared(name, folder)
        code, _ = called(name, folder, number)
        assert code == -signal.SIGKILL, f"{where}: not killed"
        found = rows_in(root)
        assert found in (command.before, command.after), f"{where}: {found}"
        published = found == command.after
        finished = published and not list(root.glob(".seqcols-*"))
        code, said = called(name, folder, overwrite=finished)
        if published and command.refused:
            assert code == 1 and command.refused in said, f"{where}: {said}"
        else:
            assert code == 0, f"{where}: the same again fails: {said}"
        assert rows_in(root) == command.after, where
        assert (folder / "given").exists() <= (rows_in(folder / "given") == rows(False, OLD)), where
        assert forked(lambda: _done(request(folder, LATER, command.divided, append=True))) == 0, where
        assert rows_in(root) == command.after | rows(command.divided, LATER), where
        left = leftovers.unnamed(leftovers.listing(str(root)), manifest.read(str(root)).content)
        assert not left, f"{where}: {left}"


def main() -> None:
    """Tries all commands, two trials at a time."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("most", nargs="?", type=int, default=sys.maxsize, help="changes of each command")
    parser.add_argument("--only", default="", help="commands that begin so")
    options = parser.parse_args()
    made = {name: changes(name) for name in COMMANDS if name.startswith(options.only)}
    counts = {name: min(options.most, n) for name, n in made.items()}
    chosen = [(name, 1 + k * made[name] // count) for name, count in counts.items() for k in range(count)]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: trial(*pair), chosen))
    note("kill -9 of appends", trials=len(chosen), changes=max(made.values()), torn=0)


if __name__ == "__main__":
    main()
