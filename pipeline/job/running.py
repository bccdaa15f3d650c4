"""Running a request: here in process, or on an engine; and cleaning up whatever way it ends."""

from __future__ import annotations

import contextlib
import os
import tempfile
from dataclasses import replace
from functools import partial
from typing import TextIO

from apache_beam.io.filesystems import FileSystems

from pipeline.columns_file.reader import dumps
from pipeline.dataset import layout, manifest
from pipeline.dataset.layout import Layout
from pipeline.dataset.splits import Splits
from pipeline.dataset.target import checked_output, interrupted_run, published_run
from pipeline.errors import UsageError
from pipeline.inputs import preflight
from pipeline.inputs.match import InputFile, Inputs, SkippedFile, described, match, refuse_written
from pipeline.inputs.named import match_named
from pipeline.job import cache, checking, cleaning, engines, scratch, screening, sequences, wiring
from pipeline.job.appending import names_of, splits_of_append
from pipeline.job.executing import HANDED_OVER, Outcome, conclude, execute, options_for, take_result, tuned
from pipeline.job.failures import of_a_disk, of_function
from pipeline.job.given import GivenTransform, read_given, refuse_other_columns
from pipeline.job.plan import Plan
from pipeline.job.progress import now, say_what_is_compiled
from pipeline.job.request import Request, check_values
from pipeline.job.sequences_plan import Sequences
from pipeline.job.verdict import DONE, FAILED
from pipeline.sources.base import BrokenFile
from transforms.columns.embedding import with_tables_in
from transforms.distributions.facts import Timed
from transforms.errors import JobError, SpecError, nearest
from transforms.fit import preprocessing_fn
from transforms.normalizers import Function
from transforms.spec import dense_rows
from transforms.spec.spec import Spec
from transforms.splits.rule import TRAIN, USUAL
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
    place = _place(request)
    _given(request, place)
    _rehearse(request.spec)
    place = scratch.placed(place, request, options)
    plan = sequences.planned(request, place, stream)
    _refuse_other_command(request, place, _replaced(request, place), plan.inputs)
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


def _run_on_rows(request: Request, stream: TextIO | None, made: Sequences | None = None) -> Outcome:
    """Runs the job on the rows of its input, or on sequences, whose run has begun already."""
    plan = _plan(request, stream, made)
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


def _plan(request: Request, stream: TextIO | None, made: Sequences | None) -> Plan:
    """Looks at all that a run needs before it writes anything; raises as `run` does."""
    check_values(request)
    options = options_for(request)
    FileSystems.set_options(options)  # files are looked at before there is a pipeline
    engines.refuse(request, options)
    place = made.plan.place if made else _place(request)
    given = _given(request, place)
    replaces = _replaced(request, place)
    inputs, others, skipped = (made.inputs, Inputs(()), ()) if made else _screened(request, place.output, stream)
    if request.append and given is not None:
        inputs, sink = replace(inputs, names=names_of(given.of, inputs, place.run_id)), given.of.format
        splits = splits_of_append(given.of, request.spec, inputs)
    else:
        splits, sink = _splits(request, inputs), request.format
    if made is None and not request.append:
        _refuse_other_command(request, place, replaces, inputs)
    names = _preflight(inputs, request)
    if given is None:
        _rehearse(request.spec)
    passes = 2 if given is None and (others.files or needs_analysis(request.spec)) else 1
    analysis = _planned(request, inputs, others, splits) if passes == 2 else cache.Analysis(())
    looked_at = {file.path for file in inputs.files}  # and what the cache has is not even opened
    _preflight(Inputs(tuple(file for file in analysis.read if file.path not in looked_at)), request)
    return Plan(
        place,
        request.spec,
        columns_text(request.spec),
        inputs,
        sink,
        request.max_rejected,
        request.allow_empty,
        passes,
        names,
        replaces,
        analysis,
        limits=request.limits,
        skipped=skipped,
        screened=_looked_up(inputs, others),
        splits=splits,
        given_transform=given,
        appends=request.append,
        again=request.again,
        shards=request.shards,
        shard_bytes=request.shard_bytes,
        sequences=made,
    )


