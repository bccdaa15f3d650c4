"""Each stage as a function of batches, which does what an earlier stage has not done yet.

Importing them loads neither Beam nor TensorFlow: only what makes rows dense does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Final

import pyarrow as pa

from transforms.counting import count_cut
from transforms.distributions import histograms
from transforms.distributions.centres import read_centres
from transforms.distributions.histograms import Counting
from transforms.parse.step_limit import MAX_STEPS
from transforms.rows import origin
from transforms.rows.tally import add
from transforms.spec.spec import Spec
from transforms.stages import Stage, parse_batch, reject_late, validate_batch

STAGE_KEY: Final = b"seqcols.stage"
"""Schema metadata that says how far a batch has come."""

StageFunction = Callable[[pa.RecordBatch], Iterator[Stage]]


def mark(batch: pa.RecordBatch, stage: bytes) -> pa.RecordBatch:
    """Returns a batch that says how far it has come."""
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), STAGE_KEY: stage})


def stage_of(batch: pa.RecordBatch) -> bytes:
    """Returns how far a batch has come: `b"parsed"`, `b"validated"`, or nothing."""
    return bytes((batch.schema.metadata or {}).get(STAGE_KEY, b""))


def parse_stage(spec: Spec, max_steps: int = MAX_STEPS) -> StageFunction:
    """Returns the function that parses a batch."""

    def run(batch: pa.RecordBatch) -> Iterator[Stage]:
        done = parse_batch(batch, spec.columns, max_steps)
        yield Stage(mark(done.batch, b"parsed"), done.rejected, done.tally)

    return run


def validate_stage(spec: Spec, max_steps: int = MAX_STEPS) -> StageFunction:
    """Returns the function that validates a batch, parsed first where it is not."""

    def run(batch: pa.RecordBatch) -> Iterator[Stage]:
        parsed = Stage(batch)
        if stage_of(batch) != b"parsed":
            parsed = parse_batch(batch, spec.columns, max_steps)
            yield Stage(parsed.batch.slice(0, 0), parsed.rejected, parsed.tally)
        done = validate_batch(parsed.batch, spec, parsed.views)
        yield Stage(mark(done.batch, b"validated"), done.rejected, done.tally)

    return run


def densify_stage(
    spec: Spec,
    transform: str | None,
    moments: bool = False,
    max_steps: int = MAX_STEPS,
    counting: Counting | None = None,
    narrow: bool = False,
    moments_of: str = "",
) -> StageFunction:
    """Returns the function that densifies a batch, parsed and validated first where it is not.

    Args:
      spec: the columns.
      transform: directory of a saved graph, or None where no statistics are needed.
      moments: whether to collect the moments of the numeric columns on the way.
      max_steps: most steps of a sequence; a row with more is rejected.
      counting: the way in which distributions are counted; None for not at all.
      narrow: whether float64 will be written as float32.
      moments_of: the split whose moments are collected; an empty string for all rows.
    """
    # TensorFlow takes seconds to import: only the stage that needs it pays.
    from transforms.densify import dense_batch, graph, spoiled
    from transforms.statistics.fitted import not_fitted

    run_graph = graph.saved_graph(spec, transform) if transform else graph.fitted_graph(not_fitted(spec))
    collect = graph.moments_graph(spec) if moments else lambda batch: None
    count = _counter(spec, transform, counting) if counting is not None else None
    validate = validate_stage(spec, max_steps)

    def run(batch: pa.RecordBatch) -> Iterator[Stage]:
        """Yields the stages of a batch."""
        if stage_of(batch) != b"validated":
            done = list(validate(batch))
            yield from (Stage(stage.batch.slice(0, 0), stage.rejected, stage.tally) for stage in done)
            batch = done[-1].batch
        for piece, arrays in graph.run(run_graph, batch, spec):
            good, late = reject_late(piece, spec, spoiled.normalizer_faults(arrays, spec, narrow))
            kept = arrays if late.rejected is None else {name: array[good] for name, array in arrays.items()}
            dense = dense_batch.dense_batch(late.batch, kept, spec)
            add(late.tally, count_cut(late.batch, kept, spec))
            found = collect(late.batch) if moments_of in ("", origin.split_of(batch)) else None
            distributions = partial(count, late.batch, kept) if count is not None else None
            yield Stage(dense, late.rejected, late.tally, found, distributions)

    return run


def _counter(spec: Spec, transform: str | None, counting: Counting) -> histograms.Counter:
    from transforms.statistics.saved import read_words

    learned = counting.words or {}
    if counting.words is None and transform:
        learned = {name: len(words) for name, words in read_words(spec, transform).items()}
    around = read_centres(spec, counting.moments)
    return histograms.counter(spec, around, histograms.known_words(spec, learned), counting.one_in)
