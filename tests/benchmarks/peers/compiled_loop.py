"""The compiled loop: what the job costs in one process where nothing but its work is done. No errors by row, no accounting.

`python -m tests.benchmarks.peers.compiled_loop INPUT_PATTERN OUTPUT_DIR`: job J1, in two passes over the bytes. It reads only
such protocol buffers as the input has: keys before values, packed numbers, each feature once. Anything else ends it. It shares
with seqcols how kernels are compiled, checksums, and the copying of bytes, no more.
"""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterator
from typing import Any, Final

import numba
import numpy as np

from transforms.kernels.blocks import copied, word_at
from transforms.kernels.compiled import kernel, kernel_with_arrays
from transforms.kernels.crc import crc32c

T: Final = 128
IDS, LABELS = 100_000, 2
BLOCK: Final = 1 << 20
"""Bytes that are read at a time, and about as many that are written: what is in the processor's caches stays there."""

NAMES: Final = (b"accel", b"temperature", b"label", b"steps_length", b"watches")
"""The output's features, in the order of a record. The floats stand first: their bytes have the same places in every record."""
ACCEL, TEMPERATURE, LABEL, LENGTH, WATCHES = range(len(NAMES))
LETTERS: Final = np.frombuffer(b"".join(name.ljust(16) for name in NAMES), np.uint8).reshape(-1, 16)
LETTERS_OF: Final = np.array([len(name) for name in NAMES])

FIRST, SECOND, THIRD = 0x0A, 0x12, 0x1A  # tags of fields with a length


def varint(number: int) -> bytes:
    return bytes([number]) if number < 128 else bytes([number & 127 | 128]) + varint(number >> 7)


