"""clip: nothing beyond given bounds, or beyond quantiles."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, Self

from pydantic import model_validator

from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.options import Finite, Quantiles

if TYPE_CHECKING:
    import tensorflow as tf


class Clip(Normalizer):
    """Maps x to `minimum(maximum(x, low), high)`, in float64.

    With `min: 0` and `max: 5` the column -1, 3, 9 becomes 0, 3, 5. With `quantiles: [0.25, 0.75]` the bounds are learned: of
    1, 2, 3, 4, 100 they are 2 and 4 (`numpy.quantile`, linear interpolation; approximate for large columns), and the column
    becomes 2, 2, 3, 4, 4. A constant column does not change. Without values there are no quantiles, and nothing is clipped.

    Attributes:
      min: the lower bound, which replaces smaller values.
      max: the upper bound, which replaces larger values.
      quantiles: `[low, high]`, probabilities of the quantiles to clip at, instead of `min` and `max`.
    """

    type: Literal["clip"] = "clip"
    min: Finite | None = None
    max: Finite | None = None
    quantiles: Quantiles | None = None

    @model_validator(mode="after")
    def _bounds_fit(self) -> Self:
        bounds = [bound for bound in (self.min, self.max) if bound is not None]
        if self.quantiles is not None and bounds:
            raise ValueError("quantiles do not apply together with min or max: give one or the other")
        if self.quantiles is None and not bounds:
            raise ValueError("expected min, max or quantiles to clip at, got none")
        if bounds != sorted(bounds):
            raise ValueError(f"min {self.min} is more than max, {self.max}")
        return self

    @property
    def needs_statistics(self) -> bool:
        """See the base class."""
        return self.quantiles is not None

    @property
    def can_spoil(self) -> bool:
        """See the base class: a bound may lie beyond the dtype."""
        return True

    @property
    def probabilities(self) -> tuple[float, ...]:
        """See the base class."""
        return self.quantiles or ()

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; NaN stays NaN, infinities become the bounds."""
        import tensorflow as tf

        low, high = self.min, self.max
        if self.quantiles is not None:
            low, high = (statistics.quantiles[probability] for probability in self.quantiles)
        result = tf.cast(values, tf.float64)
        # No comparison with NaN holds, so that NaN stays, and a bound that is NaN clips nothing.
        if low is not None:
            result = tf.where(result < low, tf.cast(low, tf.float64), result)
        if high is not None:
            result = tf.where(result > high, tf.cast(high, tf.float64), result)
        return result
