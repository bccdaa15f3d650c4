"""Arrays as text, as JSON, Python and NumPy write them: `[1, 2.5, null]`, `['a', None]`, `[[1. 2.] [3. nan]]`.

One pass over the bytes finds the values and takes strings apart; what the values are is for others to read. JSON is RFC 8259,
strings are those of Python's `repr` too: https://docs.python.org/3/reference/lexical_analysis.html#escape-sequences
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from transforms.kernels.compiled import kernel

BARE, QUOTED, NOTHING, BOOLEAN = 0, 1, 2, 3
"""Kinds of values: as they stand, a string, `null` or `None`, and `true`, `False` and the like, as they stand."""

FLAT, NESTED, NO_ARRAY, MIXED = 1, 2, -1, -2
"""The forms of a text: a list of values (or of nothing), a list of such lists; none of them, and values beside or below lists."""

_OPEN, _CLOSE, _OPEN_ROUND, _CLOSE_ROUND = 91, 93, 40, 41
_COMMA, _QUOTE, _APOSTROPHE, _ESCAPE, _SPACE = 44, 34, 39, 92, 32
_NULL: Final = np.frombuffer(b"null", np.uint8)
_NONE: Final = np.frombuffer(b"None", np.uint8)
_NUMPY: Final = np.frombuffer(b"np.", np.uint8)
_BOOLEANS: Final = tuple(
    np.frombuffer(word, np.uint8) for word in (b"true", b"false", b"True", b"False", b"np.True_", b"np.False_")
)
_SIMPLE: Final = np.zeros(256, np.uint8)
for _name, _byte in zip(b"abfnrtv0\"'\\/", b"\a\b\f\n\r\t\v\0\"'\\/", strict=True):
    _SIMPLE[_name] = _byte


@kernel
def arrays_of_text(
    offsets: Any, text: Any, fill: Any, form: Any, values: Any, steps: Any, ends: Any, kinds: Any, sizes: Any, data: Any
) -> None:
    r"""Reads each text as an array; a first call (`fill` false) counts, and a second one fills arrays of these sizes.

    Values stand between commas, or between spaces only, as NumPy has them; a list of lists is one level deep. A string in quotes
    may be bytes (`b'\xff'`), and a value one of NumPy's own scalars (`np.float64(1.5)`). Round brackets are a list, too.

    Args:
      offsets: int64 `[n + 1]`, where each text begins and ends; one without bytes is an empty list.
      text: uint8, the bytes; no spaces stand around a text.
      fill: whether to fill the last four; a text whose form is negative is left out then.
      form: int64 `[n]`, filled with `FLAT`, `NESTED`, `NO_ARRAY` or `MIXED`.
      values: int64 `[n]`, filled with the number of values.
      steps: int64 `[n]`, filled with the number of lists in a list of lists.
      ends: int64 `[values]`, where each value ends in `data`; it begins where the one before ends.
      kinds: uint8 `[values]`.
      sizes: int64 `[steps]`, the number of values in each list of a list of lists.
      data: uint8, at least as long as `text`: the values, strings without their quotes and escapes, in UTF-8.
    """
    place = (np.int64(0), np.int64(0), np.int64(0))
    for k in range(len(offsets) - 1):
        if fill and form[k] < 0:
            continue
        found, after = _array(text, offsets[k], offsets[k + 1], fill, place, ends, kinds, sizes, data)
        form[k], values[k], steps[k] = found, after[0] - place[0], after[1] - place[1]
        if found < 0:
            values[k], steps[k] = 0, 0
        else:
            place = after


@kernel
def _array(text: Any, at: Any, end: Any, fill: Any, place: Any, ends: Any, kinds: Any, sizes: Any, data: Any) -> Any:
    """Reads one text; returns its form, and the numbers of values, of lists in a list, and of bytes of values by then."""
    value, step, byte = place
    if at == end:
        return FLAT, place
    level, nested, flat = 0, False, False
    commas, spaces = False, False
    after, comma, space = False, False, False  # what stands before: an item, and then a comma, or a space
    inner_round, outer_round, first = False, False, value
    inner_comma, outer_comma = False, False  # without one, round brackets around one item are no list to Python
    while at < end:
        byte_here = text[at]
        if _is_space(byte_here):
            space = True
            at += 1
            continue
        if byte_here == _COMMA:
            if not after or comma:
                return NO_ARRAY, place
            comma = True
            inner_comma |= level == 2
            outer_comma |= level == 1
            at += 1
            continue
        if byte_here in (_CLOSE, _CLOSE_ROUND):
            is_round = inner_round if level == 2 else outer_round
            if level == 0 or is_round != (byte_here == _CLOSE_ROUND) or (comma and not is_round):
                return NO_ARRAY, place
            if is_round and after and not (inner_comma if level == 2 else outer_comma):
                return NO_ARRAY, place
            if level == 2:
                if fill:
                    sizes[step] = value - first
                step += 1
            level -= 1
            at += 1
            after, comma, space = True, False, False
            if level == 0:
                return (NESTED if nested else FLAT) if at == end else NO_ARRAY, (value, step, byte)
            continue
        if level > 0 and after:
            commas |= comma
            spaces |= not comma
            if (commas and spaces) or not (comma or space):
                return NO_ARRAY, place
        if byte_here in (_OPEN, _OPEN_ROUND):
            if level == 2 or flat:
                return MIXED, place
            nested = level == 1
            if nested:
                inner_round, inner_comma, first = byte_here == _OPEN_ROUND, False, value
            else:
                outer_round = byte_here == _OPEN_ROUND
            level += 1
            at += 1
            after, comma, space = False, False, False
            continue
        if level == 0:
            return NO_ARRAY, place
        if level == 1:
            if nested:
                return MIXED, place
            flat = True
        at, byte, kind = _value(text, at, end, fill, byte, data)
        if at < 0:
            return NO_ARRAY, place
        if fill:
            ends[value], kinds[value] = byte, kind
        value += 1
        after, comma, space = True, False, False
    return NO_ARRAY, place


@kernel
def _is_space(byte: Any) -> Any:
    return byte == _SPACE or (byte >= 9 and byte <= 13)


@kernel
def _is_end(byte: Any) -> Any:
    special = (_OPEN, _CLOSE, _OPEN_ROUND, _CLOSE_ROUND, _COMMA, _QUOTE, _APOSTROPHE)
    return byte in special or _is_space(byte)


@kernel
def _value(text: Any, at: Any, end: Any, fill: Any, byte: Any, data: Any) -> Any:
    """Reads a value; returns where it ends (-1: it is none), the number of bytes of values by then, and its kind."""
    first = at
    while at < end and not _is_end(text[at]):
        at += 1
    if at < end and text[at] == _OPEN_ROUND and _begins(text, first, at, _NUMPY):
        at, byte, kind = _scalar(text, at + 1, end, fill, byte, data)
        closed = at >= 0 and at < end and text[at] == _CLOSE_ROUND
        return (at + 1 if closed else np.int64(-1)), byte, kind
    return _rest(text, first, at, end, fill, byte, data)


@kernel
def _scalar(text: Any, at: Any, end: Any, fill: Any, byte: Any, data: Any) -> Any:
    first = at
    while at < end and not _is_end(text[at]):
        at += 1
    return _rest(text, first, at, end, fill, byte, data)


@kernel
def _rest(text: Any, first: Any, at: Any, end: Any, fill: Any, byte: Any, data: Any) -> Any:
    """Reads a value of which everything up to a first special byte is known."""
    if at < end and (text[at] == _QUOTE or text[at] == _APOSTROPHE):
        is_bytes = at == first + 1 and text[first] == 98
        if at != first and not is_bytes:
            return np.int64(-1), byte, QUOTED
        at, byte = _string(text, at + 1, end, text[at], is_bytes, fill, byte, data)
        return at, byte, QUOTED
    if at == first or (at < end and text[at] == _OPEN_ROUND):
        return np.int64(-1), byte, BARE
    if _is(text, first, at, _NULL) or _is(text, first, at, _NONE):
        return at, byte, NOTHING
    kind = BARE
    for word in _BOOLEANS:
        if _is(text, first, at, word):
            kind = BOOLEAN
    if fill:
        for k in range(at - first):
            data[byte + k] = text[first + k]
    return at, byte + at - first, kind


@kernel
def _begins(text: Any, first: Any, end: Any, word: Any) -> Any:
    same = 0
    while same < len(word) and first + same < end and text[first + same] == word[same]:
        same += 1
    return same == len(word)


@kernel
def _is(text: Any, first: Any, end: Any, word: Any) -> Any:
    return end - first == len(word) and _begins(text, first, end, word)


@kernel
def _string(text: Any, at: Any, end: Any, quote: Any, is_bytes: Any, fill: Any, byte: Any, data: Any) -> Any:
    """Reads a string behind its quote; returns where it ends (-1: it does not), and the number of bytes of values by then."""
    while at < end:
        here = text[at]
        if here == quote:
            return at + 1, byte
        if here != _ESCAPE:
            if fill:
                data[byte] = here
            byte += 1
            at += 1
            continue
        if at + 1 >= end:
            break
        name = text[at + 1]
        digits = 2 if name == 120 else 4 if name == 117 else 8 if name == 85 else 0  # x, u, U
        if digits == 0:
            if _SIMPLE[name] == 0 and name != 48:
                break
            if fill:
                data[byte] = _SIMPLE[name]
            byte += 1
            at += 2
            continue
        code = _hexadecimal(text, at + 2, end, digits)
        at += 2 + digits
        if 0xD800 <= code < 0xDC00 and at + 1 < end and text[at] == _ESCAPE and text[at + 1] == 117:
            low = _hexadecimal(text, at + 2, end, 4)
            if 0xDC00 <= low < 0xE000:
                code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)
                at += 6
        if code < 0 or code > 0x10FFFF:
            break
        byte = _encoded(code, is_bytes and digits == 2, fill, byte, data)
    return np.int64(-1), byte


@kernel
def _hexadecimal(text: Any, at: Any, end: Any, digits: Any) -> Any:
    if at + digits > end:
        return np.int64(-1)
    code = np.int64(0)
    for k in range(at, at + digits):
        digit = np.int64(text[k])
        if 48 <= digit < 58:
            code = code * 16 + digit - 48
        elif 97 <= (digit | 32) < 103:
            code = code * 16 + (digit | 32) - 87
        else:
            return np.int64(-1)
    return code


@kernel
def _encoded(code: Any, as_byte: Any, fill: Any, byte: Any, data: Any) -> Any:
    """Writes a code point as UTF-8, or as the byte that it is; half of a surrogate pair becomes what is no UTF-8."""
    size = 1 if as_byte or code < 0x80 else 2 if code < 0x800 else 3 if code < 0x10000 else 4
    if fill:
        if size == 1:
            data[byte] = code
        else:
            for k in range(size - 1, 0, -1):
                data[byte + k] = 0x80 | (code & 0x3F)
                code >>= 6
            data[byte] = ((0xF00 >> size) & 0xFF) | code
    return byte + size
