"""Running a request: here in process, or on an engine; and cleaning up whatever way it ends."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, TextIO

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.runners.runner import create_runner

from pipeline import cache, checking, cleaning, job, kill_points, layout, manifest, preflight, progress
from pipeline.columns_file import dumps
from pipeline.failures import message_of, of_function
from pipeline.finish import DONE, FAILED, Plan
from pipeline.inputs import Inputs, match
from pipeline.layout import Layout
from pipeline.request import Request, UsageError, check_values, checked_output, interrupted_run, published_run
from transforms import analyze
from transforms.columns.embedding import with_tables_in
from transforms.errors import JobError, SpecError, SpecFault, nearest
from transforms.normalizers import Function
from transforms.spec import Spec


@dataclass
class Outcome:
    """How a run ended.

    Attributes:
      status: `done`, `failed` or `too_many_rejected`.
      message: why, where it is not done.
      output: the directory, or an empty string for a check.
      ledger: the ledger, as far as the run came.
      rejected_examples: the first rejected rows of every reason.
      rejected_files: where the rejected rows lie.
      repeated: input files that several patterns matched.
      passes: how often the input was read.
      notes: what a person should know of the run, a line each.
      error: what was raised, where something was.
    """

    status: str
    message: str = ""
    output: str = ""
    ledger: dict[str, Any] = field(default_factory=dict)
    rejected_examples: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    rejected_files: list[str] = field(default_factory=list)
    repeated: Sequence[str] = ()
    passes: int = 1
    notes: Sequence[str] = ()
    error: BaseException | None = None


def run(request: Request, stream: TextIO | None = None) -> Outcome:
    """Runs the main job.

    Args:
      request: what is asked for.
      stream: where progress is shown; None shows none.

    Raises:
      UsageError: the request cannot be carried out.
      SpecError: the columns do not work.
      JobError: the input cannot be read.
    """
    check_values(request)
    if kill_points.unknown():
        points = ", ".join(kill_points.POINTS)
        raise UsageError(f"{kill_points.VARIABLE}: expected one of {points}, got {kill_points.unknown()!r}")
    _refuse_runner(request)
    if not request.spec.graph_inputs:  # tf.Transform 1.21 refuses a graph without inputs
        raise SpecError([SpecFault("columns", "expected a column to densify, got only passthrough_column")])
    place = Layout(checked_output(request), layout.new_run_id())
    inputs = match(request.inputs, request.allow_empty)
    replaces = _replaced(request, place, inputs)
    others = match(request.statistics_inputs)
    names = _preflight(inputs, request)
    passes = 2 if others.files or _needs_analysis(request.spec) else 1
    analysis = _planned(request, inputs, others) if passes == 2 else cache.Analysis(())
    looked_at = {file.path for file in inputs.files}  # and what the cache has is not even opened
    _preflight(Inputs(tuple(file for file in analysis.read if file.path not in looked_at)), request)
    plan = Plan(
        place,
        request.spec,
        _columns_text(request.spec),
        inputs,
        request.format,
        request.max_rejected,
        request.allow_empty,
        passes,
        names,
        replaces,
        analysis,
        limits=request.limits,
    )
    before = _levels_before(request, passes)
    outcome = Outcome(
        FAILED,
        output=place.output,
        repeated=inputs.repeated,
        passes=passes + before,
        notes=[*inputs.notes, *analysis.notes],
    )
    titles = ["analyse"] * (before + passes - 1) + ["transform"]
    sizes = [sum(file.size for file in analysis.read)] * (before + passes - 1) + [inputs.size]
    with cleaning.run_in(place), _tuning(request, sizes, titles, stream) as tuning:
        plan = _find_levels(request, _with_tables_in_reach(plan), tuning, before, outcome)
        if not outcome.message:
            main = replace(tuning, passes_before=before)
            _execute(request, lambda root: job.build(root, plan, main), outcome)
        _take_result(place, outcome)
        cleaning.clean(place, outcome.status == DONE, outcome.rejected_files, outcome.ledger)
    return outcome


def _replaced(request: Request, place: Layout, inputs: Inputs) -> str | None:
    """Returns the run whose data set this one replaces, None for none.

    Without --overwrite nothing may be there when this run publishes, whatever came since the directory was checked, except what
    the same command published before it was killed.
    """
    if request.overwrite:
        return published_run(place.output)
    dead = interrupted_run(place.output)
    if dead is not None:
        content = manifest.read(place.output).content
        asked = (request.format, _columns_text(request.spec), manifest.inputs_of(inputs.files))
        if asked != (content["format"], content["columns"], content["inputs"]):
            raise UsageError(
                f"--output {place.output!r}: holds a whole data set of other inputs or columns, whose run was killed before it "
                f"was done; --overwrite replaces it"
            )
    return dead


def _with_tables_in_reach(plan: Plan) -> Plan:
    """Returns the plan with its embedding tables in the staging folder: Beam is slow with large pickles, and makes many."""
    columns = with_tables_in(plan.spec.columns, plan.place.staging)
    return replace(plan, spec=plan.spec.model_copy(update={"columns": columns}))


def _levels_before(request: Request, passes: int) -> int:
    """Returns how many levels of statistics are found by passes of their own, before the job.

    tf.Transform can find all of them in one pipeline, and does so on an engine; the local runner would hold the whole data in
    memory meanwhile. With a cache the files are tf.Transform's to choose.
    """
    return request.spec.levels - 1 if request.runs_here and passes == 2 and not request.cache else 0


def _find_levels(request: Request, plan: Plan, tuning: job.Tuning, count: int, outcome: Outcome) -> Plan:
    """Runs the passes that find the first levels of statistics, and returns the plan with them; a failure is in the outcome."""
    for level in range(count):
        build = partial(job.build_level, plan=plan, tuning=replace(tuning, passes_before=level))
        _execute(request, build, outcome)
        if outcome.message:
            break
        plan = replace(plan, given=(*plan.given, analyze.read_level(plan.spec, plan.place.staging, level)))
    return plan


def check(request: Request, stream: TextIO | None = None) -> Outcome:
    """Reads and validates without writing; the ledger counts accepted rows as written.

    Raises:
      UsageError: the request cannot be carried out.
      JobError: the input cannot be read, or the run failed.
    """
    check_values(request)
    if not request.runs_here:
        raise UsageError("check runs on this machine: --runner does not apply")
    inputs = match(request.inputs)
    names = _preflight(inputs, request)
    _needs_analysis(request.spec)  # traces the normalizer functions, so that a broken one is found
    with tempfile.TemporaryDirectory(prefix="seqcols-") as folder:
        place = Layout(folder, layout.new_run_id())
        plan = Plan(
            place, request.spec, "", inputs, request.format, request.max_rejected, True, 1, names, limits=request.limits
        )
        layout.make_dirs(place.staging)
        outcome = Outcome(FAILED, repeated=inputs.repeated)
        with _tuning(request, [inputs.size], ["check"], stream) as tuning:
            plan = _with_tables_in_reach(plan)
            _execute(request, lambda root: checking.build(root, plan, tuning), outcome)
        _take_result(place, outcome)
    return outcome


def _planned(request: Request, inputs: Inputs, others: Inputs) -> cache.Analysis:
    """Decides which files the statistics are of, and which of them are read for it."""
    files = {file.path: file for file in (*others.files, *inputs.files)}
    folder = request.cache if "://" in request.cache else os.path.abspath(request.cache) if request.cache else ""
    return cache.plan(folder, request.spec, [files[path] for path in sorted(files)], request.max_steps)


def _columns_text(spec: Spec) -> str:
    """Returns the columns as YAML; as a description where a function has no name that YAML could give."""
    try:
        return dumps(spec)
    except SpecError:
        return repr(spec)


def _preflight(inputs: Inputs, request: Request) -> tuple[str, ...]:
    """Looks at the files before anything is written; returns the names of the features that the first one holds."""
    return preflight.look([file.path for file in inputs.files], request.spec.columns, request.limits)


def _needs_analysis(spec: Spec) -> bool:
    """Whether the data must be read first: for our statistics, or for analyzers that a normalizer function brings."""
    if not any(isinstance(link, Function) for link in spec.normalizers):
        return spec.needs_analysis
    import tensorflow_transform as tft

    from transforms.graph import input_specs

    preprocess = analyze.preprocessing_fn(spec, "", analyze=False)
    try:
        return bool(tft.get_analyze_input_columns(preprocess, input_specs(spec))) or spec.needs_analysis
    except Exception as error:  # whatever a person's function raises
        raise of_function(error) from error


@contextlib.contextmanager
def _tuning(request: Request, sizes: list[int], titles: list[str], stream: TextIO | None) -> Iterator[job.Tuning]:
    """Yields how to run the job, with its progress shown meanwhile where it runs here."""
    if not request.runs_here:
        yield job.Tuning(request.limits, spread=True)
        return
    with _folder_for_notes() as folder:
        tuning = job.Tuning(request.limits, spread=request.workers != 1, notes=folder)
        with progress.shown(folder, titles, sizes, stream) if stream and folder else contextlib.nullcontext():
            yield tuning


def _folder_for_notes() -> contextlib.AbstractContextManager[str]:
    """Returns a folder for notes of progress, or no name where the disk for such has no room: no run fails for that."""
    try:
        return tempfile.TemporaryDirectory(prefix="seqcols-progress-", ignore_cleanup_errors=True)
    except OSError:
        return contextlib.nullcontext("")


def _refuse_runner(request: Request) -> None:
    """Refuses a runner that is not there, before anything is read.

    Raises:
      UsageError: naming the nearest one.
    """
    if request.runs_here:
        return
    name = _options(request).view_as(StandardOptions).runner
    try:
        create_runner(name)
    except Exception as error:  # a name is imported, which may raise anything
        hint = nearest(str(name), StandardOptions.KNOWN_RUNNER_NAMES)
        raise UsageError(f"--runner {name!r}: cannot be loaded{hint or f' ({message_of(error)})'}") from error


def _options(request: Request) -> PipelineOptions:
    """Returns Beam's options: ours first, so that what a person asks for by Beam's own names wins."""
    args = ["--no_save_main_session"]
    if request.runs_here:
        mode = "in_memory" if request.workers == 1 else "multi_processing"
        args += [f"--direct_num_workers={request.workers}", f"--direct_running_mode={mode}"]
    return PipelineOptions([*args, *request.beam_args])


def _execute(request: Request, build: Any, outcome: Outcome) -> None:
    """Builds and runs a pipeline; a failure ends in the outcome, one line long."""
    # FnApiRunner by itself: `--runner=DirectRunner` would try to download another one first (Beam 2.77).
    options = _options(request)
    root = beam.Pipeline(FnApiRunner(), options=options) if request.runs_here else beam.Pipeline(options=options)
    try:
        build(root)
    except JobError:
        raise
    except Exception as error:  # tracing runs the normalizer functions
        raise of_function(error) from error
    try:
        root.run().wait_until_finish()
    except Exception as error:
        if message_of(error).endswith("KeyboardInterrupt"):  # Beam 2.77 makes a RuntimeError of it
            raise KeyboardInterrupt from error
        outcome.status, outcome.message, outcome.error = FAILED, message_of(error), error


def _take_result(place: Layout, outcome: Outcome) -> None:
    """Reads how the run ended, as its last step wrote it down."""
    if not layout.exists(place.result):
        if not outcome.message:
            outcome.message = "the job ended without a result"
        return
    result = layout.read_json(place.result)
    outcome.status, outcome.message = result["status"], result["message"]
    outcome.ledger = result.get("ledger", {})
    outcome.notes = [*outcome.notes, *result.get("notes", [])]
    outcome.rejected_files = result.get("rejected_files", [])
    outcome.rejected_examples = result.get("rejected_examples", {})
