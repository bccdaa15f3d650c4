"""Figures of events against plain Python: events of a key, gaps, sessions and times, whatever the partitions and their order."""

from __future__ import annotations

import itertools
import json
import random
from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from pipeline.shuffle import blocks, partition
from pipeline.shuffle.partition import Grouping
from tests.event_oracle import EPOCH, NANOSECONDS, Oracle
from tests.marks import tried
from tests.test_events import oracle_of
from tests.test_shuffle import case, cut_at_random, grouped, incoming_of
from transforms.events import figures, trim
from transforms.events.figures import Figures
from transforms.events.trim import most_needed

WIDTHS = [60, 3600, *(86400 << k for k in range(60))]


def bucket(number: int) -> int:
    """The lower end: exact below 64, then 32 an octave."""
    octave = max(number.bit_length() - 6, 0)
    return number >> octave << octave


def buckets(numbers: list[int]) -> list[list[int]]:
    return sorted(map(list, Counter(map(bucket, numbers)).items()))


def wanted(oracle: Oracle, tick: int, most: int | None, borders: list[int]) -> dict[str, Any]:
    """What `Figures.as_json` holds, from the events of each key in order."""
    times = {key: [oracle.nanoseconds(row) // tick for _, row in own] for key, own in oracle.groups.items()}
    every = [time for own in times.values() for time in own]
    if not every:
        return Figures().as_json()
    last = {key: own[-most if most is not None else 0 :] for key, own in times.items()}
    numbers = {
        "events": [len(own) for own in times.values()],
        "gaps": [after - before for own in last.values() for before, after in itertools.pairwise(own)],
        "steps": oracle.lengths,
    }
    if "sessions" in oracle.spec:
        sessions = [oracle.sessions(oracle.unique(own)) for own in oracle.groups.values()]
        numbers["sessions"] = [len(own) for own in sessions]
        numbers["session_events"] = [len(one) for own in sessions for one in own]
        ends = [[oracle.nanoseconds(one[k][1]) // tick for k in (0, -1)] for own in sessions for one in own]
        numbers["session_times"] = [end - begin for begin, end in ends]
    bins = {width: Counter(time * tick // (width * 10**9) for time in every) for width in WIDTHS}
    width = next(width for width in WIDTHS if len(bins[width]) <= figures.MOST_BINS)
    return {
        "tick": tick,
        "span": [min(every), max(every)],
        "width": width,
        "times": sorted(map(list, bins[width].items())),
        "splits": [
            sum(low <= time * tick < high for time in every)
            for low, high in zip([-(10**40), *borders], [*borders, 10**40], strict=True)
        ]
        if borders
        else [],
        "largest": {what: max(own, default=0) for what, own in numbers.items()},
        "counts": {what: buckets(own) for what, own in numbers.items()},
    }


@pytest.mark.parametrize("heavy", [False, True])
@pytest.mark.parametrize("most_bins", [4, 7, figures.MOST_BINS])  # the widest bins are four at most, of all int64
def test_figures_of_random_events_are_those_of_plain_python(most_bins: int, heavy: bool, monkeypatch):
    """Also of keys that are trimmed on the way; in any partitions, and after them in any order."""
    trimmed: list[Any] = []

    def noted(*given: Any, count: Any = trim.counted) -> Any:
        trimmed.append(count(*given))
        return trimmed[-1]

    monkeypatch.setattr(figures, "MOST_BINS", most_bins)
    monkeypatch.setattr(partition, "TRIMMED_BYTES", 500)
    monkeypatch.setattr(blocks, "BLOCK_BYTES", 300)
    monkeypatch.setattr(trim, "counted", noted)
    for number in range(tried(60 if heavy else 150)):
        seed = f"figures {most_bins} {heavy} {number}"
        table, spec, given, max_steps = heavy_case(seed) if heavy else case(seed)
        unit = NANOSECONDS[spec["time"]["unit"]]
        borders = [(at - EPOCH) // timedelta(microseconds=1) * 1000 for at in given.values()]
        oracle = oracle_of(table, spec, [], max_steps, borders)
        grouping = Grouping(incoming_of(spec, table.schema), given, max_steps)
        most = most_needed(grouping.incoming.events, bool(borders), max_steps)
        draw = random.Random(f"cut {seed}")
        _, _, made = grouped(grouping, cut_at_random(table, draw), draw.choice([1, 2, 7]))
        assert made.as_json() == wanted(oracle, unit, most.events if most else None, borders), seed
        assert Figures.from_json(json.loads(json.dumps(made.as_json()))).as_json() == made.as_json()
    assert bool(trimmed) >= heavy


def heavy_case(seed: str) -> tuple[Any, dict[str, Any], dict[str, Any], int]:
    """Events of few keys, of which a sequence needs only some."""
    table, spec, _, _ = next(
        found
        for k in range(1000)
        if len((found := case(f"{seed} {k}"))[0]) > 50 and len(set(found[0]["user"].to_pylist())) < 5
    )
    draw = random.Random(seed)
    spec = {name: value for name, value in spec.items() if name not in ("sessions", "unique", "windows")}
    spec |= {"key": "user", **draw.choice([{}, {"windows": {"last": draw.randint(1, 5)}}])}
    return table, spec, {}, 3


def test_buckets_of_all_sizes_are_those_of_plain_python():
    numbers = [*range(300), *(2**k + at for k in range(8, 63) for at in (-1, 0, 1)), 2**63 - 1]
    lower, counts = figures.in_buckets(np.array(numbers, np.int64))
    assert list(zip(lower.tolist(), counts.tolist(), strict=True)) == list(map(tuple, buckets(numbers)))


def test_a_gap_that_no_int64_holds_counts_as_the_largest():
    order = np.arange(2)
    counted, longest = figures.of_gaps(np.array([0]), np.array([2]), order, np.array([-(2**63), 2**63 - 1]))
    assert longest == 2**63 - 1 and [side.tolist() for side in counted] == [[63 << 57], [1]]


def test_times_that_lie_anywhere_are_counted_in_bounded_bins():
    """8,193 different bins or more of each width but the last; in parts and in any order to the same."""
    generator = np.random.default_rng(0)
    for tick in (1, 1000, 10**9):
        times = generator.integers(-(2**63), 2**63 - 1, 30_000)
        whole = figures.of_times(times, tick)
        assert len(whole.times[0]) <= figures.MOST_BINS and whole.times[1].sum() == len(times)
        parts = [figures.of_times(part, tick) for part in np.array_split(times, 7)]
        generator.shuffle(parts)
        assert figures.together(parts).as_json() == whole.as_json()
        assert figures.together([figures.together(parts[:3]), *parts[3:]]).as_json() == whole.as_json()
        assert all(figures.exchanged(whole, part, part).as_json() == whole.as_json() for part in parts)
        rest = figures.together(parts[1:])
        assert figures.exchanged(rest, parts[1], figures.together(parts[:2])).as_json() == whole.as_json()
    assert figures.together([]).as_json() == Figures().as_json()
