"""Random data sets of several days that are divided into splits; and the split of each row, recomputed in plain Python.

The split is that of the row as its format holds it: keys by TensorFlow's fingerprint and exact fractions, times by `datetime`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import tensorflow as tf

from pipeline.job.request import FORMATS as SINKS
from tests.faults.random_columns import WORDS, Feature, Rng, random_columns
from tests.faults.random_files import WRITERS, alone
from tests.faults.random_sets import FORMATS, GARBAGE, random_row, spoil
from tests.faults.record_formats import FRAMED, Row, file_name
from transforms.spec.spec import Spec
from transforms.splits.rule import USUAL, Split

RULES: Final = ("input", "key", "feature", "time")
BEGIN: Final = datetime(2024, 1, 1, tzinfo=UTC)
BORDERS: Final = {"validation": "2024-01-04", "test": "2024-01-06T12:00"}
HOURS: Final = 8 * 24


@dataclass(frozen=True)
class Days:
    """The columns of a data set that files are added to day by day.

    Attributes:
      format: what the files are.
      sink: what is written.
      spec: the columns, with the rule that divides rows, if one does.
      features: what rows hold for the columns.
      deciding: what they hold for the rule.
    """

    format: str
    sink: str
    spec: Spec
    features: tuple[Feature, ...]
    deciding: tuple[Feature, ...]

    @property
    def rule(self) -> Split | None:
        """The rule; None if inputs name their splits."""
        return self.spec.split

    def split_of(self, row: Row) -> str:
        """Returns the split of a row, an empty string for none; every row has one if inputs name theirs."""
        return _SPLIT_OF[self.rule.by](self.rule, alone(self.format, row)) if self.rule is not None else ""

    def file(self, rng: Rng, first: int, count: int) -> list[Row | bytes]:
        """Returns rows with ids from `first` on, some of them bad. The first is in train, the second is not, by any rule."""
        rows: list[Row | bytes] = []
        for number in range(count):
            row = random_row(rng, self.features, self.format, first + number, number < 2)
            self._decide(rng, row, number)
            chance = rng.random() if number > 1 else 1.0
            if chance < 0.05 and self.format in GARBAGE:
                rows.append(rng.choice(GARBAGE[self.format]))
                continue
            if chance < 0.3:
                spoil(rng, row, self.features[1:], self.format)
            elif chance < 0.4 and self.deciding:
                feature = rng.choice(self.deciding)
                row[feature.key] = self._odd(rng, feature)
            rows.append(row)
        return rows

    def _decide(self, rng: Rng, row: Row, number: int) -> None:
        """Puts into a row what decides its split."""
        while True:
            for feature in self.deciding:
                value = self._value(rng, feature)
                row[feature.key] = value if self.format == "jsonl" and rng.random() < 0.5 else [value]
            if not self.deciding or number > 1 or (self.split_of(row) == "train") == (number == 0):
                return

    def _value(self, rng: Rng, feature: Feature) -> Any:
        by = self.rule.by if self.rule is not None else ""
        if by == "time":
            at = BEGIN + timedelta(hours=rng.randrange(HOURS))
            made: Any = int(at.timestamp()) if feature.carrier == "int" else _written(rng, at)
        elif by == "feature":
            made = rng.randrange(3) if feature.carrier == "int" else rng.choice(USUAL)
        else:
            made = rng.randrange(-5, 30) if feature.carrier == "int" else f"{rng.choice(WORDS)}{rng.randrange(9)}"
        return made.encode() if isinstance(made, str) and self.format in FRAMED else made

    def _odd(self, rng: Rng, feature: Feature) -> Any:
        """Returns what may be none of a split, of a type that the format has there."""
        value = self._value(rng, feature)
        odd: list[Any] = [None, [], [value, self._value(rng, feature)]]
        if self.format in ("jsonl", "csv"):
            odd += ["x", "7", "", " 2 ", "2.5", "train", "2024-01-05T01:00:00Z"]
        if self.format == "jsonl":
            odd += [True, 2.5, 7.0, [value, None], [[value]], {"a": 1}, math.nan]
        if self.format in FRAMED:
            odd += [[2.5], [3.0], [b"\xff"], [b"1"], [1], [b""]]
        if self.format in ("parquet", "avro"):
            odd += [[None], [value, None]]
        return rng.choice(odd)

    def write(self, path: Path, rows: Sequence[Row | bytes]) -> None:
        """Writes rows to a file."""
        WRITERS[self.format](path, rows, (*self.features, *self.deciding))

    def path(self, folder: Path, name: str) -> Path:
        """Returns the path of a file of these."""
        return folder / file_name(self.format, name)


def days(seed: int) -> Days:
    """Returns the columns of a number, with each way to divide rows in turn."""
    rng = Rng(f"splits {seed}")
    format = rng.choice(FORMATS)
    spec, features = random_columns(rng, format, fits=True)
    rule, deciding = _rule(rng, RULES[seed % len(RULES)])
    return Days(format, rng.choice(SINKS), spec.model_copy(update={"split": rule}), features, deciding)


def _rule(rng: Rng, by: str) -> tuple[Split | None, tuple[Feature, ...]]:
    kind = rng.choice(["int", "word"])
    if by == "key":
        keys = (Feature("user", kind), Feature("shop", rng.choice(["int", "word"])))[: rng.randint(1, 2)]
        fractions = rng.choice(
            [{"train": 0.5, "validation": 0.2, "test": 0.3}, {"test": 0.45, "train": 0.55}, {"a": 0.3, "train": 0.7}]
        )
        key = [feature.key for feature in keys] if len(keys) > 1 else keys[0].key
        return Split(by="key", key=key, fractions=fractions, seed=rng.randrange(-2, 3)), keys
    if by == "feature":
        values = {"train": [0, 7], "test": 1, "later": [2]} if kind == "int" else None
        return Split(by="feature", feature="part", values=values), (Feature("part", kind),)
    if by == "time":
        return Split(by="time", feature="when", **BORDERS), (Feature("when", kind),)
    return None, ()


def _written(rng: Rng, at: datetime) -> str:
    """Returns a time in ISO 8601: in UTC without a zone, with one, or as a date."""
    plain = at.replace(tzinfo=None)
    return rng.choice(
        [
            plain.isoformat(),
            plain.isoformat(" ", "minutes"),
            plain.date().isoformat(),
            f"{(plain + timedelta(hours=2)).isoformat()}+02:00",
        ]
    )


def _only(value: Any, last: bool = False) -> Any:
    """Returns the one value that a feature has, None for none; `last`: the last one of a list."""
    while isinstance(value, list):
        value = value[-1] if len(value) == 1 or (last and value) else None
    return value


def _text(value: Any) -> bytes | None:
    """Returns an integer as its decimal text, and text; None for anything else."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    return value.encode() if isinstance(value, str) else value if isinstance(value, bytes) else None


