"""The `events:` section: what it takes, all that is wrong with one at once, and the way back to a mapping."""

from __future__ import annotations

import pickle
from typing import Any

import pyarrow as pa
import pytest

from transforms.errors import SpecError
from transforms.events.make_events import make_events
from transforms.events.sequences import sequences
from transforms.events.spec import Events, events_to_dict

WHOLE: dict[str, Any] = {
    "key": ["actor", "repository"],
    "order_by": ["time", "path"],
    "time": {"unit": "ms"},
    "features": {
        "paths": "path",
        "churn": ["added", "removed"],
        "one": ["added"],
        "hours": {"since_previous": "h"},
        "age": {"since_first": "d"},
        "left": {"before_last": "ns"},
        "weekday": {"clock": "weekday"},
        "hour": {"clock": "hour", "timezone": "Europe/Paris"},
        "size": {"count": "events"},
        **{kind: {kind: "added"} for kind in ("first", "last", "min", "max", "sum", "n_unique")},
    },
    "unique": ["actor", "path", "time"],
    "longer": "last",
    "sessions": {"gap": "30m"},
    "windows": {"length": 50, "stride": 25, "partial": "drop"},
    "min_events": 2,
    "target": {"field": "path", "next": 3},
}


def test_a_section_comes_back_as_it_was():
    events = make_events(WHOLE)
    assert events_to_dict(events) == WHOLE
    assert make_events(events) is events and make_events(events_to_dict(events)) == events
    assert pickle.loads(pickle.dumps(events)) == events


def test_what_is_not_said_is_not_written():
    least = {"key": "user", "order_by": "at"}
    assert events_to_dict(make_events(least)) == {"key": ["user"], "order_by": ["at"]}
    assert repr(make_events(least)) == "Events(key=('user',), order_by=('at',))"
    assert events_to_dict(make_events({**least, "windows": {"last": 3}}))["windows"] == {"last": 3}


def with_feature(value: Any) -> dict[str, Any]:
    return {"key": "user", "order_by": "at", "features": {"x": value}}


def with_part(**parts: Any) -> dict[str, Any]:
    return {"key": "user", "order_by": "at", **parts}


FAULTS = [
    (5, "events: expected a mapping with 'key' and 'order_by', got 5"),
    ({"key": "user"}, "events.order_by: expected a value (this key is required), got nothing"),
    (with_part(ordr_by="x"), "events.ordr_by: unknown key 'ordr_by'; did you mean 'order_by'?"),
    (with_part(key=[]), "events.key: expected 1 or more items, got none"),
    (with_part(key=["a", "a"]), "events.key: expected each field once, got 'a' twice"),
    (with_part(key=["a", 5]), "events.key[1]: expected a string, got 5"),
    (with_part(time={"unit": "sec"}), "events.time.unit: expected 's', 'ms', 'us' or 'ns', got 'sec'"),
    (with_part(longer="keep"), "events.longer: expected 'reject' or 'last', got 'keep'"),
    (with_part(min_events=0), "events.min_events: expected an int >= 1, got 0"),
    (
        with_part(sessions={"gap": 30}),
        "events.sessions.gap: expected a number above 0 and its unit (ns, us, ms, s, m, h, d)",
    ),
    (with_part(sessions={"gap": "30 minutes"}), "as '30m', got '30 minutes'; did you mean 'm'?"),
    (with_part(sessions={"gap": "0s"}), "events.sessions.gap: expected a number above 0"),
    (with_part(windows={}), "events.windows: expected a length (and a stride), or last: how many steps"),
    (with_part(windows={"last": 3, "stride": 2}), "events.windows.stride: does not apply to last"),
    (with_part(windows={"length": 0}), "events.windows.length: expected an int >= 1, got 0"),
    (with_part(windows={"lenght": 9}), "events.windows.lenght: unknown key 'lenght'; did you mean 'length'?"),
    (with_part(target="item"), "events.target: expected a mapping, got 'item'"),
    (with_part(target={"next": 1}), "events.target.field: expected a value (this key is required), got nothing"),
    (with_part(features={}), "events.features: expected 1 or more items, got none"),
    (with_feature(5), "events.features.x: expected a field, a list of fields or one of {since_previous: ...}"),
    (with_feature([]), "events.features.x: expected a field, a list of fields or one of {since_previous: ...}"),
    (with_feature(["a", 3]), "events.features.x: expected the names of fields, got 3 at [1]"),
    (with_feature({"since_previus": "h"}), "unknown kind of feature 'since_previus'; did you mean 'since_previous'?"),
    (with_feature({"nunique": "a"}), "unknown kind of feature 'nunique'; did you mean 'n_unique'?"),
    (
        with_feature({"since_first": "hours"}),
        "since_first: expected one of 'ns', 'us', 'ms', 's', 'm', 'h', 'd', got 'hours'; did you mean 'h'?",
    ),
    (
        with_feature({"clock": "week"}),
        "clock: expected 'weekday', 'hour', 'day_of_year', got 'week'; did you mean 'weekday'?",
    ),
    (with_feature({"clock": "hour", "timezone": "Europe/Pari"}), "got 'Europe/Pari'; did you mean 'Europe/Paris'?"),
    (with_feature({"clock": "hour", "tz": "UTC"}), "unknown kind of feature 'tz'"),
    (
        with_feature({"count": "item"}),
        "count: expected 'events', got 'item' (n_unique counts the different values of a field)",
    ),
    (with_feature({"sum": ["a", "b"]}), "sum: expected the name of a field, got ['a', 'b']"),
    (with_feature({"min": "a", "max": "a"}), "got min, max"),
    (with_feature({"min": "a", "timezone": "UTC"}), "timezone does not apply to min: only clock has one"),
    (with_part(features={"user": "item"}), "events.features.user: 'user' is a key, which every sequence has"),
    (with_part(features={"split": "item"}), "events.features.split: the column of splits has this name, got 'split'"),
    (with_part(features={"__x": "item"}), "events.features.__x: names that begin with '__' are reserved, got '__x'"),
    (
        with_part(target={"field": "x"}, features={"target_x": "x"}),
        "events.target.field: two columns are named 'target_x': the target is one",
    ),
]


