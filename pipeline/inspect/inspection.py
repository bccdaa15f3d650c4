"""`seqcols inspect`: files to a table of what is in them and a draft of a columns file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from pipeline.columns_file.reader import loads
from pipeline.dataset.target import refuse_file, write_file
from pipeline.errors import UsageError
from pipeline.inputs import event_fields
from pipeline.inputs import match as input_files
from pipeline.inspect import table
from pipeline.inspect.draft import draft
from pipeline.inspect.draft_text import of_sample, text
from pipeline.inspect.events.seen import SeenEvents, see
from pipeline.inspect.memory_rows import MemoryRows, Rows
from pipeline.inspect.profile import Profile, profiles
from pipeline.inspect.sample import Sample, take
from pipeline.sources.limits import DEFAULTS, INSPECTED_ROWS, Limits
from transforms.errors import listed

if TYPE_CHECKING:
    from transforms.spec.spec import Spec


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


@dataclass(frozen=True, repr=False)
class Inspected:
    """The result of an inspection; `print` shows the draft of a columns file.

    Attributes:
      sample: the rows that were looked at.
      profiles: the profile of each feature in these rows.
      notes: remarks for the reader, one line each.
      seen: the events that the rows are; None where they are none.
    """

    sample: Sample
    profiles: list[Profile]
    notes: Sequence[str] = ()
    seen: SeenEvents | None = None

    @property
    def table(self) -> list[str]:
        """The lines for people."""
        return table.lines(self.sample, self.profiles, self.seen)

    @cached_property
    def yaml(self) -> str:
        """The draft of a columns file: see `text`, which it is the result of."""
        return self.text()

    @cached_property
    def spec(self) -> Spec:
        """The columns of the draft, as `load` returns them from the file."""
        return loads(self.yaml)

    def __str__(self) -> str:
        """The draft."""
        return self.yaml

    def __repr__(self) -> str:
        """The rows that were looked at, and what they hold."""
        return f"Inspected({of_sample(self.sample)}; {listed([profile.name for profile in self.profiles])})"

    def text(self) -> str:
        """Returns the draft of a columns file.

        Raises:
          JobError: no feature can be a column, or there are too many for a file.
        """
        if self.seen is not None:
            return text(self.seen.draft, self.seen.sample, self.seen)
        return text(draft(self.sample, self.profiles), self.sample)


def inspect(
    data: Rows | str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    rows: int = INSPECTED_ROWS,
    events: bool = True,
) -> Inspected:
    """Looks at a sample of files or of rows in memory, and drafts a columns file: what `seqcols inspect` does, by the same code.

    >>> import pyarrow as pa
    >>> found = inspect(pa.table({"videos": [[12, 7, 31], [31, 12]]}))
    >>> found
    Inspected(2 rows, all rows of a frame; videos)
    >>> found.spec.columns
    [sequence_categorical_column_with_identity('videos', num_buckets=32, group='videos')]

    Args:
      data: a file, a folder or a pattern, or several; or rows: a frame of pandas, Polars or Arrow, or dicts.
      rows: the largest number of rows to look at. Of more rows in memory, runs that lie evenly among all are looked at.
      events: whether rows may be events, so that the draft has a section `events:`; otherwise each is an example
        (`--no-events`).

    Returns:
      `print` shows the draft, `.yaml` is its text, `.spec` its columns, `.table` lines that say what each feature holds.

    Raises:
      UsageError: `rows` is no integer of 1 or more, or a file is one of a data set.
      JobError: a pattern matches nothing, or a file that is looked at cannot be read.
      TypeError, ValueError: the data are neither files nor rows.
    """
    if isinstance(rows, bool) or not isinstance(rows, int) or rows < 1:
        raise UsageError(f"rows: expected an integer of 1 or more, got {rows!r}")
    files = [data] if isinstance(data, str | os.PathLike) else data
    if isinstance(files, list | tuple) and files and all(isinstance(one, str | os.PathLike) for one in files):
        return inspect_files(Inspection(list(map(os.fspath, files)), rows=rows, events=events))
    return inspect_rows(data, Inspection([], rows=rows, events=events))  # type: ignore[arg-type]


def inspect_files(asked: Inspection) -> Inspected:
    """Looks at a sample of the files.

    Raises:
      UsageError: a limit is below 1; or a file is one of a data set, or the one that is to be written.
      JobError: a pattern matches nothing, or a file that is looked at cannot be read.
    """
    limits = asked.limits
    found = input_files.match(asked.inputs)
    input_files.refuse_written("FILES", found, {"--output": asked.output})
    paths = [file.path for file in found.files]
    return _inspected(
        lambda rows: take(paths, rows, limits),
        lambda sample: event_fields.held(paths, limits, sample.schemas),
        asked,
        found.notes,
    )


def inspect_rows(data: Rows, asked: Inspection) -> Inspected:
    """Looks at a sample of rows in memory.

    Raises:
      TypeError, ValueError: the data are no rows.
    """
    found = MemoryRows(data)
    return _inspected(found.take, found.held, asked)


def _inspected(
    taken: Callable[[int], Sample],
    held: Callable[[Sample], event_fields.Held],
    asked: Inspection,
    notes: Sequence[str] = (),
) -> Inspected:
    sample = taken(asked.rows)
    made = profiles(sample)
    return Inspected(sample, made, notes, see(sample, made, held, taken, asked.limits) if asked.events else None)


def refuse_output(asked: Inspection) -> None:
    """Refuses a path that already exists, before anybody waits (see `target.refuse_file`)."""
    refuse_file(asked.output, asked.overwrite)


def write(asked: Inspection, made: str) -> None:
    """Writes the draft (see `target.write_file`)."""
    write_file(asked.output, made.encode(), asked.overwrite)
