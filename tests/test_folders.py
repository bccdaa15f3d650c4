"""Folders as Spark, Hive, Polars and pyarrow write them: what is data in them, and what their names say of the rows."""

from __future__ import annotations

import csv
import gzip
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline.columns_file.reader import loads
from pipeline.inputs.match import match
from pipeline.inputs.named import match_named
from pipeline.inputs.preflight import look
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.sources.folders import features_of
from pipeline.sources.formats import source_for
from pipeline.sources.limits import DEFAULTS
from pipeline.verify.verify import verify
from tests.faults.formats import avro_container
from tests.jobs import assert_balanced, call, done, read_arrays, read_json, run_job
from tests.object_store import SCHEME, Objects
from transforms import (
    JobError,
    SequenceGroup,
    categorical_column_with_identity,
    categorical_column_with_vocabulary_list,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_vocabulary_list,
    sequence_numeric_column,
)
from transforms.rows import origin
from transforms.spec.spec import Spec
from transforms.splits.rule import Split

ODD = ["plain", "a b", "x/y", "50%", "k=v", "ü", "1:2", "'\"", "__", "."]
"""Values that the name of a folder cannot hold as they are, or that look like something else."""


def read(path: Path | str, features: dict[str, str]) -> list[dict[str, Any]]:
    """Returns the rows of a file, without their origin."""
    source = source_for(str(path))
    reads = [one for part in source.parts(str(path)) for one in source.read(part, features, DEFAULTS)]
    rows = []
    for one in reads:
        if one.batch is not None:
            names = [name for name in one.batch.schema.names if name not in origin.RESERVED]
            numbers = origin.row_numbers(one.batch).tolist()
            values = [one.batch.column(name).to_pylist() for name in names]
            rows += [
                (n, dict(zip(names, row, strict=True)))
                for n, row in zip(numbers, zip(*values, strict=True), strict=True)
            ]
    return [row for _, row in sorted(rows, key=lambda one: one[0])]


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"x")


def found(root: Path, *given: str) -> list[str]:
    return [
        file.path.removeprefix(f"{root}/")
        for file in match([f"{root}/{one}" if one else str(root) for one in given]).files
    ]


class TestWhatIsData:
    """As Spark's and Hive's file listings have it."""

    SPARK = (
        "_SUCCESS", "._SUCCESS.crc", "day=1/part-0.parquet", "day=1/.part-0.parquet.crc", "_temporary/0/part-0.parquet",
        "_x=1/part-1.parquet", "_log/0.json", ".hive-staging_1/part-0.parquet", "day=2_$folder$",
        "day=2/a.parquet._COPYING_", "day=2/part-0.parquet",
    )  # fmt: skip

    @pytest.mark.parametrize("given", ["", "**", "*/*", "./"])
    def test_names_that_are_no_data(self, given, tmp_path):
        touch(tmp_path, *self.SPARK)
        assert found(tmp_path, given) == ["_x=1/part-1.parquet", "day=1/part-0.parquet", "day=2/part-0.parquet"]
        hidden = [note for note in match([f"{tmp_path}/{given}"]).notes if "left out" in note]
        assert len(hidden) == 1 and "no data by name" in hidden[0]

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ("_SUCCESS", ["_SUCCESS"]),
            ("_S*", ["_SUCCESS"]),
            ("*/_*", []),
            ("_log", ["_log/0.json"]),
            ("_log/*", ["_log/0.json"]),
            ("_l*/**", ["_log/0.json"]),
            ("day=1/.part*", ["day=1/.part-0.parquet.crc"]),
            ("*/.part*", ["day=1/.part-0.parquet.crc"]),
            (".hive*/*", [".hive-staging_1/part-0.parquet"]),
        ],
    )
    def test_what_is_named_itself_is_read(self, given, expected, tmp_path):
        touch(tmp_path, *self.SPARK)
        if expected:
            assert found(tmp_path, given) == expected
        else:
            with pytest.raises(JobError, match="no file matches"):
                found(tmp_path, given)

    def test_in_an_object_store(self, monkeypatch):
        monkeypatch.setattr(Objects, "held", {})
        root = f"{SCHEME}://bucket/export"
        for name in [*self.SPARK, "day=3/"]:
            Objects.put(f"{root}/{name}", b"x")
        for given in (root, f"{root}/", f"{root}/**"):
            paths = [file.path.removeprefix(f"{root}/") for file in match([given]).files]
            assert paths == ["_x=1/part-1.parquet", "day=1/part-0.parquet", "day=2/part-0.parquet"], given
        with pytest.raises(JobError, match="no file matches"):
            match([f"{root}/nothing"])

    def test_a_folder_without_data(self, tmp_path):
        (tmp_path / "empty").mkdir()
        touch(tmp_path, "day/_SUCCESS", "day/.x.crc")
        with pytest.raises(JobError, match=r"empty': is a directory without files"):
            match([f"{tmp_path}/empty"])
        with pytest.raises(JobError, match=r"left out '.x.crc' and 1 more, no data by name; give a file itself"):
            match([f"{tmp_path}/day"])
        with pytest.raises(JobError, match=r"only directories match, give '.*/d\*/\*\*' for the files in them"):
            match([f"{tmp_path}/d*"])
        assert match([f"{tmp_path}/empty", f"{tmp_path}/day"], allow_empty=True).files == ()
        with pytest.raises(JobError, match="no file matches"):
            match([f"{tmp_path}/nowhere"], allow_empty=True)


