"""Sequence groups for a draft: sequences with the same number of steps in every row belong together. And the T of each group."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

import numpy as np

from pipeline.inspect.candidates import number
from pipeline.inspect.trial import Tried
from transforms.columns.numeric_base import numeric_of
from transforms.groups import DEFAULT_GROUP, SequenceGroup
from transforms.spec.make_spec import LARGEST_EXAMPLE
from transforms.spec.spec import length_name, mask_name

NOT_LONG: Final = 64
"""Steps up to which nothing is cut off, whatever most rows have."""

TIMES: Final = 2
"""Nothing is truncated if the longest row is at most this many times as long as 95 % of the rows."""

NEARLY: Final = 0.95
"""Share of rows in which two features have to do with each other, so that it is worth a hint."""

MOST_A_STEP: Final = 64


Policy: TypeAlias = Callable[[np.ndarray, Sequence[Tried]], tuple[SequenceGroup, str]]
"""The policy of a group, and why, from the steps of the sample's rows, int64 `[rows]`, and the group's columns."""


@dataclass
class Group:
    """A sequence group, and the columns in it.

    Attributes:
      name: its name.
      members: its columns.
      steps: int64 `[rows]` of the sample that no column rejects.
      policy: its length and truncation.
      why: the consequences for the sample.
    """

    name: str
    members: list[Tried]
    steps: np.ndarray
    policy: SequenceGroup
    why: str


def groups(
    columns: Sequence[Tried], bad: np.ndarray, outputs: frozenset[str], policy: Policy | None = None
) -> list[Group]:
    """Returns the sequence groups of some columns.

    Args:
      columns: the columns.
      bad: bool `[rows]`, rows that do not count.
      outputs: names that no output of a group may have.
      policy: what T is by the steps of rows; None for `in_order`.
    """
    by_steps: dict[bytes, list[Tried]] = {}
    for tried in columns:
        if tried.steps is not None:
            by_steps.setdefault(tried.steps[~bad].tobytes(), []).append(tried)
    taken = set(outputs) | {output.name for tried in columns for output in tried.column.outputs(None)}
    made = []
    for members in by_steps.values():
        name = _name(members[0].column.key if len(by_steps) > 1 else DEFAULT_GROUP, taken)
        taken |= {length_name(name), mask_name(name)}
        assert members[0].steps is not None
        steps = members[0].steps[~bad]
        made.append(Group(name, members, steps, *(policy or in_order)(steps, members)))
    return made


def _name(wanted: str, taken: set[str]) -> str:
    base = wanted if re.fullmatch(r"[A-Za-z]\w{0,60}", wanted, re.ASCII) else "group"
    name, k = base, 1
    while {length_name(name), mask_name(name)} & taken:
        name, k = f"{base}_{k + 1}", k + 1
    return name


def in_order(steps: np.ndarray, members: Sequence[Tried]) -> tuple[SequenceGroup, str]:
    """Returns the policy of a group as `usual` does; of longer rows the last steps stay where these are the latest."""
    times = next((tried.column.key for tried in members if tried.ascends and tried.are_times), "")
    policy, why = usual(steps, members, "tail" if times else "head")
    return policy, f"{why}; {times!r} never falls: the last steps are the latest" if times else why


def usual(steps: np.ndarray, members: Sequence[Tried], truncate: Literal["head", "tail"]) -> tuple[SequenceGroup, str]:
    """Returns the policy of a group: its T is the longest row, unless few rows are much longer than all others; and why.

    Args:
      steps: int64 `[rows]`, the steps of each.
      members: its columns.
      truncate: which steps of longer rows stay.
    """
    some = steps[steps > 0]
    if not len(some):
        return SequenceGroup(max_length=1), "no row of the sample that is accepted has a step"
    longest, most = int(some.max()), int(np.percentile(some, 95, method="higher"))
    size = min(longest if longest <= max(NOT_LONG, TIMES * most) else most, largest(members))
    if size == longest:
        why = "the longest row of the sample: nothing in it is cut off"
        return SequenceGroup(max_length=size, truncate=truncate), why
    cut = int(np.maximum(steps - size, 0).sum()) / int(steps.sum())
    rows = float((some > size).mean())
    where, other, place = ("end", "tail", "start") if truncate == "head" else ("start", "head", "end")
    why = (
        f"{rows:.1%} of the sample's rows with steps have more, up to {number(longest)}: cut off are {cut:.1%} of all steps, "
        f"those at the {where} (truncate: {other} cuts at the {place})"
    )
    return SequenceGroup(max_length=size, truncate=truncate), why


def largest(members: Sequence[Tried]) -> int:
    """Returns the longest T with which an example of these columns is no larger than a file can hold."""
    widths = [math.prod(n for n in o.shape[1:] if n) for t in members for o in t.column.outputs(None) if o.sequence]
    return (LARGEST_EXAMPLE - 1) // (4 * sum(widths))


def hints(made: Sequence[Group]) -> dict[str, str]:
    """Returns, by column, what its lengths have to do with those of another group, or that they are multiples of a number."""
    found: dict[str, str] = {}
    sums = [(group, int(group.steps.sum())) for group in made if len(np.unique(group.steps)) > 1]
    for own in made:
        steps = int(own.steps.sum())
        for tried in own.members:
            others = (_of_others(tried, own, other, steps / total) for other, total in sums if other is not own)
            hint = next(filter(None, others), "") or _of_itself(tried, own)
            if hint:
                found[tried.column.key] = hint
    return found


def _of_others(tried: Tried, own: Group, other: Group, ratio: float) -> str:
    times = round(ratio)
    if not 1 <= times <= MOST_A_STEP:
        return ""
    share = float((own.steps == times * other.steps).mean())
    leader = other.members[0].column.key
    if times == 1 and share >= NEARLY:
        return f"as many steps as {leader!r} in {share:.2%} of the rows: group: {other.name}, if other rows may be rejected"
    if times >= 2 and share >= NEARLY and _is_flat(tried):
        return f"{times} values for each of {leader!r} in {share:.2%} of the rows: perhaps shape: [{times}], group: {other.name}"
    return ""


def _of_itself(tried: Tried, own: Group) -> str:
    lengths = np.unique(own.steps[own.steps > 0])
    width = int(np.gcd.reduce(lengths)) if len(lengths) else 1
    if width == 1 or not _is_flat(tried):
        return ""
    if len(lengths) == 1:
        return f"{width} values in every row: if these are no steps, perhaps a numeric_column with shape: [{width}]"
    return (
        f"a multiple of {width} values in every row: perhaps steps of as many, shape: [{width}]"
        if len(lengths) > 2
        else ""
    )


def _is_flat(tried: Tried) -> bool:
    return numeric_of(tried.column) is not None and tried.column.step_width == 1
