"""Vocabularies that a data set keeps: files of words and counts in the folder of its graph, and how a later run extends them."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.errors import listed, nearest
from transforms.problems import shown
from transforms.stored.files import read, stamp
from transforms.stored.vocabularies import BadWord, WordList, read_vocabulary

FOLDER: Final = "vocabularies"
"""Folder in that of a saved graph with the words and their counts."""

ASSETS: Final = "transform_fn/assets"
"""Where tf.Transform puts learned vocabularies, under the folder that it saves a graph in."""

NO_WORDS: Final = b"49d0cd50-04bb-48c0-bc6f-5b575dce351a"
"""The one word of a vocabulary that was learned from no words: TensorFlow makes no table without any, and so tf.Transform 1.21
writes this one (`analyzers.get_empy_vocabulary_dummy_value`)."""

_FACTS: Final = b"seqcols"


@dataclass(frozen=True)
class Kept:
    """A vocabulary as a data set keeps it.

    Attributes:
      words: the words in the order of their ids.
      counts: how often each stands in the data, int64 `[words]`; None where nobody has counted.
      facts: what else is known of how it was learned, as the manifest lists it.
    """

    words: Sequence[bytes]
    counts: np.ndarray | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Returns the file: Parquet with the columns `word` and `count`, the facts as JSON in its metadata."""
        counts = pa.nulls(len(self.words), pa.int64()) if self.counts is None else pa.array(self.counts, pa.int64())
        table = pa.table([pa.array(self.words, pa.binary()), counts], ["word", "count"])
        file = io.BytesIO()
        table = table.replace_schema_metadata({_FACTS: json.dumps(dict(self.facts))})
        pq.write_table(table, file, compression="zstd", write_page_checksum=True)
        return file.getvalue()

    @classmethod
    def of_bytes(cls, data: bytes) -> Kept:
        """Reads what `to_bytes` wrote.

        Raises:
          ValueError: it is damaged.
        """
        table = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        counts = None if table["count"].null_count else table["count"].to_numpy()
        return cls(table["word"].to_pylist(), counts, json.loads(table.schema.metadata[_FACTS]))


def digest_of(words: Iterable[bytes]) -> str:
    """Returns the SHA-256 of words as a text file has them, a line each."""
    return hashlib.sha256(b"".join(word + b"\n" for word in words)).hexdigest()


def kept(root: str, entry: Mapping[str, Any]) -> Kept:
    """Returns the words of a vocabulary that a manifest lists, and their counts.

    Args:
      root: folder of the saved graph.
      entry: its entry under `vocabularies`; those of older data sets have neither counts nor a digest.

    Raises:
      ValueError: the file cannot be read, or holds other words than the manifest says.
    """
    name = entry.get("table") or entry["file"]
    path = f"{root.rstrip('/')}/{name}"
    try:
        found = Kept.of_bytes(read(path)) if entry.get("table") else of_lines(read(path))
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        why = " ".join(str(getattr(error, "strerror", None) or error).split()).lower()
        raise ValueError(f"cannot read {path!r}: {why}") from None
    if len(found.words) != entry["words"] or digest_of(found.words) != entry.get("sha256", digest_of(found.words)):
        raise ValueError(f"{path!r} is damaged: it does not hold the {entry['words']:,} words of the manifest")
    return found


def words_at(root: str, entry: Mapping[str, Any], ids: Sequence[int]) -> list[bytes]:
    """Returns the words of some ids, without making Python objects of the others.

    Args:
      root: folder of the saved graph.
      entry: its entry under `vocabularies` of a manifest.
      ids: from 0, each that of a word.

    Raises:
      ValueError, OSError: the file cannot be read, or has no such word.
    """
    if not entry.get("table"):
        words = kept(root, entry).words
        return [words[one] for one in ids]
    data = read(f"{root.rstrip('/')}/{entry['table']}")
    column = pq.read_table(pa.BufferReader(data), columns=["word"], page_checksum_verification=True)["word"]
    return column.take(pa.array(ids, pa.int64())).to_pylist()


def file_of(name: str) -> str:
    """Returns the name of the file that `Kept` is written to, for the `vocabulary_name` of a column."""
    return f"{name}.parquet"


def of_lines(data: bytes) -> Kept:
    """Returns the words of a text file that is an asset of a graph, which has no counts."""
    words = data.removesuffix(b"\n").split(b"\n")
    return Kept([] if words == [NO_WORDS] else words)


