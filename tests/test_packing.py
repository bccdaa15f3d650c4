"""Packed files against the libraries that pack them: every codec and format, by name and by first bytes, and their limits."""

from __future__ import annotations

import bz2
import gzip
import lzma
import random
import re
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from backports import zstd

from pipeline.sources import compression
from pipeline.sources.compression import Content, unpacked
from pipeline.sources.formats import SOURCES, source_for
from pipeline.sources.limits import Limits
from pipeline.sources.packings import PACKINGS, bare_name, codec_of
from pipeline.sources.tfrecord.framing import framed, is_header, records
from tests.faults.formats import FEATURES, KINDS, PACKERS, csv_text, example, jsonl, plain, read, rows_of, tfrecord
from tests.marks import slow_but
from transforms.errors import JobError

CODECS = {packing.suffix: codec for codec, packing in PACKINGS.items()}
ROWS = rows_of(300)


def content(path: Path, **limits: Any) -> bytes:
    return b"".join(Content(str(path), Limits(**limits)))


@pytest.mark.parametrize("suffix", PACKERS)
def test_a_content_fills_any_room(tmp_path, suffix, monkeypatch):
    monkeypatch.setattr(compression, "BLOCK_BYTES", 1000)
    path = tmp_path / f"rows.tfrecord{suffix}"
    path.write_bytes(PACKERS[suffix](tfrecord(ROWS)))
    for size in (1, 999, 1000, 1 << 20):
        made, found = Content(str(path), Limits(), is_header), bytearray()
        room = memoryview(bytearray(size))
        while count := made.fill(room):
            found += room[:count]
        assert found == tfrecord(ROWS) and made.fill(room) == 0
        assert made.consumed == path.stat().st_size


def test_every_codec_is_tested():
    assert set(CODECS) == set(PACKERS) - {""}


@pytest.mark.parametrize("name", KINDS)
def test_every_format_in_every_codec(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(KINDS[name].make(ROWS))
    assert [plain(row, name) for row in read(path)] == ROWS
    source = source_for(str(path))
    assert set(source.features(str(path))) == set(FEATURES)
    [*splits] = source.parts(str(path))
    sizes = [step.size for split in splits for step in source.read(split, FEATURES, Limits())]
    assert sum(sizes) == sum(split.size for split in splits) == path.stat().st_size


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("make", [tfrecord, jsonl])
def test_without_a_name_the_first_bytes_tell(tmp_path, suffix, make):
    path = tmp_path / "part-00000-of-00001"
    path.write_bytes(PACKERS[suffix](make(ROWS)))
    name = ".tfrecord" if make is tfrecord else ".jsonl"
    assert [plain(row, name) for row in read(path)] == ROWS
    (tmp_path / f"part{suffix}").write_bytes(path.read_bytes())
    assert [plain(row, name) for row in read(tmp_path / f"part{suffix}")] == ROWS


@pytest.mark.parametrize("suffix", PACKERS)
@pytest.mark.parametrize("name", [".tfrecord", ".jsonl", ".csv"])
def test_a_name_that_lies(tmp_path, suffix, name):
    """About how, or whether, a file is packed: its content tells."""
    make = {".tfrecord": tfrecord, ".jsonl": jsonl, ".csv": csv_text}[name]
    for says in (*PACKERS, ".zlib", ".deflate", ".GZ"):
        path = tmp_path / f"a{name}{says}"
        path.write_bytes(PACKERS[suffix](make(ROWS)))
        assert [plain(row, name) for row in read(path)] == ROWS, says


def test_a_columnar_file_with_the_name_of_a_packed_one(tmp_path):
    for name in ("none.parquet", "null.avro"):
        path = tmp_path / f"{name}.gz"
        path.write_bytes(KINDS[name].make(ROWS))
        assert [plain(row, name) for row in read(path)] == ROWS
        path.write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(JobError, match="files cannot be read packed as a whole, unpack it first"):
            source_for(str(path))


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b'[{"x": 1}, {"x": 2}]', "a JSON array"),
        (b'\xef\xbb\xbf [\n {"x": 1}\n]', "a JSON array"),
        (b'{\n  "x": 1\n}\n', "a JSON object that takes several lines"),
        (b"ORC\x0a", "an ORC file"),
        (b"PK\x03\x04\x14", "a ZIP archive, or a spreadsheet"),
        (b"ARROW1\0\0", "an Arrow IPC (Feather) file"),
        (b"\x93NUMPY\x01\0", "a NumPy file"),
        (b"FEA1\0\0\0\0", "a Feather file of version 1"),
        (b"PARE\x15\0", "an encrypted Parquet file"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "a spreadsheet, or another document of Microsoft Office"),
        (b"\x89HDF\r\n", "an HDF5 file"),
        ('{"x": 1}\n'.encode("utf-16"), "UTF-16 text"),
        (b"1\x0112\x027\n2\x01\\N\n", "text, whose name does not say that it is CSV (.csv, .tsv) with a header"),
    ],
)
def test_other_formats_are_named(tmp_path, data, what):
    for name, made in (("a.json", data), ("a.json.gz", gzip.compress(data)), ("a", data)):
        (tmp_path / name).write_bytes(made)
        with pytest.raises(
            JobError, match=re.escape(f"/{name}: {what}, expected TFRecord, Parquet, Avro, CSV, or JSON Lines")
        ):
            source_for(str(tmp_path / name))


