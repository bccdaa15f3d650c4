"""Fit: the statistics of a data set, computed by tf.Transform, and the directory of the graph that uses them.

One implementation for the main job (files), for `Fit` (any PCollection) and for `transforms.ml_transform`.

>>> fitted = rows | Fit([sequence_numeric_column("x", normalizer_fn="z_score")], transform="dir")  # doctest: +SKIP
>>> dense = other | Densify(columns, transform="dir", ready=fitted.ready)  # doctest: +SKIP
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from apache_beam.pvalue import AsSingleton
from apache_beam.transforms.window import GlobalWindows
from apache_beam.typehints.row_type import RowTypeConstraint
from tensorflow_transform.beam.analyzer_cache import DatasetCache, DatasetKey
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx_bsl.tfxio import tensor_adapter

from transforms import dtypes
from transforms.beam import GOOD, REJECTED, TALLIES, Densify, StageFn
from transforms.columns import Column
from transforms.densify.graph import EXACT
from transforms.errors import JobError, SpecError, listed, nearest
from transforms.fit import preprocessing_fn, tft_retries
from transforms.fit.adapter import adapter, graph_columns
from transforms.groups import SequenceGroup
from transforms.parse.step_limit import MAX_STEPS
from transforms.spec.make_spec import LARGEST_EXAMPLE, job_faults, make_spec
from transforms.spec.spec import Spec
from transforms.stage_functions import StageFunction, validate_stage
from transforms.statistics.saved import LearnedWords, Level, joined
from transforms.stored import trees


@dataclass
class Datasets:
    """Data whose statistics are kept for each part: see tf.Transform's analysis cache.

    Attributes:
      batches: validated batches by part; None for a part that is wholly in the cache.
      cache: the contents of the cache, by part.
    """

    batches: Mapping[DatasetKey, beam.PCollection | None]
    cache: Mapping[DatasetKey, DatasetCache] = field(default_factory=dict)


def save_transform(
    root: beam.Pipeline,
    spec: Spec,
    data: beam.PCollection | Datasets | None,
    target: str,
    staging: str,
    allow_empty: bool = True,
    given: Sequence[Level] = (),
    words: LearnedWords | None = None,
    scratch: str = "",
) -> tuple[beam.PCollection, Mapping[DatasetKey, DatasetCache]]:
    """Finds the statistics of a data set and saves the graph that uses them.

    Args:
      root: the pipeline.
      spec: the columns.
      data: validated batches, one PCollection or several parts; None where no statistics are needed.
      target: directory of the graph, what `tft.TFTransformOutput` opens.
      staging: folder for what is needed meanwhile, and for the statistics as files (`saved.moments_file`). Workers reach it.
      allow_empty: whether a graph of no rows is saved. tf.Transform makes an identity graph of them.
      given: the statistics from earlier passes; without data, all of them.
      words: learned vocabularies that an earlier run found.
      scratch: folder that tf.Transform works in, where it is not the staging folder: workers reach it, and TensorFlow knows its
        file system, as it need not know that of the others (see `transforms.stored.trees`).

    Returns:
      A PCollection with one element, there when the graph is saved; and what is to be kept in the cache, by part.
    """
    config = adapter(spec)
    preprocess = preprocessing_fn.preprocessing_fn(
        spec, staging, data is not None or bool(given) or words is not None, given, words
    )
    cache: Mapping[DatasetKey, DatasetCache] = {}
    made = joined(scratch, "transform") if scratch else target
    context = tft_beam.Context(temp_dir=joined(scratch or staging, "tft"), force_tf_compat_v1=False)
    with tft_retries.repeatable(), context:
        if isinstance(data, Datasets):
            parts = {
                key: _inputs(part, spec, f"GraphInputs{k}") if part is not None else None
                for k, (key, part) in enumerate(data.batches.items())
            }
            analysis = tft_beam.AnalyzeDatasetWithCache(preprocess, pipeline=root)
            transform, cache = (parts, data.cache, config) | "Fit" >> analysis
        else:
            nothing = root | "NoBatches" >> beam.Create([]).with_output_types(pa.RecordBatch) if data is None else None
            batches = _inputs(data, spec, "GraphInputs") if data is not None else nothing
            transform = (batches, config) | "Fit" >> tft_beam.AnalyzeDataset(preprocess)
            if not allow_empty and data is not None:
                transform = _refuse_empty(transform, batches)
    saved = transform | "SaveTransform" >> tft_beam.WriteTransformFn(made)
    saved = saved | "SaveRawMetadata" >> beam.Map(_save_raw_metadata, made, spec)
    return (saved | "CopyTransform" >> beam.Map(_copied, made, target) if made != target else saved), cache


def _copied(done: Any, source: str, target: str) -> Any:
    trees.copy(source, target)
    return done


def find_level(
    spec: Spec, data: beam.PCollection, staging: str, given: Sequence[Level], scratch: str = ""
) -> beam.PCollection:
    """Finds the statistics of the first level that is not given, and writes them into the staging folder.

    tf.Transform would find all levels of one PCollection; a local runner then holds it in memory from one to the next.
    `scratch` as in `save_transform`.

    Returns:
      A PCollection with one element, there when it is done.
    """
    preprocess = preprocessing_fn.level_fn(spec, staging, given)
    context = tft_beam.Context(temp_dir=joined(scratch or staging, "tft"), force_tf_compat_v1=False)
    with tft_retries.repeatable(), context:
        batches = _inputs(data, spec, "GraphInputs")
        graph, _ = (batches, adapter(spec)) | "Fit" >> tft_beam.AnalyzeDataset(preprocess)
    return graph


def graph_specs(spec: Spec) -> dict[str, tf.TypeSpec]:
    """Returns the types of the graph's inputs as tf.Transform derives them."""
    made: dict[str, tf.TypeSpec] = tensor_adapter.TensorAdapter(adapter(spec)).OriginalTypeSpecs()
    return made


