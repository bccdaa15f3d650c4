"""Runs on events that are killed before changes of files, and on full disks: the old data set, or the new one whole.

`python -m tests.faults.event_runs [MOST]`: before so many of the changes, evenly spread, or before all.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from pipeline.dataset import graphs, leftovers, manifest
from pipeline.job import running
from pipeline.job.request import Request
from pipeline.verify.files import check
from tests.faults.figures import note
from tests.faults.injection import before_changes, failing, kill
from tests.faults.kills import forked
from transforms import SequenceGroup, make_spec, sequence_numeric_column
from transforms.errors import JobError

SPEC: Final = make_spec(
    [sequence_numeric_column("values")],
    SequenceGroup(max_length=3),
    events={"key": "user", "order_by": "at", "features": {"values": "value"}},
)
OLD: Final = 3
NEW: Final = 8
"""Keys of a data set."""


def request_of(folder: Path, keys: int) -> Request:
    """Returns what runs a job over events of so many keys, and one that has none."""
    source = folder / f"{keys}.jsonl"
    if not source.exists():
        events = [{"user": k % keys, "at": k, "value": float(k)} for k in range(40)]
        source.write_text("".join(f"{json.dumps(event)}\n" for event in [*events, {"at": 1, "value": 0.0}]))
    return Request(SPEC, [str(source)], str(folder / "out"), format="parquet", overwrite=True, partitions=3)


def keys_in(root: Path) -> int | None:
    """Follows the manifest to everything that it names; returns how many keys the data set has, None where there is none.

    Raises:
      AssertionError: something that it names is not there, or not what it says.
    """
    if not (root / "manifest.json").exists():
        return None
    found = manifest.read(str(root))
    assert not check(found).faults, check(found).faults
    for entry in found.sequences["files"]:
        assert graphs.file_digest(found.path(entry["path"])) == entry["sha256"]
    keys = {key for path in found.sequence_files for key in pq.read_table(path).column("user").to_pylist()}
    assert len(keys) == found.rows
    return len(keys)


def run(folder: Path, keys: int, number: int = 0) -> int:
    """Runs a job in a child process, which is killed before its n-th change in the output, if any."""
    request = request_of(folder, keys)

    def work() -> bool:
        with before_changes(request.output, kill(number)):
            return running.run(request).status == "done"

    return forked(work)


def changes() -> int:
    """Returns how many changes a run over an old data set makes in its output."""
    with tempfile.TemporaryDirectory() as name:
        folder, count = Path(name), Path(name) / "count"
        assert run(folder, OLD) == 0

        def work() -> bool:
            request = request_of(folder, NEW)
            with before_changes(request.output, lambda seen, path: None) as injected:
                done = running.run(request).status == "done"
            count.write_text(str(injected.seen))
            return done

        assert forked(work) == 0
        return int(count.read_text())


def killed(number: int) -> None:
    """Kills one run over an old data set; then a reader sees all of one of them, and the same command succeeds."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Path(name) / "out"
        assert run(folder, OLD) == 0
        assert run(folder, NEW, number) == -signal.SIGKILL, f"before change {number}: not killed"
        assert keys_in(root) in (OLD, NEW), number
        _again(folder, root, f"before change {number}")


def full(number: int) -> None:
    """Lets the disk be full from one change on: the old data set is whole, and the message names a file."""
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Path(name) / "out"
        assert run(folder, OLD) == 0
        request = request_of(folder, NEW)

        def work() -> bool:
            with failing(number, tempfile.gettempdir(), errno.ENOSPC):
                try:
                    done = running.run(request)
                    status, message = done.status, done.message
                except JobError as error:
                    status, message = "failed", str(error)
            ended = status == "done" or ("/" in message and "no space left" in message.lower() and "\n" not in message)
            if not ended:
                print(f"from change {number} on: {status}: {message}", file=sys.stderr)
            return ended

        assert forked(work) == 0, number
        assert keys_in(root) in (OLD, NEW), number
        _again(folder, root, f"full from change {number} on")


def _again(folder: Path, root: Path, what: str) -> None:
    assert run(folder, NEW) == 0, f"{what}: the same again fails"
    assert keys_in(root) == NEW, what
    left = leftovers.unnamed(leftovers.listing(str(root)), manifest.read(str(root)).content)
    assert not left, (what, left)
    assert not [entry for entry in os.listdir(root) if entry.startswith(".seqcols")], what


def main(most: int) -> None:
    """Tries each moment, or so many of them, evenly spread, both ways."""
    count = changes()
    moments = [1 + k * count // min(most, count) for k in range(min(most, count))]
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(killed, moments))
        list(pool.map(full, moments))
    note("events: kill -9 and full disks", trials=2 * len(moments), changes=count, torn=0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else sys.maxsize)
