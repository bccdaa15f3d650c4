"""z-score: zero mean, unit variance."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.scaling import scaled

if TYPE_CHECKING:
    import tensorflow as tf


class ZScore(Normalizer):
    """Maps x to `(x - mean) / sqrt(variance)`, in float64.

    The variance is the population variance (ddof 0), as in `tft.scale_to_z_score`. For the column 1, 2, 3 the mean is 2,
    the variance 2/3 and the result -1.2247, 0, 1.2247. A constant column (or dimension) becomes 0. A column without any value
    has no statistics and nothing to normalise; in it, a value of a later request becomes 0. If the variance is beyond float64
    (for values about 1e154 apart) every value becomes NaN, and its row is rejected (unless `non_finite: keep`).
    """

    type: Literal["z_score"] = "z_score"

    @property
    def needs_statistics(self) -> bool:
        """See the base class."""
        return True

    @property
    def can_spoil(self) -> bool:
        """See the base class: of a value far outside those that the statistics are from."""
        return True

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; NaN and infinities stay what they are."""
        import tensorflow as tf

        # The variance of a constant may come out as 1e-34 and not 0: min and max tell for sure. One that overflowed may be a NaN.
        varies = tf.logical_and(statistics.max > statistics.min, tf.not_equal(statistics.variance, 0.0))
        return scaled(values, statistics.mean, tf.sqrt(statistics.variance), varies)
