"""Parse and validate, a batch at a time: good rows go on, bad rows become a table, everything is counted.

Pure functions, without Beam and without TensorFlow; `transforms.beam` wraps them, the in-memory call uses them as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from transforms import rejection, rows
from transforms.columns import Column, SequenceColumn
from transforms.columns.base import Checked
from transforms.groups import SequenceGroup
from transforms.parse import Parsed
from transforms.ragged import Ragged
from transforms.rejection import Fault
from transforms.spec import Spec
from transforms.tally import Tally, add, count_lengths, count_rejected, presence


@dataclass
class Stage:
    """What a stage made of a batch.

    Attributes:
      batch: the good rows.
      rejected: the bad rows as a table of `rejection.SCHEMA`, or None.
      tally: what was counted.
      table: the batch's moments, where a stage collects them (see `moments`).
    """

    batch: pa.RecordBatch
    rejected: pa.RecordBatch | None = None
    tally: Tally = field(default_factory=Counter)
    table: np.ndarray | None = None


def parse_batch(batch: pa.RecordBatch, columns: Sequence[Column]) -> Stage:
    """Parses the source columns of a batch to canonical list columns, by key; other columns are dropped.

    A feature that the batch does not have at all is absent in every row.
    """
    batch = rows.without_views(batch)
    file = rows.file_of(batch)
    tally: Tally = Counter()
    faults: list[Fault] = []
    by_key: dict[str, Parsed] = {}
    for column in columns:
        if column.key not in by_key:
            source = batch.column(column.key) if column.key in batch.schema.names else pa.nulls(batch.num_rows)
            by_key[column.key] = column.parse(source)
            faults += by_key[column.key].faults
    good, rejected = rejection.split(batch, faults)
    for column in columns:
        parsed = by_key[column.key]
        tally[file, "column", column.name, "values"] = int(parsed.values_in.sum())
        tally[file, "column", column.name, "nulls"] = parsed.nulls
        tally[file, "column", column.name, "present"] = len(parsed.array) - parsed.array.null_count
        tally[file, "column", column.name, "rejected"] = int(parsed.values_in[~good].sum())
    made = rows.rebuild(batch, {key: parsed.array for key, parsed in by_key.items()})
    return Stage(_keep(made, good, rejected), rejected, tally + count_rejected(rejected))


def _keep(batch: pa.RecordBatch, good: np.ndarray, rejected: pa.RecordBatch | None) -> pa.RecordBatch:
    return batch if rejected is None else batch.filter(pa.array(good))


def validate_batch(batch: pa.RecordBatch, spec: Spec) -> Stage:
    """Applies every rule of the columns and of the groups to a parsed batch."""
    views = {column.key: Ragged.of(batch.column(column.key)) for column in spec.columns}
    checked = {column.name: column.check(views[column.key]) for column in spec.columns}
    faults = [fault for check in checked.values() for fault in check.faults]
    for name in spec.group_names:
        members = {c.name: checked[c.name] for c in spec.sequence_columns if c.group == name}
        faults += _group_faults(name, spec.group(name), members)
    good, rejected = rejection.split(batch, faults)
    tally = count_rejected(rejected)
    file = rows.file_of(batch)
    for column in spec.columns:
        _count(tally, file, column, spec, views[column.key], checked[column.name], good)
    for name in spec.group_names:
        first = next(c for c in spec.sequence_columns if c.group == name)
        steps = checked[first.name].steps
        assert steps is not None
        add(tally, count_lengths(name, steps[good]))
    kept = _keep(batch, good, rejected)
    for column in spec.columns:
        absent, empty = presence(kept.column(column.key))
        tally[file, "column", column.name, "absent"] = absent
        tally[file, "column", column.name, "empty"] = empty
    return Stage(kept, rejected, tally)


def _count(
    tally: Tally, file: str, column: Column, spec: Spec, values: Ragged, checked: Checked, good: np.ndarray
) -> None:
    """Counts what happens to a column's values: those of rejected rows, those cut off, those made up."""
    counts = {name: by_row[good] for name, by_row in checked.counts.items()}
    if isinstance(column, SequenceColumn) and checked.steps is not None:
        steps, lengths = checked.steps[good], values.lengths[good]
        size = spec.group(column.group).fixed_length
        cut = np.maximum(steps - size, 0) if size else np.zeros_like(steps)
        # An incomplete step is the last one. Cut from the head's far end it goes, uncompleted, with the rest.
        if "completed" in counts and spec.group(column.group).truncate == "head":
            counts["completed"] = np.where(cut > 0, 0, counts["completed"])
            truncated = np.maximum(lengths - (steps - cut) * column.step_width, 0)
        else:
            truncated = cut * column.step_width
        tally[file, "column", column.name, "truncated"] = int(truncated.sum())
    for name, by_row in counts.items():
        tally[file, "column", column.name, name] = int(by_row.sum())
    tally[file, "column", column.name, "rejected"] = int(values.lengths[~good].sum())


def _group_faults(name: str, group: SequenceGroup, members: dict[str, Checked]) -> list[Fault]:
    """Finds the rows whose columns disagree on the length, or that are too long."""
    names = list(members)
    steps = np.stack([check.steps for check in members.values() if check.steps is not None])
    faults = []
    uneven = np.flatnonzero((steps != steps[0]).any(axis=0))
    if len(uneven):
        shown = [", ".join(f"{n}: {k}" for n, k in zip(names, steps[:, row], strict=True)) for row in uneven]
        message = f"expected one length in the sequence group {name!r}"
        different = [names[int(np.argmax(steps[:, row] != steps[0, row]))] for row in uneven]
        for column in dict.fromkeys(different):
            of = np.array([k for k, other in enumerate(different) if other == column])
            faults.append(Fault("length_mismatch", column, uneven[of], [shown[k] for k in of], message))
    size = group.fixed_length
    if group.truncate == "reject" and size:
        long = np.flatnonzero(steps[0] > size)
        if len(long):
            shown = [f"{k} steps" for k in steps[0, long]]
            faults.append(Fault("too_long", names[0], long, shown, f"expected at most {size} steps (truncate: reject)"))
    return faults
