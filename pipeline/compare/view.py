"""A comparison as plain values for a template: a page of its own, or a section of a report."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

from pipeline.compare import text
from pipeline.compare.comparison import Comparison
from pipeline.compare.measures import Compared, Figure, Measure, names
from pipeline.report import charts
from pipeline.report.page import page

OPEN_PARTS: Final = 12
"""The most columns and sequence groups that are shown open."""

TEMPLATE: Final = "compared.html.j2"


def html(comparison: Comparison) -> bytes:
    """Returns the page of a comparison: self-contained, without scripts; it fetches nothing."""
    return page({"comparison": section(comparison), "version": version("seqcols")}, TEMPLATE)


def section(comparison: Comparison) -> dict[str, Any]:
    """Returns the content of a comparison's page, for the macro `comparison` of `comparison.html.j2`."""
    parts = comparison.parts
    return {
        "names": names(comparison.sides),
        "sides": [
            {
                "name": side.name,
                "run": side.run,
                "created": side.created,
                "rows": f"{side.ledger['rows']['written']:,}",
                "notes": side.notes,
            }
            for side in comparison.sides
        ],
        "rows": [_figure(figure) for figure in comparison.rows],
        "reasons": [_figure(figure) for figure in comparison.reasons],
        "parts": [_part(one, k, k < OPEN_PARTS) for k, one in enumerate(parts)],
    }


def _figure(figure: Figure) -> dict[str, Any]:
    one, other = text.shown(figure)
    return {"label": figure.label, "one": one, "other": other, "differs": one != other}


def _part(one: Compared, number: int, is_open: bool) -> dict[str, Any]:
    most = one.largest
    types = [kind for kind in one.type if kind]
    return {
        "id": f"d{number}",
        "name": one.name,
        "kind": one.kind,
        "type": types[0] if len(set(types)) == 1 else " \N{RIGHTWARDS ARROW} ".join(types),
        "open": is_open,
        "drift": "" if most is None else f"{most.drift:.4f}",
        "width": 0 if most is None else round(max(100 * most.drift, 0.5 if most.drift else 0), 1),
        "measure": "" if most is None else most.name,
        "of": "" if most is None else most.of,
        "chance": "" if most is None or most.by_chance is None else f"{most.by_chance:.4f}",
        "fault": one.fault,
        "notes": one.notes,
        "figures": [_figure(figure) for figure in one.figures],
        "measures": [_measure(measure) for measure in one.measures],
    }


def _measure(measure: Measure) -> dict[str, Any]:
    return {
        "of": measure.of,
        "name": measure.name,
        "drift": f"{measure.drift:.4f}",
        "chance": "" if measure.by_chance is None else f"{measure.by_chance:.4f}",
        "numbers": [f"{count:,}" for count in measure.numbers],
        "chart": charts.overlaid(*measure.spans) if measure.spans else None,
        "categories": [
            {"label": label, "one": f"{one:.2%}", "other": f"{other:.2%}", "difference": f"{other - one:+.2%}"}
            for label, one, other in measure.categories
        ],
    }
