"""Units of time and durations, exactly: whole nanoseconds and fractions of them."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Any, Final

from transforms.errors import nearest
from transforms.problems import shown

UNITS: Final[dict[str, int]] = {
    "ns": 1,
    "us": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
    "d": 86400 * 10**9,
}
"""The nanoseconds of each unit."""

_WORDS: Final = {
    "second": "s",
    "minute": "m",
    "hour": "h",
    "day": "d",
    "sec": "s",
    "min": "m",
    "millisecond": "ms",
    "microsecond": "us",
    "nanosecond": "ns",
}


def unit_of(value: Any) -> str:
    """Returns a unit.

    Raises:
      ValueError: it is not a unit; the message lists the units and says what was probably meant.
    """
    if isinstance(value, str) and value in UNITS:
        return value
    raise ValueError(f"expected one of {', '.join(map(repr, UNITS))}, got {shown(value)}{_meant(value)}")


def duration(value: Any) -> Fraction:
    """Returns the nanoseconds of a duration: a number and a unit.

    >>> duration("1.5h") == 5400 * 10**9
    True

    Raises:
      ValueError: it is not a duration, or not above 0.
    """
    text = value if isinstance(value, str) else ""
    match = re.fullmatch(r"\s*(\d{1,18}(?:\.\d{1,18})?)\s*([^\d\s.]+)\s*", text, re.ASCII)
    wanted = f"expected a number above 0 and its unit ({', '.join(UNITS)}), as '30m', got {shown(value)}"
    if not match:
        raise ValueError(wanted)
    if match[2] not in UNITS:
        raise ValueError(wanted + _meant(match[2]))
    length = Fraction(match[1]) * UNITS[match[2]]
    if not length:
        raise ValueError(wanted)
    return length


def _meant(value: Any) -> str:
    """Returns the unit that was probably meant: people write words."""
    word = str(value).lower()
    word = word if word in _WORDS else word.removesuffix("s")
    if isinstance(value, str) and word in _WORDS:
        return f"; did you mean {_WORDS[word]!r}?"
    return nearest(word, UNITS) if isinstance(value, str) else ""
