"""`seqcols verify`, the files: whatever is damaged, lost, swapped or edited is named; what is as published passes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from click.testing import CliRunner

from pipeline.command.commands import cli
from pipeline.dataset import graphs
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest import read as read_manifest
from pipeline.job.request import FORMATS
from pipeline.sinks.formats import SINKS
from pipeline.sources.tfrecord.framing import framed
from pipeline.verify import verify
from pipeline.verify.files import Files, check
from tests import prepared
from transforms import JobError
from transforms.columns import Output


@pytest.fixture(params=FORMATS)
def root(request, tmp_path) -> Path:
    """A data set of three shards of the same size and one of rejected rows, in every format."""
    prepared.prepare(str(tmp_path / "out"), request.param, (4, 4, 4)).publish()
    return tmp_path / "out"


@pytest.fixture
def records(tmp_path) -> Path:
    prepared.prepare(str(tmp_path / "out"), "tfrecord", (4, 4, 4)).publish()
    return tmp_path / "out"


def manifest_of(root: Path) -> dict[str, Any]:
    return json.loads((root / "manifest.json").read_text())


def write(root: Path, manifest: dict[str, Any]) -> None:
    prepared.put_manifest(root, manifest)


def shard(root: Path, number: int = 0, part: str = "examples") -> Path:
    return root / manifest_of(root)[part]["files"][number]["path"]


def checked(root: Path) -> Files:
    return check(read_manifest(str(root)))


def faults(root: Path) -> list[str]:
    """What is wrong, paths relative."""
    found = checked(root).faults
    assert all("\n" not in fault for fault in found)
    assert all(fault.startswith(f"{root}/") for fault in found)
    return [fault.removeprefix(f"{root}/") for fault in found]


def flip(path: Path, at: int | None = None) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2 if at is None else at] ^= 1
    path.write_bytes(data)


def agree(root: Path, path: Path, rows: int | None = None) -> None:
    """Makes the manifest say of a shard what it is now, as somebody would who rewrites it with care."""
    manifest = manifest_of(root)
    for part in ("examples", "rejected"):
        for entry in manifest[part]["files"]:
            if entry["path"] == str(path.relative_to(root)):
                entry |= {"bytes": path.stat().st_size, "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
                entry["rows"] = entry["rows"] if rows is None else rows
    for name in ("statistics", "ledger"):
        manifest["json_sha256"][name] = graphs.file_digest(str(root / manifest[name]))
    write(root, manifest)


def test_what_was_published_passes(root):
    found = checked(root)
    assert (found.faults, found.notes) == ([], [])
    assert (found.rows, found.rejected, found.files) == (12, 2, 3 + 1 + 4 + 2)
    assert found.bytes == sum(
        path.stat().st_size for part in ("examples", "rejected") for path in (root / part).iterdir()
    )


@pytest.mark.parametrize("format", ["tfrecord", "parquet"])
def test_an_empty_data_set_passes(tmp_path, format):
    made = prepared.prepare(str(tmp_path / "out"), format, (), 0)
    made.publish()
    assert checked(tmp_path / "out").faults == []
    assert verify.verify(str(tmp_path / "out")).faults == []


@pytest.mark.parametrize("format", FORMATS)
def test_sequences_that_are_all_empty_pass(tmp_path, monkeypatch, format):
    """T is 0: a feature without values has no kind in a record, and is no tensor in Parquet."""
    outputs = [replace(o, shape=(0, *o.shape[1:])) if o.sequence else o for o in prepared.OUTPUTS]
    monkeypatch.setattr(prepared, "OUTPUTS", outputs)
    full = prepared.rows

    def rows(count: int, first: int = 0) -> pa.RecordBatch:
        batch = full(count, first)
        kinds = {"x": pa.float32(), "small": pa.float32(), "sequence_mask": pa.bool_()}
        empty = {n: pa.array([[]] * count, pa.list_(kinds[n], 0)) for n in kinds}
        columns = {name: empty.get(name, batch.column(name)) for name in batch.schema.names}
        return pa.RecordBatch.from_pydict(columns)

    monkeypatch.setattr(prepared, "rows", rows)
    prepared.prepare(str(tmp_path / "out"), format).publish()
    assert checked(tmp_path / "out").faults == []


@pytest.mark.parametrize("part", ["examples", "rejected"])
def test_a_missing_shard(root, part):
    path = shard(root, 0, part)
    path.unlink()
    assert faults(root) == [f"{path.relative_to(root)}: is missing"]


NAMED = ["examples", "rejected", "transform", "serving", "statistics", "ledger"]


@pytest.mark.parametrize("name", NAMED)
def test_one_bit_flipped_in_each_kind_of_file(root, name):
    path = shard(root, 0, name) if name in ("examples", "rejected") else root / manifest_of(root)[name]
    inside = path / "variables" / "data" if path.is_dir() else path
    flip(inside)
    found = faults(root)
    assert found and {fault.split(":")[0] for fault in found} == {str(path.relative_to(root))}
    assert any(("SHA-256" in fault) or ("not those that were published" in fault) for fault in found)


@pytest.mark.parametrize("name", NAMED[2:])
def test_anything_else_that_is_missing(records, name):
    path = records / manifest_of(records)[name]
    for file in [*path.rglob("*")] if path.is_dir() else [path]:
        if file.is_file():
            file.unlink()
    assert faults(records) == [f"{manifest_of(records)[name]}: is missing"]


@pytest.mark.parametrize("what", ["one file lost", "one file more"])
def test_a_graph_with_other_files(records, what):
    if what == "one file lost":
        (records / "serving" / "saved_model.pb").unlink()
    else:
        (records / "serving" / "variables" / "other").write_text("more")
    assert faults(records) == ["serving: its files are not those that were published"]


def test_every_bit_of_a_shard_counts(tmp_path):
    """Also where no checksum of the format covers it: in the header of a gzip file, in the footer of a Parquet file."""
    for format in ("tfrecord.gz", "parquet"):
        prepared.prepare(str(tmp_path / format), format, (3,), 0).publish()
        path = shard(tmp_path / format)
        whole = path.read_bytes()
        for at in [*range(8), *range(len(whole) - 8, len(whole)), *range(20, len(whole) - 8, 37)]:
            flip(path, at)
            assert any("SHA-256" in fault for fault in faults(tmp_path / format)), (format, at)
            path.write_bytes(whole)
        assert faults(tmp_path / format) == []


def test_damage_is_said_with_its_place(records):
    flip(shard(records), 14)
    found = faults(records)
    assert len(found) == 3
    assert "its SHA-256 is not what the manifest says" in found[0]
    assert "0 rows, the manifest says 4" in found[1]
    assert "bad checksum (CRC-32C) of the record at byte 0" in found[2]


def test_a_shard_cut_short(root):
    path = shard(root)
    whole = path.read_bytes()
    path.write_bytes(whole[:-9])
    found = faults(root)
    assert any(f"{len(whole) - 9:,} bytes, the manifest says {len(whole):,}" in fault for fault in found)
    assert any("cut short" in fault or "damaged" in fault for fault in found)


def test_two_shards_swapped(records):
    first, second = shard(records, 0), shard(records, 1)
    assert first.stat().st_size == second.stat().st_size
    a, b = first.read_bytes(), second.read_bytes()
    first.write_bytes(b)
    second.write_bytes(a)
    what = "its SHA-256 is not what the manifest says"
    assert faults(records) == [f"{path.relative_to(records)}: {what}" for path in (first, second)]


def fewer(root: Path, format: str) -> Path:
    """Writes the first shard again without its last row, as a correct file."""
    path = shard(root)
    writer = SINKS[format].open(str(path), prepared.OUTPUTS)
    writer.write(prepared.rows(3))
    writer.close()
    return path


def test_a_row_removed_from_a_correct_file(root):
    path = fewer(root, manifest_of(root)["format"])
    name = str(path.relative_to(root))
    assert f"{name}: 3 rows, the manifest says 4" in faults(root)
    agree(root, path)
    assert faults(root) == [f"{name}: 3 rows, the manifest says 4"]
    agree(root, path, rows=3)  # with the count of the shard edited the sum is another
    assert faults(root) == ["manifest.json: examples.rows is 12, the files that it names have 11"]
    manifest = manifest_of(root)
    manifest["examples"]["rows"] = 11  # and with the sum edited it is not what the ledger says
    write(root, manifest)
    assert faults(root) == ["ledger.json: 12 rows written, the manifest says 11"]


@pytest.mark.parametrize("part", ["examples", "rejected"])
def test_counts_of_the_manifest_edited(records, part):
    manifest = manifest_of(records)
    manifest[part]["rows"] += 1
    write(records, manifest)
    found = faults(records)
    assert len(found) == 2
    assert f"manifest.json: {part}.rows is" in found[0]
    assert "ledger.json" in found[1] and f"the manifest says {manifest[part]['rows']}" in found[1]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("rows", 5, "4 rows, the manifest says 5"),
        ("bytes", 7, "bytes, the manifest says 7"),
        ("sha256", "0" * 64, "its SHA-256 is not what the manifest says"),
    ],
)
def test_what_the_manifest_says_of_a_shard_edited(records, field, value, message):
    manifest = manifest_of(records)
    manifest["examples"]["files"][1][field] = value
    write(records, manifest)
    found = faults(records)
    assert message in found[0] and found[0].startswith(manifest["examples"]["files"][1]["path"])


def edit_ledger(root: Path, change: Callable[[Any], None]) -> None:
    path = root / "ledger.json"
    book = json.loads(path.read_text())
    change(book)
    path.write_text(json.dumps(book))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda book: book["rows"].update(written=11, read=13), "ledger.json: 11 rows written, the manifest says 12"),
        (lambda book: book["rows"].update(rejected=1, read=13), "ledger.json: 1 rows rejected, the manifest says 2"),
        (lambda book: book["rows"].update(read=99), "ledger.json: all files: rows do not balance"),
        (lambda book: book["files"]["in"]["rows"].update(read=99), "ledger.json: in: rows do not balance"),
        (lambda book: book["columns"]["x"].update(values=5), "ledger.json: all files: values of column 'x' do not"),
        (lambda book: book.pop("rows"), "ledger.json: is no ledger"),
        (lambda book: book.clear(), "ledger.json: is no ledger"),
        (lambda book: book.update(files=[]), "ledger.json: is no ledger"),
        (lambda book: book.update(rows=None), "ledger.json: is no ledger"),
    ],
)
def test_the_ledger_edited(records, change, message):
    edit_ledger(records, change)
    assert "ledger.json: its SHA-256 is not what the manifest says" in faults(records)
    agree(records, shard(records))  # whoever edits it may put its digest right, too
    (found,) = faults(records)
    assert message in found


@pytest.mark.parametrize("name", ["statistics", "ledger"])
@pytest.mark.parametrize("text", ["{", "", "\xff", "[" * 100_000])
def test_what_is_no_json(records, name, text):
    (records / f"{name}.json").write_bytes(text.encode("latin-1"))
    assert any(fault.startswith(f"{name}.json: cannot be read") for fault in faults(records))


@pytest.mark.parametrize("field", ["json_sha256", "graph_sha256"])
def test_digests_taken_out_of_the_manifest(records, field):
    manifest = manifest_of(records)
    del manifest[field]
    write(records, manifest)
    found = faults(records)
    assert len(found) == 2 and all(fault.startswith(f"manifest.json: has no {field} of ") for fault in found)


@pytest.mark.parametrize(
    "name", ["../other", "/etc/passwd", "examples/../../other", "", ".", "examples", "*", "a/b/c", "a\nb"]
)
def test_a_manifest_that_names_files_elsewhere(records, name):
    (records.parent / "other").write_text("mine")
    for part in ("examples", "rejected", "transform", "serving", "statistics", "ledger", "report"):
        manifest = manifest_of(records)
        if part in ("examples", "rejected"):
            manifest[part]["files"][0]["path"] = name
        else:
            manifest[part] = name
        found = check(Manifest(str(records), manifest)).faults
        assert any(f"names {name!r} as {part}, which is no name that a run gives" in fault for fault in found), part


def test_a_shard_that_is_named_twice(records):
    manifest = manifest_of(records)
    manifest["examples"]["files"][1] = manifest["examples"]["files"][0]
    write(records, manifest)
    assert any("the manifest names it twice" in fault for fault in faults(records))


def rewritten(root: Path, outputs: list[Any], batch: pa.RecordBatch) -> Path:
    path = shard(root)
    writer = SINKS[manifest_of(root)["format"]].open(str(path), outputs)
    writer.write(batch)
    writer.close()
    agree(root, path)
    return path


def test_a_feature_dropped(root):
    outputs = [output for output in prepared.OUTPUTS if output.name != "small"]
    name = str(rewritten(root, outputs, prepared.rows(4)).relative_to(root))
    (found,) = faults(root)
    assert found.startswith(f"{name}: ") and "'small'" in found and ("is absent" in found or "no such feature" in found)


def test_a_feature_added(root):
    outputs = [*prepared.OUTPUTS, Output("more", "int64", (), "values", "more")]
    batch = prepared.rows(4)
    more = pa.RecordBatch.from_arrays([*batch.columns, batch.column("id")], [*batch.schema.names, "more"])
    name = str(rewritten(root, outputs, more).relative_to(root))
    (found,) = faults(root)
    assert found.startswith(f"{name}: ") and "'more'" in found


def test_a_feature_of_another_type(root):
    outputs = [replace(o, dtype="float32") if o.name == "id" else o for o in prepared.OUTPUTS]
    batch = prepared.rows(4)
    columns = {n: batch.column(n).cast(pa.float32()) if n == "id" else batch.column(n) for n in batch.schema.names}
    name = str(rewritten(root, outputs, pa.RecordBatch.from_pydict(columns)).relative_to(root))
    (found,) = faults(root)
    assert found.startswith(f"{name}: ") and "'id'" in found and "int64" in found and "float" in found


def test_a_feature_of_another_shape(root):
    outputs = [replace(o, shape=(2, 3)) if o.name == "x" else o for o in prepared.OUTPUTS]
    name = str(rewritten(root, outputs, prepared.rows(4)).relative_to(root))
    found = faults(root)
    if manifest_of(root)["format"].startswith("tfrecord"):  # a tf.Example has no shapes, only as many values
        assert found == []
        return
    assert found[0].startswith(f"{name}: ") and "'x'" in found[0]


def test_a_row_of_its_own_kind_among_others(records):
    """The third row of a shard lacks a feature, has one value too many, is of another kind, is garbage."""
    path = shard(records)
    whole = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(path))]
    for change, message in (
        (lambda e: e.features.feature.pop("id"), "row 2: feature 'id' is absent"),
        (
            lambda e: e.features.feature["id"].int64_list.value.append(1),
            "row 2: feature 'id' has 2 values, the manifest",
        ),
        (lambda e: e.features.feature["id"].bytes_list.value.append(b"x"), "row 2: feature 'id' holds large_binary"),
        (lambda e: e.features.feature["y"].int64_list.value.append(1), "row 2: feature 'y' is not in the manifest"),
        (lambda e: None, "row 2: the record cannot be decoded"),
    ):
        made = [tf.train.Example.FromString(example.SerializeToString()) for example in whole]
        change(made[2])
        data = [example.SerializeToString() for example in made]
        path.write_bytes(framed(data if "decoded" not in message else [*data[:2], b"garbage", data[3]]))
        agree(records, path)
        (found,) = faults(records)
        assert found.startswith(f"{path.relative_to(records)}: {message}"), found


def test_nulls_in_parquet(tmp_path):
    prepared.prepare(str(tmp_path / "out"), "parquet", (4,), 0).publish()
    path = shard(tmp_path / "out")
    table = pq.read_table(path)
    table = table.set_column(0, pa.field("id", pa.int64()), pa.array([0, 1, None, 3]))
    pq.write_table(table, path)
    agree(tmp_path / "out", path)
    (found,) = faults(tmp_path / "out")
    assert "row 2: feature 'id' is null" in found


def test_rejected_rows_without_their_records(records):
    path = shard(records, 0, "rejected")
    pq.write_table(pq.read_table(path).drop_columns(["record"]), path)
    agree(records, path)
    (found,) = faults(records)
    assert found.startswith(f"{path.relative_to(records)}: feature 'record': the file has no such feature")


def test_what_dead_runs_left_is_a_note(records):
    (records / ".seqcols-dead").mkdir()
    for name in (
        "examples/dead-1.tfrecord",
        ".seqcols-dead/open",
        "ledger-dead.json",
        "notes.txt",
        "manifest.json.dead",
    ):
        (records / name).write_text("left")
    found = checked(records)
    assert found.faults == []
    assert len(found.notes) == 5 and all("the manifest does not name it" in note for note in found.notes)
    assert "examples/dead-1.tfrecord" in "".join(found.notes)


DAMAGED = ["", "{", "[]", "null", '{"format_version": 1}', '{"format_version": 2}', "[" * 100_000, "\xff\xfe"]


@pytest.mark.parametrize("text", DAMAGED, ids=range(len(DAMAGED)))
def test_a_damaged_manifest(records, text):
    (records / "manifest.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(JobError, match=r"^[^\n]*manifest\.json[^\n]*$"):
        read_manifest(str(records))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m["examples"].pop("files"), "examples.files: expected a value"),
        (lambda m: m["examples"]["files"][0].update(rows="4"), r"examples.files\[0\].rows: expected an int, got '4'"),
        (
            lambda m: m["examples"]["files"][0].update(bytes=-1),
            r"examples.files\[0\].bytes: expected an int >= 0, got -1",
        ),
        (
            lambda m: m["examples"]["features"]["x"].update(shape=[None]),
            r"examples.features.x.shape\[0\]: expected an int",
        ),
        (lambda m: m.update(rejected=3), "rejected: expected a mapping, got 3"),
        (lambda m: m.pop("ledger"), "ledger: expected a value"),
    ],
)
def test_a_manifest_that_lacks_something(records, change, message):
    manifest = manifest_of(records)
    change(manifest)
    write(records, manifest)
    with pytest.raises(JobError, match=message):
        read_manifest(str(records))


def test_an_unknown_format(records):
    manifest = manifest_of(records)
    manifest["format"] = "tfrecrd"
    write(records, manifest)
    assert faults(records) == ["manifest.json: unknown format 'tfrecrd'; did you mean 'tfrecord'?"]


def test_a_folder_whose_name_looks_like_a_pattern(tmp_path):
    """Data sets are moved; Beam's file systems take a path for a pattern."""
    prepared.prepare(str(tmp_path / "out")).publish()
    (tmp_path / "run1").mkdir()
    (tmp_path / "run1" / "other").write_text("somebody's")
    (tmp_path / "out").rename(tmp_path / "run[12]*")
    found = checked(tmp_path / "run[12]*")
    assert (found.faults, found.notes) == ([], [])
    (tmp_path / "run[12]*" / "serving" / "saved_model.pb").write_text("other")
    assert faults(tmp_path / "run[12]*") == ["serving: its files are not those that were published"]


