"""log1p: large values closer together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from pydantic import Field

from transforms.normalizers.base import Normalizer, Statistics

if TYPE_CHECKING:
    import tensorflow as tf

BLOCK: Final = 64
"""Values: a multiple of what any vector instruction takes at once, and of what the loop around it is unrolled to."""


class Log1p(Normalizer):
    """Maps x to `log(1 + x)`, the natural logarithm, in float64.

    0, 1, 9 become 0, 0.6931, 2.3026. There is no logarithm of 1 + x for x <= -1: such a row is rejected (`non_finite`), unless
    the column keeps non-finite values. No statistics.

    Attributes:
      signed: map x to `sign(x) * log(1 + |x|)`, which is defined for every number: -9 becomes -2.3026.
    """

    type: Literal["log1p"] = "log1p"
    signed: bool = Field(default=False, strict=True)

    @property
    def can_spoil(self) -> bool:
        """See the base class."""
        return not self.signed

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """See the base class; NaN and infinities stay what they are (-inf becomes NaN if not signed)."""
        import tensorflow as tf

        wide = tf.cast(values, tf.float64)
        return tf.sign(wide) * _log1p(tf.abs(wide)) if self.signed else _log1p(wide)


def _log1p(wide: tf.Tensor) -> tf.Tensor:
    """Returns `log(1 + x)`, float64, in the shape of x, the same for x wherever in the tensor it stands.

    TensorFlow 2.21 computes logarithms with vector instructions, and what is left over at the end of a tensor one by one with
    another algorithm: a fourth of the float64 results differ in their last bit, and once in some ten million values the float32
    that they are rounded to. Filled up to whole blocks there is nothing left over.
    """
    import tensorflow as tf

    flat = tf.reshape(wide, [-1])
    count = tf.size(flat)
    result = tf.reshape(tf.math.log1p(tf.pad(flat, [[0, -count % BLOCK]]))[:count], tf.shape(wide))
    result.set_shape(wide.shape)
    return result
