"""Whole jobs in a bucket: columns, inputs, output, cache and all that a run needs meanwhile, in S3 and in Cloud Storage.

What is there afterwards is read with the store's own client, and must be what the same job leaves on a disk.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf
import tensorflow_transform as tft
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to

from pipeline.columns_file.reader import load
from pipeline.command.tf_examples import write_examples
from pipeline.dataset.manifest import named_files
from pipeline.dataset.manifest import read as read_manifest
from pipeline.verify.verify import verify
from tests import buckets
from tests.buckets import S3, Bucket
from tests.jobs import arrays_of, assert_balanced, call, done, read_arrays, read_json, read_rejected
from transforms import Densify, Fit, SequenceGroup, apply, sequence_numeric_column

COLUMNS = """
sequence_groups: {sequence: {max_length: longest}}
columns:
- {type: passthrough_column, key: id, dtype: int64}
- {type: sequence_numeric_column, key: x, normalizer_fn: z_score}
- {type: sequence_categorical_column_with_learned_vocabulary, key: word, num_oov_buckets: 1}
- type: embedding_column
  categorical_column: {type: sequence_categorical_column_with_identity, key: item, num_buckets: 3}
  dimension: 2
  table: table.npy
"""
FEW_COLUMNS = """
sequence_groups: {sequence: {max_length: 4}}
columns:
- {type: passthrough_column, key: id, dtype: int64}
- {type: sequence_numeric_column, key: x, normalizer_fn: z_score%s}
"""
pytestmark = pytest.mark.slow

STORES = {"s3": buckets.s3, "gs": buckets.cloud_storage}
BAD, ROWS = 2, 40
"""Rows with a NaN, and rows in all, in each input file."""


def rows(file: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(file)
    made = []
    for k in range(ROWS):
        steps = k % 5
        x = rng.normal(file, 2, steps).tolist()
        words = [f"word {n}" for n in rng.integers(0, 9, steps)]
        made.append({"id": 100 * file + k, "x": x, "word": words, "item": rng.integers(0, 3, steps).tolist()})
    for k in range(BAD):
        made[10 * k + 4]["x"][0] = float("nan")
    return made


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    """What people put into a bucket: a columns file with a table beside it, and two input files."""
    folder = tmp_path_factory.mktemp("given")
    (folder / "columns.yaml").write_text(COLUMNS)
    (folder / "few.yaml").write_text(FEW_COLUMNS % "")
    (folder / "filled.yaml").write_text(FEW_COLUMNS % ", non_finite: fill")
    np.save(folder / "table.npy", np.array([[0, 1], [2, 3], [4, 5]], np.float32))
    for k in (1, 2):
        write_examples(str(folder / f"part{k}.tfrecord"), rows(k))
    return folder


@pytest.fixture(scope="module")
def local(given, tmp_path_factory) -> Path:
    """The same job on a disk."""
    out = tmp_path_factory.mktemp("local") / "out"
    done(load(str(given / "columns.yaml")), str(given / "*.tfrecord"), out)
    return out


@pytest.fixture(scope="module")
def few(given, tmp_path_factory) -> Path:
    """The same on a disk, of a few columns."""
    out = tmp_path_factory.mktemp("local") / "out"
    done(load(str(given / "few.yaml")), str(given / "*.tfrecord"), out)
    return out


@pytest.fixture(scope="module", params=sorted(STORES))
def store(request, given) -> Iterator[Bucket]:
    """A bucket with what is given."""
    before = FileSystems._pipeline_options
    FileSystems.set_options(PipelineOptions([]))  # not those of another test's job
    with STORES[request.param]() as bucket:
        bucket.upload(given, "given")
        yield bucket
    FileSystems.set_options(before)


@pytest.fixture(scope="module")
def out(store, tmp_path_factory) -> str:
    """A data set in the bucket; nothing that its run needed meanwhile is left on this machine."""
    there = tmp_path_factory.mktemp("temporary")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tempfile, "tempdir", str(there))
        done(load(f"{store.url}/given/columns.yaml"), f"{store.url}/given/*.tfrecord", f"{store.url}/out")
    assert not [path for path in there.iterdir() if path.name.startswith("seqcols-")]
    return "out"


@pytest.fixture(scope="module")
def short(store) -> str:
    """A data set of a few columns, which tests replace."""
    done(load(f"{store.url}/given/few.yaml"), f"{store.url}/given/*.tfrecord", f"{store.url}/short")
    return "short"


def run(store: Bucket, out: str, *more: str, inputs: str = "*.tfrecord", columns: str = "few.yaml") -> Any:
    """Calls `seqcols run`; all its paths are in the bucket."""
    files = ["--input", f"{store.url}/given/{inputs}", "--output", f"{store.url}/{out}"]
    return call("run", f"{store.url}/given/{columns}", *files, *more)


def assert_alike(store: Bucket, out: str, local: Path, folder: Path) -> dict[str, Any]:
    """Asserts that a data set is the one on the disk, and that nothing else lies beside it; returns its manifest."""
    here = store.download(out, folder / "here")
    manifest = read_json(here, "manifest.json")
    theirs = read_arrays(local, sort_by="id")
    ours = read_arrays(here, sort_by="id")
    assert ours.keys() == theirs.keys() and len(ours["id"]) == 2 * (ROWS - BAD)
    for name, array in theirs.items():
        if array.dtype.kind == "f":  # several workers merge statistics in another order
            np.testing.assert_allclose(ours[name], array, rtol=1e-6, atol=1e-6, err_msg=name)
        else:
            np.testing.assert_array_equal(ours[name], array, err_msg=name)
    named = set(named_files(manifest))
    assert [
        n for n in store.names(f"{out}/") if not _is_below(n.removeprefix(f"{out}/"), {"manifest.json", *named})
    ] == []
    ledger = read_json(here, manifest["ledger"])
    assert_balanced(ledger)
    assert ledger["rows"] == read_json(local, "ledger.json")["rows"]
    mean = [
        read_json(*where)["columns"]["x"]["mean"]
        for where in ((here, manifest["statistics"]), (local, "statistics.json"))
    ]
    assert mean[0] == pytest.approx(mean[1], rel=1e-12)
    return dict(manifest)


def _is_below(name: str, named: set[str]) -> bool:
    return name in named or name.split("/", maxsplit=1)[0] in named


def test_a_whole_job(store, out, given, local, tmp_path):
    """Its rows, rejected rows, ledger and statistics, and graphs that TensorFlow opens."""
    manifest = assert_alike(store, out, local, tmp_path)
    here, there = read_manifest(str(tmp_path / "here")), read_manifest(str(local))
    bad, same = read_rejected(here.rejected_files), read_rejected(there.rejected_files)
    own = ["file", "digest"]  # which begins with the file's name
    assert bad.drop(own).equals(same.drop(own)) and bad.num_rows == 2 * BAD
    assert set(bad["file"].to_pylist()) == {f"{store.url}/given/part{k}.tfrecord" for k in (1, 2)}
    opened = tft.TFTransformOutput(str(tmp_path / "here" / manifest["transform"]))
    learned = manifest["vocabularies"]["word"]["file"]
    assert sorted(opened.vocabulary_by_name(Path(learned).name)) == [b"word %d" % k for k in range(9)]
    full = tf.data.TFRecordDataset(str(given / "part1.tfrecord")).skip(1).take(3)  # an empty list has no kind
    records = next(iter(full.batch(3)))
    models = [tf.saved_model.load(str(f)) for f in (tmp_path / "here" / manifest["serving"], local / "serving")]
    ours, theirs = (model.signatures["serving_default"](examples=records) for model in models)
    assert ours.keys() == theirs.keys()
    for name, tensor in theirs.items():
        np.testing.assert_array_equal(ours[name], tensor)


def test_verify(store, out, command_line):
    """The command, with all of the data set, the inputs and the serving model in the bucket; and a byte that has changed."""
    whole = call("verify", f"{store.url}/{out}")
    assert whole.exit_code == 0, whole.stderr
    assert f"compared {2 * (ROWS - BAD)} rows" in whole.stdout and whole.stdout.strip().endswith("all equal")
    assert "note:" not in whole.stdout
    (name, *_) = store.names(f"{out}/examples/")
    data = store.get(name)
    store.put(name, data[:-1] + bytes([data[-1] ^ 1]))
    try:
        broken = call("verify", f"{store.url}/{out}", "--rows", "0")
        assert broken.exit_code == 1 and f"{store.url}/{name}" in broken.stderr
    finally:
        store.put(name, data)


def test_what_is_saved_in_a_bucket_is_used_from_there(store, out):
    manifest = read_manifest(f"{store.url}/{out}")
    made = apply(
        rows(1)[:4], load(f"{store.url}/given/columns.yaml"), transform=manifest.path(manifest.content["transform"])
    )
    assert made["x"].shape == (4, 4, 1)


def test_a_failed_run_leaves_what_was_there(store, short, command_line):
    """Over nothing: no manifest, only the rejected rows. Over a data set: that one, whole."""
    nothing = run(store, "failed", "--max-rejected", "0")
    assert nothing.exit_code == 3, nothing.stderr
    left = store.names("failed/")
    assert left and all(name.startswith("failed/rejected/") for name in left)
    before = {name: store.get(name) for name in store.names(f"{short}/")}
    over = run(store, short, "--max-rejected", "0", "--overwrite")
    assert over.exit_code == 3, over.stderr
    added = set(store.names(f"{short}/")) - set(before)
    assert added and all(name.startswith(f"{short}/rejected/") for name in added)
    assert {name: store.get(name) for name in before} == before
    for name in added:
        store.delete(name)


def test_it_is_overwritten(store, short, few, tmp_path, command_line):
    """Not unless asked for; by two workers; and nothing of the old one stays."""
    refused = run(store, short)
    assert refused.exit_code == 2 and "holds a finished data set; --overwrite replaces it" in refused.stderr
    before = json.loads(store.get(f"{short}/manifest.json"))["run"]
    again = run(store, short, "--overwrite", "--workers", "2")
    assert again.exit_code == 0, again.stderr
    assert assert_alike(store, short, few, tmp_path)["run"] != before
    assert not [name for name in store.names() if before in name]


def test_rejected_rows_are_repaired(store, short, tmp_path, command_line):
    """The statistics, the records and the graphs that this needs are read from the bucket."""
    mended = call("repair", f"{store.url}/{short}/rejected", "--columns", f"{store.url}/given/filled.yaml")
    assert mended.exit_code == 0, mended.stderr
    assert len(read_arrays(store.download(short, tmp_path / "here"))["id"]) == 2 * ROWS
    checked = call("verify", f"{store.url}/{short}", "--rows", "0")
    assert checked.exit_code == 0 and "note:" not in checked.stdout, checked.stdout + checked.stderr


def test_a_killed_run_leaves_no_manifest_and_the_command_runs_again(store, few, tmp_path, command_line):
    """kill -9 before the manifest is written. Nobody can tell that the run is dead: for a week its files stay, unnamed."""
    command = [
        sys.executable,
        "-m",
        "tests.faults.killed",
        r"killed/manifest\.json",
        "run",
        f"{store.url}/given/few.yaml",
    ]
    command += ["--input", f"{store.url}/given/*.tfrecord", "--output", f"{store.url}/killed"]
    environment = {**os.environ, **store.environment, "TMPDIR": str(tmp_path)}
    killed = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = store.names("killed/")
    assert "killed/manifest.json" not in left and [name for name in left if name.startswith("killed/examples/")]
    again = run(store, "killed")
    assert again.exit_code == 0, again.stderr
    assert set(left) <= set(store.names("killed/"))
    for name in left:
        store.delete(name)
    assert_alike(store, "killed", few, tmp_path)


def test_the_cache(store, few, tmp_path, command_line):
    """The second run reads one of two files for the statistics, which are those of both."""
    first = run(store, "one", "--cache", f"{store.url}/cache", inputs="part1.tfrecord")
    assert first.exit_code == 0, first.stderr
    second = run(store, "both", "--cache", f"{store.url}/cache")
    assert second.exit_code == 0, second.stderr
    manifest = assert_alike(store, "both", few, tmp_path)
    statistics = read_json(tmp_path / "here", manifest["statistics"])
    assert statistics["of"] == {"files": [f"{store.url}/given/part{k}.tfrecord" for k in (1, 2)], "from_cache": 1}


@pytest.fixture(scope="module")
def s3(given) -> Iterator[S3]:
    with buckets.s3() as bucket:
        bucket.upload(given, "given")
        yield bucket


def test_workers_may_be_processes(s3, local, tmp_path, command_line):
    """Each loads the graph from the bucket by itself."""
    processes = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    made = run(s3, "processes", *processes, columns="columns.yaml")
    assert made.exit_code == 0, made.stderr
    assert_alike(s3, "processes", local, tmp_path)


def test_options_of_beam_lead_to_the_store(s3, few, tmp_path, command_line):
    """Also for the columns file, and for what is looked at before there is a pipeline."""
    del os.environ["AWS_ENDPOINT_URL_S3"]
    FileSystems.set_options(PipelineOptions([]))
    made = run(s3, "by-option", f"--s3_endpoint_url={s3.address}")
    assert made.exit_code == 0, made.stderr
    assert_alike(s3, "by-option", few, tmp_path)


def test_fit_works_elsewhere(s3, tmp_path):
    """In a pipeline of one's own, with a directory that TensorFlow does not know."""
    column, group = sequence_numeric_column("x", normalizer_fn="z_score"), SequenceGroup(max_length=2)
    where = f"{s3.url}/fit"
    with pytest.raises(ValueError, match=f"expected a directory that TensorFlow knows .* as scratch=.*, got '{where}'"):
        Fit(column, group, transform=where)
    with beam.Pipeline(FnApiRunner(), options=PipelineOptions([])) as root:
        data = root | beam.Create([{"x": [1.0, 3.0]}])
        fitted = data | Fit(column, group, transform=where, scratch=str(tmp_path))
        dense = data | Densify(column, group, transform=where, ready=fitted.ready)
        found = dense.good | beam.Map(lambda row: row["x"])
        assert_that(found, equal_to([[-1.0, 1.0]]))
    assert "fit/transform_fn/saved_model.pb" in s3.names() and not s3.names("fit.fit-")
    assert list(tmp_path.iterdir()) == []


