"""Representations of columns and results: the call that makes them, and tables in a notebook."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import BaseModel

from transforms import escaping


def call(name: str, model: BaseModel, *leading: str) -> str:
    """Returns the call that makes a model, with the arguments that are not the default.

    Args:
      name: of what is called.
      model: its fields are the arguments.
      leading: those that are given by position, whatever they are.
    """
    said = [repr(getattr(model, field)) for field in leading]
    for field, info in type(model).model_fields.items():
        value = getattr(model, field)
        if field not in (*leading, "type") and (
            info.is_required() or value != info.get_default(call_default_factory=True)
        ):
            said.append(f"{field}={value!r}")
    return f"{name}({', '.join(said)})"


def table(heads: Sequence[str], rows: Iterable[Sequence[Any]], caption: str = "") -> str:
    """Returns an HTML table for a notebook: whole numbers with separators and to the right, everything escaped."""
    lines = ["<table>"]
    if caption:
        lines.append(f"<caption style='text-align:left'>{_escaped(caption)}</caption>")
    lines.append(f"<thead><tr>{''.join(f'<th>{_escaped(head)}</th>' for head in heads)}</tr></thead><tbody>")
    lines += [f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows]
    return "\n".join([*lines, "</tbody></table>"])


def _cell(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return f"<td style='text-align:right'>{value:,}</td>"
    return f"<td style='text-align:left'>{_escaped(value)}</td>"


def _escaped(value: Any) -> str:
    return html.escape(escaping.one_line(str(value)))
