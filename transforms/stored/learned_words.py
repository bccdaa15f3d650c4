"""Which of the counted words a vocabulary learns, and in what order: the one place where that is decided."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

PRUNED_AT: Final = 100_000
"""Words that are held at least before those are dropped that will not be learned."""


@dataclass(frozen=True)
class Choice:
    """The rule by which a vocabulary learns words.

    Attributes:
      known: words that it has already, in the order of their ids.
      top_k: how many others it learns at most; None for all.
      frequency_threshold: how often such a word must stand in the data.
      reserve: how many words it may have, the known ones among them; None for any number.
    """

    known: Sequence[bytes] = ()
    top_k: int | None = None
    frequency_threshold: int | None = None
    reserve: int | None = None

    @property
    def room(self) -> int | None:
        """How many words are learned at most, None for any number."""
        room = None if self.reserve is None else self.reserve - len(self.known)
        return min((most for most in (self.top_k, room) if most is not None), default=None)


@dataclass(frozen=True)
class Learned:
    """A vocabulary that was learned.

    Attributes:
      words: the words in the order of their ids, the known ones first.
      counts: how often each stands in the data, int64 `[words]`.
      known: how many of them were known.
      left_out: how many more would have been learned, had there been room for them in `reserve`.
    """

    words: list[bytes]
    counts: np.ndarray
    known: int = 0
    left_out: int = 0


@dataclass
class Counted:
    """Words of which each stands here once, with how often it stands in the data, as far as they may be learned.

    Attributes:
      words: the words.
      counts: their counts.
      dropped: how many were dropped because others, for which there is room, come before them.
    """

    words: list[bytes] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    dropped: int = 0
    _prune_at: int = PRUNED_AT

    def add(self, words: Iterable[bytes], counts: Iterable[int], choice: Choice) -> Self:
        """Adds words with their counts, and drops what will not be learned where they have become many."""
        self.words.extend(words)
        self.counts.extend(counts)
        return self.pruned(choice) if len(self.words) >= self._prune_at else self

    def pruned(self, choice: Choice) -> Self:
        """Drops what will not be learned."""
        known, new, dropped = _apart(self, choice)
        kept = pa.concat_tables([known, new])
        self.words, self.counts, self.dropped = kept["word"].to_pylist(), kept["count"].to_pylist(), dropped
        self._prune_at = max(PRUNED_AT, 2 * len(self.words))
        return self

    def learned(self, choice: Choice) -> Learned:
        r"""Returns the vocabulary: the known words, then new ones in decreasing frequency, those of one frequency by their bytes.

        The empty word and words with `\n` or `\r`, which no line of a file can hold, are left out.

        >>> words = Counted().add([b"a", b"b", b"c", b""], [1, 2, 2, 9], Choice(known=[b"z", b"a"])).learned(Choice([b"z", b"a"]))
        >>> words.words, words.counts.tolist()
        ([b'z', b'a', b'b', b'c'], [0, 1, 2, 2])
        """
        known, new, dropped = _apart(self, choice)
        place = pc.index_in(pa.array(choice.known, pa.large_binary()), known["word"])
        counts = pc.fill_null(known["count"].take(place), 0).to_numpy().astype(np.int64)
        fitting = new.num_rows + dropped
        wanted = fitting if choice.top_k is None else min(fitting, choice.top_k)
        return Learned(
            [*choice.known, *new["word"].to_pylist()],
            np.concatenate([counts, new["count"].to_numpy()]),
            len(choice.known),
            wanted - new.num_rows,
        )


def _apart(counted: Counted, choice: Choice) -> tuple[pa.Table, pa.Table, int]:
    """Returns the known words, the new ones that are learned in the order of their ids, and how many were dropped by now."""
    arrays = [pa.array(counted.words, pa.large_binary()), pa.array(counted.counts, pa.int64())]
    table = pa.table(arrays, ["word", "count"])
    is_known = pc.is_in(table["word"], pa.array(choice.known, pa.large_binary()))
    new = table.filter(pc.invert(is_known))
    word = new["word"]
    unfit = pc.or_(pc.match_substring(word, "\n"), pc.match_substring(word, "\r"))
    fits = pc.and_not(pc.greater(pc.binary_length(word), 0), unfit)
    new = new.filter(pc.and_(fits, pc.greater_equal(new["count"], choice.frequency_threshold or 0)))
    new = new.sort_by([("count", "descending"), ("word", "ascending")])
    room = new.num_rows if choice.room is None else min(choice.room, new.num_rows)
    return table.filter(is_known), new.slice(0, room), counted.dropped + new.num_rows - room


def learned_of(words: pa.Array, choice: Choice) -> Learned:
    """Returns the vocabulary that is learned from words, large binary `[n]`.

    >>> learned_of(pa.array([b"c", b"b", b"a", b"b"], pa.large_binary()), Choice(top_k=2)).words
    [b'b', b'a']
    """
    found = pc.value_counts(words)
    pairs = found.field("values").to_pylist(), found.field("counts").to_pylist()
    return Counted().add(*pairs, choice).learned(choice)
