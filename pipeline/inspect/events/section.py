"""The section `events:` of a draft: key, order and features, each with the reason."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from pipeline.inspect.candidates import LEAST_KEYS
from pipeline.inspect.events import names
from pipeline.inspect.events.fields import Field
from pipeline.inspect.events.keys import Key, KeyCandidate, codes_of
from pipeline.inspect.events.spread import togetherness
from pipeline.inspect.events.times import TimeCandidate
from transforms.events.features import Feature, SequenceFigure, Since, Values
from transforms.events.keys import numbered
from transforms.events.spec import Events
from transforms.events.spec import Time as Unit
from transforms.parse.units import UNITS
from transforms.rows.fields import is_text

GAPS: Final = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds", "ms": "milliseconds"}
"""Units of the time since the event before, and what the feature is called."""

SAME: Final = 0.01
"""Share of the keys that may have several values of a field which is one of the key all the same."""

GROWS: Final = 0.98
"""Share of the steps in time by which a field grows that counts events."""


@dataclass
class Section:
    """The section as drafted.

    Attributes:
      events: the section.
      gap: name of the feature with the time since the event before; it is left out where that is always the same.
      since: that feature.
      why: the reasons, lines by the section's part (`key`, `order_by`, `features`).
      left_out: field to the reason why it is no feature.
    """

    events: Events
    gap: str
    since: Since
    why: dict[str, list[str]]
    left_out: dict[str, str] = field(default_factory=dict)


def section(
    fields: Mapping[str, Field],
    key: Key,
    found: Collection[KeyCandidate],
    time: TimeCandidate,
    others: Collection[TimeCandidate],
) -> Section:
    """Returns the section for events of a key and a time.

    Args:
      fields: the fields of the sample's rows.
      key: their key.
      found: all fields that were looked at as the key.
      time: their time.
      others: the other times.
    """
    by_name = {one.name: one for one in found}
    owners = _owners([by_name[name].codes for name in key.fields])
    good = (owners >= 0) & time.times.good
    gaps, ties = _gaps(owners[good], time.times.values[good])
    counters = {one.name: one for one in found if one.name not in key.fields and _counts(one, owners, time)}
    breaker = next((name for name, one in counters.items() if _orders(one)), "") if ties else ""
    unit = _unit(time.times.values[good], gaps, time.times.tick)
    gap = _free(GAPS[unit] if time.is_date else "since_previous", fields)
    features: dict[str, Feature] = {}
    left_out = {one.field.name: f"another time: {one.why}" for one in others if one.is_date}
    same = []
    for name, one in fields.items():
        if name in (*key.fields, time.field.name, *left_out):
            continue
        seen = by_name.get(name)
        if seen is not None and _is_id(seen, name in counters):
            left_out[name] = "different in every event: an id"
            continue
        features[name] = Values((name,))
        if _is_same(seen.codes if seen is not None else codes_of(one), owners):
            features[name] = SequenceFigure("last", name)
            same.append(name)
    is_even, since = len(np.unique(gaps)) < 2 and bool(features), Since("since_previous", unit)
    if not is_even:
        features[gap] = since
    made = Events(
        key=key.fields,
        order_by=(time.field.name, *([breaker] if breaker else ())),
        time=Unit(unit=time.unit),
        features=features,
    )
    why = {
        "key": [*key.why, *(f"not {name!r}: {why}" for name, why in key.others.items())],
        "order_by": [*_why_order(time, others, ties, breaker)],
        "features": [*_why_features(same, "" if is_even else gap, time)],
    }
    return Section(made, gap, since, why, left_out)


def _owners(codes: list[np.ndarray]) -> np.ndarray:
    """Returns the key of each row as a number, int64 `[rows]`; -1 where a part of it is missing."""
    made = codes[0].copy()
    for more in codes[1:]:
        there = (made >= 0) & (more >= 0)
        pairs = np.where(there, made * (more.max(initial=0) + 1) + more, -1)
        made = np.unique(pairs, return_inverse=True)[1] - int((~there).any())
    return made


def _counts(one: KeyCandidate, owners: np.ndarray, time: TimeCandidate) -> bool:
    """Whether a field numbers the events of a key: it is whole, never the same in two of them, and grows with their time."""
    numbers = one.field.numbers
    if numbers is None or not one.field.profile.are_integers:
        return False
    good = (one.codes >= 0) & (owners >= 0) & time.times.good
    if good.sum() < LEAST_KEYS or good.mean() < 1:
        return False
    order = np.lexsort((one.codes, time.times.values, owners))
    same = owners[order][1:] == owners[order][:-1]
    steps = np.diff(one.codes[order])[same]
    later = np.diff(time.times.values[order])[same] > 0
    return bool(later.sum() >= LEAST_KEYS and (steps != 0).all() and (steps[later] > 0).mean() >= GROWS)


def _orders(one: KeyCandidate) -> bool:
    """Whether a counter orders events by its numbers: text goes by its bytes, `"10"` before `"9"`."""
    values = one.field.values
    return not is_text(values.type) or np.array_equal(numbered([values])[0], one.codes)


def _gaps(owners: np.ndarray, times: np.ndarray) -> tuple[np.ndarray, float]:
    """Returns the time from one event of a key to the next, in ticks, int64, and the share of events at the time of another."""
    order = np.lexsort((times, owners))
    gaps, same = np.diff(times[order]), owners[order][1:] == owners[order][:-1]
    tied = same & (gaps == 0)
    ties = np.append(tied, False) | np.insert(tied, 0, False)
    return gaps[same], float(ties.mean()) if len(order) else 0.0


def _unit(times: np.ndarray, gaps: np.ndarray, tick: int) -> str:
    """Returns the unit for the time between events: the largest that all times are whole ones of, or ms for gaps below a second.

    A larger unit would do less: the logarithm of 1 plus a small part of it tells no gap from another.
    """
    for unit in ("d", "h", "m"):
        if tick <= UNITS[unit] and (times % (UNITS[unit] // tick) == 0).all():
            return unit
    some = gaps[gaps > 0]
    return "ms" if len(some) and np.median(some) * tick < UNITS["s"] else "s"


def _free(wanted: str, fields: Collection[str]) -> str:
    name, k = wanted, 1
    while name in fields:
        k += 1
        name = f"{wanted}_since_previous" if k == 2 else f"{wanted}_since_previous_{k}"
    return name


def _is_id(one: KeyCandidate, is_counter: bool) -> bool:
    """Whether a field names events and says nothing else of them: it is another one in every row."""
    found, profile = one.spread, one.field.profile
    if found.distinct < found.rows or found.rows < LEAST_KEYS:
        return False
    return is_counter or profile.are_words or (profile.are_integers and names.is_id(one.name))


def _is_same(codes: np.ndarray, owners: np.ndarray) -> bool:
    """Whether a field is the same in all events of a key, and not in those of all keys."""
    there = (codes >= 0) & (owners >= 0)
    agreement, mixed = togetherness(owners[there], codes[there]) if there.any() else (0.0, 1.0)
    several = np.bincount(owners[there]) > 1 if there.any() else np.zeros(0, bool)
    return mixed <= SAME and agreement > 0.9 and several.sum() >= LEAST_KEYS


def _why_order(time: TimeCandidate, others: Collection[TimeCandidate], ties: float, breaker: str) -> list[str]:
    made = [f"{time.field.name!r}: {time.why}"]
    made += [f"not {one.field.name!r}: {one.why}" for one in others]
    if ties:
        by = f"{breaker!r}, which grows with time, breaks" if breaker else "the other fields break"
        made.append(f"{ties:.1%} of the events share their time with another one of their key: {by} these ties")
    return made


def _why_features(same: list[str], gap: str, time: TimeCandidate) -> list[str]:
    said = f"{gap!r} is the time since the previous event" if gap else "the time between two events is always the same"
    made = [f"every other field has a value for each event; {said}"]
    if same:
        made.append(f"one value per sequence: {', '.join(map(repr, same))}, the same in all events of a key")
    if time.is_date:
        made.append("also possible: {clock: hour}, {clock: weekday}, with a timezone")
    return made
