"""The plan of a run, from its beginning to its end, and what the pipeline hands to that end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pipeline.dataset.layout import Layout
from pipeline.dataset.splits import NO_SPLITS, Splits
from pipeline.inputs.match import InputFile, Inputs, SkippedFile
from pipeline.job import cache
from pipeline.job.cache_files import CachePiece
from pipeline.job.given import GivenTransform
from pipeline.job.progress import now
from pipeline.job.request import DEFAULT_SHARD_BYTES
from pipeline.job.sequences_plan import Sequences
from pipeline.job.writing import Shard
from pipeline.sources.limits import DEFAULTS, Limits
from transforms.distributions.facts import Timed
from transforms.distributions.histograms import Counting, Packed, part_counted
from transforms.rows.tally import Tally
from transforms.spec.spec import Spec
from transforms.statistics.fitted import table_width
from transforms.statistics.saved import Level, moments_file


@dataclass(frozen=True)
class Plan:
    """The plan of a run: all that its end needs to know of its beginning.

    Attributes:
      place: where it writes.
      spec: the columns.
      columns_text: the columns as YAML, for the manifest.
      inputs: the files.
      sink: name of the sink.
      max_rejected: the largest share of rows that may be rejected, 0 to 1.
      allow_empty: whether a data set without rows is published.
      passes: how often the input is read.
      feature_names: features that the first file holds, for hints.
      replaces: the run that is published in the directory when this one begins, None for none.
      analysis: the files that count toward the statistics, and what the cache has of them.
      given: statistics from the passes before the job: chains of normalizers may need several, one after the other.
      limits: the largest records and files to accept.
      skipped: broken files that were left out.
      screened: the files that were searched for broken ones, as they were then.
      splits: the splits of the rows, if there are any.
      given_transform: the data set whose transform the run uses; None if it fits its own.
      appends: whether the rows are added to that data set.
      again: whether to accept files whose rows it has already.
      shards: number of files of examples for each split and length bucket; None leaves it to the bundles.
      shard_bytes: size at which a file of examples is closed.
      sequences: the sequences of events that are the input; None if the input holds the rows.
      columns_file: the path of the file that the columns were read from; an empty string if there is none.
      began: when the run began, in milliseconds since 1970.
      timed: passes before the job, and how long each took.
    """

    place: Layout
    spec: Spec
    columns_text: str
    inputs: Inputs
    sink: str
    max_rejected: float
    allow_empty: bool
    passes: int
    feature_names: tuple[str, ...] = field(default=())
    replaces: str | None = None
    analysis: cache.Analysis = field(default_factory=lambda: cache.Analysis(()))
    given: tuple[Level, ...] = ()
    limits: Limits = DEFAULTS
    skipped: tuple[SkippedFile, ...] = ()
    screened: tuple[InputFile, ...] = ()
    splits: Splits = NO_SPLITS
    given_transform: GivenTransform | None = None
    appends: bool = False
    again: bool = False
    shards: int | None = None
    shard_bytes: int = DEFAULT_SHARD_BYTES
    sequences: Sequences | None = None
    columns_file: str = ""
    began: int = field(default_factory=now)
    timed: tuple[Timed, ...] = ()

    @property
    def counting(self) -> Counting:
        """The way in which distributions are counted."""
        if self.given_transform is not None:
            return Counting(self.given_transform.moments(self.place), part_counted(self.inputs.size))
        found = self.passes == 2 and table_width(self.spec)
        moments = self.place.staged(moments_file(0)) if found else ""
        return Counting(moments, part_counted(self.inputs.size))

    @property
    def given_inputs(self) -> Inputs:
        """The files that the run was given: those of the events, where the rows are made of such."""
        return self.inputs if self.sequences is None else self.sequences.plan.inputs

    @property
    def skipped_files(self) -> list[dict[str, str | int]]:
        """The files that were left out, as the ledger and the manifest list them."""
        return [file.entry() for file in (self.sequences.plan.skipped if self.sequences else self.skipped)]


@dataclass
class Collected:
    """The files that the pipeline wrote and everything that it counted, for the end of the run."""

    parts: Sequence[Shard]
    rejected: Sequence[Shard]
    tally: Tally
    analysis_tally: Tally
    table: np.ndarray
    examples: Any
    kept: Sequence[CachePiece] = ()
    by_part: Sequence[tuple[int, Tally]] = ()
    counts: Packed = field(default_factory=dict)
