"""Times of rows and borders between splits, compared exactly, whatever type a source has for them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_INTEGER: Final = r"^[+-]?[0-9]{1,18}$"
_NUMBER: Final = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"
_ISO: Final = r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}([.]\d{1,6})?)?)?$"
_LARGEST: Final = 2**63 - 1


def is_zone(name: str) -> bool:
    """Returns whether a name is the name of a time zone."""
    try:
        ZoneInfo(name)
    except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError
        return False
    except KeyError:
        return False
    return True


def border(value: str | int, unit: str, zone: str) -> int:
    """Returns a time in microseconds since 1970-01-01 UTC.

    >>> border("1970-01-02", "s", "UTC"), border(1, "s", "UTC"), border("1970-01-01T01:00+01:00", "s", "UTC")
    (86400000000, 1000000, 0)

    Args:
      value: a date, a time in ISO 8601, or a number.
      unit: the unit of a number.
      zone: the time zone of a time that names none.

    Raises:
      ValueError: it is not a time.
    """
    if isinstance(value, int):
        return int(Fraction(value * 10**6, PER_SECOND[unit]) // 1)
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        raise ValueError(f"expected a date or a time in ISO 8601, as 2024-01-31, got {value!r}") from None
    return (found.replace(tzinfo=found.tzinfo or ZoneInfo(zone)) - _EPOCH) // timedelta(microseconds=1)


def places(values: pa.Array, borders: Sequence[int], unit: str, zone: str) -> np.ndarray:
    """Returns the number of borders that each time has reached, int64 `[values]`; -1 for a value that is not a time.

    Args:
      values: timestamps, dates, numbers or text, no lists. A time that names no zone is in `zone`.
      borders: in microseconds since 1970, ascending.
      unit: the unit of numbers.
      zone: name of a time zone.
    """
    types, kind = pa.types, values.type
    if types.is_date(kind):
        return places(values.cast(pa.timestamp("s" if types.is_date32(kind) else "ms")), borders, unit, zone)
    if types.is_timestamp(kind):
        if kind.tz is None and zone != "UTC":
            values = pc.assume_timezone(values, zone, ambiguous="earliest", nonexistent="earliest")
        return _of_integers(values.cast(pa.int64()), borders, PER_SECOND[kind.unit])
    if types.is_integer(kind):
        return _of_integers(values, borders, PER_SECOND[unit])
    if types.is_floating(kind):
        return _of_floats(values.cast(pa.float64()), borders, PER_SECOND[unit])
    if types.is_string(kind) or types.is_large_string(kind):
        return _of_texts(values, borders, unit, zone)
    return np.full(len(values), -1, np.int64)


def _of_integers(values: pa.Array, borders: Sequence[int], per_second: int) -> np.ndarray:
    """Compares integers: one has reached a border if it has reached the first whole number that is not before it."""
    firsts = [-(-at * per_second // 10**6) for at in borders]
    limit = 2**64 - 1 if values.type == pa.uint64() else _LARGEST
    kept = np.array([min(max(at, -_LARGEST if limit == _LARGEST else 0), limit) for at in firsts])
    plain = values.fill_null(0).to_numpy(zero_copy_only=False)
    found = np.searchsorted(kept.astype(plain.dtype if plain.dtype.itemsize == 8 else np.int64), plain, side="right")
    return _valid(values, found)


def _of_floats(values: pa.Array, borders: Sequence[int], per_second: int) -> np.ndarray:
    plain = values.fill_null(np.nan).to_numpy(zero_copy_only=False)
    found = np.searchsorted([float(Fraction(at * per_second, 10**6)) for at in borders], plain, side="right")
    return np.where(np.isfinite(plain), found, -1)


def _of_texts(texts: pa.Array, borders: Sequence[int], unit: str, zone: str) -> np.ndarray:
    """Numbers, and times in ISO 8601: those without a zone all at once, the others one by one, each different text once."""
    texts = pc.utf8_trim_whitespace(texts.cast(pa.large_string()))
    made = np.full(len(texts), -1, np.int64)
    kinds: dict[str, Callable[[pa.Array], np.ndarray]] = {
        _INTEGER: lambda held: places(held.cast(pa.int64()), borders, unit, zone),
        _NUMBER: lambda held: places(held.cast(pa.float64()), borders, unit, zone),
        _ISO: lambda held: _of_iso(held, borders, unit, zone),
        ".": lambda held: _one_by_one(held, borders, unit, zone),
    }
    left = pc.is_valid(texts).to_numpy(zero_copy_only=False)
    for pattern, place in kinds.items():
        fits = pc.fill_null(pc.match_substring_regex(texts, pattern), False).to_numpy(zero_copy_only=False) & left
        if fits.any():
            made[fits] = place(texts.filter(pa.array(fits)))
            left &= ~fits
    return made


def _of_iso(texts: pa.Array, borders: Sequence[int], unit: str, zone: str) -> np.ndarray:
    try:
        return places(texts.cast(pa.timestamp("us")), borders, unit, zone)
    except pa.ArrowInvalid:  # one of them is not a day of any month
        return _one_by_one(texts, borders, unit, zone)


def _one_by_one(texts: pa.Array, borders: Sequence[int], unit: str, zone: str) -> np.ndarray:
    coded = texts.dictionary_encode()
    found = np.array([_place(text, tuple(borders), unit, zone) for text in coded.dictionary.to_pylist()], np.int64)
    return found[coded.indices.to_numpy(zero_copy_only=False)]


@lru_cache(maxsize=4096)
def _place(text: str, borders: tuple[int, ...], unit: str, zone: str) -> int:
    try:
        return int(np.searchsorted(borders, border(text, unit, zone), side="right"))
    except (ValueError, OverflowError):
        return -1


def _valid(values: pa.Array, found: np.ndarray) -> np.ndarray:
    return np.where(pc.is_valid(values).to_numpy(zero_copy_only=False), found, -1) if values.null_count else found
