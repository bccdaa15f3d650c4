"""Columns as the bytes that they are, those of a partition side by side: how they lie in a file, and memory to read them to."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.shuffle.blocks import Shares
from transforms.events.trim import Trimmed
from transforms.rows.fields import is_text, text_buffers
from transforms.rows.ragged import splits_of


@dataclass(frozen=True)
class StoredDeal:
    """Where events that were dealt are in a file.

    Of each partition there are, for each column, the bytes of its flags (one a value, 0 for null), if it has nulls; of its
    values, of texts their lengths as int64; and of its text.

    Attributes:
      at: where the first partition begins.
      begins: uint32 `[partitions + 1]`, the first event of each partition, and the end of the last.
      nulls: by column, whether it has any.
      texts: by column, int64 `[partitions + 1]`, the bytes of text before each partition, and in all; None where it has none.
      files: the file of each run of the events as they came; one may have several.
      shares: how many events of each partition each run has.
      trimmed: events that were dropped before, by partition.
    """

    at: int
    begins: np.ndarray
    nulls: Sequence[bool]
    texts: Sequence[np.ndarray | None]
    files: Sequence[str]
    shares: Shares
    trimmed: dict[int, Trimmed]

    def rows(self, partition: int) -> int:
        """Returns how many events of a partition there are."""
        return int(self.begins[partition + 1]) - int(self.begins[partition])

    def text(self, column: int, partition: int) -> int:
        """Returns how many bytes of text a column has in a partition."""
        ends = self.texts[column]
        return 0 if ends is None else int(ends[partition + 1] - ends[partition])

    def place(self, partition: int, widths: Sequence[int]) -> int:
        """Returns where a partition begins, which is where the one before it ends; `widths` are those of the columns."""
        texts = sum(int(ends[partition]) for ends in self.texts if ends is not None)
        return self.at + int(self.begins[partition]) * (sum(widths) + sum(self.nulls)) + texts


def width_of(kind: pa.DataType) -> int:
    """Returns the bytes of a value, apart from its text."""
    if is_text(kind):
        return 8
    return 0 if pa.types.is_null(kind) else max(1, kind.bit_width // 8)


class StoredColumn(NamedTuple):
    """A column as it is stored: its buffers, each in a piece a partition, and what `StoredDeal` says of it."""

    buffers: list[list[memoryview]]
    has_nulls: bool
    texts: np.ndarray | None = None


def stored(array: pa.Array, begins: np.ndarray) -> StoredColumn:
    """Returns a plain column as it is stored; `begins` are those of the partitions, as in `StoredDeal`."""
    kind, has_nulls = array.type, array.null_count > 0
    if pa.types.is_null(kind):
        return StoredColumn([], False)
    flags = [_cut(pc.is_valid(array).cast(pa.uint8()).buffers()[1], begins)] if has_nulls else []
    if is_text(kind):
        offsets, text = text_buffers(array)
        ends = offsets[begins] - offsets[0]
        lengths = np.diff(offsets).view(np.uint8)
        buffers = [_cut(lengths, begins * width_of(kind)), _cut(text[offsets[0] : offsets[-1]], ends)]
        return StoredColumn([*flags, *buffers], has_nulls, ends)
    values = array.cast(pa.uint8()) if pa.types.is_boolean(kind) else array
    return StoredColumn([*flags, _cut(values.buffers()[1], begins * width_of(kind))], has_nulls)


def _cut(buffer: Any, ends: np.ndarray) -> list[memoryview]:
    data = memoryview(buffer)
    return [data[begin:end] for begin, end in itertools.pairwise(ends.tolist())]


class Room:
    """Memory for a column of a partition, which is read piece by piece.

    Args:
      kind: its type.
      rows: how many values it has.
      has_nulls: whether any is null.
      text: bytes of its text.

    Attributes:
      width: bytes of a value.
    """

    def __init__(self, kind: pa.DataType, rows: int, has_nulls: bool, text: int):
        self._kind, self._rows, self.width = kind, rows, width_of(kind)
        self._values, self._text = np.empty(rows * self.width, np.uint8), np.empty(text, np.uint8)
        self._flags = np.ones(rows if has_nulls else 0, np.uint8)
        self._row = self._byte = 0

    def pieces(self, deal: StoredDeal, column: int, partition: int) -> Iterator[memoryview]:
        """Yields the memory for the values that are stored next, in the order in which they are."""
        begin, self._row = self._row, self._row + deal.rows(partition)
        if deal.nulls[column]:
            yield self._flags.data[begin : self._row]
        yield self._values.data[begin * self.width : self._row * self.width]
        if deal.texts[column] is not None:
            start, self._byte = self._byte, self._byte + deal.text(column, partition)
            yield self._text.data[start : self._byte]

    def array(self) -> pa.Array:
        """Returns the column."""
        if not self.width:
            return pa.nulls(self._rows, self._kind)
        flags = pa.py_buffer(np.packbits(self._flags, bitorder="little")) if len(self._flags) else None
        if is_text(self._kind):
            offsets = pa.py_buffer(splits_of(self._values.view(np.int64)))
            return pa.Array.from_buffers(self._kind, self._rows, [flags, offsets, pa.py_buffer(self._text)])
        kind = pa.uint8() if pa.types.is_boolean(self._kind) else self._kind
        return pa.Array.from_buffers(kind, self._rows, [flags, pa.py_buffer(self._values)]).cast(self._kind)
