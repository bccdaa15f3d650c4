"""tf.Transform's graph step on engines that do work again, as Flink does when it loses a machine; and without copies.

tf.Transform 1.21 saves the graph of an analysis under a new name whenever that step runs, and the step that applies it keeps,
for as long as its process lives, the graph that it has seen first. Where the first is run again and the process of the second
lives on, an assertion fails, and fails again in every attempt that the engine makes. Here the new graph is loaded instead.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any
from unittest import mock

import pyarrow as pa
import tensorflow as tf
from tensorflow_transform.beam import impl

from transforms.densify.graph import ragged_tensor


class RunGraph(impl._RunMetaGraphDoFn):
    """Applies a saved graph to batches of canonical columns, whichever graph the bundle at hand is about."""

    def process(self, batch: pa.RecordBatch, saved_model_dir: str) -> Iterator[Any]:
        """See the base class."""
        state = getattr(self, "_graph_state", None)
        if state is None or state.saved_model_dir != saved_model_dir:
            self._graph_state = self._shared_graph_state_handle.acquire(
                lambda: self._make_graph_state(saved_model_dir), tag=saved_model_dir
            )
        yield self._handle_batch(batch)

    def _make_feed_dict(self, batch: pa.RecordBatch) -> dict[str, tf.RaggedTensor]:
        # tf.Transform's own way copies all values twice.
        return {key: ragged_tensor(batch.column(key)) for key in self._tensor_adapter.TypeSpecs()}


def repeatable() -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which tf.Transform builds pipelines with `RunGraph`."""
    return mock.patch.object(impl, "_RunMetaGraphDoFn", RunGraph)
