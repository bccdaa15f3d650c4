"""`weighted_categorical_column`: ids with a weight each, from a second feature."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import model_validator

from transforms.columns.base import Column, Key, NumericDtype, faulty_rows
from transforms.columns.categorical import Categorical, KeyedCategorical, StepIds, empty_places
from transforms.columns.results import Checked
from transforms.columns.steps import rows_without
from transforms.columns.wrapper import IdWrapper
from transforms.parse.form import NO_ID, NO_WORD, Form
from transforms.rows.ragged import Ragged, splits_of
from transforms.rows.rejection import Fault

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.categorical import KeyedCategorical as AnyIds
    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window


class Weighted(IdWrapper, Categorical):
    """Ids with weights: `[T]` int64 ids and, as `<name>_weights`, float32 weights of the same shape.

    Every id needs a weight in the same step; otherwise the row is rejected. `indicator_column` sums the weights instead of
    counting, and `embedding_column` combines vectors with them. Where there is no id the weight is 0.

    Attributes:
      categorical_column: the column of ids or words, which reads a feature itself.
      weight_feature_key: name of the feature with the weights, lists like those of the ids.
      dtype: the integer or float dtype that the weights are cast to; they are written as float32.
    """

    tensorflow_class: ClassVar[str] = "WeightedCategoricalColumn"

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset({"dtype"})

    type: Literal["weighted_categorical_column"] = "weighted_categorical_column"
    categorical_column: AnyIds
    weight_feature_key: Key
    dtype: NumericDtype = "float32"

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        weights = {"weight_feature_key": column.weight_feature_key, "dtype": column.dtype}
        return {"categorical_column": converted(column.categorical_column), **weights}

    @property
    def ids(self) -> KeyedCategorical:
        """The column of ids."""
        return self.categorical_column

    @property
    def name(self) -> str:
        """See the base class."""
        return f"{self.inner.name}_weighted_by_{self.weight_feature_key}"

    @model_validator(mode="after")
    def _two_features(self) -> Self:
        if self.weight_feature_key == self.key:
            raise ValueError(f"weight_feature_key {self.weight_feature_key!r} is the feature of the ids")
        return self

    @property
    def features(self) -> Mapping[str, Form]:
        """See the base class."""
        like = self.ids.form()
        return {self.key: like, self.weight_feature_key: replace(like, name=self.name, dtype=self.dtype)}

    def place_of(self, feature: str) -> str:
        """See the base class."""
        return "weight_feature_key" if feature == self.weight_feature_key else super().place_of(feature)

    @property
    def id_count(self) -> int | None:
        """See the base class."""
        return self.ids.id_count

    @property
    def ids_per_step(self) -> int:
        """See the base class."""
        return self.ids.ids_per_step

    @property
    def padding(self) -> int:
        """See the base class."""
        return self.ids.padding

    @property
    def weighted(self) -> bool:
        """See the base class."""
        return True

    def check(self, views: Mapping[str, Ragged]) -> Checked:
        """Applies the rules of the ids, and finds rows whose weights stand elsewhere, or are not finite."""
        checked = self.ids.check(views)
        ids, weights = views[self.key], views[self.weight_feature_key]
        faults = [*checked.faults, *self._mismatches(ids, weights)]
        if pa.types.is_floating(weights.values.type):
            infinite = np.isinf(weights.values.to_numpy())
            faults += faulty_rows(self, "non_finite", weights, infinite, "expected finite weights")
        return replace(checked, faults=faults)

    def valid(self, raw: RawTensors) -> tf.Tensor:
        """See the base class."""
        import tensorflow as tf

        ids, weights = raw[self.key], raw[self.weight_feature_key]
        there = [values.with_values(~_is_nothing(values.flat_values)).to_tensor(False) for values in (ids, weights)]
        width = tf.maximum(*(tf.shape(flags)[1] for flags in there))
        there = [tf.pad(flags, [[0, 0], [0, width - tf.shape(flags)[1]]]) for flags in there]
        good = tf.logical_and(super().valid(raw), tf.equal(ids.row_lengths(), weights.row_lengths()))
        good = tf.logical_and(good, tf.reduce_all(tf.equal(*there), axis=1))
        if weights.dtype.is_floating:
            good = tf.logical_and(good, rows_without(tf.math.is_inf(weights.flat_values), weights))
        return good

    def _mismatches(self, ids: Ragged, weights: Ragged) -> list[Fault]:
        no_id, no_weight = (_nothing_at(given, self.ids_per_step) for given in (ids, weights))
        counts = np.stack([_count(ids, ~no_id), _count(weights, ~no_weight)])
        apart = ids.lengths != weights.lengths
        apart[_rows_that_differ(ids, no_id, weights, no_weight, np.flatnonzero(~apart))] = True
        rows = np.flatnonzero(apart | (counts[0] != counts[1]))
        if not len(rows):
            return []
        shown = [
            f"{self.key}: {n}, {self.weight_feature_key}: {m}" + ", in other steps" * (n == m)
            for n, m in counts[:, rows].T.tolist()
        ]
        message = f"expected one weight ({self.weight_feature_key!r}) for every id ({self.key!r})"
        return [Fault("length_mismatch", self.name, rows, shown, message)]

    def step_ids(self, raw: RawTensors, window: Window | None, fitted: Findings) -> StepIds:
        """See the base class."""
        import tensorflow as tf

        ids = self.inner_ids(raw, window, fitted).ids
        given = raw[self.weight_feature_key]
        if window is None:
            weights = given.to_tensor(shape=[None, self.ids_per_step])
        else:
            weights = window.select(tf.reshape(given.flat_values, [-1, self.ids_per_step]))
        weights = tf.cast(tf.cast(weights, tf.as_dtype(self.dtype)), tf.float32)
        return StepIds(ids, tf.where(ids >= 0, weights, tf.zeros_like(weights)))


def _nothing_at(column: Ragged, width: int) -> np.ndarray:
    """Returns where a canonical column of ids or weights, `width` a step, has the marker of none, bool."""
    if pa.types.is_floating(column.values.type):
        return np.isnan(column.values.to_numpy())
    empty = empty_places(column, width)
    return np.zeros(len(column.values), bool) if empty is None else empty


def _is_nothing(values: tf.Tensor) -> tf.Tensor:
    """The same in the graph."""
    import tensorflow as tf

    if values.dtype.is_floating:
        return tf.math.is_nan(values)
    return tf.equal(values, NO_ID if values.dtype.is_integer else NO_WORD)


def _count(view: Ragged, flags: np.ndarray) -> np.ndarray:
    running = splits_of(flags)
    counted: np.ndarray = np.diff(running[view.splits])
    return counted


def _rows_that_differ(
    one: Ragged, at_one: np.ndarray, other: Ragged, at_other: np.ndarray, rows: np.ndarray
) -> np.ndarray:
    """Returns those of some rows, equally long in both, whose flags differ."""
    lengths = one.lengths[rows]
    place = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    first, second = (np.repeat(view.splits[:-1][rows], lengths) + place for view in (one, other))
    return np.repeat(rows, lengths)[at_one[first] != at_other[second]]


def weighted_categorical_column(categorical_column: Any, weight_feature_key: str, dtype: Any = "float32") -> Weighted:
    """Builds a `Weighted` column with TensorFlow's own arguments.

    >>> from seqcols import sequence_categorical_column_with_identity
    >>> weighted_categorical_column(sequence_categorical_column_with_identity("items", 10), "seconds").name
    'items_weighted_by_seconds'

    Raises:
      TypeError: the key of the weights is no text.
      ValueError: the column is no column of ids or words, or the dtype is neither an integer nor a float.
    """
    return Weighted.make(categorical_column=categorical_column, weight_feature_key=weight_feature_key, dtype=dtype)
