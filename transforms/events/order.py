"""The one order of events: by key, by time, then by every field that is read, so that the order of files does not matter."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels import event_order
from transforms.kernels.values import read_only
from transforms.rows.fields import is_text

Ranked: TypeAlias = Callable[[np.ndarray], np.ndarray]
"""Positions of events, int64 `[n]`, to numbers in the order of a field's values there, int64 `[n]`."""

_SIGN = np.int64(2**63 - 1)


def ranks(array: pa.Array, signed_zeros: bool = True) -> np.ndarray:
    """Returns whole numbers in the order of values: nulls first, NaN last, text by its bytes.

    >>> ranks(pa.array(["b", None, "a", "b"])).tolist()
    [2, 0, 1, 2]

    Args:
      array: any values except nested ones.
      signed_zeros: whether -0.0 comes before 0.0; otherwise they are equal.

    Returns:
      int64 `[n]`, equal for equal values; for NaNs with equal bits, unless zeros have no sign.
    """
    kind, nulls = array.type, array.null_count
    if pa.types.is_null(kind):
        return np.zeros(len(array), np.int64)
    if is_text(kind) or pa.types.is_string(kind) or pa.types.is_binary(kind):
        return _of_text(array)
    if not (pa.types.is_primitive(kind) or pa.types.is_boolean(kind)):  # decimals and intervals
        found = pc.rank(array, "ascending", tiebreaker="dense").to_numpy().astype(np.int64)
        return np.where(pc.is_null(array).to_numpy(zero_copy_only=False), 0, found) if nulls else found
    if not nulls:
        return _of_numbers(array, signed_zeros)
    valid = pc.is_valid(array).to_numpy(zero_copy_only=False)
    found = np.zeros(len(array), np.int64)
    found[valid] = np.unique(_of_numbers(array.drop_null(), signed_zeros), return_inverse=True)[1] + 1
    return found


def _of_numbers(array: pa.Array, signed_zeros: bool) -> np.ndarray:
    kind = array.type
    if pa.types.is_boolean(kind):
        array = pc.cast(array, pa.int8())
    elif pa.types.is_temporal(kind):
        array = array.view(pa.int32() if kind.bit_width == 32 else pa.int64())
    values = array.to_numpy()
    if values.dtype == np.uint64:
        return (values ^ np.uint64(2**63)).view(np.int64)
    if values.dtype.kind != "f":
        return values.astype(np.int64)
    exact = signed_zeros
    bits = (values if exact else values + 0).astype(np.float64).view(np.int64)
    found = bits ^ ((bits >> 63) & _SIGN)
    nan = np.isnan(values)
    if nan.any():  # last of all, those with a sign after those without
        found = np.where(nan, bits & _SIGN & -2 | (bits < 0) if exact else _SIGN, found)
    return found


def _of_text(array: pa.Array) -> np.ndarray:
    coded = pc.dictionary_encode(array)
    order = pc.array_sort_indices(coded.dictionary).to_numpy()
    by_code = np.empty(len(order), np.int64)
    by_code[order] = np.arange(1, len(order) + 1)
    if not coded.null_count:
        return by_code[coded.indices.to_numpy()]
    codes = pc.fill_null(coded.indices, len(order)).to_numpy()
    return np.append(by_code, 0)[codes]


def ranked(array: pa.Array, signed_zeros: bool = True) -> Ranked:
    """Returns a function that ranks a field's values at some positions."""
    return lambda at: ranks(array.take(pa.array(at)), signed_zeros)


def grouped(
    ids: np.ndarray, keys: int, times: np.ndarray, tie_fields: Iterable[Ranked]
) -> tuple[np.ndarray, np.ndarray]:
    """Orders events by key, time, and the fields that break ties.

    Args:
      ids: int64 `[n]`, the key of each; every number in `[0, keys)` occurs.
      keys: the number of keys.
      times: int64 `[n]`.
      tie_fields: the fields, the most important first.

    Returns:
      The positions of events, int64 `[n]`, and where those of each key begin, and those of the last end, int64 `[keys + 1]`.
    """
    begins = np.zeros(keys + 1, np.int64)
    order, by_time = np.empty(len(ids), np.int64), np.empty(len(ids), np.int64)
    event_order.group(read_only(ids), read_only(times), begins, order, by_time)
    _sort(begins[:-1], begins[1:], by_time, order)
    refined(*equal_runs(begins[:-1], begins[1:], by_time), order, tie_fields)
    return order, begins


def _sort(begins: np.ndarray, ends: np.ndarray, keys: np.ndarray, order: np.ndarray) -> None:
    longest = int((ends - begins).max(initial=0))
    room = max(longest, 1)  # of a merge the left part, which may be all but one
    spare = np.empty(room, np.int64), np.empty(room, np.int64)
    event_order.sort_segments(read_only(begins), read_only(ends), keys, order, *spare)


def equal_runs(begins: np.ndarray, ends: np.ndarray, keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns where runs of two or more equal keys begin and end, int64 each, within segments that are sorted by them."""
    room = len(keys) // 2
    found = np.empty(room, np.int64), np.empty(room, np.int64)
    count, _ = event_order.ties(read_only(begins), read_only(ends), read_only(keys), *found)
    return found[0][:count], found[1][:count]


def refined(
    begins: np.ndarray, ends: np.ndarray, order: np.ndarray, fields: Iterable[Ranked]
) -> tuple[np.ndarray, np.ndarray]:
    """Sorts runs by one field after the other, each time only those that still tie.

    Args:
      begins: int64 `[runs]`.
      ends: int64 `[runs]`.
      order: int64, the positions that the runs are in, changed.
      fields: functions that rank their values.

    Returns:
      The runs that are equal in all fields, where they begin and end.
    """
    for field in fields:
        if not len(begins):
            break
        at, part = segments(begins, ends, order)
        keys = np.ascontiguousarray(field(at))
        _sort(part[:-1], part[1:], keys, at)
        event_order.scatter(read_only(begins), read_only(ends), read_only(at), order)
        first, last = equal_runs(part[:-1], part[1:], keys)
        moved = (begins - part[:-1])[np.searchsorted(part, first, side="right") - 1]
        begins, ends = first + moved, last + moved
    return begins, ends


def segments(begins: np.ndarray, ends: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns segments of int64 values one after the other, and where each begins and the last one ends."""
    out = np.empty(int((ends - begins).sum()), np.int64)
    splits = np.empty(len(begins) + 1, np.int64)
    event_order.gather(read_only(begins), read_only(ends), read_only(values), out, splits)
    return out, splits
