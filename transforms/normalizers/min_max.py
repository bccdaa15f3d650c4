"""min-max: the smallest value to the low end of a range, the largest to the high end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.options import Range
from transforms.normalizers.scaling import scaled

if TYPE_CHECKING:
    import tensorflow as tf


class MinMax(Normalizer):
    """Maps x to `low + (x - min) / (max - min) * (high - low)`, in float64.

    As scikit-learn's MinMaxScaler: the column 1, 2, 5 becomes 0, 0.25, 1. The smallest value becomes `low` and the largest
    `high` exactly. A constant column becomes `low`, and so does every value of a later request in it, or in a column without
    values (scikit-learn: `low` plus the distance from the constant).

    Attributes:
      feature_range: `[low, high]`, the range to map the column to.
      clip: whether values outside the fitted range, which only later requests can have, become the nearest end of it.
    """

    type: Literal["min_max"] = "min_max"
    feature_range: Range = (0.0, 1.0)
    clip: bool = Field(default=False, strict=True)

    @property
    def needs_statistics(self) -> bool:
        """See the base class."""
        return True

    @property
    def can_spoil(self) -> bool:
        """See the base class: far outside the fitted range, or of a range beyond the dtype."""
        return True

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; NaN stays NaN, infinities stay what they are unless clipped."""
        import tensorflow as tf

        varies = statistics.max > statistics.min
        part = scaled(values, statistics.min, statistics.max - statistics.min, varies)
        if self.clip:
            part = tf.where(tf.math.is_nan(part), part, tf.clip_by_value(part, 0.0, 1.0))
        low, high = self.feature_range
        # Not low + part * (high - low), which may miss the high end by a bit, and gives 0 * inf for infinities.
        mapped = part * high + (1.0 - part) * low
        return tf.where(tf.math.is_finite(part), mapped, part)
