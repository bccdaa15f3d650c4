"""Events that a sample's rows are, and the columns for the sequences that they become: each tried, as those of rows are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.inputs import event_fields
from pipeline.inspect import grouping
from pipeline.inspect.candidates import Candidate, candidates, integer_ids, passed_through
from pipeline.inspect.draft import Draft, draft
from pipeline.inspect.events import fields as event_columns
from pipeline.inspect.events import keys, names
from pipeline.inspect.events.fields import Field
from pipeline.inspect.events.section import Section, section
from pipeline.inspect.events.times import times
from pipeline.inspect.profile import Profile, profiles
from pipeline.inspect.sample import Sample
from pipeline.inspect.trial import Tried
from pipeline.sources.limits import Limits
from transforms.columns import TYPES
from transforms.events.sequences import sequences
from transforms.groups import SequenceGroup
from transforms.spec.make_spec import make_spec

MORE: Final = 20
"""How many times as many rows are looked at where something that is a key by its name hardly repeats in a part of the rows."""

LIKELY: Final = 128
"""T where the sample has a part of each sequence, at least."""

SMALL: Final = 64
"""Integers below it are ids that a part of the rows tells enough of."""


@dataclass(frozen=True)
class SeenEvents:
    """Events.

    Attributes:
      sample: the rows that were looked at.
      section: the section `events:`.
      draft: the columns for the sequences.
      sequences: how many sequences the sample's events are.
      bad: how many of the rows are no events: without a key or a time, or with a value of another type.
    """

    sample: Sample
    section: Section
    draft: Draft
    sequences: int
    bad: int


def see(
    sample: Sample,
    found: Sequence[Profile],
    held_of: Callable[[Sample], event_fields.Held],
    more: Callable[[int], Sample],
    limits: Limits,
) -> SeenEvents | None:
    """Returns the events that the rows of a sample are, with a draft; None where they are none.

    They are if no row has several values of a feature, there is a time, and some field says whose they are (see `keys`).

    Args:
      sample: the rows.
      found: what each feature holds in them.
      held_of: returns the fields of what a sample is of.
      more: returns a sample of a number of rows.
      limits: the largest records and files to accept.

    Raises:
      JobError: a file cannot be read.
    """
    if not sample.rows or not event_columns.is_of_events(found):
        return None
    held = held_of(sample)
    made, hidden = _seen(sample, found, held, limits)
    if made is None and hidden and not sample.is_whole:
        sample = more(MORE * (sample.rows + sample.bad))
        found = profiles(sample)
        made, _ = _seen(sample, found, held, limits) if event_columns.is_of_events(found) else (None, False)
    return made


def _seen(
    sample: Sample, found: Sequence[Profile], held: event_fields.Held, limits: Limits
) -> tuple[SeenEvents | None, bool]:
    """Returns the events, None for none; and whether more rows could show some."""
    fields, left_out = event_columns.fields_of(sample, found, held, limits)
    found_times = times(fields)
    if not found_times:
        return None, False
    time, *others = found_times
    looked_at = keys.candidates(fields, time, sample.is_whole, [one.field.name for one in others if one.is_date])
    key = keys.choose(looked_at)
    if key is None:
        return None, any(keys.may_be_hidden(one) for one in looked_at)
    made = section(fields, key, looked_at, time, others)
    made.left_out = {**left_out, **made.left_out}
    policy = _whole if sample.is_whole or key.chosen.spread.is_together else _part
    return _drafted(sample, fields, made, policy), False


def _drafted(sample: Sample, fields: Mapping[str, Field], made: Section, policy: grouping.Policy) -> SeenEvents:
    """Makes sequences of the sample's events, and drafts columns for them; the section keeps the features that one reads."""
    good = _readable(fields, made)
    events = pa.table({name: fields[name].values for name in made.events.fields}).filter(pa.array(good))
    grouped = sequences(events, made.events)
    table = grouped.table
    rows = Sample(
        table.combine_chunks().to_batches(),
        dict.fromkeys(table.schema.names),
        files=sample.files,
        is_whole=sample.is_whole,
        of=sample.of,
    )
    found = profiles(rows)
    given = {one.name: _given(one, made, sample.is_whole, frozenset(rows.names)) for one in found}
    columns = draft(rows, found, {name: some for name, some in given.items() if some}, policy)
    features = {name: one for name, one in (made.events.features or {}).items() if name not in columns.left_out}
    made = replace(made, left_out={**made.left_out, **columns.left_out})
    if not features and made.gap not in (made.events.features or {}):  # no column takes any: what is left is the time
        made.events = made.events.model_copy(update={"features": {made.gap: made.since}})
        return _drafted(sample, fields, made, policy)
    made.events = made.events.model_copy(update={"features": features or made.events.features})
    # A run rejects nothing for values of a field that it does not read.
    if not np.array_equal(good, _readable(fields, made)):
        return _drafted(sample, fields, made, policy)
    spec = make_spec(columns.spec.columns, columns.spec.sequence_groups, events=made.events)
    bad = int((~good).sum()) + grouped.counts.rejected
    return SeenEvents(sample, made, replace(columns, spec=spec, left_out={}), len(table), bad)


def _readable(fields: Mapping[str, Field], made: Section) -> np.ndarray:
    """Returns the events without a value of another type in a field that the section reads, bool `[rows]`."""
    return np.array(np.logical_and.reduce([fields[name].good for name in made.events.fields]))


def _given(profile: Profile, made: Section, is_whole: bool, outputs: frozenset[str]) -> list[Candidate]:
    """Returns the columns that a feature of sequences gets, where the rows would tell something else."""
    if profile.name in made.events.key:
        return passed_through(profile, "the key: passed through, so that each example says whose it is")
    if profile.name == made.gap:
        return [_gap(profile)]
    if (
        is_whole
        or profile.are_times
        or not profile.are_integers
        or (profile.numbers.low or 0) < 0
        or (profile.numbers.high or 0) < SMALL
    ):
        return []
    # One id that no bucket is for rejects its whole sequence, and the sample does not tell how far they go.
    others = [
        one for one in candidates(profile, is_whole, outputs) if not one.column.type_name.endswith("with_identity")
    ]
    return others if names.is_property(profile.name) else [integer_ids(profile, is_whole), *others]


def _gap(profile: Profile) -> Candidate:
    dtype: dict[str, Any] = {"dtype": "float64"} if profile.numbers.rounded.matters else {}
    data = {"type": "sequence_numeric_column", "key": profile.name, "normalizer_fn": ["log1p", "z_score"], **dtype}
    why = "time since the previous event, 0 for the first; log1p because pauses differ by orders of magnitude"
    return Candidate(TYPES["sequence_numeric_column"].model_validate(data), (why,))


def _whole(steps: np.ndarray, members: Sequence[Tried]) -> tuple[SequenceGroup, str]:
    """Returns the policy for sequences that are all there: their last steps stay."""
    return grouping.usual(steps, members, "tail")


def _part(steps: np.ndarray, members: Sequence[Tried]) -> tuple[SequenceGroup, str]:
    """Returns the policy for sequences of which the sample has a part."""
    usual = int(np.percentile(steps, 95, method="higher")) if len(steps) else 0
    size = min(max(LIKELY, 1 << (2 * usual - 1).bit_length()), grouping.largest(members))
    why = (
        "the last steps are kept. The sample holds a part of each sequence, and cannot tell how long they are: seqcols plan "
        "counts all steps, and proposes a T"
    )
    return SequenceGroup(max_length=size, truncate="tail"), why
