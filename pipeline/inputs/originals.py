"""Original records of rejected rows in a file of their own format, for people to mend; a file beside it keeps their places.

A row of a Parquet or Avro file is kept as an Arrow row, and goes into a Parquet file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.target import refuse_file, write_file
from pipeline.sources.base import Read
from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import WIDEST
from pipeline.sources.parquet import opened
from transforms.errors import JobError, listed
from transforms.rows import origin

PLACES: Final = pa.schema([("file", pa.string()), ("row", pa.int64())])

_HEADER: Final = b"seqcols.header"
"""In the metadata of a file of places: the first line of the file of records, if its format has one."""


def places_file(path: str) -> str:
    """Returns the file with the places of the records in a file."""
    return f"{path}.places.parquet"


def has_places(path: str) -> bool:
    """Returns whether a file has original records, whose places stand beside it."""
    return "://" not in path and os.path.isfile(places_file(path))


def endings(record_format: str) -> tuple[str, ...]:
    """Returns what the name of a file of such records ends in.

    >>> endings("csv"), endings("tf.SequenceExample")
    (('.csv',), ('.tfrecord', '.tfrecords'))
    """
    if record_format == origin.ARROW_IPC:
        return SOURCES["parquet"].suffixes
    suffixes = next((one.suffixes for one in SOURCES.values() if record_format in one.record_formats), ())
    return (f".{record_format}",) if f".{record_format}" in suffixes else suffixes


def opened_ipc(record: bytes, path: str) -> pa.RecordBatch:
    """Returns the row that the record of a columnar source holds.

    Raises:
      JobError: it holds none.
    """
    try:
        with pa.ipc.open_stream(record) as stream:
            batch = stream.read_next_batch()
            batch.validate(full=True)
    except (pa.ArrowException, OSError, StopIteration) as error:
        raise JobError(f"a rejected row of {path}: its record is no Arrow IPC stream of one row ({error})") from error
    if batch.num_rows != 1:
        raise JobError(f"a rejected row of {path}: expected a record of one row, got {batch.num_rows}")
    return batch


def write(path: str, rejected: pa.Table, overwrite: bool) -> dict[str, int]:
    """Writes the records of rejected rows, all of the format that the name of a file says, and their places beside it.

    Rows of CSV files with another header, or of Parquet files with other types, go to a file of their own: `mended-2.csv`.

    Args:
      path: the file, on this machine.
      rejected: the rows, in `rejection.SCHEMA` or some of its columns.
      overwrite: whether files that are there may be replaced.

    Returns:
      The files that were written, each with its number of records.

    Raises:
      UsageError: one is there already.
      JobError: a record cannot be read.
    """
    kinds = _kinds(rejected)
    stem, ending = os.path.splitext(path)
    parts = {}
    for number, kind in enumerate(dict.fromkeys(kinds), 1):
        own = path if number == 1 else f"{stem}-{number}{ending}"
        parts[own] = rejected.filter(pa.array([one == kind for one in kinds]))
        refuse_file(own, overwrite)
        refuse_file(places_file(own), overwrite)
    for own, rows in parts.items():
        header = rows["header"][0].as_py() or ""
        places = rows.select(PLACES.names).cast(PLACES.with_metadata({_HEADER: header.encode()}))
        write_file(own, _content(rows, header), overwrite)
        write_file(places_file(own), _parquet(places), overwrite)
    return {own: len(rows) for own, rows in parts.items()}


def _kinds(rejected: pa.Table) -> list[str]:
    """Returns what rows of one file have in common: their header, or the types of their columns."""
    columns = (rejected[name].to_pylist() for name in ("record_format", "header", "record"))
    return [
        opened_ipc(record, "").schema.to_string() if record_format == origin.ARROW_IPC else header or ""
        for record_format, header, record in zip(*columns, strict=True)
    ]


def _content(rows: pa.Table, header: str) -> bytes:
    records, record_format = rows["record"].to_pylist(), rows["record_format"][0].as_py()
    if record_format == origin.ARROW_IPC:
        return _parquet(pa.Table.from_batches([opened_ipc(record, "") for record in records]))
    source = next(one for one in SOURCES.values() if record_format in one.record_formats)
    return (header.encode() + b"\n" if header else b"") + source.as_written(records)


def _parquet(table: pa.Table) -> bytes:
    out = pa.BufferOutputStream()
    pq.write_table(table, out)
    return out.getvalue().to_pybytes()


def read(path: str) -> Iterator[pa.RecordBatch]:
    """Yields records that somebody has mended, with their places: the columns `file`, `row` and `record`.

    Args:
      path: the file, as `write` has named it.

    Raises:
      JobError: it cannot be read, or has more or fewer records than places, or another header. Whether the order has changed,
        nobody can tell from mended records.
    """
    beside = places_file(path)
    with opened(beside) as file:
        places = file.read()
    if places.schema.names != PLACES.names:
        raise JobError(f"{beside}: expected the columns 'file' and 'row', got {listed(places.schema.names)}")
    source = next((one for one in SOURCES.values() if path.endswith(one.suffixes)), None)
    if source is None:
        raise JobError(f"{path}: its name does not say its format: expected the one that seqcols rejects gave it")
    features = dict.fromkeys([] if source.record_formats else source.features(path, WIDEST), "string")
    header = (places.schema.metadata or {}).get(_HEADER, b"")
    found, rows = [], 0
    for part in source.parts(path):
        for step in source.read(part, features, WIDEST):
            rows += step.rows
            for numbers, records, now in _records(step):
                if now != header:
                    raise JobError(f"{path}: expected the header {header.decode()!r}, as it was, got {now.decode()!r}")
                found.append(pa.table({"at": numbers, "record": records}))
    if rows != len(places):
        what = f"has {rows:,} rows, expected the {len(places):,} of {beside}, in their order"
        raise JobError(f"{path}: {what}; those that cannot be mended may stay as they are")
    if rows:
        records = pa.concat_tables(found).sort_by("at")["record"]
        yield from places.append_column("record", records).combine_chunks().to_batches()


def _records(step: Read) -> Iterator[tuple[pa.Array, pa.Array, bytes]]:
    """Yields numbers and records of the rows that were read, and the header that was."""
    if step.batch is not None and step.batch.num_rows:
        numbers = origin.row_numbers(step.batch)
        _, records = origin.encode_records(step.batch, np.arange(len(numbers)))
        yield pa.array(numbers), records, (step.batch.schema.metadata or {}).get(origin.HEADER_KEY, b"")
    if step.rejected is not None and step.rejected.num_rows:
        yield (
            step.rejected.column("row"),
            step.rejected.column("record"),
            step.rejected.column("header")[0].as_py().encode(),
        )
