"""The graph of the main job: read, analyse, read again, densify, write, publish.

    files -> read -> validate -> analyse (tf.Transform) -> transform
      |                                                        |
      +-> gate <-----------------------------------------------+
            |
            +-> read -> validate -> densify -> write ---+
                  |         |                           +-> publish
                  +---------+-> write rejected ---------+

The second read waits for the first (file names pass a step whose side input is the finished transform) because a runner that
sees both at once joins them and buffers the data. Nothing but file names, tallies and lists of files crosses a shuffle.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import tensorflow as tf
import tensorflow_transform.beam as tft_beam
from apache_beam.pvalue import AsList, AsSingleton
from tensorflow_metadata.proto.v0 import path_pb2, schema_pb2
from tensorflow_transform.tf_metadata import dataset_metadata, metadata_io
from tfx_bsl.tfxio import tensor_adapter

from pipeline import coders, layout
from pipeline.finish import Collected, Plan, finish
from pipeline.reading import ReadBatches
from pipeline.sources import BatchLimits
from pipeline.summaries import first_rejects, sum_tallies
from pipeline.writing import WriteShards
from transforms import analyze, moments
from transforms.beam import GOOD, REJECTED, TABLES, TALLIES, Densify, Validate
from transforms.fitted import table_width
from transforms.spec import Spec


@dataclass(frozen=True)
class Tuning:
    """What changes how a job runs, never what it gives.

    Attributes:
      limits: how large a batch of input may be.
      spread: whether files are dealt out to several workers.
      notes: folder for progress notes on this machine, or an empty string.
    """

    limits: BatchLimits = field(default_factory=BatchLimits)
    spread: bool = True
    notes: str = ""


def build(root: beam.Pipeline, plan: Plan, tuning: Tuning) -> beam.PCollection:
    """Adds the whole job to a pipeline.

    Args:
      root: the pipeline.
      plan: what is asked for; `plan.passes` says whether there is an analysis pass.
      tuning: how to run it.

    Returns:
      A PCollection with one element, what `finish` returned.
    """
    coders.register()
    files = root | "Files" >> beam.Create([file.path for file in plan.inputs.files], reshuffle=False)
    analysis = read_pass(files, "Analyse", plan.spec, tuning, 0) if plan.passes == 2 else None
    ready = _fit(root, plan, analysis.good if analysis else None)
    gated = files | "Gate" >> beam.Map(lambda path, _: path, AsSingleton(ready))
    second = read_pass(gated, "Transform", plan.spec, tuning, plan.passes - 1)
    transform = plan.place.staged(layout.TRANSFORM)
    dense = second.good | "Densify" >> Densify(plan.spec, transform=transform, moments=plan.passes == 1)
    write = WriteShards(plan.place.at(layout.EXAMPLES), plan.place.run_id, plan.sink, plan.spec)
    written = dense[GOOD] | "Write" >> beam.ParDo(write).with_outputs(TALLIES, main="parts")
    refused = (*second.rejected, dense[REJECTED])
    rejected = [_write_rejected(part, plan, k) for k, part in enumerate(refused)]
    counted = (*second.tallies, dense[TALLIES], written[TALLIES])
    table = _table(plan, ready, dense[TABLES])
    return (
        root
        | "End" >> beam.Create([plan], reshuffle=False)
        | "Finish"
        >> beam.Map(
            _finish,
            parts=AsList(written.parts),
            rejected=AsList(rejected | "RejectedParts" >> beam.Flatten()),
            tally=AsSingleton(sum_tallies(counted, "Ledger")),
            analysis_tally=AsSingleton(sum_tallies(analysis.tallies, "AnalysisLedger")) if analysis else Counter(),
            table=AsSingleton(table),
            examples=AsSingleton(first_rejects(refused)),
        )
    )


@dataclass
class Pass:
    """The good batches of a pass, its rejected rows and its tallies."""

    good: beam.PCollection
    rejected: tuple[beam.PCollection, ...]
    tallies: tuple[beam.PCollection, ...]


def read_pass(files: beam.PCollection, label: str, spec: Spec, tuning: Tuning, number: int) -> Pass:
    """Adds one pass over the files: read and validate."""
    reading = ReadBatches(spec.columns, tuning.limits, tuning.spread, tuning.notes, number)
    read = files | f"{label}Read" >> reading
    valid = read[GOOD] | f"{label}Validate" >> Validate(spec)
    return Pass(valid[GOOD], (read[REJECTED], valid[REJECTED]), (read[TALLIES], valid[TALLIES]))


def _write_rejected(rejected: beam.PCollection, plan: Plan, number: int) -> beam.PCollection:
    """Writes one output of rejected rows. Several are not flattened first: that would hold them all in memory."""
    write = WriteShards(plan.place.at(layout.REJECTED), plan.place.run_id, "parquet", None)
    return (rejected | f"WriteRejected{number}" >> beam.ParDo(write).with_outputs(TALLIES, main="parts")).parts


def _fit(root: beam.Pipeline, plan: Plan, good: beam.PCollection | None) -> beam.PCollection:
    """Analyses (where there is a pass for it) and saves the transform; the result is there when that is done."""
    fields, config = _adapter(plan.spec)
    if good is not None:
        batches = good | "GraphInputs" >> beam.Map(_select, fields).with_output_types(pa.RecordBatch)
    else:
        batches = root | "NoBatches" >> beam.Create([]).with_output_types(pa.RecordBatch)
    preprocess = analyze.preprocessing_fn(plan.spec, plan.place.staging, analyze=good is not None)
    with tft_beam.Context(temp_dir=plan.place.staged("tft"), force_tf_compat_v1=False):
        transform = (batches, config) | "Fit" >> tft_beam.AnalyzeDataset(preprocess)
    target = plan.place.staged(layout.TRANSFORM)
    saved = transform | "SaveTransform" >> tft_beam.WriteTransformFn(target)
    return saved | "SaveRawMetadata" >> beam.Map(_save_raw_metadata, target, plan.spec)


def _select(batch: pa.RecordBatch, fields: list[str]) -> pa.RecordBatch:
    """Returns the graph's inputs alone; text as bytes, which is what tfx_bsl's adapter takes."""
    schema = pa.schema([pa.field(f, _adapted(batch.schema.field(f).type)) for f in fields])
    return batch.select(fields).replace_schema_metadata(None).cast(schema)


def _adapted(kind: pa.DataType) -> pa.DataType:
    return pa.large_list(pa.large_binary()) if kind == pa.large_list(pa.large_string()) else kind


def _adapter(spec: Spec) -> tuple[list[str], tensor_adapter.TensorAdapterConfig]:
    """Tells tf.Transform how canonical Arrow columns become ragged tensors."""
    kinds = {"int64": pa.int64(), "float32": pa.float32(), "string": pa.large_binary()}
    fields = [pa.field(key, pa.large_list(kinds[kind])) for key, kind in spec.graph_inputs.items()]
    representations = {}
    for key in spec.graph_inputs:
        ragged = schema_pb2.TensorRepresentation.RaggedTensor(
            feature_path=path_pb2.Path(step=[key]), row_partition_dtype=schema_pb2.TensorRepresentation.INT64
        )
        representations[key] = schema_pb2.TensorRepresentation(ragged_tensor=ragged)
    config = tensor_adapter.TensorAdapterConfig(pa.schema(fields), representations)
    return [field.name for field in fields], config


def _save_raw_metadata(done: Any, target: str, spec: Spec) -> Any:
    """Writes what `TFTransformOutput.raw_feature_spec` reads: how to parse a request for the graph."""
    features = {
        key: tf.io.RaggedFeature(tf.as_dtype(kind), row_splits_dtype=tf.int64)
        for key, kind in spec.graph_inputs.items()
    }
    metadata = dataset_metadata.DatasetMetadata.from_feature_spec(features)
    metadata_io.write_metadata(metadata, beam.io.filesystems.FileSystems.join(target, "metadata"))
    return done


def _table(plan: Plan, ready: beam.PCollection, tables: beam.PCollection) -> beam.PCollection:
    """Returns the moments of all numeric columns: from the analysis, else from the one pass."""
    if plan.passes == 2:
        return ready | "ReadMoments" >> beam.Map(_read_table, plan.place.staged(analyze.moments_file(0)))
    width = table_width(plan.spec)
    return tables | "Moments" >> beam.CombineGlobally(_merge_tables(width))


def _merge_tables(width: int) -> Any:
    return lambda tables: moments.merge([moments.empty(width), *tables])


def _read_table(_: Any, path: str) -> np.ndarray:
    return np.array(layout.read_json(path)["table"], np.float64).reshape(len(moments.ROWS), -1)


def _finish(plan: Plan, **got: Any) -> dict[str, Any]:
    return finish(plan, Collected(**got))
