"""Moments and quantiles of one column by group: the whole column, and every key. NumPy and Arrow alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms import moments
from transforms.asks import Ask
from transforms.quantiles import Quantiles

KEYS_SHOWN: Final = 1000
"""Keys whose figures are written down for people: those with the most values."""


@dataclass
class Groups:
    """What some batches amount to for one ask; group 0 is the whole column, group `1 + k` is `keys[k]`.

    Attributes:
      keys: distinct binary `[k]`.
      tables: float64 `[1 + k, 5, width]`, moments.
      quantiles: the streams `group * width + dimension`; None where no quantiles are asked for.
    """

    keys: pa.Array
    tables: np.ndarray
    quantiles: Quantiles | None

    @classmethod
    def empty(cls, ask: Ask) -> Groups:
        """Returns what no batch amounts to."""
        quantiles = Quantiles(fine=ask.width) if ask.probabilities else None
        return cls(pa.array([], pa.large_binary()), moments.empty(ask.width)[np.newaxis], quantiles)

    @classmethod
    def of(cls, ask: Ask, values: np.ndarray, places: np.ndarray, keys: Sequence[bytes]) -> Groups:
        """Returns what one batch amounts to, from values `[n, width]` and the number of each one's key (`[]` by no key)."""
        whole = np.zeros(len(values), np.int64)
        keyed = np.flatnonzero(places >= 0)
        rows = np.concatenate([np.arange(len(values)), keyed])
        groups = np.concatenate([whole, places[keyed] + 1])
        order = np.argsort(groups, kind="stable")
        values, groups = values[rows[order]], groups[order]
        quantiles = None
        if ask.probabilities:
            streams = groups[:, np.newaxis] * ask.width + np.arange(ask.width)
            quantiles = Quantiles.of(values.reshape(-1), streams.reshape(-1), ask.width)
        return cls(pa.array(keys, pa.large_binary()), _tables(values, groups, len(keys) + 1), quantiles)

    @property
    def size(self) -> int:
        """Roughly how many numbers are held."""
        return self.tables.size + (self.quantiles.size if self.quantiles else 0)

    def merge(self, others: Sequence[Groups]) -> Groups:
        """Merges others into this one, whose quantiles are changed, and returns the result."""
        parts = [self, *others]
        coded = pa.concat_arrays([part.keys for part in parts]).dictionary_encode()
        codes = coded.indices.to_numpy().astype(np.int64) + 1
        numbers = list(_numbers(codes, [len(part.keys) for part in parts]))
        count = len(coded.dictionary) + 1
        tables = _merged(np.concatenate([part.tables for part in parts]), np.concatenate(numbers), count)
        quantiles = self.quantiles
        if quantiles is not None:
            width = self.tables.shape[2]
            known = [
                part.quantiles.renumbered((n[:, np.newaxis] * width + np.arange(width)).reshape(-1))
                for part, n in zip(parts, numbers, strict=True)
                if part.quantiles is not None
            ]
            quantiles = known[0].merge(known[1:])
        return Groups(coded.dictionary, tables, quantiles)

    def figures(self, ask: Ask) -> np.ndarray:
        """Returns float64 `[1 + k, 5 + probabilities, width]`: count, mean, variance, min, max and the quantiles."""
        made = self.tables.copy()
        made[:, 2] /= np.maximum(made[:, 0], 1)
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


@moments.beyond
def _tables(values: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Returns the moments `[count, 5, width]` of values `[n, width]` by group, which is ascending; NaN does not count."""
    made = np.repeat(moments.empty(values.shape[1])[np.newaxis], count, axis=0)
    some, starts = np.unique(groups, return_index=True)
    if not len(some):
        return made
    seen = np.isfinite(values)
    number = np.add.reduceat(seen.astype(np.float64), starts)
    mean = np.add.reduceat(np.where(seen, values, 0), starts) / np.maximum(number, 1)
    off = np.where(seen, values - np.repeat(mean, np.diff([*starts, len(values)]), axis=0), 0)
    # The second term is zero but for rounding of the mean; it takes that rounding out again.
    spread = np.add.reduceat(off * off, starts) - np.add.reduceat(off, starts) ** 2 / np.maximum(number, 1)
    low = np.minimum.reduceat(np.where(seen, values, np.inf), starts)
    high = np.maximum.reduceat(np.where(seen, values, -np.inf), starts)
    made[some] = np.stack([number, mean, np.maximum(spread, 0), low, high], axis=1)
    return made


@moments.beyond
def _merged(tables: np.ndarray, groups: np.ndarray, count: int) -> np.ndarray:
    """Merges tables `[n, 5, width]` of the same group, as `moments.merge` does, into `[count, 5, width]`."""
    order = np.argsort(groups, kind="stable")
    tables, groups = tables[order], groups[order]
    starts = np.searchsorted(groups, np.arange(count))
    number = np.add.reduceat(tables[:, 0], starts)
    mean = np.add.reduceat(tables[:, 0] * tables[:, 1], starts) / np.maximum(number, 1)
    spread = np.add.reduceat(tables[:, 2] + tables[:, 0] * (tables[:, 1] - mean[groups]) ** 2, starts)
    low, high = np.minimum.reduceat(tables[:, 3], starts), np.maximum.reduceat(tables[:, 4], starts)
    return np.stack([number, mean, spread, low, high], axis=1)


def readable(ask: Ask, groups: Groups) -> dict[str, Any]:
    """Returns the figures of one ask as JSON can hold them, of at most `KEYS_SHOWN` keys; None where there are no values."""
    figures = groups.figures(ask)
    made = {"column": ask.owner, "link": ask.link, "level": ask.level, "per": ask.per, **_shown(ask, figures[0])}
    if ask.per == "key":
        counts = groups.tables[1:, 0].sum(axis=1)
        names = [name.decode("utf-8", "backslashreplace") for name in groups.keys.to_pylist()]
        ranked = sorted(np.flatnonzero(counts).tolist(), key=lambda k: (-counts[k], names[k]))
        made |= {"key": ask.key, "keys": len(ranked)}
        made["by_key"] = {names[k]: _shown(ask, figures[k + 1]) for k in ranked[:KEYS_SHOWN]}
    return made


def _shown(ask: Ask, figures: np.ndarray) -> dict[str, Any]:
    there = figures[0].reshape(ask.figure_shape) > 0

    def shaped(row: np.ndarray) -> Any:
        return moments.readable(row.reshape(ask.figure_shape), there)

    names = ("mean", "variance", "min", "max")
    made: dict[str, Any] = {"count": figures[0].reshape(ask.figure_shape).astype(np.int64).tolist()}
    made |= {name: shaped(row) for name, row in zip(names, figures[1:5], strict=True)}
    if ask.probabilities:
        made["quantiles"] = {str(p): shaped(row) for p, row in zip(ask.probabilities, figures[5:], strict=True)}
    return made
