"""The facts that are in neither ledger nor statistics: lengths, the distributions of values, and the time of each pass.

`distributions.json` of a data set holds them: its report and comparisons are built from them, and a repair adds its own.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from transforms.columns.vocabulary_base import vocabulary_of
from transforms.distributions import histograms
from transforms.distributions.centres import Centre, read_centres
from transforms.distributions.histograms import COUNTED, ROWS, Counting, Packed
from transforms.events.figures import Figures
from transforms.rows.tally import Tally, lengths_by_group
from transforms.spec.spec import Spec

VERSION: Final = 1

FITTED: Final = "fitted"
"""The part of a data set without splits that its statistics come from: the rows of its first run, and those that repairs
added. With splits each has a part of its own, under its name."""


OF_TRANSFORM: Final = "of transform"
"""The part of a data set written by another one's transform that holds the rows which that transform was fitted to."""


@dataclass(frozen=True)
class Timed:
    """A part of a run and when it began and ended, in milliseconds since 1970."""

    what: str
    began: int
    ended: int


@dataclass(frozen=True)
class Facts:
    """See the module.

    Attributes:
      lengths: by sequence group, rows by the bucket of their length before truncation (see `tally.length_bucket`).
      sums: by sequence group, the sum of the lengths and the largest.
      counts: the counted distributions.
      centres: by column, what `before` is counted around.
      one_in: one row in this many was counted.
      most_ids: the bound below which ids were counted one by one.
      times: by run.
      vocabularies: by column, the digest of the words that the columns file listed or named, as they were then.
      complete: whether lengths and values of all runs were counted; else they are left out.
    """

    lengths: Mapping[str, Mapping[int, int]]
    sums: Mapping[str, tuple[int, int]]
    counts: Packed
    centres: Mapping[str, tuple[float, ...]]
    one_in: int = 1
    most_ids: int = 0
    times: Mapping[str, Sequence[Timed]] = field(default_factory=dict)
    vocabularies: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True

    @property
    def rows(self) -> tuple[int, int]:
        """Rows whose values were counted, and all rows."""
        found = [self.counts.get((ROWS, what, -1)) for what in (COUNTED, ROWS)]
        counted, of = (int(pair[1].sum()) if pair is not None else 0 for pair in found)
        return counted, of


def gathered(spec: Spec, tally: Tally, counts: Packed, counting: Counting, run: str, times: Sequence[Timed]) -> Facts:
    """Returns the facts of one run.

    Args:
      spec: the columns.
      tally: everything counted in the pass that wrote.
      counts: the counted distributions.
      counting: the way in which they were counted.
      run: name of the run.
      times: its parts.
    """
    found = lengths_by_group(tally)
    lengths = {name: {at: n for at, n in found.get(name, []) if n} for name in spec.group_names}
    sums = {name: (tally["", "length_sum", name], tally["", "length_max", name]) for name in spec.group_names}
    centres = read_centres(spec, counting.moments)
    return Facts(
        lengths,
        sums,
        counts,
        {name: c.values for name, c in centres.items()},
        counting.one_in,
        histograms.most_ids(spec),
        {run: tuple(times)},
        words_listed(spec),
    )


def words_listed(spec: Spec) -> dict[str, str]:
    """Returns, by column, the digest of the words that a columns file lists or names."""
    return {
        c.name: of.listed.digest for c in spec.columns if (of := vocabulary_of(c)) is not None and of.listed is not None
    }


