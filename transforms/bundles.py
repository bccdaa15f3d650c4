"""Columns alike, made dense as one: a graph pays for its operations, hardly for the values that go through them.

200 z-scored sequences of one group would be 200 times the same fifty operations, traced some five times each: minutes before the
first row. But sequences of a group have the same steps. So those that differ by nothing but their feature are laid side by side
as one column of more dimensions, go through the graph together, and are taken apart again. What a value becomes depends on the
value and on the figures of its own column, as before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import tensorflow as tf

from transforms import moments
from transforms.columns import Column

if TYPE_CHECKING:
    from transforms.asks import Ask
    from transforms.densify import RawTensors
    from transforms.fitted import Fitted
    from transforms.spec import Spec
    from transforms.window import Window


@dataclass(frozen=True)
class Bundle:
    """Columns that go through the graph together.

    Attributes:
      members: one column or more.
      column: what stands for them: the only one, or one that is as wide as all of them.
      spec: the spec in which that column stands.
    """

    members: tuple[Column, ...]
    column: Column
    spec: Spec

    @property
    def single(self) -> bool:
        """Whether there is nothing to lay side by side."""
        return len(self.members) == 1

    def raw(self, raw: RawTensors) -> RawTensors:
        """Returns the features with that of the wide column: its steps are those of the members side by side."""
        if self.single:
            return raw
        first, width = raw[self.members[0].key], self.members[0].step_width
        flat = [raw[member.key].flat_values for member in self.members]
        steps = tf.stack(flat, axis=1) if width == 1 else tf.concat([tf.reshape(f, [-1, width]) for f in flat], axis=1)
        splits = first.row_splits // width * self.column.step_width
        return {
            **raw,
            self.column.key: tf.RaggedTensor.from_row_splits(tf.reshape(steps, [-1]), splits, validate=False),
        }

    def packed(self, level: int, among: Mapping[Ask, int]) -> Iterator[tuple[Ask, np.ndarray]]:
        """Yields what the column asks of a level's table of moments, and where in the table of the whole spec it stands.

        Args:
          level: the level.
          among: see `places`.
        """
        members = [[ask for ask in member.asks() if _of(ask, level)] for member in self.members]
        for k, ask in enumerate(ask for ask in self.column.asks() if _of(ask, level)):
            yield ask, np.concatenate([among[own[k]] + np.arange(own[k].width) for own in members])

    def fitted(self, fitted: Fitted) -> Fitted:
        """Returns the statistics as the column asks for them."""
        if self.single:
            return fitted
        tables = []
        for level, table in enumerate(fitted.tables):
            found = [place for _, place in self.packed(level, places(fitted.spec, level))]
            tables.append(
                tf.gather(tf.convert_to_tensor(table, tf.float64), np.concatenate(found), axis=1) if found else None
            )
        return replace(fitted, spec=self.spec, tables=tuple(tables))

    def dense(self, raw: RawTensors, windows: Mapping[str, Window], fitted: Fitted) -> dict[str, tf.Tensor]:
        """Returns the outputs of all members."""
        made = self.column.dense(self.raw(raw), windows.get(self.column.sequence_group or ""), self.fitted(fitted))
        if self.single:
            return made
        apart = {name.removeprefix(self.column.name): tf.unstack(tensor, axis=2) for name, tensor in made.items()}
        return {
            f"{member.name}{what}": parts[k] for what, parts in apart.items() for k, member in enumerate(self.members)
        }


def bundles(spec: Spec) -> list[Bundle]:
    """Returns the columns of the graph in bundles, each where its first column stands."""
    alike: dict[tuple[type, str], list[Column]] = {}
    for column in spec.columns:
        if column.in_graph:
            wide = column.side_by_side("", 1)
            alike.setdefault(
                (type(column), column.name if wide is None else wide.model_dump_json(serialize_as_any=True)), []
            ).append(column)
    return [_bundle(spec, members, k) for k, members in enumerate(alike.values())]


def _bundle(spec: Spec, members: list[Column], number: int) -> Bundle:
    first = members[0]
    wide = first.side_by_side(f"__together_{number}__", len(members)) if len(members) > 1 else None
    if wide is None:
        return Bundle((first,), first, spec)
    return Bundle(tuple(members), wide, spec.model_construct(columns=[wide], sequence_groups=spec.sequence_groups))


def places(spec: Spec, level: int) -> dict[Ask, int]:
    """Returns where in the table of moments of a level the dimensions of every ask that it answers begin."""
    asks = [ask for ask in spec.asks if _of(ask, level)]
    return {ask: part.start for ask, part in zip(asks, moments.slices([ask.width for ask in asks]), strict=True)}


def _of(ask: Ask, level: int) -> bool:
    return ask.level == level and ask.packed
