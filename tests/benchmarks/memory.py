"""Peak memory of the main job at N and at 10 N rows, in one run: it must not grow by more than 5 %.

python -m tests.benchmarks.memory [--rows 40000] [--kind tfrecord|parquet] [--workers N] [--chain]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.benchmarks import data
from tests.benchmarks.measured import measure, ours

ALLOWED_GROWTH = 1.05


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
        more = ("--format", options.kind, "--overwrite", f"--workers={options.workers}")
        made = measure(ours(columns, pattern, output, *more))
        peaks.append(made.peak)
        print(f"{rows:>10,} {made.peak / 1e6:>9,.0f} {made.wall:>8.1f}", flush=True)
    growth = peaks[1] / peaks[0]
    print(f"ten times the rows: {growth:.3f} times the memory (allowed {ALLOWED_GROWTH})")
    return int(growth > ALLOWED_GROWTH)


if __name__ == "__main__":
    raise SystemExit(main())
