"""Centres: where the bins of a column's raw values lie densest, so that values far from 0 fall into different bins."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from transforms.columns import Column
from transforms.columns.numeric_base import numeric_of
from transforms.spec.spec import Spec
from transforms.statistics import moments

MOST_APART: Final = 4
"""Steps of up to this many values are counted by dimension; wider steps, with all dimensions together."""

FAR_FROM_ZERO: Final = 4.0
"""Values are counted around their mean if that is at least this many standard deviations away from 0."""


@dataclass(frozen=True)
class Centre:
    """The point where the bins of a column's raw values lie densest: one figure per dimension, or one for all together.

    Attributes:
      values: float64 `[dimensions]`; 0 for none.
    """

    values: tuple[float, ...]

    def of(self, dtype: np.dtype) -> np.ndarray:
        """Returns the centre in a dtype, `[dimensions]`: integers are rounded."""
        return np.array([round(value) for value in self.values] if dtype.kind == "i" else self.values, dtype)


def centres(spec: Spec, table: np.ndarray | None) -> dict[str, Centre]:
    """Returns the centre of every column that has numbers.

    Args:
      spec: the columns.
      table: the moments of the first level, `[5, dimensions]` (see `transforms.statistics.moments`); None before there is one.
    """
    made = {c.name: Centre((0.0,) * dimensions(c)) for c in spec.columns if numeric_of(c) is not None}
    if table is None:
        return made
    asks = [ask for ask in spec.asks if ask.level == 0 and ask.packed]
    by_name = {column.name: column for column in spec.columns}
    for ask, place in zip(asks, moments.slices([ask.width for ask in asks]), strict=True):
        if ask.link == 0:
            count = dimensions(by_name[ask.owner])
            own = table[:, place] if count > 1 or ask.width == 1 else moments.pooled(table[:, place])
            far = np.abs(own[1]) > FAR_FROM_ZERO * np.sqrt(own[2])
            values = np.where(far & (own[0] > 0) & np.isfinite(own[1]), own[1].astype(np.float32), 0.0)
            made[ask.owner] = Centre(tuple(float(value) for value in np.broadcast_to(values, count)))
    return made


def read_centres(spec: Spec, path: str) -> dict[str, Centre]:
    """Returns the centres by a file with the moments of the first level (`saved.moments_file`), none with no path."""
    if not path:
        return centres(spec, None)
    from apache_beam.io.filesystems import FileSystems  # what counts a batch works without Beam

    with FileSystems.open(path) as file:
        return centres(spec, moments.loads(file.read()))


def dimensions(column: Column) -> int:
    """Returns the number of dimensions of a column that are counted separately; 1 if all are counted together."""
    numeric = numeric_of(column)
    width = numeric.step_width if numeric is not None else 1
    return width if width <= MOST_APART else 1
