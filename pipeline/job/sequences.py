"""Making sequences of events: before the job that reads them, or as a data set of their own (`seqcols sequences`)."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from typing import Any, Final, TextIO

from apache_beam.io.filesystems import FileSystems

from pipeline.columns_file import events_file
from pipeline.columns_file.events_file import EventsFile
from pipeline.dataset import layout, manifest, publish
from pipeline.dataset.layout import Layout
from pipeline.errors import UsageError
from pipeline.inputs.match import InputFile, Inputs, SkippedFile, described, match, refuse_written
from pipeline.inputs.named import match_named
from pipeline.inputs.places import places_of, refuse_other_files
from pipeline.inputs.preflight import refuse_schema, sampled
from pipeline.job import cleaning, engines, scratch, screening, sequences_wiring
from pipeline.job.executing import HANDED_OVER, Outcome, conclude, execute, options_for, take_result, tuned
from pipeline.job.preparing import place_of, refuse_other_command, replaced
from pipeline.job.progress import say_what_is_compiled
from pipeline.job.request import Request, check_options
from pipeline.job.sequences_plan import (
    EventsPlan,
    Sequences,
    bytes_needed,
    grouping_of,
    partitions_of,
    refuse_small_disk,
)
from pipeline.job.verdict import DONE, FAILED, sequences_verdict
from pipeline.report.events import page_view
from pipeline.report.page import SEQUENCES, page
from pipeline.sources.base import BrokenFile
from pipeline.sources.limits import Limits
from transforms.distributions import facts
from transforms.errors import JobError
from transforms.stored import trees

BLOCKS: Final = "events"
"""Folder of the events as they are grouped, in the run's scratch or staging folder."""


def planned(request: Request, place: Layout, stream: TextIO | None) -> EventsPlan:
    """Looks at all that making sequences needs, before anything is written.

    Args:
      request: the request; its columns have a section of events.
      place: where the run writes.
      stream: where progress is shown.

    Raises:
      UsageError: an input is one that a run has written, or names a split; or the disk is too small.
      SpecError: the section does not go with these events.
      JobError: a file cannot be read.
    """
    spec = request.spec
    inputs = match_named(request.inputs, spec.split, request.allow_empty)
    if inputs.splits:
        raise UsageError(
            f"--input {request.inputs[0]!r}: names a split, and a sequence has events of several files; divide sequences by "
            f"key, feature or time, with split: in the columns file"
        )
    refuse_written("--input", inputs, {"--output": request.output})
    skipped: tuple[SkippedFile, ...] = ()
    screened: tuple[InputFile, ...] = ()
    if request.on_bad_file == "skip":
        inputs, skipped = _screened(request, inputs, place.output, stream)
        screened = inputs.files
    excluding = replace(match(request.exclude_events), inside={})  # what another data set has rejected may be named
    refuse_written("--exclude-events", excluding, {"--output": request.output})
    excluded_by = tuple(file.path for file in excluding.files)
    excluded = places_of(excluded_by)
    refuse_other_files("--exclude-events", excluded, inputs, skipped)
    plan = EventsPlan(
        place,
        grouping_of(spec, inputs, request.limits, request.max_steps),
        inputs,
        request.limits,
        request.max_rejected,
        partitions_of(request, inputs),
        FileSystems.join(place.scratch or place.staging, BLOCKS) if request.runs_here else "",
        events_file.dumps(EventsFile(events=spec.events, split=spec.split)),
        request.allow_empty,
        request.keep_sequences,
        skipped=skipped,
        screened=screened,
        excluded=excluded,
        excluded_by=excluded_by,
        split=spec.split,
        columns_file=request.columns_file,
    )
    made = {field.name: field.type for field in plan.grouping.schema}
    refuse_schema("events", made, spec)  # their files would be refused, when all events are grouped
    if not plan.folder:  # the disks are the engine's
        return plan
    plan = replace(plan, disk_bytes=bytes_needed(plan))
    return replace(plan, inputs=replace(inputs, notes=(*inputs.notes, refuse_small_disk(plan))))


def _screened(
    request: Request, inputs: Inputs, output: str, stream: TextIO | None
) -> tuple[Inputs, tuple[SkippedFile, ...]]:
    """Returns the files that can be read to their end, with their versions, and the broken ones."""
    read, events = replace(inputs, files=tuple(file.with_version() for file in inputs.files)), request.spec.events
    assert events is not None
    wanted = events.fields if events.features is not None else _names(inputs, request.limits)
    why = screening.broken(request, output, read.files, dict.fromkeys(wanted, "string"), stream)
    left, _, skipped = screening.without_broken(why, read)
    return left, skipped


