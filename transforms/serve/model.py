"""The serving model: from serialized tf.Examples, ragged tensors or padded lists to the dense features that the job wrote.

A SavedModel that needs TensorFlow alone. It holds the graph that tf.Transform saved, between what a request is parsed with
(`transforms.serve.parsing`) and what makes every feature dense, in its declared dtype. What the job would reject comes out as an
empty row with `VALID` false: a graph cannot leave rows out.
"""

from __future__ import annotations

import keyword
import math
import re
import tempfile
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

import tensorflow as tf

from transforms.columns import Output
from transforms.columns.window import mask_of
from transforms.densify.dense_batch import final_outputs
from transforms.densify.graph import TRANSFORM_FN, called, to_arrays
from transforms.densify.spoiled import largest_written, spoiling_columns, written_values
from transforms.errors import SpecError, SpecFault
from transforms.serve import inputs, parsing, record_features
from transforms.serve.left_out import filled, spec_without, without_left_out
from transforms.serve.valid import admitted
from transforms.serve.words import WordsBeside
from transforms.spec.spec import Spec, length_name
from transforms.stored import trees

VALID: Final = "__valid__"
"""Output that says which rows the job would have written, bool `[batch]`. No column can have such a name."""

SIGNATURE: Final = tf.saved_model.DEFAULT_SERVING_SIGNATURE_DEF_KEY
RAGGED: Final = "ragged"
PADDED: Final = "padded"


