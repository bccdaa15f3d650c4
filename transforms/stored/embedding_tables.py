"""Embedding tables that are given: read and checked once, when a spec is built. Needs neither TensorFlow nor (locally) Beam."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, BinaryIO, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from transforms.stored.files import naming, opened, stamp


@dataclass(frozen=True, eq=False)
class EmbeddingTable:
    """One vector for every id.

    Two tables are equal if their values are. A pickle holds the values, so that they reach workers that do not see the file;
    where the table lies in a place that workers reach (one of Beam's file systems, `gs://...`), it holds that place alone.

    Attributes:
      values: float32 `[ids, dimension]`, finite, not to be written to.
      source: the file that it was read from; empty for an array.
      place: a file that workers can read it from, empty for none.
      digest: names the values: 16 hexadecimal digits.
    """

    values: np.ndarray = field(repr=False)
    source: str = ""
    place: str = field(default="", repr=False)
    digest: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.digest:
            made = hashlib.sha256(repr(self.values.shape).encode())
            made.update(self.values.data)
            object.__setattr__(self, "digest", made.hexdigest()[:16])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, EmbeddingTable) and self.digest == other.digest

    def __hash__(self) -> int:
        return hash(self.digest)

    def __reduce__(self) -> tuple[Callable[..., EmbeddingTable], tuple[Any, ...]]:
        if self.place:
            return _read_again, (self.place, self.source, self.digest)
        return EmbeddingTable, (self.values, self.source)

    def placed(self, folder: str) -> EmbeddingTable:
        """Writes the table into a folder that workers reach, and returns it as one that is there.

        The main job does so: Beam pickles every step with its columns, and compresses that slowly. With a table of 100,000
        vectors of 64 numbers a job took 340 s so, and 5 s without it.
        """
        if self.place:
            return self
        from apache_beam.io.filesystem import CompressionTypes
        from apache_beam.io.filesystems import FileSystems

        path = FileSystems.join(folder, f"table-{self.digest}.npy")
        with naming(path), FileSystems.create(path, compression_type=CompressionTypes.UNCOMPRESSED) as file:
            np.save(file, self.values)
        return replace(self, place=path)

    def checked(self, ids: int, dimension: int) -> EmbeddingTable:
        """Returns the table if it has one vector of `dimension` for each of `ids`.

        Raises:
          ValueError: it has another shape.
        """
        if self.values.shape != (ids, dimension):
            wanted = f"[{ids}, {dimension}], the ids of the column by the dimension"
            raise ValueError(f"expected the shape {wanted}, got {list(self.values.shape)}")
        return self


def table_of(values: Any, source: str = "") -> EmbeddingTable:
    """Returns an array as a table.

    Args:
      values: numbers `[ids, dimension]`; floats are rounded to float32.
      source: see `EmbeddingTable`.

    Raises:
      ValueError: it has not two dimensions, holds no numbers, or one that is not finite as float32.
    """
    array = np.asarray(values)
    if array.dtype.kind not in "iuf":
        raise ValueError(f"expected numbers, got {array.dtype.name}")
    if array.ndim != 2:
        raise ValueError(f"expected two dimensions, ids by values, got the shape {list(array.shape)}")
    with np.errstate(over="ignore"):
        made = np.array(array, np.float32, order="C")
    bad = np.argwhere(~np.isfinite(made))
    if len(bad):
        row, column = bad[0].tolist()
        raise ValueError(f"expected finite numbers (float32), got {array[row, column]} in row {row}, column {column}")
    made.setflags(write=False)
    return EmbeddingTable(made, source, source if "://" in source else "")


def read_table(path: str) -> EmbeddingTable:
    """Reads a table from a file. What a process has read it remembers as long as the file stays as it is.

    Args:
      path: a local file, or one on one of Beam's file systems: `.npy` with an array `[ids, dimension]`, or `.parquet` with one
        column of lists of `dimension` numbers or with `dimension` columns of numbers, a row for each id.

    Raises:
      ValueError: it cannot be read, is neither, or is no table (see `table_of`).
    """
    reader = next((read for suffix, read in _READERS.items() if path.endswith(suffix)), None)
    if reader is None:
        raise ValueError(f"expected a file named {' or '.join('*' + suffix for suffix in _READERS)}, got {path!r}")
    try:
        return _read(path, stamp(path))
    except (OSError, ValueError) as error:  # pyarrow's errors are among them
        why = str(getattr(error, "strerror", None) or error)
        raise ValueError(f"cannot read {path!r}: {' '.join(why.split())}") from None


@lru_cache(maxsize=4)
def _read(path: str, _: tuple[float, int, str]) -> EmbeddingTable:
    reader = next(read for suffix, read in _READERS.items() if path.endswith(suffix))
    with opened(path) as file:
        return table_of(reader(io.BytesIO(file.read()) if "://" in path else file), path)


def _from_npy(file: BinaryIO) -> np.ndarray:
    try:
        found: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    except Exception:  # whatever NumPy falls over in a damaged header; its own text advises to unpickle some files
        raise ValueError("expected an .npy file of numbers, whole and undamaged") from None
    return found


def _from_parquet(file: BinaryIO) -> np.ndarray:
    table = pq.read_table(file)
    holes = [name for name in table.column_names if table[name].null_count]
    if holes:
        raise ValueError(f"expected no nulls, got some in the column {holes[0]!r}")
    if table.num_columns == 1 and pa.types.is_nested(table.schema.types[0]):
        return _from_lists(table.column_names[0], table[0].combine_chunks())
    other = [
        field for field in table.schema if not (pa.types.is_floating(field.type) or pa.types.is_integer(field.type))
    ]
    if other or not table.num_columns:
        got = f"a column {other[0].name!r} of {other[0].type}" if other else "none"
        raise ValueError(f"expected one column of lists of numbers or columns of numbers, got {got}")
    return np.stack([column.to_numpy() for column in table.columns], axis=1)


def _from_lists(name: str, lists: pa.Array) -> np.ndarray:
    types = pa.types
    if not any(test(lists.type) for test in (types.is_fixed_size_list, types.is_list, types.is_large_list)):
        raise ValueError(f"expected lists of numbers in the column {name!r}, got {lists.type}")
    flat = lists.flatten()
    if flat.null_count:
        raise ValueError(f"expected no nulls, got some in the lists of the column {name!r}")
    lengths = lists.value_lengths().unique().to_pylist()
    if len(lengths) > 1:
        raise ValueError(f"expected lists of one length in the column {name!r}, got {min(lengths)} to {max(lengths)}")
    numbers: np.ndarray = flat.to_numpy(zero_copy_only=False).reshape(len(lists), -1 if len(lists) else 0)
    return numbers


_READERS: Final[dict[str, Callable[[BinaryIO], np.ndarray]]] = {".npy": _from_npy, ".parquet": _from_parquet}


def _read_again(place: str, source: str, digest: str) -> EmbeddingTable:
    """Reads a table on a worker.

    Raises:
      ValueError: it is not what it was when the spec was built.
    """
    table = read_table(place)
    if table.digest != digest:
        raise ValueError(f"{place!r} has changed since the columns were built")
    return replace(table, source=source, place=place)
