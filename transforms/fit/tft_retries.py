"""tf.Transform's graph step on engines that do work again, as Flink does when it loses a machine; and without copies.

tf.Transform 1.21 saves the graph of an analysis under a new name whenever that step runs, and the step that applies it keeps,
for as long as its process lives, the graph that it has seen first. Where the first is run again and the process of the second
lives on, an assertion fails, and fails again in every attempt that the engine makes. Here the new graph is loaded instead.

It is also called otherwise: tf.Transform copies all values twice, and TensorFlow looks over every ragged tensor that it is given.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from unittest import mock

import pyarrow as pa
from tensorflow_transform.beam import impl
from tensorflow_transform.saved import saved_transform_io_v2

from transforms.densify.graph import Compiled

if TYPE_CHECKING:
    from transforms.columns.steps import RawTensors


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

    def _make_graph_state(self, saved_model_dir: str) -> Any:
        loader = saved_transform_io_v2.SavedModelLoader(saved_model_dir)
        made = sorted(set(loader.structured_outputs).difference(self._exclude_outputs))

        def function(raw: RawTensors) -> dict[str, Any]:
            found = loader.apply_transform_model(raw)
            return {name: found[name] for name in made}

        inputs = {key: kind.dtype.name for key, kind in self._tensor_adapter.TypeSpecs().items()}
        return self._GraphStateCommon(saved_model_dir, set(inputs), set(made), Compiled(function, inputs))

    def _make_feed_dict(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch


def repeatable() -> contextlib.AbstractContextManager[Any]:
    """Returns a context in which tf.Transform builds pipelines with `RunGraph`."""
    return mock.patch.object(impl, "_RunMetaGraphDoFn", RunGraph)
