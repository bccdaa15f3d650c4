"""Counts of a column's values by what happens to them: truncated, rejected, replaced, filled, completed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa

from transforms import dtypes
from transforms.columns import Column
from transforms.columns.numeric_base import numeric_of
from transforms.columns.results import Checked
from transforms.parse.parse import Parsed
from transforms.parse.rounding import LOOKED_AT, rounded
from transforms.rows import origin
from transforms.rows.numbers import numbers_of
from transforms.rows.ragged import Ragged
from transforms.rows.tally import Tally
from transforms.spec.spec import Spec

ROUNDED: Final = "rounded"
"""Second part of a tally's keys of what rounding makes equal."""


def count_values(
    column: Column, spec: Spec, values: Ragged, checked: Checked, good: np.ndarray, cut: dict[str, int] | None = None
) -> dict[str, int]:
    """Counts the values of a batch for the ledger.

    Args:
      column: the column.
      spec: all columns and groups.
      values: its canonical values.
      checked: the result of its rules.
      good: bool `[rows]`, the rows that are accepted.
      cut: where all are, the steps that are cut off in each sequence group, of those that are known; others are added.

    Returns:
      `rejected`, `truncated`, `completed`, and the flags of `checked` counted over kept values of accepted rows.
    """
    group = column.sequence_group or ""
    if cut is not None and checked.completed is None and checked.empty_places is None and not checked.flags:
        # An ordinary batch: the values of each row fill its steps, and there is nothing to look for row by row.
        if group not in cut:
            steps = _steps_cut(column, spec, checked)
            cut[group] = 0 if steps is None else int(steps.sum())
        return {"rejected": 0, "truncated": cut[group] * column.step_width, "completed": 0}
    steps = _steps_cut(column, spec, checked)
    starts, ends = values.splits[:-1], values.splits[1:]
    completed = checked.completed if checked.completed is not None else np.zeros(len(good), np.int64)
    if steps is not None:
        assert column.sequence_group is not None and checked.steps is not None
        if spec.group(column.sequence_group).truncate == "tail":
            starts = starts + steps * column.step_width
        else:
            ends = np.minimum(ends, starts + (checked.steps - steps) * column.step_width)
            # An incomplete step is the last one: cut off with the rest, it is not completed.
            completed = np.where(steps > 0, 0, completed)
    held = held_values(values, checked)
    empty = checked.empty_places
    kept = (ends - starts) - (_between(empty, starts, ends) if empty is not None else 0)
    counts = {
        "rejected": int(held[~good].sum()),
        "truncated": int((held - kept)[good].sum()),
        "completed": int((completed + (ends - starts) - kept)[good].sum()),
    }
    for name, flags in checked.flags.items():
        counts[name] = int(_between(flags, starts, ends)[good].sum())
    return counts


def _steps_cut(column: Column, spec: Spec, checked: Checked) -> np.ndarray | None:
    """Returns how many steps of each row are cut off, int64 `[rows]`; None where none can be."""
    if column.sequence_group is None or checked.steps is None:
        return None
    size = spec.group(column.sequence_group).fixed_length
    return np.maximum(checked.steps - size, 0) if size is not None else None


def count_cut(batch: pa.RecordBatch, arrays: Mapping[str, np.ndarray], spec: Spec) -> Tally:
    """Counts the values of rows again that are longer than a T that other data decided, because validation did not know T.

    Args:
      batch: validated rows.
      arrays: their dense features.
      spec: the columns.

    Returns:
      The counts to add to those of validation; empty if no row is longer.
    """
    made = Tally()
    lengths = {o.source: arrays[o.name].shape[1] for o in spec.outputs() if o.sequence and o.name in arrays}
    sizes = {
        name: next((lengths[one] for one in (name, *(c.name for c in spec.members(name))) if one in lengths), None)
        for name in spec.longest_groups
    }
    views = {key: Ragged.of(batch.column(key)) for key in spec.features} if sizes else {}
    everyone = np.ones(batch.num_rows, bool)
    for name, size in sizes.items():
        checked = {column.name: column.check(views) for column in spec.members(name)} if size is not None else {}
        steps = next(iter(checked.values())).steps if checked else None
        if steps is None or not len(steps) or steps.max() <= size:
            continue
        groups = {**spec.sequence_groups, name: spec.group(name).model_copy(update={"max_length": size})}
        fixed = spec.model_copy(update={"sequence_groups": groups})
        for column in spec.members(name):
            counted = [
                count_values(column, one, views[column.key], checked[column.name], everyone) for one in (spec, fixed)
            ]
            for what in counted[1]:
                made[origin.file_of(batch), "column", column.name, what] = counted[1][what] - counted[0].get(what, 0)
    return made


def count_rounded(column: Column, parsed: Parsed) -> Tally:
    """Counts which values of a column of numbers rounding makes equal.

    Returns:
      By stage: what parsing did (`parsed`), and what `float32` and `float64` would make of parsed values.
    """
    numeric, made = numeric_of(column), Tally()
    if numeric is None:
        return made
    found = {"parsed": parsed.rounded} if parsed.rounded else {}
    kind = dtypes.parsed(numeric.dtype)
    if kind != "float32":
        values = numbers_of(Ragged.of(parsed.array.slice(0, LOOKED_AT)).values.slice(0, LOOKED_AT))
        narrower = ("float32",) if kind == "float64" else ("float32", "float64")
        with np.errstate(over="ignore"):
            found |= {name: rounded(values, values.astype(name)) for name in narrower}
    for stage, one in found.items():
        for what in ("different", "left", "whole"):
            made["", ROUNDED, column.name, stage, what] += getattr(one, what)
    return +made


def held_values(values: Ragged, checked: Checked) -> np.ndarray:
    """Returns how many values each row holds, int64 `[rows]`: the markers of none are no values."""
    if checked.empty_places is None:
        return values.lengths
    return values.lengths - _between(checked.empty_places, values.splits[:-1], values.splits[1:])


def _between(flags: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns how many flags are set in each range."""
    running = np.zeros(len(flags) + 1, np.int64)
    np.cumsum(flags, out=running[1:])
    return running[ends] - running[starts]
