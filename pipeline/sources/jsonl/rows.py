"""Lines of JSON to Arrow, each row as it would be alone.

What a line holds is what Python's json module reads in it, and its types are those that `transforms.rows.from_python` gives it.
That takes 100 µs a row. Arrow's JSON reader takes a tenth, and is used wherever it provably says the same:

- It is told the type of every feature asked for, as found in earlier rows, and skips the others. It infers nothing: it would
  take text for times, and one row's floats for the type of another row's integers. A value of another type is an error.
- It parses JSON values, not lines. As many rows as lines, where every line begins with `{` and ends with `}`, are one row a
  line: a line end between `}` and `{` can only stand between two whole rows. (pyarrow 25 ends the process when the text is
  `null`; no such line gets to it.)
- What it lets through though json does not, or reads otherwise, is looked for: bytes that are not UTF-8, `-NaN` and `Inf`,
  integers read as floats that a float64 cannot hold (from 2^53) or whose sign it keeps (`-0`), rows of nulls beside rows of
  lists.

A batch in which something of that kind stands is halved until the rest can be read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pyarrow as pa

from pipeline.sources.batches import Part, halved, joined, of_rows
from transforms.parse.carriers import LARGEST_EXACT_FLOAT
from transforms.rows import origin
from transforms.rows.from_python import from_dicts
from transforms.rows.ragged import Ragged, is_utf8, splits_of

BLANK: Final = b" \t\r"
"""What JSON allows around values, line ends aside."""

_GUESSES: Final = {
    "int64": pa.list_(pa.int64()),
    "float32": pa.list_(pa.float64()),
    "string": pa.list_(pa.string()),
}
_LEAVES: Final = (pa.int64(), pa.float64(), pa.string())

_LINE_BY_LINE: Final = 16
"""How many lines go through json one by one as soon as Arrow refuses them together."""

_ODD_NUMBERS: Final = ((b"I", re.compile(rb"Inf[ \t\r,\]}]")), (b"N", re.compile(rb"-NaN[ \t\r,\]}]")))
_LONG_INTEGER: Final = re.compile(rb"(?<![\d.])\d{16,}(?![\d.eE])")
_NEGATIVE_ZERO: Final = re.compile(rb"-0[ \t\r,\]}]")
_MOST_DIGITS: Final = 4000
"""Python 3.11 reads no integers of more than 4,300 digits."""

_DEEPEST: Final = 8
_TOO_DEEP: Final = {"nested": "too deep"}


class JSONDecoder:
    """Decodes batches of lines. The types found last are the ones expected next."""

    def __init__(self, features: Mapping[str, str]):
        self._types = {name: _GUESSES[carrier] for name, carrier in features.items()}

    def decode(self, lines: Sequence[bytes]) -> tuple[list[Part], dict[int, str]]:
        """Decodes one batch.

        Returns:
          The rows, in order, in as few parts as their types allow, with a column for each feature asked for. And the
          positions of the lines that are no JSON object, with what was expected.
        """
        parts: list[Part] = []
        bad: dict[int, str] = {}
        bare = [line.strip(BLANK) for line in lines]
        for start, own, batch in halved(self._attempt, bare, least=_LINE_BY_LINE):
            if batch is not None:
                parts.append(Part.at(start, batch))
                continue
            found, refused = self._line_by_line(own)
            parts += [Part(part.batch, start + part.positions) for part in found]
            bad |= {start + k: message for k, message in refused.items()}
        return joined(parts), bad

    def _attempt(self, lines: Sequence[bytes]) -> pa.RecordBatch | None:
        return _read(lines, self._types)

    def _line_by_line(self, lines: Sequence[bytes]) -> tuple[list[Part], dict[int, str]]:
        objects = [self._object(line) for line in lines]
        bad = {k: made for k, made in enumerate(objects) if isinstance(made, str)}
        good = np.array([k for k in range(len(lines)) if k not in bad], np.int64)
        if not len(good):
            return [], bad
        batch = self._attempt([lines[k] for k in good]) if bad else None
        if batch is not None:
            return [Part(batch, good)], bad
        wanted = [{name: objects[k][name] for name in self._types if name in objects[k]} for k in good]
        found = [_without_origin(batch) for batch in from_dicts(wanted)]
        for batch in sorted(found, key=lambda batch: int(batch.num_rows)):
            self._learn(batch)
        ends = np.cumsum([batch.num_rows for batch in found])
        return [Part(self._completed(b), good[end - b.num_rows : end]) for b, end in zip(found, ends, strict=True)], bad

    def _object(self, line: bytes) -> dict[str, Any] | str:
        """Returns what a line holds, or what was expected of it."""
        try:
            made = parsed(line)
        except RecursionError:
            made = self._shallow(line)
        if isinstance(made, dict):
            return {
                name: _TOO_DEEP if _is_deep(value) else value for name, value in made.items() if name in self._types
            }
        return made

    def _shallow(self, line: bytes) -> dict[str, Any] | str:
        """Returns the features asked for from a line in which something is nested deeper than json goes.

        Arrow can skip it, and would have, had all other lines of the batch been as expected.
        """
        if _read([line], {}) is None:
            return "expected one JSON object, not nested too deep"
        made = {}
        for name in self._types:
            kinds = (_nested(leaf, depth) for leaf in (pa.null(), *_LEAVES, pa.bool_()) for depth in range(3))
            batches = (_read([line], {name: kind}) for kind in kinds)
            batch = next((batch for batch in batches if batch is not None), None)
            made[name] = _TOO_DEEP if batch is None else batch.column(0)[0].as_py()
        return made

    def _learn(self, batch: pa.RecordBatch) -> None:
        """Expects the types of a batch from now on, where Arrow's reader can be told them."""
        for name, column in zip(batch.schema.names, batch.columns, strict=True):
            leaf, depth = _leaf_of(column)
            if leaf.type not in _LEAVES or depth > 2:
                continue
            # Integers fit floats that are expected, unless they are too long: then the floats were the exception.
            floats = self._types[name] == _nested(pa.float64(), depth)
            if floats and pa.types.is_int64(leaf.type) and not _are_long(leaf.drop_null().to_numpy()).any():
                continue
            self._types[name] = column.type

    def _completed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the batch with a column for every feature; those without a value have the type expected."""
        columns, names = [], set(batch.schema.names)
        for name, kind in self._types.items():
            column = batch.column(name) if name in names else None
            empty = column is None or column.null_count == len(column)
            columns.append(pa.nulls(batch.num_rows, kind) if empty else column)
        return of_rows(pa.RecordBatch.from_arrays(columns, list(self._types)), batch.num_rows)


def parsed(line: bytes) -> dict[str, Any] | str:
    """Returns the object in a line of JSON, or what was expected of the line.

    Of a name that stands twice the last value counts. `NaN`, `Infinity` and `-Infinity` are numbers, as Python writes them.

    Raises:
      RecursionError: it is nested too deep for Python, some 1,000 levels.
    """
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        return f"expected UTF-8 text, got byte 0x{line[error.start]:02x} at byte {error.start}"
    try:
        made = _loaded(text)
    except json.JSONDecodeError as error:
        return f"expected one JSON object: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"
    return made if isinstance(made, dict) else f"expected one JSON object, got {_kind_of(made)}"


def is_json(line: bytes) -> bool:
    """Tells whether a line is a JSON value from its start to its end; one that is nested too deep for Python may be."""
    bare = line.strip(BLANK)
    if bare.startswith(b"{"):  # without Python's objects for all that stands in a long line
        if not bare.endswith(b"}"):
            return False
        if _read([bare], {}) is not None:
            return True
    try:
        _loaded(bare.decode())
    except ValueError:
        return False
    except RecursionError:
        pass
    return True


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of too many digits: an infinity, as 1e400 is
        return json.loads(text, parse_int=lambda digits: (int if len(digits) < _MOST_DIGITS else float)(digits))


def _kind_of(value: Any) -> str:
    names = {list: "an array", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def kinds(lines: Sequence[bytes]) -> dict[str, pa.DataType]:
    """Returns every feature in some lines with its type; where rows differ, the type that comes first that says something.

    A feature that never holds anything has a null type. Lines that are no JSON object count for nothing.
    """
    found: dict[str, pa.DataType] = {}
    for batch in from_dicts(list(_objects(lines))):
        for field in _without_origin(batch).schema:
            if field.name not in found or not _says(found[field.name]):
                found[field.name] = field.type
    return found


def _objects(lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            made = parsed(line.strip(BLANK))
        except RecursionError:
            continue
        if isinstance(made, dict):
            named = {name: value for name, value in made.items() if name not in origin.RESERVED and _is_text(name)}
            yield {name: _TOO_DEEP if _is_deep(value) else value for name, value in named.items()}


def _is_text(name: str) -> bool:
    """Whether a name is text that Arrow can hold: JSON can write half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _says(kind: pa.DataType) -> bool:
    while pa.types.is_list(kind):
        kind = kind.value_type
    return not pa.types.is_null(kind)


