"""`vocabulary_of`: columns whose ids are those of another column's learned vocabulary, such as a target beside its sequence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

from transforms.columns.base import Column
from transforms.columns.learned_vocabulary import LearnedVocabularyBase
from transforms.errors import SpecFault, listed, nearest

TAKEN_OVER: Final = (
    "top_k",
    "frequency_threshold",
    "reserve",
    "num_oov_buckets",
    "default_value",
    "statistics_over",
)
"""Arguments that are the other column's."""


def bound(columns: Sequence[Column]) -> list[Column]:
    """Returns the columns, those with a `vocabulary_of` with the vocabulary, and its arguments, of the column that this names.

    Columns with one that `reference_faults` refuses stay as they are.
    """
    sources = _sources(columns)
    return [_bound(column, sources) for column in columns]


def _bound(column: Column, sources: dict[str, list[LearnedVocabularyBase]]) -> Column:
    if not isinstance(column, LearnedVocabularyBase) or column.vocabulary_of is None:
        return column
    found = sources.get(column.vocabulary_of, [])
    if len(found) != 1 or any(_differences(column, found[0])):
        return column
    return column.with_words_of(found[0], {name: getattr(found[0], name) for name in TAKEN_OVER})


def _sources(columns: Sequence[Column]) -> dict[str, list[LearnedVocabularyBase]]:
    """Returns the columns that learn a vocabulary, by name.

    Under a name there is the column itself, or else the parts of columns that have it: one for each vocabulary and its arguments.
    """
    parts: dict[str, dict[Any, LearnedVocabularyBase]] = {}
    for part in (part for column in columns for part in _inner(column)):
        if isinstance(part, LearnedVocabularyBase) and part.vocabulary_of is None:
            # What the words are learned by is in the name of the vocabulary; what becomes of unknown words is not.
            kind = (part.vocabulary_name, *(getattr(part, name) for name in TAKEN_OVER))
            parts.setdefault(part.name, {}).setdefault(kind, part)
    whole = {c.name: [c] for c in columns if isinstance(c, LearnedVocabularyBase) and c.vocabulary_of is None}
    return {name: list(alike.values()) for name, alike in parts.items()} | whole


def reference_faults(columns: Sequence[Column]) -> list[SpecFault]:
    """Returns each `vocabulary_of` that names no learned vocabulary, and what is said beside one but is the other column's."""
    sources, faults = _sources(columns), []
    for k, column in enumerate(columns):
        for part in _inner(column):
            if isinstance(part, LearnedVocabularyBase) and part.vocabulary_of is not None:
                message = f"applies to a column of its own, not to one inside another ({column.type_name})"
                faults.append(SpecFault(f"columns[{k}].{column.path_to('vocabulary_of')}", message))
        if isinstance(column, LearnedVocabularyBase) and column.vocabulary_of is not None:
            found = sources.get(column.vocabulary_of, [])
            if len(found) == 1:
                faults += [SpecFault(f"columns[{k}].{name}", why) for name, why in _differences(column, found[0])]
            elif why := _why_none(column.vocabulary_of, columns, sources):
                faults.append(SpecFault(f"columns[{k}].vocabulary_of", why))
    return faults


def _inner(column: Column) -> Iterator[Column]:
    for part in column.parts:
        yield part
        yield from _inner(part)


def _why_none(name: str, columns: Sequence[Column], sources: dict[str, list[LearnedVocabularyBase]]) -> str:
    """Returns why a name stands for no one learned vocabulary; an empty string where a faulty column may be the one it names."""
    if name in sources:
        return f"{name!r} has {len(sources[name])} learned vocabularies, of columns with different arguments"
    other = next((column for column in columns if column.name == name), None)
    stand_ins = any(column.name.startswith("\0") for column in columns)  # for what is not valid itself
    if other is None and stand_ins:
        return ""
    known = f"known: {listed(sorted(sources))}" if sources else "there is none"
    expected = f"expected the name of a column that learns a vocabulary ({known}), got {name!r}"
    if isinstance(other, LearnedVocabularyBase):
        return f"{expected}, which has the vocabulary of {other.vocabulary_of!r} itself"
    if other is not None:
        return f"{expected}, which is of type {other.type_name}"
    return f"{expected}{nearest(name, sources)}"


def _differences(column: LearnedVocabularyBase, source: LearnedVocabularyBase) -> Iterator[tuple[str, str]]:
    fields: Any = type(column).model_fields
    for name in TAKEN_OVER:
        own, other = getattr(column, name), getattr(source, name)
        if own not in (other, fields[name].default):
            yield name, f"is that of {source.name!r}, whose vocabulary this is ({other!r}), got {own!r}"
    if column.dtype != source.dtype:
        yield (
            "dtype",
            f"expected {source.dtype!r}, as {source.name!r} has it, whose vocabulary this is, got {column.dtype!r}",
        )
