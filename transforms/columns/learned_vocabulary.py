"""`sequence_categorical_column_with_learned_vocabulary` and the context one: the words of the data, the frequent ones first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Final, Literal, Self

from pydantic import Field, PrivateAttr, ValidationInfo, model_validator

from transforms.columns.base import Column, SequenceMixin, dtype_among
from transforms.columns.categorical import WORD_DTYPES, text_of
from transforms.columns.vocabulary_base import FilePath, VocabularyBase
from transforms.errors import SpecFault
from transforms.parse.form import NO_ID, NO_WORD
from transforms.stored.learned_words import Choice
from transforms.stored.word_files import Extended, extended

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.vocabulary_lookup import Vocabulary
    from transforms.columns.window import Window

Once = Callable[[str, str, str], Extended]
"""Words that a column extended when a data set was made, by `vocabulary_name`, path and dtype (`word_files.extended_once`)."""

ONCE: Final = "extended_once"
"""Where the context of validation has a `Once`, for columns of a finished data set: the path may be gone since, or have grown."""


class LearnedVocabularyBase(VocabularyBase):
    r"""Arguments of both learned vocabulary columns.

    Ids are assigned by decreasing frequency, and among words of the same frequency by their bytes, ascending. The empty word
    and words with a line break (`\n`, `\r`) are never learned: they are unknown words.

    Attributes:
      top_k: the largest number of words to learn; all by default. Those of `extends` do not count.
      frequency_threshold: how often a word must occur in the data to be learned.
      extends: a data set, or a text file with one word per line, whose words keep their ids; learned words follow. In a columns
        file, a relative path begins in that file's folder; in Python, in the working directory.
      reserve: the largest number of words that the vocabulary will ever have. Ids of words are below it, and those of the
        `num_oov_buckets` begin at it, however many words there are. Without it they begin after the last word.
      default_value: the id of an unknown word, -1 for none. Not with `num_oov_buckets`.
      dtype: `string` (checked to be UTF-8), `bytes`, or an integer dtype: integers are counted as their decimal text.
      statistics_over: whether to count the words of `"kept"` steps, or of `"all"` steps, truncated ones included.
      vocabulary_of: the name of the column whose learned vocabulary this column has, too: the words of its own feature do not
        count. All arguments above but `dtype`, which must be the same, are then those of that column (see `shared_words`).
    """

    path_fields: ClassVar[tuple[str, ...]] = ("extends",)

    top_k: Annotated[int, Field(strict=True, ge=1, lt=2**63)] | None = None
    frequency_threshold: Annotated[int, Field(strict=True, ge=1, lt=2**63)] | None = None
    extends: FilePath | None = None
    reserve: Annotated[int, Field(strict=True, ge=1, lt=2**62)] | None = None
    default_value: Annotated[int, Field(strict=True, lt=2**63)] = -1
    dtype: Annotated[str, dtype_among(WORD_DTYPES, "string, bytes or an integer dtype")] = "string"
    statistics_over: Literal["kept", "all"] = "kept"
    vocabulary_of: Annotated[str, Field(strict=True, min_length=1)] | None = None
    _extended: Extended = PrivateAttr(default=Extended())
    _vocabulary_name: str = PrivateAttr(default="")

    @model_validator(mode="after")
    def _arguments_fit(self, info: ValidationInfo) -> Self:
        if self.vocabulary_of is not None:
            if self.extends is not None:
                raise ValueError(
                    f"extends does not apply with vocabulary_of: the words are those of {self.vocabulary_of!r}"
                )
            return self
        once: Once | None = (info.context or {}).get(ONCE)
        if self.extends is not None and self._extended.path != self.extends:  # a spec validates its columns once more
            try:
                if once is not None:
                    self._extended = once(self.vocabulary_name, self.extends, self.dtype)
                else:
                    self._extended = extended(self.extends, self.key, self.dtype)
            except ValueError as error:
                raise ValueError(f"extends {error}") from None
        known = len(self._extended.words.words)
        if self.reserve is not None and self.reserve < known:
            raise ValueError(
                f"reserve {self.reserve} is too small: expected at least the {known} words of {self.extends!r}"
            )
        if self.reserve is not None and self.top_k is not None and self.top_k > self.reserve:
            raise ValueError(
                f"top_k {self.top_k} is more than there can be words: expected at most reserve ({self.reserve})"
            )
        self.check_default(self.default_value, self.default_value != -1, self._most_words)
        return self

    def with_words_of(self, source: LearnedVocabularyBase, arguments: dict[str, Any]) -> Self:
        """Returns the same column with the vocabulary, and these arguments, of another one."""
        made = self.model_copy(update=arguments)
        made._extended, made._vocabulary_name = source.extended, source.vocabulary_name
        return made

    @property
    def _most_words(self) -> int | None:
        """How many words there are at most; None where the data decides."""
        if self.reserve is not None or self.top_k is None:
            return self.reserve
        return len(self._extended.words.words) + self.top_k

    @property
    def extended(self) -> Extended:
        """The vocabulary whose words keep their ids; one without words where there is none."""
        return self._extended

    @property
    def choice(self) -> Choice:
        """Which words are learned."""
        return Choice(self._extended.words.words, self.top_k, self.frequency_threshold, self.reserve)

    @property
    def read_digests(self) -> tuple[str, ...]:
        """See the base class: those of a data set are in files that it names."""
        return (self._extended.words.digest,) if self.extends is not None else ()

    @property
    def word_dtype(self) -> str:
        """See the base class."""
        return self.dtype

    @property
    def id_count(self) -> int | None:
        """See the base class: ids of fewer words than `top_k` or `reserve` are below that, too."""
        return None if self._most_words is None else self._most_words + self.num_oov_buckets

    @property
    def unknown_id(self) -> int:
        """See the base class."""
        return self.default_value

    @property
    def needs_data(self) -> bool:
        """See the base class."""
        return True

    @property
    def vocabulary_name(self) -> str:
        """Name of the file with the learned words: what they were learned from. See the base class.

        Columns that learn the same words, which indicator and embedding columns of one feature do, have one name.
        """
        if self._vocabulary_name:
            return self._vocabulary_name
        parts = [
            self.key,
            f"top_{self.top_k}" if self.top_k else "",
            f"from_{self.frequency_threshold}" if self.frequency_threshold else "",
            "extended" if self.extends is not None else "",
            f"reserve_{self.reserve}" if self.reserve else "",
            "all" if self.statistics_over == "all" else "",
            f"group_{self.sequence_group}" if self.is_sequence and self.sequence_group != "sequence" else "",
        ]
        name = "_".join(["vocabulary", *filter(None, parts)])
        safe = re.sub(r"[^A-Za-z0-9_]", "_", name)[:100]
        return safe if safe == name else f"{safe}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"

    def words_to_learn(self, raw: RawTensors, window: Window | None) -> tf.Tensor:
        """See the base class."""
        import tensorflow as tf

        words = raw[self.key].flat_values
        if window is not None and self.statistics_over == "kept":
            words = tf.reshape(window.select(tf.reshape(words, [-1, self.max_ids])), [-1])
        nothing = NO_ID if words.dtype.is_integer else NO_WORD
        return text_of(tf.boolean_mask(words, tf.not_equal(words, nothing)))

    def vocabulary(self, fitted: Findings) -> Vocabulary:
        """See the base class."""
        return fitted.vocabularies[self.vocabulary_name]

    def ids_of(self, words: tf.Tensor, fitted: Findings) -> tf.Tensor:
        """See the base class."""
        if self.reserve is None or not self.num_oov_buckets:
            return super().ids_of(words, fitted)
        import tensorflow as tf

        text = text_of(words)
        ids = self.vocabulary(fitted).ids(text, 0, -1)
        bucket = self.reserve + tf.strings.to_hash_bucket_fast(text, self.num_oov_buckets)
        return tf.where(ids < 0, bucket, ids)


class SequenceLearnedVocabulary(SequenceMixin, LearnedVocabularyBase):
    """A sequence of words of the data set's own vocabulary, dense as `[T]` int64 (`[T, max_ids]`) padded with `padding_id`."""

    type: Literal["sequence_categorical_column_with_learned_vocabulary"] = (
        "sequence_categorical_column_with_learned_vocabulary"
    )


