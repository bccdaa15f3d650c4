"""Our options as Beam's own: for launchers that know pipelines by their `PipelineOptions`, and for an engine's page of a job.

They are derived from the options of `seqcols run`, so that there is one list of them. Beam writes names with
underscores, which are accepted, too.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import click
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.command.options import of_a_job
from pipeline.errors import UsageError
from pipeline.job.request import Request


class Parser(argparse.ArgumentParser):
    """A parser whose errors are `UsageError`s: argparse's own would print its help and end the process."""

    def __init__(self) -> None:
        super().__init__(allow_abbrev=False, add_help=False)

    def error(self, message: str) -> NoReturn:
        """See the base class."""
        raise UsageError(message)


class SeqcolsOptions(PipelineOptions):
    """The options of `seqcols run`, and `--columns`, the columns file. An option that was not given is None.

    >>> SeqcolsOptions(["--columns=c.yaml", "--input=a", "--input=b", "--max_rejected=0.5"]).max_rejected
    0.5
    """

    @classmethod
    def _add_argparse_args(cls, parser: argparse.ArgumentParser) -> None:
        parser.add_argument("--columns", help="The columns file.")
        for option in of_a_job():
            names = [name for own in option.opts for name in {own, own.replace("-", "_").replace("__", "--", 1)}]
            how: dict[str, Any] = {"help": option.help, "dest": option.name, "type": _converter(option)}
            if option.is_flag:
                how |= {"nargs": "?", "const": True}
            elif option.multiple:
                how["action"] = "append"
            parser.add_argument(*sorted(names), **how)


def _converter(option: click.Option) -> Callable[[str], Any]:
    def convert(text: str) -> Any:
        try:
            return option.type.convert(text, option, None)
        except click.ClickException as error:
            raise argparse.ArgumentTypeError(error.message.rstrip(".")) from error

    convert.__name__ = str(option.name)  # argparse names it in its errors
    return convert


def split(arguments: Sequence[str]) -> tuple[dict[str, Any], list[str]]:
    """Returns what arguments give of `SeqcolsOptions`, by name, and the other arguments.

    Raises:
      UsageError: a value is not allowed.
    """
    parser = Parser()
    SeqcolsOptions._add_argparse_args(parser)
    own, others = parser.parse_known_args(list(arguments))
    return {name: value for name, value in vars(own).items() if value is not None}, others


def request_of(options: PipelineOptions, beam_args: Sequence[str] = ()) -> Request:
    """Returns what options ask for.

    Args:
      options: any; what they do not say is as in `seqcols run`.
      beam_args: Beam's own options, for the pipeline.

    Raises:
      UsageError: there is no columns file.
      SpecError: there are faults in it.
    """
    from pipeline.dataset.columns import of_request

    given = options.view_as(SeqcolsOptions)
    if not given.columns:
        raise UsageError("--columns: expected a columns file")
    asked = {str(option.name): getattr(given, str(option.name)) for option in of_a_job()}
    asked = {name: value for name, value in asked.items() if value is not None}
    return Request(of_request(given.columns, asked), beam_args=beam_args, columns_file=given.columns, **asked)
