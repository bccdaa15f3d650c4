"""Keys as numbers from 0, in the order of the keys."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.events.order import ranks
from transforms.rows.keys import canonical


def numbered(arrays: Sequence[pa.Array]) -> tuple[np.ndarray, int]:
    """Returns keys as numbers from 0 in the order of the keys (numbers by size, text by its bytes), and their number.

    Args:
      arrays: the key's fields, `[n]` each, without nulls.

    Returns:
      int64 `[n]`, and the number of different keys.
    """
    ids, count = _numbered(canonical(arrays[0]))
    for array in arrays[1:]:
        more, others = _numbered(canonical(array))
        if count * others >= 2**63:  # no more of them than there are rows squared, 2^31 each
            raise ValueError(f"expected fewer than 2^31 different values of a key's field, got {max(count, others):,}")
        ids, count = _numbered(pa.array(ids * others + more))
    return ids, count


def _numbered(array: pa.Array) -> tuple[np.ndarray, int]:
    coded = pc.dictionary_encode(array)
    order = ranks(coded.dictionary)
    by_rank = np.empty(len(order), np.int64)
    by_rank[np.argsort(order, kind="stable")] = np.arange(len(order))
    return by_rank[coded.indices.to_numpy()], len(order)
