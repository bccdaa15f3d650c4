"""Dense rows to TFRecords of tf.Examples or tf.SequenceExamples, a batch in one call.

A protocol buffer's field is a tag and, for a nested message, text or packed numbers, the length as a varint and the bytes
(https://protobuf.dev/programming-guides/encoding). Field numbers are those of tensorflow/core/example/example.proto and
feature.proto. A length stands before what it is the length of, so the first pass over a batch measures and the second writes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from transforms.kernels.blocks import bits, copied
from transforms.kernels.buffers import address_of, bytes_at, integers_at
from transforms.kernels.compiled import kernel, kernel_with_arrays
from transforms.kernels.framing import FOOTER_BYTES, HEADER_BYTES, put_frame

BYTES, FLOATS, INTEGERS, BOOLEANS = range(4)
"""The kinds of a feature's values: text or bytes; float32; int64; bits, which are written as the integers 0 and 1."""

_TAG: Final = np.array([0x0A, 0x12, 0x1A, 0x1A], np.int64)
"""Of `Feature.bytes_list`, `float_list` and `int64_list` (twice), by what a feature holds."""

_FIRST: Final[Any] = np.int64(0x0A)
_SECOND: Final[Any] = np.int64(0x12)
"""Tags of fields 1 and 2 with a length. All messages here have only such fields, but for the three in Feature."""

PIECE_BYTES: Final = 512 << 10
"""The bytes of records to encode at once, so that they are still in the processor's caches when they are hashed and written."""

_KIND, _WIDTH, _STEPS, _VALUES, _SIZE, _STARTS, _NAME, _NAME_END = range(8)
"""Fields of a feature in the table that the kernels read."""


@dataclass(frozen=True)
class Feature:
    """A feature of a batch: its name and the values of all rows, row after row.

    Attributes:
      name: the key in the record.
      kind: the kind of its values.
      values: of bytes uint8, all strings one after the other; of floats float32; of integers int64; of booleans uint8, 8 of them
        in each, the lowest bit first.
      width: values in a row; of a feature list in a step.
      steps: steps of a row in a feature list; None for a feature that is none.
      starts: of bytes where each string begins in `values`, and the last one ends, int64 `[values + 1]`.
      first: of booleans the bit at which they begin.
    """

    name: bytes
    kind: int
    values: np.ndarray
    width: int = 1
    steps: int | None = None
    starts: np.ndarray | None = None
    first: int = 0

    def row(self, count: int, name_at: int) -> tuple[int, ...]:
        """Returns its fields in the table.

        Raises:
          ValueError: the number of values is not that of `count` rows.
        """
        expected = count * self.width * (1 if self.steps is None else self.steps)
        starts = self.starts if self.starts is not None else np.zeros(0, np.int64)
        there = {BYTES: len(starts) - 1, BOOLEANS: 8 * len(self.values) - self.first}.get(self.kind, len(self.values))
        if there < expected:
            raise ValueError(f"feature {self.name!r}: expected {expected} values, got {there}")
        steps = -1 if self.steps is None else self.steps
        place = address_of(starts) if self.kind == BYTES else self.first
        name_end = name_at + len(self.name)
        fields = address_of(self.values), self.values.nbytes, place
        return (self.kind, self.width, steps, *fields, name_at, name_end)


