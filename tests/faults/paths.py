"""Names of output directories, thousands of nasty ones: whatever is published there, no file elsewhere is touched.

`python -m tests.faults.paths [NAMES]`: so many names; else `SEQCOLS_FAULT_NAMES` says, or 1,000.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from pipeline.dataset import layout, target
from pipeline.dataset.layout import Layout
from pipeline.errors import UsageError
from pipeline.job import cleaning
from tests import prepared
from tests.faults.figures import note
from transforms import JobError

Files = dict[str, tuple[int | str, ...]]
"""What is known of files, by path."""

VARIABLE: Final = "SEQCOLS_FAULT_NAMES"

PIECES: Final = [
    "..", ".", "", "*", "**", "?", "[12]", "[!a]", "]", "{a,b}", "run1", "run[12]", "run", "a", "data", "out", "b.c", "..a",
    "...", " ", "  x ", "\t", "\n", "a\nb", "\r", "\x00", "\x07", "\x1b[2J", "\x7f", "\x85", "~", "~root", "$HOME", "%2e%2e",
    "%2f", "%", "-x", "--output", "-rf", "\\", "a\\b", "..\\", "'", '"', "`id`", "$(id)", ";", "&", "|", "#", "a#b", ":", "a:b",
    "c:", "file:", "http:", "\u202e", "\u2025", "\uff0e\uff0e", "\u2215", "\uff0f", "\u200b", "\ufeff", "e\u0301", "é", "ﬁ",
    "İ", "\U0001f642", "\ud800", "\udcff", "x" * 255, "x" * 256, "x" * 5000, "link", "linked", "dangling", "loop", "file",
    "examples", "manifest.json", ".seqcols-1", "transform", "CON", "nul.txt",
]  # fmt: skip
STARTS: Final = [
    "", "", "", "", "./", "../", "SANDBOX/", "SANDBOX/work/", "SANDBOX//work/../other/", "//SANDBOX/work/", "~/",
    "file://SANDBOX/work/", "file:///SANDBOX/work/", "FILE://SANDBOX/", "gs:///", "azfs://account/", "nothing://a/", "run1/",
    "run[12]/", "link/", "loop/", "a/b/../../", "file/",
]  # fmt: skip
ENDS: Final = ["", "", "", "/", "//", "/.", "/..", "\\", " ", "/*", "\n"]


def names(count: int, seed: int = 1) -> Iterator[str]:
    """Yields names of output directories; SANDBOX stands for the folder that none may leave."""
    rng = random.Random(seed)
    for number in range(count):
        piece = PIECES[number % len(PIECES)] if number < 2 * len(PIECES) else rng.choice(PIECES)
        parts = [piece, *(rng.choice(PIECES) for _ in range(rng.choice([0, 0, 1, 1, 2, 3])))]
        start, end = ("", "") if number < len(PIECES) else (rng.choice(STARTS), rng.choice(ENDS))
        glue = rng.choice(["/", "/", "/", "", "//"])
        name = start + glue.join(parts) + end
        # What begins at the root would leave the sandbox without any fault of ours.
        yield name.lstrip("/") if name.startswith("/") and not name.startswith("//SANDBOX") else name


def make_sandbox(root: Path) -> Path:
    """Fills a folder with what a name could reach by mistake; returns where the names are used."""
    work, other = root / "work", root / "other"
    for folder in (
        work / "run1",
        work / "run2",
        work / "run12",
        work / "run",
        work / "a",
        other / "deep",
        root / "home",
    ):
        for below in ("examples", "rejected", "deep", ""):
            (folder / below).mkdir(parents=True, exist_ok=True)
            for name in ("precious", ".hidden", "statistics-1.json", "run-0.tfrecord"):
                (folder / below / name).write_text(f"mine: {folder.name} {below} {name}")
    for name in target.REPLACED_NAMES:  # as neighbours have that are data sets themselves
        (work / "run1" / name).write_text(f"mine: {name}")
        (work / "run2" / name).write_text(f"mine: {name}")
    for name in ("file", "examples-1", "-x", "~", "out.bak"):
        (work / name).write_text(f"mine: {name}")
    (work / "link").symlink_to(other)
    (work / "linked").symlink_to(other / "deep" / "precious")
    (work / "dangling").symlink_to(other / "nowhere")
    (work / "loop").symlink_to(".")
    return work


def snapshot(root: Path, whole: bool = False) -> Files:
    """Returns every file and link below a folder: which file it is, its size and time of change; with `whole` what is in it."""
    made: Files = {}
    for at, folders, files in os.walk(root):
        for name in [*files, *(folder for folder in folders if os.path.islink(os.path.join(at, folder)))]:
            path = os.path.join(at, name)
            status = os.lstat(path)
            made[path] = (status.st_ino, status.st_size, status.st_mtime_ns)
            if whole:
                link = os.path.islink(path)
                made[path] = (os.readlink(path) if link else hashlib.sha256(Path(path).read_bytes()).hexdigest(),)
    return made


def publish_at(path: str) -> None:
    """Publishes an empty data set there, replaces it with another, and cleans up after a third that failed."""
    prepared.prepare(path, "tfrecord", (), 1, run="20260101T000000-00000001").publish()
    prepared.prepare(path, "tfrecord", (2, 1), 0, run="20260101T000000-00000002").publish()
    failed = prepared.prepare(path, "tfrecord", (1,), 0, run="20260101T000000-00000003").place
    with contextlib.suppress(ZeroDivisionError), cleaning.run_in(failed):
        raise ZeroDivisionError


def try_name(name: str, root: Path, before: Files) -> tuple[str, list[str]]:
    """Uses one name; returns what became of it, and the files that were touched: elsewhere, or somebody's in the place itself."""
    try:
        path = target.checked_output(name.replace("SANDBOX", str(root)))
    except UsageError:
        return "refused", _touched(before, root)
    if "://" in path or (".." in name.split("/") and not Path(path).is_relative_to(root)):
        return "elsewhere", _touched(before, root)
    assert os.path.isabs(path) and Path(path).is_relative_to(root), path
    top = Path(path)
    while not os.path.lexists(top.parent):
        top = top.parent  # folders on the way are made, and removed again below
    real, existed, what = os.path.realpath(path), os.path.lexists(path), "published"
    try:
        publish_at(path)
        assert layout.exists(Layout(path, "").at(layout.MANIFEST))
    except (JobError, OSError) as error:
        what = "too_long" if "too long" in str(error) else "failed"
    touched = [c for c in _touched(before, root) if c in before or not c.startswith(f"{real}/")]
    if existed:
        _remove_new(real, before)
    elif os.path.lexists(top):
        shutil.rmtree(top)
    return what, touched


