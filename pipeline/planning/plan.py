"""`seqcols plan`: what T costs for every sequence group, fixed and in length buckets, and which T to take.

One pass over the input counts the lengths of the rows that the columns accept; all else is arithmetic (see `lengths`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, TextIO

import numpy as np

from pipeline.dataset import layout, manifest
from pipeline.dataset.columns import spec_of
from pipeline.errors import UsageError
from pipeline.job import running
from pipeline.job.executing import Outcome
from pipeline.job.request import DEFAULT_BUCKETS, DEFAULT_BUDGET, Request
from pipeline.planning import lengths
from pipeline.planning.lengths import Cost, Lengths
from transforms.errors import JobError
from transforms.spec.spec import Spec

QUANTILES: Final = (0.5, 0.9, 0.95, 0.99)
"""Lengths that are shown as a T: this share of the rows is not longer."""

_ITEM_BYTES: Final = {"bfloat16": 2, "bool": 1}


@dataclass(frozen=True)
class Planned:
    """The result of planning.

    Attributes:
      groups: the cost of T, by sequence group: see `of_group`.
      budget: the share of steps that a proposed T may lose.
      outcome: how the pass over the input ended; None if the lengths are those of a data set.
      notes: remarks for the reader, one line each.
    """

    groups: Mapping[str, Any]
    budget: float
    outcome: Outcome | None = None
    notes: Sequence[str] = field(default=())

    def document(self) -> dict[str, Any]:
        """Returns all of it for machines: `rows` and `events` are None where none were read."""
        rows = self.outcome.ledger["rows"] if self.outcome else None
        made = {"budget": self.budget, "rows": rows, "events": self.events, "notes": list(self.notes)}
        return {**made, "groups": dict(self.groups)}

    @property
    def events(self) -> dict[str, Any] | None:
        """The fate of the events behind the rows, and the cost of turning them into sequences; None without events.

        `rows`, `dropped` and `sequences` as in the ledger; `partitions`: how many parts their keys are dealt to; `disk_bytes`:
        about how much room they need meanwhile.
        """
        book = self.outcome.ledger.get("events") if self.outcome else None
        if not book or self.outcome is None:
            return None
        return {**{name: book[name] for name in ("rows", "dropped", "sequences")}, **self.outcome.grouping}


def check_values(budget: float, buckets: int) -> None:
    """Checks what a plan is asked for.

    Raises:
      UsageError: a value is not allowed.
    """
    if not 0 <= budget <= 1:
        raise UsageError(f"--budget: expected a fraction from 0 to 1, got {budget!r}")
    if buckets < 1:
        raise UsageError(f"--buckets: expected 1 or more, got {buckets!r}")


def plan(
    request: Request, stream: TextIO | None = None, budget: float = DEFAULT_BUDGET, buckets: int = DEFAULT_BUCKETS
) -> Planned:
    """Reads the input once, and says what T costs.

    Rows are accepted as by `running.check`, but for those that `truncate: reject` rejects: whether a row is too long is what a
    plan is about.

    Args:
      request: the columns and the input.
      stream: where progress is shown; None shows none.
      budget: the share of the steps that a proposed T may lose, 0 to 1.
      buckets: the largest number of length buckets.

    Returns:
      The plan; it has no groups where the pass failed, as the outcome tells.

    Raises:
      UsageError: the request cannot be carried out.
      JobError: the input cannot be read.
    """
    check_values(budget, buckets)
    spec = request.spec
    if not spec.group_names:
        raise UsageError("plan: the columns have no sequence, and so no T")
    groups = {name: spec.group(name).model_copy(update=_ANY_LENGTH) for name in spec.group_names}
    lifted = spec.model_copy(update={"sequence_groups": groups})
    outcome = running.count(replace(request, spec=lifted), stream, "plan")
    found = {name: Lengths.of(**counted) for name, counted in outcome.lengths.items()}
    made = {name: of_group(spec, name, one, budget, buckets) for name, one in found.items()}
    return Planned(made, budget, outcome, outcome.notes)


_ANY_LENGTH: Final = {"max_length": "longest", "truncate": "head", "bucket_by_length": None}


def plan_of(root: str, budget: float = DEFAULT_BUDGET, buckets: int = DEFAULT_BUCKETS) -> Planned:
    """Says what T costs for the rows of a data set, whose lengths `statistics.json` has; nothing else is read.

    Args:
      root: directory of the data set.
      budget: see `plan`.
      buckets: see `plan`.

    Raises:
      UsageError: its columns have no sequence.
      JobError: there is no data set, or its columns cannot be read back.
    """
    check_values(budget, buckets)
    found = manifest.read_examples(root.rstrip("/") or "/")
    spec = spec_of(found)
    if not spec.group_names:
        raise UsageError(f"{root!r}: its columns have no sequence, and so no T")
    if "transform_of" in found.content:
        other = found.content["transform_of"]["data_set"]
        raise UsageError(f"{root!r}: was made by the transform of {other!r}, whose T it has: plan that one")
    path = found.path(found.content["statistics"])
    try:
        described = layout.read_json(path)["groups"]
        held = {name: _described(described[name]) for name in spec.group_names}
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise JobError(f"{path}: cannot be read ({type(error).__name__}: {' '.join(str(error).split())})") from error
    strict = [name for name in spec.group_names if spec.group(name).truncate == "reject"]
    notes = [
        f"sequence group {name!r}: rows longer than max_length were rejected, and are not counted" for name in strict
    ]
    groups = {name: of_group(spec, name, one, budget, buckets) for name, one in held.items()}
    return Planned(groups, budget, None, notes)


def _described(group: Mapping[str, Any]) -> Lengths:
    """Returns the lengths of a group as `statistics.json` describes them: a mean is the exact sum, divided."""
    return Lengths.of(group["histogram"], round((group["mean"] or 0) * group["rows"]), group["max"] or 0)


def of_group(spec: Spec, group: str, found: Lengths, budget: float, buckets: int) -> dict[str, Any]:
    """Returns what T costs for one sequence group.

    Args:
      spec: the columns.
      group: the group.
      found: the lengths of its rows.
      budget: see `plan`.
      buckets: see `plan`.

    Returns:
      `rows`, `steps`, `longest`; `max_length` and `truncate` as the columns have them; `step_bytes`, `row_bytes`: of the group's
      outputs, dense and in their dtypes, for a step and besides for a row; `histogram`: the shortest and longest length of each
      bucket of the sketch, and its rows. `fixed`: for a range of T what it is (`is`), the share of places that are `padding`, of
      steps that are lost (`truncated_steps`), of rows that are longer (`truncated_rows`), `bytes_per_row` and `bytes`; and
      `in_buckets`, the same for the requested number of length buckets, with the boundaries that take the fewest bytes.
      `buckets`: the same for 1, 2, ... of them up to the proposed T. `proposed`: the smallest T that keeps the budget, and the
      boundaries of the most buckets. Without rows, `fixed` and `buckets` are empty, and `proposed` is None.
    """
    policy = spec.group(group)
    reject = policy.truncate == "reject"
    per_step, per_row = _bytes(spec, group)
    made: dict[str, Any] = {
        "rows": found.rows,
        "steps": found.steps,
        "longest": found.longest,
        "max_length": policy.max_length,
        "truncate": policy.truncate,
        "step_bytes": per_step,
        "row_bytes": per_row,
        "histogram": np.stack([found.starts, found.ends, found.counts], axis=1).tolist(),
        "fixed": [],
        "buckets": [],
        "proposed": None,
    }
    if not found.rows:
        return made
    size = lengths.propose(found, budget, reject)
    splits = lengths.partitions(found, size, buckets, reject)
    priced = partial(_priced, found=found, per_step=per_step, per_row=per_row)
    for steps, names in sorted(_sizes(found, policy.fixed_length, size).items()):
        fixed = {"T": steps, "is": names, **priced(lengths.cost(found, steps, reject))}
        bounds = lengths.partitions(found, steps, buckets, reject)[-1]
        in_buckets = {"T": bounds, **priced(lengths.bucketed(found, bounds, reject))}
        made["fixed"].append({**fixed, "in_buckets": in_buckets})
    for bounds in splits:
        made["buckets"].append({"T": bounds, **priced(lengths.bucketed(found, bounds, reject))})
    made["proposed"] = {"max_length": size, "bucket_by_length": splits[-1]}
    return made


def _priced(one: Cost, found: Lengths, per_step: float, per_row: float) -> dict[str, Any]:
    """Returns what a T costs, as shares of all that there is and in bytes."""
    total = round(one.places * per_step + one.rows * per_row)
    return {
        "padding": one.padding,
        "truncated_steps": one.cut_steps / found.steps if found.steps else 0.0,
        "truncated_rows": one.cut_rows / found.rows,
        "bytes_per_row": total / one.rows if one.rows else 0.0,
        "bytes": total,
    }


def _sizes(found: Lengths, current: int | None, proposed: int) -> dict[int, list[str]]:
    """Returns the T that are shown, and what each of them is."""
    made: dict[int, list[str]] = {2**k: [] for k in range(3, max(found.longest, 1).bit_length())}
    named = [(current, "max_length"), *((found.quantile(share), f"{share:.0%} of rows") for share in QUANTILES)]
    for size, name in [*named, (proposed, "proposed"), (found.longest, "longest")]:
        if size:
            made.setdefault(size, []).append(name)
    return made


def _bytes(spec: Spec, group: str) -> tuple[int, int]:
    """Returns the bytes of a group's outputs for a step and, besides, for a row: of tensors in their declared dtypes."""
    own = spec.outputs_of(group)
    steps = sum(math.prod(n for n in o.shape[1:] if n) * _item_bytes(o.dtype) for o in own if o.sequence)
    rest = sum(math.prod(n for n in o.shape if n) * _item_bytes(o.dtype) for o in own if not o.sequence)
    return steps, rest


def _item_bytes(dtype: str) -> int:
    return _ITEM_BYTES.get(dtype) or np.dtype(dtype).itemsize
