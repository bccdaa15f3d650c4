"""Statistics that columns ask for, as data: the analysis collects them, normalizers are given them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Per = Literal["dimension", "column", "row", "key"]


@dataclass(frozen=True)
class Ask:
    """A request for statistics of one column's values before one link of its chain of normalizers.

    Attributes:
      owner: name of the column.
      link: number of the link; 0 is before the first: the raw values.
      level: the number of earlier links that have statistics of the data set themselves, and so must be fitted first.
      per: `dimension`, `column` or `key`; statistics of a row are not requested, because the row has them.
      shape: shape of a step.
      key: for `per: key`, the feature with the key.
      probabilities: the requested quantiles, each in [0, 1].
    """

    owner: str
    link: int
    level: int
    per: Per
    shape: tuple[int, ...]
    key: str = ""
    probabilities: tuple[float, ...] = ()

    @property
    def width(self) -> int:
        """Dimensions that have figures of their own."""
        return 1 if self.per == "column" else math.prod(self.shape)

    @property
    def figure_shape(self) -> tuple[int, ...]:
        """Shape of one figure: that of a step, or `(1,)` where the column has one for all its dimensions."""
        return (1,) if self.per == "column" else self.shape

    @property
    def packed(self) -> bool:
        """Whether the table of moments answers it: no quantiles, no keys."""
        return self.per != "key" and not self.probabilities
