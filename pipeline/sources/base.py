"""The interface of a source: a file is split, and a split becomes bounded batches that know their origin.

A source is one file beside this one and one line in `pipeline.sources.formats.SOURCES`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, ClassVar, Final

import pyarrow as pa

from pipeline.sources.limits import DEFAULTS, Limits
from pipeline.sources.packings import bare_name
from transforms.errors import JobError

UNPACKED: Final = 10
"""How many times its size a packed file is taken to unpack to."""

UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")
"""The first bytes of text in UTF-16, as Windows writes it; no text in UTF-8 begins so."""


@dataclass(frozen=True)
class FilePart:
    """A unit of work: a file, or a part of one.

    Attributes:
      path: the file.
      part: number of the part (Parquet: the row group), or -1 for the whole file.
      first_row: number of its first row in the file.
      size: bytes of the file that it covers, for progress.
    """

    path: str
    part: int = -1
    first_row: int = 0
    size: int = 0


@dataclass(frozen=True)
class Read:
    """One step of reading a split.

    Attributes:
      batch: decoded rows with their origin (see `transforms.rows.origin`), in the order of the file; or None.
      rejected: rows that could not be decoded at all, in `transforms.rows.rejection.SCHEMA`; or None.
      size: about how many bytes of the file this step read; over a split they add up to its size.
    """

    batch: pa.RecordBatch | None
    rejected: pa.RecordBatch | None
    size: int

    @property
    def rows(self) -> int:
        """The number of rows that this step read, good and rejected ones."""
        return sum(part.num_rows for part in (self.batch, self.rejected) if part is not None)


Decoded = Iterator[tuple[pa.RecordBatch | None, pa.RecordBatch | None]]
"""Good rows with their origin, and rejected rows, in pairs; None for none."""


class Source(ABC):
    """A file format that rows are read from. Instances are immutable and can be pickled.

    Attributes:
      suffixes: endings of file names of this format, in lower case, without those of `packings.PACKINGS`.
      magic: the first bytes of every file, unpacked; empty if files cannot be recognised by them.
      record_formats: names of the formats of records that `decoded` takes; none for a columnar source, whose record is the row.
    """

    suffixes: ClassVar[tuple[str, ...]] = ()
    magic: ClassVar[bytes] = b""
    record_formats: ClassVar[tuple[str, ...]] = ()

    @property
    def packed(self) -> bool:
        """Whether files may be packed as a whole."""
        return True

    @property
    def has_schema(self) -> bool:
        """Whether a file says once what all its rows hold, so that a missing column is a mistake."""
        return False

    @abstractmethod
    def parts(self, path: str) -> list[FilePart]:
        """Returns the parts of a file that can be read by themselves, in its order (none: it has no rows).

        Raises:
          JobError: the file is missing or broken.
        """

    @abstractmethod
    def read(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """Reads a split. What a row becomes depends on that row alone, never on its neighbours.

        Args:
          split: one of `parts`.
          features: feature key to the carrier (`int64`, `float32` or `string`) that is expected. The carrier
            is a first guess that only speed depends on: values come in the type that they have in the file. Others
            need not be read.
          limits: the largest records and files to accept.

        Raises:
          BrokenFile: the file is broken. Rows before the damage may have been read by then.
          JobError: the file is not, but a feature asked for cannot be read.
        """

    def screen(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[tuple[int, int]]:
        """Reads a split only to see whether `read` could, to its end; arguments as there.

        Yields:
          How many rows a step read, and about how many bytes of the file, as `Read.size`.

        Raises:
          BrokenFile: the file is broken.
          JobError: the file is not, but a feature asked for cannot be read.
        """
        for read in self.read(split, features, limits):
            yield read.rows, read.size

    def decoded(self, records: Sequence[bytes], path: str, features: Mapping[str, str], header: str) -> Decoded:
        """Decodes the records of rejected rows, each as the row that it was, numbered from 0.

        Args:
          records: the records, of one of `record_formats`.
          path: the file that they came from.
          features: see `read`.
          header: the header that they need to be read again, from their origin.
        """
        raise NotImplementedError

    def unpacked_bytes(self, path: str, size: int, features: Collection[str], limits: Limits = DEFAULTS) -> int:
        """Returns about how many bytes some features of a file are in memory; no row is read.

        Args:
          path: the file.
          size: how many bytes it has.
          features: those that count, where a file can tell; else it is the whole file.
          limits: see `read`.

        Raises:
          JobError: the file is missing or broken.
        """
        return size * UNPACKED if bare_name(path) != path.lower() else size

    def as_written(self, records: Sequence[bytes]) -> bytes:
        """Returns records as they stand in a file, one after the other, of one of `record_formats`: what `decoded` takes.

        The header, where the format has one, is a line before them.
        """
        raise NotImplementedError

    def has_rows(self, path: str, limits: Limits = DEFAULTS) -> bool:
        """Returns whether a file has rows. Of an empty shard it is no matter what its schema says.

        Raises:
          JobError: the file is missing or broken.
        """
        return any(read.rows for split in self.parts(path) for read in self.read(split, {}, limits))

    @abstractmethod
    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """Returns the features of a file, name to Arrow type, as far as its first `sample` rows tell.

        Raises:
          JobError: the file is missing, broken, or of a kind that cannot be read.
        """


def open_input(path: str) -> BinaryIO:
    """Opens a file of any Beam file system to be read byte for byte.

    Raises:
      JobError: it cannot be opened.
    """
    # Beam takes 2 s to import, and the table of sources is looked at before any file is.
    from apache_beam.io.filesystem import CompressionTypes
    from apache_beam.io.filesystems import FileSystems

    try:
        return FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED)
    except (OSError, ValueError) as error:
        raise broken(path, "cannot be opened", error) from error


def size_of(path: str) -> int:
    """Returns the size of a file in bytes.

    Raises:
      JobError: there is no such file.
    """
    from apache_beam.io.filesystems import FileSystems

    try:
        # Not FileSystems.match: it would take a path with brackets for a pattern.
        return int(FileSystems.get_filesystem(path).size(path))
    except (OSError, ValueError) as error:
        raise broken(path, "cannot be read", error) from error


def refuse_utf16(head: bytes, path: str) -> None:
    """Refuses text in UTF-16 by its first bytes.

    Raises:
      JobError: it is.
    """
    if head.startswith(UTF_16):
        raise JobError(f"{path}: UTF-16 text, expected UTF-8")


class BrokenFile(JobError):
    """A file that cannot be read, or not to its end."""


def broken(where: str, what: str, error: BaseException | None = None) -> BrokenFile:
    """Returns the error of a broken file, on one line."""
    why = f" ({' '.join(str(error).split())[:300]})" if error is not None and str(error) else ""
    return BrokenFile(f"{where}: {what}{why}")
