"""A Polars script for the same job, Parquet to Parquet (J2): the fastest on one machine. No errors, no graph, no accounting.

`python -m tests.benchmarks.peers.polars_script INPUT_PATTERN OUTPUT_DIR`
"""

from __future__ import annotations

import glob
import os
import sys

import numpy as np
import polars as pl

T = 128


def moments(pattern: str) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Over the kept steps: the last T of each row."""
    kept = pl.scan_parquet(pattern).select(
        pl.col("temperature").list.tail(T), *(pl.col("accel").list.tail(3 * T).list.gather_every(3, k).alias(f"accel_{k}") for k in range(3))
    )
    names = ["temperature", "accel_0", "accel_1", "accel_2"]
    made = kept.select(
        *(pl.col(name).explode().cast(pl.Float64).mean().alias(f"{name}_mean") for name in names),
        *(pl.col(name).explode().cast(pl.Float64).std(ddof=0).alias(f"{name}_std") for name in names),
    ).collect(engine="streaming")
    row = made.row(0, named=True)
    accel = [f"accel_{k}" for k in range(3)]
    return {
        "temperature": (np.array([row["temperature_mean"]]), np.array([row["temperature_std"]])),
        "accel": (np.array([row[f"{n}_mean"] for n in accel]), np.array([row[f"{n}_std"] for n in accel])),
    }


def padded(column: pl.Expr, width: int) -> pl.Expr:
    """Fixed arrays of T steps, padded with zeros."""
    places = pl.lit(pl.Series([list(range(T * width))]))
    return column.list.gather(places, null_on_oob=True).list.eval(pl.element().fill_null(0)).list.to_array(T * width)


def scaled(name: str, width: int, found: dict[str, tuple[np.ndarray, np.ndarray]]) -> pl.Expr:
    mean, deviation = (pl.lit(pl.Series(np.tile(part, T).astype("f4"))) for part in found[name])
    steps = pl.element().len()
    return (
        pl.col(name)
        .list.tail(T * width)
        .list.eval((pl.element() - mean.slice(0, steps)) / deviation.slice(0, steps))
    )


def main(pattern: str, output: str) -> None:
    os.makedirs(output, exist_ok=True)
    found = moments(pattern)
    for number, path in enumerate(sorted(glob.glob(pattern))):
        frame = pl.scan_parquet(path).select(
            padded(pl.col("watches").list.tail(T), 1).alias("watches"),
            padded(scaled("temperature", 1, found), 1).alias("temperature"),
            padded(scaled("accel", 3, found), 3).alias("accel"),
            pl.col("label").list.first(),
            pl.col("watches").list.len().clip(upper_bound=T).cast(pl.Int64).alias("steps_length"),
        )
        frame.sink_parquet(os.path.join(output, f"{number}.parquet"), compression="zstd")


if __name__ == "__main__":
    main(*sys.argv[1:])
