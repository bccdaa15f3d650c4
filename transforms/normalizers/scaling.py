"""Shared by linear normalizers: subtract, divide, and never divide by zero."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import tensorflow as tf


LINE: Final = 512
"""About how many values are worked on as one line, see `by_dimension`."""


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
    return by_dimension(_scaled, values, center, scale, usable)


def _scaled(values: tf.Tensor, center: tf.Tensor, scale: tf.Tensor, usable: tf.Tensor) -> tf.Tensor:
    import tensorflow as tf

    wide = tf.cast(values, tf.float64)
    # A scale that has overflowed is none: NaN, which a row is rejected for, where dividing by infinity would make every value 0.
    scale = tf.where(tf.math.is_finite(scale), scale, tf.constant(math.nan, tf.float64))
    # Without a scale, a value that is not finite stays, as what 0 is subtracted from and 1 divides does.
    center, divisor = tf.where(usable, center, tf.zeros_like(center)), tf.where(usable, scale, tf.ones_like(scale))
    kept = tf.logical_or(usable, tf.logical_not(tf.math.is_finite(wide)))
    return tf.where(kept, (wide - center) / divisor, tf.constant(0.0, tf.float64))


def by_dimension(function: Callable[..., tf.Tensor], values: tf.Tensor, *figures: tf.Tensor) -> tf.Tensor:
    """Returns `function(values, *figures)`, a function that goes value by value, at the speed that long lines have.

    TensorFlow broadcasts figures `[3]` against values `[n, 3]` ten times as slowly as against `[n / 100, 300]`. So figures of the
    shape of a step are repeated, and many steps are laid side by side; each value meets the figure that it would meet anyway.

    Args:
      function: of values `[lines, width]` and figures `[width]`, or of what is given here.
      values: `[steps, *shape]`.
      figures: of any shape that broadcasts against the values.
    """
    import tensorflow as tf

    shape = values.shape[1:]
    width = math.prod(shape)
    together = LINE // width
    if width == 1 or together < 2 or any(figure.shape != shape for figure in figures):
        return function(values, *figures)
    flat = tf.reshape(values, [-1])
    lines = tf.reshape(tf.pad(flat, [[0, -tf.size(flat) % (together * width)]]), [-1, together * width])
    made = function(lines, *(tf.tile(tf.reshape(figure, [-1]), [together]) for figure in figures))
    return tf.reshape(tf.reshape(made, [-1])[: tf.size(flat)], [-1, *shape])
