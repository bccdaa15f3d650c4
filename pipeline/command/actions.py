"""The work behind the commands: build a request from the options, run it, report how it went, and exit with the right code.

Imports nothing heavy, as the command line does not.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from pipeline.command import loading, silence, temporary
from pipeline.command.exits import FAILED, TOO_MANY_REJECTED, printed, reported, say, stop
from pipeline.command.options import all_names
from pipeline.dataset.target import checked_output
from pipeline.errors import UsageError
from pipeline.job.request import Request, check_options, check_values

if TYPE_CHECKING:
    from pipeline.job.executing import Outcome
    from transforms.spec.spec import Spec

ADDS_FILES: Final = "--statistics-input"
"""The option that is suggested only to somebody who nearly wrote it, because it changes the statistics without a word."""

OF_ANOTHER_RUN: Final = re.compile(r"stats?|statist\w*|transform\w*|fit(ted)?|normal\w*|moments?")
"""Words with which people ask for the statistics of another run: `--statistics-from`, `--fit`, `--transform-from`."""


_DRY_RUN: Final = "seqcols check reads and validates as run does, and writes nothing"


def carry_out(what: str, columns: str, debug: bool = False, **asked: Any) -> None:
    """Runs or checks, prints the summary and exits with the code that the outcome has."""
    with reported(debug, columns):
        with loading.unwatched():
            request = _asked(columns, debug, **asked)
            if what == "run":  # before TensorFlow is loaded: nobody should wait for "holds a finished data set"
                checked_output(request.output, request.overwrite or request.append)
            prepare(debug)
            import pipeline.job.running as runs
            from pipeline.command import summary
        with silence.workers(debug or not request.has_processes) as stream:
            outcome = (runs.run if what == "run" else runs.check)(request, stream)
        say(*(f"seqcols: {note}" for note in outcome.notes), err=True)
        say(*summary.lines(what, request, outcome))
    end(outcome, debug)


def make_sequences(events: str, debug: bool = False, **asked: Any) -> None:
    """Makes sequences of events, prints the summary and exits with the code that the outcome has."""
    with reported(debug, events):
        with loading.unwatched():
            from pipeline.columns_file.events_file import load_events

            _open_files_with(asked.get("beam_args", ()))
            request = Request(load_events(events).spec, columns_file=events, **asked)
            check_options(request)
            _refuse_unknown(request.beam_args)
            checked_output(request.output, request.overwrite)
            prepare(debug)
            from pipeline.command import summary
            from pipeline.job.sequences import sequences

        with silence.workers(debug or not request.has_processes) as stream:
            outcome = sequences(request, stream)
        say(*(f"seqcols: {note}" for note in outcome.notes), err=True)
        say(*summary.of_sequences(outcome))
    end(outcome, debug)


def end(outcome: Outcome, debug: bool) -> None:
    """Exits with the code that an outcome has, and the message, where it did not go well."""
    if outcome.status == "too_many_rejected":
        stop(TOO_MANY_REJECTED, outcome.message)
    if outcome.status not in ("done", "handed_over"):
        stop(FAILED, outcome.message, error=outcome.error if debug else None)


def show_plan(columns: str, budget: float, buckets: int, as_json: bool, debug: bool, **asked: Any) -> None:
    """Plans, prints the plan and exits with the code that the outcome of the pass has."""
    import json

    with reported(debug, columns):
        request = None if os.path.isdir(columns) else _asked(columns, debug, **asked)
        if request is None:
            _refuse_of_data_set(columns)
        prepare(debug)
        from pipeline.planning import plan as plans
        from pipeline.planning import summary as plan_summary

        if request is None:
            planned = plans.plan_of(columns, budget, buckets)
        else:
            with silence.workers(debug or not request.has_processes) as stream:
                planned = plans.plan(request, stream, budget, buckets)
    if as_json:
        click.echo(json.dumps(planned.document(), indent=2))
    else:
        say(*plan_summary.lines(planned))
    if planned.outcome is not None:
        end(planned.outcome, debug)
    printed()


def _refuse_of_data_set(directory: str) -> None:
    """Refuses options that say how inputs are read, where none are."""
    context = click.get_current_context()
    for option in context.command.params:
        known = option.name in ("columns", "budget", "buckets", "as_json", "debug")
        if not known and _is_given(context, option.name or ""):
            raise UsageError(f"{directory!r}: no inputs are read of a data set: {option.opts[0]} does not apply")
    if context.args:
        raise UsageError(f"{directory!r}: no inputs are read of a data set: {context.args[0]!r} does not apply")


def _refuse_format() -> None:
    """Refuses a format for rows that are appended: only the command line tells one that was given from the default."""
    context = click.get_current_context(silent=True)  # a launcher (`pipeline.launch`) has none
    if context is not None and context.params.get("append") and _is_given(context, "format"):
        raise UsageError(f"--format: does not apply, --append adds to {context.params['output']!r} in its own format")


def _is_given(context: click.Context, name: str) -> bool:
    return context.get_parameter_source(name) == click.core.ParameterSource.COMMANDLINE


def _asked(columns: str, debug: bool, **asked: Any) -> Request:
    """Returns what a command asks for, checked as far as that needs neither TensorFlow nor the input."""
    from pipeline.columns_file.reader import located
    from pipeline.dataset.columns import of_request
    from transforms.errors import SpecError

    _refuse_format()
    _open_files_with(asked.get("beam_args", ()))
    try:
        spec = of_request(columns, asked) if columns else None
    except SpecError:
        _refuse_data(columns)
        raise
    if spec is not None and not (asked.get("transform") or asked.get("append")):
        find_functions(columns, spec, debug)
    request = Request(spec, columns_file=columns, **asked)  # type: ignore[arg-type]  # None: the columns of the data set
    try:
        check_values(request)
    except SpecError as error:
        raise (SpecError(located(error.faults, columns)) if columns else error) from None
    _refuse_unknown(request.beam_args)
    return request


def _refuse_data(columns: str) -> None:
    """Refuses a file with rows in place of the columns file."""
    from pipeline.sources.formats import SOURCES
    from pipeline.sources.packings import bare_name

    ends = [end for source in SOURCES.values() for end in source.suffixes]
    if bare_name(columns).endswith(tuple(ends)):
        raise UsageError(
            f"COLUMNS: {columns!r} is a file with rows, expected a columns file (YAML); "
            "--input names the rows, and seqcols inspect drafts the columns"
        )


def find_functions(columns: str, spec: Spec, debug: bool) -> None:
    """Makes modules beside the columns file importable, here and in workers, and checks the functions named."""
    from pipeline.columns_file.reader import check_functions
    from transforms.errors import SpecError

    if not spec.calls_functions:
        return
    prepare(debug)  # these modules load TensorFlow
    sys.path.insert(0, os.path.dirname(os.path.abspath(columns)))
    os.environ["PYTHONPATH"] = os.pathsep.join([sys.path[0], *filter(None, [os.environ.get("PYTHONPATH")])])
    faults = check_functions(spec, columns)
    if faults:
        raise SpecError(faults)


def _open_files_with(beam_args: Sequence[str]) -> None:
    """Lets Beam's options (`--s3_endpoint_url` and the like) count for files that are looked at before there is a pipeline."""
    if beam_args:
        from apache_beam.io.filesystems import FileSystems
        from apache_beam.options.pipeline_options import PipelineOptions

        FileSystems.set_options(PipelineOptions(list(beam_args)))


