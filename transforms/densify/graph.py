"""Between Arrow and the graph: canonical list columns to raw tensors, and the graph's outputs to dense Arrow columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import tensorflow as tf

from transforms import dtypes
from transforms.densify import tensors
from transforms.densify.collect import level_moments
from transforms.densify.densify import densify
from transforms.rows.numbers import numbers_of
from transforms.rows.ragged import Ragged
from transforms.spec.spec import Spec
from transforms.statistics.contributed import Contribution, Packed
from transforms.statistics.fitted import Fitted, not_fitted
from transforms.stored import trees

if TYPE_CHECKING:
    from transforms.columns.steps import RawTensors

DENSE_BYTES: Final = 16 << 20
"""The most bytes of dense output to compute at once, so that memory does not grow with T times the rows of a batch."""

TRANSFORM_FN: Final = "transform_fn"
"""The folder of tf.Transform's graph in the directory of a transform."""

EXACT: Final = "__float64__"
"""The prefix of the name of an output that holds the bits of a float64 as int64. tf.Transform 1.21 refuses float64 outputs, so
its graph returns such a feature twice: as float32, and exactly under this prefix."""

Arrays = dict[str, np.ndarray]
BatchFunction = Callable[[pa.RecordBatch], Mapping[str, Any]]
"""The graph as a function of canonical columns: its outputs, which `to_arrays` takes."""


def input_specs(spec: Spec) -> dict[str, tf.RaggedTensorSpec]:
    """Returns the type of every feature that the graph takes: ragged `[batch, (values)]`, int64 row splits."""
    return {
        key: tf.RaggedTensorSpec([None, None], tf.as_dtype(kind), ragged_rank=1, row_splits_dtype=tf.int64)
        for key, kind in spec.graph_inputs.items()
    }


def raw_tensors(batch: pa.RecordBatch, spec: Spec) -> dict[str, tf.RaggedTensor]:
    """Returns the canonical columns of a batch as the graph's inputs."""
    return {key: ragged_tensor(batch.column(key)) for key in spec.graph_inputs}


def ragged_tensor(column: pa.Array) -> tf.RaggedTensor:
    """Returns a canonical column as a ragged tensor `[batch, (values)]`."""
    return _ragged(*_parts(column))


def _parts(column: pa.Array) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the values and the row splits of a canonical column."""
    view = Ragged.of(column)
    flat = view.values.cast(pa.large_binary()) if pa.types.is_large_string(view.values.type) else view.values
    if pa.types.is_large_binary(flat.type):  # no words have no type of their own
        return tf.convert_to_tensor(flat.to_numpy(zero_copy_only=False), tf.string), tensors.shared(view.splits)
    return tensors.shared(numbers_of(flat)), tensors.shared(view.splits)


def _ragged(values: tf.Tensor, splits: tf.Tensor) -> tf.RaggedTensor:
    return tf.RaggedTensor.from_row_splits(values, splits, validate=False)


class Compiled:
    """A function of raw tensors as a graph that takes batches.

    It takes the parts of ragged tensors: to look these over, call by call, takes TensorFlow longer than a small batch.

    Args:
      function: the function to compile; it is kept alive with everything in it, such as lookup tables.
      inputs: name of each input and the dtype of its values, as `Spec.graph_inputs`.
    """

    def __init__(self, function: Callable[[RawTensors], Any], inputs: Mapping[str, str]):
        self._function, self._keys = function, list(inputs)
        specs = []
        for kind in inputs.values():
            specs += [tf.TensorSpec([None], tf.as_dtype(kind)), tf.TensorSpec([None], tf.int64)]
        self._concrete = tf.function(self._traced, specs, autograph=False).get_concrete_function()

    def __call__(self, batch: pa.RecordBatch) -> Any:
        """Returns the function's results for the canonical columns of a batch."""
        return self._concrete(*(part for key in self._keys for part in _parts(batch.column(key))))

    def _traced(self, *parts: tf.Tensor) -> Any:
        return self._function(dict(zip(self._keys, map(_ragged, parts[::2], parts[1::2]), strict=True)))


def fitted_graph(fitted: Fitted, compiled: bool = True) -> BatchFunction:
    """Returns the graph for statistics that are at hand; op by op if not compiled, which suits a handful of rows."""
    spec = fitted.spec

    def function(raw: RawTensors) -> Mapping[str, Any]:
        return densify(spec, raw, fitted)

    return Compiled(function, spec.graph_inputs) if compiled else lambda batch: function(raw_tensors(batch, spec))


def saved_graph(spec: Spec, transform_dir: str) -> BatchFunction:
    """Loads the graph that a job saved (what `tft.TFTransformOutput` opens)."""
    # Not through TFTransformOutput, which looks after inputs that nobody gives: seconds for a wide graph.
    with trees.fetched(f"{transform_dir.rstrip('/')}/{TRANSFORM_FN}") as folder:
        return Compiled(called(tf.saved_model.load(folder), spec), spec.graph_inputs)


