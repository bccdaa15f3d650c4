"""The measures and figures of two sides, by column and sequence group."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from pipeline.compare.described import Described
from transforms.distributions import drift
from transforms.distributions.spans import Spans

L_INFINITY: Final = "L-infinity"
JENSEN_SHANNON: Final = "Jensen-Shannon"


@dataclass(frozen=True)
class Figure:
    """A figure for both sides.

    Attributes:
      label: its name.
      sides: the figure of each side; None if it is not known, or there is nothing to compute it from.
      kind: how it is shown: a `count`, a `share` (0 to 1), or a `number`.
    """

    label: str
    sides: tuple[float | None, float | None]
    kind: Literal["count", "share", "number"] = "count"


@dataclass(frozen=True)
class Measure:
    """The distance between two distributions.

    Attributes:
      of: the things that are distributed: `values`, `dimension 0`, `words`, `ids`, `lengths`.
      name: `L-infinity` for categories, `Jensen-Shannon` for numbers (see `transforms.distributions.drift`).
      drift: 0 for equal distributions to 1.
      numbers: the number of values, ids or rows that were counted on each side.
      by_chance: about the least drift between two samples of one distribution, of these sizes; None for categories.
      categories: those whose shares differ most, each with its share on each side, the largest difference first.
      spans: the distributions of numbers, for pictures.
    """

    of: str
    name: str
    drift: float
    numbers: tuple[int, int]
    by_chance: float | None = None
    categories: Sequence[tuple[str, float, float]] = ()
    spans: tuple[Spans, Spans] | None = field(default=None, repr=False)


Found = tuple[list[Measure], list[str]]
"""Measures, and notes on what was counted together."""


@dataclass(frozen=True)
class Compared:
    """A column or a sequence group on both sides.

    Attributes:
      name: its name.
      kind: `column` or `sequence group`.
      type: the type of a column, or the T of a group, on each side; None if the side does not have it.
      figures: the figures of both sides.
      measures: the measures of its distributions; none if they are never counted (a pass-through column).
      notes: differences in how it was declared or counted, one line each.
      fault: why its distributions cannot be compared; an empty string if they were, or are never counted.
    """

    name: str
    kind: str
    type: tuple[str | None, str | None]
    figures: Sequence[Figure] = ()
    measures: Sequence[Measure] = ()
    notes: Sequence[str] = ()
    fault: str = ""

    @property
    def drift(self) -> float | None:
        """The largest drift that was measured; None if none was."""
        return max((measure.drift for measure in self.measures), default=None)

    @property
    def largest(self) -> Measure | None:
        """The measure with the largest drift; None if there is none."""
        return max(self.measures, key=lambda measure: measure.drift, default=None)


def share(part: float, whole: float) -> float | None:
    """Returns a share; None if the whole is 0."""
    return part / whole if whole else None


def pair(values: Sequence[Any]) -> tuple[Any, Any]:
    """Returns the values of the two sides as a pair."""
    first, second = values
    return first, second


def names(sides: Sequence[Described]) -> tuple[str, str]:
    """Returns the names of the sides: the last parts of their directories, if these differ."""
    whole = [side.name for side in sides]
    short = [os.path.basename(name.rstrip("/")) for name in whole]
    return pair(short if len(set(short)) == 2 and all(short) else whole)


def only_in(sides: Sequence[Described], there: Sequence[bool], what: str) -> str:
    """Returns the fault if only one side has something; an empty string if both have it."""
    return "" if all(there) else f"{what} of {names(sides)[there.index(True)]} only"


def numbers(of: str, spans: Sequence[Spans]) -> Measure:
    """Returns the measure of two distributions of numbers."""
    first, second = drift.in_common(*spans)
    counts = pair([side.total + side.not_finite for side in spans])
    found = drift.jensen_shannon(first, second)
    return Measure(of, JENSEN_SHANNON, found, counts, drift.by_chance(len(first), *counts), spans=pair(spans))
