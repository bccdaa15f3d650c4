"""Records that were kept (in `rejected/`) read again, each by the source that read it the first time, as the row that it was."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.sources import folders
from pipeline.sources.base import Decoded
from pipeline.sources.formats import SOURCES
from transforms.errors import JobError
from transforms.rows import digests, origin, paths


def _decoded_ipc(records: Sequence[bytes], path: str, features: Mapping[str, str], header: str) -> Decoded:
    """Yields rows of columnar sources, numbered from 0; those of one schema in one batch."""
    found = [_opened(record, path) for record in records]
    groups: dict[str, list[int]] = {}
    for k, batch in enumerate(found):
        groups.setdefault(batch.schema.to_string(), []).append(k)
    for positions in groups.values():
        table = pa.Table.from_batches([found[k] for k in positions]).combine_chunks()
        kinds = {field.name: field.type for field in table.schema}
        found_at = [paths.find(kinds, name) for name in features]
        names = list(dict.fromkeys(path[0] for path in found_at if path))
        columns = [table.column(name).chunk(0) for name in names]
        batch = pa.RecordBatch.from_arrays(columns, names) if names else pa.RecordBatch.from_struct_array(_empty(table))
        kept = pa.array([records[k] for k in positions], pa.large_binary())
        yield origin.with_origin(origin.plain(batch), path, np.array(positions), kept, origin.ARROW_IPC), None


def _empty(table: pa.Table) -> pa.Array:
    return pa.array([{}] * table.num_rows, pa.struct([]))


def _opened(record: bytes, path: str) -> pa.RecordBatch:
    try:
        with pa.ipc.open_stream(record) as stream:
            batch = stream.read_next_batch()
            batch.validate(full=True)
    except (pa.ArrowException, OSError, StopIteration) as error:
        raise JobError(f"a rejected row of {path}: its record is no Arrow IPC stream of one row ({error})") from error
    if batch.num_rows != 1:
        raise JobError(f"a rejected row of {path}: expected a record of one row, got {batch.num_rows}")
    return batch


DECODERS: Final[dict[str, Callable[[Sequence[bytes], str, Mapping[str, str], str], Decoded]]] = {
    **{name: source.decoded for source in SOURCES.values() for name in source.record_formats},
    origin.ARROW_IPC: _decoded_ipc,
}
"""Record format to what decodes it."""

_WITH_SCHEMA: Final = {origin.ARROW_IPC} | {
    name for source in SOURCES.values() if source.has_schema for name in source.record_formats
}


@dataclass(frozen=True)
class KeptRecords:
    """Rows of one file whose records were kept, all of one format.

    Attributes:
      file: the file that they were read from.
      format: the format of their records, one of `DECODERS`.
      header: needed to read the records.
      numbers: int64 `[rows]`, the rows' numbers in the file, ascending.
      digests: uint64 `[rows]`, their digests (see `transforms.rows.digests`).
      records: the records as they are read now: somebody may have mended them.
      originals: large_binary `[rows]`, the records as they were read the first time.
      split: the split that they belonged to then; empty for none.
    """

    file: str
    format: str
    header: str
    numbers: np.ndarray
    digests: pa.Array
    records: Sequence[bytes]
    originals: pa.Array
    split: str = ""

    def decoded(self, features: Mapping[str, str], optional: Collection[str] = ()) -> Decoded:
        """Yields the rows, with the numbers, digests and original records that they had, and what the file's folders say.

        Args:
          features: see `Source.read`.
          optional: those of them that a file need not have.

        Raises:
          JobError: a record is of a format that cannot be read, or does not hold a feature.
        """
        if self.format not in DECODERS:
            known = ", ".join(DECODERS)
            raise JobError(f"rejected rows of {self.file}: expected records of the format {known}, got {self.format!r}")
        said = {name: value for name, value in folders.features_of(self.file).items() if name in features}
        for good, rejected in DECODERS[self.format](self.records, self.file, features, self.header):
            by_row = self.format not in _WITH_SCHEMA
            for batch in folders.completed(good, said, by_row) if good is not None else ():
                self._refuse_unread(batch, [name for name in features if name not in optional])
                yield self._as_read(batch), None
            if rejected is not None:
                yield None, self._as_rejected(rejected)

    def _refuse_unread(self, batch: pa.RecordBatch, features: Sequence[str]) -> None:
        kinds = {field.name: field.type for field in batch.schema}
        absent = [name for name in features if paths.find(kinds, name) is None]
        if absent and self.format == origin.ARROW_IPC:  # which holds what the run has read of the row
            what = f"its record does not hold the feature {absent[0]!r}, which the run did not read"
            raise JobError(f"a rejected row of {self.file}: {what}: run the job again")

    def _as_read(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        at = origin.row_numbers(batch)
        names = [name for name in batch.schema.names if name not in origin.RESERVED]
        bare = (
            batch.select(names) if names else pa.RecordBatch.from_struct_array(pa.array([{}] * len(at), pa.struct([])))
        )
        own = self.originals.take(pa.array(at))
        made = origin.with_origin(bare, self.file, self.numbers[at], own, self.format, self.header)
        return digests.with_digests(made, self.digests.take(pa.array(at)))

    def _as_rejected(self, rejected: pa.RecordBatch) -> pa.RecordBatch:
        at = rejected.column("row").to_numpy()
        columns = {name: rejected.column(name) for name in rejected.schema.names}
        columns["row"] = pa.array(self.numbers[at])
        columns["digest"] = self.digests.take(pa.array(at))
        columns["record"] = self.originals.take(pa.array(at)).cast(pa.binary())
        columns["record_format"] = pa.array([self.format] * len(at), pa.string())
        columns["header"] = pa.array([self.header] * len(at), pa.string())
        return pa.RecordBatch.from_pydict(columns, schema=rejected.schema)
