"""The TFRecord source against TensorFlow's own writer and parser, and against damage of every kind."""

from __future__ import annotations

import gzip
import pickle
import random
import struct
import tracemalloc
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from pipeline.command.tf_examples import encode
from pipeline.sources.compression import filled_from, unpacked
from pipeline.sources.formats import SOURCES, source_for
from pipeline.sources.limits import Limits
from pipeline.sources.tfrecord import framing
from pipeline.sources.tfrecord.framing import framed, masked_crc
from transforms.errors import JobError
from transforms.rows import origin, rejection

SOURCE = SOURCES["tfrecord"]
FEATURES = {"id": "int64", "x": "float32", "s": "string"}


def feature(value: Any) -> tf.train.Feature:
    """A feature of the kind of the values: ints, floats or bytes; None leaves the kind unset."""
    if value is None:
        return tf.train.Feature()
    kind = type(value[0]) if value else float
    if kind is int:
        return tf.train.Feature(int64_list=tf.train.Int64List(value=value))
    if kind is float:
        return tf.train.Feature(float_list=tf.train.FloatList(value=value))
    return tf.train.Feature(bytes_list=tf.train.BytesList(value=value))


def example(**values: Any) -> bytes:
    features = {name: feature(value) for name, value in values.items()}
    return tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString(deterministic=True)


def examples(count: int, seed: int = 0) -> list[bytes]:
    rng = random.Random(seed)
    made = []
    for k in range(count):
        x = [rng.random() for _ in range(rng.randrange(6))]
        made.append(example(id=[k], x=x, s=[b"\xff%d" % k] * rng.randrange(1, 3), other=[k * 0.5]))
    return made


def write(path: Any, records: Iterable[bytes], compression: str = "") -> str:
    with tf.io.TFRecordWriter(str(path), compression) as writer:
        for record in records:
            writer.write(record)
    return str(path)


def read(path: Any, features: Mapping[str, str] = FEATURES, **limits: int) -> list[Any]:
    [split] = SOURCE.parts(str(path))
    return list(SOURCE.read(split, features, Limits(**limits)))


def results(reads: list[Any]) -> dict[int, tuple[bytes, Any]]:
    """Row number to its record and what became of it: values with their types, or the reason of its rejection."""
    made: dict[int, tuple[bytes, Any]] = {}
    for step in reads:
        if step.batch is not None:
            columns = {n: step.batch.column(n) for n in step.batch.schema.names if n not in origin.RESERVED}
            values = {n: [typed(value, str(c.type)) for value in c.to_pylist()] for n, c in columns.items()}
            records = step.batch.column(origin.RECORD_COLUMN).to_pylist()
            for k, (row, record) in enumerate(zip(origin.row_numbers(step.batch).tolist(), records, strict=True)):
                assert row not in made
                made[row] = record, {n: v[k] for n, v in values.items() if v[k][0] is not None}
        if step.rejected is not None:
            assert step.rejected.schema == rejection.SCHEMA
            for entry in step.rejected.to_pylist():
                assert entry["row"] not in made
                made[entry["row"]] = entry["record"], (entry["reason"], entry["column"], entry["record_format"])
    return made


def expected(record: bytes) -> dict[str, Any]:
    """What TensorFlow's own message holds."""
    types = {"int64_list": "int64", "float_list": "float", "bytes_list": "large_binary"}
    made = {}
    for name, value in tf.train.Example.FromString(record).features.feature.items():
        kind = value.WhichOneof("kind")
        if name in FEATURES and kind:
            made[name] = typed(list(getattr(value, kind).value), f"large_list<item: {types[kind]}>")
    return made


def typed(value: list[Any] | None, kind: str) -> tuple[list[Any] | None, str]:
    """An empty list is the same of whatever type."""
    return value, kind if value else ""


@pytest.mark.parametrize("compression", ["", "GZIP"])
def test_values_rows_and_records_are_those_of_the_file(tmp_path, compression):
    records = examples(2500)
    path = write(tmp_path / "data.bin", records, compression)
    reads = read(path, max_batch_rows=1024)
    assert results(reads) == {k: (record, expected(record)) for k, record in enumerate(records)}
    assert [step.batch.num_rows for step in reads] == [1024, 1024, 452]
    assert all(origin.file_of(step.batch) == path for step in reads)
    assert origin.encode_records(reads[0].batch, np.array([3])) == ("tf.Example", pa.array([records[3]]))
    assert sum(step.size for step in reads) == SOURCE.parts(path)[0].size


