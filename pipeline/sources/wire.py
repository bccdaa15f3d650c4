"""Telling tf.Example and tf.SequenceExample apart, by the outermost fields of their wire format.

By parsing they cannot be told apart: a message skips fields that it does not know, and field 1 is the features of the one
and the context of the other. Read as a tf.Example, a tf.SequenceExample loses its feature lists (field 2) without a word;
read as a tf.SequenceExample, a tf.Example loses nothing. So only a record that is nothing but field 1, from its first byte
to its last, counts as a tf.Example (`only_features`); every other record is read as a tf.SequenceExample.

https://github.com/tensorflow/tensorflow/blob/master/tensorflow/core/example/example.proto,
https://protobuf.dev/programming-guides/encoding/
"""

from __future__ import annotations

from typing import Final

import numpy as np
import pyarrow as pa

FEATURES_TAG: Final = 0x0A
"""Field 1, delimited by its length: the features of a tf.Example, the context of a tf.SequenceExample."""

LISTS_TAG: Final = 0x12
"""Field 2, delimited by its length: the feature lists."""

_VARINT_BYTES: Final = 5
_MOST_FIELDS: Final = 1000


def only_features(records: pa.Array) -> np.ndarray:
    """Tells which records are nothing but field 1, so that a tf.Example holds all that is in them.

    Args:
      records: large_binary `[rows]`.

    Returns:
      bool `[rows]`. An empty record is a tf.Example without features.
    """
    starts, ends, data = bytes_of(records)
    return (starts == ends) | (_field_ends(data, starts, FEATURES_TAG) == ends)


def has_lists(records: pa.Array) -> np.ndarray:
    """Tells which records show a field 2, bool `[rows]`: for people. What a row becomes does not depend on it."""
    starts, ends, data = bytes_of(records)
    seconds = _field_ends(data, starts, FEATURES_TAG)
    known = (seconds > starts) & (seconds < ends)
    tags = data[np.minimum(np.where(known, seconds, starts), len(data) - 1)]
    found = (starts < ends) & (tags == LISTS_TAG)
    # Whoever writes the fields in another order, or in several pieces, pays for it.
    for k in np.flatnonzero(~found & (seconds != ends)):
        found[k] = _shows_lists(records[k].as_py())
    return found


def bytes_of(records: pa.Array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns where each record starts and ends, and the bytes they stand in, some more than there are."""
    _, offsets, data = records.buffers()
    bounds = np.frombuffer(offsets, np.int64)[records.offset : records.offset + len(records) + 1]
    text = np.frombuffer(data, np.uint8) if data is not None and data.size else np.zeros(1, np.uint8)
    return bounds[:-1], bounds[1:], text


def _field_ends(data: np.ndarray, starts: np.ndarray, tag: int) -> np.ndarray:
    """Returns where the field that starts there ends, or the start itself where no such field with a short length is.

    It may end beyond its record, which the caller compares with. The bytes of a length may belong to the next record, but
    then the field ends there too.
    """
    last = len(data) - 1
    length, open_ended = np.zeros(len(starts), np.int64), np.ones(len(starts), bool)
    for k in range(_VARINT_BYTES):
        byte = data[np.minimum(starts + (1 + k), last)].astype(np.int64)
        length += np.where(open_ended, 1 + ((byte & 0x7F) << 7 * k), 0)
        open_ended &= byte >= 0x80
        if not open_ended.any():
            break
    return np.where((data[np.minimum(starts, last)] == tag) & ~open_ended, starts + 1 + length, starts)


def _shows_lists(record: bytes) -> bool:
    """Walks over the fields of a record up to field 2, to what is no field, or until it has had enough."""
    at = 0
    for _ in range(_MOST_FIELDS):
        tag, at = _varint(record, at)
        if tag == LISTS_TAG or at >= len(record):
            return tag == LISTS_TAG
        if tag & 7 == 0:
            _, at = _varint(record, at)
        elif tag & 7 == 2:
            length, at = _varint(record, at)
            at += length
        elif tag & 7 in (1, 5):
            at += 8 if tag & 7 == 1 else 4
        else:
            return False
    return False


def _varint(record: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift, byte in enumerate(record[at : at + 10]):
        value |= (byte & 0x7F) << 7 * shift
        at += 1
        if byte < 0x80:
            break
    return value, at
