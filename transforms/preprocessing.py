"""A `preprocessing_fn` for those who run tf.Transform or TFX themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import tensorflow as tf

from transforms import dtypes
from transforms.columns import Column
from transforms.densify.collect import fit
from transforms.densify.densify import densify
from transforms.errors import nearest
from transforms.fit.preprocessing_fn import Analyzers, static
from transforms.groups import SequenceGroup
from transforms.parse.form import Form
from transforms.serve import parsing
from transforms.serve.model import VALID
from transforms.serve.valid import admitted
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec


def make_preprocessing_fn(
    columns: Sequence[Column] | Column | Spec,
    sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
    """Returns a function for `tft_beam.AnalyzeDataset` and its like, and for TFX's Transform component.

    It takes the features of `make_parse_example_spec(columns)`: of each a SparseTensor `[batch, values]`, a RaggedTensor
    (`[batch, (steps), (ids)]` where a step has several ids) or a dense tensor `[batch]` or `[batch, ...]`.
    tf.Transform 1.21 refuses a `FixedLenFeature` with a default: give it every feature as a `VarLenFeature`.

    It returns what the job writes, but for pass-through columns: lengths and masks int64, values int64 or float32. Where T is the
    longest row they are ragged tensors whose rows are all T long, because tf.Transform refuses a dense one of unknown size.

    A graph cannot leave a row out. A row that the job would reject counts in no statistics, comes out empty, and has 0 in the
    output `__valid__` (int64 `[batch]`): filter by it. What `required` asks for tensors do not tell.

    >>> fn = make_preprocessing_fn([sequence_numeric_column("x", normalizer_fn="z_score")])  # doctest: +SKIP
    >>> (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(fn)  # doctest: +SKIP

    Args:
      columns: the columns, or a spec.
      sequence_groups: policies by group; one policy is that of the default group.

    Raises:
      SpecError: the columns do not work together. What is returned raises ValueError where a feature is missing or of a wrong
        kind.
    """
    spec = make_spec(columns, sequence_groups)

    def preprocessing_fn(inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the outputs of a batch of features."""
        given = {key: _as_request(key, inputs, form) for key, form in parsing.forms(spec).items()}
        one = next(iter(given.values()))
        raw, good = admitted(spec, given, tf.ones([one.nrows()], tf.bool))
        fitted = fit(spec, raw, Analyzers(spec, ""))
        made = densify(spec, raw, fitted)
        # tf.Transform 1.21 takes no float64.
        stored = {name: tf.cast(t, tf.float32) if t.dtype == tf.float64 else t for name, t in made.items()}
        return {**static(spec, stored, fitted), VALID: tf.cast(good, tf.int64)}

    return preprocessing_fn


def _as_request(key: str, inputs: Mapping[str, Any], form: Form) -> tf.RaggedTensor:
    """Returns a feature as a ragged tensor `[batch, (values)]`, nested where several ids a step are."""
    if key not in inputs:
        raise ValueError(f"expected the feature {key!r}{nearest(key, inputs)}")
    given = inputs[key]
    both = form.dtype == dtypes.DIGITS  # text or integers
    if not both and given.dtype != tf.as_dtype(form.carrier) and tf.string in (given.dtype, tf.as_dtype(form.carrier)):
        raise ValueError(f"feature {key!r}: expected {form.carrier}, got {given.dtype.name}")
    if isinstance(given, tf.SparseTensor):
        made = tf.RaggedTensor.from_sparse(given, row_splits_dtype=tf.int64)
    elif isinstance(given, tf.RaggedTensor):
        made = _whole(given.with_row_splits_dtype(tf.int64))
    else:
        flat = tf.reshape(given, [tf.shape(given)[0], -1])
        made = tf.RaggedTensor.from_tensor(flat, row_splits_dtype=tf.int64)
    if parsing.is_nested(form):
        return made if made.ragged_rank > 1 else parsing.one_value_a_step(made)
    return made if made.flat_values.shape.rank == 1 else made.merge_dims(1, -1)


def _whole(given: tf.RaggedTensor) -> tf.RaggedTensor:
    """Returns a ragged tensor with exactly the values of its rows.

    tfx_bsl 1.21 makes of the first rows of a batch, cut off as a slice, one that has all values of the batch.
    """
    splits, values = given.row_splits, given.values
    values = _whole(values) if isinstance(values, tf.RaggedTensor) else values
    return tf.RaggedTensor.from_row_splits(values[splits[0] : splits[-1]], splits - splits[0], validate=False)
