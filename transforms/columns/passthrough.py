"""`passthrough_column`: keys and strings that travel with the example untouched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import StrictFloat, StrictInt, StrictStr, model_validator

from transforms import dtypes
from transforms.columns.base import KeyedColumn, dtype_among
from transforms.columns.results import Checked, Output
from transforms.parse.form import Form
from transforms.rows.ragged import Ragged
from transforms.rows.rejection import Fault

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window

PASSED: Final = (*dtypes.STRINGS, "int64", "uint64", "float32", "float64")
PassthroughDtype = Annotated[str, dtype_among(PASSED, f"{', '.join(PASSED[:-1])} or {PASSED[-1]}")]


class Passthrough(KeyedColumn):
    """One scalar per example, written as it is read. It is not part of the graph: a request need not carry it.

    Attributes:
      dtype: `string` (checked to be UTF-8), `bytes`, `int64`, `uint64`, `float32` or `float64`.
      default_value: the value for rows without the feature; if it is not given, such a row is rejected (`missing`).
    """

    in_graph: ClassVar[bool] = False

    type: Literal["passthrough_column"] = "passthrough_column"
    dtype: PassthroughDtype = "string"
    default_value: StrictStr | StrictInt | StrictFloat | None = None

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.delimiter is not None:
            raise ValueError(f"delimiter {self.delimiter!r} does not apply: one value is passed through")
        value = self.default_value
        if value is None:
            return self
        if not self._fits(value):
            raise ValueError(f"default_value {value!r} does not fit {self.dtype}")
        return self

    def _fits(self, value: str | int | float) -> bool:
        if self.dtype in dtypes.STRINGS or isinstance(value, str):
            return self.dtype in dtypes.STRINGS and isinstance(value, str)
        if self.dtype in dtypes.FLOATS:
            return abs(value) <= dtypes.largest_float(self.dtype)
        info = np.iinfo(self.dtype)
        return isinstance(value, int) and int(info.min) <= value <= int(info.max)

    def form(self) -> Form:
        """See the base class."""
        dtype = dtypes.DIGITS if self.dtype == "uint64" else self.dtype
        return Form(self.name, dtype, scalars=True, reject_overflow=False, time_unit=self.time_unit)

    def check_values(self, values: Ragged) -> Checked:
        """See the base class."""
        absent = np.flatnonzero(values.lengths == 0)
        faults = self.missing_faults(values)
        if self.default_value is None and len(absent):
            message = "expected one value (the column has no default_value)"
            faults.append(Fault("missing", self.name, absent, ["absent"] * len(absent), message))
        several = np.flatnonzero(values.lengths > 1)
        if len(several):
            shown = [f"{n} values" for n in values.lengths[several]]
            faults.append(Fault("wrong_value_count", self.name, several, shown, "expected one value"))
        return Checked(faults, completed=(values.lengths == 0).astype(np.int64))

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        return [Output(self.name, self.dtype, (), "values", self.name)]

    def dense(self, raw: RawTensors, window: Window | None, fitted: Findings) -> dict[str, tf.Tensor]:
        """Not part of the graph."""
        raise AssertionError("a pass-through column is not in the graph")

    def passed_through(self, values: Ragged) -> pa.Array:
        """See the base class: the value after validation, or the default."""
        there = values.lengths > 0
        at = pa.array(np.where(there, values.splits[:-1], 0), pa.int64(), mask=~there)
        found, default = values.values.take(at), self.default_value
        if self.dtype == "uint64":
            found = found.cast(pa.uint64())
        if self.dtype in dtypes.FLOATS and default is not None:
            default = float(default)  # rounded as a value is: pyarrow 25 refuses an int that float32 does not hold
        return found if default is None else found.fill_null(pa.scalar(default, found.type))

    def fixed(self) -> tuple[tuple[int, ...], Any]:
        """See the base class."""
        return (), self.default_value


def passthrough_column(key: str, dtype: Any = "string", default_value: Any = None, **more: Any) -> Passthrough:
    """Builds a `Passthrough` column.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: the dtype is not among those that can be passed through.
    """
    return Passthrough.make(key=key, dtype=dtype, default_value=default_value, **more)
