"""Candidates put to the test: the rows of the sample go through the same parsing and the same rules as in a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.inspect.candidates import Candidate
from pipeline.inspect.sample import Sample
from pipeline.sources.formats import source_for
from transforms.columns import Column
from transforms.parse.parse import column_type_error, parse
from transforms.rows import paths
from transforms.rows.ragged import Ragged
from transforms.rows.rejection import Fault

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
            kind = paths.kind_of(schema, key)
            why = "there is no such feature" if kind is None else column_type_error(kind, form)
            if why and source_for(path).has_rows(path):
                return f"{path}: {why}"
    return ""


def _tried(candidate: Candidate, sample: Sample) -> Tried:
    column, key = candidate.column, candidate.column.key
    bad, steps = [np.zeros(0, bool)], [np.zeros(0, np.int64)]
    first = ""
    for batch in sample.batches:
        stored = batch.column(key) if key in batch.schema.names else pa.nulls(batch.num_rows)
        parsed = parse(stored, column.features[key])
        good = np.ones(batch.num_rows, bool)
        first = first or _first(parsed.faults)
        _refuse(good, parsed.faults)
        accepted = np.flatnonzero(good)  # as in a run, the rules are for rows that could be parsed
        checked = column.check({key: Ragged.of(parsed.array.take(pa.array(accepted)))})
        first = first or _first(checked.faults)
        _refuse(good, checked.faults, accepted)
        bad.append(~good)
        steps.append(np.zeros(batch.num_rows, np.int64))
        if checked.steps is not None:
            steps[-1][accepted] = checked.steps
    return Tried(
        column, candidate.why, np.concatenate(bad), np.concatenate(steps) if column.is_sequence else None, first
    )


def _refuse(good: np.ndarray, faults: Sequence[Fault], positions: np.ndarray | None = None) -> None:
    """Takes the rows of faults out of the good ones; they are at some positions, where these are given."""
    for fault in faults:
        good[fault.rows if positions is None else positions[fault.rows]] = False


def _first(faults: Sequence[Fault]) -> str:
    """Returns one fault as text, or an empty string."""
    fault = next((fault for fault in faults if len(fault.rows)), None)
    return f"{fault.reason}: {fault.values[0]} - {fault.message}" if fault else ""