def test_batches_keep_both_limits(tmp_path):
    records = [*examples(300), example(id=[1], s=[b"x" * 5000]), *examples(20)]
    reads = read(write(tmp_path / "a", records), max_batch_rows=100, max_batch_bytes=1000)
    sizes = [sum(map(len, step.batch.column(origin.RECORD_COLUMN).to_pylist())) for step in reads]
    assert sum(step.batch.num_rows for step in reads) == len(records)
    assert [step.batch.num_rows for step, size in zip(reads, sizes, strict=True) if size > 1000] == [1]
    assert max(len(step.batch) for step in read(write(tmp_path / "b", records), max_batch_rows=7)) == 7


@pytest.mark.parametrize("at_once", [1, 100, 1000])
@pytest.mark.parametrize(("rows", "size"), [(1, 1 << 20), (7, 1 << 20), (1000, 300), (7, 300), (1000, 1)])
def test_batches_are_those_records_wherever_reading_stops(at_once, rows, size, monkeypatch):
    """However much is read at a time, and where a record is larger than that."""
    rng = random.Random(5)
    records = [rng.randbytes(rng.choice((0, 1, 20, 90, 2500))) for _ in range(200)]
    monkeypatch.setattr(framing, "LEAST_BYTES", at_once)
    monkeypatch.setattr(framing, "MOST_BYTES", at_once)
    limits, data = Limits(max_batch_rows=rows, max_batch_bytes=size), framed(records)
    found = list(framing.cuts(filled_from(data[k : k + 70] for k in range(0, len(data), 70)), "a", limits))
    assert [record for cut in found for record in cut.array().to_pylist()] == records
    assert [int(sum_) for cut in found for sum_ in cut.checksums] == [google_crc32c.value(record) for record in records]
    for cut in found:
        assert len(cut) <= rows and (len(cut) == 1 or cut.splits[-1] - cut.splits[0] <= size)


def test_batches_are_full(monkeypatch):
    """What is left of one reading begins the batch of the next."""
    monkeypatch.setattr(framing, "LEAST_BYTES", 1000)
    monkeypatch.setattr(framing, "MOST_BYTES", 1000)
    data = framed([bytes(20)] * 200)
    found = framing.cuts(filled_from([data]), "a", Limits(max_batch_rows=7))
    assert [len(cut) for cut in found] == [7] * 28 + [4]


def test_every_cut_is_noticed_except_between_two_records(tmp_path):
    records = examples(200)
    whole = framed(records)
    ends = np.cumsum([len(record) + 16 for record in records]).tolist()
    assert whole == Path(write(tmp_path / "whole", records)).read_bytes()
    rng = random.Random(1)
    for size in [*rng.sample(range(1, len(whole)), 190), *ends[:5], *(ends[9] + k for k in (-1, 1, 8, 11, 12))]:
        path = tmp_path / "cut"
        path.write_bytes(whole[:size])
        if size in ends:
            assert len(results(read(path))) == ends.index(size) + 1
            continue
        with pytest.raises(JobError, match=r"^\S+/cut: (cut short|not a TFRecord)") as error:
            read(path)
        assert "\n" not in str(error.value)


def test_every_cut_of_a_gzip_file_is_noticed(tmp_path):
    whole = gzip.compress(framed(examples(300)))
    for size in [0, *random.Random(2).sample(range(1, len(whole)), 190), *range(len(whole) - 9, len(whole))]:
        path = tmp_path / "cut.tfrecord.gz"
        path.write_bytes(whole[:size])
        with pytest.raises(JobError, match=r"^\S+/cut.tfrecord.gz: cut short: the gzip stream ended early"):
            read(path)


