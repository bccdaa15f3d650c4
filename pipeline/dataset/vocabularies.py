"""The vocabularies of a data set: what the manifest lists of them, and words to ids and back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import layout
from transforms import dtypes, escaping
from transforms.columns.vocabulary_base import VocabularyBase, vocabulary_of
from transforms.errors import JobError, listed, nearest
from transforms.kernels.fingerprints import fingerprints
from transforms.problems import shown
from transforms.spec.spec import Spec
from transforms.stored import word_files
from transforms.stored.word_files import NO_WORDS, Kept, kept

Held = TypeVar("Held")


def described(spec: Spec, transform: str) -> dict[str, Any]:
    """Returns the vocabularies by column, as the manifest lists them, and keeps the words of all in the folder of the graph.

    Args:
      spec: the columns.
      transform: directory of the saved graph, an empty string where there is none. The words that were learned are there.

    Returns:
      `words`, how many there are; `sha256`, that of the words, a line each; `table`, the path under the directory of the graph of
      a Parquet file with `word` and `count`, in the order of the ids; `key`, the feature; `dtype`; `reserve`; `num_oov_buckets`,
      and `first_bucket`, the first id of these; `default_value`, the id of an unknown word where there are none; `padding_id`;
      `vocabulary_of`, the column whose words were counted, where that is another one. Of a learned one also `file`, a text file,
      one word a line (of no words the one line that tf.Transform puts there), `extends` (`path`, `sha256`), how many words were
      `known`, how many are `new`, and how many were `left_out` for want of room.
    """
    found = {column.name: vocabulary_of(column) for column in spec.columns if transform}
    return {name: _entry(column, transform) for name, column in found.items() if column is not None}


def _entry(column: VocabularyBase, transform: str) -> dict[str, Any]:
    name, given = column.vocabulary_name, column.listed
    learned = {"file": f"{word_files.ASSETS}/{name}"} if given is None else {}
    table = f"{word_files.FOLDER}/{word_files.file_of(name)}"
    path = _under(transform, table)
    if given is not None:
        layout.make_dirs(FileSystems.split(path)[0])
        layout.write_bytes(path, Kept(given.words).to_bytes())
    if layout.exists(path):
        found, where = Kept.of_bytes(layout.read_bytes(path)), {**learned, "table": table}
    else:  # a data set is repaired that is of before there were counts
        found, where = word_files.of_lines(layout.read_bytes(_under(transform, learned["file"]))), learned
    counted = {"words": len(found.words), "sha256": word_files.digest_of(found.words)}
    return {**where, **counted, **_facts(column, len(found.words)), **found.facts}


def _under(folder: str, path: str) -> str:
    return str(FileSystems.join(folder, *path.split("/")))


def _facts(column: VocabularyBase, words: int) -> dict[str, Any]:
    reserve, of = (getattr(column, name, None) for name in ("reserve", "vocabulary_of"))
    return {
        "key": column.key,
        "dtype": column.word_dtype,
        "reserve": reserve,
        "num_oov_buckets": column.num_oov_buckets,
        "first_bucket": (reserve or max(words, 1)) if column.num_oov_buckets else None,  # of no words: see NO_WORDS
        "default_value": column.unknown_id,
        "padding_id": column.padding,
        **({"vocabulary_of": of} if of else {}),
    }


def notes(entries: Mapping[str, Any]) -> list[str]:
    """Returns what a person should know of vocabularies that were extended, or are full, a line each."""
    made = []
    for name, entry in entries.items():
        before, now = (entry.get("extends") or {}).get("first_bucket"), entry["first_bucket"]
        if None not in (before, now) and before != now:
            remedy = "" if entry["reserve"] else ": reserve keeps them where they are"
            made.append(f"column {name!r}: the ids of unknown words begin at {now:,}, no longer at {before:,}{remedy}")
        if entry.get("left_out"):
            count = entry["left_out"]
            more = f"{count:,} word{'s' * (count > 1)} more would be learned"
            made.append(f"column {name!r}: {more}, but reserve has room for {entry['reserve']:,} in all")
    return made


@dataclass(frozen=True, repr=False)
class DataSetVocabulary:
    """The words of a column, and the ids that stand for them in its data set.

    Attributes:
      column: name of the column.
      entry: what the manifest lists of it, see `described`.
      root: directory of the saved graph.
    """

    column: str
    entry: Mapping[str, Any]
    root: str

    def __repr__(self) -> str:
        """Which, and how many words."""
        return f"Vocabulary({self.column!r}: {len(self):,} words)"

    def __len__(self) -> int:
        return int(self.entry["words"])

    @cached_property
    def _kept(self) -> Kept:
        try:
            return kept(self.root, self.entry)
        except ValueError as error:
            raise JobError(str(error)) from None

    @property
    def texts(self) -> Sequence[bytes]:
        """The words in the order of their ids, as they are looked up: integers as their decimal text."""
        return self._kept.words

    @property
    def counts(self) -> np.ndarray | None:
        """How often each word stands in the data, int64 `[words]`; a word that was known before and is in no row has 0.

        They are counted in the feature that the words were learned from, which with `vocabulary_of` is that of the other column.
        None where nobody counted: of words that were given, and in older data sets.
        """
        return self._kept.counts

    @cached_property
    def words(self) -> np.ndarray:
        """The words in the order of their ids: str, bytes or int by the column's dtype, an object array `[words]`."""
        texts = pa.array(self._kept.words, pa.large_binary())
        kind = {"string": pa.large_string(), "bytes": pa.large_binary()}.get(self.entry["dtype"])
        made = texts.cast(kind) if kind is not None else texts.cast(pa.large_string()).cast(pa.int64())
        array = np.empty(len(made), object)
        array[:] = made.to_pylist()
        return array

    def to_ids(self, words: Any) -> np.ndarray:
        """Returns the ids of words, as the job writes them and the serving model gives them.

        An unknown word gets `first_bucket + Fingerprint64(word) mod num_oov_buckets`, or without buckets `default_value`, or,
        where that is -1, `padding_id`. None, no word at all, gets `padding_id`.

        Args:
          words: text or bytes, or integers where the column's dtype is one; a list or an array of any shape.

        Returns:
          int64, in the same shape.

        Raises:
          ValueError: they are no such words.
        """
        given = np.asarray(words, object)
        texts = self._texts(given)
        ids = pc.index_in(texts, pa.array(self._kept.words or [NO_WORDS], pa.large_binary()))
        made: np.ndarray = pc.fill_null(ids.cast(pa.int64()), -1).to_numpy(zero_copy_only=False).copy()
        unknown, buckets = (made < 0) & texts.is_valid().to_numpy(zero_copy_only=False), self.entry["num_oov_buckets"]
        if buckets:
            hashed = fingerprints(texts.filter(pa.array(unknown))) % np.uint64(buckets)
            made[unknown] = self.entry["first_bucket"] + hashed.astype(np.int64)
        else:
            made[unknown] = self.entry["default_value"]
        made[made < 0] = self.entry["padding_id"]
        return made.reshape(given.shape)

    def _texts(self, words: np.ndarray) -> pa.Array:
        """Returns words as they are looked up, large binary."""
        whole = dtypes.carrier(self.entry["dtype"]) == "int64"
        try:
            made = pa.array(words.reshape(-1).tolist(), pa.int64() if whole else pa.large_binary())
        except (pa.ArrowException, OverflowError) as error:
            wanted = "integers" if whole else "text or bytes"
            why = " ".join(str(error).split())
            raise ValueError(
                f"column {self.column!r}: expected words, {wanted}, got {shown(words.tolist())} ({why})"
            ) from None
        return made.cast(pa.large_string()).cast(pa.large_binary()) if whole else made

    def to_words(self, ids: Any) -> np.ndarray:
        """Returns the words of ids: None for what is no word's id, such as that of a bucket, or `padding_id`.

        Args:
          ids: integers, a list or an array of any shape.

        Returns:
          An object array in the same shape, of what `words` holds.

        Raises:
          ValueError: they are no integers.
        """
        given = np.asarray(ids)
        if given.dtype.kind not in "iu" and given.size:
            raise ValueError(f"column {self.column!r}: expected ids, integers, got {shown(ids)}")
        known = (given >= 0) & (given < len(self.words))
        made = np.full(given.shape, None, object)
        made[known] = self.words[given[known].astype(np.int64)]
        return made

    def shown(self, ids: Sequence[int]) -> list[str]:
        """Returns what people call ids: their words, on one line each, and what is no word's id by what it is instead.

        Raises:
          JobError: the words cannot be read.
        """
        known = [one for one in ids if 0 <= one < len(self)]
        try:
            words = dict(zip(known, word_files.words_at(self.root, self.entry, known), strict=True))
        except (OSError, ValueError, KeyError, IndexError, pa.ArrowException) as error:
            raise JobError(
                f"column {self.column!r}: its words cannot be read: {' '.join(str(error).split())}"
            ) from None
        first = self.entry["first_bucket"]
        others = {one: UNKNOWN_WORDS if first is not None and one >= first else NO_WORD for one in ids}
        return [
            escaping.value(escaping.of_bytes(words[one])) or EMPTY_WORD if one in words else others[one] for one in ids
        ]


