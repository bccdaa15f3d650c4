"""tf.Examples decoded by kernels, against tfx_bsl row by row: the same values, types, nulls and rejections for any bytes."""

from __future__ import annotations

import itertools
import json
import os
import pickle
import random
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from tfx_bsl.coders.example_coder import ExamplesToRecordBatchDecoder

from pipeline.sources.batches import Part
from pipeline.sources.tfrecord import examples as example_records
from pipeline.sources.tfrecord.examples import TYPES, RecordDecoder
from tests.marks import slow_but, tried
from transforms.kernels.names import Names, number_of
from transforms.rows.ragged import Ragged

FEATURES = {"i": "int64", "s": "string", "a_long_name_of_a_float": "float32", "f": "float32", "i2": "int64"}
NAMES = [*FEATURES, "other", "f2", "an_even_longer_name_that_nobody_wants", "", "ключ"]


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    made = bytearray()
    while number >= 0x80:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*made, number])


def delimited(tag: int, content: bytes) -> bytes:
    return bytes([tag]) + varint(len(content)) + content


def feature(kind: int, values: Sequence[Any]) -> bytes:
    """A serialized `Feature`, as it usually is: packed, and nothing of an empty list but its kind."""
    if kind == 1:
        return delimited(0x0A, b"".join(delimited(0x0A, value) for value in values))
    packed = np.array(values, "<f4").tobytes() if kind == 2 else b"".join(map(varint, values))
    return delimited(kind << 3 | 2, delimited(0x0A, packed) if values else b"")


def entry(name: bytes, content: bytes) -> bytes:
    return delimited(0x0A, delimited(0x0A, name) + delimited(0x12, content))


def example(*entries: bytes) -> bytes:
    return delimited(0x0A, b"".join(entries))


INTEGERS = st.one_of(st.integers(0, 127), st.integers(0, 2**21), st.integers(-(2**63), 2**63 - 1))
FLOATS = st.floats(width=32)
USUAL = st.one_of(
    st.lists(INTEGERS, max_size=5).map(lambda v: feature(3, v)),
    st.lists(FLOATS, max_size=5).map(lambda v: feature(2, v)),
    st.lists(st.binary(max_size=5), max_size=4).map(lambda v: feature(1, v)),
    st.just(b""),
)
ODD = st.one_of(
    st.lists(INTEGERS, max_size=3).map(lambda v: delimited(0x1A, b"".join(b"\x08" + varint(k) for k in v))),
    st.lists(FLOATS, max_size=3).map(lambda v: delimited(0x12, b"".join(b"\x0d" + np.float32(k).tobytes() for k in v))),
    st.tuples(USUAL, USUAL).map(b"".join),
    st.just(delimited(0x1A, delimited(0x0A, b""))),  # packed, and empty
    st.just(delimited(0x12, delimited(0x0A, b"abc"))),  # no whole float
    st.sampled_from([b"\xff" * 9 + end for end in (b"\x01", b"\x00", b"\x7f", b"\x02", b"\xff\x01")]).map(
        lambda v: delimited(0x1A, delimited(0x0A, v))
    ),
    st.sampled_from([b"\x80", b"\x05\xff"]).map(lambda v: delimited(0x1A, delimited(0x0A, v))),
    st.just(b"\x1a\x84\x00" + delimited(0x0A, b"\x05\x06")),  # a length with a byte too many
    st.just(feature(3, [1]) + b"\x20\x01"),  # an unknown field
    st.just(b"\x0b\x0c" + feature(3, [1])),  # a group
    st.binary(max_size=6),
)
KEYS = st.sampled_from(NAMES).map(str.encode)
KINDS = {"int64": 3, "float32": 2, "string": 1}


@st.composite
def usual(draw: Any) -> bytes:
    """A record in the usual form, with the kinds that are wanted, its entries in any order."""
    values = {3: st.lists(INTEGERS, max_size=5), 2: st.lists(FLOATS, max_size=5), 1: st.lists(st.binary(max_size=9))}
    made = []
    for name in draw(st.permutations(sorted(FEATURES))):
        if draw(st.integers(0, 3)):
            made.append(entry(name.encode(), feature(k := KINDS[FEATURES[name]], draw(values[k]))))
    if draw(st.booleans()):
        made.insert(0, entry(b"other", draw(USUAL)))
    return example(*made)


