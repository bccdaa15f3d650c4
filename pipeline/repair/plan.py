"""`seqcols repair`: the rejected rows of a data set go through again, and are added to it as a further run.

The data set's statistics stay what they are, and so do the rows that are written: other columns may only let more rows pass. The
ledger of the whole is that of the first run, in which every rejected row is now written, or rejected again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.columns_file.reader import loads
from pipeline.columns_file.writer import split_text
from pipeline.dataset import distributions, layout, manifest
from pipeline.dataset.graphs import STATISTICS, refuse_changed
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest_entries import buckets_of
from pipeline.dataset.splits import NO_SPLITS, Splits
from pipeline.dataset.target import refuse_pattern
from pipeline.errors import UsageError
from pipeline.inputs.match import Inputs, match
from pipeline.job.progress import now
from pipeline.repair.events import again, rejected_events
from pipeline.repair.rows import PLACE, batches_of
from transforms.columns.learned_vocabulary import learners
from transforms.columns.numeric_base import numeric_of
from transforms.distributions.facts import OF_TRANSFORM, Facts
from transforms.distributions.histograms import Counting
from transforms.errors import JobError, SpecError, SpecFault
from transforms.normalizers import Normalizer
from transforms.spec.spec import Spec
from transforms.statistics import saved
from transforms.statistics.saved import LearnedWords, Level
from transforms.stored import word_files


@dataclass(frozen=True)
class Repair:
    """The request to repair a data set.

    Attributes:
      rejected: the directory `rejected/` of a data set, the data set's own, or files (a pattern) with rejected rows of it whose
        records somebody has mended.
      spec: the columns to read the rows with now.
      output: directory of the data set; may be left out if `rejected` tells it.
      inputs: patterns of the input files of the data set, if they have moved from where the manifest says.
      workers: local worker threads, 0 for all cores; None leaves it to the size of the input.
    """

    rejected: str
    spec: Spec
    output: str = ""
    inputs: Sequence[str] = ()
    workers: int | None = None


@dataclass(frozen=True)
class RepairPlan:
    """A repair that can be carried out.

    Attributes:
      place: where it writes.
      spec: the columns.
      columns_text: the columns as YAML, for the manifest.
      before: the data set as it is.
      mended: files with records that are read instead of those that were kept.
      inputs: see `Repair`.
      levels: the statistics of the data set (see `Spec.levels`).
      words: its learned vocabularies; None where the columns have none.
      sizes: T of every sequence group.
      splits: the splits of the data set, if it has any.
      known: lengths and distributions of the data set, by split if it has any; empty if there are none that can be read.
      notes: remarks for the reader, one line each.
      began: when the repair began, in milliseconds since 1970.
    """

    place: Layout
    spec: Spec
    columns_text: str
    before: Manifest
    mended: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    words: LearnedWords | None = None
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    splits: Splits = NO_SPLITS
    known: Mapping[str, Facts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    began: int = field(default_factory=now)

    @property
    def counting(self) -> Counting:
        """The way in which distributions are counted: the same as for the data set."""
        folder = saved.joined(self.before.path(self.before.content["transform"]), STATISTICS)
        moments = saved.joined(folder, saved.moments_file(0))
        words = {name: len(words) for name, words in (self.words or {}).items()}
        one_in = next((one.one_in for part, one in self.known.items() if part != OF_TRANSFORM), 1)
        return Counting(moments if layout.exists(moments) else "", one_in, words)


def planned(asked: Repair, columns_text: str) -> RepairPlan:
    """Looks at what is there, and whether the columns fit it.

    Raises:
      UsageError: there is nothing to repair, or what is given does not belong to the data set.
      JobError: the data set, or a file, cannot be read.
      SpecError: the columns would make other features, or ask for statistics that the data set does not have.
    """
    root, found = _located(asked)
    refuse_pattern(f"{asked.rejected!r}", root)
    mended = tuple(file.path for file in found.files)
    before = manifest.read_examples(root)
    if not before.content["rejected"]["rows"]:
        more = f"; for its rejected events {again(before)}" if rejected_events(before) else ""
        raise UsageError(f"{root!r}: no row of this data set was rejected{more}")
    if not before.content["transform"]:
        raise UsageError(f"{root!r}: has no row that was written, and so no statistics: run the job again")
    refuse_changed(before, "transform")
    _refuse_other_rows(before, mended)
    old = _spec_of(before)
    sizes = {name: _size(before, old, name) for name in asked.spec.group_names}
    _refuse_other_features(asked.spec, sizes, before)
    _refuse_other_normalizers(asked.spec, old)
    if asked.spec.events != old.events:
        raise SpecError(
            [SpecFault("events", f"expected those of the data set: its sequences are made; {again(before)}")]
        )
    if asked.spec.split != old.split:
        rules = f"{split_text(old.split)}, got {split_text(asked.spec.split)}"
        raise SpecError([SpecFault("split", f"expected that of the data set, {rules}")])
    place = Layout(root, layout.new_run_id())
    known = distributions.read(before)
    plan = RepairPlan(
        place,
        asked.spec,
        columns_text,
        before,
        mended,
        tuple(asked.inputs),
        sizes=sizes,
        splits=before.divided_by(old.row_rule),
        known=known,
        notes=found.notes,
    )
    return _with_statistics(plan, old)


def _located(asked: Repair) -> tuple[str, Inputs]:
    """Returns the directory of the data set, and files with mended records."""
    given = asked.rejected.rstrip("/")
    if not layout.exists(given) or given.endswith(".parquet"):
        if not asked.output:
            raise UsageError(
                f"{asked.rejected!r}: --output: expected the directory of the data set that these rows are of"
            )
        return os.path.abspath(asked.output) if "://" not in asked.output else asked.output, match([asked.rejected])
    root = given[: -len(layout.REJECTED) - 1] if given.endswith(f"/{layout.REJECTED}") else given
    root = "." if given == layout.REJECTED else root
    return os.path.abspath(root) if "://" not in root else root, Inputs(())


def _refuse_other_rows(before: Manifest, mended: Sequence[str]) -> None:
    """Refuses mended records of rows that the data set has not rejected.

    Raises:
      UsageError: naming the first.
    """
    if not mended:
        return
    known = {place for batch in batches_of(before.rejected_files, PLACE) for place in _places(batch)}
    for batch in batches_of(mended, [*PLACE, "record"]):
        for file, row in _places(batch):
            if (file, row) not in known and file in {
                one["path"] for one in before.content["inputs"] if before.sequences
            }:
                raise UsageError(
                    f"{mended[0]}: {file} row {row} is an event, and no row of {before.root!r}: {again(before)}"
                )
            if (file, row) not in known:
                raise UsageError(f"{mended[0]}: {file} row {row} is no rejected row of {before.root!r}")


def _places(batch: Any) -> list[tuple[str, int]]:
    return list(zip(*(batch.column(name).to_pylist() for name in PLACE), strict=True))


def _spec_of(before: Manifest) -> Spec:
    try:
        return loads(str(before.content["columns"]), "the columns in the manifest")
    except SpecError as error:
        why = str(error).splitlines()[0]
        raise JobError(f"{before.root!r}: the columns cannot be read back from the manifest: {why}") from error


def _refuse_other_features(spec: Spec, sizes: Mapping[str, int | None], before: Manifest) -> None:
    """Refuses columns that make other features than those that are written.

    Raises:
      SpecError: naming the first difference.
    """
    wanted = {output.name: output for output in spec.outputs(dict(sizes))}
    for output in before.outputs:
        if output.name not in wanted:
            raise SpecError(
                f"the feature {output.name!r} of the data set is missing: a repair adds rows, not other features"
            )
        made = wanted.pop(output.name)
        for what in ("shape", "kind", "source"):
            if getattr(made, what) != getattr(output, what):
                raise SpecError(
                    f"the feature {output.name!r} would have the {what} {getattr(made, what)!r}, the data set has "
                    f"{getattr(output, what)!r}: run the job again"
                )
    was = (before.content["examples"].get("length_buckets") or {}).get("T")
    now = buckets_of(spec).get("length_buckets", {}).get("T")
    if was != now:
        raise SpecError(f"bucket_by_length gives the buckets {now}, the data set has {was}: run the job again")
    if wanted:
        raise SpecError(
            f"the feature {next(iter(wanted))!r} is none of the data set's: a repair adds rows, not other features"
        )


def _refuse_other_normalizers(spec: Spec, old: Spec) -> None:
    """Refuses normalizers that the rows already written were not put through.

    Raises:
      SpecError: naming the first.
    """
    were = {column.name: numeric_of(column) for column in old.numeric_columns}
    for column in spec.numeric_columns:
        now, before = numeric_of(column), were.get(column.name)
        if now is not None and before is not None and now.links != before.links:
            raise SpecError(
                f"column {column.name!r}: the data set was made with another normalizer_fn, "
                f"{_labels(before.links)}, not {_labels(now.links)}: run the job again"
            )


def _labels(links: Sequence[Normalizer]) -> str:
    return ", ".join(str(getattr(link, "type", "function")) for link in links) or "none"


def _size(before: Manifest, old: Spec, group: str) -> int | None:
    """Returns T of a group as it is written."""
    if group not in old.group_names:
        return None
    sizes = (o.shape[0] for o in before.outputs if o.sequence and old.group_of(o) == group)
    return next(sizes, old.group(group).fixed_length)


def _with_statistics(plan: RepairPlan, old: Spec) -> RepairPlan:
    """Returns the plan with the statistics of the data set, and with the words that its columns learned.

    Raises:
      SpecError: the columns ask for others.
      JobError: they are not there.
    """
    if not plan.spec.needs_analysis and not old.needs_analysis:
        return plan
    if plan.spec.asks != old.asks or plan.spec.longest_groups != old.longest_groups:
        raise SpecError("the columns ask for other statistics than the data set was made with: run the job again")
    unknown = set(learners(plan.spec.columns)) - set(learners(old.columns))
    if unknown:
        raise SpecError("a column learns another vocabulary than the data set has: run the job again")
    transform = plan.before.path(plan.before.content["transform"])
    folder = saved.joined(transform, STATISTICS)
    names = saved.statistics_files(plan.spec)
    lost = [name for name in names if not layout.exists(saved.joined(folder, name))]
    if lost:
        raise JobError(
            f"{saved.joined(folder, lost[0])}: is not there; it was written by an older seqcols: run the job again"
        )
    levels = tuple(saved.read_level(plan.spec, folder, level) for level in range(plan.spec.levels)) if names else ()
    words = saved.read_words(plan.spec, transform) if learners(plan.spec.columns) else None
    return replace(plan, levels=levels, words=words)


def keep_statistics(plan: RepairPlan) -> None:
    """Copies the statistics, and the vocabularies, of the data set to those of the graph that was staged."""
    transform = plan.before.path(plan.before.content["transform"])
    names = [f"{STATISTICS}/{name}" for name in saved.statistics_files(plan.spec) if plan.levels]
    counted = [f"{word_files.FOLDER}/{word_files.file_of(name)}" for name in plan.words or ()]
    names += [f"{word_files.ASSETS}/{name}" for name in plan.words or ()]
    names += [
        name for name in counted if layout.exists(saved.joined(transform, name))
    ]  # older data sets have no counts
    for name in names:
        with FileSystems.open(saved.joined(transform, name), compression_type=CompressionTypes.UNCOMPRESSED) as file:
            data = file.read()
        target = plan.place.staged(layout.TRANSFORM, *name.split("/"))
        layout.make_dirs(FileSystems.split(target)[0])
        layout.write_bytes(target, data)
