"""The disk is full from some moment of a run on: nothing but an error that names a path, the old data set whole, nothing left.

`python -m tests.faults.full_disks [MOST]`: from before the first change of a file to after the last; and for growing sizes of the
largest file, beyond which the operating system refuses to write. The run replaces a data set, or appends to it.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import resource
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from pipeline.dataset import leftovers, manifest
from pipeline.job import running
from tests.faults.figures import note
from tests.faults.injection import failing
from tests.faults.kills import BEFORE, NEW, forked, ids_in, published_before, request_of
from transforms.errors import JobError

SIZES: Final = [0, 1, 100, 1000, 3000, 10_000, 30_000, 100_000, 300_000]
OLD: Final = BEFORE["a larger data set"]


@contextlib.contextmanager
def largest_file(size: int) -> Iterator[None]:
    """Lets every write beyond a size fail with EFBIG, in this process for good."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    yield


def outcome_of(folder: Path, append: bool, fault: Callable[[], AbstractContextManager[Any]]) -> dict[str, Any]:
    """Runs a job with a fault in a child process; returns how it ended and how many changes it had got to."""
    reader, writer = os.pipe()

    def work() -> bool:
        request = replace(request_of(folder, NEW, overwrite=not append), append=append)
        with fault() as injected:
            try:
                done = running.run(request)
                how = {"status": done.status, "message": done.message, "notes": list(done.notes)}
            except JobError as error:
                how = {"status": "failed", "message": str(error), "notes": []}
        os.write(writer, json.dumps({**how, "seen": getattr(injected, "seen", 0)}).encode())
        return True

    try:
        code = forked(work)
        assert code == 0, code
        os.close(writer)
        writer = -1
        made: dict[str, Any] = json.loads(os.read(reader, 1 << 16))
        return made
    finally:
        os.close(reader)
        if writer >= 0:
            os.close(writer)


def trial(fault: Callable[[], AbstractContextManager[Any]], what: str, append: bool) -> int:
    """Runs over an old data set with a fault; returns how many changes of files there were."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Path(name) / "out"
        published_before(folder, OLD)
        new = set(NEW) | set(OLD if append else ())
        how = outcome_of(folder, append, fault)
        said = how["message"] or " ".join(how["notes"])
        done = how["status"] == "done"
        assert ids_in(root) == (new if done else set(OLD)), what
        if not done:
            assert "\n" not in said and re.search(r"/.*(no space left|file too large)", said.lower()), (what, said)
            assert not re.search(r"\{\{|\w(Error|Exception)\b", said), (what, said)  # of a library
        assert how["status"] == "failed" or not said or said.startswith("published, but "), (what, said)
        again = outcome_of(folder, append, contextlib.nullcontext)
        assert (again["status"] == "done") != (append and done), (what, again)  # not the same rows twice
        assert ids_in(root) == new
        left = leftovers.unnamed(leftovers.listing(str(root)), manifest.read(str(root)).content)
        assert not left, (what, left)
        return int(how["seen"])


def faults_of(append: bool, most: int) -> tuple[int, list[tuple[str, Callable[[], AbstractContextManager[Any]]]]]:
    """Returns how many changes of files a run makes, and the faults to try: each moment, or so many of them, and sizes."""
    with tempfile.TemporaryDirectory() as name:
        published_before(Path(name), OLD)
        root = str(Path(name) / "out")
        changes = outcome_of(Path(name), append, lambda: failing(10**9, root))["seen"]
    count = min(changes, most)
    moments = [1 + k * changes // count for k in range(count)]
    sizes = SIZES[:: max(len(SIZES) // most, 1)][:most]
    faults: list[tuple[str, Callable[[], AbstractContextManager[Any]]]] = []
    faults += [(f"change {k}", lambda k=k: failing(k, tempfile.gettempdir(), errno.ENOSPC)) for k in moments]  # type: ignore[misc]
    faults += [(f"size {n}", lambda n=n: largest_file(n)) for n in sizes]  # type: ignore[misc]
    return changes, faults


def main(most: int) -> None:
    """Tries each moment of a run that replaces a data set and of one that appends, or so many of them, evenly spread."""
    tried = changes = 0
    for append in (False, True):
        made, faults = faults_of(append, most)
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda fault, append=append: trial(fault[1], fault[0], append), faults))  # type: ignore[misc]
        tried, changes = tried + len(faults), max(changes, made)
    note("disk full", tried, changes=changes, sizes=len(SIZES[:: max(len(SIZES) // most, 1)][:most]), damaged=0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 200)
