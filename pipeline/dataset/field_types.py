"""The types of fields as a manifest holds them: Arrow's names, read back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import pyarrow as pa

_IN_A_ZONE: Final = re.compile(r"timestamp\[(s|ms|us|ns), tz=(.+)\]")
_DECIMAL: Final = re.compile(r"(decimal32|decimal64|decimal128|decimal256)\((\d+), (-?\d+)\)")


def as_json(kinds: Mapping[str, pa.DataType]) -> dict[str, str]:
    """Returns fields and their types, none of which holds another, as JSON holds them."""
    return {name: str(kind) for name, kind in kinds.items()}


def from_json(held: Mapping[str, str]) -> dict[str, pa.DataType]:
    """Returns what `as_json` was given.

    >>> from_json({"at": "timestamp[us, tz=Europe/Paris]", "price": "double"})
    {'at': TimestampType(timestamp[us, tz=Europe/Paris]), 'price': DataType(double)}

    Raises:
      ValueError: a text is the name of no such type.
    """
    return {name: _kind(text) for name, text in held.items()}


def _kind(text: str) -> pa.DataType:
    zoned, decimal = _IN_A_ZONE.fullmatch(text), _DECIMAL.fullmatch(text)
    if zoned:
        return pa.timestamp(*zoned.groups())
    if decimal:
        name, *sizes = decimal.groups()
        return getattr(pa, name)(*map(int, sizes))
    return pa.type_for_alias(text)
