"""Parse, validate and densify as Beam PTransforms, for anybody's pipeline and for our own job.

Each takes a PCollection of rows (dicts, `beam.Row`, NamedTuples and others with a schema) or of Arrow batches (RecordBatch,
Table) and gives the same kind back, in several outputs: the good rows (`GOOD`), `REJECTED`, and what was counted (`TALLIES`,
`MOMENTS`, `COUNTS`). A row with a schema comes back as a `beam.Row`, and so does a rejected one; a frame of pandas or Polars as a
Table. Kinds may stand side by side. A later stage does what an earlier one has not done yet, so each works by itself.

>>> parsed = rows | Parse([sequence_numeric_column("x", delimiter=",")])  # doctest: +SKIP
>>> parsed.good, parsed.rejected  # doctest: +SKIP
"""

from __future__ import annotations

import itertools
from collections import ChainMap, Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import apache_beam as beam
import pyarrow as pa
from apache_beam.pvalue import AsSingleton, TaggedOutput
from apache_beam.transforms.window import GlobalWindow, WindowedValue
from apache_beam.utils.shared import Shared

from transforms.columns import Column
from transforms.distributions import histograms
from transforms.distributions.histograms import Counting
from transforms.groups import SequenceGroup
from transforms.parse.parse import canonical_type
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows import metrics, origin
from transforms.rows.frames import ArrowStream, is_frame
from transforms.rows.from_python import BATCH_ROWS, batches_of, check_keys, from_dicts, row_dict
from transforms.rows.staged import stage_and_kind, staged_dict, staged_row
from transforms.rows.tally import Tally, add, under
from transforms.spec.make_spec import make_spec
from transforms.spec.spec import Spec
from transforms.stage_functions import StageFunction, densify_stage, mark, parse_stage, stage_of, validate_stage
from transforms.stages import Stage
from transforms.statistics.contributed import Packed

GOOD: Final = "good"
REJECTED: Final = "rejected"
TALLIES: Final = "tallies"
MOMENTS: Final = "moments"
COUNTS: Final = "counts"


