"""The result of the analysis: statistics, the longest rows and vocabularies, for the whole data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import tensorflow as tf

from transforms.columns.learned_vocabulary import LearnedVocabularyBase
from transforms.columns.steps import Steps
from transforms.columns.vocabulary_lookup import Track, Vocabulary, Words, keep_in
from transforms.normalizers import Normalizer, Statistics
from transforms.normalizers.asks import Ask
from transforms.spec.spec import Spec
from transforms.statistics import moments
from transforms.statistics.contributed import Contribution
from transforms.statistics.details import statistics_of
from transforms.statistics.row_statistics import of_rows

if TYPE_CHECKING:
    from transforms.columns.steps import Asked


class Combine(Protocol):
    """Combines the contributions of batches into figures of the whole data set."""

    track: Track

    def moments(self, level: int, parts: Sequence[Contribution], contributed: Sequence[tf.Tensor]) -> Any:
        """Makes a table of moments `[5, dimensions]` of what a batch contributes (see `transforms.statistics.contributed`)."""

    def details(self, level: int, asks: Sequence[Ask], asked: Sequence[Asked]) -> Any:
        """Collects what the table of moments does not hold: quantiles, and figures by key."""

    def vocabulary(self, column: LearnedVocabularyBase, words: tf.Tensor) -> Vocabulary:
        """Learns the vocabulary of a column from its words `[n]`."""


def table_width(spec: Spec, level: int = 0) -> int:
    """Returns the number of dimensions in the table of moments of one level."""
    width = sum(ask.width for ask in spec.asks if ask.level == level and ask.packed)
    return width + (len(spec.longest_groups) if level == 0 else 0)


@dataclass(frozen=True)
class Fitted:
    """The result of the analysis.

    Attributes:
      spec: the columns that were analysed.
      tables: by level, float64 `[5, dimensions]`, the moments that columns asked for (see `moments`), tensors or arrays.
      details: ask to the result of `Combine.details` for it.
      vocabularies: learned vocabularies by `LearnedVocabularyBase.vocabulary_name`.
      track: keeps lookup tables alive.
      owners: the name of a column that another is built from, to the name that it goes by here: that of the column of the spec.
      stacked: the number of groups whose rows are stacked one below the other (`side_by_side`): each ask then has figures for
        each of them.
    """

    spec: Spec
    tables: tuple[Any, ...] = ()
    details: Mapping[Ask, Any] = field(default_factory=dict)
    vocabularies: Mapping[str, Vocabulary] = field(default_factory=dict)
    track: Track = field(default_factory=lambda: keep_in({}), compare=False)
    owners: Mapping[str, str] = field(default_factory=dict)
    stacked: int = 1

    def on_behalf(self, inner: str, outer: str) -> Fitted:
        """Returns the same for the inner column of another one: the statistics of the outer column are those of the inner one.

        Two columns of a spec may have different inner columns with the same name.
        """
        return replace(self, owners={**self.owners, inner: self.owner_of(outer)})

    def owner_of(self, name: str) -> str:
        """Returns the name of the column of the spec that a column is a part of, or is."""
        return self.owners.get(name, name)

    def with_table(self, table: Any) -> Fitted:
        """Adds the table of the next level."""
        return replace(self, tables=(*self.tables, table))

    def with_details(self, asks: Sequence[Ask], details: Sequence[Any]) -> Fitted:
        """Adds the results of some asks."""
        return replace(self, details={**self.details, **dict(zip(asks, details, strict=True))})

    def with_vocabulary(self, name: str, vocabulary: Vocabulary) -> Fitted:
        """Adds a learned vocabulary."""
        return replace(self, vocabularies={**self.vocabularies, name: vocabulary})

    def words(self, words: Sequence[bytes | str], name: str) -> Words:
        """Returns a vocabulary whose words are given."""
        return Words(words, name, self.track)

    @property
    def longest(self) -> Any:
        """T of `spec.longest_groups`, whose T the data decides: int64 `[groups]`, a tensor or an array."""
        count = len(self.spec.longest_groups)
        if not count or not self.tables:
            return np.zeros(0, np.int64)
        found = self.tables[0][moments.ROWS.index("max"), -count:]
        if isinstance(found, np.ndarray):
            return np.maximum(found, 0).astype(np.int64)
        return tf.cast(tf.maximum(found, 0.0), tf.int64)

    def statistics(self, owner: str, link: int, normalizer: Normalizer, values: tf.Tensor, steps: Steps) -> Statistics:
        """Returns the statistics that one link of a column's chain is given.

        Args:
          owner: name of the column.
          link: number of the link.
          normalizer: the link.
          values: `[n, *shape]`, what it is applied to.
          steps: where they stand.
        """
        if not normalizer.needs_statistics:
            return NO_STATISTICS
        if normalizer.per == "row":
            return of_rows(values, steps, normalizer.probabilities)
        owner = self.owner_of(owner)
        asks = [ask for ask in self.spec.asks if ask.owner == owner and ask.link == link]
        ask = next(
            (a for a in asks if a.per == normalizer.per and a.probabilities == normalizer.probabilities), asks[0]
        )
        return self.answer(ask, steps)

    def raw_statistics(self, owner: str, steps: Steps) -> Statistics:
        """Returns the statistics of a column's raw values, of kept steps or of all: what the first of its asks is about."""
        name = self.owner_of(owner)
        return self.packed(next(ask for ask in self.spec.asks if ask.owner == name), steps)

    def answer(self, ask: Ask, steps: Steps) -> Statistics:
        """Returns the statistics that an ask of the spec is about; those by key for every step."""
        if ask.packed:
            return self.packed(ask, steps)
        return statistics_of(self.details[ask], ask, steps)

    def packed(self, ask: Ask, steps: Steps | None = None) -> Statistics:
        """Returns the statistics of an ask that a table of moments answers; those of rows that are stacked for every step."""
        asks = [other for other in self.spec.asks if other.level == ask.level and other.packed]
        place = moments.slices([other.width * self.stacked for other in asks])[asks.index(ask)]
        part = tf.convert_to_tensor(self.tables[ask.level], tf.float64)[:, place]
        figures = tf.unstack(part, len(moments.ROWS))
        if self.stacked == 1 or steps is None:
            return Statistics(*(tf.reshape(figure, ask.figure_shape) for figure in figures))
        each = steps.stack_of(self.stacked)
        return Statistics(
            *(tf.gather(tf.reshape(figure, [self.stacked, *ask.figure_shape]), each) for figure in figures)
        )


NO_STATISTICS = Statistics(None, None, None, None, None)


def not_fitted(spec: Spec, track: Track | None = None) -> Fitted:
    """Returns what stands for the statistics where no column asks for any."""
    made = Fitted(spec, (moments.empty(table_width(spec)),))
    return replace(made, track=track) if track else made
