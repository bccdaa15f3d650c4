"""`seqcols inspect` on events: what it takes for the key and the time, what not, and that its drafts run as they are."""

from __future__ import annotations

import datetime
import decimal
import itertools
import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.columns_file.reader import loads
from pipeline.inspect.events import names
from pipeline.inspect.events.spread import spread, togetherness
from pipeline.sources.parquet import ParquetSource
from tests.inspecting import WRITERS, drafted, inspected, rejected
from tests.jobs import call, done
from tests.marks import slow_but, tried
from transforms.columns.passthrough import Passthrough
from transforms.errors import SpecError
from transforms.events.features import SequenceFigure, Since, Values
from transforms.events.spec import Events

START = datetime.datetime(2024, 3, 1, tzinfo=datetime.UTC)


def ratings(users: int = 60, scale: int = 1) -> list[dict[str, Any]]:
    """Ratings as they are published: user by user, each in one sitting."""
    draw = np.random.default_rng(0)
    made = []
    for user in range(1, users + 1):
        time = int(draw.integers(900_000_000, 1_500_000_000))
        for item in draw.choice(400, int(draw.integers(10, 40)), replace=False):
            time += int(draw.integers(5, 90))
            made.append(
                {
                    "userId": user,
                    "movieId": int(item) + 1,
                    "rating": int(draw.integers(1, 11)) / 2,
                    "timestamp": time * scale,
                }
            )
    return made


def clicks(users: int = 80, pages: int = 150) -> list[dict[str, Any]]:
    """A log in the order of time: visits of users, who are each from one country."""
    draw = np.random.default_rng(1)
    made = []
    for user, visit in itertools.product(range(users), range(3)):
        time = START + datetime.timedelta(seconds=float(draw.integers(0, 30 * 86400)))
        for _ in range(int(draw.integers(2, 9))):
            time += datetime.timedelta(seconds=float(draw.exponential(40)))
            made.append(
                {
                    "event_id": f"{draw.integers(2**60):x}",
                    "user_id": f"u{user:03}",
                    "session_id": f"{user}-{visit}",
                    "time": time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                    "page": f"/p/{draw.integers(pages)}",
                    "country": ["CH", "FR", "DE", "US"][user % 4],
                    "device": ["mobile", "desktop"][int(draw.integers(2))],
                    "seconds": float(draw.gamma(2, 10)),
                }
            )
    return sorted(made, key=lambda one: one["time"])


def readings(sensors: int = 8, minutes: int = 100) -> pa.Table:
    """Readings of all sensors once a minute."""
    draw = np.random.default_rng(2)
    start = np.datetime64("2024-01-01T00:00", "us")
    return pa.table(
        {
            "sensor": np.tile([f"s{k}" for k in range(sensors)], minutes),
            "timestamp": np.repeat(start + np.arange(minutes) * np.timedelta64(60, "s"), sensors),
            "temperature": (20 + np.cumsum(draw.normal(0, 0.1, (minutes, sensors)), 0)).ravel(),
            "humidity": draw.integers(30, 60, minutes * sensors),
        }
    )


def without(rows: list[dict[str, Any]], *fields: str) -> list[dict[str, Any]]:
    return [{name: value for name, value in row.items() if name not in fields} for row in rows]


def seen(path: Path, end: str, rows: Any) -> Events | None:
    """Returns the section that is drafted for rows in a file."""
    return _seen(written(path, end, rows))


def _seen(path: Path, **more: Any) -> Events | None:
    found = inspected(path, **more)
    spec = loads(found.text())
    assert (spec.events is None) == (found.seen is None)
    return spec.events


def written(path: Path, end: str, rows: Any) -> Path:
    path = path / f"in.{end}"
    if isinstance(rows, pa.Table):
        pq.write_table(rows, path)
    else:
        WRITERS[end](path, rows)
    return path


# What users have: each draft runs as it is.


