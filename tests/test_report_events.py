"""The events in a report: figures of a whole job against plain Python, the picture by day, and what a repair leaves of them."""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.columns_file.reader import loads
from pipeline.dataset import distributions
from pipeline.dataset.manifest import read as read_manifest
from pipeline.job.request import Request
from pipeline.job.sequences import sequences as make_sequences
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.report import charts
from pipeline.report.events import view
from pipeline.report.timeline import MOST_BARS, label, timeline
from pipeline.verify.verify import verify
from tests.jobs import done, read_json
from tests.reports import Element, parsed
from transforms.distributions import facts
from transforms.distributions.spans import of_lengths
from transforms.events.figures import Figures, in_buckets, of_times

DAY = 86400
START = int(datetime(2024, 1, 1, tzinfo=UTC).timestamp())

COLUMNS = """
version: 1
events:
  key: user
  order_by: at
  features: {items: item, prices: price}
  unique: [item, at]
  sessions: {gap: 6h}
  min_events: 2
columns:
  - {type: sequence_numeric_column, key: prices}
split: {by: time, validation: 2024-02-10, test: 2024-02-20}
"""


def events_of(seed: int) -> list[dict[str, Any]]:
    """600 events of 20 users in 60 days, some of them twice, one without a user, one without a time, one without a price."""
    draw = random.Random(seed)
    rows: list[dict[str, Any]] = [
        {
            "user": draw.randrange(20),
            "at": START + draw.randrange(60) * DAY + draw.randrange(12 * 3600),
            "item": draw.choice("ab"),
            "price": 1.5,
        }
        for _ in range(579)
    ]
    rows += [dict(row) for row in draw.sample(rows, 17)]
    rows += [{**rows[0], "user": None}, {**rows[0], "at": "never"}]
    draw.shuffle(rows)
    last: dict[str, Any] = {"user": 3, "at": START + 59 * DAY, "item": "c"}
    return [*rows, {**last, "price": None}, {**last, "at": last["at"] + 600, "price": 2.0}]


def write(folder: Path, rows: list[dict[str, Any]], files: int) -> str:
    folder.mkdir()
    for k in range(files):
        text = "".join(json.dumps({**row, "at": str(row["at"])}) + "\n" for row in rows[k::files])
        (folder / f"{k}.jsonl").write_text(text)
    return str(folder / "*.jsonl")


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> dict[str, Any]:
    """A run on events, and its page."""
    folder = tmp_path_factory.mktemp("shop")
    rows, spec = events_of(1), loads(COLUMNS)
    root = folder / "out"
    done(spec, write(folder / "in", rows, 2), root, format="parquet", partitions=3, columns_file="shop.yaml")
    good = [row for row in rows if row["user"] is not None and row["at"] != "never"]
    times: dict[Any, list[int]] = {}
    for row in good:
        times.setdefault(row["user"], []).append(row["at"])
    page = parsed((root / "report.html").read_text("utf-8"))
    return {"root": root, "page": page, "rows": good, "times": {key: sorted(own) for key, own in times.items()}}


def section(page: Element) -> Element:
    (found,) = page.all("section", **{"aria-labelledby": "events"})
    return found


def number_of(page: Element, title: str) -> tuple[str, list[str]]:
    """Returns the note and the quantiles below a picture."""
    (found,) = [
        one
        for one in section(page).all("div")
        if [cap.text.partition(" (")[0] for cap in one.all("figcaption")] == [title]
    ]
    return found.all("p")[0].text, found.rows()[1][1:]


def test_what_became_of_events_is_the_ledgers(shop):
    book = read_json(shop["root"], "ledger.json")["events"]
    tiles = [one.text for one in section(shop["page"]).all("ul", class_="tiles")[0].all("li")]
    dropped = sum(book["dropped"].values())
    assert tiles == [
        "600 read",
        f"{book['rows']['used']} used",
        f"{dropped} dropped",
        "2 rejected",
        "20 keys",
        f"{book['sequences']['rows']} sequences",
    ]
    table = section(shop["page"]).all("table")[0]
    shown = {cells[0].removeprefix("dropped by "): int(cells[1]) for cells in table.rows()[1:]}
    assert shown == {"used": book["rows"]["used"], **book["dropped"], "rejected": 2}
    assert book["dropped"]["unique"] and book["dropped"]["min_events"]
    (reasons,) = [one for one in section(shop["page"]).all("table") if one.rows()[0][:2] == ["reason", "events"]]
    assert {cells[0]: cells[1] for cells in reasons.rows()[1:]} == {"missing": "1", "not_a_time": "1"}
    assert "never" in section(shop["page"]).text


