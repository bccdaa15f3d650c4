"""The Parquet source against pyarrow's own reader, and against damage."""

from __future__ import annotations

import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.repair.records import KeptRecords
from pipeline.sources.base import BrokenFile, FilePart
from pipeline.sources.formats import SOURCES
from pipeline.sources.limits import Limits
from transforms.errors import JobError
from transforms.rows import origin

SOURCE = SOURCES["parquet"]
ALL = dict.fromkeys(["id", "x", "nested", "kind", "tensor", "text", "y"], "float32")


def table(count: int, seed: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    lists = [None if k % 7 == 0 else rng.normal(size=k % 5).tolist() for k in range(count)]
    fixed = pa.FixedSizeListArray.from_arrays(pa.array(rng.normal(size=count * 6)), 6)
    return pa.table(
        {
            "id": pa.array(range(count)),
            "x": pa.array(lists, pa.list_(pa.float64())),
            "nested": pa.array([[[k], [k, 2]] for k in range(count)], pa.large_list(pa.list_(pa.int32()))),
            "kind": pa.array([f"kind {k % 3}" for k in range(count)]).dictionary_encode(),
            "tensor": pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float64(), (2, 3)), fixed),
            "text": pa.array([None if k % 11 == 0 else "é" * (k % 20) for k in range(count)]),
        }
    )


def write(path: Any, data: pa.Table, **options: Any) -> str:
    pq.write_table(data, str(path), **{"write_page_checksum": True, **options})
    return str(path)


def read(path: str, **limits: int) -> list[Any]:
    return [step for split in SOURCE.parts(path) for step in SOURCE.read(split, ALL, Limits(**limits))]


def whole(reads: list[Any]) -> pa.Table:
    batches = [step.batch.select([n for n in step.batch.schema.names if n not in origin.RESERVED]) for step in reads]
    return pa.Table.from_batches([batch.replace_schema_metadata(None) for batch in batches])


@pytest.mark.parametrize("compression", ["zstd", "snappy", "none", "gzip"])
def test_values_rows_and_origin_are_those_of_the_file(tmp_path, compression):
    data = table(2500)
    path = write(tmp_path / "run[1].parquet", data, row_group_size=1000, compression=compression)
    reads = read(path, max_batch_rows=300)
    assert whole(reads).equals(data)
    numbers = np.concatenate([origin.row_numbers(step.batch) for step in reads])
    assert (numbers == np.arange(2500)).all()
    assert all(origin.file_of(step.batch) == path and step.rejected is None for step in reads)
    splits = SOURCE.parts(path)
    assert [(s.part, s.first_row) for s in splits] == [(0, 0), (1, 1000), (2, 2000)]
    assert sum(step.size for step in reads) == sum(s.size for s in splits) == Path(path).stat().st_size
    [stream] = origin.encode_records(reads[4].batch, np.array([2]))[1].to_pylist()
    recovered = pa.ipc.open_stream(stream).read_all()
    assert recovered.to_pylist() == data.slice(1002, 1).to_pylist()
    assert recovered["kind"].type == data["kind"].type
    assert len(recovered["kind"].chunk(0).dictionary) <= 1  # not the words of all other rows
    assert recovered.drop_columns(["kind"]).equals(data.slice(1002, 1).drop_columns(["kind"]))


def test_splits_stand_alone(tmp_path):
    data = table(50)
    path = write(tmp_path / "a.parquet", data, row_group_size=20)
    assert whole(list(SOURCE.read(SOURCE.parts(path)[1], ALL, Limits()))).equals(data.slice(20, 20))


def test_a_decimal_counts_as_what_it_takes_in_memory(tmp_path):
    """In a file it may be an int32: a batch would be four times too large, and the room for events too small."""
    path, prices = str(tmp_path / "x.parquet"), pa.array(map(Decimal, range(1000)), pa.decimal128(9))
    pq.write_table(pa.table({"price": prices}), path, store_decimal_as_integer=True)
    (split,) = SOURCE.parts(path)
    steps = SOURCE.read(split, {"price": ""}, Limits(max_batch_bytes=1700))
    assert [step.rows for step in steps] == [106] * 9 + [46]  # larger ones would be halved
    assert SOURCE.unpacked_bytes(path, 0, ["price"]) == 1000 * (16 + 8 + 1)


