"""Sequences of events against the oracle in plain Python, against Polars, and against real histories."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.event_oracle import NANOSECONDS, Oracle
from tests.marks import tried
from transforms.events.accounting import FATES
from transforms.events.sequences import Grouped, sequences

UNITS = ("s", "ms", "us", "ns")
START = {  # seconds: long before 1970, about it, the hours when clocks change in Paris, today
    "old": -5_000_000_000,
    "epoch": -50,
    "spring": 1_711_846_800 - 7200,
    "autumn": 1_729_990_800 - 7200,
    "now": 1_700_000_000,
}


def random_events(draw: random.Random) -> tuple[pa.Table, str]:
    """Events with ties, duplicates, nulls; one key, all keys different, or few; and the unit of their times."""
    count = draw.choice([0, 1, 2, 3, 10, 30, 60, 200])
    keys = draw.choice([1, 3, 10, 10**6])
    unit, start = draw.choice(UNITS), draw.choice(list(START.values()))
    scale = 10**9 // NANOSECONDS[unit]
    spread = draw.choice([1, 5, 100, 30_000, 10**7]) * (1 if draw.random() < 0.3 else scale)
    rows: list[dict[str, Any]] = []
    holes = draw.choice([0, 0.1, 0.5])

    def perhaps(value: Any) -> Any:
        return None if draw.random() < holes else value

    for _ in range(count):
        if rows and draw.random() < 0.15:
            rows.append(dict(draw.choice(rows), **({"b": draw.random()} if draw.random() < 0.3 else {})))
            continue
        time = start * scale + draw.randrange(spread)
        user: Any = draw.randrange(keys)
        rows.append(
            {
                "user": user if draw.random() > 0.05 * holes else None,
                "site": draw.choice(["a", "é", "", "z" * 20]),
                "time": time if draw.random() > 0.1 * holes else None,
                "item": perhaps(draw.choice(["x", "y", "Z", "", "ä", "x\x00"])),
                "a": perhaps(draw.choice([0.0, -0.0, 1.5, -2.5, float("nan"), -float("nan"), float("inf"), 1e300])),
                "b": perhaps(draw.choice([0.1, 0.2, 0.3, 1e16, -1e16])),
                "n": perhaps(draw.choice([-(2**40), -1, 0, 1, 2**40])),
                "yes": perhaps(draw.random() < 0.5),
            }
        )
    kinds = {"user": pa.int64(), "site": pa.string(), "time": pa.int64(), "item": pa.string(), "a": pa.float64()}
    kinds |= {"b": pa.float64(), "n": pa.int64(), "yes": pa.bool_()}
    return pa.Table.from_pylist(rows, pa.schema(list(kinds.items()))), unit


def random_spec(draw: random.Random, unit: str) -> dict[str, Any]:
    names = ["item", "a", "b", "n", "yes", "site"]
    features: dict[str, Any] = {
        "items": "item",
        "pair": ["a", "b"],
        "mixed": ["n", "a"],
        "words": ["item", "site"],
        "flags": "yes",
        "hours": {"since_previous": draw.choice(list(NANOSECONDS))},
        "age": {"since_first": draw.choice(list(NANOSECONDS))},
        "left": {"before_last": draw.choice(list(NANOSECONDS))},
        "weekday": {"clock": "weekday", "timezone": "Europe/Paris"},
        "hour": {"clock": "hour", "timezone": draw.choice(["Europe/Paris", "Asia/Kolkata", "America/New_York"])},
        "day": {"clock": "day_of_year"},
        "size": {"count": "events"},
        **{f"{kind}_{name}": {kind: name} for kind in ("first", "last", "min", "max", "n_unique") for name in names},
        **{f"sum_{name}": {"sum": name} for name in ("a", "b", "n")},
    }
    chosen = draw.sample(sorted(features), draw.choice([1, 3, 8]))
    spec: dict[str, Any] = {
        "key": draw.choice(["user", ["user"], ["user", "site"], ["site"]]),
        "order_by": draw.choice(["time", ["time", "item"], ["time", "n", "a"]]),
        "time": {"unit": unit},
        "features": {name: features[name] for name in chosen},
    }
    if draw.random() < 0.1:
        del spec["features"]
    if draw.random() < 0.3:
        spec["unique"] = draw.choice(["item", ["time"], ["item", "time"], ["a"], ["user", "item", "yes", "n"]])
    if draw.random() < 0.3:
        spec["sessions"] = {"gap": draw.choice(["1s", "1.5s", "100ns", "30m", "1d", "20ms"])}
    if draw.random() < 0.5:
        length = draw.randint(1, 6)
        spec["windows"] = draw.choice(
            [
                {"last": length},
                {"length": length},
                {"length": length, "stride": draw.randint(1, 8)},
                {"length": length, "stride": draw.randint(1, 8), "partial": "drop"},
            ]
        )
    if draw.random() < 0.3:
        spec["min_events"] = draw.randint(1, 4)
    if draw.random() < 0.4:
        spec["target"] = {"field": draw.choice(["item", "a", "n"]), "next": draw.choice([1, 1, 2, 3])}
    spec["longer"] = draw.choice(["reject", "last"])
    return spec


def as_bytes(table: pa.Table) -> bytes:
    """A table's types and values to the last bit."""
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, table.schema) as writer:
        writer.write_table(table.combine_chunks())
    return out.getvalue().to_pybytes()