def _inputs(batches: beam.PCollection, spec: Spec, label: str) -> beam.PCollection:
    return batches | label >> beam.Map(graph_columns, list(spec.graph_inputs)).with_output_types(pa.RecordBatch)


def _refuse_empty(transform: Any, batches: beam.PCollection) -> Any:
    count = batches | "Rows" >> beam.Map(lambda batch: batch.num_rows) | "CountRows" >> beam.CombineGlobally(sum)
    graph, metadata = transform
    return graph | "RefuseEmpty" >> beam.Map(_not_empty, AsSingleton(count)), metadata


def _not_empty(graph: str, rows: int) -> str:
    if not rows:
        raise JobError("no rows to find statistics of: none were given, or all were rejected")
    return graph


def _save_raw_metadata(done: Any, target: str, spec: Spec) -> Any:
    """Writes what `TFTransformOutput.raw_feature_spec` reads: how to parse a request for the graph, float64 as float32.

    And takes out of what `transformed_feature_spec` reads the features that no tf.Example has (`graph.EXACT`).
    """
    features = {
        key: tf.io.RaggedFeature(tf.as_dtype(dtypes.carrier(kind)), row_splits_dtype=tf.int64)
        for key, kind in spec.graph_inputs.items()
    }
    metadata = dataset_metadata.DatasetMetadata.from_feature_spec(features)
    metadata_io.write_metadata(metadata, joined(target, "metadata"))
    if any(kind == "float64" for kind in spec.graph_inputs.values()):
        folder = joined(target, "transformed_metadata")
        schema = metadata_io.read_metadata(folder).schema
        for name in [feature.name for feature in schema.feature if feature.name.startswith(EXACT)]:
            schema.feature.remove(next(feature for feature in schema.feature if feature.name == name))
        for group in schema.tensor_representation_group.values():  # of ragged outputs
            for name in [name for name in group.tensor_representation if name.startswith(EXACT)]:
                del group.tensor_representation[name]
        metadata_io.write_metadata(dataset_metadata.DatasetMetadata(schema), folder)
    return done


class Fitting(NamedTuple):
    """The result of `Fit`.

    Attributes:
      ready: one element, which appears when the transform directory is complete: `Densify(ready=...)` waits for it.
      rejected: the rejected rows, of the same kind as the input (see `transforms.beam`).
      tallies: the counts.
    """

    ready: beam.PCollection
    rejected: beam.PCollection
    tallies: beam.PCollection


