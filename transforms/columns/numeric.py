"""`numeric_column` as a context column: a fixed shape of numbers an example."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import StrictFloat, StrictInt, model_validator

from transforms.columns.base import Column
from transforms.columns.numeric_base import NumericBase
from transforms.columns.results import Checked, Output
from transforms.columns.steps import Steps
from transforms.rows.ragged import Ragged
from transforms.rows.rejection import Fault

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window

Number = StrictInt | StrictFloat


class Numeric(NumericBase):
    """Numbers of one fixed shape per example, dense as `[*shape]`.

    As in TensorFlow, a row without the feature gets `default_value`, which is then normalised like any other value. Without a
    default such a row is rejected (`missing`). Statistics count present values only.

    Attributes:
      default_value: a number, or a flat list with a number for each value of the shape (row-major); None for no default.
    """

    tensorflow_class: ClassVar[str] = "NumericColumn"

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset({"key"})

    type: Literal["numeric_column"] = "numeric_column"
    default_value: Number | tuple[Number, ...] | list[Number] | None = None

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        return {name: getattr(column, name) for name in ("key", "shape", "default_value", "dtype", "normalizer_fn")}

    non_finite: Literal["reject", "fill", "keep", "mean"] = "reject"

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.default_value is None:
            if self.non_finite == "fill":
                raise ValueError("non_finite='fill' needs a default_value")
            return self
        if isinstance(self.default_value, list | tuple):
            if len(self.default_value) != self.step_width:
                raise ValueError(
                    f"default_value has {len(self.default_value)} values, the shape {list(self.shape)} {self.step_width}"
                )
            object.__setattr__(self, "default_value", tuple(self.default_value))  # hashable, as a frozen model must be
        for value in self.default_value if isinstance(self.default_value, tuple) else (self.default_value,):
            self.fitting_default(value)  # type: ignore[arg-type]
        return self

    def check_values(self, values: Ragged) -> Checked:
        """See the base class."""
        width = self.step_width
        absent = values.lengths == 0
        finite = self.check_finite(values)
        faults = [*self.missing_faults(values), *finite.faults]
        expected = "expected a value" if width == 1 else f"expected {width} values"
        if self.default_value is None and absent.any():
            rows = np.flatnonzero(absent)
            message = f"{expected} (the column has no default_value)"
            faults.append(Fault("missing", self.name, rows, ["absent"] * len(rows), message))
        wrong = np.flatnonzero(~absent & (values.lengths != width))
        if len(wrong):
            shown = [f"{n} values" for n in values.lengths[wrong]]
            message = f"{expected} (shape {list(self.shape)})"
            faults.append(Fault("wrong_value_count", self.name, wrong, shown, message))
        return Checked(faults, completed=np.where(absent, width, 0), flags=finite.flags)

    def meant(self, reason: str) -> str:
        """See the base class."""
        if reason == "wrong_value_count":
            return (
                f"if these are the steps of a sequence: sequence_{self.type_name}; if each row has as many: shape: [N]"
            )
        return super().meant(reason)

    def valid(self, raw: RawTensors) -> tf.Tensor:
        """See the base class."""
        import tensorflow as tf

        count = raw[self.key].row_lengths()
        whole = tf.equal(count, self.step_width)
        if self.default_value is not None:
            whole = tf.logical_or(whole, tf.equal(count, 0))
        return tf.logical_and(whole, self.valid_finite(raw[self.key]))

    def fixed(self) -> tuple[tuple[int, ...], Any] | None:
        """See the base class. A delimited feature is always one string."""
        if self.delimiter is not None:
            return None
        default = self._default().reshape(self.shape).tolist() if self.default_value is not None else None
        return self.shape, tuple(default) if isinstance(default, list) else default

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        made = [Output(self.name, self.output_dtype, self.shape, "values", self.name)]
        if self.observed_mask:
            made.append(Output(f"{self.name}_observed", "bool", self.shape, "observed", self.name))
        return made

    def steps(self, raw: RawTensors, window: Window | None) -> Steps:
        """Returns the examples' values `[batch, *shape]`, the default where absent."""
        import tensorflow as tf

        values, width = raw[self.key], self.step_width
        default = tf.reshape(tf.cast(self._default(), values.dtype), [width])
        flat = tf.concat([values.flat_values, default], axis=0)
        there = values.row_lengths() > 0
        start = tf.where(there, values.row_splits[:-1], tf.size(flat, tf.int64) - width)
        made = tf.gather(flat, start[:, tf.newaxis] + tf.range(width, dtype=tf.int64))
        finite, there = self.observed_in(made), there[:, tf.newaxis]
        imputed = tf.logical_and(tf.logical_not(finite), there) if self.non_finite == "mean" else None
        shape, splits = [-1, *self.shape], tf.range(values.nrows() + 1)
        observed = tf.reshape(tf.logical_and(finite, there), shape)
        imputed = None if imputed is None else tf.reshape(imputed, shape)
        return Steps(tf.reshape(made, shape), observed, splits, raw, imputed)

    def dense(self, raw: RawTensors, window: Window | None, fitted: Findings) -> dict[str, tf.Tensor]:
        """See the base class."""
        import tensorflow as tf

        steps = self.steps(raw, window)
        normal = self.normalize(steps, fitted)
        if self.fills:
            default = tf.reshape(tf.cast(self._default(), normal.dtype), [1, *self.shape])
            # The default of an absent example is normalised as a value is.
            given = self.given(steps, fitted) | self.observed_in(steps.values)
            normal = tf.where(given, normal, default)
        made = {self.name: normal}
        if self.observed_mask:
            made[f"{self.name}_observed"] = tf.cast(steps.observed, tf.int64)
        return made

    def _default(self) -> np.ndarray:
        value = 0 if self.default_value is None else self.default_value
        return np.broadcast_to(np.asarray(value).reshape(-1), (self.step_width,))


def numeric_column(
    key: str,
    shape: Any = (1,),
    default_value: Any = None,
    dtype: Any = "float32",
    normalizer_fn: Any = None,
    **more: Any,
) -> Numeric:
    """Builds a `Numeric` context column with TensorFlow's own arguments; the others by keyword.

    Raises:
      TypeError: a dimension is no int, the key is no string, the normalizer is not callable.
      ValueError: a dimension is below 1, the dtype is neither int nor float, the default does not fit.
    """
    if np.ndim(default_value) > 1 and np.shape(default_value) == tuple(shape):  # as TensorFlow writes it
        default_value = np.asarray(default_value).reshape(-1).tolist()
    return Numeric.make(
        key=key, shape=shape, default_value=default_value, dtype=dtype, normalizer_fn=normalizer_fn, **more
    )