class TestTables:
    """Of lakes: their folders keep rows that are deleted (`tests/test_foreign_files.py` has tables that the tools wrote)."""

    MARKS: ClassVar = {
        "_delta_log/00000000000000000000.json": "a Delta Lake table",
        ".hoodie/hoodie.properties": "an Apache Hudi table",
        "metadata/v1.metadata.json": "an Apache Iceberg table",
        "metadata/00000-6d225e9d.metadata.json.gz": "an Apache Iceberg table",
    }

    @pytest.mark.parametrize("mark", MARKS)
    @pytest.mark.parametrize("given", ["", "**", "t", "t/", "t/day=1", "t/day=1/*.parquet", "t/*/*.parquet"])
    def test_are_refused(self, given, mark, tmp_path):
        touch(tmp_path, f"t/{mark}", "t/day=1/a.parquet", "other/a.parquet")
        with pytest.raises(JobError) as error:
            match([f"{tmp_path}/{given}"])
        assert str(error.value).startswith(
            f"input '{tmp_path}/{given}': '{tmp_path}/t' is {self.MARKS[mark]}, in whose"
        )

    @pytest.mark.parametrize("mark", MARKS)
    def test_what_is_named_itself_or_lies_elsewhere_is_read(self, mark, tmp_path):
        touch(
            tmp_path, f"t/{mark}", "t/day=1/a.parquet", "other/b.parquet", "my_delta_log/c.parquet", "metadata/d.json"
        )
        for given in (f"t/{mark}", "t/day=1/a.parquet", "other", "my_delta_log", "metadata"):
            assert len(found(tmp_path, given)) == 1
        folder = mark.partition("/")[0]
        assert found(tmp_path, f"t/{folder}/*") == [f"t/{mark}"]

    def test_in_an_object_store(self, monkeypatch):
        monkeypatch.setattr(Objects, "held", {})
        root = f"{SCHEME}://bucket/export"
        for name in ("t/_delta_log/0.json", "t/day=1/a.parquet", "other/b.parquet"):
            Objects.put(f"{root}/{name}", b"x")
        for given in (root, f"{root}/t", f"{root}/t/**"):
            with pytest.raises(JobError, match=f"{root}/t' is a Delta Lake table"):
                match([given])
        assert [file.path for file in match([f"{root}/other"]).files] == [f"{root}/other/b.parquet"]


