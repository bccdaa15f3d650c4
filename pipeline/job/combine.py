"""Combiners of the few things small enough to cross a shuffle: tallies, and the first rejected rows of every reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from transforms.beam import in_global_window
from transforms.distributions import histograms
from transforms.events import figures
from transforms.rows.tally import Tally, add

EXAMPLES_SHOWN: Final = 3
"""Rejected rows shown for every reason."""

Rejects = dict[str, list[dict[str, Any]]]


class SumTallies(beam.CombineFn):
    """Adds tallies up."""

    def create_accumulator(self) -> Tally:
        """Begins with nothing counted."""
        return Counter()

    def add_input(self, accumulator: Tally, element: Tally) -> Tally:
        """Adds one tally."""
        add(accumulator, element)
        return accumulator

    def merge_accumulators(self, accumulators: Iterable[Tally]) -> Tally:
        """Adds accumulators."""
        total: Tally = Counter()
        for accumulator in accumulators:
            add(total, accumulator)
        return total

    def extract_output(self, accumulator: Tally) -> Tally:
        """Returns the sum."""
        return accumulator


def sum_tallies(tallies: Iterable[beam.PCollection], label: str) -> beam.PCollection:
    """Returns the sum of several PCollections of tallies, one element."""
    return tuple(tallies) | f"{label}Tallies" >> beam.Flatten() | label >> beam.CombineGlobally(SumTallies())


def sum_counts(counts: beam.PCollection) -> beam.PCollection:
    """Returns the sum of packed counts (see `transforms.distributions.histograms`), one element."""
    return counts | "Distributions" >> beam.CombineGlobally(histograms.merged)


def sum_figures(parts: beam.PCollection) -> beam.PCollection:
    """Returns the figures of all events, one element."""
    return parts | "Figures" >> beam.CombineGlobally(figures.together)


def first_of(rejected: pa.RecordBatch) -> Rejects:
    """Returns the first rejected rows of a table for every reason, without their records."""
    shown = rejected.drop_columns(["record", "record_format"])
    made = {}
    for reason in pc.unique(shown.column("reason")).to_pylist():
        made[reason] = shown.filter(pc.equal(shown.column("reason"), reason)).slice(0, EXAMPLES_SHOWN).to_pylist()
    return made


def merge_first(parts: Iterable[Rejects]) -> Rejects:
    """Keeps the first rows of every reason, by file and row."""
    total: Rejects = {}
    for part in parts:
        for reason, rows in part.items():
            both = [*total.get(reason, []), *rows]
            total[reason] = sorted(both, key=lambda row: (row["file"], row["row"]))[:EXAMPLES_SHOWN]
    return dict(sorted(total.items()))


class _KeepFirst(beam.DoFn):
    """Cuts the rejected rows of a bundle down before they cross a stage: whole records would be held in memory."""

    def start_bundle(self) -> None:
        self._kept: Rejects = {}

    def process(self, element: pa.RecordBatch) -> None:
        self._kept = merge_first([self._kept, first_of(element)])

    def finish_bundle(self) -> Iterator[Any]:
        yield in_global_window(self._kept)


def first_rejects(rejected: Iterable[beam.PCollection]) -> beam.PCollection:
    """Returns the first rejected rows of every reason of several PCollections of tables, one element."""
    few = [part | f"First{k}" >> beam.ParDo(_KeepFirst()) for k, part in enumerate(rejected)]
    return few | "FirstRejects" >> beam.Flatten() | "FirstOfAll" >> beam.CombineGlobally(merge_first)


def at_end(root: beam.Pipeline, finish: Callable[..., Any], plan: Any, **got: Any) -> beam.PCollection:
    """Returns one element: the result of a function of the plan and of everything that the pipeline has collected.

    Args:
      root: the pipeline.
      finish: takes None, the plan, and `got` by name.
      plan: no element: those are pickled without cloudpickle, which takes no lambda of a column.
      **got: side inputs, which are waited for; plain values as they are.
    """
    return root | "End" >> beam.Create([None], reshuffle=False) | "Finish" >> beam.Map(finish, plan, **got)