class Fit(beam.PTransform):
    """Finds the statistics of a PCollection and saves the transform directory.

    Takes what `Densify` takes: dicts, Rows, RecordBatches, Tables, or frames of pandas or Polars; raw, parsed or validated.
    Windows are ignored: the statistics are those of all rows. Without any accepted row the pipeline fails.

    Args:
      columns: one column, several, or a whole spec.
      sequence_groups: policies by group (see `SequenceGroup`).
      transform: the directory to write; workers must reach it. A transform in it is replaced.
      max_steps: most steps of a sequence; a row with more is rejected (`over_limit`).
      scratch: a directory for tf.Transform to work in, where TensorFlow does not know the file system of `transform` (`s3://`).
        It must know this one, and all workers must reach it.

    Raises:
      SpecError: there is no column to densify.
      ValueError: the directory has glob characters in its name, or `scratch` is needed.
    """

    def __init__(
        self,
        columns: Sequence[Column] | Column | Spec,
        sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
        *,
        transform: str,
        max_steps: int = MAX_STEPS,
        scratch: str = "",
    ):
        super().__init__()
        self.spec, self.transform = make_spec(columns, sequence_groups), transform.rstrip("/")
        self.max_steps, self._scratch = max_steps, scratch
        if not trees.is_known(scratch or transform):
            raise ValueError(
                f"expected a directory that TensorFlow knows (of a disk, or gs://), or one as scratch=..., got "
                f"{scratch or transform!r}"
            )
        if re.search(trees.GLOB, transform):  # Beam 2.77 takes the path of what it deletes for a pattern
            raise ValueError(f"expected a directory without glob characters, got {transform!r}")
        if faults := job_faults(self.spec, LARGEST_EXAMPLE):
            raise SpecError(faults)

    def expand(self, pcoll: beam.PCollection) -> Fitting:
        """Validates, analyses and saves."""
        everything = pcoll | "AllWindows" >> beam.WindowInto(GlobalWindows())
        stage = StageFn(self._stage, self.spec, arrow=True)
        valid = everything | "Validate" >> beam.ParDo(stage).with_outputs(REJECTED, TALLIES, main=GOOD)
        staging = f"{self.transform}.fit-{secrets.token_hex(4)}"
        scratch = joined(self._scratch, os.path.basename(staging)) if self._scratch else ""
        saved, _ = save_transform(
            pcoll.pipeline, self.spec, valid[GOOD], self.transform, staging, allow_empty=False, scratch=scratch
        )
        ready = saved | "CleanUp" >> beam.Map(_clean_up, [staging, scratch], self.transform)
        return Fitting(ready, valid[REJECTED], valid[TALLIES])

    def _stage(self) -> StageFunction:
        return validate_stage(self.spec, self.max_steps)


def _clean_up(_: Any, folders: Sequence[str], made: str) -> str:
    for folder in filter(None, folders):
        trees.delete(folder)
    return made


class FitAndDensify(Fit):
    """`Fit` and `Densify` of one PCollection: statistics first, then every row by them. Arguments as `Fit`.

    The PCollection is used twice. A local runner (FnApiRunner) holds it in memory meanwhile, so that memory grows with the
    data; the main job reads its files a second time instead. Rows in other windows than the global one keep theirs.

    Outputs as `Densify`: the good rows, `REJECTED` and `TALLIES`. Each rejected row is there once.
    """

    def expand(self, pcoll: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """Fits, then densifies."""
        _refuse_undeclared(pcoll, self.spec)
        more: dict[str, Any] = {"transform": self.transform, "max_steps": self.max_steps}
        fitted = pcoll | "Fit" >> Fit(self.spec, scratch=self._scratch, **more)
        return pcoll | "Densify" >> Densify(self.spec, ready=fitted.ready, **more)


def _refuse_undeclared(pcoll: beam.PCollection, spec: Spec) -> None:
    """Refuses rows whose schema does not have a feature: used twice they pass a coder, which drops undeclared fields.

    Beam 2.77's transforms of tf.Transform (`ScaleTo01` and the like) declare of their rows only what they computed.
    """
    kind = pcoll.element_type
    declared = kind if isinstance(kind, RowTypeConstraint) else RowTypeConstraint.from_user_type(kind)
    names = [name for name, _ in declared._fields] if declared is not None else list(spec.features)
    for key in spec.features:
        if key not in names:
            hint = nearest(key, names) or f"; it has {listed(names)}"
            raise ValueError(f"the schema of the rows has no feature {key!r}{hint}")
