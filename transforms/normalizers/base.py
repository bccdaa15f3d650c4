"""What a normalizer is: something that maps present steps to normalised steps, given the fitted statistics."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class ColumnMoments:
    """Statistics of one column over its accepted, kept, finite values; float64 tensors.

    Each has the shape of the column's step, or `[1]` where the column asks for one pair of figures.
    """

    count: Any
    mean: Any
    variance: Any
    min: Any
    max: Any


class Normalizer(BaseModel, ABC):
    """Base of every normalizer. One file beside this one and one line in `transforms.normalizers.TYPES`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, arbitrary_types_allowed=True)

    needs_statistics: ClassVar[bool] = False
    """Whether a pass over the data has to come first."""

    per: Literal["dimension", "column"] = "dimension"

    @abstractmethod
    def apply(self, values: tf.Tensor, moments: ColumnMoments) -> tf.Tensor:
        """Normalises present steps.

        Args:
          values: `[steps, *shape]` in the column's dtype; NaN where a value is to be filled afterwards.
          moments: the column's statistics.

        Returns:
          `[steps, *shape]`, each step a function of that step and the statistics alone.
        """
