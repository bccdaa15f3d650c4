"""The files that a run reads."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from apache_beam.io.filesystems import FileSystems

from pipeline.dataset import manifest
from pipeline.dataset.layout import EXAMPLES, SEQUENCES
from pipeline.errors import UsageError
from pipeline.inputs import patterns
from pipeline.inputs.data_sets import DataSets, names_of, parents
from pipeline.inputs.patterns import Place
from pipeline.sources.base import size_of
from transforms.errors import JobError, nearest
from transforms.stored.files import version as version_of


@dataclass(frozen=True)
class InputFile:
    """A file to read.

    Attributes:
      path: where it is.
      size: bytes.
      updated: when it was last changed, seconds since 1970; 0 where the file system does not say.
      version: distinguishes this state of the file from others (`transforms.stored.files.version`); empty if nobody has looked.
    """

    path: str
    size: int
    updated: float = 0.0
    version: str = ""

    def with_version(self) -> InputFile:
        """Returns it with its version as it is now, unless that was looked up before."""
        return self if self.version else replace(self, version=version_of(self.path))


@dataclass(frozen=True)
class SkippedFile:
    """A file that was matched and left out of the run, because it is broken.

    Attributes:
      path: where it is.
      size: bytes.
      reason: why it cannot be read.
    """

    path: str
    size: int
    reason: str

    def entry(self) -> dict[str, str | int]:
        """Returns it as the ledger and the manifest list it."""
        return {"path": self.path, "bytes": self.size, "reason": self.reason}


@dataclass(frozen=True)
class Inputs:
    """The files of a run in order of their names.

    Attributes:
      files: the files.
      repeated: paths of those that were matched more than once; they are read once.
      notes: remarks for the reader, one line each.
      inside: file to the data set that it lies in, of files that were matched by their names: not of a data set asked for as one.
      splits: file to its split, if inputs name theirs (see `pipeline.inputs.named`).
      names: file to its name in the ledger, if an earlier run of the same data set read another file of that path.
    """

    files: tuple[InputFile, ...]
    repeated: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    inside: Mapping[str, str] = field(default_factory=dict)
    splits: Mapping[str, str] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.size for file in self.files)


def changed(files: Iterable[InputFile]) -> list[str]:
    """Returns the files whose file system says that they are not what they were when their version was looked up."""
    return [file.path for file in files if version_of(file.path) != file.version]


def match(given: Sequence[str], allow_empty: bool = False, split: str = "") -> Inputs:
    """Finds files; one that several patterns match, or that has several names, is read once.

    Args:
      given: paths of files, folders or data sets, or patterns. What is there as it is written is no pattern (see `patterns`). A
        folder stands for all files below it; names that are no data there (`patterns.HIDDEN`) are left out, and a note says so.
      allow_empty: whether a pattern may match nothing. (A path that is no pattern must be there.)
      split: the split to read of a data set that has splits.

    Raises:
      JobError: the path does not exist, a folder holds or a pattern matches no file, or a data set has splits but not this one.
    """
    files: dict[str, InputFile] = {}
    times: Counter[str] = Counter()
    notes, inside, data_sets = [], {}, DataSets()
    for one in given:
        place, found, folders, hidden = _found(one, split, data_sets)
        if place.literal:
            notes.append(f"input {one!r}: {_no_pattern(place)}")
        if hidden:
            notes.append(f"input {one!r}: {_no_data(hidden)}")
        if not found:
            _refuse_nothing(one, place, allow_empty, hidden, data_sets)
            notes.append(f"input {one!r}: no file matches")
        for file in found:
            # A symbolic link is the file that it leads to.
            same = file.path if place.is_remote else os.path.realpath(file.path)
            files[same] = min(files.get(same, file), file, key=lambda known: known.path)
            times[same] += 1
            around = "" if folders is None else data_sets.around(file.path, folders)
            if around:
                inside[file.path] = around
    ordered = sorted(files.items(), key=lambda item: item[1].path)
    repeated = tuple(file.path for same, file in ordered if times[same] > 1)
    return Inputs(tuple(file for _, file in ordered), repeated, tuple(notes), inside)


def described(inputs: Inputs) -> list[dict[str, Any]]:
    """Returns files as the manifest lists them."""
    known = {"split": inputs.splits, "name": inputs.names}
    return [
        {
            "path": file.path,
            "bytes": file.size,
            **{what: found[file.path] for what, found in known.items() if file.path in found},
        }
        for file in inputs.files
    ]


def where_now(listed: Sequence[Mapping[str, Any]], inputs: Inputs, needed: Collection[str]) -> dict[str, str]:
    """Returns where input files lie now: as the manifest says, or the file of that name among those given.

    Args:
      listed: the inputs as the manifest lists them.
      inputs: the files that are given.
      needed: the names of the files to look for, as the ledger has them.

    Raises:
      JobError: one of them is not there, or is another file.
    """
    sizes = {file.get("name", file["path"]): file["bytes"] for file in listed}
    paths = {file["name"]: file["path"] for file in listed if "name" in file}
    given = [file.path for file in inputs.files]
    found = {}
    for known in sorted(needed):
        path = paths.get(known, known)
        name = os.path.basename(path)
        same = [other for other in given if other == path] or [p for p in given if os.path.basename(p) == name]
        if given and not same:
            hint = nearest(name, [os.path.basename(p) for p in given])
            raise JobError(f"--input: no file is named {name!r}, as {path!r} that the manifest names{hint}")
        # Of several files of one name the one whose path ends like this one.
        found[known] = max(same or [path], key=lambda other, path=path: _parts_alike(other, path))  # type: ignore[misc]
        size = size_of(found[known])
        if known in sizes and size != sizes[known]:
            raise JobError(
                f"{found[known]}: another file than was read: {size:,} bytes, the manifest says {sizes[known]:,}"
            )
    return found


def _parts_alike(one: str, other: str) -> int:
    """Returns how many folders two paths share, counted from the file up."""
    pairs = zip(reversed(one.split("/")), reversed(other.split("/")), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))


def refuse_written(option: str, inputs: Inputs, places: Mapping[str, str]) -> None:
    """Refuses files that a run has written, or that lie where this one writes: it would read its own output, or another's.

    Args:
      option: the option that the files were given with, for the message.
      inputs: the files.
      places: the files and folders that are written, by the option that each was given with.

    Raises:
      UsageError: naming the first such file.
    """
    written = {name: place for place in places.items() if place[1] for name in names_of(place[1].rstrip("/"))}
    for file in inputs.files:
        around = (part for name in names_of(file.path) for part in (name, *parents(name)))
        place = next((written[part] for part in around if part in written), None)
        if place:
            raise UsageError(
                f"{option}: {file.path!r} is part of {place[0]} {place[1]!r}, which is written; give another place for that, or "
                f"a pattern that does not match files in it"
            )
        if file.path in inputs.inside:
            root = inputs.inside[file.path]
            raise UsageError(
                f"{option}: {file.path!r} lies in the data set {root!r}; give {root!r} itself to read its examples, or a "
                f"pattern that does not match files in it"
            )


def _found(given: str, split: str, data_sets: DataSets) -> tuple[Place, list[InputFile], set[str] | None, list[str]]:
    """Returns the files that a path or pattern stands for.

    Returns:
      What it stands for; the files; the folders that may hold data sets in which a file lies (see `DataSets.around`), None
      where it is a data set that was asked for; and paths that were matched and are no data.
    """
    try:
        place = patterns.place_of(given)
        there = not place.pattern and FileSystems.exists(place.root)
        if not place.pattern and (not there or os.path.isdir(place.root)) and data_sets.holds(place.root):
            return place, _of_data_set(given, place.root, split), None, []
        if place.pattern or not there or os.path.isdir(place.root):
            found = patterns.matched(replace(place, pattern=place.pattern or patterns.EVERYTHING))
            found.tables.update(patterns.table_above(place.root))
        else:
            found = patterns.Matched([patterns.metadata(place.root)], [], set())
    except JobError:
        raise
    except Exception as error:
        raise JobError(f"input {given!r}: cannot be listed: {error}") from error
    for entry in found.entries:
        _refuse_other(given, entry.path)
        _refuse_table(given, entry.path, found.tables)
    around = found.folders | {place.root, *parents(place.root)}
    return place, list(map(_file, found.entries)), around, found.hidden


def _file(entry: Any) -> InputFile:
    return InputFile(entry.path, int(entry.size_in_bytes), float(entry.last_updated_in_seconds or 0.0))


def _of_data_set(given: str, root: str, split: str) -> list[InputFile]:
    """Returns the files of examples that a data set's manifest names; if it has splits, those of one split."""
    held, found = manifest.read(root), []
    if held.splits and split not in held.splits:
        raise JobError(f"input {given!r}: has the splits {', '.join(held.splits)}: give NAME={given} for one of them")
    held = held.split(split) if held.splits else held
    part = SEQUENCES if held.format == SEQUENCES else EXAMPLES
    for entry in held.content[part]["files"]:
        path = held.path(entry["path"])
        if not manifest.is_own(part, entry["path"]):
            raise JobError(f"input {given!r}: its manifest names {entry['path']!r}, which is no name that a run gives")
        try:
            found.append(_file(patterns.metadata(path)))
        except Exception as error:
            raise JobError(f"{path}: cannot be read ({' '.join(str(error).split())})") from error
        if found[-1].size != entry["bytes"]:
            raise JobError(f"{path}: {found[-1].size:,} bytes, the manifest of {root!r} says {entry['bytes']:,}")
    return found


