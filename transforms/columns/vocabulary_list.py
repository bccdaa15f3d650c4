"""`sequence_categorical_column_with_vocabulary_list` and `categorical_column_with_vocabulary_list`: words in the spec."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field, PlainValidator, PrivateAttr, model_validator
from pydantic_core import PydanticCustomError

from transforms import dtypes
from transforms.columns.base import Column, SequenceMixin, dtype_among
from transforms.columns.categorical import WORD_DTYPES, python_int
from transforms.columns.vocabulary_base import VocabularyBase
from transforms.problems import shown
from transforms.stored.vocabularies import BadWord, WordList

if TYPE_CHECKING:
    pass

Word = str | bytes | int


def _words(value: Any) -> tuple[Word, ...]:
    """Accepts what TensorFlow accepts, except a single string, whose letters TensorFlow takes for words, and a set."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Sequence):
        nothing = value is None or (isinstance(value, str | bytes | Mapping) and not value)  # ValueErrors in TensorFlow
        raise PydanticCustomError("words" if nothing else "words_type", "a list of words or integers")
    if not len(value):
        raise ValueError("expected one or more words, got none")
    words = tuple(python_int(word) for word in value)
    for place, word in enumerate(words):
        if not isinstance(word, Hashable):
            raise PydanticCustomError("words_type", "words or integers")
        if isinstance(word, bool) or not isinstance(word, str | bytes | int):
            raise ValueError(f"expected words or integers, got {shown(word)} at place {place}")
        if isinstance(word, int) != isinstance(words[0], int):
            raise ValueError(f"expected either words or integers, got {shown(words[0])} and {shown(word)}")
    return tuple(word if isinstance(word, int) else _text(word, place) for place, word in enumerate(words))


def _text(word: str | bytes, place: int) -> str | bytes:
    """Returns bytes as text where they are text, which a columns file can hold."""
    if isinstance(word, str):
        try:
            word.encode()
        except UnicodeEncodeError:
            raise ValueError(f"expected text that UTF-8 can hold, got {shown(word)} at place {place}") from None
        return str(word)  # of a NumPy string, too
    try:
        return word.decode()
    except UnicodeDecodeError:
        return word


class VocabularyListBase(VocabularyBase):
    """Arguments of both vocabulary list columns.

    Attributes:
      vocabulary_list: the words, or integers. The id of a word is its position.
      dtype: `string` (checked to be UTF-8), `bytes`, or an integer dtype; by default that of the words: `string` or `int64`.
      default_value: the id of an unknown word, -1 for none. Not with `num_oov_buckets`.
    """

    vocabulary_list: Annotated[
        tuple[Word, ...], PlainValidator(_words, json_schema_input_type=Annotated[list[str | int], Field(min_length=1)])
    ]
    dtype: Annotated[str, dtype_among(WORD_DTYPES, "string, bytes or an integer dtype")] | None = None
    default_value: Annotated[int, Field(strict=True)] = -1
    _list: WordList = PrivateAttr()

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        return {**super().tensorflow_arguments(column, converted), "vocabulary_list": column.vocabulary_list}

    @model_validator(mode="after")
    def _words_fit(self) -> Self:
        integers = isinstance(self.vocabulary_list[0], int)
        if integers != (dtypes.carrier(self.word_dtype) == "int64"):
            kind = "integers" if integers else "words"
            raise ValueError(f"dtype {self.word_dtype} does not fit a vocabulary_list of {kind}")
        if self.num_oov_buckets and self.default_value != -1:
            self.check_default(self.default_value, True, None)
        words = [_encoded(word) for word in self.vocabulary_list]
        try:
            self._list = WordList.of(words, self.word_dtype)
        except BadWord as error:
            raise ValueError(f"vocabulary_list word {error.place}: {error.why}") from None
        self.check_default(self.default_value, False, len(words))
        return self

    @property
    def word_dtype(self) -> str:
        """See the base class."""
        if self.dtype is not None:
            return self.dtype
        if isinstance(self.vocabulary_list[0], int):
            return "int64"
        return "bytes" if any(isinstance(word, bytes) for word in self.vocabulary_list) else "string"

    @property
    def id_count(self) -> int:
        """See the base class."""
        return len(self.vocabulary_list) + self.num_oov_buckets

    @property
    def listed(self) -> WordList:
        """See the base class."""
        return self._list

    @property
    def unknown_id(self) -> int:
        """See the base class."""
        return self.default_value


def _encoded(word: Word) -> bytes:
    if isinstance(word, bytes):
        return word
    return str(word).encode()


class SequenceVocabularyList(SequenceMixin, VocabularyListBase):
    """A sequence of words of a list, dense as `[T]` int64 (`[T, max_ids]`) padded with `padding_id`."""

    type: Literal["sequence_categorical_column_with_vocabulary_list"] = (
        "sequence_categorical_column_with_vocabulary_list"
    )


class VocabularyList(VocabularyListBase):
    """One word of a list an example, a scalar int64 (`[max_ids]`). An absent or empty feature is `padding_id`."""

    tensorflow_class: ClassVar[str] = "VocabularyListCategoricalColumn"

    type: Literal["categorical_column_with_vocabulary_list"] = "categorical_column_with_vocabulary_list"


def sequence_categorical_column_with_vocabulary_list(
    key: str, vocabulary_list: Any, dtype: Any = None, default_value: int = -1, num_oov_buckets: int = 0, **more: Any
) -> SequenceVocabularyList:
    """Builds a `SequenceVocabularyList` with TensorFlow's own arguments; the others by keyword.

    >>> sequence_categorical_column_with_vocabulary_list("name", ["omar", "stringer"], num_oov_buckets=2).id_count
    4

    Args:
      key: name of the feature.
      vocabulary_list: the words, text or bytes, or integers; the place of a word is its id.
      dtype: `string`, `bytes` or an integer dtype; that of the words, unless given.
      default_value: the id of an unknown word, -1 for none.
      num_oov_buckets: the number of ids that unknown words share.
      **more: the other arguments of `SequenceVocabularyList`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: the list is empty, has a word twice, or one that is neither text nor an integer (of the dtype); both a default
        and buckets are given; the default is no id; the key is no text (as TensorFlow raises it).
    """
    return SequenceVocabularyList.called(locals())


def categorical_column_with_vocabulary_list(
    key: str, vocabulary_list: Any, dtype: Any = None, default_value: int = -1, num_oov_buckets: int = 0, **more: Any
) -> VocabularyList:
    """Builds a `VocabularyList` context column; as `sequence_categorical_column_with_vocabulary_list`."""
    return VocabularyList.called(locals())
