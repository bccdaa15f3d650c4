"""The commands on finished data sets. Imports nothing heavy: help and spec errors must not wait for TensorFlow."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from pipeline.command.actions import end, find_functions, prepare
from pipeline.command.exits import DRIFTED, FAILED, printed, reported, say, stop
from pipeline.command.options import DEBUG, MOVED_INPUTS, OVERWRITE, WORKERS, comparing


@click.command("verify")
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


@click.command("compare")
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
        from pipeline.compare.comparison import compare_data_sets
        from pipeline.dataset.target import refuse_file, write_file

        allowed = limits.parsed(max_drift)
        refuse_file(output, overwrite)
        compared = compare_data_sets(one, other, splits)
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


@click.command("undo-append")
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


@click.command("vocabulary")
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


@click.command("head")
@click.argument("directory")
@click.option("-n", "rows", type=click.IntRange(min=1), default=5, show_default=True, help="How many rows to print.")
@click.option("--split", default="", help="Split whose rows are printed; by default the first one.")
@DEBUG
def head_command(directory: str, rows: int, split: str, debug: bool) -> None:
    """Print the first rows of the data set in DIRECTORY: of sequences the steps without padding, and words for ids.

    Of a longer list only the first values. Masks are left out: they say what padding is.

    Exit codes: 0 done, 1 failed, 2 wrong use.
    """
    with reported(debug):
        from pipeline.command import head

        shown, notes = head.lines(directory, rows, split)
        say(*shown)
        say(*(f"seqcols: {note}" for note in notes), err=True)
    printed()


@click.command("rejects")
@click.argument("directory")
@click.option("--reason", default="", help="Only rows that were rejected for this reason (seqcols explain lists them).")
@click.option("--column", default="", help="Only rows that were rejected for this column.")
@click.option("--split", default="", help="Only rows of this split.")
@click.option("--events", is_flag=True, help="Rejected events, of a data set that was made of events.")
@click.option(
    "--output",
    "-o",
    default="",
    help="File to write the original records to, in their own format, which the end of its name says: .jsonl, .csv, .tsv, "
    ".tfrecord, or .parquet for rows of Parquet and Avro. What repair knows them by goes to a file beside it.",
)
@OVERWRITE
@DEBUG
def rejects_command(directory: str, output: str, overwrite: bool, debug: bool, **chosen: Any) -> None:
    """Print the rejected rows of the data set in DIRECTORY: file, row, reason, what was expected, and the record shortened.

    With --output writes their original records instead, as they were, ready to be mended and put through repair.

    Exit codes: 0 done, 1 failed, 2 wrong use.
    """
    with reported(debug):
        from pipeline.command import rejected
        from pipeline.dataset.target import refuse_file

        refuse_file(output, overwrite)
        rejects = rejected.Rejects(rejected.opened(directory), **chosen)
        if output:
            say(*rejected.write(rejects, output, overwrite))
        else:
            shown = rejected.lines(rejects)
            say(*shown)
            say(*(f"seqcols: {note}" for note in rejected.notes(rejects, len(shown) // 2)), err=True)
    printed()


@click.command("repair")
@click.argument("rejected")
@click.option("--columns", required=True, help="Columns file to read the rows with.")
@click.option("--output", default="", help="Directory of the data set, if REJECTED is a file of mended rows or events.")
@MOVED_INPUTS
@WORKERS
@DEBUG
def repair_command(debug: bool, columns: str, **options: Any) -> None:
    """Process the rejected rows of a data set again with --columns, and add those that pass to the data set.

    REJECTED is DIR/rejected of a data set, or a file of mended records of its rejected rows, or events: one that rejects --output
    has written, or a Parquet file with the columns file, row and record.
    The statistics of the data set stay as they are; columns that would change rows already written are refused, and so are events
    that would change sequences: for these the command that runs again with them is printed.

    Exit codes: 0 done, 1 failed, 2 wrong use or columns file.
    """
    with reported(debug, columns):
        from pipeline.columns_file.reader import load
        from pipeline.dataset.columns import data_set_of, once_of
        from pipeline.job.request import check_workers

        spec = load(columns, once_of(options["output"] or data_set_of(options["rejected"])))
        find_functions(columns, spec, debug)
        check_workers(options["workers"])
        prepare(debug)
        from pipeline.command import summary
        from pipeline.repair.plan import Repair
        from pipeline.repair.running import repair

        outcome = repair(Repair(spec=spec, columns_file=columns, **options), sys.stderr)
        say(*(f"seqcols: {note}" for note in outcome.notes), err=True)
        say(*summary.of_repair(outcome))
    end(outcome, debug)


@click.command("export")
@click.argument("directory")
@click.argument("model")
@click.option("--words", is_flag=True, help="Also give the words of ids, of columns with a vocabulary.")
@click.option(
    "--without",
    multiple=True,
    help="Column that requests do not have, such as a label; may be repeated. It is not given either.",
)
@DEBUG
def export_command(directory: str, model: str, words: bool, without: tuple[str, ...], debug: bool) -> None:
    """Write the serving model of the data set in DIRECTORY to MODEL, a new directory, for TensorFlow Serving: models/NAME/1.

    Unlike the model in DIRECTORY/serving it takes JSON lists, and can do without columns, and give words as well. Prints what its
    signature for JSON takes.

    Exit codes: 0 done, 1 failed, 2 wrong use.
    """
    with reported(debug):
        prepare(debug)
        from pipeline.dataset.exported import export_model
        from pipeline.text_table import table

        done = export_model(directory, model, words, without)
        rows = [(name, *map(str, kind)) for name, kind in done.takes.items()]
        say(f"model: {done.path}", "", *table([("input of 'padded'", "dtype", "shape"), *rows], left=(0, 1, 2)))
    printed()


COMMANDS: Final = (
    verify_command,
    compare_command,
    undo_append_command,
    head_command,
    vocabulary_command,
    rejects_command,
    repair_command,
    export_command,
)