def _names(inputs: Inputs, limits: Limits) -> list[str]:
    """Returns the names of all fields of events, as far as their files can be read."""
    names: dict[str, Any] = {}
    for path, source in sampled([file.path for file in inputs.files], limits):
        with contextlib.suppress(BrokenFile):
            names |= source.features(path, limits)
    return list(names)


def group(request: Request, plan: EventsPlan, stream: TextIO | None, outcome: Outcome) -> Sequences | None:
    """Makes the sequences that a job reads; the run's folders are there. A failure is in the outcome, and gives None."""
    with tuned(request, [plan.inputs.size], ["group"], stream) as tuning:
        execute(request, partial(sequences_wiring.build, plan=plan, tuning=tuning), outcome, tuning.workers)
    if plan.folder:
        trees.delete(plan.folder)  # the job needs the room for more
    if outcome.message or not layout.exists(plan.place.staged(sequences_wiring.MADE)):
        take_result(plan.place, outcome)
        return None
    return sequences_wiring.read_made(plan)


def sequences(request: Request, stream: TextIO | None = None) -> Outcome:
    """Makes sequences of events and publishes them as a data set of their own.

    Args:
      request: the request; of its spec only the sections of events and splits count.
      stream: where progress is shown; None shows none.

    Raises:
      UsageError: the request cannot be carried out.
      SpecError: the section does not go with these events.
      JobError: the input cannot be read.
    """
    say_what_is_compiled(stream)
    check_options(request)
    options = options_for(request)
    FileSystems.set_options(options)
    engines.refuse(request, options)
    place = place_of(request)
    replaces = replaced(request, place)
    place = scratch.placed(place, request, options)
    plan = replace(planned(request, place, stream), replaces=replaces)
    refuse_other_command(request, place, replaces, plan.text, plan.inputs, layout.SEQUENCES, plan.excluded_by)
    outcome = Outcome(
        FAILED,
        output=place.output,
        repeated=plan.inputs.repeated,
        passes=1 + (request.on_bad_file == "skip"),
        notes=plan.inputs.notes,
        skipped=plan.skipped,
    )
    with cleaning.run_in(place), tuned(request, [plan.inputs.size], ["group"], stream) as tuning:
        build = partial(sequences_wiring.build, plan=plan, tuning=tuning, end=publish_alone)
        execute(request, build, outcome, tuning.workers)
        if outcome.status == HANDED_OVER:
            cleaning.leave(place)
            return outcome
        conclude(place, outcome)
    return outcome


def publish_alone(made: Sequences) -> Mapping[str, Any]:
    """Looks at the sequences, publishes them as a data set, and writes down how it ended.

    Raises:
      JobError: they were not published.
    """
    try:
        result = sequences_verdict(made)
        if result["status"] == DONE:
            result = {**result, "notes": _published(made, result["ledger"])}
    except JobError as error:
        result = {"status": FAILED, "message": str(error)}
    result["rejected_examples"] = made.examples
    layout.write_result(made.plan.place, result)
    if result["status"] != DONE:
        raise JobError(result["message"])
    return result


def _published(made: Sequences, book: Mapping[str, Any]) -> list[str]:
    """Publishes sequences as a data set, and returns notes for people."""
    plan, content = made.plan, _manifest(made)
    events, split = plan.grouping.incoming.events, plan.split
    shown = page_view(content, made.ledger, events, made.figures, split, made.examples)
    report, held = page(shown, SEQUENCES), facts.as_json({}, made.figures)
    return publish.publish(plan.place, content, book, None, "", plan.replaces, report=report, distributions=held)


def _manifest(made: Sequences) -> dict[str, Any]:
    plan, created = made.plan, manifest.created_now()
    counts = {"read": made.ledger["rows"]["read"], "written": made.ledger["sequences"]["rows"]}
    run = {"run": plan.place.run_id, "created": created, "kind": "sequences", **counts}
    return {
        "seqcols": version("seqcols"),
        "run": plan.place.run_id,
        "created": created,
        "runs": [{**run, "rejected": made.ledger["rows"]["rejected"]}],
        "format": layout.SEQUENCES,
        "columns": plan.text,
        **({"columns_file": plan.columns_file} if plan.columns_file else {}),
        "inputs": described(plan.inputs),
        "skipped_files": plan.skipped_files,
        "examples": {"rows": 0, "features": {}, "files": []},
        "sequences": made.described(),
        "rejected": {"rows": 0, "files": []},
    }
