"""Lines of JSON to Arrow, each row as it would be alone.

orjson reads most lines. To Python's json module go those that orjson refuses though json does not (NaN, Infinity, 1e400, half of
a surrogate pair), and those with integers of 19 digits or more, which orjson may take for floats. The types of a row are those
that `transforms.rows.from_python` gives it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
import orjson
import pyarrow as pa

from pipeline.sources.batches import Part, joined, of_rows
from transforms.rows import origin, paths
from transforms.rows.from_python import from_dicts
from transforms.rows.marks import unreadable

BLANK: Final = b" \t\r"
"""The bytes that JSON allows around values, besides line ends."""

_LONG_INTEGER: Final = re.compile(rb"(?<![\d.])\d{19}")
_DIGITS: Final = bytes(48 if 48 <= k <= 57 else 32 for k in range(256))
"""All digits as 0, all else as a space: finds a run of digits in a tenth of the expression's time."""

_ZEROS: Final = b"0" * 19
_MOST_DIGITS: Final = 4000
"""Python reads no integers of more than 4,300 digits."""

_DEEPEST: Final = 8
_TOO_DEEP: Final = {"nested": "too deep"}


class JSONDecoder:
    """Decodes batches of lines.

    Args:
      features: names of the features to read.
    """

    def __init__(self, features: Mapping[str, str]):
        self._names, self._paths = list(features), paths.dotted(features)

    def decode(self, lines: Sequence[bytes]) -> tuple[list[Part], dict[int, str]]:
        """Decodes one batch.

        Returns:
          The rows, in order, in as few parts as their types allow, with a column for each feature asked for. And the
          positions of the lines that are no JSON object, with what was expected.
        """
        objects = list(map(parsed, lines))
        bad = {k: made for k, made in enumerate(objects) if isinstance(made, str)}
        good = np.array([k for k in range(len(lines)) if k not in bad], np.int64)
        rows = [self._wanted(objects[k], lines[k]) for k in good.tolist()]
        parts, at = [], 0
        for batch in from_dicts(rows) if rows else ():
            parts.append(Part(self._completed(batch), good[at : at + batch.num_rows]))
            at += batch.num_rows
        return joined(parts), bad

    def _wanted(self, row: Mapping[str, Any], line: bytes) -> dict[str, Any]:
        """Returns the features asked for; what is nested too deep as something that no column takes."""
        wanted = {name: row[name] for name in self._names if name in row}
        for path in self._paths:
            if path not in row:
                wanted[path] = _picked(row, path)
        return _shallow(wanted) if line.count(b"[") + line.count(b"{") > _DEEPEST else wanted

    def _completed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the batch with a column for every feature."""
        names, rows = set(batch.schema.names), batch.num_rows
        columns = [batch.column(name) if name in names else pa.nulls(rows) for name in self._names]
        return of_rows(pa.RecordBatch.from_arrays(columns, self._names), rows)


def _picked(row: Mapping[str, Any], path: str) -> Any:
    try:
        return paths.picked(row, path)
    except TypeError:  # something else than structs is on the way
        return unreadable(row)


def parsed(line: bytes) -> Any:
    """Returns the object in a line of JSON as a dict, or as text what was expected of the line.

    Of a name that stands twice the last value counts. `NaN`, `Infinity` and `-Infinity` are numbers, as Python writes them.
    """
    try:
        made = _loaded(line)
    except UnicodeDecodeError as error:
        return f"expected UTF-8 text, got byte 0x{error.object[error.start]:02x} at byte {error.start}"
    except json.JSONDecodeError as error:
        return f"expected one JSON object: {error.msg[:1].lower()}{error.msg[1:]} at character {error.pos + 1}"
    except RecursionError:
        return "expected one JSON object, not nested too deep"
    return made if isinstance(made, dict) else f"expected one JSON object, got {_kind_of(made)}"


def is_json(line: bytes) -> bool:
    """Tells whether a line is a JSON value from its start to its end; one that is nested too deep for Python may be."""
    try:
        _loaded(line)
    except ValueError:
        return False
    except RecursionError:
        pass
    return True


def _loaded(line: bytes) -> Any:
    """Returns the value in a line.

    Raises:
      UnicodeDecodeError: it is not UTF-8.
      json.JSONDecodeError: it is no JSON.
      RecursionError: it is nested too deep for Python, some 1,000 levels.
    """
    if _ZEROS not in line.translate(_DIGITS) or not _LONG_INTEGER.search(line):
        try:
            return orjson.loads(line)
        except orjson.JSONDecodeError:
            pass
    text = line.strip(BLANK).decode()
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
    return kinds_of(from_dicts(list(_objects(lines))))


def kinds_of(batches: Iterable[pa.RecordBatch]) -> dict[str, pa.DataType]:
    """Returns every feature in some batches with its type, as `kinds` does."""
    found: dict[str, pa.DataType] = {}
    for batch in batches:
        for field in batch.schema:
            if field.name not in origin.RESERVED and (field.name not in found or not _says(found[field.name])):
                found[field.name] = field.type
    return found


def _objects(lines: Sequence[bytes]) -> Iterator[dict[str, Any]]:
    for made in map(parsed, lines):
        if isinstance(made, dict):
            yield _shallow(
                {name: value for name, value in made.items() if name not in origin.RESERVED and _is_text(name)}
            )


def _is_text(name: str) -> bool:
    """Whether a name is text that Arrow can hold: JSON can write half of a surrogate pair."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def _says(kind: pa.DataType) -> bool:
    while pa.types.is_list(kind):
        kind = kind.value_type
    return not pa.types.is_null(kind)


def _shallow(row: dict[str, Any]) -> dict[str, Any]:
    """Returns a row with what is nested too deep as something that no column takes."""
    return {name: _TOO_DEEP if _is_deep(value) else value for name, value in row.items()}


def _is_deep(value: Any, left: int = _DEEPEST) -> bool:
    if not isinstance(value, list | dict):
        return False
    inside = value.values() if isinstance(value, dict) else value
    if not {list, dict} & set(map(type, inside)):
        return left == 0
    return left == 0 or any(_is_deep(item, left - 1) for item in inside)
