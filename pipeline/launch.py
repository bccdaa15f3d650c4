"""Entry point of launchers that pass every option by name, as `--name=value`: a Dataflow Flex Template, say.

`python -m pipeline.launch --columns=gs://b/columns.yaml --input=gs://b/in/*,gs://b/more/* --output=gs://b/out --runner=...` hands
the job over and returns: a launcher that waits is one more machine to pay for. Options are those of `seqcols run`; those that can
be given again take several values with commas between them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from pipeline.ending import WRONG_USE, stop


def main(arguments: Sequence[str] | None = None) -> None:
    """Hands a job over, or ends with the exit code and the line of `seqcols run`."""
    from pipeline.beam_options import SeqcolsOptions, asked_of
    from pipeline.cli import carry_out

    given = list(sys.argv[1:] if arguments is None else arguments)
    parser = argparse.ArgumentParser(allow_abbrev=False, add_help=False)
    SeqcolsOptions._add_argparse_args(parser)
    own, beam_args = parser.parse_known_args(given)
    if not own.columns:
        stop(WRONG_USE, "--columns: expected a columns file")
    asked: dict[str, Any] = {"wait": False, **asked_of(SeqcolsOptions(given))}
    for name, value in asked.items():
        if isinstance(value, list):
            asked[name] = [one for part in value for one in part.split(",")]
    carry_out("run", own.columns, beam_args=beam_args, **asked)


if __name__ == "__main__":
    main()