@pytest.mark.parametrize("end", slow_but(["csv", "jsonl", "parquet", "avro", "tfrecord", "csv.gz"], "csv"))
@pytest.mark.parametrize(("scale", "unit"), slow_but([(1, "s"), (1000, "ms"), (10**6, "us")], 1000))
def test_ratings(tmp_path, end, scale, unit):
    rows = ratings(scale=scale)
    spec, outcome = drafted(tmp_path, written(tmp_path, end, rows))
    assert spec.events is not None
    assert spec.events.key == ("userId",) and spec.events.order_by == ("timestamp",) and spec.events.time.unit == unit
    assert spec.events.features == {
        "movieId": Values(("movieId",)),
        "rating": Values(("rating",)),
        "seconds": Since("since_previous", "s"),
    }
    assert {column.key: column.type_name for column in spec.columns} == {
        "userId": "passthrough_column",
        "movieId": "sequence_categorical_column_with_identity",
        "rating": "sequence_numeric_column",
        "seconds": "sequence_numeric_column",
    }
    longest = max(Counter(row["userId"] for row in rows).values())
    assert spec.group("sequence").max_length == longest and spec.group("sequence").truncate == "tail"
    assert rejected(outcome) == 0 and outcome.ledger["events"]["rows"]["used"] == len(rows)
    assert outcome.ledger["rows"]["read"] == 60


@pytest.mark.parametrize("end", slow_but(["jsonl", "csv", "parquet"], "jsonl"))
def test_clicks(tmp_path, end):
    """A user's country is one value; an id of the event is none; a visit lies within a user, and the draft says so."""
    path = written(tmp_path, end, clicks())
    spec, outcome = drafted(tmp_path, path)
    assert spec.events is not None
    assert spec.events.key == ("user_id",) and spec.events.order_by == ("time",)
    assert spec.events.features is not None
    assert spec.events.features["country"] == SequenceFigure("last", "country")
    assert spec.events.features["page"] == Values(("page",))
    assert "event_id" not in spec.events.features
    assert rejected(outcome) == 0 and outcome.ledger["rows"]["read"] == 80
    text = flowing(inspected(path).text())
    assert "and with one 'user_id' only: key: [user_id, session_id] gives a sequence for each" in text
    assert "not 'country': a property by its name, with 4 values" in text and "not 'device': " in text
    assert "left out: 'event_id': different in every event: an id" in text


def flowing(text: str) -> str:
    """Returns a draft with its comments on one line."""
    return " ".join(text.replace("\n", " ").replace("#", "").split())


def test_readings(tmp_path):
    """Few sensors, and times that all of them have: a key all the same."""
    table = readings()
    spec, outcome = drafted(tmp_path, written(tmp_path, "parquet", table))
    assert spec.events is not None
    assert spec.events.key == ("sensor",) and spec.events.order_by == ("timestamp",)
    assert spec.events.features == {
        "temperature": Values(("temperature",)),
        "humidity": Values(("humidity",)),
    }
    assert "the time between two events is always the same" in flowing(inspected(tmp_path / "in.parquet").text())
    assert rejected(outcome) == 0
    assert outcome.ledger["rows"]["read"] == 8 and outcome.ledger["events"]["sequences"]["steps"] == len(table)


def test_commits(tmp_path, real_data):
    """An actor's commits mostly are in one repository, and so are a file's: a sequence for each of the two."""
    path = real_data / "commits/events-*.parquet"
    found = inspected(path)
    assert found.sample.rows == 5000 and not found.sample.is_whole
    spec, outcome = drafted(tmp_path, path)
    assert spec.events is not None
    assert spec.events.key == ("actor", "repository") and spec.events.order_by == ("time",)
    assert list(spec.events.features or {}) == ["path", "added", "removed", "seconds"]
    assert outcome.ledger["events"]["rows"] == {"read": 201_404, "used": 201_404, "rejected": 0}
    assert outcome.ledger["rows"]["read"] == 4933 and rejected(outcome) == 0
    assert "For one per 'actor': key: [actor]" in flowing(found.text())
    assert spec.group("sequence").truncate == "tail" and "seqcols plan counts all steps" in flowing(found.text())


@pytest.mark.slow
def test_a_draft_runs_as_it_is(tmp_path):
    path = written(tmp_path, "jsonl", clicks())
    spec, _ = drafted(tmp_path, path)
    outcome = done(spec, path, tmp_path / "out")
    assert outcome.ledger["rows"]["written"] == 80


