"""Results as tables: of Arrow, pandas and Polars, of which the last two are imported when somebody asks for them."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from math import prod
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.rows.ragged import is_list

_ARROW_NAMES: Final = {"string": "large_string", "bytes": "large_binary", "bfloat16": "float32"}


def arrow_type(dtype: str) -> pa.DataType:
    """Returns the Arrow type of values of a dtype: its own, and float32 for bfloat16, which Arrow does not have."""
    return pa.type_for_alias(_ARROW_NAMES.get(dtype, dtype))


def table_of(arrays: Mapping[str, np.ndarray], dtypes: Mapping[str, str]) -> pa.Table:
    """Returns arrays as a table: a row of `[rows, 2, 3]` is a fixed-size list of 2 fixed-size lists of 3.

    An array without any value (T is 0 where every sequence is empty) is a column of empty lists, as in Parquet.

    >>> table_of({"x": np.zeros((2, 4, 1), np.float32)}, {"x": "float32"})["x"].type
    FixedSizeListType(fixed_size_list<item: fixed_size_list<item: float>[1]>[4])

    Args:
      arrays: name to `[rows, *shape]`.
      dtypes: name to dtype.
    """
    return pa.table({name: _column(array, arrow_type(dtypes[name])) for name, array in arrays.items()})


def _column(array: np.ndarray, kind: pa.DataType) -> pa.Array:
    if 0 in array.shape[1:]:
        return pa.array([[]] * len(array), pa.list_(kind))
    made = pa.array(array.reshape(prod(array.shape)), kind)
    for size in reversed(array.shape[1:]):
        made = pa.FixedSizeListArray.from_arrays(made, size)
    return made


def pandas_of_arrays(arrays: Mapping[str, np.ndarray]) -> Any:
    """Returns arrays as a frame of pandas; a cell of `[rows, *shape]` is an array of that shape.

    Raises:
      ModuleNotFoundError: pandas is not installed.
    """
    pandas = _library("pandas", "pandas")
    return pandas.DataFrame({name: array if array.ndim == 1 else _cells(array) for name, array in arrays.items()})


def _cells(array: np.ndarray) -> np.ndarray:
    """Returns an array of objects, one for each row: NumPy would make one array of them again."""
    cells = np.empty(len(array), object)
    for row, cell in enumerate(array.copy()):
        cells[row] = cell
    return cells


def pandas_of_table(table: pa.Table) -> Any:
    """Returns a table as a frame of pandas. A column of integers or booleans with nulls, which it would change, stays Arrow's.

    Raises:
      ModuleNotFoundError: pandas is not installed.
    """
    pandas = _library("pandas", "pandas")
    columns = {}
    for name, column in zip(table.schema.names, table.columns, strict=True):
        exact = not any(_changes(chunk) for chunk in column.chunks)
        columns[name] = column.to_pandas() if exact else pandas.Series(pandas.arrays.ArrowExtensionArray(column))
    return pandas.DataFrame(columns, index=pandas.RangeIndex(table.num_rows))


def _changes(array: pa.Array) -> bool:
    """Returns whether pandas would make floats of integers or objects of booleans, because of nulls."""
    if is_list(array.type):
        return _changes(array.flatten())
    return bool(array.null_count) and (pa.types.is_integer(array.type) or pa.types.is_boolean(array.type))


def polars_of(table: pa.Table) -> Any:
    """Returns a table as a frame of Polars; fixed-size lists are of its type Array.

    Raises:
      ModuleNotFoundError: Polars is not installed.
    """
    return _library("polars", "Polars").from_arrow(table)


def _library(name: str, shown: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        why = f"to_{name} needs {shown}, which is not installed: pip install {name}"
        raise ModuleNotFoundError(why, name=name) from None
