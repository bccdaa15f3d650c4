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

from pipeline.columns_file.writer import split_text
from pipeline.dataset import distributions, layout, manifest
from pipeline.dataset.columns import data_set_of, for_its_rows, spec_of
from pipeline.dataset.graphs import STATISTICS, refuse_changed
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.splits import NO_SPLITS, Splits
from pipeline.dataset.target import absolute, refuse_pattern
from pipeline.errors import UsageError
from pipeline.inputs import originals
from pipeline.inputs.match import Inputs, match
from pipeline.inputs.places import among, places_of
from pipeline.job.progress import now
from pipeline.job.writing import Shard
from pipeline.repair import fitting
from transforms.columns.learned_vocabulary import learners
from transforms.distributions.facts import OF_TRANSFORM, Facts
from transforms.distributions.histograms import Counting
from transforms.errors import JobError, SpecError, SpecFault
from transforms.events.figures import Figures
from transforms.spec.spec import Spec
from transforms.statistics import saved
from transforms.statistics.saved import LearnedWords, Level
from transforms.stored import word_files
from transforms.stored.files import plain_path


@dataclass(frozen=True)
class Repair:
    """The request to repair a data set.

    Attributes:
      rejected: the directory `rejected/` of a data set, the data set's own, or files (a pattern) with rejected rows of it whose
        records somebody has mended, or with such events; also in their own format, as `seqcols rejects --output` writes them.
      spec: the columns to read the rows with now.
      output: directory of the data set; may be left out if `rejected` tells it.
      inputs: patterns of the input files of the data set, if they have moved from where the manifest says.
      workers: local worker threads, 0 for all cores; None leaves it to the size of the input.
      columns_file: the path of the file that `spec` was read from, for the manifest and for commands that messages show; an empty
        string if there is none.
    """

    rejected: str
    spec: Spec
    output: str = ""
    inputs: Sequence[str] = ()
    workers: int | None = None
    columns_file: str = ""


@dataclass(frozen=True)
class MadeSequences:
    """Sequences that were made of mended events, not yet published.

    Attributes:
      shards: their files.
      rejected: the files of all events that are rejected now, in place of those that there were.
      book: all events of the data set, accounted for (see `pipeline.dataset.events_ledger`).
      counts: what became of the mended ones: `read`, `added`, `refused` and `rejected`.
      figures: the figures of all events for people; None where they are not known.
    """

    shards: Sequence[Shard]
    rejected: Sequence[Shard]
    book: Mapping[str, Any]
    counts: Mapping[str, int]
    figures: Figures | None = None