@st.composite
def odd(draw: Any) -> bytes:
    """Almost a record: in another order, in pieces, names twice, unknown fields, cut off."""
    entries = draw(st.lists(st.tuples(KEYS, st.one_of(USUAL, ODD)), max_size=5))
    made = [entry(name, content) for name, content in entries]
    swapped = [delimited(0x0A, delimited(0x12, content) + delimited(0x0A, name)) for name, content in entries]
    return draw(
        st.sampled_from(
            [
                example(*made),
                example(*swapped),
                example(*made, *made[:1]),
                example(*made, b"\x0a\x00"),
                example(*made, delimited(0x0A, delimited(0x0A, b"i"))),
                example(*made) + example(*swapped),
                example(*made)[:-1],
                example(*made) + b"\x18\x01",
                example(*made, entry(b"\xff", b"")),
                example(*made, entry(b"x" * 300, feature(3, [1]))),
                b"\x0a" + varint(len(example(*made))) + b"\x00",
                b"",
                b"\x0a\x00",
            ]
        )
    )


def alone(record: bytes, features: dict[str, str]) -> dict[str, Any] | None:
    """What tfx_bsl alone makes of a record, as `by_row` has it; None where it is no tf.Example."""
    try:
        found = ExamplesToRecordBatchDecoder().DecodeBatch([record])
    except RuntimeError:
        return None
    columns = {n: c for n, c in zip(found.schema.names, found.columns, strict=True) if not pa.types.is_null(c.type)}
    return {name: _shown(columns[name])[0] if name in columns else (None, "") for name in features}


def decoded(records: Sequence[bytes], features: dict[str, str] = FEATURES) -> tuple[list[Part], dict[int, str]]:
    return RecordDecoder(features).decode(pa.array(records, pa.large_binary()), lists=False)


def by_row(parts: list[Part]) -> list[tuple[int, dict[str, Any]]]:
    """Every row's number and its columns: types where there are values, floats as their bits, so that NaN is NaN."""
    made = []
    for part in parts:
        part.batch.validate(full=True)
        assert part.batch.num_rows == len(part.positions)
        columns = {n: _shown(c) for n, c in zip(part.batch.schema.names, part.batch.columns, strict=True)}
        made += [(int(at), {name: own[k] for name, own in columns.items()}) for k, at in enumerate(part.positions)]
    return made


def _shown(column: pa.Array) -> list[tuple[Any, str]]:
    return [(value, str(column.type) if value else "") for value in _bits(column).to_pylist()]


def _bits(column: pa.Array) -> pa.Array:
    if column.type != TYPES["float32"]:
        return column
    view = Ragged.of(column)
    bits = view.values.to_numpy(zero_copy_only=False).view(np.uint32)
    return Ragged(pa.array(bits), view.splits, view.present).to_list_array()


def check(records: Sequence[bytes], features: dict[str, str] = FEATURES) -> None:
    parts, bad = decoded(records, features)
    wanted = [alone(record, features) for record in records]
    assert by_row(parts) == [(k, row) for k, row in enumerate(wanted) if row is not None]
    assert bad == {k: "" for k, row in enumerate(wanted) if row is None} and list(bad) == sorted(bad)
    assert all(part.batch.schema.names == list(features) for part in parts)


@settings(max_examples=tried(200), deadline=None)
@given(st.lists(usual(), max_size=8))
def test_usual_records(records):
    for part in decoded(records)[0]:
        assert [column.type for column in part.batch.columns] == [TYPES[kind] for kind in FEATURES.values()]
    check(records)


@settings(max_examples=tried(300), deadline=None)
@given(st.lists(st.one_of(usual(), odd()), max_size=8))
def test_any_records_among_each_other(records):
    check(records)


