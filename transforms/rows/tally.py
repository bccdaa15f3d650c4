"""Counting rows and values, so that every one is accounted for.

A tally is a Counter of tuples that adds up across batches, bundles and workers:
- `(file, "rows", what)`: rows read, written, rejected, and `rejected:<reason>`;
- `(file, "digest", what)`: the sum of the digests of the rows read, written, rejected (see `transforms.rows.digests`);
- `(file, "column", name, what)`: values of a column, `what` one of `COLUMN_COUNTS`;
- `(file, "group", name, "steps")`: steps written; `"places"` with length buckets: those and the padding;
- `("", "length", group, bucket)`: accepted rows by length before truncation, see `length_bucket`;
- `("", "length_sum", group)`, `("", "length_max", group)`: their sum and the largest;
- `("", "rounded", name, stage, what)`: values looked at that rounding makes equal, see `counting.count_rounded`. They depend on
  how batches are cut, and stand in no file that two runs are compared by;
- `("", "began", pass)`, `("", "ended", pass)`: when the first worker began to read, and when the last one had, in milliseconds
  since 1970. They say how long a pass took, and stand in no file that two runs are compared by.
All add up, but for the largest and the times: `add` knows.

Counts of a split have its name before the first part of their keys: see `under` and `by_split`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa

from transforms.rows.ragged import Ragged

Tally = Counter[tuple[Any, ...]]

Value = TypeVar("Value")

COLUMN_COUNTS: Final = (
    "values",
    "truncated",
    "rejected",
    "completed",
    "replaced",
    "filled",
    "present",
    "nulls",
    "non_finite",
    "absent",
    "empty",
)
"""The counts of a column. `values` are those read; an empty step of nested ids counts as one. `present` counts the rows read
that hold the feature at all, `absent` and `empty` the accepted rows without it or with nothing in it. `completed` are values
that the row did not hold (an incomplete step, a context default), `replaced` ids outside the range, `filled` non-finite
values. `nulls` are those of all rows read, `non_finite` those of accepted rows; a null among floats is both."""


_CHOSEN: Final[dict[str, Callable[[int, int], int]]] = {"length_max": max, "began": min, "ended": max}
"""Entries that are combined by choosing one value; the others add up."""


def add(into: Tally, other: Mapping[tuple[Any, ...], int]) -> None:
    """Adds a tally to another, in place."""
    of_both = {key: _CHOSEN[key[1]](into.get(key, n), n) for key, n in other.items() if key[1] in _CHOSEN}
    into.update(other)
    into.update({key: n - into[key] for key, n in of_both.items()})


_SPLIT_ENDS: Final = "\0"
"""The end of a split's name in a key; no file name contains it."""


def under(split: str, counts: Mapping[tuple[Any, ...], Value]) -> dict[tuple[Any, ...], Value]:
    """Returns counts as those of a split; unchanged for no split.

    >>> by_split(under("train", {("a", "rows", "read"): 3}))
    {'train': Counter({('a', 'rows', 'read'): 3})}
    """
    return {(f"{split}{_SPLIT_ENDS}{key[0]}", *key[1:]): n for key, n in counts.items()} if split else dict(counts)


