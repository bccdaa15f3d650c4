"""Single rows between stages: they carry the last stage that they passed, so that no stage repeats the work of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import apache_beam as beam


class StagedRow(dict[str, Any]):
    """A dict row that a stage put out: its lists are canonical, so that the next stage need not parse it again.

    Attributes:
      stage: the last stage that it has passed. A copy by `{**row}` is a plain dict, and is parsed again.
    """

    stage: bytes = b""


class _ParsedRow(beam.Row):
    """As `StagedRow`, for rows with a schema. The class says the stage: the fields of a Row are its attributes."""

    stage = b"parsed"

    def __reduce__(self) -> tuple[Any, ...]:
        return staged_row, (self.stage, self.as_dict())


class _ValidatedRow(_ParsedRow):
    stage = b"validated"


def staged_row(stage: bytes, values: Mapping[str, Any]) -> beam.Row:
    """Returns a row with a schema that a stage puts out."""
    kind = {b"parsed": _ParsedRow, b"validated": _ValidatedRow}.get(stage, beam.Row)
    return kind(**values)


def staged_dict(stage: bytes, values: Mapping[str, Any]) -> StagedRow:
    """Returns a dict row that a stage puts out."""
    row = StagedRow(values)
    row.stage = stage
    return row


def stage_and_kind(row: Any) -> tuple[bytes, bool]:
    """Returns the last stage that a row has passed, and whether it is a dict."""
    staged = isinstance(row, StagedRow | _ParsedRow)
    return (row.stage if staged else b"", isinstance(row, Mapping))
