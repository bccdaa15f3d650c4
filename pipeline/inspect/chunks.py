"""One feature in one batch of a sample, as NumPy and flat Arrow arrays, whatever it is stored as."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.parse import typed
from transforms.parse.array_text import arrays_of
from transforms.parse.carriers import pieces
from transforms.parse.form import JSON, Form
from transforms.parse.typed import is_text
from transforms.rows import keys
from transforms.rows.ragged import Ragged, bare_type, is_list, simple


@dataclass(frozen=True)
class Chunk:
    """A feature in some rows.

    Attributes:
      kind: the type as stored.
      depth: how deep in lists its values stand: 0 for scalars, 2 for one list a step.
      present: bool `[rows]`; False where the feature is absent.
      steps: int64 `[rows]`: values in each row, or lists in it. 0 where it is absent.
      widths: int64 `[steps]`, values in each list of a row, -1 where there is a null in its place; None without such lists.
      values: all values, a flat Arrow array without extension types and dictionaries. Of what stands deeper than columns
        take, the lists. Booleans, decimals and times as numbers, times in seconds; UUIDs as text.
      meaning: `booleans` or `times`, if the values are such; else empty.
    """

    kind: pa.DataType
    depth: int
    present: np.ndarray
    steps: np.ndarray
    widths: np.ndarray | None
    values: pa.Array
    meaning: str = ""

    @property
    def nulls(self) -> int:
        """Nulls inside of lists, those in place of a list included."""
        return int(self.values.null_count) + (0 if self.widths is None else int((self.widths < 0).sum()))


def chunk_of(array: pa.Array) -> Chunk:
    """Returns a column of a batch as a chunk.

    >>> made = chunk_of(pa.array([[1, 2], None, []]))
    >>> made.steps.tolist(), made.present.tolist(), made.values.to_pylist()
    ([2, 0, 0], [True, False, True], [1, 2])
    """
    kind, plain = array.type, _plain(array)
    if not is_list(plain.type):
        present = pc.is_valid(plain).to_numpy(zero_copy_only=False)
        values = plain.drop_null()
        return Chunk(kind, 0, present, present.astype(np.int64), None, _as_numbers(values), _meaning(values.type))
    outer = Ragged.of(plain)
    if not is_list(outer.values.type):
        values = _plain(outer.values)
        return Chunk(kind, 1, outer.present, outer.lengths, None, _as_numbers(values), _meaning(values.type))
    inner = Ragged.of(outer.values)
    widths = np.where(inner.present, inner.lengths, -1)
    values = _plain(inner.values)
    depth = 3 if is_list(values.type) else 2
    return Chunk(kind, depth, outer.present, outer.lengths, widths, _as_numbers(values), _meaning(values.type))


def _plain(array: pa.Array) -> pa.Array:
    return typed.text_of_uuids(array.storage) if typed.is_uuid(array.type) else simple(array)


def _meaning(kind: pa.DataType) -> str:
    return "booleans" if pa.types.is_boolean(kind) else "times" if typed.is_time(kind) else ""


def _as_numbers(values: pa.Array) -> pa.Array:
    """Returns booleans, decimals and times as numbers; decimals of no places that int64 does not hold as they are."""
    if pa.types.is_decimal(values.type) and values.type.scale == 0:
        try:
            return values.cast(pa.int64())
        except pa.ArrowInvalid:
            return values
    return typed.as_numbers(values, whole=False, unit=typed.SECONDS)[0]


def split(chunk: Chunk, delimiter: str) -> Chunk:
    """Returns a chunk of text, one a row at most, with the pieces between delimiters in place of each; as `parse` takes it."""
    text = pc.utf8_trim_whitespace(chunk.values.cast(pa.large_string()))
    if delimiter == JSON:
        return _with_arrays(chunk, text)
    split_up = pieces(text, delimiter)
    steps = chunk.steps.copy()
    steps[steps > 0] = split_up.lengths
    return replace(chunk, depth=1, steps=steps, values=split_up.values)


def _with_arrays(chunk: Chunk, text: pa.Array) -> Chunk:
    """Returns a chunk with the values of arrays in place of each text; where some are lists of lists, with those only."""
    found = arrays_of(text, np.ones(len(text), bool), Form("", "bytes"))
    lists = found.lists if found.lists_of_lists is None else found.lists_of_lists
    return replace(chunk_of(keys.spread(lists, chunk.steps > 0)), kind=chunk.kind, present=chunk.present)


def nature(kind: pa.DataType) -> str:
    """Returns what a column may take values of a type for: `integers`, `floats`, `text`, `nothing`; or its own name."""
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return "integers"
    if pa.types.is_floating(kind):
        return "floats"
    if pa.types.is_null(kind):
        return "nothing"
    return "text" if is_text(kind) else name_of(kind)


def name_of(kind: pa.DataType) -> str:
    """Returns a type's name for people: one for all widths of offsets, and that of the words of a dictionary.

    >>> name_of(pa.large_list(pa.large_string())), name_of(pa.list_(pa.float32(), 12))
    ('list<text>', 'list<float>[12]')
    """
    if typed.is_uuid(kind):
        return "uuid"
    if bare_type(kind) is not kind:
        return name_of(bare_type(kind))
    if is_list(kind):
        size = f"[{kind.list_size}]" if pa.types.is_fixed_size_list(kind) else ""
        return f"list<{name_of(kind.value_type)}>{size}"
    if pa.types.is_struct(kind):
        return "struct"
    if pa.types.is_map(kind):
        return "map"
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return "text"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_binary_view(kind):
        return "bytes"
    return str(kind)