class StageFn(beam.DoFn):
    """Runs a stage over batches. Single rows are gathered into batches first; a row's result does not depend on which.

    The threads of a process share one stage function: a wide graph takes seconds to trace.

    Args:
      make: called once a process, returns the stage function, which several threads may call at once.
      spec: the columns.
      arrow: whether good rows come out as RecordBatches whatever they came in as.
    """

    def __init__(self, make: Callable[[], StageFunction], spec: Spec, arrow: bool = False):
        self._make, self._spec, self._arrow = make, spec, arrow
        self._shared = Shared()

    def setup(self) -> None:
        """Forgets the stage function. The first element builds it: before that its graph may not be there yet."""
        self._run: StageFunction | None = None

    def start_bundle(self) -> None:
        """Begins a tally and the gathering of rows, by window."""
        self._tally: Tally = Counter()
        self._moments: Packed | None = None
        self._counts: dict[str, histograms.Counts] = defaultdict(dict)
        self._pending: dict[Any, list[Any]] = defaultdict(list)
        self._window: Any = GlobalWindow()

    def process(self, element: Any, window: Any = beam.DoFn.WindowParam) -> Iterator[Any]:
        """Takes a RecordBatch, a frame or a row; yields good batches or rows, and rejected ones tagged `REJECTED`."""
        self._window = window
        if isinstance(element, pa.RecordBatch):
            for stage in self._counted(element):
                if stage.batch.num_rows:
                    yield stage.batch
                if stage.rejected is not None:
                    yield TaggedOutput(REJECTED, stage.rejected)
        elif is_frame(element):
            yield from self._run_frame(element)
        else:
            if isinstance(element, Mapping):
                check_keys(element)
            self._pending[window].append(element)
            if len(self._pending[window]) >= BATCH_ROWS:
                yield from self._run_rows(self._pending.pop(window))

    def finish_bundle(self) -> Iterator[Any]:
        """Yields what was still gathered, and the bundle's tally tagged `TALLIES`, in the last window that the bundle had."""
        for window, pending in self._pending.items():
            for made in self._run_rows(pending):
                tag = made.tag if isinstance(made, TaggedOutput) else None
                value = in_window(made.value if tag else made, window)
                yield TaggedOutput(tag, value) if tag else value
        self._pending.clear()
        if self._tally:
            metrics.report(self._tally)
            yield TaggedOutput(TALLIES, in_window(self._tally, self._window))
        if self._moments is not None:
            yield TaggedOutput(MOMENTS, in_window(self._moments, self._window))
        if self._counts:
            by_split = (under(split, histograms.packed(counts)) for split, counts in self._counts.items())
            yield TaggedOutput(COUNTS, in_window(dict(ChainMap(*by_split)), self._window))

    def _counted(self, batch: pa.RecordBatch) -> Iterator[Stage]:
        if self._run is None:
            self._run = self._shared.acquire(self._make)
        for stage in self._run(batch):
            split = origin.split_of(stage.batch)
            add(self._tally, under(split, stage.tally) if split else stage.tally)
            metrics.report_lengths(stage.tally)
            if stage.moments is not None:
                self._moments = self._moments.merge([stage.moments]) if self._moments is not None else stage.moments
            if stage.count is not None:
                stage.count(self._counts[split])
                stage.count = None  # it holds the batch
            yield stage

    def _run_frame(self, frame: ArrowStream) -> Iterator[Any]:
        """A frame becomes one table: its stage and the file it came from stand in the schema."""
        stages = [stage for batch in batches_of(frame) for stage in self._counted(batch)]
        good = [stage.batch for stage in stages if stage.batch.num_rows]
        rejected = [stage.rejected for stage in stages if stage.rejected is not None]
        if self._arrow:
            yield from good
        elif good:
            yield pa.Table.from_batches(good)
        if rejected:
            yield TaggedOutput(REJECTED, pa.Table.from_batches(rejected))

    def _run_rows(self, pending: Sequence[Any]) -> Iterator[Any]:
        for (stage, is_dict), group in itertools.groupby(pending, key=stage_and_kind):
            same = [row if is_dict else row_dict(row) for row in group]
            batches = [self._canonical(same, stage)] if stage else from_dicts(same, 0, self._spec.features)
            yield from self._run_batches(batches, is_dict)

    def _run_batches(self, batches: Iterable[pa.RecordBatch], is_dict: bool) -> Iterator[Any]:
        for batch in batches:
            for stage in self._counted(batch):
                if not self._arrow:
                    make = staged_dict if is_dict else staged_row
                    names = [name for name in stage.batch.schema.names if name not in origin.RESERVED]
                    rows = stage.batch.select(names).to_pylist()
                    yield from (make(stage_of(stage.batch), row) for row in rows)
                elif stage.batch.num_rows:
                    yield stage.batch
                if stage.rejected is not None:
                    rejected = stage.rejected.to_pylist()
                    yield from (TaggedOutput(REJECTED, row if is_dict else beam.Row(**row)) for row in rejected)

    def _canonical(self, pending: Sequence[Mapping[str, Any]], stage: bytes) -> pa.RecordBatch:
        """Returns rows that a stage put out as the batch that they were: no type is guessed again."""
        arrays = {
            key: pa.array([row.get(key) for row in pending], canonical_type(form))
            for key, form in self._spec.features.items()
        }
        return mark(origin.with_origin(pa.RecordBatch.from_pydict(arrays), "", 0), stage)


def typed(made: beam.pvalue.DoOutputsTuple, *tags: str) -> beam.pvalue.DoOutputsTuple:
    """Says that some outputs are RecordBatches, pickled where an engine does not know it (see `pipeline.job.batch_coder`)."""
    for tag in tags:
        made[tag].element_type = pa.RecordBatch
    return made


def in_global_window(value: Any) -> WindowedValue:
    """Returns a value as `finish_bundle` must yield it where nothing is windowed."""
    return in_window(value, GlobalWindow())