def records(features: Sequence[Feature], count: int, most: int = PIECE_BYTES) -> Iterator[np.ndarray]:
    r"""Yields a record for every row as they stand in a TFRecord file, uint8, many in a piece.

    Features stand in the order given, and each is there with an empty list, too. Those with steps must be the last: they are the
    feature lists of a tf.SequenceExample, all others its context. Without feature lists that has the bytes of a tf.Example. No
    features make empty records.

    >>> x = Feature(b"x", INTEGERS, np.array([300]))
    >>> [piece[12:-4].tobytes() for piece in records([x], 1)]
    [b'\n\r\n\x0b\n\x01x\x12\x06\x1a\x04\n\x02\xac\x02']

    Args:
      features: the features of the records.
      count: rows.
      most: bytes in a piece, by what a row took before; one row at least.
    """
    names, at = b"".join(feature.name for feature in features), 0
    table = np.zeros((len(features), _NAME_END + 1), np.int64)
    for k, feature in enumerate(features):
        table[k] = feature.row(count, at)
        at += len(feature.name)
    context = len(features) - sum(feature.steps is not None for feature in features)
    letters = np.frombuffer(bytearray(names), np.uint8)
    first, rows = 0, 1
    while first < count:
        last = min(first + rows, count)
        made = _records(table, context, letters, first, last)
        yield made
        rows = max(most * (last - first) // len(made), 1)
        first = last


@kernel_with_arrays
def _records(table: np.ndarray, context: int, names: np.ndarray, first: int, last: int) -> np.ndarray:
    """Returns the records of some rows with the features in the table; the first features are context."""
    count = last - first
    inner = np.empty((count, len(table)), np.int64)  # bytes in the innermost message that is the same in all features
    sizes = np.empty((count, 2), np.int64)  # bytes in the two parts of a record
    total = _measure(table, context, first, inner, sizes)
    out, at = np.empty(total, np.uint8), 0
    for row in range(first, last):
        begin = at + HEADER_BYTES
        at = begin
        if context > 0:
            at = _put_tag(out, at, _FIRST, sizes[row - first, 0])
            for k in range(context):
                at = _put_entry(out, at, table[k], names, row, inner[row - first, k])
        if context < len(table):
            at = _put_tag(out, at, _SECOND, sizes[row - first, 1])
            for k in range(context, len(table)):
                at = _put_entry(out, at, table[k], names, row, inner[row - first, k])
        at = put_frame(out, begin, at)
    return out


@kernel
def _measure(table: np.ndarray, context: int, first: int, inner: np.ndarray, sizes: np.ndarray) -> int:
    """Measures rows from `first` on: fills `inner` and `sizes`, and returns the bytes of all records."""
    total = 0
    for row in range(len(sizes)):
        sizes[row] = 0
        for k in range(len(table)):
            feature = table[k]
            if k < context:
                inner[row, k] = _list_size(feature, first + row)
                value = _feature_size(feature, inner[row, k])
            else:
                value = _steps_size(feature, first + row)
                inner[row, k] = value
            name = feature[_NAME_END] - feature[_NAME]
            sizes[row, 0 if k < context else 1] += _field_size(_field_size(name) + _field_size(value))
        total += HEADER_BYTES + FOOTER_BYTES
        if context > 0:
            total += _field_size(sizes[row, 0])
        if context < len(table):
            total += _field_size(sizes[row, 1])
    return total


@kernel
def _steps_size(feature: np.ndarray, row: int) -> int:
    """Returns the bytes in a FeatureList."""
    steps, size = feature[_STEPS], 0
    if feature[_KIND] == FLOATS or feature[_KIND] == BOOLEANS:
        return steps * _field_size(_feature_size(feature, _list_size(feature, 0)))
    for step in range(row * steps, (row + 1) * steps):
        size += _field_size(_feature_size(feature, _list_size(feature, step)))
    return size


@kernel
def _list_size(feature: np.ndarray, message: int) -> int:
    """Returns the bytes in a BytesList, or in the packed numbers of a FloatList or Int64List.

    Args:
      feature: its fields in the table.
      message: which of all lists of the batch, one a row, or one a step.
    """
    width, kind, size = feature[_WIDTH], feature[_KIND], 0
    if kind == FLOATS:
        return 4 * width
    if kind == BOOLEANS:
        return width
    if kind == INTEGERS:
        values = integers_at(feature[_VALUES], feature[_SIZE] // 8)
        for k in range(message * width, (message + 1) * width):
            size += _varint_size(values[k])
        return size
    starts = integers_at(feature[_STARTS], (message + 1) * width + 1)
    for k in range(message * width, (message + 1) * width):
        if starts[k] < 0 or starts[k] > starts[k + 1] or starts[k + 1] > feature[_SIZE]:
            raise ValueError("a string that does not lie in its buffer")
        size += _field_size(starts[k + 1] - starts[k])
    return size


@kernel
def _feature_size(feature: np.ndarray, inner: int) -> int:
    """Returns the bytes in a Feature. Packed numbers are a field of their list, strings are fields already."""
    return _field_size(inner if feature[_KIND] == BYTES else _field_size(inner))


@kernel
def _field_size(size: int) -> int:
    """Returns the bytes of a field with `size` bytes in it."""
    return 1 + _varint_size(size) + size


@kernel
def _varint_size(value: int) -> Any:
    """Returns the bytes of an int64 as a varint, 7 bits in each; a negative one is a uint64 of 64 bits."""
    return np.int64((bits(np.uint64(value) | np.uint64(1)) * np.uint64(9) + np.uint64(64)) >> np.uint64(6))


@kernel
def _put_entry(out: np.ndarray, at: int, feature: np.ndarray, names: np.ndarray, row: int, inner: int) -> int:
    """Writes an entry of the map of a Features or FeatureLists, and returns where it ends."""
    name, end = feature[_NAME], feature[_NAME_END]
    listed = feature[_STEPS] >= 0
    value = inner if listed else _feature_size(feature, inner)
    at = _put_tag(out, at, _FIRST, _field_size(end - name) + _field_size(value))
    at = _put_tag(out, at, _FIRST, end - name)
    at = _put_bytes(out, at, names, name, end)
    at = _put_tag(out, at, _SECOND, value)
    if not listed:
        return _put_feature(out, at, feature, row, inner)
    for step in range(row * feature[_STEPS], (row + 1) * feature[_STEPS]):
        inner = _list_size(feature, step)
        at = _put_tag(out, at, _FIRST, _feature_size(feature, inner))
        at = _put_feature(out, at, feature, step, inner)
    return at


@kernel
def _put_feature(out: np.ndarray, at: int, feature: np.ndarray, message: int, inner: int) -> int:
    """Writes a Feature, whose list has `inner` bytes in it, and returns where it ends."""
    kind, first, last = feature[_KIND], message * feature[_WIDTH], (message + 1) * feature[_WIDTH]
    at = _put_tag(out, at, _TAG[kind], inner if kind == BYTES else _field_size(inner))
    if kind == BYTES:
        starts = integers_at(feature[_STARTS], last + 1)
        data = bytes_at(feature[_VALUES], feature[_SIZE])
        for k in range(first, last):
            at = _put_tag(out, at, _FIRST, starts[k + 1] - starts[k])
            at = _put_bytes(out, at, data, starts[k], starts[k + 1])
        return at
    at = _put_tag(out, at, _FIRST, inner)
    if kind == INTEGERS:
        return _put_varints(out, at, integers_at(feature[_VALUES], feature[_SIZE] // 8), first, last)
    data = bytes_at(feature[_VALUES], feature[_SIZE])
    if kind == FLOATS:
        return _put_bytes(out, at, data, 4 * first, 4 * last)
    for k in range(first + feature[_STARTS], last + feature[_STARTS]):
        out[at] = data[k >> 3] >> (k & 7) & 1
        at += 1
    return at


@kernel
def _put_varints(out: np.ndarray, at: int, values: np.ndarray, first: int, last: int) -> Any:
    """Writes integers as varints, and returns where they end."""
    place = np.uint64(at)  # an index without a sign: what counts from the end of an array costs twice the time
    for k in range(first, last):
        value = values[k]
        while value & ~0x7F:
            out[place] = value & 0x7F | 0x80
            value = value >> 7 & (1 << 57) - 1  # a shift that takes no sign along
            place += np.uint64(1)
        out[place] = value
        place += np.uint64(1)
    return np.int64(place)


@kernel
def _put_varint(out: np.ndarray, at: int, value: int) -> int:
    while value & ~0x7F:
        out[at] = value & 0x7F | 0x80
        value = value >> 7
        at += 1
    out[at] = value
    return at + 1


@kernel
def _put_tag(out: np.ndarray, at: int, tag: int, size: int) -> int:
    """Writes a tag and a length, and returns where they end."""
    out[at] = tag
    return _put_varint(out, at + 1, size)


@kernel
def _put_bytes(out: np.ndarray, at: int, data: np.ndarray, first: int, last: int) -> int:
    copied(data, first, last - first, out, at)
    return at + last - first
