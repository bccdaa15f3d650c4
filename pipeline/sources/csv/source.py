"""CSV and TSV files, plain or packed: a header, then rows of cells, all of them text."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final

import numpy as np
import pyarrow as pa

from pipeline.sources.base import Decoded, FilePart, Read, Source, broken, size_of
from pipeline.sources.batches import Part, with_origins
from pipeline.sources.compression import Content
from pipeline.sources.csv import records as csv_records
from pipeline.sources.csv.header import Header, is_text, opened
from pipeline.sources.csv.records import CR, LF, Records
from pipeline.sources.limits import DEFAULTS, LARGEST_BYTES, Limits
from pipeline.sources.packings import bare_name
from transforms.rows import origin

_TEXT: Final = pa.large_string()
_BYTES: Final = pa.large_binary()

_NULLS: Final = ["", r"\N"]
"""Cells without quotes that are no value; the second one is written by Hive, MySQL, PostgreSQL and many others on request."""

_AFTER_QUOTE: Final = "expected nothing after a closing quote"
_ESCAPED: Final = "; a quote in a cell is written twice, not after a backslash (Spark: option 'escape')"


@dataclass(frozen=True)
class CSV(Source):
    r"""Reads CSV (`.csv`) and TSV (`.tsv`, the delimiter is a tab) files, each as one split.

    The first line names the features. Every value is text, which columns parse: nothing is inferred. A cell without
    anything in it, or with `\N`, is an absent feature, `""` is an empty text. A row with another number of cells than the
    header, or with something after a closing quote, is rejected. A last row that has no line end and too few cells was cut
    short, and the file with it. An empty line is no row; in a file of one column it is a row without that feature. A byte
    order mark is skipped.

    Batches hold the features asked for as bytes, because nobody has looked yet whether they are UTF-8: the column
    that reads them does. The record of a row is its own text, line end included.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv")
    has_schema: ClassVar[bool] = True
    record_formats: ClassVar[tuple[str, ...]] = ("csv", "tsv")

    def parts(self, path: str) -> list[FilePart]:
        """See the base class."""
        return [FilePart(path, size=size_of(path))]

    def read(self, split: FilePart, features: Mapping[str, str], limits: Limits) -> Iterator[Read]:
        """See the base class. First comes a batch without rows that has all features of the header."""
        content = Content(split.path, limits, is_text)
        header, found = opened(content, split.path, limits.max_record_bytes)
        table = _CellTable(split.path, header, features)
        seen = content.consumed
        yield Read(table.empty(), None, seen)
        row = 0
        for records in found:
            size, seen = content.consumed - seen, content.consumed
            for start, stop in _spans(records.offsets, limits):
                for batch, rejected in table.rows(records, start, stop, row):
                    row += sum(part.num_rows for part in (batch, rejected) if part is not None)
                    yield Read(batch, rejected, size)
                    size = 0
            if records.problem:
                raise broken(split.path, f"row {row}: {records.problem}")
            seen -= size  # where none of the records was a row
        if content.consumed > seen:
            yield Read(None, None, content.consumed - seen)

    def features(self, path: str, limits: Limits = DEFAULTS, sample: int = 1000) -> dict[str, pa.DataType]:
        """See the base class. The header tells; no row is read."""
        header, _ = opened(Content(path, limits, is_text), path, limits.max_record_bytes)
        return dict.fromkeys(header.names, _TEXT)

    def decoded(self, records: Sequence[bytes], path: str, features: Mapping[str, str], header: str) -> Decoded:
        """See the base class: records are the texts of rows, the header is the first line of the file."""
        ended = _ended(records)
        head, _ = opened([header.encode() + b"\n"], path, LARGEST_BYTES)
        found = [_one(record, head.delimiter) for record in ended]
        fine = np.array([len(one.malformed) == 1 and not one.problem and not _are_blank(one, 0, 1)[0] for one in found])
        own = [found[k] for k in np.flatnonzero(fine).tolist()]
        if own:
            offsets = np.cumsum([0, *(len(one.text) for one in own)])
            whole = Records(b"".join(one.text for one in own), offsets, np.concatenate([one.malformed for one in own]))
            table = _CellTable(path, head, features)
            yield from table.rows(whole, 0, len(own), 0, np.flatnonzero(fine))
        bad = np.flatnonzero(~fine)
        kept = pa.array([records[k] for k in bad.tolist()], _BYTES)
        why = dict.fromkeys(range(len(bad)), "expected the text of one row")
        yield from with_origins([], why, kept, bad, path, _format(path), head.text)

    def as_written(self, records: Sequence[bytes]) -> bytes:
        """See the base class."""
        return b"".join(_ended(records))


