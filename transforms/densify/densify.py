"""Densify and normalise: the one implementation, run by the job, by the saved serving graph and in memory.

`densify` is a pure TensorFlow function of raw values and fitted statistics. What is raw: for every feature a ragged tensor
`[batch, (values)]` of int64, float32 or text, as `transforms.parse.parse` makes it, of rows that passed validation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import tensorflow as tf

from transforms.columns import Column
from transforms.columns.learned_vocabulary import learners
from transforms.columns.numeric_base import Steps
from transforms.columns.window import Window
from transforms.densify.group_windows import GroupWindows, steps_of_groups
from transforms.densify.side_by_side import bundles, places
from transforms.normalizers.asks import Ask
from transforms.spec.spec import Spec, input_name, length_name, mask_name
from transforms.statistics.contributed import Given, Part, tensors
from transforms.statistics.fitted import Combine, Fitted, table_width

RawTensors = Mapping[str, tf.RaggedTensor]


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


def fit(spec: Spec, raw: RawTensors, combine: Combine, levels: int | None = None) -> Fitted:
    """Finds the statistics of a data set.

    Args:
      spec: the columns.
      raw: the features of a batch by key.
      combine: what makes figures of the whole data set of those of a batch: tf.Transform's analyzers, or in memory nothing.
      levels: how many levels are fitted (see `Spec.levels`); all, if left out.
    """
    fitted = Fitted(spec, track=combine.track)
    windows = GroupWindows(spec, raw)
    for name, column in learners(spec.columns).items():
        words = column.words_to_learn(raw, windows.of_column(column))
        fitted = fitted.with_vocabulary(name, combine.vocabulary(column, words))
    for level in range(spec.levels if levels is None else levels):
        contributed = level_moments(spec, raw, fitted, level, windows)
        fitted = fitted.with_table(combine.moments(level, *contributed) if table_width(spec, level) else None)
        asks = [ask for ask in spec.asks if ask.level == level and not ask.packed]
        if asks:
            owners = {column.name: column for column in spec.columns}
            found = [_asked(owners[ask.owner], ask, raw, fitted, windows.of_column(owners[ask.owner])) for ask in asks]
            fitted = fitted.with_details(asks, combine.details(level, asks, found))
    return fitted


def level_moments(
    spec: Spec, raw: RawTensors, fitted: Fitted, level: int, windows: GroupWindows | None = None
) -> tuple[list[Part], list[tf.Tensor]]:
    """Returns what one batch contributes to the moments of one level (see `transforms.statistics.contributed`).

    The table of moments has for every ask that it answers its dimensions, of the kept (or all) steps, and then, at level 0, one
    dimension for each group of `spec.longest_groups`, that of the rows' lengths in steps.
    """
    windows = windows or GroupWindows(spec, raw)
    parts, given = [], []
    among = places(spec, level)
    for bundle in bundles(spec):
        asks = list(bundle.packed(level, among))
        own, figures = (bundle.raw(raw), bundle.fitted(fitted)) if asks else (raw, fitted)
        for ask, place in asks:
            values, steps = _asked(bundle.column, ask, own, figures, bundle.window(windows))
            shape = [-1, ask.width]
            splits = steps.stack_splits(bundle.stacked) if bundle.stacked > 1 else None
            given.append(Given(tf.reshape(values, shape), tf.reshape(steps.observed, shape), splits))
            parts.append(given[-1].part(place.tolist()))
    if level == 0 and spec.longest_groups:
        lengths = tf.transpose(steps_of_groups(spec, raw, spec.longest_groups))
        given.append(Given(lengths, tf.ones_like(lengths, tf.bool)))
        parts.append(given[-1].part(range(table_width(spec, 0) - len(spec.longest_groups), table_width(spec, 0))))
    return parts, tensors(given) if given else []


def _asked(column: Column, ask: Ask, raw: RawTensors, fitted: Fitted, window: Window | None) -> tuple[tf.Tensor, Steps]:
    """Returns the values `[n, *shape]` that an ask is about, and their steps; `observed` there: only such values count."""
    numeric = column.numeric
    assert numeric is not None
    kept = getattr(numeric, "statistics_over", "kept") == "kept"
    # There is no window where T is the longest row: every step is kept.
    steps = numeric.steps(raw, window if kept else None)
    values = numeric.before(ask.link, steps, fitted, ask.owner)
    observed = steps.observed
    if values.dtype.is_floating:
        observed = tf.logical_and(observed, tf.math.is_finite(values))
    return values, Steps(steps.values, observed, steps.splits, raw)
