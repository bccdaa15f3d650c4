"""Seeded input of 250 columns for jobs J3 and J6: short sequences of one group."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

T = 8
BUCKETS = 1000
NUMBERS = [f"number_{k:03}" for k in range(200)]
IDS = [f"id_{k:02}" for k in range(50)]


def columns_file(count: int = 250) -> str:
    """Returns the columns file: a z-score for each numeric column, identity for each id. Of fewer columns, every nth of all."""
    every = [*NUMBERS, *IDS]
    chosen = set(every[:: len(every) // count][:count])
    lines = ["sequence_groups:", f"  steps: {{max_length: {T}, truncate: tail, mask: false}}", "columns:"]
    lines += [
        f"  - {{type: sequence_numeric_column, key: {name}, normalizer_fn: z_score, group: steps}}"
        for name in NUMBERS
        if name in chosen
    ]
    identity = f"type: sequence_categorical_column_with_identity, num_buckets: {BUCKETS}, padding_id: 0, group: steps"
    lines += [f"  - {{{identity}, key: {name}}}" for name in IDS if name in chosen]
    return "\n".join(lines) + "\n"


def batch(generator: np.random.Generator, rows: int) -> pa.RecordBatch:
    """Returns rows of 1 to T steps."""
    lengths = generator.integers(1, T + 1, rows)
    splits = pa.array(np.concatenate([[0], np.cumsum(lengths)]), pa.int32())
    steps = int(lengths.sum())
    values = {name: generator.normal(k, 1 + k, steps).astype(np.float32) for k, name in enumerate(NUMBERS)}
    values |= {name: generator.integers(0, BUCKETS, steps) for name in IDS}
    return pa.RecordBatch.from_pydict(
        {name: pa.ListArray.from_arrays(splits, pa.array(array)) for name, array in values.items()}
    )
