"""Serialized tf.Examples and tf.SequenceExamples inside a graph: which of them can be parsed, and what they hold.

The counterpart of `pipeline.sources.tfrecord.source`, which `tests/test_records.py` holds it against: what is valid is what a
job takes, however it is written. A tf.Example is a tf.SequenceExample that has only a context, so there is one way for both.
Their messages lie in one another to a fixed depth, and each level is looked at for all records at once.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto, and feature.proto beside it.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import tensorflow as tf

from transforms.serve import fields
from transforms.serve.fields import Fields, Messages, Text, Walked

_SIZED_1, _SIZED_2, _SIZED_3 = 0x0A, 0x12, 0x1A  # tags of the fields 1, 2 and 3, delimited by their length
_VARINT_1, _FIXED32_1 = 0x08, 0x0D  # tags of field 1 where it is a number that is not packed

NO_KIND, BYTES, FLOATS, INTEGERS = range(4)
"""Kinds of a `Feature`, by the number of its field."""

_KINDS: Final = 4


class Entries(NamedTuple):
    """Features by name, `[entries]` all, in any order.

    Attributes:
      row: int64, the record.
      name: string.
      listed: bool, whether it is a feature list; else it stands in the context.
      at: int64, where it begins: of two with one name the last one counts.
      kind: int64, the kind of one in the context.
    """

    row: tf.Tensor
    name: tf.Tensor
    listed: tf.Tensor
    at: tf.Tensor
    kind: tf.Tensor


class RecordSteps(NamedTuple):
    """Steps of feature lists, int64 `[steps]` all, in any order: the entry, where the step begins, its kind."""

    entry: tf.Tensor
    at: tf.Tensor
    kind: tf.Tensor


class Chunks(NamedTuple):
    """Bytes that hold values of one kind: packed numbers, one number, or one byte string. int64 `[chunks]` all, in any order.

    Attributes:
      entry: the feature.
      step: the step of a feature list; -1 in the context.
      kind: of the values.
      start: where they start.
      end: where they end.
    """

    entry: tf.Tensor
    step: tf.Tensor
    kind: tf.Tensor
    start: tf.Tensor
    end: tf.Tensor


class ParsedRecords(NamedTuple):
    """The contents of records; those of records that are not `good` (bool `[batch]`) mean nothing."""

    text: Text
    good: tf.Tensor
    entries: Entries
    steps: RecordSteps
    chunks: Chunks


class _Levels:
    """Goes down the messages of records, and notes which records are bad."""

    def __init__(self, records: tf.Tensor):
        self.text = fields.read(tf.io.decode_raw(tf.strings.reduce_join(records), tf.uint8))
        sizes = tf.cast(tf.strings.length(records), tf.int64)
        ends = tf.cumsum(sizes)
        self.records = Messages(ends - sizes, ends, tf.range(tf.size(ends, tf.int64)))
        self._walked: list[Walked] = []
        self._bad: list[tf.Tensor] = []

    def walk(self, messages: Messages) -> Walked:
        """Returns the fields of messages."""
        self._walked.append(fields.walk(self.text, messages))
        return self._walked[-1]

    def refuse(self, rows: tf.Tensor, wrong: tf.Tensor) -> None:
        """Notes that the records of some fields are bad."""
        self._bad.append(tf.gather(rows, fields.where(wrong)))

    def good(self) -> tf.Tensor:
        """Returns which records are not bad, bool `[batch]`."""
        bad = tf.concat([fields.unsound(self.text, self._walked), *self._bad], axis=0)
        count = tf.size(self.records.row, tf.int64)
        return tf.equal(tf.math.unsorted_segment_sum(tf.ones_like(bad), bad, count), 0)


@tf.function(input_signature=[tf.TensorSpec([None], tf.string)], autograph=False)
def parse(records: tf.Tensor) -> ParsedRecords:
    """Parses records, string `[batch]`."""
    levels = _Levels(records)
    maps = levels.walk(levels.records).with_tag(_SIZED_1, _SIZED_2)  # the context, and the feature lists
    found = levels.walk(maps.messages).with_tag(_SIZED_1)
    parts = levels.walk(found.messages)
    names = _names(levels, parts.with_tag(_SIZED_1), found)
    listed = tf.equal(tf.gather(maps.tag, found.own), _SIZED_2)
    values = parts.with_tag(_SIZED_2)
    is_list = tf.gather(listed, values.own)
    lists, alone = values.take(is_list), values.take(tf.logical_not(is_list))
    each = levels.walk(lists.messages).with_tag(_SIZED_1)
    # What has one kind is a unit: a feature of the context, numbered as its entry is, or a step, numbered after all entries.
    count, own = tf.size(found.at, tf.int64), tf.gather(lists.own, each.own)
    units = tf.concat([alone.own, count + tf.range(tf.size(own, tf.int64))], axis=0)
    together = Messages(*(tf.concat(pair, axis=0) for pair in zip(alone.messages, each.messages, strict=True)))
    held = levels.walk(together).with_tag(_SIZED_1, _SIZED_2, _SIZED_3)
    unit = tf.gather(units, held.own)
    kinds, counts = _kinds(held, unit, count + tf.size(own, tf.int64))
    chunks = _chunks(levels, held, counts)
    whose = tf.gather(unit, chunks.own)
    step = tf.maximum(whose - count, -1)
    entry = tf.where(step < 0, whose, tf.gather(tf.concat([own, [0]], axis=0), tf.maximum(step, 0)))
    return ParsedRecords(
        levels.text,
        levels.good(),
        Entries(found.row, names, listed, found.at, kinds[:count]),
        RecordSteps(own, each.at, kinds[count:]),
        Chunks(entry, step, tf.gather(held.tag, chunks.own) // 8, chunks.start, chunks.end),
    )


def _names(levels: _Levels, keys: Fields, entries: Fields) -> tf.Tensor:
    """Returns the names of entries: the last key of each, nothing where there is none. All must be UTF-8."""
    found = fields.strings(levels.text, keys.start, keys.end)
    odd = fields.where(tf.logical_not(tf.strings.regex_full_match(found, r"[\x00-\x7f]*")))
    text = tf.gather(found, odd)
    wrong = tf.not_equal(text, tf.strings.unicode_transcode(text, "UTF-8", "UTF-8", errors="replace"))
    levels.refuse(tf.gather(keys.row, odd), wrong)
    count = tf.size(entries.at, tf.int64)
    last = tf.gather(tf.math.unsorted_segment_max(keys.at, keys.own, count), keys.own)
    number = tf.where(tf.equal(keys.at, last), tf.range(1, tf.size(keys.at, tf.int64) + 1), 0)
    return tf.gather(
        tf.concat([[""], found], axis=0), tf.maximum(tf.math.unsorted_segment_max(number, keys.own, count), 0)
    )


def _kinds(held: Fields, unit: tf.Tensor, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the kind of each of `count` units, and which lists count: those of the last kind, after any of another kind."""
    kind = held.tag // 8
    last = tf.math.unsorted_segment_max(held.at * _KINDS + kind, unit, count)
    kinds = tf.where(last < 0, tf.constant(NO_KIND, tf.int64), last % _KINDS)
    other = tf.where(tf.equal(kind, tf.gather(kinds, unit)), tf.constant(-1, tf.int64), held.at)
    return kinds, held.at > tf.gather(tf.math.unsorted_segment_max(other, unit, count), unit)


def _chunks(levels: _Levels, held: Fields, counts: tf.Tensor) -> Fields:
    """Returns the fields that hold values, of the lists that count."""
    found = levels.walk(held.messages).with_tag(_SIZED_1, _VARINT_1, _FIXED32_1)
    kind = tf.gather(held.tag, found.own) // 8
    packed = tf.equal(found.tag, _SIZED_1)
    allowed = tf.gather(tf.constant([0, _SIZED_1, _FIXED32_1, _VARINT_1], tf.int64), kind)
    valued = tf.logical_or(packed, tf.equal(found.tag, allowed))
    size = found.end - found.start
    levels.refuse(found.row, packed & tf.equal(kind, FLOATS) & tf.not_equal(size % 4, 0))
    varints = packed & tf.equal(kind, INTEGERS) & (size > 0)
    levels.refuse(found.row, varints & ~fields.are_varints(levels.text, found.start, found.end))
    return found.take(valued & tf.gather(counts, found.own))
