"""The wire format of protocol buffers, read as Google's own parser in C++ reads it (tfx_bsl's, with which tests compare).

https://protobuf.dev/programming-guides/encoding/. Everything that is read is checked against the end of what it stands in: a
function that finds something else than it should returns -1 for the position after it.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np

from transforms.kernels.compiled import kernel, kernel_with_arrays

DEPTH: Final = 100
"""The most levels that messages and groups may be nested: the parser's limit."""

VARINT, WORD, DELIMITED, GROUP, GROUP_END, HALF_WORD = 0, 1, 2, 3, 4, 5
"""The ways in which a field is written, the lowest three bits of its tag; WORD is 8 bytes, HALF_WORD 4."""

_LONGEST_VARINT: Final = 10
LONGEST_TAG: Final = 5
_LARGEST: Final = 2**31 - 1 - 16
"""The parser takes no longer field: it reads up to 16 bytes beyond."""


@kernel
def varint(text: Any, at: Any, end: Any, longest: Any = _LONGEST_VARINT) -> Any:
    """Reads a varint.

    Args:
      text: uint8.
      at: where it starts.
      end: where the text ends for it.
      longest: how many bytes it may have.

    Returns:
      The number, int64, of whose two's complement 64 bits are read; and where it ends.
    """
    value = np.int64(0)
    for k in range(min(longest, end - at)):
        byte = np.int64(text[np.uintp(at + k)])
        value |= (byte & 0x7F) << (7 * k)
        if byte < 0x80:
            return value, at + k + 1
    return np.int64(0), -1


@kernel
def field(text: Any, at: Any, end: Any, depth: Any) -> Any:
    """Reads a field of a message, whatever it is.

    Args:
      text: uint8.
      at: where it starts.
      end: where the message ends, behind that.
      depth: how many more levels of groups it may have.

    Returns:
      Its tag; where its content starts; and where it ends. The tag is -1 for what is no field: then the message is none.
    """
    if end - at >= 2:
        tag, size = np.int64(text[np.uintp(at)]), np.int64(text[np.uintp(at + 1)])
        if tag < 0x80 and tag & 7 == DELIMITED and tag >= 8 and size < 0x80 and size <= end - at - 2:
            return tag, at + 2, at + 2 + size
    return _any_field(text, at, end, depth)


@kernel
def _any_field(text: Any, at: Any, end: Any, depth: Any) -> Any:
    """Does what `field` does, also for tags and sizes of several bytes, and for what is not delimited."""
    tag, begin = varint(text, at, end, LONGEST_TAG)
    tag &= 0xFFFFFFFF
    kind = tag & 7
    if begin < 0 or tag < 8:
        return np.int64(-1), at, at
    if kind == DELIMITED:
        size, begin = varint(text, begin, end, LONGEST_TAG)
        stop = begin + size if begin >= 0 and size <= _LARGEST and size <= end - begin else -1
    elif kind == GROUP:
        stop = _skip_group(text, begin, end, tag >> 3, depth)
    else:
        stop = _skip(text, begin, end, kind)
    if stop < 0:
        return np.int64(-1), at, at
    return tag, begin, stop


@kernel
def _skip(text: Any, at: Any, end: Any, kind: Any) -> Any:
    """Returns where a field ends that is not delimited; -1 where it does not."""
    if kind == VARINT:
        _, stop = varint(text, at, end)
        return stop
    if kind == WORD:
        return at + 8 if at + 8 <= end else -1
    if kind == HALF_WORD:
        return at + 4 if at + 4 <= end else -1
    return -1


@kernel_with_arrays
def _skip_group(text: Any, at: Any, end: Any, number: Any, depth: Any) -> Any:
    """Returns where a group ends, after the tag that ends it; -1 where it does not, or lies too deep."""
    if depth < 1:
        return -1
    numbers = np.empty(depth, np.int64)  # of the groups that are open
    numbers[0], level = number, 1
    while level:
        tag, at = varint(text, at, end, LONGEST_TAG)
        if at < 0:
            return -1
        tag &= 0xFFFFFFFF
        kind = tag & 7
        if tag < 8:
            return -1
        if kind == GROUP:
            if level == depth:
                return -1
            numbers[level] = tag >> 3
            level += 1
        elif kind == GROUP_END:
            level -= 1
            if numbers[level] != tag >> 3:
                return -1
        elif kind == DELIMITED:
            size, at = varint(text, at, end, LONGEST_TAG)
            if at < 0 or size > _LARGEST or size > end - at:
                return -1
            at += size
        else:
            at = _skip(text, at, end, kind)
            if at < 0:
                return -1
    return at


@kernel
def packed_varints(text: Any, at: Any, end: Any) -> Any:
    """Returns how many varints stand from one position to another; -1 where what stands there is something else."""
    count = 0
    for k in range(at, end):
        count += text[np.uintp(k)] < 0x80
    if count == end - at:  # each takes one byte
        return count
    if text[np.uintp(end - 1)] >= 0x80:
        return -1
    longer = np.uint8(0)
    for k in range(at, end - _LONGEST_VARINT + 1):
        more = text[np.uintp(k)]
        for byte in range(1, _LONGEST_VARINT):
            more &= text[np.uintp(k + byte)]
        longer |= more
    return count if longer < 0x80 else -1


@kernel
def is_utf8(text: Any, at: Any, end: Any) -> Any:
    """Tells whether bytes are UTF-8: the shortest form, no surrogates, nothing beyond U+10FFFF.

    https://www.rfc-editor.org/rfc/rfc3629#section-4
    """
    while at < end:
        lead = np.int64(text[np.uintp(at)])
        at += 1
        if lead < 0x80:
            continue
        low, high = np.int64(0x80), np.int64(0xBF)  # what the second byte may be
        if 0xC2 <= lead <= 0xDF:
            more = 1
        elif 0xE0 <= lead <= 0xEF:
            more = 2
            low, high = np.int64(0xA0 if lead == 0xE0 else 0x80), np.int64(0x9F if lead == 0xED else 0xBF)
        elif 0xF0 <= lead <= 0xF4:
            more = 3
            low, high = np.int64(0x90 if lead == 0xF0 else 0x80), np.int64(0x8F if lead == 0xF4 else 0xBF)
        else:
            return False
        if end - at < more:
            return False
        for _ in range(more):
            byte = np.int64(text[np.uintp(at)])
            if byte < low or byte > high:
                return False
            low, high = np.int64(0x80), np.int64(0xBF)
            at += 1
    return True
