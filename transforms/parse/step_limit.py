"""Rows with more steps than allowed, rejected before their values are processed, which takes many times their size."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.parse.typed import is_text
from transforms.rows.ragged import Ragged, is_list, splits_of

MAX_STEPS: Final = 1_000_000
"""Most steps of a sequence, unless somebody allows another number."""


@dataclass(frozen=True)
class TooLong:
    """The rows of a column with more steps than allowed.

    Attributes:
      rows: int64 `[n]`, their positions.
      steps: int64 `[n]`.
      values: int64 `[n]`, how many values each holds.
      rest: the column, with these rows empty.
    """

    rows: np.ndarray
    steps: np.ndarray
    values: np.ndarray
    rest: pa.Array


def too_long(array: pa.Array, most: int, width: int, delimiter: str | None = None) -> TooLong | None:
    """Finds the rows of a source's column that have more steps than allowed; None where there are none.

    >>> too_long(pa.array([[1, 2, 3], [4], None]), most=2, width=1).rest.to_pylist()
    [[], [4], None]

    Args:
      array: lists, lists of lists (one a step), or text; anything else has no steps.
      most: steps allowed.
      width: values of a flat list that make a step.
      delimiter: the separator of the values in text.
    """
    if delimiter is None:
        # No list is longer than the array that all of them stand in.
        if not is_list(array.type) or len(array.values) <= most:
            return None
        return _of_lists(Ragged.of(array), most, width)
    text = array.values if is_list(array.type) else array
    if not is_text(text.type) or text.nbytes <= most:
        return None
    return _of_text(array, most, width, delimiter)


def _of_lists(lists: Ragged, most: int, width: int) -> TooLong | None:
    values = steps = lists.lengths
    if is_list(lists.values.type):
        values = np.diff(Ragged.of(lists.values).splits[lists.splits])
    else:
        steps = -(-values // width)
    rows = np.flatnonzero(steps > most)
    return TooLong(rows, steps[rows], values[rows], _emptied(lists, rows)) if len(rows) else None


def _of_text(array: pa.Array, most: int, width: int, delimiter: str) -> TooLong | None:
    lists = Ragged.of(array) if is_list(array.type) else None
    text = array if lists is None else lists.values
    pattern = delimiter if pa.types.is_string(text.type) or pa.types.is_large_string(text.type) else delimiter.encode()
    found = pc.fill_null(pc.add(pc.count_substring(text, pattern), 1), 0).to_numpy(zero_copy_only=False)
    values = found if lists is None else np.diff(splits_of(found)[lists.splits])
    rows = np.flatnonzero(-(-values // width) > most)
    if not len(rows):
        return None
    nothing = pa.scalar(b"" if isinstance(pattern, bytes) else "", text.type)
    mask = np.isin(np.arange(len(array)), rows)
    rest = pc.if_else(pa.array(mask), nothing, array) if lists is None else _emptied(lists, rows)
    return TooLong(rows, -(-values[rows] // width), values[rows].astype(np.int64), rest)


def _emptied(lists: Ragged, rows: np.ndarray) -> pa.Array:
    lengths = lists.lengths.copy()
    kept = np.ones(len(lengths), bool)
    kept[rows] = False
    lengths[rows] = 0
    values = lists.values.filter(pa.array(np.repeat(kept, lists.lengths)))
    return Ragged(values, splits_of(lengths), lists.present).to_list_array()