def in_window(value: Any, window: Any) -> WindowedValue:
    """Returns a value as `finish_bundle` must yield it."""
    return WindowedValue(value, window.max_timestamp(), (window,))


class _Stage(beam.PTransform):
    """Base of the three transforms."""

    def __init__(
        self,
        columns: Sequence[Column] | Column | Spec,
        sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
        max_steps: int = MAX_STEPS,
    ):
        super().__init__()
        self.spec, self.max_steps = make_spec(columns, sequence_groups), max_steps

    def make(self) -> StageFunction:
        """Returns the stage function; called on a worker."""
        raise NotImplementedError

    def expand(self, pcoll: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """Applies the stage; the outputs are `GOOD`, `REJECTED`, `TALLIES`, `MOMENTS` and `COUNTS`."""
        tags = (REJECTED, TALLIES, MOMENTS, COUNTS)
        made = pcoll | beam.ParDo(StageFn(self.make, self.spec)).with_outputs(*tags, main=GOOD)
        return typed(made, GOOD, REJECTED) if pcoll.element_type is pa.RecordBatch else made


class Parse(_Stage):
    """Parses source columns to their declared dtypes: lists of int64, float32, float64 or text, one list a row.

    Args:
      columns: one column, several, or a whole spec.
      sequence_groups: policies by group (see `SequenceGroup`).
      max_steps: most steps of a sequence; a row with more is rejected (`over_limit`).
    """

    def make(self) -> StageFunction:
        """See the base class."""
        return parse_stage(self.spec, self.max_steps)


class Validate(_Stage):
    """Applies the columns' rules: the rows that come out can be densified. Arguments as `Parse`."""

    def make(self) -> StageFunction:
        """See the base class."""
        return validate_stage(self.spec, self.max_steps)


class Densify(_Stage):
    """Normalises and densifies: `[T, *shape]` for sequences, with lengths and masks.

    RecordBatches and Tables come out with fixed-size lists (of `T * prod(shape)` values), rows with lists.

    Args:
      columns: one column, several, or a whole spec.
      sequence_groups: policies by group (see `SequenceGroup`).
      transform: directory of the graph that a job saved. It may be left out where no column asks for statistics and every
        group has a `max_length` that is a number.
      moments: also collect the moments of the numeric columns (`contributed.Packed`), in the output `MOMENTS`.
      ready: a PCollection of one element to wait for, where the same pipeline makes the directory: see `transforms.fit.fit.Fit`.
      max_steps: as of `Parse`.
      counting: also count how values are distributed (see `distributions`), in the output `COUNTS`.
      narrow: whether float64 will be written as float32, as a tf.Example holds it: a row with a number beyond that is rejected.
      moments_of: the split whose moments are collected; an empty string for all rows.

    Raises:
      ValueError: statistics are needed and `transform` is missing.
    """

    def __init__(
        self,
        columns: Sequence[Column] | Column | Spec,
        sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
        transform: str | None = None,
        moments: bool = False,
        ready: beam.PCollection | None = None,
        max_steps: int = MAX_STEPS,
        counting: Counting | None = None,
        narrow: bool = False,
        moments_of: str = "",
    ):
        super().__init__(columns, sequence_groups, max_steps)
        if transform is None and self.spec.needs_analysis:
            raise ValueError(
                "these columns need statistics (or the longest row) of the data set: give transform=DIR of a finished job"
            )
        self._transform, self._moments, self._ready = transform, moments, ready
        self._counting, self._narrow, self._moments_of = counting, narrow, moments_of

    def expand(self, pcoll: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """See the base class."""
        if self._ready is not None:
            kind = pcoll.element_type
            pcoll |= "Wait" >> beam.Map(lambda element, _: element, AsSingleton(self._ready)).with_output_types(kind)
        return super().expand(pcoll)

    def make(self) -> StageFunction:
        """See the base class."""
        return densify_stage(
            self.spec,
            self._transform,
            self._moments,
            self.max_steps,
            self._counting,
            self._narrow,
            self._moments_of,
        )
