"""Running a request: here in process, or on an engine; and cleaning up whatever way it ends."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from functools import partial
from typing import TextIO

from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import layout
from pipeline.dataset.layout import Layout
from pipeline.errors import UsageError
from pipeline.inputs.match import Inputs, SkippedFile
from pipeline.job import cache, checking, cleaning, engines, scratch, sequences, wiring
from pipeline.job.executing import HANDED_OVER, Outcome, conclude, execute, options_for, take_result, tuned
from pipeline.job.plan import Plan
from pipeline.job.preparing import (
    columns_text,
    given_of,
    look_at,
    looked_up,
    needs_analysis,
    place_of,
    plan_run,
    refuse_other_command,
    rehearse,
    replaced,
    screened,
    splits_of,
)
from pipeline.job.progress import now, say_what_is_compiled, waiting
from pipeline.job.request import Request, check_values
from pipeline.job.sequences_plan import Sequences
from pipeline.job.verdict import DONE, FAILED
from transforms.columns.embedding import with_tables_in
from transforms.distributions.facts import Timed
from transforms.spec import dense_rows
from transforms.statistics import saved


def run(request: Request, stream: TextIO | None = None) -> Outcome:
    """Runs the main job; once more where the cache turns out to be wrong about a file, whose entry is dropped then.

    Args:
      request: the request.
      stream: where progress is shown; None shows none.

    Raises:
      UsageError: the request cannot be carried out.
      SpecError: the columns do not work.
      JobError: the input cannot be read.
    """
    say_what_is_compiled(stream)
    outcome = _run(request, stream)
    if not outcome.stale:
        return outcome
    again = _run(request, stream)
    again.notes = [f"{cache.dropped(outcome.stale)}; the run started over", *again.notes]
    return again


def _run(request: Request, stream: TextIO | None) -> Outcome:
    if request.spec is not None and request.spec.events is not None:
        return _run_on_events(request, stream)
    return _run_on_rows(request, stream)


def _run_on_events(request: Request, stream: TextIO | None) -> Outcome:
    """Makes the sequences, which are the rows of the run proper, and publishes both in one step."""
    check_values(request)
    options = options_for(request)
    FileSystems.set_options(options)
    engines.refuse(request, options)
    place = place_of(request)
    request, _ = given_of(request, place)
    rehearse(request.spec)
    place = scratch.placed(place, request, options)
    plan = sequences.planned(request, place, stream)
    asked = columns_text(request.spec), plan.inputs, request.format, plan.excluded_by
    refuse_other_command(request, place, replaced(request, place), *asked)
    notes = plan.inputs.notes
    outcome = Outcome(FAILED, output=place.output, repeated=plan.inputs.repeated, notes=notes, skipped=plan.skipped)
    with cleaning.run_in(place):
        made = sequences.group(request, plan, stream, outcome)
        if made is None:
            cleaning.clean(place, False, outcome.rejected_files, outcome.ledger)
            return outcome
        done = _run_on_rows(replace(request, on_bad_file="fail"), stream, made)
    done.notes, done.skipped, done.repeated = [*notes, *done.notes], plan.skipped, plan.inputs.repeated
    done.rejected_examples = {**made.examples, **done.rejected_examples}
    return done


def _looking(request: Request, stream: TextIO | None) -> contextlib.AbstractContextManager[None]:
    """Says what is waited for before the bars of a run; screening has a bar of its own."""
    return waiting("looking at the input", None if request.on_bad_file == "skip" else stream)


def _run_on_rows(request: Request, stream: TextIO | None, made: Sequences | None = None) -> Outcome:
    """Runs the job on the rows of its input, or on sequences, whose run has begun already."""
    with _looking(request, stream):
        plan = plan_run(request, stream, made)
    before = _levels_before(request, plan)
    outcome = Outcome(
        FAILED,
        output=plan.place.output,
        repeated=plan.inputs.repeated,
        passes=plan.passes + before + (request.on_bad_file == "skip"),
        notes=[*plan.inputs.notes, *plan.analysis.notes],
        skipped=plan.skipped,
    )
    analysed = before + plan.passes - 1
    titles = ["analyse"] * analysed + ["transform"]
    sizes = [sum(file.size for file in plan.analysis.read)] * analysed + [plan.inputs.size]
    if made is None:
        plan = replace(plan, place=scratch.placed(plan.place, request, options_for(request)))
    begun = cleaning.run_in(plan.place) if made is None else contextlib.nullcontext()
    with begun, tuned(request, sizes, titles, stream) as tuning:
        plan = _find_levels(request, _with_tables_in_reach(plan), tuning, before, outcome)
        if not outcome.message:
            main = replace(tuning, passes_before=before)
            execute(request, lambda root: wiring.build(root, plan, main), outcome, tuning.workers)
        if outcome.status == HANDED_OVER:
            cleaning.leave(plan.place)
            return outcome
        conclude(plan.place, outcome)
    return outcome


def _with_tables_in_reach(plan: Plan) -> Plan:
    """Returns the plan with its embedding tables in the staging folder: Beam is slow with large pickles, and makes many."""
    columns = with_tables_in(plan.spec.columns, plan.place.staging)
    return replace(plan, spec=plan.spec.model_copy(update={"columns": columns}))


def _levels_before(request: Request, plan: Plan) -> int:
    """Returns how many levels of statistics are computed by passes of their own, before the job.

    tf.Transform can find all of them in one pipeline, and does so on an engine; the local runner would hold the whole data in
    memory meanwhile. What a cache has of the files is tf.Transform's to choose.
    """
    return request.spec.levels - 1 if request.runs_here and plan.passes == 2 and not plan.analysis.folder else 0


def _find_levels(request: Request, plan: Plan, tuning: wiring.Tuning, count: int, outcome: Outcome) -> Plan:
    """Runs the passes that find the first levels of statistics, and returns the plan with them; a failure is in the outcome."""
    for level in range(count):
        build, began = partial(wiring.build_level, plan=plan, tuning=replace(tuning, passes_before=level)), now()
        execute(request, build, outcome, tuning.workers)
        if outcome.message:
            break
        timed = Timed(f"pass {level + 1}: read, analyse", began, now())
        plan = replace(
            plan,
            timed=(*plan.timed, timed),
            given=(*plan.given, saved.read_level(plan.spec, plan.place.staging, level)),
        )
    return plan


def check(request: Request, stream: TextIO | None = None) -> Outcome:
    """Reads and validates without writing; the ledger counts accepted rows as written. Fails where `run` would.

    Args:
      request: the request.
      stream: where progress is shown; None shows none.

    Raises:
      UsageError: the request cannot be carried out.
      SpecError: no job can carry out the columns.
      JobError: the input cannot be read, or the run failed.
    """
    outcome = count(request, stream, "check")
    if outcome.status == DONE:
        longest = {name: int(counted["longest"]) for name, counted in outcome.lengths.items()}
        why = dense_rows.too_long(request.spec, longest, request.max_record_bytes)
        outcome.status, outcome.message = (FAILED, why) if why else (DONE, "")
    return outcome


def count(request: Request, stream: TextIO | None, title: str) -> Outcome:
    """Reads, validates and counts, whatever T comes out; `title` is the command that this is for. Otherwise as `check`."""
    check_values(request)
    if not request.runs_here:
        raise UsageError(f"{title} runs on this machine: --runner does not apply")
    FileSystems.set_options(options_for(request))
    say_what_is_compiled(stream)
    with tempfile.TemporaryDirectory(prefix="seqcols-") as folder:
        place = Layout(folder, layout.new_run_id())
        rehearse(request.spec)
        needs_analysis(request.spec)  # traces the normalizer functions, so that a broken one is found
        if request.spec.events is None:
            with _looking(request, stream):
                inputs, _, skipped = screened(request, folder, stream)
            with cleaning.run_in(place):
                return _counted(request, place, inputs, skipped, stream, title)
        plan, outcome = sequences.planned(request, place, stream), Outcome(FAILED)
        with cleaning.run_in(place):
            made = sequences.group(request, plan, stream, outcome)
            if made is None:
                return outcome
            alone = replace(request, on_bad_file="fail")
            outcome = _counted(alone, place, made.inputs, plan.skipped, stream, title, made)
            outcome.grouping = {"partitions": plan.partitions, "disk_bytes": plan.disk_bytes}
            return outcome


def _counted(
    request: Request,
    place: Layout,
    inputs: Inputs,
    skipped: tuple[SkippedFile, ...],
    stream: TextIO | None,
    title: str,
    made: Sequences | None = None,
) -> Outcome:
    """Counts the rows of files, or of sequences that were made of them, in the folders of a run that has begun."""
    names = look_at(inputs, request)
    plan = Plan(
        place, request.spec, "", inputs, request.format, request.max_rejected, True, 1, names, limits=request.limits
    )
    plan = replace(plan, skipped=skipped, screened=looked_up(inputs), splits=splits_of(request, inputs), sequences=made)
    asked = plan.given_inputs
    outcome = Outcome(FAILED, repeated=asked.repeated, skipped=skipped, notes=asked.notes)
    with tuned(request, [inputs.size], [title], stream) as tuning:
        plan = _with_tables_in_reach(plan)
        execute(request, lambda root: checking.build(root, plan, tuning), outcome, tuning.workers)
    take_result(place, outcome)
    return outcome