def test_batches_keep_both_limits(tmp_path):
    lengths = [1] * 500 + [20_000] + [1] * 300 + [3000] * 50  # far from even: the average says little
    data = pa.table({"x": pa.array([np.arange(n) for n in lengths], pa.large_list(pa.int64()))})
    reads = read(write(tmp_path / "a.parquet", data), max_batch_rows=128, max_batch_bytes=50_000)
    assert whole(reads).equals(data)
    assert max(step.batch.num_rows for step in reads) <= 128
    sizes = [(step.batch.column("x").nbytes, step.batch.num_rows) for step in reads]
    assert all(size <= 50_000 or count == 1 for size, count in sizes)
    assert sum(size > 50_000 for size, _ in sizes) == 1


def test_columns_that_repeat_themselves_do_not_fill_memory(tmp_path):
    zeros = pa.FixedSizeListArray.from_arrays(pa.array(np.zeros(200 * 50_000)), 50_000)
    path = write(tmp_path / "a.parquet", pa.table({"x": zeros}), compression="zstd")
    before = pa.total_allocated_bytes()
    peak = 0
    for step in SOURCE.read(SOURCE.parts(path)[0], ALL, Limits(max_batch_bytes=1 << 20)):
        peak = max(peak, pa.total_allocated_bytes() - before)
        assert step.batch is not None and step.batch.column("x").nbytes <= 1 << 20
    assert peak < 16 << 20  # of 80 MB


def test_files_without_rows(tmp_path):
    empty = table(3).slice(0, 0)
    with pq.ParquetWriter(tmp_path / "a.parquet", empty.schema) as writer:
        writer.write_table(empty)
    assert read(str(tmp_path / "a.parquet")) == []
    with pq.ParquetWriter(tmp_path / "b.parquet", empty.schema):
        pass
    assert read(str(tmp_path / "b.parquet")) == []


def test_features_are_the_schema(tmp_path):
    data = table(10)
    path = write(tmp_path / "a.parquet", data)
    assert SOURCE.features(path) == dict(zip(data.schema.names, data.schema.types, strict=True))


def test_a_feature_that_the_file_lacks_is_absent(tmp_path):
    path = write(tmp_path / "a.parquet", pa.table({"y": [1]}))
    assert read(path)[0].batch.schema.names == ["y", origin.ROW_COLUMN, origin.RECORD_COLUMN]


def test_every_cut_is_noticed(tmp_path):
    data = Path(write(tmp_path / "whole", table(500), row_group_size=100)).read_bytes()
    for size in [0, 3, 4, 12, len(data) - 1, *random.Random(1).sample(range(len(data)), 195)]:
        (tmp_path / "cut.parquet").write_bytes(data[:size])
        with pytest.raises(JobError, match=r"^\S+/cut.parquet: damaged, cut short, or not a Parquet file") as error:
            read(str(tmp_path / "cut.parquet"))
        assert "\n" not in str(error.value)


def test_a_damaged_page_names_file_and_row_group(tmp_path):
    data = pa.table({"x": np.random.default_rng(0).normal(size=3000)})
    path = write(tmp_path / "a.parquet", data, row_group_size=1000, use_dictionary=False)
    damaged = bytearray(Path(path).read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).data_page_offset
    damaged[start + 4000] ^= 1
    Path(path).write_bytes(damaged)
    splits = SOURCE.parts(path)
    assert len(whole(list(SOURCE.read(splits[0], ALL, Limits())))) == 1000
    with pytest.raises(JobError, match=r"a\.parquet: row group 1: damaged.*(CRC|checksum)"):
        list(SOURCE.read(splits[1], ALL, Limits()))


def test_columns_that_cannot_be_told_apart(tmp_path):
    """They matter where one is asked for; and a name that is ours is nobody's to ask for."""
    path = write(tmp_path / "a.parquet", pa.Table.from_arrays([pa.array([1])] * 4, ["__row__", "x", "x", "y"]))
    with pytest.raises(JobError, match="has 2 columns named 'x'") as caught:
        read(path)
    assert not isinstance(caught.value, BrokenFile)
    [step] = SOURCE.read(SOURCE.parts(path)[0], {"y": "int64"}, Limits())
    assert step.batch is not None
    assert step.batch.select(["y"]).to_pydict() == {"y": [1]} and origin.row_numbers(step.batch).tolist() == [0]


