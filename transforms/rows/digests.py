"""A digest of every row: which row of which file it is, and what stood there.

Digests are uint64 and are added up modulo 2^64. The sum over the rows read must be that over the rows written and rejected, so
the ledger proves that every row ended in one place, and not only that the numbers agree. A lost row and a doubled one cancel each
other in a count; their digests cancel with a probability of 2^-64. They are not cryptographic: anybody can forge one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Sequence
from functools import lru_cache
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.kernels import digests as kernels
from transforms.kernels.values import read_only
from transforms.rows import origin, paths
from transforms.rows.fields import text_buffers
from transforms.rows.numbers import arrow_of, numbers_of
from transforms.rows.ragged import Ragged, unwrapped

_NULL: Final = np.uint64(0x9AE16A3B2F90404F)
"""Stands for a null, which has no bits of its own."""


def attach(batch: pa.RecordBatch, features: Collection[str]) -> pa.RecordBatch:
    """Returns a batch with the digests of its rows in the column `origin.DIGEST_COLUMN`, uint64, unless it has them.

    Args:
      batch: rows with their origin (see `transforms.rows.origin`).
      features: the columns that count as a row's content where it has no record of bytes.
    """
    if origin.DIGEST_COLUMN in batch.schema.names:
        return batch
    records = batch.column(origin.RECORD_COLUMN)
    if pa.types.is_struct(records.type):
        held = [paths.column(batch, name) for name in sorted(set(features))]
        content = _together([column for column in held if column is not None], len(batch))
    else:
        content = contents(records)
    found = of_rows(origin.file_of(batch), origin.row_numbers(batch), content)
    return with_digests(batch, arrow_of(found))


def with_digests(batch: pa.RecordBatch, found: pa.Array) -> pa.RecordBatch:
    """Returns a batch with digests of its rows that are at hand, uint64 `[rows]`."""
    return batch.append_column(pa.field(origin.DIGEST_COLUMN, pa.uint64()), found)


def of_records(rejected: pa.RecordBatch | pa.Table) -> np.ndarray:
    """Returns the digests of rejected rows (`rejection.SCHEMA`), computed again from the kept records: uint64 `[rows]`.

    They are those that `attach` gave the rows, but for records of columnar sources (`arrow-ipc`).
    """
    names = rejected.column("file").to_pylist()
    files = np.array([of_text(name) for name in names], np.uint64)
    content = contents(_one(rejected.column("record")))
    return _filled(kernels.placed, len(content), files, rejected.column("row").to_numpy(), content)


def attach_rejected(rejected: pa.RecordBatch) -> pa.RecordBatch:
    """Returns rows that a source rejected (`rejection.SCHEMA`) with the digests of their records."""
    at = rejected.schema.get_field_index("digest")
    return rejected.set_column(at, rejected.schema.field(at), pa.array(of_records(rejected)))


def of_rows(file: str, numbers: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Returns the digest of each row, uint64 `[rows]`.

    Args:
      file: the name of their file.
      numbers: int64 `[rows]`, their numbers in it.
      content: uint64 `[rows]`, see `contents`.
    """
    return _filled(kernels.placed, len(content), np.array([of_text(file)]), numbers, content)