def _place(request: Request) -> Layout:
    return Layout(checked_output(request.output, request.overwrite or request.append), layout.new_run_id())


def _given(request: Request, place: Layout) -> GivenTransform | None:
    """Returns the data set whose transform is requested; None if the run fits its own.

    Raises:
      UsageError: it has no transform.
      SpecError: it was written with other columns.
    """
    if not request.uses:
        return None
    given = read_given(place.output if request.append else request.transform)
    plain = request.spec.model_copy(update={"split": None})
    refuse_other_columns(given, request.spec, columns_text(plain))
    return given


def _splits(request: Request, inputs: Inputs) -> Splits:
    """Returns the splits of a run.

    Raises:
      UsageError: the split that the statistics should come from is none of them.
    """
    rule = request.spec.row_rule
    names = dict.fromkeys(inputs.splits.values()) if inputs.splits else rule.split_names if rule is not None else ()
    if not names:
        if request.statistics_split:
            raise UsageError(f"--statistics-split: {request.statistics_split!r}: the data set has no splits")
        return Splits()
    ordered = tuple(sorted(names, key=lambda name: (USUAL.index(name) if name in USUAL else len(USUAL), name)))
    statistics = request.statistics_split or TRAIN
    if request.transform:
        return Splits(ordered, "", None if inputs.splits else rule, inputs.splits)
    if statistics not in ordered:
        hint = nearest(statistics, ordered) or (
            "" if request.statistics_split else "; --statistics-split names another"
        )
        raise UsageError(f"--statistics-split: expected one of {', '.join(ordered)}, got {statistics!r}{hint}")
    return Splits(ordered, statistics, None if inputs.splits else rule, inputs.splits)


def _replaced(request: Request, place: Layout) -> str | None:
    """Returns the run whose data set this one replaces, None for none.

    Without --overwrite nothing may be there when this run publishes, whatever came since the directory was checked, except what
    the same command published before it was killed.
    """
    replaces = request.overwrite or request.append
    return published_run(place.output) if replaces else interrupted_run(place.output)


def _refuse_other_command(request: Request, place: Layout, dead: str | None, inputs: Inputs) -> None:
    """Refuses to replace what another command has published before it was killed.

    Raises:
      UsageError: naming the directory.
    """
    if request.overwrite or dead is None:
        return
    content = manifest.read(place.output).content
    asked = (request.format, columns_text(request.spec), described(inputs))
    if asked != (content["format"], content["columns"], content["inputs"]):
        raise UsageError(
            f"--output {place.output!r}: holds a whole data set of other inputs or columns, whose run was killed before it "
            f"was done; --overwrite replaces it"
        )


def _with_tables_in_reach(plan: Plan) -> Plan:
    """Returns the plan with its embedding tables in the staging folder: Beam is slow with large pickles, and makes many."""
    columns = with_tables_in(plan.spec.columns, plan.place.staging)
    return replace(plan, spec=plan.spec.model_copy(update={"columns": columns}))


