"""Text that is a number, or a whole sequence in one string: found by what all of a feature's text has in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.inspect.chunks import Chunk, nature, split
from transforms.parse.form import JSON
from transforms.parse.text import ARRAY_TEXT, FLOAT_TEXT

NEARLY_ALL: Final = 0.99
"""Share of values that make a feature one of numbers, or of text; where the others stand, rows may be rejected."""

NUMBERS: Final = (";", "|", ",", "\t", " ")
"""Delimiters of numbers, those first that stand in no number."""

WORDS: Final = (";", "|", ",")

LEAST_SHARE: Final = 0.5
"""Share of texts with a delimiter of words in them. A word that is repeated in others is another sign."""

_DIGITS: Final = 76


def as_text(values: pa.Array) -> pa.Array | None:
    """Returns text or bytes as Arrow text; None where some are not UTF-8."""
    try:
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            values.validate(full=True)  # a file may hold any bytes as text
        return values.cast(pa.large_string())
    except pa.ArrowInvalid:
        return None


def ascii_of(values: pa.Array) -> pa.Array:
    """Returns those of text or bytes that are ASCII, as Arrow text: numbers are."""
    found = values.cast(pa.large_binary())
    return found.filter(pc.match_substring_regex(found, rb"^[\x00-\x7f]*$")).cast(pa.large_string())


def integers_of(text: pa.Array) -> pa.Array:
    """Returns decimal text as integers: int64, or decimals of any size that Arrow has; longer ones are left out."""
    digits = pc.utf8_ltrim(text, "+")
    try:
        return digits.cast(pa.int64())
    except pa.ArrowInvalid:
        short = pc.less_equal(pc.utf8_length(digits), _DIGITS)
        return digits.filter(short).cast(pa.decimal256(_DIGITS, 0))


def delimiter_of(chunks: Sequence[Chunk]) -> str:
    """Returns what separates values in a feature's text, or an empty string.

    It is looked for in features whose rows hold one text at most: arrays, in (nearly) all rows; numbers with a delimiter between
    them, in all rows but some of one number; or words, repeated in other rows, in at least half of them.
    """
    if any(chunk.depth > 1 or (chunk.steps > 1).any() or chunk.values.null_count for chunk in chunks):
        return ""
    held = [chunk for chunk in chunks if len(chunk.values)]
    if not held or any(nature(chunk.values.type) != "text" for chunk in held):
        return ""
    texts = [as_text(chunk.values) for chunk in held]
    if any(text is None for text in texts):
        return ""
    text = pa.chunked_array(texts, pa.large_string())
    trimmed = pc.utf8_trim_whitespace(text)
    if _share(pc.match_substring_regex(trimmed, FLOAT_TEXT)) >= NEARLY_ALL:
        return ""
    arrays = _share(pc.match_substring_regex(trimmed, ARRAY_TEXT))
    if arrays >= LEAST_SHARE:
        return JSON if arrays >= NEARLY_ALL else ""
    for delimiter in NUMBERS:
        if pc.any(pc.match_substring(text, delimiter)).as_py():
            pieces = _pieces(held, delimiter)
            if len(pieces) and _share(pc.match_substring_regex(pieces, FLOAT_TEXT)) >= NEARLY_ALL:
                return delimiter
    for delimiter in WORDS:
        if _share(pc.match_substring(text, delimiter)) >= LEAST_SHARE:
            pieces = _pieces(held, delimiter)
            repeated = 2 * pc.count_distinct(pieces).as_py() <= len(pieces)
            if repeated and not pc.any(pc.equal(pieces, "")).as_py():
                return delimiter
    return ""


def _pieces(chunks: Sequence[Chunk], delimiter: str) -> pa.ChunkedArray:
    return pa.chunked_array([split(chunk, delimiter).values for chunk in chunks], pa.large_string())


def _share(flags: pa.ChunkedArray) -> float:
    return (pc.sum(flags).as_py() or 0) / max(len(flags), 1)
