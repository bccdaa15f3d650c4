"""Dense batches as they are, in files of the staging folder, until it is known how many rows are to be divided (`--shards`).

A file is TFRecord, for the checksums of its framing. A record is a batch with the origin of its rows, as an Arrow IPC stream.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import pyarrow as pa

from pipeline.sinks.base import OutputFile, Writer, Written
from pipeline.sources.base import broken, open_input
from pipeline.sources.compression import Blocks
from pipeline.sources.limits import WIDEST
from pipeline.sources.tfrecord import framing
from transforms.rows import origin

SUFFIX: Final = ".batches"

STAGED_BYTES: Final = 64 << 20
"""A file is closed past this many bytes, as rows from its middle are reached through all before them."""

_LIMITS: Final = replace(WIDEST, max_record_bytes=sys.maxsize)

_PACKED: Final = pa.ipc.IpcWriteOptions(compression="lz4")  # padding takes next to nothing


class StagedWriter(Writer):
    """Writes batches with their origin and digests, without the original records."""

    def __init__(self, file: OutputFile):
        self._file, self._rows = file, 0

    def write(self, batch: pa.RecordBatch) -> int:
        """See the base class; any columns do."""
        kept = batch.select([name for name in batch.schema.names if name != origin.RECORD_COLUMN])
        out = pa.BufferOutputStream()
        with pa.ipc.new_stream(out, kept.schema, options=_PACKED) as writer:
            writer.write_batch(kept)
        self._file.write(framing.framed([out.getvalue().to_pybytes()]))
        self._rows += batch.num_rows
        return batch.num_rows

    def reaches(self, size: int) -> bool:
        """See the base class."""
        return self._file.bytes >= size

    def close(self) -> Written:
        """See the base class."""
        self._file.close()
        return self._file.written(self._rows)

    def abort(self) -> None:
        """See the base class."""
        self._file.abort()


def read(path: str, start: int, stop: int) -> Iterator[pa.RecordBatch]:
    """Yields rows of a file, from one number to another, in the batches that they were written in.

    Raises:
      JobError: the file cannot be opened, is damaged, or ends before these rows do.
    """
    at = 0
    with open_input(path) as handle:
        for record in framing.records(Blocks(handle, path).readinto, path, _LIMITS):
            with pa.ipc.open_stream(record) as stream:
                batch = stream.read_next_batch()
            first, at = at, at + batch.num_rows
            if at > start:
                low = max(start, first)
                yield batch.slice(low - first, min(stop, at) - low)
            if at >= stop:
                return
    raise broken(path, f"ends after {at:,} rows, before the row {stop - 1:,}")
