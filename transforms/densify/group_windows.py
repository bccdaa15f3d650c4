"""The windows of a batch, by sequence group and for groups alike: what the groups have in common is computed once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import tensorflow as tf

from transforms.columns.window import Window

if TYPE_CHECKING:
    from transforms.columns import Column
    from transforms.columns.steps import RawTensors
    from transforms.groups import SequenceGroup
    from transforms.spec.spec import Spec


class GroupWindows:
    """The windows of all sequence groups of a batch.

    Args:
      spec: the columns.
      raw: the features by key.
      longest: T of `spec.longest_groups`, int64 `[groups]`. None where it is not known yet: such groups have no window.
    """

    def __init__(self, spec: Spec, raw: RawTensors, longest: Any = None):
        self._spec, self._names = spec, spec.group_names
        self._place = {name: k for k, name in enumerate(self._names)}
        self._kind = {name: kind_of(spec, name) for name in self._names}
        self._known = {name for name in self._names if longest is not None or spec.group(name).fixed_length}
        self._steps = steps_of_groups(spec, raw) if self._names else None
        self._sizes = _sizes(spec, longest)
        self._made: dict[tuple[str, ...], Window] = {}

    def of_column(self, column: Column) -> Window | None:
        """Returns the window of a column; None for a context column, and where T is not known yet."""
        return self.of((column.sequence_group,)) if column.sequence_group is not None else None

    def of(self, names: tuple[str, ...]) -> Window | None:
        """Returns the window of groups of one `kind_of`; None where T is not known yet, and for no group."""
        if not names or names[0] not in self._known:
            return None
        if names not in self._made:
            if len(names) > 1:
                self._made[names] = Window.of(*self._parts(names))
            else:
                alike = [name for name in self._names if self._kind[name] == self._kind[names[0]]]
                windows = Window.each(*self._parts(alike))
                self._made |= {(name,): window for name, window in zip(alike, windows, strict=True)}
        return self._made[names]

    def lengths(self) -> dict[str, tf.Tensor]:
        """Returns the kept steps of every row by group, int64 `[batch]`."""
        if not self._names:
            return {}
        lengths = tf.minimum(self._steps, tf.convert_to_tensor(self._sizes, tf.int64)[:, tf.newaxis])
        return dict(zip(self._names, tf.unstack(lengths, num=len(self._names)), strict=True))

    def masks(self) -> dict[str, tf.Tensor]:
        """Returns where steps stand, int64 0/1 `[batch, T]`, of the groups that write it."""
        by_kind: dict[Any, list[str]] = {}
        for name in self._names:
            if self._spec.group(name).mask:
                by_kind.setdefault(self._kind[name], []).append(name)
        made: dict[str, tf.Tensor] = {}
        for names in by_kind.values():
            window = self.of(tuple(names))
            assert window is not None
            made |= dict(zip(names, window.apart(tf.cast(window.mask, tf.int64)), strict=True))
        return made

    def _parts(self, names: Sequence[str]) -> tuple[tf.Tensor, list[SequenceGroup], Any]:
        """Returns steps, policies and T of some groups."""
        steps, sizes, policies = self._steps, self._sizes, [self._spec.group(name) for name in names]
        if list(names) != self._names:
            at = [self._place[name] for name in names]
            steps = tf.gather(steps, at)
            sizes = sizes[at] if isinstance(sizes, np.ndarray) else tf.gather(sizes, at)
        return steps, policies, sizes


def kind_of(spec: Spec, group: str) -> tuple[bool, bool, str]:
    """Returns what groups must have in common for their rows to stand in one window."""
    policy = spec.group(group)
    return policy.fixed_length is None, policy.truncate == "tail", policy.padding


def steps_of(column: Column, raw: RawTensors) -> tf.Tensor:
    """Returns the sequence length of every row in steps, int64 `[batch]`; the last step may be incomplete."""
    return (raw[column.key].row_lengths() + column.step_width - 1) // column.step_width


def steps_of_groups(spec: Spec, raw: RawTensors, names: Sequence[str] | None = None) -> tf.Tensor:
    """Returns the same of the first column of each of some groups, int64 `[groups, batch]`.

    Args:
      spec: the columns.
      raw: the features by key.
      names: the groups; all, unless given.
    """
    members = spec.by_group
    columns = [members[name][0] for name in (members if names is None else names)]
    splits = tf.stack([raw[column.key].row_splits for column in columns])
    widths = np.array([[column.step_width] for column in columns], np.int64)
    return (splits[:, 1:] - splits[:, :-1] + widths - 1) // widths


def _sizes(spec: Spec, longest: Any) -> Any:
    """Returns T of every group, int64 `[groups]`, array or tensor; 0 where it is not known."""
    fixed = np.array([spec.group(name).fixed_length or 0 for name in spec.group_names], np.int64)
    by_data = np.flatnonzero(fixed == 0)
    if longest is None or not len(by_data):
        return fixed
    if isinstance(longest, np.ndarray):
        fixed[by_data] = longest
        return fixed
    place = np.arange(len(fixed))
    place[by_data] = len(fixed) + np.arange(len(by_data))
    return tf.gather(tf.concat([fixed, longest], axis=0), place)
