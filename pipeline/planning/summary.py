"""The summary printed for a plan."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from rich.filesize import decimal

from pipeline.dataset import events_ledger
from pipeline.planning.plan import Planned
from pipeline.text_table import table
from transforms import escaping
from transforms.rows.fates import fates

BAR: Final = 40
"""Characters of the longest bar."""


def lines(planned: Planned) -> list[str]:
    """Returns a part for every sequence group: its lengths, what T costs, and the T that is proposed."""
    parts = [[f"note: {note}" for note in planned.notes]] if planned.notes else []
    if planned.events is not None:
        parts.append(_events(planned.events))
    if planned.outcome is not None and planned.outcome.ledger:
        rows = fates(planned.outcome.ledger["rows"])
        why = "; seqcols check tells why" if rows["rejected"] else ""
        left = f" and {rows['dropped']:,} dropped" if rows["dropped"] else ""
        counts = f"{rows['read']:,} read, {rows['rejected']:,} rejected{left}"
        parts.append([f"rows: {counts}, whose lengths do not count{why}"])
    for name, group in planned.groups.items():
        parts += _group(name, group, planned.budget)
    return [escaping.one_line(line) for part in parts for line in ("", *part)][1:]


def _events(found: Mapping[str, Any]) -> list[str]:
    """Returns what becomes of events, and what making sequences of them takes."""
    partitions, disk = found["partitions"], decimal(found["disk_bytes"])
    each = found["sequences"]["rows"] / partitions
    what = f"{partitions:,} partition{'s' * (partitions != 1)}, of {each:,.0f} sequences on average"
    return [*events_ledger.lines(found), f"grouping: {what}; about {disk} of disk meanwhile"]


def _group(name: str, group: Mapping[str, Any], budget: float) -> list[list[str]]:
    shown = escaping.value(name)
    if not group["rows"]:
        return [[f"sequence group {shown!r}: no rows"]]
    counts = f"{group['rows']:,} rows, {group['steps']:,} steps"
    about = f"mean {group['steps'] / group['rows']:.1f}, longest {group['longest']:,}"
    head = f"sequence group {shown!r}: {counts} ({about}); {group['step_bytes']:,} bytes a step"
    proposed = group["proposed"]
    what = f"loses at most {budget:.2%} of the steps"
    buckets = f"bucket_by_length: {proposed['bucket_by_length']}"
    end = f"proposed: max_length: {proposed['max_length']} ({what}), {buckets}"
    return [[head], _bars(group["histogram"]), _fixed(group), _buckets(group), [end]]


def _bars(histogram: list[list[int]]) -> list[str]:
    """Returns the rows of each octave of lengths: 0, 1, 2 to 3, 4 to 7."""
    octaves: dict[int, int] = {}
    for start, _, rows in histogram:
        octaves[start.bit_length()] = octaves.get(start.bit_length(), 0) + rows
    most = max(octaves.values())
    made: list[tuple[str, ...]] = [("steps", "rows")]
    for octave in range(min(octaves), max(octaves) + 1):
        low, high = (1 << octave) >> 1, (1 << octave) - 1
        made.append((f"{low:,}" if low >= high else f"{low:,}-{high:,}", f"{octaves.get(octave, 0):,}"))
    bars = [octaves.get(octave, 0) for octave in range(min(octaves), max(octaves) + 1)]
    text = table(made)
    return [
        text[0],
        *(f"{line}  {'#' * -(-BAR * rows // most)}".rstrip() for line, rows in zip(text[1:], bars, strict=True)),
    ]


def _heads(group: Mapping[str, Any]) -> tuple[str, ...]:
    cut = ("lost steps", "rejected rows") if group["truncate"] == "reject" else ("cut steps", "cut rows")
    return ("padding", *cut, "bytes a row", "all rows")


def _cells(one: Mapping[str, Any]) -> tuple[str, ...]:
    shares = (f"{one[what]:.2%}" for what in ("padding", "truncated_steps", "truncated_rows"))
    return (*shares, f"{round(one['bytes_per_row']):,}", decimal(one["bytes"]))


def _fixed(group: Mapping[str, Any]) -> list[str]:
    most = max(len(one["in_buckets"]["T"]) for one in group["fixed"])
    made = [("T", *_heads(group), f"in {most} bucket{'s' * (most > 1)}: padding", "all rows")]
    for one in group["fixed"]:
        names = f" ({', '.join(one['is'])})" if one["is"] else ""
        other = one["in_buckets"]
        made.append((f"{one['T']:,}{names}", *_cells(one), f"{other['padding']:.2%}", decimal(other["bytes"])))
    return table(made)


def _buckets(group: Mapping[str, Any]) -> list[str]:
    made = [("T of each length bucket", *_heads(group))]
    made += [(", ".join(f"{size:,}" for size in one["T"]), *_cells(one)) for one in group["buckets"]]
    return table(made)
