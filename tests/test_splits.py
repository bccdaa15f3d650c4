"""The split of a row: by key against TensorFlow's hash and exact fractions, by time against Python's datetime."""

from __future__ import annotations

import bisect
import itertools
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.columns_file.reader import dumps, loads
from transforms import make_spec, sequence_numeric_column
from transforms.errors import SpecError
from transforms.parse.units import UNITS
from transforms.rows import origin
from transforms.splits.assign import assigned, key_bytes, parts
from transforms.splits.rule import Split

THREE = {"train": 0.7, "validation": 0.2, "test": 0.1}
BY_KEY = Split(by="key", key="user", fractions=THREE)
COLUMN = sequence_numeric_column("x")


def batch(**columns):
    return pa.RecordBatch.from_pydict({name: pa.array(values) for name, values in columns.items()})


def names(rule, **columns):
    codes, faults = assigned(batch(**columns), rule)
    made = [rule.split_names[code] for code in codes]
    for fault in faults:
        assert fault.reason == "no_split"
        for row in fault.rows:
            made[row] = None
    return made


def expected_by_key(texts, seed=0, fractions=None):
    """By TensorFlow's fingerprint and exact fractions."""
    fractions = fractions or THREE
    prints = [
        int.from_bytes(tf.fingerprint([f"{seed}:".encode() + text]).numpy().tobytes(), "little") for text in texts
    ]
    ends = list(np.cumsum([Fraction(str(share)) for share in fractions.values()]))
    return [list(fractions)[bisect.bisect_right(ends, Fraction(one, 2**64))] for one in prints]


# By key


@given(st.lists(st.text(max_size=90), min_size=1, max_size=20), st.integers(-(2**63), 2**63 - 1))
def test_text_is_split_by_tensorflows_hash(users, seed):
    rule = Split(by="key", key="user", fractions=THREE, seed=seed)
    assert names(rule, user=users) == expected_by_key([user.encode() for user in users], seed)


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=20))
def test_integers_are_their_decimal_text_whatever_holds_them(users):
    wanted = expected_by_key([str(user).encode() for user in users])
    assert names(BY_KEY, user=users) == wanted
    assert names(BY_KEY, user=[str(user) for user in users]) == wanted
    assert names(BY_KEY, user=[[user] for user in users]) == wanted
    assert names(BY_KEY, user=pa.array(map(str, users)).dictionary_encode()) == wanted


def test_whole_floats_are_integers_and_large_ones_are_none():
    assert names(BY_KEY, user=[5.0, 5.5, None, float("nan"), 2.0**60]) == [
        *names(BY_KEY, user=[5]),
        None,
        None,
        None,
        None,
    ]
    assert names(BY_KEY, user=pa.array([2**64 - 1], pa.uint64())) == names(BY_KEY, user=[str(2**64 - 1)])


@pytest.mark.parametrize(
    "user", [[None], [[]], [[1, 2]], [True], [pa.scalar(1, pa.timestamp("s"))], [[None]], [{"a": 1}]], ids=str
)
def test_rows_without_a_key_have_no_split(user):
    assert names(BY_KEY, user=user) == [None]


def test_a_feature_that_is_not_there_and_what_is_said():
    table = parts(origin.with_origin(batch(x=[1.0, 2.0]), "f", 7), BY_KEY)[1]
    assert table is not None
    rejected = table.to_pylist()
    assert [(row["row"], row["reason"], row["column"], row["value"]) for row in rejected] == [
        (7, "no_split", "user", "null"),
        (8, "no_split", "user", "null"),
    ]
    assert rejected[0]["message"] == "expected one integer or text as the key of a split in 'user'"


def test_several_keys_do_not_run_into_each_other():
    made = key_bytes(batch(a=["1", "11", "é"], b=["11", "1", None]), ("a", "b"), 7)
    assert made.to_pylist() == [b"7:1:12:11", b"7:2:111:1", None]
    assert key_bytes(batch(a=["é"]), ("a", "a"), 0).to_pylist() == ["0:2:é2:é".encode()]


@given(st.permutations(range(30)), st.lists(st.integers(1, 29), max_size=4))
def test_a_row_is_in_its_split_whatever_its_neighbours(order, cuts):
    users = [f"user {k % 13}" for k in range(30)]
    alone = names(BY_KEY, user=users)
    bounds = [0, *sorted(set(cuts)), 30]
    for start, stop in itertools.pairwise(bounds):
        chosen = order[start:stop]
        assert names(BY_KEY, user=[users[k] for k in chosen]) == [alone[k] for k in chosen]


def test_shares_are_as_they_are_written():
    assert Split(by="key", key="u", fractions={"a": 0.1, "b": 0.2, "c": 0.7}).thresholds == (
        2**64 // 10,
        3 * 2**64 // 10,
        2**64,
    )
    users = [str(k) for k in range(20_000)]
    made = names(Split(by="key", key="user", fractions={"test": 0.0, "train": 1.0}), user=users)
    assert set(made) == {"train"}
    share = names(BY_KEY, user=users).count("test") / len(users)
    assert abs(share - 0.1) < 0.01


