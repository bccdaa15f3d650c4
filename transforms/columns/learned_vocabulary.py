"""`sequence_categorical_column_with_learned_vocabulary` and the context one: the words of the data, the frequent ones first."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from transforms.columns.base import Column, SequenceMixin, dtype_among
from transforms.columns.categorical import WORD_DTYPES, python_int, text_of
from transforms.columns.vocabulary_base import VocabularyBase
from transforms.parse.form import NO_ID, NO_WORD

if TYPE_CHECKING:
    import tensorflow as tf

    from transforms.columns.protocols import Findings
    from transforms.columns.steps import RawTensors
    from transforms.columns.vocabulary_lookup import Vocabulary
    from transforms.columns.window import Window


class LearnedVocabularyBase(VocabularyBase):
    r"""Arguments of both learned vocabulary columns.

    Ids are assigned by decreasing frequency, and among words of the same frequency by their bytes in reverse order, as
    `tft.vocabulary` sorts. The empty word and words with a line break (`\n`, `\r`) are never learned: they are unknown words.

    Attributes:
      top_k: the largest number of words to learn; all by default.
      frequency_threshold: how often a word must occur in the data to be learned.
      default_value: the id of an unknown word, -1 for none. Not with `num_oov_buckets`.
      dtype: `string` (checked to be UTF-8), `bytes`, or an integer dtype: integers are counted as their decimal text.
      statistics_over: whether to count the words of `"kept"` steps, or of `"all"` steps, truncated ones included.
    """

    top_k: Annotated[int, Field(strict=True, ge=1, lt=2**63)] | None = None
    frequency_threshold: Annotated[int, Field(strict=True, ge=1, lt=2**63)] | None = None
    default_value: Annotated[int, Field(strict=True, lt=2**63)] = -1
    dtype: Annotated[str, dtype_among(WORD_DTYPES, "string, bytes or an integer dtype")] = "string"
    statistics_over: Literal["kept", "all"] = "kept"

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        self.check_default(self.default_value, self.default_value != -1, self.top_k)
        return self

    @property
    def word_dtype(self) -> str:
        """See the base class."""
        return self.dtype

    @property
    def id_count(self) -> int | None:
        """See the base class: ids of fewer words than `top_k` are below that, too."""
        return None if self.top_k is None else self.top_k + self.num_oov_buckets

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
        """Name of the file with the learned words: what they were learned from, in characters that any file system takes.

        Columns that learn the same words, which indicator and embedding columns of one feature do, have one name.
        """
        parts = [
            self.key,
            f"top_{self.top_k}" if self.top_k else "",
            f"from_{self.frequency_threshold}" if self.frequency_threshold else "",
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
        if isinstance(column, LearnedVocabularyBase):
            found.setdefault(column.vocabulary_name, column)
        found = {**learners(column.parts), **found}
    return found


def _arguments(top_k: Any, frequency_threshold: Any, num_oov_buckets: Any, default_value: Any) -> dict[str, Any]:
    return {
        "top_k": python_int(top_k),
        "frequency_threshold": python_int(frequency_threshold),
        "num_oov_buckets": python_int(num_oov_buckets),
        "default_value": python_int(default_value),
    }


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
      **more: the other arguments of `SequenceLearnedVocabulary`.

    Raises:
      TypeError: an argument has the wrong type.
      ValueError: an argument has a value that is not allowed.
    """
    given = _arguments(top_k, frequency_threshold, num_oov_buckets, default_value)
    return SequenceLearnedVocabulary.make(key=key, dtype=dtype, statistics_over=statistics_over, **given, **more)


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
    given = _arguments(top_k, frequency_threshold, num_oov_buckets, default_value)
    return LearnedVocabulary.make(key=key, dtype=dtype, statistics_over=statistics_over, **given, **more)
