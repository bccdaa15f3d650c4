"""Length buckets: which bucket a dense row belongs to, and its padding past the bucket's T taken off.

`densify` makes every row `[T, ...]`. A row whose length is within a bucket's T has nothing but padding past that, on the right
or, with `padding: pre`, on the left; so what is left is what a T of that size would have given.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from transforms.columns import Output
from transforms.groups import SequenceGroup
from transforms.spec.spec import Spec, length_name


def bucket_of(lengths: np.ndarray, sizes: Sequence[int]) -> np.ndarray:
    """Returns T of the bucket of each row: the first that its length does not exceed, int64.

    >>> bucket_of(np.array([0, 8, 9, 32]), [8, 16, 32]).tolist()
    [8, 8, 16, 32]

    Args:
      lengths: kept steps, none above the last size.
      sizes: T of each bucket, ascending.
    """
    bounds = np.array(sizes, np.int64)
    return bounds[np.searchsorted(bounds, lengths)]


def places(lengths: np.ndarray, policy: SequenceGroup) -> int:
    """Returns how many steps rows take in their buckets, padding included."""
    return int(bucket_of(lengths, policy.bucket_lengths).sum())


def outputs_in(outputs: Sequence[Output], names: Collection[str], size: int) -> list[Output]:
    """Returns outputs as a bucket has them: T of those named is its own."""
    return [replace(o, shape=(size, *o.shape[1:])) if o.name in names else o for o in outputs]


def cut(array: np.ndarray, size: int, padding: str) -> np.ndarray:
    """Returns `[rows, T, ...]` as `[rows, size, ...]`: the first steps, or with `padding` `"pre"` the last.

    >>> cut(np.array([[0, 0, 1, 2]]), 2, "pre").tolist(), cut(np.array([[1, 2, 0, 0]]), 3, "post").tolist()
    ([[1, 2]], [[1, 2, 0]])
    """
    return array[:, array.shape[1] - size :] if padding == "pre" else array[:, :size]


def cut_arrays(
    arrays: Mapping[str, np.ndarray], spec: Spec, names: Collection[str], size: int
) -> dict[str, np.ndarray]:
    """Returns arrays of dense rows as a bucket has them: those named cut."""
    padding = spec.group(spec.bucketed_group or "").padding
    return {name: cut(array, size, padding) if name in names else array for name, array in arrays.items()}


def split(batch: pa.RecordBatch, spec: Spec) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Parts dense rows by their bucket.

    Args:
      batch: dense rows, see `graph.dense_batch`.
      spec: the columns, of which one group has length buckets.

    Yields:
      T of a bucket that has rows, and these in their order, the group's sequences cut to it.
    """
    group = spec.bucketed_group
    assert group is not None
    policy = spec.group(group)
    names = spec.bucketed_names
    buckets = bucket_of(batch.column(length_name(group)).to_numpy(), policy.bucket_lengths)
    for size in np.unique(buckets).tolist():
        chosen = np.flatnonzero(buckets == size)
        columns = {
            name: _cut_column(column, chosen, policy, size) if name in names else column.take(pa.array(chosen))
            for name, column in zip(batch.schema.names, batch.columns, strict=True)
        }
        yield size, pa.RecordBatch.from_pydict(columns).replace_schema_metadata(batch.schema.metadata)


def _cut_column(column: pa.Array, chosen: np.ndarray, policy: SequenceGroup, size: int) -> pa.Array:
    values = column.flatten().to_numpy(zero_copy_only=False)  # booleans are bits
    steps = values.reshape(len(column), policy.fixed_length or 0, -1)
    flat = np.ascontiguousarray(cut(steps[chosen], size, policy.padding)).reshape(-1)
    return pa.FixedSizeListArray.from_arrays(pa.array(flat), len(flat) // len(chosen))
