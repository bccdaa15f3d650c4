"""Parse, validate and densify as Beam PTransforms, for anybody's pipeline and for our own job.

Each takes a PCollection of Arrow RecordBatches or of dict rows and gives the same kind back, in several outputs: the good
rows (`GOOD`), `REJECTED`, and what was counted (`TALLIES`, `TABLES`). A later stage does what an earlier one has not done yet,
so each works by itself.

>>> parsed = rows | Parse([sequence_numeric_column("x", delimiter=",")])  # doctest: +SKIP
>>> parsed.good, parsed.rejected  # doctest: +SKIP
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.metrics import Metrics
from apache_beam.pvalue import TaggedOutput
from apache_beam.transforms.window import GlobalWindow, WindowedValue

from transforms import rows
from transforms.columns import Column
from transforms.dict_rows import BATCH_ROWS, check_keys, from_dicts
from transforms.groups import SequenceGroup
from transforms.moments import merge
from transforms.parse import canonical_type
from transforms.spec import Spec, make_spec
from transforms.stages import Stage, parse_batch, reject_late, validate_batch
from transforms.tally import Tally, add

GOOD: Final = "good"
REJECTED: Final = "rejected"
TALLIES: Final = "tallies"
TABLES: Final = "tables"

STAGE_KEY: Final = b"seqcols.stage"
"""Schema metadata that says how far a batch has come."""

StageFunction = Callable[[pa.RecordBatch], Iterator[Stage]]


def _mark(batch: pa.RecordBatch, stage: bytes) -> pa.RecordBatch:
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), STAGE_KEY: stage})


def _stage(batch: pa.RecordBatch) -> bytes:
    return bytes((batch.schema.metadata or {}).get(STAGE_KEY, b""))


def parse_stage(spec: Spec) -> StageFunction:
    """Returns the function that parses a batch."""

    def run(batch: pa.RecordBatch) -> Iterator[Stage]:
        done = parse_batch(batch, spec.columns)
        yield Stage(_mark(done.batch, b"parsed"), done.rejected, done.tally)

    return run


def validate_stage(spec: Spec) -> StageFunction:
    """Returns the function that validates a batch, parsed first where it is not."""

    def run(batch: pa.RecordBatch) -> Iterator[Stage]:
        if _stage(batch) != b"parsed":
            parsed = parse_batch(batch, spec.columns)
            yield Stage(parsed.batch.slice(0, 0), parsed.rejected, parsed.tally)
            batch = parsed.batch
        done = validate_batch(batch, spec)
        yield Stage(_mark(done.batch, b"validated"), done.rejected, done.tally)

    return run


def densify_stage(spec: Spec, transform: str | None, moments: bool = False) -> StageFunction:
    """Returns the function that densifies a batch, parsed and validated first where it is not.

    Args:
      spec: the columns.
      transform: directory of a saved graph, or None where no statistics are needed.
      moments: whether to collect the moments of the numeric columns on the way.
    """
    # TensorFlow takes seconds to import: only the stage that needs it pays.
    from transforms import graph
    from transforms.fitted import not_fitted

    run_graph = graph.saved_graph(spec, transform) if transform else graph.fitted_graph(not_fitted(spec))
    collect = graph.moments_graph(spec) if moments else lambda batch: None
    validate = validate_stage(spec)

    def run(batch: pa.RecordBatch) -> Iterator[Stage]:
        if _stage(batch) != b"validated":
            done = list(validate(batch))
            yield from (Stage(stage.batch.slice(0, 0), stage.rejected, stage.tally) for stage in done)
            batch = done[-1].batch
        for piece, arrays in graph.run(run_graph, batch, spec):
            good, late = reject_late(piece, spec, graph.normalizer_faults(arrays, spec))
            kept = arrays if late.rejected is None else {name: array[good] for name, array in arrays.items()}
            dense = graph.dense_batch(late.batch, kept, spec)
            yield Stage(dense, late.rejected, late.tally, collect(late.batch))

    return run


class StagedRow(dict[str, Any]):
    """A dict row that a stage put out: its lists are canonical, so that the next stage need not parse it again.

    Attributes:
      stage: how far it has come. A copy made with `{**row}` is a plain dict, and is parsed again.
    """

    stage: bytes = b""


class StageFn(beam.DoFn):
    """Runs a stage over batches. Dict rows are gathered into batches first; a row's result does not depend on which.

    Args:
      make: called once a worker, returns the stage function.
    """

    def __init__(self, make: Callable[[], StageFunction], spec: Spec):
        self._make, self._spec = make, spec

    def setup(self) -> None:
        """Forgets the stage function. The first element builds it: before that its graph may not be there yet."""
        self._run: StageFunction | None = None

    def start_bundle(self) -> None:
        """Begins a tally and the gathering of dict rows, by window."""
        self._tally: Tally = Counter()
        self._tables: list[np.ndarray] = []
        self._pending: dict[Any, list[Mapping[str, Any]]] = defaultdict(list)
        self._window: Any = GlobalWindow()

    def process(
        self, element: pa.RecordBatch | Mapping[str, Any], window: Any = beam.DoFn.WindowParam
    ) -> Iterator[Any]:
        """Yields good batches or rows, and rejected ones tagged `REJECTED`."""
        self._window = window
        if isinstance(element, pa.RecordBatch):
            for stage in self._counted(element):
                if stage.batch.num_rows:
                    yield stage.batch
                if stage.rejected is not None:
                    yield TaggedOutput(REJECTED, stage.rejected)
            return
        check_keys(element)
        self._pending[window].append(element)
        if len(self._pending[window]) >= BATCH_ROWS:
            yield from self._run_dicts(self._pending.pop(window))

    def finish_bundle(self) -> Iterator[Any]:
        """Yields what was still gathered, and the bundle's tally tagged `TALLIES`, in the last window that the bundle had."""
        for window, pending in self._pending.items():
            for made in self._run_dicts(pending):
                tag = made.tag if isinstance(made, TaggedOutput) else None
                value = in_window(made.value if tag else made, window)
                yield TaggedOutput(tag, value) if tag else value
        self._pending.clear()
        if self._tally:
            for key, count in self._tally.items():
                if len(key) == 3 and key[1] == "rows":
                    Metrics.counter("seqcols", f"rows_{key[2].replace(':', '_')}").inc(count)
            yield TaggedOutput(TALLIES, in_window(self._tally, self._window))
        if self._tables:
            yield TaggedOutput(TABLES, in_window(merge(self._tables), self._window))

    def _counted(self, batch: pa.RecordBatch) -> Iterator[Stage]:
        if self._run is None:
            self._run = self._make()
        for stage in self._run(batch):
            add(self._tally, stage.tally)
            if stage.table is not None:
                self._tables = [merge([*self._tables, stage.table])]
            yield stage

    def _run_dicts(self, pending: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
        for stage, group in itertools.groupby(pending, key=lambda row: getattr(row, "stage", b"")):
            same = list(group)
            yield from self._run_batches([self._canonical(same, stage)] if stage else from_dicts(same))

    def _run_batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[Any]:
        for batch in batches:
            for stage in self._counted(batch):
                yield from _to_dicts(stage.batch)
                if stage.rejected is not None:
                    yield from (TaggedOutput(REJECTED, row) for row in stage.rejected.to_pylist())

    def _canonical(self, pending: Sequence[Mapping[str, Any]], stage: bytes) -> pa.RecordBatch:
        """Returns rows that a stage put out as the batch that they were: no type is guessed again."""
        arrays = {
            key: pa.array([row.get(key) for row in pending], canonical_type(form))
            for key, form in self._spec.features.items()
        }
        return _mark(rows.with_origin(pa.RecordBatch.from_pydict(arrays), "", 0), stage)


def in_global_window(value: Any) -> WindowedValue:
    """Returns a value as `finish_bundle` must yield it where nothing is windowed."""
    return in_window(value, GlobalWindow())


def in_window(value: Any, window: Any) -> WindowedValue:
    """Returns a value as `finish_bundle` must yield it."""
    return WindowedValue(value, window.max_timestamp(), (window,))


def _to_dicts(batch: pa.RecordBatch) -> Iterator[StagedRow]:
    names = [name for name in batch.schema.names if name not in rows.RESERVED]
    for values in batch.select(names).to_pylist():
        row = StagedRow(values)
        row.stage = _stage(batch)
        yield row


class _Stage(beam.PTransform):
    """Base of the three transforms."""

    def __init__(
        self,
        columns: Sequence[Column] | Column | Spec,
        sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
    ):
        super().__init__()
        self.spec = make_spec(columns, sequence_groups)

    def make(self) -> StageFunction:
        """Returns the stage function; called on a worker."""
        raise NotImplementedError

    def expand(self, pcoll: beam.PCollection) -> beam.pvalue.DoOutputsTuple:
        """Applies the stage; the outputs are `GOOD`, `REJECTED`, `TALLIES` and `TABLES`."""
        return pcoll | beam.ParDo(StageFn(self.make, self.spec)).with_outputs(REJECTED, TALLIES, TABLES, main=GOOD)


class Parse(_Stage):
    """Parses source columns to their declared dtypes: lists of int64, float32 or text, one list a row.

    Args:
      columns: one column, several, or a whole spec.
      sequence_groups: policies by group (see `SequenceGroup`).
    """

    def make(self) -> StageFunction:
        """See the base class."""
        return parse_stage(self.spec)


class Validate(_Stage):
    """Applies the columns' rules: the rows that come out can be densified. Arguments as `Parse`."""

    def make(self) -> StageFunction:
        """See the base class."""
        return validate_stage(self.spec)


class Densify(_Stage):
    """Normalises and densifies: `[T, *shape]` for sequences, with lengths and masks.

    RecordBatches come out with fixed-size lists (of `T * prod(shape)` values), dict rows with lists.

    Args:
      columns: one column, several, or a whole spec.
      sequence_groups: policies by group (see `SequenceGroup`).
      transform: directory of the graph that a job saved. It may be left out where no column asks for statistics and every
        group has a `max_length` that is a number.
      moments: also collect the moments of the numeric columns (see `moments`), in the output `TABLES`.

    Raises:
      ValueError: statistics are needed and `transform` is missing.
    """

    def __init__(
        self,
        columns: Sequence[Column] | Column | Spec,
        sequence_groups: dict[str, SequenceGroup] | SequenceGroup | None = None,
        transform: str | None = None,
        moments: bool = False,
    ):
        super().__init__(columns, sequence_groups)
        if transform is None and self.spec.needs_analysis:
            raise ValueError(
                "these columns need statistics (or the longest row) of the data set: give transform=DIR of a finished job"
            )
        self._transform, self._moments = transform, moments

    def make(self) -> StageFunction:
        """See the base class."""
        return densify_stage(self.spec, self._transform, self._moments)
