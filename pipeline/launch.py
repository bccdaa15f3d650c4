"""Entry point of launchers that pass every option by name, as `--name=value`: a Dataflow Flex Template, say.

`python -m pipeline.launch --columns=gs://b/columns.yaml --input=gs://b/in/*,gs://b/more/* --output=gs://b/out --runner=...` hands
the job over and returns: a launcher that waits is one more machine to pay for. Options are those of `seqcols run`; those that can
be given again take several values with commas between them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from pipeline.command import cli


def main() -> None:
    """Hands over the job that the command line asks for."""
    cli.begin()
    hand_over(sys.argv[1:])


def hand_over(arguments: Sequence[str]) -> None:
    """Hands a job over, or ends with the exit code and the line of `seqcols run`."""
    from pipeline.command.actions import carry_out
    from pipeline.command.exits import reported
    from pipeline.errors import UsageError

    with reported(debug=False):
        from pipeline.command.beam_options import split

        asked, beam_args = split(arguments)
        if not asked.get("columns") and not asked.get("transform"):
            raise UsageError("--columns: expected a columns file")
    for name, value in asked.items():
        if isinstance(value, list):
            asked[name] = [one for part in value for one in part.split(",")]
    carry_out("run", **{"columns": "", "wait": False, **asked}, beam_args=beam_args)


if __name__ == "__main__":
    main()
