"""The origin of the rows of a batch: file, row number and original record travel with the values.

A batch is an Arrow RecordBatch. Beside its own columns it may carry
- the file name, in the schema's metadata under `FILE_KEY`; and what its records need to be read again (the header of a CSV
  file) under `HEADER_KEY`; and the split of all its rows under `SPLIT_KEY`;
- `ROW_COLUMN`, int64: the row's number in its file, from 0;
- `RECORD_COLUMN`: the original record. Binary: the record's own bytes (TFRecord). Struct: the original columns;
- `DIGEST_COLUMN`, uint64: the row's digest, in the job (see `transforms.rows.digests`).
A batch without them is somebody's own: rows count from 0 and the record is built from the columns.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.rows.marks import unreadable
from transforms.rows.numbers import arrow_of, numbers_of
from transforms.rows.ragged import Ragged, bare_type, is_list

FILE_KEY: Final = b"seqcols.file"
FORMAT_KEY: Final = b"seqcols.record_format"
HEADER_KEY: Final = b"seqcols.record_header"
SPLIT_KEY: Final = b"seqcols.split"
ROW_COLUMN: Final = "__row__"
RECORD_COLUMN: Final = "__record__"
DIGEST_COLUMN: Final = "__digest__"
RESERVED: Final = (ROW_COLUMN, RECORD_COLUMN, DIGEST_COLUMN)

ARROW_IPC: Final = "arrow-ipc"
"""Record format of a row of a columnar source: an Arrow IPC stream of one row, values and types exact."""


def with_origin(
    batch: pa.RecordBatch,
    file: str,
    first_row: int | np.ndarray,
    records: pa.Array | None = None,
    record_format: str = "",
    header: str = "",
) -> pa.RecordBatch:
    """Returns the batch with its origin attached.

    Args:
      batch: the values.
      file: name of the file they were read from.
      first_row: number of the first row in the file, or int64 `[rows]` of all of them.
      records: the original records, binary `[rows]`; None for a columnar source, whose record is the row itself.
      record_format: the format of `records`, for example `"tf.Example"`.
      header: needed to read them again, if they are not complete themselves.
    """
    numbers = first_row if isinstance(first_row, np.ndarray) else np.arange(first_row, first_row + batch.num_rows)
    if records is None:
        records, record_format = _as_struct(batch), ARROW_IPC
    schema = batch.schema.append(pa.field(ROW_COLUMN, pa.int64()))
    schema = schema.append(pa.field(RECORD_COLUMN, records.type))
    metadata = {FILE_KEY: file.encode(), FORMAT_KEY: record_format.encode()}
    schema = schema.with_metadata({**metadata, **({HEADER_KEY: header.encode()} if header else {})})
    return pa.RecordBatch.from_arrays([*batch.columns, arrow_of(numbers), records], schema=schema)


def _as_struct(batch: pa.RecordBatch) -> pa.Array:
    if not batch.num_columns:
        return pa.array([{}] * batch.num_rows, pa.struct([]))
    return pa.StructArray.from_arrays(batch.columns, fields=list(batch.schema))


def plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns the batch without types that Arrow 25 has too few kernels for, as what they stand for.

    Views of strings and binaries (as Polars writes them) become large strings and binaries, run-end-encoded values a value a row,
    and unions, which no column takes, Python's text of each value: with a union in a struct, Arrow ends the process.
    """
    if not any(_lacks_kernels(kind) for kind in batch.schema.types):
        return batch
    columns = [_plain(column) for column in batch.columns]
    fields = [field.with_type(column.type) for field, column in zip(batch.schema, columns, strict=True)]
    return pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields, batch.schema.metadata))


def plain_type(kind: pa.DataType) -> pa.DataType:
    """Returns the type of a column of `plain`.

    >>> plain_type(pa.list_(pa.string_view()))
    LargeListType(large_list<item: large_string>)
    """
    return _plain(pa.nulls(0, kind)).type if _lacks_kernels(kind) else kind


def _plain(array: pa.Array) -> pa.Array:
    kind, types = array.type, pa.types
    if not _lacks_kernels(kind):
        return array
    if types.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    if types.is_string_view(kind) or types.is_binary_view(kind):
        return array.cast(pa.large_string() if types.is_string_view(kind) else pa.large_binary())
    if isinstance(array, pa.ExtensionArray):
        return _plain(array.storage)
    if types.is_dictionary(kind):
        return pa.DictionaryArray.from_arrays(array.indices, _plain(array.dictionary))
    if is_list(kind):
        lists = Ragged.of(array)
        return replace(lists, values=_plain(lists.values)).to_list_array()
    if types.is_union(kind):
        return pa.array([unreadable(value) for value in array.to_pylist()])
    if types.is_struct(kind):
        columns = [_plain(column) for column in array.flatten()]
        fields = [field.with_type(column.type) for field, column in zip(kind, columns, strict=True)]
        return pa.StructArray.from_arrays(columns, fields=fields, mask=array.is_null())
    return array


