"""Column types by name: the name of their TensorFlow constructor. A new one is one file and one line in `TYPES`.

The module that defines a type also defines its constructor, a function of the type's name, which is imported from here (and
from `transforms`) by that name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from transforms.columns import (
    bucketized,
    embedding,
    hash_bucket,
    identity,
    indicator,
    learned_vocabulary,
    numeric,
    passthrough,
    sequence_numeric,
    shared_embedding,
    vocabulary_file,
    vocabulary_list,
    weighted,
)
from transforms.columns.base import Column, KeyedColumn
from transforms.columns.categorical import Categorical
from transforms.columns.complete import completed
from transforms.columns.from_tensorflow import constructor
from transforms.columns.numeric_base import NumericBase
from transforms.columns.results import Output
from transforms.columns.shared_embedding import shared_embeddings

TYPES: Final[dict[str, type[Column]]] = {
    "sequence_numeric_column": sequence_numeric.SequenceNumeric,
    "sequence_categorical_column_with_identity": identity.SequenceIdentity,
    "sequence_categorical_column_with_hash_bucket": hash_bucket.SequenceHashBucket,
    "sequence_categorical_column_with_vocabulary_list": vocabulary_list.SequenceVocabularyList,
    "sequence_categorical_column_with_vocabulary_file": vocabulary_file.SequenceVocabularyFile,
    "sequence_categorical_column_with_learned_vocabulary": learned_vocabulary.SequenceLearnedVocabulary,
    "numeric_column": numeric.Numeric,
    "categorical_column_with_identity": identity.Identity,
    "categorical_column_with_hash_bucket": hash_bucket.HashBucket,
    "categorical_column_with_vocabulary_list": vocabulary_list.VocabularyList,
    "categorical_column_with_vocabulary_file": vocabulary_file.VocabularyFile,
    "categorical_column_with_learned_vocabulary": learned_vocabulary.LearnedVocabulary,
    "bucketized_column": bucketized.Bucketized,
    "weighted_categorical_column": weighted.Weighted,
    "indicator_column": indicator.Indicator,
    "embedding_column": embedding.Embedding,
    "shared_embedding_column": shared_embedding.SharedEmbedding,
    "passthrough_column": passthrough.Passthrough,
}

CLASSES: Final = {kind.__name__: kind for kind in TYPES.values()}

if TYPE_CHECKING:
    AnyColumn = Column
else:
    AnyColumn = completed(TYPES)


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
    "constructor",
    "shared_embeddings",
    *TYPES,
    *CLASSES,
]
