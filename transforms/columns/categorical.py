"""The base of categorical columns: ids, several of them in a step, and how they are written when nothing wraps them."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from transforms import dtypes
from transforms.columns.base import Column, KeyedColumn
from transforms.columns.results import Checked, Output
from transforms.columns.steps import rows_without
from transforms.parse.form import NO_ID, NO_WORD, Form
from transforms.rows.ragged import Ragged
from transforms.rows.rejection import Fault

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window


@dataclass(frozen=True)
class StepIds:
    """The ids of a column's steps in a batch.

    Attributes:
      ids: int64 `[n, M]`; -1 where a step has no id: fewer than M, or out of the vocabulary.
      weights: float32 `[n, M]`, 0 where there is no id; None where the column has no weights.
    """

    ids: tf.Tensor
    weights: tf.Tensor | None = None


class Categorical(Column):
    """A column of ids: what indicator and embedding columns wrap."""

    @property
    @abstractmethod
    def id_count(self) -> int | None:
        """Ids are in `[0, id_count)`; None where the data decides."""

    @property
    @abstractmethod
    def ids_per_step(self) -> int:
        """M, the most ids that a step has."""

    @property
    def padding(self) -> int:
        """The value that is written where there is no id."""
        return -1

    @property
    def weighted(self) -> bool:
        """Whether every id has a weight."""
        return False

    @abstractmethod
    def step_ids(self, raw: RawTensors, window: Window | None, fitted: Findings) -> StepIds:
        """Returns the ids of the kept steps (of the rows, for a context column)."""

    def outputs(self, length: int | None) -> list[Output]:
        """See the base class."""
        return id_outputs(self, self.name, length)

    def dense(self, raw: RawTensors, window: Window | None, fitted: Findings) -> dict[str, tf.Tensor]:
        """See the base class."""
        return dense_ids(self, self.name, self.step_ids(raw, window, fitted), window)


def id_outputs(column: Categorical, name: str, length: int | None) -> list[Output]:
    """Returns the outputs of a column whose ids are written as they are: ids, and weights where it has any."""
    several = () if column.ids_per_step == 1 else (column.ids_per_step,)
    shape = (length, *several) if column.is_sequence else several
    made = [Output(name, "int64", shape, "ids", column.name, column.is_sequence)]
    if column.weighted:
        made.append(Output(f"{name}_weights", "float32", shape, "weights", column.name, column.is_sequence))
    return made


def dense_ids(column: Categorical, name: str, steps: StepIds, window: Window | None) -> dict[str, tf.Tensor]:
    """Returns those outputs: ids `[batch, T]` or `[batch, T, M]` with the column's padding, weights with 0."""
    import tensorflow as tf

    nothing = tf.constant(column.padding, tf.int64)
    made = {name: (tf.where(steps.ids < 0, nothing, steps.ids), nothing)}
    if steps.weights is not None:
        made[f"{name}_weights"] = (steps.weights, tf.constant(0.0))
    return {k: placed(v if column.ids_per_step > 1 else v[:, 0], window, fill) for k, (v, fill) in made.items()}


def placed(values: tf.Tensor, window: Window | None, fill: tf.Tensor) -> tf.Tensor:
    """Returns steps `[n, ...]` as `[batch, T, ...]` padded with a scalar; rows of a context column as they are."""
    import tensorflow as tf

    if window is None:
        return values
    return window.place(values, tf.fill([1, *values.shape[1:]], fill))