@pytest.mark.slow
def test_mutated_records():
    rng = random.Random(7)
    messages = [
        tf.train.Example(
            features=tf.train.Features(
                feature={
                    "i": tf.train.Feature(int64_list=tf.train.Int64List(value=[1, -1, 300][: k % 4])),
                    "f": tf.train.Feature(float_list=tf.train.FloatList(value=[1.5, -2.0])),
                    "s": tf.train.Feature(bytes_list=tf.train.BytesList(value=[b"a", b"bc"][: k % 3])),
                    "other": tf.train.Feature(int64_list=tf.train.Int64List(value=[2**40])),
                }
            )
        ).SerializeToString()
        for k in range(12)
    ]
    records = []
    for _ in range(4000):
        changed = bytearray(rng.choice(messages))
        for _ in range(rng.choice([0, 1, 1, 1, 2])):
            at = rng.randrange(len(changed))
            changed[at] = rng.choice([rng.randrange(256), changed[at] ^ 1 << rng.randrange(8), changed[at] - 1 & 0xFF])
        if rng.random() < 0.1:
            del changed[rng.randrange(len(changed)) :]
        records.append(bytes(changed))
    for first in range(0, len(records), 64):
        check(records[first : first + 64])


def test_every_byte_of_a_record_has_a_say():
    record = example(entry(b"i", feature(3, [1, 300])), entry(b"s", feature(1, [b"a"])), entry(b"f", feature(2, [1.5])))
    for at in range(len(record)):
        check([record[:at] + bytes([value]) + record[at + 1 :] for value in range(256)])


def test_other_kinds_come_out_in_order():
    rows = [example(entry(b"i", feature(2 if k % 3 else 3, [k])), entry(b"f", feature(2, [k]))) for k in range(64)]
    check([*rows, b"garbage", *rows])
    parts, _ = decoded(rows)
    assert np.concatenate([part.positions for part in parts]).tolist() == list(range(64))
    assert len(parts) == 43  # a part for each run of one kind


def test_a_row_without_values_fits_every_kind():
    kinds = [feature(2, [0.5]), feature(3, []), b"", feature(1, []), feature(2, [1.5]), feature(3, []), feature(3, [7])]
    parts, bad = decoded([example(entry(b"i", kind)) for kind in kinds], {"i": "int64"})
    assert [part.batch.column(0).to_pylist() for part in parts] == [[[0.5], [], None, [], [1.5], []], [[7]]]
    assert not bad


@pytest.mark.parametrize("count", [1, 300, 2000])
def test_many_features(count):
    features = {f"feature_{k}": ("int64", "float32", "string")[k % 3] for k in range(count)}
    values = {3: [1, 2**40], 2: [1.0, 2.0], 1: [b"x", b""]}
    entries = [entry(name.encode(), feature(KINDS[kind], values[KINDS[kind]])) for name, kind in features.items()]
    check([example(*entries), example(*entries[1:]), example(*entries[::-1])], features)


def test_a_column_holds_nothing_of_others():
    features = {f"feature_{k}": ("int64", "float32", "string")[k % 3] for k in range(99)}
    values = {3: [1, 2**40], 2: [1.0, 2.0], 1: [b"x", b""]}
    entries = [entry(name.encode(), feature(KINDS[kind], values[KINDS[kind]])) for name, kind in features.items()]
    [part], _ = decoded([example(*entries)] * 500, features)
    assert len(pickle.dumps(part.batch)) < 2 * part.batch.nbytes


def test_a_slice():
    records = [example(entry(b"i", feature(3, [k]))) for k in range(9)]
    [part], _ = RecordDecoder({"i": "int64"}).decode(pa.array(records, pa.large_binary())[3:7], lists=False)
    assert part.batch.column(0).to_pylist() == [[3], [4], [5], [6]]


def test_names_are_compared_byte_for_byte():
    names = ["", "a", "b" * 8, "b" * 9, "b" * 7 + "c", *(f"n{k}" for k in range(500)), "x" * 255, "y" * 300, "\ud800"]
    keys = [*(name.encode(errors="surrogatepass") for name in names), b"n500", b"b" * 10, b"\xff", b"a\x00", b"x" * 254]
    splits = np.cumsum([0, *map(len, keys)])
    table, text = Names.of(names), np.frombuffer(b"".join(keys), np.uint8)
    found = [number_of(table, text, a, b) for a, b in itertools.pairwise(splits)]
    assert found == [*range(len(names)), *[-1] * 5]


def test_no_records_and_empty_ones():
    assert decoded([]) == ([], {})
    for features in ({}, {"none": "string"}):
        [part], bad = decoded([b"", b"\x0a\x00"], features)
        assert (part.batch.num_rows, bad) == (2, {})
    for data in ([], [b""], [b"", b""], [example(entry(b"i", b"")), b""]):
        assert example_records.with_lists(pa.array(data, pa.large_binary())).tolist() == [False] * len(data)


