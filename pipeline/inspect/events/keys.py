"""The key of events: which field says whose they are, why, and why the others do not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.inspect.candidates import number
from pipeline.inspect.draft import MOST_REJECTED
from pipeline.inspect.events import names
from pipeline.inspect.events.fields import Field
from pipeline.inspect.events.spread import Spread, spread, togetherness
from pipeline.inspect.events.times import TimeCandidate
from transforms.events.keys import numbered
from transforms.rows import keys as row_keys
from transforms.rows.fields import is_text

REPEATED: Final = 0.5
"""Share of the events whose value another one has, at least, where the sample is all there is."""

IN_A_PART: Final = 0.25
"""The same where it is a part: the others of a key may lie outside."""

HIDDEN: Final = 0.002
"""Share of a part of the rows from which on a key may be one of many, each with few rows in it."""

EACH: Final = 1.5
"""Events per value, at least, where the sample is all there is."""

FEW: Final = 50
"""Values below which a field is a property, unless its name is that of somebody or something."""

FEW_KINDS: Final = 20
"""The same for names that may be those of kinds of things."""

MANY: Final = 100

SIGN: Final = 4
"""Points for a habit of the events in time or in the files, and those that a field needs to be the key; fewer only break ties."""

STAYS: Final = 0.6
"""Agreement beyond chance from which on a field belongs to the key (see `togetherness`)."""

LOOSE: Final = 0.01
"""Share of the values that may be with several keys, although each is said to be with one."""

SOME: Final = 0.05
"""Share of the keys that must have several values of a field for it to divide them."""


OWNERS: Final = (
    (names.PEOPLE, "somebody who acts", 30),
    (names.THINGS, "a thing that reports", 20),
    (names.VISITS, "a visit", 10),
)
"""Names of owners and what they say, more than all other signs: a visit is one of somebody."""


@dataclass(frozen=True)
class KeyCandidate:
    """A field that was looked at as the key.

    Attributes:
      field: the field.
      codes: int64 `[rows]`, its values as numbers from 0 in their order, -1 where there is none.
      spread: its figures.
      signs: how much speaks for it.
      why: what does, for people.
      against: why it cannot be the key, or an empty string.
    """

    field: Field
    codes: np.ndarray
    spread: Spread
    signs: int = 0
    why: tuple[str, ...] = ()
    against: str = ""

    @property
    def name(self) -> str:
        """The field's name."""
        return self.field.name

    @property
    def absent(self) -> float:
        """Share of the rows without a value."""
        return float((self.codes < 0).mean()) if len(self.codes) else 0.0


@dataclass(frozen=True)
class Key:
    """The key that was chosen.

    Attributes:
      fields: its fields; the first one is the owner of the events.
      chosen: the first field as a candidate.
      why: the reasons, one line each.
      others: why not, by the name of every other field that repeats.
    """

    fields: tuple[str, ...]
    chosen: KeyCandidate
    why: tuple[str, ...]
    others: Mapping[str, str]


def candidates(
    fields: Mapping[str, Field], time: TimeCandidate, is_whole: bool, times: Collection[str] = ()
) -> list[KeyCandidate]:
    """Returns the fields that might be the key, those with most signs first; the ones that cannot be at the end.

    Args:
      fields: the fields of the sample's rows.
      time: the time of the events.
      is_whole: whether the sample is all there is.
      times: fields that are other times.
    """
    made = []
    for field in fields.values():
        if field.name not in (time.field.name, *times) and field.may_be_key:
            made.append(_judged(_candidate(field, time), is_whole))
    return sorted(made, key=lambda one: (not one.against, one.signs, one.spread.distinct), reverse=True)


def _candidate(field: Field, time: TimeCandidate) -> KeyCandidate:
    codes = codes_of(field)
    there = (codes >= 0) & time.times.good
    return KeyCandidate(field, codes, spread(codes[there], time.times.values[there], field.profile.are_numbers))


def codes_of(field: Field) -> np.ndarray:
    """Returns the values of a field as numbers from 0 in their order, int64 `[rows]`; -1 where there is none."""
    codes = np.full(len(field.values), -1, np.int64)
    numbers = field.numbers if is_text(field.values.type) else None
    if numbers is not None:  # by size, not by their digits
        there = np.isfinite(numbers)
        codes[there] = np.unique(numbers[there], return_inverse=True)[1]
        return codes
    there = ~row_keys.missing(field.values)
    if there.any():
        codes[there] = numbered([field.values.filter(pa.array(there))])[0]
    return codes


