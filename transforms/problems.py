"""Problems with arguments: pydantic's findings as one-line messages of this package.

Pydantic reports one error for each branch of a union, puts the branches' names into the path, and shows whole
mappings as the offending value. Here an argument has one message, `expected ..., got ...`, with what is allowed and
the nearest name.
"""

from __future__ import annotations

import re
import reprlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from transforms.errors import nearest

Location = tuple[str | int, ...]

WIDEST: Final = 60
"""Characters of an offending value that are shown."""

COLUMN_TYPES: Final[set[str]] = set()
"""Names of the column types. Their table fills it: it knows of messages, which need not know of columns."""

_REPR: Final = reprlib.Repr()
_REPR.maxstring = _REPR.maxlong = _REPR.maxother = WIDEST
_REPR.maxlist = _REPR.maxtuple = _REPR.maxset = _REPR.maxdict = 20
_REPR.maxlevel = 3

_EXPECTED: Final[dict[str, str]] = {
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "float_type": "a number",
    "int_type": "an int",
    "list_type": "a list",
    "model_attributes_type": "a column (a mapping with a 'type')",
    "model_type": "a mapping",
    "union_tag_not_found": "a column (a mapping with a 'type')",
    "string_type": "a string",
    "tuple_type": "a list",
}
_BOUNDS: Final = {
    "greater_than": "> {gt}",
    "greater_than_equal": ">= {ge}",
    "less_than": "< {lt}",
    "less_than_equal": "<= {le}",
}
_OF_TYPE: Final = ("union_tag_invalid", "union_tag_not_found", "normalizer_type")
"""Errors that concern the `type` in a mapping, though they are reported for the mapping."""

_CALLED_WRONGLY: Final = ("missing", "extra_forbidden")


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one argument.

    Attributes:
      location: the way to it in the data that were given: no names of union branches.
      message: one line.
      wrong_type: whether Python calls it a TypeError: a wrong type, a missing or an unknown argument.
    """

    location: Location
    message: str
    wrong_type: bool

    @property
    def path(self) -> str:
        """The location for people."""
        return path_of(self.location)


def path_of(location: Iterable[Any]) -> str:
    """Returns a path for people: `("columns", 3, "shape", 0)` is `columns[3].shape[0]`.

    >>> path_of(("sequence_groups", "my group"))
    "sequence_groups['my group']"
    """
    path = ""
    for part in location:
        if isinstance(part, str) and re.fullmatch(r"[\w-]+", part):
            path += f".{part}" if path else part
        else:
            path += f"[{shown(part)}]"
    return path or "columns"


def shown(value: Any) -> str:
    """Returns a value as a message shows it: its repr on one line, at most 60 characters; no mapping is spelt out.

    >>> shown("heda"), shown({"a": 1})
    ("'heda'", 'a mapping')
    """
    if isinstance(value, Mapping):
        return "a mapping" if value else "an empty mapping"
    try:
        text = " ".join(_REPR.repr(value).split())
    except Exception:  # a repr is anybody's code; and Python refuses to print an int of more than 4300 digits
        text = f"<{type(value).__name__}>"
    return text if len(text) <= WIDEST else text[: WIDEST - 3] + "..."


def problems(error: ValidationError, model: type[BaseModel], data: Any, noun: str = "argument") -> list[Problem]:
    """Returns what pydantic found, one problem for each place.

    Args:
      error: the exception from pydantic.
      model: the model that was validated.
      data: the data that pydantic was given.
      noun: the word for a name in the data: an argument, or a key in a file.
    """
    found: dict[Location, list[ErrorDetails]] = {}
    for details in error.errors():
        found.setdefault(_location(details, model, data), []).append(details)
    # A value can only be wrong both as a whole and inside where it is a union: what is inside fits best.
    inner = [at for at in found if not any(other[: len(at)] == at for other in found if len(other) > len(at))]
    return [Problem(at, _message(found[at], at, model, data, noun), _is_type(found[at])) for at in inner]


def _is_type(found: Sequence[ErrorDetails]) -> bool:
    return any(details["type"].endswith("_type") or details["type"] in _CALLED_WRONGLY for details in found)


def _location(details: ErrorDetails, model: type[BaseModel], data: Any) -> Location:
    """Keeps of pydantic's location what leads through the data: tags and names of union branches do not."""
    location: Location = ()
    value = data
    for part in details["loc"]:
        inside = _inside(value, part)
        if inside:
            location, value = (*location, part), inside[0]
    kind, got = details["type"], details["input"]
    if kind == "missing":
        return (*location, details["loc"][-1])
    if kind in _OF_TYPE and isinstance(got, Mapping):
        return (*location, "type")
    # Checks of several arguments at once stand at the mapping; their messages open with the name of the one at fault.
    named = re.match(r"\w+", _own_message(details) or "")
    if named and isinstance(value, Mapping) and named[0] in value and named[0] in _names(model, location, data):
        return (*location, named[0])
    return location


def _inside(value: Any, part: str | int) -> tuple[Any] | None:
    if isinstance(value, Mapping):
        return (value[part],) if part in value else None
    if isinstance(value, list | tuple):
        return (value[part],) if isinstance(part, int) and part < len(value) else None
    return None


def _own_message(details: ErrorDetails) -> str | None:
    """Returns the message of a check that is not pydantic's but ours."""
    if details["type"] in ("value_error", "assertion_error"):
        return " ".join(str(details["ctx"]["error"]).split())
    return details["msg"] if details["type"] == "default_value" else None


