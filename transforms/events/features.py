"""The features of a sequence as the spec names them: their kinds, and how one is read from a mapping."""

from __future__ import annotations

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from transforms.errors import listed, nearest
from transforms.parse.units import unit_of
from transforms.problems import shown

SINCE: Final = ("since_previous", "since_first", "before_last")
CLOCKS: Final = ("weekday", "hour", "day_of_year")
FIGURES: Final = ("first", "last", "min", "max", "sum", "n_unique")
KINDS: Final = (*SINCE, "clock", "count", *FIGURES)

UTC: Final = "UTC"
EVENTS: Final = "events"
"""All that `count` counts."""


@dataclass(frozen=True)
class Values:
    """The values of a field, or of several side by side, one step per event.

    Attributes:
      fields: the fields.
      side_by_side: whether a step is a list of their values rather than one value.
    """

    fields: tuple[str, ...]
    side_by_side: bool = False

    def written(self) -> Any:
        """Returns it as the spec has it."""
        return list(self.fields) if self.side_by_side else self.fields[0]


@dataclass(frozen=True)
class Since:
    """Time from the step before, from the first step, or to the last one.

    Attributes:
      since: one of `SINCE`.
      unit: of the numbers, one of `units.UNITS`.
    """

    since: str
    unit: str

    @property
    def fields(self) -> tuple[str, ...]:
        """No field but the time."""
        return ()

    def written(self) -> Any:
        """Returns it as the spec has it."""
        return {self.since: self.unit}


@dataclass(frozen=True)
class Clock:
    """The clock or the calendar of a place at a step.

    Attributes:
      clock: one of `CLOCKS`.
      timezone: IANA name of the place's time zone.
    """

    clock: str
    timezone: str = UTC

    @property
    def fields(self) -> tuple[str, ...]:
        """No field but the time."""
        return ()

    def written(self) -> Any:
        """Returns it as the spec has it."""
        return {"clock": self.clock, **({} if self.timezone == UTC else {"timezone": self.timezone})}


@dataclass(frozen=True)
class SequenceFigure:
    """One value of the whole sequence: a context feature.

    Attributes:
      figure: `count`, or one of `FIGURES`.
      field: the field that it is computed from; empty for `count`.
    """

    figure: str
    field: str = ""

    @property
    def fields(self) -> tuple[str, ...]:
        """The field that it is computed from, if any."""
        return (self.field,) if self.field else ()

    def written(self) -> Any:
        """Returns it as the spec has it."""
        return {self.figure: self.field or EVENTS}


Feature: TypeAlias = Values | Since | Clock | SequenceFigure


def feature_of(value: Any) -> Feature:
    """Returns the feature that a value of `features:` describes.

    >>> feature_of({"since_previous": "h"})
    Since(since='since_previous', unit='h')

    Raises:
      ValueError: it describes none; the message says what was probably meant.
    """
    if isinstance(value, Values | Since | Clock | SequenceFigure):
        value = value.written()
    if isinstance(value, str) and value:
        return Values((value,))
    if isinstance(value, list | tuple) and value:
        for k, field in enumerate(value):
            if not isinstance(field, str) or not field:
                raise ValueError(f"expected the names of fields, got {shown(field)} at [{k}]")
        return Values(tuple(value), side_by_side=True)
    if not isinstance(value, Mapping) or not value:
        kinds = ", ".join(f"{{{kind}: ...}}" for kind in KINDS)
        raise ValueError(f"expected a field, a list of fields or one of {kinds}, got {shown(value)}")
    return _of_mapping(value)


def _of_mapping(value: Mapping[Any, Any]) -> Feature:
    kinds = [kind for kind in value if kind in KINDS]
    unknown = [kind for kind in value if kind not in (*KINDS, "timezone")]
    if unknown:
        name = str(unknown[0])
        hint = _meant(name) or nearest(name, KINDS if not kinds else ["timezone"])
        raise ValueError(f"unknown kind of feature {shown(unknown[0])}{hint or f', known: {listed(KINDS)}'}")
    if len(kinds) != 1:
        raise ValueError(f"expected one of {listed(KINDS)}, got {listed(kinds) or 'none'}")
    kind = kinds[0]
    if "timezone" in value and kind != "clock":
        raise ValueError(f"timezone does not apply to {kind}: only clock has one")
    if kind in SINCE:
        return Since(kind, _named(kind, unit_of, value[kind]))
    if kind == "clock":
        return Clock(_named(kind, _clock, value[kind]), _named("timezone", _timezone, value.get("timezone", UTC)))
    if kind == "count":
        return SequenceFigure(kind, _named(kind, _all_events, value[kind]))
    return SequenceFigure(kind, _named(kind, _field, value[kind]))


def _meant(name: str) -> str:
    """Returns its name in other tools."""
    others = {"nunique": "n_unique", "length": "count", "size": "count", "len": "count", "diff": "since_previous"}
    return f"; did you mean {others[name]!r}?" if name in others else ""


def _named(kind: str, read: Any, value: Any) -> str:
    try:
        return str(read(value))
    except ValueError as error:
        raise ValueError(f"{kind}: {error}") from None


def _clock(value: Any) -> str:
    if isinstance(value, str) and value in CLOCKS:
        return value
    hint = nearest(value, CLOCKS) if isinstance(value, str) else ""
    raise ValueError(f"expected {', '.join(map(repr, CLOCKS))}, got {shown(value)}{hint}")


def _timezone(value: Any) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, TypeError, OSError):
        hint = nearest(value, zoneinfo.available_timezones()) if isinstance(value, str) else ""
        raise ValueError(
            f"expected the IANA name of a time zone, as 'Europe/Paris', got {shown(value)}{hint}"
        ) from None
    return str(value)


def _all_events(value: Any) -> str:
    if value == EVENTS:
        return ""
    raise ValueError(f"expected {EVENTS!r}, got {shown(value)} (n_unique counts the different values of a field)")


def _field(value: Any) -> str:
    if isinstance(value, str) and value:
        return value
    raise ValueError(f"expected the name of a field, got {shown(value)}")
