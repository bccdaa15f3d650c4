"""Candidate columns for a feature, the best match first, each with the reason."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pipeline.inspect.profile import Profile
from transforms import escaping
from transforms.columns import TYPES, Column

MOST_IDS: Final = 100_000
"""Integers from 0 to below it are taken for ids."""

REPEATED: Final = 10
"""Values are taken for names of something if there are at least this many for each different one."""

LARGEST_AMOUNT: Final = 2**53
"""Larger integers no float holds exactly: nobody counts so far, but keys are as large."""

MOST_LEARNED: Final = 1000
"""Different words in a sample up to which a vocabulary is learned; beyond it words are hashed."""

BUCKETS: Final = 4
"""Hash buckets for each different word of the sample, at least: few words share one then."""

LEAST_BUCKETS: Final = 1000

LEAST_KEYS: Final = 20
"""Rows in which no integer may stand twice to be taken for a key; of text two rows are enough."""


@dataclass(frozen=True)
class Candidate:
    """A column that a feature may become.

    Attributes:
      column: the column. Its sequence group is still the default one.
      why: the reason for choosing it, in one line or several.
    """

    column: Column
    why: tuple[str, ...]


def candidates(profile: Profile, is_whole: bool, outputs: frozenset[str], as_key: bool = True) -> Iterator[Candidate]:
    """Yields columns for a feature.

    Args:
      profile: the profile of the feature in a sample.
      is_whole: whether that is all there is.
      outputs: names that no further output may have.
      as_key: whether it may be passed through as a key.
    """
    chooser = _Chooser(profile, is_whole, outputs)
    if profile.is_scalar and as_key and not (profile.are_times or profile.are_booleans):
        yield from chooser.keys()
    if profile.are_integers and not profile.are_times:
        yield from chooser.integers()
    if profile.are_numbers:
        yield from chooser.numbers()
    elif profile.are_words:
        yield from chooser.words()


def passed_through(profile: Profile, why: str) -> list[Candidate]:
    """Returns the columns that pass a feature through, the best match first."""
    chooser = _Chooser(profile, True, frozenset())
    kinds = [chooser.key_dtype()]
    if profile.natures["floats"]:
        kinds.append("float64" if profile.numbers.rounded.matters else "float32")
    return [chooser.passed_through(kind, why) for kind in kinds]


def integer_ids(profile: Profile, is_whole: bool) -> Candidate:
    """Returns the column of ids that takes any integer."""
    return _Chooser(profile, is_whole, frozenset()).hashed_integers()


@dataclass(frozen=True)
class _Chooser:
    profile: Profile
    is_whole: bool
    outputs: frozenset[str]

    def keys(self) -> Iterator[Candidate]:
        """Yields a pass-through column, where no two rows hold the same."""
        p = self.profile
        least = LEAST_KEYS if p.are_integers else 2
        unique = p.distinct == p.count == len(p.steps) >= least
        if unique and (p.are_words or p.are_integers):
            yield self.passed_through(self.key_dtype(), "another one in every row: a key, which is passed through")

    def key_dtype(self) -> str:
        """Returns the dtype that a key of text or integers is passed through with."""
        if self.profile.natures["text"]:
            return "string" if self.profile.is_utf8 else "bytes"
        return self._integer()

    def passed_through(self, kind: str, why: str) -> Candidate:
        """Returns the pass-through column of a dtype."""
        return self._made("passthrough_column", why, **({} if kind == "string" else {"dtype": kind}))

    def integers(self) -> Iterator[Candidate]:
        """Yields columns of ids."""
        p, low, high = self.profile, self.profile.numbers.low, self.profile.numbers.high
        span = f"integers from {number(low)} to {number(high)}"
        kind = self._kind("categorical_column_with_identity")
        other = self._kind("numeric_column")
        if low is None or high is None or low < 0:
            return
        if p.are_booleans:
            why = f"booleans: 1 for true, 0 for false. As a label of 0.0 and 1.0: {other}"
            yield self._made(kind, why, num_buckets=2, **self._ids())
            return
        if high < MOST_IDS:
            size, said = self._buckets(int(high) + 1)
            more = f"{span}: taken for ids{said}. If these are amounts: {other} with normalizer_fn: z_score"
            yield self._made(kind, more, num_buckets=size, **self._ids())
        elif p.count >= REPEATED * max(p.distinct, 1) or high > LARGEST_AMOUNT:
            yield self.hashed_integers()

    def hashed_integers(self) -> Candidate:
        """Returns the column of integers that are hashed."""
        p, kind = self.profile, self._kind("categorical_column_with_hash_bucket")
        span = f"integers from {number(p.numbers.low)} to {number(p.numbers.high)}, {number(p.distinct)} different ones"
        why = f"{span}: taken for ids, hashed. If these are amounts: {self._kind('numeric_column')}"
        return self._made(kind, why, hash_bucket_size=self._hash_size(), dtype=self._integer(), **self._ids())

    def numbers(self) -> Iterator[Candidate]:
        """Yields columns of numbers: as int64, where all are integers; else as floats, which gaps can be in."""
        p = self.profile
        span = f"from {number(p.numbers.low)} to {number(p.numbers.high)}, mean {number(p.numbers.mean)}"
        if p.are_times:
            span += ": times in seconds (time_unit takes others)"
        kind, shape = self._kind("numeric_column"), {}
        if p.depth == 2:
            if p.widths[0] != p.widths[1]:
                return
            shape = {"shape": [p.widths[0]]} if p.widths[0] > 1 else {}
        some = {"normalizer_fn": "z_score"}
        if p.are_integers and not p.nulls:
            absent = self._absent(int)
            yield self._made(
                kind, f"integers {span}", *_why_absent(p, absent), **shape, dtype="int64", **absent, **some
            )
        absent, why = self._absent(float), [f"numbers {span}"]
        if p.numbers.rounded.matters:
            some["dtype"] = "float64"
            made = p.numbers.rounded
            why.append(f"float32 makes {number(made.different)} different values {number(made.left)}: dtype float64")
        gaps = p.numbers.non_finite + p.nulls
        if gaps:
            put = "fill" if not p.is_scalar else "mean"
            some["non_finite"] = put
            what = {"fill": "become 0, the mean", "mean": "take the mean"}[put]
            why.append(f"{number(gaps)} gaps (null, NaN, infinities) {what}")
            if f"{p.name}_observed" not in self.outputs:
                why[-1] += ", and are marked"
                yield self._made(
                    kind, *why, *_why_absent(p, absent), **shape, **absent, **some, **{"observed_mask": True}
                )
        yield self._made(kind, *why, *_why_absent(p, absent), **shape, **absent, **some)

    def words(self) -> Iterator[Candidate]:
        """Yields columns of words."""
        p = self.profile
        what = f"{number(p.distinct)} different {'words' if p.is_utf8 else 'byte strings'} in {number(p.count)}"
        if p.has_only_times:
            what += f", all of them times ({self._kind('numeric_column')} with time_unit reads them)"
        few = p.distinct <= MOST_LEARNED and p.count >= REPEATED * p.distinct
        if few and p.is_utf8 and not p.has_odd_words:
            kind = self._kind("categorical_column_with_learned_vocabulary")
            why = f"{what}: a vocabulary is learned, with one id for all other words"
            yield self._made(kind, why, num_oov_buckets=1, **self._ids())
        kind = self._kind("categorical_column_with_hash_bucket")
        bytes_too = {} if p.is_utf8 else {"dtype": "bytes"}
        why = f"{what}: hashed to ids"
        yield self._made(kind, why, hash_bucket_size=self._hash_size(), **bytes_too, **self._ids())

    def _made(self, kind: str, *why: str, **arguments: Any) -> Candidate:
        given = {"key": self.profile.name, **arguments}
        if self.profile.delimiter:
            given["delimiter"] = self.profile.delimiter
        return Candidate(TYPES[kind].model_validate({"type": kind, **given}), why)

    def _integer(self) -> str:
        """Returns the dtype that holds all integers."""
        high = self.profile.numbers.high
        return "uint64" if high is not None and high >= 2**63 else "int64"

    def _kind(self, context: str) -> str:
        return context if self.profile.is_scalar else f"sequence_{context}"

    def _ids(self) -> dict[str, Any]:
        """Returns how many ids a step may have."""
        fewest, most = self.profile.widths
        if self.profile.depth < 2 or most <= 1:
            return {}
        return {"max_ids": most if self.is_whole or fewest == most else 2 * most}

    def _buckets(self, seen: int) -> tuple[int, str]:
        """Returns how many ids there may be, and what is to be said of it."""
        p = self.profile
        if self.is_whole or (p.distinct == seen and p.count >= 100 * seen):
            return seen, ""
        size = 1 << seen.bit_length()
        return size, ", with room for others: the sample is not all (a larger one rejects its row: out_of_range)"

    def _hash_size(self) -> int:
        size = max(LEAST_BUCKETS, BUCKETS * self.profile.distinct)
        step = 10 ** (len(str(size)) - 1)
        return -(-size // step) * step

    def _absent(self, kind: type) -> dict[str, Any]:
        """Returns the default of a context column that is absent in some rows: the mean."""
        p = self.profile
        if not p.is_scalar or (p.steps > 0).all():
            return {}
        return {"default_value": kind(float(f"{p.numbers.mean:.6g}"))}


def _why_absent(profile: Profile, default: dict[str, Any]) -> list[str]:
    if not default:
        return []
    rows = int((profile.steps == 0).sum())
    return [f"{number(rows)} rows have no value and take the sample's mean"]


def number(value: float | int | None) -> str:
    """Returns a number for people: integers whole, with commas; others with six digits.

    >>> number(23360), number(0.123456789)
    ('23,360', '0.123457')
    """
    if value is None:
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:.6g}"


def shown_word(word: bytes) -> str:
    """Returns a word for people, escaped and cut short."""
    text = escaping.value(escaping.of_bytes(word))
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


SHOWN: Final = 24
"""Characters of a word that are shown."""
