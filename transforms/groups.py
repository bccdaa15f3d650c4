"""Sequence groups: the columns that share one length, and what happens to rows longer or shorter than T."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from transforms import reprs
from transforms.models import Model

DEFAULT_GROUP: Final = "sequence"

MaxLength = Annotated[int, Field(strict=True, ge=1, lt=2**31)] | Literal["longest"]

Steps = Annotated[int, Field(strict=True, ge=1, lt=2**31)]

MOST_BUCKETS: Final = 64
"""Length buckets of a group: a worker holds a file open for each."""

_MANY: Final = Field(min_length=1, max_length=MOST_BUCKETS)


def _as_tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


class SequenceGroup(Model):
    """The rules by which the columns of one group become `[T]`.

    Attributes:
      max_length: T in steps. A number, or `"longest"`: the longest accepted row of the data set (of the rows given,
        when used in memory).
      truncate: what happens to a row longer than T. `"head"` keeps the first T steps, `"tail"` the last T, `"reject"`
        rejects the row.
      min_length: the fewest steps that a row may have; one without the sequence has none.
      shorter: what happens to a row shorter than `min_length`. `"reject"` rejects it. `"drop"` leaves it out as a row that is
        meant to be: it is kept and counted as a rejected row is, with a reason of its own, but is none of those of which
        a job takes only so many.
      bucket_by_length: T of the length buckets, ascending. A job writes a row to the files of the first bucket whose T is at
        least the number of its kept steps, padded to that T and no further. The last bucket is that of `max_length`, which
        must be a number; it need not be listed. Only one group of a spec may have buckets. Elsewhere (serving, in memory, in
        your own pipeline) T is `max_length`. None for no buckets.
      padding: `"post"` puts the padding on the right, as TensorFlow does; `"pre"` on the left.
      concatenate: whether the columns of numbers are written as one feature, `<group>_input` `[T, D]` float32, as
        TensorFlow's `SequenceFeatures` returns it: in code-point order of their names, trailing dimensions flattened. Ids are
        written as they are.
      mask: whether the boolean `[T]` mask is written in addition to the length.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    max_length: MaxLength = "longest"
    truncate: Literal["head", "tail", "reject"] = "head"
    min_length: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0
    shorter: Literal["reject", "drop"] = "reject"
    bucket_by_length: (
        Annotated[
            tuple[Steps, ...],
            _MANY,
            BeforeValidator(_as_tuple, json_schema_input_type=Annotated[list[Steps], _MANY]),
        ]
        | None
    ) = None
    padding: Literal["post", "pre"] = "post"
    concatenate: bool = False
    mask: bool = True

    def __repr__(self) -> str:
        """The call that makes it, with what is not the default."""
        return reprs.call(type(self).__name__, self)

    __str__ = __repr__

    @property
    def fixed_length(self) -> int | None:
        """T where the spec fixes it, None where the data decides."""
        return None if self.max_length == "longest" else self.max_length

    @property
    def bucket_lengths(self) -> tuple[int, ...]:
        """T of every length bucket, ascending, that of `max_length` among them; none without buckets."""
        named, last = self.bucket_by_length, self.fixed_length
        return () if named is None or last is None else (*(size for size in named if size != last), last)
