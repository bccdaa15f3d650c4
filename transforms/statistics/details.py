"""Statistics beyond the table of moments: quantiles, and figures by key. One analyzer a level finds them for all columns.

A batch gives a few tensors (`contribution`), accumulators hold what some batches amount to (`Details`), and the outcome is one
tensor of strings that the graph decodes (`statistics_of`); in memory the same runs on one batch. Group 0 of an ask is
the whole column, the others are the keys: a row's values count for both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
import tensorflow as tf

from transforms.columns.steps import Steps
from transforms.normalizers import Statistics
from transforms.normalizers.asks import Ask
from transforms.parse.form import NO_ID, NO_WORD
from transforms.statistics import moments
from transforms.statistics.by_key import Groups, readable
from transforms.statistics.contributed import Contribution, Given, taken, tensors

if TYPE_CHECKING:
    from transforms.columns.steps import Asked


PARTS: Final = 3
"""Strings that are the outcome for one ask: fingerprints of the keys, the keys, and the figures."""

_BUFFERED: Final = 100_000
"""Values and keys that are gathered before they are merged, as long as what they are merged with is smaller."""


def contribution(asks: Sequence[Ask], asked: Sequence[Asked]) -> tuple[list[Contribution], list[tf.Tensor]]:
    """Returns what a batch contributes: what the values of each ask are, and all of them in a few tensors.

    Returns:
      The parts, and what `contributed.tensors` makes of them. After these
      places: int64, for each ask by key the number of each step's key among the batch's keys; -1 for none.
      keys: text, for each ask by key the batch's keys.
      sizes: int64 `[asks]`, how many keys each has.
    """
    given, places, keys, sizes = [], [], [], []
    for ask, (values, steps) in zip(asks, asked, strict=True):
        shape = [-1, ask.width]
        given.append(Given(tf.reshape(values, shape), tf.reshape(steps.observed, shape)))
        count = tf.constant(0, tf.int64)
        if ask.per == "key":
            texts, there = _keys_of_rows(steps, ask.key)
            words, number = tf.unique(texts, tf.int64)
            at = tf.gather(tf.where(there, number, -1), steps.rows)
            places.append(at)
            keys.append(words)
            count = tf.size(words, tf.int64)
        sizes.append(count)
    no_places, no_keys = tf.zeros([0], tf.int64), tf.zeros([0], tf.string)
    more = [tf.concat([no_places, *places], 0), tf.concat([no_keys, *keys], 0), tf.stack(sizes)]
    return [one.part() for one in given], [*tensors(given), *more]


def _keys_of_rows(steps: Steps, key: str) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the key of every row of the batch as text `[rows]`, and whether it has one: the first value of a feature."""
    feature = steps.raw[key]
    values = feature.flat_values
    nothing = tf.constant(NO_WORD if values.dtype == tf.string else NO_ID, values.dtype)
    at = tf.where(feature.row_lengths() > 0, feature.row_splits[:-1], tf.size(values, tf.int64))
    first = tf.gather(tf.concat([values, nothing[tf.newaxis]], axis=0), at)
    text = first if values.dtype == tf.string else tf.strings.as_string(first)
    return text, tf.not_equal(first, nothing)


