"""Verify a data set: its files against the manifest, then rows of its inputs through its serving model against its files."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TextIO

from pipeline.dataset.manifest import read as read_manifest
from pipeline.job import progress
from pipeline.verify import files as verify_files
from pipeline.verify import rows as verify_rows
from pipeline.verify.files import Files
from pipeline.verify.rows import RowsCompared

DEFAULT_ROWS: Final = 1000

MOST_LINES: Final = 20
"""Faults, and notes, that are listed; of more there is a count."""


@dataclass
class Verified:
    """A data set that was verified.

    Attributes:
      root: its directory.
      files: the result of checking its files.
      compared: the result of comparing its rows; None if they were not compared.
    """

    root: str
    files: Files
    compared: RowsCompared | None = None

    @property
    def faults(self) -> list[str]:
        """All that is wrong, one line each; nothing for a data set that is as it was published."""
        return [*self.files.faults, *filter(None, [self.compared.difference if self.compared else ""])]


def verify(root: str, inputs: Sequence[str] = (), most: int = DEFAULT_ROWS, stream: TextIO | None = None) -> Verified:
    """Verifies a data set: all its files, then, if those are right, some of its rows.

    Args:
      root: directory of the data set.
      inputs: patterns of the input files, if they have moved from where the manifest says.
      most: about how many rows are compared; with 0 neither the inputs nor TensorFlow is needed.
      stream: where progress is shown, if it is a terminal.

    Raises:
      JobError: there is no data set, or its rows cannot be compared: an input is not there, say.
    """
    done = files(root, stream)
    if most and not done.faults:
        compare(done, inputs, most, stream)
    return done


def files(root: str, stream: TextIO | None = None) -> Verified:
    """Verifies the files of a data set.

    Raises:
      JobError: there is no data set.
    """
    manifest = read_manifest(root.rstrip("/") or "/")
    with progress.counted(verify_files.bytes_to_read(manifest), stream) as tell:
        return Verified(manifest.root, verify_files.check(manifest, tell))


def compare(done: Verified, inputs: Sequence[str] = (), most: int = DEFAULT_ROWS, stream: TextIO | None = None) -> None:
    """Compares rows of a data set whose files were verified, and notes the faults; see `pipeline.verify.rows`.

    Raises:
      JobError: they cannot be compared.
    """
    manifest = read_manifest(done.root)
    with progress.counted(min(most, manifest.rows), stream) as tell:
        done.compared = verify_rows.compare(manifest, inputs, most, tell)


def lines(done: Verified) -> list[str]:
    """Returns what was verified, for people, and what they may want to know; not the faults."""
    held = done.files
    counts = f"{held.rows:,} rows of examples, {held.rejected:,} rejected"
    if held.sequences is not None:
        counts = f"{held.sequences:,} sequences, {held.rejected_events:,} events rejected; {counts}"
    made = [f"{held.files:,} files read, {held.bytes:,} bytes of data: {counts}"]
    made += _first([f"note: {note}" for note in (*held.notes, *(done.compared.notes if done.compared else ()))])
    compared = done.compared if done.compared and done.compared.rows else None
    if compared:
        made += _compared(compared)
    if not done.faults:
        made.append("all equal" if compared else "all files as the manifest says; no rows were compared")
    return made


def _compared(found: RowsCompared) -> list[str]:
    lines = [
        f"compared {found.rows:,} rows, {found.features} features, {found.values:,} values",
        f"{found.as_requests:,} rows as serialized records, {found.rows - found.as_requests:,} as tensors",
    ]
    if found.not_equal:
        names = ", ".join(found.not_equal)
        lines.append(f"within 1e-6 of the largest value: {names} (made by a function); else bit for bit")
    return lines


def _first(found: Sequence[str]) -> list[str]:
    """Returns the first lines, and how many more there are."""
    more = len(found) - MOST_LINES
    return [*found[:MOST_LINES], *([f"and {more:,} more"] if more > 0 else [])]


def messages(done: Verified) -> list[str]:
    """Returns the faults for people: the one there is, or how many and the first of them, a line each."""
    faults = done.faults
    return faults if len(faults) == 1 else [f"{done.root}: {len(faults):,} faults", *_first(faults)]