@lru_cache(maxsize=1024)
def _lacks_kernels(kind: pa.DataType) -> bool:
    types = pa.types
    odd = (types.is_run_end_encoded, types.is_string_view, types.is_binary_view, types.is_union)
    if any(test(kind) for test in odd):
        return True
    if bare_type(kind) is not kind:
        return _lacks_kernels(bare_type(kind))
    return any(_lacks_kernels(kind.field(k).type) for k in range(kind.num_fields))


def file_of(batch: pa.RecordBatch) -> str:
    """Returns the name of the file the batch was read from, or an empty string."""
    return str((batch.schema.metadata or {}).get(FILE_KEY, b"").decode())


def of_file(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """Returns a batch whose rows were read from a file of this name."""
    if file_of(batch) == name:
        return batch
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), FILE_KEY: name.encode()})


def split_of(batch: pa.RecordBatch | pa.Table) -> str:
    """Returns the name of the split that the rows belong to, or an empty string."""
    return str((batch.schema.metadata or {}).get(SPLIT_KEY, b"").decode())


def in_split(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """Returns a batch whose rows belong to a split."""
    return batch.replace_schema_metadata({**(batch.schema.metadata or {}), SPLIT_KEY: name.encode()})


def row_numbers(batch: pa.RecordBatch) -> np.ndarray:
    """Returns the number of each row in its file (in the batch, where it was not read from a file), int64 `[rows]`."""
    if ROW_COLUMN in batch.schema.names:
        return numbers_of(batch.column(ROW_COLUMN))
    return np.arange(batch.num_rows, dtype=np.int64)


def origin_columns(batch: pa.RecordBatch) -> dict[str, pa.Array]:
    """Returns the columns that carry the origin; new ones if the batch has none."""
    if RECORD_COLUMN in batch.schema.names:
        return {name: batch.column(name) for name in RESERVED if name in batch.schema.names}
    return {ROW_COLUMN: arrow_of(row_numbers(batch)), RECORD_COLUMN: _as_struct(batch)}


def rebuild(batch: pa.RecordBatch, columns: dict[str, pa.Array], keep_record: bool = True) -> pa.RecordBatch:
    """Returns a batch of other columns for the same rows, with the origin of `batch`."""
    origin = origin_columns(batch)
    if not keep_record:
        del origin[RECORD_COLUMN]
    made = pa.RecordBatch.from_pydict({**columns, **origin})
    return made.replace_schema_metadata({FORMAT_KEY: ARROW_IPC.encode(), **(batch.schema.metadata or {})})


def encode_records(batch: pa.RecordBatch, positions: np.ndarray) -> tuple[str, pa.Array]:
    """Returns format and bytes of the original records of some rows (ascending), so that each can be recovered exactly.

    A record of the source's own format is returned byte for byte. A row of a columnar source becomes an Arrow IPC
    stream that holds that one row: `pyarrow.ipc.open_stream(record).read_all()`.

    Returns:
      The format, and binary `[positions]`: nothing is copied where all rows are wanted, for a record may fill much memory.
    """
    records = taken(origin_columns(batch)[RECORD_COLUMN], positions)
    metadata = batch.schema.metadata or {}
    if not pa.types.is_struct(records.type):
        return metadata.get(FORMAT_KEY, b"").decode(), records.cast(pa.binary())
    fields = [_compact(array) for array in records.flatten()]
    rows = pa.RecordBatch.from_arrays(fields, schema=pa.schema(list(records.type)))
    # Only rejected rows come here. A slice is copied first: IPC would write the parent's whole buffers otherwise.
    one_by_one = (rows if rows.num_rows == 1 else rows.take(pa.array([k])) for k in range(rows.num_rows))
    return ARROW_IPC, pa.array([_ipc_bytes(row) for row in one_by_one], pa.binary())


def taken(array: pa.Array, positions: np.ndarray) -> pa.Array:
    """Returns the values at some positions, ascending; the array itself where these are all."""
    return array if len(positions) == len(array) else array.take(pa.array(positions, pa.int64()))


def _compact(array: pa.Array) -> pa.Array:
    """Drops the words of a dictionary that no row uses: each rejected row would carry all of them."""
    if not pa.types.is_dictionary(array.type):
        return array
    # By number: Arrow encodes no structs and no types of libraries, which may be words as well (pandas' intervals).
    indices = array.indices
    used = indices.drop_null().unique()
    numbers = pc.index_in(indices, used).cast(indices.type)
    return pa.DictionaryArray.from_arrays(numbers, array.dictionary.take(used), ordered=array.type.ordered)


def _ipc_bytes(batch: pa.RecordBatch) -> memoryview:
    out = pa.BufferOutputStream()
    with pa.ipc.new_stream(out, batch.schema) as writer:
        writer.write_batch(batch)
    return memoryview(out.getvalue())