def _touched(before: Files, root: Path) -> list[str]:
    after = snapshot(root)
    return sorted(path for path in before.keys() | after.keys() if before.get(path) != after.get(path))


def _remove_new(real: str, before: Files) -> None:
    """Removes what was published in a folder that was there before."""
    for at, _, files in os.walk(real, topdown=False):
        for name in files:
            if os.path.join(at, name) not in before:
                os.remove(os.path.join(at, name))


def attempt(tried: Iterable[str]) -> dict[str, int]:
    """Tries names in a sandbox.

    Returns:
      How many there were, what became of them, and how many files were touched that are not the run's.
    """
    found = {"trials": 0, "refused": 0, "published": 0, "elsewhere": 0, "too_long": 0, "failed": 0, "lost": 0}
    home, cwd, fsync = os.environ.get("HOME"), os.getcwd(), os.fsync
    quick = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="seqcols-paths-", dir=quick) as folder:
        root = Path(os.path.realpath(folder))
        os.environ["HOME"] = str(root / "home")
        os.fsync = lambda fd: None  # takes most of the time, and nobody pulls a plug here
        try:
            os.chdir(make_sandbox(root))
            before, contents = snapshot(root), snapshot(root, whole=True)
            for name in tried:
                what, touched = try_name(name, root, before)
                found["trials"] += 1
                found[what] += 1
                found["lost"] += len(touched)
                if touched:
                    print(f"{name!r} touched {touched[:3]}", file=sys.stderr)
                    before = snapshot(root)
            after = snapshot(root, whole=True)
            found["lost"] += sum(contents.get(path) != after.get(path) for path in contents.keys() | after.keys())
        finally:
            os.chdir(cwd)
            os.fsync = fsync
            os.environ.pop("HOME") if home is None else os.environ.update(HOME=home)
    note("output path", **found)
    return found


def asked_for() -> int:
    """Returns how many names are to be tried."""
    return int(os.environ.get(VARIABLE, "1000"))


if __name__ == "__main__":
    raise SystemExit(attempt(names(int(sys.argv[1]) if len(sys.argv) > 1 else asked_for()))["lost"] > 0)
