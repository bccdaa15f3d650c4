"""Where the values of kept steps stand, in the rows and in what they became: those that distributions count."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from transforms.columns import Column
from transforms.kernels.bins import kept_places
from transforms.kernels.values import read_only
from transforms.rows.ragged import Ragged
from transforms.spec.spec import Spec, length_name


class KeptSteps:
    """The kept steps of some rows of a batch, for all columns.

    Args:
      spec: the columns.
      arrays: the graph's results for all rows: its lengths and outputs.
      rows: int64 `[rows]`, the rows, ascending.
    """

    def __init__(self, spec: Spec, arrays: Mapping[str, np.ndarray], rows: np.ndarray):
        self._spec, self._arrays, self._rows = spec, arrays, rows

    def raw(self, column: Column, values: Ragged, width: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns where in a column's canonical values, `width` in a step, those of each row begin, and how many follow.

        Both are int64 `[rows]`. There is no padding among them, and nothing that was completed.
        """
        raw, sizes = np.empty((2, len(self._rows)), np.int64)
        tail = column.sequence_group is not None and self._spec.group(column.sequence_group).truncate == "tail"
        kept = self._kept(column) if column.is_sequence else np.minimum(values.lengths[self._rows], 1)
        kept_places(read_only(values.splits), read_only(self._rows), read_only(kept), width, tail, raw, sizes)
        return raw, sizes

    def made(self, column: Column, array: np.ndarray) -> tuple[np.ndarray, np.ndarray, int]:
        """Returns an output of the rows `[n]`, where in it the kept steps of each begin, and how many values are in a step.

        Args:
          column: the column that it is of.
          array: the output for all rows, `[all rows, T, ...]`, of a context `[all rows, ...]`.
        """
        own = array if len(self._rows) == len(array) else array[self._rows]
        steps = own.shape[1] if column.is_sequence else 1
        width = int(np.prod(own.shape[1 + column.is_sequence :], dtype=np.int64))
        first = np.arange(len(own)) * (steps * width)
        if column.sequence_group is not None and self._spec.group(column.sequence_group).padding == "pre":
            first += (steps - self._kept(column)) * width
        return own.reshape(-1), first, width

    def sizes(self, column: Column, width: int) -> np.ndarray:
        """Returns how many values of an output with `width` in a step are in the kept steps, int64 `[rows]`."""
        return self._kept(column) * width if column.is_sequence else np.full(len(self._rows), width)

    def _kept(self, column: Column) -> np.ndarray:
        assert column.sequence_group is not None
        return self._arrays[length_name(column.sequence_group)][self._rows].astype(np.int64, copy=False)
