"""The ledger: every row and every value accounted for, per file and per column; and whether it balances."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, Final

from pipeline.dataset.splits import Splits
from transforms.columns import Column
from transforms.rows import digests
from transforms.rows.tally import COLUMN_COUNTS, Tally
from transforms.spec.spec import Spec
from transforms.splits.assign import NO_SPLIT


def build(tally: Tally, spec: Spec, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    """Returns the ledger as it is written to `ledger.json`.

    Rows are counted three times, by the reader (read), by the rules (rejected) and by the sink (written); values by the parser
    (values), the rules (truncated, rejected, completed) and from the lengths that the sink wrote (kept).

    Args:
      tally: everything counted in the pass that wrote.
      spec: the columns.
      sizes: T of every sequence group.

    Returns:
      `rows`, `row_digests` (see `transforms.rows.digests`), `columns`, and the same under `files` for every file.
    """
    by_file: dict[str, Tally] = defaultdict(Counter)
    for key, count in tally.items():
        if key[1] in ("rows", "digest", "column", "group"):
            by_file[key[0]][key[1:]] += count
    files = {file: _of_file(counts, spec, sizes) for file, counts in sorted(by_file.items())}
    total: Tally = Counter()
    for counts in by_file.values():
        total.update(counts)
    return {**_one(total, spec, sizes), "files": files}


def _of_file(counts: Tally, spec: Spec, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    made = _one(counts, spec, sizes)
    content = counts["digest", "content"]
    return {**made, "content_digest": digests.as_text(content)} if content else made


def together(first: Mapping[str, Any], further: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the ledger of two runs that have read different files."""
    made = {**_sum([first, further]), "files": {**first["files"], **further["files"]}}
    made["skipped_files"] = [*first.get("skipped_files", []), *further.get("skipped_files", [])]
    splits = {name: own for name, own in splits_of(first)}
    for name, own in splits_of(further):
        splits[name] = together(splits[name], own) if name in splits else dict(own)
    return {**made, "splits": splits} if splits else made


