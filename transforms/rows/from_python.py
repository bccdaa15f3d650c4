"""Rows as Python dicts to Arrow batches, so that a row's types depend on that row alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import pyarrow as pa

from transforms.rows import frames, origin, paths
from transforms.rows.frames import ArrowStream
from transforms.rows.marks import unreadable
from transforms.rows.python_values import NOT_TAKEN, alone, as_arrow, column_of

BATCH_ROWS: Final = 1024


def batches_of(
    data: Iterable[Mapping[str, Any]] | ArrowStream, features: Iterable[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Yields rows as Arrow batches that number them from 0; `features`: see `from_dicts`.

    Args:
      data: dicts, or a frame: of pandas, Polars, or Arrow. A row of a frame's column that no type of Arrow holds is of the type
        that it has by itself, as a dict's.
      features: see `from_dicts`.

    Raises:
      TypeError: the data are no rows, a row is no mapping, or a key is no text.
      ValueError: a name is reserved, or stands twice.
    """
    if isinstance(data, pa.RecordBatch):
        frames.check_names(data.schema.names)
        yield data if origin.ROW_COLUMN in data.schema.names else origin.with_origin(data, "", 0)
        return
    if frames.is_frame(data):
        yield from batches_of_frame(frames.framed(data))
        return
    if not frames.may_be_rows(data):
        raise frames.no_rows(data)
    pending: list[Mapping[str, Any]] = []
    first = 0
    for row in data:
        pending.append(_checked(row))
        if len(pending) == BATCH_ROWS:
            yield from from_dicts(pending, first, features)
            first, pending = first + BATCH_ROWS, []
    if pending:
        yield from from_dicts(pending, first, features)


def batches_of_frame(frame: frames.Framed) -> Iterator[pa.RecordBatch]:
    """Yields the rows of a frame as `batches_of` does."""
    first = 0
    for batch in _gathered(frame.table.to_batches(max_chunksize=BATCH_ROWS)):
        if frame.others:
            yield from _with_others(batch, frame.others, first)
        else:
            yield batch if origin.ROW_COLUMN in batch.schema.names else origin.with_origin(batch, "", first)
        first += batch.num_rows