def test_on_the_command_line(records):
    done = CliRunner().invoke(cli, ["verify", str(records), "--rows", "0"])
    assert (done.exit_code, done.stderr) == (0, "")
    assert "12 rows of examples, 2 rejected" in done.stdout and "all files as the manifest says" in done.stdout
    flip(records / "ledger.json")
    done = CliRunner().invoke(cli, ["verify", str(records), "--rows", "0"])
    assert done.exit_code == 1
    assert done.stderr.startswith(f"seqcols: error: {records}")
    for number in range(3):
        shard(records, number).unlink()
    done = CliRunner().invoke(cli, ["verify", str(records)])
    lines = done.stderr.splitlines()
    assert lines[0].startswith(f"seqcols: error: {records}: ") and lines[0].endswith(" faults")
    assert sum("is missing" in line for line in lines) == 3 and len(lines) > 4


def test_of_many_faults_the_first_are_listed(tmp_path):
    prepared.prepare(str(tmp_path / "out"), "tfrecord", (1,) * 30).publish()
    for path in (tmp_path / "out" / "examples").iterdir():
        path.unlink()
    done = CliRunner().invoke(cli, ["verify", str(tmp_path / "out"), "--rows", "0"])
    lines = done.stderr.splitlines()
    assert lines[0] == f"seqcols: error: {tmp_path / 'out'}: 30 faults"
    assert len(lines) == 22 and lines[-1] == "and 10 more"


@pytest.mark.slow
def test_without_rows_tensorflow_is_not_loaded(records):
    program = """
import sys
from pipeline.command.commands import cli
try:
    cli(["verify", sys.argv[1], "--rows", "0"])
except SystemExit as end:
    print(end.code, [name for name in ("tensorflow", "tensorflow_transform") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(records)],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env=os.environ,
        check=True,
    )
    assert (done.stdout.splitlines()[-1], done.stderr) == ("0 []", "")


def test_progress_counts_bytes(records):
    told: dict[str, int] = {}

    def tell(path: str, count: int) -> None:
        told[path] = told.get(path, 0) + count

    manifest = read_manifest(str(records))
    check(manifest, tell)
    from pipeline.verify.files import bytes_to_read

    assert told[str(shard(records))] == shard(records).stat().st_size
    assert abs(sum(told.values()) - bytes_to_read(manifest)) <= 100