def parted(key: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """Returns the split of a key, or an empty string, and the key without it."""
    split, ends, first = str(key[0]).rpartition(_SPLIT_ENDS)
    return (split, (first, *key[1:])) if ends else ("", key)


def by_split(tally: Tally) -> dict[str, Tally]:
    """Returns the tally of each split, by name; counts of no split, if there are any, under an empty string."""
    made: dict[str, Tally] = {}
    for key, n in tally.items():
        split, own = parted(key)
        made.setdefault(split, Counter())[own] = n
    return made


def without_times(tally: Tally) -> Tally:
    """Returns a tally without what no two runs have alike."""
    return Counter({key: n for key, n in tally.items() if key[1] not in ("began", "ended")})


def listed(tally: Tally) -> list[list[Any]]:
    """Returns a tally as JSON holds it: see `from_list`."""
    return [[list(key), int(count)] for key, count in tally.items()]


def from_list(entries: Iterable[Sequence[Any]]) -> Tally:
    """Returns the tally that `listed` gave.

    >>> from_list(listed(Counter({("a", "rows", "read"): 3})))
    Counter({('a', 'rows', 'read'): 3})
    """
    return Counter({tuple(key): count for key, count in entries})


EXACT_LENGTHS: Final = 64
"""Lengths below are counted exactly; above, `BUCKETS_AN_OCTAVE`: within 3.2 %."""

BUCKETS_AN_OCTAVE: Final = 32


def length_bucket(lengths: np.ndarray) -> np.ndarray:
    """Returns the lower end of the bucket of each length, int64.

    >>> length_bucket(np.array([0, 63, 64, 65, 1000])).tolist()
    [0, 63, 64, 64, 992]
    """
    octave = _octave(lengths)
    return np.where(lengths < EXACT_LENGTHS, lengths, (lengths >> octave) << octave).astype(np.int64)


def bucket_end(starts: np.ndarray) -> np.ndarray:
    """Returns the longest length in the bucket of each length, int64.

    >>> bucket_end(np.array([0, 63, 64, 992])).tolist()
    [0, 63, 65, 1007]
    """
    octave = _octave(starts)
    return np.where(starts < EXACT_LENGTHS, starts, (((starts >> octave) + 1) << octave) - 1).astype(np.int64)


def _octave(lengths: np.ndarray) -> np.ndarray:
    """Returns how often the width of a length's bucket is doubled, int64."""
    whole = BUCKETS_AN_OCTAVE.bit_length() - 1
    return np.maximum(np.floor(np.log2(np.maximum(lengths, 1))).astype(np.int64) - whole, 0)


def count_rejected(rejected: pa.RecordBatch | None) -> Tally:
    """Counts a table of rejected rows, by file and reason."""
    tally: Tally = Counter()
    if rejected is None:
        return tally
    groups = pa.table(rejected.select(["file", "reason", "digest"])).group_by(["file", "reason"])
    for entry in groups.aggregate([([], "count_all"), ("digest", "sum")]).to_pylist():
        tally[entry["file"], "rows", "rejected"] += entry["count_all"]
        tally[entry["file"], "rows", f"rejected:{entry['reason']}"] += entry["count_all"]
        tally[entry["file"], "digest", "rejected"] += entry["digest_sum"] or 0  # Arrow's sums are modulo 2^64
    return tally


def count_lengths(group: str, lengths: np.ndarray) -> Tally:
    """Counts accepted rows by their length in steps."""
    counts = np.bincount(np.minimum(lengths, EXACT_LENGTHS), minlength=EXACT_LENGTHS + 1)
    exact = np.flatnonzero(counts[:EXACT_LENGTHS])
    pairs = [(exact, counts[exact])]
    if counts[EXACT_LENGTHS]:
        pairs.append(np.unique(length_bucket(lengths[lengths >= EXACT_LENGTHS]), return_counts=True))
    tally: Tally = Counter()
    for buckets, found in pairs:
        for bucket, count in zip(buckets.tolist(), found.tolist(), strict=True):
            tally["", "length", group, bucket] = count
    if len(lengths):
        tally["", "length_sum", group] = int(lengths.sum())
        tally["", "length_max", group] = int(lengths.max())
    return tally


def lengths_by_group(tally: Tally) -> dict[str, list[tuple[int, int]]]:
    """Returns the lower end of each bucket of lengths, ascending, and its rows, by sequence group.

    One pass over the tally, which holds some figures of every column in every file, serves all groups.

    >>> lengths_by_group(count_lengths("g", np.array([2, 0, 2])))
    {'g': [(0, 1), (2, 2)]}
    """
    made: dict[str, list[tuple[int, int]]] = {}
    for key, rows in tally.items():
        if key[1] == "length":
            made.setdefault(key[2], []).append((key[3], rows))
    return {group: sorted(found) for group, found in made.items()}


def presence(view: Ragged) -> tuple[int, int]:
    """Returns how many rows of a canonical list column are absent, and how many are there but empty."""
    return view.absent, len(view.present) - int(np.count_nonzero(view.lengths)) - view.absent