@pytest.mark.parametrize("packed", [False, True])
def test_every_flipped_bit_is_noticed(tmp_path, packed):
    records = examples(100)
    plain = framed(records)
    whole = gzip.compress(plain) if packed else plain
    for bit in random.Random(3).sample(range(len(whole) * 8), 300):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path = tmp_path / "flipped.gz" if packed else tmp_path / "flipped"
        path.write_bytes(damaged)
        if (
            packed and gzip_says(bytes(damaged)) == plain
        ):  # the time or the system in the gzip header, which nothing checks
            assert [record for record, _ in results(read(path)).values()] == records
            continue
        with pytest.raises(JobError, match=r"^\S+/flipped(.gz)?: "):
            read(path)


def gzip_says(data: bytes) -> bytes | None:
    try:
        return gzip.decompress(data)
    except Exception:
        return None


def test_an_absurd_length_is_refused_before_anything_is_allocated(tmp_path):
    header = struct.pack("<Q", 2**40)
    good = framed([example(id=[1])])
    path = tmp_path / "absurd"
    path.write_bytes(good + header + struct.pack("<I", masked_crc(header)) + b"x" * 100)
    tracemalloc.start()
    with pytest.raises(JobError, match=f"byte {len(good)} claims 1099511627776 bytes, at most 268435456 are allowed"):
        read(path)
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()
    with pytest.raises(JobError, match="at most 3 are allowed"):
        read(path, max_record_bytes=3)


def test_a_gzip_bomb_takes_little_memory():
    packed = gzip.compress(bytes(128 << 20))
    tracemalloc.start()
    assert sum(map(len, unpacked([packed], "gzip", "bomb", 2000.0))) == 128 << 20
    assert tracemalloc.get_traced_memory()[1] < 16 << 20
    tracemalloc.stop()


def test_gzip_members_one_after_another_are_one_file(tmp_path):
    records = examples(50)
    data = framed(records)
    path = tmp_path / "members.gz"
    path.write_bytes(b"".join(map(gzip.compress, [data[:100], b"", data[100:]])))
    assert [record for record, _ in results(read(path)).values()] == records
    path.write_bytes(gzip.compress(data) + b"more")
    with pytest.raises(JobError, match=r"damaged gzip data|cut short"):
        read(path)


