"""Arrow lists as NumPy values and row splits: the one view of a sequence column that all NumPy code works on."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.rows.numbers import arrow_of, lists_of, numbers_of

if TYPE_CHECKING:
    from transforms.kernels.values import Seen


@dataclass(frozen=True)
class Ragged:
    """One list column of a batch.

    Attributes:
      values: all values, row after row. Arrow array of N leaves (or of N inner lists, for nested input).
      splits: int64 `[rows + 1]`; row r holds `values[splits[r]:splits[r + 1]]`. Starts at 0.
      present: bool `[rows]`; False where the row has no list at all (null), which is not the same as an empty one.
    """

    values: pa.Array
    splits: np.ndarray
    present: np.ndarray

    @classmethod
    def of(cls, array: pa.Array) -> Ragged:
        """Views any Arrow list array (list, large, fixed-size, view), nulls and slices included.

        >>> r = Ragged.of(pa.array([[1, 2], None, []]))
        >>> r.values.to_pylist(), r.splits.tolist(), r.present.tolist()
        ([1, 2], [0, 2, 2, 2], [True, False, True])
        """
        kind = array.type
        if not array.null_count and (pa.types.is_large_list(kind) or pa.types.is_list(kind)):
            splits = numbers_of(array.offsets).astype(np.int64, copy=False)
            first, last = int(splits[0]), int(splits[-1])
            values = array.values.slice(first, last - first)  # `flatten` takes ten times as long to come to the same
            return cls(values, splits - first if first else splits, np.ones(len(array), bool))
        lengths = pc.fill_null(pc.list_value_length(array), 0).to_numpy(zero_copy_only=False)
        present = pc.is_valid(array).to_numpy(zero_copy_only=False)
        return cls(array.flatten(), splits_of(lengths), present)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Values in each row, int64 `[rows]`."""
        return np.diff(self.splits)

    @cached_property
    def absent(self) -> int:
        """How many rows have no list at all."""
        return len(self.present) - int(np.count_nonzero(self.present))

    def steps(self, width: int) -> np.ndarray:
        """Returns the steps of each row, `width` values each and the last one perhaps fewer, int64 `[rows]`."""
        return self.lengths if width == 1 else -(-self.lengths // width)

    def seen(self, width: int) -> Seen:
        """Returns a summary of a column of numbers (int64, float32 or float64, no nulls) with `width` values per step.

        The stages ask for it one after the other: the values are gone through once.
        """
        from transforms.kernels.values import look

        known: dict[int, Seen] = self.__dict__.setdefault("_seen", {})
        if width not in known:
            known[width] = look(numbers_of(self.values), self.splits, width)
        return known[width]

    def rows_of(self, positions: np.ndarray) -> np.ndarray:
        """Returns the row that each position in `values` belongs to."""
        return np.searchsorted(self.splits, positions, side="right") - 1

    def to_list_array(self) -> pa.Array:
        """Returns the column as an Arrow large list array, absent rows as nulls. Copies no values."""
        if not self.absent:
            return lists_of(self.values, self.splits)
        return pa.LargeListArray.from_arrays(arrow_of(self.splits), self.values, mask=pa.array(~self.present))


def unwrapped(array: pa.Array) -> pa.Array:
    """Returns an array as the values that its type only decorates: without an extension type, and not by a dictionary."""
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    return array.dictionary_decode() if pa.types.is_dictionary(array.type) else array


def bare_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type of the values that a type only decorates, as `unwrapped` returns them.

    >>> bare_type(pa.dictionary(pa.int32(), pa.string()))
    DataType(string)
    """
    if isinstance(kind, pa.BaseExtensionType):
        kind = kind.storage_type
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def simple(array: pa.Array) -> pa.Array:
    """Returns unwrapped values in types that Arrow has kernels for: fixed-size binaries as any others, float16 as float32."""
    array = unwrapped(array)
    if pa.types.is_fixed_size_binary(array.type):
        return array.cast(pa.large_binary())
    return array.cast(pa.float32()) if pa.types.is_float16(array.type) else array


def is_list(kind: pa.DataType) -> bool:
    """Tells whether a type is one of Arrow's lists."""
    types = pa.types
    tests = (types.is_list, types.is_large_list, types.is_fixed_size_list, types.is_list_view, types.is_large_list_view)
    return any(test(kind) for test in tests)


def splits_of(lengths: np.ndarray) -> np.ndarray:
    """Returns int64 row splits `[rows + 1]` for the lengths `[rows]`."""
    splits = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=splits[1:])
    return splits