def _ended(records: Sequence[bytes]) -> list[bytes]:
    """Returns the texts of rows, each with its line end: the last of a file may have none."""
    return [record if record.endswith((b"\n", b"\r")) else record + b"\n" for record in records]


def _format(path: str) -> str:
    return "tsv" if bare_name(path).endswith(".tsv") else "csv"


def _spans(offsets: np.ndarray, limits: Limits) -> Iterator[tuple[int, int]]:
    """Yields first and last (exclusive) record of each batch."""
    start, count = 0, len(offsets) - 1
    while start < count:
        fits = int(np.searchsorted(offsets, offsets[start] + limits.max_batch_bytes, side="right")) - 1
        stop = max(start + 1, min(start + limits.max_batch_rows, fits, count))
        yield start, stop
        start = stop


class _CellTable:
    """Records of one file to batches: the cells of the features asked for, and the records that are no rows."""

    def __init__(self, path: str, header: Header, features: Mapping[str, str]):
        self._path, self._names, self._header, self._delimiter = path, header.names, header.text, header.delimiter
        self._wanted = [name for name in self._names if name in features]
        self._format = _format(path)

    def empty(self) -> pa.RecordBatch:
        """Returns a batch of all features without rows."""
        none = pa.RecordBatch.from_arrays([pa.nulls(0, _TEXT)] * len(self._names), self._names)
        return origin.with_origin(none, self._path, 0, pa.nulls(0, _BYTES), self._format, self._header)

    def rows(self, found: Records, start: int, stop: int, first_row: int, numbers: np.ndarray | None = None) -> Decoded:
        """Yields the rows of some records, good and rejected ones: from `first_row` on, or numbered otherwise."""
        records, malformed = _array(found, start, stop), found.malformed[start:stop]
        if len(self._names) > 1:
            filled = ~_are_blank(found, start, stop)
            records, malformed = _filtered(records, filled), malformed[filled]
        columns, wrong = self._parse(records, first_row)
        if found.is_open_ended(stop - 1) and wrong.get(len(records) - 1, len(self._names)) < len(self._names):
            at = found.start + int(found.offsets[stop - 1])
            cells = f"{wrong[len(records) - 1]} of {len(self._names)} cells and no line end"
            raise broken(self._path, f"cut short: its last row, at byte {at} of the text, has {cells}")
        bad = {k: f"expected {len(self._names)} cells, got {cells}" for k, cells in wrong.items()}
        for k in np.flatnonzero(malformed).tolist():
            bad[k] = _AFTER_QUOTE + (_ESCAPED if b'\\"' in records[k].as_py() else "")
        good = np.ones(len(records), bool)
        good[list(bad)] = False
        parsed = np.delete(good, list(wrong))
        batch = pa.RecordBatch.from_arrays([_filtered(column, parsed) for column in columns], self._wanted)
        parts = [Part(batch, np.flatnonzero(good))] if good.any() else []
        numbers = first_row + np.arange(len(records)) if numbers is None else numbers
        yield from with_origins(
            parts, dict(sorted(bad.items())), records, numbers, self._path, self._format, self._header
        )

    def _parse(self, records: pa.Array, first_row: int) -> tuple[list[pa.Array], dict[int, int]]:
        """Returns the columns asked for, and for each record with a wrong number of cells (left out) that number."""
        if not len(records):
            return [pa.nulls(0, _BYTES) for _ in self._wanted], {}
        wrong: dict[int, int] = {}

        def skip(row: Any) -> str:
            wrong[row.number - 1] = row.actual_columns
            return "skip"

        text = _text(records)
        if text[text.size - 1] not in (LF, CR):
            # Arrow 25 takes the empty cell at the end of `"a",` for a quoted one where the text ends there.
            text = pa.py_buffer(text.to_pybytes() + b"\n")
        if plain := _is_utf8(text):
            table = _read_csv(text, self._names, self._wanted, self._delimiter, skip)
        else:
            # pyarrow 25 fails the whole text where a row that `skip` is to be asked about is not UTF-8.
            widened = pa.py_buffer(text.to_pybytes().decode("latin-1").encode())
            table = _read_csv(widened, self._names, self._wanted, self._delimiter, skip)
        if table.num_rows + len(wrong) != len(records):
            # Arrow and `csv_records` would have to disagree about what a line is.
            raise broken(self._path, f"the {len(records)} rows from row {first_row} on cannot be told apart")
        columns = [table.column(name).combine_chunks() for name in self._wanted]
        return columns if plain else [_narrowed(column) for column in columns], wrong


