"""A data set, or a part of one, as it describes itself: all that a comparison knows of it. No row is looked at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.columns_file.reader import loads
from pipeline.dataset import distributions, layout, manifest
from pipeline.dataset.manifest import Manifest
from transforms.columns import Column
from transforms.distributions.facts import FITTED, Facts, whole
from transforms.distributions.histograms import vocabulary_of
from transforms.errors import JobError, SpecError
from transforms.spec.spec import Spec

NO_DISTRIBUTIONS: Final = (
    "has no distributions.json, which older versions did not write: how values are distributed is not known"
)


@dataclass(frozen=True)
class Described:
    """What is known of a data set.

    Attributes:
      name: what it is called beside another, its directory.
      run: the run that wrote it.
      created: when that was published.
      ledger: rows and values, as `ledger.json` has them.
      statistics: as `statistics.json` has them.
      facts: lengths, and counts in bins before normalising; None where it has none.
      spec: its columns; None where they cannot be read back.
      words: the vocabulary of each column that has one, as far as it is known: the place of a word is its id.
      notes: what is not known, and why.
    """

    name: str
    run: str
    created: str
    ledger: Mapping[str, Any]
    statistics: Mapping[str, Any]
    facts: Facts | None = None
    spec: Spec | None = None
    words: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> Column | None:
        """Returns a column; None where it is not there, or not known."""
        return next((column for column in self.spec.columns if column.name == name), None) if self.spec else None


def read(directory: str) -> Described:
    """Returns what a data set says of itself.

    Args:
      directory: where it lies.

    Raises:
      JobError: there is none, or its manifest, ledger or statistics are damaged.
    """
    return described(manifest.read_examples(directory.rstrip("/") or "/"))


def described(found: Manifest, name: str = "") -> Described:
    """Returns what a data set, or a split of one, says of itself.

    Args:
      found: its manifest, or that of a split.
      name: what it is called; its directory, unless given.

    Raises:
      JobError: its ledger or statistics are damaged.
    """
    ledger, statistics = (_json(found, what, keys) for what, keys in _NEEDED.items())
    split = found.content.get("split", "")
    ledger = ledger["splits"][split] if split else ledger
    facts = _facts(found, split)
    notes = []
    if facts is None:
        notes.append(NO_DISTRIBUTIONS)
    elif not facts.complete:
        facts = None
        notes.append("was repaired without its distributions: how values are distributed is not known")
    elif facts.one_in > 1:
        counted, of = facts.rows
        notes.append(
            f"distributions are those of {counted:,} of {of:,} rows, one in {facts.one_in}, chosen by their digests"
        )
    try:
        spec: Spec | None = loads(str(found.content["columns"]), "the columns in the manifest")
    except SpecError as error:
        spec = None
        notes.append(f"its columns cannot be read back from the manifest: {str(error).splitlines()[0]}")
    words, more = _words(found, spec, facts) if spec else ({}, [])
    created = str(found.content.get("created", ""))
    known = (name or found.root, str(found.content["run"]), created, ledger, statistics)
    return Described(*known, facts, spec, words, (*notes, *more))


def _facts(found: Manifest, split: str) -> Facts | None:
    """Returns the facts of a split, or of all rows of a data set; None where they are not known."""
    known = distributions.read(found)
    names = [split] if split else found.splits or [FITTED]
    parts = {name: known[name] for name in names if name in known}
    return whole(parts) if len(parts) == len(names) else None


_NEEDED: Final = {"ledger": ("rows", "columns"), "statistics": ("columns", "groups")}


def _json(found: Manifest, what: str, keys: tuple[str, ...]) -> Mapping[str, Any]:
    path = found.path(found.content[what])
    try:
        content: Mapping[str, Any] = layout.read_json(path)
        lost = [key for key in keys if not isinstance(content[key], Mapping)]
    except (OSError, ValueError, LookupError, TypeError, RecursionError) as error:
        raise JobError(f"{path}: cannot be read ({type(error).__name__}: {' '.join(str(error).split())})") from error
    if lost:
        raise JobError(f"{path}: damaged: expected a mapping under {lost[0]!r}")
    return content


def _words(found: Manifest, spec: Spec, facts: Facts | None) -> tuple[dict[str, tuple[bytes, ...]], list[str]]:
    """Returns the words of each column that are known, and notes on those that are not."""
    made, notes = {}, []
    learned = found.content.get("vocabularies") or {}
    for column in spec.columns:
        vocabulary = vocabulary_of(column)
        if vocabulary is None:
            continue
        if vocabulary.listed is None:
            if column.name in learned and found.content["transform"]:
                entry = learned[column.name]
                path = f"{found.path(found.content['transform'])}/{entry['file']}"
                try:
                    made[column.name] = tuple(layout.read_bytes(path).split(b"\n")[: entry["words"]])
                except OSError:
                    notes.append(f"column {column.name!r}: the words that it learned are not there: {path}")
        elif facts is None or facts.vocabularies.get(column.name) == vocabulary.listed.digest:
            made[column.name] = vocabulary.listed.words
        else:
            notes.append(f"column {column.name!r}: its vocabulary_file has changed since, so its words are not known")
    return made, notes
