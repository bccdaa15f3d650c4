"""Vocabularies as words in order, from files or from lists: read and checked once, when a spec is built.

Needs neither TensorFlow nor (for local files) Beam: what is wrong with a vocabulary is said before anything slow begins.
"""

from __future__ import annotations

import gzip
import hashlib
import pickle
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa

from transforms import dtypes
from transforms.parse import carriers
from transforms.problems import shown
from transforms.stored.files import read, stamp


@dataclass(frozen=True)
class WordList:
    """A vocabulary.

    Attributes:
      words: the distinct words; the place of a word is its id. Integers stand as their decimal text.
      digest: names the words: two lists of one digest are the same.
    """

    words: tuple[bytes, ...]
    digest: str

    @classmethod
    def of(cls, words: Sequence[bytes], dtype: str) -> WordList:
        """Checks words and returns them as they are looked up.

        Args:
          words: as they were given.
          dtype: `string` (they must be UTF-8), `bytes`, or an integer dtype.

        Raises:
          BadWord: two are the same (as integers, for an integer dtype), or one does not fit the dtype.
        """
        made = tuple(_of_dtype(words, dtype))
        _refuse_repeated(made)
        lengths = np.fromiter(map(len, made), np.int64, len(made))
        return cls(made, hashlib.sha256(lengths.tobytes() + b"".join(made)).hexdigest()[:16])

    def __reduce__(self) -> tuple[Any, ...]:
        """Packs the words: a spec is pickled for every step of a pipeline."""
        return _unpacked, (zlib.compress(pickle.dumps(self.words), 1), self.digest)


def _unpacked(packed: bytes, digest: str) -> WordList:
    return WordList(pickle.loads(zlib.decompress(packed)), digest)


class BadWord(ValueError):
    """A word that a vocabulary cannot have.

    Attributes:
      place: its place, from 0.
      why: the fault.
    """

    def __init__(self, place: int, why: str):
        super().__init__(why)
        self.place, self.why = place, why


def _of_dtype(words: Sequence[bytes], dtype: str) -> Sequence[bytes]:
    array = pa.array(words, pa.large_binary())
    found = carriers.convert(array, dtypes.DIGITS if dtype == "uint64" else dtype)
    if found.faults:
        fault = min(found.faults, key=lambda one: int(one.positions[0]))
        place = int(fault.positions[0])
        raise BadWord(place, f"{fault.message}, got {_shown(words[place])}")
    if dtypes.carrier(dtype) == "string":
        return words
    made = found.values if isinstance(found.values, pa.Array) else pa.array(found.values)
    texts: list[bytes] = made.cast(pa.string()).cast(pa.binary()).to_pylist()
    return texts


def _refuse_repeated(words: Sequence[bytes]) -> None:
    if len(set(words)) == len(words):
        return
    first: dict[bytes, int] = {}
    for place, word in enumerate(words):
        if word in first:
            raise BadWord(place, f"expected every word once, got {_shown(word)}, which is word {first[word]}, too")
        first[word] = place


def _shown(word: bytes) -> str:
    try:
        return shown(word.decode())
    except UnicodeDecodeError:
        return shown(word)


def read_vocabulary(path: str, dtype: str, size: int | None = None, file_format: str | None = None) -> WordList:
    r"""Reads the words of a file, one a line, as TensorFlow reads them.

    A line ends with `\n` or `\r\n`; the last line need not. Spaces are kept. A process caches what it has read as long as the
    file does not change.

    Args:
      path: a local file, or one of Beam's file systems (`gs://...`).
      dtype: of the words.
      size: the number of lines to use, from the first; None for all.
      file_format: `text`, or `tfrecord_gzip`: a gzipped TFRecord file, each record a word. None goes by the name: the latter
        where it ends in `tfrecord.gz`.

    Raises:
      ValueError: the file cannot be read, holds no words or fewer than `size`, or a word is blank, repeated or does not fit the
        dtype; TensorFlow finds some of these only when it looks the first word up.
    """
    in_records = file_format == "tfrecord_gzip" or (file_format is None and path.endswith("tfrecord.gz"))
    try:
        return _words(path, stamp(path), dtype, size, in_records)
    except OSError as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise ValueError(f"cannot read {path!r}: {why}") from None


@lru_cache(maxsize=32)
def _words(path: str, stamp: tuple[float, int, str], dtype: str, size: int | None, in_records: bool) -> WordList:
    lines, unit = (_records(path, stamp), "record") if in_records else (_lines(path, stamp), "line")
    if not lines:
        raise ValueError(f"expected a word in every {unit} of {path!r}, which is empty")
    if size is not None and size > len(lines):
        raise ValueError(f"expected {size} words (vocabulary_size) in {path!r}, got {len(lines)}")
    words = lines[:size]
    try:
        blank = words.index(b"") if b"" in words else -1
        if blank >= 0:
            raise BadWord(blank, f"expected a word, got a blank {unit}")
        return WordList.of(words, dtype)
    except BadWord as error:
        raise ValueError(f"{path!r} {unit} {error.place + 1}: {error.why}") from None


@lru_cache(maxsize=8)
def _lines(path: str, stamp: tuple[float, int, str]) -> tuple[bytes, ...]:
    lines = read(path).split(b"\n")
    if lines[-1] == b"":
        lines.pop()
    return tuple(line[:-1] if line.endswith(b"\r") else line for line in lines)


@lru_cache(maxsize=8)
def _records(path: str, stamp: tuple[float, int, str]) -> tuple[bytes, ...]:
    """The records of a gzipped TFRecord file. gzip's checksum covers all of it: those of the records need no second look."""
    packed, wrong = read(path), f"expected a gzipped TFRecord file (file_format), got {path!r}"
    try:
        data = gzip.decompress(packed)
    except (EOFError, zlib.error, gzip.BadGzipFile):
        raise ValueError(wrong) from None
    found, at = [], 0
    while at < len(data):
        end = at + 12 + int.from_bytes(data[at : at + 8], "little")
        found.append(data[at + 12 : end])
        at = end + 4
    if at != len(data):
        raise ValueError(wrong)
    return tuple(found)
