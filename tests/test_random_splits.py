"""Random data sets with splits, to which files are appended: every row once, in its split, or rejected, after every step.

`SEQCOLS_FAULT_SPLITS` says how many: 4 by default, one of each way to divide rows, and 100 in `make faults`.
`SEQCOLS_FAULT_SEED` begins elsewhere. Some steps are killed before a change of a file and done again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.columns_file.reader import dumps
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.job.executing import Outcome
from pipeline.job.undoing import undo_append
from pipeline.job.verdict import DONE, FAILED
from pipeline.verify import verify
from tests.faults.figures import note
from tests.faults.outcomes import listed, of_rows
from tests.faults.random_columns import Rng
from tests.faults.random_files import alone
from tests.faults.random_splits import RULES, days
from tests.faults.record_formats import Row
from tests.jobs import Arrays, arrays_of, assert_balanced, read_json, read_rejected, run_job
from transforms.splits.rule import USUAL
from transforms.stage_functions import StageFunction, densify_stage

SETS = int(os.environ.get("SEQCOLS_FAULT_SPLITS", "4"))
FIRST = int(os.environ.get("SEQCOLS_FAULT_SEED", "0"))
PATTERNS = [
    "alive",
    "examples/.",
    "rejected/.",
    "transform",
    "serving",
    "ledger-",
    "report-",
    r"manifest\.json",
    r"out/ledger\.json",
    r"out/report\.html",
]
"""The first change of such a path is one before which a step is killed."""

Rows = list[Row | bytes]


@dataclass
class Held:
    """A file that was read, as it was then.

    Attributes:
      name: the name of the file in the ledger.
      path: where it was.
      data: its bytes.
      rows: its rows.
      split: the split that its input named, an empty string if the rule decides.
      fates: what became of each row alone, of those that have a split.
    """

    name: str
    path: Path
    data: bytes
    rows: Rows
    split: str = ""
    fates: list[Any] = field(default_factory=list)


class Case:
    """A random data set, and what must be in it."""

    def __init__(self, seed: int, folder: Path, totals: Counter[str]):
        self.rng, self.folder, self.totals = Rng(f"steps {seed}"), folder, totals
        self.days, self.root = days(seed), folder / "out"
        self.held: list[Held] = []
        self.next_id = 0
        self.stage: StageFunction | None = None

    @property
    def by_input(self) -> bool:
        return self.days.rule is None

    def written(self, name: str, count: int, split: str = "", path: Path | None = None) -> Held:
        """Writes a file with new rows."""
        rows = self.days.file(self.rng, self.next_id, count)
        self.next_id += count
        path = path or self.days.path(self.folder, name)
        self.days.write(path, rows)
        return Held(str(path), path, path.read_bytes(), rows, split)

    def inputs(self, files: list[Held]) -> list[str]:
        return [f"{held.split}={held.path}" if held.split else str(held.path) for held in files]

    def fit(self) -> bool:
        """Runs over the first day; returns whether there was something to fit to."""
        names = self.rng.choice([USUAL, ("train", "test")]) if self.by_input else [""] * self.rng.randint(1, 2)
        files = [self.written(f"in-{k}", self.rng.choice([5, 12, 30]), name) for k, name in enumerate(names)]
        options = {"format": self.days.sink, "max_rejected": 1.0, "workers": self.rng.choice([1, 1, 2])}
        outcome = run_job(self.days.spec, self.inputs(files), self.root, **options)
        if outcome.status == FAILED:
            assert outcome.message.startswith("no rows to write"), outcome.message
            return False
        assert outcome.status == DONE, outcome.message
        self.statistics = (self.root / "statistics.json").read_bytes()
        self.stage = densify_stage(self.days.spec, str(self.root / "transform"))
        self.take(files)
        return True

    def take(self, files: list[Held]) -> None:
        for held in files:
            held.fates = [self.fate(held, row) for row in held.rows]
        self.held += files

    def fate(self, held: Held, row: Row | bytes) -> tuple[str, str, str]:
        """What must become of a row: its digest alone (or reason and column of the reject), and its split."""
        if isinstance(row, bytes):
            return "bad_record", "", held.split
        split = held.split or self.days.split_of(row)
        if not split and self.days.rule is not None:
            return "no_split", ", ".join(self.days.rule.keys), ""
        assert self.stage is not None
        own = {name: value for name, value in row.items() if name not in {f.key for f in self.days.deciding}}
        made = of_rows([alone(self.days.format, own)], self.days.spec, self.stage)
        if made.rejected:
            (rejected,) = made.rejected
            return rejected["reason"], rejected["column"], split
        return made.digests()[row["id"]], "", split

    def check(self, held: list[Held] | None = None, root: Path | None = None) -> Manifest:
        """Every row is there once, in its split or rejected; the ledgers balance; verify finds nothing."""
        held, root = self.held if held is None else held, root or self.root
        manifest = read_manifest(str(root))
        assert found_in(manifest) == expected(held)
        places = {(h.name, k): f for h in held for k, f in enumerate(h.fates) if not is_digest(f[0])}
        rejected = read_rejected(manifest.rejected_files).to_pylist() if manifest.rejected_files else []
        assert len(rejected) == len(places)
        assert {(r["file"], r["row"]): (r["reason"], r["column"], r.get("split", "")) for r in rejected} == places
        if held is self.held:
            assert Path(manifest.path(manifest.content["statistics"])).read_bytes() == self.statistics
        self.totals.update(steps=1, rows=sum(len(h.rows) for h in held), rejected=len(places))
        check_ledgers(manifest, held)
        verified = verify.files(str(root))
        assert (verified.faults, verified.files.notes) == ([], [])
        verify.compare(verified, (), 1000, None)
        assert verified.faults == []
        return manifest

    def transform(self) -> None:
        """The rows of a held-out split by the transform of the data set: what they are there, bit for bit."""
        written = {fate[1:] for held in self.held for fate in held.fates if is_digest(fate[0])}
        full = [fate[2] for held in self.held for fate in held.fates[:2]]
        name = next((name for name in full if name != "train" and ("", name) in written), "")
        if not name:
            return
        rows: Rows = [
            row
            for held in self.held
            for row, fate in zip(held.rows, held.fates, strict=True)
            if fate[2] == name and fate[0] != "bad_record"
        ]
        path = self.days.path(self.folder, "held-out")
        self.days.write(path, rows)
        alone_there = Held(str(path), path, path.read_bytes(), rows, name if self.by_input else "")
        alone_there.fates = [self.fate(alone_there, row) for row in rows]
        given = self.inputs([alone_there]) if self.rng.random() < 0.5 else [str(path)]
        options = {"format": self.days.sink, "max_rejected": 1.0, "transform": str(self.root)}
        outcome = run_job(self.days.spec, given, self.folder / "transformed", **options)
        assert outcome.status == DONE, outcome.message
        assert outcome.passes == 1
        if self.by_input and given == [str(path)]:
            alone_there.fates = [(*fate[:2], "") for fate in alone_there.fates]
        made = self.check([alone_there], self.folder / "transformed")
        whole = read_manifest(str(self.root)).split(name)
        assert_same_bits(arrays_of(made.split(name) if made.splits else made), arrays_of(whole))
        self.totals.update(transforms=1)

    def append(self) -> None:
        """Appends files: new ones, the content of one again, or other content under its path."""
        kind = self.rng.choice(["new", "new", "again", "other", "other"])
        names = read_manifest(str(self.root)).splits
        split = self.rng.choice(names) if self.by_input else ""
        again = {}
        if kind == "new":
            count = self.rng.randint(1, 2)
            files = [self.written(f"day-{self.next_id}", self.rng.choice([2, 8, 20]), split) for _ in range(count)]
        else:
            old = self.rng.choice(self.held)
            current = [held for held in self.held if held.path == old.path][-1]
            if kind == "other":
                files = [self.written("", self.rng.choice([3, 9]), split, old.path)]
            else:
                files, again = [Held(old.name, old.path, current.data, current.rows, split)], {"again": True}
                self.refused(files)
        known = {held.path for held in self.held}
        outcome = self.step(files, **again)
        if outcome.status == FAILED:  # also the same content again
            assert outcome.message.startswith("no rows to write"), outcome.message
            self.check_after(files)
            return
        assert outcome.status == DONE, outcome.message
        run = read_manifest(str(self.root)).content["run"]
        for held in files:
            held.name = f"{held.path}@{run}" if held.path in known else str(held.path)
        self.take(files)
        self.totals.update(appends=1)

    def check_after(self, files: list[Held]) -> None:
        """A run that had no row to write has left everything as it was; the contents of files are those that were read."""
        for held in files:
            assert not any(is_digest(self.fate(held, row)[0]) for row in held.rows)
        self.restore()

    def restore(self) -> None:
        """Puts back what was last read of every path."""
        for held in self.held:
            held.path.write_bytes(held.data)

    def refused(self, files: list[Held]) -> None:
        """The same content of a path is refused, if it has any rows."""
        before = (self.root / "manifest.json").read_bytes()
        outcome = self.run_append(files)
        assert outcome.status == FAILED, "the same file twice"
        assert "has the rows of this file already" in outcome.message or outcome.message.startswith("no rows to write")
        assert (self.root / "manifest.json").read_bytes() == before
        self.totals.update(refused=1)

    def run_append(self, files: list[Held], **again: bool) -> Outcome:
        return run_job(self.days.spec, self.inputs(files), self.root, append=True, max_rejected=1.0, **again)

    def step(self, files: list[Held], **again: bool) -> Outcome:
        """Appends, and sometimes is killed at that: then a reader sees all of it or nothing, and it is done again."""
        before = read_manifest(str(self.root))
        if self.rng.random() < 0.3 and self.killed("run", "--append", *self.appending(files, again)):
            after = read_manifest(str(self.root))
            assert verify.files(str(self.root)).faults == []
            if after.content["run"] != before.content["run"]:
                self.refused(files)
                return Outcome(DONE)
            assert after.content == before.content
        return self.run_append(files, **again)

    def appending(self, files: list[Held], again: dict[str, bool]) -> list[str]:
        columns = self.folder / "columns.yaml"
        columns.write_text(dumps(self.days.spec))
        given = [part for one in self.inputs(files) for part in ("--input", one)]
        options = ["--output", str(self.root), "--max-rejected", "1", *(["--again"] if again else [])]
        return [*given, *options]

    def killed(self, *arguments: str) -> bool:
        """Calls the command, which is killed before a change; returns whether it was."""
        command = [sys.executable, "-m", "tests.faults.killed", self.rng.choice(PATTERNS), *arguments]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert done.returncode in (0, 1, -signal.SIGKILL), done.stderr
        assert done.returncode != 1 or "no rows to write" in done.stderr, done.stderr
        self.totals.update(kills=int(done.returncode < 0))
        return done.returncode <= 0

    def undo(self) -> None:
        """Takes the last append back, sometimes killed at that."""
        before = read_manifest(str(self.root))
        last = before.content["runs"][-1]
        if last["kind"] != "append":
            with pytest.raises(UsageError, match="the last run is no append"):
                undo_append(str(self.root))
            return
        if self.rng.random() < 0.3:
            self.killed("undo-append", str(self.root))
            assert verify.files(str(self.root)).faults == []
        if read_manifest(str(self.root)).content["run"] == before.content["run"]:
            assert undo_append(str(self.root)).status == DONE
        gone = [file.get("name", file["path"]) for file in before.content["inputs"] if file.get("run") == last["run"]]
        self.held = [held for held in self.held if held.name not in gone]
        self.restore()
        self.refused([held for held in self.held if held.path == self.held[0].path][-1:])  # which sweeps
        self.totals.update(undone=1)


def is_digest(fate: str) -> bool:
    """Whether a row is written: its fate is then the digest of what it becomes."""
    return len(fate) == 64


def expected(held: list[Held]) -> Counter[tuple[str, int, str]]:
    """The rows that must be written: split, id and digest."""
    return Counter(
        (split, row["id"], digest)
        for one in held
        for row, (digest, _, split) in zip(one.rows, one.fates, strict=True)
        if is_digest(digest) and isinstance(row, dict)
    )


def found_in(manifest: Manifest) -> Counter[tuple[str, int, str]]:
    """The rows that are there: split, id and digest."""
    parts = {name: manifest.split(name) for name in manifest.splits} or {"": manifest}
    return Counter((name, *row) for name, part in parts.items() if part.files for row in listed(arrays_of(part)))


def counted(fates: list[Any]) -> dict[str, int]:
    written = sum(is_digest(fate[0]) for fate in fates)
    return {"read": len(fates), "written": written, "rejected": len(fates) - written}


def check_ledgers(manifest: Manifest, held: list[Held]) -> None:
    """The ledger of the whole, of every split, and of each file in both."""
    book = read_json(
        manifest.root, manifest.content["ledger"]
    )  # named after a run that was killed when it had published
    parts = {"": (book, [one.fates for one in held])}
    for name in manifest.splits:
        own = book["splits"][name]
        parts[name] = own, [[fate for fate in one.fates if fate[2] == name] for one in held]
        assert manifest.content["splits"]["rows"][name].items() <= own["rows"].items()
    for own, fates in parts.values():
        assert_balanced(own)
        assert counted([fate for file in fates for fate in file]).items() <= own["rows"].items()
        for one, of_file in zip(held, fates, strict=True):
            rows = own["files"][one.name]["rows"] if of_file else {}
            assert not of_file or counted(of_file).items() <= rows.items()
    assert set(book["files"]) == {one.name for one in held}
    assert [manifest.rows, manifest.content["rejected"]["rows"]] == [book["rows"][w] for w in ("written", "rejected")]


def assert_same_bits(one: Arrays, other: Arrays) -> None:
    assert one.keys() == other.keys()
    orders = [np.argsort(arrays["id"], kind="stable") for arrays in (one, other)]
    for name in one:
        mine, theirs = one[name][orders[0]], other[name][orders[1]]
        assert (mine.dtype, mine.shape) == (theirs.dtype, theirs.shape)
        assert mine.tolist() == theirs.tolist() if mine.dtype == object else mine.tobytes() == theirs.tobytes(), name


@pytest.fixture(scope="module")
def totals() -> Iterator[Counter[str]]:
    """What is counted over all data sets, noted at the end."""
    names = ("trials", "steps", "rows", "rejected", "transforms", "appends", "refused", "undone", "kills")
    counts: Counter[str] = Counter(dict.fromkeys(names, 0))
    yield counts
    note("random data set with splits", **counts, lost=0, torn=0)


@pytest.mark.parametrize(
    "seed",
    [pytest.param(seed, marks=[] if seed == FIRST + 1 else pytest.mark.slow) for seed in range(FIRST, FIRST + SETS)],
)
def test_every_row_is_in_its_split_after_every_step(tmp_path, seed, totals):
    for attempt in range(20):
        folder = tmp_path / str(attempt)
        folder.mkdir()
        case = Case(seed + 100_000 * attempt, folder, totals)
        if case.fit():
            break
    totals.update(trials=1)
    case.check()
    case.transform()
    for _ in range(case.rng.randint(1, 2)):
        case.append()
        case.check()
        if case.rng.random() < 0.4:
            case.undo()
            case.check()


def test_sets_are_of_every_format_and_kind():
    made = [days(seed) for seed in range(100)]
    assert len({one.format for one in made}) == 6 and len({one.sink for one in made}) == 5
    assert {one.rule.by if one.rule else "input" for one in made} == set(RULES)
