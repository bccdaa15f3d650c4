"""The words and ids of a column of two data sets: which of them mean the same, and how their shares differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from pipeline.compare.described import Described
from pipeline.compare.measures import L_INFINITY, Found, Measure, names, pair
from transforms import escaping
from transforms.columns import Column
from transforms.columns.categorical import Categorical
from transforms.columns.vocabulary_base import vocabulary_of
from transforms.distributions import drift
from transforms.distributions.histograms import IDS, UNKNOWN

MOST_CATEGORIES: Final = 5
"""The number of categories to name, those whose shares differ most."""

NO_ID, OTHERS = "no id", "all others"
"""Categories beside single words and ids."""

Counts = dict[str, int]
"""The count of each category."""

Shares = tuple[str, float, float]
"""A category and its share on each side."""


def categories(name: str, sides: tuple[Described, Described]) -> Found | str:
    """Returns the measure of a column of ids, and notes on categories that were merged; or why it cannot be compared.

    If both vocabularies are known, words are compared, whatever their ids. A word that only one side knows can at most have
    been among the unknown words of the other: the part of its share beyond those counts as a difference, too.
    """
    if not any(side.facts is not None and (name, IDS, -1) in side.facts.counts for side in sides):
        return [], []  # vectors are written, which are not counted; or neither has a row
    words, alone = [side.words.get(name) for side in sides], []
    if words[0] is not None and words[1] is not None:
        counts, notes = _by_word(name, sides, (words[0], words[1]))
        of, alone = "words", _one_sided(name, sides, (words[0], words[1]))
    elif _same_ids(name, sides):
        of, (counts, notes) = "ids", _by_id(name, sides)
    else:
        return "its ids need not mean the same on both sides: " + _why_not_same(name, sides)
    found, _ = drift.l_infinity(*counts)
    totals = pair([sum(side.values()) for side in counts])
    one, other = (
        {label: n / max(total, 1) for label, n in own.items()} for own, total in zip(counts, totals, strict=True)
    )
    shares: list[Shares] = [(label, one.get(label, 0.0), other.get(label, 0.0)) for label in {**one, **other}]
    top = sorted((at for at in [*shares, *alone] if at[1] != at[2]), key=lambda at: -abs(at[1] - at[2]))
    if all(totals):
        found = max([found, *(abs(at[1] - at[2]) for at in alone)])
    notes += [
        f"no id is written as {at.padding} by {called}, and counted with it"
        for side, called in zip(sides, names(sides), strict=True)
        if (at := _ids_of(side.column(name))) is not None and at.padding >= 0
    ]
    return [Measure(of, L_INFINITY, found, totals, categories=top[:MOST_CATEGORIES])], notes


def _counted(name: str, side: Described) -> tuple[list[tuple[int, int]], int]:
    """Returns ids with their counts, and the bound below which ids were counted one by one."""
    assert side.facts is not None
    nothing = np.zeros(0, np.int64)
    bins, counts = side.facts.counts.get((name, IDS, -1), (nothing, nothing))
    return list(zip((bins - 1).tolist(), counts.tolist(), strict=True)), side.facts.most_ids


def _by_id(name: str, sides: Sequence[Described]) -> tuple[tuple[Counts, Counts], list[str]]:
    held = [_counted(name, side) for side in sides]
    bound = min(most for _, most in held)
    made: list[Counts] = []
    for ids, _ in held:
        own: Counts = {}
        for at, n in ids:
            label = NO_ID if at < 0 else OTHERS if at >= bound else str(at)
            own[label] = own.get(label, 0) + n
        made.append(own)
    lumped = any(OTHERS in own for own in made)
    return pair(made), [f"ids of {bound:,} and more were not told apart: {OTHERS!r}"] if lumped else []


def _by_word(
    name: str, sides: Sequence[Described], words: tuple[tuple[bytes, ...], tuple[bytes, ...]]
) -> tuple[tuple[Counts, Counts], list[str]]:
    held = [_counted(name, side) for side in sides]
    both = set.intersection(*(set(own[:most]) for own, (_, most) in zip(words, held, strict=True)))
    made: list[Counts] = []
    for (ids, most), own in zip(held, words, strict=True):
        found: Counts = {}
        for at, n in ids:
            known = 0 <= at < min(most, len(own)) and own[at] in both
            label = NO_ID if at < 0 else _word(own[at]) if known else OTHERS
            found[label] = found.get(label, 0) + n
        made.append(found)
    notes = []
    alone = [len(set(own) - set(its)) for own, its in (words, words[::-1])]
    if any(alone):
        notes.append(f"words that are known on one side only: {alone[0]:,} and {alone[1]:,}")
    if any(OTHERS in own for own in made):
        notes.append(
            f"{len(both):,} words were counted one by one on both sides; {OTHERS!r} are the rest, and unknown words"
        )
    return pair(made), notes


def _one_sided(
    name: str, sides: Sequence[Described], words: tuple[tuple[bytes, ...], tuple[bytes, ...]]
) -> list[Shares]:
    """Returns the words that only one side knows, with their share there and the largest possible share on the other."""
    made: list[Shares] = []
    for k, (own, its) in enumerate((words, words[::-1])):
        known = set(its)
        ids, most = _counted(name, sides[k])
        total = sum(n for _, n in ids)
        bound = _unknown(name, sides[1 - k])
        for at, n in ids:
            if 0 <= at < min(most, len(own)) and own[at] not in known:
                share, label = n / total, f"{_word(own[at])}, of {names(sides)[k]} only"
                made.append((label, share, min(bound, share)) if k == 0 else (label, min(bound, share), share))
    return made


def _unknown(name: str, side: Described) -> float:
    """Returns the largest share that unknown words can have: of all ids that they may have become."""
    ids, _ = _counted(name, side)
    column = side.column(name)
    vocabulary = vocabulary_of(column) if column is not None else None
    default = vocabulary.unknown_id if vocabulary is not None and not vocabulary.num_oov_buckets else -1
    buckets = side.facts.counts.get((name, UNKNOWN, -1)) if side.facts else None
    found = sum(n for at, n in ids if at < 0 or at == default) + (int(buckets[1].sum()) if buckets is not None else 0)
    return found / max(sum(n for _, n in ids), 1)


def _word(word: bytes) -> str:
    return f"word {escaping.value(escaping.of_bytes(word))!r}"


def _ids_of(column: Column | None) -> Categorical | None:
    """Returns the categorical column that decides what ids mean: the column itself or the one that it is built from."""
    if column is None:
        return None
    inner = next((found for part in column.parts if (found := _ids_of(part)) is not None), None)
    return inner or (column if isinstance(column, Categorical) else None)


def _same_ids(name: str, sides: Sequence[Described]) -> bool:
    """Returns whether an id means the same on both sides: ids of the data, the same number of hash buckets, or the same words."""
    one, other = (_ids_of(side.column(name)) for side in sides)
    if one is None or other is None:
        return False
    if vocabulary_of(one) is not None or vocabulary_of(other) is not None:
        first, second = (side.facts.vocabularies.get(name) if side.facts else None for side in sides)
        return first is not None and first == second
    return getattr(one, "in_a_range", False) or one.id_count == other.id_count


def _why_not_same(name: str, sides: Sequence[Described]) -> str:
    for side, called in zip(sides, names(sides), strict=True):
        column = side.column(name)
        if column is None:
            return f"the columns of {called} cannot be read back"
        if vocabulary_of(column) is not None and name not in side.words:
            return f"the words of {called} are not known"
    first, second = (found.id_count if (found := _ids_of(side.column(name))) else None for side in sides)
    return f"there are {first} and {second}"
