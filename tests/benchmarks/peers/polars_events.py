"""A Polars script for the job on events, on its streaming engine: no errors, no graph, no accounting.

`python -m tests.benchmarks.peers.polars_events INPUT_PATTERN OUTPUT_DIR`: job J5, on all cores. Sequences are written once, so
that no step holds all of them: moments and padding read them from there.
"""

from __future__ import annotations

import os
import sys

import numpy as np
import polars as pl

T = 128


def one_list(values: np.ndarray) -> pl.Expr:
    return pl.lit(pl.Series([pl.Series(values)]))


def main(pattern: str, output: str) -> None:
    os.makedirs(output, exist_ok=True)
    made = os.path.join(output, "sequences.tmp")
    steps = pl.col("item", "value").sort_by("time", "item", "value").tail(T)
    pl.scan_parquet(pattern).group_by("user").agg(steps).sink_parquet(made, compression="zstd", compression_level=1)
    flat = pl.col("value").explode().cast(pl.Float64)
    found = pl.scan_parquet(made).select(mean=flat.mean(), deviation=flat.std(ddof=0)).collect(engine="streaming")
    mean, deviation = (pl.lit(value, pl.Float32) for value in found.row(0))
    padded = pl.col("item").list.gather(one_list(np.arange(T)), null_on_oob=True)
    scaled = pl.col("value").list.eval((pl.element() - mean) / deviation)
    frame = pl.scan_parquet(made).select(
        user=pl.col("user"),
        items=padded.list.eval(pl.element().fill_null(0)).list.to_array(T),
        values=pl.concat_list(scaled, one_list(np.zeros(T, "f4"))).list.head(T).list.to_array(T),
        steps_length=pl.col("item").list.len().cast(pl.Int64),
    )
    frame.sink_parquet(os.path.join(output, "examples.parquet"), compression="zstd", compression_level=1)
    os.remove(made)


if __name__ == "__main__":
    main(*sys.argv[1:])
