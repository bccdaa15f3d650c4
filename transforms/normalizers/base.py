"""The interface of a normalizer: it maps present steps to normalised steps, given the fitted statistics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import ConfigDict, Field, model_validator

from transforms import reprs
from transforms.models import Model
from transforms.normalizers.asks import Per

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Statistics:
    """Statistics of one column over its accepted, kept, finite values; float64 tensors.

    Each broadcasts against the steps `[steps, *shape]`: it has the shape of a step, or `[1]` if the column asks for one figure
    for all dimensions, or `[steps, *shape]` if figures are by row or by key.

    Attributes:
      count: number of values.
      mean: their mean; 0 without values.
      variance: their population variance (ddof 0); 0 without values.
      min: the smallest; +inf without values.
      max: the largest; -inf without values.
      quantiles: probability to quantile, for those that the normalizer asked for; NaN without values.
    """

    count: Any
    mean: Any
    variance: Any
    min: Any
    max: Any
    quantiles: Mapping[float, Any] = field(default_factory=dict)


class Normalizer(Model, ABC):
    """Base of every normalizer. A new one needs a file next to this one and a line in `transforms.normalizers.TYPES`.

    Attributes:
      per: which values share their statistics: those of a `"dimension"` of the step, of the whole `"column"`, of a `"row"` (each
        sequence has its own statistics), or of a `"key"` (all rows with the same value of a context feature).
      key: the context feature for `per: key`; another column of the same spec must read it. Rows without it, and keys that the
        analysis did not see, use the statistics of the whole column.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    per: Per = "dimension"
    key: Annotated[str, Field(min_length=1)] | None = None

    def __repr__(self) -> str:
        """The call that makes it, with what is not the default."""
        return reprs.call(type(self).__name__, self)

    __str__ = __repr__

    @property
    def needs_statistics(self) -> bool:
        """Whether it is given statistics at all."""
        return False

    @property
    def can_spoil(self) -> bool:
        """Whether it can make a NaN or an infinity of a finite value, of those that the statistics are from or of later ones."""
        return False

    @property
    def only_last(self) -> bool:
        """Whether no other normalizer of a chain may come after it."""
        return False

    @property
    def uses_data(self) -> bool:
        """Whether a pass over the data has to come first."""
        return self.needs_statistics and self.per != "row"

    @property
    def probabilities(self) -> tuple[float, ...]:
        """Quantiles that it needs, each in [0, 1]."""
        return ()

    @property
    def links(self) -> tuple[Normalizer, ...]:
        """The normalizers that are applied one after the other: this one, or those of a chain."""
        return (self,)

    @model_validator(mode="after")
    def _key_fits(self) -> Self:
        if self.per == "key" and self.key is None:
            raise ValueError("per 'key' needs a key: the context feature to go by")
        if self.per != "key" and self.key is not None:
            raise ValueError(f"key {self.key!r} does not apply to per {self.per!r}: only 'key' goes by a feature")
        if not self.needs_statistics and self.per != "dimension":
            raise ValueError(f"per {self.per!r} does not apply: there are no statistics")
        return self

    @abstractmethod
    def apply(self, values: tf.Tensor, statistics: Statistics) -> tf.Tensor:
        """Normalises present steps.

        Args:
          values: `[steps, *shape]` in the column's dtype; NaN where a value is to be filled afterwards.
          statistics: the column's statistics.

        Returns:
          `[steps, *shape]`, each value a function of that value and the statistics alone; numbers with a fraction in float64,
          which the column rounds.
        """
