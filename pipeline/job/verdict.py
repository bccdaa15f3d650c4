"""The verdict on a run: may what it wrote be published? And, before rows are read once more, can it be at all?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from pipeline.dataset import events_ledger, ledger
from pipeline.inputs import preflight
from pipeline.inputs.match import changed
from pipeline.job import passes
from pipeline.job.plan import Collected, Plan
from pipeline.job.sequences_plan import Sequences
from transforms.errors import JobError, nearest
from transforms.escaping import first_of
from transforms.events.accounting import EXCLUDED
from transforms.rows import digests, fates
from transforms.rows.tally import Tally, add
from transforms.spec import dense_rows

DONE: Final = "done"
FAILED: Final = "failed"
TOO_MANY_REJECTED: Final = "too_many_rejected"


def imbalances(got: Collected, book: Mapping[str, Any]) -> list[str]:
    """Returns what does not add up, one line each: in the ledger, and between it and the files that were written."""
    faults = ledger.imbalances(book)
    for what, parts in (("written", got.parts), ("rejected", got.rejected)):
        in_files = sum(part.rows for part in parts)
        if in_files != book["rows"][what]:
            faults.append(f"{book['rows'][what]} rows {what}, {in_files} in the files")
        elif digests.as_text(sum(part.row_digest for part in parts)) != book["row_digests"][what]:
            faults.append(f"the rows in the files are not those that were {what} (their digests differ)")
    return faults


def sequences_verdict(made: Sequences) -> dict[str, Any]:
    """Returns how making sequences of events has ended: `status`, `message`, and the ledger of the events."""
    book, plan = made.ledger, made.plan
    whole = events_ledger.alone(book)
    kept = {"ledger": whole, "rejected_files": [part.path for part in made.rejected]}
    passes.refuse_changed(changed(plan.screened))
    faults = events_ledger.imbalances(book)
    for what, parts, said in (
        ("sequences", made.shards, book["sequences"]["rows"]),
        ("events rejected", made.rejected, book["rows"]["rejected"]),
    ):
        in_files = sum(part.rows for part in parts)
        if in_files != said:
            faults.append(f"{said} {what}, {in_files} in the files")
    if faults:
        return {"status": FAILED, "message": f"the ledger does not balance: {first_of(faults)}", "ledger": whole}
    message = _not_excluded(made)
    if message:
        return {"status": FAILED, "message": message, "ledger": whole}
    message = too_many_rejected(book, plan.max_rejected, "events")
    if message:
        return {"status": TOO_MANY_REJECTED, "message": f"{message}; nothing was published", **kept}
    if not book["sequences"]["rows"] and not plan.allow_empty:
        dropped = ", ".join(f"{n:,} dropped by {rule}" for rule, n in book["dropped"].items() if n)
        counts = (
            f"{book['rows']['read']:,} events read, {book['rows']['rejected']:,} rejected{dropped and ', '}{dropped}"
        )
        hint = "" if book["rows"]["read"] else " (--allow-empty publishes an empty data set)"
        return {"status": FAILED, "message": f"no sequences to write: {counts}{hint}", **kept}
    return {"status": DONE, "message": "", **kept}


def _not_excluded(made: Sequences) -> str:
    """Returns which file does not have the events that were to be left out, or an empty string."""
    gone = {file.path for file in made.plan.skipped}
    for file, numbers in made.plan.excluded.items():
        found = made.ledger["files"].get(file, {"rows": {}})["rows"].get(EXCLUDED, 0)
        if found != len(numbers) and file not in gone:
            return f"--exclude-events: {file}: expected the {len(numbers):,} rows that are named, got {found:,} of them"
    return ""


def check_analysis(plan: Plan, tally: Tally) -> None:
    """Looks at what the analysis counted, so that what cannot be published is not read once more.

    Raises:
      JobError: a file changed since an earlier pass; a column is absent in all rows, a file does not belong to the others, or the
        longest row makes all rows too long.
    """
    if plan.passes == 2:
        if plan.given:
            passes.compare(tally, plan.place)
        counted = analysed(plan, tally)
        refuse_absent(plan, ledger.build(counted, plan.spec, {}))
        longest = {name: int(counted["", "length_max", name]) for name in plan.spec.longest_groups}
        why = dense_rows.too_long(plan.spec, longest, plan.limits.max_record_bytes)
        if why:
            raise JobError(why)


def analysed(plan: Plan, counted: Tally) -> Tally:
    """Returns everything that was counted for the statistics, in this run or in the one that filled the cache."""
    tally = plan.splits.of_statistics(all_analysed(plan, counted))
    rows = Counter(
        {what: sum(n for key, n in tally.items() if key[1:] == ("rows", what)) for what in ("read", "rejected")}
    )
    tally["", "rows", "written"] = rows["read"] - rows["rejected"]
    return tally


def all_analysed(plan: Plan, counted: Tally) -> Tally:
    """Returns everything that was counted by the analysis, or by the run that filled the cache, of all splits."""
    tally = plan.analysis.cached_tally()
    add(tally, counted)
    return tally


def too_many_rejected(book: Mapping[str, Any], allowed: float, noun: str = "rows") -> str:
    """Returns why a run, or one of its splits, has too many rejects, or an empty string. Exactly the allowed share is allowed."""
    named = (("", book), *((f"split {name!r}: ", own) for name, own in ledger.splits_of(book)))
    for what, rows in ((what, own["rows"]) for what, own in named):
        rejected = rows["rejected"] - fates.dropped(rows)
        # Counts are compared, not shares: 3 of 30 is no more than 0.1, whatever floats make of it.
        if rejected > round(allowed * rows["read"], 9):
            share = f"{rejected:,} of {rows['read']:,} {noun} rejected ({rejected / rows['read']:.2%})"
            return f"{what}{share}, --max-rejected allows {allowed:.2%}"
    return ""


def nothing_written(plan: Plan, book: Mapping[str, Any]) -> str:
    """Returns why there is nothing to publish, or nothing to compute statistics from; an empty string if there is."""
    rows = book["rows"]
    if not rows["written"] and plan.allow_empty:
        return ""
    fits = rows["written"] and plan.given_transform is None
    named = dict(ledger.splits_of(book)).get(plan.splits.statistics) if fits else None
    what = f" of the split {plan.splits.statistics!r}, whose statistics the others need" if named else ""
    rows = named["rows"] if named else rows
    if rows["written"]:
        return ""
    allowed = "appends nothing" if plan.appends else "publishes an empty data set"
    hint = "" if rows["read"] or what else f" (--allow-empty {allowed})"
    counts = fates.fates(rows)
    left = f", {counts['dropped']:,} dropped" if counts["dropped"] else ""
    return f"no rows to write{what}: {counts['read']:,} read, {counts['rejected']:,} rejected{left}{hint}"


def refuse_absent(plan: Plan, book: Mapping[str, Any]) -> None:
    """Refuses a column that no row has: it is a misspelt one, unless it is optional. And files that do not belong to the others.

    Raises:
      JobError: naming the nearest feature.
    """
    parsed = ledger.parsed(book["rows"])
    for column in plan.spec.columns:
        if parsed and not column.optional and not book["columns"][column.name]["present"]:
            first = f"; the first file, {plan.inputs.files[0].path}, has {', '.join(plan.feature_names)}"
            hint = nearest(column.key, plan.feature_names) or first
            raise JobError(f"column {column.name!r}: the feature {column.key!r} is absent in all {parsed:,} rows{hint}")
    names = {file.path: plan.inputs.names.get(file.path, file.path) for file in plan.inputs.files}
    preflight.refuse_odd_files(book, names, plan.spec.columns, plan.limits)