class KeyedCategorical(Categorical, KeyedColumn):
    """A categorical column of one feature of ids or words.

    Attributes:
      max_ids: the most ids in one step (one example, for a context column). With 1 the output is `[T]`, with more
        `[T, max_ids]`, from nested lists, one list per step. In a flat list every id is a step of its own.
      padding_id: the value where there is no id: in padding, steps with fewer ids, and for out-of-vocabulary words. TensorFlow's
        own -1 by default.
    """

    max_ids: Annotated[int, Field(strict=True, ge=1, lt=2**31)] = 1
    padding_id: Annotated[int, Field(strict=True, ge=-(2**63), lt=2**63)] = -1

    in_a_range: ClassVar[bool] = False
    """Whether the values are ids in a range; else every value is a word."""

    @property
    def word_dtype(self) -> str:
        """Declared dtype of the ids or words in the source."""
        return "int64"

    @property
    def ids_per_step(self) -> int:
        """See the base class."""
        return self.max_ids

    @property
    def padding(self) -> int:
        """See the base class."""
        return self.padding_id

    @property
    def step_width(self) -> int:
        """See the base class."""
        return self.max_ids

    def form(self) -> Form:
        """See the base class."""
        width = self.max_ids if self.is_sequence else 1
        dtype = dtypes.DIGITS if self.word_dtype == "uint64" else self.word_dtype
        whole = dtypes.carrier(dtype) == "int64" and not self.in_a_range
        scalars, unit = not self.is_sequence, self.time_unit
        return Form(self.name, dtype, self.delimiter, width, True, whole, scalars=scalars, time_unit=unit)

    def check_values(self, values: Ragged) -> Checked:
        """See the base class."""
        empty = empty_places(values, self.step_width)
        checked = self.check_words(values, empty)
        faults = [*self.missing_faults(values), *checked.faults]
        if self.is_sequence:
            return Checked(faults, values.steps(self.step_width), None, empty, checked.flags)
        several = np.flatnonzero(values.lengths > self.max_ids)
        if len(several):
            shown = [f"{n} ids" for n in values.lengths[several]]
            allowed = "one id" if self.max_ids == 1 else f"at most {self.max_ids} ids"
            faults.append(Fault("wrong_value_count", self.name, several, shown, f"expected {allowed}"))
        completed = np.maximum(self.max_ids - values.lengths, 0)
        return Checked(faults, None, completed, empty, checked.flags)

    def meant(self, reason: str) -> str:
        """See the base class."""
        if reason == "wrong_value_count" and not self.is_sequence:
            return f"if these are the steps of a sequence: sequence_{self.type_name}"
        return super().meant(reason)

    def check_words(self, values: Ragged, empty: np.ndarray | None) -> Checked:
        """Applies the rules of the family to the values but for `empty` places (bool, as long as the values; None for none)."""
        return Checked([])

    def valid(self, raw: RawTensors) -> tf.Tensor:
        """See the base class."""
        import tensorflow as tf

        values = raw[self.key]
        words = values.flat_values
        wrong = self.wrong_words(words)
        there = tf.not_equal(words, NO_ID if words.dtype.is_integer else NO_WORD)
        good = tf.ones([values.nrows()], tf.bool) if self.is_sequence else values.row_lengths() <= self.max_ids
        return good if wrong is None else tf.logical_and(good, rows_without(tf.logical_and(wrong, there), values))

    def wrong_words(self, words: tf.Tensor) -> tf.Tensor | None:
        """Returns the values that `check_words` rejects rows for, bool in their shape; None for none."""
        return None

    @abstractmethod
    def ids_of(self, words: tf.Tensor, fitted: Findings) -> tf.Tensor:
        """Returns the id of every word or raw id, int64 of the same shape; -1 for those that have none."""

    def step_words(self, raw: RawTensors, window: Window | None) -> tuple[tf.Tensor, tf.Tensor]:
        """Returns the words of the kept steps `[n, M]`, and which of them are there (bool `[n, M]`)."""
        import tensorflow as tf

        values = raw[self.key]
        nothing = NO_ID if values.dtype.is_integer else NO_WORD
        if window is None:
            words = values.to_tensor(nothing, shape=[None, self.max_ids])
        else:
            words = window.select(tf.reshape(values.flat_values, [-1, self.max_ids]))
        return words, tf.not_equal(words, nothing)

    def step_ids(self, raw: RawTensors, window: Window | None, fitted: Findings) -> StepIds:
        """See the base class."""
        import tensorflow as tf

        words, there = self.step_words(raw, window)
        ids = self.ids_of(words, fitted)
        return StepIds(tf.where(there, ids, tf.constant(-1, tf.int64)))


def empty_places(column: Ragged, width: int) -> np.ndarray | None:
    """Returns where a canonical column of ids, `width` a step, has the marker of none, bool; None where it has it nowhere."""
    values = column.values
    if pa.types.is_integer(values.type):
        return None if column.seen(width).least > NO_ID else np.asarray(values.to_numpy() == NO_ID)
    marker = pa.scalar(NO_WORD.encode() if pa.types.is_large_binary(values.type) else NO_WORD, values.type)
    empty = np.asarray(pc.equal(values, marker).to_numpy(zero_copy_only=False))
    return empty if empty.any() else None


def text_of(words: tf.Tensor) -> tf.Tensor:
    """Returns words as text: integers in decimal, as TensorFlow hashes and looks them up."""
    import tensorflow as tf

    return tf.strings.as_string(words) if words.dtype.is_integer else words


def python_int(value: Any) -> Any:
    """Returns a NumPy integer, which TensorFlow's constructors take too, as a Python one."""
    return int(value) if isinstance(value, np.integer) else value


WORD_DTYPES = (*dtypes.STRINGS, *dtypes.INTEGERS)
"""The dtypes of words: text, which must be UTF-8; bytes, which may be anything; integers, which count as their decimal text."""


def tensorflow_dtype(column: Any) -> str:
    """Returns the dtype of a column of TensorFlow's; text is `bytes`, as TensorFlow, which takes any."""
    name = dtypes.dtype_name(column.dtype)
    return "bytes" if name == "string" else name
