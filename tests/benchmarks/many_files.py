"""What a file costs: N small files against a tenth of them, in one run.

python -m tests.benchmarks.many_files [--files 10000] [--rows 5] [--workers N]
"""

from __future__ import annotations

import argparse
from pathlib import Path

from pipeline.dataset import layout
from tests.benchmarks import data
from tests.benchmarks.measured import Measured, measure, ours


def main() -> None:
    """Prints the table and, by slope, what one more file costs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rows", type=int, default=5, help="rows a file")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--folder", type=Path, default=Path("build/bench"))
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    columns = options.folder / "columns.yaml"
    columns.write_text(data.COLUMNS)
    sizes = (options.files // 10, options.files)
    print(f"{'files':>8} {'wall s':>8} {'CPU s':>8} {'peak MB':>8} {'ledger MB':>10} {'manifest MB':>12}")
    made = []
    for files in sizes:
        output = options.folder / f"out-files-{files}"
        one = _run(columns, files, options.rows, options.workers, output)
        made.append(one)
        ledger, manifest = ((output / name).stat().st_size / 1e6 for name in (layout.LEDGER, layout.MANIFEST))
        print(
            f"{files:>8,} {one.wall:>8.1f} {one.cpu:>8.1f} {one.peak / 1e6:>8,.0f} {ledger:>10.2f} {manifest:>12.2f}",
            flush=True,
        )
    more = sizes[1] - sizes[0]
    wall, cpu, peak = (
        (getattr(made[1], what) - getattr(made[0], what)) / more * factor
        for what, factor in (("wall", 1e3), ("cpu", 1e3), ("peak", 1e-3))
    )
    print(f"one more file: {wall:.1f} ms, {cpu:.1f} ms of CPU, {peak:.0f} kB of memory")


def _run(columns: Path, files: int, rows: int, workers: int, output: Path) -> Measured:
    pattern = data.make(columns.parent, files * rows, "tfrecord", files, name=f"files-{rows}-")
    return measure(ours(columns, pattern, output, "--overwrite", f"--workers={workers}"))


if __name__ == "__main__":
    main()
