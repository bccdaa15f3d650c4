"""`sequence_numeric_column`: a sequence of numbers, or of fixed-shape groups of numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import BeforeValidator, Field, StrictFloat, StrictInt, model_validator
from pydantic_core import PydanticCustomError

from transforms.columns.base import Column, SequenceMixin
from transforms.columns.numeric_base import NumericBase
from transforms.columns.results import Checked, Output
from transforms.columns.steps import Steps
from transforms.normalizers import Function
from transforms.rows.ragged import Ragged
from transforms.rows.rejection import Fault

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window


def _number(value: Any) -> Any:
    """None stands for 0, as it does for TensorFlow. Several numbers, which fail there at run time, are a ValueError."""
    if isinstance(value, list | tuple | np.ndarray):
        raise PydanticCustomError("several_numbers", "one number")
    return 0.0 if value is None else value


DefaultValue = Annotated[
    StrictInt | StrictFloat, BeforeValidator(_number, json_schema_input_type=StrictInt | StrictFloat | None)
]


class SequenceNumeric(SequenceMixin, NumericBase):
    """A sequence of numeric steps, dense as `[T, *shape]`.

    The length of a row is its number of values divided by `prod(shape)`. Padding is the raw `default_value`, which is not
    normalised. TensorFlow does the same, although its docstring says otherwise; `normalize_padding` does what that says.

    Attributes:
      default_value: the value where there is none: in padding, filled and completed values. None is 0.
      incomplete_step: what to do if the values do not fill the last step: `"reject"` rejects the row, `"pad"` completes the step
        with `default_value`.
      statistics_over: `"kept"` leaves truncated steps out of the statistics, `"all"` counts them.
      normalize_padding: also normalise the padding.
    """

    tensorflow_class: ClassVar[str] = "SequenceNumericColumn"

    type: Literal["sequence_numeric_column"] = "sequence_numeric_column"
    default_value: DefaultValue = 0.0
    incomplete_step: Literal["reject", "pad"] = "reject"
    statistics_over: Literal["kept", "all"] = "kept"
    normalize_padding: bool = Field(default=False, strict=True)

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        function = None if column.normalizer_fn is None else OnSparse(column.normalizer_fn)
        given = {name: getattr(column, name) for name in ("key", "shape", "default_value", "dtype")}
        return {**given, "normalizer_fn": function}

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        self.fitting_default(self.default_value, self.normalize_padding)
        by = next((link.per for link in self.links if link.per in ("row", "key")), None)
        if self.normalize_padding and by:
            raise ValueError(f"normalize_padding does not apply with statistics by {by}: padding belongs to none")
        return self

    def side_by_side(self, name: str, count: int) -> Column | None:
        """See the base class: columns that look at nothing but each value and the figures of its dimension."""
        together = self.non_finite not in ("mean", "forward_fill") and self.incomplete_step == "reject"
        for link in self.links:
            together &= not isinstance(link, Function) and link.per == "dimension" and not link.probabilities
        return self.model_copy(update={"key": name, "shape": (count, *self.shape)}) if together else None

    @property
    def stacks(self) -> bool:
        """See the base class; padding that is normalised would be another in each group."""
        return not self.normalize_padding

    def check_values(self, values: Ragged) -> Checked:
        """See the base class."""
        width = self.step_width
        finite = self.check_finite(values)
        steps = values.steps(width)
        uneven = width > 1 and values.seen(width).uneven
        incomplete = np.flatnonzero(steps * width != values.lengths) if uneven else np.zeros(0, np.int64)
        faults = [*self.missing_faults(values), *finite.faults]
        completed = None
        if self.incomplete_step == "pad" and len(incomplete):
            completed = np.zeros(len(steps), np.int64)
            completed[incomplete] = (steps * width - values.lengths)[incomplete]
        elif len(incomplete):
            shown = [f"{n} values" for n in values.lengths[incomplete]]
            message = f"expected a multiple of {width} values (shape {list(self.shape)})"
            faults.append(Fault("incomplete_step", self.name, incomplete, shown, message))
        return Checked(faults, steps, completed, flags=finite.flags)

    def valid(self, raw: RawTensors) -> tf.Tensor:
        """See the base class."""
        import tensorflow as tf

        finite = self.valid_finite(raw[self.key])
        if self.incomplete_step == "pad":
            return finite
        return tf.logical_and(finite, tf.equal(raw[self.key].row_lengths() % self.step_width, 0))

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        shape = (length, *self.shape)
        made = [Output(self.name, self.output_dtype, shape, "values", self.name, sequence=True)]
        if self.observed_mask:
            made.append(Output(f"{self.name}_observed", "bool", shape, "observed", self.name, sequence=True))
        return made

    def steps(self, raw: RawTensors, window: Window | None) -> Steps:
        """See the base class."""
        import tensorflow as tf

        values = raw[self.key]
        count = (values.row_lengths() + self.step_width - 1) // self.step_width
        splits = tf.pad(tf.cumsum(count), [[1, 0]])
        if self.incomplete_step == "pad":
            flat, there = _complete(values, self.step_width, self._default(values.dtype))
        else:
            flat, there = tf.reshape(values.flat_values, [-1, self.step_width]), None
        observed = self.observed_in(flat)
        gaps = tf.logical_not(observed)
        if there is not None:
            observed, gaps = observed & there, gaps & there
        imputed = gaps if self.non_finite == "mean" else None
        if self.non_finite == "forward_fill":  # before steps are cut off: what they hold counts
            flat, imputed = _forward_filled(flat, observed, gaps, tf.repeat(tf.range(values.nrows()), count))

        def kept(tensor: tf.Tensor) -> tf.Tensor:
            chosen = tensor if window is None else window.select(tensor)
            return tf.reshape(chosen, [-1, *self.shape])

        imputed = None if imputed is None else kept(imputed)
        return Steps(kept(flat), kept(observed), splits if window is None else window.splits, raw, imputed)

    def dense(self, raw: RawTensors, window: Window | None, fitted: Findings) -> dict[str, tf.Tensor]:
        """See the base class."""
        import tensorflow as tf

        assert window is not None
        every = self.statistics_over == "all" and any(link.per == "row" for link in self.links)
        steps = self.steps(raw, None if every else window)
        given = self.given(steps, fitted)
        if self.normalize_padding:
            normal, padding = self._with_padding(steps, fitted)
            given |= self.observed_in(steps.values)  # completed values are padding, too: normalised
        else:
            normal = self.normalize(steps, fitted)
            padding = tf.fill([1, *self.shape], self._default(normal.dtype))
        if self.fills or self.incomplete_step == "pad":
            normal = tf.where(given, normal, self._default(normal.dtype))
        observed = steps.observed
        if every:  # a row's own statistics count the steps that are cut off only now
            normal, observed = window.select(normal), window.select(observed)
        made = {self.name: window.place(normal, padding)}
        if self.observed_mask:
            nothing = tf.zeros([1, *self.shape], tf.bool)
            made[f"{self.name}_observed"] = tf.cast(window.place(observed, nothing), tf.int64)
        return made

    def _with_padding(self, steps: Steps, fitted: Findings) -> tuple[tf.Tensor, tf.Tensor]:
        """Normalises the steps and one step of padding, which belongs to no row."""
        import tensorflow as tf

        padding = tf.fill([1, *self.shape], self._default(steps.values.dtype))
        both = replace(
            steps,
            values=tf.concat([steps.values, padding], axis=0),
            observed=tf.concat([steps.observed, tf.zeros_like(padding, tf.bool)], axis=0),
            imputed=None if steps.imputed is None else tf.concat([steps.imputed, tf.zeros_like(padding, tf.bool)], 0),
        )
        normal = self.normalize(both, fitted)
        return normal[:-1], normal[-1:]

    def _default(self, dtype: tf.DType) -> tf.Tensor:
        import tensorflow as tf

        # Cast, a Python float would pass through float32 on its way to an integer or a float64.
        return tf.constant(int(self.default_value) if dtype.is_integer else float(self.default_value), dtype)


def _complete(values: tf.RaggedTensor, width: int, fill: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts rows into steps `[steps, width]`, the last one of a row completed with `fill`; and which values are real."""
    import tensorflow as tf

    splits = values.row_splits
    steps = (values.row_lengths() + width - 1) // width
    first = tf.repeat(splits[:-1], steps)
    number = tf.range(tf.reduce_sum(steps)) - tf.repeat(tf.cumsum(steps, exclusive=True), steps)
    at = (first + number * width)[:, tf.newaxis] + tf.range(width, dtype=tf.int64)
    real = at < tf.repeat(splits[1:], steps)[:, tf.newaxis]
    flat = tf.concat([values.flat_values, fill[tf.newaxis]], axis=0)
    return tf.gather(flat, tf.where(real, at, tf.size(flat, tf.int64) - 1)), real


