"""Values of the kept steps of rows, counted in bins.

The bin of a number is what the first bits of its float32 say: sign, exponent and the first bits of the mantissa (IEEE 754, 3.4).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from transforms.kernels.compiled import kernel


@kernel
def kept_places(
    splits: np.ndarray, rows: np.ndarray, kept: np.ndarray, width: int, tail: bool, raw: np.ndarray, sizes: np.ndarray
) -> None:
    """Fills in where the values of the kept steps of some rows stand.

    Args:
      splits: int64 `[all rows + 1]`, where the values of each row begin and end.
      rows: int64 `[rows]`, which rows.
      kept: int64 `[rows]`, the steps that are kept of each.
      width: values in a step; the last one of a row may have fewer.
      tail: whether the last steps are kept; else the first.
      raw: int64 `[rows]`, filled: where the first of the values is.
      sizes: int64 `[rows]`, filled: how many there are.
    """
    for k in range(len(rows)):
        first, end = splits[rows[k]], splits[rows[k] + 1]
        if tail:
            first += ((end - first + width - 1) // width - kept[k]) * width
        raw[k] = first
        sizes[k] = min(end - first, kept[k] * width)


@kernel
def count_numbers(
    values: np.ndarray,
    first: np.ndarray,
    sizes: np.ndarray,
    centre: np.ndarray,
    observed: np.ndarray,
    observed_first: np.ndarray,
    width: int,
    shift: Any,
    counts: np.ndarray,
) -> None:
    """Counts numbers by the float32 nearest to their distance from a centre, which may be infinite.

    Args:
      values: float32, float64 or int64 `[n]`.
      first: int64 `[rows]`, where in them those of each row begin.
      sizes: int64 `[rows]`, how many follow.
      centre: `[dimensions]`, of the dtype of `values`.
      observed: bool, which count; empty for all.
      observed_first: int64 `[rows]`, where in that those of each row begin.
      width: values in a step.
      shift: uint32, the bits of a float32 that do not tell its bin.
      counts: int64 `[dimensions, bins]`, added to; `width` dimensions, or one for all.

    Raises:
      ValueError: values that are not there.
    """
    for row in range(len(first)):
        begin, flags = first[row], observed_first[row]
        if begin < 0 or begin + sizes[row] > len(values):
            raise ValueError("values that are not there")
        if len(observed) > 0 and (flags < 0 or flags + sizes[row] > len(observed)):
            raise ValueError("flags that are not there")
        for k in range(sizes[row]):
            if len(observed) == 0 or observed[flags + k]:
                dimension = k % width if len(counts) > 1 else 0
                number = np.float32(values[begin + k] - centre[dimension])
                counts[dimension, number.view(np.uint32) >> shift] += 1


@kernel
def count_ids(ids: np.ndarray, first: np.ndarray, sizes: np.ndarray, words: int, counts: np.ndarray) -> int:
    """Counts ids one by one, the largest together, and returns how many are those of unknown words.

    Args:
      ids: int64 `[n]`.
      first: int64 `[rows]`, where in them those of each row begin.
      sizes: int64 `[rows]`, how many follow.
      words: ids from here on are of unknown words.
      counts: int64 `[most + 2]`, added to: of -1 and less, 0, 1 and so on, `most` and more.

    Raises:
      ValueError: ids that are not there.
    """
    unknown, most = 0, len(counts) - 2
    for row in range(len(first)):
        begin = first[row]
        if begin < 0 or begin + sizes[row] > len(ids):
            raise ValueError("ids that are not there")
        for k in range(begin, begin + sizes[row]):
            counts[min(max(ids[k], -1), most) + 1] += 1
            unknown += ids[k] >= words
    return unknown
