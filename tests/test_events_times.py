"""Times of every kind, clocks and time differences, against Python's own."""

from __future__ import annotations

import math
import random
import zoneinfo
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from tests.marks import tried
from transforms.events.clocks import clock
from transforms.events.sequences import sequences
from transforms.kernels import event_steps
from transforms.parse.times import moment, times_of
from transforms.parse.units import UNITS
from transforms.rows.fields import field_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def read(values: list[Any], unit: str = "s", kind: pa.DataType | None = None) -> list[int | None]:
    """Nanoseconds of each time, None where there is none."""
    found = times_of(field_of(pa.table({"x": pa.array(values, kind)}), "x"), unit)
    return [
        value * found.tick if good else None
        for value, good in zip(found.values.tolist(), found.good.tolist(), strict=True)
    ]


def test_numbers_count_their_unit():
    for unit in ("s", "ms", "us", "ns"):
        for kind in (pa.int64(), pa.int32(), pa.uint32(), pa.int8()):
            assert read([5, None], unit, kind) == [5 * UNITS[unit], None]
    assert read([-1, -(2**63), 2**63 - 1]) == [-(10**9), -(2**63) * 10**9, (2**63 - 1) * 10**9]
    assert read([2**63 - 1, 2**63], "ns", pa.uint64()) == [2**63 - 1, None]


def test_floats_are_rounded_to_nanoseconds():
    assert read([1.5, -0.25, None, math.nan, math.inf, 1e300]) == [1_500_000_000, -250_000_000, None, None, None, None]
    assert read([1_700_000_000.0, 2.0**33 - 1]) == [1_700_000_000 * 10**9, (2**33 - 1) * 10**9]
    assert read([9.3e9, 9.2e9, -9.3e9]) == [None, 9_200_000_000 * 10**9, None]
    assert read([1.5], "ms", pa.float32()) == [1_500_000]


def test_timestamps_and_dates_know_their_unit():
    moment = datetime(1969, 12, 31, 23, 59, 59, 500_000)
    for unit, wanted in (("ms", -500_000_000), ("us", -500_000_000), ("ns", -500_000_000)):
        for zone in (None, "UTC", "Asia/Tokyo"):
            aware = moment.replace(tzinfo=UTC) if zone else moment
            assert read([aware, None], "ns", pa.timestamp(unit, zone)) == [wanted, None]
    day = -719_162 * 86400 * 10**9
    assert read([date(1, 1, 1), None], kind=pa.date32()) == [day, None] == read([date(1, 1, 1), None], kind=pa.date64())
    assert read([None, None], kind=pa.null()) == [None, None]
    assert read([Decimal("1.25"), None, Decimal("-3.00")]) == [1_250_000_000, None, -3_000_000_000]


ISO = [
    "2024-02-29",
    "2024-02-29T12:30",
    "2024-02-29 12:30:15",
    "2024-02-29t12:30:15.25z",
    "2024-02-29T12:30:15,123456+01:30",
    "2024-02-29T00:00:00-0330",
    "1969-12-31T23:59:59.999999Z",
    "0001-01-01",
    "9999-12-31T23:59:59.999999-12",
    "2000-02-29T23:59:59.1234560000+00:00",
]


@pytest.mark.parametrize("text", ISO)
def test_iso_8601_is_what_python_reads(text: str):
    moment = datetime.fromisoformat(text.upper().replace("0000+", "+"))
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    wanted = (moment - EPOCH) // timedelta(microseconds=1) * 1000
    for kind in (pa.string(), pa.large_string(), pa.binary(), pa.string_view(), pa.dictionary(pa.int32(), pa.string())):
        assert read([text, None], kind=kind) == [wanted, None]
    if 1700 < moment.year < 2200:
        assert read([text], "ns") == [wanted]


NO_TIMES = [
    "", " ", "yesterday", "2023-02-29", "2024-13-01", "2024-00-10", "2024-01-32", "2024-1-1", "0000-01-01", "2024-01-01T",
    "2024-01-01T24:00", "2024-01-01T12", "2024-01-01T12:60", "2024-01-01T12:30:60", "2024-01-01T12:30:15.", "2024-01-01 ",
    "2024-01-01T12:30:15.1234567", "2024-01-01T12:30+24:00", "2024-01-01T12:30+01:60", "2024-01-01T12:30Zx", "2024-01-01X12:30",
    "2024-01-01T12:30+1", "1e9", "12.", ".5", "+", "-", "1.0000001", "9223372036854775808", "0x10", " 5", "nan",
    "2024-01-01T12.30",
]  # fmt: skip


@pytest.mark.parametrize("text", NO_TIMES)
def test_what_is_no_time_is_none(text: str):
    assert read([text, "5"]) == [None, 5 * 10**9]


def test_text_may_be_a_number_of_the_unit():
    assert read(["5", "-1.5", "+2.000000", "1.123456"]) == [5 * 10**9, -1_500_000_000, 2 * 10**9, 1_123_456_000]
    assert read(["5", "1.5"], "ms") == [5 * 10**6, 1_500_000]
    assert read(["5", "5.0", "5.5"], "ns") == [5, 5, None]
    assert read(["9223372036854", "9223372036855"], "s") == [9223372036854 * 10**9, None]  # as microseconds


