"""Seeded input for benchmarks: watches, temperatures and accelerations with log-normal lengths, written column by column."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from pipeline.sources.tfrecord.framing import framed

COLUMNS = """\
sequence_groups:
  steps: {max_length: 128, truncate: tail, mask: false}
columns:
  - {type: sequence_categorical_column_with_identity, key: watches, num_buckets: 100000, padding_id: 0, group: steps}
  - {type: sequence_numeric_column, key: temperature, normalizer_fn: z_score, group: steps}
  - {type: sequence_numeric_column, key: accel, shape: [3], normalizer_fn: z_score, group: steps}
  - {type: categorical_column_with_identity, key: label, num_buckets: 2}
"""
BLOCK = 10_000
Rows = Callable[[np.random.Generator, int], pa.RecordBatch]


def batch(generator: np.random.Generator, rows: int) -> pa.RecordBatch:
    """Returns rows of about 44 steps x 5 values: lengths log-normal (mu 3.4, sigma 0.9) cut at 500, ids Zipf."""
    lengths = np.clip(generator.lognormal(3.4, 0.9, rows), 1, 500).astype(np.int64)
    steps = int(lengths.sum())
    columns = {
        "watches": (np.minimum(generator.zipf(1.2, steps), 100_000) - 1, 1),
        "temperature": (generator.normal(20, 5, steps).astype(np.float32), 1),
        "accel": (generator.normal([0, 0, 9.8], [1, 2, 3], (steps, 3)).astype(np.float32).reshape(-1), 3),
        "label": (generator.integers(0, 2, rows), 0),
    }
    arrays = {}
    for name, (values, width) in columns.items():
        splits = np.arange(rows + 1) if not width else np.concatenate([[0], np.cumsum(lengths)]) * width
        arrays[name] = pa.ListArray.from_arrays(pa.array(splits, pa.int32()), pa.array(values))
    return pa.RecordBatch.from_pydict(arrays)


def make(
    folder: Path,
    rows: int,
    kind: str = "tfrecord",
    files: int = 4,
    rows_of: Rows = batch,
    name: str = "",
    seed: int = 11,
    block: int = BLOCK,
) -> str:
    """Writes `rows` rows into `files` files, once; returns their pattern.

    Args:
      folder: where data sets are kept.
      rows: how many, a multiple of `files`.
      kind: `tfrecord` or `parquet`.
      files: how many. File k is the same in all data sets whose files have as many rows.
      rows_of: makes rows.
      name: begins the name of the data set's folder.
      seed: of all random numbers.
      block: rows that are made at once, and those of a row group.
    """
    target = folder / f"{name}{kind}-{rows}"
    pattern = str(target / f"part-*.{kind}")
    if (target / "done").exists():
        return pattern
    target.mkdir(parents=True, exist_ok=True)
    for number in range(files):
        generator = np.random.default_rng([seed, number])
        count = rows // files
        blocks = (rows_of(generator, min(block, count - first)) for first in range(0, count, block))
        _write(target / f"part-{number:03d}.{kind}", blocks, kind)
    (target / "done").touch()
    return pattern


def _write(path: Path, blocks: Iterable[pa.RecordBatch], kind: str) -> None:
    if kind == "tfrecord":
        encoder = RecordBatchToExamplesEncoder()
        with path.open("wb") as file:
            file.writelines(framed(encoder.encode(block)) for block in blocks)
        return
    writer = None
    for block in blocks:
        writer = writer or pq.ParquetWriter(path, block.schema, compression="zstd")
        writer.write_batch(block)
    if writer:
        writer.close()
