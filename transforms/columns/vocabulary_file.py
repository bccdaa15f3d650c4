"""`sequence_categorical_column_with_vocabulary_file` and `categorical_column_with_vocabulary_file`: words in a file."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, PrivateAttr, model_validator

from transforms.columns.base import Column, SequenceMixin, dtype_among
from transforms.columns.categorical import WORD_DTYPES
from transforms.columns.vocabulary_base import FilePath, VocabularyBase
from transforms.stored.vocabularies import WordList, read_vocabulary

if TYPE_CHECKING:
    pass


class VocabularyFileBase(VocabularyBase):
    """Arguments of both vocabulary file columns.

    The file is read when the column is built; from then on the column has its words, also on workers that do not see the file.

    Attributes:
      vocabulary_file: a file with one word per line, local or on one of Beam's file systems. In a columns file, a relative path
        begins in that file's folder; in Python, in the working directory.
      vocabulary_size: the number of lines to use, from the first; all by default.
      default_value: the id of an unknown word; -1, the default, for no id. Not with `num_oov_buckets`.
      dtype: `string` (the file must be UTF-8), `bytes`, or an integer dtype: lines are then decimal integers.
      file_format: `text`, or `tfrecord_gzip`: a gzipped TFRecord file, each record a word. The default is the latter if the name
        ends in `tfrecord.gz`.
    """

    path_fields: ClassVar[tuple[str, ...]] = ("vocabulary_file",)

    vocabulary_file: FilePath
    vocabulary_size: Annotated[int, Field(strict=True, ge=1, lt=2**63)] | None = None
    default_value: Annotated[int, Field(strict=True)] | None = None
    dtype: Annotated[str, dtype_among(WORD_DTYPES, "string, bytes or an integer dtype")] = "string"
    file_format: Literal["text", "tfrecord_gzip"] | None = None
    _list: WordList = PrivateAttr()

    @classmethod
    def tensorflow_arguments(cls, column: Any, converted: Callable[[Any], Column]) -> dict[str, Any]:
        """See the base class."""
        own = {name: getattr(column, name) for name in ("vocabulary_file", "vocabulary_size", "file_format")}
        return {**super().tensorflow_arguments(column, converted), **own}

    @model_validator(mode="after")
    def _read(self) -> Self:
        if self.default_value is not None and self.num_oov_buckets:
            self.check_default(self.default_value, True, None)
        try:
            self._list = read_vocabulary(self.vocabulary_file, self.dtype, self.vocabulary_size, self.file_format)
        except ValueError as error:
            raise ValueError(f"vocabulary_file {error}") from None
        self.check_default(self.unknown_id, False, len(self._list.words))
        return self

    @property
    def word_dtype(self) -> str:
        """See the base class."""
        return self.dtype

    @property
    def id_count(self) -> int:
        """See the base class."""
        return len(self._list.words) + self.num_oov_buckets

    @property
    def listed(self) -> WordList:
        """See the base class."""
        return self._list

    @property
    def unknown_id(self) -> int:
        """See the base class."""
        return -1 if self.default_value is None else self.default_value


class SequenceVocabularyFile(SequenceMixin, VocabularyFileBase):
    """A sequence of words of a file, dense as `[T]` int64 (`[T, max_ids]`) padded with `padding_id`."""

    type: Literal["sequence_categorical_column_with_vocabulary_file"] = (
        "sequence_categorical_column_with_vocabulary_file"
    )


class VocabularyFile(VocabularyFileBase):
    """One word of a file an example, a scalar int64 (`[max_ids]`). An absent or empty feature is `padding_id`."""

    tensorflow_class: ClassVar[str] = "VocabularyFileCategoricalColumn"

    type: Literal["categorical_column_with_vocabulary_file"] = "categorical_column_with_vocabulary_file"


def sequence_categorical_column_with_vocabulary_file(
    key: str,
    vocabulary_file: Any,
    vocabulary_size: int | None = None,
    num_oov_buckets: int | None = 0,
    default_value: int | None = None,
    dtype: Any = "string",
    **more: Any,
) -> SequenceVocabularyFile:
    """Builds a `SequenceVocabularyFile` with TensorFlow's own arguments; the others by keyword.

    Args:
      key: name of the feature.
      vocabulary_file: path of a file of one word a line.
      vocabulary_size: the number of lines to use, from the first; None for all.
      num_oov_buckets: the number of ids that unknown words share.
      default_value: the id of an unknown word; None or -1 for none.
      dtype: `string`, `bytes` or an integer dtype.
      **more: the other arguments of `SequenceVocabularyFile`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: the file cannot be read, has no words or fewer than `vocabulary_size`, a blank line or a word twice; both a
        default and buckets are given; the default is no id; the key is no text (as TensorFlow raises it).
    """
    num_oov_buckets = 0 if num_oov_buckets is None else num_oov_buckets
    return SequenceVocabularyFile.called(locals())


def categorical_column_with_vocabulary_file(
    key: str,
    vocabulary_file: Any,
    vocabulary_size: int | None = None,
    dtype: Any = "string",
    default_value: int | None = None,
    num_oov_buckets: int | None = 0,
    file_format: str | None = None,
    **more: Any,
) -> VocabularyFile:
    """Builds a `VocabularyFile` context column; as `sequence_categorical_column_with_vocabulary_file`.

    The order of the arguments is TensorFlow's, and another one than that of the sequence column.
    """
    num_oov_buckets = 0 if num_oov_buckets is None else num_oov_buckets
    return VocabularyFile.called(locals())
