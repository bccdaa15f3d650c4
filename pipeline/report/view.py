"""The content of the page as plain values for the template: figures are formatted here, text is escaped there."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from pipeline.report import charts, columns, events
from pipeline.report.figures import figure, share, size, took
from pipeline.report.rows import MOST_FILES, file, reasons
from transforms.distributions.facts import Facts
from transforms.distributions.spans import of_lengths
from transforms.events.figures import Figures
from transforms.rows.fates import fates, faulty
from transforms.spec.spec import Spec

OPEN_COLUMNS: Final = 12
"""Up to this many columns are shown open; more are folded."""


def view(
    spec: Spec,
    manifest: Mapping[str, Any],
    ledger: Mapping[str, Any],
    statistics: Mapping[str, Any],
    facts: Facts,
    examples: Mapping[str, Sequence[Mapping[str, Any]]],
    figures: Figures | None = None,
    examples_of_events: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    words: Mapping[str, Callable[[Sequence[int]], Sequence[str]]] | None = None,
) -> dict[str, Any]:
    """Returns everything that the page says.

    Args:
      spec: the columns.
      manifest: the future content of `manifest.json`, except for the names of files.
      ledger: the ledger of the whole.
      statistics: the content of `statistics.json`.
      facts: the figures that only the report has.
      examples: the first rejected rows of every reason.
      figures: figures of the events that the rows are sequences of; None if there are none, or they are not known.
      examples_of_events: the first rejected events of every reason.
      words: by column, a function from ids to what people call them: the words of its vocabulary.
    """
    by_reason, rows = ledger["rows"]["rejected_by_reason"], fates(ledger["rows"])
    lengths = {name: group["T"] for name, group in statistics["groups"].items()}
    groups = [_group(name, lengths.get(name), spec, ledger, facts, k) for k, name in enumerate(spec.group_names)]
    by_name = {group["name"]: group for group in groups}
    shown = [
        columns.view(
            column,
            number,
            ledger,
            statistics,
            facts,
            by_name.get(column.sequence_group or ""),
            (words or {}).get(column.name),
        )
        for number, column in enumerate(spec.columns)
    ]
    counted, of = facts.rows
    files = sorted(ledger["files"].items())
    return {
        "run": manifest["run"],
        "created": manifest["created"],
        "version": manifest["seqcols"],
        "format": manifest["format"],
        "runs": manifest["runs"],
        "rows": {what: f"{count:,}" for what, count in rows.items()},
        "rejected_share": share(rows["rejected"], rows["read"]),
        "shards": len(manifest["examples"]["files"]),
        "bytes": size(sum(entry["bytes"] for entry in manifest["examples"]["files"])),
        "times": _times(facts),
        "reasons": reasons(by_reason, rows["rejected"], rows["read"], examples),
        "events": events.view(ledger["events"], spec.events, figures, spec.split, examples_of_events or {})
        if "events" in ledger
        else None,
        "columns_file": manifest.get("columns_file", ""),
        "columns_text": str(manifest["columns"]).splitlines(),
        "splits": [_split(name, own["rows"], rows["written"]) for name, own in ledger.get("splits", {}).items()],
        "skipped": manifest.get("skipped_files", []),
        "files": [file(name, entry["rows"]) for name, entry in files[:MOST_FILES]],
        "more_files": len(files) - MOST_FILES,
        "groups": groups,
        "columns": shown,
        "open": len(shown) <= OPEN_COLUMNS,
        "counted": f"{counted:,}",
        "one_in": facts.one_in,
        "complete": facts.complete,
        "all_counted": counted == of,
        "statistics_of": statistics.get("transform", {}).get("data_set") or statistics.get("split", ""),
        "statistics_rows": f"{statistics['rows']:,}",
        "statistics_files": len(statistics["of"]["files"]) if "of" in statistics else 0,
    }


def _split(name: str, rows: Mapping[str, Any], written: int) -> dict[str, str]:
    why = ", ".join(f"{reason} {count:,}" for reason, count in faulty(rows["rejected_by_reason"]).items())
    return {**file(name, rows), "of_all": share(rows["written"], written), "reasons": why or "\N{EN DASH}"}


def _times(facts: Facts) -> list[dict[str, Any]]:
    """Returns the parts of every run, each with its place on a line from 0 to 100."""
    made = []
    for run, parts in facts.times.items():
        if not parts:
            continue
        first, last = min(part.began for part in parts), max(part.ended for part in parts)
        whole = max(last - first, 1)
        lines = [
            {
                "what": part.what,
                "began": time.strftime("%H:%M:%S", time.gmtime(part.began / 1000)),
                "took": took(part.ended - part.began),
                "from": round(100 * (part.began - first) / whole, 2),
                "width": round(max(100 * (part.ended - part.began) / whole, 0.5), 2),
            }
            for part in parts
        ]
        day = time.strftime("%Y-%m-%d", time.gmtime(first / 1000))
        made.append({"run": run, "day": day, "took": took(last - first), "parts": lines})
    return made


def _group(
    name: str, length: int | None, spec: Spec, ledger: Mapping[str, Any], facts: Facts, number: int
) -> dict[str, Any]:
    """Returns what is said of a sequence group: its T, and the lengths of its rows."""
    member, policy = spec.members(name)[0], spec.group(name)
    counts, width = ledger["columns"][member.name], member.step_width
    histogram = facts.lengths.get(name, {})
    held = counts["kept"] + counts["completed"]
    made: dict[str, Any] = {
        "name": name,
        "id": f"g{number}",
        "T": ", ".join(f"{t:,}" for t in policy.bucket_lengths or (length,) if t is not None) or "\N{EN DASH}",
        "longest_T": "\N{EN DASH}" if length is None else f"{length:,}",
        "truncate": policy.truncate,
        "padding": policy.padding,
        "steps": f"{held // width:,}",
        "padded": share(counts["padded"], held + counts["padded"]),
        "columns": [column.name for column in spec.members(name)],
        "chart": None,
        "mark": None,
    }
    if not sum(histogram.values()):
        return made
    spans = of_lengths(dict(histogram))
    total, largest = facts.sums.get(name, (0, 0))
    chart = charts.chart(spans)
    longer = sum(n for at, n in histogram.items() if length is not None and at > length)
    return {
        **made,
        "chart": chart,
        "mark": chart.place(length + 0.5) if chart and length is not None else None,
        "rows": f"{spans.total:,}",
        "mean": figure(round(total / spans.total, 2)),
        "largest": f"{largest:,}",
        "empty": share(histogram.get(0, 0), spans.total),
        "longer": share(longer, spans.total),
        "quantiles": [figure(min(spans.quantile(q), float(largest))) for q in charts.QUANTILES],
    }
