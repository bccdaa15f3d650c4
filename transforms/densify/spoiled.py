"""Non-finite numbers that normalizers make of finite ones, found in what is about to be written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from transforms import dtypes
from transforms.columns import Column
from transforms.columns.numeric_base import NumericBase, numeric_of
from transforms.densify.graph import Arrays
from transforms.kernels.values import exceeds
from transforms.rows.rejection import Fault
from transforms.spec.spec import Spec, input_name


def spoiling_columns(spec: Spec, narrow: bool = False) -> list[tuple[Column, NumericBase]]:
    """Returns the columns whose finite numbers can come out non-finite although the column does not let such numbers through.

    Normalizers can return such numbers, and so does the cast of a large float64 to float32, in a concatenation or (with `narrow`)
    everywhere.
    """
    found: list[tuple[Column, NumericBase]] = []
    for column in spec.columns:
        numeric = numeric_of(column)
        if numeric is column and numeric.non_finite != "keep":
            rounded = numeric.output_dtype == "float64" and (narrow or spec.is_concatenated(column))
            if rounded or any(link.can_spoil for link in numeric.links):
                found.append((column, numeric))
    return found


def largest_written(numeric: NumericBase, narrow: bool = False) -> float:
    """Returns the largest number that a column may become; `narrow` as of `spoiling_columns`."""
    is_float = dtypes.carrier(numeric.dtype) == "float32" and not (narrow and numeric.dtype == "float64")
    return dtypes.largest_float(numeric.dtype if is_float else "float32")


def normalizer_faults(arrays: Arrays, spec: Spec, narrow: bool = False) -> list[Fault]:
    """Finds the rows in which a non-finite number would be written for a finite one: see `spoiling_columns`.

    Most normalizers can make one, of a value far outside those that the statistics are from (`Normalizer.can_spoil`). What a
    column keeps or fills is its own policy.
    """
    faults = []
    for column, numeric in spoiling_columns(spec, narrow):
        values = written_values(column, arrays, spec)
        largest = np.float64(largest_written(numeric, narrow))  # a Python float would become the float32 of the values
        if values.dtype.kind != "f" or not exceeds(values, largest):  # so nearly every batch
            continue
        values = values.reshape(len(values), math.prod(values.shape[1:]))  # with no values, -1 would be ambiguous
        bad = ~(np.abs(values) <= largest)
        found = np.flatnonzero(bad.any(axis=1))
        if len(found):
            shown = [str(values[row][bad[row].argmax()]) for row in found]
            source = "from normalizer_fn" if numeric.links else "in float32"
            message = f"expected finite numbers ({numeric.dtype}) {source} (non_finite: keep lets others through)"
            faults.append(Fault("non_finite", column.name, found, shown, message))
    return faults


def written_values(column: Column, arrays: Mapping[str, Any], spec: Spec) -> Any:
    """Returns the output of a column, array or tensor: one of its own, or a part of its group's concatenation."""
    if column.name in arrays:
        return arrays[column.name]
    group = column.sequence_group
    assert group is not None
    first = 0
    for output in spec.concatenation(group):
        width = int(np.prod([n for n in output.shape[1:] if n], dtype=np.int64))
        if output.source == column.name:
            return arrays[input_name(group)][:, :, first : first + width]
        first += width
    raise AssertionError(column.name)
