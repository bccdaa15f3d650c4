"""Completes the column types once all of them are known: fields of wrappers name unions of types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Union

from pydantic import Field

from transforms import problems
from transforms.columns import from_tensorflow
from transforms.columns.base import Column
from transforms.columns.categorical import Categorical, KeyedCategorical
from transforms.columns.numeric_base import NumericBase


def completed(types: Mapping[str, type[Column]]) -> Any:
    """Makes the types of a table known to messages, to TensorFlow's columns and to wrappers; returns the union of all of them."""
    problems.COLUMN_TYPES.update(types)
    from_tensorflow.TYPES.update(types)
    inner = {"AnyCategorical": Categorical, "AnyIds": KeyedCategorical, "AnyNumeric": NumericBase}
    for kind in types.values():
        kind.model_rebuild(_types_namespace={name: _union(types, base) for name, base in inner.items()})
    return _union(types, Column)


def _union(types: Mapping[str, type[Column]], base: Any) -> Any:
    """Returns the union of the types that derive from a class, discriminated by `type`."""
    kinds = tuple(kind for kind in types.values() if issubclass(kind, base))
    return Annotated[Union[kinds], Field(discriminator="type")]  # noqa: UP007
