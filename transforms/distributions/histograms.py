"""Histograms of values before and after normalising: exact counts in fixed bins, which add up over batches and workers.

A bin is what the first bits of a float32 say (sign, exponent, `MANTISSA_BITS` of the mantissa): 16 bins an octave, whatever the
data, so that no pass is needed to find a range, and memory does not grow. Columns whose values lie far from 0 for their spread
(years, pressures) are counted around the mean, where the analysis found one: bins are narrow there, not around 0.

Ids are counted one by one below a bound (`most_ids`), the others together.

Of a large data set a part of the rows is counted, by their digests: which ones depends on nothing but the rows themselves.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.columns import Column
from transforms.columns.numeric_base import NumericBase, numeric_of
from transforms.columns.vocabulary_base import vocabulary_of
from transforms.distributions.centres import Centre, dimensions
from transforms.distributions.kept_steps import KeptSteps
from transforms.kernels.bins import count_ids, count_numbers
from transforms.kernels.values import read_only
from transforms.rows import origin
from transforms.rows.numbers import numbers_of
from transforms.rows.ragged import Ragged
from transforms.rows.tally import parted
from transforms.spec.spec import Spec

MANTISSA_BITS: Final = 4
BINS: Final = 1 << (9 + MANTISSA_BITS)
"""Bins of a float32: a bin is at most 1/16 of its lower end wide."""
BIN_SHIFT: Final = np.uint32(23 - MANTISSA_BITS)
"""The bits of a float32 that do not tell its bin."""

ALL_IDS: Final = 1 << 16
"""This many ids are counted one by one, of all columns together."""

BEFORE, AFTER, IDS, UNKNOWN = "before", "after", "ids", "unknown"
ROWS, COUNTED = "", "counted"
"""In keys: `(ROWS, ROWS, -1)` are all rows, `(ROWS, COUNTED, -1)` those that were counted."""

Key = tuple[str, str, int]
"""Column, what (`before`, `after`, `ids`, `unknown`), and the dimension: -1 where all are counted together."""

Counts = dict[Key, np.ndarray]
"""Counts by bin, int64: for values `[dimensions, BINS]`, by the first of these, or -1; for ids `[most_ids + 2]` (from -1 on; the
last for all others); `[1]` else."""

Packed = dict[Key, tuple[np.ndarray, np.ndarray]]
"""The same without zeros, small enough to cross a shuffle: bins (ascending) and their counts."""


def edges(bins: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the ends of bins, float64: where each begins and ends, the lesser first. No number lies in those of NaN.

    >>> [side.tolist() for side in edges(np.array([0, 2032, 6128]))]
    [[0.0, 1.0, -1.0625], [7.346839692639297e-40, 1.0625, -1.0]]
    """
    inner = (bins.astype(np.uint32) % (BINS // 2)) << BIN_SHIFT
    outer = inner + np.uint32(1 << (23 - MANTISSA_BITS))
    with np.errstate(invalid="ignore"):  # bits of NaN
        near, far = (side.view(np.float32).astype(np.float64) for side in (inner, outer))
    far = np.where(np.isinf(far), 2.0**128, far)
    below_zero = bins >= BINS // 2
    return np.where(below_zero, -far, near), np.where(below_zero, -near, far)


def is_finite(bins: np.ndarray) -> np.ndarray:
    """Returns which bins are those of finite numbers, bool."""
    return bins % (BINS // 2) < (255 << MANTISSA_BITS)


def packed(counts: Counts) -> Packed:
    """Returns counts without their zeros, each dimension by itself."""
    made: Packed = {}
    for (*names, first), of in counts.items():
        for k, own in enumerate(of.reshape(-1, of.shape[-1])):
            at = np.flatnonzero(own)
            made[names[0], names[1], first + k] = at.astype(np.int32), own[at]
    return made


def merged(parts: Any) -> Packed:
    """Adds packed counts up.

    >>> one = {("x", "after", 0): (np.array([3, 5]), np.array([1, 2]))}
    >>> [side.tolist() for side in merged([one, one])[("x", "after", 0)]]
    [[3, 5], [2, 4]]
    """
    found: dict[Key, list[tuple[np.ndarray, np.ndarray]]] = {}
    for part in parts:
        for key, pair in part.items():
            found.setdefault(key, []).append(pair)
    made: Packed = {}
    for key, pairs in found.items():
        bins, place = np.unique(np.concatenate([bins for bins, _ in pairs]), return_inverse=True)
        total = np.zeros(len(bins), np.int64)
        np.add.at(total, place, np.concatenate([counts for _, counts in pairs]))
        made[key] = bins, total
    return made


def by_split(counts: Packed) -> dict[str, Packed]:
    """Returns the counts of each split, by name; those of no split under an empty string (see `tally.under`)."""
    made: dict[str, Packed] = {}
    for key, pair in counts.items():
        split, (column, what, dimension) = parted(key)
        made.setdefault(split, {})[column, what, dimension] = pair
    return made


@dataclass(frozen=True)
class Counting:
    """The way in which a job counts distributions.

    Attributes:
      moments: file with the moments of the first level, for the centres; an empty string where there is none.
      one_in: one row in this many is counted, a power of 2.
      words: the number of words in each learned vocabulary, by its name; None to look into the saved graph's folder.
    """

    moments: str = ""
    one_in: int = 1
    words: Mapping[str, int] | None = None


COUNTED_WHOLE: Final = 64 << 20
"""Input of up to this many bytes is counted whole; of more, about this much: some 0.3 s of CPU, however large the data set."""


def part_counted(size: int) -> int:
    """Returns `Counting.one_in` for an input of `size` bytes.

    >>> part_counted(1000), part_counted(COUNTED_WHOLE * 5)
    (1, 8)
    """
    return 1 << max(math.ceil(math.log2(max(size, 1) / COUNTED_WHOLE)), 0)


def id_outputs(spec: Spec) -> dict[str, str]:
    """Returns the outputs with ids by the columns that they are of."""
    return {o.source: o.name for o in spec.outputs(dict.fromkeys(spec.group_names, 1)) if o.kind == "ids"}


def most_ids(spec: Spec) -> int:
    """Returns below what bound ids are counted one by one: from 256, where many columns have ids, to 8,192."""
    return max(256, min(8192, ALL_IDS // max(len(id_outputs(spec)), 1)))


Counter = Callable[[pa.RecordBatch, Mapping[str, np.ndarray], Counts], None]


def counter(spec: Spec, around: Mapping[str, Centre], words: Mapping[str, int], one_in: int = 1) -> Counter:
    """Returns a function that adds a validated batch, and the arrays that it became, to counts; late rejects are in neither.

    Counted are the numbers of kept steps that the rows hold: no padding, nothing completed or filled. `before` are the parsed
    values, `after` what is written of them (of columns of numbers), `ids` the ids that are written. Columns that are written
    as vectors (`indicator_column`, `embedding_column` with a table) have no `after`. Rows without digests all count.

    Args:
      spec: the columns.
      around: centres by column.
      words: by column, how many words its vocabulary has, where unknown words have ids of their own after these.
      one_in: one row in this many is counted, a power of 2.
    """
    from transforms.densify.spoiled import written_values

    ids, most = id_outputs(spec), most_ids(spec)

    def count(batch: pa.RecordBatch, arrays: Mapping[str, np.ndarray], into: Counts) -> None:
        """Counts the values of a batch, and of what became of it."""
        rows = np.arange(batch.num_rows)
        if one_in > 1 and origin.DIGEST_COLUMN in batch.schema.names:
            rows = np.flatnonzero(numbers_of(batch.column(origin.DIGEST_COLUMN)) % np.uint64(one_in) == 0)
        _held(into, (ROWS, ROWS, -1), 1)[0] += batch.num_rows
        _held(into, (ROWS, COUNTED, -1), 1)[0] += len(rows)
        if not len(rows):
            return
        kept = KeptSteps(spec, arrays, rows)
        for column in spec.columns:
            if numeric_of(column) is not None:
                values = Ragged.of(batch.column(column.key))
                after = written_values(column, arrays, spec) if isinstance(column, NumericBase) else None
                _numbers(column, kept, values, after, around[column.name], into)
            if column.name in ids:
                _ids(column, kept, arrays[ids[column.name]], words.get(column.name), most, into)

    return count


def _numbers(
    column: Column, kept: KeptSteps, values: Ragged, after: np.ndarray | None, around: Centre, into: Counts
) -> None:
    """Counts the numbers of a column before normalising, and after it where it writes numbers."""
    numeric = numeric_of(column)
    assert numeric is not None
    raw, width = numbers_of(values.values), numeric.step_width
    begin, sizes = kept.raw(column, values, width)
    observed = np.isfinite(raw) if numeric.fills else np.zeros(0, bool)
    sides = {BEFORE: (raw, begin, around.of(raw.dtype))}
    if after is not None:
        flat, first, _ = kept.made(column, after)
        sides[AFTER] = flat, first, np.zeros(dimensions(column), flat.dtype)
    together = dimensions(column) == 1 and width > 1
    for what, (flat, first, centre) in sides.items():
        counts = _held(into, (column.name, what, -together), len(centre), BINS)
        given = map(read_only, (flat, first, sizes, centre, observed, begin))
        arguments: list[Any] = [*given, width, BIN_SHIFT, counts]
        with np.errstate(over="ignore"):  # where the kernels run as Python
            count_numbers(*arguments)


def _ids(column: Column, kept: KeptSteps, array: np.ndarray, words: int | None, most: int, into: Counts) -> None:
    flat, first, width = kept.made(column, array)
    counts = _held(into, (column.name, IDS, -1), most + 2)
    given = map(read_only, (flat, first, kept.sizes(column, width)))
    arguments: list[Any] = [*given, 2**63 - 1 if words is None else words, counts]
    unknown = count_ids(*arguments)
    if words is not None:
        _held(into, (column.name, UNKNOWN, -1), 1)[0] += unknown


def _held(into: Counts, key: Key, *shape: int) -> np.ndarray:
    if key not in into:
        into[key] = np.zeros(shape, np.int64)
    return into[key]


def known_words(spec: Spec, learned: Mapping[str, int]) -> dict[str, int]:
    """Returns how many words the vocabularies have that give unknown words ids after those, by column.

    Args:
      spec: the columns.
      learned: how many words there are in each learned vocabulary, by its name.
    """
    made = {}
    for column in spec.columns:
        found = vocabulary_of(column)
        if found is None or not found.num_oov_buckets:
            continue
        if found.listed is not None:
            made[column.name] = len(found.listed.words)
        elif found.vocabulary_name in learned:
            made[column.name] = learned[found.vocabulary_name]
    return made