def together(first: Facts | None, further: Facts) -> Facts:
    """Returns the facts of a data set to which a further run has added rows.

    If the earlier facts are lost, or were counted in another way, only the times are kept: the distribution of some of the rows
    would not be that of the data set.
    """
    if (
        first is None
        or (first.one_in, first.most_ids) != (further.one_in, further.most_ids)
        or _far(first) != _far(further)
    ):
        times = {**(first.times if first else {}), **further.times}
        return Facts({}, {}, {}, {}, further.one_in, further.most_ids, times, further.vocabularies, False)
    lengths = {
        name: {
            at: own.get(at, 0) + further.lengths.get(name, {}).get(at, 0)
            for at in sorted({*own, *further.lengths.get(name, {})})
        }
        for name, own in first.lengths.items()
    }
    sums = {
        name: (total + further.sums.get(name, (0, 0))[0], max(largest, further.sums.get(name, (0, 0))[1]))
        for name, (total, largest) in first.sums.items()
    }
    counts = histograms.merged([first.counts, further.counts])
    times = {**first.times, **further.times}
    return Facts(
        lengths,
        sums,
        counts,
        first.centres,
        first.one_in,
        first.most_ids,
        times,
        further.vocabularies,
        first.complete,
    )


def whole(parts: Mapping[str, Facts]) -> Facts:
    """Returns the facts of all parts of a data set together, at least one."""
    return functools.reduce(together, parts.values())


def _far(facts: Facts) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in facts.centres.items() if any(values)}


def as_json(parts: Mapping[str, Facts], events: Figures | None = None) -> bytes:
    """Returns the facts of the parts of a data set as the content of `distributions.json`, without NaN.

    Args:
      parts: the facts.
      events: the figures of the events that its rows are sequences of; None for other rows.
    """
    content: dict[str, Any] = {"version": VERSION, "parts": {name: _content(facts) for name, facts in parts.items()}}
    if events is not None:
        content["events"] = events.as_json()
    return json.dumps(content, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def _content(facts: Facts) -> dict[str, Any]:
    return {
        "lengths": {name: list(map(list, own.items())) for name, own in facts.lengths.items()},
        "sums": {name: list(pair) for name, pair in facts.sums.items()},
        "counts": [[*key, bins.tolist(), counts.tolist()] for key, (bins, counts) in sorted(facts.counts.items())],
        "centres": {name: list(values) for name, values in _far(facts).items()},
        "one_in": facts.one_in,
        "most_ids": facts.most_ids,
        "vocabularies": dict(facts.vocabularies),
        "complete": facts.complete,
        "times": {run: [[part.what, part.began, part.ended] for part in parts] for run, parts in facts.times.items()},
    }


def from_json(data: bytes | str) -> dict[str, Facts]:
    """Returns the facts by part from the output of `as_json`; empty if they cannot be read.

    >>> from_json(as_json({FITTED: Facts({"g": {0: 3}}, {}, {}, {})}))[FITTED].lengths
    {'g': {0: 3}}
    """
    try:
        content = json.loads(data)
        return {str(n): _facts(one) for n, one in content["parts"].items()} if content["version"] == VERSION else {}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        return {}


def events_from_json(data: bytes | str) -> Figures | None:
    """Returns the figures of events from the output of `as_json`; None if there are none that can be read."""
    try:
        content = json.loads(data)
        return Figures.from_json(content["events"]) if content["version"] == VERSION else None
    except (ValueError, LookupError, TypeError, AttributeError, OverflowError, RecursionError):
        return None


def _facts(content: Mapping[str, Any]) -> Facts:
    counts = {
        (str(name), str(what), int(dimension)): (np.array(bins, np.int64), np.array(number, np.int64))
        for name, what, dimension, bins, number in content["counts"]
    }
    return Facts(
        {name: {int(at): int(n) for at, n in own} for name, own in content["lengths"].items()},
        {name: (int(total), int(largest)) for name, (total, largest) in content["sums"].items()},
        counts,
        {name: tuple(map(float, values)) for name, values in content["centres"].items()},
        int(content["one_in"]),
        int(content["most_ids"]),
        {run: tuple(Timed(*part) for part in parts) for run, parts in content["times"].items()},
        {str(name): str(digest) for name, digest in content["vocabularies"].items()},
        bool(content["complete"]),
    )


def centre_of(facts: Facts, column: str, dimension: int) -> float:
    """Returns the value that a column's values before normalising were counted around."""
    values = Centre(facts.centres.get(column, ())).values
    return values[max(dimension, 0)] if values else 0.0
