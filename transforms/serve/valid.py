"""The rows of a request that the job would have written, with their features: parse and validate, inside a graph.

Features alike (see `transforms.densify.side_by_side`) are parsed and looked at together, their rows one below the other: what a
graph of many columns takes to trace, save and load goes by its operations, and more than in proportion.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import tensorflow as tf

from transforms.columns import Column
from transforms.densify.group_windows import steps_of
from transforms.densify.side_by_side import bundles
from transforms.parse.form import Form
from transforms.serve import parsing
from transforms.serve.parsing import Raw
from transforms.spec.spec import Spec


@dataclass(frozen=True)
class Stack:
    """Features that are parsed together.

    Attributes:
      keys: their names.
      form: how each is parsed.
      column: where they are several, the first of the columns alike that they belong to.
    """

    keys: tuple[str, ...]
    form: Form
    column: Column | None = field(default=None, compare=False)

    def of(self, given: Mapping[str, tf.RaggedTensor]) -> tf.RaggedTensor:
        """Returns the rows of all features, those of the first one first."""
        if len(self.keys) == 1:
            return given[self.keys[0]]
        splits = tf.stack([given[key].row_splits for key in self.keys])
        lengths = tf.reshape(splits[:, 1:] - splits[:, :-1], [-1])
        values = tf.concat([given[key].values for key in self.keys], axis=0)
        return tf.RaggedTensor.from_row_splits(values, tf.pad(tf.cumsum(lengths), [[1, 0]]), validate=False)

    def apart(self, stacked: tf.RaggedTensor) -> Raw:
        """Returns the features of a stack by name."""
        if len(self.keys) == 1:
            return {self.keys[0]: stacked}
        count = len(self.keys)
        lengths = tf.reshape(stacked.row_lengths(), [count, -1])
        ends = tf.cumsum(lengths, axis=1)
        values = tf.split(stacked.values, tf.reduce_sum(lengths, axis=1), num=count)
        splits = tf.unstack(tf.pad(ends, [[0, 0], [1, 0]]), num=count)
        return {
            key: tf.RaggedTensor.from_row_splits(own, rows, validate=False)
            for key, own, rows in zip(self.keys, values, splits, strict=True)
        }

    def each(self, figures: tf.Tensor) -> tf.Tensor:
        """Returns figures of the rows of the stack as `[features, batch]`."""
        return tf.reshape(figures, [len(self.keys), -1])

    def all(self, flags: tf.Tensor) -> tf.Tensor:
        """Returns for every row of the batch whether all its features are flagged, bool `[batch]`."""
        return tf.reduce_all(self.each(flags), axis=0)


def admitted(
    spec: Spec, given: Mapping[str, tf.RaggedTensor], good: tf.Tensor, marked: tf.Tensor | bool = False
) -> tuple[Raw, tf.Tensor]:
    """Returns the features of a request as `densify` takes them, and which rows the job would have written.

    Args:
      spec: the columns.
      given: the features (see `parsing.request_specs`).
      good: bool `[batch]`, which rows can be valid.
      marked: see `parsing.canonical_feature`.

    Returns:
      The features, empty in rows that are not valid: what such rows hold could shift the values of their neighbours. And bool
      `[batch]`: which rows are valid.
    """
    parsed: list[tuple[Stack, tf.RaggedTensor]] = []
    kept = [good]
    for stack in stacks(spec):
        raw, fine = parsing.canonical_feature(stack.of(given), stack.form, marked)
        parsed.append((stack, raw))
        kept.append(stack.all(fine))
    good = tf.reduce_all(tf.stack([*kept, *_rules(spec, parsed)]), axis=0)
    made: Raw = {}
    for stack, raw in parsed:
        made |= stack.apart(parsing.blanked({"": raw}, tf.tile(good, [len(stack.keys)]))[""])
    return made, good


def stacks(spec: Spec) -> list[Stack]:
    """Returns all features that the graph takes, in stacks. A feature that several columns read is by itself."""
    features = spec.features
    read = Counter(key for column in spec.columns for key in column.features)
    made: dict[str, Stack] = {}
    for bundle in bundles(spec):
        keys = tuple(member.key for member in bundle.members)
        if not bundle.single and all(read[key] == 1 for key in keys):
            made |= dict.fromkeys(keys, Stack(keys, features[keys[0]], bundle.members[0]))
    return list(dict.fromkeys(made.get(key, Stack((key,), features[key])) for key in spec.graph_inputs))


def _rules(spec: Spec, parsed: list[tuple[Stack, tf.RaggedTensor]]) -> list[tf.Tensor]:
    """Returns for every rule of the columns and the groups which rows keep it, bool `[batch]`; see `stages`."""
    single = {stack.keys[0]: raw for stack, raw in parsed if stack.column is None}
    kept = []
    steps: dict[tuple[str, ...], tf.Tensor] = {}
    for stack, raw in parsed:
        if stack.column is not None:
            own = {stack.column.key: raw}
            kept.append(stack.all(stack.column.valid(own)))
            steps[stack.keys] = stack.each(steps_of(stack.column, own))
    alone = [column for column in spec.columns if column.in_graph and single.keys() >= column.features.keys()]
    kept += [column.valid(single) for column in alone]
    steps |= {(column.key,): steps_of(column, single)[tf.newaxis] for column in alone if column.is_sequence}
    if not steps:
        return kept
    keys = [key for of in steps for key in of]
    return kept + _rules_of_groups(spec, tf.concat(list(steps.values()), axis=0), keys)


def _rules_of_groups(spec: Spec, steps: tf.Tensor, keys: list[str]) -> list[tf.Tensor]:
    """Returns for every rule of the groups which rows keep it, bool `[batch]`.

    Args:
      spec: the columns.
      steps: the features' lengths in steps, int64 `[features, batch]`.
      keys: the features.
    """
    place = {key: k for k, key in enumerate(keys)}
    first: dict[str, int] = {}
    of_columns, of_firsts = [], []
    for column in spec.sequence_columns:
        of_columns.append(place[column.key])
        of_firsts.append(first.setdefault(column.sequence_group or "", place[column.key]))
    kept = [tf.reduce_all(tf.equal(tf.gather(steps, of_columns), tf.gather(steps, of_firsts)), axis=0)]
    sizes = {name: spec.group(name).fixed_length for name in first if spec.group(name).truncate == "reject"}
    strict = [(first[name], size) for name, size in sizes.items() if size is not None]
    if strict:
        most = np.array([[size] for _, size in strict], np.int64)
        kept.append(tf.reduce_all(tf.gather(steps, [k for k, _ in strict]) <= most, axis=0))
    least = {first[name]: spec.group(name).min_length for name in first if spec.group(name).min_length}
    if least:
        fewest = np.array([[size] for size in least.values()], np.int64)
        kept.append(tf.reduce_all(tf.gather(steps, list(least)) >= fewest, axis=0))
    return kept