def test_splits_and_shards(store, given, tmp_path):
    """Inputs that name their split, and rows that wait in the bucket until it is known how many there are."""
    spec, made = load(str(given / "few.yaml")), {}
    for where in (str(tmp_path / "local"), f"{store.url}/divided"):
        folder = str(given) if where.startswith("/") else f"{store.url}/given"
        inputs = [f"train={folder}/part1.tfrecord", f"test={folder}/part2.tfrecord"]
        made[where] = done(spec, inputs, where, shards=3, workers=2)
    local, there = made.values()
    assert {n: own["rows"] for n, own in there.ledger["splits"].items()} == {
        n: own["rows"] for n, own in local.ledger["splits"].items()
    }
    ours = read_manifest(str(store.download("divided", tmp_path / "here")))
    theirs = read_manifest(str(tmp_path / "local"))
    for name in ("train", "test"):
        one, two = (manifest.split(name) for manifest in (ours, theirs))
        assert len(one.files) == len(two.files) == 3 and one.rows == two.rows == ROWS - BAD
        own, other = (arrays_of(split) for split in (one, two))
        order, others = np.argsort(own["id"]), np.argsort(other["id"])
        for feature, array in other.items():
            assert own[feature][order].tobytes() == array[others].tobytes(), (name, feature)
    assert not [path for path in store.names("divided/") if "/.seqcols-" in path and not path.endswith("/decided")]
    assert not verify(f"{store.url}/divided").faults