def _one(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def without_file(digests: pa.Array, file: str, numbers: np.ndarray) -> int:
    """Returns the sum that the digests of rows would have in a file without a name: equal for files of the same contents.

    Args:
      digests: uint64 `[rows]`, the digests of the rows.
      file: the name of their file.
      numbers: int64 `[rows]`, their numbers in it.
    """
    found = numbers_of(digests)
    with np.errstate(over="ignore"):  # where the kernels run as Python
        return int(kernels.total_without_file(of_text(file), read_only(numbers), read_only(found)))


def renamed(batch: pa.RecordBatch, name: str) -> pa.RecordBatch:
    """Returns a batch whose rows were read from a file of this name; digests that it has are then of rows in that file."""
    before, at = origin.file_of(batch), batch.schema.get_field_index(origin.DIGEST_COLUMN)
    if before != name and at >= 0:
        numbers = origin.row_numbers(batch)
        found = numbers_of(batch.column(at))
        content = np.empty(len(found), np.uint64)
        with np.errstate(over="ignore"):
            kernels.contents(of_text(before), read_only(numbers), read_only(found), content)
        batch = batch.set_column(at, batch.schema.field(at), arrow_of(of_rows(name, numbers, content)))
    return origin.of_file(batch, name)


def total(digests: pa.Array) -> int:
    """Returns the sum of digests modulo 2^64.

    >>> total(pa.array([2**63, 2**63, 7], pa.uint64()))
    7
    """
    return int(np.add.reduce(numbers_of(digests), dtype=np.uint64))


def as_text(digest: int) -> str:
    """Returns a digest, or a sum of them, as files hold it.

    >>> as_text(2**64 + 255)
    '00000000000000ff'
    """
    return f"{digest % 2**64:016x}"


def contents(array: pa.Array) -> np.ndarray:
    """Returns a hash of each value of an Arrow array, uint64 `[values]`.

    It depends on the bits of the value, and not on how they are held: a slice, a dictionary, or lists of another kind hash alike.
    Text and bytes are their CRC-32C. A list is two sums of its values, the second weighted by their places, and its length.
    """
    array = unwrapped(array)
    types, kind = pa.types, array.type
    if types.is_null(kind):
        return np.full(len(array), _NULL)
    if types.is_fixed_size_list(kind) or types.is_list(kind) or types.is_large_list(kind) or types.is_list_view(kind):
        made = _lists(Ragged.of(array))
    elif types.is_boolean(kind) or types.is_integer(kind) or types.is_floating(kind):
        made = _numbers(array)
    elif types.is_temporal(kind) and not types.is_interval(kind):
        made = _numbers(array.view(pa.int32() if kind.bit_width == 32 else pa.int64()))
    else:
        made = _checksums(_as_bytes(array))
    return np.where(pc.is_valid(array).to_numpy(zero_copy_only=False), made, _NULL) if array.null_count else made


def _as_bytes(array: pa.Array) -> pa.Array:
    """Returns text as its bytes, decimals as their text, and anything else (no column takes it) as Python writes it."""
    types, kind = pa.types, array.type
    texts = (types.is_string, types.is_large_string, types.is_string_view, types.is_binary, types.is_binary_view)
    if types.is_large_binary(kind):
        return array
    if any(test(kind) for test in (*texts, types.is_fixed_size_binary)):
        return array.cast(pa.large_binary())
    if types.is_decimal(kind):
        return array.cast(pa.large_string()).cast(pa.large_binary())
    return pa.array([repr(value).encode() for value in array], pa.large_binary())


def _checksums(array: pa.Array) -> np.ndarray:
    """Returns the CRC-32C of each value of a large binary array, that of a null being anything."""
    return _filled(kernels.checksums, len(array), *text_buffers(array))


def _numbers(array: pa.Array) -> np.ndarray:
    """Returns the bits of numbers, spread over 64."""
    plain = array.fill_null(False if pa.types.is_boolean(array.type) else 0) if array.null_count else array
    bits = plain.to_numpy(zero_copy_only=False)
    bits = np.ascontiguousarray(bits).view(f"u{bits.dtype.itemsize}")
    return _filled(kernels.spread, len(bits), bits)


def _lists(view: Ragged) -> np.ndarray:
    return _filled(kernels.of_lists, len(view.splits) - 1, contents(view.values), view.splits)


def _together(columns: Sequence[pa.Array], count: int) -> np.ndarray:
    made = np.zeros(count, np.uint64)
    for column in columns:
        with np.errstate(over="ignore"):
            kernels.add_column(read_only(contents(column)), made)
    return made


def _filled(fill: Callable[..., None], count: int, *given: np.ndarray) -> np.ndarray:
    """Returns what a kernel fills an array of so many numbers with."""
    made = np.empty(count, np.uint64)
    with np.errstate(over="ignore"):  # where the kernels run as Python
        fill(*map(read_only, given), made)
    return made


@lru_cache(maxsize=1024)
def of_text(text: str) -> np.uint64:
    """Returns a hash of text, such as the name of a file."""
    return np.uint64(
        int.from_bytes(hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")
    )