def test_only_what_is_asked_for_is_read(tmp_path):
    """By its place, not its name: `a.b` is a feature, and `b` a field of another."""
    data = pa.table(
        {
            "a": [{"b": 1, "c": [5]}, {"b": 2, "c": []}],
            "a.b": [3, 4],
            "m": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
            "t": pa.ExtensionArray.from_storage(pa.opaque(pa.list_(pa.int64()), "t", "v"), pa.array([[7], [8, 9]])),
            "z": [5.5, 6.5],
        }
    )
    path = write(tmp_path / "a.parquet", data)
    for names in ([], *([name] for name in data.schema.names), ["z", "a.b"]):
        reads = list(SOURCE.read(SOURCE.parts(path)[0], dict.fromkeys(names, ""), Limits()))
        held = [name for name in data.schema.names if name in names]
        assert [step.rows for step in reads] == [2]
        if names:
            assert whole(reads).to_pydict() == data.select(held).to_pydict()


FIXED = pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int64(), 2))
"""What pyarrow 25 writes and cannot read."""

UNREADABLE = [FIXED, pa.array([[[1, 2], None], [], []], pa.list_(pa.list_(pa.int64(), 2)))]


@pytest.mark.parametrize("array", UNREADABLE, ids=["null", "null inside"])
def test_a_null_in_a_fixed_size_list(tmp_path, array):
    """It stops those who ask for it, by its name, and nobody else; the file is not broken."""
    path = write(tmp_path / "a.parquet", pa.table({"x": array, "y": [1, 2, 3]}))
    [split] = SOURCE.parts(path)
    [step] = SOURCE.read(split, {"y": "int64"}, Limits())
    assert step.batch is not None
    assert step.batch.column("y").to_pylist() == [1, 2, 3]
    for asked in ({"x": "int64"}, {"x": "int64", "y": "int64"}):
        for how in (SOURCE.read, SOURCE.screen):
            with pytest.raises(
                JobError, match=r"a\.parquet: row group 0: the feature 'x' \(.*\) cannot be read"
            ) as caught:
                list(how(split, asked, Limits()))
            assert "lists of any size can be null" in str(caught.value)
            assert not isinstance(caught.value, BrokenFile)


def test_a_kept_row_does_not_lack_what_the_run_did_not_read(tmp_path):
    """A repair by columns that read another feature would find it absent, where the file has it."""
    path = write(tmp_path / "a.parquet", pa.table({"x": [1.5], "y": [2]}))
    [step] = SOURCE.read(SOURCE.parts(path)[0], {"x": "float32"}, Limits())
    [record] = origin.encode_records(step.batch, np.array([0]))[1].to_pylist()
    number, digest, original = np.array([0]), pa.array([7], pa.uint64()), pa.array([record], pa.large_binary())
    kept = KeptRecords(path, origin.ARROW_IPC, "", number, digest, [record], original)
    [(batch, _)] = kept.decoded({"x": "float32"})
    assert batch is not None
    assert batch.column("x").to_pylist() == [1.5]
    with pytest.raises(
        JobError, match="its record does not hold the feature 'y', which the run did not read: run the job"
    ):
        list(kept.decoded({"x": "float32", "y": "int64"}))


def test_damage_is_of_the_features_asked_for(tmp_path):
    """Of a page that nobody reads nobody can tell, and nobody need."""
    path = tmp_path / "a.parquet"
    write(path, pa.table({"x": np.arange(3000.0), "y": np.arange(3000)}), use_dictionary=False)
    damaged = bytearray(path.read_bytes())
    damaged[pq.ParquetFile(path).metadata.row_group(0).column(0).data_page_offset + 4000] ^= 1
    path.write_bytes(damaged)
    [split] = SOURCE.parts(str(path))
    assert sum(step.rows for step in SOURCE.read(split, {"y": "int64"}, Limits())) == 3000
    with pytest.raises(BrokenFile, match="damaged"):
        list(SOURCE.read(split, {"x": "float32"}, Limits()))


