"""The part of the report on one column."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np

from pipeline.report import charts
from pipeline.report.figures import figure, flat, share
from transforms import dtypes
from transforms.columns import Column
from transforms.columns.categorical import Categorical
from transforms.columns.numeric_base import numeric_of
from transforms.columns.vocabulary_base import vocabulary_of
from transforms.distributions.centres import MOST_APART
from transforms.distributions.facts import Facts, centre_of
from transforms.distributions.histograms import AFTER, BEFORE, IDS, UNKNOWN
from transforms.distributions.spans import Spans, of_bins

MOST_DIMENSIONS: Final = 8
"""Dimensions of a step whose statistics are shown."""

TOP_IDS: Final = 10

COUNTS: Final = {
    "values": "read",
    "kept": "written",
    "truncated": "truncated",
    "rejected": "in rejected rows",
    "completed": "completed",
    "padded": "padding",
    "replaced": "replaced (out of range)",
    "filled": "filled",
    "non_finite": "not finite",
    "nulls": "null",
}
ROWS: Final = {"present": "hold the feature", "absent": "do not have it (accepted)", "empty": "hold nothing (accepted)"}


def view(
    column: Column,
    number: int,
    ledger: Mapping[str, Any],
    statistics: Mapping[str, Any],
    known: Facts,
    group: Mapping[str, Any] | None,
    words: Callable[[Sequence[int]], Sequence[str]] | None = None,
) -> dict[str, Any]:
    """Returns what is said of a column.

    Args:
      column: the column.
      number: its place among all.
      ledger: the ledger of the whole.
      statistics: the content of `statistics.json`.
      known: the figures that only the report has.
      group: the description of its sequence group; None for a context column.
      words: a function from ids to what people call them; None if ids are all that is known.
    """
    counts = ledger["columns"][column.name]
    places = counts["kept"] + counts["completed"] + counts["padded"]
    ids = _ids(column, known, words)
    found = statistics["columns"].get(column.name, {})
    return {
        "name": column.name,
        "id": f"c{number}",
        "type": column.type_name,
        "kept": f"{counts['kept']:,}",
        "padded": share(counts["padded"], places) if group else "\N{EN DASH}",
        "truncated": share(counts["truncated"], counts["truncated"] + counts["kept"]),
        "unknown": _unknown(column, counts, known),
        "nulls": share(counts["nulls"], counts["values"]),
        "counts": [
            (label, f"{counts[what]:,}", share(counts[what], counts["values"]))
            for what, label in COUNTS.items()
            if what in counts
            and (counts[what] or what in ("values", "kept", "padded", "truncated", "nulls"))
            and (group or what not in ("padded", "truncated"))
        ],
        "rows": [(label, f"{counts[what]:,}") for what, label in ROWS.items()],
        "group": group,
        "distributions": _distributions(column, known),
        "ids": ids,
        "statistics": _statistics(found),
        "fitted": [_fitted(one) for one in found.get("fitted", [])],
        "normalizer": _normalizer(found.get("normalizer")),
        "notes": _notes(column),
    }


def _spans(column: Column, what: str, dimension: int, known: Facts) -> Spans | None:
    pair = known.counts.get((column.name, what, dimension))
    numeric = numeric_of(column)
    if pair is None or numeric is None:
        return None
    dtype = numeric.dtype if what == BEFORE else numeric.output_dtype
    centre = centre_of(known, column.name, dimension) if what == BEFORE else 0.0
    return of_bins(*pair, centre, whole=dtypes.carrier(dtype) == "int64")


def _distributions(column: Column, known: Facts) -> list[dict[str, Any]]:
    """Returns the distributions before and after, by dimension where they were counted so."""
    made = []
    for dimension in range(-1, MOST_APART):
        sides = []
        for what, title in ((BEFORE, "before"), (AFTER, "after")):
            spans = _spans(column, what, dimension, known)
            chart = charts.chart(spans) if spans else None
            if spans is None or chart is None:
                continue
            quantiles = [figure(spans.quantile(q), _spread(spans)) for q in charts.QUANTILES]
            sides.append(
                {
                    "title": title,
                    "chart": chart,
                    "number": f"{spans.total:,}",
                    "quantiles": quantiles,
                    "outside": f"{chart.outside:,}" if chart.outside else "",
                    "not_finite": f"{spans.not_finite:,}" if spans.not_finite else "",
                }
            )
        if sides:
            numeric = numeric_of(column)
            apart = numeric is not None and numeric.step_width > 1
            label = "" if not apart else "all dimensions together" if dimension < 0 else f"dimension {dimension}"
            made.append({"label": label, "sides": sides})
    return made


def _spread(spans: Spans) -> float | None:
    return (spans.quantile(0.95) - spans.quantile(0.05)) or None


def _ids(column: Column, known: Facts, words: Callable[[Sequence[int]], Sequence[str]] | None) -> dict[str, Any] | None:
    """Returns the most frequent ids, how many are among the others, and how many places have none."""
    pair = known.counts.get((column.name, IDS, -1))
    if pair is None or not pair[1].sum():
        return None
    ids, counts, most = pair[0] - 1, pair[1], known.most_ids
    single = (ids >= 0) & (ids < most)
    total = int(counts[ids >= 0].sum())
    order = np.argsort(-counts[single], kind="stable")[:TOP_IDS]
    top = ids[single][order].tolist()
    called = words(top) if words is not None else [""] * len(top)
    spans = Spans(ids[single] - 0.5, ids[single] + 0.5, counts[single], whole=True)
    padding = _padding(column)
    return {
        "total": f"{total:,}",
        "top": [
            {"id": f"{one:,}", "word": word, "times": f"{n:,}", "share": share(n, total)}
            for one, word, n in zip(top, called, counts[single][order].tolist(), strict=True)
        ],
        "words": words is not None,
        "single": f"{int(single.sum()):,}",
        "chart": charts.chart(spans),
        "others": f"{int(counts[ids >= most].sum()):,}",
        "others_share": share(int(counts[ids >= most].sum()), total),
        "bound": f"{most:,}",
        "none": f"{int(counts[ids < 0].sum()):,}",
        "padding_is_id": padding >= 0,
        "padding": f"{padding:,}",
    }


def _padding(column: Column) -> int:
    found = next((one for one in (column, *column.parts) if isinstance(one, Categorical)), None)
    return found.padding if found is not None else -1


def unknown(column: Column, counts: Mapping[str, int], known: Facts) -> tuple[int, int] | None:
    """Returns the number of ids that are out of the vocabulary or the range, and the number of all ids.

    Returns:
      None for a column that has no such ids; (0, 0) if they are not counted separately.
    """
    buckets = known.counts.get((column.name, UNKNOWN, -1))
    found = vocabulary_of(column)
    pair = known.counts.get((column.name, IDS, -1))
    counted = int(pair[1].sum()) if pair is not None else 0
    if buckets is not None and counted:
        return int(buckets[1].sum()), counted
    if found is not None:
        default_is_none = not found.num_oov_buckets and found.unknown_id < 0
        alone = default_is_none and _padding(column) < 0 and not counts["completed"]
        return (int(pair[1][pair[0] == 0].sum()), counted) if alone and pair is not None else (0, 0)
    if any(part.type_name.endswith("identity") for part in (column, *column.parts)):
        return counts["replaced"], counts["kept"]
    return None


def _unknown(column: Column, counts: Mapping[str, int], known: Facts) -> str:
    found = unknown(column, counts, known)
    if found is None:
        return "\N{EN DASH}"
    return share(*found) if found[1] or vocabulary_of(column) is None else "not known"


def _statistics(found: Mapping[str, Any]) -> dict[str, Any] | None:
    """Returns the figures by dimension, the first ones of many."""
    if "mean" not in found:
        return None
    sides = {name: flat(found[name]) for name in ("count", "mean", "variance", "min", "max")}
    lines = []
    for k in range(min(len(sides["count"]), MOST_DIMENSIONS)):
        mean, variance, low, high = (sides[name][k] for name in ("mean", "variance", "min", "max"))
        deviation = None if variance is None else math.sqrt(max(variance, 0.0))
        texts = ["\N{EN DASH}" if v is None else figure(v, deviation or None) for v in (mean, deviation, low, high)]
        lines.append((str(k), f"{sides['count'][k]:,}", *texts))
    return {"lines": lines, "more": len(sides["count"]) - len(lines), "over": found.get("over", "kept")}


def _fitted(one: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what a link of the chain was given: quantiles by dimension, or how many keys there are."""
    quantiles = [
        (level, ", ".join("\N{EN DASH}" if v is None else figure(v) for v in flat(values)[:MOST_DIMENSIONS]))
        for level, values in one.get("quantiles", {}).items()
    ]
    keys = one.get("by_key", {})
    return {
        "link": one.get("link", 0) + 1,
        "per": one.get("per", ""),
        "quantiles": quantiles,
        "key": one.get("key", ""),
        "key_count": f"{one['keys']:,}" if keys else "",
    }