@dataclass(frozen=True)
class Extended:
    """A vocabulary that a column extends.

    Attributes:
      words: its words, the place of each is its id.
      path: the data set or file that was named.
      first_bucket: where the ids of unknown words began there; None where nobody has said.
    """

    words: WordList = field(default_factory=lambda: WordList((), ""))
    path: str = ""
    first_bucket: int | None = None

    @property
    def sha256(self) -> str:
        """The SHA-256 of the words, a line each."""
        return digest_of(self.words.words)


def extended(path: str, key: str, dtype: str) -> Extended:
    """Reads the vocabulary that a column extends.

    Args:
      path: a data set, whose vocabulary of that feature it is; or a text file of words, one a line. Local, or of one of Beam's
        file systems.
      key: the feature.
      dtype: of the words.

    Raises:
      ValueError: it cannot be read, the data set has no such vocabulary or several, or a word is blank, repeated, does not fit
        the dtype or has a line break in it.
    """
    if not _is_data_set(path):
        words = read_vocabulary(path, dtype, file_format="text")
        _refuse_breaks(words.words, path)
        return Extended(words, path, len(words.words))
    try:
        return _of_data_set(path, stamp(f"{path.rstrip('/')}/manifest.json"), key, dtype)
    except OSError:
        raise ValueError(f"expected a data set or a file of words, got {path!r}, which has no manifest.json") from None


@lru_cache(maxsize=32)
def _of_data_set(path: str, stamp: tuple[float, int, str], key: str, dtype: str) -> Extended:
    root = path.rstrip("/")
    try:
        content = json.loads(read(f"{root}/manifest.json"))
        entries, transform = content.get("vocabularies", {}), content["transform"]
        name = _chosen(entries, key, path)
        entry = entries[name]
        inside = [transform, entry.get("table") or entry["file"]]
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError, UnicodeDecodeError):
        raise ValueError(f"{root}/manifest.json: expected that of a data set, undamaged") from None
    if any(".." in str(part).split("/") or str(part).startswith("/") for part in inside):
        raise ValueError(f"{root}/manifest.json: expected paths inside the data set, got {shown(inside)}")
    words = kept(f"{root}/{transform}", entry).words
    _refuse_breaks(words, path)
    try:
        return Extended(WordList.of(words, dtype), path, entry.get("first_bucket"))
    except BadWord as error:
        raise ValueError(f"{path!r} word {error.place + 1}: {error.why}") from None


def extended_once(root: str, entries: Mapping[str, Any], name: str, path: str, dtype: str) -> Extended:
    """Returns what a column extended when a finished data set was made: the first of its words. None are known without a graph.

    Args:
      root: folder of the saved graph of the data set; an empty string for none.
      entries: what its manifest lists of the vocabularies.
      name: the `vocabulary_name` of the column.
      path: what it extended.
      dtype: of the words.

    Raises:
      ValueError: the file with the words cannot be read, or is damaged.
    """
    table = f"{FOLDER}/{file_of(name)}"
    entry = next((one for one in entries.values() if one.get("table") == table), None)
    if entry is None or not root:
        return Extended(path=path)
    words = _first_words(root, json.dumps(dict(entry)), dtype)
    return Extended(words, path, (entry.get("extends") or {}).get("first_bucket"))


@lru_cache(maxsize=32)
def _first_words(root: str, entry: str, dtype: str) -> WordList:
    found = json.loads(entry)
    return WordList.of(kept(root, found).words[: found.get("known", 0)], dtype)


def _is_data_set(path: str) -> bool:
    if "://" not in path:
        return os.path.isdir(path)
    try:
        return bool(stamp(f"{path.rstrip('/')}/manifest.json"))
    except OSError:
        return False


def _chosen(entries: Mapping[str, Any], key: str, path: str) -> str:
    """Returns the name of the column whose vocabulary is extended: that of the feature itself, or else its only one."""
    if key in entries:
        return key
    alike = {entry.get("table"): name for name, entry in entries.items() if entry.get("key") == key}
    if len(alike) == 1:
        return next(iter(alike.values()))
    if alike:
        message = f"{path!r} has {len(alike)} vocabularies of the feature {key!r}, of {listed(sorted(alike.values()))}"
        raise ValueError(f"{message}: expected one, or the file of one")
    hint = nearest(key, entries) or (f"; it has {listed(sorted(entries))}" if entries else "; it has none")
    raise ValueError(f"{path!r} has no vocabulary of a column {key!r}{hint}")


def _refuse_breaks(words: Sequence[bytes], path: str) -> None:
    for place, word in enumerate(words):
        if b"\r" in word or b"\n" in word:
            raise ValueError(f"{path!r} word {place + 1}: expected a word without a line break, got {shown(word)}")
