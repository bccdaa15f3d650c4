"""Keys: their canonical bytes, partitions by their hash, and the same sequences from the partitions as from the whole."""

from __future__ import annotations

import random
from datetime import date
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tests.marks import tried
from tests.test_events import as_bytes, bits, random_events, random_spec
from transforms.events.keys import numbered
from transforms.events.sequences import sequences
from transforms.rows import keys
from transforms.rows.fields import field_of

TEXTS = [
    (pa.array([5, -1, 2**62]), [b"5", b"-1", b"4611686018427387904"]),
    (pa.array([5, 2**64 - 1], pa.uint64()), [b"5", b"18446744073709551615"]),
    (pa.array([5.0, -0.0, 0.5, 1e15, 1e300]), [b"5", b"0", b"0.5", b"1000000000000000", b"1e+300"]),
    (pa.array([5.0, 0.1], pa.float32()), [b"5", b"0.1"]),
    (pa.array(["5", "é", ""]), [b"5", "é".encode(), b""]),
    (pa.array([b"5", b"\xff\x00"]), [b"5", b"\xff\x00"]),
    (pa.array([b"ab"], pa.binary(2)), [b"ab"]),
    (pa.array([True, False]), [b"1", b"0"]),
    (pa.array([date(2024, 1, 2)]), [b"2024-01-02"]),
    (pa.array([Decimal("1.50")]), [b"1.50"]),
    (pa.array(["5"]).dictionary_encode(), [b"5"]),
    (pa.array(["5"], pa.string_view()), [b"5"]),
]


@pytest.mark.parametrize(("array", "wanted"), TEXTS)
def test_what_is_equal_has_one_text(array: pa.Array, wanted: list[bytes]):
    assert keys.texts([field_of(pa.table({"x": array}), "x")]).to_pylist() == wanted


def test_of_several_fields_each_has_its_length_before_it():
    """So that ("a", "bc") and ("ab", "c") are two keys, and so is whatever has a colon in it."""
    first, second = pa.array(["a", "ab", "1:a", "", "é" * 60]), pa.array(["bc", "c", "", "1:a", "b" * 10])
    found = keys.texts([first, second]).to_pylist()
    assert found == [b"1:a2:bc", b"2:ab1:c", b"3:1:a0:", b"0:3:1:a", b"120:" + "é".encode() * 60 + b"10:bbbbbbbbbb"]


def test_hashes_are_tensorflows():
    numbers = pa.array([0, 5, -7, 2**40])
    wanted = tf.strings.to_hash_bucket_fast([str(n) for n in numbers.to_pylist()], 1000).numpy().tolist()
    for array in (numbers, numbers.cast(pa.string()), numbers.cast(pa.float64())):
        assert (keys.hashes([array]) % np.uint64(1000)).tolist() == wanted


@pytest.mark.parametrize("count", [1, 2, 7, 1000])
def test_rows_of_a_partition_stay_in_their_order(count: int):
    users = pa.array(np.random.default_rng(count).integers(0, 50, 300))
    order, begins = keys.partitions(keys.hashes([users]), count)
    part = (keys.hashes([users]) % np.uint64(count)).astype(np.int64)
    assert order.tolist() == np.argsort(part, kind="stable").tolist()
    assert begins.tolist() == np.append(0, np.cumsum(np.bincount(part, minlength=count))).tolist()
    assert [one.tolist() for one in keys.partitions(keys.hashes([users[:0]]), count)] == [[], [0] * (count + 1)]


def test_partitions_give_what_the_whole_gives():
    """Each key's events are in one partition, in whatever batches they came."""
    for seed in range(tried(100)):
        draw = random.Random(f"parts {seed}")
        table, unit = random_events(draw)
        spec = random_spec(draw, unit)
        names = [spec["key"]] if isinstance(spec["key"], str) else spec["key"]
        table = table.filter(
            pa.array([all(row[name] is not None for name in names) for row in table.to_pylist()], pa.bool_())
        )
        count, cut = draw.choice([1, 3, 8]), draw.randint(0, len(table))
        parts: list[list[pa.Table]] = [[] for _ in range(count)]
        for batch in (table.slice(cut), table.slice(0, cut)):
            order, begins = keys.partitions(keys.hashes([field_of(batch, name) for name in names]), count)
            for k in range(count):
                parts[k].append(batch.take(pa.array(order[begins[k] : begins[k + 1]])))
        made = [sequences(pa.concat_tables(part), spec) for part in parts]
        whole = sequences(table, spec)
        assert sorted(row for one in made for row in bits(one.table)) == sorted(bits(whole.table)), seed
        assert sum(one.counts.used for one in made) == whole.counts.used


def test_numbers_of_keys_are_in_their_order():
    ids, count = numbered([pa.array([30, -5, 30, 7])])
    assert (ids.tolist(), count) == ([2, 0, 2, 1], 3)
    ids, count = numbered([pa.array(["b", "ä", "a", "b"]), pa.array([1, 0, 9, 0])])
    assert (ids.tolist(), count) == ([2, 3, 0, 1], 4)
    assert numbered([pa.array([], pa.int64())])[1] == 0


def test_five_and_the_text_five_are_one_key():
    """In one order of keys by size, in the other by bytes: the same sequences."""
    table = pa.table({"user": [10, 5, 10, 9], "at": [1, 2, 0, 4], "item": ["a", "b", "c", "d"]})
    spec = {"key": "user", "order_by": "at", "features": {"items": "item"}}
    as_text = table.set_column(0, "user", table["user"].cast(pa.string()))
    numbers, texts = (sequences(one, spec).table.to_pylist() for one in (table, as_text))
    assert [row["user"] for row in numbers] == [5, 9, 10] and [row["user"] for row in texts] == ["10", "5", "9"]
    assert {str(row["user"]): row["items"] for row in numbers} == {row["user"]: row["items"] for row in texts}
    assert sorted(keys.texts([table["user"].combine_chunks()]).to_pylist()) == sorted(
        keys.texts([as_text["user"].combine_chunks()]).to_pylist()
    )


def test_zeros_are_one_key_whatever_their_sign():
    table = pa.table({"user": [0.0, -0.0], "at": [1, 0], "item": ["a", "b"]})
    spec = {"key": "user", "order_by": "at", "features": {"items": "item", "users": "user"}}
    made = [sequences(one, spec).table for one in (table, table.take([1, 0]))]
    assert made[0].to_pylist() == [{"user": 0.0, "items": ["b", "a"], "users": [-0.0, 0.0]}]
    assert as_bytes(made[0]) == as_bytes(made[1])
