"""Words to ids, with TensorFlow's own tables: the one place where a vocabulary is looked up."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import tensorflow as tf

Track = Callable[[Callable[[], Any], str], Any]
"""Makes a table (or returns the one that was made before by this name) and keeps it alive: `tft.make_and_track_object` while
tf.Transform traces, else a dictionary."""


class Vocabulary(Protocol):
    """What words have ids."""

    def ids(self, words: tf.Tensor, num_oov_buckets: int, default_value: int) -> tf.Tensor:
        """Returns the id of every word, int64 of the same shape.

        Args:
          words: text.
          num_oov_buckets: an unknown word gets `size + Fingerprint64(word) mod num_oov_buckets`.
          default_value: what an unknown word gets where there are no such buckets.
        """


class Words:
    """A vocabulary whose words are at hand: the id of a word is its place.

    Args:
      words: distinct words, as bytes or text.
      name: what the table is called; two vocabularies of one graph need two names.
      track: see `Track`.
    """

    def __init__(self, words: Sequence[bytes | str], name: str, track: Track):
        self._words, self._name, self._track = words, name, track

    def ids(self, words: tf.Tensor, num_oov_buckets: int, default_value: int) -> tf.Tensor:
        """See `Vocabulary`."""
        return self._track(lambda: self._table(num_oov_buckets, default_value), self._name).lookup(words)

    def _table(self, num_oov_buckets: int, default_value: int) -> Any:
        if not self._words:  # TensorFlow makes no table of no words
            return _Empty(num_oov_buckets, default_value)
        keys = tf.constant(list(self._words), tf.string)
        given = tf.lookup.KeyValueTensorInitializer(keys, tf.range(len(self._words), dtype=tf.int64))
        if num_oov_buckets:
            return tf.lookup.StaticVocabularyTable(given, num_oov_buckets)
        return tf.lookup.StaticHashTable(given, default_value)


class _Empty(tf.Module):  # type: ignore[misc]
    """The table of no words."""

    def __init__(self, num_oov_buckets: int, default_value: int):
        super().__init__()
        self._buckets, self._default = num_oov_buckets, default_value

    def lookup(self, words: tf.Tensor) -> tf.Tensor:
        if self._buckets:
            return tf.strings.to_hash_bucket_fast(words, self._buckets)
        return tf.fill(tf.shape(words), tf.constant(self._default, tf.int64))


def keep_in(tables: dict[str, Any]) -> Track:
    """Returns a `Track` that keeps tables in a dictionary; for graphs that live no longer than it."""

    def track(make: Callable[[], Any], name: str) -> Any:
        if name not in tables:
            with tf.init_scope():
                tables[name] = make()
        return tables[name]

    return track
