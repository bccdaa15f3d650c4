"""Which numbers of a batch and of the arrays that it became belong together, and counting them: those of kept steps that rows hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import prod

import numpy as np

from transforms.columns import Column
from transforms.columns.numeric_base import NumericBase
from transforms.ragged import Ragged
from transforms.spec import Spec, length_name


class Rows(Mapping[str, np.ndarray]):
    """Some rows of arrays, taken when they are asked for.

    Args:
      arrays: all rows of each.
      chosen: the rows to take, ascending.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], chosen: np.ndarray):
        self._arrays, self._chosen = arrays, chosen

    def __getitem__(self, name: str) -> np.ndarray:
        return self._arrays[name][self._chosen]

    def __iter__(self) -> Iterator[str]:
        return iter(self._arrays)

    def __len__(self) -> int:
        return len(self._arrays)


class Kept:
    """The kept steps of a batch, for all columns.

    Args:
      spec: the columns.
      arrays: what the graph made of it: its lengths and outputs.
    """

    def __init__(self, spec: Spec, arrays: Mapping[str, np.ndarray]):
        self._spec, self._arrays = spec, arrays

    def count_numbers(
        self, column: Column, values: Ragged, centre: np.ndarray, size: tuple[int, int]
    ) -> list[np.ndarray]:
        """Counts a column's numbers before and after normalising.

        Args:
          column: a column that has numbers.
          values: its canonical values.
          centre: what those before are counted around, see `kernels.counting`.
          size: dimensions that are counted apart, and bins.

        Returns:
          Before, and after where the column writes numbers, int64 of that size: of those that are observed, neither filled nor
          completed.
        """
        from transforms.graph import written_values
        from transforms.kernels.counting import count_after, count_before

        numeric = column.numeric
        assert numeric is not None
        group = column.sequence_group
        tail = group is not None and self._spec.group(group).truncate == "tail"
        kept = (values.lengths > 0).astype(np.int64) if group is None else self._arrays[length_name(group)]
        before, seen = np.zeros(size, np.int64), np.empty((int(kept.sum()), numeric.step_width), np.bool_)
        flat = values.values.to_numpy(zero_copy_only=False)
        count_before(flat, values.splits, kept, tail, centre, numeric.fills, before, seen)
        if not isinstance(column, NumericBase):
            return [before]
        after = np.zeros(size, np.int64)
        made = _by_step(column, written_values(column, self._arrays, self._spec), np.float32)
        count_after(made, kept, self._pre(column), seen, after)
        return [before, after]

    def count_ids(self, column: Column, array: np.ndarray, words: int | None, most: int) -> tuple[np.ndarray, int]:
        """Counts ids of kept steps; of a context those of all rows.

        Args:
          column: whose they are.
          array: its output.
          words: from which id on words are unknown, None for none.
          most: below what bound ids are counted one by one.

        Returns:
          Counts, int64 `[most + 2]`: from -1 on, the last of all others; and how many are unknown.
        """
        from transforms.kernels.counting import count_ids

        group, counts = column.sequence_group, np.zeros(most + 2, np.int64)
        kept = np.ones(len(array), np.int64) if group is None else self._arrays[length_name(group)]
        last = np.iinfo(np.int64).max if words is None else words
        return counts, count_ids(_by_step(column, array, np.int64), kept, self._pre(column), last, counts)

    def _pre(self, column: Column) -> bool:
        group = column.sequence_group
        return group is not None and self._spec.group(group).padding == "pre"


def _by_step(column: Column, array: np.ndarray, dtype: type) -> np.ndarray:
    """Returns an output as `[rows, T, width]`, T of a context 1."""
    steps = 1 if column.sequence_group is None else array.shape[1]
    width = prod(array.shape[1 if column.sequence_group is None else 2 :])
    return np.ascontiguousarray(array, dtype).reshape(len(array), steps, width)
