"""Moments and quantiles of one column by group: the whole column, and every key. NumPy and Arrow alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.normalizers.asks import Ask
from transforms.statistics.moments import Moments
from transforms.statistics.moments import readable as readable_figures
from transforms.statistics.quantiles import Quantiles

KEYS_SHOWN: Final = 1000
"""Keys whose figures are written down for people: those with the most values."""


@dataclass
class Groups:
    """The statistics of some batches for one ask; group 0 is the whole column, group `1 + k` is `keys[k]`.

    Attributes:
      keys: distinct binary `[k]`.
      moments: of `1 + k` parts.
      quantiles: the streams `group * width + dimension`; None if no quantiles are asked for.
    """

    keys: pa.Array
    moments: Moments
    quantiles: Quantiles | None

    @classmethod
    def empty(cls, ask: Ask, dtype: str) -> Groups:
        """Returns what no batch amounts to, of values of one of `contributed.DTYPES`."""
        quantiles = Quantiles(fine=ask.width) if ask.probabilities else None
        return cls(pa.array([], pa.large_binary()), Moments.empty(dtype, 1, ask.width), quantiles)

    @classmethod
    def of(
        cls, ask: Ask, values: np.ndarray, observed: np.ndarray, places: np.ndarray, keys: Sequence[bytes]
    ) -> Groups:
        """Returns what one batch amounts to.

        Args:
          ask: the statistics that are asked for.
          values: `[n, width]`.
          observed: bool `[n, width]`.
          places: int64 `[n]`, the number of each one's key, -1 for none; `[0]` by no key.
          keys: the batch's keys.
        """
        keyed = np.flatnonzero(places >= 0)
        keyed = keyed[np.argsort(places[keyed], kind="stable")]
        rows = np.concatenate([np.arange(len(values)), keyed])
        groups = np.concatenate([np.zeros(len(values), np.int64), places[keyed] + 1])
        values, observed = values[rows], observed[rows]
        quantiles = None
        if ask.probabilities:
            streams = groups[:, np.newaxis] * ask.width + np.arange(ask.width)
            wide = np.where(observed, values, np.nan).astype(np.float64)
            quantiles = Quantiles.of(wide.reshape(-1), streams.reshape(-1), ask.width)
        splits = np.searchsorted(groups, np.arange(len(keys) + 2))
        return cls(pa.array(keys, pa.large_binary()), Moments.of(values, observed, splits), quantiles)

    @property
    def size(self) -> int:
        """Roughly how many numbers are held."""
        return self.moments.limbs.size // 2 + (self.quantiles.size if self.quantiles else 0)

    def merge(self, others: Sequence[Groups]) -> Groups:
        """Merges others into this one, whose quantiles are changed, and returns the result."""
        parts = [self, *others]
        coded = pa.concat_arrays([part.keys for part in parts]).dictionary_encode()
        codes = coded.indices.to_numpy().astype(np.int64) + 1
        numbers = list(_numbers(codes, [len(part.keys) for part in parts]))
        width = self.moments.counts.shape[1]
        moments = Moments.empty(self.moments.dtype, len(coded.dictionary) + 1, width)
        for part, number in zip(parts, numbers, strict=True):
            moments.add(part.moments, number)
        quantiles = self.quantiles
        if quantiles is not None:
            known = [
                part.quantiles.renumbered((n[:, np.newaxis] * width + np.arange(width)).reshape(-1))
                for part, n in zip(parts, numbers, strict=True)
                if part.quantiles is not None
            ]
            quantiles = known[0].merge(known[1:])
        return Groups(coded.dictionary, moments, quantiles)

    def figures(self, ask: Ask) -> np.ndarray:
        """Returns float64 `[1 + k, 5 + probabilities, width]`: count, mean, variance, min, max and the quantiles."""
        made = self.moments.figures()
        if self.quantiles is None:
            return made
        quantiles = self.quantiles.at(ask.probabilities, len(made) * ask.width)
        shaped = quantiles.reshape(len(ask.probabilities), len(made), ask.width)
        return np.concatenate([made, shaped.transpose(1, 0, 2)], axis=1)


def _numbers(codes: np.ndarray, counts: Sequence[int]) -> Iterator[np.ndarray]:
    """Yields for each part the new numbers of its groups; that of the whole column stays 0."""
    first = 0
    for count in counts:
        yield np.concatenate([[0], codes[first : first + count]])
        first += count


def readable(ask: Ask, groups: Groups) -> dict[str, Any]:
    """Returns the figures of one ask as JSON can hold them, of at most `KEYS_SHOWN` keys; None where there are no values."""
    figures = groups.figures(ask)
    made = {"column": ask.owner, "link": ask.link, "level": ask.level, "per": ask.per, **_shown(ask, figures[0])}
    if ask.per == "key":
        counts = groups.moments.counts[1:].sum(axis=1)
        names = [name.decode("utf-8", "backslashreplace") for name in groups.keys.to_pylist()]
        ranked = sorted(np.flatnonzero(counts).tolist(), key=lambda k: (-counts[k], names[k]))
        made |= {"key": ask.key, "keys": len(ranked)}
        made["by_key"] = {names[k]: _shown(ask, figures[k + 1]) for k in ranked[:KEYS_SHOWN]}
    return made


def _shown(ask: Ask, figures: np.ndarray) -> dict[str, Any]:
    there = figures[0].reshape(ask.figure_shape) > 0

    def shaped(row: np.ndarray) -> Any:
        return readable_figures(row.reshape(ask.figure_shape), there)

    names = ("mean", "variance", "min", "max")
    made: dict[str, Any] = {"count": figures[0].reshape(ask.figure_shape).astype(np.int64).tolist()}
    made |= {name: shaped(row) for name, row in zip(names, figures[1:5], strict=True)}
    if ask.probabilities:
        made["quantiles"] = {str(p): shaped(row) for p, row in zip(ask.probabilities, figures[5:], strict=True)}
    return made
