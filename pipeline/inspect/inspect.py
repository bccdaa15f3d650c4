"""`seqcols inspect`: files to a table of what is in them and a draft of a columns file."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from pipeline.dataset.target import refuse_file, write_file
from pipeline.errors import UsageError
from pipeline.inputs import match as input_files
from pipeline.inspect import table
from pipeline.inspect.draft import draft
from pipeline.inspect.draft_text import text
from pipeline.inspect.events.seen import Seen, see
from pipeline.inspect.profile import Profile, profiles
from pipeline.inspect.sample import Sample, take
from pipeline.sources.limits import DEFAULTS, INSPECTED_ROWS, Limits

MOST_NAMED: Final = 4
"""Inputs that the next command names; more were hardly typed."""


@dataclass(frozen=True)
class Inspection:
    """The request to inspect some files.

    Attributes:
      inputs: files or patterns.
      output: file to write the draft to, or an empty string.
      overwrite: whether an existing file may be replaced.
      rows: the largest number of rows to look at.
      max_record_bytes: see `Limits`.
      max_unpack_ratio: see `Limits`.
      events: whether rows may be events; otherwise each is an example.
    """

    inputs: Sequence[str]
    output: str = ""
    overwrite: bool = False
    rows: int = INSPECTED_ROWS
    max_record_bytes: int = DEFAULTS.max_record_bytes
    max_unpack_ratio: float = DEFAULTS.max_unpack_ratio
    events: bool = True

    @property
    def next_command(self) -> str:
        """The command that tries the draft on all rows."""
        named = self.inputs if len(self.inputs) <= MOST_NAMED else ["FILES"]
        inputs = (word for given in named for word in ("--input", given))
        return shlex.join(["seqcols", "check", self.output or "COLUMNS.yaml", *inputs])

    @property
    def limits(self) -> Limits:
        """The largest records and files to accept."""
        try:
            return Limits(max_record_bytes=self.max_record_bytes, max_unpack_ratio=self.max_unpack_ratio)
        except ValueError as error:
            raise UsageError(f"--{str(error).replace('_', '-', 2)}") from None


@dataclass(frozen=True)
class Inspected:
    """The result of an inspection.

    Attributes:
      sample: the rows that were looked at.
      profiles: the profile of each feature in these rows.
      notes: remarks for the reader, one line each.
      seen: the events that the rows are; None where they are none.
    """

    sample: Sample
    profiles: list[Profile]
    notes: Sequence[str] = ()
    seen: Seen | None = None

    @property
    def table(self) -> list[str]:
        """The lines for people."""
        return table.lines(self.sample, self.profiles, self.seen)

    def text(self) -> str:
        """Returns the draft of a columns file.

        Raises:
          JobError: no feature can be a column, or there are too many for a file.
        """
        if self.seen is not None:
            return text(self.seen.draft, self.seen.sample, self.seen)
        return text(draft(self.sample, self.profiles), self.sample)


def inspect(asked: Inspection) -> Inspected:
    """Looks at a sample of the files.

    Raises:
      UsageError: a limit is below 1; or a file is one of a data set, or the one that is to be written.
      JobError: a pattern matches nothing, or a file that is looked at cannot be read.
    """
    limits = asked.limits
    found = input_files.match(asked.inputs)
    input_files.refuse_written("FILES", found, {"--output": asked.output})
    paths = [file.path for file in found.files]
    sample = take(paths, asked.rows, limits)
    made = profiles(sample)
    return Inspected(sample, made, found.notes, see(sample, made, paths, limits) if asked.events else None)


def refuse_output(asked: Inspection) -> None:
    """Refuses a path that already exists, before anybody waits (see `target.refuse_file`)."""
    refuse_file(asked.output, asked.overwrite)


def write(asked: Inspection, made: str) -> None:
    """Writes the draft (see `target.write_file`)."""
    write_file(asked.output, made.encode(), asked.overwrite)
