"""Events to sequences in memory; the job does the same with the events of a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa

from transforms.errors import SpecError, SpecFault
from transforms.events import accounting, checks, order
from transforms.events.columns import SequenceSteps, taken, target
from transforms.events.cuts import Cut, Listed, cut, listed, unique
from transforms.events.frames import Frame, table_of
from transforms.events.make_events import make_events
from transforms.events.spec import SPLIT, Events
from transforms.events.table import EventTable
from transforms.parse.step_limit import MAX_STEPS
from transforms.parse.times import moment
from transforms.problems import path_of
from transforms.rows import exports, keys, origin, rejection

FIRST_SPLIT: Final = "train"
"""The split before the first border."""


@dataclass(frozen=True, repr=False)
class Grouped:
    """Sequences built from events.

    Attributes:
      table: one row per sequence, ordered by key, split and time: the split (string; only with borders), the key's fields, the
        features (lists of one value a step, or one value for the whole sequence), and the target.
      rejected: events without a key or a time (`transforms.rows.rejection.SCHEMA`).
      too_long: sequences of more steps than allowed that were dropped: the split and the key as in `table`, and `steps`.
      counts: the events, accounted for.
      fates: int8 `[events]`, the fate of each, a number in `transforms.events.accounting.FATES`.
      positions: int64, the event of each step, sequence after sequence.
      splits: int64 `[sequences + 1]`, where the steps of each sequence begin in `positions`, and those of the last end.
    """

    table: pa.Table
    rejected: pa.Table
    too_long: pa.Table
    counts: accounting.Counts
    fates: np.ndarray
    positions: np.ndarray
    splits: np.ndarray

    def __repr__(self) -> str:
        """The number of sequences, and their counts."""
        names = ", ".join(self.table.schema.names)
        return f"Grouped({self.counts.sequences:,} sequences of {self.counts.read:,} events; {names})"

    def to_arrow(self) -> pa.Table:
        """Returns the sequences as an Arrow table, which is `table`; sequences are lists of any length."""
        return self.table

    def to_pandas(self) -> Any:
        """Returns the sequences as a frame of pandas; sequences are cells with an array.

        Columns that have integers or booleans beside nulls, which pandas would change, keep their Arrow dtype.

        Raises:
          ModuleNotFoundError: pandas is not installed.
        """
        return exports.pandas_of_table(self.table)

    def to_polars(self) -> Any:
        """Returns the sequences as a frame of Polars; sequences are of its type List.

        Raises:
          ModuleNotFoundError: Polars is not installed.
        """
        return exports.polars_of(self.table)


def sequences(
    data: Frame,
    events: Events | Mapping[str, Any],
    *,
    borders: Mapping[str, Any] | None = None,
    max_steps: int = MAX_STEPS,
) -> Grouped:
    """Builds sequences from events.

    The same events give the same sequences, bit for bit, in any order.

    >>> import pyarrow as pa
    >>> events = pa.table({"user": [2, 1, 2], "at": [30, 10, 20], "item": ["c", "a", "b"]})
    >>> sequences(events, {"key": "user", "order_by": "at", "features": {"items": "item"}}).table.to_pylist()
    [{'user': 1, 'items': ['a']}, {'user': 2, 'items': ['b', 'c']}]

    Args:
      data: events, one per row: Arrow, a frame of pandas or Polars, or dicts.
      events: the `events:` section, or a mapping that it can be built from.
      borders: split to where it begins, ascending: a date, a time, ISO 8601 text, or a number of the unit that times are numbers
        of. Anything before the first is `train`. A key has a sequence in each split in which it has an event (with a target: the
        target's last event), of all its events before the split's end.
      max_steps: the most steps in a sequence; see `Events.longer`.

    Raises:
      SpecError: the section cannot work as written, or not with these events; the error lists every fault.
      TypeError, ValueError: the data are not events.
    """
    return grouped(data, events, borders, max_steps)[0]


@dataclass(frozen=True)
class Working:
    """Sequences together with the events that they were cut from.

    Attributes:
      events: those that have a key and a time.
      order: int64, positions of events, key after key, in order.
      begins: int64 `[keys + 1]`, where the events of each key begin in `order`, and those of the last end.
      borders: where each split but the first begins, in the unit of their times.
      made: the sequences.
      fates: int8 `[events]`, the fate of each.
    """

    events: EventTable
    order: np.ndarray
    begins: np.ndarray
    borders: list[int]
    made: Cut
    fates: np.ndarray


def grouped(
    data: Frame, events: Events | Mapping[str, Any], borders: Mapping[str, Any] | None, max_steps: int
) -> tuple[Grouped, Working]:
    """Builds sequences from events as `sequences` does; also returns what they were cut from."""
    spec, table = make_events(events), table_of(data)
    faults = checks.schema_faults(spec, table.schema)
    if faults:
        raise SpecError(faults)
    whole = EventTable(spec, table)
    good = whole.times.good.copy()
    for name in spec.key:
        good &= ~keys.missing(whole.field(name))
    rejected = rejection.SCHEMA.empty_table()
    if not good.all():
        rejected = _rejected(spec, table, np.flatnonzero(~good))
        whole = EventTable(spec, table.filter(pa.array(good)))
    work = _cut(spec, whole, _borders(spec, borders or {}, whole.times.tick), max_steps)
    made = work.made
    every = np.full(len(good), accounting.REJECTED, np.int8)
    every[good] = work.fates
    positions, splits = order.segments(made.begins, made.ends, made.order)
    names = [FIRST_SPLIT, *(borders or ())]
    over = _names(whole, made.order[made.too_long[:, 0]], made.too_long[:, 2], names)
    count = len(made.begins)
    found = Grouped(
        _written(
            spec,
            whole,
            made,
            SequenceSteps(whole.field, whole.times.values, whole.times.tick, positions, splits),
            names,
        ),
        rejected,
        pa.table({**over, "steps": made.too_long[:, 3]}),
        accounting.Counts.of(every, count, len(positions), count * (spec.target.next if spec.target else 0)),
        every,
        positions if good.all() else np.flatnonzero(good)[positions],
        splits,
    )
    return found, work


def _cut(spec: Events, whole: EventTable, borders: list[int], max_steps: int) -> Working:
    """Orders events and cuts them."""
    times = whole.times.values
    order, begins = whole.ordered(*whole.numbered())
    lists = listed(order, begins, times, borders)
    fates = np.full(len(times), accounting.WINDOWS, np.int8)  # unless a rule says otherwise, no window took them
    if spec.unique is not None:
        fates[:] = 0
        lists = _unique(spec, whole, lists, fates)
        fates[lists.order] = np.maximum(fates[lists.order], accounting.WINDOWS)
    made = cut(spec, lists, times, whole.times.tick, max_steps, fates)
    return Working(whole, order, begins, borders, made, fates)


def _unique(spec: Events, whole: EventTable, lists: Listed, fates: np.ndarray) -> Listed:
    time = spec.order_by[0]
    names = [name for name in spec.unique or () if name not in (*spec.key, time)]
    fields = whole.ranked(names, signed_zeros=False)
    return unique(lists, whole.times.values, fields, time in (spec.unique or ()), fates)


def _borders(spec: Events, borders: Mapping[str, Any], tick: int) -> list[int]:
    found, faults = [], []
    for name, value in borders.items():
        try:
            found.append(-(-moment(value, spec.time.unit) // tick))
        except ValueError as error:
            faults.append(SpecFault(path_of(("split", name)), str(error)))
        if name == FIRST_SPLIT:
            faults.append(SpecFault(path_of(("split", name)), f"{FIRST_SPLIT!r} is what is before the first border"))
    if not faults and found != sorted(set(found)):
        faults.append(SpecFault("split", f"expected ascending borders, got {', '.join(map(repr, borders.values()))}"))
    if faults:
        raise SpecError(faults)
    return found


def _written(spec: Events, whole: EventTable, made: Cut, steps: SequenceSteps, names: Sequence[str]) -> pa.Table:
    columns = _names(whole, made.order[made.begins], made.splits, names)
    columns |= {name: steps.column(feature) for name, feature in spec.features_of(whole.names).items()}
    if spec.target is not None:
        columns[spec.target.name] = target(whole.field(spec.target.field), made.order, made.ends, spec.target.next)
    return pa.table(columns)


def _names(whole: EventTable, at: np.ndarray, splits: np.ndarray, names: Sequence[str]) -> dict[str, pa.Array]:
    """Returns the columns that name sequences: split and key."""
    made = {SPLIT: pa.array(names, pa.string()).take(pa.array(splits))} if len(names) > 1 else {}
    return {**made, **{name: keys.canonical(taken(whole.field(name), at)) for name in whole.spec.key}}


def _rejected(spec: Events, table: pa.Table, rows: np.ndarray) -> pa.Table:
    bad = table.take(pa.array(rows)).combine_chunks()
    batch = bad.to_batches()[0]
    if origin.ROW_COLUMN not in batch.schema.names:
        batch = origin.with_origin(batch, origin.file_of(batch), rows)
    _, found = rejection.split(batch, checks.event_faults(spec, bad))
    return pa.Table.from_batches([found], rejection.SCHEMA)
