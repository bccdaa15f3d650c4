"""The kernels of TFRecord's framing, against other implementations of the checksum and against records put together in Python."""

from __future__ import annotations

import itertools
import random

import google_crc32c
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.tfrecord.framing import framed
from tests.marks import tried
from transforms.kernels import crc, framing


def text(data: bytes) -> np.ndarray:
    return np.frombuffer(data, np.uint8)


@settings(max_examples=tried(200))
@given(st.binary(max_size=1000), st.integers(0, 9), st.integers(0, 9))
def test_checksums_are_those_of_another_implementation(data, first, left):
    last = max(first, len(data) - left)
    assert crc.crc32c(text(data), first, last) == google_crc32c.value(data[first:last])


@pytest.mark.parametrize("step", [crc.step_of_tables, crc.step_of_sse42])
def test_a_step_is_eight_bytes(step):
    if step is crc.step_of_sse42 and not crc.has_instruction():
        pytest.skip("not the processor for it")
    rng = random.Random(3)
    for _ in range(50):
        data = rng.randbytes(16)
        words = np.frombuffer(data, "<u8")
        found = np.uint64(step(step(np.uint64(0xFFFFFFFF), words[0]), words[1])) ^ np.uint64(0xFFFFFFFF)
        assert found == google_crc32c.value(data)


def cut(data: bytes, longest: int = 1000, most: int = 1000, rows: int = 100) -> tuple[list[bytes], list[int], int, int]:
    found, splits, checksums = text(data).copy(), np.empty(rows + 1, np.int64), np.empty(rows, np.uint64)
    count, at, why = framing.cut(found, longest, most, splits, checksums)
    pieces = [found[a:b].tobytes() for a, b in itertools.pairwise(splits[: count + 1].tolist())]
    assert found[at:].tobytes() == data[at:]
    return pieces, checksums[:count].tolist(), at, why


RECORDS = [b"", b"a", b"abcdefgh", bytes(100), b"x" * 17]


def test_records_and_their_checksums():
    data = framed(RECORDS)
    assert cut(data) == (RECORDS, [google_crc32c.value(record) for record in RECORDS], len(data), framing.ANOTHER)
    assert cut(data, longest=99)[0] == RECORDS[:3]
    assert cut(b"") == ([], [], 0, framing.ANOTHER)


@pytest.mark.parametrize(
    ("rows", "most", "whole"), [(2, 1000, 2), (100, 9, 3), (100, 8, 2), (100, 0, 1), (100, 109, 4)]
)
def test_no_more_are_taken_than_there_is_room_for(rows, most, whole):
    data = framed(RECORDS)
    pieces, _, at, why = cut(data, rows=rows, most=most)
    assert (pieces, why) == (RECORDS[:whole], framing.FULL)
    assert cut(data[at:])[0] == RECORDS[whole:]
    assert cut(framed([bytes(100), b"a"]), most=5)[0] == [bytes(100)]  # one record at least


def test_a_text_cut_short_has_the_records_before():
    data, ends = framed(RECORDS), np.cumsum([len(record) + 16 for record in RECORDS]).tolist()
    for size in range(len(data)):
        whole = sum(end <= size for end in ends)
        assert cut(data[:size]) == (
            RECORDS[:whole],
            cut(data)[1][:whole],
            ends[whole - 1] if whole else 0,
            framing.ANOTHER,
        )


def test_a_flipped_bit_ends_what_is_sound():
    data, ends = framed(RECORDS), np.cumsum([len(record) + 16 for record in RECORDS]).tolist()
    for at in range(len(data)):
        changed = bytearray(data)
        changed[at] ^= 1 << at % 8
        whole = sum(end <= at for end in ends)
        first = ends[whole - 1] if whole else 0
        found = cut(bytes(changed))
        why = framing.DAMAGED if at - first >= framing.HEADER_BYTES else framing.ANOTHER
        assert (found[0], found[2], found[3]) == (RECORDS[:whole], first, why)


@pytest.mark.parametrize("length", [2**63 - 1, 2**63, 2**64 - 1])
def test_a_length_beyond_all_bounds(length):
    header = length.to_bytes(8, "little")
    value = google_crc32c.value(header)
    masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert cut(header + masked.to_bytes(4, "little") + bytes(20), longest=2**63 - 1) == ([], [], 0, framing.ANOTHER)
