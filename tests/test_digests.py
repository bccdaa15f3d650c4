"""Digests of rows: the same for the same content however Arrow holds it, another one for anything else."""

from __future__ import annotations

import hashlib
import random
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.rows import digests, origin, rejection

LISTS = st.lists(
    st.none() | st.lists(st.none() | st.integers(-(2**63), 2**63 - 1), max_size=6), min_size=1, max_size=12
)


def of(values: list[Any], kind: pa.DataType) -> list[int]:
    return digests.contents(pa.array(values, kind)).tolist()


@given(LISTS)
def test_equal_lists_and_only_those_hash_alike(values):
    made = of(values, pa.list_(pa.int64()))
    for one, a in zip(values, made, strict=True):
        for other, b in zip(values, made, strict=True):
            assert (one == other) == (a == b)


@given(LISTS, st.integers(0, 11))
def test_neither_the_kind_of_list_nor_the_batch_matters(values, start):
    plain = pa.array(values, pa.list_(pa.int64()))
    whole = digests.contents(plain)
    assert digests.contents(plain.cast(pa.large_list(pa.int64()))).tolist() == whole.tolist()
    assert digests.contents(plain.slice(start)).tolist() == whole[start:].tolist()
    assert digests.contents(plain.take(pa.array(range(len(values))[::-1]))).tolist() == whole[::-1].tolist()


KINDS = [
    (pa.int8(), [1, -1, None, 0]),
    (pa.uint64(), [2**63, 0, None, 1]),
    (pa.float16(), [np.float16(1.5), np.float16(-0.0), None, np.float16(0.0)]),
    (pa.float32(), [1.5, -1.5, float("inf"), 0.0, -0.0]),
    (pa.float64(), [1.5, -1.5, float("nan"), 1e300]),
    (pa.bool_(), [True, False, None]),
    (pa.string(), ["", "a", "é", None]),
    (pa.binary(), [b"", b"\0", b"\0\0", None]),
    (pa.dictionary(pa.int32(), pa.string()), ["a", "b", None]),
    (pa.list_(pa.list_(pa.float32())), [[[1.0], [2.0]], [[1.0, 2.0]], [[], [1.0, 2.0]], [[1.0, 2.0], []], [], None]),
    (pa.list_(pa.string()), [["a", "b"], ["b", "a"], ["ab"], [], None]),
    (pa.list_(pa.float64(), 2), [[1.0, -1.0], [-1.0, 1.0], None]),
    (pa.struct([("a", pa.int64())]), [{"a": 1}, {"a": 2}]),
    (pa.decimal128(5, 2), [1, 2, None]),
]


@pytest.mark.parametrize(
    ("kind", "values"), KINDS, ids=lambda case: str(case)[:30] if isinstance(case, pa.DataType) else ""
)
def test_different_values_of_every_type_have_different_digests(kind, values):
    made = of(values, kind)
    assert len(set(made)) == len(values)
    assert of(values[1:], kind) == made[1:]


def test_order_counts_also_where_values_differ_in_one_bit_only():
    """The sums that a list's hash is made of must not cancel: x and -x differ in the highest bit alone."""
    for x, y in [(1.0, -1.0), (2**62, -(2**62)), (0, -(2**63))]:
        kind = pa.list_(pa.float64() if isinstance(x, float) else pa.int64())
        made = of([[x, y], [y, x], [x, x, y], [x, y, x], [y, x, x], [x], [y], [x, x], []], kind)
        assert len(set(made)) == len(made)


def test_a_record_is_hashed_by_its_crc():
    """Independent oracle: what the TFRecord framing holds of a record, too."""
    record = b"one record"
    assert of([record], pa.large_binary()) == [google_crc32c.value(record)]