class ServingModel(tf.Module):
    """The module that is saved for serving.

    Args:
      spec: the columns.
      transform_dir: directory of the graph that a job saved, on this machine.
      words: the words of columns, by name: it then also gives the words of ids (see `WordsBeside`).
      without: names of columns that requests do not have: it gives neither them nor groups that have no others.
      padded: whether it takes padded lists, too. With 250 columns it then takes a third longer to load, and so to write.

    Attributes:
      outputs: the dense features, without pass-through columns, with their shapes (T known) and dtypes.

    Raises:
      ValueError: see `spec_without`.
    """

    def __init__(
        self,
        spec: Spec,
        transform_dir: str,
        words: Mapping[str, Sequence[bytes]] | None = None,
        without: Collection[str] = (),
        padded: bool = False,
    ):
        super().__init__()
        self._padded = padded
        self._spec, self._asked = spec, spec_without(spec, without) if without else spec
        self._loaded = tf.saved_model.load(f"{transform_dir.rstrip('/')}/{TRANSFORM_FN}")
        del self._loaded.signatures  # which would be saved again, an operation for every input and output
        self._graph = called(self._loaded, spec)
        self._forms = parsing.forms(self._asked)
        self.outputs = self._outputs()
        self._words = WordsBeside(words, self.outputs, self._asked) if words else None
        self._together = outputs_together(self.outputs, spec)
        features = parsing.request_specs(self._asked)
        # Traced once, and called by all that can be called from outside. There is no Python for autograph to look at.
        rows = tf.function(
            self._answer, [features, tf.TensorSpec([None], tf.bool), tf.TensorSpec([], tf.bool)], autograph=False
        )
        self._rows = rows.get_concrete_function()
        self.ragged = tf.function(self._from_ragged, [features], autograph=False)

    def signatures(self) -> dict[str, Any]:
        """Returns what a server can call, by name."""
        examples = tf.TensorSpec([None], tf.string, name="examples")
        made = {
            SIGNATURE: tf.function(self._from_examples, [examples], autograph=False),
            RAGGED: _concrete(self._from_ragged_parts, inputs.ragged_inputs(self._asked)),
        }
        if self._padded:
            made[PADDED] = _concrete(self._from_padded, inputs.padded_inputs(self._asked))
        return made

    def _outputs(self) -> list[Output]:
        """Finds T and the dtypes that normalizers gave, from a row without any feature."""
        inputs, splits = self._spec.graph_inputs, tf.constant([0, 0], tf.int64)
        empty = {
            kind: tf.RaggedTensor.from_row_splits(tf.zeros([0], kind), splits, validate=False)
            for kind in set(inputs.values())
        }
        nothing, passed = {key: empty[kind] for key, kind in inputs.items()}, self._spec.passed_through
        found = final_outputs(self._spec, to_arrays(self._graph(nothing)))
        return [output for output in without_left_out(found, self._asked) if output.name not in passed]

    def _from_examples(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Serialized tf.Examples or tf.SequenceExamples, string `[batch]`."""
        found = record_features.read(examples, self._forms)
        good = [found.good, *(found.present[key] for key in required_features(self._asked))]
        return self._apart(self._rows(found.features, tf.reduce_all(tf.stack(good), axis=0), tf.constant(True)))

    def _from_ragged(self, features: Mapping[str, tf.RaggedTensor]) -> dict[str, tf.Tensor]:
        one = next(iter(features.values()))
        return self._apart(self._rows(features, tf.ones([one.nrows()], tf.bool), tf.constant(False)))

    def _from_ragged_parts(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        return self._from_ragged(inputs.ragged(self._asked, given))

    def _from_padded(self, **given: tf.Tensor) -> dict[str, tf.Tensor]:
        features, good = inputs.padded(self._asked, given)
        return self._apart(self._rows(features, good, tf.constant(False)))

    def _answer(self, given: Mapping[str, tf.RaggedTensor], good: tf.Tensor, marked: tf.Tensor) -> dict[str, tf.Tensor]:
        """Returns the outputs, and which rows are valid; `good` says which can be; `marked`: see `requests`.

        What `outputs_together` lays together comes as one tensor, by the name of the first.
        """
        raw, good = admitted(self._asked, given, good, marked)
        made = self._graph(filled(self._spec, self._asked, raw))
        rows = tf.size(good)
        dense = {o.name: _dense(made[o.name], o, rows) for o in self.outputs if o.kind != "mask"}
        good = tf.logical_and(good, _unspoilt(self._asked, dense))
        answer = {VALID: good, **(self._words.of(dense) if self._words else {})}
        for outputs in self._together:
            first, *more = outputs
            # A mask is computed from the length again: to split hundreds, stack them and split them again costs more.
            names = [length_name(o.source) if o.kind == "mask" else o.name for o in outputs]
            given = tf.stack([dense[name] for name in names]) if more else dense[names[0]]
            if first.kind == "mask":
                given = mask_of(given, first.shape[0], self._spec.group(first.source).padding)
            answer[first.name] = tf.cast(given, _dtype(first))
        return answer

    def _apart(self, answer: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Returns every output by name, and which rows are valid, of what `_answer` returned."""
        made = {name: answer[name] for name in (VALID, *(self._words.names if self._words else ()))}
        for outputs in self._together:
            given, names = answer[outputs[0].name], [output.name for output in outputs]
            made |= zip(names, tf.unstack(given, num=len(names)) if len(names) > 1 else [given], strict=True)
        return made


def outputs_together(outputs: list[Output], spec: Spec) -> list[list[Output]]:
    """Returns the outputs in lists, lengths and masks of one shape (and padding) in one: groups have hundreds of them.

    An output is an operation in every function that hands it on, and a model is loaded operation by operation.
    """
    alike: dict[Any, list[Output]] = {}
    for output in outputs:
        kind: Any = output.name
        if output.kind == "length":
            kind = (output.kind,)
        elif output.kind == "mask":
            kind = (output.kind, output.shape, spec.group(output.source).padding)
        alike.setdefault(kind, []).append(output)
    return list(alike.values())


def required_features(spec: Spec) -> list[str]:
    """Returns the features that a request must have, if only with an empty list: for a column, or an inner one."""
    columns = [part for column in spec.columns if column.in_graph for part in (column, *column.parts)]
    return list(dict.fromkeys(column.key for column in columns if getattr(column, "required", False)))


def rehearse(spec: Spec) -> None:
    """Saves a model that computes nothing, with the inputs and outputs of the serving model: before a job, not after it.

    Not where there is nothing to try: with hundreds of columns it takes a second.

    Raises:
      SpecError: TensorFlow refuses their names.
    """
    passed, named = spec.passed_through, inputs.ragged_inputs(spec)
    outputs = [output.name for output in spec.outputs() if output.name not in passed]
    if _ordinary([name for own in named.values() for name in own]) and _ordinary(outputs):
        return
    outputs.append(VALID)

    def nothing(**given: tf.Tensor) -> dict[str, tf.Tensor]:
        made = tf.zeros(tf.shape(next(iter(given.values()))))
        return dict.fromkeys(outputs, made)

    try:
        function = _concrete(nothing, named)
        with tempfile.TemporaryDirectory(prefix="seqcols-") as folder:
            tf.saved_model.save(tf.Module(), folder, signatures={RAGGED: function})
    except (ValueError, TypeError) as error:
        why = " ".join(str(error).split())[:300]
        raise SpecError(
            [SpecFault("columns", f"expected names that TensorFlow takes for a serving model ({why})")]
        ) from error


def _ordinary(names: Sequence[str]) -> bool:
    """Tells whether names are certain to suit TensorFlow, which makes those of Python's arguments of them, in small letters."""
    words = {name.lower() for name in names if re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name)}
    return len(words) == len(names) and not words & {"self", *map(str.lower, keyword.kwlist)}


