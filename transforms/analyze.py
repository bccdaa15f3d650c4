"""The preprocessing function for tf.Transform: one packed analyzer for all columns, then `densify`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

import apache_beam as beam
import numpy as np
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.io.filesystems import FileSystems

from transforms import moments
from transforms.densify import Fitted, RawTensors, analysis, densify, fitted_from, not_fitted, table_width
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


def preprocessing_fn(spec: Spec, statistics_path: str, analyze: bool) -> Callable[[RawTensors], dict[str, Any]]:
    """Returns the function that tf.Transform traces.

    Args:
      spec: the columns.
      statistics_path: file that the merged table of moments is also written to (JSON).
      analyze: whether the data is read for statistics. Without, the graph has no analyzers of ours.

    Returns:
      A function of ragged tensors by feature. Its outputs are dense; where T is left to the data the outputs of that group are
      ragged tensors whose rows all have T steps, because tf.Transform refuses a dense tensor of unknown size.
    """

    def preprocess(inputs: RawTensors) -> dict[str, Any]:
        fitted = _fitted(spec, inputs, statistics_path) if analyze else not_fitted(spec)
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


def _fitted(spec: Spec, inputs: RawTensors, statistics_path: str) -> Fitted:
    width = table_width(spec)
    analyzer = tft.experimental.CacheablePTransformAnalyzer(
        make_accumulators_ptransform=_Combine(width),
        merge_accumulators_ptransform=_Combine(width),
        extract_output_ptransform=_Extract(statistics_path),
        cache_coder=tft.experimental.SimpleJsonPTransformAnalyzerCacheCoder(),
    )
    # One table, one output: tf.Transform 1.21 refuses to cache an analyzer with several.
    (table,) = tft.experimental.ptransform_analyzer(
        [analysis(spec, inputs)[tf.newaxis]],
        analyzer,
        [tf.float64],
        [[len(moments.ROWS), width]],
        name="seqcols_statistics",
    )
    return fitted_from(spec, table)
