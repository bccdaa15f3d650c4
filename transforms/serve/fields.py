"""Fields of protocol buffers inside a graph, of many messages at once, where no byte can be trusted.

The format is that of https://protobuf.dev/programming-guides/encoding. TensorFlow's own parsing ops fail a whole batch for one
bad record, and none says which. Here `read` computes for every byte of the text where a field that began there would end. Which
bytes do begin one follows by doubling (`walk`): from the fields known so far to those one further, then two, then four. A loop
over fields would take a round for every field of the longest message.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import tensorflow as tf

LONGEST_VARINT: Final = 10
"""Bytes that 64 bits take, 7 in each."""

_SHORT: Final = 5  # bytes of a tag or a length: 32 bits
_ZEROS: Final = 16  # behind the text, so that nothing is read past its end: each is a varint of one byte
_VARINT, _SIZED, _OPENS, _CLOSES = 0, 2, 3, 4  # kinds of fields, the last 3 bits of a tag; 1 and 5 have a fixed size
_FIXED: Final = np.array([0, 8, 0, 0, 0, 4, 0, 0], np.int64)
_ANY: Final = 1 << 40
_MOST: Final = np.array([LONGEST_VARINT, _ANY, _SHORT, _ANY, _ANY, _ANY, 0, 0], np.int64)
"""The most bytes that the varint behind a tag may take, by kind; the kinds 6 and 7 do not exist."""


class Text(NamedTuple):
    """Bytes, and what would be read at each of them.

    Attributes:
      data: uint8 `[bytes]`, zeros behind them.
      digit: int64 `[bytes]`, the 7 bits that count in a varint.
      size: int64 `[bytes]`, how many bytes the varint takes that begins there.
      end: int64 `[bytes]`, where the field would end that begins there. It is past that byte; past the text it stays.
      field: int64 `[bytes, 3]`, the tag of that field, where its content would start, and where it would end.
    """

    data: tf.Tensor
    digit: tf.Tensor
    size: tf.Tensor
    end: tf.Tensor
    field: tf.Tensor

    @property
    def past(self) -> tf.Tensor:
        """The first of the zeros, int64."""
        return tf.size(self.data, tf.int64) - _ZEROS


class Messages(NamedTuple):
    """Messages, none within another: int64 `[messages]` all. Where each starts and ends, and the record that it stands in."""

    start: tf.Tensor
    end: tf.Tensor
    row: tf.Tensor


class Fields(NamedTuple):
    """Fields of messages, in any order: int64 `[fields]` all.

    Attributes:
      at: where each begins, with its tag.
      tag: its number and kind.
      start: where its content starts.
      end: where that ends.
      own: the number of its message.
      row: the record that it stands in.
    """

    at: tf.Tensor
    tag: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor
    own: tf.Tensor
    row: tf.Tensor

    def take(self, chosen: tf.Tensor) -> Fields:
        """Returns those of a mask."""
        return Fields(*gathered(self, where(chosen)))

    @property
    def messages(self) -> Messages:
        """The contents of delimited fields, as messages."""
        return Messages(self.start, self.end, self.row)


class Walked(NamedTuple):
    """All fields of messages, and what is to be said of them.

    Attributes:
      fields: the fields.
      fits: bool, whether each ends within its message, and as a part of a group where the group does. What does not is of no use
        but to tell that the record is bad.
      known: bool, whether it is none of a group: groups are fields that nobody knows.
    """

    fields: Fields
    fits: tf.Tensor
    known: tf.Tensor

    def with_tag(self, *tags: int) -> Fields:
        """Returns those with one of these tags that fit."""
        same = tf.equal(self.fields.tag[:, tf.newaxis], np.array(tags, np.int64))
        return self.fields.take(tf.reduce_any(same, axis=1) & self.fits & self.known)


def where(chosen: tf.Tensor) -> tf.Tensor:
    """Returns the places of a mask, int64 `[n]`."""
    return tf.reshape(tf.where(chosen), [-1])


def gathered(columns: Sequence[tf.Tensor], places: tf.Tensor) -> list[tf.Tensor]:
    """Returns the elements of several int64 tensors at some places: together, as a graph costs by its operations."""
    found: list[tf.Tensor] = tf.unstack(tf.gather(tf.stack(columns), places, axis=1), num=len(columns))
    return found


def pieces(starts: tf.Tensor, ends: tf.Tensor, width: int | tf.Tensor = 1) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns every `width`-th number from each start to its end, and which of the pieces it is of: int64 `[numbers]` both."""
    each = tf.ragged.range(starts, ends, width)
    # Not `value_rowids`, which holds the number of pieces times the longest one, nor `tf.searchsorted`, a dozen operations.
    numbers, splits = tf.range(tf.size(each.values, tf.int64)), each.row_splits[tf.newaxis, 1:]
    own = tf.raw_ops.UpperBound(sorted_inputs=splits, values=numbers[tf.newaxis], out_type=tf.int64)
    return each.values, tf.reshape(own, [-1])


