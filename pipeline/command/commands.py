"""The commands of the command line. Imports nothing heavy: help and spec errors must not wait for TensorFlow."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, Final

import click
import click.shell_completion

from pipeline.command import data_set_commands, silence, temporary
from pipeline.command.actions import carry_out, make_sequences, prepare, show_plan
from pipeline.command.exits import Commands, printed, reported, say
from pipeline.command.options import (
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
@click.version_option(version("seqcols"), "-V", "--version", prog_name="seqcols")
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

    If the rows are events (one value of each feature, a time, and a key that repeats), the draft has a section events: that makes
    sequences of them, and says why.

    Without --output the draft goes to stdout and the table of features to stderr: `seqcols inspect FILES > columns.yaml`.

    Exit codes: 0 done, 1 failed, 2 wrong use.
    """
    with reported(debug):
        from pipeline.inspect.inspection import Inspection, inspect_files, refuse_output, write

        asked = Inspection(**options)
        refuse_output(asked)
        temporary.begin()
        with silence.workers(debug):  # tf.SequenceExamples may need TensorFlow
            done = inspect_files(asked)
        say(*(f"seqcols: {note}" for note in done.notes), err=True)
        say(*done.table, "", err=not asked.output)
        if asked.output:
            write(asked, done.text())
            say(f"columns file: {asked.output}", f"next: {asked.next_command}")
        else:
            click.echo(done.text().encode(), nl=False)  # a columns file is UTF-8, whatever the terminal is
            printed()
            say("", f"next: {asked.next_command}", err=True)


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


@cli.command("help", context_settings={"ignore_unknown_options": True})
@click.argument("command", required=False, nargs=-1)
@click.pass_context
def help_command(context: click.Context, command: tuple[str, ...]) -> None:
    """Print the help of COMMAND, or of all commands."""
    asked = context.parent
    assert asked is not None
    if len(command) > 1:
        with reported(False):
            raise UsageError(f"help: expected one command, got {' '.join(command)!r}")
    if command:
        name, found, _ = cli.resolve_command(asked, list(command))
        asked = click.Context(found, asked, name, max_content_width=asked.max_content_width)
    click.echo(asked.get_help())
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


for _command in data_set_commands.COMMANDS:
    cli.add_command(_command)