@pytest.mark.parametrize(
    ("suffix", "packer"), [("lz4", "lz4"), ("snappy", "Snappy"), ("br", "Brotli"), ("7z", "7-Zip")]
)
def test_packings_that_are_not_read_are_named(tmp_path, suffix, packer):
    for name in (f"a.json.{suffix}", f"a.csv.{suffix.upper()}"):
        path = tmp_path / name
        path.write_bytes(b"\x00\x00\x01\x02packed")
        with pytest.raises(JobError, match=f"{name}: packed with {packer}, expected one of gzip, bz2, xz, zstd, zlib$"):
            source_for(str(path))
    plain_one = tmp_path / f"b.json.{suffix}"  # its name lies
    plain_one.write_bytes(b'{"x": 1}\n')
    assert set(source_for(str(plain_one)).features(str(plain_one))) == {"x"}


@pytest.mark.parametrize("suffix", CODECS)
def test_streams_one_after_another_are_one_file(tmp_path, suffix):
    rng, pack = random.Random(4), PACKERS[suffix]
    parts = [rng.randbytes(rng.choice([0, 1, 1000, 200_000])) for _ in range(8)]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(b"".join(map(pack, parts)))
    assert content(path) == b"".join(parts)
    path.write_bytes(pack(b""))
    assert content(path) == b""
    path.write_bytes(pack(b"abc") + b"more")
    with pytest.raises(
        JobError, match=rf"^\S+/a\{suffix}: (damaged {CODECS[suffix]} data at byte 0 or after|cut short)"
    ):
        content(path)
    path.write_bytes(b"")
    with pytest.raises(JobError, match=f"cut short: the {CODECS[suffix]} stream ended early, after byte 0$"):
        content(path)
    path.write_bytes(b"plain text, whatever the name says")
    with pytest.raises(JobError, match=f"damaged {CODECS[suffix]} data at byte 0 or after"):
        content(path)


def test_what_else_may_stand_between_streams(tmp_path):
    path = tmp_path / "a.xz"
    path.write_bytes(lzma.compress(b"a") + bytes(8) + lzma.compress(b"b") + bytes(4))
    assert content(path) == b"ab"
    skipped = b"\x5f\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    for name in ("a.zst", "a"):
        (tmp_path / name).write_bytes(skipped + zstd.compress(b"a") + skipped + zstd.compress(b"b"))
        assert content(tmp_path / name) == b"ab"


@pytest.mark.parametrize("suffix", CODECS)
def test_blocks_are_bounded_however_well_they_are_packed(tmp_path, suffix):
    data = PACKERS[suffix](bytes(40 << 20)) + PACKERS[suffix](random.Random(1).randbytes(1 << 20))
    tracemalloc.start()
    sizes = [len(block) for block in unpacked([data], CODECS[suffix], "f", 1e9)]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 24 << 20  # 8 MiB of it what xz refers back to
    assert sum(sizes) == 41 << 20 and min(sizes) > 0 and max(sizes) < compression.BLOCK_BYTES + compression.PART_BYTES


@pytest.mark.parametrize("suffix", [suffix for suffix in CODECS if suffix != ".bz2"])  # whose blocks are 900 kB
def test_the_first_bytes_tell_without_much_more(tmp_path, suffix, monkeypatch):
    lines = (b'{"x": "%s"}\n' % random.Random(k).randbytes(40).hex().encode() for k in range(50_000))
    (tmp_path / "a").write_bytes(PACKERS[suffix](b"".join(lines)))
    sizes: list[int] = []
    monkeypatch.setattr(compression.Meter, "add", lambda _, *both: sizes.append(sum(both)))
    assert source_for(str(tmp_path / "a")).suffixes == SOURCES["jsonl"].suffixes
    assert sum(sizes) < 1 << 20