def _judged(one: KeyCandidate, is_whole: bool) -> KeyCandidate:
    (owner, said), is_id = _owner(one), names.is_id(one.name)
    against = _against(one, owner, is_whole)
    if against:
        return replace(one, against=against)
    found = one.spread
    is_measured = found.drifts and not (owner or is_id or found.is_even or found.is_grid)
    signs = [
        (said, f"its name is that of {owner}" if owner else ""),
        (1, "its name is that of an id" if not owner else "") if is_id else (0, ""),
        (SIGN, "each value has an event at most times") if found.is_grid else (0, ""),
        (SIGN, "its events come at regular intervals") if found.is_even and not found.is_grid else (0, ""),
        (SIGN, "its events are close together in time") if found.is_close else (0, ""),
        (SIGN, "its events lie together in the files") if found.is_together else (0, ""),
        (1, "") if found.distinct >= MANY else (0, ""),
    ]
    made = replace(one, signs=sum(sign for sign, _ in signs), why=tuple(why for _, why in signs if why))
    if made.signs >= SIGN and not is_measured:
        return made
    if is_measured:
        return replace(made, against="a measurement: values close in time are close in size")
    return replace(made, against=f"{number(found.distinct)} values, and no sign that events belong to one")


def _owner(one: KeyCandidate) -> tuple[str, int]:
    """Returns what a field is by its name, and how much that says; nothing for what is no owner."""
    word = names.head(one.name)
    if word in names.KINDS and not names.is_id(one.name) and one.spread.distinct < FEW_KINDS:
        return "", 0
    return next(((what, said) for listed, what, said in OWNERS if word in listed), ("", 0))


def _against(one: KeyCandidate, owner: str, is_whole: bool) -> str:
    """Returns why a field cannot be the key, or nothing."""
    found = one.spread
    if one.absent > MOST_REJECTED:
        return f"absent from {one.absent:.0%} of the rows"
    if found.distinct < 2:
        return "the same in all rows"
    if found.repeated < (REPEATED if is_whole else IN_A_PART) or (is_whole and found.each < EACH):
        return f"hardly repeats: {number(found.distinct)} values in {number(found.rows)} rows"
    numbers = one.field.numbers
    if numbers is not None and (np.modf(numbers[np.isfinite(numbers)])[0] != 0).any():
        return "an amount: not all are whole"
    if owner:
        return ""
    if found.follows_time:
        return "grows with time"
    if names.is_property(one.name):
        return f"a property by its name, with {number(found.distinct)} values"
    if found.distinct < FEW and not found.is_grid and not names.is_id(one.name):
        return f"only {number(found.distinct)} values"
    return "all events of a value have one time" if found.moments <= 1 else ""


def choose(found: list[KeyCandidate]) -> Key | None:
    """Returns the key of `candidates`, or None where no field says whose the events are."""
    if not found or found[0].against:
        return None
    best = found[0]
    what = f"{best.name!r}: {_size(best)}"
    why = ["; ".join((what, *best.why))]
    second, more = _second(best, found)
    others = {one.name: _why_not(one, best) for one in found[1:] if one.spread.repeated >= IN_A_PART}
    if second is not None:
        others.pop(second.name, None)
        why.append(more)
    return Key((best.name, *([second.name] if second else ())), best, tuple(why), others)


def _size(one: KeyCandidate) -> str:
    return f"{number(one.spread.distinct)} values, each in {one.spread.each:.1f} of the sample's events"


def _why_not(one: KeyCandidate, best: KeyCandidate) -> str:
    if one.against:
        return one.against
    if _within(one, best)[1] <= LOOSE:
        return f"{_size(one)} and with one {best.name!r} only: key: [{best.name}, {one.name}] gives a sequence for each"
    return f"{_size(one)}: key: [{one.name}], if the histories of these are wanted"


def _within(one: KeyCandidate, other: KeyCandidate) -> tuple[float, float]:
    there = (one.codes >= 0) & (other.codes >= 0)
    return togetherness(one.codes[there], other.codes[there]) if there.any() else (float("nan"), 0.0)


def _second(best: KeyCandidate, found: list[KeyCandidate]) -> tuple[KeyCandidate | None, str]:
    """Returns a field that divides the owner's events into several histories, and why; None for none.

    Nearly all events have it. An owner's events mostly stay with one value of it, but not all do; and what they are about belongs
    to one value of it, too: a repository with its files, a site with its pages.
    """
    for one in found:
        if one is best or one.absent > MOST_REJECTED or one.spread.distinct < 2:
            continue
        if names.is_property(one.name) or not _is_word(one):
            continue
        stays, several = _within(best, one)
        if not (stays >= STAYS and several >= SOME and _within(one, best)[1] >= SOME):
            continue
        for about in found:
            is_other = about not in (best, one) and about.spread.distinct > 2 * one.spread.distinct and _is_word(about)
            if is_other and about.spread.repeated >= 0.2 and _within(about, one)[0] >= STAYS:
                why = (
                    f"{one.name!r} too: {several:.0%} of the values of {best.name!r} are with several, but mostly with one, and "
                    f"so are those of {about.name!r}: a sequence for each pair. For one per {best.name!r}: key: [{best.name}]"
                )
                return one, why
    return None, ""


def _is_word(one: KeyCandidate) -> bool:
    """Whether a field's values are names of something: text, or ids."""
    return not one.field.profile.are_numbers or names.is_id(one.name)


def may_be_hidden(one: KeyCandidate) -> bool:
    """Whether more rows could show that a field is a key: it is one by its name, and repeats a little in a part of the rows."""
    return bool(_owner(one)[0] and one.spread.distinct >= 2 and one.spread.repeated >= HIDDEN)