def test_bad_events_are_said(tmp_path):
    """A user that is not known, a time that cannot be read, and a record that is none: rejected, as by a run."""
    rows = clicks()
    rows[3]["user_id"], rows[7]["time"], rows[9]["time"] = None, "yesterday", None
    path = written(tmp_path, "jsonl", rows)
    path.write_text(path.read_text() + "{\n")
    spec, outcome = drafted(tmp_path, path)  # compares the numbers
    assert spec.events is not None
    assert outcome.ledger["events"]["rows"]["rejected"] == 4
    assert "3 of the rows are rejected: " in flowing(inspected(path).text())


def test_values_of_a_field_that_no_column_reads_reject_no_event(tmp_path):
    """The only event of a user has a text where the others have a number, in a field that is left out."""
    odd = "n" * 600
    rows: list[dict[str, Any]] = [
        {"user": k % 40, "time": 1_700_000_000 + 60 * k, "x": k % 7, odd: k % 9} for k in range(2000)
    ]
    rows[1500] |= {"user": 99, odd: "none"}
    spec, outcome = drafted(tmp_path, written(tmp_path, "jsonl", rows))  # compares the numbers
    assert spec.events is not None and list(spec.events.features or {}) == ["x", "seconds"]
    assert outcome.ledger["events"]["sequences"]["rows"] == 41


def test_a_key_that_many_events_lack_is_none(tmp_path):
    """A run would reject them all, and stop."""
    rows = clicks()
    for row in rows[::5]:
        row["user_id"] = None
    events = seen(tmp_path, "jsonl", rows)
    assert events is not None and events.key == ("session_id",)
    assert "not 'user_id': absent from 20% of the rows" in flowing(inspected(tmp_path / "in.jsonl").text())


def test_many_keys_with_few_events_each_in_the_sample(tmp_path):
    """In the first rows of shuffled events hardly any user is there twice: more rows are looked at."""
    draw = np.random.default_rng(3)
    size = 120_000
    table = pa.table(
        {
            "user": draw.integers(0, 40_000, size),
            "item": draw.integers(0, 5000, size),
            "time": 1_600_000_000 + draw.integers(0, 10**7, size),
        }
    )
    pq.write_table(table, tmp_path / "in.parquet", row_group_size=30_000)
    assert len(np.unique(table["user"].to_numpy()[:5000])) > 4500
    found = inspected(tmp_path / "in.parquet")
    assert found.seen is not None and found.sample.rows == 5000 and found.seen.sample.rows == 100_000
    assert found.seen.section.events.key == ("user",)
    assert "Drafted by seqcols inspect from 100,000 rows" in found.text()
    kinds = {column.key: column.type_name for column in loads(found.text()).columns}
    assert kinds["item"] == "sequence_categorical_column_with_hash_bucket"  # the largest may be in no row of these


def test_a_schema_is_read_once(tmp_path, monkeypatch):
    read, features = Counter[str](), ParquetSource.features

    def counted(self: ParquetSource, path: str, *more: Any) -> dict[str, pa.DataType]:
        read[path] += 1
        return features(self, path, *more)

    monkeypatch.setattr(ParquetSource, "features", counted)
    path = str(written(tmp_path, "parquet", readings()))
    assert inspected(path).seen is not None and read == {path: 1}


# What is no events


def profiles_of_users(ids: Any) -> list[dict[str, Any]]:
    draw = random.Random(5)
    day = datetime.date(2020, 1, 1)
    return [
        {
            "user_id": int(one),
            "signup": str(day + datetime.timedelta(days=draw.randrange(1500))),
            "country": draw.choice(["CH", "FR"]),
            "age": draw.randrange(18, 90),
        }
        for one in ids
    ]


def nested(count: int = 300) -> list[dict[str, Any]]:
    draw = random.Random(6)
    return [
        {"user": f"u{k % 40}", "time": 1_600_000_000 + k, "items": [draw.randrange(9) for _ in range(k % 4)]}
        for k in range(count)
    ]


NONE = {
    "one row a user": profiles_of_users(np.random.default_rng(4).permutation(100_000)[:1500]),
    "ids that repeat by chance": profiles_of_users(np.random.default_rng(4).integers(0, 20_000, 3000)),
    "rows that hold sequences": nested(),
    "nobody whose events they are": without(clicks(), "event_id", "user_id", "session_id", "page"),
    "one series": without(readings(1, 500).to_pylist(), "sensor"),
    "one series of one sensor": readings(1, 500).to_pylist(),
    "no time": without(ratings(), "timestamp"),
    "one kind": [{"kind": "a", "time": 1_600_000_000 + k, "x": k % 7} for k in range(500)],
}


