"""Clock and calendar of a place, by its time zone: local time is UTC plus an offset, which changes on some days."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from transforms.events.features import UTC as UTC_NAME
from transforms.parse.units import UNITS

DAY: Final = 86400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST: Final = -719_161
"""Days from 1970-01-01 to 0001-01-02, the first on which every zone has a date that Python knows."""

_LAST: Final = 2_932_895
"""Days to 9999-12-30."""


def clock(times: np.ndarray, tick: int, what: str, timezone: str) -> np.ndarray:
    """Returns the readings of the clock or the calendar.

    Args:
      times: int64 `[n]`, ticks since 1970-01-01 UTC.
      tick: nanoseconds per tick.
      what: `"hour"` (0 to 23), `"weekday"` (Monday is 0) or `"day_of_year"` (1 to 366).
      timezone: IANA name.

    Returns:
      int64 `[n]`. Before the year 1 and after 9999 the zone's offset is that of the nearest day between.
    """
    seconds = np.floor_divide(times, UNITS["s"] // tick)
    local = seconds + offsets(seconds, timezone) if timezone != UTC_NAME else seconds
    days = np.floor_divide(local, DAY)
    if what == "hour":
        return (local - days * DAY) // 3600
    if what == "weekday":
        return np.asarray((days + 3) % 7)  # 1970-01-01 was a Thursday
    dates = days.astype("datetime64[D]")
    return (dates - dates.astype("datetime64[Y]")).astype(np.int64) + 1


def offsets(seconds: np.ndarray, timezone: str) -> np.ndarray:
    """Returns the seconds by which a place's clock is ahead of UTC, int64 `[n]`, at seconds since 1970-01-01 UTC.

    Each day with a time is looked up once; if its offset changes, to the second.
    """
    zone = zoneinfo.ZoneInfo(timezone)
    days = np.clip(np.floor_divide(seconds, DAY), _FIRST, _LAST)
    first = int(days.min(initial=0))
    seen = np.zeros(int(days.max(initial=0)) - first + 1, bool)
    seen[days - first] = True
    different = np.flatnonzero(seen)
    number = np.zeros(len(seen), np.int64)
    number[different] = np.arange(len(different))
    changes = np.array([_day(int(day) + first, zone) for day in different], np.int64).reshape(-1, 3)
    before, at, after = changes[number[days - first]].T
    return np.where(seconds < at, before, after)


def _day(day: int, zone: zoneinfo.ZoneInfo) -> tuple[int, int, int]:
    """Returns the offset at the beginning of a day of UTC, the second at which another one begins, and that one."""
    low, high = day * DAY, (day + 1) * DAY
    before, after = _offset(low, zone), _offset(high, zone)
    if before == after:
        return before, low, after
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
    return before, high, after


def _offset(second: int, zone: zoneinfo.ZoneInfo) -> int:
    found = (_EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return 0 if found is None else round(found.total_seconds())
