"""Everything that a run looks at before it writes anything: where, of what, by what, and whether all of it fits together."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import TextIO

from apache_beam.io.filesystems import FileSystems

from pipeline.columns_file.reader import dumps
from pipeline.dataset import layout, manifest
from pipeline.dataset.columns import for_its_rows
from pipeline.dataset.layout import Layout
from pipeline.dataset.splits import Splits
from pipeline.dataset.target import checked_output, interrupted_run, published_run
from pipeline.errors import UsageError
from pipeline.inputs import preflight
from pipeline.inputs.match import InputFile, Inputs, SkippedFile, described, refuse_written
from pipeline.inputs.named import match_named, match_statistics, refuse_other_splits
from pipeline.job import cache, engines, screening
from pipeline.job.appending import names_of, splits_of_append
from pipeline.job.executing import options_for
from pipeline.job.failures import of_a_disk, of_function
from pipeline.job.given import GivenTransform, read_given, refuse_other_columns
from pipeline.job.plan import Plan
from pipeline.job.request import Request, check_values
from pipeline.job.sequences_plan import Sequences
from pipeline.sources.base import BrokenFile
from transforms.errors import JobError, SpecError, nearest
from transforms.fit import preprocessing_fn
from transforms.spec.spec import Spec
from transforms.splits.rule import TRAIN, USUAL


def plan_run(request: Request, stream: TextIO | None, made: Sequences | None) -> Plan:
    """Looks at all that a run needs before it writes anything; raises as `run` does."""
    check_values(request)
    options = options_for(request)
    FileSystems.set_options(options)  # files are looked at before there is a pipeline
    engines.refuse(request, options)
    place = made.plan.place if made else place_of(request)
    request, given = given_of(request, place)
    replaces = replaced(request, place)
    inputs, others, skipped = (made.inputs, Inputs(()), ()) if made else screened(request, place.output, stream)
    if request.append and given is not None:
        inputs, sink = replace(inputs, names=names_of(given.of, inputs, place.run_id)), given.of.format
        splits = splits_of_append(given.of, request.spec, inputs)
    else:
        splits, sink = splits_of(request, inputs), request.format
    if made is None and not request.append:
        refuse_other_command(request, place, replaces, columns_text(request.spec), inputs, sink)
    names = look_at(inputs, request)
    if given is None:
        rehearse(request.spec)
    passes = 2 if given is None and (others.files or needs_analysis(request.spec)) else 1
    analysis = _planned(request, inputs, others, splits) if passes == 2 else cache.Analysis(())
    looked_at = {file.path for file in inputs.files}  # and what the cache has is not even opened
    look_at(Inputs(tuple(file for file in analysis.read if file.path not in looked_at)), request)
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
        screened=looked_up(inputs, others),
        splits=splits,
        given_transform=given,
        appends=request.append,
        again=request.again,
        shards=request.shards,
        shard_bytes=request.shard_bytes,
        sequences=made,
        columns_file=request.columns_file or (str(given.of.content.get("columns_file", "")) if given else ""),
    )


def place_of(request: Request) -> Layout:
    """Returns the place that a run writes to, checked; raises as `run` does."""
    return Layout(checked_output(request.output, request.overwrite or request.append), layout.new_run_id())


def given_of(request: Request, place: Layout) -> tuple[Request, GivenTransform | None]:
    """Returns the request, with columns for the rows of the data set whose transform it asks for, and that; None for its own.

    Raises:
      UsageError: it has no transform.
      SpecError: it was written with other columns.
    """
    if not request.uses:
        return request, None
    given = read_given(place.output if request.append else request.transform)
    spec = for_its_rows(given.of, request.spec)
    refuse_other_columns(given, spec, columns_text(spec.model_copy(update={"split": None})))
    return replace(request, spec=spec), given


def splits_of(request: Request, inputs: Inputs) -> Splits:
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


def replaced(request: Request, place: Layout) -> str | None:
    """Returns the run whose data set this one replaces, None for none.

    Without --overwrite nothing may be there when this run publishes, whatever came since the directory was checked, except what
    the same command published before it was killed.
    """
    replaces = request.overwrite or request.append
    return published_run(place.output) if replaces else interrupted_run(place.output)


def refuse_other_command(
    request: Request,
    place: Layout,
    dead: str | None,
    text: str,
    inputs: Inputs,
    sink: str,
    excluded_by: Sequence[str] = (),
) -> None:
    """Refuses to replace what another command has published before it was killed.

    Args:
      request: the request.
      place: where the run writes.
      dead: the run that was killed; None for none.
      text: the columns as YAML, or the section of events.
      inputs: the files.
      sink: the format of what is written.
      excluded_by: the files that name events to leave out.

    Raises:
      UsageError: naming the directory.
    """
    if request.overwrite or dead is None:
        return
    content = manifest.read(place.output).content
    excluded = list(content.get(layout.SEQUENCES, {}).get("excluded_by", ()))
    held = (content["format"], content["columns"], content["inputs"], excluded)
    if (sink, text, described(inputs), list(excluded_by)) != held:
        raise UsageError(
            f"--output {place.output!r}: holds a whole data set of other inputs or columns, whose run was killed before it "
            f"was done; --overwrite replaces it"
        )


def screened(request: Request, output: str, stream: TextIO | None) -> tuple[Inputs, Inputs, tuple[SkippedFile, ...]]:
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
    others = match_statistics(request.statistics_inputs, request.spec.split, request.statistics_split or TRAIN)
    for option, matched in (("--input", inputs), ("--statistics-input", others)):
        refuse_written(option, matched, {"--output": request.output, "--cache": request.cache})
    inputs = replace(inputs, notes=(*inputs.notes, *others.notes))
    if request.on_bad_file == "fail":
        return inputs, others, ()
    with contextlib.suppress(BrokenFile):
        look_at(inputs, request)  # nobody should wait so long for "no feature 'temperatur'"
    # What only the cache is asked about was read through by the run that filled it.
    analysed = _planned(request, inputs, others, splits_of(request, inputs)).read
    read = {file.path: file.with_version() for file in (*inputs.files, *analysed)}
    inputs, others = (
        replace(given, files=tuple(read.get(file.path, file) for file in given.files)) for given in (inputs, others)
    )
    why = screening.broken(request, output, list(read.values()), request.spec.read_features, stream)
    return screening.without_broken(why, inputs, others)


def looked_up(*given: Inputs) -> tuple[InputFile, ...]:
    """Returns the files whose version was looked up: the end of the run can tell whether they still are the same."""
    return tuple(file for inputs in given for file in inputs.files if file.version)


def _planned(request: Request, inputs: Inputs, others: Inputs, splits: Splits) -> cache.Analysis:
    """Decides which files the statistics are of, and which of them are read for it.

    Raises:
      UsageError: a file for the statistics is in a split that they do not come from.
    """
    refuse_other_splits(others, inputs, splits.statistics)
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


def look_at(inputs: Inputs, request: Request) -> tuple[str, ...]:
    """Looks at the files before anything is written; returns the names of the features that the first one holds."""
    return preflight.look([file.path for file in inputs.files], request.spec, request.limits)


def rehearse(spec: Spec) -> None:
    """Traces the serving model, so that a spec that cannot be served fails before anything is read."""
    from transforms.serve import model as serving  # which imports TensorFlow

    try:
        serving.rehearse(spec)
    except Exception as error:  # it writes temporary files
        if of_a_disk(error):
            raise JobError(of_a_disk(error)) from error
        raise


def needs_analysis(spec: Spec) -> bool:
    """Whether the data must be read first: for our statistics, or for analyzers that a normalizer function brings."""
    if not spec.calls_functions:
        return spec.needs_analysis
    import tensorflow_transform as tft

    from transforms.densify.graph import input_specs

    preprocess = preprocessing_fn.preprocessing_fn(spec, "", analyze=False)
    try:
        return bool(tft.get_analyze_input_columns(preprocess, input_specs(spec))) or spec.needs_analysis
    except Exception as error:  # whatever a person's function raises
        raise of_function(error) from error
