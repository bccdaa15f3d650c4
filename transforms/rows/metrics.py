"""Beam metrics of what is counted, under names that stay: what an engine's monitoring shows while a job runs.

All are in the namespace `NAMESPACE`, and distinguished by the label of the step. They are derived from tallies (see
`transforms.rows.tally`), so that there is no loop over rows. An engine that repeats work may count it twice; the ledger does not.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Final

from apache_beam.metrics import Metrics

from transforms.rows.tally import Tally, lengths_by_group

NAMESPACE: Final = "seqcols"

LONGEST: Final = "longest_sequence"
"""Distribution: steps of the longest accepted sequence of each batch, before truncation. Its maximum is that of all rows."""

MEAN_LENGTH: Final = "mean_sequence"
"""Distribution: mean steps of the accepted sequences of each batch, rounded, before truncation."""

_OF_FEATURES: Final = ("present", "absent", "empty")


def counts(tally: Tally) -> Counter[str]:
    """Returns the counters that a tally amounts to, over all files and columns.

    >>> counts(Counter({("a", "rows", "rejected:bad_record"): 2, ("a", "column", "x", "truncated"): 5}))
    Counter({'values_truncated': 5, 'rows_rejected_bad_record': 2})
    """
    found: Counter[str] = Counter()
    for key, count in tally.items():
        name = _name(key)
        if name:
            found[name] += count
    return found


def _name(key: tuple[object, ...]) -> str:
    """Returns the counter of an entry; an empty string for one that is no sum of anything."""
    kind, what = str(key[1]), str(key[-1])
    if kind == "rows":
        return "rows_" + re.sub(r"\W", "_", what)
    if kind == "column":
        return f"features_{what}" if what in _OF_FEATURES else "values_" + ("read" if what == "values" else what)
    if kind == "group":
        return "steps_written" if what == "steps" else ""
    return "steps_read" if kind == "length_sum" else ""


def report(tally: Tally) -> None:
    """Adds a bundle's tally to the counters."""
    for name, count in counts(tally).items():
        if count:
            Metrics.counter(NAMESPACE, name).inc(count)


def report_lengths(tally: Tally) -> None:
    """Adds a batch's tally to the distributions, a value for each sequence group."""
    found = lengths_by_group(tally)
    for key, longest in tally.items():
        if key[1] == "length_max":
            rows = sum(n for _, n in found[key[2]])
            Metrics.distribution(NAMESPACE, LONGEST).update(longest)
            Metrics.distribution(NAMESPACE, MEAN_LENGTH).update(round(tally["", "length_sum", key[2]] / rows))
