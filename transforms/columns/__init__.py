"""Column types by name: the name of their TensorFlow constructor. A new one is one file and one line in `TYPES`.

The module that defines a type also defines its constructor, a function of the type's name, which is imported from here (and
from `transforms`) by that name.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any, Final, Union

from pydantic import Field

from transforms.columns import hash_bucket, identity, numeric, passthrough, sequence_numeric
from transforms.columns.base import Column, KeyedColumn, Output
from transforms.columns.categorical import Categorical
from transforms.columns.numeric_base import NumericBase

TYPES: Final[dict[str, type[Column]]] = {
    "sequence_numeric_column": sequence_numeric.SequenceNumeric,
    "sequence_categorical_column_with_identity": identity.SequenceIdentity,
    "sequence_categorical_column_with_hash_bucket": hash_bucket.SequenceHashBucket,
    "numeric_column": numeric.Numeric,
    "categorical_column_with_identity": identity.Identity,
    "categorical_column_with_hash_bucket": hash_bucket.HashBucket,
    "passthrough_column": passthrough.Passthrough,
}

CLASSES: Final = {kind.__name__: kind for kind in TYPES.values()}

if TYPE_CHECKING:
    AnyColumn = Column
    AnyCategorical = Categorical
else:
    AnyColumn = Annotated[Union[tuple(TYPES.values())], Field(discriminator="type")]  # noqa: UP007


def constructor(name: str) -> Any:
    """Returns the function that builds columns of a type, which has the type's name."""
    return getattr(sys.modules[TYPES[name].__module__], name)


def __getattr__(name: str) -> Any:
    if name in TYPES:
        return constructor(name)
    if name in CLASSES:
        return CLASSES[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [  # noqa: PLE0604  # the names of the table, too
    "TYPES",
    "AnyColumn",
    "Categorical",
    "Column",
    "KeyedColumn",
    "NumericBase",
    "Output",
    *TYPES,
    *CLASSES,
]
