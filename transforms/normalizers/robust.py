"""robust: by median and quantiles, which outliers do not move."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.options import Quantiles
from transforms.normalizers.scaling import scaled

if TYPE_CHECKING:
    import tensorflow as tf

MEDIAN = 0.5


class Robust(Normalizer):
    """Maps x to `(x - median) / (q_high - q_low)`, in float64.

    As scikit-learn's RobustScaler, with quantiles interpolated linearly (`numpy.quantile`): for the column 1, 2, 3, 4, 1000 the
    median is 3, the quartiles are 2 and 4, and the result is -1, -0.5, 0, 0.5, 498.5. If the two quantiles are equal, as in a
    constant column or if most values are the same, and in a column without values, every value becomes 0 (scikit-learn:
    its distance from the median). Large columns have approximate quantiles.

    Attributes:
      quantiles: `[low, high]`, the probabilities of the two quantiles whose distance is the unit.
    """

    type: Literal["robust"] = "robust"
    quantiles: Quantiles = (0.25, 0.75)

    @property
    def needs_statistics(self) -> bool:
        """See the base class."""
        return True

    @property
    def can_spoil(self) -> bool:
        """See the base class: of an outlier where the quantiles lie close."""
        return True

    @property
    def probabilities(self) -> tuple[float, ...]:
        """See the base class."""
        return tuple(sorted({*self.quantiles, MEDIAN}))

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; NaN and infinities stay what they are."""
        low, high = (statistics.quantiles[probability] for probability in self.quantiles)
        # Without values the quantiles are NaN, and NaN > NaN is false.
        return scaled(values, statistics.quantiles[MEDIAN], high - low, high > low)
