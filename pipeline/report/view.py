"""The content of the page as plain values for the template: figures are formatted here, text is escaped there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipeline.report import charts, columns
from pipeline.report.figures import figure, share, size, took
from transforms.distributions.facts import Facts
from transforms.distributions.spans import of_lengths
from transforms.spec.spec import Spec

MOST_FILES: Final = 100
"""Input files that are listed."""

OPEN_COLUMNS: Final = 12
"""Up to this many columns are shown open; more are folded."""


def view(
    spec: Spec,
    manifest: Mapping[str, Any],
    ledger: Mapping[str, Any],
    statistics: Mapping[str, Any],
    facts: Facts,
    examples: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """Returns everything that the page says.

    Args:
      spec: the columns.
      manifest: the future content of `manifest.json`, except for the names of files.
      ledger: the ledger of the whole.
      statistics: the content of `statistics.json`.
      facts: the figures that only the report has.
      examples: the first rejected rows of every reason.
    """
    rows = ledger["rows"]
    lengths = {name: group["T"] for name, group in statistics["groups"].items()}
    groups = [_group(name, lengths.get(name), spec, ledger, facts, k) for k, name in enumerate(spec.group_names)]
    by_name = {group["name"]: group for group in groups}
    shown = [
        columns.view(column, number, ledger, statistics, facts, by_name.get(column.sequence_group or ""))
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
        "rows": {what: f"{rows[what]:,}" for what in ("read", "written", "rejected")},
        "rejected_share": share(rows["rejected"], rows["read"]),
        "shards": len(manifest["examples"]["files"]),
        "bytes": size(sum(entry["bytes"] for entry in manifest["examples"]["files"])),
        "times": _times(facts),
        "reasons": _reasons(rows, examples),
        "splits": [_split(name, own["rows"], rows["written"]) for name, own in ledger.get("splits", {}).items()],
        "skipped": manifest.get("skipped_files", []),
        "files": [_file(name, entry["rows"]) for name, entry in files[:MOST_FILES]],
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


def _file(name: str, rows: Mapping[str, int]) -> dict[str, str]:
    counts = {what: f"{rows[what]:,}" for what in ("read", "written", "rejected")}
    return {"name": name, **counts, "share": share(rows["rejected"], rows["read"])}


def _split(name: str, rows: Mapping[str, Any], written: int) -> dict[str, str]:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in rows["rejected_by_reason"].items())
    return {**_file(name, rows), "of_all": share(rows["written"], written), "reasons": reasons or "\N{EN DASH}"}


def _reasons(rows: Mapping[str, Any], examples: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    by_reason = sorted(rows["rejected_by_reason"].items(), key=lambda pair: -pair[1])
    return [
        {
            "reason": reason,
            "rows": f"{count:,}",
            "share": share(count, rows["read"]),
            "of_rejected": round(100 * count / rows["rejected"], 1),
            "examples": examples.get(reason, []),
        }
        for reason, count in by_reason
        if count
    ]


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
