"""tf.Examples decoded column by column, against tfx_bsl alone: the same values, types, nulls and rejections for any bytes."""

from __future__ import annotations

import pickle
import random
from collections.abc import Sequence
from typing import Any
from unittest import mock

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources import examples
from pipeline.sources.example_columns import ColumnDecoder
from pipeline.sources.examples import ExampleDecoder
from pipeline.sources.key_table import KeyTable
from pipeline.sources.parts import Part, halved, joined
from tests.marks import tried
from transforms.ragged import Ragged

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


def alone(records: Sequence[bytes], features: dict[str, str]) -> tuple[list[Part], dict[int, str]]:
    """What tfx_bsl alone makes of records."""
    decoder = ExampleDecoder(features)
    found = list(halved(decoder._attempt, records))
    bad = {start: "" for start, _, batch in found if batch is None}
    return joined([Part.at(start, batch) for start, _, batch in found if batch is not None]), bad


def decoded(records: Sequence[bytes], features: dict[str, str] = FEATURES) -> tuple[list[Part], dict[int, str]]:
    return ExampleDecoder(features, least_rows=0).decode(pa.array(records, pa.large_binary()))


def by_row(parts: list[Part]) -> list[tuple[int, dict[str, Any]]]:
    """Every row's number and its columns: types where there are values, floats as their bits, so that NaN is NaN."""
    made = []
    for part in parts:
        part.batch.validate(full=True)
        assert part.batch.num_rows == len(part.positions)
        columns = {
            name: [(value, str(column.type) if value else "") for value in _bits(column).to_pylist()]
            for name, column in zip(part.batch.schema.names, part.batch.columns, strict=True)
        }
        made += [(int(at), {name: own[k] for name, own in columns.items()}) for k, at in enumerate(part.positions)]
    return made


def _bits(column: pa.Array) -> pa.Array:
    if column.type != examples.TYPES["float32"]:
        return column
    view = Ragged.of(column)
    bits = view.values.to_numpy(zero_copy_only=False).view(np.uint32)
    return Ragged(pa.array(bits), view.splits, view.present).to_list_array()


def check(records: Sequence[bytes], features: dict[str, str] = FEATURES) -> None:
    parts, bad = decoded(records, features)
    wanted, rejected = alone(records, features)
    assert by_row(parts) == by_row(wanted)
    assert bad == rejected and list(bad) == sorted(bad)
    assert all(part.batch.schema.names == list(features) for part in parts)


@settings(max_examples=tried(200), deadline=None)
@given(st.lists(usual(), max_size=8))
def test_usual_records(records):
    columns, taken = ColumnDecoder(FEATURES).decode(pa.array(records, pa.large_binary()))
    assert taken.all() and [c.type for c in columns] == [examples.TYPES[kind] for kind in FEATURES.values()]
    check(records)


@settings(max_examples=tried(300), deadline=None)
@given(st.lists(st.one_of(usual(), odd()), max_size=8))
def test_any_records_among_each_other(records):
    check(records)
    for record in records:
        check([record])


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
    for record in records:
        check([record])
    for first in range(0, len(records), 64):
        check(records[first : first + 64])


def test_every_byte_of_a_record_has_a_say():
    record = example(entry(b"i", feature(3, [1, 300])), entry(b"s", feature(1, [b"a"])), entry(b"f", feature(2, [1.5])))
    for at in range(len(record)):
        check([record[:at] + bytes([value]) + record[at + 1 :] for value in range(256)])


def calls(records: Sequence[bytes], features: dict[str, str] = FEATURES) -> int:
    with mock.patch.object(ExampleDecoder, "_attempt", side_effect=lambda own: None) as attempt:
        parts, _ = decoded(records, features)
        if not attempt.call_count:
            [part] = parts
            assert part.positions.tolist() == list(range(len(records)))
    return attempt.call_count


def test_usual_records_are_not_for_the_parser():
    rng = random.Random(1)
    records = []
    for k in range(500):
        entries = [
            entry(name.encode(), feature(KINDS[kind], {3: [k, -k], 2: [0.5] * 40, 1: [b"x"] * 3}[KINDS[kind]]))
            for name, kind in FEATURES.items()
        ]
        rng.shuffle(entries)
        records.append(example(*entries[: rng.randrange(6)]))
    assert calls(records) == 0
    assert calls([tf.train.Example.FromString(record).SerializeToString() for record in records]) == 0
    assert calls(records, {}) == 0 and calls(records, {"none": "string"}) == 0
    assert calls([*records, records[0] + records[1]]) == 1
    check([*records, records[0] + records[1], *records])


def test_other_kinds_come_out_in_order():
    rows = [example(entry(b"i", feature(2 if k % 3 else 3, [k])), entry(b"f", feature(2, [k]))) for k in range(64)]
    check([*rows, b"garbage", *rows])
    parts, _ = decoded(rows)
    assert np.concatenate([part.positions for part in parts]).tolist() == list(range(64))
    decoder = ExampleDecoder({"i": "int64"}, least_rows=0)
    others = [example(entry(b"i", feature(2, [1.0])))] * 3
    for _ in range(2):
        [part], bad = decoder.decode(pa.array(others, pa.large_binary()))
        assert part.batch.column(0).to_pylist() == [[1.0]] * 3 and not bad


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


def test_few_records_are_for_the_parser():
    records = [example(entry(b"i", feature(3, [k]))) for k in range(examples.LEAST_ROWS)]
    for count, expected in [(len(records), 0), (len(records) - 1, 1)]:
        decoder = ExampleDecoder({"i": "int64"})
        with mock.patch.object(decoder, "_attempt", side_effect=decoder._attempt) as attempt:
            [part], _ = decoder.decode(pa.array(records[:count], pa.large_binary()))
        assert attempt.call_count == expected
        assert part.batch.column(0).to_pylist() == [[k] for k in range(count)]


def test_a_slice():
    records = [example(entry(b"i", feature(3, [k]))) for k in range(9)]
    columns, taken = ColumnDecoder({"i": "int64"}).decode(pa.array(records, pa.large_binary())[3:7])
    assert columns[0].to_pylist() == [[3], [4], [5], [6]] and taken.all()


def test_names_are_compared_byte_for_byte():
    names = ["", "a", "b" * 8, "b" * 9, "b" * 7 + "c", *(f"n{k}" for k in range(500)), "x" * 255, "y" * 300]
    keys = [*(name.encode() for name in names), b"n500", b"b" * 10, b"\xff", b"a\x00", b"x" * 254]
    ends = np.cumsum([len(key) for key in keys])
    starts = ends - [len(key) for key in keys]
    found, plain = KeyTable(names).find(np.frombuffer(b"".join(keys), np.uint8), starts, ends)
    assert found.tolist()[: len(names) - 1] == list(range(len(names) - 1))
    assert (found[len(names) :] == -1).all()
    assert [keys[k] for k in np.flatnonzero(~plain)] == [b"y" * 300, b"\xff"]
