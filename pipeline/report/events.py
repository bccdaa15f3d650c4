"""The part of the report on events: what became of them, how many a key has, the gaps between them, sessions, when they were."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pipeline.report import charts, rows
from pipeline.report.figures import duration, figure, share, size
from pipeline.report.timeline import COLOURS, label, timeline
from transforms.distributions.spans import Spans, of_lengths
from transforms.events.accounting import EXCLUDED
from transforms.events.figures import EVENTS, GAPS, SESSION_EVENTS, SESSION_TIMES, SESSIONS, STEPS, Figures
from transforms.events.spec import Events
from transforms.parse.units import UNITS
from transforms.splits.rule import Split

WHY: Final = {
    "used": "a step or a target of a sequence",
    "unique": "equal to a later event of its key in the fields of unique",
    "windows": "in no window, and no target",
    "min_events": "of a sequence with fewer steps than min_events",
    "longer": "of a sequence with more steps than --max-steps, or before its last ones",
    "rejected": "without a key or a time, or not readable",
    EXCLUDED: "named by --exclude-events",
}
"""Explanations of the fates of events; a fate that is not here needs none."""

TITLES: Final = {
    EVENTS: ("Events of a key", "keys", "events"),
    GAPS: ("Time between an event of a key and the next", "gaps", ""),
    SESSIONS: ("Sessions of a key", "keys", "sessions"),
    SESSION_EVENTS: ("Events of a session", "sessions", "events"),
    SESSION_TIMES: ("Time from the first event of a session to its last", "sessions", ""),
    STEPS: ("Steps of a sequence, as written", "sequences", "steps"),
}
"""For each figure: the title of its chart, the things that it is counted over, and its unit; empty for times."""


def view(
    book: Mapping[str, Any],
    events: Events | None,
    figures: Figures | None,
    split: Split | None,
    examples: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Returns what is said of events.

    Args:
      book: the ledger of the events.
      events: the section of the columns file; None if it is not known.
      figures: the figures of the events; None if they are not known.
      split: the rule of the splits.
      examples: the first rejected events of every reason.
    """
    counts, made = book["rows"], book["sequences"]
    fates = [("used", counts["used"]), *book["dropped"].items(), ("rejected", counts["rejected"])]
    fates += [(EXCLUDED, counts[EXCLUDED])] if EXCLUDED in counts else []
    files = sorted(book["files"].items())
    numbers = {what: f"{made[what]:,}" for what in ("rows", "steps", "targets", "used_again", "too_long")}
    return {
        "rows": {what: f"{counts[what]:,}" for what in ("read", "used", "rejected")},
        "dropped": f"{sum(book['dropped'].values()):,}",
        "key_count": f"{of_what(figures, EVENTS).total:,}" if figures else "not known",
        "sequences": {**numbers, "targets": numbers["targets"] if made["targets"] else ""},
        "excluded": EXCLUDED in counts,
        "fates": [
            {
                "name": name,
                "dropped": name in book["dropped"],
                "events": f"{n:,}",
                "share": share(n, counts["read"]),
                "why": WHY.get(name, ""),
            }
            for name, n in fates
        ],
        "reasons": rows.reasons(book["rejected_by_reason"], counts["rejected"], counts["read"], examples),
        "known": figures is not None,
        "when": _when(figures, split) if figures else None,
        "numbers": [one for what in TITLES if (one := _number(what, figures, events))] if figures else [],
        "files": [_file(name, own) for name, own in files[: rows.MOST_FILES]],
        "more_files": len(files) - rows.MOST_FILES,
    }


