"""Words to ids, with TensorFlow's own tables: the one place where a vocabulary is looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

Track = Callable[[Callable[[], Any], str], Any]
"""A function that creates a table (or returns the earlier one of this name) and keeps it alive: `tft.make_and_track_object` while
tf.Transform traces, otherwise a dictionary."""


class Vocabulary(Protocol):
    """A vocabulary: the words that have ids."""

    def ids(self, words: tf.Tensor, num_oov_buckets: int, default_value: int) -> tf.Tensor:
        """Returns the id of every word, int64 of the same shape.

        Args:
          words: text.
          num_oov_buckets: an unknown word gets `size + Fingerprint64(word) mod num_oov_buckets`.
          default_value: the id of an unknown word if there are no such buckets.
        """


class Words:
    """A vocabulary whose words are at hand: the id of a word is its place.

    Args:
      words: one or more distinct words.
      name: their name; two vocabularies of one graph need two names.
      track: see `Track`.
    """

    def __init__(self, words: Sequence[bytes | str], name: str, track: Track):
        self._words, self._name, self._track = words, name, track

    def ids(self, words: tf.Tensor, num_oov_buckets: int, default_value: int) -> tf.Tensor:
        """See `Vocabulary`."""
        # Columns with the same words and the same answer to others share a table.
        answer = f"{num_oov_buckets}_buckets" if num_oov_buckets else f"else_{default_value}".replace("-", "minus_")
        return self._track(lambda: self._table(num_oov_buckets, default_value), f"{self._name}_{answer}").lookup(words)

    def _table(self, num_oov_buckets: int, default_value: int) -> Any:
        keys = tf.constant(np.array(self._words, object), tf.string)
        given = tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(self._words), dtype=tf.int64))
        if num_oov_buckets:
            return tf.lookup.StaticVocabularyTable(given, num_oov_buckets)
        return tf.lookup.StaticHashTable(given, default_value)


def keep_in(tables: dict[str, Any]) -> Track:
    """Returns a `Track` that keeps tables in a dictionary; for graphs that live no longer than it."""

    def track(make: Callable[[], Any], name: str) -> Any:
        if name not in tables:
            with tf.init_scope():
                tables[name] = make()
        return tables[name]

    return track
