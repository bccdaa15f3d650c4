"""The events of a run, accounted for: what became of each, by file; and whether it adds up."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from typing import Any

from transforms.events.accounting import DROPPED, EXCLUDED
from transforms.rows import digests
from transforms.rows.tally import Tally

_USED = "used"


def build(tally: Tally) -> dict[str, Any]:
    """Returns what `ledger.json` holds of events.

    Args:
      tally: everything that was counted while they were read and grouped.

    Returns:
      `rows` (events read, used, rejected; and excluded, if any are), `dropped` by rule, `rejected_by_reason`, `row_digests` (see
      `transforms.rows.digests`) and `sequences` (rows, steps, targets, used_again, too_long); the events also under `files`.
    """
    by_file: dict[str, Tally] = defaultdict(Counter)
    total: Tally = Counter()
    for key, count in tally.items():
        if key[1] in ("rows", "digest", "events", "event_digest"):
            by_file[key[0]][key[1:]] += count
            total[key[1:]] += count
    made = tally
    whats = ("rows", "steps", "targets", "used_again", "too_long")
    sequences = {what: made["", "sequences", what] for what in whats}
    return {**_one(total), "sequences": sequences, "files": {file: _one(own) for file, own in sorted(by_file.items())}}


def _one(counts: Tally) -> dict[str, Any]:
    rejected = {k[1].partition(":")[2]: n for k, n in sorted(counts.items()) if k[0] == "rows" and ":" in k[1] and n}
    dropped = {fate: counts["events", fate] for fate in DROPPED}
    marks = {
        "read": counts["digest", "read"],
        "used": counts["event_digest", _USED],
        "dropped": sum(counts["event_digest", fate] for fate in DROPPED),
        "rejected": counts["digest", "rejected"],
    }
    rows = {"read": counts["rows", "read"], "used": counts["events", _USED], "rejected": counts["rows", "rejected"]}
    if counts["events", EXCLUDED]:
        rows[EXCLUDED], marks[EXCLUDED] = counts["events", EXCLUDED], counts["event_digest", EXCLUDED]
    return {
        "rows": rows,
        "dropped": dropped,
        "rejected_by_reason": rejected,
        "row_digests": {what: digests.as_text(mark) for what, mark in marks.items()},
    }


def tally_of(book: Mapping[str, Any]) -> Tally:
    """Returns a tally that `build` makes the same of, to count on from there."""
    tally: Tally = Counter()
    for file, entry in book["files"].items():
        rows, marks = entry["rows"], {what: int(text, 16) for what, text in entry["row_digests"].items()}
        for what in ("read", "rejected"):
            tally[file, "rows", what], tally[file, "digest", what] = rows[what], marks[what]
        for reason, count in entry["rejected_by_reason"].items():
            tally[file, "rows", f"rejected:{reason}"] = count
        for fate in (_USED, *([EXCLUDED] if EXCLUDED in rows else [])):
            tally[file, "events", fate], tally[file, "event_digest", fate] = rows[fate], marks[fate]
        for fate, count in entry["dropped"].items():
            tally[file, "events", fate] = count
        tally[file, "event_digest", DROPPED[0]] = marks["dropped"]  # only the sum of all of them is known
    for what, count in book["sequences"].items():
        tally["", "sequences", what] = count
    return tally


def alone(book: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ledger of a run that has made sequences of events and nothing of these: no row was read."""
    nothing = dict.fromkeys(("read", "written", "rejected"), 0)
    rows = {"rows": {**nothing, "rejected_by_reason": {}}, "row_digests": dict.fromkeys(nothing, digests.as_text(0))}
    return {**rows, "columns": {}, "files": {}, "skipped_files": book["skipped_files"], "events": book}


def imbalances(book: Mapping[str, Any]) -> list[str]:
    """Returns what does not add up, one line each, the file named; nothing for events that do."""
    faults = []
    for file, entry in [*book["files"].items(), ("all files", book)]:
        rows, dropped, left = entry["rows"], sum(entry["dropped"].values()), entry["rows"].get(EXCLUDED, 0)
        if rows["read"] != rows["used"] + dropped + rows["rejected"] + left:
            sides = f"{rows['read']} read, {rows['used']} used, {dropped} dropped, {rows['rejected']} rejected"
            sides += f", {left} excluded" if left else ""
            faults.append(f"{file}: events do not balance: {sides}")
        marks = {what: int(text, 16) for what, text in entry["row_digests"].items()}
        if (2 * marks["read"] - sum(marks.values())) % 2**64:
            faults.append(
                f"{file}: the events used, dropped and rejected are not those that were read (their digests differ)"
            )
    made = book["sequences"]
    if made["steps"] + made["targets"] != book["rows"]["used"] + made["used_again"]:
        sides = f"{made['steps']} steps, {made['targets']} targets, {made['used_again']} used again"
        faults.append(f"all files: {book['rows']['used']} events used do not balance: {sides}")
    return faults


def lines(book: Mapping[str, Any]) -> list[str]:
    """Returns what became of events, for people."""
    rows, made = book["rows"], book["sequences"]
    dropped = "".join(f", {n:,} dropped by {rule}" for rule, n in book["dropped"].items() if n)
    left = f", {rows['excluded']:,} excluded" if "excluded" in rows else ""
    again = f", {made['used_again']:,} used again" if made["used_again"] else ""
    targets = f" and {made['targets']:,} targets" if made["targets"] else ""
    long = f"; {made['too_long']:,} too long to be written" if made["too_long"] else ""
    return [
        f"events: {rows['read']:,} read, {rows['used']:,} used{again}{dropped}, {rows['rejected']:,} rejected{left}",
        f"sequences: {made['rows']:,}, of {made['steps']:,} steps{targets}{long}",
    ]
