"""The description of a data set, or of a part of one: all that a comparison knows about it. No row is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.dataset import distributions, layout, manifest
from pipeline.dataset.columns import read_columns
from pipeline.dataset.ledger import of_files
from pipeline.dataset.manifest import Manifest
from pipeline.errors import UsageError
from transforms.columns import Column
from transforms.columns.vocabulary_base import vocabulary_of
from transforms.distributions.facts import FITTED, Facts, whole
from transforms.errors import JobError, SpecError
from transforms.spec.spec import Spec

NO_DISTRIBUTIONS: Final = (
    "has no distributions.json, which older versions did not write: how values are distributed is not known"
)


@dataclass(frozen=True)
class Described:
    """The description of a data set.

    Attributes:
      name: its name in a comparison, its directory.
      run: the run that wrote it.
      created: when that run published it.
      ledger: the content of `ledger.json`: rows and values.
      statistics: the content of `statistics.json`.
      facts: lengths, and counts in bins before normalising; None if it has none.
      spec: its columns; None if they cannot be read back.
      words: the vocabulary of each column that has one, as far as it is known: the place of a word is its id.
      notes: what is unknown, and why; one line each.
      is_fitted: whether the statistics are of its own rows, and not of the data set or split whose transform it has.
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
    is_fitted: bool = True

    def column(self, name: str) -> Column | None:
        """Returns a column; None if it does not exist or is not known."""
        return next((column for column in self.spec.columns if column.name == name), None) if self.spec else None


def read(directory: str, split: str = "") -> Described:
    """Returns the description of a data set, or of a split of one.

    Args:
      directory: its directory.
      split: the split; an empty string for all rows.

    Raises:
      UsageError: there is no such split.
      JobError: there is no data set, or its manifest, ledger or statistics are damaged.
    """
    found = manifest.read_examples(directory.rstrip("/") or "/")
    if not split:
        return described(found)
    try:
        return described(found.split(split), f"{found.root} ({split})")
    except ValueError as error:
        raise UsageError(f"--split: {found.root!r}: {error}") from error


def read_two(one: str, other: str, splits: Sequence[str]) -> tuple[Described, Described]:
    """Returns the descriptions of two data sets, or of two splits of one.

    Args:
      one: a directory.
      other: another one; an empty string for the same.
      splits: no split, that of both, or that of each.

    Raises:
      UsageError: it cannot be told which two to compare, or there is no such split.
      JobError: see `read`.
    """
    if len(splits) > 2 or (not other and len(splits) != 2):
        expected = "DIR2, or --split twice" if not other else "--split at most twice"
        raise UsageError(f"expected {expected}, got {f'--split {len(splits)} times' if splits else 'neither'}")
    first, last = (splits[0], splits[-1]) if splits else ("", "")
    return read(one, first), read(other or one, last)


def described(found: Manifest, name: str = "", fitted: bool = False) -> Described:
    """Returns the description of a data set or of a split of one.

    Args:
      found: its manifest, or that of a split.
      name: its name; by default its directory.
      fitted: whether to leave out the rows of appends, which do not count toward the statistics.

    Raises:
      JobError: its ledger or statistics are damaged.
    """
    ledger, statistics = (_json(found, what, keys) for what, keys in _NEEDED.items())
    split = found.content.get("split", "")
    if fitted:
        appended = {file.get("name", file["path"]) for file in found.content["inputs"] if "run" in file}
        ledger = of_files(ledger, set(ledger["files"]) - appended)  # of events it has the files of their sequences
    ledger = ledger["splits"][split] if split else ledger
    facts = _facts(found, split, fitted)
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
        spec: Spec | None = read_columns(found)
    except SpecError as error:
        spec = None
        notes.append(f"its columns cannot be read back from the manifest: {str(error).splitlines()[0]}")
    words, more = _words(found, spec, facts) if spec else ({}, [])
    created = str(found.content.get("created", ""))
    is_fitted = "transform" not in statistics and split in ("", statistics.get("split", ""))
    known = (name or found.root, str(found.content["run"]), created, ledger, statistics)
    return Described(*known, facts, spec, words, (*notes, *more), is_fitted)


def _facts(found: Manifest, split: str, fitted: bool) -> Facts | None:
    """Returns the facts of a split, or of all rows of a data set; None where they are not known."""
    known = distributions.read(found)
    parts = [distributions.of_part(known, name) for name in ([split] if split else found.splits or [FITTED])]
    if not all(parts):
        return None
    return whole({name: own for part in parts for name, own in list(part.items())[: 1 if fitted else None]})


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
