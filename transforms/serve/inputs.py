"""The inputs of the signatures that take tensors: features as the parts of ragged tensors, and as padded lists with lengths.

A signature takes no RaggedTensor, and JSON has only lists of one length. So every feature has several inputs, by names that
TensorFlow takes, and `ragged` and `padded` make features of them again. What all features have in common is computed for all of
them together: a graph is traced, saved and loaded operation by operation.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
import tensorflow as tf

from transforms.parse.form import Form
from transforms.serve import parsing
from transforms.serve.parsing import Raw
from transforms.spec.spec import Spec

Inputs = dict[str, dict[str, tf.TensorSpec]]
"""By feature the inputs that it has, by their names: first its values."""

_RAGGED: Final = ("row_splits", "step_splits")
_PADDED: Final = ("length", "step_length")


def ragged_inputs(spec: Spec) -> Inputs:
    """Returns the inputs of `ragged`: flat values, row splits, then splits of the steps where a step has several ids."""
    made: Inputs = {}
    for key, (name, form) in _named(spec, _RAGGED).items():
        kind = tf.as_dtype(form.requested)
        made[key] = {name: tf.TensorSpec([None], kind, name)}
        for part in _RAGGED[: 1 + parsing.is_nested(form)]:
            made[key][f"{name}_{part}"] = tf.TensorSpec([None], tf.int64, f"{name}_{part}")
    return made


def padded_inputs(spec: Spec) -> Inputs:
    """Returns the inputs of `padded`: lists, their lengths, then the numbers of ids in the steps where a step has several.

    Values are `[batch, N]`, or `[batch, N, n]` where a step has n numbers, or up to n ids. Lengths are int64 `[batch]`, in steps;
    of the steps `[batch, N]`.
    """
    made: Inputs = {}
    for key, (name, form) in _named(spec, _PADDED).items():
        shape = [None, None, *([None] if parsing.is_nested(form) else [form.step_width] if _is_wide(form) else [])]
        made[key] = {name: tf.TensorSpec(shape, tf.as_dtype(form.requested), name)}
        for rank, part in enumerate(_PADDED[: 1 + parsing.is_nested(form)], 1):
            made[key][f"{name}_{part}"] = tf.TensorSpec([None] * rank, tf.int64, f"{name}_{part}")
    return made


def _is_wide(form: Form) -> bool:
    """Returns whether a step is a list of numbers."""
    return form.step_width > 1 and not (form.ids or form.scalars or form.delimiter is not None)


def _named(spec: Spec, parts: Sequence[str]) -> dict[str, tuple[str, Form]]:
    """Returns the name of every feature among the inputs, and its form.

    TensorFlow tells the names of arguments apart without regard to case.
    """
    made: dict[str, tuple[str, Form]] = {}
    taken: set[str] = set()
    for key, form in parsing.forms(spec).items():
        name = _input_name(key, taken, parts)
        taken |= {part.lower() for part in (name, *(f"{name}_{part}" for part in parts[: 1 + parsing.is_nested(form)]))}
        made[key] = (name, form)
    return made


def _input_name(key: str, taken: set[str], parts: Sequence[str]) -> str:
    """Returns a name that TensorFlow takes for an argument: letters of ASCII, digits and underscores, a letter first."""
    name = re.sub(r"[^A-Za-z0-9]", "_", key)
    name = name if name[0].isalpha() else f"arg_{name}"
    while taken & {part.lower() for part in (name, *(f"{name}_{part}" for part in parts))}:
        name += "_"
    return name


def ragged(spec: Spec, given: Mapping[str, tf.Tensor]) -> Raw:
    """Returns the features of the inputs of `ragged_inputs`; row splits that are none fail the whole request."""
    made, rows, rowed = {}, [], {}
    for key, named in ragged_inputs(spec).items():
        values, splits, *inner = (given[name] for name in named)
        rowed[key] = inner[0][1:] if inner else values  # as long as there are values, or steps, to be split
        for steps in inner:
            values = tf.RaggedTensor.from_row_splits(values, steps)
        rows.append(splits)
        made[key] = values
    shapes = _shapes(rowed)
    sizes = tf.concat([shapes[key] for key in made], axis=0)
    splits = tf.unstack(_checked_splits(tf.stack(rows), sizes), num=len(rows))
    return {
        key: tf.RaggedTensor.from_row_splits(values, own, validate=False)
        for (key, values), own in zip(made.items(), splits, strict=True)
    }


def _checked_splits(splits: tf.Tensor, sizes: tf.Tensor) -> tf.Tensor:
    """Returns row splits, int64 `[features, batch + 1]`, of features with the numbers of values or steps in `sizes`.

    They are checked together, because a check of each feature by itself takes thirty operations.
    """
    checks = [
        tf.debugging.assert_equal(splits[:, 0], tf.zeros_like(sizes), "row splits must begin with 0"),
        tf.debugging.assert_equal(splits[:, -1], sizes, "row splits must end with the number of values"),
        tf.debugging.assert_non_negative(splits[:, 1:] - splits[:, :-1], "row splits must not descend"),
    ]
    with tf.control_dependencies(checks):
        return tf.identity(splits)


def padded(spec: Spec, given: Mapping[str, tf.Tensor]) -> tuple[Raw, tf.Tensor]:
    """Returns the features of the inputs of `padded_inputs`, without what is behind the lengths.

    Returns:
      The features; and bool `[batch]`, the rows whose lengths fit their lists. A list with another length comes out empty.
    """
    inputs, forms = padded_inputs(spec), parsing.forms(spec)
    values = {key: given[next(iter(named))] for key, named in inputs.items()}
    more = {key: [given[name] for name in list(named)[1:]] for key, named in inputs.items()}
    lengths = tf.stack([length for length, *_ in more.values()])
    most = _checked_sizes(values, inputs, tf.size(lengths[0], tf.int64))
    fits = (lengths >= 0) & (lengths <= most[:, tf.newaxis])
    lengths = tf.where(fits, lengths, 0)
    good = [tf.reduce_all(fits, axis=0)]
    made: Raw = {}
    places = {key: k for k, key in enumerate(values)}
    flat = {key: given for key, given in values.items() if not parsing.is_nested(forms[key])}
    for keys in _by_dtype(flat).values():
        at = [places[key] for key in keys]
        width = np.array([forms[key].step_width if _is_wide(forms[key]) else 1 for key in keys], np.int64)
        line = tf.constant([-1])  # one for all
        lines = [tf.reshape(values[key], line) for key in keys]
        kept = _kept(lines, tf.gather(most, at) * width, tf.gather(lengths, at) * width[:, np.newaxis])
        made |= zip(keys, kept, strict=True)
    for key in values.keys() - flat.keys():
        made[key], fine = _nested(values[key], lengths[places[key]], more[key][1])
        good.append(fine)
    return {key: made[key] for key in values}, tf.reduce_all(tf.stack(good), axis=0)


def _by_dtype(values: Mapping[str, tf.Tensor]) -> dict[tf.DType, list[str]]:
    made: dict[tf.DType, list[str]] = {}
    for key, given in values.items():
        made.setdefault(given.dtype, []).append(key)
    return made


def _shapes(values: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Returns the shape of each tensor, int64 `[rank]`: by one operation for all of a dtype."""
    made: dict[str, tf.Tensor] = {}
    for keys in _by_dtype(values).values():
        made |= zip(keys, tf.shape_n([values[key] for key in keys], out_type=tf.int64), strict=True)
    return made


