"""The summary printed at the end of a run."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.dataset import events_ledger, layout
from pipeline.dataset.ledger import splits_of
from pipeline.dataset.notebook import COLUMN_HEADS, columns_of
from pipeline.text_table import table
from transforms import escaping
from transforms.rows import fates

if TYPE_CHECKING:
    from pipeline.job.executing import Outcome
    from pipeline.job.request import Request
    from transforms.spec.spec import Spec

REPEATED_SHOWN = 5
"""Files that were matched several times and are named."""

MOST = 0.5
"""Share of the rows that are rejected for one reason, from which on the column is thought to be wrong and not the rows."""


def lines(what: str, request: Request | None, outcome: Outcome) -> list[str]:
    """Returns the summary: rows, columns, rejected rows with examples, and where everything lies."""
    if outcome.status == "failed" and not outcome.rejected_files:
        return []
    if outcome.status == "handed_over":
        return [escaping.one_line(f"handed over; when the job is done it publishes {outcome.output}/{layout.MANIFEST}")]
    parts: list[list[str]] = []
    if outcome.ledger.get("events"):
        parts.append(events_ledger.lines(outcome.ledger["events"]))
    if outcome.ledger.get("columns"):
        parts += [[_rows(what, outcome)], *_splits(what, outcome), _columns(outcome.ledger)]
    if fates.faulty(outcome.rejected_examples):
        parts.append(_rejects(outcome, request.spec if request is not None else None))
    parts += _of_files(outcome)
    if what == "run":
        parts.append(_places(request, outcome))
    return [escaping.one_line(line) for part in parts for line in ("", *part)][1:]


def _of_files(outcome: Outcome) -> list[list[str]]:
    """Returns which files were matched several times, and which were left out."""
    parts = []
    if outcome.repeated:
        shown, more = outcome.repeated[:REPEATED_SHOWN], len(outcome.repeated) - REPEATED_SHOWN
        end = f" and {more:,} more" if more > 0 else ""
        parts.append(["matched several times, read once: " + ", ".join(shown) + end])
    if outcome.skipped:
        count = f"{len(outcome.skipped)} broken file{'s' * (len(outcome.skipped) != 1)}"
        parts.append([f"skipped {count}, whole:", *(f"  {file.reason}" for file in outcome.skipped)])
    return parts


def of_sequences(outcome: Outcome) -> list[str]:
    """Returns the summary of events that sequences were made of, and where these lie."""
    if outcome.status == "failed" and not outcome.rejected_files:
        return []
    if outcome.status == "handed_over":
        return lines("sequences", None, outcome)
    parts = [events_ledger.lines(outcome.ledger["events"])]
    if fates.faulty(outcome.rejected_examples):
        parts.append(_rejects(outcome))
    parts += _of_files(outcome)
    if outcome.status == "done":
        held = [(layout.MANIFEST, "what the data set is; readers follow it")]
        held.append((layout.SEQUENCES + "/", "the sequences, a row each (Parquet)"))
        if outcome.rejected_files:
            held.append((layout.REJECTED + "/", "rejected events, their records recoverable (Parquet)"))
        held.append((layout.LEDGER, "every event accounted for, by file"))
        held.append((layout.DISTRIBUTIONS, "events of a key, gaps, sessions and times, counted in bins"))
        held.append((layout.REPORT, "all of it on one page, for a browser"))
        parts.append([f"written to {outcome.output}", *(f"  {name:<18} {what}" for name, what in held)])
    return [escaping.one_line(line) for part in parts for line in ("", *part)][1:]


def of_undo(outcome: Outcome) -> list[str]:
    """Returns the summary of an append that was taken back: the data set as it is now."""
    parts = [[_rows("run", outcome)], *_splits("run", outcome), _columns(outcome.ledger)]
    return [escaping.one_line(line) for part in parts for line in ("", *part)][1:]


def of_repair(outcome: Outcome) -> list[str]:
    """Returns the summary of a repair: what became of the rejected rows, the data set as it is now, what is still rejected."""
    if outcome.status != "done":
        return []
    rows = outcome.repaired
    counts = fates.fates(rows)
    left = f", {counts['dropped']:,} dropped" if counts["dropped"] else ""
    again = f"{counts['rejected']:,} are rejected again{left}"
    what = f"{rows['written']:,} of {rows['read']:,} rejected rows are written now, {again}"
    if "events" in rows:
        own = rows["events"]
        refused = f", {own['refused']:,} refused" if own["refused"] else ""
        mended = f"{own['added']:,} of {own['read']:,} mended events added, {own['rejected']:,} rejected again{refused}"
        what = f"{mended}; {rows['written']:,} of their {rows['read']:,} sequences written"
    parts = [[f"repaired: {what}"]]
    if outcome.ledger.get("events"):
        parts.append(events_ledger.lines(outcome.ledger["events"]))
    parts += [[_rows("run", outcome)], _columns(outcome.ledger)]
    if fates.faulty(outcome.rejected_examples):
        parts.append(_rejects(outcome))
    return [escaping.one_line(line) for part in parts for line in ("", *part)][1:]


def _rows(what: str, outcome: Outcome) -> str:
    wrote = "written" if what == "run" else "accepted"
    passes = f", {outcome.passes} pass{'es' * (outcome.passes > 1)}" if what == "run" and outcome.passes else ""
    balance = "; the ledger balances" if outcome.status == "done" else ""
    return f"rows: {fates.told(outcome.ledger['rows'], wrote)}{passes}{balance}"


def _splits(what: str, outcome: Outcome) -> list[list[str]]:
    """Returns the rows of each split as a table; nothing if there are no splits."""
    wrote = "written" if what == "run" else "accepted"
    counts = {name: fates.fates(own["rows"]) for name, own in splits_of(outcome.ledger)}
    heads = {"read": "rows read", "written": wrote, "rejected": "rejected", "dropped": "dropped"}
    if not any(own["dropped"] for own in counts.values()):
        del heads["dropped"]
    lines = [("split", *heads.values()), *((name, *(f"{own[one]:,}" for one in heads)) for name, own in counts.items())]
    return [table(lines)] if counts else []


def _columns(book: Mapping[str, Any]) -> list[str]:
    lines: list[tuple[str, ...]] = [("column", *COLUMN_HEADS)]
    for name, *counts in columns_of(book):
        lines.append((escaping.value(name), *(f"{count:,}" for count in counts)))
    return table(lines)


def _rejects(outcome: Outcome, spec: Spec | None = None) -> list[str]:
    lines = ["rejected rows, the first of every reason (seqcols explain REASON says more):"]
    books = (outcome.ledger.get("events", {}), outcome.ledger)  # of a run that came to its rows theirs are shown
    counts = {reason: n for book in books for reason, n in book.get("rejected_by_reason", {}).items()}
    counts |= outcome.ledger.get("rows", {}).get("rejected_by_reason", {})
    for reason, examples in fates.faulty(outcome.rejected_examples).items():
        lines.append(f"  {reason}: {counts.get(reason, len(examples)):,}")
        for row in examples:
            where = f"{os.path.basename(row['file'])} row {row['row']}"
            column = f" column '{escaping.value(row['column'])}':" if row["column"] else ""
            lines.append(f"    {where}{column} {row['value']} - {row['message']}")
        if spec is not None:
            share = counts.get(reason, 0) / max(outcome.ledger.get("rows", {}).get("read", 0), 1)
            lines += [f"    {hint}" for hint in [meant(spec, reason, examples, share)] if hint]
    return lines


def meant(spec: Spec, reason: str, examples: Sequence[Mapping[str, Any]], share: float) -> str:
    """Returns what to declare instead of a column that rejects most rows for a reason; an empty string where nobody knows.

    Args:
      spec: the columns.
      reason: the reason.
      examples: some rows that were rejected for it.
      share: the share of all rows that was.
    """
    names = {row["column"] for row in examples}
    if share < MOST or len(names) != 1:
        return ""
    return next((column.meant(reason) for column in spec.columns if column.name in names), "")


def _places(request: Request | None, outcome: Outcome) -> list[str]:
    root = outcome.output
    if outcome.status != "done":
        return [f"rejected rows: {os.path.join(root, layout.REJECTED)}"]
    lines = [(layout.MANIFEST, "what the data set is; readers follow it")]
    if outcome.ledger["rows"]["written"]:
        assert request is not None
        lines.append((layout.EXAMPLES + "/", "the data" if request.append else f"the data, {request.format}"))
        lines.append((layout.SERVING + "/", "a SavedModel that answers a request with what such a row became"))
        lines.append((layout.TRANSFORM + "/", "the same graph for tf.Transform's own users"))
    if outcome.ledger.get("events") and (request is None or request.keep_sequences):
        lines.append((layout.SEQUENCES + "/", "the sequences that the rows were made of, as Parquet"))
    if outcome.rejected_files:
        lines.append((layout.REJECTED + "/", "rejected rows, their records recoverable (Parquet)"))
    lines.append((layout.STATISTICS, "counts, means, variances, lengths"))
    lines.append((layout.LEDGER, "every row and value accounted for, by file"))
    lines.append((layout.DISTRIBUTIONS, "lengths, and values counted in bins; seqcols compare reads it"))
    lines.append((layout.REPORT, "all of it on one page, for a browser"))
    return [f"written to {root}", *(f"  {name:<18} {what}" for name, what in lines)]
