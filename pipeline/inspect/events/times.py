"""The time of events: which field it may be, and what its numbers count."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from pipeline.inspect.candidates import number
from pipeline.inspect.delimited import NEARLY_ALL
from pipeline.inspect.draft import MOST_REJECTED
from pipeline.inspect.events import names
from pipeline.inspect.events.fields import Field
from transforms.parse.times import Times, is_time, times_of
from transforms.parse.units import UNITS
from transforms.rows.fields import is_text

EARLIEST: Final = 631_152_000
"""1990-01-01 in seconds: numbers of seconds, ms, us and ns from there to `LATEST` cannot be taken for each other."""

LATEST: Final = 4_102_444_800
"""2100-01-01."""

NAMES: Final = {"s": "seconds", "ms": "milliseconds", "us": "microseconds", "ns": "nanoseconds"}


@dataclass(frozen=True)
class TimeCandidate:
    """A field that may be the time of events.

    Attributes:
      field: the field.
      unit: the unit of its numbers, `"s"` where they are none.
      times: its values, read as a run reads them.
      why: what it is, for people.
      is_date: whether it counts from 1970, so that hours and weekdays mean something.
    """

    field: Field
    unit: str
    times: Times
    why: str
    is_date: bool = True


def times(fields: Mapping[str, Field]) -> list[TimeCandidate]:
    """Returns the fields that may be the time, the best one first.

    It is there in nearly all rows. One whose name is that of a time goes before others, and of several the one that differs most
    often: a birthday is the same in all events of a person.
    """
    found = [made for field in fields.values() if (made := _time(field)) is not None]
    return sorted(found, key=_rank, reverse=True)


def _rank(time: TimeCandidate) -> tuple[bool, bool, bool, int]:
    own = set(names.words(time.field.name))
    different = len(np.unique(time.times.values[time.times.good]))
    return time.is_date, not own & names.LESS, bool(own & names.TIMES), different


def _time(field: Field) -> TimeCandidate | None:
    if not is_time(field.values.type):
        return None
    if field.is_moment:
        return _checked(field, "s", f"{field.values.type}", True)
    numbers = field.numbers
    if numbers is not None:
        return _of_numbers(field, numbers)
    if is_text(field.values.type) and 2 * field.profile.number_text < field.profile.count:
        return _checked(field, "s", "ISO 8601 text", True)
    return None


def _of_numbers(field: Field, numbers: np.ndarray) -> TimeCandidate | None:
    finite = numbers[np.isfinite(numbers)]
    if not len(finite):
        return None
    if names.is_time(field.name):
        for unit in NAMES:
            scale = UNITS["s"] // UNITS[unit]
            if ((finite >= EARLIEST * scale) & (finite < LATEST * scale)).mean() >= NEARLY_ALL:
                first, last = (str(np.datetime64(round(x / scale), "s"))[:10] for x in (finite.min(), finite.max()))
                return _checked(field, unit, f"{NAMES[unit]} since 1970, from {first} to {last}", True)
    if field.name.lower() not in names.COUNTERS or finite.min() < 0:
        return None
    why = f"numbers from {number(float(finite.min()))} to {number(float(finite.max()))}, a time by their name: taken for seconds"
    return _checked(field, "s", why, False)


def _checked(field: Field, unit: str, why: str, is_date: bool) -> TimeCandidate | None:
    """Returns a time, unless too many rows have none that can be read."""
    read = times_of(field.values, unit)
    good = read.good.mean() if len(read.good) else 0.0
    if good < 1 - MOST_REJECTED or len(np.unique(read.values[read.good])) < 2:
        return None
    return TimeCandidate(field, unit, read, why, is_date)
