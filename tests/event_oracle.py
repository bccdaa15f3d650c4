"""Events to sequences in plain Python, from docs/events.md alone: what `transforms.sequences` is compared with."""

from __future__ import annotations

import itertools
import math
import zoneinfo
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

NANOSECONDS = {"ns": 1, "us": 1000, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9, "d": 24 * 3600 * 10**9}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RULES = ["unique", "windows", "min_events", "longer", "used"]


def listed(value: Any) -> list[Any]:
    return [value] if isinstance(value, str) else list(value)


def missing(value: Any) -> bool:
    return value is None or value != value


def place(value: Any) -> tuple[Any, ...]:
    """Where a value stands in the order: nulls first, NaN last, text by bytes."""
    if value is None:
        return (0,)
    if value != value:
        return (2, math.copysign(1, value) < 0)
    if isinstance(value, str):
        return (1, value.encode())
    return (1, value, math.copysign(1, value)) if isinstance(value, float) else (1, value)


def same(value: Any) -> Any:
    return "nan" if value != value else value


class Oracle:
    """The sequences of some events, and what becomes of these.

    Args:
      rows: the events.
      spec: the section as a mapping.
      nanoseconds: the time of an event, since 1970; None where it has none.
      borders: where splits begin, in nanoseconds.
      max_steps: most steps of a sequence.
      floats: fields whose values are floats: integers beside them become some.
    """

    def __init__(
        self,
        rows: Sequence[Mapping[str, Any]],
        spec: Mapping[str, Any],
        nanoseconds: Callable[[Mapping[str, Any]], Any],
        borders: Sequence[int] = (),
        max_steps: int = 10**6,
        floats: Collection[str] = (),
    ):
        self.spec, self.nanoseconds, self.max_steps, self.floats = spec, nanoseconds, max_steps, floats
        self.keys, self.order_by = listed(spec["key"]), listed(spec["order_by"])
        self.borders = [-math.inf, *borders, math.inf]
        names = list(rows[0]) if rows else []
        self.features = spec.get("features") or {name: name for name in names if name not in self.keys}
        self.fates: dict[int, str] = {}
        self.steps = self.targets = 0
        self.lengths: list[int] = []
        groups: dict[Any, list[tuple[int, Any]]] = {}
        for number, row in enumerate(rows):
            key = tuple(row[name] for name in self.keys)
            if any(map(missing, key)) or nanoseconds(row) is None:
                self.fates[number] = "rejected"
            else:
                groups.setdefault(key, []).append((number, row))
        self.rows = []
        self.groups = {key: sorted(own, key=self._place) for key, own in groups.items()}
        for key in sorted(groups, key=lambda key: tuple(map(place, key))):
            self._key(key, self.groups[key])

    def counts(self) -> dict[str, int]:
        return dict(Counter(self.fates.values()))

    def _place(self, event: Any) -> Any:
        read = set(listed(self.spec.get("unique") or []))
        if "target" in self.spec:
            read.add(self.spec["target"]["field"])
        for feature in self.features.values():
            read |= set(self._fields(feature))
        others = [name for name in sorted(read) if name not in self.keys and name not in self.order_by]
        row = event[1]
        # Last of all the time as it is written: one moment has several texts.
        return [self.nanoseconds(row), *(place(row[name]) for name in [*self.order_by[1:], *others, self.order_by[0]])]

    @staticmethod
    def _fields(feature: Any) -> list[str]:
        if isinstance(feature, str | list):
            return listed(feature)
        kind, field = next((kind, field) for kind, field in feature.items() if kind != "timezone")
        return [field] if kind in ("first", "last", "min", "max", "sum", "n_unique") else []

    def _key(self, key: Any, events: list[Any]) -> None:
        for split, (low, high) in enumerate(itertools.pairwise(self.borders)):
            seen = [event for event in events if self.nanoseconds(event[1]) < high]
            if any(self.nanoseconds(event[1]) >= low for event in seen):
                self._split(key, split, low, seen)

    def _split(self, key: Any, split: int, low: float, events: list[Any]) -> None:
        kept = self.unique(events)
        self._fate([event for event in events if event not in kept], "unique")
        events = kept
        self._fate(events, "windows")
        ahead = self.spec.get("target", {}).get("next", 1) if "target" in self.spec else 0
        for session in self.sessions(events):
            steps = session[: max(len(session) - ahead, 0)]
            for first, size in self._windows(len(steps)):
                end = min(first + size + ahead, len(session))
                if self.nanoseconds(session[end - 1][1]) >= low:
                    self._sequence(key, split, session[first : first + size], session[first + size : end])

    def unique(self, events: list[Any]) -> list[Any]:
        """The last of those that are equal."""
        if not self.spec.get("unique"):
            return events
        last = {}
        for event in events:
            last[tuple(self._equal(event[1], name) for name in listed(self.spec["unique"]))] = event[0]
        return [event for event in events if event[0] in last.values()]

    def _equal(self, row: Any, name: str) -> Any:
        return self.nanoseconds(row) if name == self.order_by[0] else same(row[name])

    def sessions(self, events: list[Any]) -> list[list[Any]]:
        if "sessions" not in self.spec:
            return [events]
        text = self.spec["sessions"]["gap"]
        unit = text.lstrip("0123456789.")
        gap = Fraction(text.removesuffix(unit)) * NANOSECONDS[unit]
        found = [[events[0]]]
        for before, event in itertools.pairwise(events):
            if self.nanoseconds(event[1]) - self.nanoseconds(before[1]) > gap:
                found.append([])
            found[-1].append(event)
        return found

    def _windows(self, steps: int) -> list[tuple[int, int]]:
        windows = self.spec.get("windows")
        if windows is None or not steps:
            return [(0, steps)]
        if "last" in windows:
            size = min(steps, windows["last"])
            return [(steps - size, size)]
        length, found, first = windows["length"], [], 0
        while first < steps:
            found.append((first, min(length, steps - first)))
            if first + length >= steps:
                break
            first += windows.get("stride", length)
        return [(a, n) for a, n in found if n == length or windows.get("partial") != "drop"]

    def _fate(self, events: Sequence[Any], fate: str) -> None:
        for number, _ in events:
            self.fates[number] = max(fate, self.fates.get(number, fate), key=RULES.index)

    def _sequence(self, key: Any, split: int, steps: list[Any], targets: list[Any]) -> None:
        if len(steps) < self.spec.get("min_events", 1):
            return self._fate([*steps, *targets], "min_events")
        if len(steps) > self.max_steps:
            if self.spec.get("longer") != "last":
                return self._fate([*steps, *targets], "longer")
            self._fate(steps[: -self.max_steps], "longer")
            steps = steps[-self.max_steps :]
        self._fate([*steps, *targets], "used")
        self.steps += len(steps)
        self.lengths.append(len(steps))
        self.targets += len(targets)
        row: dict[str, Any] = {} if len(self.borders) == 2 else {"split": split}
        row.update(zip(self.keys, key, strict=True))
        for name, feature in self.features.items():
            row[name] = self._feature(feature, [event[1] for event in steps])
        if "target" in self.spec:
            found = [event[1][self.spec["target"]["field"]] for event in targets]
            row[f"target_{self.spec['target']['field']}"] = found if len(found) > 1 else found[0]
        self.rows.append(row)
        return None

    def _feature(self, feature: Any, rows: list[Any]) -> Any:
        if isinstance(feature, str):
            return [row[feature] for row in rows]
        if isinstance(feature, list):
            as_float = any(name in self.floats for name in feature)
            values = [[row[name] for name in feature] for row in rows]
            return [[float(v) if as_float and v is not None else v for v in step] for step in values]
        kind, what = next((kind, what) for kind, what in feature.items() if kind != "timezone")
        times = [self.nanoseconds(row) for row in rows]
        if kind == "clock":
            return [self._clock(time, what, feature.get("timezone", "UTC")) for time in times]
        if kind == "count":
            return len(rows)
        if kind == "since_previous":
            return [float(Fraction(b - a, NANOSECONDS[what])) for a, b in zip([times[0], *times], times, strict=False)]
        if kind == "since_first":
            return [float(Fraction(time - times[0], NANOSECONDS[what])) for time in times]
        if kind == "before_last":
            return [float(Fraction(times[-1] - time, NANOSECONDS[what])) for time in times]
        values = [row[what] for row in rows]
        return self._figure(kind, values)

    @staticmethod
    def _figure(kind: str, values: list[Any]) -> Any:
        if kind in ("first", "last"):
            return values[0 if kind == "first" else -1]
        there = [value for value in values if not missing(value)]
        if kind == "n_unique":
            return len(set(there))
        if not there:
            return None
        if kind == "sum":
            total = type(there[0])(0)
            for value in there:
                total += value
            return total
        return (min if kind == "min" else max)(there, key=place)

    @staticmethod
    def _clock(time: int, what: str, timezone: str) -> int:
        local = (EPOCH + timedelta(seconds=time // 10**9)).astimezone(zoneinfo.ZoneInfo(timezone))
        return {"hour": local.hour, "weekday": local.weekday(), "day_of_year": local.timetuple().tm_yday}[what]
