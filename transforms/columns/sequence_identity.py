"""`sequence_categorical_column_with_identity`: a sequence of integer ids."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from transforms.columns.base import Checked, Output, SequenceColumn
from transforms.columns.identity_base import IdentityBase, python_int
from transforms.ragged import Ragged

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.window import Window


class SequenceIdentity(IdentityBase, SequenceColumn):
    """A sequence of ids, one a step, dense as `[T]` int64 padded with `padding_id`.

    TensorFlow's answer to an id outside the range depends on the wrapping column, the device and the compiler; here it is
    the default, a rejected row, or a stopped job. Nested input may hold a step without an id (`[[3], [], [5]]`): it is a
    step, counts in the length, and becomes `padding_id`.
    """

    type: Literal["sequence_categorical_column_with_identity"] = "sequence_categorical_column_with_identity"

    def check(self, values: Ragged) -> Checked:
        """See the base class."""
        checked = self.check_range(values)
        return Checked([*self.missing_faults(values), *checked.faults], values.lengths, flags=checked.flags)

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        return [Output(self.name, "int64", (length,), "values", self.name)]

    def dense(self, values: tf.RaggedTensor, window: Window | None, fitted: Any) -> dict[str, tf.Tensor]:
        """See the base class."""
        import tensorflow as tf

        assert window is not None
        padding = tf.constant([self.padding_id], tf.int64)
        return {self.name: window.place(self.ids(window.select(values.flat_values)), padding)}


def sequence_categorical_column_with_identity(
    key: str, num_buckets: int, default_value: int | None = None, **more: Any
) -> SequenceIdentity:
    """Builds a `SequenceIdentity` with TensorFlow's own arguments; the others by keyword.

    >>> sequence_categorical_column_with_identity("items", 10).name
    'items'

    Args:
      key: name of the feature.
      num_buckets: ids are in `[0, num_buckets)`.
      default_value: what an id outside becomes.
      **more: the other arguments of `SequenceIdentity`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: `num_buckets` is below 1, or the default is no id.
    """
    buckets, default = python_int(num_buckets), python_int(default_value)
    return SequenceIdentity.make(key=key, num_buckets=buckets, default_value=default, **more)
