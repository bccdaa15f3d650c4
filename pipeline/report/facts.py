"""The facts that only the report holds: lengths, distributions, and how long each pass took.

They are kept in the page itself as JSON, so that a repair can add its own to them, and programs can read them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.distributions import histograms
from transforms.distributions.histograms import COUNTED, ROWS, Centre, Counting, Packed
from transforms.rows.tally import Tally, lengths_by_group
from transforms.spec.spec import Spec

VERSION: Final = 1

OPENS: Final = '<script type="application/json" id="facts">'
CLOSES: Final = "</script>"


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
      most_ids: below what bound ids were counted one by one.
      times: by run.
      complete: whether lengths and values of all runs were counted; else they are left out.
    """

    lengths: Mapping[str, Mapping[int, int]]
    sums: Mapping[str, tuple[int, int]]
    counts: Packed
    centres: Mapping[str, tuple[float, ...]]
    one_in: int = 1
    most_ids: int = 0
    times: Mapping[str, Sequence[Timed]] = field(default_factory=dict)
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
    centres = histograms.read_centres(spec, counting.moments)
    return Facts(
        lengths,
        sums,
        counts,
        {name: c.values for name, c in centres.items()},
        counting.one_in,
        histograms.most_ids(spec),
        {run: tuple(times)},
    )


def together(first: Facts | None, further: Facts) -> Facts:
    """Returns the facts of a data set to which a further run has added rows.

    Where what was known of it is lost, or was counted in another way, only the times are left: half of the rows would be no
    distribution of the data set.
    """
    if (
        first is None
        or (first.one_in, first.most_ids) != (further.one_in, further.most_ids)
        or _far(first) != _far(further)
    ):
        times = {**(first.times if first else {}), **further.times}
        return Facts({}, {}, {}, {}, further.one_in, further.most_ids, times, complete=False)
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
    return Facts(lengths, sums, counts, first.centres, first.one_in, first.most_ids, times, first.complete)


def _far(facts: Facts) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in facts.centres.items() if any(values)}


def as_json(facts: Facts) -> str:
    """Returns facts as JSON that can stand in a page: without a `<`."""
    content = {
        "version": VERSION,
        "lengths": {name: list(map(list, own.items())) for name, own in facts.lengths.items()},
        "sums": {name: list(pair) for name, pair in facts.sums.items()},
        "counts": [[*key, bins.tolist(), counts.tolist()] for key, (bins, counts) in sorted(facts.counts.items())],
        "centres": {name: list(values) for name, values in _far(facts).items()},
        "one_in": facts.one_in,
        "most_ids": facts.most_ids,
        "complete": facts.complete,
        "times": {run: [[part.what, part.began, part.ended] for part in parts] for run, parts in facts.times.items()},
    }
    return json.dumps(content, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def from_page(page: str) -> Facts | None:
    """Returns the facts that a page holds; None where it holds none that can be read."""
    _, _, rest = page.rpartition(OPENS)
    try:
        content = json.loads(rest.partition(CLOSES)[0])
        if content["version"] != VERSION:
            return None
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
            bool(content["complete"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def read(path: str) -> Facts | None:
    """Returns the facts of a published report; None where there is none, or none that can be read."""
    try:
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            return from_page(file.read().decode("utf-8", "replace"))
    except OSError:
        return None


def centre_of(facts: Facts, column: str, dimension: int) -> float:
    """Returns what a column's values before normalising were counted around."""
    values = Centre(facts.centres.get(column, ())).values
    return values[max(dimension, 0)] if values else 0.0
