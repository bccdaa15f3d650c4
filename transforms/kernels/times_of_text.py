"""Times as text: ISO 8601, or a number in a unit. One pass over the bytes; a text is read exactly or refused."""

from __future__ import annotations

from typing import Any

import numpy as np

from transforms.kernels.compiled import kernel

_MOST = np.int64(2**63 - 1)
_SPACE, _PLUS, _COMMA, _MINUS, _POINT, _ZERO, _COLON = 32, 43, 44, 45, 46, 48, 58
_T, _Z = 84, 90
_LOWER = 32
"""The distance between a capital letter and its small one."""


@kernel
def times_of_text(
    offsets: Any, text: Any, scale: Any, places: Any, second: Any, found: Any, good: Any, zoned: Any
) -> None:
    """Reads each text as a time; one that is none is not `good`.

    `2024-02-29`, `2024-02-29T12:30`, `2024-02-29 12:30:15.25+01:00`, `...Z`: years 1 to 9999, UTC unless there is an offset.
    Digits alone, possibly with a sign and a fraction, are a number. Decimals beyond those of the unit must be 0.

    Args:
      offsets: int64 `[n + 1]`, where each text begins and ends.
      text: uint8, the bytes.
      scale: the factor of a number; 10 to the power of `places`.
      places: the number of decimals of a number that count.
      second: the value of a second: 10^6 or 10^9.
      found: int64 `[n]`, filled.
      good: bool `[n]`, filled.
      zoned: bool `[n]`, filled with whether nothing but the text says where its clock stands: a number, or one with a zone.
    """
    decimals = 6 if second == 1_000_000 else 9
    for k in range(len(found)):
        found[k], good[k] = _number(text, offsets[k], offsets[k + 1], scale, places)
        zoned[k] = good[k]
        if not good[k]:
            found[k], good[k], zoned[k] = _iso(text, offsets[k], offsets[k + 1], second, decimals)


@kernel
def _number(text: Any, at: Any, end: Any, scale: Any, places: Any) -> Any:
    negative = at < end and text[at] == _MINUS
    if at < end and (text[at] == _MINUS or text[at] == _PLUS):
        at += 1
    first, whole = at, np.int64(0)
    while at < end and _is_digit(text, at):
        digit = np.int64(text[at]) - _ZERO
        if whole > (_MOST - digit) // 10:
            return np.int64(0), False
        whole = whole * 10 + digit
        at += 1
    if at == first or whole > _MOST // scale:
        return np.int64(0), False
    whole *= scale
    if at < end and text[at] == _POINT and at + 1 < end:
        part, at, good = _fraction(text, at + 1, end, places)
        if not good or whole > _MOST - part:
            return np.int64(0), False
        whole += part
    return -whole if negative else whole, at == end


@kernel
def _is_digit(text: Any, at: Any) -> Any:
    return text[at] >= _ZERO and text[at] < _ZERO + 10


@kernel
def _fraction(text: Any, at: Any, end: Any, places: Any) -> Any:
    """Returns decimals as a whole number of the last place, where they end, and whether all beyond it are 0."""
    part, first, good = np.int64(0), at, True
    while at < end and _is_digit(text, at):
        digit = np.int64(text[at]) - _ZERO
        if at - first < places:
            part = part * 10 + digit
        elif digit:
            good = False
        at += 1
    for _ in range(places - (at - first)):
        part *= 10
    return part, at, good and at > first


@kernel
def _two(text: Any, at: Any, end: Any) -> Any:
    """Returns the number that two digits form, -1 if they are not digits."""
    if at + 2 > end or not _is_digit(text, at) or not _is_digit(text, at + 1):
        return np.int64(-1)
    return np.int64(text[at]) * 10 + np.int64(text[at + 1]) - 11 * _ZERO


@kernel
def days_of(year: Any, month: Any, day: Any) -> Any:
    """Returns the days from 1970-01-01 to a date of the proleptic Gregorian calendar (H. Hinnant, `days_from_civil`)."""
    year -= month <= 2
    era = year // 400
    in_era = year - era * 400
    in_year = (153 * (month + (-3 if month > 2 else 9)) + 2) // 5 + day - 1
    return era * 146097 + in_era * 365 + in_era // 4 - in_era // 100 + in_year - 719468


@kernel
def is_leap(year: Any) -> Any:
    """Returns whether a year has 366 days."""
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


@kernel
def _month_length(year: Any, month: Any) -> Any:
    if month == 2:
        return 29 if is_leap(year) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@kernel
def _iso(text: Any, at: Any, end: Any, second: Any, decimals: Any) -> Any:
    nothing = (np.int64(0), False, False)
    if at + 10 > end or text[at + 4] != _MINUS or text[at + 7] != _MINUS:
        return nothing
    century, years = _two(text, at, end), _two(text, at + 2, end)
    month, day = _two(text, at + 5, end), _two(text, at + 8, end)
    year = century * 100 + years
    if century < 0 or years < 0 or year < 1 or month < 1 or month > 12:
        return nothing
    if day < 1 or day > _month_length(year, month):
        return nothing
    seconds, part = days_of(year, month, day) * 86400, np.int64(0)
    at += 10
    zoned = False
    if at < end:
        if text[at] != _SPACE and (text[at] & ~_LOWER) != _T:
            return nothing
        passed, part, at = _clock(text, at + 1, end, decimals)
        zoned = at < end
        ahead, good = _offset(text, at, end)
        if passed < 0 or not good:
            return nothing
        seconds += passed - ahead
    if seconds > _MOST // second - 1 or seconds < -(_MOST // second) + 1:
        return nothing
    return seconds * second + part, True, zoned


@kernel
def _clock(text: Any, at: Any, end: Any, decimals: Any) -> Any:
    """Returns the seconds of a time of day (-1 if it is not one), the decimals, and where it ends."""
    hour, minute, part = _two(text, at, end), _two(text, at + 3, end), np.int64(0)
    if hour < 0 or hour > 23 or minute < 0 or minute > 59 or text[at + 2] != _COLON:
        return np.int64(-1), part, at
    at += 5
    seconds = np.int64(0)
    if at < end and text[at] == _COLON:
        seconds = _two(text, at + 1, end)
        at += 3
        if seconds < 0 or seconds > 59:
            return np.int64(-1), part, at
        if at < end and (text[at] == _POINT or text[at] == _COMMA):
            part, at, good = _fraction(text, at + 1, end, decimals)
            if not good:
                return np.int64(-1), part, at
    return hour * 3600 + minute * 60 + seconds, part, at


@kernel
def _offset(text: Any, at: Any, end: Any) -> Any:
    """Returns the seconds by which a local time is ahead of UTC, and whether nothing follows."""
    if at == end:
        return np.int64(0), True
    if (text[at] & ~_LOWER) == _Z:
        return np.int64(0), at + 1 == end
    if text[at] != _PLUS and text[at] != _MINUS:
        return np.int64(0), False
    sign = -1 if text[at] == _MINUS else 1
    hours, minutes = _two(text, at + 1, end), np.int64(0)
    at += 3
    if at < end:
        at += text[at] == _COLON
        minutes = _two(text, at, end)
        at += 2
    good = hours >= 0 and hours < 24 and minutes >= 0 and minutes < 60 and at == end
    return np.int64(sign) * (hours * 3600 + minutes * 60), good