class TestWhatFoldersSay:
    def test_written_by_pyarrow(self, tmp_path):
        values = [*ODD, None, *ODD]
        table = pa.table(
            {"x": pa.array(range(len(values))), "shop": values, "day": [k % 3 for k in range(len(values))]}
        )
        parts = ds.partitioning(pa.schema([("day", pa.int64()), ("shop", pa.string())]), flavor="hive")
        ds.write_dataset(table, tmp_path / "out", format="parquet", partitioning=parts)
        rows = [
            row
            for file in match([f"{tmp_path}/out"]).files
            for row in read(file.path, dict.fromkeys(["x", "shop", "day"], "string"))
        ]
        oracle = ds.dataset(tmp_path / "out", partitioning=parts).to_table().to_pylist()
        assert (
            sorted(rows, key=lambda row: row["x"])
            == [{**row, "day": str(row["day"])} for row in sorted(oracle, key=lambda row: row["x"])]
            == [{"x": k, "shop": shop, "day": str(k % 3)} for k, shop in enumerate(values)]
        )

    def test_written_by_polars(self, tmp_path):
        values = [*ODD, None]
        frame = pl.DataFrame({"x": range(len(values)), "shop": values})
        frame.write_parquet(pl.PartitionBy(tmp_path / "out", key="shop", include_key=False))
        rows = [
            row
            for file in match([f"{tmp_path}/out"]).files
            for row in read(file.path, {"x": "int64", "shop": "string"})
        ]
        oracle = pl.scan_parquet(tmp_path / "out", hive_partitioning=True).sort("x").collect().to_dicts()
        assert sorted(rows, key=lambda row: row["x"]) == [{"x": row["x"], "shop": row["shop"]} for row in oracle]
        assert [row["shop"] for row in oracle] == values

    def test_paths(self):
        assert features_of("gs://bucket/a=1/a=2/b=/=3/x=4.parquet") == {"a": "2", "b": ""}
        assert features_of("/d/k%3Dk=v%3D1/z=%FF/__row__=1/f") == {"k=k": "v=1", "z": "%FF"}
        assert features_of("/d/f") == {}

    @pytest.mark.parametrize("name", ["a.parquet", "a.avro", "a.csv", "a.jsonl", "a.tfrecord"])
    def test_what_the_file_has_itself_counts(self, name, tmp_path):
        """In a format with a schema that is a column, in the others a value."""
        rows: list[dict[str, Any]] = [{"x": [1], "day": [7]}, {"x": [2]}, {"x": [3], "day": [9]}]
        path = tmp_path / "day=5" / "shop=a" / name
        path.parent.mkdir(parents=True)
        write(path, rows)
        made = read(path, {"x": "int64", "day": "int64", "shop": "string"})
        has_schema = source_for(str(path)).has_schema
        of_file = [7, None if has_schema else 5, 9]
        assert [None if one["day"] is None else int(np.ravel(one["day"])[0]) for one in made] == of_file
        assert [one["shop"] for one in made] == ["a"] * 3
        kinds = source_for(str(path)).features(str(path))
        assert set(kinds) == {"x", "day", "shop"} and pa.types.is_large_string(kinds["shop"])

    def test_rows_of_a_file_without_the_feature(self, tmp_path):
        path = tmp_path / "day=5" / "a.jsonl"
        path.parent.mkdir()
        write(path, [{"x": [1]}, {"x": [2]}])
        assert read(path, {"x": "int64", "day": "int64"}) == [{"x": [1], "day": "5"}, {"x": [2], "day": "5"}]
        assert read(path, {"x": "int64"}) == [{"x": [1]}, {"x": [2]}]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    names = list(dict.fromkeys(name for row in rows for name in row))
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix == ".avro":
        kinds = [{"name": n, "type": ["null", {"type": "array", "items": "long"}], "default": None} for n in names]
        schema = {"type": "record", "name": "row", "fields": kinds}
        path.write_bytes(avro_container(schema, rows, "null", 500))  # type: ignore[arg-type]
    elif path.suffix == ".csv":
        with path.open("w", newline="") as file:
            made = csv.writer(file)
            made.writerow(names)
            made.writerows([["" if name not in row else row[name][0] for name in names] for row in rows])
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with tf.io.TFRecordWriter(str(path)) as records:
            for row in rows:
                features = {n: tf.train.Feature(int64_list=tf.train.Int64List(value=v)) for n, v in row.items()}
                records.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())


SPEC = make_spec(
    [
        sequence_numeric_column("x", normalizer_fn="z_score"),
        passthrough_column("id", "int64"),
        numeric_column("day", dtype="int64", normalizer_fn=None),
        categorical_column_with_vocabulary_list("shop", ["a", "b c"]),
    ],
    SequenceGroup(max_length=3),
)


def export(root: Path, suffix: str, rows: int = 40) -> list[dict[str, Any]]:
    """Writes what Spark would; returns the rows with what the folders say."""
    made = []
    for k, (day, shop, folder) in enumerate(
        [(1, "a", "a"), (1, "b c", "b%20c"), (2, None, "__HIVE_DEFAULT_PARTITION__"), (2, "a", "a")]
    ):
        path = root / f"day={day}" / f"shop={folder}" / f"part-0{suffix}"
        path.parent.mkdir(parents=True, exist_ok=True)
        own: list[dict[str, Any]] = [
            {"id": [k * rows + n], "x": [float(n + step) for step in range(n % 4)]} for n in range(rows)
        ]
        own[5]["x"] = [float("nan")]
        write_floats(path, own)
        (path.parent / f".part-0{suffix}.crc").write_bytes(b"crc\0\0\0\0\0")
        made += [{"id": row["id"][0], "x": row["x"], "day": day, "shop": ["a", "b c", None].index(shop)} for row in own]
    (root / "_SUCCESS").touch()
    return made


