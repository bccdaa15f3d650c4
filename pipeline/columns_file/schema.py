"""The JSON Schema of the columns file, for editors: completion, descriptions, and most faults while typing.

`python -m pipeline.columns_file.schema` prints it; `columns.schema.json` beside this file is the published copy.
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel

from pipeline.columns_file.reader import ColumnsFile
from transforms.columns import TYPES
from transforms.events.spec import Events, Sessions, Target, Time, Windows
from transforms.groups import SequenceGroup
from transforms.normalizers import NORMALIZERS
from transforms.splits.rule import Split

PUBLISHED: Final = Path(__file__).parents[1] / "columns.schema.json"
"""The copy that editors are pointed to."""


def json_schema() -> dict[str, Any]:
    """Returns the schema, draft 2020-12.

    It accepts what `columns_file.loads` accepts. Some of what that refuses it cannot see: what is wrong between columns
    and groups or between two arguments of a column, integers written as `3.0`, duplicate keys.
    """
    schema = ColumnsFile.model_json_schema()
    definitions = schema["$defs"]
    events = (Events, Time, Sessions, Windows, Target)
    models: list[type[BaseModel]] = [SequenceGroup, Split, *events, *TYPES.values(), *NORMALIZERS.values()]
    for model in models:
        _describe(definitions[model.__name__], model)
    _describe(schema, ColumnsFile)
    _tidy(schema)
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "seqcols columns file",
    }
    return {**head, **{key: value for key, value in schema.items() if key != "title"}}


def text() -> str:
    """Returns the schema as the text of the published copy."""
    return json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"


def attributes(model: type[BaseModel]) -> dict[str, str]:
    """Returns what the docstrings of a model and its bases say of its attributes, each on one line."""
    found: dict[str, str] = {}
    for owner in model.__mro__:
        section = _docstring(owner).partition("\nAttributes:\n")[2]
        # An entry begins two columns in; what goes on stands deeper.
        for name, described in re.findall(r"^  (\w+): (.*(?:\n {4,}.*)*)", section, re.MULTILINE):
            sentence = " ".join(described.split())
            found.setdefault(name, sentence[0].upper() + sentence[1:])
    return found


def _docstring(owner: type) -> str:
    own = owner.__dict__.get("__doc__")  # inspect.getdoc would take a base's
    return inspect.cleandoc(own) if own else ""


def _describe(schema: dict[str, Any], model: type[BaseModel]) -> None:
    summary = _docstring(model).partition("\nAttributes:\n")[0]
    schema["description"] = "\n\n".join(" ".join(part.split()) for part in summary.strip().split("\n\n"))
    described = attributes(model)
    for name, part in schema["properties"].items():
        if name == "type":
            part["description"] = schema["description"]
            # Python knows the type by the class, a file only by its name.
            schema["required"] = ["type", *schema.get("required", [])]
        else:
            part["description"] = described[name]


def _tidy(schema: Any, names: bool = False) -> None:
    """Removes what is noise to an editor, or not JSON Schema: generated titles and OpenAPI's discriminator.

    Args:
      schema: the schema or a part of it, changed in place.
      names: whether its keys are names of properties and not keywords.
    """
    if isinstance(schema, dict):
        if not names:
            schema.pop("title", None)
            schema.pop("discriminator", None)
        for key, part in schema.items():
            _tidy(part, names=not names and key in ("properties", "$defs"))
    elif isinstance(schema, list):
        for part in schema:
            _tidy(part)


if __name__ == "__main__":
    print(text(), end="")