def read(data: tf.Tensor) -> Text:
    """Reads a text, uint8 `[bytes]`."""
    data = tf.pad(data, [[0, _ZEROS]])
    is_last = data < 0x80
    lasts = where(is_last)
    at = tf.range(tf.size(data, tf.int64))
    size = tf.gather(lasts, tf.cumsum(tf.cast(is_last, tf.int64), exclusive=True)) - at + 1
    digit, goes_on, kind = (tf.cast(tf.bitwise.bitwise_and(data, bits), tf.int64) for bits in (0x7F, 0x80, 7))
    value = digit
    for _ in range(_SHORT - 1):
        value = digit + goes_on * tf.pad(value[1:], [[0, 1]])
    last = at[-1] - _ZEROS + 2  # past the text: what ends further ends in no message
    content = tf.minimum(at + size, last)
    sized, varint = tf.equal(kind, _SIZED), tf.gather(size, content)
    start = content + tf.where(sized, varint, 0)
    held = tf.where(tf.equal(kind, _VARINT), varint, tf.gather(_FIXED, kind))
    end = tf.minimum(start + tf.where(sized, tf.gather(value, content), held), last)
    field = tf.stack([tf.bitwise.bitwise_and(value, 0xFFFFFFFF), start, end], axis=1)
    return Text(data, digit, size, end, field)