def page_view(
    manifest: Mapping[str, Any],
    book: Mapping[str, Any],
    events: Events,
    figures: Figures,
    split: Split | None,
    examples: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Returns everything that the page of a data set of sequences alone says.

    Args:
      manifest: the future content of `manifest.json`, except for the names of files.
      book: see `view`.
      events: likewise.
      figures: likewise.
      split: likewise.
      examples: likewise.
    """
    files = manifest["sequences"]["files"]
    return {
        "run": manifest["run"],
        "created": manifest["created"],
        "version": manifest["seqcols"],
        "files": len(files),
        "bytes": size(sum(entry["bytes"] for entry in files)),
        "events": view(book, events, figures, split, examples),
        "skipped": manifest["skipped_files"],
        "fields": sorted(manifest["sequences"]["fields"].items()),
        "columns_file": manifest.get("columns_file", ""),
        "columns_text": str(manifest["columns"]).splitlines(),
    }


def _file(name: str, own: Mapping[str, Any]) -> dict[str, str]:
    counts = {what: f"{own['rows'][what]:,}" for what in ("read", "used", "rejected")}
    dropped, excluded = sum(own["dropped"].values()), own["rows"].get(EXCLUDED, 0)
    return {"name": name, **counts, "dropped": f"{dropped:,}", EXCLUDED: f"{excluded:,}"}


def of_what(figures: Figures, what: str) -> Spans:
    """Returns the ranges that the buckets of something stand for, in ticks if it is a time."""
    lower, counts = figures.counts.get(what, ((), ()))
    return of_lengths(dict(zip(map(int, lower), map(int, counts), strict=True)))


def _number(what: str, figures: Figures, events: Events | None) -> dict[str, Any] | None:
    """Returns the picture and the quantiles of something that is counted in buckets."""
    title, noun, unit = TITLES[what]
    spans, largest = of_what(figures, what), figures.largest.get(what, 0)
    if not spans.total:
        return None
    quantiles = [min(spans.quantile(q), float(largest)) for q in charts.QUANTILES]
    shown = {"what": what, "title": title, "noun": noun, "unit": unit, "total": f"{spans.total:,}"}
    if unit:
        return {
            **shown,
            "chart": charts.doubling(spans, largest),
            "quantiles": [figure(value) for value in quantiles],
            "largest": figure(largest),
            "zero": "",
            "notes": [],
        }
    zero = int(spans.counts[spans.lower < 0].sum())
    return {
        **shown,
        "chart": charts.durations(spans, figures.tick),
        "quantiles": [duration(round(value) * figures.tick) for value in quantiles],
        "largest": duration(largest * figures.tick),
        "zero": share(zero, spans.total) if zero else "",
        "notes": _of_gaps(figures, spans.total, events) if what == GAPS else [],
    }


def _of_gaps(figures: Figures, counted: int, events: Events | None) -> list[str]:
    made = [f"a session ends with one above {events.sessions.gap}"] if events and events.sessions else []
    others = int(figures.times[1].sum()) - of_what(figures, EVENTS).total - counted
    if others > 0:
        made.append(f"{others:,} more, before the last events of a key that count for its sequence, were not looked at")
    return made


def _when(figures: Figures, split: Split | None) -> dict[str, Any] | None:
    """Returns the picture of events by time, and the splits that time divides them into."""
    named = list(split.ordered_borders) if split is not None and split.by == "time" else []
    picture = timeline(figures, [-(-at // UNITS["s"]) for _, at in named])
    if picture is None or figures.span is None:
        return None
    first, last = (at * figures.tick // UNITS["s"] for at in figures.span)
    return {
        "picture": picture,
        "first": label(first),
        "last": label(last),
        "top": f"{picture.top[1]:,}",
        "before": f"{picture.before:,}" if picture.before else "",
        "after": f"{picture.after:,}" if picture.after else "",
        "splits": _splits([("train", None), *named], figures.splits) if named else [],
    }


def _splits(named: Iterable[tuple[str, int | None]], counts: Sequence[int]) -> list[dict[str, Any]]:
    total = sum(counts)
    return [
        {
            "name": name,
            "colour": k % COLOURS,
            "begins": "\N{EN DASH}" if at is None else label(at // UNITS["s"]).removesuffix(" 00:00:00"),
            "events": f"{counts[k]:,}" if k < len(counts) else "\N{EN DASH}",
            "share": share(counts[k], total) if k < len(counts) else "\N{EN DASH}",
        }
        for k, (name, at) in enumerate(named)
    ]