UNKNOWN_WORDS: Final = "(unknown words)"
EMPTY_WORD: Final = "(the empty word)"
NO_WORD: Final = "(no word)"


class ByColumn(dict[str, Held]):
    """Things of columns by the name of these; one that is not there is a KeyError with the nearest name."""

    def __missing__(self, name: str) -> Held:
        hint = nearest(name, self) or (f"; there are {listed(self)}" if self else "; there are none")
        raise KeyError(f"no column {name!r}{hint}")


def shown_by_column(content: Mapping[str, Any], root: str) -> dict[str, Callable[[Sequence[int]], list[str]]]:
    """Returns by column what people call ids (see `Vocabulary.shown`); nothing where there is no graph.

    Args:
      content: the content of a manifest.
      root: directory of the saved graph, an empty string where there is none.
    """
    return {name: own.shown for name, own in of_manifest(content, root).items()} if root else {}


def of_manifest(content: Mapping[str, Any], root: str) -> ByColumn[DataSetVocabulary]:
    """Returns the vocabularies of a data set by column.

    Args:
      content: its manifest. Of older data sets it lists the learned ones alone, and only where their words are: what else there
        is to know is taken from the columns.
      root: directory of the saved graph.
    """
    entries = content.get("vocabularies", {})
    if any("key" not in entry for entry in entries.values()):
        from pipeline.columns_file.reader import loads

        spec = loads(content["columns"], "the columns of the manifest")
        found = {column.name: own for column in spec.columns if (own := vocabulary_of(column)) is not None}
        entries = {name: {**_facts(found[name], entry["words"]), **entry} for name, entry in entries.items()}
    return ByColumn({name: DataSetVocabulary(name, entry, root) for name, entry in entries.items()})