def test_parts_keep_order_and_origin():
    rows = origin.with_origin(batch(user=list("abcdef"), x=range(6)), "file", 10)
    found, rejected = parts(rows, BY_KEY)
    assert rejected is None
    for _, part in found:
        numbers = origin.row_numbers(part)
        assert origin.file_of(part) == "file" and (np.diff(numbers) > 0).all()
        assert part.column("x").to_pylist() == (numbers - 10).tolist()
    assert sum(part.num_rows for _, part in found) == 6


# By a feature


def test_a_feature_says_the_split():
    usual = Split(by="feature", feature="fold")
    assert names(usual, fold=["test", "train", "validation", "dev", None]) == [
        "test",
        "train",
        "validation",
        None,
        None,
    ]
    own = Split(by="feature", feature="fold", values={"train": [0, 1], "held": "2"})
    assert names(own, fold=[2, 0, 1, 3]) == ["held", "train", "train", None]
    assert names(own, fold=[[b"2"], [b"0"], [], [b"0", b"1"]]) == ["held", "train", None, None]
    assert own.split_names == ("train", "held")


# By time

BY_TIME = Split(by="time", feature="t", validation="2024-01-01", test="2024-02-01T12:00")
BORDERS = [datetime(2024, 1, 1, tzinfo=UTC), datetime(2024, 2, 1, 12, tzinfo=UTC)]
MOMENTS = st.one_of(
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),
    st.sampled_from([*BORDERS, *(b - timedelta(microseconds=1) for b in BORDERS)]).map(
        lambda at: at.replace(tzinfo=None)
    ),
)


def by_datetime(moments, zone=UTC):
    return [BY_TIME.split_names[sum(at.replace(tzinfo=zone) >= border for border in BORDERS)] for at in moments]


@given(st.lists(MOMENTS, min_size=1, max_size=10))
def test_times_of_every_type(moments):
    wanted = by_datetime(moments)
    exact = pa.array(moments, pa.timestamp("us"))
    assert names(BY_TIME, t=exact) == wanted
    assert names(BY_TIME, t=exact.cast(pa.timestamp("ns"))) == wanted
    assert names(BY_TIME, t=[at.isoformat() for at in moments]) == wanted
    assert names(BY_TIME, t=[at.isoformat(" ") + "+00:00" for at in moments]) == wanted
    counts = exact.cast(pa.int64())
    assert names(BY_TIME.model_copy(update={"unit": "us"}), t=counts) == wanted
    assert names(BY_TIME.model_copy(update={"unit": "us"}), t=counts.cast(pa.string())) == wanted
    whole = [at.replace(microsecond=0) for at in moments]
    seconds = pa.array(whole, pa.timestamp("s"))
    assert names(BY_TIME, t=seconds.cast(pa.int64())) == by_datetime(whole)
    assert names(BY_TIME, t=seconds.cast(pa.int64()).cast(pa.float64())) == by_datetime(whole)
    days = [at.replace(hour=0, minute=0, second=0, microsecond=0) for at in moments]
    assert names(BY_TIME, t=pa.array([day.date() for day in days], pa.date32())) == by_datetime(days)
    assert names(BY_TIME, t=pa.array([day.date() for day in days], pa.date64())) == by_datetime(days)
    assert names(BY_TIME, t=[day.date().isoformat() for day in days]) == by_datetime(days)


def test_the_last_value_of_a_list_counts():
    assert names(BY_TIME, t=[["2024-03-01", "2023-01-01"], ["2023-01-01", "2024-03-01"], [], None]) == [
        "train",
        "test",
        None,
        None,
    ]


def test_what_is_no_time():
    assert names(BY_TIME, t=["2024-13-01", "yesterday", "", " 2024-02-02 ", None]) == [None, None, None, "test", None]
    assert names(BY_TIME, t=[float("nan"), float("inf"), 1e300, -1e300]) == [None, None, "test", "train"]
    assert names(BY_TIME, t=[True]) == [None]
    assert names(BY_TIME, t=[b"\xff", b"2024-02-02"]) == [None, "test"]
    assert names(BY_TIME, t=pa.array([0, 2**64 - 1], pa.uint64())) == ["train", "test"]


