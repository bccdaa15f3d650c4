"""Numbers and lists of Arrow's as NumPy's and back. They share memory, and Python's lock is held throughout.

pyarrow's `to_numpy` and `array` let go of the lock several times a call, each for less than a microsecond. A worker that waits
for the lock is woken each time, which takes some 50 microseconds, and finds it taken again.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

_NUMBERS: Final = (np.int8, np.int16, np.int32, np.int64, np.uint8, np.uint16, np.uint32, np.uint64)
_TYPES: Final = {np.dtype(one): pa.from_numpy_dtype(one) for one in (*_NUMBERS, np.float16, np.float32, np.float64)}
_DTYPES: Final = {kind.id: dtype for dtype, kind in _TYPES.items()}


def numbers_of(array: pa.Array) -> np.ndarray:
    """Returns the numbers of an array without nulls, `[n]` in their dtype, read-only.

    >>> numbers_of(pa.array([1.5, 2.5, 3.5]).slice(1)).tolist()
    [2.5, 3.5]
    """
    assert not array.null_count, "a null is no number"
    dtype, count = _DTYPES[array.type.id], len(array)
    start = array.offset * dtype.itemsize
    made = np.frombuffer(array.buffers()[1], dtype, count, start) if count else np.zeros(0, dtype)
    made.flags.writeable = False
    return made


def arrow_of(values: np.ndarray) -> pa.Array:
    """Returns values `[n]` as an array of their type, without nulls. Numbers are shared, if not strided: they must not change.

    >>> arrow_of(np.arange(4)[::2]).to_pylist()
    [0, 2]
    """
    kind = _TYPES.get(values.dtype)
    if kind is None:
        return pa.array(values)
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])


def lists_of(values: pa.Array, splits: np.ndarray) -> pa.Array:
    """Returns values as large lists: list r holds `values[splits[r]:splits[r + 1]]`; `splits` is int64 `[lists + 1]`.

    >>> lists_of(pa.array([1, 2, 3]), np.array([0, 2, 2, 3])).to_pylist()
    [[1, 2], [], [3]]
    """
    buffers = [None, pa.py_buffer(np.ascontiguousarray(splits))]
    return pa.Array.from_buffers(pa.large_list(values.type), len(splits) - 1, buffers, children=[values])


def steps_of(values: pa.Array, width: int) -> pa.Array:
    """Returns values as fixed-size lists of `width`, one or more.

    >>> steps_of(pa.array([1, 2, 3, 4]), 2).to_pylist()
    [[1, 2], [3, 4]]
    """
    return pa.Array.from_buffers(pa.list_(values.type, width), len(values) // width, [None], children=[values])
