"""Protocol buffer bytes of many messages read at once, on Arrow and NumPy buffers: the counterpart of `pipeline.sinks.wire`.

The format is that of https://protobuf.dev/programming-guides/encoding: a field is a tag, and for what is delimited its length as
a varint and its bytes. Messages stand in one text (uint8), each between two of its positions. Nothing here trusts a byte: a
length may lead anywhere, and it is for the caller to compare where a field ends with where it should.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from transforms.ragged import splits_of

FIELD_1: Final = 0x0A
"""Tag of field 1, delimited by its length; 2 and 3 are the same for the fields 2 and 3."""

FIELD_2: Final = 0x12
FIELD_3: Final = 0x1A

MOST_FIELDS: Final = 1024
"""How many fields of a message are looked at: every further one costs as much as if all messages had it."""

_LENGTH_BYTES: Final = 4
_NOWHERE: Final = 1 << 40
_AT_ONCE: Final = 4  # bytes of a varint: as many as fit 32 bits

LONGEST_VARINT: Final = 10
"""Bytes that 64 bits take, 7 in each. The last can only be 1: parsers differ in what they make of others."""


@dataclass(frozen=True)
class Fields:
    """Fields of messages, in the order in which they stand in the text.

    Attributes:
      message: int64 `[fields]`, the number of the message that each stands in.
      starts: int64 `[fields]`, where its content starts.
      ends: int64 `[fields]`, where that ends.
    """

    message: np.ndarray
    starts: np.ndarray
    ends: np.ndarray


def sized(text: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Reads delimited fields.

    Args:
      text: uint8, not empty.
      at: int64 `[n]`, where the fields start. From the end of a message, what is read is not its own, and ends beyond it.

    Returns:
      The tags, each a single byte: uint8 `[n]`. Where the contents start and end: int64 `[n]`. A length of more than 4 bytes
      ends nowhere.
    """
    tags = text.take(at, mode="clip")
    lengths = text.take(at + 1, mode="clip").astype(np.int64)
    starts = at + 2
    longer = np.flatnonzero(lengths >= 0x80)
    for k in range(1, _LENGTH_BYTES):
        if not len(longer):
            break
        byte = text.take(at[longer] + (1 + k), mode="clip").astype(np.int64)
        lengths[longer] += (
            byte - 1
        ) << 7 * k  # less 1: the bit that says that there is more was counted as a part of the number
        starts[longer] += 1
        longer = longer[byte >= 0x80]
    lengths[longer] = _NOWHERE
    return tags, starts, starts + lengths


