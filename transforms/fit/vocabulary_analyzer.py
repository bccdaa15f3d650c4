"""The tf.Transform analyzer of learned vocabularies. Its accumulators are words with counts, one by one, as in `tft.vocabulary`.

`tft.vocabulary` of tf.Transform 1.21 gives words of one frequency in the reverse order of their bytes, knows no words that keep
their ids, and its counts stand in files that hold no spaces.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from transforms.columns.learned_vocabulary import LearnedVocabularyBase
from transforms.stored.files import naming
from transforms.stored.learned_words import Choice, Counted, Learned
from transforms.stored.word_files import NO_WORDS, Kept

_COUNT: Final = struct.Struct("<q")


class _Count(beam.PTransform):
    """Counts the words of batches, `(words, counts)` each. `of` tells it from others, the same in every process."""

    def __init__(self, of: str):
        super().__init__()
        self._of = of

    def __repr__(self) -> str:
        # tf.Transform 1.21 makes names in its cache of this; Beam's own has an address in it.
        return f"{type(self).__module__}.{type(self).__name__}({self._of})"

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Counts."""
        pairs = pcoll | "Pairs" >> beam.FlatMap(_pairs).with_output_types(tuple[bytes, int])
        return pairs | "Sum" >> beam.CombinePerKey(sum)


class _Sum(_Count):
    """Adds up words that were counted before."""

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        """Adds up."""
        return (
            pcoll | "Pairs" >> beam.Map(tuple).with_output_types(tuple[bytes, int]) | "Sum" >> beam.CombinePerKey(sum)
        )


def _pairs(batch: Sequence[np.ndarray]) -> Iterator[tuple[bytes, int]]:
    words, counts = batch
    return zip(words.tolist(), counts.tolist(), strict=True)


class _Learn(beam.CombineFn):
    """Chooses among words that each come once."""

    def __init__(self, choice: Choice):
        self._choice = choice

    def create_accumulator(self) -> Counted:
        return Counted()

    def add_input(self, accumulator: Counted, element: tuple[bytes, int]) -> Counted:
        return accumulator.add(element[:1], element[1:], self._choice)

    def merge_accumulators(self, accumulators: Iterable[Counted]) -> Counted:
        made = Counted()
        for other in accumulators:
            made.dropped += other.dropped
            made.add(other.words, other.counts, self._choice)
        return made

    def compact(self, accumulator: Counted) -> Counted:
        return accumulator.pruned(self._choice)

    def extract_output(self, accumulator: Counted) -> Learned:
        return accumulator.learned(self._choice)


class _Write(tft_beam.experimental.PTransformAnalyzer):
    """Chooses the words, and writes the file that the graph looks them up in; its path is the analyzer's one output.

    Args:
      column: what learns.
      path: where the words are also written down with their counts; an empty string for nowhere.
    """

    def __init__(self, column: LearnedVocabularyBase, path: str):
        super().__init__()
        self._column, self._path = column, path

    def expand(self, pcoll: beam.PCollection) -> tuple[beam.PCollection]:
        """Writes."""
        target = FileSystems.join(self.base_temp_dir, self._column.vocabulary_name)
        learned = pcoll | "Learn" >> beam.CombineGlobally(_Learn(self._column.choice))
        return (learned | "WriteDown" >> beam.Map(_written, target, self._path, _facts(self._column)),)


def _facts(column: LearnedVocabularyBase) -> dict[str, Any]:
    found = column.extended
    if column.extends is None:
        return {"extends": None}
    return {"extends": {"path": found.path, "sha256": found.sha256, "first_bucket": found.first_bucket}}


def _written(learned: Learned, target: str, path: str, facts: dict[str, Any]) -> np.ndarray:
    lines = b"".join(word + b"\n" for word in learned.words or [NO_WORDS])
    counts = {"known": learned.known, "new": len(learned.words) - learned.known, "left_out": learned.left_out}
    kept = Kept(learned.words, learned.counts, {**facts, **counts}).to_bytes()
    for name, data in ((target, lines), (path, kept)):
        if name:
            with naming(name), FileSystems.create(name, compression_type=CompressionTypes.UNCOMPRESSED) as file:
                file.write(data)
    return np.array(target)


class _PairCoder(tft.experimental.PTransformAnalyzerCacheCoder):
    """Keeps a word with its count in tf.Transform's analysis cache."""

    def encode_cache(self, accumulator: tuple[bytes, int]) -> bytes:
        word, count = accumulator
        return _COUNT.pack(count) + word

    def decode_cache(self, encoded_accumulator: bytes) -> tuple[bytes, int]:
        return encoded_accumulator[_COUNT.size :], _COUNT.unpack_from(encoded_accumulator)[0]


def analyze_vocabulary(column: LearnedVocabularyBase, words: tf.Tensor, path: str) -> Any:
    """Adds the analyzer to the graph that tf.Transform traces.

    Args:
      column: what learns.
      words: its words in a batch, text `[n]`.
      path: where the words are also written down with their counts; an empty string for nowhere.

    Returns:
      The path of a text file, one word a line, whose first line has the id 0: an asset of the graph.
    """
    name = column.vocabulary_name
    analyzer = tft.experimental.CacheablePTransformAnalyzer(
        make_accumulators_ptransform=_Count(name),
        merge_accumulators_ptransform=_Sum(name),
        extract_output_ptransform=_Write(column, path),
        cache_coder=_PairCoder(),
    )
    # Each word of a batch once: tf.Transform hands what it is given to Python one by one.
    once, _, counts = tf.unique_with_counts(words, out_idx=tf.int64)
    (file,) = tft.experimental.ptransform_analyzer(
        [once, counts], analyzer, [tf.string], [[]], [NO_WORDS], name=f"seqcols_{name}"
    )
    return file