def _refuse_unknown(arguments: Sequence[str]) -> None:
    """Refuses what is neither ours nor Beam's: a misspelt option must not be swallowed."""
    if not arguments:
        return
    from apache_beam.options.pipeline_options import PipelineOptions

    from pipeline.command.beam_options import Parser, SeqcolsOptions

    parser = Parser()
    for options in PipelineOptions.__subclasses__():
        if options is not SeqcolsOptions:  # what is left of ours is misspelt
            options._add_argparse_args(parser)
    if any(word.startswith("--dry_run") for word in arguments) and not any("Dataflow" in word for word in arguments):
        raise UsageError(f"--dry_run: is an option of Dataflow alone; {_DRY_RUN}")  # others would run all the same
    unknown = parser.parse_known_args(list(arguments))[1]
    if unknown:
        known = [name for action in parser._actions for name in action.option_strings]
        name = unknown[0].split("=")[0]
        if not name.startswith("-"):
            raise UsageError(f"unexpected argument {name!r}; quote a pattern ('*.parquet'), or give --input again")
        if name in all_names():  # of another command: it would be its own nearest name
            context = click.get_current_context(silent=True)
            raise UsageError(f"{name}: is no option of {context.info_name if context else 'run'}")
        raise UsageError(f"unknown option {name!r}{_meant(name, [*all_names(), *known])}")


def _meant(name: str, known: Sequence[str]) -> str:
    """Returns what to say to a name that is no option's: the nearest, unless it asks for what no option does."""
    from transforms.errors import nearest

    words = re.findall("[a-z]+", name.lower())
    if _asks_for_a_dry_run(name):
        return f"; {_DRY_RUN}"
    if words == ["undo", "append"]:
        return "; seqcols undo-append DIR takes the last append back"
    others = {option: re.findall("[a-z]+", option.lower()) for option in known}
    misspelt = [option for option, other in others.items() if _alike(words, other)]
    if _of_another_run(words):
        misspelt = [option for option in misspelt if _of_another_run(others[option])]
        if not misspelt:
            return "; --transform DIR uses columns, statistics and vocabularies of a finished data set"
    return nearest(name, misspelt or [option for option in known if option != ADDS_FILES])


def _asks_for_a_dry_run(name: str) -> bool:
    return re.sub("[^a-z]", "", name.lower()) == "dryrun"


def _of_another_run(words: Sequence[str]) -> bool:
    return any(OF_ANOTHER_RUN.fullmatch(word) for word in words)


def _alike(words: Sequence[str], others: Sequence[str]) -> bool:
    """Whether each word of a name could be a misspelling of the word in its place."""
    from transforms.errors import nearest

    return len(words) == len(others) and all(nearest(word, [other]) for word, other in zip(words, others, strict=True))


def prepare(debug: bool) -> None:
    """Gets ready for a job: where temporary files lie, and what the libraries may say, which are loaded."""
    from pipeline.job.progress import waiting

    temporary.begin()
    with waiting("loading TensorFlow", sys.stderr):
        if debug:
            loading.load()
        else:
            silence.quiet_logs()
