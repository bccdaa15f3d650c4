"""Canonical Arrow columns as the inputs of tf.Transform's graph: the configuration of tfx_bsl's adapter, and its input."""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa
from tensorflow_metadata.proto.v0 import path_pb2, schema_pb2
from tfx_bsl.tfxio import tensor_adapter

from transforms.spec.spec import Spec

CARRIERS: Final = {"int64": pa.int64(), "float32": pa.float32(), "float64": pa.float64(), "string": pa.large_binary()}


def graph_columns(batch: pa.RecordBatch, fields: list[str]) -> pa.RecordBatch:
    """Returns the graph's inputs alone, as tfx_bsl's adapter takes them: text as bytes, and (tfx_bsl 1.21) no slices."""
    schema = pa.schema([pa.field(f, _adapted(batch.schema.field(f).type)) for f in fields])
    chosen = batch.select(fields).replace_schema_metadata(None).cast(schema)
    whole = [array.take(np.arange(len(array))) if _is_sliced(array) else array for array in chosen.columns]
    return pa.RecordBatch.from_arrays(whole, schema=schema)


def _is_sliced(array: pa.Array) -> bool:
    return bool(array.offset or array.values.offset)


def _adapted(kind: pa.DataType) -> pa.DataType:
    return pa.large_list(pa.large_binary()) if kind == pa.large_list(pa.large_string()) else kind


def adapter(spec: Spec) -> tensor_adapter.TensorAdapterConfig:
    """Tells tf.Transform how canonical Arrow columns become ragged tensors."""
    fields = [pa.field(key, pa.large_list(CARRIERS[kind])) for key, kind in spec.graph_inputs.items()]
    representations = {}
    for key in spec.graph_inputs:
        ragged = schema_pb2.TensorRepresentation.RaggedTensor(
            feature_path=path_pb2.Path(step=[key]), row_partition_dtype=schema_pb2.TensorRepresentation.INT64
        )
        representations[key] = schema_pb2.TensorRepresentation(ragged_tensor=ragged)
    return tensor_adapter.TensorAdapterConfig(pa.schema(fields), representations)