@dataclass(frozen=True)
class RepairPlan:
    """A repair that can be carried out.

    Attributes:
      place: where it writes.
      spec: the columns.
      columns_text: the columns as YAML, for the manifest.
      before: the data set as it is.
      mended: files with records that are read instead of those that were kept.
      of_events: whether these are records of events.
      inputs: see `Repair`.
      levels: the statistics of the data set (see `Spec.levels`).
      words: its learned vocabularies; None where the columns have none.
      sizes: T of every sequence group.
      splits: the splits of the data set, if it has any.
      known: lengths and distributions of the data set, by split if it has any; empty if there are none that can be read.
      notes: remarks for the reader, one line each.
      columns_file: see `Repair`; that of the data set, if the columns are and nothing else is said.
      began: when the repair began, in milliseconds since 1970.
      made: the sequences that were made of mended events, once they are.
    """

    place: Layout
    spec: Spec
    columns_text: str
    before: Manifest
    mended: tuple[str, ...] = ()
    of_events: bool = False
    inputs: tuple[str, ...] = ()
    levels: tuple[Level, ...] = ()
    words: LearnedWords | None = None
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    splits: Splits = NO_SPLITS
    known: Mapping[str, Facts] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    columns_file: str = ""
    began: int = field(default_factory=now)
    made: MadeSequences | None = None

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
    root, found = located(asked)
    refuse_pattern(f"{asked.rejected!r}", root)
    mended = tuple(file.path for file in found.files)
    before = manifest.read_examples(root)
    of_events = _are_events(before, mended)
    if not of_events and not before.content["rejected"]["rows"]:
        raise UsageError(f"{root!r}: no row of this data set was rejected{_of_its_events(before)}")
    if not before.content["transform"]:
        raise UsageError(f"{root!r}: has no row that was written, and so no statistics: run the job again")
    refuse_changed(before, "transform")
    asked = replace(asked, spec=for_its_rows(before, asked.spec))
    old = spec_of(before)
    sizes = {name: fitting.size(before, old, name) for name in asked.spec.group_names}
    fitting.refuse_other_features(asked.spec, sizes, before)
    fitting.refuse_other_normalizers(asked.spec, old)
    if asked.spec.events != old.events:
        what = "expected that of the data set, whose sequences are made: run the job again"
        raise SpecError([SpecFault("events", what)])
    if asked.spec.split != old.split:
        rules = f"{split_text(old.split)}, got {split_text(asked.spec.split)}"
        raise SpecError([SpecFault("split", f"expected that of the data set, {rules}")])
    place = Layout(root, layout.new_run_id())
    known, same = distributions.read(before), columns_text == before.content["columns"]
    plan = RepairPlan(
        place,
        asked.spec,
        columns_text,
        before,
        mended,
        of_events,
        tuple(asked.inputs),
        sizes=sizes,
        splits=before.divided_by(old.row_rule),
        known=known,
        notes=found.notes,
        columns_file=asked.columns_file or (str(before.content.get("columns_file", "")) if same else ""),
    )
    return _with_statistics(plan, old)


def located(asked: Repair) -> tuple[str, Inputs]:
    """Returns the directory of the data set, and files with mended records."""
    given = plain_path(asked.rejected).rstrip("/")
    if not layout.exists(given) or given.endswith(".parquet") or os.path.isfile(given):
        if os.path.isfile(given) and not given.endswith(".parquet") and not originals.has_places(given):
            beside = f"{originals.places_file(given)} beside it, which seqcols rejects --output writes"
            raise UsageError(f"{asked.rejected!r}: expected a Parquet file, or one with the file of places {beside}")
        if not asked.output:
            raise UsageError(
                f"{asked.rejected!r}: --output: expected the directory of the data set that these rows are of"
            )
        output = plain_path(asked.output)
        return absolute(output) if "://" not in output else output, match([asked.rejected])
    root = data_set_of(given)
    return absolute(root) if "://" not in root else root, Inputs(())


def _are_events(before: Manifest, mended: Sequence[str]) -> bool:
    """Returns whether mended records are of events, and not of rows.

    Raises:
      UsageError: one of them is of none that the data set has rejected, or they are of both.
      JobError: a file cannot be read, or does not have a column.
    """
    if not mended:
        return False
    rows, events = places_of(before.rejected_files), places_of(before.rejected_event_files)
    kinds = set()
    for file, numbers in places_of(mended, "record").items():
        of_row, of_event = among(rows, file, numbers), among(events, file, numbers)
        other = numbers[~(of_row | of_event)]
        if len(other):
            what = "rejected row" + (" or event" if before.sequences else "")
            raise UsageError(f"{mended[0]}: {file} row {other[0]} is no {what} of {before.root!r}")
        kinds |= {name for name, found in (("rows", of_row), ("events", of_event)) if found.any()}
    if len(kinds) > 1:
        raise UsageError(f"{mended[0]}: has records of rows and of events: give a file of each, one after the other")
    return "events" in kinds


def _of_its_events(before: Manifest) -> str:
    """Returns what to say of rejected events where no row was rejected; an empty string where there are none."""
    count = before.sequences[layout.REJECTED]["rows"] if before.sequences else 0
    return f"; of its rejected events ({count:,}) give a file with mended records, and --output" if count else ""


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