def mixed(word: int) -> int:
    """SplitMix64's last step, in Python's whole numbers."""
    word = (word ^ word >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    word = (word ^ word >> 27) * 0x94D049BB133111EB % 2**64
    return word ^ word >> 31


def content(value: Any) -> int:
    """The hash of a value, in Python's whole numbers."""
    if value is None:
        return 0x9AE16A3B2F90404F
    if isinstance(value, int):
        word = value % 2**64 * 0xBF58476D1CE4E5B9 % 2**64
        return word ^ word >> 32
    if isinstance(value, str):
        return google_crc32c.value(value.encode())
    inner = list(map(content, value))
    weighted = sum(k * one for k, one in enumerate(inner))
    return mixed((sum(inner) * 0x94D049BB133111EB + weighted + len(inner) * 0x9E3779B97F4A7C15) % 2**64)


@given(
    st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.none() | st.text(), LISTS.map(lambda x: x[0])), max_size=9)
)
def test_digests_are_those_that_plain_python_computes(rows):
    kinds = pa.int64(), pa.string(), pa.list_(pa.int64())
    columns = [pa.array([row[k] for row in rows], kind) for k, kind in enumerate(kinds)]
    made = origin.with_origin(pa.RecordBatch.from_arrays(columns, ["a", "b", "c"]), "f", 7)
    name = int.from_bytes(hashlib.blake2b(b"f", digest_size=8).digest(), "little")
    expected, nameless = [], 0
    for number, row in enumerate(rows, 7):
        word = 0
        for value in row:
            word = (mixed((word + 0x9E3779B97F4A7C15) % 2**64) + content(value)) % 2**64
        expected.append(mixed((mixed((number * 0x9E3779B97F4A7C15 + name) % 2**64) + word) % 2**64))
        nameless += mixed((mixed(number * 0x9E3779B97F4A7C15 % 2**64) + word) % 2**64)
    attached = digests.attach(made, ["a", "b", "c"])
    assert attached.column(origin.DIGEST_COLUMN).to_pylist() == expected
    numbers = origin.row_numbers(attached)
    for one in (attached, digests.renamed(attached, "another")):
        assert digests.without_file(one.column(origin.DIGEST_COLUMN), origin.file_of(one), numbers) == nameless % 2**64


def batch(numbers: list[int], records: list[bytes], file: str = "a") -> pa.RecordBatch:
    none = pa.RecordBatch.from_arrays([pa.nulls(len(numbers))], ["x"])
    return origin.with_origin(none, file, np.array(numbers), pa.array(records, pa.large_binary()), "tf.Example")


def marks(made: pa.RecordBatch) -> list[int]:
    return digests.attach(made, ["x"]).column(origin.DIGEST_COLUMN).to_pylist()


def test_file_number_and_record_all_count():
    one = marks(batch([1, 2], [b"r", b"s"]))
    assert marks(batch([2, 1], [b"s", b"r"])) == one[::-1]
    others = [marks(batch([1], [b"s"])), marks(batch([3], [b"r"])), marks(batch([1], [b"r"], "b"))]
    assert len({one[0], *(mark for [mark] in others)}) == 4


def test_only_features_count_of_a_columnar_row():
    made = origin.with_origin(pa.record_batch({"x": [[1], [2]], "note": ["a", "b"]}), "f", 0)
    other = origin.with_origin(pa.record_batch({"note": ["c", "d"], "x": [[1], [2]]}), "f", 0)
    assert marks(made) == marks(other)
    assert digests.attach(made, ["x", "note"]).column(origin.DIGEST_COLUMN).to_pylist() != marks(made)


def test_of_a_rejected_row_it_is_made_anew_of_its_record():
    carried = digests.attach(batch([5, 9], [b"bad", b"worse"]), ["x"])
    fault = rejection.Fault("wrong_type", "x", np.array([0, 1]), ["?", "?"], "expected nothing")
    _, rejected = rejection.split(carried, [fault])
    assert rejected is not None
    assert rejected.column("digest").to_pylist() == digests.of_records(rejected).tolist()
    without = rejection.split(batch([5, 9], [b"bad", b"worse"]), [fault])[1]
    assert without is not None and without.column("digest").to_pylist() == [None, None]
    assert digests.attach_rejected(without).equals(rejected)


def test_a_lost_and_a_doubled_row_do_not_cancel():
    """What a count cannot see."""
    rng = random.Random(7)
    all_rows = [(k, bytes(rng.randbytes(20))) for k in range(200)]
    whole = sum(marks(batch([k for k, _ in all_rows], [r for _, r in all_rows]))) % 2**64
    for _ in range(100):
        lost, doubled = rng.sample(range(200), 2)
        left = [*(row for row in all_rows if row[0] != lost), all_rows[doubled]]
        assert sum(marks(batch([k for k, _ in left], [r for _, r in left]))) % 2**64 != whole
    shifted = [(k, all_rows[(k + 1) % 200][1]) for k in range(200)]  # every row has its neighbour's record
    assert sum(marks(batch([k for k, _ in shifted], [r for _, r in shifted]))) % 2**64 != whole
