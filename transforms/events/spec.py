"""The `events:` section: how events become sequences, checked as a whole before any event is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, model_validator

from transforms import reprs
from transforms.events.features import Feature, Values, feature_of
from transforms.models import Model
from transforms.parse.units import duration

SPLIT: Final = "split"
"""Name of the column with the split of each sequence."""

Name = Annotated[str, Field(strict=True, min_length=1)]
Count = Annotated[int, Field(strict=True, ge=1, lt=2**31)]


def _names(value: Any) -> Any:
    """A single name may stand for a list of one."""
    if isinstance(value, str):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


def _different(names: tuple[str, ...]) -> tuple[str, ...]:
    for k, name in enumerate(names):
        if name in names[:k]:
            raise ValueError(f"expected each field once, got {name!r} twice")
    return names


def _feature(value: Any) -> Feature:
    return feature_of(value)


def _gap(value: Any) -> str:
    duration(value)
    return "".join(str(value).split())


Names = Annotated[
    tuple[Name, ...],
    Field(min_length=1),
    BeforeValidator(_names, json_schema_input_type=Name | list[Name]),
    AfterValidator(_different),
]
AnyFeature = Annotated[Any, BeforeValidator(_feature, json_schema_input_type=Name | list[Name] | dict[str, Name])]


class _Section(Model):
    """A mapping of the section."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    def __repr__(self) -> str:
        """The call that makes it, with what is not the default."""
        return reprs.call(type(self).__name__, self)

    __str__ = __repr__


class Time(_Section):
    """The unit of times that are numbers.

    Attributes:
      unit: the unit of numbers, since 1970-01-01 UTC: `"s"`, `"ms"`, `"us"` or `"ns"`. Timestamps, dates and ISO 8601 text
        have their own.
    """

    unit: Literal["s", "ms", "us", "ns"] = "s"


class Sessions(_Section):
    """Pauses that cut the events of a key into several sequences.

    Attributes:
      gap: the longest pause within a sequence, a number and its unit: `"30m"`. A longer one begins another sequence.
    """

    gap: Annotated[str, BeforeValidator(_gap, json_schema_input_type=str)]


class Windows(_Section):
    """Several sequences from a long one, or its last steps.

    Attributes:
      length: the number of steps in a window.
      stride: the number of steps from the beginning of one window to that of the next; by default `length`.
      partial: `"keep"` keeps a last window that is shorter, `"drop"` drops it.
      last: the number of last steps to keep, in one sequence; instead of the other fields.
    """

    length: Count | None = None
    stride: Count | None = None
    partial: Literal["keep", "drop"] = "keep"
    last: Count | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if self.last is None and self.length is None:
            raise ValueError("expected a length (and a stride), or last: how many steps")
        for name in ("length", "stride", "partial") if self.last is not None else ():
            if name in self.model_fields_set:
                raise ValueError(f"{name} does not apply to last, which is one window without a stride")
        return self


class Target(_Section):
    """The target: a value of the events after the steps, which are not steps themselves.

    Attributes:
      field: the field that it is taken from; the context feature is named `target_<field>`.
      next: the number of events. 1 gives a value, more give a list of that length.
    """

    field: Name
    next: Count = 1

    @property
    def name(self) -> str:
        """Name of the context feature."""
        return f"target_{self.field}"


class Events(_Section):
    """The making of sequences from events. `transforms.make_events` builds one from a mapping, and reports every fault.

    >>> Events(key="user", order_by="time", features={"items": "item", "hours": {"since_previous": "h"}}).key
    ('user',)

    Attributes:
      key: the fields that identify the owner of an event: one sequence for each key.
      order_by: the fields that events are ordered by, the first of them the time. Ties are broken by every other field that
        the section reads, in code-point order of their names: nulls first, NaN last, text by its bytes.
      time: how times are read.
      features: the features of the sequences, by name; None for every field under its own name.
      unique: fields; of the events of a key that are equal in all of them, only the last by order is kept. None keeps all events.
      longer: what to do with a sequence of more steps than allowed. `"reject"` drops it, `"last"` keeps its last steps.
      sessions: cuts by pauses; None for none.
      windows: cuts by steps; None for none.
      min_events: sequences with fewer steps are dropped; the target's events do not count.
      target: the value to predict; None for none.
    """

    key: Names
    order_by: Names
    time: Time = Time()
    features: Annotated[dict[Name, AnyFeature], Field(min_length=1)] | None = None
    unique: Names | None = None
    longer: Literal["reject", "last"] = "reject"
    sessions: Sessions | None = None
    windows: Windows | None = None
    min_events: Count = 1
    target: Target | None = None

    @property
    def fields(self) -> tuple[str, ...]:
        """Every field that the section names, each once."""
        named = [*self.key, *self.order_by, *(self.unique or ()), *([self.target.field] if self.target else ())]
        named += [field for feature in (self.features or {}).values() for field in feature.fields]
        return tuple(dict.fromkeys(named))

    @property
    def sequence_names(self) -> tuple[str, ...] | None:
        """The features of the sequences, key and target included; None where the events' own fields are among them."""
        target = [self.target.name] if self.target else []
        return None if self.features is None else (*self.key, *self.features, *target)

    def features_of(self, names: Iterable[str]) -> dict[str, Feature]:
        """Returns the features by name, for events that have fields of these names."""
        if self.features is not None:
            return dict(self.features)
        return {name: Values((name,)) for name in names if name not in self.key}

    def tie_fields(self, names: Iterable[str]) -> list[str]:
        """Returns the fields that events of one key and time are ordered by, for events that have fields of these names."""
        read = {*self.fields, *(names if self.features is None else ())} - {*self.key, *self.order_by}
        return [*(field for field in self.order_by[1:] if field not in self.key), *sorted(read)]


def events_to_dict(events: Events) -> dict[str, Any]:
    """Returns the mapping that `make_events` builds the section from, without defaults."""
    made: dict[str, Any] = {}
    for name, info in Events.model_fields.items():
        value = getattr(events, name)
        if info.is_required() or value != info.default:
            made[name] = _written(value)
    return made


def _written(value: Any) -> Any:
    if isinstance(value, Model):
        return value.model_dump(exclude_defaults=True)
    if isinstance(value, Mapping):
        return {name: feature.written() for name, feature in value.items()}
    return list(value) if isinstance(value, tuple) else value
