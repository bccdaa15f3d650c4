"""The ledger of a data set that a further run has added rows to: its rejected rows, read again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from transforms.rows.digests import as_text
from transforms.rows.tally import Tally, add, by_split

AGAIN = "again"
"""In a tally, `(file, AGAIN, column, what)`: what the first run had counted already, before it rejected the row."""

_COUNTED_ONCE = ("present", "nulls")


def merged(first: Mapping[str, Any], further: Mapping[str, Any], tally: Tally) -> dict[str, Any]:
    """Returns the ledger of the whole.

    A row that was rejected is written now, or rejected again: what the first run counted of it as rejected is replaced by what
    the further one counted of it.

    Args:
      first: the ledger of the data set as it was.
      further: the ledger of the run that has read its rejected rows.
      tally: the counts of that run.
    """
    parts = by_split(tally)
    whole: Tally = Counter()
    for part in parts.values():
        add(whole, part)
    made = _merged(first, further, whole)
    if "splits" in first:
        made["splits"] = {
            name: _merged(own, further["splits"][name], parts.get(name, Counter()))
            for name, own in first["splits"].items()
        }
    return made


def _merged(first: Mapping[str, Any], further: Mapping[str, Any], tally: Tally) -> dict[str, Any]:
    files = {}
    for name in sorted({*first["files"], *further["files"]}):
        again = {key[2:]: n for key, n in tally.items() if key[:2] == (name, AGAIN)}
        own, added = first["files"].get(name), further["files"].get(name)
        files[name] = _one(own, added, again) if own else dict(added)  # no row of the file was in the split before
    total: dict[tuple[str, str], int] = {}
    for key, n in tally.items():
        if key[1] == AGAIN:
            total[key[2:]] = total.get(key[2:], 0) + n
    return {**first, **_one(first, further, total), "files": files}


def _one(first: Mapping[str, Any], further: Mapping[str, Any] | None, again: Mapping[Any, int]) -> dict[str, Any]:
    if further is None:  # no row of the file was rejected
        return dict(first)
    rows, own = first["rows"], further["rows"]
    marks = {what: int(first["row_digests"][what], 16) for what in ("read", "written", "rejected")}
    added = {what: int(further["row_digests"][what], 16) for what in ("read", "written")}
    return {
        **first,  # of a file: the digest of its content, which is still what the first run read
        "rows": {
            # In a split: a row whose record was mended may belong to another one now.
            "read": rows["read"] - rows["rejected"] + own["read"],
            "written": rows["written"] + own["written"],
            "rejected": own["rejected"],
            "rejected_by_reason": own["rejected_by_reason"],
        },
        "row_digests": {
            "read": as_text(marks["read"] - marks["rejected"] + added["read"]),
            "written": as_text(marks["written"] + added["written"]),
            "rejected": further["row_digests"]["rejected"],
        },
        "columns": {
            name: _column(name, first["columns"][name], further["columns"][name], again) for name in first["columns"]
        },
    }


def _column(
    name: str, first: Mapping[str, int], further: Mapping[str, int], again: Mapping[Any, int]
) -> dict[str, int]:
    made = {what: first.get(what, 0) + count for what, count in further.items()}
    made["values"] = first["values"] - first["rejected"] + further["values"]
    made["rejected"] = further["rejected"]
    for what in _COUNTED_ONCE:
        made[what] -= again.get((name, what), 0)
    return made


def differences(first: Mapping[str, Any], further: Mapping[str, Any]) -> list[str]:
    """Returns what shows that other rows were read than the first run had rejected, one line each."""
    faults = [f"{name}: is no file of this data set" for name in further["files"] if name not in first["files"]]
    for name, entry in first["files"].items():
        own = further["files"].get(name)
        read = own["rows"]["read"] if own else 0
        digest = own["row_digests"]["read"] if own else as_text(0)
        if (read, digest) != (entry["rows"]["rejected"], entry["row_digests"]["rejected"]):
            faults.append(f"{name}: the rows in rejected/ are not those that were rejected ({read} read)")
    return faults