def write_floats(path: Path, rows: list[dict[str, Any]]) -> None:
    if path.suffix == ".tfrecord":
        with tf.io.TFRecordWriter(str(path)) as records:
            for row in rows:
                features = {
                    "id": tf.train.Feature(int64_list=tf.train.Int64List(value=row["id"])),
                    "x": tf.train.Feature(float_list=tf.train.FloatList(value=row["x"])),
                }
                records.write(tf.train.Example(features=tf.train.Features(feature=features)).SerializeToString())
    else:
        write(path, rows)


@pytest.mark.parametrize(
    "suffix",
    [".parquet", pytest.param(".jsonl", marks=pytest.mark.slow), pytest.param(".tfrecord", marks=pytest.mark.slow)],
)
def test_an_export_from_start_to_end(suffix, tmp_path):
    """Run, verify against the serving model, repair: all of them see what the folders say."""
    rows = export(tmp_path / "in", suffix)
    good = [row for row in rows if not np.isnan(row["x"]).any()]
    outcome = done(SPEC, tmp_path / "in", tmp_path / "out", max_rejected=1.0)
    assert outcome.ledger["rows"]["rejected"] == 4 and any("left out" in note for note in outcome.notes)
    check_rows(tmp_path / "out", good)
    found = verify(str(tmp_path / "out"), most=1000).compared
    assert found is not None and found.rows > 100 and not found.difference
    mended = repair(Repair(str(tmp_path / "out"), filled(SPEC)))
    assert (mended.status, mended.message, mended.repaired["written"]) == ("done", "", 4)
    check_rows(tmp_path / "out", rows)
    assert_balanced(read_json(tmp_path / "out", "ledger.json"))


def filled(spec: Spec) -> Spec:
    x = spec.columns[0].model_copy(update={"non_finite": "fill"})
    return spec.model_copy(update={"columns": (x, *spec.columns[1:])})


def check_rows(root: Path, rows: list[dict[str, Any]]) -> None:
    arrays = read_arrays(root, sort_by="id")
    rows = sorted(rows, key=lambda row: row["id"])
    assert arrays["id"].reshape(-1).tolist() == [row["id"] for row in rows]
    assert arrays["day"].reshape(-1).tolist() == [row["day"] for row in rows]
    assert arrays["shop"].reshape(-1).tolist() == [row["shop"] if row["shop"] < 2 else -1 for row in rows]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_the_same_rows_of_another_day_are_others(suffix, tmp_path):
    """What a folder says is a part of the digest of a file's contents, by which an append knows what it has read before."""
    spec = make_spec(
        [sequence_numeric_column("x"), categorical_column_with_identity("day", 10)], SequenceGroup(max_length=2)
    )
    for folder in ("day=1", "day=2", "moved/day=1"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / f"a.{suffix}", [{"x": [1.0]}, {"x": [2.0]}])
    done(spec, tmp_path / "day=1", tmp_path / "out")
    done(spec, tmp_path / "day=2", tmp_path / "out", append=True)
    assert sorted(read_arrays(tmp_path / "out")["day"].tolist()) == [1, 1, 2, 2]
    assert (
        "has the rows of this file already" in run_job(spec, tmp_path / "day=1", tmp_path / "out", append=True).message
    )
    inputs = read_json(tmp_path / "out", "ledger.json")["files"]
    assert len({file["content_digest"] for file in inputs.values()}) == 2
    done(spec, tmp_path / "moved", tmp_path / "again")
    (moved,) = read_json(tmp_path / "again", "ledger.json")["files"].values()
    assert moved["content_digest"] in {file["content_digest"] for file in inputs.values()}


def test_a_split_that_folders_say(tmp_path):
    for split in ("train", "test"):
        path = tmp_path / "in" / f"split={split}" / "part-0.jsonl"
        path.parent.mkdir(parents=True)
        write(path, [{"x": [k]} for k in range(4 if split == "train" else 2)])
    spec = make_spec(
        [sequence_numeric_column("x")], SequenceGroup(max_length=2), split=Split(by="feature", feature="split")
    )
    done(spec, tmp_path / "in", tmp_path / "out")
    content = read_json(tmp_path / "out", "manifest.json")
    assert {name: own["written"] for name, own in content["splits"]["rows"].items()} == {
        "train": 4,
        "validation": 0,
        "test": 2,
    }


