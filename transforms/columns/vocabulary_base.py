"""The base of vocabulary columns: words in order, whose positions are the ids, and the id of an unknown word."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import Field

from transforms.columns.base import Column
from transforms.columns.categorical import KeyedCategorical, tensorflow_dtype, text_of

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.vocabulary_lookup import Vocabulary
    from transforms.stored.vocabularies import WordList


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

    @property
    def listed(self) -> WordList | None:
        """The words that the columns list or name in a file; None if the data decide them."""
        return None

    @property
    @abstractmethod
    def unknown_id(self) -> int:
        """The id of an unknown word if there are no buckets for it; -1 for no id."""

    @abstractmethod
    def vocabulary(self, fitted: Findings) -> Vocabulary:
        """Returns the words."""

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
