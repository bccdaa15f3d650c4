"""The features of a sample as a table for people."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pipeline import text_table
from pipeline.inspect.candidates import number, shown_word
from pipeline.inspect.draft_text import of_sample
from pipeline.inspect.events.seen import SeenEvents
from pipeline.inspect.profile import Profile
from pipeline.inspect.sample import Sample
from transforms import escaping

HEADS = ("feature", "type", "rows", "empty", "min", "median", "95%", "max", "nulls", "non-finite", "values")


def lines(sample: Sample, profiles: Sequence[Profile], seen: SeenEvents | None = None) -> list[str]:
    """Returns the table: rows that hold a feature, how long it is in them, and what its values are.

    Lengths are of the rows that hold the feature, empty ones included; 95 % of them are at most as long as it says. Numbers go
    from the least finite one to the largest; of words it says how many different ones there are, and how often the most frequent
    one occurs.
    """
    table = [HEADS, *(_row(profile) for profile in profiles)]
    made = [f"sample: {of_sample(sample)}", "", *text_table.table(table, left=(0, 1, len(HEADS) - 1))]
    return made if seen is None else [*made, "", _events(seen)]


def _events(seen: SeenEvents) -> str:
    """Returns what was seen of events: the draft says why."""
    events = seen.section.events
    of = "" if seen.sample.is_whole else " in the sample"
    keys = escaping.one_line(", ".join(map(repr, events.key)))
    order = escaping.one_line(", ".join(map(repr, events.order_by)))
    return f"events: {seen.sequences:,} sequences{of}, one for each {keys}, ordered by {order}"


def _row(profile: Profile) -> tuple[str, ...]:
    kind = ", ".join(profile.types) + (f" by {profile.delimiter!r}" if profile.delimiter else "")
    counts = (f"{profile.held:,}", f"{profile.empty:,}")
    odd = (f"{profile.nulls:,}", f"{profile.numbers.non_finite:,}")
    return (shown_word(profile.name.encode()), kind, *counts, *_lengths(profile), *odd, _values(profile))


def _lengths(profile: Profile) -> tuple[str, ...]:
    lengths = profile.lengths
    if not len(lengths):
        return ("", "", "", "")
    usual = int(np.percentile(lengths, 95, method="higher"))
    return (f"{lengths.min():,}", f"{float(np.median(lengths)):,g}", f"{usual:,}", f"{lengths.max():,}")


def _values(profile: Profile) -> str:
    numbers, made = profile.numbers, []
    if numbers.low is not None and profile.are_numbers:
        made.append(f"{number(numbers.low)} to {number(numbers.high)}, mean {number(numbers.mean)}")
    elif profile.distinct and profile.natures["text"]:
        word, times = profile.top
        made.append(f"{number(profile.distinct)} different, '{shown_word(word)}' {number(times)} times")
    if profile.depth == 2:
        low, high = profile.widths
        made.append(f"{low:,} a step" if low == high else f"{low:,} to {high:,} a step")
    return escaping.one_line("; ".join(made))
