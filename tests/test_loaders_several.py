"""Several data sets at once, against each read alone: rows, order, shards, lengths; and which do not belong together."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipeline.errors import UsageError
from pipeline.loaders import numpy_batches, tf_dataset
from tests import loader_sets
from tests.jobs import Arrays, done
from tests.loader_sets import SIZES, assert_same, expected, joined
from tests.prepared import put_manifest
from transforms import JobError, SequenceGroup, make_spec, passthrough_column, sequence_numeric_column
from transforms.splits.rule import Split


def with_tensorflow(roots: Any, size: int, **more: Any) -> list[Arrays]:
    return list(tf_dataset(roots, size, **more).as_numpy_iterator())


def with_numpy(roots: Any, size: int, **more: Any) -> list[Arrays]:
    return list(numpy_batches(roots, size, **more))


loader = pytest.mark.parametrize("load", [with_numpy, with_tensorflow])


def part(root: Path, *numbers: int) -> Path:
    """Lets a data set have some of its files only: another day's, by the same transform."""
    content = json.loads((root / "manifest.json").read_text())
    files = [content["examples"]["files"][k] for k in numbers]
    content["examples"] |= {"files": files, "rows": sum(entry["rows"] for entry in files)}
    put_manifest(root, content)
    return root


@pytest.fixture(scope="module", params=[("parquet", "parquet"), ("tfrecord", "tfrecord"), ("parquet", "tfrecord.gz")])
def days(request, tmp_path_factory) -> list[Path]:
    """Two days: 43 rows in two files, and 60 in three, of which one is empty."""
    made = []
    for format, numbers in zip(request.param, ((0, 1), (2, 3, 4)), strict=True):
        root = loader_sets.make(tmp_path_factory.mktemp("days"), format)
        made.append(part(root, *numbers))
    return made


ROWS = [SIZES[0] + SIZES[1], sum(SIZES[2:])]


@loader
def test_one_after_the_other(days, load):
    alone = [expected(day) for day in days]
    assert [len(arrays["number"]) for arrays in alone] == ROWS
    made = load(days, 16)
    assert [len(batch["number"]) for batch in made] == [16] * 6 + [7]
    wanted = {name: np.concatenate([arrays[name] for arrays in alone]) for name in alone[0]}
    if days[0].name != days[1].name:  # a TFRecord has less of a float64 than Parquet
        wanted["double"] = np.concatenate([alone[0]["double"], alone[1]["double"].astype(np.float32)])
    assert_same(joined(made), wanted)
    assert_same(joined(load(reversed(days), 16, verify=False, features=["number"])), {"number": backwards(alone)})


def backwards(alone: list[Arrays]) -> np.ndarray:
    return np.concatenate([alone[1]["number"], alone[0]["number"]])