def test_events_of_a_key_and_the_time_between_them(shop):
    counts = sorted(map(len, shop["times"].values()))
    note, quantiles = number_of(shop["page"], "Events of a key")
    assert note == f"20 keys; the most {counts[-1]}"
    assert abs(int(quantiles[3]) - np.quantile(counts, 0.5)) <= 1
    gaps = sorted(b - a for own in shop["times"].values() for a, b in itertools.pairwise(own))
    note, quantiles = number_of(shop["page"], "Time between an event of a key and the next")
    zero = round(100 * gaps.count(0) / len(gaps), 1)
    assert gaps.count(0) >= 17
    assert note.startswith(f"{len(gaps)} gaps, {zero} % of them 0, which the picture leaves out; the longest ")
    assert note.endswith("; a session ends with one above 6h")
    for text, q in zip(quantiles, charts.QUANTILES, strict=True):
        at = int(q * len(gaps))
        assert gaps[max(at - 2, 0)] * 0.95 <= seconds(text) <= gaps[min(at + 2, len(gaps) - 1)] * 1.05


def seconds(text: str) -> float:
    number, unit = text.split()
    return float(number) * {"s": 1, "min": 60, "h": 3600, "d": DAY}[unit]


def test_sessions_are_those_of_different_events(shop):
    sessions = {}
    for user in shop["times"]:
        own = sorted({(row["at"], row["item"]) for row in shop["rows"] if row["user"] == user})
        sessions[user] = [[own[0][0]]]
        for (before, _), (at, _) in itertools.pairwise(own):
            if at - before > 6 * 3600:
                sessions[user].append([])
            sessions[user][-1].append(at)
    every = [one for own in sessions.values() for one in own]
    assert number_of(shop["page"], "Sessions of a key")[0] == f"20 keys; the most {max(map(len, sessions.values()))}"
    note, quantiles = number_of(shop["page"], "Events of a session")
    assert note == f"{len(every)} sessions; the most {max(map(len, every))}"
    assert int(quantiles[3]) == np.quantile([len(one) for one in every], 0.5)
    known = distributions.read_events(read_manifest(str(shop["root"])))
    assert known is not None
    counted = dict(zip(*map(np.ndarray.tolist, known.counts["session_events"]), strict=True))
    assert counted == Counter(map(len, every))


