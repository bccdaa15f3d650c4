"""Sequences from events with the figures of these for people: what a job counts of each partition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from transforms.events import figures, trim
from transforms.events.cuts import SessionRuns
from transforms.events.figures import EVENTS, GAPS, SESSION_EVENTS, SESSION_TIMES, SESSIONS, STEPS, Figures, in_buckets
from transforms.events.sequences import Grouped, grouped
from transforms.events.spec import Events
from transforms.events.trim import Trimmed, most_needed


def counted(
    table: pa.Table, events: Events, borders: Mapping[str, Any], max_steps: int, trimmed: Trimmed | None = None
) -> tuple[Grouped, Figures]:
    """Builds sequences from all events of some keys, and counts the events.

    Events of a key, gaps and times are those of all events, dropped ones too; but of a key with more events than decide on its
    sequence (see `most_needed`) the gaps are those between the last ones of these, whatever was trimmed. Sessions are those of
    a key's events that are `unique`, whatever becomes of them.

    Args:
      table: the events.
      events: the section.
      borders: as in `transforms.sequences`.
      max_steps: likewise.
      trimmed: events of the same keys that have been left out; None for none.
    """
    found, work = grouped(table, events, borders, max_steps)
    if not len(work.order):
        return found, Figures()
    times, tick, begins = work.events.times.values, work.events.times.tick, work.begins
    of_key = np.diff(begins)
    if trimmed is not None:
        of_key = trim.added_to(of_key, work.events, work.order[begins[:-1]], trimmed)
    numbers = {EVENTS: of_key, STEPS: np.diff(found.splits)}
    if work.made.sessions is not None:
        numbers |= _of_sessions(work.made.sessions, times[work.made.order])
    most = most_needed(events, bool(borders), max_steps)
    first = begins[:-1] if most is None else np.maximum(begins[:-1], begins[1:] - most.events)
    gaps, longest = figures.of_gaps(first, begins[1:], work.order, times)
    when = figures.of_times(times, tick)
    own = Figures(
        {**{what: in_buckets(own) for what, own in numbers.items()}, GAPS: gaps},
        {**{what: int(own.max(initial=0)) for what, own in numbers.items()}, GAPS: longest},
        tick,
        when.span,
        when.width,
        when.times,
        figures.by_split(times, work.borders),
    )
    return found, own if trimmed is None else figures.together([own, trimmed.figures])


def _of_sessions(runs: SessionRuns, times: np.ndarray) -> dict[str, np.ndarray]:
    """Returns sessions of a key, events of a session, and times from its first event to its last.

    Args:
      runs: the sessions.
      times: int64, in their order.
    """
    lasted = times[runs.ends - 1].view(np.uint64) - times[runs.begins].view(np.uint64)  # of int64, modulo 2^64
    lasted = np.minimum(lasted, np.uint64(2**63 - 1)).astype(np.int64)
    return {SESSIONS: runs.of_key, SESSION_EVENTS: runs.ends - runs.begins, SESSION_TIMES: lasted}