def test_zones():
    rule = Split(by="time", feature="t", test="2024-07-01", timezone="Europe/Paris")
    at = datetime(2024, 7, 1, tzinfo=ZoneInfo("Europe/Paris"))
    assert rule.ordered_borders == (("test", int(at.timestamp()) * 10**9),)
    naive = [datetime(2024, 6, 30, 23, 59), datetime(2024, 7, 1)]
    assert names(rule, t=pa.array(naive, pa.timestamp("s"))) == ["train", "test"]
    assert names(rule, t=["2024-06-30T23:59", "2024-07-01", "2024-06-30T22:00Z"]) == ["train", "test", "test"]
    zoned = pa.array([at, at - timedelta(seconds=1)], pa.timestamp("s", "America/New_York"))
    assert names(rule, t=zoned) == ["test", "train"]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_a_time_that_the_clock_skips(unit):
    skips = datetime(2024, 3, 31, 1, tzinfo=UTC)  # 02:00 in Berlin, where the next second is 03:00:00
    skipped = datetime(2024, 3, 31, 2, 30)
    for border, last in (("2024-03-31T02:30", True), (skips.isoformat(), True), ("2024-03-31T01:00:01Z", False)):
        rule = Split(by="time", feature="t", test=border, timezone="Europe/Berlin")
        wanted = "test" if last else "train"
        assert names(rule, t=pa.array([skipped], pa.timestamp(unit))) == [wanted]
        # Beside a day that is none, texts are read one by one, and are no other times for that.
        assert names(rule, t=[skipped.isoformat()]) == [wanted]
        assert names(rule, t=[skipped.isoformat(), "2024-02-30T00:00:00"]) == [wanted, None]


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_whole_numbers_just_before_a_border_between_them(unit):
    rule = Split(by="time", feature="t", test="1970-01-01T00:00:01.0000005", unit=unit)
    ((_, border),) = rule.ordered_borders
    counts = range(-3, 4)
    base = 10**9 // UNITS[unit]
    wanted = ["test" if Fraction(base + k, base) >= Fraction(border, 10**9) else "train" for k in counts]
    assert names(rule, t=[base + k for k in counts]) == wanted


def test_further_splits_by_time():
    rule = Split(by="time", feature="t", borders={"late": 20, "early": 10})
    assert rule.split_names == ("train", "early", "late")
    assert names(rule, t=[9, 10, 19, 20]) == ["train", "early", "early", "late"]


# The columns file


def test_a_columns_file_keeps_its_split():
    for rule in (
        BY_KEY,
        BY_TIME,
        Split(by="feature", feature="f", values={"a": [1, "x"]}),
        Split(by="input", names=["a"]),
    ):
        spec = make_spec([COLUMN], split=rule)
        assert loads(dumps(spec)).split == rule
        assert eval(repr(rule)) == rule


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        (
            {"by": "key", "fractions": {"train": 1}},
            "split.key: expected the name of a feature, or several different ones, got None",
        ),
        ({"by": "key", "key": ["a", "a"], "fractions": {"train": 1}}, "split.key: expected the name"),
        ({"by": "key", "key": "a"}, "split.fractions: expected a share for each split, as train: 0.8, got None"),
        (
            {"by": "key", "key": "a", "fractions": {"train": 0.8, "test": 0.1}},
            "expected shares that add up to 1, got 0.9",
        ),
        (
            {"by": "key", "key": "a", "fractions": {"a-b": 1}},
            "expected a name of letters, digits and _ for a split, got 'a-b'",
        ),
        (
            {"by": "key", "key": "a", "fractions": {"train": 1}, "unit": "ms"},
            "split.unit: belongs to by: time, got by: key",
        ),
        ({"by": "feature"}, "split.feature: expected the feature that says the split, got None"),
        (
            {"by": "feature", "feature": "f", "values": {"a": 1, "b": "1"}},
            "split.values: expected each value in one split, got '1' twice",
        ),
        ({"by": "time", "feature": "t"}, "split.test: expected when test begins, got none"),
        (
            {"by": "time", "feature": "t", "test": "soon"},
            "split.test: expected a date or a time in ISO 8601, as 2024-01-31, or a number, got 'soon'",
        ),
        (
            {"by": "time", "feature": "t", "test": 5, "validation": 5},
            "expected another time than that of 'validation', got 5",
        ),
        (
            {"by": "time", "feature": "t", "test": 5, "validation": 6},
            "split.test: expected a time after validation begins, got 5",
        ),
        (
            {"by": "time", "feature": "t", "test": 5, "timezone": "Mars"},
            "split.timezone: expected a time zone, as Europe/Paris, got 'Mars'",
        ),
        (
            {"by": "time", "feature": "t", "borders": {"train": 5}},
            "split.borders: train is before all borders, and has none",
        ),
        ({"by": "input", "names": ["a", "a"]}, "split.names: expected each name once"),
        ({"by": "input", "key": "a"}, "split.key: belongs to by: key, got by: input"),
    ],
    ids=str,
)
def test_faults(asked, fault):
    with pytest.raises(SpecError) as caught:
        make_spec([COLUMN], split=Split(**asked))
    assert fault in str(caught.value)


def test_all_faults_at_once():
    with pytest.raises(SpecError) as caught:
        make_spec([COLUMN], split=Split(by="key", fractions={"train": 0.5}, feature="t"))
    assert len(caught.value.faults) == 3
