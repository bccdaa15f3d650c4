"""Conversion of times of any kind to whole numbers of a unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels.times_of_text import times_of_text
from transforms.kernels.values import read_only
from transforms.parse import typed
from transforms.parse.units import UNITS
from transforms.problems import shown
from transforms.rows.fields import is_text, text_buffers

EXPECTED: Final = "a number, a timestamp, a date or text (ISO 8601)"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Times:
    """The times of events.

    Attributes:
      values: int64 `[n]`, since 1970-01-01 UTC; undefined where there is no time.
      tick: nanoseconds per unit of `values`.
      good: bool `[n]`, whether there is a time.
      missing: bool `[n]`, whether there is no value: null or NaN.
    """

    values: np.ndarray
    tick: int
    good: np.ndarray
    missing: np.ndarray


def is_time(kind: pa.DataType) -> bool:
    """Tells whether values of a type, as `transforms.rows.fields.plain` returns them, can be times."""
    types = pa.types
    tests = (types.is_integer, types.is_floating, types.is_timestamp, types.is_date, types.is_decimal, types.is_null)
    return is_text(kind) or any(test(kind) for test in tests)


def shows_all(kind: pa.DataType) -> bool:
    """Returns whether values of a type are equal whenever their times are; texts are not, because one time has several."""
    return pa.types.is_integer(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind)


def times_of(array: pa.Array, unit: str, zone: str = "UTC") -> Times:
    """Reads times.

    Args:
      array: of a type that `is_time`. Integers count `unit`; floats are rounded to the nearest nanosecond; timestamps count
        their own unit, dates seconds. Text is ISO 8601, or a number of `unit`, and counts microseconds, or nanoseconds if that is
        the unit.
      unit: `"s"`, `"ms"`, `"us"` or `"ns"`, of numbers.
      zone: the time zone of dates, timestamps and texts that name none. Where its clock was set back the earlier time
        is meant, and where it was set forward the moment of that.
    """
    if zone != "UTC" and (pa.types.is_date(array.type) or pa.types.is_timestamp(array.type)):
        array = _local(array, zone)
    kind = array.type
    valid = np.ones(len(array), bool) if not array.null_count else pc.is_valid(array).to_numpy(zero_copy_only=False)
    if pa.types.is_null(kind):
        return Times(np.zeros(len(array), np.int64), UNITS[unit], valid, ~valid)
    if pa.types.is_decimal(kind):
        array = pc.cast(array, pa.large_string())
    if is_text(array.type):
        return _of_text(array, unit, zone, valid)
    if pa.types.is_floating(kind):
        return _of_floats(pc.fill_null(array, math.nan).to_numpy().astype(np.float64), unit)
    if typed.is_time(kind):
        return Times(*typed.ticks(array), valid, ~valid)
    values = pc.fill_null(array, 0).to_numpy()
    good = valid & (values < 2**63) if kind == pa.uint64() else valid
    return Times(values.astype(np.int64), UNITS[unit], good, ~valid)


def _local(array: pa.Array, zone: str) -> pa.Array:
    """Returns dates, and timestamps without a zone, as those of a place's clock.

    A time that its clock shows twice is the first of the two; one that the clock skips is the moment at which it skips, in every
    unit ("earliest" would be one tick before that, and ticks differ).
    """
    if pa.types.is_date(array.type):
        array = array.cast(pa.timestamp("s" if pa.types.is_date32(array.type) else "ms"))
    if array.type.tz is not None:
        return array
    moved = pc.assume_timezone(array, zone, ambiguous="earliest", nonexistent="latest")
    return moved.cast(pa.timestamp(array.type.unit, "UTC"))


def _of_text(array: pa.Array, unit: str, zone: str, valid: np.ndarray) -> Times:
    offsets, text = text_buffers(array)
    tick = UNITS["ns" if unit == "ns" else "us"]
    scale = UNITS[unit] // tick
    found, good, zoned = np.zeros(len(array), np.int64), np.zeros(len(array), bool), np.zeros(len(array), bool)
    places = round(math.log10(scale))
    times_of_text(read_only(offsets), read_only(text), scale, places, UNITS["s"] // tick, found, good, zoned)
    local = np.flatnonzero(good & ~zoned)
    if zone != "UTC" and len(local):
        clocks = pa.array(found[local]).cast(pa.timestamp("ns" if tick == 1 else "us"))
        found[local] = _local(clocks, zone).cast(pa.int64()).to_numpy()
    return Times(found, tick, good & valid, ~valid)


def _of_floats(values: np.ndarray, unit: str) -> Times:
    scale = UNITS[unit]
    with np.errstate(invalid="ignore"):
        whole = np.floor(values)
        good = np.abs(whole) < (2**63 - 1) // scale - 1  # not of NaN
        whole = np.where(good, whole, 0.0)
        part = np.where(good, values, 0.0) - whole
    found = whole.astype(np.int64) * scale + np.rint(part * scale).astype(np.int64)
    return Times(found, UNITS["ns"], good, np.isnan(values))


def moment(value: Any, unit: str = "s", zone: str = "UTC") -> int:
    """Returns a time that a person wrote, in nanoseconds since 1970-01-01 UTC.

    >>> moment("1970-01-02"), moment(1.5), moment("1970-01-01T01:00+01:00")
    (86400000000000, 1500000000, 0)

    Args:
      value: a date, a datetime, either as ISO 8601 text, or a number of `unit` since 1970-01-01 UTC, up to the next nanosecond.
      unit: of a number, one of `transforms.parse.units.UNITS`.
      zone: the time zone of a time that names none.

    Raises:
      ValueError: it is none of these.
    """
    wrong = ValueError(f"expected a date or a time in ISO 8601, as 2024-01-31, or a number, got {shown(value)}")
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise wrong from None
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day)
    if isinstance(value, datetime):
        if value.tzinfo is None:
            value = _local(pa.array([value], pa.timestamp("us")), zone)[0].as_py()
        return int((value - _EPOCH) // timedelta(microseconds=1) * 1000)
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return math.ceil(Fraction(value) * UNITS[unit])
    raise wrong


def is_zone(name: str) -> bool:
    """Returns whether a name is that of a time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError, KeyError):  # ZoneInfoNotFoundError is a KeyError
        return False
    return True