@loader
@pytest.mark.parametrize("shards", [1, 3, 7])
def test_every_row_once_over_all_shards_shuffled_through_both(days, load, shards):
    more: dict[str, Any] = {"features": ["number"], "shuffle": 103, "shards": shards}
    found = [[int(n) for batch in load(days, 8, shard=k, **more) for n in batch["number"]] for k in range(shards)]
    assert sorted(itertools.chain.from_iterable(found)) == list(range(103))
    for k, own in enumerate(found):
        assert len(numpy_batches(days, 8, shards=shards, shard=k)) == -(-len(own) // 8)
        assert int(tf_dataset(days, 8, shards=shards, shard=k).cardinality()) == -(-len(own) // 8)
    if shards == 1:
        first = set(expected(days[0])["number"].tolist())
        assert 5 < sum(n in first for n in found[0][:43]) < 38, "rows of both among the first 43"
    even = [load(days, 5, shards=shards, shard=k, even=True, features=["number"]) for k in range(shards)]
    assert len({len(batches) for batches in even}) == 1


@loader
def test_one_in_a_list_is_one(days, load):
    assert_same(joined(load([days[0]], 16)), expected(days[0]))


def test_epochs_and_rows(days):
    batches = numpy_batches(days, 50, epochs=2, features="number")
    assert batches.rows == 103 and len(batches) == 3
    assert Counter(int(n) for batch in batches for n in batch["number"]) == dict.fromkeys(range(103), 2)
    assert [len(day.files) for day in batches.manifests] == [2, 3]


@pytest.fixture(scope="module")
def divided(tmp_path_factory) -> list[Path]:
    """A data set with splits and length buckets, and a copy of it."""
    folder = tmp_path_factory.mktemp("divided")
    rows = [{"number": k, "x": [float(k)] * (k % 5)} for k in range(200)]
    (folder / "rows.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    rule = Split(by="key", key="number", fractions={"train": 0.7, "test": 0.3})
    columns = [passthrough_column("number", "int64"), sequence_numeric_column("x", normalizer_fn="z_score")]
    spec = make_spec(columns, SequenceGroup(max_length=4, bucket_by_length=(2,)), split=rule)
    done(spec, folder / "rows.jsonl", folder / "one")
    shutil.copytree(folder / "one", folder / "two")
    return [folder / "one", folder / "two"]


@loader
def test_a_split_and_a_bucket_of_each(divided, load):
    for split, bucket in itertools.product(("train", "test"), (2, 4)):
        alone = [joined(load(root, 8, split=split, bucket=bucket)) for root in divided]
        both = joined(load(divided, 8, split=split, bucket=bucket, verify=True))
        assert_same(both, {name: np.concatenate([a[name] for a in alone]) for name in both})
        assert both["x"].shape[1:] == (bucket, 1)
    with pytest.raises(
        UsageError, match=r"split: expected the name of a split of '.*/one', one of train, test, got None"
    ):
        load(divided, 8)
    with pytest.raises(
        UsageError, match=r"bucket: expected T of a length bucket of '.*/one', one of \[2, 4\], got None"
    ):
        load(divided, 8, split="train")


@loader
def test_a_day_by_the_transform_of_another(tmp_path, load):
    """And by a fit of its own, whose mean is another: that is refused."""
    for day in (0, 1):
        rows = [{"number": 100 * day + k, "x": [float(k * (day + 1))] * (k % 5)} for k in range(100)]
        (tmp_path / f"{day}.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    columns = [passthrough_column("number", "int64"), sequence_numeric_column("x", normalizer_fn="z_score")]
    spec = make_spec(columns, SequenceGroup(max_length=4))
    first, second, other = (tmp_path / name for name in ("first", "second", "other"))
    done(spec, tmp_path / "0.jsonl", first)
    done(None, tmp_path / "1.jsonl", second, transform=str(first), format="parquet")
    done(spec, tmp_path / "1.jsonl", other)
    alone = [joined(load(root, 16)) for root in (first, second)]
    both = joined(load([first, second], 16, verify=True))
    assert_same(both, {name: np.concatenate([a[name] for a in alone]) for name in both})
    assert sorted(both["number"].tolist()) == list(range(200))
    with pytest.raises(UsageError, match="have transforms of their own"):
        load([first, other], 16)


def test_one_without_splits(divided, tmp_path):
    columns = [passthrough_column("number", "int64"), sequence_numeric_column("x", normalizer_fn="z_score")]
    done(make_spec(columns, SequenceGroup(max_length=4)), divided[0].parent / "rows.jsonl", tmp_path / "plain")
    with pytest.raises(UsageError, match=r"split: expected none, as '.*/plain' has no splits, got 'train'"):
        numpy_batches([*divided, tmp_path / "plain"], 8, split="train", bucket=2)


def altered(days: list[Path], tmp_path: Path, change: Any) -> list[Path]:
    copy = shutil.copytree(days[1], tmp_path / "copy")
    content = json.loads((copy / "manifest.json").read_text())
    change(content)
    put_manifest(copy, content)
    return [days[0], copy]


@loader
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda content: content["graph_sha256"].update(transform="0" * 64),
            r"have transforms of their own \(SHA-256 [0-9a-f]{8}..., 00000000...\), so that .* `seqcols run --transform`",
        ),
        (
            lambda content: content["graph_sha256"].clear(),
            r"nothing tells whether their transform is the same: '.*/copy': its manifest has no digest of a transform",
        ),
        (
            lambda content: content["examples"]["features"]["ids"].update(dtype="int32"),
            r"differ in the feature 'ids': int64 \[5\] \(ids of 'ids'\), int32 \[5\] \(ids of 'ids'\)$",
        ),
        (
            lambda content: content["examples"]["features"].pop("label"),
            r"differ in the feature 'label': int64 \[\] \(ids of 'label'\), absent$",
        ),
    ],
)
def test_what_is_not_of_one_transform(days, load, change, message, tmp_path):
    both = altered(days, tmp_path, change)
    with pytest.raises(UsageError, match=message) as raised:
        load(both, 8)
    assert all(repr(str(root)) in str(raised.value) for root in both) and "\n" not in str(raised.value)


@loader
def test_what_is_no_list_of_data_sets(days, load, tmp_path):
    with pytest.raises(UsageError, match="root: expected at least one directory, got none"):
        load([], 8)
    with pytest.raises(UsageError, match=r"root: '.*' is named twice"):
        load([days[0], f"{days[0]}/"], 8)
    with pytest.raises(JobError, match="holds no finished data set"):
        load([*days, tmp_path], 8)


def test_tensorflow_reads_records_of_both_itself(days, monkeypatch):
    read, native = [], tf.data.TFRecordDataset

    def noted(*arguments: Any, **more: Any) -> Any:
        read.append(arguments)
        return native(*arguments, **more)

    monkeypatch.setattr(tf.data, "TFRecordDataset", noted)
    with_tensorflow(days, 16)
    assert bool(read) == all(day.name == "tfrecord" for day in days)
