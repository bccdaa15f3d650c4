"""The rule that decides the split of a row: `split:` in a columns file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from transforms import reprs
from transforms.models import Model
from transforms.parse.times import is_zone, moment
from transforms.problems import shown

TRAIN: Final = "train"
USUAL: Final = (TRAIN, "validation", "test")
"""Names of splits that need no declaration."""

NAME: Final = r"[A-Za-z][A-Za-z0-9_]{0,63}"
"""Names of splits, which are part of file names."""

MOST: Final = 64
"""The most splits of a data set: a worker holds a file open for each."""

Value = Annotated[int, Field(strict=True)] | Annotated[str, Field(strict=True)]


def _as_list(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


Values = Annotated[Value | list[Value], BeforeValidator(_as_list, json_schema_input_type=Value | list[Value])]


class Split(Model):
    """The rule that decides the split of each row: `train`, `validation`, `test`, or others that are declared here.

    The rule looks only at the row: the same row is in the same split whatever its file, the order, the run or the engine.
    Statistics, vocabularies and a T that the data decide come from `train`.

    Attributes:
      by: `"input"`: each input names its split, `--input train=GLOB`. `"key"`: by a hash of one or several features, so that
        all rows of a user are in one split. `"feature"`: a feature names it. `"time"`: by time, with a border before each
        later split.
      names: with `by: input`, the splits that inputs may name; by default train, validation and test.
      key: with `by: key`, one feature or several: integers or text, one value per row. Integers count as their decimal text. A
        row without one is rejected (`no_split`).
      fractions: with `by: key`, the share of the keys that each split has. They add up to 1.
      seed: with `by: key`, an integer: another one gives other splits.
      feature: with `by: feature`, the feature that says the split; with `by: time`, the feature with the time, of a list the
        last value. A row without one, or with another value, is rejected (`no_split`). Events are divided by their own time, and
        need none.
      values: with `by: feature`, the values of each split; where none are given, train, validation and test say their own names.
      validation: with `by: time`, when validation begins: a date, a time in ISO 8601, or a number in `unit`. A row at or after a
        border belongs to the later split.
      test: with `by: time`, when test begins.
      borders: with `by: time`, when further splits begin, by name.
      unit: with `by: time`, the unit of numbers since 1970-01-01 UTC: `s`, `ms`, `us` or `ns`.
      timezone: with `by: time`, the time zone of times and borders that name none, for example `Europe/Paris`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    by: Literal["input", "key", "feature", "time"]
    names: list[Annotated[str, Field(strict=True)]] | None = None
    key: (
        Annotated[
            Annotated[str, Field(strict=True)] | list[Annotated[str, Field(strict=True)]], BeforeValidator(_as_list)
        ]
        | None
    ) = None
    fractions: dict[str, Annotated[float, Field(ge=0, le=1)]] | None = None
    seed: Annotated[int, Field(strict=True)] = 0
    feature: Annotated[str, Field(strict=True)] | None = None
    values: dict[str, Values] | None = None
    validation: Value | None = None
    test: Value | None = None
    borders: dict[str, Value] | None = None
    unit: Literal["s", "ms", "us", "ns"] = "s"
    timezone: Annotated[str, Field(strict=True)] = "UTC"

    def __repr__(self) -> str:
        """The call that makes it, with what is not the default."""
        return reprs.call(type(self).__name__, self)

    __str__ = __repr__

    @property
    def split_names(self) -> tuple[str, ...]:
        """Names of the splits, train first if there is one."""
        if self.by == "key":
            found = list(self.fractions or ())
        elif self.by == "feature":
            found = list(self.values or USUAL)
        elif self.by == "time":
            found = [TRAIN, *(name for name, _ in self.ordered_borders)]
        else:
            found = list(self.names or USUAL)
        return tuple(sorted(found, key=lambda name: name != TRAIN))

    @property
    def keys(self) -> tuple[str, ...]:
        """The features that the rule reads; none if inputs name their splits."""
        if self.by == "key":
            return (self.key,) if isinstance(self.key, str) else tuple(self.key or ())
        return (self.feature,) if self.feature is not None and self.by != "input" else ()

    @property
    def thresholds(self) -> tuple[int, ...]:
        """Where each split of `by: key` ends, in the order of `fractions`: hashes below 2^64 times the shares added up.

        >>> Split(by="key", key="user", fractions={"train": 0.75, "test": 0.25}).thresholds == (3 * 2**62, 2**64)
        True
        """
        total, made = Fraction(0), []
        for share in (self.fractions or {}).values():
            total += _exact(share)
            made.append(int(total * 2**64))
        return tuple(made)

    @property
    def ordered_borders(self) -> tuple[tuple[str, int], ...]:
        """The splits of `by: time` after train, and when each begins, in nanoseconds since 1970, ascending."""
        found = [(name, moment(value, self.unit, self.timezone)) for name, value in self._borders.items()]
        return tuple(sorted(found, key=lambda pair: pair[1]))

    @property
    def has_numbers(self) -> bool:
        """Whether a border of `by: time` is a number, which counts `unit`."""
        return any(isinstance(value, int) for value in self._borders.values())

    @property
    def _borders(self) -> dict[str, str | int]:
        own = {"validation": self.validation, "test": self.test, **(self.borders or {})}
        return {name: value for name, value in own.items() if value is not None}

    @property
    def words(self) -> Mapping[str, str]:
        """The split by the text that the feature of `by: feature` holds."""
        if self.values is None:
            return {name: name for name in USUAL}
        return {
            str(one): name for name, held in self.values.items() for one in (held if isinstance(held, list) else [held])
        }

    def faults(self, of_events: bool = False) -> Iterator[tuple[str, str]]:
        """Yields what is wrong between the fields: the name of one, and a message.

        Args:
          of_events: whether it divides events, which have a time without a feature's help.
        """
        for name in sorted(set(_OWN) - set(_OF[self.by])):
            if getattr(self, name) != type(self).model_fields[name].default:
                owner = " or ".join(by for by, own in _OF.items() if name in own)
                yield name, f"belongs to by: {owner}, got by: {self.by}"
        if self.by == "time" and not self.feature and not of_events:
            yield "feature", f"expected the feature with the time, got {shown(self.feature)}"
        yield from {"input": self._input, "key": self._key, "feature": self._feature, "time": self._time}[self.by]()

    def _input(self) -> Iterator[tuple[str, str]]:
        if self.names is not None:
            yield from _names("names", self.names)
            if len(set(self.names)) < len(self.names):
                yield "names", f"expected each name once, got {shown(self.names)}"

    def _key(self) -> Iterator[tuple[str, str]]:
        if not self.keys or "" in self.keys or len(set(self.keys)) < len(self.keys):
            yield "key", f"expected the name of a feature, or several different ones, got {shown(self.key)}"
        if not self.fractions:
            yield "fractions", f"expected a share for each split, as train: 0.8, got {shown(self.fractions)}"
            return
        yield from _names("fractions", self.fractions)
        total = sum(map(_exact, self.fractions.values()), Fraction(0))
        if total != 1:
            yield "fractions", f"expected shares that add up to 1, got {float(total):.10g}"

    def _feature(self) -> Iterator[tuple[str, str]]:
        if not self.feature:
            yield "feature", f"expected the feature that says the split, got {shown(self.feature)}"
        if self.values is None:
            return
        yield from _names("values", self.values)
        held = [str(one) for own in self.values.values() for one in (own if isinstance(own, list) else [own])]
        for one in sorted({one for one in held if held.count(one) > 1}):
            yield "values", f"expected each value in one split, got {shown(one)} twice"

    def _time(self) -> Iterator[tuple[str, str]]:
        if not is_zone(self.timezone):
            yield "timezone", f"expected a time zone, as Europe/Paris, got {shown(self.timezone)}"
            return
        yield from _names("borders", self.borders or ())
        if TRAIN in (self.borders or ()):
            yield "borders", "train is before all borders, and has none"
        twice = [
            name for name in ("validation", "test") if getattr(self, name) is not None and name in (self.borders or ())
        ]
        yield from ((name, "expected one border, got another one under borders") for name in twice)
        if not self._borders:
            yield "test", "expected when test begins, got none"
        seen: dict[int, str] = {}
        for name, value in self._borders.items():
            where = name if name in ("validation", "test") and name not in (self.borders or ()) else "borders"
            try:
                at = moment(value, self.unit, self.timezone)
            except ValueError as error:
                yield where, str(error)
                continue
            if at in seen:
                yield where, f"expected another time than that of {seen[at]!r}, got {shown(value)}"
            seen[at] = name
        if "validation" in seen.values() and "test" in seen.values() and not _ordered(seen):
            yield "test", f"expected a time after validation begins, got {shown(self.test)}"


_OF: Final[dict[str, tuple[str, ...]]] = {
    "input": ("names",),
    "key": ("key", "fractions", "seed"),
    "feature": ("feature", "values"),
    "time": ("feature", "validation", "test", "borders", "unit", "timezone"),
}
_OWN: Final = tuple(dict.fromkeys(name for own in _OF.values() for name in own))


def _ordered(seen: Mapping[int, str]) -> bool:
    at = {name: time for time, name in seen.items()}
    return at["validation"] < at["test"]


def _exact(share: float) -> Fraction:
    """Returns a share exactly as it is written: 0.1 is a tenth."""
    return Fraction(repr(share))


def _names(field: str, names: Any) -> Iterator[tuple[str, str]]:
    for name in names:
        if not re.fullmatch(NAME, name):
            yield field, f"expected a name of letters, digits and _ for a split, got {shown(name)}"
    if len(names) > MOST:
        yield field, f"expected at most {MOST} splits, got {len(names)}"