def _checked_sizes(values: Mapping[str, tf.Tensor], inputs: Inputs, rows: tf.Tensor) -> tf.Tensor:
    """Returns N of padded lists `[batch, N, ...]`, int64 `[features]`.

    A server does not look whether the shapes of a request are those of the signature: others fail the whole request here. Nor
    may the features be looked at one by one: hundreds of operations would be loaded for it.
    """
    shapes, by_rank = _shapes(values), dict[int, list[str]]()
    for key, own in values.items():
        by_rank.setdefault(len(own.shape), []).append(key)
    found, checks = [], []
    for rank, keys in by_rank.items():
        sizes = tf.ensure_shape(tf.stack([shapes[key] for key in keys]), [len(keys), rank])  # fails for other ranks
        found.append(sizes[:, 1])
        checks.append(tf.debugging.assert_equal(sizes[:, 0], rows, "expected as many rows in every feature"))
        if rank > 2:
            own = [next(iter(inputs[key].values())).shape[2] for key in keys]  # None where a step may have any number
            widths = tf.where([width is None for width in own], sizes[:, 2], [width or 0 for width in own])
            checks.append(tf.debugging.assert_equal(sizes[:, 2], widths, "expected steps of the shape of their column"))
    order = [key for keys in by_rank.values() for key in keys]
    with tf.control_dependencies(checks):
        return tf.gather(tf.concat(found, axis=0), [order.index(key) for key in values])


def _kept(lists: list[tf.Tensor], most: tf.Tensor, lengths: tf.Tensor) -> list[tf.RaggedTensor]:
    """Returns the values of padded lists that count.

    Args:
      lists: the values of the features, flat.
      most: the values in a row of each, int64 `[features]`.
      lengths: how many of them count, int64 `[features, batch]`.
    """
    count, rows = len(lists), tf.shape(lengths, tf.int64)[1]
    starts = tf.cumsum(most * rows, exclusive=True)[:, tf.newaxis] + most[:, tf.newaxis] * tf.range(rows)
    values = tf.concat(lists, axis=0) if count > 1 else lists[0]
    places = tf.ragged.range(tf.reshape(starts, [-1]), tf.reshape(starts + lengths, [-1])).values
    own = tf.split(tf.gather(values, places), tf.reduce_sum(lengths, axis=1), num=count)
    splits = tf.unstack(tf.pad(tf.cumsum(lengths, axis=1), [[0, 0], [1, 0]]), num=count)
    return [tf.RaggedTensor.from_row_splits(flat, rows, validate=False) for flat, rows in zip(own, splits, strict=True)]


def _nested(values: tf.Tensor, lengths: tf.Tensor, steps: tf.Tensor) -> tuple[tf.RaggedTensor, tf.Tensor]:
    """Returns a feature of several ids a step, `[batch, (steps), (ids)]`, and which rows have steps that fit.

    Args:
      values: `[batch, N, n]`.
      lengths: the steps of every row, int64 `[batch]`.
      steps: the ids of every step, int64 `[batch, N]`.
    """
    there = tf.sequence_mask(lengths, tf.shape(values)[1])
    check = tf.debugging.assert_equal(tf.shape(steps), tf.shape(there), "expected a number of ids for every step")
    with tf.control_dependencies([check]):
        steps = tf.identity(steps)
    fits = (steps >= 0) & (steps <= tf.shape(values, tf.int64)[2])
    held = tf.boolean_mask(tf.where(fits, steps, 0), there)
    inner = tf.RaggedTensor.from_tensor(tf.boolean_mask(values, there), lengths=held)
    made = tf.RaggedTensor.from_row_splits(
        inner.with_row_splits_dtype(tf.int64), tf.pad(tf.cumsum(lengths), [[1, 0]]), validate=False
    )
    return made, tf.reduce_all(fits | ~there, axis=1)
