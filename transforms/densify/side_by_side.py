"""Similar columns, densified as one: a graph pays for its operations, and hardly for the values that go through them.

200 z-scored sequences of one group would be 200 times the same fifty operations, traced some five times each: minutes before the
first row. But sequences of a group have the same steps. So those that differ only in their feature are laid side by side
as one column with more dimensions, go through the graph together, and are split again. The result for a value still depends on
the value and on the figures of its own column only.

Groups that differ only in T have rows of different lengths, which cannot be side by side. So the columns of one group are stacked
below those of the other: there are more rows, and each step uses the figures of its own columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from transforms.columns import Column
from transforms.densify.group_windows import GroupWindows, kind_of
from transforms.statistics import moments

if TYPE_CHECKING:
    from transforms.columns.steps import RawTensors
    from transforms.columns.window import Window
    from transforms.normalizers.asks import Ask
    from transforms.spec.spec import Spec
    from transforms.statistics.fitted import Fitted


@dataclass(frozen=True)
class Bundle:
    """Columns that go through the graph together.

    Attributes:
      members: one column or more, group by group.
      groups: their sequence groups, with the same number of members each; none for context columns.
      column: the column that represents them: the only one, or one that is as wide as those of a group together.
      spec: the spec with that column.
    """

    members: tuple[Column, ...]
    groups: tuple[str, ...]
    column: Column
    spec: Spec

    @property
    def single(self) -> bool:
        """Whether there is nothing to lay together."""
        return len(self.members) == 1

    @property
    def stacked(self) -> int:
        """The number of times that the rows of the batch are stacked one below the other."""
        return max(len(self.groups), 1)

    @property
    def beside(self) -> int:
        """The number of columns that lie side by side."""
        return len(self.members) // self.stacked

    def raw(self, raw: RawTensors) -> RawTensors:
        """Returns the features with that of the column that stands for the members."""
        if self.single:
            return raw
        width, beside = self.members[0].step_width, self.beside
        flat = [raw[member.key].flat_values for member in self.members]
        if beside > 1:
            flat = [_side_by_side(flat[k : k + beside], width) for k in range(0, len(flat), beside)]
        splits = raw[self.members[0].key].row_splits // width * self.column.step_width
        if self.stacked > 1:
            every = tf.stack([raw[member.key].row_splits for member in self.members[::beside]])
            lengths = (every[:, 1:] - every[:, :-1]) // width * self.column.step_width
            splits = tf.pad(tf.cumsum(tf.reshape(lengths, [-1])), [[1, 0]])
        values = tf.concat(flat, axis=0) if self.stacked > 1 else flat[0]
        return {**raw, self.column.key: tf.RaggedTensor.from_row_splits(values, splits, validate=False)}

    def window(self, windows: GroupWindows) -> Window | None:
        """Returns the window of the rows, None for context columns, and where T is not known yet."""
        return windows.of(self.groups)

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
        return replace(fitted, spec=self.spec, tables=tuple(tables), stacked=self.stacked)

    def dense(self, raw: RawTensors, windows: GroupWindows, fitted: Fitted) -> dict[str, tf.Tensor]:
        """Returns the outputs of all members."""
        window = self.window(windows)
        made = self.column.dense(self.raw(raw), window, self.fitted(fitted))
        if self.single:
            return made
        apart = {}
        for name, tensor in made.items():
            parts = window.apart(tensor) if window is not None else [tensor]
            if self.beside > 1:
                parts = [side for part in parts for side in tf.unstack(part, axis=2)]
            apart[name.removeprefix(self.column.name)] = parts
        return {
            f"{member.name}{what}": parts[k] for what, parts in apart.items() for k, member in enumerate(self.members)
        }


def _side_by_side(flat: list[tf.Tensor], width: int) -> tf.Tensor:
    """Returns the values of columns of one group, flat, as those of steps that hold a step of each."""
    steps = tf.stack(flat, axis=1) if width == 1 else tf.concat([tf.reshape(f, [-1, width]) for f in flat], axis=1)
    return tf.reshape(steps, [-1])


def bundles(spec: Spec) -> list[Bundle]:
    """Returns the columns of the graph in bundles, each where its first column stands."""
    by_group: dict[tuple[Any, ...], list[Column]] = {}
    for column in spec.columns:
        if column.in_graph:
            by_group.setdefault((*_kind(spec, column), column.sequence_group), []).append(column)
    alike: dict[tuple[Any, ...], list[list[Column]]] = {}
    for (*kind, group), members in by_group.items():
        together = (*kind, len(members)) if members[0].stacks else (*kind, group)
        alike.setdefault(together, []).append(members)
    return [_bundle(spec, members, k) for k, members in enumerate(alike.values())]


def _kind(spec: Spec, column: Column) -> tuple[Any, ...]:
    """Returns what columns have in common that can go together."""
    wide = column.side_by_side("", 1)
    if wide is None:
        return (type(column), column.name)
    group = column.sequence_group
    text = wide.model_copy(update={"group": ""}).model_dump_json(serialize_as_any=True)
    return (type(column), text, kind_of(spec, group) if group is not None else None)


def _bundle(spec: Spec, members: list[list[Column]], number: int) -> Bundle:
    first, beside = members[0][0], len(members[0])
    groups = tuple(own[0].sequence_group for own in members if own[0].sequence_group is not None)
    if len(members) * beside == 1:
        return Bundle((first,), groups, first, spec)
    name = f"__together_{number}__"
    wide = first.side_by_side(name, beside) if beside > 1 else first.model_copy(update={"key": name})
    assert wide is not None  # as one of those alike it has been asked before
    alone = spec.model_construct(columns=[wide], sequence_groups=spec.sequence_groups)
    return Bundle(tuple(column for own in members for column in own), groups, wide, alone)


def places(spec: Spec, level: int) -> dict[Ask, int]:
    """Returns where in the table of moments of a level the dimensions of every ask that it answers begin."""
    asks = [ask for ask in spec.asks if _of(ask, level)]
    return {ask: part.start for ask, part in zip(asks, moments.slices([ask.width for ask in asks]), strict=True)}


def _of(ask: Ask, level: int) -> bool:
    return ask.level == level and ask.packed
