"""The preprocessing function for tf.Transform: its analyzers find the statistics, one packed for all moments, then `densify`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.io.filesystems import FileSystems

from transforms import moments
from transforms.asks import Ask
from transforms.columns import Column
from transforms.densify import RawTensors, densify, fit
from transforms.fitted import Asked, not_fitted, table_width
from transforms.lookup import Vocabulary
from transforms.spec import Spec


class _Merge(beam.CombineFn):
    """Merges tables of moments."""

    def __init__(self, dimensions: int):
        self._dimensions = dimensions

    def create_accumulator(self) -> np.ndarray:
        return moments.empty(self._dimensions)

    def add_input(self, accumulator: np.ndarray, element: Any) -> np.ndarray:
        # tf.Transform hands over a tuple of arrays a batch; its cache hands over lists.
        table = np.asarray(element[0] if isinstance(element, tuple) else element, np.float64)
        return moments.merge([accumulator, table.reshape(accumulator.shape)])

    def merge_accumulators(self, accumulators: Iterable[np.ndarray]) -> np.ndarray:
        return moments.merge(accumulators)

    def extract_output(self, accumulator: np.ndarray) -> np.ndarray:
        return accumulator


class _Combine(beam.PTransform):
    """Both of tf.Transform's stages: batches to accumulators (what its cache keeps), and accumulators to one."""

    def __init__(self, dimensions: int):
        super().__init__()
        self._merge = _Merge(dimensions)

    def expand(self, pcoll: beam.PCollection) -> beam.PCollection:
        return pcoll | "Merge" >> beam.CombineGlobally(self._merge)


class _Extract(beam.PTransform):
    """The merged table as the analyzer's output; also written down, so that people can read it."""

    def __init__(self, path: str):
        super().__init__()
        self._path = path

    def expand(self, pcoll: beam.PCollection) -> tuple[beam.PCollection]:
        return (pcoll | "WriteStatistics" >> beam.Map(_written, self._path),)


def _written(table: np.ndarray, path: str) -> np.ndarray:
    with FileSystems.create(path) as file:
        file.write(json.dumps({"table": np.asarray(table).tolist()}).encode())
    return table


class Analyzers:
    """Statistics of the whole data set from tf.Transform's analyzers.

    Args:
      spec: the columns.
      folder: where what was found is also written down, for people (`moments.json` and others).
    """

    track = staticmethod(tft.make_and_track_object)

    def __init__(self, spec: Spec, folder: str):
        self._spec, self._folder = spec, folder

    def moments(self, level: int, table: tf.Tensor) -> tf.Tensor:
        """See `transforms.fitted.Combine`."""
        width = table_width(self._spec, level)
        analyzer = tft.experimental.CacheablePTransformAnalyzer(
            make_accumulators_ptransform=_Combine(width),
            merge_accumulators_ptransform=_Combine(width),
            extract_output_ptransform=_Extract(joined(self._folder, moments_file(level))),
            cache_coder=tft.experimental.SimpleJsonPTransformAnalyzerCacheCoder(),
        )
        # One table, one output: tf.Transform 1.21 refuses to cache an analyzer with several.
        (merged,) = tft.experimental.ptransform_analyzer(
            [table[tf.newaxis]],
            analyzer,
            [tf.float64],
            [[len(moments.ROWS), width]],
            name=f"seqcols_moments_{level}",
        )
        return merged

    def details(self, level: int, asks: Sequence[Ask], asked: Sequence[Asked]) -> Any:
        """See `transforms.fitted.Combine`."""
        raise NotImplementedError

    def vocabulary(self, column: Column, words: tf.Tensor) -> Vocabulary:
        """See `transforms.fitted.Combine`."""
        raise NotImplementedError


def moments_file(level: int) -> str:
    """Returns the name of the file that a level's table of moments is written down in."""
    return "moments.json" if level == 0 else f"moments-{level}.json"


def joined(folder: str, name: str) -> str:
    """Returns a path in a folder of any of Beam's file systems."""
    return str(FileSystems.join(folder, name)) if folder else name


def preprocessing_fn(spec: Spec, folder: str, analyze: bool) -> Callable[[RawTensors], dict[str, Any]]:
    """Returns the function that tf.Transform traces.

    Args:
      spec: the columns.
      folder: where the statistics are also written down.
      analyze: whether the data is read for statistics. Without, the graph has no analyzers of ours.

    Returns:
      A function of ragged tensors by feature. Its outputs are dense; where T is left to the data the outputs of that group are
      ragged tensors whose rows all have T steps, because tf.Transform refuses a dense tensor of unknown size.
    """

    def preprocess(inputs: RawTensors) -> dict[str, Any]:
        analyzers = Analyzers(spec, folder)
        fitted = fit(spec, inputs, analyzers) if analyze else not_fitted(spec, analyzers.track)
        made = densify(spec, inputs, fitted)
        return {name: _static(tensor) for name, tensor in made.items()}

    return preprocess


def _static(tensor: tf.Tensor) -> tf.Tensor | tf.RaggedTensor:
    if tensor.shape.rank < 2 or tensor.shape[1] is not None:
        return tensor
    shape = tf.shape(tensor, tf.int64)
    flat = tf.reshape(tensor, tf.concat([shape[:1] * shape[1:2], shape[2:]], axis=0))
    flat.set_shape([None, *tensor.shape[2:]])
    return tf.RaggedTensor.from_row_splits(flat, tf.range(shape[0] + 1) * shape[1])