def _is_deep(value: Any, left: int = _DEEPEST) -> bool:
    if not isinstance(value, list | dict):
        return False
    return left == 0 or any(_is_deep(item, left - 1) for item in (value.values() if isinstance(value, dict) else value))


def _without_origin(batch: pa.RecordBatch) -> pa.RecordBatch:
    names = [name for name in batch.schema.names if name not in origin.RESERVED]
    return of_rows(batch.select(names), batch.num_rows)


def _read(lines: Sequence[bytes], types: Mapping[str, pa.DataType]) -> pa.RecordBatch | None:
    """Reads lines with Arrow; None where it refuses them, or where what it says is not what each line says by itself."""
    from pyarrow import json as arrow_json

    if not all(line.startswith(b"{") and line.endswith(b"}") for line in lines):
        return None
    text = b"\n".join(lines)
    if any(first in text and odd.search(text) for first, odd in _ODD_NUMBERS) or not (
        text.isascii() or is_utf8(pa.py_buffer(text))
    ):
        return None
    read = arrow_json.ReadOptions(use_threads=False, block_size=len(text) + 1)
    parse = arrow_json.ParseOptions(explicit_schema=pa.schema(list(types.items())), unexpected_field_behavior="ignore")
    try:
        table = arrow_json.read_json(pa.BufferReader(text), read, parse)
    except pa.ArrowInvalid:
        return None
    if table.num_rows != len(lines):
        return None
    columns = [table.column(name).combine_chunks() for name in types]
    if not all(_is_exact(column, text) for column in columns):
        return None
    return of_rows(pa.RecordBatch.from_arrays(columns, list(types)), len(lines))


