"""Splits, `--transform`, `--append` and `undo-append` in a bucket: as the same commands on a disk, and nothing lies beside it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import PipelineOptions

from pipeline.command.tf_examples import write_examples
from pipeline.dataset.manifest import named_files
from pipeline.dataset.manifest import read as read_manifest
from pipeline.loaders import numpy_batches
from tests.buckets import Bucket, cloud_storage, s3
from tests.jobs import arrays_of, assert_balanced, call, read_json, read_rejected
from transforms.stored.trees import files_below

pytestmark = pytest.mark.slow

COLUMNS = """
sequence_groups: {sequence: {max_length: longest}}
columns:
- {type: passthrough_column, key: id, dtype: int64}
- {type: sequence_numeric_column, key: x, normalizer_fn: z_score}
- {type: sequence_categorical_column_with_learned_vocabulary, key: word, num_oov_buckets: 1}
split: {by: key, key: user, fractions: {train: 0.6, test: 0.4}}
"""
STORES = {"s3": s3, "gs": cloud_storage}
ROWS = 30


def day(number: int) -> list[dict[str, Any]]:
    """The rows of a day: the last has a NaN, and of every day there are more words."""
    rng = np.random.default_rng(number)
    made = []
    for k in range(ROWS):
        words = [f"word {n}" for n in rng.integers(0, 3 * number, 3)]
        made.append(
            {"id": 100 * number + k, "user": int(rng.integers(0, 20)), "x": rng.normal(size=3).tolist(), "word": words}
        )
    made[-1]["x"][0] = float("nan")
    return made


@pytest.fixture(scope="module")
def given(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("given")
    (folder / "columns.yaml").write_text(COLUMNS)
    for number in (1, 2, 3):
        write_examples(str(folder / f"day{number}.tfrecord"), day(number))
    return folder


@pytest.fixture(scope="module", params=sorted(STORES))
def store(request, given) -> Iterator[Bucket]:
    """A bucket with what is given."""
    before = FileSystems._pipeline_options
    FileSystems.set_options(PipelineOptions([]))  # not those of another test's job
    with STORES[request.param]() as bucket:
        bucket.upload(given, "given")
        yield bucket
    FileSystems.set_options(before)


def ran(given: str, output: str, number: int, *more: Any) -> Any:
    return call("run", "--input", f"{given}/day{number}.tfrecord", "--output", output, *more)


def assert_alike(there: str, here: Path, store: Bucket, name: str, folder: Path) -> None:
    """A data set in a bucket is that on a disk: rows, splits, rejected rows, ledger; and nothing else lies beside it."""
    whole = read_manifest(str(store.download(name, folder)))
    local = read_manifest(str(here))
    for split in local.splits:
        ours, theirs = (arrays_of(one.split(split)) for one in (whole, local))
        orders = [np.argsort(arrays["id"], kind="stable") for arrays in (ours, theirs)]
        assert ours.keys() == theirs.keys()
        assert all(ours[key][orders[0]].tobytes() == theirs[key][orders[1]].tobytes() for key in theirs), split
    assert whole.content["splits"] == local.content["splits"]
    books = [read_json(one.root, one.content["ledger"]) for one in (whole, local)]
    for book in (books[0], *books[0]["splits"].values()):
        assert_balanced(book)
    assert books[0]["rows"] == books[1]["rows"] and books[0]["columns"] == books[1]["columns"]
    bad = [read_rejected(one.rejected_files).select(["row", "reason", "split"]) for one in (whole, local)]
    assert bad[0].equals(bad[1])
    named = {"manifest.json", *named_files(whole.content)}
    below = [name.removeprefix(f"{there}/") for name in files_below(there)]
    assert [one for one in below if one not in named and one.split("/")[0] not in named] == []
    checked = call("verify", there)
    assert checked.exit_code == 0 and "note:" not in checked.stdout, checked.stdout + checked.stderr


def test_days_in_a_bucket(store, given, tmp_path, command_line):
    """A run with splits, a day by its transform, two days appended (one killed before), and taken back."""
    places = {f"{store.url}/given": store.url, str(given): str(tmp_path)}
    there, here = f"{store.url}/out", tmp_path / "out"

    def both(number: int, *more: str, name: str = "out") -> None:
        for source, root in places.items():
            columns = [f"{source}/columns.yaml"] if not more else []
            options = [f"{root}/out" if one == "DIR" else one for one in more]
            made = ran(source, f"{root}/{name}", number, *columns, *options)
            assert made.exit_code == 0, made.stderr

    both(1)
    assert_alike(there, here, store, "out", tmp_path / "1")
    both(2, "--transform", "DIR", name="tomorrow")
    assert_alike(f"{store.url}/tomorrow", tmp_path / "tomorrow", store, "tomorrow", tmp_path / "2")
    tools(store, there, here, tmp_path)
    both(2, "--append")
    assert_alike(there, here, store, "out", tmp_path / "3")
    again = ran(f"{store.url}/given", there, 2, "--append")
    assert again.exit_code == 1 and "has the rows of this file already" in again.stderr
    killed_append_leaves_what_was_there(store, there, tmp_path)
    both(3, "--append")
    assert_alike(there, here, store, "out", tmp_path / "4")
    for step in (5, 6):
        for root in places.values():
            undone = call("undo-append", f"{root}/out")
            assert undone.exit_code == 0, undone.stderr
        assert_alike(there, here, store, "out", tmp_path / str(step))
    assert call("undo-append", there).exit_code == 2


def tools(store: Bucket, there: str, here: Path, folder: Path) -> None:
    """Words, a vocabulary that grows, comparing and loading: from the bucket as from the disk."""
    assert call("vocabulary", there, "word").stdout == call("vocabulary", here, "word").stdout
    assert call("compare", there, there, "--max-drift", "0").exit_code == 0
    batches = numpy_batches([there, f"{store.url}/tomorrow"], 7, split="train")
    found = [read_manifest(root).split("train").rows for root in (there, f"{store.url}/tomorrow")]
    assert sum(len(batch["id"]) for batch in batches) == sum(found)
    grown = folder / "grown.yaml"
    grown.write_text(COLUMNS.replace("num_oov", f"extends: '{there}', num_oov"))
    assert ran(f"{store.url}/given", f"{store.url}/grown", 2, grown).exit_code == 0
    words = [read_manifest(root).vocabularies["word"].texts for root in (there, f"{store.url}/grown")]
    assert words[1][: len(words[0])] == words[0] and len(words[1]) > len(words[0])


def killed_append_leaves_what_was_there(store: Bucket, there: str, folder: Path) -> None:
    """kill -9 before the manifest is written; what is left over is removed here, as a run would after a week."""
    before = {name: store.get(name) for name in store.names("out/")}
    options = ["--append", "--input", f"{store.url}/given/day3.tfrecord", "--output", there]
    command = [sys.executable, "-m", "tests.faults.killed", r"out/manifest\.json", "run", *options]
    environment = {**os.environ, **store.environment, "TMPDIR": str(folder)}
    killed = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    left = set(store.names("out/")) - set(before)
    assert left and {name: store.get(name) for name in before} == before
    assert json.loads(before["out/manifest.json"])["runs"][-1]["kind"] == "append"
    for name in left:
        store.delete(name)
