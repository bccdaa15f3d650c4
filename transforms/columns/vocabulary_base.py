"""The base of vocabulary columns: words in order, whose positions are the ids, and the id of an unknown word."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from transforms.columns.base import Column
from transforms.columns.categorical import KeyedCategorical, python_int, tensorflow_dtype, text_of

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.vocabulary_lookup import Vocabulary
    from transforms.stored.vocabularies import WordList


def _path(value: Any) -> Any:
    """Takes paths of any kind, and refuses what TensorFlow calls missing: a ValueError."""
    if isinstance(value, bytes | int | list | tuple | dict | None) and not value:
        raise PydanticCustomError("path", "the path of a file")
    return os.fspath(value) if isinstance(value, os.PathLike) else value


FilePath = Annotated[str, Field(strict=True, min_length=1), BeforeValidator(_path, json_schema_input_type=str)]


class VocabularyBase(KeyedCategorical):
    """Arguments of every vocabulary column.

    Attributes:
      num_oov_buckets: the number of ids after those of the vocabulary that unknown words share: they get `size +
        Fingerprint64(word) mod num_oov_buckets`. With 0 an unknown word gets `default_value`.
    """

    tensorflow_value_errors: ClassVar[frozenset[str]] = frozenset({"key", "dtype", "default_value"})

    num_oov_buckets: Annotated[int, Field(strict=True, ge=0, lt=2**31)] = 0

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        arguments = {
            "key": column.key,
            "num_oov_buckets": column.num_oov_buckets or 0,
            "dtype": tensorflow_dtype(column),
        }
        # TensorFlow keeps a default that does not apply beside buckets.
        given = not column.num_oov_buckets and column.default_value is not None
        return {**arguments, "default_value": column.default_value} if given else arguments

    @classmethod
    def called(cls, arguments: Mapping[str, Any]) -> Self:
        """Builds the column of what its constructor was called with, `more` among it; see `make`."""
        given = {**arguments, **arguments["more"]}
        del given["more"]
        return cls.make(**{name: python_int(value) for name, value in given.items()})

    @property
    def listed(self) -> WordList | None:
        """The words that the columns list or name in a file; None if the data decide them."""
        return None

    @property
    def vocabulary_name(self) -> str:
        """A name of the words, in characters that any file system takes. Columns with the same words have one name."""
        assert self.listed is not None
        return f"words_{self.listed.digest}"

    @property
    @abstractmethod
    def unknown_id(self) -> int:
        """The id of an unknown word if there are no buckets for it; -1 for no id."""

    def vocabulary(self, fitted: Findings) -> Vocabulary:
        """Returns the words."""
        assert self.listed is not None
        return fitted.words(self.listed.words, self.vocabulary_name)

    def ids_of(self, words: tf.Tensor, fitted: Findings) -> tf.Tensor:
        """See the base class."""
        return self.vocabulary(fitted).ids(text_of(words), self.num_oov_buckets, self.unknown_id)

    def check_default(self, default: int, given: bool, size: int | None) -> None:
        """Checks a default value.

        Args:
          default: the value.
          given: whether it was asked for.
          size: the number of words, None where it is not known yet.

        Raises:
          ValueError: there are buckets for unknown words, too; or it is no id of a word, nor -1.
        """
        if given and self.num_oov_buckets:
            raise ValueError(
                f"default_value {default} does not apply with num_oov_buckets {self.num_oov_buckets}: "
                "an unknown word gets the one or the other"
            )
        if default < -1 or (size is not None and default >= size):
            ids = f"in [0, {size})" if size is not None else ">= 0"
            raise ValueError(f"default_value {default} is no id: expected one {ids}, or -1 for none")


def vocabulary_of(column: Column) -> VocabularyBase | None:
    """Returns the vocabulary column that a column is, or is made of."""
    if isinstance(column, VocabularyBase):
        return column
    return next(filter(None, map(vocabulary_of, column.parts)), None)
