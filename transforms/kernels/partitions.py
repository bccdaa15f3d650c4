"""Rows by the partition of their key: sorted by the remainder of a hash, in one pass and a count."""

from __future__ import annotations

from typing import Any

import numpy as np

from transforms.kernels.compiled import kernel


@kernel
def partition(found: Any, count: Any, begins: Any, order: Any) -> None:
    """Sorts rows by the remainder of their fingerprints; those of one partition stay in their order.

    Args:
      found: uint64 `[n]`, the fingerprints.
      count: partitions.
      begins: int64 `[count + 1]`, zeros; filled with where each partition begins in `order`, and where the last one ends.
      order: int64 `[n]`, filled with rows.
    """
    many = np.uint64(count)
    for k in range(len(found)):
        begins[np.int64(found[k] % many) + 1] += 1
    for part in range(count):
        begins[part + 1] += begins[part]
    for k in range(len(found) - 1, -1, -1):  # from behind, so that what counts down ends where each begins
        place = np.int64(found[k] % many) + 1
        begins[place] -= 1
        order[begins[place]] = k
    for part in range(count):
        begins[part] = begins[part + 1]
    begins[count] = len(found)
