"""The interface of a column type: how it is parsed, what it checks, and what it becomes in the graph.

A column type is one file beside this one and one line in `transforms.columns.TYPES`. The three stages ask it in order:
`features` says how `parse` reads Arrow columns, `check` looks at the canonical list columns, `dense` works inside the TensorFlow
graph.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from transforms import dtypes, reprs
from transforms.columns.results import Checked, Output
from transforms.errors import nearest
from transforms.groups import DEFAULT_GROUP
from transforms.models import Model
from transforms.parse.form import Form
from transforms.rows.ragged import Ragged
from transforms.rows.rejection import Fault
from transforms.stored.files import digest

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window
    from transforms.normalizers.asks import Ask


def dtype_among(allowed: tuple[str, ...], what: str) -> Any:
    """Returns a pydantic validator of a dtype, by any of its names, that is one of those allowed."""

    def convert(value: Any) -> str:
        """Returns the name of a dtype."""
        try:
            name = dtypes.dtype_name(value)
        except TypeError:
            name = repr(value)
        if name not in allowed:
            hint = nearest(name, allowed)
            raise PydanticCustomError(
                "dtype", "expected {what}, got {name}{hint}", dict(what=what, name=name, hint=hint)
            )
        return name

    return BeforeValidator(convert, json_schema_input_type=Literal[allowed])


NumericDtype = Annotated[str, dtype_among(dtypes.INTEGERS + dtypes.FLOATS, "an integer or float dtype")]


def _shape(value: Any) -> Any:
    """TensorFlow takes one int for a shape of one dimension, and any sequence of ints."""
    if isinstance(value, list):
        return tuple(value)
    return value if isinstance(value, tuple) else (value,)


Dimension = Annotated[int, Field(strict=True, ge=1, lt=2**31)]
Shape = Annotated[tuple[Dimension, ...], BeforeValidator(_shape, json_schema_input_type=list[Dimension] | Dimension)]
Key = Annotated[str, Field(strict=True, min_length=1)]


class Column(Model, ABC):
    """Base of every column type. Frozen; unknown arguments are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    in_graph: ClassVar[bool] = True
    """Whether `dense` computes the column. Outside the graph `passed_through` does: one output, with the column's name."""
    path_fields: ClassVar[tuple[str, ...]] = ()
    """Arguments that are paths of files. In a columns file, relative paths begin where the file lies."""
    inner_field: ClassVar[str] = ""
    """The argument that is the column that this one is built from, if there is one."""
    tensorflow_class: ClassVar[str] = ""
    """Name of the class of `tf.feature_column` objects that become columns of this type."""

    @classmethod
    def make(cls, **arguments: Any) -> Self:
        """Builds the column; raises the exception types that TensorFlow's constructors raise.

        Raises:
          TypeError: an argument has the wrong type, is missing or is unknown.
          ValueError: an argument has a value that is not allowed.
        """
        return cls(**arguments)

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """Returns our arguments for an object of `tensorflow_class`; `converted` converts its inner columns."""
        raise NotImplementedError

    def __repr__(self) -> str:
        """The call that makes the column, with what is not the default."""
        fields = type(self).model_fields
        return reprs.call(self.type_name, self, *("key",) * ("key" in fields))

    __str__ = __repr__

    @property
    def type_name(self) -> str:
        """Name of the column type, as in the columns file."""
        return str(type(self).model_fields["type"].default)

    @property
    @abstractmethod
    def name(self) -> str:
        """Name of the column, as TensorFlow names it."""

    if TYPE_CHECKING:  # a field of most columns, which pydantic would not let shadow a property

        @property
        def key(self) -> str:
            """Name of the feature whose values the ledger counts for this column."""

    @property
    @abstractmethod
    def features(self) -> Mapping[str, Form]:
        """The form of each feature that the column reads, by name. The one named `key` comes first."""

    @property
    def sequence_group(self) -> str | None:
        """The sequence group of the column's steps; None for a context column."""
        return None

    @property
    def optional(self) -> bool:
        """Whether a file may be without the features, although its schema tells what it has: `required: false` says so."""
        return any(part.optional for part in self.parts)

    @property
    def is_sequence(self) -> bool:
        """Whether the column's steps make a sequence."""
        return self.sequence_group is not None

    @property
    def step_width(self) -> int:
        """Values in one step (one example, for a context column)."""
        return 1

    @property
    def parts(self) -> tuple[Column, ...]:
        """The inner columns: for a wrapper, the wrapped column."""
        return ()

    def path_to(self, argument: str) -> str:
        """Returns where an argument of the keyed column is: in this column, or in an inner one."""
        return argument

    def place_of(self, feature: str) -> str:
        """Returns where the name of a feature that the column reads stands, as `path_to` does."""
        return "key"

    def fixed(self) -> tuple[tuple[int, ...], Any] | None:
        """Returns the shape and the default value (or None) of the feature in every row; None if rows may differ in shape."""
        return None

    def side_by_side(self, name: str, count: int) -> Column | None:
        """Returns a column that does in the graph what `count` columns like this one do, None where there is none.

        Args:
          name: its name and feature. A step of that holds the steps of all of them; its outputs are theirs, stacked on axis 2.
          count: the number of columns.
        """
        return None

    @property
    def stacks(self) -> bool:
        """Whether rows of such columns of other groups may stand below its own, too: each step has figures of its own then."""
        return self.is_sequence

    def asks(self) -> Sequence[Ask]:
        """Returns the statistics that are collected for the column."""
        return ()

    def words_to_learn(self, raw: RawTensors, window: Window | None) -> tf.Tensor | None:
        """Returns the words `[n]` of a batch that the column learns its vocabulary from, None where it learns none."""
        return None

    @property
    def read_digests(self) -> tuple[str, ...]:
        """Digests of what the files hold that the column names (`path_fields`), those of its parts included."""
        named = [getattr(self, name) for name in self.path_fields]
        own = (digest(path) for path in named if isinstance(path, str))
        return (*filter(None, own), *(found for part in self.parts for found in part.read_digests))

    @property
    def needs_data(self) -> bool:
        """Whether the column can be densified only after the whole data set was read."""
        return any(part.needs_data for part in self.parts)

    @abstractmethod
    def check(self, views: Mapping[str, Ragged]) -> Checked:
        """Applies the column's rules to the canonical values of its features."""

    def valid(self, raw: RawTensors) -> tf.Tensor:
        """Returns the rows that `check` would let through, bool `[batch]`: for a graph, which cannot reject any.

        Whether a row has a feature at all (`required`) tensors do not tell: that is asked of the request.
        """
        import tensorflow as tf

        good = [tf.ones([raw[self.key].nrows()], tf.bool), *(part.valid(raw) for part in self.parts)]
        return tf.reduce_all(tf.stack(good), axis=0)

    @abstractmethod
    def outputs(self, length: int | None) -> list[Output]:
        """Returns the features that the column becomes, for T = `length`."""

    @abstractmethod
    def dense(self, raw: RawTensors, window: Window | None, fitted: Findings) -> dict[str, tf.Tensor]:
        """Builds the column's outputs inside the graph, `[batch, ...]`, from raw values `[batch, (values)]` by feature."""

    def meant(self, reason: str) -> str:
        """Returns what was probably meant where the column rejects most rows for a reason; an empty string where nobody knows."""
        return next(filter(None, (part.meant(reason) for part in self.parts)), "")

    def passed_through(self, values: Ragged) -> pa.Array:
        """Returns the values to write for a column outside the graph, `[rows]`, from its canonical values."""
        raise NotImplementedError