def save(
    spec: Spec,
    transform_dir: str,
    target: str,
    words: Mapping[str, Sequence[bytes]] | None = None,
    without: Collection[str] = (),
    padded: bool = False,
) -> dict[str, Any]:
    """Writes the serving model of a graph that a job saved; returns its signatures.

    Args:
      spec: the columns.
      transform_dir: directory of the transform.
      target: directory of the SavedModel.
      words: see `ServingModel`.
      without: see `ServingModel`.
      padded: see `ServingModel`.

    Raises:
      ValueError: see `spec_without`.
    """
    # Vocabularies are copied from the graph's folder when the model is saved, so that must be there still.
    with trees.fetched(transform_dir) as graph, trees.written(target) as folder:
        model = ServingModel(spec, graph, words, without, padded)
        signatures = model.signatures()
        tf.saved_model.save(model, folder, signatures=signatures)
        return signatures


def _concrete(function: Any, named: inputs.Inputs) -> Any:
    """Returns a function of the inputs of features as one that can be saved as a signature."""
    specs = {name: tensor for own in named.values() for name, tensor in own.items()}
    return tf.function(function, autograph=False).get_concrete_function(**specs)


def _unspoilt(spec: Spec, dense: Mapping[str, tf.Tensor]) -> tf.Tensor:
    """Returns the rows in which no normalizer returned a non-finite number; see `graph.normalizer_faults`."""
    one = next(iter(dense.values()))
    alike: dict[tuple[float, tf.DType], list[tf.Tensor]] = {}
    for column, numeric in spoiling_columns(spec):
        values = written_values(column, dense, spec)
        if (width := math.prod(values.shape[1:])) > 0:
            alike.setdefault((largest_written(numeric), values.dtype), []).append(tf.reshape(values, [-1, width]))
    good = [tf.ones([tf.shape(one)[0]], tf.bool)]
    for (largest, _), found in alike.items():  # no comparison with NaN holds
        good.append(tf.reduce_all(tf.abs(tf.cast(tf.concat(found, axis=1), tf.float64)) <= largest, axis=1))
    return tf.reduce_all(tf.stack(good), axis=0)


def _dense(tensor: Any, output: Output, rows: tf.Tensor) -> tf.Tensor:
    """Returns an output in its shape. Where T was left to the data it is a ragged tensor of rows that are all T long."""
    shape = [n for n in output.shape if n is not None]
    if not isinstance(tensor, tf.RaggedTensor) and tensor.shape[1:] == shape:
        return tensor
    flat = tensor.flat_values if isinstance(tensor, tf.RaggedTensor) else tensor
    if all(shape):
        return tf.reshape(flat, [-1, *shape])
    # How many rows there are tells only the batch where a row holds no value.
    return tf.ensure_shape(tf.reshape(flat, tf.stack([rows, *shape])), [None, *shape])


def _dtype(output: Output) -> tf.DType:
    return tf.as_dtype("string" if output.dtype == "bytes" else output.dtype)
