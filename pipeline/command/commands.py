"""The commands of the command line. Imports nothing heavy: help and spec errors must not wait for TensorFlow."""

from __future__ import annotations

import sys
from importlib.metadata import version
from typing import Any, Final

import click
import click.shell_completion

from pipeline.command import silence, temporary
from pipeline.command.actions import carry_out, end, find_functions, make_sequences, prepare, show_plan
from pipeline.command.exits import DRIFTED, FAILED, Commands, printed, reported, say, stop
from pipeline.command.options import (
    DEBUG,
    MOVED_INPUTS,
    WORKERS,
    comparing,
    grouping,
    inspecting,
    planning,
    reading,
    reading_by,
    writing,
)
from pipeline.errors import UsageError

BEAM_OPTIONS: Final = {"ignore_unknown_options": True, "allow_extra_args": True}


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(version("seqcols"), prog_name="seqcols")
def cli() -> None:
    """Turn variable-length sequences into dense, validated, normalised, training-ready data.

    Exit codes: 0 done, 1 failed, 2 wrong use or columns file, 3 more rows rejected than --max-rejected allows,
    4 more drift than --max-drift allows.
    """


@cli.command("run", context_settings=BEAM_OPTIONS)
@reading_by
@writing
def run_command(context: click.Context, /, **options: Any) -> None:
    """Read --input by the columns file COLUMNS and write a data set to --output.

    Any other option is passed on to Apache Beam, for example --runner=DataflowRunner; without a runner the job runs locally.
    """
    carry_out("run", beam_args=context.args, **options)


@cli.command("check", context_settings=BEAM_OPTIONS)
@reading
def check_command(context: click.Context, /, **options: Any) -> None:
    """Read and validate like run, but write nothing: prints the same ledger and summary of rejected rows."""
    carry_out("check", beam_args=context.args, **options)


@cli.command("sequences", context_settings=BEAM_OPTIONS)
@grouping
def sequences_command(context: click.Context, /, **options: Any) -> None:
    """Read events from --input, make sequences of them by the section events: of EVENTS.YAML, and write these to --output.

    EVENTS.YAML is a columns file, or has only that section and split:. The sequences are Parquet, a row each. With a columns file
    that has events:, run does the same first, and then goes on.
    """
    make_sequences(beam_args=context.args, **options)


@cli.command("inspect")
@inspecting
def inspect_command(debug: bool, **options: Any) -> None:
    """Look at a sample of FILES (or patterns), show what each feature holds, and draft a columns file.

    Without --output the draft goes to stdout and the table of features to stderr: `seqcols inspect FILES > columns.yaml`.

    Exit codes: 0 done, 1 failed, 2 wrong use.
    """
    with reported(debug):
        from pipeline.inspect.inspect import Inspection, inspect, refuse_output, write

        asked = Inspection(**options)
        refuse_output(asked)
        temporary.begin()
        with silence.workers(debug):  # tf.SequenceExamples may need TensorFlow
            done = inspect(asked)
        say(*(f"seqcols: {note}" for note in done.notes), err=True)
        say(*done.table, "", err=not asked.output)
        if asked.output:
            write(asked, done.text())
            say(f"columns file: {asked.output}")
        else:
            click.echo(done.text().encode(), nl=False)  # a columns file is UTF-8, whatever the terminal is
            printed()


@cli.command("plan", context_settings=BEAM_OPTIONS)
@planning
def plan_command(context: click.Context, /, **options: Any) -> None:
    """Show what T costs: padding, bytes and truncated steps over a range of T, with and without length buckets.

    T is the padded length of a sequence. Reads --input once by the columns file COLUMNS, as check does. COLUMNS may also be the
    directory of a data set; its lengths are known, so no input is read.

    Proposes the smallest T that loses no more than --budget of the steps, and the boundaries of length buckets up to it.
    """
    show_plan(beam_args=context.args, **options)


@cli.command("schema")
def schema_command() -> None:
    """Print the JSON Schema of the columns file, for editors."""
    import json

    from pipeline.columns_file.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))
    printed()