@pytest.mark.parametrize("name", NONE)
def test_rows_that_are_no_events_are_drafted_as_examples(tmp_path, name):
    rows = NONE[name]
    if "timestamp" in rows[0]:
        rows = [{**row, "timestamp": str(row["timestamp"])} for row in rows]
    path = written(tmp_path, "jsonl", rows)
    found = inspected(path)
    assert found.seen is None
    assert found.text() == inspected(path, events=False).text()


def test_examples_if_asked(tmp_path, command_line):
    path = str(written(tmp_path, "csv", ratings()))
    there, asked = call("inspect", path), call("inspect", path, "--no-events")
    assert loads(there.stdout).events is not None and loads(asked.stdout).events is None
    assert "events: 60 sequences, one for each 'userId', ordered by 'timestamp'" in there.stderr.splitlines()
    assert "events:" not in asked.stderr
    assert "If every row is an example: --no-events, or events=False." in flowing(there.stdout)


# Keys


def test_a_country_is_never_the_key(tmp_path):
    """However its events stand in the files and in time."""
    rows = without(clicks(), "event_id", "user_id", "session_id", "page")
    for order in (lambda one: one["time"], lambda one: one["country"], lambda one: one["seconds"]):
        assert seen(tmp_path, "jsonl", sorted(rows, key=order)) is None


def test_names_are_not_needed(tmp_path):
    """Ratings under names that say nothing, user by user."""
    rows = [
        {"k": row["userId"], "x": row["movieId"], "y": row["rating"], "created_at": row["timestamp"]}
        for row in ratings()
    ]
    events = seen(tmp_path, "csv", rows)
    assert events is not None and events.key == ("k",)


def test_a_whole_number_that_is_measured_is_no_key(tmp_path):
    """One series of a reading that drifts: its events of one value are close together in time, too."""
    draw = np.random.default_rng(8)
    level = np.cumsum(draw.integers(-1, 2, 3000)) + 500
    rows = [{"x": int(value), "time": 1_600_000_000 + k} for k, value in enumerate(level)]
    assert seen(tmp_path, "jsonl", rows) is None


def test_a_device_is_a_kind_or_a_thing(tmp_path):
    """Two kinds of devices are no key, and a device's id is one."""
    rows = without(clicks(), "user_id", "session_id", "page")
    assert seen(tmp_path, "jsonl", rows) is None
    many = [{**row, "device": f"d{k % 90}"} for k, row in enumerate(rows)]
    events = seen(tmp_path, "jsonl", many)
    assert events is not None and events.key == ("device",)


def test_orders_within_customers(tmp_path):
    """Lines of an order have one time. The customer is the key, though an order's lines are nearer to each other."""
    draw = random.Random(9)
    rows = []
    for order in range(300):
        time, customer = START + datetime.timedelta(minutes=37 * order), draw.randrange(12_000, 12_060)
        for _ in range(draw.randrange(1, 9)):
            rows.append(
                {
                    "InvoiceNo": 536_365 + order,
                    "StockCode": f"{draw.randrange(10_000, 10_300)}A",
                    "Quantity": draw.randrange(1, 20),
                    "InvoiceDate": time.strftime("%Y-%m-%d %H:%M:%S"),
                    "CustomerID": customer,
                }
            )
    events = seen(tmp_path, "csv", rows)
    assert events is not None and events.key == ("CustomerID",) and events.order_by == ("InvoiceDate",)
    assert "of the events share their time with another one of their key: the other fields break these ties" in flowing(
        inspected(tmp_path / "in.csv").text()
    )


def test_the_other_choices_are_said(tmp_path):
    text = flowing(inspected(written(tmp_path, "csv", ratings())).text())
    assert "'userId': 60 values, each in " in text and "its name is that of somebody who acts" in text
    assert "not 'movieId': 392 values, and no sign that events belong to one" in text
    assert "not 'rating': an amount: not all are whole" in text


