"""Values of types that warehouses have beside numbers and text: what booleans, decimals, times and UUIDs mean, for every column.

| type | in a column of integers | of floats | of text |
|---|---|---|---|
| boolean | 0 or 1 | 0 or 1 | refused |
| decimal | the integer, if it is one | the number nearest to it | refused |
| timestamp, date | units since 1970-01-01 UTC, if they are whole | the same, with a fraction | refused |
| time of day, duration | units since midnight, units | the same | refused |
| UUID | refused | refused | its text, or its 16 bytes in a column of bytes |

The unit is a second unless the column says otherwise. A timestamp without a time zone is UTC; a zone says only how it is shown.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import dtypes
from transforms.parse.units import UNITS
from transforms.rows.marks import is_mark
from transforms.rows.paths import fields_of

SECONDS: Final = "s"
"""The unit of times in a column that asks for none."""

_DAY: Final = 86400
_HEX: Final = np.frombuffer(b"0123456789abcdef", np.uint8)
_HYPHENS: Final = (8, 13, 18, 23)
_DIGITS_OF_UUID: Final = np.setdiff1d(np.arange(36), _HYPHENS)


@dataclass(frozen=True)
class LeafFault:
    """Positions of values that one rule refuses, with the rule's reason code and what it allows."""

    reason: str
    positions: np.ndarray
    message: str


def is_text(kind: pa.DataType) -> bool:
    """Tells whether a type is text or bytes."""
    types = pa.types
    tests = (types.is_string, types.is_large_string, types.is_binary, types.is_large_binary)
    return any(test(kind) for test in tests)


def is_uuid(kind: pa.DataType) -> bool:
    """Tells whether a type is that of UUIDs."""
    return isinstance(kind, pa.UuidType)


def is_time(kind: pa.DataType) -> bool:
    """Tells whether a type is one of times that count a unit: timestamps, dates, times of day, durations."""
    return bool(pa.types.is_temporal(kind) and not pa.types.is_interval(kind))


def is_number(kind: pa.DataType) -> bool:
    """Tells whether values of a type are numbers, or count as numbers."""
    types = pa.types
    tests = (types.is_integer, types.is_floating, types.is_boolean, types.is_decimal)
    return is_time(kind) or any(test(kind) for test in tests)


def takes(kind: pa.DataType, dtype: str) -> bool:
    """Tells whether a column of a dtype takes any value of a type that is no list."""
    if pa.types.is_null(kind) or is_text(kind) or pa.types.is_fixed_size_binary(kind):
        return True
    if is_uuid(kind):
        return dtype in dtypes.STRINGS
    return dtype not in dtypes.STRINGS and is_number(kind)


def remedy(kind: pa.DataType, dtype: str) -> str:
    """Returns what to do where a column of a dtype does not take a type, to be put behind the fault; empty for nothing to say."""
    if fields := fields_of(kind):
        return f"; name one of its fields, as '<key>.{next(iter(fields))}'"
    if is_uuid(kind) or is_text(kind):
        return "; a column of words (dtype string or bytes) takes it"
    if dtype not in dtypes.STRINGS or not is_number(kind):
        return ""
    if pa.types.is_boolean(kind):
        return "; with dtype: int64 a boolean is 0 or 1"
    if is_time(kind):
        return "; with dtype: int64 a time is a number of seconds, or of time_unit"
    if pa.types.is_integer(kind):
        return f"; dtype: {'uint64' if pa.types.is_uint64(kind) else 'int64'} takes integers"
    return "; text has no one way to write it: store text, or give the column a dtype of numbers"


def name_of(kind: pa.DataType) -> str:
    """Returns a type's name for messages: one for all decimals, one for all timestamps; which they are may depend on other rows.

    >>> name_of(pa.decimal128(10, 2)), name_of(pa.timestamp("ms", "UTC")), name_of(pa.bool_())
    ('decimal', 'timestamp', 'bool')
    """
    tests = {
        "decimal": pa.types.is_decimal,
        "timestamp": pa.types.is_timestamp,
        "uuid": is_uuid,
        "what no column takes": is_mark,
    }
    return next((name for name, test in tests.items() if test(kind)), str(kind))


def as_numbers(values: pa.Array, whole: bool, unit: str) -> tuple[pa.Array, list[LeafFault]]:
    """Returns booleans, decimals and times as integers or floats; other values as they are.

    >>> as_numbers(pa.array([1500, None], pa.timestamp("ms")), whole=False, unit="s")[0].to_pylist()
    [1.5, None]

    Args:
      values: any flat array.
      whole: whether integers are wanted: what has a fraction is a fault then. A decimal stays one, without its fraction.
      unit: the unit of times.

    Returns:
      Integers, floats (or `decimal256(76, 0)` where integers are wanted), as long as the input; null where a fault stands.
    """
    kind = values.type
    if pa.types.is_boolean(kind):
        return values.cast(pa.uint8()), []
    if pa.types.is_decimal(kind):
        return _whole_decimals(values) if whole else (values.cast(pa.large_string()).cast(pa.float64()), [])
    return _of_times(values, whole, unit) if is_time(kind) else (values, [])


