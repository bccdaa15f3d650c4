"""Options that commands share. Imports nothing heavy: help must not wait."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from pipeline.job.request import (
    DEFAULT_BUCKETS,
    DEFAULT_BUDGET,
    DEFAULT_MAX_REJECTED,
    DEFAULT_SHARD_BYTES,
    FORMATS,
    ON_BAD_FILE,
)
from pipeline.sources.limits import DEFAULTS, INSPECTED_ROWS


class Size(click.ParamType[int]):
    """A number of bytes, as 268435456 or as 256MiB."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """See the base class."""
        if isinstance(value, int):
            return value
        from pydantic import ByteSize, TypeAdapter, ValidationError

        try:
            return int(TypeAdapter(ByteSize).validate_python(value))
        except ValidationError:
            self.fail(f"expected bytes, as 268435456 or 256MiB, got {value!r}", param, ctx)


def _valued(name: str, kind: Any, default: Any, text: str) -> Any:
    return click.option(name, type=kind, default=default, show_default=True, help=text)


def _bytes(count: int) -> str:
    return f"{count >> 20}MiB"


_MAX_RECORD_BYTES: Final = _valued(
    "--max-record-bytes",
    Size(),
    _bytes(DEFAULTS.max_record_bytes),
    "Largest record, line, row or block to read, and largest dense row to write; a file with a larger one counts as bad.",
)

_MAX_UNPACK_RATIO: Final = _valued(
    "--max-unpack-ratio",
    float,
    DEFAULTS.max_unpack_ratio,
    "How many times its size a compressed file may unpack to; a file that exceeds it counts as bad.",
)

WORKERS: Final = click.option(
    "--workers",
    type=int,
    help="Local worker threads; 0 uses all cores. By default one per 64 MiB of input, up to one per core.",
)

DEBUG: Final = click.option("--debug", is_flag=True, help="Show tracebacks and the libraries' own logs.")

MOVED_INPUTS: Final = click.option(
    "--input",
    "inputs",
    multiple=True,
    help="Where the inputs are now, if they have moved: file, folder, pattern or data set; may be repeated.",
)


def _input(required: bool) -> Any:
    return click.option(
        "--input",
        "inputs",
        multiple=True,
        required=required,
        help="File, folder, pattern or data set to read; may be repeated. NAME=PATTERN names the split of its rows: train, "
        "validation, test, or one that the columns file declares.",
    )


_STATISTICS_SPLIT: Final = _valued(
    "--statistics-split",
    str,
    "",
    "Split that statistics, vocabularies and a T that the data decide come from, where there are splits; train by default.",
)

_READING: Final = [
    _valued(
        "--max-rejected",
        float,
        DEFAULT_MAX_REJECTED,
        "Largest share of rows that may be rejected; above it nothing is published (exit code 3).",
    ),
    _valued(
        "--on-bad-file",
        click.Choice(ON_BAD_FILE),
        ON_BAD_FILE[0],
        "What to do with a damaged or truncated file: fail the run, or skip the whole file (takes an extra pass).",
    ),
    _STATISTICS_SPLIT,
    click.option(
        "--exclude-events",
        "exclude_events",
        multiple=True,
        help="With events: Parquet file that names events to leave out, in the columns file and row; may be repeated.",
    ),
    _MAX_RECORD_BYTES,
    _valued("--max-steps", int, DEFAULTS.max_steps, "Longest sequence, in steps; a row with a longer one is rejected."),
    _MAX_UNPACK_RATIO,
    _valued(
        "--max-batch-bytes", Size(), _bytes(DEFAULTS.max_batch_bytes), "How much input to hold in memory at a time."
    ),
    WORKERS,
    DEBUG,
]

_OUTPUT: Final = click.option("--output", required=True, help="Directory to write the data set to.")

_REPLACE: Final = click.option("--overwrite", is_flag=True, help="Replace an existing data set.")

_ALLOW_EMPTY: Final = click.option("--allow-empty", is_flag=True, help="Publish the data set even if it has no rows.")

_WAIT: Final = click.option(
    "--wait/--no-wait",
    default=True,
    show_default=True,
    help="With --runner: wait until the engine is done, or return at once; the job then publishes by itself.",
)

_PARTITIONS: Final = click.option(
    "--partitions",
    type=int,
    help="With events: how many parts the keys are dealt to. By default one per 4 MiB of input, of large inputs per 64 MiB.",
)

_WRITING: Final = [
    _OUTPUT,
    _valued("--format", click.Choice(FORMATS), FORMATS[0], "File format of the examples."),
    click.option(
        "--shards",
        type=int,
        default=None,
        help="Number of files of examples, the same for each split and length bucket; without it, it follows from the workers.",
    ),
    _valued(
        "--shard-bytes",
        Size(),
        _bytes(DEFAULT_SHARD_BYTES),
        "Size at which a file of examples is closed and another begun.",
    ),
    _REPLACE,
    click.option(
        "--transform",
        default="",
        help="Directory of a finished data set whose columns, statistics, T and vocabularies are used, in one pass; COLUMNS may "
        "then be omitted.",
    ),
    click.option(
        "--append",
        is_flag=True,
        help="Add the rows to the data set in --output, by its own transform (seqcols undo-append takes that back); COLUMNS may "
        "then be left out.",
    ),
    click.option("--again", is_flag=True, help="With --append: also files that the data set has the rows of already."),
    click.option(
        "--cache",
        default="",
        help="Directory in which to cache the statistics of every file, so that no file is analysed twice.",
    ),
    click.option(
        "--statistics-input",
        "statistics_inputs",
        multiple=True,
        help="File, pattern or data set that counts toward the statistics in addition to --input, but is not written; may be "
        "repeated.",
    ),
    _PARTITIONS,
    click.option(
        "--keep-sequences/--no-keep-sequences",
        default=True,
        show_default=True,
        help="With events: publish their sequences with the data set, so that verify can compare rows.",
    ),
    _ALLOW_EMPTY,
    _WAIT,
]

OVERWRITE: Final = click.option("--overwrite", is_flag=True, help="Replace an existing file.")

_COMPARING: Final = [
    click.argument("one", metavar="DIR"),
    click.argument("other", metavar="[DIR2]", default=""),
    click.option(
        "--split",
        "splits",
        multiple=True,
        help="Split to compare; given twice, that of DIR and that of DIR2. Without DIR2 two splits of DIR are compared.",
    ),
    click.option(
        "--max-drift",
        multiple=True,
        metavar="[COLUMN=]DRIFT",
        help="Largest drift that is allowed, 0 to 1: for all columns and sequence groups, or for one by name; may be repeated. "
        "Above it the exit code is 4.",
    ),
    click.option("--output", "-o", default="", help="File to write a page to, for a browser."),
    OVERWRITE,
    click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON."),
    DEBUG,
]

_INSPECTING: Final = [
    click.argument("inputs", metavar="FILES...", nargs=-1, required=True),
    click.option("--output", "-o", default="", help="File to write the draft to; if omitted, it is printed."),
    OVERWRITE,
    _valued("--rows", click.IntRange(min=1), INSPECTED_ROWS, "How many rows to sample, spread over the files."),
    click.option(
        "--events/--no-events",
        default=True,
        show_default=True,
        help="Draft a section events: if the rows are events; otherwise a row is an example.",
    ),
    _MAX_RECORD_BYTES,
    _MAX_UNPACK_RATIO,
    DEBUG,
]

_PLANNING: Final = [
    _valued("--budget", float, DEFAULT_BUDGET, "Largest share of all steps that the proposed T may lose."),
    _valued("--buckets", int, DEFAULT_BUCKETS, "Largest number of length buckets to propose."),
    click.option("--json", "as_json", is_flag=True, help="Print all figures as JSON."),
    *_READING,
]


def reading(command: Any) -> Any:
    """Adds the columns file, and the options of all commands that read the input."""
    return _reading(command, required=True)


def reading_by(command: Any) -> Any:
    """As `reading`, for a command that may take the columns of a data set (`--transform`)."""
    return _reading(command, required=False)


def _reading(command: Any, required: bool) -> Any:
    columns = click.argument("columns", type=click.Path(), **({"required": True} if required else {"default": ""}))
    return click.pass_context(columns(_with(command, [_input(True), *_READING])))


def planning(command: Any) -> Any:
    """Adds the columns file (or the directory of a data set, whose input is already read) and the options of `seqcols plan`."""
    return click.pass_context(click.argument("columns", type=click.Path())(_with(command, [_input(False), *_PLANNING])))


def writing(command: Any) -> Any:
    """Adds the options of commands that write a data set."""
    return _with(command, _WRITING)


def grouping(command: Any) -> Any:
    """Adds the file and the options of `seqcols sequences`."""
    options = [_input(True), _OUTPUT, _REPLACE, _PARTITIONS, _ALLOW_EMPTY, _WAIT, *_READING]
    argument = click.argument("events", metavar="EVENTS.YAML", type=click.Path())
    return click.pass_context(argument(_with(command, [o for o in options if o is not _STATISTICS_SPLIT])))


def inspecting(command: Any) -> Any:
    """Adds the options of `seqcols inspect`."""
    return _with(command, _INSPECTING)


def comparing(command: Any) -> Any:
    """Adds the arguments and options of `seqcols compare`."""
    return _with(command, _COMPARING)


def of_a_job() -> list[click.Option]:
    """Returns the options that say what a job does: those of `seqcols run` without `--debug`."""
    declared = click.command()(_with(lambda: None, [_input(True), *_READING, *_WRITING])).params
    return [option for option in declared if isinstance(option, click.Option) and option.name != "debug"]


def all_names() -> list[str]:
    """Returns the names of our options of commands that also take Beam's, to suggest one for a misspelt name."""
    declared = click.command()(_with(lambda: None, [_input(True), *_WRITING, *_PLANNING])).params
    return [name for option in declared if isinstance(option, click.Option) for name in option.opts]


def _with(command: Any, options: Sequence[Any]) -> Any:
    for option in reversed(options):
        command = option(command)
    return command
