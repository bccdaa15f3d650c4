"""Keys: what is one, the canonical bytes of each, their hash, and rows by it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.fingerprints import fingerprints, of_integers
from transforms.kernels.partitions import join, joined_offsets, partition
from transforms.kernels.values import read_only
from transforms.rows.fields import is_text, text_buffers

EXPECTED: Final = "integers, numbers, booleans, text, bytes, dates or timestamps"


def is_key(kind: pa.DataType) -> bool:
    """Tells whether values of a type, as `transforms.rows.fields.plain` returns them, can be keys."""
    types = pa.types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_temporal, types.is_decimal, types.is_null)
    return is_text(kind) or any(test(kind) for test in tests)


def missing(array: pa.Array) -> np.ndarray:
    """Returns where there is no key: null or NaN, bool `[n]`."""
    floating = pa.types.is_floating(array.type)
    return pc.is_null(array, nan_is_null=floating).to_numpy(zero_copy_only=False)


def canonical(array: pa.Array) -> pa.Array:
    """Returns keys with one form for what is equal: no zero has a sign."""
    return pc.add(array, pa.scalar(0.0, array.type)) if pa.types.is_floating(array.type) else array


def texts(arrays: Sequence[pa.Array]) -> pa.Array:
    """Returns the canonical bytes of keys, a large binary array: an integer is its decimal text, so that 5 and "5" are one key.

    >>> texts([pa.array([5])]).to_pylist(), texts([pa.array([5, 6]), pa.array(["a", "bcd"])]).to_pylist()
    ([b'5'], [b'1:51:a', b'1:63:bcd'])

    Args:
      arrays: the key's fields, `[n]` each, without nulls. Of several each has its length before it, and a colon.
    """
    parts = [_text(array) for array in arrays]
    if len(parts) == 1:
        return parts[0]
    offsets, text = np.zeros(len(parts[0]) + 1, np.int64), np.zeros(0, np.uint8)
    for part in parts:
        before, before_text = read_only(offsets), read_only(text)
        added, added_text = map(read_only, text_buffers(part))
        offsets = np.empty(len(offsets), np.int64)
        joined_offsets(before, added, offsets)
        text = np.empty(int(offsets[-1]), np.uint8)
        join(before, before_text, added, added_text, offsets, text)
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(text)]
    return pa.Array.from_buffers(pa.large_binary(), len(offsets) - 1, buffers)


def _text(array: pa.Array) -> pa.Array:
    kind = array.type
    if pa.types.is_floating(kind):  # a whole number is the integer's text: pandas has floats where an integer is null
        array = canonical(pc.cast(array, pa.float64()) if kind != pa.float32() else array)
        values = array.to_numpy()
        whole = (np.floor(values) == values) & (np.abs(values) < 2.0**63)
        number = pc.cast(pa.array(np.where(whole, values, 0).astype(np.int64)), pa.large_string())
        array = pc.if_else(pa.array(whole), number, pc.cast(array, pa.large_string()))
    elif pa.types.is_boolean(kind):
        array = pc.cast(array, pa.int8())
    return array.cast(pa.large_string()).cast(pa.large_binary()) if not pa.types.is_large_binary(kind) else array


def spread(array: pa.Array, there: np.ndarray) -> pa.Array:
    """Returns values with a null before, between or after them, wherever `there`, bool, is False."""
    if there.all():
        return array
    at = np.cumsum(there) - 1
    return array.take(pa.array(np.maximum(at, 0), mask=~there)) if len(array) else pa.nulls(len(there), array.type)


def hashes(arrays: Sequence[pa.Array]) -> np.ndarray:
    """Returns Fingerprint64 of the canonical bytes of keys, uint64 `[n]`."""
    if len(arrays) == 1 and pa.types.is_integer(arrays[0].type) and not arrays[0].null_count:
        return of_integers(arrays[0].to_numpy())  # without their text, which costs more than all else here
    return fingerprints(texts(arrays))


def partitions(found: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorts rows by the partition of their key, its hash modulo `count`.

    Args:
      found: uint64 `[n]`, the hashes of their keys (see `hashes`).
      count: how many partitions there are, 1 or more.

    Returns:
      The rows, int64 `[n]`, those of one partition in the order that they came in; and where each partition's begin, and the last
      one's end, int64 `[count + 1]`.
    """
    begins, order = np.zeros(count + 1, np.int64), np.zeros(len(found), np.int64)
    partition(read_only(found), count, begins, order)
    return order, begins
