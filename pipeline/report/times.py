"""Durations of the parts of a run, by the clocks of the workers and of the launcher."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from transforms.distributions.facts import Timed
from transforms.rows.tally import Tally


def of_tallies(*tallies: Tally) -> list[tuple[int, int]]:
    """Returns when each pass that was noted in tallies began and ended, in order."""
    began = {key[2]: at for tally in tallies for key, at in tally.items() if key[1] == "began"}
    ended = {key[2]: at for tally in tallies for key, at in tally.items() if key[1] == "ended"}
    return [(began[number], ended.get(number, began[number])) for number in sorted(began)]


def parts(start: int, before: Sequence[Timed], passes: Sequence[tuple[int, int]], end: int) -> list[Timed]:
    """Returns the parts of a run.

    Args:
      start: when it began.
      before: passes of their own, before the job.
      passes: when each pass of the job began and ended; the last one wrote.
      end: when it ended.
    """
    made = list(_parts(start, before, passes, end))
    return [part for part in made if part.ended > part.began or part.what.startswith("pass")]


def _parts(start: int, before: Sequence[Timed], passes: Sequence[tuple[int, int]], end: int) -> Iterator[Timed]:
    at = before[-1].ended if before else start
    if before:
        yield Timed("prepare", start, before[0].began)
        yield from before
    for k, (began, ended) in enumerate(passes):
        last = k == len(passes) - 1
        waits = "prepare" if at == start else "fit, make the graph"
        yield Timed(waits, min(at, began), began)
        number = len(before) + k + 1
        what = "read, normalise, write" if last else "read, analyse"
        yield Timed(f"pass {number}: {what}", began, ended)
        at = ended
    yield Timed("check and publish", at, max(end, at))
