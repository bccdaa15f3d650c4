"""The interface of a sink: dense batches written, read back and verified; and the file underneath, counted and hashed.

A sink is one file beside this one and one line in `pipeline.sinks.formats.SINKS`.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import BinaryIO, ClassVar, Final

import pyarrow as pa

from pipeline.sinks.contents import Contents, Tell, hashed
from pipeline.sources.base import open_input
from pipeline.sources.compression import Blocks
from transforms.columns.results import Output
from transforms.errors import JobError
from transforms.rows.ragged import unwrapped
from transforms.spec.parse_specs import known_shape
from transforms.stored import trees


@dataclass(frozen=True)
class Written:
    """A finished file: its path, rows, size in bytes and SHA-256 as hexadecimal text."""

    path: str
    rows: int
    bytes: int
    sha256: str


class Writer(ABC):
    """Writes one file. Either `close` or `abort` ends it."""

    @abstractmethod
    def write(self, batch: pa.RecordBatch) -> int:
        """Writes a dense batch and returns its number of rows.

        Args:
          batch: a column for each output, in any order; others are left out. Without a shape: int64, float32,
            text or bytes. With one: a fixed-size list of `prod(shape)` int64, float32 or bool values. No
            nulls.

        Raises:
          JobError: the file cannot be written.
          ValueError: a column is not what its output declares.
        """

    @abstractmethod
    def reaches(self, size: int) -> bool:
        """Returns whether the file has at least this many bytes; what is held back may be written to find out.

        Raises:
          JobError: the file cannot be written.
        """

    @abstractmethod
    def close(self) -> Written:
        """Finishes the file, on the disk itself where there is one.

        Raises:
          JobError: the file cannot be written.
        """

    @abstractmethod
    def abort(self) -> None:
        """Drops the file: closes and deletes it. Never raises."""


class Sink(ABC):
    """A file format that dense data are written in. Instances are immutable and can be pickled.

    Attributes:
      source: name of the source that reads such a file as rows like any others.
      keeps_float64: whether a float64 is written as it is; else as float32.
      has_lists: whether the steps of a sequence stand in a feature list of a tf.SequenceExample.
      times_read: how many times `examine` reads a file.
    """

    source: ClassVar[str]
    keeps_float64: ClassVar[bool] = False
    has_lists: ClassVar[bool] = False
    times_read: ClassVar[int] = 1

    @property
    @abstractmethod
    def name(self) -> str:
        """Name in `SINKS`."""

    @property
    def suffix(self) -> str:
        """Ending of the files' names."""
        return f".{self.name}"

    @abstractmethod
    def open(self, path: str, outputs: Sequence[Output]) -> Writer:
        """Creates a file for the outputs, whose shapes are known by now.

        Raises:
          JobError: the file cannot be created.
          ValueError: an output cannot be written in this format.
        """

    @property
    def compression_type(self) -> str | None:
        """The `compression_type` for TensorFlow's own reader of TFRecords; None if it cannot read such a file."""
        return None

    @abstractmethod
    def columns(
        self, path: str, outputs: Sequence[Output], start: int, stop: int | None
    ) -> Iterator[tuple[Mapping[str, pa.Array], int]]:
        """Reads rows back, every checksum on the way verified.

        Args:
          path: the file, of any Beam file system.
          outputs: the features to read; others are skipped.
          start: the first row.
          stop: the row after the last; None to read to the end of the file, and look at that.

        Yields:
          Columns by name, as lists of any type where an output has a shape, and how many rows they have: in bounded batches.

        Raises:
          JobError: the file cannot be opened, is damaged, or does not have a feature.
        """

    def examine(self, path: str, outputs: Sequence[Output], tell: Tell) -> Contents:
        """Reads a file to its end, every checksum in it included.

        Args:
          path: the file.
          outputs: the features that it should have.
          tell: is called with the progress.

        Raises:
          JobError: the file cannot be opened.
        """
        found = Contents()
        blocks = hashed(Blocks(open_input(path), path), found, tell)
        try:
            self.look_through(path, blocks, outputs, found, tell)
        except JobError as error:
            found.faults.append(str(error).removeprefix(f"{path}: "))
        for _ in blocks:  # what comes after damage counts for the SHA-256
            pass
        found.faults += found.features.values()
        return found

    @abstractmethod
    def look_through(
        self, path: str, blocks: Iterator[bytes], outputs: Sequence[Output], found: Contents, tell: Tell
    ) -> None:
        """Counts the rows of a file, and finds the features that are not as the outputs say.

        Args:
          path: the file.
          blocks: its bytes.
          outputs: the features that it should have.
          found: its rows and features are filled in.
          tell: is called with the number of bytes that were read in addition to `blocks`.

        Raises:
          JobError: it is damaged.
        """