def _normalizer(links: Any) -> str:
    """Returns a chain of normalizers as one line."""
    if not links:
        return ""
    chain = links if isinstance(links, list) else [links]
    texts = []
    for link in chain:
        more = {k: v for k, v in link.items() if k not in ("type", "per") or (k == "per" and v != "dimension")}
        arguments = ", ".join(f"{k}={v if isinstance(v, str) else json.dumps(v)}" for k, v in more.items())
        texts.append(f"{link.get('type', 'function')}({arguments})" if arguments else str(link.get("type", "function")))
    return " \N{RIGHTWARDS ARROW} ".join(texts)


def _notes(column: Column) -> list[str]:
    """Returns what is not shown of a column, and why."""
    made = []
    numeric = numeric_of(column)
    has_ids = any(output.kind == "ids" for output in column.outputs(1))
    if not column.in_graph:
        made.append("its values, which are passed through as they are")
    elif numeric is not None and numeric is not column and not has_ids:
        made.append("the vectors that are written")
    elif numeric is None and not has_ids:
        made.append("its ids, and the vectors that are written of them")
    elif has_ids and numeric is None:
        made.append("words and raw ids, before they become the ids that are written")
    if any(output.kind == "weights" for output in column.outputs(1)):
        made.append("weights")
    return made
