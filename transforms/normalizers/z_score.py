"""z-score: zero mean, unit variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from transforms.normalizers.base import Normalizer, Statistics

if TYPE_CHECKING:
    import tensorflow as tf


class ZScore(Normalizer):
    """Maps x to `(x - mean) / sqrt(variance)`, computed in float64, returned as float32.

    The variance is the population variance (ddof 0), as in `tft.scale_to_z_score`. For the column 1, 2, 3 the mean is 2,
    the variance 2/3 and the result -1.2247, 0, 1.2247. A constant column (or dimension) becomes 0. A column without any value
    has no statistics; it has nothing to normalise either, and a value that a later request brings becomes 0.
    """

    needs_statistics: ClassVar[bool] = True

    type: Literal["z_score"] = "z_score"

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; NaN and infinities stay what they are."""
        import tensorflow as tf

        wide = tf.cast(values, tf.float64)
        # The variance of a constant may come out as 1e-34 and not 0: min and max tell for sure.
        varies = tf.logical_and(statistics.max > statistics.min, statistics.variance > 0)
        deviation = tf.sqrt(tf.where(varies, statistics.variance, tf.ones_like(statistics.variance)))
        constant = tf.where(tf.math.is_finite(wide), tf.zeros_like(wide), wide)
        return tf.cast(tf.where(varies, (wide - statistics.mean) / deviation, constant), tf.float32)