def _refuse_nothing(given: str, place: Place, allow_empty: bool, hidden: Sequence[str], data_sets: DataSets) -> None:
    """Refuses what matches no file, unless it is a pattern, a folder or a data set, and may be empty."""
    is_folder = given.endswith("/") if place.is_remote else not place.pattern and os.path.isdir(place.root)
    holds_data_set = data_sets.holds(place.root)
    if allow_empty and (place.pattern or is_folder or holds_data_set):
        return
    why = "is a directory without files" if is_folder and not holds_data_set else "no file matches"
    if place.pattern and patterns.matches_folders(place):
        deeper = f"{given.rstrip('/')}/{patterns.EVERYTHING}"
        why = f"only directories match, give {deeper!r} for the files in them"
    if hidden:
        why = f"{_no_data(hidden)}; give a file itself to read it"
    raise JobError(f"input {given!r}: {why}{f' ({_no_pattern(place)})' if place.literal else ''}")


def _no_data(hidden: Sequence[str]) -> str:
    more = f" and {len(hidden) - 1:,} more" if len(hidden) > 1 else ""
    return f"left out {hidden[0]!r}{more}, no data by name"


def _no_pattern(place: Place) -> str:
    return f"{place.literal!r} is there, and is not taken for a pattern"


def _refuse_table(pattern: str, path: str, tables: Mapping[str, str]) -> None:
    """Refuses what a folder or a pattern finds in a table whose files of earlier versions lie beside those of the last one."""
    for folder, what in tables.items():
        if path.startswith(f"{folder}/") and not path[len(folder) + 1 :].startswith(patterns.BESIDE):
            raise JobError(
                f"input {pattern!r}: {folder!r} is {what}, in whose folder are rows that were deleted or replaced, too; "
                f"give the files of one version by their own paths"
            )


def _refuse_other(pattern: str, path: str) -> None:
    """Refuses what is no file, as a pipe, which would be waited for without end and can be read only once.

    Also a file that no ledger could name.
    """
    if any("\ud800" <= character <= "\udfff" for character in path):
        raise JobError(f"input {pattern!r}: {path}: a name that is no UTF-8")
    if "://" in path or os.path.isfile(path):
        return
    raise JobError(f"input {pattern!r}: {path!r} is no file")
