"""The field `normalizer_fn` of columns: a normalizer as people give it, to a `Normalizer`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, Union

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from transforms.errors import nearest
from transforms.normalizers import TYPES
from transforms.normalizers.base import Normalizer
from transforms.normalizers.chain import Chain
from transforms.normalizers.function import PATTERN, Function


def _one(value: Any, *, lists: bool = False) -> Normalizer:
    """Accepts a normalizer, a callable, `"z_score"`, `"module:function"`, or `{type: z_score, ...}`; says whether lists, too."""
    if isinstance(value, Normalizer):
        return value
    if isinstance(value, str) and value in TYPES:
        return TYPES[value].model_validate({})
    if isinstance(value, str) and re.fullmatch(PATTERN, value):
        return Function(function=value)
    if isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] in TYPES:
        return TYPES[value["type"]].model_validate(value)
    if callable(value):
        return Function(function=value)
    name = value.get("type") if isinstance(value, dict) else value
    hint = nearest(name, TYPES) if isinstance(name, str) else ""
    # The name ends in _type because TensorFlow raises a TypeError for a normalizer that is not callable.
    message = "expected a callable, 'module:function' or one of {names}{hint}"
    raise PydanticCustomError("normalizer_type", message, dict(names=", ".join(TYPES), hint=hint, lists=lists))


_MEMBERS: Final = TypeAdapter(list[Annotated[Normalizer, BeforeValidator(_one)]])


def _normalizer(value: Any) -> Normalizer | None:
    """Accepts what `_one` accepts, nothing, and a list: a chain."""
    if value is None or not isinstance(value, list | tuple):
        return None if value is None else _one(value, lists=True)
    if not value:
        raise PydanticCustomError("empty_chain_type", "1 or more normalizers")
    members = _MEMBERS.validate_python(list(value))
    return Chain.model_validate({"members": tuple(members)}) if len(members) > 1 else members[0]


def _stands_alone(kind: type[Normalizer]) -> bool:
    """Returns whether a normalizer's name says enough: all its options have defaults."""
    try:
        return bool(kind.model_validate({}))
    except ValidationError:
        return False


# What a file may hold, for the JSON Schema.
_NAMES: Any = Literal[tuple(name for name, kind in TYPES.items() if _stands_alone(kind))]
_MAPPINGS: Any = Union[tuple(TYPES.values())]  # noqa: UP007
_GIVEN: Any = _NAMES | Annotated[str, Field(pattern=PATTERN)] | _MAPPINGS

NormalizerField = Annotated[
    Normalizer | None,
    BeforeValidator(_normalizer, json_schema_input_type=_GIVEN | Annotated[list[_GIVEN], Field(min_length=1)] | None),
]
