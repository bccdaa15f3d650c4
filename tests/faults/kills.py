"""Whole runs that kill themselves, at every point there is, over nothing, a smaller and a larger data set.

`python -m tests.faults.kills [POINT ...]`: all points, if none is named. Runs are forked off a process that has imported
everything and computed nothing, because importing takes longer than running.
"""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from pipeline.command.tf_examples import write_examples
from pipeline.dataset import graphs, layout, leftovers, manifest
from pipeline.dataset.kill_points import POINTS, VARIABLE
from pipeline.job import running
from pipeline.job.request import Request
from tests.faults.figures import note
from transforms import SequenceGroup, make_spec, passthrough_column, sequence_numeric_column

SPEC: Final = make_spec(
    [passthrough_column("id", "int64"), sequence_numeric_column("x", required=True)],
    SequenceGroup(max_length=3),
)
NEW: Final = range(1000, 1020)
BEFORE: Final = {"nothing": range(0), "a smaller data set": range(5), "a larger data set": range(60)}
NOT_OVER_NOTHING: Final = ("removing",)
"""Points that a run only passes where it replaces something."""


def forked(work: Callable[[], bool]) -> int:
    """Does some work in a child process; returns its exit code, negative where a signal ended it."""
    child = os.fork()
    if not child:
        code = 2
        try:
            code = 0 if work() else 1
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def request_of(folder: Path, ids: range, overwrite: bool) -> Request:
    """Returns what runs a job over rows with these ids, and one that is rejected."""
    source = folder / f"{ids.start}-{ids.stop}.tfrecord"
    if not source.exists():
        bad = [{"id": k} for k in ids[:1]]  # the column is required: a rejected row
        write_examples(str(source), [*bad, *({"id": k, "x": [float(k)] * (k % 4)} for k in ids)])
    return Request(SPEC, [str(source)], str(folder / "out"), format="parquet", overwrite=overwrite, max_rejected=1.0)


def run(folder: Path, ids: range, overwrite: bool, point: str = "") -> int:
    """Runs a job over rows with these ids in a child process that is to kill itself at a point."""
    request = request_of(folder, ids, overwrite)

    def work() -> bool:
        os.environ[VARIABLE] = point
        outcome = running.run(request)
        if outcome.status != "done":
            print(f"at {point or 'no point'}: {outcome.message}", file=sys.stderr)
        return outcome.status == "done"

    return forked(work)


_MADE: Final[dict[range, tempfile.TemporaryDirectory[str]]] = {}
_ONE_AT_A_TIME: Final = threading.Lock()


def published_before(folder: Path, ids: range) -> None:
    """Puts a finished data set of rows with these ids into a folder; it is made once and then copied."""
    with _ONE_AT_A_TIME:
        if ids not in _MADE:
            _MADE[ids] = tempfile.TemporaryDirectory()
            assert run(Path(_MADE[ids].name), ids, False) == 0
    shutil.copytree(Path(_MADE[ids].name) / "out", folder / "out")


def ids_in(root: Path) -> set[int] | None:
    """Follows the manifest to everything that it names; returns the ids of the rows, None where there is no data set.

    Raises:
      AssertionError: something that it names is not there, or not what it says.
    """
    if not (root / layout.MANIFEST).exists():
        return None
    found = manifest.read(str(root))
    for part in ("examples", "rejected"):
        for entry in found.content[part]["files"]:
            path = found.path(entry["path"])
            assert graphs.file_digest(path) == entry["sha256"] and os.path.getsize(path) == entry["bytes"], path
    for name, digest in found.content["graph_sha256"].items():
        assert graphs.digest(found.path(found.content[name])) == digest, name
    for name in ("ledger", "statistics"):
        assert layout.read_json(found.path(found.content[name])), name
    return set(pq.read_table(found.files).column("id").to_pylist())


def trial(point: str, before: str) -> None:
    """Kills one run over what was there before; then a reader sees all of one data set, and the same command succeeds."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "out"
        old = BEFORE[before]
        if old:
            published_before(Path(folder), old)
        assert run(Path(folder), NEW, bool(old), point) == -signal.SIGKILL, f"{point}: not passed over {before}"
        found = ids_in(root)
        assert found in (set(old) if old else None, set(NEW)), f"{point} over {before}: {found}"
        assert run(Path(folder), NEW, bool(old)) == 0, f"{point} over {before}: the same again fails"
        assert ids_in(root) == set(NEW), f"{point} over {before}"
        left = leftovers.unnamed(leftovers.listing(str(root)), manifest.read(str(root)).content)
        assert not left, f"{point} over {before}: {left}"


def main(points: list[str]) -> None:
    """Tries all combinations, two at a time."""
    combinations = [
        (point, before)
        for point, before in itertools.product(points or POINTS, BEFORE)
        if BEFORE[before] or point not in NOT_OVER_NOTHING
    ]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: trial(*pair), combinations))
    note("kill -9", kill_points=len(points or POINTS), trials=len(combinations), torn=0)


if __name__ == "__main__":
    main(sys.argv[1:])