@pytest.mark.parametrize("suffix", CODECS)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_blocks_may_be_cut_anywhere(suffix, size):
    data = [random.Random(k).randbytes(2000) + bytes(3000) for k in range(3)]
    packed = b"".join(map(PACKERS[suffix], data))
    blocks = [packed[k : k + size] for k in range(0, len(packed), size)]
    assert b"".join(unpacked(blocks, CODECS[suffix], "f", 500.0)) == b"".join(data)


@pytest.mark.parametrize("suffix", slow_but(CODECS, ".zst"))
def test_a_file_that_unpacks_to_too_much_is_broken(tmp_path, suffix, monkeypatch):
    path = tmp_path / f"a.jsonl{suffix}"
    path.write_bytes(PACKERS[suffix](b"\n" * (8 << 20)))
    ratio = (8 << 20) / path.stat().st_size
    assert ratio > 900
    assert read(path) == []  # 8 MiB are not looked at
    monkeypatch.setattr(compression, "MEASURED_BYTES", 1 << 20)
    what = r"a\.jsonl\S+: unpacks to [\d,]+ times its size .* at most 500 times .*--max-unpack-ratio"
    with pytest.raises(JobError, match=what):
        read(path)
    assert read(path, Limits(max_unpack_ratio=ratio + 1)) == []
    with pytest.raises(JobError, match="unpacks to"):
        read(path, Limits(max_unpack_ratio=ratio - 1))


def test_ordinary_data_does_not_come_near_the_ratio(monkeypatch):
    monkeypatch.setattr(compression, "MEASURED_BYTES", 0)
    data = jsonl(ROWS)
    for suffix, codec in CODECS.items():
        assert b"".join(unpacked([PACKERS[suffix](data)], codec, "f", 20.0)) == data


def test_data_that_need_much_memory_to_unpack_are_refused(tmp_path):
    c = zstd.CompressionParameter
    options = {c.window_log: 30, c.content_size_flag: 0, c.enable_long_distance_matching: 1}
    compressor = zstd.ZstdCompressor(options=options)
    (tmp_path / "a.zst").write_bytes(compressor.compress(b"a" * 1000) + compressor.flush())
    filters = [{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]
    (tmp_path / "a.xz").write_bytes(lzma.compress(b"a" * 1000, filters=filters))
    for name in ("a.zst", "a.xz"):
        with pytest.raises(JobError, match=r"byte 0 or after \(.*[Mm]emory"):
            content(tmp_path / name)


def test_a_plain_file_that_begins_like_a_packed_one_is_plain(tmp_path):
    """A TFRecord begins with a length, and every magic number is one."""
    for magic in (b"\x1f\x8b\x08", b"\x28\xb5\x2f"):
        length = int.from_bytes(magic, "little")
        data = bytes(length)
        (tmp_path / "a").write_bytes(framed([data]))
        assert (tmp_path / "a").read_bytes().startswith(magic)
        made = Content(str(tmp_path / "a"), Limits(), is_header)
        assert made.unit == "byte" and list(records(made.fill, "a", Limits())) == [data]


def test_what_tensorflow_packs_with_zlib(tmp_path):
    path = tmp_path / "a.tfrecord"
    with tf.io.TFRecordWriter(str(path), tf.io.TFRecordOptions(compression_type="ZLIB")) as made:
        for row in ROWS:
            made.write(example(row))
    assert [plain(row, "a.tfrecord") for row in read(path)] == ROWS


def test_names():
    for suffix in CODECS:
        assert bare_name(f"x/A.CSV{suffix.upper()}") == "x/a.csv"
    assert bare_name("a.tsv") == "a.tsv" and bare_name("a.gz.zip") == "a.gz.zip"


def test_bz2_headers_of_every_level():
    for level in range(1, 10):
        for data in (b"", b"a"):
            assert codec_of("x", bz2.compress(data, level)[:12]) == "bz2"
    assert codec_of("x", b"BZh9,temperature") == codec_of("x", b"") == ""
    assert codec_of("x", gzip.compress(b"a")) == "gzip"
