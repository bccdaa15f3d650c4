"""The base of sequence and context numeric columns: arguments, finiteness, defaults, normalising."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, Self

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from transforms import dtypes
from transforms.columns.base import Column, KeyedColumn, NumericDtype, Shape, faulty_rows
from transforms.columns.results import Checked
from transforms.columns.steps import rows_without
from transforms.errors import SpecError, SpecFault
from transforms.normalizers import Function, Normalizer, Statistics
from transforms.normalizers.asks import Ask
from transforms.normalizers.field import NormalizerField
from transforms.parse.form import Form
from transforms.rows.ragged import Ragged

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors, Steps
    from transforms.columns.window import Window

Number = int | float


class NumericBase(KeyedColumn):
    """Arguments of both numeric columns.

    Attributes:
      shape: shape of the values in one step (in one example, for a context column).
      dtype: dtype that the values are cast to, after they are parsed as int64 or float32 (a float64 column as float64).
      normalizer_fn: the normalizer of present values: by name (`"z_score"`) or with options (`{type: z_score, per: column}`), a
        function of a dense float tensor `[steps, *shape]`, which a columns file names as `module:function`, or a list of these,
        one after the other.
      non_finite: what to do with NaN and infinities. `"reject"` rejects the row, `"fill"` inserts `default_value` after
        normalising, `"keep"` lets them through as TensorFlow does. `"mean"` inserts the mean of the data set's raw values before
        normalising (of the dimension, or of the column if the first normalizer has `per: column`), so that a z-score is 0;
        without any value there is no mean, and it acts like `"fill"`. `"forward_fill"`, for sequences, repeats the last value of
        the same dimension before it in the row, even from a truncated step; a gap without such a value is treated like `"fill"`.
        No statistics count inserted values, except those of analyzers in a function of your own.
      observed_mask: also write which values were observed (bool, in the shape of the values), that is, neither padding nor
        filled.
    """

    shape: Shape = (1,)
    dtype: NumericDtype = "float32"
    normalizer_fn: NormalizerField = None
    non_finite: Literal["reject", "fill", "keep", "mean", "forward_fill"] = "reject"
    observed_mask: bool = Field(default=False, strict=True)

    @property
    def step_width(self) -> int:
        """See the base class."""
        return math.prod(self.shape)

    @property
    def needs_data(self) -> bool:
        """See the base class."""
        return self.non_finite == "mean" or any(link.uses_data for link in self.links)

    @property
    def fills(self) -> bool:
        """Whether gaps are filled: NaN and infinities do not come out."""
        return self.non_finite not in ("reject", "keep")

    @property
    def links(self) -> tuple[Normalizer, ...]:
        """The normalizers that values are put through, one after the other."""
        return self.normalizer_fn.links if self.normalizer_fn is not None else ()

    @property
    def output_dtype(self) -> str:
        """Name of the dtype that the values are written in: the declared one, or that of what the last normalizer makes.

        Buckets are int64, whatever fits the declared dtype; everything else makes floats of integers. Of a function that is an
        assumption, which `Output.settled` corrects.
        """
        if not self.links:
            return self.dtype
        if self.links[-1].only_last:
            return "int64"
        return "float32" if dtypes.carrier(self.dtype) == "int64" else self.dtype

    def asks(self) -> Sequence[Ask]:
        """See the base class."""
        return self.asks_of(self.name)

    def asks_of(self, owner: str) -> list[Ask]:
        """Returns what the column asks for, on its own behalf or on that of a column built from it.

        The first is always there: the moments of the raw values, for `statistics.json`.
        """
        of_column = bool(self.links) and self.links[0].uses_data and self.links[0].per == "column"
        asks = [Ask(owner, 0, 0, "column" if of_column else "dimension", self.shape)]
        level = 0
        for k, link in enumerate(self.links):
            if not link.uses_data:
                continue
            ask = Ask(owner, k, level, link.per, self.shape, link.key or "", link.probabilities)
            asks += [] if ask == asks[0] else [ask]
            level += 1
        return asks

    @abstractmethod
    def steps(self, raw: RawTensors, window: Window | None) -> Steps:
        """Returns the column's steps in a batch: the kept ones, given a window."""

    def form(self) -> Form:
        """See the base class."""
        return Form(
            self.name,
            self.dtype,
            self.delimiter,
            step_width=self.step_width,
            scalars=not self.is_sequence,
            reject_overflow=self.non_finite == "reject",
            time_unit=self.time_unit,
        )

    def check_finite(self, values: Ragged) -> Checked:
        """Finds the rows with non-finite values, and flags such values."""
        if dtypes.carrier(self.dtype) == "int64":
            return Checked([])
        if not values.seen(self.step_width).non_finite:
            return Checked([])
        bad = ~np.isfinite(values.values.to_numpy())
        faults = []
        if self.non_finite == "reject":
            message = "expected finite numbers (non_finite: reject)"
            faults = faulty_rows(self, "non_finite", values, bad, message)
        return Checked(faults, flags={"non_finite": bad, **({"filled": bad} if self.fills else {})})

    def valid_finite(self, values: tf.RaggedTensor) -> tf.Tensor:
        """Returns the rows that `check_finite` lets through, bool `[batch]`."""
        import tensorflow as tf

        if self.non_finite != "reject" or values.dtype.is_integer:
            return tf.ones([values.nrows()], tf.bool)
        return rows_without(~tf.math.is_finite(values.flat_values), values)

    def observed_in(self, values: tf.Tensor) -> tf.Tensor:
        """Returns which of the raw values count as observed: bool, in their shape."""
        import tensorflow as tf

        if values.dtype.is_integer or self.non_finite == "keep":
            return tf.ones_like(values, tf.bool)
        return tf.math.is_finite(self.cast(values))  # a number too large for the dtype is none

    def cast(self, values: tf.Tensor) -> tf.Tensor:
        """Casts the carrier to the declared dtype."""
        import tensorflow as tf

        return tf.cast(values, tf.as_dtype(self.dtype))

    def before(self, link: int, steps: Steps, fitted: Findings, owner: str) -> tf.Tensor:
        """Returns the values `[n, *shape]` as they are before one link of the chain."""
        return self._put_through(self.links[:link], self.cast(steps.values), steps, fitted, owner)

    def normalize(self, steps: Steps, fitted: Findings, owner: str | None = None) -> tf.Tensor:
        """Normalises steps, imputed ones too, and returns `[n, *shape]`: int64, float32, or float64 where the column is."""
        import tensorflow as tf

        values = self.cast(steps.values)
        if self.non_finite == "mean" and steps.imputed is not None:
            mean = self.raw_statistics(steps, fitted, owner).mean
            # Rounded to float32, the mean of large numbers close together could be many deviations away from itself.
            wide = tf.float64 if not (self.links and isinstance(self.links[0], Function)) else values.dtype
            values = tf.where(steps.imputed, tf.cast(mean, wide), tf.cast(values, wide))
        result = self._put_through(self.links, values, steps, fitted, owner or self.name)
        if result.dtype.is_integer or result.dtype.is_bool:
            return tf.cast(result, tf.int64)
        if self.dtype in ("float16", "bfloat16"):  # rounded here, so that every format and the graph give the same
            result = tf.cast(result, tf.as_dtype(self.dtype))
        return tf.cast(result, tf.float64 if self.dtype == "float64" else tf.float32)

    def _put_through(
        self, links: Sequence[Normalizer], values: tf.Tensor, steps: Steps, fitted: Findings, owner: str
    ) -> tf.Tensor:
        import tensorflow as tf

        whole = dtypes.carrier(self.dtype) == "int64"
        for k, normalizer in enumerate(links):
            if whole and isinstance(normalizer, Function):
                values = tf.cast(values, tf.float32)
            statistics = fitted.statistics(owner, k, normalizer, values, steps)
            values = self._applied(normalizer, values, statistics)
            # From link to link integers go as float64: two microseconds of today are the same float32.
            if values.dtype == tf.float64 and not whole and self.dtype != "float64":
                values = tf.cast(values, tf.float32)
        return values

    def _applied(self, normalizer: Normalizer, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        import tensorflow as tf

        if not isinstance(normalizer, Function):
            return normalizer.apply(values, statistics)
        try:
            result = normalizer.apply(values, statistics)
        except Exception as error:  # whatever a person's function raises
            why = " ".join(str(error).split())
            if not why.startswith("normalizer_fn "):  # not what `Function` itself says
                why = f"normalizer_fn {normalizer.label!r} failed: {type(error).__name__}: {why}"
            raise SpecError([SpecFault(f"column {self.name!r}", why)]) from error
        # Steps too few or too many would shift the values of all rows after. TensorFlow escapes quotes in the message.
        message = f"column {self.name}: normalizer_fn {normalizer.label} must return as many steps as it was given"
        same = tf.debugging.Assert(tf.equal(tf.shape(result)[0], tf.shape(values)[0]), [message])
        with tf.control_dependencies(
            [same] if same is not None else []
        ):  # None in eager mode, where it has been raised
            return tf.identity(result)

    def raw_statistics(self, steps: Steps, fitted: Findings, owner: str | None = None) -> Statistics:
        """Returns the data set's statistics of the raw values: what the first of the asks is about."""
        return fitted.raw_statistics(owner or self.name, steps)

    def given(self, steps: Steps, fitted: Findings, owner: str | None = None) -> tf.Tensor:
        """Returns which values are normalised, bool `[n, *shape]`: observed, or imputed. `default_value` stands elsewhere."""
        if steps.imputed is None:
            return steps.observed
        imputed = steps.imputed
        if self.non_finite == "mean":
            imputed &= self.raw_statistics(steps, fitted, owner).count > 0
        return steps.observed | imputed

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if dtypes.carrier(self.dtype) == "int64" and self.non_finite != "reject":
            raise ValueError(f"non_finite={self.non_finite!r} does not apply to {self.dtype}")
        return self

    def fitting_default(self, value: Number, normalized: bool = True) -> None:
        """Checks that a default value fits the dtype, and is finite unless the column keeps non-finite values.

        Args:
          value: the default value.
          normalized: whether it is put through the normalizers. Otherwise -1 may pad the buckets of an unsigned column.

        Raises:
          PydanticCustomError: it does not (a ValueError).
        """
        finite = isinstance(value, int) or np.isfinite(value)  # NumPy takes no int of more than 64 bits
        buckets = bool(self.links) and self.links[-1].only_last
        if buckets and not (finite and int(value) == value and abs(value) < 2**63):
            raise PydanticCustomError(
                "default_value", "default_value", dict(value=value, dtype="int64, in which buckets are")
            )
        if dtypes.carrier(self.dtype) == "int64":
            low, high = dtypes.integer_range("int64" if buckets and not normalized else self.dtype)
            if not finite or int(value) != value or not low <= value <= high:
                message = "default_value {value} does not fit {dtype}"
                raise PydanticCustomError("default_value", message, dict(value=value, dtype=self.dtype))
        elif not finite and self.non_finite != "keep":
            message = "default_value {value} does not fit {dtype}"
            finite_dtype = f"{self.dtype} and is finite (non_finite: keep takes others)"
            raise PydanticCustomError("default_value", message, dict(value=value, dtype=finite_dtype))
        elif finite and abs(value) > dtypes.largest_float(self.dtype):
            message = "default_value {value} does not fit {dtype}"
            raise PydanticCustomError("default_value", message, dict(value=value, dtype=self.dtype))


def numeric_of(column: Column) -> NumericBase | None:
    """Returns the numeric column whose values have statistics: the column itself, or an inner one; None for none."""
    if isinstance(column, NumericBase):
        return column
    return next((found for part in column.parts if (found := numeric_of(part)) is not None), None)