class LearnedVocabulary(LearnedVocabularyBase):
    """One word of the data set's own vocabulary an example, a scalar int64 (`[max_ids]`)."""

    type: Literal["categorical_column_with_learned_vocabulary"] = "categorical_column_with_learned_vocabulary"


def learners(columns: Iterable[Column]) -> dict[str, LearnedVocabularyBase]:
    """Returns the columns, and parts of columns, that learn vocabularies: one for each vocabulary, by its name."""
    found: dict[str, LearnedVocabularyBase] = {}
    for column in columns:
        if isinstance(column, LearnedVocabularyBase) and column.vocabulary_of is None:
            found.setdefault(column.vocabulary_name, column)
        found = {**learners(column.parts), **found}
    return found


def extension_faults(columns: Sequence[Column]) -> list[SpecFault]:
    """Returns the columns that learn one vocabulary together with others, but extend another one."""
    faults = []
    first: dict[str, tuple[int, LearnedVocabularyBase]] = {}
    for k, column in enumerate(columns):
        for name, learner in learners([column]).items():
            before, other = first.setdefault(name, (k, learner))
            if learner.extended.words.digest != other.extended.words.digest:
                message = (
                    f"expected {other.extends!r}, as columns[{before}], which learns the same, got {learner.extends!r}"
                )
                faults.append(SpecFault(f"columns[{k}].{column.path_to('extends')}", message))
    return faults


def sequence_categorical_column_with_learned_vocabulary(
    key: str,
    top_k: int | None = None,
    frequency_threshold: int | None = None,
    num_oov_buckets: int = 0,
    default_value: int = -1,
    dtype: Any = "string",
    statistics_over: str = "kept",
    **more: Any,
) -> SequenceLearnedVocabulary:
    """Builds a `SequenceLearnedVocabulary`, which has no counterpart in TensorFlow.

    >>> sequence_categorical_column_with_learned_vocabulary("paths", top_k=1000, num_oov_buckets=10).id_count
    1010

    Args:
      key: name of the feature.
      top_k: the largest number of words to learn; None for all.
      frequency_threshold: how often a word must occur in the data.
      num_oov_buckets: the number of ids that unknown words share.
      default_value: the id of an unknown word, -1 for none.
      dtype: `string`, `bytes` or an integer dtype.
      statistics_over: `"kept"` or `"all"` steps.
      **more: `extends`, `reserve`, `vocabulary_of`, and the other arguments of `SequenceLearnedVocabulary`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: an argument has a value that is not allowed.
    """
    return SequenceLearnedVocabulary.called(locals())


def categorical_column_with_learned_vocabulary(
    key: str,
    top_k: int | None = None,
    frequency_threshold: int | None = None,
    num_oov_buckets: int = 0,
    default_value: int = -1,
    dtype: Any = "string",
    statistics_over: str = "kept",
    **more: Any,
) -> LearnedVocabulary:
    """Builds a `LearnedVocabulary` context column; as `sequence_categorical_column_with_learned_vocabulary`."""
    return LearnedVocabulary.called(locals())