@pytest.mark.parametrize(("gaps", "key"), [(0, ("user", "repo")), (0.4, ("user",))])
def test_a_second_field_that_many_events_lack_divides_none(tmp_path, gaps, key):
    """A run would reject these events."""
    draw = random.Random(3)
    rows = []
    for k in range(1500):
        user = draw.randrange(40)
        repo = user % 12 if draw.random() < 0.93 else draw.randrange(12)
        path = f"{repo}/{draw.randrange(20)}"
        held = None if draw.random() < gaps else f"r{repo}"
        rows.append({"user": f"u{user}", "repo": held, "path": path, "time": 1_700_000_000 + 60 * k})
    events = seen(tmp_path, "jsonl", rows)
    assert events is not None and events.key == key


# Times


TIMES = [
    ({"created_at": "2024-01-01T00:00:00Z"}, {"updated_at": "2024-01-02T00:00:00Z"}, "created_at"),
    ({"birth_date": "1990-01-01"}, {"ts": 1_700_000_000}, "ts"),
    ({"expires_at": 1_800_000_000}, {"when": 1_700_000_000}, "when"),
]


@pytest.mark.parametrize(("one", "other", "wanted"), TIMES)
def test_of_several_times_that_of_the_event_is_taken(tmp_path, one, other, wanted):
    def moved(value: Any, k: int) -> Any:
        if isinstance(value, int):
            return value + 60 * k
        return (datetime.datetime.fromisoformat(value) + datetime.timedelta(hours=k)).isoformat()

    rows = [
        {"user": k % 30, **{name: moved(value, k) for part in (one, other) for name, value in part.items()}, "x": k % 7}
        for k in range(600)
    ]
    events = seen(tmp_path, "jsonl", rows)
    assert events is not None and events.order_by[0] == wanted
    left = next(name for part in (one, other) for name in part if name != wanted)
    text = flowing(inspected(tmp_path / "in.jsonl").text())
    assert f"not {left!r}: " in text and f"left out: {left!r}: another time" in text


def test_cycles_of_engines(tmp_path):
    """Numbers that count from 0 are no dates, and order events all the same."""
    draw = random.Random(11)
    rows = [
        {"unit": unit, "cycle": cycle, "s1": draw.gauss(0, 1), "s2": draw.gauss(0, 1)}
        for unit in range(1, 30)
        for cycle in range(1, draw.randrange(40, 90))
    ]
    events = seen(tmp_path, "csv", rows)
    assert events is not None and events.key == ("unit",) and events.order_by == ("cycle",)
    assert list(events.features or {}) == ["s1", "s2"]


@pytest.mark.parametrize(("end", "first", "breaker"), [("jsonl", 5, ["id"]), ("csv", 1000, ["id"]), ("csv", 5, [])])
def test_a_number_of_the_event_breaks_ties(tmp_path, end, first, breaker):
    """Times to the second, and a serial number that grows with them; one that is text does so if all have as many digits."""
    draw = random.Random(12)
    rows = [
        {
            "id": first + k,
            "user": f"u{draw.randrange(30)}",
            "time": 1_600_000_000 + k // 40,
            "item": f"i{draw.randrange(50)}",
        }
        for k in range(1200)
    ]
    draw.shuffle(rows)
    events = seen(tmp_path, end, rows)
    assert events is not None and events.order_by == ("time", *breaker)
    assert list(events.features or {}) == ["item", "seconds"]


def minutes(**fields: list[Any]) -> pa.Table:
    """Events of thirty users, one a minute."""
    count = len(next(iter(fields.values())))
    times = [1_700_000_000 + 60 * k for k in range(count)]
    return pa.table({"user": [k % 30 for k in range(count)], "time": times, **fields})


@pytest.mark.parametrize(
    ("first", "kind", "dtype"),
    [(2**63, pa.uint64(), "uint64"), (2.0**24, pa.float64(), "int64"), (2.0**63, pa.float64(), "float64")],
)
def test_a_key_is_passed_through_as_it_is(tmp_path, first, kind, dtype):
    """Also one beyond int64, and one that float32 does not hold."""
    step = 2**11 if dtype == "float64" else 1
    table = minutes(x=[k % 7 for k in range(600)])
    table = table.set_column(0, "user", pa.array([first + step * (k % 30) for k in range(600)], kind))
    spec, _ = drafted(tmp_path, written(tmp_path, "parquet", table))
    assert [(one.key, one.dtype) for one in spec.columns if isinstance(one, Passthrough)] == [("user", dtype)]


