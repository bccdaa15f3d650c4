"""Whole runs that are killed, before every change of a file that they make, over nothing, a smaller and a larger data set.

Those over nothing are tried once more with `--shards`, whose rows wait in the staging folder.

`python -m tests.faults.kills [MOST]`: before so many of the changes, evenly spread, or before all. Runs are forked off a process
that has imported everything and computed nothing, because importing takes longer than running.
"""

from __future__ import annotations

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
from pipeline.job import running
from pipeline.job.request import Request
from tests.faults.figures import note
from tests.faults.injection import before_changes, kill
from transforms import SequenceGroup, make_spec, passthrough_column, sequence_numeric_column

SPEC: Final = make_spec(
    [passthrough_column("id", "int64"), sequence_numeric_column("x", required=True)],
    SequenceGroup(max_length=3),
)
NEW: Final = range(1000, 1020)
BEFORE: Final = {
    "nothing": range(0),
    "nothing, in shards": range(0),
    "a smaller data set": range(5),
    "a larger data set": range(60),
}


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


def shards_of(before: str) -> int | None:
    """Returns how many files a run is asked for."""
    return 3 if before.endswith("in shards") else None


def request_of(folder: Path, ids: range, overwrite: bool, shards: int | None = None) -> Request:
    """Returns what runs a job over rows with these ids, and one that is rejected."""
    source = folder / f"{ids.start}-{ids.stop}.tfrecord"
    if not source.exists():
        bad = [{"id": k} for k in ids[:1]]  # the column is required: a rejected row
        write_examples(str(source), [*bad, *({"id": k, "x": [float(k)] * (k % 4)} for k in ids)])
    more = {"overwrite": overwrite, "shards": shards}
    return Request(SPEC, [str(source)], str(folder / "out"), format="parquet", max_rejected=1.0, **more)


def run(folder: Path, ids: range, overwrite: bool, number: int = 0, shards: int | None = None) -> int:
    """Runs a job over rows with these ids in a child process, which is killed before its n-th change in the output, if any."""
    request = request_of(folder, ids, overwrite, shards)

    def work() -> bool:
        with before_changes(request.output, kill(number)):
            outcome = running.run(request)
        if outcome.status != "done":
            print(f"before change {number}: {outcome.message}", file=sys.stderr)
        return outcome.status == "done"

    return forked(work)


def changes(before: str) -> int:
    """Returns how many changes a run makes in its output."""
    with tempfile.TemporaryDirectory() as folder:
        if BEFORE[before]:
            published_before(Path(folder), BEFORE[before])
        request = request_of(Path(folder), NEW, bool(BEFORE[before]), shards_of(before))
        count = Path(folder) / "count"

        def work() -> bool:
            with before_changes(request.output, lambda seen, path: None) as injected:
                done = running.run(request).status == "done"
            count.write_text(str(injected.seen))
            return done

        assert forked(work) == 0
        return int(count.read_text())


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


def trial(number: int, before: str) -> None:
    """Kills one run over what was there before; then a reader sees all of one data set, and the same command succeeds."""
    where = f"before change {number} over {before}"
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "out"
        old = BEFORE[before]
        if old:
            published_before(Path(folder), old)
        shards = shards_of(before)
        assert run(Path(folder), NEW, bool(old), number, shards) == -signal.SIGKILL, f"{where}: not killed"
        found = ids_in(root)
        assert found in (set(old) if old else None, set(NEW)), f"{where}: {found}"
        # Without its staging folder a run has come to its end, and is a finished data set like any other.
        finished = found == set(NEW) and not list(root.glob(".seqcols-*"))
        assert run(Path(folder), NEW, bool(old) or finished, shards=shards) == 0, f"{where}: the same again fails"
        assert ids_in(root) == set(NEW), where
        left = leftovers.unnamed(leftovers.listing(str(root)), manifest.read(str(root)).content)
        assert not left, f"{where}: {left}"


def main(most: int) -> None:
    """Tries all combinations, two at a time."""
    made = {before: changes(before) for before in BEFORE}
    chosen = [(1 + k * n // min(most, n), before) for before, n in made.items() for k in range(min(most, n))]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda pair: trial(*pair), chosen))
    note("kill -9", trials=len(chosen), changes=max(made.values()), torn=0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else sys.maxsize)
