"""The column that was probably meant, where one rejects most rows of its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from transforms.columns import TYPES, Column
from transforms.spec.spec import Spec

MOST: Final = 0.5
"""Share of the rows read that are rejected for one reason, from which on the column is thought to be wrong and not the rows."""

_IDENTITY: Final = "categorical_column_with_identity"


def meant(spec: Spec, reason: str, examples: Sequence[Mapping[str, Any]], rejected: int, read: int) -> str:
    """Returns what to declare instead of a column that rejects most rows for a reason; an empty string where nothing is known.

    Args:
      spec: the columns.
      reason: the reason.
      examples: some rows that were rejected for it.
      rejected: how many were.
      read: how many were read.
    """
    names = {row["column"] for row in examples}
    if rejected < MOST * read or len(names) != 1:
        return ""
    found = (_instead(part, reason) for column in spec.columns if column.name in names for part in _parts(column))
    return next(filter(None, found), "")


def _parts(column: Column) -> list[Column]:
    return [column, *column.parts]


def _instead(column: Column, reason: str) -> str:
    name = column.type_name
    if reason == "not_a_number" and name.endswith(_IDENTITY):
        start = name.removesuffix("identity")
        return f"if these are words: {start}vocabulary_list, ..._learned_vocabulary or ..._hash_bucket"
    if reason == "wrong_value_count" and f"sequence_{name}" in TYPES:
        shape = ", or as many in every row: shape: [N]" if "shape" in type(column).model_fields else ""
        return f"if these are the steps of a sequence: sequence_{name}{shape}"
    return ""