@pytest.mark.parametrize(("data", "message"), FAULTS)
def test_faults_say_where_and_what_was_probably_meant(data: Any, message: str):
    with pytest.raises(SpecError) as error:
        make_events(data)
    assert len(error.value.faults) == 1 and message in str(error.value)


def test_all_faults_come_at_once():
    data = with_part(features={"a": 5, "b": {"clock": "x"}}, longer="keep", windows={"length": 0}, unknown=1)
    with pytest.raises(SpecError) as error:
        make_events(data)
    paths = [fault.path for fault in error.value.faults]
    assert sorted(paths) == [
        "events.features.a",
        "events.features.b",
        "events.longer",
        "events.unknown",
        "events.windows.length",
    ]


def test_a_call_is_refused_as_python_refuses_one():
    with pytest.raises(TypeError, match="order_by: expected a value"):
        Events(key="user")
    with pytest.raises(ValueError, match="longer: expected 'reject' or 'last', got 'keep'"):
        Events(key="user", order_by="at", longer="keep")


EVENTS = pa.table(
    {"user": [1], "at": [5], "item": ["a"], "value": [1.5], "tags": [["x"]], "big": pa.array([1], pa.uint64())}
)

UNFIT = [
    (with_part(key=["usr"]), "events.key[0]: the events have no field 'usr'; did you mean 'user'?"),
    (
        with_part(key="tags"),
        "events.key[0]: expected integers, numbers, booleans, text, bytes, dates or time",
    ),
    (
        with_part(order_by=["tags"]),
        "events.order_by[0]: expected a number, a timestamp, a date or text (ISO 8601), 'tags'",
    ),
    (
        with_part(unique=["item", "itm"], features={"x": "item"}),
        "events.unique[1]: the events have no field 'itm'; did you mean 'item'?",
    ),
    (with_feature(["value", "valeu"]), "events.features.x[1]: the events have no field 'valeu'; did you mean 'value'?"),
    (
        with_feature({"min": "zzz"}),
        "events.features.x: the events have no field 'zzz', known: user, at, item, value, tags, big",
    ),
    (with_part(target={"field": "itm"}, features={"x": "item"}), "events.target.field: the events have no field 'itm'"),
    (with_part(), "events.features: expected one value an event in 'tags', got list"),
    (with_feature("tags"), "events.features: expected one value an event in 'tags', got list"),
    (with_feature({"sum": "item"}), "events.features.x: expected numbers to sum, 'item' is large_string"),
    (with_feature({"sum": "big"}), "events.features.x: expected numbers to sum, 'big' is uint64"),
    (
        with_feature(["item", "value"]),
        "events.features.x: expected fields of types that one list can hold, got large_string, ",
    ),
    (
        with_feature(["user", "big"]),
        "events.features.x: expected fields of types that one list can hold, got int64, uint64",
    ),
]


@pytest.mark.parametrize(("data", "message"), UNFIT)
def test_what_the_events_cannot_give_is_said_before_they_are_read(data: Any, message: str):
    with pytest.raises(SpecError) as error:
        sequences(EVENTS, data)
    assert len(error.value.faults) == 1 and message in str(error.value)


BORDERS = [
    ({"train": 1}, "split.train: 'train' is what is before the first border"),
    (
        {"test": "tomorrow"},
        "split.test: expected a date or a time in ISO 8601, as 2024-01-31, or a number, got 'tomorrow'",
    ),
    ({"test": True}, "split.test: expected a date or a time in ISO 8601, as 2024-01-31, or a number, got True"),
    (
        {"validation": "2024-02-01", "test": "2024-01-01"},
        "split: expected ascending borders, got '2024-02-01', '2024-01-01'",
    ),
]


@pytest.mark.parametrize(("borders", "message"), BORDERS)
def test_borders_that_cannot_be(borders: Any, message: str):
    with pytest.raises(SpecError) as error:
        sequences(EVENTS, with_feature("item"), borders=borders)
    assert str(error.value) == message
