"""Pairs of numbers before and after normalising: those of kept steps that the rows hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from transforms.columns import Column
from transforms.columns.numeric_base import NumericBase, numeric_of
from transforms.rows.ragged import Ragged
from transforms.spec.spec import Spec, length_name


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


class KeptSteps:
    """The kept steps of a batch, in NumPy, for all columns.

    Args:
      spec: the columns.
      arrays: the graph's results: its lengths and outputs.
    """

    def __init__(self, spec: Spec, arrays: Mapping[str, np.ndarray]):
        self._spec, self._arrays = spec, arrays
        self._places: dict[tuple[str, int], np.ndarray | None] = {}

    def steps(self, column: Column, array: np.ndarray) -> np.ndarray:
        """Returns the kept steps of an output `[rows, T, ...]` one after the other, `[steps, ...]`; of a context its rows."""
        group = column.sequence_group
        if group is None:
            return array
        places = self._mask(group, array.shape[1])
        if places is None:
            return array.reshape(-1, *array.shape[2:])
        # Several times as fast as indexing by a mask, which looks up every number by itself (NumPy 2.4).
        return np.compress(places.reshape(-1), array.reshape(places.size, *array.shape[2:]), axis=0)

    def numbers(self, column: Column, values: Ragged) -> tuple[np.ndarray, np.ndarray | None, np.ndarray | None]:
        """Returns a column's numbers of kept steps before and after normalising, `[n, width]` each and in the same order.

        Args:
          column: a column that has numbers.
          values: its canonical values.

        Returns:
          Before; after, None where the column does not write numbers; and which of them were observed, bool `[n, width]`: not
          filled, nor completed. None for all.
        """
        numeric = numeric_of(column)
        assert numeric is not None
        width, flat = numeric.step_width, values.values.to_numpy(zero_copy_only=False)
        after = self._after(column, width)
        if column.sequence_group is None:
            there = values.lengths > 0
            raw, seen = flat.reshape(-1, width), None
            after = after if after is None or there.all() else after[there]
        else:
            raw, seen = self._steps_of(flat, values.lengths, width)
            chosen = self._chosen(column.sequence_group, -(-values.lengths // width))
            if chosen is not None:
                raw = np.compress(chosen, raw, axis=0)
                seen = np.compress(chosen, seen, axis=0) if seen is not None else None
        if numeric.fills:
            finite = np.isfinite(raw)
            if not finite.all():
                seen = finite if seen is None else finite & seen
        return raw, after, seen

    def _steps_of(self, flat: np.ndarray, lengths: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray | None]:
        """Returns values as steps `[n, width]`, the last of a row completed with zeros; and which values there are."""
        missing = -lengths % width
        if not missing.any():
            return flat.reshape(-1, width), None
        there = np.repeat(np.tile([True, False], len(lengths)), np.stack([lengths, missing], axis=1).reshape(-1))
        made = np.zeros(len(there), flat.dtype)
        made[there] = flat
        return made.reshape(-1, width), there.reshape(-1, width)

    def _chosen(self, group: str, steps: np.ndarray) -> np.ndarray | None:
        """Returns which of all steps of the rows are kept, bool; None for all."""
        kept = self._arrays[length_name(group)]
        cut = steps - kept
        if not cut.any():
            return None
        tail = self._spec.group(group).truncate == "tail"
        runs = np.stack([cut, kept] if tail else [kept, cut], axis=1).reshape(-1)
        return np.repeat(np.tile([not tail, tail], len(steps)), runs)

    def _after(self, column: Column, width: int) -> np.ndarray | None:
        from transforms.densify.spoiled import written_values

        if not isinstance(column, NumericBase):
            return None
        made = self.steps(column, written_values(column, self._arrays, self._spec))
        return made.reshape(len(made), width) if len(made) else np.zeros((0, width), np.float32)

    def _mask(self, group: str, size: int) -> np.ndarray | None:
        """Returns where steps stand, bool `[rows, T]`; None where they stand everywhere."""
        if (group, size) not in self._places:
            lengths = self._arrays[length_name(group)][:, np.newaxis]
            if (lengths == size).all():
                self._places[group, size] = None
            else:
                at = np.arange(size)
                pre = self._spec.group(group).padding == "pre"
                self._places[group, size] = at >= size - lengths if pre else at < lengths
        return self._places[group, size]