@dataclass
class Details:
    """The statistics of some batches for all asks of a level: the accumulator of the analyzer. Pickles.

    Attributes:
      asks: the statistics that are collected.
      parts: the description of the values of each.
      groups: the merged statistics, ask by ask.
      waiting: those still to be merged: merging many keys is expensive, so it waits until enough has accumulated.
    """

    asks: Sequence[Ask]
    parts: Sequence[Contribution]
    groups: list[Groups] = field(default_factory=list)
    waiting: list[list[Groups]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.groups = self.groups or [
            Groups.empty(ask, part.dtype) for ask, part in zip(self.asks, self.parts, strict=True)
        ]

    def add(self, *arrays: np.ndarray) -> Details:
        """Adds what a batch contributed (see `contribution`), and returns this."""
        *values, places, keys, sizes = arrays
        found, first, first_key = [], 0, 0
        counts = np.asarray(sizes).reshape(-1).tolist()
        for ask, given, count in zip(self.asks, taken(self.parts, values), counts, strict=True):
            last, last_key = first + (len(given[0]) if ask.per == "key" else 0), first_key + count
            found.append(Groups.of(ask, given[0], given[1], places[first:last], list(keys[first_key:last_key])))
            first, first_key = last, last_key
        self.waiting.append(found)
        return self._settle(_BUFFERED + sum(group.size for group in self.groups))

    def merge(self, others: Iterable[Details]) -> Details:
        """Adds others to this one, and returns it."""
        for other in others:
            self.waiting += [other.groups, *other.waiting]
            self._settle(_BUFFERED + sum(group.size for group in self.groups))
        return self

    def compact(self) -> Details:
        """Merges all and makes sketches small, and returns this."""
        self._settle(0)
        for group in self.groups:
            if group.quantiles is not None:
                group.quantiles.compact()
        return self

    def _settle(self, allowed: int) -> Details:
        if sum(group.size for groups in self.waiting for group in groups) > allowed:
            columns = zip(self.groups, *self.waiting, strict=True)
            self.groups, self.waiting = [first.merge(others) for first, *others in columns], []
        return self

    def outcome(self) -> np.ndarray:
        """Returns the results for the graph: bytes `[PARTS * asks]`, serialized tensors, those of a key by fingerprint."""
        self._settle(0)
        parts = [part for ask, group in zip(self.asks, self.groups, strict=True) for part in _serialized(ask, group)]
        return np.array([tf.io.serialize_tensor(part).numpy() for part in parts], object)

    def readable(self) -> list[dict[str, Any]]:
        """Returns the results for people, ask by ask (see `by_key.readable`)."""
        self._settle(0)
        return [readable(ask, group) for ask, group in zip(self.asks, self.groups, strict=True)]


def _serialized(ask: Ask, groups: Groups) -> Iterator[tf.Tensor]:
    figures = groups.figures(ask)
    # Where a key has no value in a dimension the whole column stands in, as it does for a key that was not seen at all.
    figures = np.where(figures[:, :1] > 0, figures, figures[:1])
    known = np.concatenate([[True], (groups.moments.counts[1:] > 0).any(axis=1)])
    keys = tf.constant(groups.keys.filter(pa.array(known[1:])).to_pylist(), tf.string)
    prints = _fingerprint(keys).numpy()
    order = np.argsort(prints, kind="stable")
    yield tf.constant(prints[order], tf.int64)
    yield tf.gather(keys, order)
    yield tf.constant(figures[known][np.concatenate([[0], order + 1]).astype(np.int64)], tf.float64)


def _fingerprint(keys: tf.Tensor) -> tf.Tensor:
    return tf.strings.to_hash_bucket_fast(keys, 2**63 - 1)


def statistics_of(detail: Any, ask: Ask, steps: Steps) -> Statistics:
    """Returns the statistics of one ask, inside the graph.

    Args:
      detail: bytes `[PARTS]`, the ask's part of `Details.outcome`.
      ask: the ask.
      steps: the steps that it is wanted for.

    Returns:
      Figures in the shape of a step (`[1]` for a whole column); by key `[steps, *shape]`, where rows without the key, or with
      one that the analysis did not see, take those of the whole column.
    """
    prints, keys, figures = (
        tf.io.parse_tensor(part, kind)
        for part, kind in zip(
            tf.unstack(tf.convert_to_tensor(detail, tf.string), PARTS), (tf.int64, tf.string, tf.float64), strict=True
        )
    )
    figures.set_shape([None, len(moments.ROWS) + len(ask.probabilities), ask.width])
    shape: list[int] = list(ask.figure_shape)
    chosen = figures[0]
    if ask.per == "key":
        prints.set_shape([None])
        keys.set_shape([None])
        chosen = tf.transpose(
            tf.gather(tf.gather(figures, _groups_of_rows(prints, keys, steps, ask.key)), steps.rows), [1, 0, 2]
        )
        shape = [-1, *shape]
    rows = [tf.reshape(row, shape) for row in tf.unstack(chosen, len(moments.ROWS) + len(ask.probabilities))]
    count, mean, variance, low, high = rows[: len(moments.ROWS)]
    quantiles = dict(zip(ask.probabilities, rows[len(moments.ROWS) :], strict=True))
    return Statistics(count, mean, variance, low, high, quantiles)


def _groups_of_rows(prints: tf.Tensor, keys: tf.Tensor, steps: Steps, key: str) -> tf.Tensor:
    """Returns the group of each row, int64 `[rows]`: 0 for a key that is not known."""
    texts, there = _keys_of_rows(steps, key)
    # A row of no key can be looked up, too: one more entry stands where nothing was found.
    at = tf.searchsorted(prints, _fingerprint(texts), out_type=tf.int64)
    # Of two keys with one fingerprint (odds of 1 in 10^7 among a million) the second takes the whole column's figures.
    same = tf.equal(tf.gather(tf.concat([keys, [b""]], axis=0), at), texts)
    found = tf.logical_and(tf.logical_and(there, same), at < tf.size(keys, tf.int64))
    return tf.where(found, at + 1, 0)