def _levels_before(request: Request, plan: Plan) -> int:
    """Returns how many levels of statistics are found by passes of their own, before the job.

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
        place, outcome = Layout(folder, layout.new_run_id()), Outcome(FAILED)
        _rehearse(request.spec)
        needs_analysis(request.spec)  # traces the normalizer functions, so that a broken one is found
        layout.make_dirs(place.staging)
        made = None
        if request.spec.events is not None:
            made = sequences.group(request, sequences.planned(request, place, stream), stream, outcome)
            if made is None:
                return outcome
            request = replace(request, on_bad_file="fail")
        given = (made.inputs, Inputs(()), made.plan.skipped) if made else _screened(request, folder, stream)
        inputs, _, skipped = given
        names = _preflight(inputs, request)
        plan = Plan(
            place, request.spec, "", inputs, request.format, request.max_rejected, True, 1, names, limits=request.limits
        )
        plan = replace(
            plan, skipped=skipped, screened=_looked_up(inputs), splits=_splits(request, inputs), sequences=made
        )
        asked = plan.given_inputs
        outcome = Outcome(FAILED, repeated=asked.repeated, skipped=skipped, notes=asked.notes)
        with tuned(request, [inputs.size], [title], stream) as tuning:
            plan = _with_tables_in_reach(plan)
            execute(request, lambda root: checking.build(root, plan, tuning), outcome, tuning.workers)
        take_result(place, outcome)
    return outcome


def _screened(request: Request, output: str, stream: TextIO | None) -> tuple[Inputs, Inputs, tuple[SkippedFile, ...]]:
    """Returns the files of a run, those that count for its statistics only, and the broken ones that it leaves out.

    What was read through has its version, so that the end of the run can tell whether it still was the same.

    Args:
      request: the request.
      output: a directory that workers reach.
      stream: where progress is shown.

    Raises:
      UsageError: a file is one that a run has written.
      JobError: a pattern matches no file; or all input files are broken.
    """
    inputs = match_named(request.inputs, request.spec.split, request.allow_empty)
    others = match(request.statistics_inputs)
    for option, matched in (("--input", inputs), ("--statistics-input", others)):
        refuse_written(option, matched, {"--output": request.output, "--cache": request.cache})
    inputs = replace(inputs, notes=(*inputs.notes, *others.notes))
    if request.on_bad_file == "fail":
        return inputs, others, ()
    with contextlib.suppress(BrokenFile):
        _preflight(inputs, request)  # nobody should wait so long for "no feature 'temperatur'"
    # What only the cache is asked about was read through by the run that filled it.
    analysed = _planned(request, inputs, others, _splits(request, inputs)).read
    read = {file.path: file.with_version() for file in (*inputs.files, *analysed)}
    inputs, others = (
        replace(given, files=tuple(read.get(file.path, file) for file in given.files)) for given in (inputs, others)
    )
    place, outcome = Layout(output, layout.new_run_id()), Outcome(FAILED)
    size = sum(file.size for file in read.values())
    with cleaning.run_in(place), tuned(request, [size], ["screen"], stream) as tuning:
        features = request.spec.read_features
        build = partial(screening.build, place=place, files=list(read.values()), features=features, tuning=tuning)
        execute(request, build, outcome, tuning.workers)
        if outcome.message:
            raise JobError(outcome.message)
        return screening.without_broken(place, inputs, others)


def _looked_up(*given: Inputs) -> tuple[InputFile, ...]:
    return tuple(file for inputs in given for file in inputs.files if file.version)


def _planned(request: Request, inputs: Inputs, others: Inputs, splits: Splits) -> cache.Analysis:
    """Decides which files the statistics are of, and which of them are read for it."""
    own = [file for file in inputs.files if splits.gives_statistics(file.path)]
    files = {file.path: file for file in (*others.files, *own)}
    folder = request.cache if "://" in request.cache else os.path.abspath(request.cache) if request.cache else ""
    chosen = [files[path] for path in sorted(files)]
    return cache.plan(folder, request.spec, chosen, request.max_steps, splits.statistics if splits.rule else "")


def columns_text(spec: Spec) -> str:
    """Returns the columns as YAML; as a description where a function has no name that YAML could give."""
    try:
        return dumps(spec)
    except SpecError:
        return repr(spec)


def _preflight(inputs: Inputs, request: Request) -> tuple[str, ...]:
    """Looks at the files before anything is written; returns the names of the features that the first one holds."""
    return preflight.look([file.path for file in inputs.files], request.spec, request.limits)


def _rehearse(spec: Spec) -> None:
    from transforms.serve import model as serving  # which imports TensorFlow

    try:
        serving.rehearse(spec)
    except Exception as error:  # it writes temporary files
        if of_a_disk(error):
            raise JobError(of_a_disk(error)) from error
        raise


def needs_analysis(spec: Spec) -> bool:
    """Whether the data must be read first: for our statistics, or for analyzers that a normalizer function brings."""
    if not any(isinstance(link, Function) for link in spec.normalizers):
        return spec.needs_analysis
    import tensorflow_transform as tft

    from transforms.densify.graph import input_specs

    preprocess = preprocessing_fn.preprocessing_fn(spec, "", analyze=False)
    try:
        return bool(tft.get_analyze_input_columns(preprocess, input_specs(spec))) or spec.needs_analysis
    except Exception as error:  # whatever a person's function raises
        raise of_function(error) from error
