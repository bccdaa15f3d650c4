"""Collect: what a batch contributes to the statistics, by the windows that make it dense; and the statistics of all batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import tensorflow as tf

from transforms.columns import Column
from transforms.columns.learned_vocabulary import learners
from transforms.columns.numeric_base import numeric_of
from transforms.columns.steps import Steps
from transforms.columns.window import Window
from transforms.densify.group_windows import GroupWindows, steps_of_groups
from transforms.densify.side_by_side import bundles, places
from transforms.normalizers.asks import Ask
from transforms.spec.spec import Spec
from transforms.statistics.contributed import Contribution, Given, tensors
from transforms.statistics.fitted import Combine, Fitted, table_width

if TYPE_CHECKING:
    from transforms.columns.steps import RawTensors


def fit(spec: Spec, raw: RawTensors, combine: Combine, levels: int | None = None) -> Fitted:
    """Finds the statistics of a data set.

    Args:
      spec: the columns.
      raw: the features of a batch by key.
      combine: combines the figures of batches: tf.Transform's analyzers; in memory, where one batch is all, the identity.
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
) -> tuple[list[Contribution], list[tf.Tensor]]:
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
    numeric = numeric_of(column)
    assert numeric is not None
    kept = getattr(numeric, "statistics_over", "kept") == "kept"
    # There is no window where T is the longest row: every step is kept.
    steps = numeric.steps(raw, window if kept else None)
    values = numeric.before(ask.link, steps, fitted, ask.owner)
    observed = steps.observed
    if values.dtype.is_floating:
        observed = tf.logical_and(observed, tf.math.is_finite(values))
    return values, Steps(steps.values, observed, steps.splits, raw)