KEPT_BYTES: Final = 64 << 20
"""The bytes at the start of a file that stay in the page cache for its next reader."""

STRIDE: Final = 8 << 20
"""The bytes after these that are sent to the disk at once, and dropped when `_BEHIND` times as many follow."""

_BEHIND: Final = 8


class OutputFile:
    """A file on any Beam file system that counts and hashes what is written to it.

    Attributes:
      path: the file.
      bytes: how many were written.
      closed: whether it takes no more.
    """

    def __init__(self, path: str):
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

        self.path = path
        self.bytes = 0
        self.closed = False
        self._hash = hashlib.sha256()
        self._dropped = False
        self._sent = KEPT_BYTES
        try:
            self._handle = FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED)
        except OSError as error:
            raise self._error(error) from error
        self._number = _file_number(self._handle) if hasattr(os, "posix_fadvise") else None

    def write(self, data: bytes | memoryview) -> int:
        """Appends bytes and returns how many."""
        if self._dropped:  # what a library still wants to write when it is told to close
            return len(data)
        try:
            self._handle.write(data)
        except OSError as error:
            raise self._error(error) from error
        self._hash.update(data)
        self.bytes += len(data)
        if self._number is not None and self.bytes - self._sent >= STRIDE:
            self._send(self._number)
        return len(data)

    def _send(self, number: int) -> None:
        """Lets the disk begin with what was written, and the page cache drop what the disk has.

        A data set larger than the memory else pushes everything out of the cache, and every page that is new to a virtual machine
        costs more than what is written to it: 3 s for a gigabyte were seen. Nobody waits for the disk here: what it has
        not got to stays.
        """
        while self.bytes - self._sent >= STRIDE:
            for at in (self._sent, self._sent - _BEHIND * STRIDE):
                if at >= KEPT_BYTES:
                    with contextlib.suppress(OSError):  # advice; not every file system takes it
                        os.posix_fadvise(number, at, STRIDE, os.POSIX_FADV_DONTNEED)
            self._sent += STRIDE

    def flush(self) -> None:
        """Does nothing: `close` flushes."""

    def close(self) -> None:
        """Closes the file; a local one is on the disk afterwards."""
        if self.closed:
            return
        self.closed = True
        try:
            self._handle.flush()
            number = _file_number(self._handle)
            if number is not None:
                os.fsync(number)
            self._handle.close()
        except OSError as error:
            raise self._error(error) from error

    def abort(self) -> None:
        """Closes and deletes the file, and takes whatever else is written without a word."""
        self.closed = self._dropped = True
        with contextlib.suppress(OSError, ValueError):
            self._handle.close()
        with contextlib.suppress(OSError, ValueError):
            trees.delete(self.path)

    def written(self, rows: int) -> Written:
        """Returns the record of the file, closed."""
        return Written(self.path, rows, self.bytes, self._hash.hexdigest())

    def _error(self, error: OSError) -> JobError:
        return JobError(f"{self.path}: cannot be written ({' '.join(str(error).split())})")


def _file_number(handle: BinaryIO) -> int | None:
    try:
        return handle.fileno()
    except (AttributeError, OSError):  # not a file of this machine
        return None


def flat_values(batch: pa.RecordBatch, output: Output) -> pa.Array:
    """Returns the values of a column, row after row, `rows * prod(shape)` of them. Copies nothing.

    Raises:
      ValueError: the column is missing, has nulls, or a number of values that its output does not declare.
    """
    index = batch.schema.get_field_index(output.name)  # the list of all names is built on every access
    if index < 0:
        raise ValueError(f"output {output.name!r}: expected a column in the batch, got {batch.schema.names!r}")
    column = unwrapped(batch.column(index))
    values = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
    expected = batch.num_rows * prod(known_shape(output))
    if column.null_count or values.null_count or len(values) != expected:
        nulls = column.null_count + values.null_count
        raise ValueError(f"output {output.name!r}: expected {expected} values, got {len(values)} with {nulls} nulls")
    return values