def carried(made: Mapping[str, Any]) -> dict[str, Any]:
    """Returns outputs as tf.Transform lets its graph have them: see `EXACT`."""
    exact = {name: tensor for name, tensor in made.items() if tensor.dtype == tf.float64}
    bits = {f"{EXACT}{name}": _flat_values(tf.bitcast, tensor, tf.int64) for name, tensor in exact.items()}
    return {name: tf.cast(tensor, tf.float32) if name in exact else tensor for name, tensor in made.items()} | bits


def called(saved: Any, spec: Spec) -> Callable[[RawTensors], Mapping[str, Any]]:
    """Returns the function of a loaded graph of tf.Transform: the outputs of `densify`, of its inputs."""

    def function(raw: RawTensors) -> Mapping[str, Any]:
        made: dict[str, Any] = dict(saved.transform_fn(as_taken(saved.transform_fn, raw)))
        for name in [name for name in made if name.startswith(EXACT)]:
            made[name.removeprefix(EXACT)] = _flat_values(tf.bitcast, made.pop(name), tf.float64)
        for output in spec.outputs():  # a graph of an earlier version gives float32
            if output.dtype == "float64" and output.name in made and made[output.name].dtype == tf.float32:
                made[output.name] = tf.cast(made[output.name], tf.float64)
        return made

    return function


def as_taken(function: Any, features: Mapping[str, tf.RaggedTensor]) -> dict[str, tf.RaggedTensor]:
    """Returns features in the dtypes that a loaded function takes: one that an earlier version saved has float32 for float64."""
    (concrete,) = getattr(function, "concrete_functions", [function])
    (specs,), _ = concrete.structured_input_signature
    return {key: tf.cast(given, specs[key].dtype) for key, given in features.items() if key in specs}


def _flat_values(function: Callable[..., tf.Tensor], tensor: Any, *arguments: Any) -> Any:
    """Applies a function to the values of a tensor, ragged or not."""
    if isinstance(tensor, tf.RaggedTensor):
        return tensor.with_flat_values(function(tensor.flat_values, *arguments))
    return function(tensor, *arguments)


def moments_graph(spec: Spec) -> Callable[[pa.RecordBatch], Packed]:
    """Returns a function that gives the moments of a batch of canonical columns."""
    nothing = not_fitted(spec)
    parts: list[Contribution] = []

    def traced(raw: RawTensors) -> list[tf.Tensor]:
        parts[:], contributed = level_moments(spec, raw, nothing, 0)
        return contributed

    function = Compiled(traced, spec.graph_inputs)

    def moments(batch: pa.RecordBatch) -> Packed:
        found = Packed(tuple(parts))
        return found.add(*map(tensors.array_of, function(batch))) if parts else found

    return moments


def to_arrays(made: Mapping[str, Any]) -> Arrays:
    """Returns the graph's outputs as arrays `[batch, ...]`, uniform ragged ones as the dense arrays that they are."""
    arrays = {}
    for name, tensor in made.items():
        if not isinstance(tensor, tf.RaggedTensor):
            arrays[name] = tensors.array_of(tensor)
            continue
        flat, splits = tensors.array_of(tensor.flat_values), tensors.array_of(tensor.row_splits)
        batch = len(splits) - 1
        arrays[name] = flat.reshape(batch, int(splits[1]) if batch else 0, *flat.shape[1:])
    return arrays


def row_bytes(arrays: Arrays) -> int:
    """Returns what one row of dense output takes, in bytes."""
    return sum(int(np.prod(a.shape[1:], dtype=np.int64)) * a.itemsize for a in arrays.values())


def run(graph: BatchFunction, batch: pa.RecordBatch, spec: Spec) -> Iterator[tuple[pa.RecordBatch, Arrays]]:
    """Runs the graph over a batch in pieces whose dense output stays within `DENSE_BYTES`.

    A row's result does not depend on the piece that it is in. The first piece is one row, which tells how large a row is.

    Yields:
      A slice of the batch and its dense arrays.
    """
    size = _known_row_bytes(spec)
    start = 0
    while start < batch.num_rows:
        count = max(DENSE_BYTES // size, 1) if size else 1
        piece = batch.slice(start, count)
        arrays = to_arrays(graph(piece))
        size = size or max(row_bytes(arrays), 1)
        yield piece, arrays
        start += piece.num_rows


def _known_row_bytes(spec: Spec) -> int:
    """Returns what a row takes, 0 where T is not known before the graph has run."""
    if spec.longest_groups:
        return 0
    return sum(
        (4 if dtypes.parsed(output.dtype) == "float32" else 8)
        * int(np.prod([n or 1 for n in output.shape], dtype=np.int64))
        for output in spec.outputs()
    )
