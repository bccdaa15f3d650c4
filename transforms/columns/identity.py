"""`categorical_column_with_identity` as a context column: one integer id an example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from transforms.columns.base import Checked, Output
from transforms.columns.identity_base import IdentityBase, python_int
from transforms.ragged import Ragged
from transforms.rejection import Fault

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.window import Window


class Identity(IdentityBase):
    """One id an example, a scalar int64. An absent or empty feature is `padding_id` (TensorFlow: no id); several reject."""

    is_sequence: ClassVar[bool] = False

    type: Literal["categorical_column_with_identity"] = "categorical_column_with_identity"

    def check(self, values: Ragged) -> Checked:
        """See the base class."""
        several = np.flatnonzero(values.lengths > 1)
        checked = self.check_range(values)
        faults = [*self.missing_faults(values), *checked.faults]
        if len(several):
            shown = [f"{n} ids" for n in values.lengths[several]]
            faults.append(Fault("wrong_value_count", self.name, several, shown, "expected one id"))
        return Checked(faults, completed=(values.lengths == 0).astype(np.int64), flags=checked.flags)

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        return [Output(self.name, "int64", (), "values", self.name)]

    def dense(self, values: tf.RaggedTensor, window: Window | None, fitted: Any) -> dict[str, tf.Tensor]:
        """See the base class."""
        import tensorflow as tf

        padding = tf.constant([self.padding_id], tf.int64)
        flat = tf.concat([self.ids(values.flat_values), padding], axis=0)
        last = tf.size(flat, tf.int64) - 1
        return {self.name: tf.gather(flat, tf.where(values.row_lengths() > 0, values.row_splits[:-1], last))}


def categorical_column_with_identity(
    key: str, num_buckets: int, default_value: int | None = None, **more: Any
) -> Identity:
    """Builds an `Identity` context column with TensorFlow's own arguments; the others by keyword.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: `num_buckets` is below 1, or the default is no id.
    """
    buckets, default = python_int(num_buckets), python_int(default_value)
    return Identity.make(key=key, num_buckets=buckets, default_value=default, **more)
