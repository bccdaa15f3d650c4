"""What happens to a column's values, in figures: cut off, rejected, replaced, filled, made up."""

from __future__ import annotations

import numpy as np

from transforms.columns import Column, SequenceColumn
from transforms.columns.base import Checked
from transforms.ragged import Ragged
from transforms.spec import Spec


def count_values(column: Column, spec: Spec, values: Ragged, checked: Checked, good: np.ndarray) -> dict[str, int]:
    """Counts the values of a batch for the ledger.

    Args:
      column: the column.
      spec: all columns and groups.
      values: its canonical values.
      checked: what its rules found.
      good: bool `[rows]`, the rows that are accepted.

    Returns:
      `rejected`, `truncated`, `completed`, and the flags of `checked` counted over kept values of accepted rows.
    """
    starts, ends = values.splits[:-1], values.splits[1:]
    completed = checked.completed if checked.completed is not None else np.zeros(len(good), np.int64)
    if isinstance(column, SequenceColumn) and checked.steps is not None:
        size = spec.group(column.group).fixed_length
        cut = np.maximum(checked.steps - size, 0) if size else np.zeros_like(checked.steps)
        if spec.group(column.group).truncate == "tail":
            starts = starts + cut * column.step_width
        else:
            ends = np.minimum(ends, starts + (checked.steps - cut) * column.step_width)
            # An incomplete step is the last one: cut off with the rest, it is not completed.
            completed = np.where(cut > 0, 0, completed)
    counts = {
        "rejected": int(values.lengths[~good].sum()),
        "truncated": int((values.lengths - (ends - starts))[good].sum()),
        "completed": int(completed[good].sum()),
    }
    for name, flags in checked.flags.items():
        running = np.zeros(len(flags) + 1, np.int64)
        np.cumsum(flags, out=running[1:])
        counts[name] = int((running[ends] - running[starts])[good].sum())
    return counts
