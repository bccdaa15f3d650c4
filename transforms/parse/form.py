"""The form of a column in the source, and what its values must become; and the markers of a step without an id."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from transforms import dtypes

NO_ID: Final = -(2**63)
"""The marker in a canonical column of integer ids for no id: in an empty step, or one with fewer ids than it may have."""


NO_WORD: Final = "\0seqcols: no word\0"
"""The same in a canonical column of words."""


NO_WEIGHT: Final = float("nan")
"""The same in a canonical column of float weights, which stand where ids stand; a weight of the data is never NaN."""


JSON: Final = "json"
"""The delimiter of sequences that are whole arrays in one string, as JSON, Python or NumPy write them."""


@dataclass(frozen=True)
class Form:
    """The form of a column's values in the source, and what they must become.

    Attributes:
      name: the column's name, for faults.
      dtype: declared dtype.
      delimiter: the separator of the values when a whole sequence is one string, or `JSON`; None for lists.
      step_width: values in a step, checked against nested input.
      ids: whether the values are ids or words (or their weights). A step may then hold fewer than `step_width`; the missing
        ones are `NO_ID`, `NO_WORD` or `NO_WEIGHT`. In flat input each value is then a step of its own.
      any_integer: whether every integer is a word of its own, so that the marker for no id must be refused. Where ids have a
        range, the marker is outside it anyway, like its neighbour.
      scalars: whether a plain scalar counts as a list of one (context columns).
      reject_overflow: see `carriers.convert`.
      time_unit: the unit of times; None for seconds, and no times as text.
    """

    name: str
    dtype: str
    delimiter: str | None = None
    step_width: int = 1
    ids: bool = False
    any_integer: bool = False
    scalars: bool = False
    reject_overflow: bool = True
    time_unit: str | None = None

    @property
    def same_as(self) -> tuple[object, ...]:
        """The settings that must be equal in columns that share a feature, because it is parsed once."""
        return (
            self.dtype,
            self.delimiter,
            self.step_width,
            self.ids,
            self.any_integer,
            self.scalars,
            self.time_unit,
        )

    @property
    def declared(self) -> str:
        """The dtype as people declare it."""
        return "uint64" if self.dtype == dtypes.DIGITS else self.dtype

    @property
    def values_a_step(self) -> int:
        """The number of values of a flat list that are one step."""
        return 1 if self.ids and not self.scalars else self.step_width

    @property
    def carrier(self) -> str:
        """The dtype expected in a tf.Example: text where a sequence is one string, else the dtype's carrier."""
        if self.delimiter is not None:
            return "string"
        return "int64" if self.dtype == dtypes.DIGITS else dtypes.carrier(self.dtype)

    @property
    def served(self) -> Form:
        """The form in a request: whoever sends an array as text could send the list."""
        return replace(self, delimiter=None) if self.delimiter == JSON else self

    @property
    def requested(self) -> str:
        """The dtype expected in a request of tensors: the same, except for float64, and for words of dtype uint64 (text)."""
        return dtypes.parsed(self.dtype) if self.delimiter is None else "string"
