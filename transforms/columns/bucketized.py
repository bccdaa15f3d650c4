"""`bucketized_column`: numbers as the ids of the ranges that they lie in."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, StrictFloat, StrictInt, model_validator

from transforms.columns.base import Column
from transforms.columns.categorical import Categorical, StepIds
from transforms.columns.wrapper import Wrapper
from transforms.normalizers.asks import Ask
from transforms.normalizers.options import LearnedBuckets

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.numeric_base import NumericBase as AnyNumeric
    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors, Steps
    from transforms.columns.window import Window

Boundary = StrictInt | StrictFloat


class Bucketized(Wrapper, Categorical):
    """The bucket of each number, `[T]` int64 (`[T, width]` for a step of several numbers), -1 for padding.

    Boundaries `(0, 1)` mean three buckets: below 0, from 0 to below 1, from 1. Every number of a step has buckets of its own:
    the id of bucket b of number k is `b + k * buckets`, as in TensorFlow. The source is normalised first. Where a `default_value`
    would stand for a number (`non_finite: fill`, a step that is completed) there is no bucket: -1.

    Attributes:
      source_column: the numbers, of one dimension at most.
      boundaries: where a bucket ends and the next begins, ascending. Compared in float32, as TensorFlow does; in float64 if the
        source is float64.
      num_quantiles: number of buckets, if their boundaries are to be learned from the data: quantiles of the source's kept,
        observed, normalised values, separately for each number of a step. At most 10,000: the sketch resolves no more. Give
        either this or `boundaries`.
    """

    inner_field: ClassVar[str] = "source_column"
    tensorflow_class: ClassVar[str] = "BucketizedColumn"

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset({"source_column", "boundaries"})

    type: Literal["bucketized_column"] = "bucketized_column"
    source_column: AnyNumeric
    boundaries: Annotated[tuple[Boundary, ...], Field(min_length=1)] | None = None
    num_quantiles: LearnedBuckets | None = None

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        return {"source_column": converted(column.source_column), "boundaries": list(column.boundaries)}

    @property
    def inner(self) -> AnyNumeric:
        """See the base class."""
        return self.source_column

    @property
    def name(self) -> str:
        """See the base class."""
        return f"{self.inner.name}_bucketized"

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.boundaries is None) == (self.num_quantiles is None):
            given = "neither" if self.boundaries is None else "both"
            raise ValueError(f"expected boundaries or num_quantiles, got {given}")
        at = self.boundaries or ()
        unfit = next((value for value in at if not math.isfinite(value)), None)
        if unfit is not None:
            raise ValueError(f"boundaries must be finite, got {unfit}")
        for before, after in pairwise(at):
            if before >= after:
                raise ValueError(f"boundaries must ascend, got {before} before {after}")
            if self.inner.dtype != "float64" and np.float32(before) >= np.float32(after):
                raise ValueError(
                    f"boundaries must differ as float32, in which values are compared, got {before} and {after}"
                )
        if len(self.inner.shape) > 1:
            shape = list(self.inner.shape)
            raise ValueError(
                f"source_column {self.inner.name!r} must have one dimension at most, got the shape {shape}"
            )
        if self.inner.observed_mask:
            raise ValueError(
                f"source_column {self.inner.name!r}: observed_mask does not apply, its values are not written"
            )
        return self

    @property
    def buckets(self) -> int:
        """Buckets of each number of a step."""
        return self.num_quantiles or len(self.boundaries or ()) + 1

    @property
    def id_count(self) -> int:
        """See the base class."""
        return self.buckets * self.step_width

    @property
    def ids_per_step(self) -> int:
        """See the base class."""
        return self.step_width

    @property
    def needs_data(self) -> bool:
        """See the base class."""
        return self.num_quantiles is not None or self.inner.needs_data

    def asks(self) -> Sequence[Ask]:
        """See the base class: what the source asks for, and the quantiles of what it gives."""
        asks = list(super().asks())
        return asks if self.num_quantiles is None else [*asks, self._quantiles(self.name)]

    def _quantiles(self, owner: str) -> Ask:
        links, count = self.inner.links, self.buckets
        level = sum(link.uses_data for link in links)
        inner = tuple(k / count for k in range(1, count))
        return Ask(owner, len(links), level, "dimension", self.inner.shape, probabilities=inner)

    def step_ids(self, raw: RawTensors, window: Window | None, fitted: Findings) -> StepIds:
        """See the base class."""
        import tensorflow as tf

        whole = any(
            link.per == "row" for link in self.inner.links
        )  # a row's statistics may count steps that are cut off
        every = whole and getattr(self.inner, "statistics_over", "kept") == "all"
        steps = self.inner.steps(raw, None if every else window)
        flat = [-1, self.step_width]
        values = tf.reshape(self.inner.normalize(steps, fitted, self.name), flat)
        there = self.inner.given(steps, fitted, self.name)
        if not self.is_sequence:  # the default of an absent example is a value, as in TensorFlow
            there |= self.inner.observed_in(steps.values)
        there = tf.reshape(there, flat)
        if every and window is not None:
            values, there = window.select(values), window.select(there)
        buckets = self._buckets_of(values, steps, fitted)
        ids = buckets + self.buckets * tf.range(self.step_width, dtype=tf.int64)
        if values.dtype.is_floating and self.inner.non_finite != "keep":  # TensorFlow puts NaN into the last bucket
            there = tf.logical_and(there, tf.logical_not(tf.math.is_nan(values)))
        return StepIds(tf.where(there, ids, tf.constant(-1, tf.int64)))

    def _buckets_of(self, values: tf.Tensor, steps: Steps, fitted: Findings) -> tf.Tensor:
        """Returns the buckets `[n, width]` of values, int64."""
        import tensorflow as tf

        if self.boundaries is not None:
            if values.dtype == tf.float64:  # the boundaries of TensorFlow's op are float32
                given = tf.constant(self.boundaries, tf.float64)
                return tf.reshape(tf.searchsorted(given, tf.reshape(values, [-1]), "right", tf.int64), tf.shape(values))
            numbers = tf.cast(values, tf.float32)
            return tf.cast(tf.raw_ops.Bucketize(input=numbers, boundaries=list(self.boundaries)), tf.int64)
        ask = self._quantiles(fitted.owner_of(self.name))
        found = fitted.answer(ask, steps).quantiles
        at = tf.stack([tf.reshape(tf.cast(found[p], tf.float64), [self.step_width]) for p in ask.probabilities], axis=1)
        at = tf.where(tf.math.is_nan(at), tf.constant(math.inf, tf.float64), at)  # no values, no quantiles: one bucket
        numbers = tf.transpose(tf.cast(values, tf.float64))
        return tf.transpose(tf.searchsorted(at, numbers, side="right", out_type=tf.int64))


def bucketized_column(source_column: Any, boundaries: Any = None, num_quantiles: Any = None) -> Bucketized:
    """Builds a `Bucketized` column of a numeric one.

    >>> from seqcols import sequence_numeric_column
    >>> bucketized_column(sequence_numeric_column("x"), (0, 1)).id_count
    3

    Raises:
      TypeError: `num_quantiles` is no int.
      ValueError: the source is not numeric or has several dimensions; the boundaries are no list of ascending numbers; neither
        they nor `num_quantiles` are given, or both.
    """
    return Bucketized.make(source_column=source_column, boundaries=boundaries, num_quantiles=num_quantiles)
