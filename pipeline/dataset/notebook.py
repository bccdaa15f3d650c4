"""Results as Python and notebooks show them: one line, and tables."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final

from transforms.reprs import table
from transforms.rows.fates import fates
from transforms.rows.reasons import REASONS

COLUMN_HEADS: Final = ("values", "kept", "truncated", "rejected", "padded", "replaced", "filled")
"""The counts of a column that are shown."""


class Ledger(dict[str, Any]):
    """The content of `ledger.json` (see `pipeline.dataset.ledger`), with a short repr and tables for notebooks."""

    def __repr__(self) -> str:
        """Rows, columns and files."""
        if not self:
            return "Ledger()"
        return f"Ledger({rows_of(self)}; {len(self['columns']):,} columns, {len(self.get('files', {})):,} files)"

    def _repr_html_(self) -> str:
        """Tables for notebooks: rows, rejected rows by reason, columns."""
        if not self:
            return "<p>an empty ledger: the run did not come so far</p>"
        made = table(("column", *COLUMN_HEADS), columns_of(self), rows_of(self))
        reasons = self["rows"]["rejected_by_reason"]
        if not reasons:
            return made
        return made + table(("reason", "rows", "what it means"), [(r, n, REASONS[r]) for r, n in reasons.items()])


def rows_of(ledger: Mapping[str, Any]) -> str:
    """Returns the rows of a ledger as a line."""
    rows = fates(ledger["rows"])
    left = f", {rows['dropped']:,} dropped" if rows["dropped"] else ""
    return f"{rows['read']:,} rows read, {rows['written']:,} written, {rows['rejected']:,} rejected{left}"


def columns_of(ledger: Mapping[str, Any]) -> list[tuple[Any, ...]]:
    """Returns a line for each column: its name, and its counts as `COLUMN_HEADS` names them."""
    return [(name, *(counts[head] for head in COLUMN_HEADS)) for name, counts in ledger["columns"].items()]


def outcome_html(status: str, message: str, output: str, ledger: Ledger, examples: Mapping[str, Sequence[Any]]) -> str:
    """Returns what a notebook shows of a run: how it ended, its ledger, and the first rejected rows of every reason."""
    heads = ("reason", "file", "row", "column", "value", "message")
    first = [
        (reason, os.path.basename(row["file"]), *(row[head] for head in heads[2:]))
        for reason, rows in examples.items()
        for row in rows
    ]
    made = table(("status", "message", "output"), [(status, message, output)]) + ledger._repr_html_()
    return made + (table(heads, first, "rejected rows, the first of every reason") if first else "")
