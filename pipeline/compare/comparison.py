"""The comparison of two data sets: from their descriptions to the figures of both and measures of drift. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.compare.columns import column
from pipeline.compare.described import Described, read_two
from pipeline.compare.measures import Compared, Figure, names, numbers, only_in, pair, share
from transforms.distributions.spans import Spans, of_lengths
from transforms.rows.fates import fates, faulty


@dataclass(frozen=True)
class Comparison:
    """Two data sets, compared.

    Attributes:
      sides: the description of each.
      rows: rows read, written and rejected.
      reasons: rejected rows by reason.
      groups: the sequence groups of both.
      columns: the columns of both, in the order of the first, then those that only the second has.
    """

    sides: tuple[Described, Described]
    rows: Sequence[Figure]
    reasons: Sequence[Figure]
    groups: Sequence[Compared]
    columns: Sequence[Compared]

    @property
    def parts(self) -> list[Compared]:
        """Groups and columns, those that have drifted most first; before them those that cannot be compared."""
        return sorted([*self.groups, *self.columns], key=lambda one: (not one.fault, -(one.drift or 0.0)))


def compare_data_sets(one: str, other: str = "", splits: Sequence[str] = ()) -> Comparison:
    """Compares two data sets, or two splits of one, as `seqcols compare` does.

    Args:
      one: a directory.
      other: another one; an empty string for the same.
      splits: no split, that of both, or that of each.

    Returns:
      `.parts` are the groups and columns, those with the largest `drift` first; `.rows` and `.reasons` count rows.

    Raises:
      UsageError: it cannot be told which two to compare, or there is no such split.
      JobError: there is no data set, or its manifest, ledger or statistics are damaged.
    """
    return compare(*read_two(one, other, splits))


def compare(one: Described, other: Described) -> Comparison:
    """Compares two data sets by their descriptions.

    A column is compared by the numbers that were read (before normalising), by the words that both vocabularies have, or by ids
    that mean the same on both sides. A column that only one has, or that means something else there, gets a `fault`.
    """
    sides = one, other
    names = list(dict.fromkeys([*one.ledger["columns"], *other.ledger["columns"]]))
    groups = list(dict.fromkeys([*one.statistics["groups"], *other.statistics["groups"]]))
    books = [side.ledger["rows"] for side in sides]
    counts = [fates(book) for book in books]
    whats = [what for what in counts[0] if what != "dropped" or any(own[what] for own in counts)]
    rows = [Figure(what, pair([own[what] for own in counts])) for what in whats]
    rows.append(Figure("share rejected", pair([share(own["rejected"], own["read"]) for own in counts]), "share"))
    reasons = sorted({reason for book in books for reason in faulty(book["rejected_by_reason"])})
    return Comparison(
        sides,
        rows,
        [Figure(reason, pair([book["rejected_by_reason"].get(reason, 0) for book in books])) for reason in reasons],
        [_group(name, sides) for name in groups],
        [column(name, sides) for name in names],
    )


def _group(name: str, sides: tuple[Described, Described]) -> Compared:
    """Compares the lengths of a sequence group, before truncation."""
    held = [side.statistics["groups"].get(name) for side in sides]
    types = pair([None if group is None else f"T {group['T']}" for group in held])
    fault = only_in(sides, [group is not None for group in held], "a sequence group")
    if fault:
        return Compared(name, "sequence group", types, fault=fault)
    lengths, notes, extremes = [], [], []
    for side, group, called in zip(sides, held, names(sides), strict=True):
        own = side.facts.lengths.get(name) if side.facts else None
        extremes.append(_mean_and_longest(side, name, group))
        if own is None:
            own = {length: rows for length, rows in group["histogram"]}
            if "of" in side.statistics:
                notes.append(f"lengths of {called} are those of all files that its statistics are of")
        lengths.append({int(length): int(rows) for length, rows in own.items() if rows})
    if types[0] != types[1]:
        notes.append(f"another T: {held[0]['T']}, {held[1]['T']}")
    spans = [of_lengths(histogram) for histogram in lengths]
    figures = _of_lengths(spans, lengths, extremes)
    return Compared(name, "sequence group", types, figures, [numbers("lengths", spans)], notes)


def _mean_and_longest(side: Described, name: str, group: Mapping[str, Any]) -> tuple[float | None, float | None]:
    """Returns figures of the lengths of a side's own rows; None where nothing but those of other rows is known."""
    if side.facts is None or name not in side.facts.sums:
        return (group["mean"], group["max"]) if side.is_fitted else (None, None)
    total, longest = side.facts.sums[name]
    rows = sum(side.facts.lengths[name].values())
    return (total / rows, longest) if rows else (None, None)


def _of_lengths(
    spans: Sequence[Spans],
    lengths: Sequence[Mapping[int, int]],
    extremes: Sequence[tuple[float | None, float | None]],
) -> list[Figure]:
    middle = [side.quantile(0.5) if side.total else None for side in spans]
    high = [side.quantile(0.95) if side.total else None for side in spans]
    empty = [share(own.get(0, 0), side.total) for own, side in zip(lengths, spans, strict=True)]
    return [
        Figure("rows", pair([side.total for side in spans])),
        Figure("mean length", pair([mean for mean, _ in extremes]), "number"),
        Figure("median length", pair(middle), "number"),
        Figure("95 % at most", pair(high), "number"),
        Figure("longest", pair([longest for _, longest in extremes]), "number"),
        Figure("empty", pair(empty), "share"),
    ]
