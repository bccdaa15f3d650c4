"""Rows named by their places, file and row number, in Parquet files like those of rejected rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.errors import UsageError
from pipeline.inputs import originals
from pipeline.inputs.match import Inputs, SkippedFile
from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import WIDEST
from transforms.errors import JobError, listed, nearest

PLACE: Final = ("file", "row")

Places = Mapping[str, np.ndarray]
"""File to the numbers of rows in it, int64, ascending, each once."""


def batches_of(paths: Sequence[str], columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yields some columns of files of rejected rows, or of files of mended records (see `pipeline.inputs.originals`).

    Raises:
      JobError: a file cannot be read, or does not have a column.
    """
    source = SOURCES["parquet"]
    for path in paths:
        if originals.has_places(path):
            yield from (batch.select(columns) for batch in originals.read(path))
            continue
        features = source.features(path, WIDEST)
        for name in columns:
            if name not in features:
                hint = nearest(name, features) or f"; it has {listed(list(features))}"
                raise JobError(f"{path}: no file of rejected rows: it has no column {name!r}{hint}")
        for split in source.parts(path):
            for read in source.read(split, dict.fromkeys(columns, "string"), WIDEST):
                assert read.batch is not None
                yield read.batch.select(columns)


def places_of(paths: Sequence[str], *more: str) -> Places:
    """Returns the places that files name.

    Args:
      paths: the files.
      more: names of further columns that must be there.

    Raises:
      JobError: a file cannot be read, does not have a column, or has none of a type that names a row.
    """
    found: dict[str, list[np.ndarray]] = {}
    for path in paths:
        for batch in batches_of([path], [*PLACE, *more]):
            for file, rows in _by_file(path, *(batch.column(name) for name in PLACE)):
                found.setdefault(file, []).append(rows)
    return {file: np.unique(np.concatenate(rows)) for file, rows in sorted(found.items())}


def _by_file(path: str, files: pa.Array, rows: pa.Array) -> Iterator[tuple[str, np.ndarray]]:
    try:
        names, numbers = files.cast(pa.large_string()), rows.cast(pa.int64())
    except pa.ArrowException:
        kinds = f"{files.type} and {rows.type}"
        raise JobError(f"{path}: expected text in the column 'file' and integers in 'row', got {kinds}") from None
    at = pc.index(pc.or_(names.is_null(), pc.fill_null(pc.less(numbers, 0), True)), True).as_py()
    if at >= 0:
        got = f"{names[at].as_py()!r} and {numbers[at].as_py()!r}"
        raise JobError(f"{path}: expected a file and a row number from 0 on in every row, got {got}")
    numbers = numbers.to_numpy()
    for name, own in _positions(names):
        yield name, numbers[own]


def _positions(names: pa.Array) -> Iterator[tuple[str, np.ndarray]]:
    """Yields each name and the positions that have it, ascending."""
    coded = names.dictionary_encode()
    which = coded.indices.to_numpy()
    ends = np.cumsum(np.bincount(which, minlength=len(coded.dictionary)))
    return zip(coded.dictionary.to_pylist(), np.split(np.argsort(which, kind="stable"), ends[:-1]), strict=False)


def refuse_other_files(option: str, places: Places, inputs: Inputs, skipped: Sequence[SkippedFile]) -> None:
    """Refuses places in files that are not read.

    Raises:
      UsageError: naming the first such file.
    """
    known = dict.fromkeys([*(file.path for file in inputs.files), *(file.path for file in skipped)])
    other = next((file for file in places if file not in known), None)
    if other is not None:
        raise UsageError(f"{option}: {other!r} is no file that --input reads{nearest(other, known)}")


def named(places: Places, rows: pa.RecordBatch) -> np.ndarray:
    """Returns which rows of a table with the columns `file` and `row` are named, bool `[rows]`."""
    numbers, found = rows.column("row").to_numpy(), np.zeros(rows.num_rows, bool)
    for file, own in _positions(rows.column("file")):
        found[own] = among(places, file, numbers[own])
    return found


def among(places: Places, file: str, numbers: np.ndarray) -> np.ndarray:
    """Returns which rows of a file are named, bool `[rows]`.

    >>> among({"a": np.array([3, 7])}, "a", np.array([2, 3, 4])).tolist()
    [False, True, False]
    """
    return np.isin(numbers, places[file]) if file in places else np.zeros(len(numbers), bool)