@pytest.mark.slow
def test_statistics_of_cached_files(tmp_path):
    """Two files of the same bytes in two folders: what was found in one is not that of the other."""
    for day in (2, 8):
        (tmp_path / "in" / f"day={day}").mkdir(parents=True)
        write(tmp_path / "in" / f"day={day}" / "a.jsonl", [{"x": [1]}] * 3)
    spec = make_spec([numeric_column("day", normalizer_fn="z_score")])
    for k, given in enumerate(("day=2", "day=8", "")):
        done(spec, tmp_path / "in" / given, tmp_path / f"out{k}", cache=str(tmp_path / "cache"))
    assert read_json(tmp_path / "out2", "statistics.json")["of"]["from_cache"] == 2
    assert sorted(read_arrays(tmp_path / "out2")["day"].ravel().tolist()) == [-1.0] * 3 + [1.0] * 3


@pytest.mark.slow
def test_events_whose_folders_say_the_user_and_the_day(tmp_path):
    for user in ("ann", "bob"):
        for day in (2, 1):
            path = tmp_path / "in" / f"user={user}" / f"day={day}" / "a.jsonl"
            path.parent.mkdir(parents=True)
            path.write_text(
                "".join(json.dumps({"at": 10 * day + k, "item": f"{user}{day}{k}"}) + "\n" for k in range(2))
            )
    events = {"key": "user", "order_by": "at", "features": {"items": "item", "days": "day"}}
    words = [f"{user}{day}{k}" for user in ("ann", "bob") for day in (1, 2) for k in range(2)]
    columns = [
        sequence_categorical_column_with_vocabulary_list("items", words),
        sequence_numeric_column("days", dtype="int64"),
        passthrough_column("user", "string"),
    ]
    done(make_spec(columns, SequenceGroup(max_length=4), events=events), tmp_path / "in", tmp_path / "out")
    arrays = read_arrays(tmp_path / "out", sort_by="user")
    assert arrays["items"].tolist() == [[0, 1, 2, 3], [4, 5, 6, 7]]
    assert arrays["days"].reshape(2, 4).tolist() == [[1, 1, 2, 2]] * 2


def test_a_folder_is_no_split_unless_it_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in ("day=27/h=1", "2"):
        (tmp_path / folder).mkdir(parents=True)
        write(tmp_path / folder / "a.jsonl", [{"x": [1]}])
    for given in ("day=27", "day=27/", "day=27/**", "day=27/*/*"):
        found = match_named([given], None)
        assert ([file.path for file in found.files], found.splits) == ([f"{tmp_path}/day=27/h=1/a.jsonl"], {}), given
    found = match_named(["train=day=27", "test=2"], None)
    assert sorted(found.splits.values()) == ["test", "train"]


def test_a_remote_folder_is_asked_once_for_each_thing(monkeypatch):
    Objects.put(f"{SCHEME}://once/in/a.jsonl", b"{}\n")
    asked: Counter[tuple[str, str]] = Counter()

    def counting(name: str, call: Any) -> Any:
        return lambda self, path: (asked.update([(name, path)]), call(self, path))[1]

    for name in ("_list", "exists"):
        monkeypatch.setattr(Objects, name, counting(name, getattr(Objects, name)))
    assert len(match([f"{SCHEME}://once/in/"]).files) == 1
    with pytest.raises(JobError, match="is a directory without files"):
        match([f"{SCHEME}://once/none/"])
    assert asked["_list", f"{SCHEME}://once/in/"] == asked["_list", f"{SCHEME}://once/none/"] == 1
    assert max(asked.values()) == 1


@pytest.mark.parametrize("name", ["a.parquet", "a.avro", "a.jsonl.gz", "a.jsonl"])
def test_the_room_that_a_file_takes_is_the_same_in_folders(tmp_path, name):
    rows = [{"x": 1.5, "y": [1.0] * 50}] * 1000
    (tmp_path / "day=1").mkdir()
    if name == "a.parquet":
        pq.write_table(pa.Table.from_pylist(rows), tmp_path / name)
    elif name == "a.avro":
        kinds = [{"name": "x", "type": "double"}, {"name": "y", "type": {"type": "array", "items": "double"}}]
        schema = {"type": "record", "name": "R", "fields": kinds}
        (tmp_path / name).write_bytes(avro_container(schema, rows, "deflate", 1000))
    else:
        text = "".join(json.dumps(row) + "\n" for row in rows).encode()
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    size = (tmp_path / name).stat().st_size
    shutil.copy(tmp_path / name, tmp_path / "day=1" / name)
    taken = []
    for path in (str(tmp_path / name), str(tmp_path / "day=1" / name)):
        taken.append([source_for(path).unpacked_bytes(path, size, wanted) for wanted in (["x", "y", "day"], ["x"])])
    assert taken[0] == taken[1]
    whole, x = taken[0]
    if name == "a.parquet":  # values that repeat themselves take next to nothing in the file
        assert 51 * 8 * 1000 <= whole < 2 * 51 * 8 * 1000 and 8 * 1000 <= x <= 20 * 1000
    else:
        assert whole == x == (size if name == "a.jsonl" else 10 * size)


