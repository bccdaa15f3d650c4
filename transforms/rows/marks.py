"""Types that say that a value is of no type that a column takes: structs of one field, which hold it as text."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa

UNREADABLE: Final = pa.struct([("seqcols: what no type of Arrow holds", pa.large_string())])
"""The type of what Arrow cannot hold, as Python writes it."""

NO_TEXT: Final = pa.struct([("seqcols: text that UTF-8 cannot hold", pa.binary())])
"""The type of text with half of a surrogate pair, which JSON can write but an Arrow string cannot hold, and of its neighbours."""

NUMBERS: Final = pa.struct([("seqcols: numbers that no type of Arrow holds together", pa.string())])
"""The type of numbers as text: integers of any size, alone or beside floats. Columns of numbers take them."""

MIXED: Final = pa.struct([("seqcols: booleans among numbers", pa.string())])
"""The type of booleans and numbers in one list."""

_NAMES: Final = {mark.field(0).name for mark in (UNREADABLE, NO_TEXT, NUMBERS, MIXED)}


def unreadable(value: Any) -> dict[str, str]:
    """Returns a value of the type `UNREADABLE`."""
    return {UNREADABLE.field(0).name: repr(value)}


def is_mark(kind: pa.DataType) -> bool:
    """Tells whether a type is one of these; whatever type of text they hold."""
    return bool(pa.types.is_struct(kind) and kind.num_fields == 1 and kind.field(0).name in _NAMES)
