"""The section of events from a mapping, and all that is wrong with it: alone, with a rule of splits, with the events' fields."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from transforms.errors import SpecError, SpecFault, listed, nearest
from transforms.events.features import Values
from transforms.events.spec import SPLIT, Events
from transforms.problems import path_of, problems, shown
from transforms.splits.rule import Split


def make_events(data: Mapping[str, Any] | Events) -> Events:
    """Builds and checks the section from a mapping, as a columns file holds it.

    >>> make_events({"key": "user", "order_by": ["time"], "sessions": {"gap": "30m"}}).sessions
    Sessions(gap='30m')

    Raises:
      SpecError: with every fault found.
    """
    if not isinstance(data, Events | Mapping):
        raise SpecError([SpecFault("events", f"expected a mapping with 'key' and 'order_by', got {shown(data)}")])
    found = []
    if isinstance(data, Mapping):
        try:
            data = Events.model_validate(dict(data))
        except ValidationError as error:
            found = [SpecFault(_path(p.location), p.message) for p in problems(error, Events, dict(data), "key")]
            raise SpecError(found) from None
    faults = name_faults(data)
    if faults:
        raise SpecError(faults)
    return data


def resolved(events: Events, names: Iterable[str]) -> Events:
    """Returns a section whose features are named, for events that have fields of these names.

    Raises:
      SpecError: two columns of the sequences would have one name.
    """
    if events.features is not None:
        return events
    made = events.model_copy(update={"features": events.features_of(names)})
    faults = name_faults(made)
    if faults:
        raise SpecError(faults)
    return made


def _path(location: Iterable[Any]) -> str:
    return path_of(("events", *location))


def name_faults(events: Events) -> list[SpecFault]:
    """Returns names that two columns of the sequences would have, and those that are reserved."""
    faults = []
    taken = {key: "a key" for key in events.key}
    for name in (*events.key, *(events.features or {})):
        if name == SPLIT or name.startswith("__"):
            why = "names that begin with '__' are reserved" if name != SPLIT else "the column of splits has this name"
            faults.append(SpecFault(_path(("features" if name not in taken else "key", name)), f"{why}, got {name!r}"))
    for name in events.features or {}:
        if name in taken:
            faults.append(SpecFault(_path(("features", name)), f"{name!r} is {taken[name]}, which every sequence has"))
    target = events.target.name if events.target else None
    if target is not None and target in {*events.key, *(events.features or {})}:
        faults.append(SpecFault(_path(("target", "field")), f"two columns are named {target!r}: the target is one"))
    return faults


def split_faults(events: Events, split: Split | None) -> list[SpecFault]:
    """Returns why the sequences of events cannot be divided by a rule."""
    if split is None:
        return []
    if split.by == "input":
        return [
            SpecFault("split.by", "expected key, feature or time, got 'input': a sequence has events of several files")
        ]
    if split.by == "time":
        found = []
        if split.feature not in (None, events.order_by[0]):
            why = f"events are divided by their time, {events.order_by[0]!r}, got {split.feature!r}; leave it out"
            found.append(SpecFault("split.feature", why))
        if split.has_numbers and split.unit != events.time.unit:
            why = f"expected {events.time.unit!r}, which numbers count under events.time, got {split.unit!r}"
            found.append(SpecFault("split.unit", why))
        return found
    names = events.sequence_names
    unknown = [name for name in split.keys if names is not None and name not in names]
    place = "split.key" if split.by == "key" else "split.feature"
    return [
        SpecFault(place, f"the sequences have no feature {name!r}{nearest(name, names) or f', known: {listed(names)}'}")
        for name in unknown
        if names is not None
    ]


def field_faults(events: Events, names: Sequence[str]) -> list[SpecFault]:
    """Returns the fields that events do not have, each where it is named first, with the nearest that they have."""
    faults = []
    seen = set(names)
    for location, field in _places(events):
        if field not in seen:
            seen.add(field)
            hint = nearest(field, names) or f", known: {listed(names)}"
            faults.append(SpecFault(_path(location), f"the events have no field {field!r}{hint}"))
    return faults


def _places(events: Events) -> Iterable[tuple[tuple[Any, ...], str]]:
    """Yields each field that the section names, and where."""
    for part in ("key", "order_by", "unique"):
        yield from (((part, k), field) for k, field in enumerate(getattr(events, part) or ()))
    for name, feature in (events.features or {}).items():
        for k, field in enumerate(feature.fields):
            several = isinstance(feature, Values) and feature.side_by_side
            yield ("features", name, *((k,) if several else ())), field
    if events.target:
        yield ("target", "field"), events.target.field