def field(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + varint(len(content)) + content


def zeros(name: bytes, width: int) -> bytes:
    """Returns a feature of T steps of zeros."""
    floats = field(FIRST, bytes(4 * width * T))
    return field(FIRST, field(FIRST, name) + field(SECOND, field(SECOND, floats)))


FEATURES_AT: Final = 12 + 3
"""Where features begin in a frame: before them are its header, and a tag and a length that takes two bytes from 128 to 16,383."""
FLOATS: Final = np.frombuffer(bytes(FEATURES_AT) + zeros(b"accel", 3) + zeros(b"temperature", 1), np.uint8)
TEMPERATURE_AT: Final = len(FLOATS) - 4 * T
ACCEL_AT: Final = FEATURES_AT + len(zeros(b"accel", 3)) - 12 * T
LONGEST: Final = len(FLOATS) + 3 * T + 200
"""More than any record takes: an id has three bytes at most."""


@kernel
def number_at(text: Any, at: Any, end: Any) -> Any:
    """Returns a varint, and where it ends."""
    found: Any = 0
    shift = 0
    while at < end:
        byte = np.int64(text[at])
        at += 1
        found |= (byte & 127) << shift
        if byte < 128:
            return found, at
        shift += 7
        if shift > 56:
            break
    raise ValueError("a number that is too long or cut off")


@kernel
def content(text: Any, at: Any, end: Any, tag: Any) -> Any:
    """Returns where the content of the field at this place starts and ends."""
    if at >= end or text[at] != tag:
        raise ValueError("another field than was expected")
    size, at = number_at(text, at + 1, end)
    if size > end - at:
        raise ValueError("a field that is cut off")
    return at, at + size


@kernel
def feature_of(text: Any, at: Any, end: Any) -> Any:
    """Returns which feature has this name."""
    for k in range(len(LETTERS)):
        if end - at == LETTERS_OF[k]:
            same = True
            for j in range(end - at):
                same &= text[at + j] == LETTERS[k, j]
            if same:
                return k
    raise ValueError("an unknown feature")


@kernel
def parse(text: Any, at: Any, end: Any, places: Any) -> Any:
    """Finds the packed numbers of each feature of a tf.Example. Returns the number of its steps."""
    places[:] = 0
    at, end = content(text, at, end, FIRST)
    while at < end:
        entry, at = content(text, at, end, FIRST)
        name, name_end = content(text, entry, at, FIRST)
        value, value_end = content(text, name_end, at, SECOND)
        k = feature_of(text, name, name_end)
        value, value_end = content(text, value, value_end, SECOND if k <= TEMPERATURE else THIRD)
        places[k, 0], places[k, 1] = content(text, value, value_end, FIRST)
    steps = (places[TEMPERATURE, 1] - places[TEMPERATURE, 0]) // 4
    if places[ACCEL, 1] - places[ACCEL, 0] != 12 * steps:
        raise ValueError("lists of unlike lengths")
    return steps


@kernel
def masked(text: Any, at: Any, end: Any) -> Any:
    """Returns the masked checksum of bytes."""
    crc = crc32c(text, at, end)
    return ((crc >> np.uint64(15) | crc << np.uint64(17)) + np.uint64(0xA282EAD8)) & np.uint64(0xFFFFFFFF)


@kernel
def record(text: Any, at: Any, size: Any) -> Any:
    """Returns where the record in the frame at this place starts and ends; 0 and 0 where the text ends before it does."""
    if size - at < 12:
        return 0, 0
    length, begin = np.int64(word_at(text, at)), at + 12
    if length > size - begin - 4:
        return 0, 0
    # The four bytes of a checksum stand in the upper half of the eight that end with them.
    if length < 0 or masked(text, at, at + 8) != word_at(text, at + 4) >> np.uint64(32):
        raise ValueError("a damaged header")
    if masked(text, begin, begin + length) != word_at(text, begin + length - 4) >> np.uint64(32):
        raise ValueError("a damaged record")
    return begin, begin + length


@kernel
def last_floats(text: Any, place: Any, width: Any, steps: Any, floats: Any) -> Any:
    """Copies the floats of the last steps, of which there are at most T."""
    size = 4 * width * steps
    copied(text, place[1] - size, size, floats.view(np.uint8), 0)


@numba.njit(fastmath={"reassoc"}, error_model="numpy")
def add(floats: Any, width: Any, steps: Any, about: Any, sums: Any) -> Any:
    """Adds up floats and their squares by dimension, as distances from `about`, in any order: that can be vectorised."""
    for d in range(width):
        middle, total, squares = about[d], 0.0, 0.0
        for k in range(steps):
            off = floats[np.uintp(k * width + d)] - middle
            total += off
            squares += off * off
        sums[d, 0] += total
        sums[d, 1] += squares
        sums[d, 2] += steps


@kernel_with_arrays
def measure(text: Any, at: Any, size: Any, about: Any, sums: Any) -> Any:
    """Adds the records of a text to `sums` (float64 `[4, 3]`: sum, sum of squares, count). Returns where the last one ends."""
    places, floats = np.empty((5, 2), np.int64), np.empty(3 * T, np.float32)
    while True:
        start, end = record(text, at, size)
        if not end:
            return at
        steps = min(parse(text, start, end, places), T)
        for first, width, k in ((0, 3, ACCEL), (3, 1, TEMPERATURE)):
            last_floats(text, places[k], width, steps, floats)
            for d in range(width if steps and not sums[first, 2] else 0):
                about[first + d] = floats[d]
            add(floats, width, steps, about[first:], sums[first:])
        at = end + 4


@kernel
def last_ids(text: Any, place: Any, steps: Any, ids: Any) -> Any:
    """Reads the last T ids, and puts zeros behind them."""
    at, end = place
    there = 0
    for k in range(at, end):
        there += text[np.uintp(k)] < 128
    if there != steps:
        raise ValueError("lists of unlike lengths")
    for _ in range(steps - T):
        while text[at] >= 128:
            at += 1
        at += 1
    ids[:] = 0
    for k in range(min(steps, T)):
        ids[k], at = number_at(text, at, end)
        if ids[k] >= IDS:
            raise ValueError("an id that is too large")


@kernel
def put_number(out: Any, at: Any, number: Any) -> Any:
    """Writes a varint, and returns where it ends."""
    while number >= 128:
        out[np.uintp(at)] = number & 127 | 128
        number >>= 7
        at += 1
    out[np.uintp(at)] = number
    return at + 1


@kernel
def put_tag(out: Any, at: Any, tag: Any, size: Any) -> Any:
    out[at] = tag
    return put_number(out, at + 1, size)


@kernel
def put_integers(out: Any, at: Any, feature: Any, values: Any) -> Any:
    """Writes a feature of integers, and returns where it ends."""
    name, size = LETTERS_OF[feature], 0
    for k in range(len(values)):
        size += 1 + (values[k] >= 1 << 7) + (values[k] >= 1 << 14)
    packed = 1 + (1 + (size >= 128)) + size
    value = 1 + (1 + (packed >= 128)) + packed
    at = put_tag(out, at, FIRST, 2 + name + 1 + (1 + (value >= 128)) + value)
    at = put_tag(out, at, FIRST, name)
    for k in range(name):
        out[at + k] = LETTERS[feature, k]
    at = put_tag(out, at + name, SECOND, value)
    at = put_tag(out, at, THIRD, packed)
    at = put_tag(out, at, FIRST, size)
    for k in range(len(values)):
        at = put_number(out, at, values[k])
    return at


@kernel
def put_word(out: Any, at: Any, word: Any, size: Any) -> Any:
    for k in range(size):
        out[at + k] = word >> np.uint64(8 * k) & np.uint64(0xFF)


@kernel
def put_frame(out: Any, at: Any, end: Any) -> Any:
    """Writes what stands around the features of the record that begins here, and returns where the frame ends."""
    put_tag(out, at + 12, FIRST, end - at - FEATURES_AT)
    put_word(out, at, np.uint64(end - at - 12), 8)
    put_word(out, at + 8, masked(out, at, at + 8), 4)
    put_word(out, end, masked(out, at + 12, end), 4)
    return end + 4


@kernel
def put_floats(text: Any, place: Any, steps: Any, figures: Any, floats: Any, out: Any, at: Any) -> Any:
    """Normalises the floats of the last steps, and writes them. What is behind them stays."""
    width = len(figures)
    last_floats(text, place, width, steps, floats)
    for d in range(width):
        mean, deviation = figures[d, 0], figures[d, 1]
        for k in range(steps):
            floats[np.uintp(k * width + d)] = (floats[np.uintp(k * width + d)] - mean) / deviation
    copied(floats.view(np.uint8), 0, 4 * width * steps, out, at)


@kernel_with_arrays
def transform(text: Any, at: Any, size: Any, figures: Any, out: Any) -> Any:
    """Writes a record for each of a text, as many as `out` has room for. Returns where both end."""
    places, floats = np.empty((5, 2), np.int64), np.empty(3 * T, np.float32)
    ids, one = np.empty(T, np.int64), np.empty(1, np.int64)
    put = 0
    while put + LONGEST <= len(out):
        start, end = record(text, at, size)
        if not end:
            break
        there = parse(text, start, end, places)
        steps = min(there, T)
        last_ids(text, places[WATCHES], there, ids)
        copied(FLOATS, 0, len(FLOATS), out, put)
        put_floats(text, places[ACCEL], steps, figures[:3], floats, out, put + ACCEL_AT)
        put_floats(text, places[TEMPERATURE], steps, figures[3:], floats, out, put + TEMPERATURE_AT)
        one[0], _ = number_at(text, places[LABEL, 0], places[LABEL, 1])
        if one[0] >= LABELS:
            raise ValueError("a label that is too large")
        behind = put_integers(out, put + len(FLOATS), LABEL, one)
        one[0] = steps
        behind = put_integers(out, behind, LENGTH, one)
        behind = put_integers(out, behind, WATCHES, ids)
        put = put_frame(out, put, behind)
        at = end + 4
    return at, put


def blocks(pattern: str) -> Iterator[tuple[np.ndarray, int, list[int]]]:
    """Yields bytes, their number, and a list that takes where the last whole record ends: what is behind it comes again."""
    text = np.empty(BLOCK, np.uint8)
    for path in sorted(glob.glob(pattern)):
        with open(path, "rb", buffering=0) as file:
            held = 0
            while more := file.readinto(memoryview(text)[held:]):
                used = [0]
                yield text, held + more, used
                held += more - used[0]
                text[:held] = text[used[0] : used[0] + held].copy()
            if held:
                raise ValueError(f"{path}: the last record is cut off, or longer than {BLOCK} bytes")


def moments(pattern: str) -> np.ndarray:
    """Returns mean and deviation, float32 `[4, 2]`: of the three of accel, and of temperature."""
    about, sums = np.zeros(4), np.zeros((4, 3))
    for text, size, used in blocks(pattern):
        used[0] = measure(text, 0, size, about, sums)
    means = sums[:, :2] / sums[:, 2:]
    return np.stack([about + means[:, 0], np.sqrt(means[:, 1] - means[:, 0] ** 2)], axis=1).astype(np.float32)


def main(pattern: str, output: str) -> None:
    figures, out = moments(pattern), np.empty(BLOCK, np.uint8)
    os.makedirs(output, exist_ok=True)
    with open(os.path.join(output, "examples.tfrecord"), "wb", buffering=0) as file:
        for text, size, used in blocks(pattern):
            put = 1
            while put:
                used[0], put = transform(text, used[0], size, figures, out)
                file.write(memoryview(out)[:put])


if __name__ == "__main__":
    main(*sys.argv[1:])