def test_a_draft_has_what_folders_say(tmp_path):
    for day in range(20):
        (tmp_path / f"day={day}").mkdir()
        write(tmp_path / f"day={day}" / "a.jsonl", [{"x": [float(day), 1.5]}] * 5)
    (tmp_path / "_SUCCESS").touch()
    result = call("inspect", str(tmp_path))
    assert result.exit_code == 0
    assert [column.key for column in loads(result.stdout).columns] == ["day", "x"]


class TestFilesWithoutAColumn:
    OLD, NEW = {"x": [[1.0], [2.0]]}, {"x": [[3.0]], "y": [[4.0, 5.0]]}

    def inputs(self, folder: Path) -> Path:
        for name, columns in (("day=1", self.OLD), ("day=2", self.NEW)):
            (folder / name).mkdir(parents=True)
            pq.write_table(pa.table(columns), folder / name / "part-0.parquet")
        return folder

    def spec(self, **more: Any) -> Spec:
        groups = {name: SequenceGroup(max_length=2) for name in "xy"}
        return make_spec(
            [sequence_numeric_column("x", group="x"), sequence_numeric_column("y", group="y", **more)], groups
        )

    def test_is_absent_where_it_is_optional(self, tmp_path):
        inputs = self.inputs(tmp_path / "in")
        for more in ({}, {"required": True}):
            with pytest.raises(JobError, match=r"day=1/part-0.parquet: column 'y': the file has no feature 'y'"):
                look([file.path for file in match([str(inputs)]).files], self.spec(**more))
        done(self.spec(required=False), inputs, tmp_path / "out")
        assert sorted(read_arrays(tmp_path / "out")["y_length"].reshape(-1).tolist()) == [0, 0, 2]
        assert read_json(tmp_path / "out", "ledger.json")["columns"]["y"]["absent"] == 2
        assert "required: false" in read_json(tmp_path / "out", "manifest.json")["columns"]

    def test_a_misspelt_one_is_not(self, tmp_path):
        inputs = self.inputs(tmp_path / "in")
        pq.write_table(pa.table({"x": [[1.0]], "temperatur": [[1.0]]}), inputs / "day=1" / "part-0.parquet")
        spec = make_spec(
            [sequence_numeric_column("x"), sequence_numeric_column("temperature", required=False)],
            SequenceGroup(max_length=2),
        )
        with pytest.raises(JobError, match=r"no feature 'temperature'; did you mean 'temperatur'\?"):
            look([str(inputs / "day=1" / "part-0.parquet")], spec)

    def test_a_repair_of_a_row_without_it(self, tmp_path):
        """The record of a columnar source holds what the file had."""
        inputs = self.inputs(tmp_path / "in")
        pq.write_table(pa.table({"x": [[1.0], [float("nan")]]}), inputs / "day=1" / "part-0.parquet")
        spec = self.spec(required=False)
        done(spec, inputs, tmp_path / "out", max_rejected=1.0)
        mended = repair(Repair(str(tmp_path / "out"), filled(spec)))
        assert (mended.status, mended.message, mended.repaired["written"]) == ("done", "", 1)
        assert sorted(read_arrays(tmp_path / "out")["y_length"].reshape(-1).tolist()) == [0, 0, 2]

    def test_older_files_are_appended(self, tmp_path):
        """None of the rows of that run has the column."""
        inputs = self.inputs(tmp_path / "in")
        spec = self.spec(required=False)
        done(spec, inputs / "day=2", tmp_path / "out")
        outcome = run_job(spec, inputs / "day=1", tmp_path / "out", append=True)
        assert (outcome.status, outcome.message) == ("done", "")
        assert sorted(read_arrays(tmp_path / "out")["y_length"].reshape(-1).tolist()) == [0, 0, 2]
