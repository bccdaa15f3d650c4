"""The fates of rows as people are told of them: dropped rows, which a ledger has among the rejected, told apart from these."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from transforms.rows.reasons import DROPPED

Value = TypeVar("Value")


def fates(rows: Mapping[str, Any]) -> dict[str, int]:
    """Returns the rows of a ledger as people are told of them: those that the columns drop are none of the rejected.

    >>> fates({"read": 9, "written": 3, "rejected": 6, "rejected_by_reason": {"dropped_short": 4, "missing": 2}})
    {'read': 9, 'written': 3, 'rejected': 2, 'dropped': 4}
    """
    left = dropped(rows)
    return {"read": rows["read"], "written": rows["written"], "rejected": rows["rejected"] - left, "dropped": left}


def dropped(rows: Mapping[str, Any]) -> int:
    """Returns how many of the rows that a ledger has as rejected are left out because the columns drop them; 0 of events."""
    return sum(rows.get("rejected_by_reason", {}).get(reason, 0) for reason in DROPPED)


def faulty(by_reason: Mapping[str, Value]) -> dict[str, Value]:
    """Returns what is known by reason, without the reasons for which rows are dropped: these are no faults."""
    return {reason: known for reason, known in by_reason.items() if reason not in DROPPED}


def told(rows: Mapping[str, Any], wrote: str = "written") -> str:
    """Returns what became of the rows of a ledger, as a line.

    >>> told({"read": 9, "written": 3, "rejected": 6, "rejected_by_reason": {"dropped_short": 4, "missing": 2}})
    '9 read, 3 written, 2 rejected (22.22%), 4 dropped'
    """
    counts = fates(rows)
    share = f" ({counts['rejected'] / counts['read']:.2%})" if counts["read"] else ""
    left = f", {counts['dropped']:,} dropped" if counts["dropped"] else ""
    return f"{counts['read']:,} read, {counts['written']:,} {wrote}, {counts['rejected']:,} rejected{share}{left}"
