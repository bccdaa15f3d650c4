"""`seqcols verify`: passes for every kind of job, and finds what was altered afterwards."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from click.testing import CliRunner

from pipeline.command.commands import cli
from pipeline.command.tf_examples import encode
from pipeline.dataset import graphs, samples
from pipeline.job.request import FORMATS
from pipeline.sources.tfrecord.framing import framed
from pipeline.verify.rows import RowsCompared
from pipeline.verify.verify import verify
from tests.jobs import done
from tests.marks import slow_but
from tests.prepared import put_manifest
from transforms import (
    JobError,
    SequenceGroup,
    bucketized_column,
    categorical_column_with_hash_bucket,
    categorical_column_with_identity,
    embedding_column,
    indicator_column,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_hash_bucket,
    sequence_categorical_column_with_identity,
    sequence_categorical_column_with_learned_vocabulary,
    sequence_numeric_column,
    weighted_categorical_column,
)
from transforms.rows import origin

ROWS = 90


def columns(several: bool = True) -> list[Any]:
    """Columns of which a tf.Example can hold the features; `several` ids a step only nested lists can."""
    return [
        passthrough_column("name"),
        sequence_categorical_column_with_identity("ids", 50, default_value=3, group="watch"),
        sequence_categorical_column_with_hash_bucket("tags", 9, group="watch", max_ids=3 if several else 1),
        sequence_numeric_column(
            "x", (2,), -1.0, normalizer_fn="z_score", non_finite="fill", observed_mask=True, group="watch"
        ),
        sequence_numeric_column("small", dtype="float16", group="room"),
        sequence_numeric_column("text", dtype="int16", delimiter=",", group="third"),
        numeric_column("weight", (2,), (0.5, 1.5), normalizer_fn="z_score"),
        categorical_column_with_identity("label", 2, required=True),
    ]


GROUPS = {
    "watch": SequenceGroup(max_length=4, truncate="tail", padding="pre"),
    "room": SequenceGroup(max_length="longest", mask=False, concatenate=True),
    "third": SequenceGroup(max_length=3, truncate="head"),
}


def row(rng: random.Random, number: int) -> dict[str, Any]:
    steps = rng.choice([0, 1, 3, 6])
    return {
        "name": f"n{number:03d}",
        "ids": [rng.randrange(-5, 60) for _ in range(steps)],
        "tags": [[rng.choice("abcdef") for _ in range(rng.randrange(4))] for _ in range(steps)],
        "x": [rng.gauss(100, 30) if rng.random() < 0.9 else float("nan") for _ in range(2 * steps)],
        "small": [rng.gauss(20, 3) for _ in range(rng.randrange(5))],
        "text": ", ".join(str(rng.randrange(-300, 300)) for _ in range(rng.randrange(5))),
        "weight": [rng.random(), rng.random()] if rng.random() < 0.8 else [],
        "label": [rng.randrange(3)],  # 2 is out of range: rejected
    }


def data() -> list[dict[str, Any]]:
    rng = random.Random(5)
    return [row(rng, number) for number in range(ROWS)]


def examples(folder: Path) -> None:
    """Three files, in which every step of tags has one of them."""
    made = []
    for one in data():
        flat = {**one, "tags": [(step or ["z"])[0] for step in one["tags"]]}
        made.append(
            encode({k: v if isinstance(v, str) else np.array(v) if k == "ids" else v for k, v in flat.items() if v})
        )
    for part in range(3):
        (folder / f"{part}.tfrecord").write_bytes(framed(made[part::3]))


def sequence_examples(folder: Path) -> None:
    made = []
    for one in data():
        record = tf.train.SequenceExample()
        for key, values in one.items():
            if key == "tags":
                steps = [tf.train.Feature(bytes_list=tf.train.BytesList(value=[t.encode() for t in s])) for s in values]
                record.feature_lists.feature_list[key].feature.extend(steps)
            elif key in ("name", "text"):
                record.context.feature[key].bytes_list.value.append(values.encode())
            elif key in ("ids", "label"):
                record.context.feature[key].int64_list.value.extend(values)
            else:
                record.context.feature[key].float_list.value.extend(values)
        made.append(record.SerializeToString())
    (folder / "a.tfrecord").write_bytes(framed(made))


def parquet(folder: Path) -> None:
    pq.write_table(pa.Table.from_pylist(data()), folder / "a.parquet", row_group_size=20)


def jsonl(folder: Path) -> None:
    lines = [{**one, "x": [None if v != v else v for v in one["x"]]} for one in data()]
    (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))


@pytest.fixture(scope="module")
def published(tmp_path_factory) -> Path:
    """A data set made of tf.Examples, to be altered in copies."""
    return job(tmp_path_factory.mktemp("verify"), examples, "tfrecord", several=False)


def job(folder: Path, source: Any, format: str, several: bool = True) -> Path:
    source(folder)
    done(make_spec(columns(several), GROUPS), folder / "*.*", folder / "out", format=format, max_rejected=0.6)
    return folder / "out"


def changed(published: Path, folder: Path) -> tuple[Path, Path, dict[str, Any]]:
    """A copy of a data set, its first shard, and its manifest."""
    shutil.copytree(published, folder / "out")
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    return folder / "out", folder / "out" / manifest["examples"]["files"][0]["path"], manifest


def written(path: Path, manifest: dict[str, Any]) -> None:
    put_manifest(path, manifest)


def compared(root: Path, *more: Any, **options: Any) -> RowsCompared:
    """What was found of the rows of a data set whose files are as its manifest says."""
    done = verify(str(root), *more, **options)
    assert done.files.faults == []
    assert done.compared is not None
    return done.compared


def test_tf_examples_go_in_as_they_are(published):
    found = compared(published)
    assert found.difference == ""
    assert found.rows == found.as_requests > 40
    assert found.values > 1000
    assert not found.not_equal


@pytest.mark.parametrize(
    ("source", "format"),
    slow_but([*((parquet, format) for format in FORMATS), (sequence_examples, "tfrecord"), (jsonl, "parquet")]),
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_every_format_and_kind_of_source(tmp_path, source, format):
    found = compared(job(tmp_path, source, format))
    assert found.difference == ""
    assert found.rows > 40
    assert found.as_requests == (found.rows if source is sequence_examples else 0)


@pytest.mark.slow
def test_csv(tmp_path):
    """Cells of text: numbers, ids and words, with a delimiter and without."""
    rng = random.Random(4)
    lines = [f"{k};{k + 1};-3,{rng.gauss(0, 3)!r},a b a{' b' * (k % 3)}" for k in range(30)]
    (tmp_path / "a.csv").write_text("ids,x,words\n" + "\n".join([*lines, "7,0.5,", ",,"]) + "\n")
    spec = make_spec(
        [
            sequence_categorical_column_with_identity("ids", 100, default_value=0, delimiter=";"),
            numeric_column("x", default_value=0.0, normalizer_fn="log1p"),
            sequence_categorical_column_with_learned_vocabulary("words", delimiter=" ", group="text"),
        ],
        {"sequence": SequenceGroup(), "text": SequenceGroup(max_length=4)},
    )
    done(spec, tmp_path / "a.csv", tmp_path / "out", max_rejected=0.9)
    found = compared(tmp_path / "out")
    assert (found.difference, found.as_requests) == ("", 0)
    assert found.rows > 5


@pytest.mark.slow
def test_every_column_that_learns_or_is_made_of_others(tmp_path):
    """Learned words (an asset of the model), a table of embeddings (a variable), weights, quantiles, statistics by key."""
    rng = random.Random(6)
    table = []
    for k in range(60):
        steps = [[rng.randrange(20) for _ in range(rng.randrange(3))] for _ in range(rng.randrange(5))]
        table.append(
            {
                "ids": steps,
                "weights": [[rng.random() for _ in step] for step in steps],
                "words": [[rng.choice("abcdefg") for _ in step] for step in steps],
                "x": [rng.gauss(5, 2) for _ in steps],
                "y": [rng.gauss(5, 2) for _ in steps],
                "kind": f"k{k % 3}",
            }
        )
    pq.write_table(pa.Table.from_pylist(table), tmp_path / "a.parquet")
    np.save(tmp_path / "table.npy", np.random.default_rng(1).normal(size=(20, 3)).astype(np.float32))
    ids = sequence_categorical_column_with_identity("ids", 20, max_ids=2)
    spec = make_spec(
        [
            weighted_categorical_column(ids, "weights"),
            embedding_column(ids, 3, "sqrtn", table=str(tmp_path / "table.npy"), max_norm=1.5),
            indicator_column(
                sequence_categorical_column_with_learned_vocabulary("words", top_k=4, num_oov_buckets=2, max_ids=2)
            ),
            bucketized_column(sequence_numeric_column("x"), num_quantiles=4),
            sequence_numeric_column("y", normalizer_fn={"type": "z_score", "per": "key", "key": "kind"}),
            categorical_column_with_hash_bucket("kind", 10),
        ],
        SequenceGroup(max_length=3, truncate="tail"),
    )
    done(spec, tmp_path / "a.parquet", tmp_path / "out")
    found = compared(tmp_path / "out")
    assert (found.difference, found.not_equal, found.rows) == ("", [], 60)


@pytest.mark.slow
def test_fewer_rows(published):
    assert 5 <= compared(published, most=7).rows <= 9
    assert compared(published, most=1).rows == 1


def test_on_the_command_line(published, tmp_path):
    result = CliRunner().invoke(cli, ["verify", str(published)])
    assert result.exit_code == 0, result.output
    assert "all equal" in result.output
    assert CliRunner().invoke(cli, ["verify", str(published), "--rows", "-1"]).exit_code == 2
    assert CliRunner().invoke(cli, ["verify", str(tmp_path)]).exit_code == 1


def test_inputs_that_were_moved(published, tmp_path):
    for file in published.parent.glob("*.tfrecord"):
        shutil.copy(file, tmp_path)
    root, _, manifest = changed(published, tmp_path)
    for file in manifest["inputs"]:
        file["path"] = "/gone/" + Path(file["path"]).name
    for entry in manifest["examples"]["files"]:
        entry["samples"] = {"/gone/" + Path(path).name: runs for path, runs in entry["samples"].items()}
    written(root, manifest)
    with pytest.raises(JobError, match=r"/gone/0\.tfrecord"):
        compared(root)
    assert compared(root, [str(tmp_path / "*.tfrecord")]).difference == ""
    with pytest.raises(JobError, match=r"no file is named '1\.tfrecord'"):
        compared(root, [str(tmp_path / "0.tfrecord")])
    (tmp_path / "1.tfrecord").write_bytes(b"")
    with pytest.raises(JobError, match=r"another file than was read: 0 bytes"):
        compared(root, [str(tmp_path / "*.tfrecord")])


@pytest.mark.parametrize("feature", slow_but(["x", "ids", "watch_mask", "label"], "x"))
def test_a_value_in_a_shard_altered_with_all_checksums_right(published, tmp_path, feature):
    root, shard, manifest = changed(published, tmp_path)
    records = [tf.train.Example.FromString(r.numpy()) for r in tf.data.TFRecordDataset(str(shard))]
    value = records[0].features.feature[feature]
    if feature == "x":
        value.float_list.value[-1] = np.nextafter(np.float32(value.float_list.value[-1]), np.float32(9))
    else:
        value.int64_list.value[-1] ^= 1
    shard.write_bytes(framed([record.SerializeToString() for record in records]))
    entry = manifest["examples"]["files"][0]
    entry["sha256"] = hashlib.sha256(shard.read_bytes()).hexdigest()
    entry["bytes"] = shard.stat().st_size
    written(root, manifest)
    difference = compared(root).difference
    assert f"feature {feature!r}" in difference
    assert f"({shard} row 0)" in difference
    assert "\n" not in difference


def test_a_serving_model_that_cannot_be_loaded(published, tmp_path):
    root, _, manifest = changed(published, tmp_path)
    (model,) = (root / "serving").rglob("saved_model.pb")
    model.write_bytes(model.read_bytes() + b"\x00")
    manifest["graph_sha256"]["serving"] = graphs.digest(str(root / "serving"))
    written(root, manifest)
    with pytest.raises(JobError, match="cannot be loaded"):
        verify(str(root))


@pytest.mark.slow
def test_the_serving_model_of_other_statistics(published, tmp_path):
    """As a transform that somebody put there: digests are right, values are not."""
    other = tmp_path / "other"
    other.mkdir()
    spec = make_spec(columns(False), GROUPS)
    lines = [encode({"x": [1.0, 2.0, 5.0, 4.0], "small": [1.0] * 4, "label": 1, "ids": np.array([1, 2]), "tags": ["a", "b"],
                     "text": "1", "weight": [1.0, 2.0], "name": "n"})] * 3  # fmt: skip
    (other / "a.tfrecord").write_bytes(framed(lines))
    done(spec, other / "*.tfrecord", other / "out")
    root, _, manifest = changed(published, tmp_path)
    shutil.rmtree(root / "serving")
    shutil.copytree(other / "out" / "serving", root / "serving")
    manifest["graph_sha256"]["serving"] = graphs.digest(str(root / "serving"))
    written(root, manifest)
    assert "feature 'x'" in compared(root).difference


@pytest.mark.slow
def test_a_function_is_compared_within_a_tolerance(tmp_path):
    values = np.random.default_rng(1).normal(size=(50, 3)).astype(np.float32)
    pq.write_table(pa.table({"x": values.tolist()}), tmp_path / "a.parquet")
    spec = make_spec([sequence_numeric_column("x", normalizer_fn="tensorflow:exp")], SequenceGroup(max_length=3))
    done(spec, tmp_path / "a.parquet", tmp_path / "out")
    found = compared(tmp_path / "out")
    assert (found.difference, found.not_equal, found.rows) == ("", ["x"], 50)


def test_an_empty_data_set(tmp_path):
    pq.write_table(pa.table({"x": pa.array([], pa.list_(pa.float32()))}), tmp_path / "a.parquet")
    spec = make_spec([sequence_numeric_column("x")], SequenceGroup(max_length=3))
    done(spec, tmp_path / "a.parquet", tmp_path / "out", allow_empty=True)
    assert json.loads((tmp_path / "out" / "manifest.json").read_text())["serving"] is None
    assert (compared(tmp_path / "out").rows, compared(tmp_path / "out").difference) == (0, "")


def batch(numbers: list[int], file: str = "f") -> pa.RecordBatch:
    made = pa.RecordBatch.from_pydict({origin.ROW_COLUMN: pa.array(numbers, pa.int64())})
    return made.replace_schema_metadata({origin.FILE_KEY: file.encode()})


def test_samples_follow_rows_of_several_files_and_gaps():
    sampler = samples.Sampler()
    sampler.add(batch([5, 6, 9, 10]))
    sampler.add(batch(list(range(40)), "g"))
    runs = ((0, "f", 5, 2), (2, "f", 9, 2), (4, "g", 0, 12), (16, "g", 12, 16), (32, "g", 28, 12))
    assert sampler.samples == runs


def test_samples_of_a_large_shard_are_few_and_spread():
    sampler = samples.Sampler()
    for start in range(0, 100_000, 1000):
        sampler.add(batch(list(range(start, start + 1000))))
    found = sampler.samples
    assert 32 <= len(found) <= 64
    assert all(s.position == s.row and s.size > 0 for s in found)
    gaps = np.diff([s.position for s in found])
    assert len(set(gaps)) == 1
    assert found[-1].position + gaps[0] >= 100_000 - 1000
