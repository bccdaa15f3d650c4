"""The preprocessing function for tf.Transform: its analyzers find the statistics, one packed for all moments, then `densify`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.io.filesystems import FileSystems

from transforms.columns.learned_vocabulary import LearnedVocabularyBase
from transforms.columns.vocabulary_lookup import Vocabulary, Words
from transforms.densify.collect import fit
from transforms.densify.densify import densify
from transforms.densify.graph import carried
from transforms.fit.combining import Combined, Extracted
from transforms.fit.details_analyzer import analyze_details, by_ask
from transforms.fit.tft_metadata import annotates_nothing
from transforms.fit.vocabulary_analyzer import analyze_vocabulary
from transforms.normalizers.asks import Ask
from transforms.spec.spec import Spec, length_name
from transforms.statistics import moments
from transforms.statistics.contributed import Contribution, Packed
from transforms.statistics.details import contribution
from transforms.statistics.fitted import Fitted, not_fitted, table_width
from transforms.statistics.saved import LearnedWords, Level, details_file, joined, moments_file
from transforms.stored.files import naming
from transforms.stored.word_files import file_of

if TYPE_CHECKING:
    from transforms.columns.steps import Asked, RawTensors


def _written(found: Packed, path: str) -> np.ndarray:
    table = found.table()
    if path:
        with naming(path), FileSystems.create(path) as file:
            file.write(moments.dumps(table))
    return table


class _CacheCoder(tft.experimental.PTransformAnalyzerCacheCoder):
    """Keeps accumulators of moments in tf.Transform's analysis cache."""

    def __init__(self, parts: Sequence[Contribution]):
        self._parts = tuple(parts)

    def encode_cache(self, accumulator: Packed) -> bytes:
        return accumulator.to_bytes()

    def decode_cache(self, encoded_accumulator: bytes) -> Packed:
        return Packed.from_bytes(self._parts, encoded_accumulator)


class Analyzers:
    """Statistics of the whole data set from tf.Transform's analyzers.

    Args:
      spec: the columns.
      folder: the folder to also write the results to, for people (`moments.json` and others); an empty string for none.
      given: the statistics of the first levels that are already known.
      words: the learned vocabularies by name, where they are known already.
    """

    track = staticmethod(tft.make_and_track_object)

    def __init__(self, spec: Spec, folder: str, given: Sequence[Level] = (), words: LearnedWords | None = None):
        self._spec, self._folder, self._given, self._words = spec, folder, tuple(given), words

    def moments(self, level: int, parts: Sequence[Contribution], contributed: Sequence[tf.Tensor]) -> tf.Tensor:
        """See `transforms.statistics.fitted.Combine`."""
        if level < len(self._given):
            return tf.constant(self._given[level].table, tf.float64)
        make = Combined(functools.partial(Packed, tuple(parts)), repr(parts))
        analyzer = tft.experimental.CacheablePTransformAnalyzer(
            make_accumulators_ptransform=make,
            merge_accumulators_ptransform=make,
            extract_output_ptransform=Extracted(_written, self._path(moments_file(level))),
            cache_coder=_CacheCoder(parts),
        )
        shape = [len(moments.ROWS), table_width(self._spec, level)]
        # One table, one output: tf.Transform 1.21 refuses to cache an analyzer with several.
        (merged,) = tft.experimental.ptransform_analyzer(
            list(contributed), analyzer, [tf.float64], [shape], name=f"seqcols_moments_{level}"
        )
        return merged

    def details(self, level: int, asks: Sequence[Ask], asked: Sequence[Asked]) -> list[tf.Tensor]:
        """See `transforms.statistics.fitted.Combine`."""
        if level < len(self._given):
            return by_ask(tf.constant(self._given[level].details, tf.string), asks)
        return analyze_details(level, asks, *contribution(asks, asked), self._path(details_file(level)))

    def _path(self, name: str) -> str:
        return joined(self._folder, name) if self._folder else ""

    def vocabulary(self, column: LearnedVocabularyBase, words: tf.Tensor) -> Vocabulary:
        """See `transforms.statistics.fitted.Combine`."""
        if self._words is not None:
            name = column.vocabulary_name
            return Words(self._words[name], name, self.track)
        return _InFile(analyze_vocabulary(column, words, self._path(file_of(column.vocabulary_name))))


class _InFile:
    """A vocabulary that tf.Transform writes down and saves with the graph: see `Vocabulary` of `vocabulary_lookup`."""

    def __init__(self, file: Any):
        self._file = file

    def ids(self, words: tf.Tensor, num_oov_buckets: int, default_value: int) -> tf.Tensor:
        return tft.apply_vocabulary(words, self._file, default_value=default_value, num_oov_buckets=num_oov_buckets)


def level_fn(spec: Spec, folder: str, given: Sequence[Level]) -> Callable[[RawTensors], dict[str, Any]]:
    """Returns the function that tf.Transform traces to find the statistics of one level, after those that are given."""

    def preprocess(inputs: RawTensors) -> dict[str, Any]:
        fit(spec, inputs, Analyzers(spec, folder, given), levels=len(given) + 1)
        return {"nothing": tf.zeros_like(next(iter(inputs.values())).row_lengths())}

    return annotates_nothing(preprocess)


def preprocessing_fn(
    spec: Spec, folder: str, analyze: bool, given: Sequence[Level] = (), words: LearnedWords | None = None
) -> Callable[[RawTensors], dict[str, Any]]:
    """Returns the function that tf.Transform traces.

    Args:
      spec: the columns.
      folder: the folder to also write the statistics to.
      analyze: whether there are statistics. Without, the graph has no analyzers of ours.
      given: the statistics from earlier passes.
      words: learned vocabularies that an earlier run found.

    Returns:
      A function of ragged tensors by feature. Its outputs are dense; where T is left to the data the outputs of that group are
      ragged tensors whose rows all have T steps, because tf.Transform refuses a dense tensor of unknown size.
    """

    def preprocess(inputs: RawTensors) -> dict[str, Any]:
        analyzers = Analyzers(spec, folder, given, words)
        fitted = fit(spec, inputs, analyzers) if analyze else not_fitted(spec, analyzers.track)
        made = densify(spec, inputs, fitted)
        return carried(static(spec, made, fitted))

    return preprocess if spec.calls_functions else annotates_nothing(preprocess)


def static(spec: Spec, made: Mapping[str, tf.Tensor], fitted: Fitted) -> dict[str, tf.Tensor | tf.RaggedTensor]:
    """Returns the outputs as tf.Transform takes them: those of unknown T as ragged tensors whose rows are all T long."""
    names = spec.longest_groups
    if not names:
        return dict(made)
    ends = (
        tf.range(tf.size(made[length_name(names[0])], tf.int64) + 1)
        * tf.convert_to_tensor(fitted.longest)[:, tf.newaxis]
    )
    splits = dict(zip(names, tf.unstack(ends, num=len(names)), strict=True))
    found: dict[str, tf.Tensor | tf.RaggedTensor] = dict(made)
    for output in spec.outputs():
        group = spec.group_of(output)
        if output.sequence and group in splits and output.name in made:
            tensor = made[output.name]
            flat = tf.reshape(tensor, [-1, *tensor.shape[2:]])
            # Its checks would be run in every phase of the analysis, on outputs whose statistics are still to come.
            found[output.name] = tf.RaggedTensor.from_row_splits(flat, splits[group], validate=False)
    return found
