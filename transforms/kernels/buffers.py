"""Buffers and where they begin. By their addresses a kernel takes any number of arrays, which Numba would compile it anew for."""

from __future__ import annotations

import ctypes
from typing import Any, Final

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from transforms.kernels.compiled import kernel_with_arrays

ALIGNMENT: Final = 64
"""A tensor begins at a multiple of this many bytes, because TensorFlow's kernels load as much at once. So do Arrow's buffers."""


def aligned(size: int, dtype: Any) -> np.ndarray:
    """Returns an array `[size]` of anything, which a tensor can share: it begins at a multiple of `ALIGNMENT`."""
    bytes_of = size * np.dtype(dtype).itemsize
    room = np.empty(bytes_of + ALIGNMENT, np.uint8)
    first = -room.ctypes.data % ALIGNMENT
    return room[first : first + bytes_of].view(dtype)


@intrinsic
def _pointer(typing: Any, address: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.inttoptr(values[0], ir.IntType(8).as_pointer())

    return types.voidptr(types.intp), code


def address_of(array: np.ndarray) -> int:
    """Returns where an array begins, which must be contiguous and outlive the use of the address."""
    assert array.flags.c_contiguous
    return int(array.ctypes.data)


if numba.config.DISABLE_JIT:

    def bytes_at(address: int, size: int) -> np.ndarray:
        """Returns the uint8 array `[size]` at an address."""
        return np.ctypeslib.as_array((ctypes.c_uint8 * int(size)).from_address(int(address)))

    def integers_at(address: int, size: int) -> np.ndarray:
        """Returns the int64 array `[size]` at an address."""
        return np.ctypeslib.as_array((ctypes.c_int64 * int(size)).from_address(int(address)))

else:

    @kernel_with_arrays
    def bytes_at(address: int, size: int) -> np.ndarray:
        """Returns the uint8 array `[size]` at an address."""
        return numba.carray(_pointer(address), (size,), np.uint8)

    @kernel_with_arrays
    def integers_at(address: int, size: int) -> np.ndarray:
        """Returns the int64 array `[size]` at an address."""
        return numba.carray(_pointer(address), (size,), np.int64)
