"""Column types by name: the name of their TensorFlow constructor. A new one is one file and one line in `TYPES`."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from transforms.columns.base import Column, Output, SequenceColumn
from transforms.columns.identity import Identity, categorical_column_with_identity
from transforms.columns.numeric import Numeric, numeric_column
from transforms.columns.numeric_base import NumericBase
from transforms.columns.passthrough import Passthrough, passthrough_column
from transforms.columns.sequence_identity import SequenceIdentity, sequence_categorical_column_with_identity
from transforms.columns.sequence_numeric import SequenceNumeric, sequence_numeric_column

AnyColumn = Annotated[
    SequenceNumeric | SequenceIdentity | Numeric | Identity | Passthrough,
    Field(discriminator="type"),
]

TYPES: Final[dict[str, type[Column]]] = {
    "sequence_numeric_column": SequenceNumeric,
    "sequence_categorical_column_with_identity": SequenceIdentity,
    "numeric_column": Numeric,
    "categorical_column_with_identity": Identity,
    "passthrough_column": Passthrough,
}

__all__ = [
    "TYPES",
    "AnyColumn",
    "Column",
    "Identity",
    "Numeric",
    "NumericBase",
    "Output",
    "Passthrough",
    "SequenceColumn",
    "SequenceIdentity",
    "SequenceNumeric",
    "categorical_column_with_identity",
    "numeric_column",
    "passthrough_column",
    "sequence_categorical_column_with_identity",
    "sequence_numeric_column",
]
