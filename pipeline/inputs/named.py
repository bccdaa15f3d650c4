"""Inputs that name their split: `--input train=GLOB`."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from pipeline.errors import UsageError
from pipeline.inputs.match import Inputs, match
from transforms.errors import JobError, nearest
from transforms.splits.rule import NAME, USUAL, Split


def match_named(given: Sequence[str], rule: Split | None, allow_empty: bool = False) -> Inputs:
    """Finds files as `match` does, and the split of each if inputs name theirs.

    `NAME=PATH` names a split if the name is train, validation or test, or one that the columns file declares, and no file has
    the whole text as its path: `day=27/part.parquet` is a path.

    Args:
      given: paths or patterns, either all or none with the name of a split before them.
      rule: the rule of the columns file, which may declare other names.
      allow_empty: whether a pattern may match nothing.

    Raises:
      UsageError: an input could be both; only some name a split; a file is in two; or a rule divides the rows.
      JobError: as `match`.
    """
    known = rule.split_names if rule is not None and rule.by == "input" else USUAL
    named = [_parted(one, known) for one in given]
    if not any(name for name, _ in named):
        if rule is not None and rule.by == "input":
            raise UsageError(
                f"--input {given[0]!r}: names no split, and split: has by: input; give {known[0]}={given[0]}"
            )
        return match(given, allow_empty)
    plain = next((one for one, (name, _) in zip(given, named, strict=True) if not name), None)
    if plain is not None:
        raise UsageError(f"--input {plain!r}: names no split, as the others do; expected one of {_forms(known, plain)}")
    if rule is not None and rule.by != "input":
        raise UsageError(
            f"--input {given[0]!r}: names a split, and the columns file divides the rows by {rule.by}; drop {named[0][0]!r}= or "
            f"split:"
        )
    return _together(
        [(name, match([path for n, path in named if n == name], allow_empty, name)) for name in _order(named)]
    )


def match_statistics(given: Sequence[str], rule: Split | None, statistics: str) -> Inputs:
    """Finds the files that count toward the statistics only, as `match` does.

    Args:
      given: paths or patterns. They name no split: their rows count as those of `statistics`, or as the rule says.
      rule: the rule of the columns file.
      statistics: the split that the statistics come from.

    Raises:
      UsageError: one names a split.
      JobError: as `match`.
    """
    known = rule.split_names if rule is not None and rule.by == "input" else USUAL
    for one in given:
        name, _, path = one.partition("=")
        if name in known and path and not _is_there(one):
            raise UsageError(
                f"--statistics-input {one!r}: names a split, and these files count toward the statistics of {statistics!r} "
                f"alone; drop {name}="
            )
    return match(given)


def refuse_other_splits(others: Inputs, inputs: Inputs, statistics: str) -> None:
    """Refuses files that would count toward the statistics, though the inputs say that their rows are of another split.

    Args:
      others: files for the statistics.
      inputs: files that are written, as `match_named` returns them.
      statistics: the split that the statistics come from.

    Raises:
      UsageError: there is such a file; it is named.
    """
    split_of = {_identity(path): name for path, name in inputs.splits.items()}
    for file in others.files:
        name = split_of.get(_identity(file.path), statistics)
        if name != statistics:
            raise UsageError(
                f"--statistics-input: {file.path!r} is in the split {name!r}, and would count toward the statistics of "
                f"{statistics!r}"
            )


def _identity(path: str) -> str:
    """Returns what is the same for all paths of a file."""
    return path if "://" in path else os.path.realpath(path)


def _parted(given: str, known: Sequence[str]) -> tuple[str, str]:
    """Returns the split that an input names, or an empty string, and its path."""
    form = re.fullmatch(rf"({NAME})=(.+)", given, re.DOTALL)
    if form is None:
        return "", given
    name, path = form.groups()
    whole = _is_there(given)
    if name in known:
        if whole and _is_there(path):
            raise UsageError(
                f"--input {given!r}: files are there by the whole text, and by {path!r} for the split {name!r}; give "
                f"'./{given}' or {name}=./{path}"
            )
        return ("", given) if whole else (name, path)
    if not whole and _is_there(path):
        hint = (
            nearest(name, known) or f"; the columns file can declare it, as split: {{by: input, names: [{name}, ...]}}"
        )
        raise UsageError(f"--input {given!r}: unknown split {name!r}, expected one of {', '.join(known)}{hint}")
    return "", given


def _is_there(given: str) -> bool:
    try:
        return bool(match([given]).files)
    except JobError:
        return False


def _forms(known: Sequence[str], path: str) -> str:
    return ", ".join(f"{name}={path}" for name in known)


def _order(named: Sequence[tuple[str, str]]) -> list[str]:
    return list(dict.fromkeys(name for name, _ in named))


def _together(parts: Sequence[tuple[str, Inputs]]) -> Inputs:
    splits: dict[str, str] = {}
    owner: dict[str, str] = {}
    for name, inputs in parts:
        for file in inputs.files:
            first = owner.setdefault(_identity(file.path), name)
            if first != name:
                raise UsageError(f"--input: {file.path!r} is in the splits {first!r} and {name!r}")
            splits[file.path] = name
    every = sorted((file for _, inputs in parts for file in inputs.files), key=lambda file: file.path)
    return Inputs(
        files=tuple(every),
        repeated=tuple(path for _, inputs in parts for path in inputs.repeated),
        notes=tuple(note for _, inputs in parts for note in inputs.notes),
        inside={path: root for _, inputs in parts for path, root in inputs.inside.items()},
        splits=splits,
    )
