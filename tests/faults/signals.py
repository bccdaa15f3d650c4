"""Whole runs that are told to stop, each at a random moment from their first statement to their end.

`python -m tests.faults.signals [TRIALS [FIRST]]`: by SIGINT, SIGTERM and SIGHUP; over nothing and over a data set; by the console
script and by `python -m`. Exit code 130 and one line, no traceback; nothing in the temporary directory, nothing of the run in
DIR; what was there before is whole, unless the run had published: then that is.
"""

from __future__ import annotations

import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from pipeline.dataset import leftovers, manifest
from tests.faults.figures import note
from tests.faults.kills import BEFORE, NEW, ids_in, published_before, request_of

ROOT = Path(__file__).parents[2]
SEQCOLS = [str(Path(sys.executable).parent / "seqcols")]
MODULE = [sys.executable, "-m", "pipeline.command.cli"]
NUMBERS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
COLUMNS = """columns:
  - {type: passthrough_column, key: id, dtype: int64}
  - {type: sequence_numeric_column, key: x, required: true, normalizer_fn: min_max}
sequence_groups: {sequence: {max_length: 3}}
"""
LAST = re.compile(r"seqcols: stopped(; (nothing was|the data set had been) published)?")


def started(folder: Path, program: list[str], overwrite: bool) -> subprocess.Popen[str]:
    """Starts a run over the new rows, with a temporary directory of its own, and waits for its first statement."""
    (folder / "tmp").mkdir()
    (folder / "c.yaml").write_text(COLUMNS)
    inputs = request_of(folder, NEW, overwrite).inputs[0]
    options = ["--input", inputs, "--output", str(folder / "out"), "--format", "parquet", "--max-rejected", "1"]
    command = [*program, "run", str(folder / "c.yaml"), *options, *(["--overwrite"] if overwrite else [])]
    environment = {**os.environ, "TMPDIR": str(folder / "tmp")}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not _handles(process.pid, signal.SIGTERM):
        time.sleep(0.0005)
    return process


def _handles(process: int, number: int) -> bool:
    """Whether a process has a handler for a signal."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"SigCgt:\s*([0-9a-f]+)", status)
    return found is not None and bool(int(found[1], 16) >> (number - 1) & 1)


def trial(seed: int, seconds: float) -> str:
    """Stops a run somewhere in its first so many seconds; returns how it ended: `stopped`, `published` or `done`."""
    rng = random.Random(seed)
    number, old = NUMBERS[seed % 3], [*BEFORE.values()][seed % 2 * 2]
    with tempfile.TemporaryDirectory() as name:
        folder, root = Path(name), Path(name) / "out"
        if old:
            published_before(folder, old)
        process = started(folder, (SEQCOLS, MODULE)[seed // 6 % 2], bool(old))
        late = rng.random() < 1 / 3  # a third while it publishes, cleans up and ends
        time.sleep(max(seconds - 1.5 * rng.random(), 0) if late else rng.random() * seconds)
        process.send_signal(number)
        _, said = process.communicate(timeout=120)
        what = f"seed {seed}, {number.name}, exit code {process.returncode}: {said[-2000:]!r}"
        ended = _ended(process.returncode, said, what)
        found = ids_in(root)
        assert found == (set(old) if ended == "stopped" and old else None if ended == "stopped" else set(NEW)), what
        assert os.listdir(folder / "tmp") == [], (what, os.listdir(folder / "tmp"))
        if root.exists():
            content = manifest.read(str(root)).content if found is not None else {}
            left = leftovers.unnamed(leftovers.listing(str(root)), content)
            assert not left and not list(root.glob(".*")), (what, left)
        return ended


def _ended(code: int, said: str, what: str) -> str:
    assert "Traceback" not in said, what
    if code == 0:
        return "done"
    lines = [line for line in said.splitlines() if not line.startswith("pass ")]
    assert code == 130 and len(lines) == 1 and LAST.fullmatch(lines[0]), what
    return "published" if "had been published" in lines[0] else "stopped"


def main(trials: int, first: int = 0) -> None:
    """Measures how long a run takes, and stops as many as are asked for."""
    with tempfile.TemporaryDirectory() as name:
        began = time.monotonic()
        process = started(Path(name), SEQCOLS, False)
        process.communicate(timeout=300)
        assert process.returncode == 0
        seconds = time.monotonic() - began
    ended = [trial(seed, seconds) for seed in range(first, first + trials)]
    counts = {how: ended.count(how) for how in ("stopped", "published", "done")}
    note("stopped", trials=trials, damaged=0, left_over=0, **counts)


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:] or ["300"]))
