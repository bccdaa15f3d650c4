"""The words of a vocabulary, as `seqcols vocabulary` prints them."""

from __future__ import annotations

import json

from pipeline.dataset.manifest import Manifest
from pipeline.dataset.vocabularies import DataSetVocabulary
from pipeline.errors import UsageError
from pipeline.text_table import table
from transforms import escaping
from transforms.errors import listed, nearest


def vocabulary_of(found: Manifest, column: str) -> DataSetVocabulary:
    """Returns the vocabulary of a column.

    Raises:
      UsageError: it has none; naming the nearest that has one.
    """
    if column in found.vocabularies:
        return found.vocabularies[column]
    known = list(found.vocabularies)
    hint = nearest(column, known) or (f"; those that have one: {listed(known)}" if known else "; none has one")
    raise UsageError(f"{found.root!r} has no vocabulary of a column {column!r}{hint}")


def lines(vocabulary: DataSetVocabulary) -> list[str]:
    """Returns the words as a table, in the order of their ids, with their counts if these are known."""
    words = [escaping.value(word.decode("utf-8", "surrogateescape")) for word in vocabulary.texts]
    ids = [str(k) for k in range(len(words))]
    if vocabulary.counts is None:
        return table([("word", "id"), *zip(words, ids, strict=True)])
    counts = map(str, vocabulary.counts.tolist())
    return table([("word", "id", "count"), *zip(words, ids, counts, strict=True)])


def document(vocabulary: DataSetVocabulary) -> str:
    """Returns the words as JSON, whole, a line each; bytes that are no UTF-8 as Python's `surrogateescape` carries them."""
    counts = [None] * len(vocabulary) if vocabulary.counts is None else vocabulary.counts.tolist()
    texts = (word.decode("utf-8", "surrogateescape") if isinstance(word, bytes) else word for word in vocabulary.words)
    rows = [{"word": w, "id": k, "count": n} for k, (w, n) in enumerate(zip(texts, counts, strict=True))]
    return "[\n" + ",\n".join(json.dumps(row) for row in rows) + "\n]"


def notes(vocabulary: DataSetVocabulary) -> list[str]:
    """Returns what else there is to know of it, a line each."""
    made, entry = [], vocabulary.entry
    if vocabulary.counts is None:
        why = "an older seqcols kept none" if "file" in entry else "the words were given, not learned"
        made.append(f"no counts: {why}")
    if of := entry.get("vocabulary_of"):
        made.append(f"the counts are those of column {of!r}, whose vocabulary this is")
    if entry["num_oov_buckets"]:
        first, last = entry["first_bucket"], entry["first_bucket"] + entry["num_oov_buckets"] - 1
        made.append(f"unknown words have the id{f's {first} to {last}' if last > first else f' {first}'}")
    if entry.get("left_out"):
        made.append(f"{entry['left_out']:,} more would be words, but reserve has room for {entry['reserve']:,} in all")
    return made