def test_a_byte_that_is_no_text_among_numbers(tmp_path):
    """Numbers as bytes are no times for it, and nothing fails, also where it is alone in its batch."""
    draw = random.Random(14)
    for at in (5, 600):
        values = [str(draw.randrange(100)).encode() for _ in range(601)]
        values[at] = b"\xff"
        path = tmp_path / f"{at}.parquet"
        pq.write_table(minutes(b=values), path, row_group_size=100)
        spec, _ = drafted(tmp_path, path)
        assert spec.events is not None and spec.events.order_by == ("time",)
        assert "left out: 'b': a sequence_numeric_column would reject 1 rows, invalid_utf8" in flowing(
            inspected(path).text()
        )


def test_booleans_decimals_and_times_are_features(tmp_path):
    """As columns of rows take them; a time that few events have is a number, too."""
    draw, count = random.Random(15), 600
    day = datetime.date(1980, 1, 1)
    table = minutes(
        flag=[draw.random() < 0.5 for _ in range(count)],
        member=[k % 30 < 7 for k in range(count)],
        price=[decimal.Decimal(draw.randrange(1000)) / 100 for _ in range(count)],
        clock=[datetime.time(draw.randrange(24)) for _ in range(count)],
        took=[datetime.timedelta(seconds=draw.randrange(99)) for _ in range(count)],
        birth=[day + datetime.timedelta(days=draw.randrange(9000)) if k % 2 else None for k in range(count)],
    )
    spec, outcome = drafted(tmp_path, written(tmp_path, "parquet", table))
    assert spec.events is not None and spec.events.features is not None
    assert spec.events.features["member"] == SequenceFigure("last", "member")
    kinds = {column.key: column.type_name for column in spec.columns}
    assert kinds == {
        "user": "passthrough_column",
        "flag": "sequence_categorical_column_with_identity",
        "member": "categorical_column_with_identity",
        **dict.fromkeys(("price", "clock", "took", "birth"), "sequence_numeric_column"),
    }
    assert rejected(outcome) == 0


@pytest.mark.parametrize(
    ("name", "value"), [("time", datetime.time), ("step", datetime.timedelta), ("t", lambda k: k < 12)]
)
def test_times_of_day_durations_and_booleans_order_no_events(tmp_path, name, value):
    table = minutes(x=[k % 7 for k in range(600)]).rename_columns(["user", "at", "x"])
    table = table.append_column(name, pa.array([value(k * 5 % 24) for k in range(600)]))
    spec, _ = drafted(tmp_path, written(tmp_path, "parquet", table))
    assert spec.events is not None and spec.events.order_by == ("at",)
    assert spec.events.features is not None and name in spec.events.features


def test_times_are_no_ids_in_a_part_of_the_rows(tmp_path):
    took = [datetime.timedelta(seconds=k * 7 % 99) for k in range(600)]
    found = inspected(written(tmp_path, "parquet", minutes(took=took)), rows=500)
    kinds = {column.key: column.type_name for column in loads(found.text()).columns}
    assert not found.sample.is_whole and kinds["took"] == "sequence_numeric_column"


def test_a_feature_of_the_gaps_own_name(tmp_path):
    rows = [{**row, "seconds": k % 5} for k, row in enumerate(ratings())]
    spec, _ = drafted(tmp_path, written(tmp_path, "csv", rows))
    assert spec.events is not None and "seconds_since_previous" in (spec.events.features or {})


# Names and figures


def test_words_of_names():
    assert names.words("unixReviewTime") == ["unix", "review", "time"]
    assert names.words("CUSTOMER_ID") == ["customer", "id"]
    assert names.words("userid") == ["userid", "user", "id"]
    assert names.words("orderdate") == ["orderdate", "order", "date"]
    assert names.words("candidate_id") == ["candidate", "id"] and not names.is_property("mandate")
    assert names.words("lastUpdate") == ["last", "update"] and names.is_time("last_update")
    assert not names.is_id("humidity") and names.is_id("id")
    heads = {"user_id": "user", "user_agent": "agent", "deviceType": "type", "source_account": "account", "id": "id"}
    assert {name: names.head(name) for name in heads} == heads
    assert names.words("Łódź_2") == ["łódź"] and names.head("") == ""
    assert names.is_time("created_at") and not names.is_time("country")