def _by_key(rule: Split, row: Row) -> str:
    texts = [_text(_only(row[key])) for key in rule.keys]
    known = [text for text in texts if text is not None]
    if len(known) < len(texts):
        return ""
    joined = known[0] if len(known) == 1 else b"".join(f"{len(text)}:".encode() + text for text in known)
    hashed = tf.fingerprint([f"{rule.seed}:".encode() + joined]).numpy().tobytes()
    share, total = Fraction(int.from_bytes(hashed, "little"), 2**64), Fraction(0)
    for name, fraction in (rule.fractions or {}).items():
        total += Fraction(repr(fraction))
        if share < total:
            return name
    raise AssertionError("shares add up to less than 1")


def _by_feature(rule: Split, row: Row) -> str:
    text = _text(_only(row[rule.keys[0]]))
    values: dict[str, Any] = rule.values or {name: name for name in USUAL}
    words = {
        str(one).encode(): name for name, own in values.items() for one in (own if isinstance(own, list) else [own])
    }
    return words.get(text, "") if text is not None else ""


def _by_time(rule: Split, row: Row) -> str:
    value = _only(row[rule.keys[0]], last=True)
    value = value.decode("utf-8", "replace") if isinstance(value, bytes) else value
    at = _time(value.strip()) if isinstance(value, str) else None if isinstance(value, bool) else _seconds(value)
    if at is None:
        return ""
    borders = [(name, _time(text)) for name, text in BORDERS.items()]
    return next((name for name, border in reversed(borders) if border is not None and at >= border), "train")


def _time(text: str) -> Fraction | None:
    for kind in (int, float):
        try:
            return _seconds(kind(text))
        except ValueError:
            continue
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    since = found.replace(tzinfo=found.tzinfo or UTC) - datetime(1970, 1, 1, tzinfo=UTC)
    return Fraction(since // timedelta(microseconds=1), 10**6)


def _seconds(value: Any) -> Fraction | None:
    return Fraction(value) if isinstance(value, int | float) and math.isfinite(value) else None


_SPLIT_OF: Final[dict[str, Callable[[Split, Row], str]]] = {
    "key": _by_key,
    "feature": _by_feature,
    "time": _by_time,
}
