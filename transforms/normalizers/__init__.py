"""Normalizers by name. A new one is one file and one line in `TYPES`."""

from __future__ import annotations

import re
from typing import Annotated, Any, Final

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from transforms.errors import nearest
from transforms.normalizers.base import Normalizer, Statistics
from transforms.normalizers.function import PATTERN, Function
from transforms.normalizers.z_score import ZScore

TYPES: Final[dict[str, type[Normalizer]]] = {
    "z_score": ZScore,
}


def _normalizer(value: Any) -> Any:
    """Accepts a normalizer, a callable, `"z_score"`, `"module:function"`, or `{type: z_score, ...}`."""
    if value is None or isinstance(value, Normalizer):
        return value
    if isinstance(value, str) and value in TYPES:
        return TYPES[value]()
    if isinstance(value, str) and re.fullmatch(PATTERN, value):
        return Function(function=value)
    if isinstance(value, dict) and isinstance(value.get("type"), str) and value["type"] in TYPES:
        return TYPES[value["type"]](**value)
    if callable(value):
        return Function(function=value)
    name = value.get("type") if isinstance(value, dict) else value
    hint = nearest(name, TYPES) if isinstance(name, str) else ""
    # The name ends in _type because TensorFlow raises a TypeError for a normalizer that is not callable.
    message = "expected a callable, 'module:function' or one of {names}{hint}"
    raise PydanticCustomError("normalizer_type", message, dict(names=", ".join(TYPES), hint=hint))


NormalizerField = Annotated[
    Normalizer | None,
    BeforeValidator(
        _normalizer,
        json_schema_input_type=Annotated[str, Field(pattern=PATTERN[:-1] + "$|^(" + "|".join(TYPES) + ")$")]
        | ZScore
        | None,
    ),
]

__all__ = ["TYPES", "Function", "Normalizer", "NormalizerField", "Statistics", "ZScore"]