def _one(text: bytes, delimiter: str) -> Records:
    """Returns what stands in the text of one row."""
    nothing = Records(text, np.zeros(1, np.int64), np.zeros(0, bool))
    return next(csv_records.split([text], ord(delimiter), len(text)), nothing)


def _array(found: Records, start: int, stop: int) -> pa.Array:
    """Returns records as binary values. Copies no text."""
    offsets = pa.py_buffer(np.ascontiguousarray(found.offsets[start : stop + 1], np.int64))
    return pa.Array.from_buffers(_BYTES, stop - start, [None, offsets, pa.py_buffer(found.text)])


def _text(records: pa.Array) -> pa.Buffer:
    """Returns what the records stand in, one after the other."""
    _, offsets, data = records.buffers()
    bounds = np.frombuffer(offsets, np.int64)[records.offset :]
    return data.slice(int(bounds[0]), int(bounds[len(records)] - bounds[0]))


def _is_utf8(text: pa.Buffer) -> bool:
    bounds = pa.py_buffer(np.array([0, text.size], np.int64))
    try:
        pa.Array.from_buffers(_TEXT, 1, [None, bounds, text]).validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def _narrowed(column: pa.Array) -> pa.Array:
    """Returns bytes as they were before each was taken for a Latin-1 character and written as UTF-8."""
    return pa.array([None if v is None else v.decode().encode("latin-1") for v in column.to_pylist()], _BYTES)


def _filtered(array: pa.Array, mask: np.ndarray) -> pa.Array:
    return array if mask.all() else array.filter(pa.array(mask))


def _are_blank(found: Records, start: int, stop: int) -> np.ndarray:
    """Tells which records are empty lines, bool `[records]`."""
    sizes = np.diff(found.offsets[start : stop + 1])
    blank = np.zeros(stop - start, bool)
    for k in np.flatnonzero(sizes <= 2):
        record = found.text[found.offsets[start + k] : found.offsets[start + k + 1]]
        blank[k] = record in (b"\n", b"\r\n", b"\r")
    return blank


def _read_csv(text: pa.Buffer, names: list[str], wanted: Sequence[str], delimiter: str, skip: Any) -> pa.Table:
    from pyarrow import csv as arrow_csv

    if bytes(memoryview(text)[:3]) == csv_records.BOM:
        # Arrow takes it for a mark wherever its data begin, here in the middle of a file where it is text.
        text = pa.py_buffer(csv_records.BOM + text.to_pybytes())
    read = arrow_csv.ReadOptions(use_threads=False, block_size=text.size + 1, column_names=names)
    parse = arrow_csv.ParseOptions(
        delimiter=delimiter,
        newlines_in_values=True,
        ignore_empty_lines=len(names) > 1,
        invalid_row_handler=skip,
    )
    convert = arrow_csv.ConvertOptions(
        column_types=dict.fromkeys(wanted, _BYTES),
        include_columns=wanted or names[:1],
        null_values=_NULLS,
        strings_can_be_null=True,
        quoted_strings_can_be_null=False,
        auto_dict_encode=False,
    )
    return arrow_csv.read_csv(pa.BufferReader(text), read, parse, convert)