def _reasons(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[str]:
    from transforms.rows.reasons import EXPLANATIONS

    return [code for code in EXPLANATIONS if code.startswith(begun)]


@cli.command("explain")
@click.argument("reason", required=False, shell_complete=_reasons)
def explain_command(reason: str | None) -> None:
    """Explain a REASON for rejecting a row and what to do about it; without REASON, list them all."""
    from transforms.errors import nearest
    from transforms.rows.reasons import EXPLANATIONS

    if reason is None:
        width = max(map(len, EXPLANATIONS))
        say(*(f"{code:{width}}  {told.meaning}" for code, told in EXPLANATIONS.items()))
        printed()
        return
    with reported(False):
        if reason not in EXPLANATIONS:
            hint = nearest(reason, EXPLANATIONS) or f"; expected one of {', '.join(EXPLANATIONS)}"
            raise UsageError(f"unknown reason {reason!r}{hint}")
    told = EXPLANATIONS[reason]
    say(f"{reason}: {told.meaning}", "", f"for example: {told.example}", f"what to do:  {told.remedy}")
    printed()


@cli.command("completion")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion_command(shell: str) -> None:
    """Print the completion script of a SHELL: put 'eval "$(seqcols completion bash)"' into ~/.bashrc."""
    complete = click.shell_completion.get_completion_class(shell)
    assert complete is not None
    click.echo(complete(cli, {}, "seqcols", "_SEQCOLS_COMPLETE").source())
    printed()


@cli.command("demo")
@click.argument("directory", default="seqcols-demo")
def demo_command(directory: str) -> None:
    """Generate a small sample (watch histories, temperature series, a few bad rows) and run the main job on it."""
    from pipeline.command.demo import make_sample

    with reported(False):
        prepare(False)
        columns, inputs, output = make_sample(directory)
    say(f"sample: {inputs}", f"columns file: {columns}", "")
    say(f"$ seqcols run {columns} --input '{inputs}' --output {output} --overwrite", "")
    carry_out("run", columns, inputs=[inputs], output=output, overwrite=True)


@cli.command("verify")
@click.argument("directory")
@MOVED_INPUTS
@click.option(
    "--rows",
    type=click.IntRange(min=0),
    default=1000,
    show_default=True,
    help="About how many rows to compare; 0 checks only the files, which needs neither the inputs nor TensorFlow.",
)
@DEBUG
def verify_command(directory: str, inputs: tuple[str, ...], rows: int, debug: bool) -> None:
    """Check the data set in DIRECTORY: its files against the manifest, then its rows against the inputs.

    Reads every file that the manifest names and checks size, SHA-256, checksums, rows and features. Then sends rows of the inputs
    through the serving model and compares the results with what the job wrote for them.

    Exit codes: 0 as it was published, 1 different or unreadable, 2 wrong use.
    """
    with reported(debug):
        from pipeline.verify import verify

        done = verify.files(directory, sys.stderr)
        if rows and not done.faults:
            prepare(debug)
            verify.compare(done, inputs, rows, sys.stderr)
    say(*verify.lines(done))
    if done.faults:
        stop(FAILED, *verify.messages(done))


@cli.command("compare")
@comparing
def compare_command(
    one: str,
    other: str,
    splits: tuple[str, ...],
    max_drift: tuple[str, ...],
    output: str,
    overwrite: bool,
    as_json: bool,
    debug: bool,
) -> None:
    """Compare the data sets in DIR and DIR2, or two splits of DIR: is it still the same data?

    Prints rows, rejected rows by reason, lengths, the figures of every column, and how far its distribution has drifted, from the
    files that describe the two data sets: no row is read.

    Exit codes: 0 done, 1 failed, 2 wrong use, 4 more drift than --max-drift allows.
    """
    with reported(debug):
        from pipeline.compare import limits, text
        from pipeline.compare.comparison import compare
        from pipeline.compare.described import read_two
        from pipeline.dataset.target import refuse_file, write_file

        allowed = limits.parsed(max_drift)
        refuse_file(output, overwrite)
        compared = compare(*read_two(one, other, splits))
        limits.refuse_unknown(allowed, compared)
        if output:
            from pipeline.compare.view import html

            write_file(output, html(compared), overwrite)
        beyond = limits.beyond(allowed, compared)
        if as_json:
            import json

            click.echo(json.dumps({**text.document(compared), "beyond": beyond}, indent=2))
        else:
            say(*text.lines(compared), *(["", f"page: {output}"] if output else []))
    if beyond:
        stop(DRIFTED, f"{len(beyond):,} beyond --max-drift", *(f"  {line}" for line in beyond))
    printed()


@cli.command("undo-append")
@click.argument("directory")
@DEBUG
def undo_append_command(directory: str, debug: bool) -> None:
    """Take the last `seqcols run --append` to the data set in DIRECTORY back: its rows, and what was counted of them.

    Nothing is read. Appends can be taken back one after the other, down to the run that fitted the statistics.

    Exit codes: 0 done, 1 failed, 2 wrong use: the last run was no append.
    """
    with reported(debug):
        prepare(debug)
        from pipeline.command import summary
        from pipeline.job.undoing import undo_append

        outcome = undo_append(directory)
        say(*(f"seqcols: {note}" for note in outcome.notes), err=True)
        say(*summary.of_undo(outcome))
    end(outcome, debug)


@cli.command("vocabulary")
@click.argument("directory")
@click.argument("column")
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON, long words whole.")
@DEBUG
def vocabulary_command(directory: str, column: str, as_json: bool, debug: bool) -> None:
    """Print the words of COLUMN in the data set in DIRECTORY, the id of each, and how often it stands in the data.

    Words that were given (a list, a file) have no counts.

    Exit codes: 0 done, 1 failed, 2 wrong use.
    """
    with reported(debug):
        from pipeline.command import words
        from pipeline.dataset.manifest import read

        found = words.vocabulary_of(read(directory), column)
        if as_json:
            click.echo(words.document(found))
        else:
            say(*words.lines(found))
        say(*(f"seqcols: {note}" for note in words.notes(found)), err=True)
    printed()


@cli.command("repair")
@click.argument("rejected")
@click.option("--columns", required=True, help="Columns file to read the rows with.")
@click.option("--output", default="", help="Directory of the data set, if REJECTED is a file of mended rows.")
@MOVED_INPUTS
@WORKERS
@DEBUG
def repair_command(debug: bool, columns: str, **options: Any) -> None:
    """Process the rejected rows of a data set again with --columns, and add those that pass to the data set.

    REJECTED is DIR/rejected of a data set, or a Parquet file of its rejected rows with mended records. The statistics of the data
    set stay as they are; columns that would change rows already written are refused.

    Exit codes: 0 done, 1 failed, 2 wrong use or columns file.
    """
    with reported(debug, columns):
        from pipeline.columns_file.reader import load
        from pipeline.job.request import check_workers

        spec = load(columns)
        find_functions(columns, spec, debug)
        check_workers(options["workers"])
        prepare(debug)
        from pipeline.command import summary
        from pipeline.repair.plan import Repair
        from pipeline.repair.running import repair

        outcome = repair(Repair(spec=spec, **options), sys.stderr)
        say(*(f"seqcols: {note}" for note in outcome.notes), err=True)
        say(*summary.of_repair(outcome))
    end(outcome, debug)
