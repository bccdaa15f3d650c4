"""The graph of the main job: read, analyse, read again, densify, write, publish.

    files -> read -> validate -> analyse (tf.Transform) -> transform
      |        (with --cache: only what is not in it)          |
      +-> gate <-----------------------------------------------+
            |
            +-> read -> validate -> densify -> write ---+
                  |         |                           +-> publish
                  +---------+-> write rejected ---------+

The second read waits for the first (file names pass a step whose side input is the finished transform) because a runner that
sees both at once joins them and buffers the data. Nothing but file names, tallies and lists of files crosses a shuffle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
from apache_beam.io.filesystems import FileSystems
from apache_beam.pvalue import AsList, AsSingleton

from pipeline.dataset import layout
from pipeline.dataset.layout import Layout
from pipeline.dataset.splits import NO_SPLITS, Splits
from pipeline.job import batch_coder, cache, passes
from pipeline.job.combine import at_end, first_rejects, sum_counts, sum_tallies
from pipeline.job.finish import finish
from pipeline.job.plan import Collected, Plan
from pipeline.job.reading import ReadBatches
from pipeline.job.request import DEFAULT_SHARD_BYTES
from pipeline.job.resharding import Reshard
from pipeline.job.splitting import DivideRows, with_split
from pipeline.job.staged import STAGED_BYTES
from pipeline.job.verdict import check_analysis
from pipeline.job.writing import ShardTarget, WriteShards
from pipeline.sinks.formats import SINKS
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.beam import COUNTS, GOOD, MOMENTS, REJECTED, TALLIES, Densify, Validate
from transforms.distributions.histograms import Counting
from transforms.fit.fit import find_level, save_transform
from transforms.rows.tally import Tally
from transforms.spec.spec import Spec
from transforms.statistics import moments, saved
from transforms.statistics.contributed import Packed
from transforms.statistics.fitted import table_width


@dataclass(frozen=True)
class Tuning:
    """Settings that change how a job runs. Only the limits, which refuse what is too large, can change its result.

    Attributes:
      limits: the largest records and files to accept.
      workers: number of local workers.
      spread: whether files are distributed over several workers.
      notes: folder for progress notes on this machine, or an empty string.
      passes_before: how often the input was read before, for the notes.
    """

    limits: Limits = DEFAULTS
    workers: int = 1
    spread: bool = True
    notes: str = ""
    passes_before: int = 0


def build(root: beam.Pipeline, plan: Plan, tuning: Tuning) -> beam.PCollection:
    """Adds the whole job to a pipeline.

    Args:
      root: the pipeline.
      plan: the plan of the run; `plan.passes` says whether there is an analysis pass.
      tuning: how to run it.

    Returns:
      A PCollection with one element, what `finish` returned.
    """
    batch_coder.register()
    files = root | "Files" >> beam.Create([file.path for file in plan.inputs.files], reshuffle=False)
    analysis = _analyse(root, plan, tuning)
    analysed = AsSingleton(sum_tallies(analysis.tallies, "AnalysisLedger")) if analysis.tallies else Counter()
    looked = root | "Analysed" >> beam.Create([None], reshuffle=False)
    counted_well = looked | "Look" >> beam.Map(lambda _, *counted: check_analysis(*counted), plan, analysed)
    waits_for = (AsSingleton(analysis.ready), AsSingleton(counted_well))
    gated = files | "Gate" >> beam.Map(lambda path, *_: path, *waits_for)
    second = read_pass(gated, "Transform", plan.spec, tuning, plan.passes - 1, plan.splits, names=plan.inputs.names)
    written = write_pass(
        second,
        plan.place,
        plan.spec,
        plan.sink,
        moments=plan.passes == 1 and plan.given_transform is None,
        counting=plan.counting,
        splits=plan.splits,
        shards=plan.shards,
        shard_bytes=plan.shard_bytes,
    )
    table = _table(plan, analysis.ready, written.moments)
    return at_end(
        root,
        _finish,
        plan,
        analysis_tally=analysed,
        kept=_all(root, analysis.kept, "Kept"),
        by_part=_all(root, analysis.by_part, "ByPart"),
        table=AsSingleton(table),
        **written.collected(),
    )


@dataclass
class Pass:
    """The good batches of a pass, its rejected rows and its tallies."""

    good: beam.PCollection
    rejected: tuple[beam.PCollection, ...]
    tallies: tuple[beam.PCollection, ...]


def read_pass(
    files: beam.PCollection,
    label: str,
    spec: Spec,
    tuning: Tuning,
    number: int,
    splits: Splits = NO_SPLITS,
    only: str = "",
    names: Mapping[str, str] | None = None,
) -> Pass:
    """Adds one pass over the files: read, divide into splits, and validate.

    Args:
      files: names of files.
      label: the beginning of the steps' names.
      spec: the columns.
      tuning: how to run it.
      number: the number of this pass over the input.
      splits: the splits of the rows, if there are any.
      only: the split whose rows are passed on; an empty string for all.
      names: path to the name of the file in the ledger, if that is another.
    """
    number += tuning.passes_before
    reading = ReadBatches(spec, tuning.limits, tuning.spread, tuning.notes, number, names)
    read = files | f"{label}Read" >> reading
    return validated(read, label, spec, tuning, splits, only)


def validated(
    read: beam.pvalue.DoOutputsTuple, label: str, spec: Spec, tuning: Tuning, splits: Splits, only: str = ""
) -> Pass:
    """Adds the division into splits and the validation of rows that were read; the arguments are those of `read_pass`."""
    stages = [read]
    if splits:
        stages.append(stages[-1][GOOD] | f"{label}Divide" >> DivideRows(splits, only))
    stages.append(stages[-1][GOOD] | f"{label}Validate" >> Validate(spec, max_steps=tuning.limits.max_steps))
    return Pass(stages[-1][GOOD], tuple(s[REJECTED] for s in stages), tuple(s[TALLIES] for s in stages))


@dataclass
class WrittenRows:
    """The result of a pass that writes: files of examples and of rejected rows, the counts, and samples of rejected rows.

    `moments` are those of the numeric columns, if asked for; `counts` are the counted distributions.
    """

    parts: beam.PCollection
    rejected: beam.PCollection
    tallies: tuple[beam.PCollection, ...]
    refused: tuple[beam.PCollection, ...]
    moments: beam.PCollection
    counts: beam.PCollection

    def collected(self) -> dict[str, Any]:
        """Returns what the end of a run is given of it, as side inputs."""
        return {
            "parts": AsList(self.parts),
            "rejected": AsList(self.rejected),
            "tally": AsSingleton(sum_tallies(self.tallies, "Ledger")),
            "examples": AsSingleton(first_rejects(self.refused)),
            "counts": AsSingleton(sum_counts(self.counts)),
        }


def write_pass(
    read: Pass,
    place: Layout,
    spec: Spec,
    sink: str,
    moments: bool,
    sampled: bool = True,
    counting: Counting | None = None,
    splits: Splits = NO_SPLITS,
    shards: int | None = None,
    shard_bytes: int = DEFAULT_SHARD_BYTES,
) -> WrittenRows:
    """Adds densifying by the staged transform, and writing.

    Args:
      read: the rows.
      place: where they are written.
      spec: the columns.
      sink: name of the sink.
      moments: whether the moments of the numeric columns are collected on the way.
      sampled: whether it is noted where some rows come from (see `pipeline.dataset.samples`).
      counting: the way in which distributions are counted.
      splits: the splits of the rows, if there are any.
      shards: number of files of examples for each split and length bucket; None leaves it to the bundles.
      shard_bytes: size at which a bundle closes a file of examples.
    """
    transform = place.staged(layout.TRANSFORM)
    narrow = not SINKS[sink].keeps_float64
    densify = Densify(
        spec,
        None,
        transform,
        moments,
        counting=counting or Counting(),
        narrow=narrow,
        moments_of=splits.statistics,
    )
    dense = read.good | "Densify" >> densify
    target = ShardTarget(place.at(layout.EXAMPLES), place.run_id, sink)
    if shards is None:
        write = WriteShards(target.folder, target.run_id, sink, spec, shard_bytes, sampled)
    else:
        write = WriteShards(place.staging, target.run_id, "", spec, STAGED_BYTES, sampled)
    written = dense[GOOD] | "Write" >> beam.ParDo(write).with_outputs(TALLIES, main="parts")
    parts = written.parts if shards is None else written.parts | Reshard(target, spec, shards, sampled)
    refused = (*read.rejected, dense[REJECTED])
    rejected = [_write_rejected(part, place, k, splits) for k, part in enumerate(refused)]
    counted = (*read.tallies, dense[TALLIES], written[TALLIES])
    return WrittenRows(
        parts, rejected | "RejectedParts" >> beam.Flatten(), counted, refused, dense[MOMENTS], dense[COUNTS]
    )


def _write_rejected(rejected: beam.PCollection, place: Layout, number: int, splits: Splits) -> beam.PCollection:
    """Writes one output of rejected rows. Several are not flattened first: that would hold them all in memory."""
    if splits:
        rejected |= f"NameSplit{number}" >> beam.Map(with_split, splits).with_output_types(pa.RecordBatch)
    write = WriteShards(place.at(layout.REJECTED), place.run_id, "parquet", None)
    return (rejected | f"WriteRejected{number}" >> beam.ParDo(write).with_outputs(TALLIES, main="parts")).parts


def build_level(root: beam.Pipeline, plan: Plan, tuning: Tuning) -> beam.PCollection:
    """Adds a pass to a pipeline that finds statistics which others wait for: see `transforms.fit.fit.find_level`.

    What it reads is compared with what earlier passes did.
    """
    batch_coder.register()
    files = root | "Files" >> beam.Create([file.path for part in plan.analysis.parts for file in part], reshuffle=False)
    read = read_pass(files, "Analyse", plan.spec, tuning, 0, plan.splits, plan.splits.statistics)
    sum_tallies(read.tallies, "AnalysisLedger") | "Compare" >> beam.Map(passes.compare, plan.place)
    return find_level(plan.spec, read.good, plan.place.staging, plan.given, plan.place.scratch)


@dataclass
class Found:
    """The result of the analysis: one element once the transform is saved, the counts, and what is cached for each part."""

    ready: beam.PCollection
    tallies: list[beam.PCollection] = field(default_factory=list)
    kept: list[beam.PCollection] = field(default_factory=list)
    by_part: list[beam.PCollection] = field(default_factory=list)


def _analyse(root: beam.Pipeline, plan: Plan, tuning: Tuning) -> Found:
    """Analyses (where there is a pass for it) and saves the transform."""
    target, staging, spec = plan.place.staged(layout.TRANSFORM), plan.place.staging, plan.spec
    scratch = plan.place.scratch
    if plan.given_transform is not None:
        one = root | "GivenTransform" >> beam.Create([plan.place.run_id], reshuffle=False)
        return Found(one | "StageTransform" >> beam.Map(_staged, plan))
    if plan.passes == 1:
        return Found(save_transform(root, spec, None, target, staging, scratch=scratch)[0])
    reads = []
    for k, part in enumerate(plan.analysis.parts):
        label = f"Analyse{k or ''}"
        files = root | f"{label}Files" >> beam.Create([file.path for file in part], reshuffle=False)
        reads.append(read_pass(files, label, spec, tuning, 0, plan.splits, plan.splits.statistics))
    if not plan.analysis.folder:
        (read,) = reads
        ready, _ = save_transform(root, spec, read.good, target, staging, given=plan.given, scratch=scratch)
        return Found(ready, list(read.tallies))
    data = cache.datasets(root, plan.analysis, [read.good for read in reads])
    ready, found = save_transform(root, spec, data, target, staging, scratch=scratch)
    sums = [sum_tallies(read.tallies, f"Part{k}") for k, read in enumerate(reads)]
    by_part = [tally | f"Numbered{k}" >> beam.Map(_numbered, k) for k, tally in enumerate(sums)]
    return Found(ready, sums, cache.keep(plan.analysis, found), by_part)


def _staged(run: str, plan: Plan) -> str:
    assert plan.given_transform is not None
    plan.given_transform.stage(plan.place)
    return run


def _numbered(tally: Tally, part: int) -> tuple[int, Tally]:
    return part, tally


def _all(root: beam.Pipeline, parts: list[beam.PCollection], label: str) -> Any:
    """Returns everything in several PCollections as a list on the side."""
    return AsList(parts | label >> beam.Flatten(pipeline=root))


def _table(plan: Plan, ready: beam.PCollection, found: beam.PCollection) -> beam.PCollection:
    """Returns the moments of all numeric columns: from the analysis, else from the one pass."""
    width = table_width(plan.spec)
    if plan.passes == 2 and width:
        return ready | "ReadMoments" >> beam.Map(_read_table, plan.place.staged(saved.moments_file(0)))
    return found | "Moments" >> beam.CombineGlobally(_merged) | "Table" >> beam.Map(_as_table, width)


def _merged(found: Iterable[Packed | None]) -> Packed | None:
    """Returns the moments of all bundles; None of none."""
    there = [packed for packed in found if packed is not None]
    return Packed(there[0].parts).merge(there) if there else None


def _as_table(found: Packed | None, width: int) -> np.ndarray:
    return found.table() if found is not None else moments.empty(width)


def _read_table(_: Any, path: str) -> np.ndarray:
    with FileSystems.open(path) as file:
        return moments.loads(file.read())


def _finish(_: None, plan: Plan, **got: Any) -> dict[str, Any]:
    return finish(plan, Collected(**got))