def test_events_by_day_with_the_borders_of_splits(shop):
    days = Counter((row["at"] - START) // DAY for row in shop["rows"])
    (picture,) = section(shop["page"]).all("svg", class_="bars days")
    bars = sum(
        str(path.attributes["d"]).count("V100") for path in picture.all("path") if path.attributes["class"] != "mark"
    )
    assert bars == len(days) == 60
    lines = [float(str(path.attributes["d"])[1:].split()[0]) for path in picture.all("path", class_="mark")]
    assert lines == [pytest.approx(100 * 40 / 60, abs=0.01), pytest.approx(100 * 50 / 60, abs=0.01)]
    most = max(days.values())
    top = (datetime(2024, 1, 1) + timedelta(days=min(day for day, n in days.items() if n == most))).date()
    assert f"the highest bar, {most} events, is that of {top}" in section(shop["page"]).text
    (table,) = [one for one in section(shop["page"]).all("table") if one.rows()[0][:2] == ["split", "begins"]]
    counts = [sum(n for day, n in days.items() if low <= day < high) for low, high in ((0, 40), (40, 50), (50, 60))]
    assert [(cells[0], cells[1][:10], int(cells[2])) for cells in table.rows()[1:]] == [
        ("train", "\N{EN DASH}", counts[0]),
        ("validation", "2024-02-10", counts[1]),
        ("test", "2024-02-20", counts[2]),
    ]


@pytest.mark.parametrize("partitions", [1, pytest.param(5, marks=pytest.mark.slow)])
def test_other_files_partitions_and_workers_give_the_same_figures(partitions, shop, tmp_path):
    rows = events_of(1)[::-1]
    done(loads(COLUMNS), write(tmp_path / "in", rows, 7), tmp_path / "out", partitions=partitions, workers=2)
    first, second = (read_json(root, "distributions.json")["events"] for root in (shop["root"], tmp_path / "out"))
    assert first == second


def test_a_repair_keeps_the_events(shop, tmp_path):
    root = tmp_path / "out"
    spec = loads(COLUMNS)
    done(spec, write(tmp_path / "in", events_of(1), 1), root, format="parquet")
    before = read_json(root, "distributions.json")["events"]
    assert read_manifest(str(root)).content["rejected"]["rows"] == 1
    mended = loads(COLUMNS.replace("key: prices}", "key: prices, non_finite: fill}"))
    assert repair(Repair(spec=mended, rejected=str(root / "rejected"), columns_file="mended.yaml")).status == "done"
    assert read_json(root, "distributions.json")["events"] == before
    page = parsed((root / "report.html").read_text("utf-8"))
    assert number_of(page, "Events of a key") == number_of(shop["page"], "Events of a key")
    assert "mended.yaml" in page.text
    assert verify(str(root), most=0).faults == []


def test_sequences_alone_have_a_report(shop, tmp_path):
    root, spec = tmp_path / "out", loads(COLUMNS)
    request = Request(spec, [write(tmp_path / "in", events_of(1), 1)], str(root), columns_file="shop/events.yaml")
    assert make_sequences(request).status == "done"
    page = parsed((root / "report.html").read_text("utf-8"))
    for title in ("Events of a key", "Sessions of a key", "Steps of a sequence, as written"):
        assert number_of(page, title) == number_of(shop["page"], title)
    assert "shop/events.yaml" in page.text and not page.all("section", **{"aria-labelledby": "columns"})
    (fields,) = page.all("section", **{"aria-labelledby": "fields"})
    assert [cells[0] for cells in fields.rows()[1:]] == ["items", "prices", "split", "user"]
    assert read_json(root, "distributions.json")["events"] == read_json(shop["root"], "distributions.json")["events"]
    assert verify(str(root), most=0).faults == []
    for name in ("report.html", "distributions.json"):
        text = (root / name).read_bytes()
        (root / name).write_bytes(text.replace(b"6", b"7"))
        assert [line.rpartition(": ")[2] for line in verify(str(root), most=0).faults] == [
            "its SHA-256 is not what the manifest says"
        ]
        (root / name).write_bytes(text)


def test_figures_that_are_not_known_are_said_to_be(shop):
    book = read_json(shop["root"], "ledger.json")["events"]
    shown = view(book, None, None, None, {})
    assert not shown["known"] and shown["key_count"] == "not known" and not shown["numbers"] and shown["when"] is None


# Pictures


SPREADS = [
    (1, 7, "minute"),
    (3 * 3600, 300, "minute"),
    (14 * 3600, 300, "5 minutes"),
    (5 * DAY, 300, "hour"),
    (60 * DAY, 900, "day"),
    (180 * DAY, 900, "day"),
    (3 * 365 * DAY, 900, "week"),
    (10 * 365 * DAY, 900, "month"),
    (40 * 365 * DAY, 900, "quarter"),
    (100 * 365 * DAY, 900, "year"),
    (1500 * 365 * DAY, 900, "10 years"),
]


@pytest.mark.parametrize(("seconds", "count", "by"), SPREADS)
@pytest.mark.parametrize("start", [START, -START])
def test_bars_hold_the_events_of_their_time(seconds, count, by, start):
    times = np.array(sorted(random.Random(count).choices(range(start, start + seconds), k=count)))
    found = timeline(of_times(times, 10**9), [])
    assert found is not None and found.by == by and (found.before, found.after, found.marks) == (0, 0, ())
    whole = Counter(
        label(int(at), "second")[: {"minute": 16, "day": 10, "month": 7, "year": 4}.get(by, 0)] for at in times
    )
    if by in ("minute", "day", "month", "year"):
        assert found.top[1] == max(whole.values()) == whole[found.top[0]]
        assert sum(path.count("V100") for _, path in found.paths) == len(whole)
    assert sum(path.count("V100") for _, path in found.paths) <= MOST_BARS + 2


def test_no_bar_has_a_part_of_a_bin():
    """Bins of two days are in no week as a whole."""
    found = timeline(Figures(width=2 * DAY, times=(np.arange(350), np.ones(350, np.int64))), [])
    assert found is not None and found.by == "4 days" and found.top[1] == 2


def test_events_far_away_are_counted_beside_the_picture():
    times = np.concatenate([[0, 5], np.arange(START, START + 30 * DAY, 900), [2**60]])
    found = timeline(of_times(times, 10**9), [START + 10 * DAY, START + 10**9])
    assert found is not None and found.by == "day" and (found.before, found.after) == (2, 1)
    assert len(found.marks) == 1 and found.ticks[0] == "2024-01-01"
    assert [colour for colour, _ in found.paths] == [0, 1]


@pytest.mark.parametrize("times", [[-(2**63), 2**63 - 1], [2**63 - 1], [-(2**63)] * 3, [0, 2**62]])
@pytest.mark.parametrize("tick", [1, 10**9])
def test_no_time_is_too_far_for_a_picture(times, tick):
    known = of_times(np.array(times, np.int64), tick)
    found = timeline(known, [0])
    assert found is not None and found.before + found.after < len(times)
    assert view({**BOOK, "rejected_by_reason": {}}, None, known, None, {})["when"]


BOOK: dict[str, Any] = {
    "rows": {"read": 1, "used": 1, "rejected": 0},
    "dropped": {},
    "files": {},
    "sequences": dict.fromkeys(("rows", "steps", "targets", "used_again", "too_long"), 0),
}


@pytest.mark.parametrize("largest", [1, 2, 40, 41, 64, 130, 1000, 10**6, 2**38])
@pytest.mark.parametrize("share", [0, 0.7])
def test_bars_that_double_hold_all_numbers(largest, share):
    draw = random.Random(largest)
    least = max(int(largest * share), 1)
    numbers = [largest, *(max(least, int(largest ** draw.random())) for _ in range(500))]
    lower, counts = in_buckets(np.array(numbers))
    found = charts.doubling(of_lengths(dict(zip(lower.tolist(), counts.tolist(), strict=True))), largest)
    assert found is not None and sum(found.heights) == len(numbers) and len(found.heights) <= charts.MOST_BARS
    ends = [int(found.ticks[k].replace(",", "")) for k in (0, 2) if found.ticks[k]]
    assert ends[0] <= min(numbers) and ends[-1] <= largest
    last = sum(number >= ends[-1] for number in numbers)
    assert found.heights[-1] == last > 0


def test_times_are_read_off_a_logarithmic_axis():
    lower, counts = in_buckets(np.repeat([0, 0, 1, 60, 60, 3600, 86400], 1000))
    spans = of_lengths(dict(zip(lower.tolist(), counts.tolist(), strict=True)))
    found = charts.durations(spans, 10**9)
    assert found is not None and found.logarithmic and sum(found.heights) == pytest.approx(5000, rel=0.01)
    assert [re.sub(r"[\d.]+ ", "", tick) for tick in found.ticks] == ["ms", "min", "d"]
    regular = charts.durations(of_lengths({60: 100}), 10**9)
    assert regular is not None and sum(height > 0 for height in regular.heights) <= 2
    assert charts.durations(of_lengths({0: 7}), 10**9) is None


def test_damaged_figures_are_not_known(shop, tmp_path):
    content = read_json(shop["root"], "distributions.json")
    for damage in ({"tick": "x"}, {"times": [[1]]}, {"counts": {"events": [[2**70, 1]]}}, {"span": [1]}, {"width": 0}):
        spoilt = json.dumps({**content, "events": {**content["events"], **damage}})
        assert facts.events_from_json(spoilt) is None
    assert facts.events_from_json(json.dumps({**content, "version": 0})) is None
    assert isinstance(facts.events_from_json(json.dumps(content)), Figures)
