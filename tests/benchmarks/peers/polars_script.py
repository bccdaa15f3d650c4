"""A Polars script for the same job, Parquet to Parquet: the fastest on one machine. No errors, no graph, no accounting.

`python -m tests.benchmarks.peers.polars_script INPUT_PATTERN OUTPUT_DIR`: job J2, on all cores. Each way to pad and scale is the
fastest of several that Polars offers.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

import numpy as np
import polars as pl

T = 128


def moments(pattern: str) -> dict[str, float]:
    """Over the kept steps: the last T of each row."""
    kept = {"temperature": pl.col("temperature").list.tail(T)}
    for k in range(3):
        kept[f"accel_{k}"] = pl.col("accel").list.tail(3 * T).list.gather_every(3, k)
    found = {}
    for name, values in kept.items():
        flat = values.explode().cast(pl.Float64)
        found |= {f"{name} mean": flat.mean(), f"{name} deviation": flat.std(ddof=0)}
    return pl.scan_parquet(pattern).select(**found).collect(engine="streaming").row(0, named=True)


def one_list(values: np.ndarray) -> pl.Expr:
    return pl.lit(pl.Series([pl.Series(values)]))


def watches() -> pl.Expr:
    """Ids cut and padded: a place beyond the end gives null."""
    padded = pl.col("watches").list.tail(T).list.gather(one_list(np.arange(T)), null_on_oob=True)
    return padded.list.eval(pl.element().fill_null(0)).list.to_array(T)


def temperature(found: Mapping[str, float]) -> pl.Expr:
    """Scaled, then padded with 0."""
    mean, deviation = (pl.lit(found[f"temperature {name}"], pl.Float32) for name in ("mean", "deviation"))
    scaled = pl.col("temperature").list.tail(T).list.eval((pl.element() - mean) / deviation)
    return pl.concat_list(scaled, one_list(np.zeros(T, "f4"))).list.head(T).list.to_array(T)


def accel(found: Mapping[str, float]) -> pl.Expr:
    """Padded with the mean, then scaled, which makes 0 of it."""
    mean, deviation = (
        np.tile([found[f"accel_{k} {name}"] for k in range(3)], T).astype("f4") for name in ("mean", "deviation")
    )
    steps = pl.col("accel").list.tail(3 * T)
    padded = pl.concat_list(steps, one_list(mean)).list.head(3 * T).list.to_array(3 * T)
    return (padded - one_list(mean).list.to_array(3 * T)) / one_list(deviation).list.to_array(3 * T)


def main(pattern: str, output: str) -> None:
    os.makedirs(output, exist_ok=True)
    found = moments(pattern)
    frame = pl.scan_parquet(pattern).select(
        watches=watches(),
        temperature=temperature(found),
        accel=accel(found),
        label=pl.col("label").list.first(),
        steps_length=pl.col("watches").list.len().clip(upper_bound=T).cast(pl.Int64),
    )
    # zstd at the level that pyarrow, and so seqcols, uses
    frame.sink_parquet(os.path.join(output, "examples.parquet"), compression="zstd", compression_level=1)


if __name__ == "__main__":
    main(*sys.argv[1:])