def _is_exact(column: pa.Array, text: bytes) -> bool:
    """Whether every row of a column is what it would be alone."""
    leaf, depth = _leaf_of(column)
    if depth > 1:
        steps = Ragged.of(column)
        lists = np.diff(splits_of(steps.values.is_valid().to_numpy(zero_copy_only=False))[steps.splits])
        if ((steps.lengths > 0) & (lists == 0)).any():
            return False  # nulls alone are values, and a step that is null only beside one that is a list
    if not pa.types.is_float64(leaf.type):
        return True
    values = leaf.to_numpy(zero_copy_only=False)
    if _are_long(values).any() and _LONG_INTEGER.search(text):
        return False
    return not (np.signbit(values[values == 0]).any() and _NEGATIVE_ZERO.search(text))


def _are_long(values: np.ndarray) -> np.ndarray:
    """Tells which numbers may be integers that a float64 rounds."""
    return np.abs(values.astype(np.float64)) >= LARGEST_EXACT_FLOAT


def _leaf_of(column: pa.Array) -> tuple[pa.Array, int]:
    """Returns the values of a column, and how deep in lists they stand."""
    depth = 0
    while pa.types.is_list(column.type):
        column, depth = column.flatten(), depth + 1
    return column, depth


def _nested(leaf: pa.DataType, depth: int) -> pa.DataType:
    return leaf if depth == 0 else pa.list_(_nested(leaf, depth - 1))
