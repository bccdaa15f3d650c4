"""Several normalizers, one after the other."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Self

from pydantic import Field, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from transforms.normalizers.base import Normalizer, Statistics

if TYPE_CHECKING:
    import tensorflow as tf


class Chain(Normalizer):
    """Puts values through its members, from the first to the last; a columns file writes a list.

    Each member has the statistics of its predecessor's output: `[log1p, z_score]` has the mean of the logarithms. A chain of one
    member is that member.

    Attributes:
      members: the normalizers, at least one; a chain among them is replaced by its members.
    """

    members: tuple[Normalizer, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _order_fits(self) -> Self:
        faults: list[InitErrorDetails] = []
        for k, (member, after) in enumerate(pairwise(self.members), 1):
            if member.only_last:
                what = PydanticCustomError("last", "nothing after {name}", dict(name=_name(member.links[-1])))
                faults.append({"type": what, "loc": (k,), "input": getattr(after, "type", after)})
        if faults:
            raise ValidationError.from_exception_data(type(self).__name__, faults)
        return self

    @property
    def needs_statistics(self) -> bool:
        """See the base class."""
        return any(link.needs_statistics for link in self.links)

    @property
    def uses_data(self) -> bool:
        """See the base class."""
        return any(link.uses_data for link in self.links)

    @property
    def can_spoil(self) -> bool:
        """See the base class."""
        return any(link.can_spoil for link in self.links)

    @property
    def only_last(self) -> bool:
        """See the base class."""
        return self.links[-1].only_last

    @property
    def links(self) -> tuple[Normalizer, ...]:
        """See the base class; flat."""
        return tuple(link for member in self.members for link in member.links)

    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """Applies the links one after the other. Columns do that themselves, because each has statistics of its own.

        Args:
          values: `[steps, *shape]`.
          statistics: those of the values, for the first link.

        Raises:
          ValueError: a later link needs statistics, which are not those of the values.
        """
        for k, link in enumerate(self.links):
            if k and link.needs_statistics:
                raise ValueError(f"expected statistics for {_name(link)} after {k} other normalizers, got the column's")
            values = link.apply(values, statistics)
        return values


def _name(normalizer: Normalizer) -> str:
    return repr(getattr(normalizer, "type", type(normalizer).__name__))


def places(normalizer: Normalizer | None) -> list[str]:
    """Returns where each link stands in what a column was given: `""` for one by itself, `"[0]"`, `"[1]"` ... in a list."""
    if normalizer is None:
        return []
    return [f"[{k}]" for k in range(len(normalizer.links))] if isinstance(normalizer, Chain) else [""]
