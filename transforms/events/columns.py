"""The columns of sequences: features, computed over the steps that are written, and targets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.events.clocks import clock
from transforms.events.features import SINCE, Clock, Feature, SequenceFigure, Since, Values
from transforms.events.order import ranks
from transforms.kernels import event_steps
from transforms.kernels.values import read_only
from transforms.parse.units import UNITS
from transforms.rows.fields import is_text
from transforms.rows.ragged import Ragged


@dataclass(frozen=True)
class SequenceSteps:
    """The steps of sequences.

    Attributes:
      fields: a field's values by its name, by position of the event.
      times: int64, by position.
      tick: nanoseconds per unit of `times`.
      positions: int64 `[steps]`, the event of each step.
      splits: int64 `[sequences + 1]`, where the steps of each sequence begin, and those of the last end.
    """

    fields: Callable[[str], pa.Array]
    times: np.ndarray
    tick: int
    positions: np.ndarray
    splits: np.ndarray
    _taken: dict[str, pa.Array] = field(default_factory=dict)

    def values(self, name: str) -> pa.Array:
        """Returns a field's value at each step."""
        if name not in self._taken:
            self._taken[name] = taken(self.fields(name), self.positions)
        return self._taken[name]

    def column(self, feature: Feature) -> pa.Array:
        """Returns a feature as a column, one row per sequence."""
        if isinstance(feature, SequenceFigure):
            return self._figure(feature)
        present = np.ones(len(self.splits) - 1, bool)
        return Ragged(self._each_step(feature), self.splits, present).to_list_array()

    def _each_step(self, feature: Values | Since | Clock) -> pa.Array:
        if isinstance(feature, Values):
            if not feature.side_by_side:
                return self.values(feature.fields[0])
            return side_by_side([self.values(name) for name in feature.fields])
        if isinstance(feature, Clock):
            return pa.array(clock(self.times[self.positions], self.tick, feature.clock, feature.timezone))
        unit, out = UNITS[feature.unit], np.empty(len(self.positions), np.float64)
        by = np.uint64(max(self.tick // unit, 1)), np.uint64(max(unit // self.tick, 1))
        times = read_only(self.times[self.positions])
        event_steps.since(times, read_only(self.splits), SINCE.index(feature.since), *by, out)
        return pa.array(out)

    def _figure(self, feature: SequenceFigure) -> pa.Array:
        if feature.figure == "count":
            return pa.array(np.diff(self.splits))
        values = self.values(feature.field)
        if feature.figure in ("first", "last"):
            at = self.splits[:-1] if feature.figure == "first" else self.splits[1:] - 1
            return taken(values, at)
        floating = pa.types.is_floating(values.type)
        skipped = pc.is_null(values, nan_is_null=floating).to_numpy(zero_copy_only=False)
        if feature.figure == "sum":
            return self._sum(values, skipped)
        out = np.empty(len(self.splits) - 1, np.int64)
        rows = read_only(skipped), read_only(self.splits)
        if feature.figure == "n_unique":
            coded = pc.dictionary_encode(pc.add(values, pa.scalar(0.0, values.type)) if floating else values)
            codes = pc.fill_null(coded.indices, 0).to_numpy()
            event_steps.different(read_only(codes), *rows, np.full(len(coded.dictionary) + 1, -1), out)
            return pa.array(out)
        event_steps.extremes(read_only(ranks(values)), *rows, feature.figure == "max", out)
        return values.take(pa.array(out, mask=out < 0))

    def _sum(self, values: pa.Array, skipped: np.ndarray) -> pa.Array:
        kind = pa.float64() if pa.types.is_floating(values.type) else pa.int64()
        numbers = pc.fill_null(pc.cast(values, kind), pa.scalar(0, kind)).to_numpy()
        rows = len(self.splits) - 1
        out, good = np.zeros(rows, numbers.dtype), np.empty(rows, bool)
        floating = kind == pa.float64()
        ends = (-np.inf, np.inf) if floating else (np.iinfo(np.int64).min, np.iinfo(np.int64).max)
        least, most = map(numbers.dtype.type, ends)
        event_steps.sums(read_only(numbers), read_only(skipped), read_only(self.splits), least, most, out, good)
        return pa.array(out, mask=~good)


def can_sum(kind: pa.DataType) -> bool:
    """Returns whether values of a type can be summed."""
    whole = pa.types.is_integer(kind) and kind != pa.uint64()
    return whole or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def target(array: pa.Array, order: np.ndarray, ends: np.ndarray, ahead: int) -> pa.Array:
    """Returns the values of the events after the steps.

    Args:
      array: the field's values, by position.
      order: int64, positions of events.
      ends: int64 `[sequences]`, where the steps of each end in `order`.
      ahead: the number of events.

    Returns:
      `[sequences]`: a value, or a fixed-size list of `ahead` of them if that is more than one.
    """
    at = (ends[:, None] + np.arange(ahead)).ravel()
    values = taken(array, order[at])
    return values if ahead == 1 else pa.FixedSizeListArray.from_arrays(values, ahead)


def taken(array: pa.Array, positions: np.ndarray) -> pa.Array:
    """Returns values at some positions."""
    if not array.null_count and (pa.types.is_integer(array.type) or pa.types.is_floating(array.type)):
        return pa.array(array.to_numpy()[positions])
    return pc.take(array, pa.array(positions), boundscheck=False)


def one_type(kinds: list[pa.DataType]) -> pa.DataType | None:
    """Returns the type of values side by side; None if no type holds all of them."""
    if len(set(kinds)) == 1:
        return kinds[0]
    if all(is_text(kind) for kind in kinds):
        return pa.large_binary()
    whole = [pa.types.is_integer(kind) for kind in kinds]
    if not all(is_whole or pa.types.is_floating(kind) for is_whole, kind in zip(whole, kinds, strict=True)):
        return None
    kind = pa.from_numpy_dtype(reduce(np.promote_types, (kind.to_pandas_dtype() for kind in kinds)))
    return None if all(whole) and pa.types.is_floating(kind) else kind  # no integer holds int64 and uint64


def side_by_side(columns: list[pa.Array]) -> pa.Array:
    """Returns columns of equal length as steps with one value from each, a fixed-size list array."""
    width, kind = len(columns), one_type([column.type for column in columns])
    columns = [column if column.type == kind else pc.cast(column, kind, safe=False) for column in columns]
    if pa.types.is_primitive(kind) and not any(column.null_count for column in columns):
        flat = pa.array(np.stack([column.to_numpy(zero_copy_only=False) for column in columns], axis=1).ravel(), kind)
    else:
        at = np.arange(len(columns[0]) * width).reshape(width, -1).T.ravel()
        flat = pa.concat_arrays(columns).take(pa.array(at))
    return pa.FixedSizeListArray.from_arrays(flat, width)