def _whole_decimals(values: pa.Array) -> tuple[pa.Array, list[LeafFault]]:
    """Returns decimals that are integers as such; the others, and those of more than 76 digits, are null and faults."""
    digits = pa.decimal256(76, 0)
    wide = values.cast(pa.decimal256(76, values.type.scale))
    whole = wide.cast(digits, safe=False)  # not pc.floor: which types and digits it takes hangs on other rows
    again = whole.cast(wide.type, safe=False)
    other = pc.not_equal(again.view(digits), wide.view(digits))  # as integers: equal takes no negative scale
    odd = where(other)
    if not len(odd):
        return whole, []
    fault = LeafFault("not_an_integer", odd, "expected decimals without a fraction")
    if values.type.scale < 0:
        fault = LeafFault("integer_overflow", odd, "expected an integer of at most 76 digits")
    return pc.if_else(other, pa.scalar(None, digits), whole), [fault]


def _of_times(values: pa.Array, whole: bool, unit: str) -> tuple[pa.Array, list[LeafFault]]:
    counted, tick = ticks(values)
    return of_ticks(counted, tick, np.array(pc.is_valid(values).to_numpy(zero_copy_only=False)), whole, unit)


def of_ticks(
    ticks: np.ndarray, tick: int, there: np.ndarray, whole: bool, unit: str
) -> tuple[pa.Array, list[LeafFault]]:
    """Returns times as numbers of a unit: integers where all are whole; else each the float64 nearest to it.

    Args:
      ticks: int64 `[n]`, the times; anything where there is none.
      tick: the nanoseconds that each counts.
      there: bool `[n]`, where there is a time.
      whole: see `as_numbers`.
      unit: the unit.
    """
    size = UNITS[unit]
    if tick >= size:
        return _multiplied(ticks, tick // size, there, whole, unit)
    ticks_each = size // tick
    odd = np.flatnonzero((ticks % ticks_each != 0) & there)
    if not len(odd):
        return pa.array(ticks // ticks_each, mask=~there), []
    if whole:
        finer = ", ".join(name for name, length in UNITS.items() if length < size)
        fault = LeafFault(
            "not_an_integer", odd, f"expected times of whole units ({unit}); time_unit may be finer: {finer}"
        )
        there = there & (ticks % ticks_each == 0)
        return pa.array(ticks // ticks_each, mask=~there), [fault]
    # Both towards zero, so that one beside zero loses no digits. Since 1987 the sum is the nearest float64: the rounding of the
    # fraction is finer than the distance of any whole number of nanoseconds from halfway between two floats of such a size.
    units, rest = np.divmod(ticks, ticks_each)
    below = (units < 0) & (rest > 0)
    return pa.array((units + below) + (rest - below * ticks_each) / ticks_each, mask=~there), []


def _multiplied(
    ticks: np.ndarray, factor: int, there: np.ndarray, whole: bool, unit: str
) -> tuple[pa.Array, list[LeafFault]]:
    """Returns times in a unit that is no coarser than theirs."""
    beyond = ((ticks > (2**63 - 1) // factor) | (ticks < -(2**63 // factor))) & there
    exact = np.where(beyond, 0, ticks) * factor
    if not beyond.any():
        return pa.array(exact, mask=~there), []
    if not whole:
        return pa.array(np.where(beyond, ticks.astype(np.float64) * factor, exact.astype(np.float64)), mask=~there), []
    fault = LeafFault("integer_overflow", np.flatnonzero(beyond), f"expected times that 64 bits can count in {unit}")
    return pa.array(exact, mask=~(there & ~beyond)), [fault]


def ticks(values: pa.Array) -> tuple[np.ndarray, int]:
    """Returns times as what their type counts, int64, and how many nanoseconds that is; 0 for a null."""
    kind = values.type
    if pa.types.is_date32(kind):
        return pc.fill_null(values.view(pa.int32()), 0).to_numpy().astype(np.int64) * _DAY, UNITS["s"]
    stored = pa.int32() if pa.types.is_time32(kind) else pa.int64()
    counted = pc.fill_null(values.view(stored), 0).to_numpy()
    return counted.astype(np.int64, copy=False), UNITS["ms" if pa.types.is_date64(kind) else kind.unit]


def where(mask: pa.Array) -> np.ndarray:
    """Returns where a mask is true; a null is not."""
    return np.flatnonzero(pc.fill_null(mask, False).to_numpy(zero_copy_only=False))


def text_of_uuids(values: pa.Array) -> pa.Array:
    """Returns UUIDs as text, large strings: 32 hexadecimal digits in small letters with four hyphens (RFC 9562).

    >>> import uuid
    >>> text_of_uuids(pa.array([uuid.UUID(int=255).bytes], pa.binary(16))).to_pylist()
    ['00000000-0000-0000-0000-0000000000ff']

    Args:
      values: fixed-size binaries of 16 bytes.
    """
    count = len(values)
    filled = pc.fill_null(values, pa.scalar(bytes(16), values.type)) if values.null_count else values
    held = np.frombuffer(filled.buffers()[1], np.uint8)[filled.offset * 16 : (filled.offset + count) * 16]
    text = np.full((count, 36), ord("-"), np.uint8)
    text[:, _DIGITS_OF_UUID] = _HEX[np.stack([held >> 4, held & 15], axis=1).reshape(count, 32)]
    offsets = pa.py_buffer(np.arange(count + 1, dtype=np.int64) * 36)
    made = pa.Array.from_buffers(pa.large_string(), count, [None, offsets, pa.py_buffer(text)])
    return pc.if_else(pc.is_valid(values), made, pa.scalar(None, pa.large_string())) if values.null_count else made
