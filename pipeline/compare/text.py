"""A comparison as text, and as JSON."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Final

from pipeline.compare.comparison import Comparison
from pipeline.compare.measures import Compared, Figure, names
from pipeline.text_table import table
from transforms import escaping

NOTHING: Final = "-"

COLUMN_FIGURES: Final = {
    "rows that hold it": "held",
    "null": "null",
    "out of vocabulary or range": "unknown",
    "mean": "mean",
    "mean length": "mean",
}
"""Figures of columns and groups that fit in a table, and their names there."""


def lines(comparison: Comparison) -> list[str]:
    """Returns both data sets, their rows, then sequence groups and columns, those that have drifted most first."""
    parts = [_sides(comparison), _rows(comparison), _measures(comparison), _notes(comparison)]
    return [escaping.one_line(line) for part in parts if part for line in ("", *part)][1:]


def shown(figure: Figure) -> tuple[str, str]:
    """Returns a figure for both sides, formatted for people."""
    first, second = (_shown(value, figure.kind) for value in figure.sides)
    return first, second


def _shown(value: float | None, kind: str) -> str:
    if value is None:
        return NOTHING
    return f"{value:.2%}" if kind == "share" else f"{value:,}" if kind == "count" else f"{value:,.6g}"


def _sides(comparison: Comparison) -> list[str]:
    made = []
    for side in comparison.sides:
        made.append(f"{side.name}: run {side.run}, {side.ledger['rows']['written']:,} rows")
        made += [f"  {note}" for note in side.notes]
    return made


def _rows(comparison: Comparison) -> list[str]:
    reasons = [(f"  {figure.label}", *shown(figure)) for figure in comparison.reasons]
    return table([("rows", *names(comparison.sides)), *((f.label, *shown(f)) for f in comparison.rows), *reasons])


def _measures(comparison: Comparison) -> list[str]:
    made: list[tuple[str, ...]] = [
        (
            "most drift first",
            "drift",
            "by chance",
            "measure",
            "of",
            "differs most",
            *dict.fromkeys(COLUMN_FIGURES.values()),
        )
    ]
    for one in comparison.parts:
        found = {COLUMN_FIGURES[f.label]: f for f in one.figures if f.label in COLUMN_FIGURES}
        cells = [_both(found.get(what)) for what in dict.fromkeys(COLUMN_FIGURES.values())]
        made.append((_name(one), *_drift(one), *cells))
    return table(made, left=(0, 3, 4, 5))


def _both(figure: Figure | None) -> str:
    """Returns a figure in one cell: once if both sides have the same."""
    one, other = shown(figure) if figure is not None else (NOTHING, NOTHING)
    return one if one == other else f"{one} | {other}"


def _name(one: Compared) -> str:
    name = escaping.value(one.name)
    return f"{name} (sequence group)" if one.kind != "column" else name


def _drift(one: Compared) -> tuple[str, ...]:
    most = one.largest
    if most is None:
        return ("not comparable" if one.fault else NOTHING), "", "", "", ""
    chance = NOTHING if most.by_chance is None else f"{most.by_chance:.4f}"
    where = [f"{label} ({one:.2%} | {other:.2%})" for label, one, other in most.categories[:1]]
    return f"{most.drift:.4f}", chance, most.name, most.of, "".join(where)


def _notes(comparison: Comparison) -> list[str]:
    made = []
    for one in comparison.parts:
        where = f"{one.kind} {escaping.value(one.name)!r}"
        made += [f"{where}: cannot be compared: {one.fault}"] if one.fault else []
        made += [f"{where}: {note}" for note in one.notes]
    return made


def document(comparison: Comparison) -> dict[str, Any]:
    """Returns all figures for programs; a value that JSON has no number for (infinity) is null."""
    return {
        "sides": [
            {"directory": side.name, "run": side.run, "created": side.created, "notes": list(side.notes)}
            for side in comparison.sides
        ],
        "rows": _figures(comparison.rows),
        "rejected_by_reason": _figures(comparison.reasons),
        "groups": {one.name: _part(one) for one in comparison.groups},
        "columns": {one.name: _part(one) for one in comparison.columns},
    }


def _figures(figures: Sequence[Figure]) -> dict[str, list[float | None]]:
    return {f.label: [v if v is None or math.isfinite(v) else None for v in f.sides] for f in figures}


def _part(one: Compared) -> dict[str, Any]:
    return {
        "type": list(one.type),
        "drift": one.drift,
        "fault": one.fault,
        "notes": list(one.notes),
        "figures": _figures(one.figures),
        "measures": [
            {
                "of": measure.of,
                "measure": measure.name,
                "drift": measure.drift,
                "by_chance": measure.by_chance,
                "counted": list(measure.numbers),
                "differ_most": [list(category) for category in measure.categories],
            }
            for measure in one.measures
        ],
    }
