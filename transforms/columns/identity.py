"""`sequence_categorical_column_with_identity` and `categorical_column_with_identity`: integers that are ids already."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from transforms.columns.base import Column, SequenceMixin, faulty_rows
from transforms.columns.categorical import KeyedCategorical, python_int
from transforms.columns.results import Checked
from transforms.rows.ragged import Ragged

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings


class IdentityBase(KeyedCategorical):
    """Arguments of both identity columns.

    Attributes:
      num_buckets: ids are in `[0, num_buckets)`.
      default_value: the id that replaces an id outside the range. Without it `on_out_of_range` applies.
      on_out_of_range: `"reject"` rejects the row, `"fail"` stops the job.
    """

    in_a_range: ClassVar[bool] = True
    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset({"key"})

    num_buckets: Annotated[int, Field(strict=True, ge=1)]
    default_value: Annotated[int, Field(strict=True)] | None = None
    on_out_of_range: Literal["reject", "fail"] = "reject"

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        return {"key": column.key, "num_buckets": column.number_buckets, "default_value": column.default_value}

    @property
    def id_count(self) -> int:
        """See the base class."""
        return self.num_buckets

    @model_validator(mode="after")
    def _default_is_an_id(self) -> Self:
        if self.default_value is not None and not 0 <= self.default_value < self.num_buckets:
            raise ValueError(f"default_value {self.default_value} is not in [0, {self.num_buckets})")
        if self.default_value is not None and self.on_out_of_range == "fail":
            raise ValueError("on_out_of_range 'fail' does not apply with a default_value, which every such id becomes")
        if self.num_buckets > 2**63 - 1:
            raise ValueError(f"num_buckets {self.num_buckets} is more than int64 holds")
        return self

    def check_words(self, values: Ragged, empty: np.ndarray | None) -> Checked:
        """Finds the rows with ids outside the range, or counts those that the default replaces."""
        seen = values.seen(self.step_width)
        if seen.least >= 0 and seen.most < self.num_buckets:
            return Checked([])
        ids = values.values.to_numpy()
        outside = (ids < 0) | (ids >= self.num_buckets)
        if empty is not None:
            outside &= ~empty
        if not outside.any():
            return Checked([])
        if self.default_value is not None:
            return Checked([], flags={"replaced": outside})
        message = f"expected an id in [0, {self.num_buckets})"
        fatal = self.on_out_of_range == "fail"
        message += " (on_out_of_range: fail)" * fatal
        faults = faulty_rows(self, "out_of_range", values, outside, message)
        return Checked([replace(fault, fatal=fatal) for fault in faults])

    def meant(self, reason: str) -> str:
        """See the base class."""
        if reason == "not_a_number":
            start = self.type_name.removesuffix("identity")
            return f"if these are words: {start}learned_vocabulary, or another column of words"
        return super().meant(reason)

    def wrong_words(self, words: tf.Tensor) -> tf.Tensor | None:
        """See the base class."""
        import tensorflow as tf

        return None if self.default_value is not None else tf.logical_or(words < 0, words >= self.num_buckets)

    def ids_of(self, words: tf.Tensor, fitted: Findings) -> tf.Tensor:
        """See the base class."""
        import tensorflow as tf

        if self.default_value is None:
            return words
        outside = tf.logical_or(words < 0, words >= self.num_buckets)
        return tf.where(outside, tf.constant(self.default_value, tf.int64), words)


class SequenceIdentity(SequenceMixin, IdentityBase):
    """A sequence of ids, dense as `[T]` int64 (`[T, max_ids]`) padded with `padding_id`.

    TensorFlow's answer to an id outside the range depends on the wrapping column, the device and the compiler; here it is
    the default, a rejected row, or a stopped job. Nested input may hold a step without an id (`[[3], [], [5]]`): it is a
    step, counts in the length, and becomes `padding_id`.
    """

    type: Literal["sequence_categorical_column_with_identity"] = "sequence_categorical_column_with_identity"

    def side_by_side(self, name: str, count: int) -> Column | None:
        """See the base class."""
        return self.model_copy(update={"key": name, "max_ids": count}) if self.max_ids == 1 else None


class Identity(IdentityBase):
    """One id an example, a scalar int64 (`[max_ids]`). An absent or empty feature is `padding_id` (TensorFlow: no id)."""

    tensorflow_class: ClassVar[str] = "IdentityCategoricalColumn"

    type: Literal["categorical_column_with_identity"] = "categorical_column_with_identity"


def sequence_categorical_column_with_identity(
    key: str, num_buckets: int, default_value: int | None = None, **more: Any
) -> SequenceIdentity:
    """Builds a `SequenceIdentity` with TensorFlow's own arguments; the others by keyword.

    >>> sequence_categorical_column_with_identity("items", 10).name
    'items'

    Args:
      key: name of the feature.
      num_buckets: ids are in `[0, num_buckets)`.
      default_value: the id that replaces an id outside the range.
      **more: the other arguments of `SequenceIdentity`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: `num_buckets` is below 1, the default is no id, or the key is no text (as TensorFlow raises it).
    """
    buckets, default = python_int(num_buckets), python_int(default_value)
    return SequenceIdentity.make(key=key, num_buckets=buckets, default_value=default, **more)


def categorical_column_with_identity(
    key: str, num_buckets: int, default_value: int | None = None, **more: Any
) -> Identity:
    """Builds an `Identity` context column with TensorFlow's own arguments; the others by keyword.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: `num_buckets` is below 1, the default is no id, or the key is no text (as TensorFlow raises it).
    """
    buckets, default = python_int(num_buckets), python_int(default_value)
    return Identity.make(key=key, num_buckets=buckets, default_value=default, **more)
