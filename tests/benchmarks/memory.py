"""Peak memory of the main job at N and at 10 N rows, in one run: it must not grow by more than 5 %.

python -m tests.benchmarks.memory [--rows 40000] [--kind tfrecord|parquet] [--workers N] [--chain]
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import psutil

from tests.benchmarks import data

ALLOWED_GROWTH = 1.05


def peak_memory(command: list[str]) -> tuple[float, float]:
    """Runs a command; returns the peak of resident memory summed over all its processes (MB), and wall seconds."""
    began, peak = time.perf_counter(), 0
    process = psutil.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        family = [process, *_children(process)]
        peak = max(peak, sum(_resident(member) for member in family))
        time.sleep(0.02)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{process.stderr.read().decode()}")
    return peak / 1e6, time.perf_counter() - began


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _resident(process: psutil.Process) -> int:
    try:
        return process.memory_info().rss
    except psutil.NoSuchProcess:
        return 0


def main() -> int:
    """Prints the table; returns 1 where memory grew too much."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--rows", type=int, default=40_000, help="rows of the smaller run; the larger has ten times as many"
    )
    parser.add_argument("--kind", choices=["tfrecord", "parquet"], default="tfrecord", help="input and output format")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--chain", action="store_true", help="clip at quantiles before each z-score: one pass more")
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    columns = options.folder / "columns.yaml"
    chain = "[{type: clip, quantiles: [0.01, 0.99]}, z_score]" if options.chain else "z_score"
    columns.write_text(data.COLUMNS.replace("normalizer_fn: z_score", f"normalizer_fn: {chain}"))
    peaks = []
    print(f"{'rows':>10} {'peak MB':>9} {'wall s':>8}")
    for rows in (options.rows, 10 * options.rows):
        pattern = data.make(options.folder, rows, options.kind)
        output = options.folder / f"out-{options.kind}-{rows}"
        command = [
            sys.executable,
            "-m",
            "pipeline.cli",
            "run",
            str(columns),
            "--input",
            pattern,
            "--output",
            str(output),
        ]
        command += ["--format", options.kind, "--overwrite", f"--workers={options.workers}"]
        peak, wall = peak_memory(command)
        peaks.append(peak)
        print(f"{rows:>10,} {peak:>9,.0f} {wall:>8.1f}", flush=True)
    growth = peaks[1] / peaks[0]
    print(f"ten times the rows: {growth:.3f} times the memory (allowed {ALLOWED_GROWTH})")
    return int(growth > ALLOWED_GROWTH)


if __name__ == "__main__":
    raise SystemExit(main())