def test_files_without_rows(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    (tmp_path / "empty.gz").write_bytes(gzip.compress(b""))
    assert read(tmp_path / "empty") == [] and read(tmp_path / "empty.gz") == []
    assert SOURCE.features(str(tmp_path / "empty")) == {}
    with pytest.raises(JobError, match="missing: cannot be read"):
        read(tmp_path / "missing")


@pytest.mark.parametrize("text", [b'{"x": [1, 2]}\n', b"x", b"PAR1" + bytes(100), bytes(100)])
def test_other_files_are_no_tfrecord_files(tmp_path, text):
    (tmp_path / "a.tfrecord").write_bytes(text)
    with pytest.raises(JobError, match=r"a\.tfrecord: not a TFRecord file"):
        read(tmp_path / "a.tfrecord")


def test_a_length_that_looks_like_gzip(tmp_path):
    size = 0x088B1F
    record = next(r for n in range(size - 40, size) if len(r := example(s=[b"x" * n])) == size)
    path = write(tmp_path / "data", [record])
    assert Path(path).read_bytes()[:3] == b"\x1f\x8b\x08"
    assert results(read(path))[0][0] == record


BAD = (
    b"garbage",
    b"\x0a\xff\xff",
    example(id=[1])[:-1],
    example(id=[1]) + b"\x01",
    b"\x0a\x07\x0a\x05\x0a\x01\xff\x12\x00",
)


def test_bad_rows_leave_their_neighbours_alone(tmp_path):
    records = examples(5000)
    rng = random.Random(4)
    bad = sorted(rng.sample(range(5000), 50))
    for k in bad:
        records[k] = rng.choice(BAD)
    path = write(tmp_path / "data", records)
    made = results(read(path))
    rejected = ("bad_record", "", "tf.Example")
    assert made == {k: (r, rejected if k in bad else expected(r)) for k, r in enumerate(records)}
    table = next(step.rejected for step in read(path) if step.rejected is not None)
    assert table.column("file").to_pylist()[0] == path and table.column("value").to_pylist()[0].isascii()


def test_rows_of_any_kinds_keep_their_own_values_in_any_order(tmp_path):
    rng = random.Random(5)
    choices = [[1.5, 2.5], [], [2**53 + 1], [b"7", b"\xff"], None]
    records = [example(id=[k], x=rng.choice(choices), s=rng.choice(choices), o=rng.choice(choices)) for k in range(700)]
    records += [example(id=[b"%d" % k], s=[b"a"]) for k in range(300)] + [BAD[k % 5] + b"\x01" * k for k in range(1, 9)]
    want = None
    for order in range(4):
        path = write(tmp_path / f"{order}", records)
        reads = read(path, max_batch_rows=[1024, 1024, 64, 5][order])
        made = results(reads)
        assert [made[k][0] for k in range(len(records))] == records
        assert all(result == expected(r) for r, result in made.values() if isinstance(result, dict))
        numbers = np.concatenate([origin.row_numbers(step.batch) for step in reads if step.batch is not None])
        assert (np.diff(numbers) > 0).all()
        want = want or dict(made.values())
        assert dict(made.values()) == want and sum(isinstance(r, tuple) for r in want.values()) == 8
        rng.shuffle(records)


def test_a_file_unlike_the_guess_is_read_in_whole_batches(tmp_path):
    path = write(tmp_path / "data", [example(id=[1.0], x=[1, 2]) for _ in range(3000)])
    assert [step.batch.num_rows for step in read(path, max_batch_rows=1024)] == [1024, 1024, 952]
    assert [step.batch.num_rows for step in read(path, {}, max_batch_rows=1024)] == [1024, 1024, 952]
    assert read(path, {"nope": "string"}, max_batch_rows=1024)[0].batch.column("nope").null_count == 1024


def test_features_of_the_first_rows(tmp_path):
    path = write(tmp_path / "data", [b"garbage", example(a=None, b=[1], c=None), example(a=[1.5], b=[b"x"])])
    kinds = {"a": pa.large_list(pa.float32()), "b": pa.large_list(pa.int64()), "c": pa.null()}
    assert SOURCE.features(path) == kinds
    assert SOURCE.features(path, sample=1) == {}


def test_the_name_or_the_first_bytes_choose_the_source(tmp_path):
    for name in [
        "a.tfrecord",
        "a.TFRecords",
        "a.tfrecord.gz",
        "x/a.jsonl.tfrecords.ZST",
        "a.tfrecord.bz2",
        "a.tfrecord.xz",
    ]:
        assert source_for(name) is SOURCE
    assert source_for("run[1]/a.parquet") is source_for("a.pq") is SOURCES["parquet"]
    (tmp_path / "a.parquet-00000-of-00001").write_bytes(b"PAR1...")
    (tmp_path / "part-0").write_bytes(b"")
    assert source_for(str(tmp_path / "a.parquet-00000-of-00001")) is SOURCES["parquet"]
    assert source_for(str(tmp_path / "part-0")) is SOURCE
    (tmp_path / "part-0.gz").write_bytes(gzip.compress(framed([b"x"])))
    assert source_for(str(tmp_path / "part-0.gz")) is SOURCE
    (tmp_path / "part-1.gz").write_bytes(gzip.compress(b'{"x": 1}'))
    assert source_for(str(tmp_path / "part-1.gz")) is SOURCES["jsonl"]
    for name in ["a.parquet.gz", "a.avro.zst"]:
        (tmp_path / name).write_bytes(gzip.compress(b"PAR1..."))
        with pytest.raises(
            JobError, match=r"/a\.\w+\.\w+: \w+ files cannot be read packed as a whole, unpack it first"
        ):
            source_for(str(tmp_path / name))
    assert pickle.loads(pickle.dumps(SOURCE)) == SOURCE


def test_examples_of_python_rows_are_the_same_bytes_in_every_process():
    """Protocol buffers leave the order of a map open, and take another one in every process."""
    names = [f"feature_{k:02}" for k in range(40)]
    record = encode(dict.fromkeys(reversed(names), 1))
    places = [record.index(name.encode()) for name in names]
    assert places == sorted(places)
