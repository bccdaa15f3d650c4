"""Columns made with TensorFlow's own constructors, as ours: `tf.feature_column` objects are accepted as they are."""

from __future__ import annotations

import sys
from typing import Any, Final

from transforms.columns.base import Column, KeyedColumn

TYPES: Final[dict[str, type[Column]]] = {}
"""All column types by name: `transforms.columns` fills it, which imports the types, which import this."""

_SEQUENCE: Final = "SequenceCategoricalColumn"
"""The class that TensorFlow wraps a categorical column in to make it a sequence."""


def is_tensorflow(column: Any) -> bool:
    """Returns whether an object is a column of `tf.feature_column`."""
    return hasattr(column, "_fields") and type(column).__module__.startswith("tensorflow.")


def converted(column: Any, **more: Any) -> Column:
    """Returns our column for one of TensorFlow's; one of ours is returned as it is.

    TensorFlow's arguments become ours with the same names. Sequences go into the default sequence group, with one id per step,
    unless `more` says otherwise.

    Args:
      column: a column of `tf.feature_column`, a sequence or a context one, a wrapper included.
      **more: arguments that TensorFlow's columns do not have (`group`, `max_ids`, `required`, ...), for the feature's column.

    Raises:
      TypeError: it is no column.
      ValueError: it is a kind that has no counterpart, or has an argument that means nothing at rest.
    """
    if isinstance(column, Column):
        return column
    kind = type(column).__name__
    if kind == "CrossedColumn":
        raise ValueError("crossed_column has no counterpart: cross the features before, or in the model")
    inner = column.categorical_column if kind == _SEQUENCE else column
    by_class = {kind.tensorflow_class: name for name, kind in TYPES.items() if kind.tensorflow_class}
    name = by_class.get(type(inner).__name__)
    if name is None or not is_tensorflow(column):
        known = ", ".join(by_class)
        raise TypeError(f"expected a column, of ours or one of tf.feature_column ({known}), got {kind}")
    arguments = TYPES[name].tensorflow_arguments(inner, lambda part: converted(part, **more))
    if issubclass(TYPES[name], KeyedColumn):
        arguments |= more
    made: Column = constructor(f"sequence_{name}" if kind == _SEQUENCE else name)(**arguments)
    return made


def constructor(name: str) -> Any:
    """Returns the function that builds columns of a type, which has the type's name."""
    return getattr(sys.modules[TYPES[name].__module__], name)
