"""A worker process is killed in the middle of a job: it fails within a minute, and nothing of it is published.

`python -m tests.faults.workers [TRIALS]`
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil

from pipeline.command.tf_examples import write_examples
from pipeline.dataset import layout, leftovers
from tests.faults.figures import note

MOST_SECONDS = 60.0
COLUMNS = """columns:
  - {type: sequence_numeric_column, key: x, normalizer_fn: z_score}
sequence_groups:
  sequence: {max_length: 64}
"""


def workers_of(process: psutil.Process) -> list[psutil.Process]:
    """Returns the worker processes of a job that have begun to work: TensorFlow is loaded."""
    return [child for child in process.children(recursive=True) if _works(child)]


def _works(child: psutil.Process) -> bool:
    try:
        return "sdk_worker" in " ".join(child.cmdline()) and child.num_threads() > 8
    except psutil.Error:  # it is gone, or only its entry is left
        return False


def trial(folder: Path, inputs: Path, seed: int) -> float:
    """Runs a job with two workers and kills one; returns how long it then took to fail."""
    (folder / "columns.yaml").write_text(COLUMNS)
    arguments = [
        "--input",
        str(inputs),
        "--output",
        str(folder / "out"),
        "--workers",
        "2",
        "--direct_running_mode=multi_processing",
        "--max-rejected",
        "1",
    ]
    command = [sys.executable, "-m", "pipeline.command.cli", "run", str(folder / "columns.yaml"), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as job:
        process, rng = psutil.Process(job.pid), random.Random(seed)
        while job.poll() is None and not workers_of(process):
            time.sleep(0.1)
        time.sleep(2 * rng.random())
        assert job.poll() is None, "the job was done before a worker could be killed: it needs more rows"
        rng.choice(workers_of(process)).kill()
        began = time.monotonic()
        _, said = job.communicate(timeout=2 * MOST_SECONDS)
        passed = time.monotonic() - began
    assert job.returncode == 1, said
    assert said.strip().splitlines()[-1].startswith("seqcols: error: "), said
    assert passed < MOST_SECONDS, passed
    assert not (folder / "out" / layout.MANIFEST).exists()
    assert not (folder / "out").exists() or leftovers.listing(str(folder / "out")) == []
    return passed


def main(trials: int) -> None:
    """Kills a worker in so many jobs, each at another moment."""
    with tempfile.TemporaryDirectory() as folder:
        inputs = Path(folder) / "*.tfrecord"
        for k in range(4):
            rows = [{"x": [float(n % 7)] * 100} for n in range(20_000)]
            write_examples(str(Path(folder) / f"{k}.tfrecord"), rows)
        took = []
        for k in range(trials):
            (Path(folder) / str(k)).mkdir()
            took.append(trial(Path(folder) / str(k), inputs, k))
    note("worker lost", trials=trials, published=0, slowest_seconds=round(max(took)))


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
