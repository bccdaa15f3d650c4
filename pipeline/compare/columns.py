"""The comparison of one column of two data sets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from pipeline.compare.categories import categories
from pipeline.compare.described import Described
from pipeline.compare.measures import Compared, Figure, Found, names, numbers, only_in, pair, share
from pipeline.dataset import ledger
from pipeline.report.columns import unknown
from pipeline.report.figures import flat
from transforms import dtypes
from transforms.columns import Column
from transforms.columns.numeric_base import numeric_of
from transforms.distributions.centres import MOST_APART
from transforms.distributions.facts import centre_of
from transforms.distributions.histograms import BEFORE
from transforms.distributions.spans import Spans, of_bins
from transforms.problems import shown

MOST_DIMENSIONS: Final = 4
"""The most dimensions of a step whose mean and other figures are compared."""


def column(name: str, sides: tuple[Described, Described]) -> Compared:
    """Compares a column by the figures and declarations of both sides."""
    types = pair([side.statistics["columns"].get(name, {}).get("type") for side in sides])
    there = [name in side.ledger["columns"] for side in sides]
    if not all(there):
        return Compared(name, "column", types, fault=only_in(sides, there, "a column"))
    made = Compared(name, "column", types, _figures(name, sides), notes=_differences(name, sides))
    if types[0] != types[1]:
        return replace(made, fault=f"another type: {types[0]}, {types[1]}")
    if any((own := side.column(name)) is not None and not own.in_graph for side in sides):
        return made  # its values are counted in no data set
    without = [called for side, called in zip(sides, names(sides), strict=True) if side.facts is None]
    if without:
        return replace(made, fault=f"how its values are distributed is not known of {' and '.join(without)}")
    found = _numbers(name, sides) or categories(name, sides)
    if isinstance(found, str):
        return replace(made, fault=found)
    return replace(made, measures=found[0], notes=[*made.notes, *found[1]])


def _figures(name: str, sides: tuple[Described, Described]) -> list[Figure]:
    """Returns the figures of the column in ledger and statistics, for both sides."""
    made = []
    found = [_shares(name, side) for side in sides]
    for label in found[0]:
        values = pair([one[label] for one in found])
        if any(values) or (label in _ALWAYS and values != (None, None)):
            made.append(Figure(label, values, "count" if label == "values written" else "share"))
    held = [side.statistics["columns"].get(name, {}) for side in sides]
    if all("mean" in one for one in held):
        figures = [{what: flat(one[what]) for what in ("mean", "variance", "min", "max")} for one in held]
        width = min(len(one["mean"]) for one in figures)
        for k in range(min(width, MOST_DIMENSIONS)):
            of = f" of dimension {k}" if len(figures[0]["mean"]) > 1 else ""
            for what, label in (("mean", "mean"), ("variance", "deviation"), ("min", "least"), ("max", "largest")):
                own = [one[what][k] if side.is_fitted else None for one, side in zip(figures, sides, strict=True)]
                if what == "variance":
                    own = [None if v is None else max(v, 0.0) ** 0.5 for v in own]
                made.append(Figure(label + of, pair(own), "number"))
    return made


_ALWAYS: Final = ("values written", "rows that hold it", "null", "out of vocabulary or range")


def _shares(name: str, side: Described) -> dict[str, float | None]:
    counts, rows = side.ledger["columns"][name], side.ledger["rows"]
    found = side.column(name)
    outside = unknown(found, counts, side.facts) if found is not None and side.facts is not None else None
    return {
        "values written": counts["kept"],
        "rows that hold it": share(counts["present"], ledger.parsed(rows)),
        "rows without it": share(counts["absent"], rows["written"]),
        "rows where it is empty": share(counts["empty"], rows["written"]),
        "null": share(counts["nulls"], counts["values"]),
        "not finite": share(counts["non_finite"], counts["kept"]),
        "truncated": share(counts["truncated"], counts["truncated"] + counts["kept"]),
        "padding": share(counts["padded"], counts["kept"] + counts["completed"] + counts["padded"]),
        "out of vocabulary or range": share(*outside) if outside else None,
    }


def _differences(name: str, sides: tuple[Described, Described]) -> list[str]:
    """Returns the arguments that were declared differently, one line each."""
    one, other = (side.column(name) for side in sides)
    if one is None or other is None or one.type_name != other.type_name:
        return []
    return list(_arguments(one, other, ""))


def _arguments(one: Any, other: Any, path: str) -> Sequence[str]:
    made: list[str] = []
    for field in type(one).model_fields:
        values = getattr(one, field), getattr(other, field)
        if values[0] == values[1]:
            continue
        if all(isinstance(value, Column) for value in values) and type(values[0]) is type(values[1]):
            made += _arguments(*values, f"{path}{field}.")
        elif (isinstance(values[0], tuple) and len(values[0]) > 3) or (
            isinstance(values[1], tuple) and len(values[1]) > 3
        ):
            made.append(f"another {path}{field}: of {len(values[0] or ())} and of {len(values[1] or ())}")
        else:
            made.append(f"another {path}{field}: {shown(values[0])}, {shown(values[1])}")
    return made


def _numbers(name: str, sides: tuple[Described, Described]) -> Found | str | None:
    """Returns the measures of a column of numbers: as they were read, by dimension if they were counted by dimension.

    Returns:
      Measures; the reason why they cannot be compared; or None for a column without numbers.
    """
    held = [
        {key[2]: pair for key, pair in (side.facts.counts if side.facts else {}).items() if key[:2] == (name, BEFORE)}
        for side in sides
    ]
    if not any(held):
        return None
    if all(held) and held[0].keys() != held[1].keys():
        return "its steps have another number of values"
    dimensions = sorted({*held[0], *held[1]})
    made = []
    for k in dimensions:
        spans = [_spans(name, k, side, own.get(k)) for side, own in zip(sides, held, strict=True)]
        made.append(numbers("values" if len(dimensions) == 1 else f"dimension {k}", spans))
    return made, []


def _spans(name: str, dimension: int, side: Described, counted: tuple[np.ndarray, np.ndarray] | None) -> Spans:
    assert side.facts is not None and dimension < MOST_APART
    column = side.column(name)
    numeric = numeric_of(column) if column is not None else None
    whole = numeric is not None and dtypes.carrier(numeric.dtype) == "int64"
    bins, counts = counted if counted is not None else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    return of_bins(bins, counts, centre_of(side.facts, name, dimension), whole)
