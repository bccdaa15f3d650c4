"""`indicator_column`: ids as counts, one place for every id."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, Self

from pydantic import model_validator

from transforms.columns.base import Column
from transforms.columns.categorical import StepIds, placed
from transforms.columns.results import Output
from transforms.columns.wrapper import IdWrapper

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.categorical import Categorical as AnyCategorical
    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window


WIDEST: Final = 1 << 24
"""Places in a step, 64 MiB of them: what is wider cannot be meant to be written for every step."""


class Indicator(IdWrapper):
    """The count of every id in a step, dense as `[T, n]` float32 (`[n]` for a context column), where n is the number of ids.

    If the ids have weights, these are summed instead. A step without an id is all zeros, as padding is, but counts in the length.

    Attributes:
      categorical_column: the column of ids. The number of ids must be known: a vocabulary learned from the data needs
        `top_k` or `reserve`.
    """

    tensorflow_class: ClassVar[str] = "IndicatorColumn"

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset({"categorical_column"})

    type: Literal["indicator_column"] = "indicator_column"
    categorical_column: AnyCategorical

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        return {"categorical_column": converted(column.categorical_column)}

    @property
    def name(self) -> str:
        """See the base class."""
        return f"{self.inner.name}_indicator"

    @model_validator(mode="after")
    def _size_is_known(self) -> Self:
        if self.inner.id_count is None:
            raise ValueError(
                f"categorical_column {self.inner.name!r} learns how many ids there are: give it a top_k or reserve, "
                "so that the width of its indicator is known"
            )
        if self.inner.id_count > WIDEST:
            raise ValueError(
                f"categorical_column {self.inner.name!r} has {self.inner.id_count} ids: an indicator has at most {WIDEST} places "
                "a step; an embedding_column needs none"
            )
        return self

    @property
    def width(self) -> int:
        """n, how many ids there are."""
        count = self.inner.id_count
        assert count is not None
        return count

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        shape = (length, self.width) if self.is_sequence else (self.width,)
        return [Output(self.name, "float32", shape, "values", self.name, self.is_sequence)]

    def dense(self, raw: RawTensors, window: Window | None, fitted: Findings) -> dict[str, tf.Tensor]:
        """See the base class."""
        counts = counts_of(self.inner_ids(raw, window, fitted), self.width)
        return {self.name: placed(counts, window, 0.0)}


def counts_of(steps: StepIds, width: int) -> tf.Tensor:
    """Returns how often (or with how much weight) each id stands in every step.

    For ids `[[2, 0, 2], [1, -1, -1]]` and a width of 3: `[[1, 0, 2], [0, 1, 0]]`.

    Args:
      steps: ids `[steps, M]`; what is not in `[0, width)` counts for nothing.
      width: n.

    Returns:
      float32 `[steps, n]`; float32 counts are exact up to 2^24.
    """
    import tensorflow as tf

    # Not a one-hot of every id: that takes M times the memory.
    at = tf.where(tf.logical_and(steps.ids >= 0, steps.ids < width))
    ids = tf.gather_nd(steps.ids, at)
    what = tf.ones_like(ids, tf.float32) if steps.weights is None else tf.gather_nd(steps.weights, at)
    shape = tf.stack([tf.shape(steps.ids, tf.int64)[0], tf.constant(width, tf.int64)])
    counts = tf.scatter_nd(tf.stack([at[:, 0], ids], axis=1), what, shape)
    counts.set_shape([None, width])
    return counts


def indicator_column(categorical_column: Any) -> Indicator:
    """Builds an `Indicator` of a categorical column.

    >>> from seqcols import sequence_categorical_column_with_identity
    >>> indicator_column(sequence_categorical_column_with_identity("items", 10)).name
    'items_indicator'

    Raises:
      ValueError: the column is not categorical, or how many ids it has is not known.
    """
    return Indicator.make(categorical_column=categorical_column)
