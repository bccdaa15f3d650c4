"""The profile of a feature in a sample: rows, lengths, numbers or words. Counted by Arrow and NumPy."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspect import delimited
from pipeline.inspect.chunks import Chunk, chunk_of, name_of, nature, split
from pipeline.inspect.sample import Sample
from transforms.parse.rounding import Rounded, rounded
from transforms.parse.text import ARRAY_TEXT, FLOAT_TEXT, INTEGER_TEXT
from transforms.parse.times import times_of


@dataclass
class Numbers:
    """The numbers of a feature, typed or as text.

    Attributes:
      count: how many, finite or not.
      low: the smallest finite one, exact where all are integers; None without any.
      high: the largest.
      mean: their mean, in float64; NaN without any.
      non_finite: NaN, infinities, and numbers too large for float32.
      rounded: the effect of rounding those looked at to float32.
    """

    count: int = 0
    low: int | float | None = None
    high: int | float | None = None
    mean: float = float("nan")
    non_finite: int = 0
    rounded: Rounded = field(default_factory=Rounded)


@dataclass
class Profile:
    """A feature in a sample.

    Attributes:
      name: its name.
      types: names of the types in which it is stored, those of most rows first.
      depth: how deep its values stand in lists: 0 for scalars, 2 for one list a step; the deepest of all rows.
      delimiter: the separator of the values in its text, or an empty string.
      present: bool `[rows]` of the sample.
      steps: int64 `[rows]`, 0 where it is absent.
      widths: fewest and most values in a step, of lists in lists.
      nulls: nulls inside of lists.
      natures: how many values are `integers`, `floats`, `text` or of a type by name, nulls left out.
      whole_text: how many texts are integers.
      number_text: how many texts are numbers, integers included.
      array_text: how many texts are arrays (`transforms.parse.text.ARRAY_TEXT`).
      meanings: what its values mean (`Chunk.meaning`), an empty text among them for plain numbers and text.
      is_utf8: whether all text is UTF-8.
      numbers: a summary of its numbers.
      distinct: how many different integers or texts there are; 0 for floats.
      top: the most frequent of them, of several the one that is the smallest as bytes; and how often it stands there.
      has_odd_words: whether a text is empty, or has a line break in it: words that no vocabulary takes.
      has_only_times: whether all text is a time, which a column reads that is given a `time_unit`.
    """

    name: str
    types: tuple[str, ...] = ()
    depth: int = 0
    delimiter: str = ""
    present: np.ndarray = field(default_factory=lambda: np.zeros(0, bool))
    steps: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    widths: tuple[int, int] = (1, 1)
    nulls: int = 0
    natures: Counter[str] = field(default_factory=Counter)
    whole_text: int = 0
    number_text: int = 0
    array_text: int = 0
    meanings: frozenset[str] = frozenset()
    is_utf8: bool = True
    numbers: Numbers = field(default_factory=Numbers)
    distinct: int = 0
    top: tuple[bytes, int] = (b"", 0)
    has_odd_words: bool = False
    has_only_times: bool = False

    @property
    def held(self) -> int:
        """The number of rows that hold the feature."""
        return int(self.present.sum())

    @property
    def empty(self) -> int:
        """The number of rows that hold an empty list."""
        return int((self.present & (self.steps == 0)).sum())

    @property
    def count(self) -> int:
        """The number of values, without nulls."""
        return sum(self.natures.values())

    @property
    def lengths(self) -> np.ndarray:
        """Int64 `[rows that hold it]`, the steps of each."""
        return self.steps[self.present]

    @property
    def is_scalar(self) -> bool:
        """Whether no row has more than one value, and none of them stands in a list of lists."""
        return self.depth < 2 and not self.delimiter and bool((self.steps <= 1).all())

    @property
    def are_numbers(self) -> bool:
        """Whether (nearly) all values are numbers, typed or as text."""
        number = self.natures["integers"] + self.natures["floats"] + self.number_text
        return self.numbers.low is not None and number >= delimited.NEARLY_ALL * self.count

    @property
    def are_integers(self) -> bool:
        """Whether all values are integers, typed or as text."""
        return self.are_numbers and self.natures["integers"] + self.whole_text == self.count

    @property
    def are_booleans(self) -> bool:
        """Whether all values are booleans."""
        return self.meanings == {"booleans"}

    @property
    def are_times(self) -> bool:
        """Whether all values are times; their numbers are seconds."""
        return self.meanings == {"times"}

    @property
    def are_arrays(self) -> bool:
        """Whether most values are arrays written as text: words of no vocabulary, and no delimiter takes them apart."""
        return 0 < self.count <= 2 * self.array_text

    @property
    def are_words(self) -> bool:
        """Whether (nearly) all values are text, and that is not numbers."""
        return not self.are_numbers and 0 < self.natures["text"] >= delimited.NEARLY_ALL * self.count


def profiles(sample: Sample) -> list[Profile]:
    """Returns what every feature of a sample holds, in the order in which the files tell of them."""
    return [_profile(name, [_of(batch, name) for batch in sample.batches]) for name in sample.names]


def _of(batch: pa.RecordBatch, name: str) -> Chunk:
    return chunk_of(batch.column(name) if name in batch.schema.names else pa.nulls(batch.num_rows))


def _profile(name: str, stored: Sequence[Chunk]) -> Profile:
    delimiter = delimited.delimiter_of(stored)
    chunks = [split(chunk, delimiter) if delimiter and len(chunk.values) else chunk for chunk in stored]
    types: Counter[str] = Counter()
    natures: Counter[str] = Counter()
    for chunk in chunks:
        types[name_of(chunk.kind)] += int(chunk.present.sum())
        natures[nature(chunk.values.type)] += len(chunk.values) - chunk.values.null_count
    named = [kind for kind, rows in types.most_common() if rows] or sorted(kind for kind in types if kind != "null")[:1]
    made = Profile(
        name,
        tuple(named) or ("null",),
        max((chunk.depth for chunk in chunks if len(chunk.values) or chunk.depth == 3), default=0),
        delimiter,
        _joined([chunk.present for chunk in chunks], bool),
        _joined([chunk.steps for chunk in chunks], np.int64),
        _widths([chunk.widths for chunk in chunks if chunk.widths is not None]),
        sum(chunk.nulls for chunk in chunks),
        natures,
    )
    made.meanings = frozenset(chunk.meaning for chunk in chunks if len(chunk.values) > chunk.values.null_count)
    return _with_values(made, [chunk.values.drop_null() for chunk in chunks])


def _widths(parts: list[np.ndarray]) -> tuple[int, int]:
    widths = np.maximum(_joined(parts, np.int64), 0)
    return (int(widths.min()), int(widths.max())) if len(widths) else (1, 1)


def _joined(parts: list[np.ndarray], dtype: type) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts])


def _with_values(made: Profile, values: Iterable[pa.Array]) -> Profile:
    parts = [part for part in values if len(part)]
    texts = [part for part in parts if nature(part.type) == "text"]
    integers = [part for part in parts if nature(part.type) == "integers"]
    floats = [part for part in parts if nature(part.type) == "floats"]
    for part in texts:
        text = delimited.as_text(part)
        if text is None:
            made.is_utf8, text = False, delimited.ascii_of(part)
        trimmed = pc.utf8_trim_whitespace(text)
        number = pc.match_substring_regex(trimmed, FLOAT_TEXT)
        whole = pc.match_substring_regex(trimmed, INTEGER_TEXT)
        made.number_text += pc.sum(number).as_py() or 0
        made.whole_text += pc.sum(whole).as_py() or 0
        made.array_text += pc.sum(pc.match_substring_regex(trimmed, ARRAY_TEXT)).as_py() or 0
        floats.append(trimmed.filter(pc.and_not(number, whole)).cast(pa.float64()))
        integers.append(delimited.integers_of(trimmed.filter(whole)))
    made.numbers = _numbers(integers, floats)
    if texts or (integers and not floats):
        _count_words(made, texts or integers)
    return made


def _numbers(integers: Sequence[pa.Array], floats: Sequence[pa.Array]) -> Numbers:
    """Returns what some numbers are; integers may be of several types, decimals among them."""
    made = Numbers(sum(map(len, integers)) + sum(map(len, floats)))
    lows: list[int | float] = []
    wide = []
    for part in (part for part in integers if len(part)):
        both = pc.min_max(part)
        lows += [int(both["min"].as_py()), int(both["max"].as_py())]
        wide.append(pc.cast(part, pa.float64(), safe=False).to_numpy(zero_copy_only=False))
        # Decimals are beyond int64: as float64 they differ well enough.
        looked_at = part.to_numpy(zero_copy_only=False) if pa.types.is_integer(part.type) else wide[-1]
        made.rounded += rounded(looked_at, looked_at.astype(np.float32))
    for part in (part for part in floats if len(part)):
        numbers = part.to_numpy(zero_copy_only=False).astype(np.float64)
        with np.errstate(over="ignore"):
            narrow = numbers.astype(np.float32)
        finite = np.isfinite(narrow)
        made.rounded += rounded(numbers, narrow)
        made.non_finite += int((~finite).sum())
        if finite.any():
            lows += [float(numbers[finite].min()), float(numbers[finite].max())]
            wide.append(numbers[finite])
    if lows:
        made.low, made.high, made.mean = min(lows), max(lows), float(np.mean(np.concatenate(wide)))
    return made


def _count_words(made: Profile, parts: Sequence[pa.Array]) -> None:
    words = pa.chunked_array([_as_bytes(part) for part in parts], pa.large_binary())
    counts = pc.value_counts(words)
    values, times = counts.field("values"), counts.field("counts")
    made.distinct = len(values)
    most = pc.max(times)
    first = values.filter(pc.equal(times, most)).sort()[0]
    made.top = (first.as_py(), most.as_py())
    odd = pc.match_substring_regex(values, rb"[\r\n]|^$")
    made.has_odd_words = bool(pc.any(odd).as_py())
    made.has_only_times = bool(times_of(values, "s").good.all()) and made.number_text < made.count


def _as_bytes(part: pa.Array) -> pa.Array:
    if nature(part.type) != "text":
        part = part.cast(pa.large_string())
    return part.cast(pa.large_binary())