def bits(table: pa.Table) -> list[str]:
    """A table's rows, so that 0.0 and -0.0 differ, and NaN are equal."""
    return [repr(row) for row in table.to_pylist()]


def oracle_of(
    table: pa.Table,
    spec: dict[str, Any],
    borders: list[int],
    max_steps: int,
    nanosecond_borders: list[int] | None = None,
) -> Oracle:
    by = NANOSECONDS[spec["time"]["unit"]]
    at = [border * by for border in borders] if nanosecond_borders is None else nanosecond_borders

    def nanoseconds(row: Any) -> int | None:
        return None if row["time"] is None else row["time"] * by

    return Oracle(table.to_pylist(), spec, nanoseconds, at, max_steps, ("a", "b"))


def compared(found: Grouped, oracle: Oracle, names: list[str]) -> None:
    """Holds sequences and accounts against the oracle's."""
    if len(names) > 1:
        for row in oracle.rows:
            row["split"] = names[row["split"]]
    assert bits(found.table) == [repr(row) for row in oracle.rows]
    fates = {number: FATES[fate] for number, fate in enumerate(found.fates.tolist())}
    assert {n: f for n, f in fates.items() if f != oracle.fates[n]} == {} or same_events(found, oracle)
    counts, wanted = found.counts, oracle.counts()
    assert counts.used == wanted.get("used", 0) and counts.rejected == wanted.get("rejected", 0)
    assert {name: n for name, n in counts.dropped.items() if n} == {
        name: n for name, n in wanted.items() if name not in ("used", "rejected")
    }
    assert (counts.steps, counts.targets) == (oracle.steps, oracle.targets)
    assert counts.read == counts.used + counts.rejected + sum(counts.dropped.values())
    assert len(found.rejected) == counts.rejected and counts.used_again >= 0


def same_events(found: Grouped, oracle: Oracle) -> bool:
    """Of events that are equal in all that is read either may be the one: as many have each fate."""
    return sorted(FATES[fate] for fate in found.fates.tolist()) == sorted(oracle.fates.values())


@pytest.mark.parametrize("part", range(10))
def test_random_events_give_what_plain_python_gives(part: int):
    """Whatever the order of the rows: the same sequences, to the bit."""
    for seed in range(part * tried(100), (part + 1) * tried(100)):
        draw = random.Random(seed)
        table, unit = random_events(draw)
        spec, max_steps = random_spec(draw, unit), draw.choice([2, 5, 10**6, 10**6])
        times = sorted({t for t in table["time"].to_pylist() if t is not None})
        borders = sorted(draw.sample(times, min(len(times), draw.choice([0, 0, 1, 2]))))
        names = ["train", "validation", "test"][: len(borders) + 1]
        given = dict(zip(names[1:], borders, strict=True))
        found = sequences(table, spec, borders=given, max_steps=max_steps)
        compared(found, oracle_of(table, spec, borders, max_steps), names)
        order = draw.sample(range(len(table)), len(table))
        again = sequences(table.take(pa.array(order, pa.int64())), spec, borders=given, max_steps=max_steps)
        assert as_bytes(again.table) == as_bytes(found.table), seed
        assert again.counts == found.counts, seed


def test_no_future_leaks():
    """What is written for a split depends on nothing at or after its end."""
    cuts = 0
    for seed in range(tried(300)):
        draw = random.Random(f"leak {seed}")
        table, unit = random_events(draw)
        spec = random_spec(draw, unit)
        times = sorted({t for t in table["time"].to_pylist() if t is not None})
        if len(times) < 2:
            continue
        border = draw.choice(times[1:])
        before = pc.fill_null(pc.less(table["time"], border), True)
        known, future = table.filter(before), table.filter(pc.invert(before))
        grouped = sequences(table, spec, borders={"test": border})
        found = grouped.table
        train = found.filter(pc.equal(found["split"], "train"))
        # The future as it was, gone, said twice, and with other values.
        moved = future.set_column(2, "time", pc.add(future["time"], draw.randrange(10**6)))
        moved = moved.set_column(3, "item", pa.array(["other"] * len(moved), pa.string()))
        for other in (known, pa.concat_tables([known, future, future]), pa.concat_tables([moved, known])):
            again = sequences(other, spec, borders={"test": border}).table
            assert bits(again.filter(pc.equal(again["split"], "train"))) == bits(train), seed
        of_train = np.repeat(found["split"].to_numpy() == "train", np.diff(grouped.splits))
        seen = pc.fill_null(table["time"], 0).to_numpy()[grouped.positions[of_train]]
        assert (seen < border).all(), seed
        cuts += len(train) > 0
    assert cuts > tried(300) // 4


