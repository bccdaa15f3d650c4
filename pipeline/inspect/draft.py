"""A draft of a columns file: for every feature a column that takes the sample's rows, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

import numpy as np

from pipeline.inspect import grouping
from pipeline.inspect.candidates import Candidate, candidates, shown_word
from pipeline.inspect.events import names
from pipeline.inspect.grouping import Group
from pipeline.inspect.profile import Profile
from pipeline.inspect.sample import Sample
from pipeline.inspect.trial import Tried, best
from transforms.errors import JobError
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec

MOST_REJECTED: Final = 0.05
"""Share of the sample's rows that a draft rejects at most. A run stops at a tenth."""

LONGEST_NAME: Final = 500
"""Characters of a name that a columns file is drafted with."""


@dataclass
class Draft:
    """The columns and groups drafted for a sample.

    Attributes:
      columns: the columns, in the order of the features.
      groups: the sequence groups, in the order of their first columns.
      left_out: feature to the reason why it has no column.
      bad: bool `[rows]`, the rows of the sample that the columns reject.
      spec: columns and groups as a spec.
      hints: column to what its lengths have to do with others (see `grouping.hints`).
    """

    columns: list[Tried]
    groups: list[Group]
    left_out: dict[str, str]
    bad: np.ndarray
    spec: Spec
    hints: dict[str, str] = field(default_factory=dict)


def draft(
    sample: Sample,
    profiles: Sequence[Profile],
    given: Mapping[str, Sequence[Candidate]] = MappingProxyType({}),
    policy: grouping.Policy | None = None,
) -> Draft:
    """Drafts columns for the features of a sample.

    Args:
      sample: the rows.
      profiles: what each feature holds in them.
      given: feature to the columns that it may become, where these are others than `candidates` tells.
      policy: see `grouping.groups`.

    Raises:
      JobError: none of them can be a column.
    """
    left_out: dict[str, str] = {}
    columns: list[Tried] = []
    outputs = frozenset(profile.name for profile in profiles)
    for profile in profiles:
        made, why = _column(profile, sample, outputs, given.get(profile.name))
        if made is None:
            left_out[profile.name] = why
        else:
            columns.append(made)
    _drop_worst(columns, left_out)
    _not_only_keys(columns, profiles, sample, outputs)
    if not columns:
        raise JobError(_why_none(sample, left_out))
    bad = _rejected(columns)
    groups = grouping.groups(columns, bad, outputs, policy)
    for group in groups:
        for tried in group.members:
            tried.column = tried.column.model_copy(update={"group": group.name})
    policies = {group.name: group.policy for group in groups}
    spec = make_spec([tried.column for tried in columns], policies)
    return Draft(columns, groups, left_out, bad, spec, grouping.hints(groups))


def _column(
    profile: Profile, sample: Sample, outputs: frozenset[str], given: Sequence[Candidate] | None
) -> tuple[Tried | None, str]:
    """Returns the column for a feature, or why there is none."""
    why = _why_none_at_all(profile)
    if why:
        return None, why
    made, why = best(given or candidates(profile, sample.is_whole, outputs), sample)
    if made is not None:
        made.are_times = profile.are_times or names.is_time(profile.name)
    return made, why or _why_unfit(profile)


def _why_none_at_all(profile: Profile) -> str:
    name = profile.name
    if not name:
        return "its name is empty"
    if name.startswith("__"):
        return "names that begin with '__' are reserved"
    if len(name) > LONGEST_NAME:
        return f"its name has {len(name):,} characters"
    if profile.depth > 2:
        return "lists deeper than one a step"
    if profile.are_arrays:
        found = f"{profile.array_text:,} of {profile.count:,} texts are arrays, such as {shown_word(profile.top[0])}"
        return f"{found}: some are not, so that no delimiter takes them apart"
    return "" if profile.count else "no row of the sample holds a value"


def _why_unfit(profile: Profile) -> str:
    p = profile
    if p.natures["floats"] + p.natures["integers"] == p.count and p.numbers.low is None:
        return "no number is finite"
    if p.are_numbers and p.depth == 2:
        return f"steps of {p.widths[0]} to {p.widths[1]} numbers: a column takes steps of one width"
    kinds = [f"{n:,} {kind}" for kind, n in p.natures.most_common() if n]
    return f"no column takes {' and '.join(kinds)}"


def _drop_worst(columns: list[Tried], left_out: dict[str, str]) -> None:
    """Leaves out the columns that reject most, until all together reject few rows."""
    while columns and _rejected(columns).mean() > MOST_REJECTED:
        worst = max(columns, key=lambda one: one.share)
        columns.remove(worst)
        left_out[worst.column.key] = f"would reject {int(worst.bad.sum()):,} rows, {worst.first}"


def _not_only_keys(columns: list[Tried], profiles: Sequence[Profile], sample: Sample, outputs: frozenset[str]) -> None:
    """A job needs a column that makes something dense: if there are keys alone, one of them becomes such a column."""
    if any(tried.column.in_graph for tried in columns):
        return
    for k, tried in enumerate(columns):
        profile = next(one for one in profiles if one.name == tried.column.key)
        made, _ = best(candidates(profile, sample.is_whole, outputs, as_key=False), sample)
        if made is not None:
            columns[k] = made
            return
    columns.clear()


def _rejected(columns: Sequence[Tried]) -> np.ndarray:
    return np.logical_or.reduce([tried.bad for tried in columns], axis=0)


def _why_none(sample: Sample, left_out: dict[str, str]) -> str:
    if not sample.names:
        decoded = f"; {sample.bad:,} rows cannot be decoded" if sample.bad else ""
        return f"no feature was found in {sample.rows:,} rows{decoded}"
    name, why = next(iter(left_out.items()), (next(iter(sample.names)), "no row"))
    return f"no feature can be a column, among them {name!r}: {why}"