class KeyedColumn(Column):
    """A column of one feature.

    Attributes:
      key: name of the feature in the source.
      required: true rejects a row without the feature; else an absent sequence is an empty one. Only `false`, said and not left
        out, allows a file whose schema tells its features to be without this one.
      delimiter: the separator of the values if one string holds a whole sequence, for example `","`; `"json"` if it is an array.
      time_unit: the unit that timestamps and other times become numbers of. Seconds if it is not given; if it is, text may be a
        time in ISO 8601, too.
    """

    key: Key  # a field where the base names an attribute
    required: bool | None = Field(default=None, strict=True)
    delimiter: str | None = Field(default=None, strict=True, min_length=1)
    time_unit: Literal["s", "ms", "us", "ns", "m", "h", "d"] | None = None

    @property
    def name(self) -> str:
        """See the base class."""
        return self.key

    @property
    def optional(self) -> bool:
        """See the base class."""
        return self.required is False

    @abstractmethod
    def form(self) -> Form:
        """Returns how the feature is parsed."""

    @property
    def features(self) -> Mapping[str, Form]:
        """See the base class."""
        return {self.key: self.form()}

    @model_validator(mode="after")
    def _unit_applies(self) -> Self:
        if self.time_unit is not None and self.form().dtype in dtypes.STRINGS:
            raise ValueError(f"time_unit {self.time_unit!r} does not apply to text: no time becomes a number")
        if self.time_unit is not None and self.delimiter is not None:
            raise ValueError(f"time_unit {self.time_unit!r} does not apply with a delimiter: such text holds no times")
        return self

    def check(self, views: Mapping[str, Ragged]) -> Checked:
        """See the base class."""
        return self.check_values(views[self.key])

    @abstractmethod
    def check_values(self, values: Ragged) -> Checked:
        """Applies the column's rules to its canonical values."""

    def missing_faults(self, values: Ragged) -> list[Fault]:
        """Returns a fault for every row in which a required column is absent."""
        rows = np.flatnonzero(~values.present) if self.required else np.zeros(0, np.int64)
        message = f"expected the feature {self.key!r}"
        return [Fault("missing", self.name, rows, ["absent"] * len(rows), message)] if len(rows) else []


class SequenceMixin(BaseModel):
    """The part of a keyed column that makes it a sequence.

    Attributes:
      group: the sequence group whose T and length the column shares.
    """

    group: Key = DEFAULT_GROUP

    @property
    def sequence_group(self) -> str:
        """See `Column`."""
        return self.group


def faulty_rows(column: Column, reason: str, values: Ragged, bad: np.ndarray, message: str) -> list[Fault]:
    """Returns one fault a row for the values flagged in `bad` (bool, as long as the values), showing the first."""
    positions = np.flatnonzero(bad)
    if not len(positions):
        return []
    rows, first = np.unique(values.rows_of(positions), return_index=True)
    at = positions[first]
    shown = [str(v) for v in values.values.take(pa.array(at)).to_pylist()]
    step = (at - values.splits[rows]) // max(column.step_width, 1)
    where = [f"{value} at step {k}" if column.is_sequence else value for value, k in zip(shown, step, strict=True)]
    return [Fault(reason, column.name, rows, where, message)]
