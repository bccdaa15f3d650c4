"""The statistics of a data set as a column sees them, so that it need not know how they are collected."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.steps import Steps
    from transforms.columns.vocabulary_lookup import Track, Vocabulary, Words
    from transforms.normalizers import Normalizer, Statistics
    from transforms.normalizers.asks import Ask


class Findings(Protocol):
    """The result of the analysis of a data set: `transforms.statistics.fitted.Fitted`."""

    @property
    def vocabularies(self) -> Mapping[str, Vocabulary]:
        """Learned vocabularies by `LearnedVocabularyBase.vocabulary_name`."""

    @property
    def track(self) -> Track:
        """Keeps lookup tables alive."""

    def owner_of(self, name: str) -> str:
        """Returns the name of the column of the spec that a column is a part of, or is."""

    def on_behalf(self, inner: str, outer: str) -> Findings:
        """Returns the same for the inner column of another one."""

    def words(self, words: Sequence[bytes | str], name: str) -> Words:
        """Returns a vocabulary whose words are given."""

    def statistics(self, owner: str, link: int, normalizer: Normalizer, values: tf.Tensor, steps: Steps) -> Statistics:
        """Returns the statistics that one link of a column's chain is given."""

    def raw_statistics(self, owner: str, steps: Steps) -> Statistics:
        """Returns the statistics of a column's raw values."""

    def answer(self, ask: Ask, steps: Steps) -> Statistics:
        """Returns the statistics that an ask of the spec is about."""