def _gathered(pieces: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Yields batches, small ones that follow each other as one: thousands of chunks would take longer than their rows."""
    pending: list[pa.RecordBatch] = []
    count = 0
    for piece in pieces:
        if pending and count + piece.num_rows > BATCH_ROWS:
            yield from _joined(pending)
            pending, count = [], 0
        pending.append(piece)
        count += piece.num_rows
    yield from _joined(pending)


def _joined(pieces: list[pa.RecordBatch]) -> list[pa.RecordBatch]:
    try:
        return pieces if len(pieces) < 2 else [pa.concat_batches(pieces)]
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):  # too large, or of a type that Arrow does not join
        return pieces


def _checked(row: Any) -> Mapping[str, Any]:
    """Returns a row as a mapping, its keys checked."""
    if isinstance(row, Mapping):
        check_keys(row)
        return row
    if not hasattr(row, "_asdict"):
        raise frames.no_row(row)
    return row_dict(row)


def row_dict(row: Any) -> dict[str, Any]:
    """Returns a row with a schema (`beam.Row`, a NamedTuple) as a dict.

    >>> import apache_beam as beam
    >>> row_dict(beam.Row(x=[1, 2], label="a"))
    {'x': [1, 2], 'label': 'a'}

    Raises:
      TypeError: it is no such row.
      ValueError: a name is reserved for a row's origin.
    """
    as_dict = getattr(row, "_asdict", None)
    if as_dict is None:
        raise TypeError(f"expected a row (a dict, a beam.Row or a NamedTuple) or Arrow data, got {type(row).__name__}")
    made: dict[str, Any] = dict(as_dict())
    check_keys(made)
    return made


def check_keys(row: Mapping[str, Any]) -> None:
    """Checks the names of a row's features.

    Raises:
      TypeError: one is no text.
      ValueError: one is reserved for a row's origin, or has half of a surrogate pair in it.
    """
    for key in row:
        if not isinstance(key, str):
            raise TypeError(f"expected the name of a feature as text, got {key!r}")
        if not key.isascii() and any("\ud800" <= character <= "\udfff" for character in key):
            raise ValueError(f"expected the name of a feature as text, got half of a surrogate pair in {key!r}")
        if key in origin.RESERVED:
            raise ValueError(f"the name {key!r} is reserved")


def from_dicts(
    data: Sequence[Mapping[str, Any]], first_row: int = 0, features: Iterable[str] = ()
) -> Iterator[pa.RecordBatch]:
    """Converts dicts to as few batches as their types allow.

    Arrow infers one type for a whole column. Where it can hold every row exactly (integers beside floats become float64, and
    Arrow refuses those that would lose digits) that changes no row's result. Where it cannot, rows are converted one by one.

    Args:
      data: the rows.
      first_row: the number of the first one.
      features: features that columns read. Those that are found by a path (`rows.paths`) become columns of their own, so that the
        type of nothing else in the same structs matters to them. They are no part of the record of a row.
    """
    found = paths.dotted(features)
    try:
        yield _with_paths(origin.with_origin(_batch(data), "", first_row), data, found)
        return
    except NOT_TAKEN:
        if len(data) == 1:
            yield _with_paths(origin.with_origin(_as_text(data[0]), "", first_row), data, found)
            return
    half = len(data) // 2
    yield from from_dicts(data[:half], first_row, found)
    yield from from_dicts(data[half:], first_row + half, found)


def _batch(data: Sequence[Mapping[str, Any]]) -> pa.RecordBatch:
    keys = list(dict.fromkeys(key for row in data for key in row))
    columns = {key: column_of([as_arrow(row.get(key)) for row in data]) for key in keys}
    return pa.RecordBatch.from_pydict(columns) if columns else pa.RecordBatch.from_struct_array(_empty(len(data)))


def _with_others(batch: pa.RecordBatch, others: Mapping[str, Sequence[Any]], first: int) -> Iterator[pa.RecordBatch]:
    """Yields rows of a frame together with their values in columns of several types."""
    last = first + batch.num_rows
    own = [
        dict(zip(others, values, strict=True)) for values in zip(*(v[first:last] for v in others.values()), strict=True)
    ]
    done = 0
    for part in from_dicts(own, first):
        rows = batch.slice(done, part.num_rows)
        done += part.num_rows
        columns = {**dict(zip(rows.schema.names, rows.columns, strict=True)), **{n: part.column(n) for n in others}}
        yield origin.with_origin(pa.RecordBatch.from_pydict(columns), "", first + done - part.num_rows)


def _with_paths(batch: pa.RecordBatch, data: Sequence[Mapping[str, Any]], found: Sequence[str]) -> pa.RecordBatch:
    """Returns a batch with a column for each path.

    Raises:
      TypeError: of several rows, one has something else on the way of a path than structs. Of a single row that is what it holds.
    """
    for path in found:
        if all(path in row for row in data):
            continue
        try:
            values = [as_arrow(paths.picked(row, path)) for row in data]
        except TypeError:
            if len(data) > 1:
                raise
            column = pa.array([unreadable(data[0])])
        else:
            column = column_of(values) if len(data) > 1 else alone(values[0])
        at = batch.schema.get_field_index(path)
        batch = batch.append_column(path, column) if at < 0 else batch.set_column(at, path, column)
    return batch


def _empty(count: int) -> pa.StructArray:
    return pa.array([{}] * count, pa.struct([]))


def _as_text(row: Mapping[str, Any]) -> pa.RecordBatch:
    """A single row that Arrow cannot hold by itself: see `alone`."""
    return pa.RecordBatch.from_pydict({key: alone(value) for key, value in row.items()})
