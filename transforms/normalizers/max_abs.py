"""max-abs: by the largest absolute value, so that 0 stays 0."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.scaling import scaled

if TYPE_CHECKING:
    import tensorflow as tf


class MaxAbs(Normalizer):
    """Maps x to `x / max(|min|, |max|)`, in float64.

    As scikit-learn's MaxAbsScaler: the column 1, -4, 2 becomes 0.25, -1, 0.5. Zero stays zero, and no sign changes. A constant
    column becomes 1 or -1, a column of zeros stays 0. In a column of zeros or without values, every value of a later request
    becomes 0 (scikit-learn: is unchanged).
    """

    type: Literal["max_abs"] = "max_abs"

    @property
    def needs_statistics(self) -> bool:
        """See the base class."""
        return True

    @property
    def can_spoil(self) -> bool:
        """See the base class: of a value far outside the fitted range."""
        return True

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; NaN and infinities stay what they are."""
        import tensorflow as tf

        largest = tf.maximum(tf.abs(statistics.min), tf.abs(statistics.max))
        usable = tf.logical_and(largest > 0, tf.math.is_finite(largest))  # without values it is infinite
        return scaled(values, tf.zeros_like(largest), largest, usable)
