"""Dtypes by name, so that a spec can be checked without importing TensorFlow.

Every dtype is stored in one of three carriers, the three kinds of a tf.Example: as TensorFlow parses, integers as int64, floats
as float32, and is cast to the declared dtype afterwards. Between source and normalizer float64 has a carrier of its own.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

INTEGERS: Final = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64")
FLOATS: Final = ("float16", "bfloat16", "float32", "float64")
STRINGS: Final = ("string", "bytes")

DIGITS: Final = "digits"
"""The form that words of dtype uint64 are parsed to: decimal text, by which they are looked up; no int64 holds them all."""

SMALLEST_FLOAT32: Final = 2.0**-126
"""The smallest normal float32; those below are subnormal."""


def dtype_name(dtype: Any) -> str:
    """Returns the canonical name of a TensorFlow, NumPy or Python dtype, or of its name.

    >>> dtype_name(np.float32), dtype_name("int64"), dtype_name(float)
    ('float32', 'int64', 'float64')

    Raises:
      TypeError: if it names no dtype.
    """
    if dtype is None or isinstance(dtype, list | tuple | dict):  # NumPy takes None for float64, these for records
        raise TypeError(f"{dtype!r} names no dtype")
    name = dtype if isinstance(dtype, str) else getattr(dtype, "name", None)
    if isinstance(name, str):
        return name
    return str(np.dtype(dtype).name)


def carrier(dtype: str) -> str:
    """Returns what a tf.Example holds a dtype as: `int64`, `float32` or `string`."""
    if dtype in INTEGERS:
        return "int64"
    if dtype in FLOATS:
        return "float32"
    return "string"


def parsed(dtype: str) -> str:
    """Returns the dtype that a dtype is parsed as: its carrier, except for float64, which only a tf.Example would round."""
    return dtype if dtype == "float64" else carrier(dtype)


def integer_range(dtype: str) -> tuple[int, int]:
    """Returns the smallest and largest integer of a dtype that the int64 carrier can hold."""
    info = np.iinfo(dtype)
    return int(info.min), min(int(info.max), int(np.iinfo(np.int64).max))


def largest_float(dtype: str) -> float:
    """Returns the largest finite float of a dtype."""
    if dtype == "float16":
        return float(np.finfo(np.float16).max)
    if dtype == "bfloat16":
        return 3.3895313892515355e38  # 0x7f7f as bfloat16, the largest finite one
    return float(np.finfo(np.float64 if dtype == "float64" else np.float32).max)
