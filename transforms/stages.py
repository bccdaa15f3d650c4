"""Parse and validate, a batch at a time: good rows go on, bad rows become a table, everything is counted.

Pure functions; importing them loads neither Beam nor TensorFlow. `transforms.beam` wraps them, the in-memory call
uses them as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from transforms.columns import Column
from transforms.columns.results import Checked
from transforms.counting import count_rounded, count_values, held_values
from transforms.distributions.histograms import Counts
from transforms.groups import SequenceGroup
from transforms.parse.parse import Parsed, parse
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows import origin, paths, rejection
from transforms.rows.ragged import Ragged
from transforms.rows.reasons import DROPPED
from transforms.rows.rejection import Fault
from transforms.rows.tally import Tally, add, count_lengths, count_rejected, presence
from transforms.spec.spec import Spec
from transforms.statistics.contributed import Packed


@dataclass
class Stage:
    """The result of a stage for one batch.

    Attributes:
      batch: the good rows.
      rejected: the bad rows as a table of `rejection.SCHEMA`, or None.
      tally: the counts.
      moments: the batch's moments, if the stage collects them.
      count: adds the distributions of its values to others, if the stage counts them (see `distributions`).
      views: views of canonical columns of the batch by key, if the stage has them already.
    """

    batch: pa.RecordBatch
    rejected: pa.RecordBatch | None = None
    tally: Tally = field(default_factory=Counter)
    moments: Packed | None = None
    count: Callable[[Counts], None] | None = None
    views: Mapping[str, Ragged] = field(default_factory=dict)


def parse_batch(batch: pa.RecordBatch, columns: Sequence[Column], max_steps: int = MAX_STEPS) -> Stage:
    """Parses the source columns of a batch to canonical list columns, by key; other columns are dropped.

    A feature that the batch does not have at all is absent in every row; one in a struct is found by its path
    (`rows.paths`). A row with more than `max_steps` steps is rejected.
    """
    batch = origin.plain(batch)
    file = origin.file_of(batch)
    tally: Tally = Counter()
    faults: list[Fault] = []
    by_key: dict[str, Parsed] = {}
    for column in columns:
        for key, form in column.features.items():
            if key not in by_key:
                source = paths.column(batch, key)
                by_key[key] = parse(pa.nulls(batch.num_rows) if source is None else source, form, max_steps)
                faults += by_key[key].faults
    good, rejected = rejection.split(batch, faults)
    for column in columns:
        parsed = by_key[column.key]
        held = parsed.values_in.sum() if parsed.view is None else parsed.view.splits[-1]
        tally[file, "column", column.name, "values"] = int(held)
        tally[file, "column", column.name, "nulls"] = parsed.nulls
        tally[file, "column", column.name, "present"] = len(parsed.array) - parsed.array.null_count
        tally[file, "column", column.name, "rejected"] = 0 if rejected is None else int(parsed.values_in[~good].sum())
        add(tally, count_rounded(column, parsed))
    made = origin.rebuild(batch, {key: parsed.array for key, parsed in by_key.items()})
    views = {} if rejected is not None else {key: p.view for key, p in by_key.items() if p.view is not None}
    return Stage(_keep(made, good, rejected), rejected, tally + count_rejected(rejected), views=views)


def _keep(batch: pa.RecordBatch, good: np.ndarray, rejected: pa.RecordBatch | None) -> pa.RecordBatch:
    return batch if rejected is None else batch.filter(pa.array(good))


def validate_batch(batch: pa.RecordBatch, spec: Spec, known: Mapping[str, Ragged] | None = None) -> Stage:
    """Applies every rule of the columns and of the groups to a parsed batch; `known`: see `Stage.views`."""
    known = known or {}
    views = {key: known.get(key) or Ragged.of(batch.column(key)) for key in spec.features}
    checked = {column.name: column.check(views) for column in spec.columns}
    faults = [fault for check in checked.values() for fault in check.faults]
    groups = spec.by_group
    for name, columns in groups.items():
        faults += _group_faults(name, spec.group(name), {column.name: checked[column.name] for column in columns})
    faults.sort(key=lambda fault: fault.reason in DROPPED)  # a row that is wrong is rejected, whatever would drop it
    rejection.refuse_fatal(batch, faults)
    good, rejected = rejection.split(batch, faults)
    tally = count_rejected(rejected)
    file = origin.file_of(batch)
    cut: dict[str, int] | None = {} if rejected is None else None
    for column in spec.columns:
        counts = count_values(column, spec, views[column.key], checked[column.name], good, cut)
        tally.update({(file, "column", column.name, what): count for what, count in counts.items()})
    for name, columns in groups.items():
        steps = checked[columns[0].name].steps
        assert steps is not None
        add(tally, count_lengths(name, steps[good]))
    kept = _keep(batch, good, rejected)
    for column in spec.columns:
        absent, empty = presence(views[column.key] if rejected is None else Ragged.of(kept.column(column.key)))
        tally[file, "column", column.name, "absent"] = absent
        tally[file, "column", column.name, "empty"] = empty
    return Stage(kept, rejected, tally)


def _group_faults(name: str, group: SequenceGroup, members: dict[str, Checked]) -> list[Fault]:
    """Finds the rows whose columns disagree on the length, or that are too long or too short."""
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
    if group.truncate == "reject" and size is not None:
        long = np.flatnonzero(steps[0] > size)
        if len(long):
            shown = [f"{k} steps" for k in steps[0, long]]
            faults.append(Fault("too_long", names[0], long, shown, f"expected at most {size} steps (truncate: reject)"))
    short = np.flatnonzero(steps[0] < group.min_length)
    if len(short):
        shown = [f"{k} steps" for k in steps[0, short]]
        reason = "dropped_short" if group.shorter == "drop" else "too_short"
        faults.append(Fault(reason, names[0], short, shown, f"expected at least {group.min_length} (min_length)"))
    return faults


def reject_late(batch: pa.RecordBatch, spec: Spec, faults: list[Fault]) -> tuple[np.ndarray, Stage]:
    """Rejects rows of a validated batch after all, for what only their normalised values show.

    What was counted for them as accepted is taken back, and their values are counted as rejected.

    Returns:
      A bool `[rows]` mask of the good rows, and the stage.
    """
    good, rejected = rejection.split(batch, faults)
    if rejected is None:
        return good, Stage(batch)
    bad = batch.filter(pa.array(~good))
    tally = count_rejected(rejected)
    counted = validate_batch(bad, spec).tally
    tally.subtract({key: n for key, n in counted.items() if key[1] != "length_max"})
    file = origin.file_of(batch)
    views = {key: Ragged.of(bad.column(key)) for key in spec.features}
    for column in spec.columns:
        held = held_values(views[column.key], column.check(views))
        tally[file, "column", column.name, "rejected"] += int(held.sum())
    return good, Stage(batch.filter(pa.array(good)), rejected, tally)
