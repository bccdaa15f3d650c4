"""What sequence and context identity columns share: the range of ids and what happens outside it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from transforms.columns.base import Checked, Column, faulty_rows
from transforms.parse import NO_ID, Form
from transforms.ragged import Ragged

if TYPE_CHECKING:
    import tensorflow as tf


def python_int(value: Any) -> Any:
    """Returns a NumPy integer, which TensorFlow's constructors take too, as a Python one."""
    return int(value) if isinstance(value, np.integer) else value


class IdentityBase(Column):
    """Arguments of both identity columns.

    Attributes:
      num_buckets: ids are in `[0, num_buckets)`.
      default_value: what an id outside becomes. Without it such an id is treated by `on_out_of_range`.
      on_out_of_range: `"reject"` rejects the row, `"fail"` stops the job.
      padding_id: what stands where there is no id: TensorFlow's own -1, unless chosen otherwise.
    """

    num_buckets: Annotated[int, Field(strict=True, ge=1)]
    default_value: Annotated[int, Field(strict=True)] | None = None
    on_out_of_range: Literal["reject", "fail"] = "reject"
    padding_id: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] = -1

    @property
    def input_dtype(self) -> str:
        """See the base class."""
        return "int64"

    def form(self) -> Form:
        """See the base class."""
        return Form(self.name, "int64", self.delimiter, step_width=None, scalars=not self.is_sequence)

    @model_validator(mode="after")
    def _default_is_an_id(self) -> Self:
        if self.default_value is not None and not 0 <= self.default_value < self.num_buckets:
            raise ValueError(f"default_value {self.default_value} is not in [0, {self.num_buckets})")
        if self.default_value is not None and self.on_out_of_range == "fail":
            raise ValueError("on_out_of_range 'fail' does not apply with a default_value, which every such id becomes")
        if self.num_buckets > 2**63 - 1:
            raise ValueError(f"num_buckets {self.num_buckets} is more than int64 holds")
        return self

    def check_range(self, values: Ragged) -> Checked:
        """Finds the rows with ids outside the range, or counts those that the default replaces."""
        ids = values.values.to_numpy()
        outside = ((ids < 0) | (ids >= self.num_buckets)) & (ids != NO_ID)
        if not outside.any():
            return Checked([])
        if self.default_value is not None:
            return Checked([], flags={"replaced": outside})
        message = f"expected an id in [0, {self.num_buckets})"
        fatal = self.on_out_of_range == "fail"
        message += " (on_out_of_range: fail)" * fatal
        faults = faulty_rows(self, "out_of_range", values, outside, message)
        faults = [replace(fault, fatal=fatal) for fault in faults]
        return Checked(faults)

    def ids(self, raw: tf.Tensor) -> tf.Tensor:
        """Returns ids as they are written: the default for those outside, `padding_id` for steps without one."""
        import tensorflow as tf

        no_id = tf.equal(raw, NO_ID)
        if self.default_value is not None:
            outside = tf.logical_or(raw < 0, raw >= self.num_buckets)
            raw = tf.where(outside, tf.constant(self.default_value, tf.int64), raw)
        return tf.where(no_id, tf.constant(self.padding_id, tf.int64), raw)
