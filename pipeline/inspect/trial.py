"""Candidates put to the test: the rows of the sample go through the same parsing and the same rules as in a run."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspect.candidates import Candidate
from pipeline.inspect.sample import Sample
from pipeline.sources.formats import source_for
from transforms import escaping
from transforms.columns import Column
from transforms.parse.parse import column_type_error, parse
from transforms.rows import paths
from transforms.rows.ragged import Ragged
from transforms.rows.rejection import Fault

TOLERATED: Final = 0.01
"""Share of rows that a column may reject and still be drafted: what is wrong there are the rows."""

ENOUGH_RISES: Final = 10
"""Steps at which values rise, and none at which they fall, that show that they are in order: chance is one in a thousand."""


@dataclass
class Tried:
    """A column, and what it makes of the sample.

    Attributes:
      column: the column.
      why: see `Candidate`.
      bad: bool `[rows]`, the rows that it rejects.
      steps: int64 `[rows]`, their steps; None for a context column.
      first: the first fault, as text; empty without any.
      ascends: whether the values of no row fall from one step to the next, and often enough rise.
      are_times: whether the values are times, as far as their type or the feature's name says.
    """

    column: Column
    why: tuple[str, ...]
    bad: np.ndarray
    steps: np.ndarray | None
    first: str = ""
    ascends: bool = False
    are_times: bool = False

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
    order: Counter[str] = Counter()
    for batch in sample.batches:
        stored = batch.column(key) if key in batch.schema.names else pa.nulls(batch.num_rows)
        parsed = parse(stored, column.features[key])
        good = np.ones(batch.num_rows, bool)
        first = first or _first(parsed.faults)
        _refuse(good, parsed.faults)
        accepted = np.flatnonzero(good)  # as in a run, the rules are for rows that could be parsed
        taken = parsed.array.take(pa.array(accepted))
        order += _order(taken) if column.is_sequence else {}
        checked = column.check({key: Ragged.of(taken)})
        first = first or _first(checked.faults)
        _refuse(good, checked.faults, accepted)
        bad.append(~good)
        steps.append(np.zeros(batch.num_rows, np.int64))
        if checked.steps is not None:
            steps[-1][accepted] = checked.steps
    made = Tried(
        column, candidate.why, np.concatenate(bad), np.concatenate(steps) if column.is_sequence else None, first
    )
    made.ascends = not order["falls"] and order["rises"] >= ENOUGH_RISES
    return made


def _order(lists: pa.Array) -> Counter[str]:
    """Returns how often a value is larger than the one before it in its row, and how often smaller; nothing of lists in lists."""
    values = lists.flatten()
    if pa.types.is_nested(values.type) or len(values) < 2:
        return Counter()
    rows = lists.value_parent_indices().to_numpy()
    same = pa.array(rows[1:] == rows[:-1])
    before, after = values[:-1], values[1:]
    found = {"rises": pc.greater(after, before), "falls": pc.less(after, before)}
    return Counter({what: pc.sum(pc.and_(same, pairs)).as_py() or 0 for what, pairs in found.items()})


def _refuse(good: np.ndarray, faults: Sequence[Fault], positions: np.ndarray | None = None) -> None:
    """Takes the rows of faults out of the good ones; they are at some positions, where these are given."""
    for fault in faults:
        good[fault.rows if positions is None else positions[fault.rows]] = False


def _first(faults: Sequence[Fault]) -> str:
    """Returns one fault as text, or an empty string."""
    fault = next((fault for fault in faults if len(fault.rows)), None)
    return f"{fault.reason}: {escaping.value(fault.values[0])} - {fault.message}" if fault else ""
