"""Densify and normalise: the one implementation, run by the job, by the saved serving graph and in memory.

`densify` is a pure TensorFlow function of raw values and fitted statistics. What is raw: for every feature a ragged tensor
`[batch, (values)]` of int64 or float32, as a tf.Example holds it, of rows that passed validation.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

from transforms import moments
from transforms.columns import NumericBase, SequenceColumn
from transforms.normalizers import ColumnMoments
from transforms.spec import Spec, length_name, mask_name
from transforms.window import Window

RawTensors = Mapping[str, tf.RaggedTensor]


@dataclass(frozen=True)
class Fitted:
    """What the analysis found.

    Attributes:
      spec: the columns that it was found for.
      table: float64 `[5, dimensions]`, the moments of all numeric columns (see `moments`), tensor or array.
      longest: group name to T, for the groups whose T the data decides.
    """

    spec: Spec
    table: Any
    longest: Mapping[str, Any] = field(default_factory=dict)

    def moments(self, column: NumericBase) -> ColumnMoments:
        """Returns the statistics of one column, shaped as its step (`[1]` where it has one pair for all)."""
        columns = self.spec.numeric_columns
        place = moments.slices([c.moments_width for c in columns])[[c.name for c in columns].index(column.name)]
        part = tf.convert_to_tensor(self.table, tf.float64)[:, place]
        shape = column.shape if column.moments_width == column.step_width else (1,)
        count, mean, _, low, high = (tf.reshape(row, shape) for row in tf.unstack(part, len(moments.ROWS)))
        return ColumnMoments(count, mean, tf.reshape(moments.variance(part), shape), low, high)


def not_fitted(spec: Spec) -> Fitted:
    """Returns what stands for the statistics where no column asks for any."""
    return fitted_from(spec, moments.empty(table_width(spec)))


def table_width(spec: Spec) -> int:
    """Returns the number of dimensions in the table that `analysis` gives."""
    return sum(column.moments_width for column in spec.numeric_columns) + len(spec.longest_groups)


def densify(spec: Spec, raw: RawTensors, fitted: Fitted) -> dict[str, tf.Tensor]:
    """Returns every output of the graph: `[batch, T, *shape]` and `[batch, *shape]`, int64 or float32.

    Lengths are int64 `[batch]`, masks int64 0/1 `[batch, T]`.

    Args:
      spec: the columns.
      raw: the features by key.
      fitted: statistics, and T where the data decides it.
    """
    windows = {name: _window(spec, name, raw, fitted.longest.get(name)) for name in spec.group_names}
    made: dict[str, tf.Tensor] = {}
    for column in spec.columns:
        if column.in_graph:
            window = windows[column.group] if isinstance(column, SequenceColumn) else None
            made |= column.dense(raw[column.key], window, fitted)
    for name, window in windows.items():
        made[length_name(name)] = window.length
        if spec.group(name).mask:
            made[mask_name(name)] = tf.cast(window.mask, tf.int64)
    return made


def steps_of(column: SequenceColumn, raw: RawTensors) -> tf.Tensor:
    """Returns the sequence length of every row in steps, int64 `[batch]`; the last step may be incomplete."""
    return (raw[column.key].row_lengths() + column.step_width - 1) // column.step_width


def _window(spec: Spec, group: str, raw: RawTensors, longest: Any) -> Window:
    return Window.of(steps_of(_first_of(spec, group), raw), spec.group(group), longest)


def _first_of(spec: Spec, group: str) -> SequenceColumn:
    return next(column for column in spec.sequence_columns if column.group == group)


def analysis(spec: Spec, raw: RawTensors) -> tf.Tensor:
    """Returns what one batch contributes to the statistics.

    Returns:
      A table of moments `[5, dimensions]`: of the kept (or all) steps of every numeric column, and then one dimension for each
      group of `spec.longest_groups`, that of the rows' lengths in steps.
    """
    windows = {name: _window(spec, name, raw, None) for name in spec.group_names if spec.group(name).fixed_length}
    tables = [_column_table(column, raw, windows) for column in spec.numeric_columns]
    for name in spec.longest_groups:
        steps = steps_of(_first_of(spec, name), raw)[:, tf.newaxis]
        tables.append(moments.of_batch(steps, tf.ones_like(steps, tf.bool)))
    table = tf.concat(tables, axis=1) if tables else tf.zeros([len(moments.ROWS), 0], tf.float64)
    table.set_shape([len(moments.ROWS), table_width(spec)])
    return table


def fitted_from(spec: Spec, table: Any) -> Fitted:
    """Returns what an analysis found, from the merged table of all batches: tensors for a tensor, numbers for an array."""
    width = sum(column.moments_width for column in spec.numeric_columns)
    longest = table[moments.ROWS.index("max"), width:]
    if isinstance(longest, np.ndarray):
        sizes: Any = np.maximum(longest, 0).astype(np.int64).tolist()
    else:
        sizes = [tf.cast(tf.maximum(longest[k], 0.0), tf.int64) for k in range(len(spec.longest_groups))]
    return Fitted(spec, table[:, :width], dict(zip(spec.longest_groups, sizes, strict=True)))


def _column_table(column: NumericBase, raw: RawTensors, windows: Mapping[str, Window]) -> tf.Tensor:
    window = None
    if isinstance(column, SequenceColumn) and column.statistics_over == "kept":  # type: ignore[attr-defined]
        window = windows.get(column.group)  # none where T is the longest row: every step is kept
    values, observed = column.steps(raw[column.key], window)  # type: ignore[attr-defined]
    shape = [-1, column.moments_width]
    values, observed = tf.reshape(column.cast(values), shape), tf.reshape(observed, shape)
    if values.dtype.is_floating:
        observed = tf.logical_and(observed, tf.math.is_finite(values))
    return moments.of_batch(values, observed)


def fit(spec: Spec, raw: RawTensors) -> Fitted:
    """Returns the statistics of one batch as if it were the whole data set: for rows in memory."""
    return fitted_from(spec, analysis(spec, raw).numpy())
