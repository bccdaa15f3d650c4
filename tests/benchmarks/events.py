"""Events for benchmarks: what 250,000 users did, some of them much more than others, written column by column."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa

USERS: Final = 250_000
ACTIVITY: Final = 0.8
"""Exponent of Zipf's law: at 40 million events the most active user has some 640,000 of them, half of the users 40 or fewer."""

ITEMS: Final = 100_000

COLUMNS: Final = """\
events:
  key: user
  order_by: time
  time: {unit: ms}
  features: {items: item, values: value}
  windows: {last: 128}
sequence_groups:
  steps: {max_length: 128, truncate: tail, mask: false}
columns:
  - {type: passthrough_column, key: user, dtype: int64}
  - {type: sequence_categorical_column_with_identity, key: items, num_buckets: 100000, padding_id: 0, group: steps}
  - {type: sequence_numeric_column, key: values, normalizer_fn: z_score, group: steps}
"""


@lru_cache(maxsize=1)
def _shares() -> np.ndarray:
    """The shares of the events of the users up to each."""
    found = np.cumsum(np.arange(1, USERS + 1, dtype=np.float64) ** -ACTIVITY)
    return found / found[-1]


def batch(generator: np.random.Generator, rows: int) -> pa.RecordBatch:
    """Returns events of any users at any time of a year."""
    users = np.searchsorted(_shares(), generator.random(rows))
    return pa.RecordBatch.from_pydict(
        {
            "user": (users * 2_654_435_761 % 2**32).astype(np.int64),  # so that no order of users shows their activity
            "item": np.minimum(generator.zipf(1.2, rows), ITEMS).astype(np.int64) - 1,
            "time": 1_700_000_000_000 + generator.integers(0, 365 * 86_400_000, rows),
            "value": generator.normal(20, 5, rows).astype(np.float32),
        }
    )
