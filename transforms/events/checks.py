"""Checks of the spec against the events: missing fields, types that do not fit, and events without a key or a time."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from transforms.errors import SpecFault
from transforms.events.columns import can_sum, one_type
from transforms.events.features import SequenceFigure, Values
from transforms.events.make_events import field_faults
from transforms.events.spec import Events
from transforms.parse import times
from transforms.parse.units import UNITS
from transforms.problems import path_of
from transforms.rows import keys
from transforms.rows.fields import field_names, field_of
from transforms.rows.ragged import is_list
from transforms.rows.rejection import Fault


def schema_faults(events: Events, schema: pa.Schema) -> list[SpecFault]:
    """Returns the reasons why events of a schema cannot become sequences: missing fields, types that do not fit."""
    none = schema.empty_table()
    faults = field_faults(events, field_names(none))
    if faults:
        return faults
    named = (*events.fields, *(field_names(none) if events.features is None else ()))
    kinds = {name: field_of(none, name).type for name in dict.fromkeys(named)}
    return [SpecFault(path_of(("events", *place)), why) for place, why in _unfit(events, kinds)]


def _unfit(events: Events, kinds: Mapping[str, pa.DataType]) -> list[tuple[tuple[str | int, ...], str]]:
    found: list[tuple[tuple[str | int, ...], str]] = []
    for k, name in enumerate(events.key):
        if not keys.is_key(kinds[name]):
            found.append((("key", k), f"expected {keys.EXPECTED}, {name!r} is {kinds[name]}"))
    time = events.order_by[0]
    if not times.is_time(kinds[time]):
        found.append((("order_by", 0), f"expected {times.EXPECTED}, {time!r} is {kinds[time]}"))
    for name, kind in kinds.items():
        if name not in (*events.key, time) and (is_list(kind) or pa.types.is_nested(kind)):
            found.append((("features",), f"expected one value an event in {name!r}, got {kind}"))
    for name, feature in (events.features or {}).items():
        of = [kinds[field] for field in feature.fields]
        if isinstance(feature, Values) and one_type(of) is None:
            why = f"expected fields of types that one list can hold, got {', '.join(map(str, of))}"
            found.append((("features", name), why))
        elif isinstance(feature, SequenceFigure) and feature.figure == "sum" and not can_sum(of[0]):
            found.append((("features", name), f"expected numbers to sum, {feature.field!r} is {of[0]}"))
    return found


def event_faults(events: Events, table: pa.Table) -> list[Fault]:
    """Returns the events without a key or a time, or whose time cannot be read."""
    faults = []
    for name in events.key:
        rows = np.flatnonzero(keys.missing(field_of(table, name)))
        faults.append(Fault("missing", name, rows, ["absent"] * len(rows), "expected a key"))
    name = events.order_by[0]
    found = times.times_of(field_of(table, name), events.time.unit)
    rows = np.flatnonzero(found.missing)
    faults.append(Fault("missing", name, rows, ["absent"] * len(rows), "expected a time"))
    rows = np.flatnonzero(~found.good & ~found.missing)
    values = [str(value) for value in field_of(table, name).take(pa.array(rows)).to_pylist()]
    unit = next(name for name, size in UNITS.items() if size == found.tick)
    message = f"expected {times.EXPECTED} that is a whole number of {unit} and fits 64 bits"
    return [*faults, Fault("not_a_time", name, rows, values, message)]
