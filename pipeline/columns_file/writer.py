"""A spec as the text of a columns file."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.scalarstring import DoubleQuotedScalarString

from pipeline.columns_file.yaml_lines import resolve
from transforms.columns import Column
from transforms.errors import SpecError, SpecFault
from transforms.escaping import one_line
from transforms.events.spec import Events, events_to_dict
from transforms.groups import SequenceGroup
from transforms.normalizers import TYPES, Chain, Function, Normalizer
from transforms.problems import path_of, shown
from transforms.spec.spec import Spec
from transforms.splits.rule import Split
from transforms.stored.embedding_tables import EmbeddingTable


def dumps(spec: Spec) -> str:
    """Returns a spec as YAML: `loads(dumps(spec)) == spec`.

    Only what differs from the defaults is written. A function is written by its name: one that was given as an object
    comes back as that name.

    Args:
      spec: the spec.

    Raises:
      SpecError: a file cannot hold it: a lambda, a function inside another, a normalizer of one's own, NaN.
    """
    faults: list[SpecFault] = []
    rows = [_row(column, f"columns[{k}]", faults) for k, column in enumerate(spec.columns)]
    groups = CommentedMap()
    for name, group in spec.sequence_groups.items():
        groups[quoted(name)] = _flow(_changed(group, path_of(("sequence_groups", name)), faults))
    split = {"split": split_row(spec.split)} if spec.split is not None else {}
    events = {"events": events_rows(spec.events)} if spec.events is not None else {}
    if faults:
        raise SpecError(faults)
    grouped = {"sequence_groups": groups} if groups else {}
    return block({"version": 1, **events, **grouped, "columns": rows, **split})


def block(data: Any) -> str:
    """Returns mappings and lists as YAML in block style, as a columns file has it."""
    yaml = YAML()
    yaml.indent(mapping=2, sequence=4, offset=2)
    yaml.width = 2**16  # no line is folded
    stream = io.StringIO()
    yaml.dump(data, stream)
    return stream.getvalue()


def row(column: Column) -> dict[str, Any]:
    """Returns a column as `block` takes it: its type, its key, and what differs from the defaults.

    Raises:
      SpecError: a file cannot hold it.
    """
    faults: list[SpecFault] = []
    made = _row(column, column.name, faults)
    if faults:
        raise SpecError(faults)
    return made


def group_row(group: SequenceGroup) -> dict[str, Any]:
    """Returns a sequence group as `block` takes it."""
    return _flow(_changed(group, "", []))


def split_row(split: Split) -> dict[str, Any]:
    """Returns the rule of splits as `block` takes it."""
    return _flow(_changed(split, "split", []))


def split_text(split: Split | None) -> str:
    """Returns the rule of splits as a columns file has it, on one line; `none` if there is none."""
    return block({"split": split_row(split)}).strip() if split is not None else "none"


def events_rows(events: Events) -> dict[str, Any]:
    """Returns the section of events as `block` takes it."""
    return {name: _nested(value, name == "features") for name, value in events_to_dict(events).items()}


def _nested(value: Any, block_style: bool = False) -> Any:
    """Returns a value of the section, with whatever needs quotes quoted; what stands in it on one line."""
    if isinstance(value, dict):
        made = CommentedMap({quoted(name): _nested(one) for name, one in value.items()})
        return made if block_style else _flow(made)
    if isinstance(value, list):
        row = CommentedSeq([_nested(one) for one in value])
        row.fa.set_flow_style()
        return row
    return quoted(value) if isinstance(value, str) else value


def _row(column: Column, path: str, faults: list[SpecFault]) -> dict[str, Any]:
    fields = _changed(column, path, faults)
    first = {"key": fields.pop("key")} if "key" in fields else {}
    return {"type": column.type_name, **first, **fields}


def _changed(model: BaseModel, path: str, faults: list[SpecFault]) -> dict[str, Any]:
    """Returns the fields that differ from their defaults, as YAML holds them."""
    fields = {name: getattr(model, name) for name in type(model).model_fields if name != "type"}
    defaults = {name: field.default for name, field in type(model).model_fields.items()}
    return {k: _value(value, f"{path}.{k}", faults) for k, value in fields.items() if value != defaults[k]}


def _value(value: Any, path: str, faults: list[SpecFault]) -> Any:
    if isinstance(value, Normalizer):
        return _normalizer(value, path, faults)
    if isinstance(value, Column):
        return _flow(_row(value, path, faults))
    if isinstance(value, EmbeddingTable):
        faults.append(SpecFault(path, "expected the path of a table (a columns file holds none), got an array"))
        return None
    if isinstance(value, tuple | list):
        row = CommentedSeq([_value(one, path, faults) for one in value])
        row.fa.set_flow_style()
        return row
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        if value != value:
            faults.append(SpecFault(path, "expected a number (a columns file holds no NaN), got nan"))
        return float(value)  # of a NumPy float, too
    return value


def quoted(value: str) -> str:
    """Quotes what would be no string without, in YAML 1.2 or for the many who read 1.1, and line breaks of any kind."""
    plain = isinstance(resolve(value), str) and value.lower() not in ("y", "n", "yes", "no", "on", "off")
    plain = plain and one_line(value) == value  # else a terminal's escapes would be part of it
    return value if plain else DoubleQuotedScalarString(value)


def _flow(fields: dict[str, Any]) -> CommentedMap:
    made = CommentedMap(fields)
    made.fa.set_flow_style()
    return made


def _normalizer(normalizer: Normalizer, path: str, faults: list[SpecFault]) -> Any:
    if isinstance(normalizer, Chain):
        row = CommentedSeq([_normalizer(one, f"{path}[{k}]", faults) for k, one in enumerate(normalizer.links)])
        row.fa.set_flow_style()
        return row
    if isinstance(normalizer, Function):
        function = normalizer.function
        return quoted(function) if isinstance(function, str) else _name_of(function, path, faults)
    name = next((name for name, kind in TYPES.items() if type(normalizer) is kind), None)
    if name is None:
        known = ", ".join(map(repr, TYPES))
        faults.append(SpecFault(path, f"expected a function or one of {known}, got {shown(normalizer)}"))
        return None
    fields = _changed(normalizer, path, faults)
    return _flow({"type": name, **fields}) if fields else name


def _name_of(function: Callable[[Any], Any], path: str, faults: list[SpecFault]) -> str | None:
    """Returns `module:function` if that is how the function can be imported."""
    qualified = getattr(function, "__qualname__", "")
    module = getattr(function, "__module__", None)
    got = shown(function)
    if "<lambda>" in qualified:
        got = "a lambda"
    elif "<locals>" in qualified:
        got = f"{qualified!r}, a function inside another one"
    elif qualified and module == "__main__":
        got = f"{qualified!r} of the main program, which is no module"
    elif module and qualified:
        try:
            name = f"{module}:{qualified}"
            if Function(function=name).resolve() is function:
                return name
        except ValueError:
            pass  # not importable by that name: the fault below
    faults.append(SpecFault(path, f"expected a function that a file can name as 'module:function', got {got}"))
    return None