@tf.function(autograph=False, reduce_retracing=True)  # traced once, however many levels of messages are walked through
def walk(text: Text, messages: Messages) -> Walked:
    """Finds the fields of messages. A message is whole if all of its fields fit and are sound (`unsound`)."""
    own = where(messages.start < messages.end)

    def inside(at: tf.Tensor, own: tf.Tensor, jump: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        to = tf.gather(jump, at)
        return to, to < tf.gather(messages.end, own)

    def doubled(at: tf.Tensor, own: tf.Tensor, jump: tf.Tensor) -> tuple[tf.Tensor, ...]:
        """Doubles the number of known fields of every message. A field never leads to one before it."""
        to, there = inside(at, own, jump)
        chosen = where(there)
        at, own = tf.concat([at, tf.gather(to, chosen)], axis=0), tf.concat([own, tf.gather(own, chosen)], axis=0)
        return at, own, tf.gather(jump, jump)

    at, own, _ = tf.while_loop(
        lambda *known: tf.reduce_any(inside(*known)[1]),
        doubled,
        (tf.gather(messages.start, own), own, text.end),
        shape_invariants=(tf.TensorShape([None]),) * 3,
    )
    return _fields(text, messages, at, own)


def _fields(text: Text, messages: Messages, at: tf.Tensor, own: tf.Tensor) -> Walked:
    tag, start, end = tf.unstack(tf.gather(text.field, at), num=3, axis=1)
    kind = tf.bitwise.bitwise_and(tag, 7)
    all_fields = tf.ones_like(at, tf.bool)
    known, closed = tf.cond(
        tf.reduce_any(tf.equal(kind, _OPENS) | tf.equal(kind, _CLOSES)),
        lambda: _outside_groups(at, own, tag, tf.size(messages.end, tf.int64)),
        lambda: (all_fields, all_fields),
    )
    fits = (end <= tf.gather(messages.end, own)) & closed
    return Walked(Fields(at, tag, start, end, own, tf.gather(messages.row, own)), fits, known)


def _outside_groups(at: tf.Tensor, own: tf.Tensor, tag: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns which fields are no part of a group, and which are no sign of one that does not begin or end."""
    order = tf.argsort(at)
    own, tag, kind = tf.gather(own, order), tf.gather(tag, order), tf.gather(tag, order) % 8
    opens, closes = tf.equal(kind, _OPENS), tf.equal(kind, _CLOSES)
    place = tf.range(tf.size(at, tf.int64))
    change = tf.cast(opens, tf.int64) - tf.cast(closes, tf.int64)
    depth = tf.cumsum(change)
    first = tf.gather(tf.math.unsorted_segment_min(place, own, count), own)
    last = tf.gather(tf.math.unsorted_segment_max(place, own, count), own)
    depth -= tf.gather(depth - change, first)  # behind each field, in its message
    good = (depth >= 0) & tf.equal(tf.gather(depth, last), 0)
    # Sorted by message and depth, every end of a group comes after its beginning.
    signs = where(opens | closes)
    level = tf.gather(depth + tf.cast(closes, tf.int64), signs)
    signs = tf.gather(signs, tf.argsort(tf.gather(own, signs) * tf.size(at, tf.int64) * 2 + level, stable=True))
    pair = tf.equal(tf.gather(tag, signs[:-1]) + 1, tf.gather(tag, signs[1:])) & tf.gather(opens, signs[:-1])
    wrong = tf.gather(closes, signs) & ~tf.concat([[False], pair], axis=0)
    good &= tf.equal(tf.tensor_scatter_nd_add(tf.zeros_like(at), signs[:, tf.newaxis], tf.cast(wrong, tf.int64)), 0)
    back = tf.argsort(order)
    return tf.gather(tf.equal(depth, 0) & ~closes, back), tf.gather(good, back)


def unsound(text: Text, found: Sequence[Walked]) -> tf.Tensor:
    """Returns the records of fields that do not fit their message or are no fields at all, int64 `[n]`."""
    at, tag, row = (tf.concat([getattr(own.fields, name) for own in found], axis=0) for name in ("at", "tag", "row"))
    fits = tf.concat([own.fits for own in found], axis=0)
    taken = tf.gather(text.size, at)
    room = tf.gather(_MOST, tf.bitwise.bitwise_and(tag, 7))
    good = tf.stack([fits, taken <= _SHORT, tag > 7, tf.gather(text.size, at + taken) <= room])
    return tf.gather(row, where(tf.logical_not(tf.reduce_all(good, axis=0))))


def strings(text: Text, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """Returns pieces of the text, string `[n]`.

    Not by `tf.strings.substr`, which needs a copy of the whole record for each.
    """
    places, own = pieces(start, end)
    characters = tf.gather([bytes([k]) for k in range(256)], tf.cast(tf.gather(text.data, places), tf.int64))
    return tf.strings.unsorted_segment_join(characters, own, tf.size(start, tf.int64))


def are_varints(text: Text, start: tf.Tensor, end: tf.Tensor) -> tf.Tensor:
    """Returns which pieces of the text, none of them empty, are nothing but varints: bool `[n]`."""
    too_long = tf.cumsum(tf.cast(text.size > LONGEST_VARINT, tf.int32), exclusive=True)
    none = tf.equal(tf.gather(too_long, start), tf.gather(too_long, end))
    return tf.logical_and(none, tf.equal(tf.gather(text.size, tf.maximum(end - 1, 0)), 1))


def integers(text: Text, at: tf.Tensor) -> tf.Tensor:
    """Returns the varints at some bytes, int64 `[n]` in two's complement."""
    size = tf.gather(text.size, at)
    place = tf.range(tf.reduce_max(tf.concat([size, [1]], axis=0)))
    digits = tf.gather(text.digit, at[:, tf.newaxis] + place)
    digits = tf.where(place < size[:, tf.newaxis], digits, 0)
    return tf.reduce_sum(tf.bitwise.left_shift(digits, 7 * place), axis=1)


def floats(text: Text, at: tf.Tensor) -> tf.Tensor:
    """Returns the numbers of 4 bytes at some bytes, float32 `[n]`."""
    return tf.bitcast(tf.gather(text.data, at[:, tf.newaxis] + np.arange(4)), tf.float32)
