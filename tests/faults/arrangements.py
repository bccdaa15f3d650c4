"""The same rows in other files, batches, workers and caches: the statistics and the rows are the same to the last bit.

`python -m tests.faults.arrangements [ARRANGEMENTS]`: so many, 100 unless said. Mean and variance are held against fractions.
"""

from __future__ import annotations

import itertools
import random
import sys
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tests.faults.figures import note
from tests.jobs import Arrays, done, read_arrays, read_json
from transforms import SequenceGroup, make_spec, numeric_column, passthrough_column, sequence_numeric_column

ROWS: Final = 300
T: Final = 4
SPEC: Final = make_spec(
    [
        passthrough_column("id", "int64"),
        sequence_numeric_column("x", (2,), normalizer_fn="z_score"),
        numeric_column("wide", dtype="float64", normalizer_fn="z_score"),
        numeric_column("whole", dtype="int64", normalizer_fn="z_score"),
        sequence_numeric_column(
            "by_key", normalizer_fn={"type": "z_score", "per": "key", "key": "whole"}, group="keys"
        ),
    ],
    {"sequence": SequenceGroup(max_length=T, truncate="tail"), "keys": SequenceGroup(max_length=T)},
)


def made() -> pa.Table:
    """Returns rows whose sums in float64 depend on their order: the values are some thirty powers of ten apart."""
    rng = np.random.default_rng(5)

    def spread(count: int) -> np.ndarray:
        return np.asarray(rng.normal(size=count) * 10.0 ** rng.integers(-15, 15, count))

    return pa.table(
        {
            "id": pa.array(np.arange(ROWS)),
            "x": pa.array([spread(2 * rng.integers(0, T + 3)).astype(np.float32) for _ in range(ROWS)]),
            "wide": pa.array(spread(ROWS)),
            "whole": pa.array(rng.integers(-3, 4, ROWS)),
            "by_key": pa.array([spread(rng.integers(0, T)).astype(np.float32) for _ in range(ROWS)]),
        }
    )


def arranged(table: pa.Table, folder: Path, rng: random.Random) -> tuple[list[Path], dict[str, Any]]:
    """Writes rows in another order into one to five files; returns those, in any order, and the options of a run."""
    order = rng.sample(range(ROWS), ROWS)
    cuts = [0, *sorted(rng.sample(range(1, ROWS), rng.randrange(5))), ROWS]
    files = []
    for k, (first, last) in enumerate(itertools.pairwise(cuts)):
        files.append(folder / f"{rng.randrange(1000):03}-{k}.parquet")
        groups = rng.choice([50, 1000])
        pq.write_table(table.take(pa.array(order[first:last])), files[-1], row_group_size=groups)
    rng.shuffle(files)
    options: dict[str, Any] = {"workers": rng.randint(1, 4), "max_batch_bytes": rng.choice([5_000, 20_000, 8 << 20])}
    if rng.random() < 0.3:
        options["cache"] = str(folder / "cache")
        done(SPEC, files[: rng.randint(1, len(files))], folder / "before", **options)
    return files, options


def exact(values: np.ndarray) -> tuple[float, float]:
    """Returns mean and variance of numbers, correctly rounded."""
    fractions = [Fraction(value) for value in values.tolist()]
    mean = sum(fractions, Fraction()) / len(fractions)
    return float(mean), float(sum((value - mean) ** 2 for value in fractions) / len(fractions))


def not_exact(table: pa.Table, columns: dict[str, Any]) -> list[str]:
    """Returns the columns whose mean or variance is not the correctly rounded one."""
    steps = [np.array(row).reshape(-1, 2)[-T:] for row in table["x"].to_pylist()]
    kept = {"x": np.concatenate(steps), **{name: table[name].to_numpy()[:, np.newaxis] for name in ("wide", "whole")}}
    wrong = []
    for name, values in kept.items():
        mean, variance = zip(*map(exact, values.T), strict=True)
        if (list(mean), list(variance)) != (columns[name]["mean"], columns[name]["variance"]):
            wrong.append(name)
    return wrong


def differences(table: pa.Table, seed: int, first: tuple[Any, Arrays] | None) -> tuple[list[str], tuple[Any, Arrays]]:
    """Runs one arrangement; returns what differs from the first one, and what it made."""
    with tempfile.TemporaryDirectory(prefix="seqcols-arranged-") as folder:
        files, options = arranged(table, Path(folder), random.Random(seed))
        done(SPEC, files, Path(folder) / "out", **options)
        statistics, arrays = read_json(folder, "out/statistics.json"), read_arrays(Path(folder) / "out", "id")
    wrong = [f"{name}: mean or variance" for name in not_exact(table, statistics["columns"])] if first is None else []
    known, others = first or (statistics, arrays)
    wrong += [
        f"statistics of {name}" for name in known["columns"] if known["columns"][name] != statistics["columns"][name]
    ]
    wrong += [f"rows of {name}" for name in others if arrays[name].tobytes() != others[name].tobytes()]
    return wrong, (known, others)


def attempt(count: int) -> int:
    """Tries so many arrangements; returns in how many of them something differs."""
    table, first, different = made(), None, 0
    for seed in range(count):
        wrong, first = differences(table, seed, first)
        different += bool(wrong)
        for line in wrong:
            print(f"arrangement {seed}: {line}", file=sys.stderr, flush=True)
    note("arrangements", count, rows=count * ROWS, different=different)
    return different


if __name__ == "__main__":
    raise SystemExit(attempt(int(sys.argv[1]) if len(sys.argv) > 1 else 100) > 0)