def test_random_events_give_what_polars_gives():
    """Sorted by key, time and a number of its own for each event, listed by key."""
    polars = pytest.importorskip("polars")
    for seed in range(tried(200)):
        draw = np.random.default_rng(seed)
        count, keys = int(draw.integers(1, 400)), int(draw.choice([1, 5, 1000]))
        frame = polars.DataFrame(
            {
                "user": draw.integers(0, keys, count),
                "time": draw.integers(-100, 100, count),
                "number": draw.permutation(count),
                "item": draw.choice(["a", "b", "ü", ""], count),
                "value": draw.normal(size=count).astype(np.float32),
            }
        )
        features = {"item": "item", "value": "value", "gaps": {"since_previous": "s"}, "most": {"max": "value"}}
        features |= {"size": {"count": "events"}, "kinds": {"n_unique": "item"}, "sum": {"sum": "number"}}
        found = sequences(frame, {"key": "user", "order_by": ["time", "number"], "features": features}).table
        wanted = (
            frame.sort("user", "time", "number")
            .group_by("user", maintain_order=True)
            .agg(
                polars.col("item"),
                polars.col("value"),
                polars.col("time").diff().fill_null(0).cast(polars.Float64).alias("gaps"),
                polars.col("value").max().alias("most"),
                polars.len().cast(polars.Int64).alias("size"),
                polars.col("item").n_unique().cast(polars.Int64).alias("kinds"),
                polars.col("number").sum().alias("sum"),
            )
        )
        assert bits(found) == [repr(row) for row in wanted.to_dicts()], seed


HISTORIES = Path(os.environ.get("SEQCOLS_TEST_DATA", "")) / "commits"
COMMITS = {
    "key": ["actor", "repository"],
    "order_by": ["time", "path"],
    "features": {"paths": "path", "churn": ["added", "removed"], "hours": {"since_previous": "h"}},
}


@pytest.mark.skipif(not (HISTORIES / "histories.parquet").exists(), reason="SEQCOLS_TEST_DATA names no real data sets")
def test_real_events_give_the_histories_made_of_them():
    parts = [pq.read_table(path) for path in sorted(HISTORIES.glob("events-*.parquet"))]
    wanted = pq.read_table(HISTORIES / "histories.parquet").sort_by(
        [("actor", "ascending"), ("repository", "ascending")]
    )
    found = sequences(pa.concat_tables(parts), COMMITS)
    assert (found.counts.sequences, found.counts.steps, found.counts.used) == (4933, 201_404, 201_404)
    assert found.table["paths"].to_pylist() == wanted["paths"].to_pylist()
    hours = found.table["hours"].combine_chunks().flatten().to_numpy()
    assert hours.astype(np.float32).tobytes() == wanted["hours"].combine_chunks().flatten().to_numpy().tobytes()
    # Of events that tie in time and path the histories have the order of the file.
    churn = found.table["churn"].combine_chunks().flatten().flatten().to_numpy().reshape(-1, 2)
    given = wanted["churn"].combine_chunks().flatten().to_numpy().reshape(-1, 2)
    times = pa.concat_tables(parts)["time"].to_numpy()[found.positions]
    paths = found.table["paths"].combine_chunks().flatten().to_pylist()
    rows = np.repeat(np.arange(4933), np.diff(found.splits))
    groups: dict[Any, list[int]] = {}
    for k, group in enumerate(zip(rows.tolist(), times.tolist(), paths, strict=True)):
        groups.setdefault(group, []).append(k)
    assert sum(len(at) > 1 for at in groups.values()) == 917
    for at in groups.values():
        assert sorted(map(repr, churn[at].tolist())) == sorted(map(repr, given[at].tolist()))
    again = sequences(pa.concat_tables(parts[::-1]), COMMITS)
    assert as_bytes(again.table) == as_bytes(found.table)


UNCOMPILED = """
import random, sys
from tests import test_events as t
for seed in (3, 14, 24, 70, 136):
    draw = random.Random(seed)
    table, unit = t.random_events(draw)
    spec = t.random_spec(draw, unit)
    print(t.bits(t.sequences(table, spec).table))
"""


def test_kernels_run_uncompiled():
    root = str(Path(__file__).parents[1])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([root, os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-W", "ignore:overflow:RuntimeWarning", "-c", UNCOMPILED]
    made = [
        subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, check=False)
        for more in ({"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_BOUNDSCHECK": "1"}, {})
    ]
    assert [one.returncode for one in made] == [0, 0, 0], made[0].stderr + made[1].stderr
    assert made[0].stdout == made[1].stdout == made[2].stdout and len(made[0].stdout) > 1000
