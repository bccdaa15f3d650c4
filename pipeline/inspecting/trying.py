"""Candidates put to the test: the rows of the sample go through the same parsing and the same rules as in a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.inspecting.candidates import Candidate
from pipeline.inspecting.sample import Sample
from transforms.columns import Column
from transforms.parse import column_type_error, parse
from transforms.ragged import Ragged
from transforms.rejection import Fault

TOLERATED: Final = 0.01
"""Share of rows that a column may reject and still be drafted: what is wrong there are the rows."""


@dataclass
class Tried:
    """A column, and what it makes of the sample.

    Attributes:
      column: the column.
      why: see `Candidate`.
      bad: bool `[rows]`, the rows that it rejects.
      steps: int64 `[rows]`, their steps; None for a context column.
      first: the first fault, as text; empty without any.
    """

    column: Column
    why: tuple[str, ...]
    bad: np.ndarray
    steps: np.ndarray | None
    first: str = ""

    @property
    def share(self) -> float:
        """Share of the rows that it rejects."""
        return float(self.bad.mean()) if len(self.bad) else 0.0


def best(found: Iterable[Candidate], sample: Sample) -> tuple[Tried | None, str]:
    """Returns the first candidate that rejects no row, else the one that rejects fewest and few; and why there is none."""
    tried: list[Tried] = []
    why = ""
    for candidate in found:
        why = _why_not(candidate.column, sample.schemas)
        if why:
            continue
        tried.append(_tried(candidate, sample))
        if not tried[-1].bad.any():
            return tried[-1], ""
    made = min(tried, key=lambda one: one.share, default=None)
    if made is None or made.share <= TOLERATED:
        return made, why
    return None, f"a {made.column.type_name} would reject {int(made.bad.sum()):,} rows, {made.first}"


def _why_not(column: Column, schemas: Mapping[str, Mapping[str, pa.DataType]]) -> str:
    """Returns why the schema of a file does not take the column, or an empty string."""
    for path, schema in schemas.items():
        for key, form in column.features.items():
            why = column_type_error(schema[key], form) if key in schema else "there is no such feature"
            if why:
                return f"{path}: {why}"
    return ""


def _tried(candidate: Candidate, sample: Sample) -> Tried:
    column, key = candidate.column, candidate.column.key
    form = column.features[key]
    bad, steps = [], []
    first = ""
    for batch in sample.batches:
        stored = batch.column(key) if key in batch.schema.names else pa.nulls(batch.num_rows)
        parsed = parse(stored, form)
        checked = column.check({key: Ragged.of(parsed.array)})
        faults: list[Fault] = [*parsed.faults, *checked.faults]
        flags = np.zeros(batch.num_rows, bool)
        for fault in faults:
            flags[fault.rows] = True
            first = first or (f"{fault.reason}: {fault.values[0]} - {fault.message}" if len(fault.rows) else "")
        bad.append(flags)
        steps.append(np.zeros(batch.num_rows, np.int64) if checked.steps is None else checked.steps)
    joined = np.concatenate([np.zeros(0, np.int64), *steps]) if column.is_sequence else None
    return Tried(column, candidate.why, np.concatenate([np.zeros(0, bool), *bad]), joined, first)