def _message(found: Sequence[ErrorDetails], location: Location, model: type[BaseModel], data: Any, noun: str) -> str:
    details = found[0]
    kind, got, context = details["type"], details["input"], details.get("ctx", {})
    if kind == "extra_forbidden":
        return _unknown(noun, str(location[-1]), _names(model, location[:-1], data))
    if kind in _OF_TYPE and isinstance(got, Mapping):
        kind, got = (kind, got["type"]) if "type" in got else ("missing", None)
    if kind == "missing":
        return f"expected a value (this {noun} is required), got nothing"
    if kind == "union_tag_invalid":
        tag = got if isinstance(details["input"], Mapping) else context["tag"]
        fitting = _quoted(context["expected_tags"])
        if isinstance(tag, str) and tag in COLUMN_TYPES:  # inside another column: not every type can stand there
            return f"expected {' or '.join(_kinds(fitting))}, got {shown(tag)}"
        return _unknown("column type", tag, fitting)
    if kind == "default_value":
        return f"expected a number that fits {context['dtype']}, got {shown(context['value'])}"
    own = _own_message(details)
    if own is not None:
        name = str(location[-1]) if location else ""
        return re.sub(rf"^{re.escape(name)}[ =]", "", own) if name else own
    wanted = _either(_expected(details, noun) for details in found)
    allowed = [name for details in found for name in _quoted(details.get("ctx", {}).get("expected", ""))]
    hint = nearest(got, allowed) if isinstance(got, str) else ""
    return f"expected {wanted}, got {_got(got, kind)}{hint or context.get('hint', '')}"


def _kinds(fitting: Sequence[str]) -> list[str]:
    """Returns what columns of some types are called: all of them would be a long list."""
    numeric = [name for name in fitting if name.endswith("numeric_column")]
    return [*map(repr, numeric), *(["a categorical column"] if len(numeric) < len(fitting) else [])]


def _got(value: Any, kind: str) -> str:
    return "none" if kind == "too_short" else shown(value)


def _unknown(what: str, name: Any, known: Sequence[str]) -> str:
    hint = nearest(name, known) if isinstance(name, str) else ""
    return f"unknown {what} {shown(name)}{hint or ', known: ' + ', '.join(known)}"


def _expected(details: ErrorDetails, noun: str) -> str:
    """Returns what one branch expects, to stand after "expected"."""
    kind, context = details["type"], details.get("ctx", {})
    if kind in _EXPECTED:
        return _EXPECTED[kind]
    if kind in _BOUNDS:
        number = "an int" if all(isinstance(n, int) for n in (details["input"], *context.values())) else "a number"
        return f"{number} {_BOUNDS[kind].format(**context)}"
    if kind == "literal_error":
        return str(context["expected"])
    if kind in ("string_too_short", "too_short"):
        what = "characters" if kind == "string_too_short" else "items"
        return f"{context['min_length']} or more {what}"
    if kind == "dtype":
        return str(context["what"])
    if kind == "normalizer_type":
        names = [repr(name) for name in context["names"].split(", ")]
        if not isinstance(details["input"], Mapping):  # a mapping is one of those with a name
            names += ["'module:function'", "a callable"] if noun == "argument" else ["'module:function'"]
            names += ["a list of these"] if context["lists"] else []
        return _either(names)
    return re.sub(r"^(.*? should be|Value error,) ", "", details["msg"])


def _either(branches: Iterable[str]) -> str:
    """Joins what the branches of a union expect.

    >>> _either(["an int", "a number", "a list", "a list"])
    'a number or a list'
    """
    wanted = list(dict.fromkeys(branches))
    if "a number" in wanted:
        wanted = [one for one in wanted if one != "an int"]
    return " or ".join(filter(None, [", ".join(wanted[:-1]), wanted[-1]]))


def _quoted(text: str) -> list[str]:
    return re.findall(r"'([^']*)'", text)


def _names(model: type[BaseModel], location: Location, data: Any) -> list[str]:
    """Returns the names that the mapping at a location may hold."""
    annotation: Any = model
    for part in location:
        options = list(_options(annotation))
        owner = _chosen(options, data)
        held = [get_args(option)[-1] for option in options if get_args(option)]
        if isinstance(part, int) and not held:  # a list of what may also stand by itself
            pass
        elif owner is not None:
            annotation = owner.model_fields[str(part)].annotation if part in owner.model_fields else None
        else:  # list[...] and dict[..., ...]: what they hold comes last
            annotation = next(iter(held), None)
        data = (_inside(data, part) or (None,))[0]
    owner = _chosen(list(_options(annotation)), data)
    return list(owner.model_fields) if owner else []


def _options(annotation: Any) -> Iterator[Any]:
    """Yields the members of a union; with a model, what derives from it."""
    if get_origin(annotation) is Annotated:
        yield from _options(get_args(annotation)[0])
    elif get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _options(one)
    else:
        yield annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for one in annotation.__subclasses__():
                yield from _options(one)


def _chosen(options: Sequence[Any], data: Any) -> type[BaseModel] | None:
    """Returns the model that a mapping is read as: the one of its `type`, where models have types."""
    models = [one for one in options if isinstance(one, type) and issubclass(one, BaseModel)]
    tag = data.get("type") if isinstance(data, Mapping) else None
    tagged = [one for one in models if "type" in one.model_fields and one.model_fields["type"].default == tag]
    return next(iter(tagged or models), None)
