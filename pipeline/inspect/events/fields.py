"""The fields of a sample's rows as one array each, of the types that a run on the same files has."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inputs import event_fields
from pipeline.inspect.profile import Profile
from pipeline.inspect.sample import Sample
from pipeline.inspect.trial import TOLERATED
from pipeline.sources.limits import Limits
from transforms.errors import JobError
from transforms.events.incoming import cast
from transforms.events.spec import SPLIT
from transforms.parse import typed
from transforms.parse.text import numbers_from_text
from transforms.rows.fields import is_text, plain


@dataclass(frozen=True)
class Field:
    """A field of events.

    Attributes:
      name: its name.
      values: `[rows]` of the type that it has in a run, null where a row has none.
      good: bool `[rows]`, False where a run rejects the event, since its value is of another type.
      profile: what it holds.
    """

    name: str
    values: pa.Array
    good: np.ndarray
    profile: Profile

    @property
    def is_moment(self) -> bool:
        """Whether its values are timestamps or dates."""
        return pa.types.is_timestamp(self.values.type) or pa.types.is_date(self.values.type)

    @property
    def may_be_key(self) -> bool:
        """Whether its values can say whose an event is: times and booleans do not."""
        return not (typed.is_time(self.values.type) or pa.types.is_boolean(self.values.type))

    @property
    def numbers(self) -> np.ndarray | None:
        """Float64 `[rows]`, numbers typed or as text, NaN where there is none; None for a field of others."""
        if not self.profile.are_numbers:
            return None
        if is_text(self.values.type):
            found, _ = numbers_from_text(self.values, whole=False, unit=None)
        else:
            found, _ = typed.as_numbers(self.values, whole=False, unit=typed.SECONDS)
        return pc.cast(found, pa.float64(), safe=False).to_numpy(zero_copy_only=False)


def fields_of(
    sample: Sample, profiles: Sequence[Profile], held: event_fields.Held, limits: Limits
) -> tuple[dict[str, Field], dict[str, str]]:
    """Returns the fields that sequences can have values of, by name; and of the others why not.

    Raises:
      JobError: a file cannot be read.
    """
    found: dict[str, Field] = {}
    left_out: dict[str, str] = {}
    for profile in profiles:
        try:
            kind = event_fields.kind_of(profile.name, held, is_key=False)
        except JobError as error:
            left_out[profile.name] = str(error).removeprefix("events: ")
            continue
        why = _why_none(profile, kind) or _why_lacking(profile.name, held, limits)
        if not why:
            values, good = _joined(sample, profile.name, kind)
            if len(good) and good.mean() >= 1 - TOLERATED:
                found[profile.name] = Field(profile.name, values, good, profile)
                continue
            why = f"{int((~good).sum()):,} values are not {kind}, as those of the first rows are"
        left_out[profile.name] = why
    return found, left_out


def _why_none(profile: Profile, kind: pa.DataType) -> str:
    if not profile.name:
        return "its name is empty"
    if profile.name.startswith("__"):
        return "names that begin with '__' are reserved"
    if profile.name == SPLIT:
        return "sequences name their split in a column of this name"
    if not profile.count:
        return "no row of the sample holds a value"
    return "" if is_text(kind) or typed.is_number(kind) else f"no column takes {kind}"


def _why_lacking(name: str, held: event_fields.Held, limits: Limits) -> str:
    path = next(event_fields.lacking(name, held, limits), None)
    return f"{path}: there is no such field" if path else ""


def _joined(sample: Sample, name: str, kind: pa.DataType) -> tuple[pa.Array, np.ndarray]:
    """Returns a field in all rows, and whether a run takes its value, bool `[rows]`."""
    parts, good = [pa.nulls(0, kind)], [np.zeros(0, bool)]
    for batch in sample.batches:
        given = batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows)
        values, faults = cast(plain(given), kind, name)
        parts.append(values)
        good.append(np.ones(batch.num_rows, bool))
        for fault in faults:
            good[-1][fault.rows] = False
    return pa.concat_arrays(parts), np.concatenate(good)


def is_of_events(profiles: Sequence[Profile]) -> bool:
    """Returns whether no row has several values of a feature: rows that do are sequences already."""
    return all(profile.is_scalar or not profile.count for profile in profiles)
