"""Sequence groups: the columns that share one length, and what happens to rows longer or shorter than T."""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from transforms import shown

DEFAULT_GROUP: Final = "sequence"

MaxLength = Annotated[int, Field(strict=True, ge=1, lt=2**31)] | Literal["longest"]


class SequenceGroup(BaseModel):
    """How the columns of one group become `[T]`.

    Attributes:
      max_length: T in steps. A number, or `"longest"`: the longest accepted row of the data set (of the rows given,
        when used in memory).
      truncate: what happens to a row longer than T. `"head"` keeps the first T steps, `"tail"` the last T, `"reject"`
        rejects the row.
      padding: `"post"` puts the padding on the right, as TensorFlow does; `"pre"` on the left.
      concatenate: whether the columns of numbers are written as one feature, `<group>_input` `[T, D]` float32, as
        TensorFlow's `SequenceFeatures` gives it: in code-point order of their names, trailing dimensions flattened. Ids are
        written as they are.
      mask: whether the boolean `[T]` mask is written beside the length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_length: MaxLength = "longest"
    truncate: Literal["head", "tail", "reject"] = "head"
    padding: Literal["post", "pre"] = "post"
    concatenate: bool = False
    mask: bool = True

    def __repr__(self) -> str:
        """The call that makes it, with what is not the default."""
        return shown.call(type(self).__name__, self)

    __str__ = __repr__

    @property
    def fixed_length(self) -> int | None:
        """T where the spec fixes it, None where the data decides."""
        return None if self.max_length == "longest" else self.max_length
