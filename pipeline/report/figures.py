"""Figures as people read them."""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np


def figure(value: float, span: float | None = None) -> str:
    """Returns a number for people, with enough digits to distinguish numbers within `span`.

    >>> figure(1013.2532, 80), figure(1234567.0), figure(0.012345), figure(3.0), figure(-1e-9, 2)
    ('1,013.3', '1,234,567', '0.01235', '3', '0')
    """
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}".replace("-", "\N{MINUS SIGN}")
    size = max(abs(value), abs(span or 0.0), 1e-300)
    if size >= 1e7 or size < 1e-4:
        text = f"{value:.4g}"
    else:
        digits = 2 - math.floor(math.log10(span)) if span else 3 - math.floor(math.log10(abs(value)))
        text = f"{value:,.{min(max(digits, 0), 9)}f}"
        text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text.replace("-", "\N{MINUS SIGN}")


def share(part: int, whole: int) -> str:
    """Returns a share as per cent, an en dash where there is nothing to share.

    >>> share(1, 3), share(1, 100000), share(0, 9), share(0, 0), share(99999, 100000)
    ('33.3 %', '<0.1 %', '0 %', '–', '>99.9 %')
    """
    if not whole:
        return "\N{EN DASH}"
    if part in (0, whole):
        return f"{100 * part // whole} %"
    per_cent = round(100 * part / whole, 1)
    return "<0.1 %" if per_cent < 0.1 else ">99.9 %" if per_cent > 99.9 else f"{per_cent:.1f} %"


def size(count: float) -> str:
    """Returns a number of bytes for people."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.3g} {unit}"
        count /= 1000
    return f"{count:,.3g} TB"


def took(milliseconds: int) -> str:
    """Returns how long something took, for people.

    >>> took(40), took(12_340), took(754_000), took(7_384_000)
    ('0.04 s', '12.3 s', '12 min 34 s', '2 h 3 min')
    """
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.3g} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def duration(nanoseconds: float) -> str:
    """Returns a duration for people.

    >>> [duration(n) for n in (0, 40, 1_500_000, 90e9, 3600e9 * 30, 86400e9 * 4000)]
    ['0 s', '40 ns', '1.5 ms', '1.5 min', '1.25 d', '11 y']
    """
    if nanoseconds <= 0:
        return "0 s"
    unit, size = next(((unit, size) for unit, size in _UNITS if nanoseconds >= size), _UNITS[-1])
    return f"{nanoseconds / size:,.3g} {unit}" if nanoseconds < 1000 * size else f"{nanoseconds / size:,.0f} {unit}"


_UNITS: Final = [
    *(("y", 365.2425 * 86400e9), ("d", 86400e9), ("h", 3600e9), ("min", 60e9)),
    *(("s", 1e9), ("ms", 1e6), ("\N{MICRO SIGN}s", 1e3), ("ns", 1.0)),
]
"""Units and the nanoseconds of each, the largest first."""


def flat(values: Any) -> list[Any]:
    """Returns nested lists as one list, a single value as one of its own."""
    return list(np.asarray(values, object).reshape(-1))