def repeated(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> tuple[Fields, np.ndarray]:
    """Reads messages of nothing but field 1, delimited, any number of times: a map, say, or a list of byte strings.

    Args:
      text: uint8, not empty.
      starts: int64 `[n]`, where the messages start, ascending.
      ends: int64 `[n]`, where they end.

    Returns:
      Their fields, and bool `[n]`, which messages are nothing else; the others may have lost some of their fields.
    """
    good = np.ones(len(starts), bool)
    own = np.flatnonzero(starts < ends)
    at, until = starts[own], ends[own]
    steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []  # the k-th field of all messages that have one
    while len(own) and len(steps) < MOST_FIELDS:
        tags, begin, end = sized(text, at)
        fits = (tags == FIELD_1) & (end <= until)
        if not fits.all():
            good[own[~fits]] = False
            own, until, begin, end = own[fits], until[fits], begin[fits], end[fits]
        steps.append((own, begin, end))
        more = end < until
        own, at, until = (own, end, until) if more.all() else (own[more], end[more], until[more])
    good[own] = False
    return _in_order(steps, len(starts)), good


def _in_order(steps: list[tuple[np.ndarray, np.ndarray, np.ndarray]], count: int) -> Fields:
    if steps and len(steps[-1][0]) == count:  # all have as many fields, as in most files
        starts = np.stack([begin for _, begin, _ in steps], axis=1).reshape(-1)
        ends = np.stack([end for _, _, end in steps], axis=1).reshape(-1)
        return Fields(np.repeat(np.arange(count), len(steps)), starts, ends)
    sizes = np.zeros(count, np.int64)
    for own, _, _ in steps:
        sizes[own] += 1
    first = splits_of(sizes)
    starts, ends = np.empty((2, first[-1]), np.int64)
    for k, (own, begin, end) in enumerate(steps):
        places = first[own] + k
        starts[places], ends[places] = begin, end
    return Fields(np.repeat(np.arange(count), sizes), starts, ends)


def words(text: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Returns the 8 bytes that start at each position, uint64 `[n]`, the first of them the lowest; beyond the end they are 0.

    >>> hex(words(np.frombuffer(b"123456789", np.uint8), np.array([7]))[0])
    '0x3938'
    """
    if len(text) < 8:
        text = np.pad(text, (0, 8 - len(text)))
    everywhere = np.ndarray((len(text) - 7,), "<u8", np.ascontiguousarray(text).data, strides=(1,))
    over = np.maximum(at - (len(text) - 8), 0)
    if not over.any():
        return everywhere[at]
    found = everywhere[at - over] >> (8 * np.minimum(over, 7)).astype(np.uint64)
    return np.where(over < 8, found, np.uint64(0))


def turns(text: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> pa.Array:
    """Returns pieces of the text and the gaps between them, by turns, large_binary: piece k is value 2k. Copies nothing.

    Whoever takes pieces of it has Arrow copy them, a run a piece, one after another into one buffer.

    Args:
      text: uint8.
      starts: int64 `[n]`, where the pieces start.
      ends: int64 `[n]`, where they end: before the next one starts.
    """
    if not len(starts):
        return pa.array([], pa.large_binary())
    bounds = np.empty(2 * len(starts), np.int64)
    bounds[0::2], bounds[1::2] = starts, ends
    return pa.Array.from_buffers(pa.large_binary(), len(bounds) - 1, [None, pa.py_buffer(bounds), pa.py_buffer(text)])


def bytes_of(strings: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Returns the offsets of large_binary `[n]`, int64 `[n + 1]`, and the uint8 that they count, none but theirs.

    Args:
      strings: not a slice.
    """
    _, offsets, data = strings.buffers()
    if offsets is None or not offsets.size:
        return np.zeros(1, np.int64), np.zeros(0, np.uint8)
    bounds = np.frombuffer(offsets, np.int64)[: len(strings) + 1]
    return bounds, np.frombuffer(data, np.uint8)[: bounds[-1]] if data is not None else np.zeros(0, np.uint8)


def varint_bytes(text: np.ndarray) -> int:
    """Returns how many bytes the longest varint takes; 10 also where one is longer.

    Args:
      text: uint8, nothing but varints.
    """
    more = text >= 0x80
    run = more
    for size in range(1, LONGEST_VARINT):
        if not run.any():
            return size
        run = run[:-1] & more[size:]
    return LONGEST_VARINT


def bad_varints(text: np.ndarray, lasts: np.ndarray) -> np.ndarray:
    """Returns where varints end that do not fit 64 bits, int64: those of eleven bytes or more, or of ten if the last is not 1.

    Args:
      text: uint8, nothing but varints.
      lasts: int64, where the last byte of each stands.
    """
    sizes = np.diff(lasts, prepend=-1)
    longest = np.flatnonzero(sizes >= LONGEST_VARINT)
    return lasts[longest[(sizes[longest] > LONGEST_VARINT) | (text[lasts[longest]] != 1)]]


def varints(text: np.ndarray, lasts: np.ndarray, longest: int) -> np.ndarray:
    """Returns the numbers, as int64 `[n]` in two's complement.

    >>> varints(np.array([1, 0xAC, 2], np.uint8), np.array([0, 2]), 2)
    array([  1, 300])

    Args:
      text: uint8, nothing but varints, each of which fits 64 bits.
      lasts: int64 `[n]`, where the last byte of each stands.
      longest: how many bytes the longest takes.
    """
    if longest == 1:
        return text.astype(np.int64)
    # From every byte on, as if a number began there: passes over all bytes, without an index, are the fastest there are.
    more = text >= 0x80
    bits = (text & 0x7F).astype(np.uint32)
    numbers = bits.copy()
    for _ in range(min(longest, _AT_ONCE) - 1):
        np.multiply(numbers[1:], more[:-1], out=numbers[:-1])
        numbers[:-1] <<= 7
        numbers |= bits
    firsts = np.zeros_like(lasts)
    np.add(lasts[:-1], 1, out=firsts[1:])
    found = numbers.take(firsts).astype(np.int64)
    if longest > _AT_ONCE:
        _add_higher_bits(found, text, firsts, lasts)
    return found


def _add_higher_bits(numbers: np.ndarray, text: np.ndarray, firsts: np.ndarray, lasts: np.ndarray) -> None:
    k = _AT_ONCE
    longer = np.flatnonzero(lasts - firsts >= k)
    while len(longer):
        numbers[longer] |= (text[firsts[longer] + k] & 0x7F).astype(np.int64) << 7 * k
        k += 1
        longer = longer[lasts[longer] - firsts[longer] >= k]
