"""Input that does not fit, in every format: fails before anything is written, is named, and leaves nothing behind."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

from pipeline.command.tf_examples import encode
from pipeline.dataset.manifest import read as read_manifest
from pipeline.inputs import preflight
from pipeline.inputs.match import match
from pipeline.job import reading, writing
from pipeline.job.request import Request
from pipeline.job.running import check
from pipeline.sources.formats import SOURCES, source_for
from pipeline.sources.limits import DEFAULTS
from pipeline.sources.tfrecord.framing import framed
from pipeline.verify import verify
from tests.jobs import done, listing, read_arrays, run_job
from tests.marks import slow_but
from transforms import (
    JobError,
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

Rows = Sequence[Mapping[str, Any]]

COLUMNS = [
    categorical_column_with_identity("label", 5, default_value=0),
    numeric_column("height", default_value=0.0),
]
SPEC = make_spec(COLUMNS)
LEARNING = make_spec([COLUMNS[0], numeric_column("height", default_value=0.0, normalizer_fn="z_score")])

GOOD = [{"label": 1, "height": 1.5}, {"label": 2, "height": 2.5}]
MISSPELT = [{"lable": 1, "height": 1.5}, {"lable": 2, "height": 2.5}]
OTHER = [{"foo": 1, "bar": "x"}, {"foo": 2, "bar": "y"}]
NULL: Rows = [{"label": None, "height": 1.5}, {"label": None, "height": 2.5}]


def tfrecord(path: Path, rows: Rows) -> None:
    path.write_bytes(framed([encode(row) for row in rows]))


def sequence_example(path: Path, rows: Rows) -> None:
    """Everything in the context, and a feature list, so that no record looks like a tf.Example."""
    made = []
    for row in rows:
        record = tf.train.SequenceExample()
        record.context.ParseFromString(tf.train.Example.FromString(encode(row)).features.SerializeToString())
        record.feature_lists.feature_list["steps"].feature.add().int64_list.value.append(1)
        made.append(record.SerializeToString())
    path.write_bytes(framed(made))


def parquet(path: Path, rows: Rows) -> None:
    table = (
        pa.Table.from_pylist(list(rows)) if rows else pa.table({"label": pa.array([], pa.int64()), "height": [1.5][:0]})
    )
    pq.write_table(table, path)


def jsonl(path: Path, rows: Rows) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def csv_file(path: Path, rows: Rows) -> None:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else ["label", "height"])
        writer.writeheader()
        writer.writerows(rows)


def avro(path: Path, rows: Rows) -> None:
    kinds = {int: "long", float: "double", str: "string"}
    first = rows[0] if rows else GOOD[0]
    fields = [
        {"name": n, "type": ["null", kinds.get(type(v), "null")] if v is not None else "null"} for n, v in first.items()
    ]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, rows)


FORMATS: dict[str, Callable[[Path, Rows], None]] = {
    "tfrecord": tfrecord,
    "tfrecords": sequence_example,
    "parquet": parquet,
    "jsonl": jsonl,
    "csv": csv_file,
    "avro": avro,
}
"""By the suffix that the tests give the files; `tfrecords` hold tf.SequenceExamples."""


def files(folder: Path, suffix: str, *contents: Rows) -> list[Path]:
    paths = [folder / f"part-{k}.{suffix}" for k in range(len(contents))]
    for path, rows in zip(paths, contents, strict=True):
        FORMATS[suffix](path, rows)
    return paths


def message(folder: Path, spec: Any = SPEC, pattern: str = "part-*", **more: Any) -> str:
    """Why a run failed, which it must; nothing may be left."""
    try:
        outcome = run_job(spec, folder / pattern, folder / "out", **more)
    except JobError as error:
        assert not (folder / "out").exists()
        return str(error)
    assert outcome.status == "failed", outcome.status
    assert not (folder / "out").exists() or listing(folder / "out") == []
    return outcome.message


def test_every_source_is_here():
    assert {source_for(f"a.{suffix}") for suffix in FORMATS} == set(SOURCES.values())


@pytest.mark.parametrize("odd", [0, 1, 2], ids=["first", "among", "last"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_with_a_misspelt_feature_among_many(tmp_path, suffix, odd):
    paths = files(tmp_path, suffix, *(MISSPELT if k == odd else GOOD for k in range(3)))
    found = message(tmp_path)
    assert found.startswith(f"{paths[odd]}: column 'label': "), found
    assert "'label'" in found and "did you mean 'lable'?" in found


@pytest.mark.parametrize("odd", [0, 1, 2], ids=["first", "among", "last"])
@pytest.mark.parametrize("suffix", FORMATS)
def test_a_file_of_another_schema_among_many(tmp_path, suffix, odd):
    paths = files(tmp_path, suffix, *(OTHER if k == odd else GOOD for k in range(3)))
    found = message(tmp_path)
    assert found.startswith(f"{paths[odd]}: "), found
    has = "it has foo, bar" if source_for(str(paths[0])).has_schema else "it has bar, foo"  # in order of the names
    assert "label" in found and has in found
    with pytest.raises(JobError, match=has):
        check(Request(SPEC, [str(tmp_path / "part-*")]))


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_misspelt_column(tmp_path, suffix):
    paths = files(tmp_path, suffix, GOOD, GOOD)
    found = message(tmp_path, make_spec([COLUMNS[1], categorical_column_with_identity("lable", 5, 0)]))
    assert found.startswith(f"{paths[0]}: column 'lable': "), found
    assert "did you mean 'label'?" in found


@pytest.mark.parametrize("suffix", ["parquet", "avro"])
def test_a_file_with_a_column_of_another_type_among_many(tmp_path, suffix):
    """Elsewhere every row has its own types, and such rows are rejected one by one."""
    paths = files(tmp_path, suffix, GOOD, GOOD, GOOD)
    if suffix == "parquet":
        pq.write_table(pa.table({"label": [[[[1]]]], "height": [1.5]}), paths[1])
    else:
        deep = {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": "long"}}}
        fields = [{"name": "label", "type": deep}, {"name": "height", "type": "double"}]
        with paths[1].open("wb") as file:
            fastavro.writer(
                file, {"type": "record", "name": "row", "fields": fields}, [{"label": [[[1]]], "height": 1.5}]
            )
    found = message(tmp_path)
    assert found.startswith(f"{paths[1]}: column 'label': expected"), found


@pytest.mark.parametrize("suffix", ["parquet", "csv", "avro"])
def test_the_schema_of_an_empty_shard_is_no_matter(tmp_path, suffix):
    """Writers that had no rows knew no types, or not even the names."""
    empties: list[Any] = {
        "parquet": [
            pa.table({"label": pa.nulls(0), "height": pa.array([], pa.date32()), "more": pa.array([], pa.string())}),
            pa.table({"other": pa.nulls(0)}),
            pa.table({}),
        ],
        "csv": ["other,label\n"],
        "avro": [[{"name": "label", "type": {"type": "map", "values": "int"}}], [{"name": "other", "type": "int"}]],
    }[suffix]
    FORMATS[suffix](tmp_path / f"1.{suffix}", GOOD)
    for k, empty in enumerate(empties):
        path = tmp_path / f"0{k}.{suffix}"
        if suffix == "parquet":
            pq.write_table(empty, path)
        elif suffix == "csv":
            path.write_text(empty)
        else:
            with path.open("wb") as file:
                fastavro.writer(file, {"type": "record", "name": "row", "fields": empty}, [])
    paths = sorted(map(str, tmp_path.glob("*")))
    preflight.look(paths, SPEC)
    seen = [stage for path in paths for stage in read_by_workers(path)]
    assert sum(batch.num_rows for batch in seen) == len(GOOD)


def read_by_workers(path: str) -> list[pa.RecordBatch]:
    worker = reading._Read(SPEC, DEFAULTS, "", 0)
    worker.start_bundle()
    return [made for split in source_for(path).parts(path) for made in worker.process(split)]


@pytest.mark.slow
def test_a_column_that_is_null_everywhere(tmp_path):
    """In all formats at once: a single value that counts as one would let it pass. Null in one file is fine."""
    for suffix, write in FORMATS.items():
        write(tmp_path / f"part-0.{suffix}", [{**row, "label": ""} for row in NULL] if suffix == "csv" else NULL)
    for spec in (SPEC, LEARNING):
        found = message(tmp_path, spec)
        assert found.startswith("column 'label': the feature 'label' is absent in all 12 rows"), found
    files(tmp_path, "jsonl", NULL, GOOD)
    assert run_job(SPEC, tmp_path / "*.jsonl", tmp_path / "out").status == "done"
    assert sorted(read_arrays(tmp_path / "out")["label"].tolist()) == [-1, -1, 1, 2]


@pytest.mark.parametrize("suffix", slow_but(["tfrecord", "jsonl"], "jsonl"))
def test_an_odd_file_that_no_sample_shows_is_found_by_what_was_counted(tmp_path, monkeypatch, suffix):
    """Its first rows are like all others, or it is none of those that are looked at before the run."""
    monkeypatch.setattr(preflight, "MOST_SAMPLED", 1)
    opened: list[Any] = []
    open_shard = writing.WriteShards._open

    def note(*arguments: Any) -> Any:
        opened.append(arguments)
        return open_shard(*arguments)

    monkeypatch.setattr(writing.WriteShards, "_open", note)
    paths = files(tmp_path, suffix, GOOD, OTHER, GOOD)
    assert message(tmp_path).startswith(f"{paths[1]}: has none of the features label, height; it has bar, foo")
    assert opened
    opened.clear()
    files(tmp_path, suffix, GOOD, MISSPELT, GOOD)
    found = message(tmp_path, LEARNING)
    assert found == f"{paths[1]}: column 'label': the feature 'label' is absent; did you mean 'lable'?"
    assert not opened  # where there is a pass before, nothing was written at all


@pytest.mark.slow
def test_sparse_files_are_not_odd(tmp_path):
    """No feature at all, or none of ours but one that other files have too: absent is empty."""
    sparse = [{"label": None, "height": None, "user": 7}]
    files(tmp_path, "tfrecord", [{**row, "user": 1} for row in GOOD], sparse, [{}], [{"height": 4.0, "user": 3}])
    done(SPEC, tmp_path / "part-*", tmp_path / "out")
    assert sorted(read_arrays(tmp_path / "out")["height"].ravel().tolist()) == [0.0, 0.0, 1.5, 2.5, 4.0]


@pytest.mark.slow
def test_sequence_examples_among_examples_lose_nothing(tmp_path):
    """A tf.SequenceExample parses as a tf.Example that has lost its feature lists; so it must not be read as one."""
    record = tf.train.SequenceExample()
    for k in (7, 8, 9):
        record.feature_lists.feature_list["ids"].feature.add().int64_list.value.append(k)
        record.feature_lists.feature_list["x"].feature.add().float_list.value.append(k / 2)
    plain = encode({"ids": [1, 2], "x": [0.5, 1.0]})
    for k, records in enumerate(([plain], [record.SerializeToString()], [plain, record.SerializeToString()])):
        (tmp_path / f"part-{k}.tfrecord").write_bytes(framed(records))
    spec = make_spec(
        [sequence_categorical_column_with_identity("ids", 10), sequence_numeric_column("x")],
        SequenceGroup(max_length=4),
    )
    done(spec, tmp_path / "part-*", tmp_path / "out")
    arrays = read_arrays(tmp_path / "out")
    assert sorted(arrays["ids"].tolist()) == [[1, 2, -1, -1]] * 2 + [[7, 8, 9, -1]] * 2
    assert sorted(arrays["sequence_length"].tolist()) == [2, 2, 3, 3]


@pytest.mark.parametrize("suffix", FORMATS)
def test_a_missing_file_among_many(tmp_path, suffix):
    files(tmp_path, suffix, GOOD)
    for more in ({}, {"allow_empty": True}):
        found = ""
        try:
            run_job(SPEC, [tmp_path / f"part-0.{suffix}", tmp_path / f"part-1.{suffix}"], tmp_path / "out", **more)
        except JobError as error:
            found = str(error)
        assert found == f"input '{tmp_path}/part-1.{suffix}': no file matches"
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("suffix", FORMATS)
def test_files_without_rows_can_be_looked_at(tmp_path, suffix):
    paths = files(tmp_path, suffix, [], GOOD, [])
    preflight.look([str(path) for path in paths], make_spec(COLUMNS))


NOTHING = [("no rows", LEARNING), ("no rows", SPEC), ("no files", LEARNING), ("no files", SPEC)]


@pytest.mark.parametrize(("what", "spec"), slow_but(NOTHING))
def test_nothing_to_write(tmp_path, what, spec):
    """Files of every format without a row, or a pattern that matches nothing: --allow-empty publishes an empty data set."""
    if what == "no rows":
        for suffix, write in FORMATS.items():
            write(tmp_path / f"part-0.{suffix}", [])
    found = message(tmp_path, spec)
    expected = "no rows to write: 0 read, 0 rejected (--allow-empty" if what == "no rows" else "no file matches"
    assert expected in found
    outcome = done(spec, tmp_path / "part-*", tmp_path / "out", allow_empty=True)
    assert [note for note in outcome.notes if "no file matches" in note] == (
        [] if what == "no rows" else [f"input '{tmp_path}/part-*': no file matches"]
    )
    manifest = read_manifest(str(tmp_path / "out"))
    assert (manifest.rows, manifest.files, manifest.content["transform"]) == (0, [], None)
    assert list(manifest.feature_spec()) == ["label", "height"]
    assert verify.verify(str(tmp_path / "out")).faults == []


def test_the_same_file_matched_twice_is_read_once(tmp_path):
    """By two patterns, by two spellings, by a symbolic link; in every format."""
    paths = [path for suffix in FORMATS for path in files(tmp_path, suffix, GOOD)]
    (tmp_path / "link.tfrecord").symlink_to(paths[0])
    patterns = [f"{tmp_path}/part-*", *map(str, paths), f"{tmp_path}/./part-0.csv", f"{tmp_path}/link.tfrecord"]
    outcome = check(Request(SPEC, patterns))
    assert outcome.ledger["rows"]["read"] == 2 * len(FORMATS)
    named = [str(tmp_path / "link.tfrecord"), *map(str, paths[1:])]
    assert outcome.repeated == tuple(sorted(named))
    assert sorted(outcome.ledger["files"]) == sorted(named)
    assert match([f"{tmp_path}/part-*"]).repeated == ()