def test_missing_files_and_directories(tmp_path):
    for path in [tmp_path / "missing.parquet", tmp_path]:
        with pytest.raises(JobError, match="cannot be opened"):
            SOURCE.parts(str(path))
        with pytest.raises(JobError, match="cannot be opened"):
            list(SOURCE.read(FilePart(str(path), 0), {}, Limits()))


def test_a_footer_that_names_fewer_rows_is_noticed(tmp_path):
    """It has no checksum, but says how many rows there are for the file, for each row group, and for each column of one."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": np.arange(1000), "y": np.arange(1000) % 7}), path, write_page_checksum=True)
    whole = path.read_bytes()
    number = b"\xd0\x0f"  # 1000, zigzag and in seven bits a byte
    footer = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    places = [at for at in range(footer, len(whole)) if whole.startswith(number, at)]
    assert len(places) >= 4
    noticed = []
    for at in places:
        path.write_bytes(whole[:at] + b"\xc0\x0f" + whole[at + 2 :])  # 992
        try:
            assert len(whole_of(path)) == 1000
        except JobError as error:
            noticed.append(str(error))
    assert any("its row groups have 992 rows, its metadata say 1000" in error for error in noticed)
    assert any("its row groups have 1000 rows, its metadata say 992" in error for error in noticed)


def whole_of(path: Any) -> pa.Table:
    return whole([step for split in SOURCE.parts(str(path)) for step in SOURCE.read(split, ALL, Limits())])


class TestInt96:
    """Times as Spark, Hive and Impala write them: all years exactly, in lists and structs too."""

    NEVER, FIRST, FINE = 253402214400 * 10**6, -62135596800 * 10**6, 1709209815250000001

    def path(self, tmp_path: Path, times: pa.Array, **options: Any) -> str:
        data = pa.table({"x": times, "y": pa.array(range(len(times)))})
        return write(tmp_path / "a.parquet", data, use_deprecated_int96_timestamps=True, **options)

    def read(self, path: str) -> list[Any]:
        return [value for step in read_x(path) for value in step.batch.column("x").to_pylist()]

    @pytest.mark.parametrize("depth", ["plain", "lists", "structs", "lists of structs"])
    def test_beyond_what_nanoseconds_count(self, tmp_path, depth):
        times = pa.array([self.NEVER, None, 0, self.FIRST, 1709209815250001], pa.timestamp("us"))
        wrapped = {
            "plain": times,
            "lists": pa.array([[t] for t in times.to_pylist()], pa.list_(times.type)),
            "structs": pa.StructArray.from_arrays([pa.array(["a"] * 5), times], ["name", "at"]),
            "lists of structs": pa.array([[{"at": t, "n": 1}] for t in times.to_pylist()]),
        }[depth]
        assert self.read(self.path(tmp_path, wrapped)) == wrapped.to_pylist()

    def test_nanoseconds_stay(self, tmp_path):
        times = pa.array([self.FINE, None, -self.FINE], pa.timestamp("ns"))
        (batch,) = [step.batch for step in read_x(self.path(tmp_path, times))]
        assert batch.column("x").equals(times)

    def test_both_in_a_row_group_are_refused(self, tmp_path):
        fine, never = pa.array([self.FINE], pa.timestamp("ns")), pa.array([self.NEVER], pa.timestamp("us"))
        path = write(tmp_path / "a.parquet", pa.table({"x": fine, "z": never}), use_deprecated_int96_timestamps=True)
        (part,) = SOURCE.parts(path)
        with pytest.raises(
            JobError, match=r"a.parquet: row group 0: INT96 times before 1677 or after 2262 beside times"
        ):
            list(SOURCE.read(part, dict.fromkeys("xz", "float32"), Limits()))
        for name, values in (("x", fine), ("z", never)):
            (step,) = SOURCE.read(part, {name: "float32"}, Limits())
            assert whole([step]).column(name).combine_chunks().equals(values)


def read_x(path: str) -> list[Any]:
    return [step for split in SOURCE.parts(path) for step in SOURCE.read(split, {"x": "float32"}, Limits())]
