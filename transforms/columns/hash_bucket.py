"""`sequence_categorical_column_with_hash_bucket` and `categorical_column_with_hash_bucket`: ids by hashing."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from transforms.columns.base import Column, SequenceMixin, dtype_among
from transforms.columns.categorical import WORD_DTYPES, KeyedCategorical, python_int, tensorflow_dtype, text_of

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings


class HashBucketBase(KeyedCategorical):
    """Arguments of both hash bucket columns.

    The id is Fingerprint64 (FarmHash) of the word's bytes, unsigned, modulo `hash_bucket_size`; an integer is hashed as its
    decimal text; the empty word is hashed like any other. With 10 buckets omar, stringer and marlo get 6, 4 and 1.

    Attributes:
      hash_bucket_size: ids are in `[0, hash_bucket_size)`.
      dtype: `string` (checked to be UTF-8), `bytes`, or an integer dtype.
    """

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset({"key", "dtype"})

    hash_bucket_size: Annotated[int, Field(strict=True, ge=1, lt=2**63)]
    dtype: Annotated[str, dtype_among(WORD_DTYPES, "string, bytes or an integer dtype")] = "string"

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        return {"key": column.key, "hash_bucket_size": column.hash_bucket_size, "dtype": tensorflow_dtype(column)}

    @property
    def word_dtype(self) -> str:
        """See the base class."""
        return self.dtype

    @property
    def id_count(self) -> int:
        """See the base class."""
        return self.hash_bucket_size

    def ids_of(self, words: tf.Tensor, fitted: Findings) -> tf.Tensor:
        """See the base class."""
        import tensorflow as tf

        return tf.strings.to_hash_bucket_fast(text_of(words), self.hash_bucket_size)


class SequenceHashBucket(SequenceMixin, HashBucketBase):
    """A sequence of hashed words, dense as `[T]` int64 (`[T, max_ids]`) padded with `padding_id`."""

    type: Literal["sequence_categorical_column_with_hash_bucket"] = "sequence_categorical_column_with_hash_bucket"

    def side_by_side(self, name: str, count: int) -> Column | None:
        """See the base class."""
        return self.model_copy(update={"key": name, "max_ids": count}) if self.max_ids == 1 else None


class HashBucket(HashBucketBase):
    """One hashed word an example, a scalar int64 (`[max_ids]`). An absent or empty feature is `padding_id`."""

    tensorflow_class: ClassVar[str] = "HashedCategoricalColumn"

    type: Literal["categorical_column_with_hash_bucket"] = "categorical_column_with_hash_bucket"


def sequence_categorical_column_with_hash_bucket(
    key: str, hash_bucket_size: int, dtype: Any = "string", **more: Any
) -> SequenceHashBucket:
    """Builds a `SequenceHashBucket` with TensorFlow's own arguments; the others by keyword.

    >>> sequence_categorical_column_with_hash_bucket("name", 10).id_count
    10

    Raises:
      TypeError: the size is no int; an argument is missing or unknown.
      ValueError: the size is None or below 1, the dtype is neither text nor an integer, the key is no text.
    """
    size = _size(hash_bucket_size)
    return SequenceHashBucket.make(key=key, hash_bucket_size=size, dtype=dtype, **more)


def categorical_column_with_hash_bucket(
    key: str, hash_bucket_size: int, dtype: Any = "string", **more: Any
) -> HashBucket:
    """Builds a `HashBucket` context column; arguments and errors as `sequence_categorical_column_with_hash_bucket`."""
    return HashBucket.make(key=key, hash_bucket_size=_size(hash_bucket_size), dtype=dtype, **more)


def _size(value: Any) -> Any:
    if value is None:  # a ValueError in TensorFlow, where any other wrong type is a TypeError
        raise ValueError("hash_bucket_size: expected an int >= 1, got None")
    return python_int(value)