def of_files(ledger: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Returns the ledger of some of its files."""
    files = {name: own for name, own in ledger["files"].items() if name in names}
    nothing = {**ledger, "rows": {**_NO_ROWS, "rejected_by_reason": {}}, "row_digests": _NO_DIGESTS}
    nothing["columns"] = {name: dict.fromkeys(counts, 0) for name, counts in ledger["columns"].items()}
    made = {**_sum([nothing, *files.values()]), "files": files}
    splits = {name: of_files(own, names) for name, own in splits_of(ledger)}
    return {**made, "splits": splits} if splits else made


_NO_ROWS: Final = {"read": 0, "written": 0, "rejected": 0}
_NO_DIGESTS: Final = dict.fromkeys(("read", "written", "rejected"), digests.as_text(0))


def _sum(parts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    rows: dict[str, Any] = {what: sum(part["rows"][what] for part in parts) for what in _NO_ROWS}
    reasons: Counter[str] = Counter()
    for part in parts:
        reasons.update(part["rows"]["rejected_by_reason"])
    rows["rejected_by_reason"] = dict(sorted(reasons.items()))
    marks = {what: digests.as_text(sum(int(part["row_digests"][what], 16) for part in parts)) for what in _NO_ROWS}
    columns = {
        name: {what: sum(part["columns"][name].get(what, 0) for part in parts) for what in counts}
        for name, counts in parts[0]["columns"].items()
    }
    return {"rows": rows, "row_digests": marks, "columns": columns}


def of_run(tally: Tally, spec: Spec, sizes: Mapping[str, int | None], splits: Splits) -> dict[str, Any]:
    """Returns the ledger of a run; if it has splits, with the ledger of each under `splits`, by name."""
    whole = build(splits.whole(tally), spec, sizes)
    if not splits:
        return whole
    return {**whole, "splits": {name: build(own, spec, sizes) for name, own in splits.parts(tally).items()}}


NEVER_PARSED: Final = ("bad_record", NO_SPLIT)
"""The reasons of rows that were rejected before anybody looked at the features of the columns."""


def parsed_rows(ledger: Mapping[str, Any]) -> int:
    """Returns how many rows, of all files or of one, the features of the columns were looked for in."""
    rows = ledger["rows"]
    return int(rows["read"]) - sum(rows["rejected_by_reason"].get(reason, 0) for reason in NEVER_PARSED)


def splits_of(ledger: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """Returns the name and the ledger of every split; empty if there are none."""
    found: Mapping[str, Mapping[str, Any]] = ledger.get("splits", {})
    return found.items()


def _one(counts: Tally, spec: Spec, sizes: Mapping[str, int | None]) -> dict[str, Any]:
    rows = {what: counts["rows", what] for what in ("read", "written", "rejected")}
    reasons = {k[1].partition(":")[2]: n for k, n in sorted(counts.items()) if k[0] == "rows" and ":" in k[1] and n}
    marks = {what: digests.as_text(counts["digest", what]) for what in ("read", "written", "rejected")}
    columns = {
        column.name: _column(column, counts, rows["written"], sizes, spec.bucketed_group) for column in spec.columns
    }
    return {"rows": {**rows, "rejected_by_reason": reasons}, "row_digests": marks, "columns": columns}


def _column(
    column: Column, counts: Tally, written: int, sizes: Mapping[str, int | None], bucketed: str | None
) -> dict[str, int]:
    made = {what: counts["column", column.name, what] for what in COLUMN_COUNTS}
    if column.sequence_group is not None:
        steps = counts["group", column.sequence_group, "steps"]
        places = written * (sizes.get(column.sequence_group) or 0)
        if column.sequence_group == bucketed:  # each row has the T of its bucket
            places = counts["group", column.sequence_group, "places"]
    else:
        steps = places = written
    kept = steps * column.step_width - made["completed"]
    padded = (places - steps) * column.step_width
    return {"values": made["values"], "kept": kept, "padded": padded, **made}


def imbalances(ledger: Mapping[str, Any]) -> list[str]:
    """Returns what does not add up, one line each, the file named; nothing for a ledger that balances."""
    faults = []
    for name, own in splits_of(ledger):
        faults += [f"split {name!r}: {fault}" for fault in imbalances(own)]
    faults += _between_splits(ledger) if "splits" in ledger else []
    for file, entry in [*ledger["files"].items(), ("all files", ledger)]:
        rows = entry["rows"]
        if rows["read"] != rows["written"] + rows["rejected"]:
            sides = f"{rows['read']} read, {rows['written']} written, {rows['rejected']} rejected"
            faults.append(f"{file}: rows do not balance: {sides}")
        read, written, rejected = (int(entry["row_digests"][what], 16) for what in ("read", "written", "rejected"))
        if (read - written - rejected) % 2**64:
            faults.append(f"{file}: the rows written and rejected are not those that were read (their digests differ)")
        for name, c in entry["columns"].items():
            if c["values"] != c["kept"] + c["truncated"] + c["rejected"]:
                sides = f"{c['values']} in, {c['kept']} kept, {c['truncated']} truncated, {c['rejected']} rejected"
                faults.append(f"{file}: values of column {name!r} do not balance: {sides}")
    return faults


def _between_splits(ledger: Mapping[str, Any]) -> list[str]:
    """Returns the faults if rows are in no split, or in two. Rows that are in no split must have been rejected before."""
    parts = [own for _, own in splits_of(ledger)]
    left = {
        what: ledger["rows"][what] - sum(own["rows"][what] for own in parts) for what in ("read", "written", "rejected")
    }
    marks = {
        what: (int(ledger["row_digests"][what], 16) - sum(int(own["row_digests"][what], 16) for own in parts)) % 2**64
        for what in ("read", "written", "rejected")
    }
    if left["written"] or left["read"] != left["rejected"]:
        return [
            f"splits do not add up: {left['read']} rows read, {left['written']} written, {left['rejected']} rejected in none"
        ]
    if marks["written"] or marks["read"] != marks["rejected"]:
        return ["splits do not add up: the rows in them are not those that were read (their digests differ)"]
    return []


def changed(first: Tally, second: Tally, among: Collection[str] | None = None) -> list[str]:
    """Returns the files that two passes did not read alike.

    Args:
      first: the counts of one of them, or those from a cache.
      second: the counts of the other one.
      among: the files that both are about; None for all.
    """
    one, other = _as_read(first), _as_read(second)
    differing = {key[0] for key in one.keys() | other.keys() if one.get(key, 0) != other.get(key, 0)}
    return sorted(differing if among is None else differing.intersection(among))


def _as_read(tally: Tally) -> dict[tuple[Any, ...], int]:
    """Returns what the reader and the parser counted; a row that a normalizer spoils is rejected by the last pass alone."""
    parsed, read = ("values", "present", "nulls"), (("rows", "read"), ("digest", "read"))
    # Digests are sums modulo 2^64 of batches, which may be cut otherwise.
    return {
        key: n % 2**64 if key[1] == "digest" else n
        for key, n in tally.items()
        if (key[1] == "column" and key[-1] in parsed) or key[1:] in read
    }