def agreement(codes: list[int], of: list[int]) -> tuple[float, float]:
    """The plain definition: pairs of events of one value, each event's share of agreeing partners, beyond that of any two."""
    n = len(codes)
    shares, mixed = [], {}
    for i in range(n):
        partners = [j for j in range(n) if j != i and codes[j] == codes[i]]
        if partners:
            shares.append(sum(of[j] == of[i] for j in partners) / len(partners))
            mixed.setdefault(codes[i], set()).add(of[i])
    chance = sum(of[i] == of[j] for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    return float((np.mean(shares) - chance) / (1 - chance)), float(np.mean([len(one) > 1 for one in mixed.values()]))


@settings(max_examples=tried(50), deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=3, max_size=25))
def test_agreement_against_its_definition(pairs):
    codes, of = map(list, zip(*pairs, strict=True))
    found = togetherness(np.array(codes), np.array(of))
    if len(set(of)) == 1 or len(set(codes)) == len(codes):
        assert np.isnan(found[0])
        return
    np.testing.assert_allclose(found, agreement(codes, of), rtol=1e-9, atol=1e-12)


def test_how_values_are_spread():
    draw = np.random.default_rng(13)
    times = np.arange(4000)
    by_chance = spread(draw.integers(0, 50, 4000), times, True)
    assert not (by_chance.is_close or by_chance.is_even or by_chance.is_grid or by_chance.is_together)
    assert not (by_chance.follows_time or by_chance.drifts)
    visits = draw.permutation(400).repeat(10)
    assert spread(visits, times, True).is_close and spread(visits, draw.permutation(4000), True).is_together
    assert spread(np.tile(np.arange(40), 100), times, True).is_even
    assert spread(np.tile(np.arange(40), 100), times // 40, True).is_grid
    assert spread(times // 10, times, True).follows_time
    level = np.cumsum(draw.integers(-1, 2, 4000))
    assert spread(level - level.min(), times, True).drifts


@settings(max_examples=tried(60), deadline=None)
@given(st.data())
def test_any_events_give_a_draft_that_can_be_read(tmp_path_factory, data):
    """Whatever names, types and gaps the other fields have: a columns file, whose section goes with these events."""
    draw = random.Random(data.draw(st.integers(0, 10**6)))
    count = draw.randrange(60, 200)
    table = {
        "user": [draw.randrange(12) for _ in range(count)],
        "time": pa.array([1_600_000_000 + draw.randrange(10**6) for _ in range(count)], pa.timestamp("s")),
    }
    for name in data.draw(st.lists(st.sampled_from(ODD), max_size=5, unique=True)):
        values = draw.choice(VALUES)
        gaps = draw.choice([0, 0, 0.01, 0.5])
        table[name] = pa.array([None if draw.random() < gaps else values(draw) for _ in range(count)])
    path = tmp_path_factory.mktemp("in") / "in.parquet"
    pq.write_table(pa.table(table), path)
    text = inspected(path).text()
    try:
        events = loads(text).events
    except SpecError as error:  # pragma: no cover
        raise AssertionError(text) from error
    assert events is not None and events.key[0] == "user"
    assert all(line.isprintable() for line in text.splitlines())


ODD = [
    *(
        "split",
        "__row",
        "",
        "a.b",
        "time_mask",
        "sequence_length",
        "seconds",
        "hours",
        "minutes",
        "user_observed",
        "yes",
        "null",
    ),
    *("x\x1b[31m", "- a", "a: b", "target_x", "n" * 600, "items", "price", "when", "\u202e", "1", "t", "step"),
]

VALUES = [
    lambda draw: draw.randrange(5),
    lambda draw: draw.randrange(10**6),
    lambda draw: draw.random(),
    lambda draw: draw.choice("abc"),
    lambda draw: f"{draw.randrange(10**9)}",
    lambda draw: float("nan"),
    lambda draw: draw.choice([True, False]),
    lambda draw: {"deep": draw.randrange(3)},
    lambda draw: datetime.datetime(2024, 1, draw.randrange(1, 29)),
    lambda draw: 2**62 + draw.randrange(100),
    lambda draw: datetime.time(draw.randrange(24)),
    lambda draw: datetime.timedelta(seconds=draw.randrange(99)),
    lambda draw: decimal.Decimal(draw.randrange(999)) / 10,
    lambda draw: draw.choice([b"1", b"2", b"\xff"]),
]
