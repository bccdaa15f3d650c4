"""Densify and normalise: the one implementation, run by the job, by the saved serving graph and in memory.

`densify` is a pure TensorFlow function of raw values and fitted statistics. What is raw: for every feature a ragged tensor
`[batch, (values)]` of int64, float32 or text, as `transforms.parse.parse` makes it, of rows that passed validation.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import tensorflow as tf

from transforms.densify.group_windows import GroupWindows
from transforms.densify.side_by_side import bundles
from transforms.spec.spec import Spec, input_name, length_name, mask_name
from transforms.statistics.fitted import Fitted

if TYPE_CHECKING:
    from transforms.columns.steps import RawTensors


def densify(spec: Spec, raw: RawTensors, fitted: Fitted) -> dict[str, tf.Tensor]:
    """Returns every output of the graph: `[batch, T, *shape]` and `[batch, *shape]`, int64 or float32.

    Lengths are int64 `[batch]`, masks int64 0/1 `[batch, T]`.

    Args:
      spec: the columns.
      raw: the features by key.
      fitted: statistics, and T where the data decides it.
    """
    windows = GroupWindows(spec, raw, fitted.longest)
    made: dict[str, tf.Tensor] = {}
    for bundle in bundles(spec):
        made |= bundle.dense(raw, windows, fitted)
    for name in spec.group_names:
        if spec.group(name).concatenate:
            made[input_name(name)] = _concatenated(spec, name, made)
    made |= {length_name(name): length for name, length in windows.lengths().items()}
    return made | {mask_name(name): mask for name, mask in windows.masks().items()}


def _concatenated(spec: Spec, group: str, made: dict[str, tf.Tensor]) -> tf.Tensor:
    """Takes a group's dense outputs out of `made` and returns them side by side, `[batch, T, D]` float32."""
    parts = []
    for output in spec.concatenation(group):
        part = tf.cast(made.pop(output.name), tf.float32)
        width = math.prod(n for n in output.shape[1:] if n)
        together = tf.reshape(part, tf.concat([tf.shape(part)[:2], [width]], axis=0))
        together.set_shape([None, part.shape[1], width])
        parts.append(together)
    return tf.concat(parts, axis=2)