def _forward_filled(
    values: tf.Tensor, observed: tf.Tensor, gaps: tf.Tensor, rows: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    """Puts into the gaps the last observed value of the same row and dimension before it.

    Args:
      values: `[steps, width]`.
      observed: bool `[steps, width]`.
      gaps: bool `[steps, width]`, where a value is wanted.
      rows: int64 `[steps]`, ascending.

    Returns:
      The values, and which of them were put there.
    """
    import tensorflow as tf

    # Dimension by dimension, so that whatever was observed before stands before.
    there, numbers = (tf.reshape(tf.transpose(tensor), [-1]) for tensor in (observed, values))
    places = tf.concat([tf.where(there)[:, 0], [0]], axis=0)  # one more to point at where nothing is observed
    seen = tf.cumsum(tf.cast(there, tf.int64))
    last = tf.gather(places, tf.maximum(seen - 1, 0))
    size, width = tf.size(rows, tf.int64), values.shape[1]
    of = tf.tile(rows, [width]) + tf.repeat(tf.range(width, dtype=tf.int64), size) * (tf.reduce_max(rows) + 1)
    same = tf.logical_and(seen > 0, tf.equal(tf.gather(of, last), of))
    across = [width, tf.shape(rows)[0]]
    filled, found = (tf.transpose(tf.reshape(tensor, across)) for tensor in (tf.gather(numbers, last), same))
    put = tf.logical_and(gaps, found)
    return tf.where(put, filled, values), put


def sequence_numeric_column(
    key: str,
    shape: Any = (1,),
    default_value: float | None = 0.0,
    dtype: Any = "float32",
    normalizer_fn: Any = None,
    **more: Any,
) -> SequenceNumeric:
    """Builds a `SequenceNumeric` with TensorFlow's own arguments; the others by keyword.

    >>> sequence_numeric_column("accel", shape=(3,), normalizer_fn="z_score").step_width
    3

    Args:
      key: name of the feature.
      shape: shape of the values in one step.
      default_value: padding, in the column's dtype; None is 0.
      dtype: a TensorFlow or NumPy dtype, or its name; an integer or a float.
      normalizer_fn: `"z_score"`, a `Normalizer`, or any function of a float tensor `[steps, *shape]`.
      **more: the other arguments of `SequenceNumeric`.

    Raises:
      TypeError: a dimension is no int, the key is no string, the normalizer is not callable.
      ValueError: a dimension is below 1, the dtype is neither int nor float, the default does not fit the dtype or is several
        numbers.
    """
    return SequenceNumeric.make(
        key=key, shape=shape, default_value=default_value, dtype=dtype, normalizer_fn=normalizer_fn, **more
    )


class OnSparse:
    """A `normalizer_fn` of a TensorFlow sequence column, which is given a SparseTensor there.

    It is called with one here, too, whose rows are the present steps; where it takes none (the documented
    `lambda x: (x - 3.0) / 4.2` raises a TypeError in TensorFlow) with the dense steps.
    """

    def __init__(self, function: Callable[[Any], Any]):
        self.function = function

    def __call__(self, values: Any) -> Any:
        """Normalises steps `[n, *shape]`."""
        import tensorflow as tf

        flat = tf.reshape(values, [tf.shape(values)[0], -1])
        size = tf.shape(flat, tf.int64)
        places = tf.stack(tf.meshgrid(tf.range(size[0]), tf.range(size[1]), indexing="ij"), axis=-1)
        sparse = tf.SparseTensor(tf.reshape(places, [-1, 2]), tf.reshape(flat, [-1]), size)
        try:
            result = self.function(sparse)
        except (TypeError, ValueError, AttributeError):
            return self.function(values)
        result = result.values if isinstance(result, tf.SparseTensor) else result
        result = tf.reshape(result, tf.shape(values))
        result.set_shape(values.shape)
        return result
