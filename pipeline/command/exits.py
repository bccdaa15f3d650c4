"""Output and exit codes of the command: lines that are safe on any terminal, and interrupts. Imports nothing heavy."""

from __future__ import annotations

import contextlib
import errno
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Final, NoReturn

import click

from pipeline.command import streams
from pipeline.errors import UsageError
from pipeline.stopping import INTERRUPTED, end_now

if TYPE_CHECKING:
    from transforms.errors import SpecError

OK, FAILED, WRONG_USE, TOO_MANY_REJECTED, DRIFTED = 0, 1, 2, 3, 4

DEBUG: Final = "--debug"

MOST_FAULTS: Final = 100
"""Faults of a columns file that are listed; of more there is a count."""


def say(*lines: str, err: bool = False) -> None:
    """Prints lines. Whatever came from outside is escaped, so that each stays one line and commands no terminal."""
    from transforms.escaping import one_line

    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    for line in lines:
        click.echo(one_line(line).encode(encoding, "backslashreplace").decode(encoding), err=err)


def stop(code: int, message: str, *more: str, error: BaseException | None = None) -> NoReturn:
    """Ends the command with one line that a person can act on, or with one for each fault.

    Args:
      code: the exit code.
      message: the fault.
      more: further lines.
      error: its traceback is shown before.
    """
    if error is not None:
        text = "".join(traceback.format_exception(error))
        say(*text.rstrip("\n").split("\n"), err=True)
    say(f"seqcols: error: {message}", *more, err=True)
    sys.exit(code)


def printed() -> None:
    """Ends a command that is there to print something, if it could not be printed."""
    fault = streams.unprinted()  # and `| head` has what it wanted
    if fault and fault.errno != errno.EPIPE:
        stop(FAILED, _unprinted(fault))


def _unprinted(fault: OSError) -> str:
    return f"standard output: {(fault.strerror or str(fault)).lower()}; not all was printed"


@contextlib.contextmanager
def reported(debug: bool, columns: str = "") -> Iterator[None]:
    """Ends the command with the exit code and the line of whatever is raised in the block.

    Args:
      debug: whether to show the traceback as well.
      columns: the columns file, which faults in it are said to be of.
    """
    try:
        yield
    except (click.ClickException, click.exceptions.Exit):
        raise
    except KeyboardInterrupt:
        end_now(signal.SIGINT, None)
        raise
    except Exception as error:
        code, lines = _lines_of(error, columns)
        stop(code, *lines, error=error if debug else None)


def _lines_of(error: Exception, columns: str) -> tuple[int, list[str]]:
    """Returns the exit code and the lines for an exception."""
    from transforms.errors import JobError, SpecError

    if isinstance(error, UsageError):
        return WRONG_USE, [str(error)]
    if isinstance(error, JobError):
        return FAILED, [str(error)]
    if isinstance(error, SpecError):
        error = _located(error, columns)
        # What concerns the whole file has its name for a path.
        faults = [
            str(fault).replace(f"{columns}: ", "", 1) if fault.path == columns else str(fault) for fault in error.faults
        ]
        more = [f"and {len(faults) - MOST_FAULTS:,} more"] if len(faults) > MOST_FAULTS else []
        several = [f"{columns}: {len(faults):,} faults", *faults[:MOST_FAULTS], *more]
        return WRONG_USE, several if len(faults) > 1 else [f"{columns}: {faults[0]}"]
    return FAILED, [_unforeseen(error)]


def _located(error: SpecError, columns: str) -> SpecError:
    """Returns faults that were found after the columns file was read with their lines in it."""
    from pipeline.columns_file.reader import located
    from transforms.errors import SpecError

    if not columns or all(fault.line for fault in error.faults):
        return error
    with contextlib.suppress(SpecError):
        return SpecError(located(error.faults, columns))
    return error


def _unforeseen(error: Exception) -> str:
    """Returns the line for what nobody foresaw: a full disk, say, or a bug."""
    from pipeline.job.failures import of_a_disk

    what = str(error).strip() or "no message"
    if of_a_disk(error):
        return of_a_disk(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}" if error.filename else error.strerror.lower()
    return f"{type(error).__name__}: {what.splitlines()[-1]} ({DEBUG} shows where)"


WHOLE: Final = 1000
"""More characters than a command's first sentence has."""


class Commands(click.Group):
    """Commands whose wrong use is said in one line, too, and not with click's help text around it."""

    def main(self, *args: Any, **more: Any) -> Any:
        """See the base class."""
        try:
            more["standalone_mode"] = False
            code = super().main(*args, **more)
        except click.exceptions.NoArgsIsHelpError as error:
            error.show()
            sys.exit(error.exit_code)
        except click.ClickException as error:
            stop(error.exit_code, _in_one_line(error))
        except click.Abort:
            say("seqcols: stopped", err=True)
            sys.exit(INTERRUPTED)
        finally:
            fault = streams.unprinted()
            if fault:
                say(f"seqcols: {_unprinted(fault)}", err=True)
        sys.exit(code if isinstance(code, int) else OK)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """See the base class; what a command does is its first sentence, wrapped and not cut off."""
        told = [(name, self.get_command(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, command.get_short_help_str(WHOLE)) for name, command in told if command and not command.hidden]
            )

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """See the base class; for a misspelt command the error suggests the nearest one."""
        from transforms.errors import nearest

        name = args[0]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            raise click.UsageError(f"no such command {name!r}{nearest(name, self.list_commands(ctx))}", ctx)
        return super().resolve_command(ctx, args)


def _in_one_line(error: click.ClickException) -> str:
    message = " ".join(error.format_message().split()).rstrip(".")
    context = getattr(error, "ctx", None)
    hint = f"; see '{context.command_path} --help'" if context else ""
    return message[:1].lower() + message[1:] + hint
