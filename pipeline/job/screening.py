"""`--on-bad-file=skip`: every file is read through before the job, so that one that is broken is left out of it, whole.

Whoever finds the damage while the job runs has read rows before it by then, and has counted them for the statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, Final, TextIO

import apache_beam as beam
from apache_beam.pvalue import AsList, TaggedOutput

from pipeline.dataset import layout
from pipeline.dataset.layout import Layout
from pipeline.inputs.match import InputFile, Inputs, SkippedFile
from pipeline.job import cleaning
from pipeline.job.executing import Outcome, execute, tuned
from pipeline.job.progress import Note
from pipeline.job.reading import parts_of
from pipeline.job.request import Request
from pipeline.job.verdict import FAILED
from pipeline.job.wiring import Tuning
from pipeline.sources.base import BrokenFile, FilePart
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from transforms.errors import JobError

BROKEN: Final = "broken"
FOUND: Final = "broken-files.json"
NO_INPUTS: Final = Inputs(())


def build(
    root: beam.Pipeline, place: Layout, files: Sequence[InputFile], features: Mapping[str, str], tuning: Tuning
) -> beam.PCollection:
    """Adds reading files through to a pipeline, as far as `features` are in them; what is broken is written down for `broken`."""
    paths = root | "Files" >> beam.Create([file.path for file in files], reshuffle=False)
    splits = paths | "Split" >> beam.ParDo(_Split(tuning.limits)).with_outputs(BROKEN, main="splits")
    dealt = splits.splits | "Deal" >> beam.Reshuffle() if tuning.spread else splits.splits
    read = dealt | "Screen" >> beam.ParDo(_Screen(features, tuning.limits, tuning.notes))
    broken = (splits[BROKEN], read) | "Broken" >> beam.Flatten()
    end = root | "End" >> beam.Create([place.staged(FOUND)], reshuffle=False)
    return end | "WriteFound" >> beam.Map(_write, AsList(broken))


class _Split(beam.DoFn):
    """Yields the splits of a file; if they cannot be determined, the file and the reason, tagged `BROKEN`."""

    def __init__(self, limits: Limits):
        self._limits = limits

    def process(self, path: str) -> Iterator[Any]:
        try:
            yield from parts_of(path, self._limits)
        except BrokenFile as error:
            yield TaggedOutput(BROKEN, (path, 0, str(error)))


class _Screen(beam.DoFn):
    """Reads splits; of one that is broken it gives the file, the number of the part, and why."""

    def __init__(self, features: Mapping[str, str], limits: Limits, notes: str):
        self._features, self._limits, self._notes = features, limits, notes

    def start_bundle(self) -> None:
        self._note = Note(self._notes, 0)

    def process(self, split: FilePart) -> Iterator[tuple[str, int, str]]:
        try:
            source = source_for(split.path, self._limits)
            for rows, size in source.screen(split, self._features, self._limits):
                self._note.add(rows, size)
        except BrokenFile as error:
            yield split.path, split.part, str(error)

    def finish_bundle(self) -> None:
        self._note.write()


def _write(path: str, broken: Sequence[tuple[str, int, str]]) -> None:
    # Of a file that is broken in several parts the first one counts.
    layout.write_json(path, {path: why for path, _, why in sorted(broken, reverse=True)})


def broken(
    request: Request, output: str, files: Sequence[InputFile], features: Mapping[str, str], stream: TextIO | None
) -> dict[str, str]:
    """Reads files through, and returns the broken ones, each with the reason. Waits for an engine in any case.

    Args:
      request: the request.
      output: a directory that workers reach; what dead runs left there is removed.
      files: the files.
      features: what is read of them; the carrier of each.
      stream: where progress is shown.

    Raises:
      JobError: it cannot be told.
    """
    place, outcome = Layout(output, layout.new_run_id()), Outcome(FAILED)
    size = sum(file.size for file in files)
    with cleaning.run_in(place), tuned(request, [size], ["screen"], stream) as tuning:
        made = partial(build, place=place, files=files, features=features, tuning=tuning)
        execute(replace(request, wait=True), made, outcome, tuning.workers)
        if outcome.message:
            raise JobError(outcome.message)
        return dict(layout.read_json(place.staged(FOUND)))


def without_broken(
    why: Mapping[str, str], inputs: Inputs, others: Inputs = NO_INPUTS
) -> tuple[Inputs, Inputs, tuple[SkippedFile, ...]]:
    """Returns the files of a run, and those that count for its statistics only, without the broken ones, and these.

    Args:
      why: see `broken`.
      inputs: the files of a run.
      others: those that count for its statistics only.

    Raises:
      JobError: every file of the run is broken.
    """
    every = {file.path: file for file in (*inputs.files, *others.files)}
    skipped = tuple(SkippedFile(path, every[path].size, why[path]) for path in sorted(why))
    left, left_others = (
        replace(given, files=tuple(file for file in given.files if file.path not in why)) for given in (inputs, others)
    )
    if inputs.files and not left.files:
        count = "the only input file is" if len(inputs.files) == 1 else f"all {len(inputs.files)} input files are"
        raise JobError(f"{count} broken, nothing is left to read (--on-bad-file=skip): {why[inputs.files[0].path]}")
    return left, left_others, skipped