def test_random_moments_as_text():
    draw = random.Random(0)
    for _ in range(tried(3000)):
        moment = datetime(draw.randint(1, 9999), draw.randint(1, 12), draw.randint(1, 28)) + timedelta(
            days=draw.randint(0, 3) * (draw.random() < 0.3), microseconds=draw.randrange(86400 * 10**6)
        )
        assert read([moment.isoformat()]) == [(moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1) * 1000]


BORDERS = [
    ("2024-01-01", "s", 10**9, 1_704_067_200),
    ("2024-01-01T00:00:00.5", "s", 10**9, 1_704_067_201),
    ("2024-01-01T01:00+01:00", "ms", 10**6, 1_704_067_200_000),
    (date(2024, 1, 1), "ns", 1, 1_704_067_200 * 10**9),
    (datetime(2024, 1, 1), "s", 1000, 1_704_067_200 * 10**6),
    (5, "ms", 10**6, 5),
    (5, "s", 1, 5 * 10**9),
    (-1.5, "s", 10**9, -1),
]


@pytest.mark.parametrize(("value", "unit", "tick", "wanted"), BORDERS)
def test_a_border_is_the_first_time_that_is_not_before_it(value: Any, unit: str, tick: int, wanted: int):
    assert -(-moment(value, unit) // tick) == wanted


ZONES = [
    "UTC",
    "Europe/Paris",
    "America/New_York",
    "Asia/Kolkata",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Pacific/Apia",
]


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("tick", [1, 1000, 10**9])
def test_clocks_are_zoneinfos(zone: str, tick: int):
    """Every half hour of a year with all its changes, and moments anywhere."""
    draw = random.Random(zone)
    low, high = (-62_135_510_400, 253_402_128_000) if tick > 1 else (-9 * 10**9, 9 * 10**9)
    seconds = [draw.randrange(low, high) for _ in range(500)]
    seconds += [1_293_840_000 + k * 1800 + shift for k in range(365 * 48) for shift in (0, -1)][
        :: max(1, 6 // tried(6))
    ]
    times = np.array(seconds) * (10**9 // tick) + (draw.randrange(10**9 // tick) if tick < 10**9 else 0)
    local = [(EPOCH + timedelta(seconds=second)).astimezone(zoneinfo.ZoneInfo(zone)) for second in seconds]
    assert clock(times, tick, "hour", zone).tolist() == [moment.hour for moment in local]
    assert clock(times, tick, "weekday", zone).tolist() == [moment.weekday() for moment in local]
    assert clock(times, tick, "day_of_year", zone).tolist() == [moment.timetuple().tm_yday for moment in local]


def test_clocks_have_an_answer_for_every_time():
    for value in (-(2**62), 2**62):
        assert 0 <= clock(np.array([value]), 10**9, "hour", "Europe/Paris")[0] < 24


@pytest.mark.parametrize("tick", [1, 1000, 10**6, 10**9])
def test_differences_are_exact_and_rounded_once(tick: int):
    """Of any two int64, in any unit: the float64 nearest to the true quotient."""
    draw = random.Random(tick)
    for _ in range(tried(600)):
        bits = draw.choice([10, 40, 53, 54, 60, 63])
        low, high = sorted(draw.randrange(-(2**bits), 2**bits) for _ in range(2))
        for unit in UNITS:
            out = np.empty(2)
            by = np.uint64(max(tick // UNITS[unit], 1)), np.uint64(max(UNITS[unit] // tick, 1))
            event_steps.since(np.array([low, high]), np.array([0, 2]), event_steps.PREVIOUS, *by, out)
            assert out.tolist() == [0.0, float(Fraction((high - low) * tick, UNITS[unit]))]


def test_the_kind_of_time_does_not_show():
    """The same moments as numbers, timestamps and text give the same differences, clocks and order."""
    seconds = [1_711_846_799, 1_711_846_801, -5, 1_711_850_400, 0]
    moments = [datetime.fromtimestamp(second, UTC) for second in seconds]
    features = {"hours": {"since_previous": "h"}, "hour": {"clock": "hour", "timezone": "Europe/Paris"}, "of": "n"}
    made = []
    for times in (
        pa.array(seconds),
        pa.array(seconds, pa.float64()),
        pa.array(moments, pa.timestamp("us")),
        pa.array(moments, pa.timestamp("ns", "Asia/Tokyo")),
        pa.array([at.isoformat() for at in moments]),
        pa.array([str(second) for second in seconds]),
    ):
        table = pa.table({"user": [1] * 5, "time": times, "n": list(range(5))})
        made.append(sequences(table, {"key": "user", "order_by": "time", "features": features}).table.to_pylist())
    assert all(one == made[0] for one in made)
    assert made[0][0]["of"] == [2, 4, 0, 1, 3] and made[0][0]["hour"] == [0, 1, 1, 3, 4]
