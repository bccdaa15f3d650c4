"""`seqcols inspect`: files to a table of what is in them and a draft of a columns file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.dataset.target import refuse_file, write_file
from pipeline.errors import UsageError
from pipeline.inputs import match as input_files
from pipeline.inspect import table
from pipeline.inspect.draft import draft
from pipeline.inspect.draft_text import text
from pipeline.inspect.profile import Profile, profiles
from pipeline.inspect.sample import Sample, take
from pipeline.sources.limits import DEFAULTS, INSPECTED_ROWS, Limits


@dataclass(frozen=True)
class Inspection:
    """What is asked for.

    Attributes:
      inputs: files or patterns.
      output: where the draft is to be written, or an empty string.
      overwrite: whether a file that is there may be replaced.
      rows: how many rows are looked at, at most.
      max_record_bytes: see `Limits`.
      max_unpack_ratio: see `Limits`.
    """

    inputs: Sequence[str]
    output: str = ""
    overwrite: bool = False
    rows: int = INSPECTED_ROWS
    max_record_bytes: int = DEFAULTS.max_record_bytes
    max_unpack_ratio: float = DEFAULTS.max_unpack_ratio

    @property
    def limits(self) -> Limits:
        """What is taken of the files at most."""
        try:
            return Limits(max_record_bytes=self.max_record_bytes, max_unpack_ratio=self.max_unpack_ratio)
        except ValueError as error:
            raise UsageError(f"--{str(error).replace('_', '-', 2)}") from None


@dataclass(frozen=True)
class Inspected:
    """What was found.

    Attributes:
      sample: the rows that were looked at.
      profiles: what each feature holds in them.
      notes: what a person should know, a line each.
    """

    sample: Sample
    profiles: list[Profile]
    notes: Sequence[str] = ()

    @property
    def table(self) -> list[str]:
        """The lines for people."""
        return table.lines(self.sample, self.profiles)

    def text(self) -> str:
        """Returns the draft of a columns file.

        Raises:
          JobError: no feature can be a column, or there are too many for a file.
        """
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
    sample = take([file.path for file in found.files], asked.rows, limits)
    return Inspected(sample, profiles(sample), found.notes)


def refuse_output(asked: Inspection) -> None:
    """Refuses a path at which something stands, before anybody waits (see `target.refuse_file`)."""
    refuse_file(asked.output, asked.overwrite)


def write(asked: Inspection, made: str) -> None:
    """Writes the draft (see `target.write_file`)."""
    write_file(asked.output, made.encode(), asked.overwrite)
