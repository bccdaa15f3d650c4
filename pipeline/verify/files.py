"""Verify the files of a data set: all that the manifest names is there as it was published, and the counts add up.

Needs neither TensorFlow nor the inputs. Reports everything that is wrong in one go, not only the first fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pipeline.dataset import events_ledger, graphs, layout, ledger
from pipeline.dataset.layout import EXAMPLES, MANIFEST, REJECTED, SEQUENCES
from pipeline.dataset.manifest import Manifest, is_own, named_files
from pipeline.job.writing import rejected_outputs
from pipeline.sinks import nested
from pipeline.sinks.base import Sink
from pipeline.sinks.contents import Contents
from pipeline.sinks.formats import SINKS
from pipeline.sources.base import size_of
from transforms.columns import Output
from transforms.errors import JobError, nearest
from transforms.escaping import one_line
from transforms.stored import trees

Tell = Callable[[str, int], None]
"""A function that is called with the file that is read, and the bytes of it that were read since the last call."""

Outputs = Callable[[Mapping[str, Any]], list[Output]]
"""A function from a file, as the manifest lists it, to the features of its rows."""

LEFT: Final = "no part of the data set: the manifest does not name it"


@dataclass
class Files:
    """The result of checking the files.

    Attributes:
      files: how many were read whole, those of the graphs included.
      bytes: the size of all shards together.
      rows: examples in the shards.
      rejected: rejected rows.
      sequences: sequences of events, of which the rows were made; None where they were not made of such.
      rejected_events: rejected events, of which the rows were made.
      faults: one line each, which begins with the file.
      notes: remarks for the reader, one line each: files that nothing names.
    """

    files: int = 0
    bytes: int = 0
    rows: int = 0
    rejected: int = 0
    rejected_events: int = 0
    sequences: int | None = None
    faults: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def fault(self, path: str, what: str) -> None:
        """Adds a fault."""
        self.faults.append(one_line(f"{path}: {what}"))


def check(manifest: Manifest, tell: Tell = lambda path, count: None) -> Files:
    """Reads every file that a manifest names.

    Args:
      manifest: the data set.
      tell: is called with the progress.
    """
    found = Files()
    if manifest.sequences:
        _sequences(manifest, found, tell)
    if manifest.format == SEQUENCES:
        _balance(manifest, _json(manifest, "ledger", found), found)
        _beside(manifest, found)
        found.notes += [one_line(f"{path}: {LEFT}") for path in _left(manifest)]
        return found
    if manifest.format not in SINKS:
        what = f"unknown format {manifest.format!r}{nearest(manifest.format, SINKS)}"
        found.fault(manifest.path(MANIFEST), what)
        return found
    found.rows = _shards(manifest, EXAMPLES, SINKS[manifest.format], manifest.outputs_of, found, tell)
    columns = rejected_outputs(bool(manifest.splits))
    found.rejected = _shards(manifest, REJECTED, SINKS["parquet"], lambda _: columns, found, tell)
    for name in ("transform", "serving"):
        _tree(manifest, name, found)
    _json(manifest, "statistics", found)
    _balance(manifest, _json(manifest, "ledger", found), found)
    _beside(manifest, found)
    for path in _left(manifest):
        found.notes.append(one_line(f"{path}: {LEFT}"))
    return found


def _beside(manifest: Manifest, found: Files) -> None:
    """Checks the distributions and the report, which older data sets have not."""
    if manifest.content.get("distributions") is not None:
        _json(manifest, "distributions", found)
    _report(manifest, found)


def bytes_to_read(manifest: Manifest) -> int:
    """Returns about how many bytes `check` tells of."""
    examples, rejected = (sum(e["bytes"] for e in manifest.content[part]["files"]) for part in (EXAMPLES, REJECTED))
    times = SINKS[manifest.format].times_read if manifest.format in SINKS else 0  # `check` reads nothing of such
    made = manifest.sequences
    rejected += sum(entry["bytes"] for entry in made[REJECTED]["files"]) if made else 0
    sequences = sum(entry["bytes"] for entry in made["files"]) if made else 0
    return examples * times + rejected * SINKS["parquet"].times_read + sequences * nested.TIMES_READ


def _sequences(manifest: Manifest, found: Files, tell: Tell) -> None:
    """Checks the sequences that the examples were made of, and the rejected events."""
    made = manifest.sequences

    def examine(path: str, _: Mapping[str, Any], told: Callable[[int], None]) -> Contents:
        return nested.examine(path, made["fields"], told)

    found.sequences = _read_shards(manifest, SEQUENCES, made, examine, found, tell)
    columns = rejected_outputs(False)
    found.rejected_events = _read_shards(
        manifest, REJECTED, made[REJECTED], _by(SINKS["parquet"], lambda _: columns), found, tell
    )


Examine = Callable[[str, Mapping[str, Any], Callable[[int], None]], Contents]
"""A function that reads a file, as the manifest lists it, to its end."""


def _by(sink: Sink, outputs: Outputs) -> Examine:
    return lambda path, entry, told: sink.examine(path, outputs(entry), told)


def _shards(manifest: Manifest, part: str, sink: Sink, outputs: Outputs, found: Files, tell: Tell) -> int:
    """Checks the shards of one part of the manifest; returns how many rows they hold."""
    return _read_shards(manifest, part, manifest.content[part], _by(sink, outputs), found, tell)


def _read_shards(
    manifest: Manifest, part: str, listed: Mapping[str, Any], examine: Examine, found: Files, tell: Tell
) -> int:
    entries, rows, seen = listed["files"], 0, set()
    for entry in entries:
        path = manifest.path(entry["path"])
        if entry["path"] in seen:
            found.fault(path, "the manifest names it twice")
            continue
        seen.add(entry["path"])
        if not _is_there(manifest, part, entry["path"], found):
            continue
        try:
            held = examine(path, entry, lambda count, path=path: tell(path, count))  # type: ignore[misc]
        except JobError as error:
            found.faults.append(str(error))
            continue
        found.files, found.bytes, rows = found.files + 1, found.bytes + held.bytes, rows + held.rows
        if held.bytes != entry["bytes"]:
            found.fault(path, f"{held.bytes:,} bytes, the manifest says {entry['bytes']:,}")
        if held.sha256 != entry["sha256"]:
            found.fault(path, "its SHA-256 is not what the manifest says")
        if held.rows != entry["rows"]:
            found.fault(path, f"{held.rows:,} rows, the manifest says {entry['rows']:,}")
        for what in held.faults:
            found.fault(path, what)
    said = sum(entry["rows"] for entry in entries)
    if said != listed["rows"]:
        what = f"{part}.rows is {listed['rows']:,}, the files that it names have {said:,}"
        found.fault(manifest.path(MANIFEST), what)
    return rows


def _is_there(manifest: Manifest, part: str, relative: str, found: Files) -> bool:
    if not is_own(part, relative):
        found.fault(manifest.path(MANIFEST), f"names {relative!r} as {part}, which is no name that a run gives")
        return False
    try:
        size_of(manifest.path(relative))
    except JobError:
        found.fault(manifest.path(relative), "is missing")
        return False
    return True


def _expected(manifest: Manifest, field: str, name: str, found: Files) -> str:
    """Returns a digest that the manifest holds; nothing, and a fault, where it has none."""
    digests = manifest.content.get(field)
    expected = digests.get(name) if isinstance(digests, Mapping) else None
    if isinstance(expected, str):
        return expected
    found.fault(manifest.path(MANIFEST), f"has no {field} of {name!r}, so that nothing tells whether it was altered")
    return ""


def _tree(manifest: Manifest, name: str, found: Files) -> None:
    """Checks a folder with a graph, which an empty data set has not."""
    relative = manifest.content[name]
    if relative is None:
        if manifest.rows:
            found.fault(manifest.path(MANIFEST), f"names no {name}, and {manifest.rows:,} examples")
        return
    if not is_own(name, relative):
        found.fault(manifest.path(MANIFEST), f"names {relative!r} as {name}, which is no name that a run gives")
        return
    path = manifest.path(relative)
    files = trees.files_below(path)
    if not files:
        found.fault(path, "is missing")
        return
    expected = _expected(manifest, "graph_sha256", name, found)
    try:
        if expected and graphs.digest(path) != expected:
            found.fault(path, "its files are not those that were published")
    except OSError as error:
        found.fault(path, f"cannot be read ({' '.join(str(error).split())})")
    found.files += len(files)


def _json(manifest: Manifest, name: str, found: Files) -> Any:
    """Checks the statistics, the ledger or the distributions; returns the contents, or None if they cannot be read."""
    relative = manifest.content[name]
    if not _is_there(manifest, name, relative, found):
        return None
    path, expected = manifest.path(relative), _expected(manifest, "json_sha256", name, found)
    try:
        if expected and graphs.file_digest(path) != expected:
            found.fault(path, "its SHA-256 is not what the manifest says")
        found.files += 1
        return layout.read_json(path)
    except (OSError, ValueError, RecursionError) as error:
        found.fault(path, f"cannot be read ({' '.join(str(error).split())[:300]})")
        return None


def _report(manifest: Manifest, found: Files) -> None:
    """Checks the report."""
    relative = manifest.content.get("report")
    if relative is None or not _is_there(manifest, "report", relative, found):
        return
    path = manifest.path(relative)
    try:
        if graphs.file_digest(path) != manifest.content.get("report_sha256"):
            found.fault(path, "its SHA-256 is not what the manifest says")
    except OSError as error:
        found.fault(path, f"cannot be read ({' '.join(str(error).split())})")
    found.files += 1


def _balance(manifest: Manifest, book: Any, found: Files) -> None:
    """Checks that the ledger balances, and is that of the rows that the manifest counts."""
    if book is None:
        return
    path = manifest.path(manifest.content["ledger"])
    try:
        rows = {what: int(book["rows"][what]) for what in ("written", "rejected")}
        for line in ledger.imbalances(book):
            found.fault(path, line)
        if manifest.sequences:
            for line in events_ledger.imbalances(book["events"]):
                found.fault(path, line)
            of_events = int(book["events"]["rows"]["rejected"])
            if of_events != manifest.sequences[REJECTED]["rows"]:
                said = manifest.sequences[REJECTED]["rows"]
                found.fault(path, f"{of_events:,} events rejected, the manifest says {said:,}")
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        found.fault(path, f"is no ledger ({type(error).__name__}: {' '.join(str(error).split())})")
        return
    for part, what in ((EXAMPLES, "written"), (REJECTED, "rejected")):
        said = manifest.content[part]["rows"]
        if rows[what] != said:
            found.fault(path, f"{rows[what]:,} rows {what}, the manifest says {said:,}")


def _left(manifest: Manifest) -> Iterator[str]:
    """Yields the files in the directory that the manifest does not name: of runs that died, or that are under way."""
    named = {manifest.path(MANIFEST), *(manifest.path(name) for name in named_files(manifest.content))}
    folders = tuple(
        f"{manifest.path(manifest.content[name])}/" for name in ("transform", "serving") if manifest.content[name]
    )
    for path in trees.files_below(manifest.root.rstrip("/") or "/"):
        if path not in named and not path.startswith(folders):
            yield path
