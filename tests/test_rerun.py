"""An engine that does work again gives the same step another graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.pipeline import AppliedPTransform, PipelineVisitor
from apache_beam.utils import shared
from tensorflow_transform.beam import impl

from transforms import Fit, sequence_numeric_column
from transforms.fit import tft_retries

BATCH = pa.record_batch({"x": [1]})


@dataclass
class Graph:
    saved_model_dir: str


def step(of: type, handle: shared.Shared, loaded: list[str]) -> Any:
    """A step that notes which graphs it loads, and says which one it applies."""
    made = object.__new__(of)
    made._shared_graph_state_handle = handle

    def load(folder: str) -> Graph:
        loaded.append(folder)
        return Graph(folder)

    made._make_graph_state = load
    made._handle_batch = lambda batch: made._graph_state.saved_model_dir
    return made


def test_a_graph_of_another_name_is_loaded():
    handle, loaded = shared.Shared(), []
    first, second = (step(tft_retries.RunGraph, handle, loaded) for _ in range(2))
    for one, name in ((first, "a"), (first, "a"), (second, "a"), (second, "b"), (first, "b"), (second, "b")):
        assert list(one.process(BATCH, name)) == [name]
    assert loaded == ["a", "b"]


def test_tf_transform_itself_would_not():
    """When this fails, tf.Transform has mended it, and `rerun` can go."""
    one = step(impl._RunMetaGraphDoFn, shared.Shared(), [])
    assert list(one.process(BATCH, "a")) == ["a"]
    with pytest.raises(AssertionError):
        list(one.process(BATCH, "b"))


def test_pipelines_are_built_with_it(tmp_path):
    root = beam.Pipeline()
    rows = root | beam.Create([{"x": [1.0]}])
    rows | Fit([sequence_numeric_column("x", normalizer_fn="z_score")], transform=str(tmp_path / "t"))
    steps = Steps()
    root.visit(steps)
    assert steps.found and set(steps.found) == {tft_retries.RunGraph}
    assert impl._RunMetaGraphDoFn is not tft_retries.RunGraph


class Steps(PipelineVisitor):  # type: ignore[misc]
    """Notes the classes of the steps that apply a graph."""

    def __init__(self) -> None:
        self.found: list[type] = []

    def visit_transform(self, transform_node: AppliedPTransform) -> None:
        """Notes one."""
        fn = getattr(transform_node.transform, "fn", None)
        if isinstance(fn, impl._RunMetaGraphDoFn):
            self.found.append(type(fn))