GROUPS = [b"\x2b" * depth + b"\x2c" * depth for depth in range(94, 102)]
TAGS = [
    b"\x98\x80\x80\x80\x00\x01",
    b"\x98\x80\x80\x80\x10\x01",
    b"\x98\x80\x80\x80\x80\x00\x01",
    b"\x03\x04",
    b"\x02\x00",
]
SIZES = [
    b"\x22\x80\x80\x80\x80\x00",
    b"\x22\x80\x80\x80\x80\x80\x00",
    b"\x22\x80\x80\x80\x80\x10",
    b"\x22\xff\xff\xff\xff\x07",
]
NUMBERS = [b"\x18" + b"\x80" * 9 + b"\x7f", b"\x18" + b"\x80" * 10 + b"\x00"]
CLOSED = [b"\x23\x24", b"\x23\x2c", b"\x24", b"\x23", b"\x23\x00\x24", b"\x23\x22\x05\x24", b"\x23\x2b\x2c\x25aaaa\x24"]
TEXTS = [
    b"\xc3\xa9",
    b"\xc1\x81",
    b"\xe0\x9f\xbf",
    b"\xed\xa0\x80",
    b"\xef\xbf\xbf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xe2\x82",
]


def everywhere(odd: bytes) -> list[bytes]:
    """Records with unknown fields, or what looks like such, in each of the messages."""
    numbers = feature(3, [1])
    return [
        example(entry(b"i", numbers)) + odd,
        example(entry(b"i", numbers), odd),
        example(delimited(0x0A, odd + delimited(0x0A, b"i") + delimited(0x12, numbers))),
        example(entry(b"i", numbers + odd)),
        example(entry(b"i", delimited(0x1A, delimited(0x0A, b"\x01") + odd))),
    ]


def test_limits_of_the_format():
    check([record for odd in (*GROUPS, *TAGS, *SIZES, *NUMBERS, *CLOSED) for record in everywhere(odd)])
    check([example(entry(text, feature(3, [1]))) for text in TEXTS])
    check([example(entry(b"x", b""), entry(b"i", numbers)) for numbers in map(packed, range(1, 13))])


def packed(size: int) -> bytes:
    return delimited(0x1A, delimited(0x0A, b"\x05" + b"\x80" * (size - 1) + b"\x01" + b"\x06"))


SCRIPT = """
import json, sys
import pyarrow as pa
from pipeline.sources.tfrecord.examples import RecordDecoder, kinds
records = [bytes.fromhex(line) for line in json.load(sys.stdin)]
array = pa.array(records, pa.large_binary())
found = [RecordDecoder({"i": "int64", "s": "string", "f": "float32"}).decode(array, lists) for lists in (False, True)]
print([([(part.batch.to_pydict(), part.positions.tolist()) for part in parts], bad) for parts, bad in found])
print(kinds(array))
"""


@pytest.mark.parametrize("variable", slow_but(["NUMBA_DISABLE_JIT", "NUMBA_BOUNDSCHECK"], "NUMBA_DISABLE_JIT"))
def test_the_same_uncompiled_and_with_bounds_checked(variable):
    usual = example(
        entry(b"i", feature(3, [1, 300, -1])), entry(b"s", feature(1, [b"a", b""])), entry(b"f", feature(2, [1.5]))
    )
    steps = delimited(
        0x12, delimited(0x0A, delimited(0x0A, b"s") + delimited(0x12, delimited(0x0A, feature(1, [b"xy"]))))
    )
    records = [record for odd in (*GROUPS[-3:], *TAGS, *SIZES, *NUMBERS, *CLOSED) for record in everywhere(odd)]
    records += [usual[:size] for size in range(0, len(usual), 3)] + [usual, usual + steps, steps, steps[:-1]]
    outcomes = []
    for own in ({}, {variable: "1"}):
        lines = json.dumps([record.hex() for record in records])
        roots = os.pathsep.join(filter(None, sys.path))
        run = [sys.executable, "-W", "error", "-c", SCRIPT]
        done = subprocess.run(
            run,
            env={**os.environ, "PYTHONPATH": roots, **own},
            input=lines,
            text=True,
            capture_output=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        outcomes.append(done.stdout)
    assert outcomes[0] == outcomes[1] and len(outcomes[0]) > 1000
