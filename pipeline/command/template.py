"""The metadata of the Dataflow Flex Template, from the options of `seqcols run`: `python -m pipeline.command.template` prints it.

Parameters are those of `pipeline.launch`. The format is that of
https://cloud.google.com/dataflow/docs/guides/templates/configuring-flex-templates#metadata
"""

from __future__ import annotations

import json
from typing import Any, Final

import click

from pipeline.command.options import Size, of_a_job

NAME: Final = "seqcols"

NOT_OF_A_TEMPLATE: Final = ("workers", "wait", "partitions", "keep_sequences")
"""Options of the local runner, what a launcher settles, and those of events, whose job a launcher would have to wait for."""

_KINDS: Final = {"inputs": "GCS_READ_FILE", "output": "GCS_WRITE_FOLDER", "cache": "GCS_WRITE_FOLDER"}
_SEVERAL: Final = "Several with commas between them."


def metadata() -> dict[str, Any]:
    """Returns the metadata as Dataflow reads them."""
    columns = {
        "name": "columns",
        "label": "Columns file",
        "helpText": "The columns file (YAML). Functions that it names must be installed in the image.",
        "paramType": "GCS_READ_FILE",
        "regexes": ["^gs:\\/\\/[^\\n\\r]+$"],
        "isOptional": False,
    }
    options = [option for option in of_a_job() if option.name not in NOT_OF_A_TEMPLATE]
    return {
        "name": NAME,
        "description": "Variable-length sequences to dense, validated, normalised, training-ready data.",
        "streaming": False,
        "parameters": [columns, *(_parameter(option) for option in options)],
    }


def _parameter(option: click.Option) -> dict[str, Any]:
    name = option.opts[0].removeprefix("--").replace("-", "_")
    made: dict[str, Any] = {
        "name": name,
        "label": name.replace("_", " ").capitalize(),
        "helpText": " ".join([_help(option), *([_SEVERAL] if option.multiple else [])]),
        "isOptional": not option.required,
    }
    if isinstance(option.type, click.Choice):
        choices = [{"label": choice, "value": choice} for choice in option.type.choices]
        return made | {"paramType": "ENUM", "enumOptions": choices, "defaultValue": option.default}
    if option.is_flag:
        return made | {"paramType": "BOOLEAN", "defaultValue": "true" if option.default is True else "false"}
    if option.type in (click.INT, click.FLOAT):
        return made | {
            "paramType": "NUMBER",
            **({} if option.default is None else {"defaultValue": str(option.default)}),
        }
    if isinstance(option.type, Size):
        return made | {"paramType": "TEXT", "defaultValue": str(option.default)}
    return made | {"paramType": _KINDS.get(str(option.name), "TEXT")}


def _help(option: click.Option) -> str:
    """Returns the help as a template's users need it, who give each option once."""
    return (option.help or "").replace("; may be repeated", "")


if __name__ == "__main__":
    print(json.dumps(metadata(), indent=2))
