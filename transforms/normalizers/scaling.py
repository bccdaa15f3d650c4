"""What the linear normalizers share: subtract, divide, and no division by what is no scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import tensorflow as tf


def scaled(values: tf.Tensor, center: Any, scale: Any, usable: Any) -> tf.Tensor:
    """Returns `(values - center) / scale` in float64, computed in IEEE arithmetic alone: the same in every batch.

    For the values 1, 3 with center 1 and scale 4: 0, 0.5.

    Args:
      values: `[steps, *shape]`, any numeric dtype. NaN stays NaN, infinities stay infinities.
      center: float64, broadcasts against the values.
      scale: float64, in the shape of the center; whatever it is where it is not usable.
      usable: bool, in that shape: where there is a scale. Elsewhere (a constant column, no values) every finite value
        becomes 0.
    """
    import tensorflow as tf

    wide = tf.cast(values, tf.float64)
    divisor = tf.where(usable, scale, tf.ones_like(scale))
    return tf.where(usable, (wide - center) / divisor, tf.where(tf.math.is_finite(wide), tf.zeros_like(wide), wide))
