"""Length buckets as an output layout: against the same rows without buckets, and against tf.data's own on the raw lengths."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf
from apache_beam.pvalue import TaggedOutput
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from apache_beam.testing.util import assert_that, equal_to
from hypothesis import given
from hypothesis import strategies as st

from pipeline.command.tf_examples import write_examples
from pipeline.dataset.manifest import read as read_manifest
from pipeline.job import writing
from pipeline.job.request import Request
from pipeline.job.running import check
from pipeline.job.writing import Shard, WriteShards
from pipeline.planning import plan as planning
from pipeline.repair.plan import Repair
from pipeline.repair.running import repair
from pipeline.verify.verify import verify
from tests.jobs import arrays_of, assert_balanced, call, done, listing, read_arrays, read_json
from tests.marks import slow_but
from tests.prepared import put_manifest
from transforms import (
    Densify,
    JobError,
    SequenceGroup,
    SpecError,
    apply,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)
from transforms.densify.length_buckets import bucket_of, split
from transforms.rows import origin
from transforms.rows.origin import FILE_KEY
from transforms.spec.spec import Spec

SIZES = [3, 8, 20]
RNG = np.random.default_rng(11)
LENGTHS = np.append(RNG.integers(0, 28, 150), [0, 3, 4, 8, 9, 20, 21])


def raw_rows() -> list[dict[str, Any]]:
    """Rows of all lengths; one in 40 has a gap that some columns do not let through."""
    made = []
    for k, n in enumerate(LENGTHS.tolist()):
        seconds = RNG.normal(size=2 * n).round(3).tolist()
        words = [float("nan")] if k % 40 == 7 else RNG.normal(size=k % 5).round(3).tolist()
        videos = RNG.integers(1, 50, n).tolist()
        made.append({"id": k, "videos": videos, "seconds": seconds, "words": words, "w": [0.5 * k]})
    return made


ROWS = raw_rows()


def spec(
    buckets: tuple[int, ...] | None = (3, 8), non_finite: str = "reject", normalizer: str | None = None, **policy: Any
) -> Spec:
    watch = SequenceGroup(max_length=20, bucket_by_length=buckets, **policy)
    return make_spec(
        [
            passthrough_column("id", "int64"),
            sequence_categorical_column_with_identity("videos", 50, group="watch"),
            sequence_numeric_column("seconds", (2,), -1.0, normalizer_fn=normalizer, group="watch"),
            sequence_numeric_column("words", non_finite=non_finite, observed_mask=True, group="words"),
            numeric_column("w"),
        ],
        {"watch": watch, "words": SequenceGroup(max_length=4)},
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("buckets")
    write_examples(str(root / "in-0.tfrecord"), ROWS[:100])
    write_examples(str(root / "in-1.tfrecord"), ROWS[100:])
    return root


@pytest.fixture(scope="module")
def made_once(folder: Path) -> Path:
    done(spec(), folder / "in-*.tfrecord", folder / "out", format="parquet")
    return folder / "out"


@pytest.fixture
def written(made_once: Path, tmp_path: Path) -> Path:
    """A data set with buckets, a copy for each test."""
    return Path(shutil.copytree(made_once, tmp_path / "out"))


def by_bucket(root: Path) -> dict[int, dict[str, np.ndarray]]:
    """Returns the rows of every bucket that has files, sorted by their names."""
    manifest, found = read_manifest(str(root)), {}
    for size in manifest.bucket_lengths:
        own = manifest.bucket(size)
        arrays = arrays_of(own)
        assert own.rows == len(arrays["id"]) > 0
        found[size] = {name: array[np.argsort(arrays["id"])] for name, array in arrays.items()}
    return found


JOBS = [
    ("parquet", {"padding": "pre", "truncate": "tail", "normalizer": "z_score"}),
    ("tfrecord", {"concatenate": True}),
    ("sequence_example.gz", {"mask": False}),
]


@pytest.mark.parametrize(("format", "policy"), slow_but(JOBS, "parquet"))
def test_padded_again_all_is_as_without_buckets(format, policy, folder, tmp_path):
    pattern = folder / "in-*.tfrecord"
    outcome = done(spec(**policy), pattern, tmp_path / "in", format=format)
    done(spec(None, **policy), pattern, tmp_path / "whole", format=format)
    whole, padding = read_arrays(tmp_path / "whole", sort_by="id"), policy.get("padding", "post")
    pads = {"videos": -1, "watch_mask": False}
    numbers = []
    for size, arrays in by_bucket(tmp_path / "in").items():
        numbers += arrays["id"].tolist()
        at = np.searchsorted(whole["id"], arrays["id"])
        assert arrays.keys() == whole.keys()
        for name, array in arrays.items():
            if array.ndim > 1 and name not in ("words", "words_mask", "words_observed", "w"):
                assert array.shape[1] == size
                missing = [20 - size, 0] if padding == "pre" else [0, 20 - size]
                widths = [(0, 0), missing, *[(0, 0)] * (array.ndim - 2)]
                padded = np.pad(array, widths, constant_values=pads.get(name, -1.0))
            else:
                padded = array
            np.testing.assert_array_equal(padded, whole[name][at], name)
        length = np.minimum(LENGTHS[arrays["id"]], 20)
        np.testing.assert_array_equal(arrays["watch_length"], length)
        assert (length <= size).all() and (length > ([-1, *SIZES][SIZES.index(size)])).all()
    assert sorted(numbers) == whole["id"].tolist()  # each row once
    # The ledger's places are those in the files.
    assert_balanced(outcome.ledger)
    for entry in (outcome.ledger, check(Request(spec(**policy), [str(pattern)])).ledger):
        column, places = entry["columns"]["seconds"], bucket_of(np.minimum(LENGTHS[numbers], 20), SIZES).sum()
        assert column["kept"] + column["completed"] + column["padded"] == 2 * places
        assert entry["columns"] == outcome.ledger["columns"]
    verified = verify(str(tmp_path / "in"))
    assert verified.faults == [] and verified.compared is not None and verified.compared.rows > 100


@pytest.mark.slow
def test_the_buckets_are_those_of_tf_data(written):
    """`tf.data` has boundaries that are one past the longest row of a bucket, and pads to one less than them."""
    found = by_bucket(written)
    good = [row for row in ROWS if not any(np.isnan(row["words"]))]
    kept = tf.data.Dataset.from_generator(
        lambda: ((row["id"], row["videos"][:20]) for row in good),
        output_signature=(tf.TensorSpec([], tf.int64), tf.TensorSpec([None], tf.int64)),
    )
    theirs: dict[int, dict[int, list[int]]] = {}
    batches = kept.bucket_by_sequence_length(
        lambda number, videos: tf.size(videos),
        bucket_boundaries=[size + 1 for size in SIZES],
        bucket_batch_sizes=[7] * (len(SIZES) + 1),
        padding_values=(tf.constant(0, tf.int64), tf.constant(-1, tf.int64)),
        pad_to_bucket_boundary=True,
    )
    for numbers, videos in batches.as_numpy_iterator():
        theirs.setdefault(videos.shape[1], {}).update(zip(numbers.tolist(), videos.tolist(), strict=True))
    ours = {
        size: dict(zip(arrays["id"].tolist(), arrays["videos"].tolist(), strict=True)) for size, arrays in found.items()
    }
    assert ours == theirs and sorted(ours) == SIZES


@given(
    st.lists(st.integers(0, 12), min_size=1, max_size=40),
    st.lists(st.integers(1, 9), min_size=1, max_size=4, unique=True).map(sorted),
    st.sampled_from(["post", "pre"]),
)
def test_a_cut_row_is_what_a_t_of_that_size_gives(lengths, sizes, padding):
    columns = [
        sequence_numeric_column("x", (2,), -1.0),
        sequence_numeric_column("b", non_finite="fill", observed_mask=True),
    ]
    given_rows = [{"x": np.arange(1.0, 2 * n + 1), "b": [float("nan"), *range(n - 1)][:n]} for n in lengths]
    policy = SequenceGroup(max_length=10, bucket_by_length=tuple(sizes), padding=padding)
    full = apply(given_rows, columns, policy)
    batch = dense(full)
    seen = []
    for size, part in split(batch, full.spec):
        numbers = part["row"].to_pylist()
        seen += numbers
        expected = apply([given_rows[k] for k in numbers], columns, SequenceGroup(max_length=size, padding=padding))
        for name, array in expected.arrays.items():
            column = part[name]
            assert column.null_count == 0
            flat = column.flatten() if pa.types.is_fixed_size_list(column.type) else column
            assert flat.to_pylist() == array.reshape(-1).tolist(), name
        kept = [min(lengths[k], 10) for k in numbers]
        assert all(size == next(s for s in [*sizes, 10] if s >= n) for n in kept)
        assert part.schema.metadata == batch.schema.metadata
    assert sorted(seen) == list(range(len(lengths)))


def dense(full: Any) -> pa.RecordBatch:
    """Returns what was made in memory as a dense batch of the job."""
    made = {"row": pa.array(full.rows)}
    for name, array in full.arrays.items():
        flat = pa.array(array.reshape(-1))
        made[name] = flat if array.ndim == 1 else pa.FixedSizeListArray.from_arrays(flat, array[0].size)
    return pa.RecordBatch.from_pydict(made).replace_schema_metadata({FILE_KEY: b"a"})


# What is written


def test_the_manifest_says_t_of_every_file(written):
    manifest = read_manifest(str(written))
    examples = manifest.content["examples"]
    assert examples["length_buckets"] == {
        "group": "watch",
        "T": SIZES,
        "features": ["videos", "seconds", "watch_mask"],
    }
    sizes = [entry["T"] for entry in examples["files"]]
    assert sizes == sorted(sizes) and set(sizes) == set(SIZES)
    assert manifest.bucket_lengths == SIZES and manifest.rows == sum(manifest.bucket(size).rows for size in SIZES)
    assert {o.name: o.shape for o in manifest.outputs}["seconds"] == (20, 2)  # as serving gives it
    assert {o.name: o.shape for o in manifest.bucket(8).outputs}["seconds"] == (8, 2)
    assert manifest.bucket(8).feature_spec()["watch_mask"].shape == [8]
    assert manifest.bucket(8).feature_spec()["words"].shape == [4, 1]
    assert manifest.bucket(8).bucket_lengths == []
    for ask in (manifest.feature_spec, manifest.sequence_feature_spec):
        with pytest.raises(ValueError, match=r"T differs from file to file: .* one of \[3, 8, 20\]"):
            ask()
    with pytest.raises(ValueError, match=r"expected T of a length bucket, one of \[3, 8, 20\], got 7"):
        manifest.bucket(7)
    model = tf.saved_model.load(str(written / "serving"))
    assert model.signatures["serving_default"](examples=tf.constant([b""]))["videos"].shape == (1, 20)


@pytest.mark.slow
def test_a_data_set_without_buckets_says_nothing_of_them(folder, tmp_path):
    done(spec(None), folder / "in-0.tfrecord", tmp_path)
    content = read_manifest(str(tmp_path)).content["examples"]
    assert "length_buckets" not in content and not any("T" in entry for entry in content["files"])


@pytest.mark.slow
def test_overwriting_leaves_no_file_of_the_other_layout(written, folder):
    pattern = folder / "in-*.tfrecord"
    for buckets in (None, (8,)):
        done(spec(buckets), pattern, written, format="parquet", overwrite=True)
        manifest = read_manifest(str(written))
        held = [name for name in listing(written) if name.startswith("examples/")]
        assert held == sorted(entry["path"] for entry in manifest.content["examples"]["files"])
    found = verify(str(written), most=0)
    assert found.faults == [] == found.files.notes


def test_verify_finds_a_file_that_is_said_to_be_of_another_bucket(written):
    before = read_json(written, "manifest.json")
    for entry in before["examples"]["files"]:
        if entry["T"] == 8:
            entry["T"] = 3
            path = entry["path"]
    put_manifest(written, before)
    faults = verify(str(written)).faults
    assert any(path in fault and "'videos'" in fault and "the manifest int64 [3]" in fault for fault in faults)


@pytest.mark.slow
def test_verify_finds_a_row_in_the_files_of_another_bucket(folder, tmp_path, monkeypatch):
    """A job that puts every row one bucket too high writes files that are right by themselves."""
    from transforms.densify import length_buckets

    def too_high(lengths: np.ndarray, sizes: Any) -> np.ndarray:
        return np.where(bucket_of(lengths, sizes) == 3, 8, bucket_of(lengths, sizes))

    with monkeypatch.context() as patched:
        patched.setattr(length_buckets, "bucket_of", too_high)
        done(spec(), folder / "in-*.tfrecord", tmp_path, format="parquet")
    (fault,) = verify(str(tmp_path)).faults
    assert "steps, of the length bucket 3; it stands in a file of 8" in fault


@pytest.mark.slow
def test_repaired_rows_go_to_their_buckets(written, folder, tmp_path):
    assert read_json(written, "ledger.json")["rows"]["rejected"] == 4
    mended = repair(Repair(str(written / "rejected"), spec(non_finite="fill")))
    assert (mended.status, mended.message) == ("done", "")
    one = done(spec(non_finite="fill"), folder / "in-*.tfrecord", tmp_path / "whole", format="parquet")
    assert mended.ledger["columns"]["seconds"] == one.ledger["columns"]["seconds"]
    found, expected = by_bucket(written), by_bucket(tmp_path / "whole")
    for size in SIZES:
        np.testing.assert_array_equal(found[size]["videos"], expected[size]["videos"])
    assert verify(str(written)).faults == []


def test_a_repair_with_other_buckets_is_refused(written):
    for buckets, shown in (((8,), r"\[8, 20\]"), (None, "None")):
        with pytest.raises(SpecError, match=rf"gives the buckets {shown}, the data set has \[3, 8, 20\]"):
            repair(Repair(str(written / "rejected"), spec(buckets, "fill")))


def test_an_empty_data_set(tmp_path):
    write_examples(str(tmp_path / "in.tfrecord"), [])
    done(
        make_spec(sequence_numeric_column("x"), SequenceGroup(max_length=4, bucket_by_length=(2,))),
        tmp_path / "in.tfrecord",
        tmp_path / "out",
        allow_empty=True,
    )
    assert read_manifest(str(tmp_path / "out")).bucket(2).files == []
    assert verify(str(tmp_path / "out")).faults == []


def test_a_bundle_has_few_shards_open_and_loses_no_row(tmp_path, monkeypatch):
    """Buckets times splits can be thousands; with most open at two, the one with the most rows ends."""
    monkeypatch.setattr(writing, "MOST_OPEN", 2)
    columns = make_spec(sequence_numeric_column("x"), SequenceGroup(max_length=4, bucket_by_length=(1, 2, 3)))
    full = dense(apply([{"x": [1.0] * n} for n in (1, 2, 2, 3, 4)], columns))
    batch = full.append_column(origin.DIGEST_COLUMN, pa.array([1, 2, 4, 8, 16], pa.uint64()))
    bundle = WriteShards(str(tmp_path), "run", "parquet", columns)
    bundle.start_bundle()
    parts, most = [], 0
    for _ in range(3):
        for part in bundle.process(batch):
            parts.append(part)
            most = max(most, len(bundle._shards))
    most = max(most, len(bundle._shards))
    parts += [one.value for one in bundle.finish_bundle() if not isinstance(one, TaggedOutput)]
    assert most == 2 and len(parts) > 4 and len(listing(tmp_path)) == len(parts)
    assert [part.length for part in parts[:2]] == [2, 1]
    totals = Counter[int]()
    for part in parts:
        totals[part.length] += part.row_digest
    assert totals == {1: 3, 2: 18, 3: 24, 4: 48} and sum(part.rows for part in parts) == 15


def test_a_bundle_has_a_shard_for_each_bucket_and_begins_others_when_they_are_full(tmp_path):
    columns = make_spec(sequence_numeric_column("x"), SequenceGroup(max_length=4, bucket_by_length=(2,)))
    full = apply([{"x": [1.0] * n} for n in (0, 1, 4)], columns)
    batch = dense(full)
    batch = pa.RecordBatch.from_pydict(
        {
            **dict(zip(batch.schema.names, batch.columns, strict=True)),
            origin.DIGEST_COLUMN: pa.array([1, 2, 4], pa.uint64()),
        }
    ).replace_schema_metadata(batch.schema.metadata)
    bundle = WriteShards(str(tmp_path), "run", "parquet", columns, shard_bytes=10**6)
    bundle.start_bundle()
    assert list(bundle.process(batch)) == [] == list(bundle.process(batch))
    assert len(listing(tmp_path)) == 2
    bundle.teardown()
    assert listing(tmp_path) == []
    bundle.start_bundle()
    assert list(bundle.process(batch)) == []
    parts = [one.value for one in bundle.finish_bundle() if not isinstance(one, TaggedOutput)]
    assert all(isinstance(part, Shard) for part in parts)
    assert sorted((part.length, part.rows, part.row_digest) for part in parts) == [(2, 2, 3), (4, 1, 4)]
    small = WriteShards(str(tmp_path), "run", "parquet", columns, shard_bytes=1)
    small.start_bundle()
    assert [part.length for _ in range(2) for part in small.process(batch)] == [2, 4, 2, 4]


# What is asked for


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ({"bucket_by_length": (2, 4)}, "needs a max_length that is a number, got 'longest'"),
        ({"max_length": 8, "bucket_by_length": (4, 2)}, "expected ascending lengths, got [4, 2]"),
        ({"max_length": 8, "bucket_by_length": (4, 4)}, "expected ascending lengths, got [4, 4]"),
        (
            {"max_length": 8, "bucket_by_length": (4, 9)},
            "expected at most max_length (8), which is the last bucket's, got 9",
        ),
    ],
)
def test_buckets_that_cannot_be(policy, message):
    with pytest.raises(SpecError) as raised:
        make_spec(sequence_numeric_column("x"), SequenceGroup(**policy))
    assert [(f.path, f.message) for f in raised.value.faults] == [
        ("sequence_groups.sequence.bucket_by_length", message)
    ]


def test_only_one_group_has_buckets():
    columns = [sequence_numeric_column("x", group="a"), sequence_numeric_column("y", group="b")]
    policy = SequenceGroup(max_length=8, bucket_by_length=(2,))
    with pytest.raises(SpecError) as raised:
        make_spec(columns, {"a": policy, "b": policy})
    message = "rows are in files by the length of 'a' already: one group may have buckets"
    assert [(f.path, f.message) for f in raised.value.faults] == [("sequence_groups.b.bucket_by_length", message)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[2, x]", "sequence_groups.sequence.bucket_by_length[1]: expected an int, got 'x'"),
        ("[0, 2]", "sequence_groups.sequence.bucket_by_length[0]: expected an int >= 1, got 0"),
        ("2", "sequence_groups.sequence.bucket_by_length: expected a list, got 2"),
        ("[]", "sequence_groups.sequence.bucket_by_length: expected 1 or more items, got none"),
    ],
)
def test_the_columns_file_names_what_is_wrong(text, message, tmp_path, command_line):
    (tmp_path / "c.yaml").write_text(
        f"sequence_groups:\n  sequence: {{max_length: 8, bucket_by_length: {text}}}\n"
        "columns:\n  - {type: sequence_numeric_column, key: x}\n"
    )
    result = call("check", tmp_path / "c.yaml", "--input", "x")
    assert result.exit_code == 2 and message in result.stderr


def test_the_last_bucket_may_be_named_or_not():
    named = SequenceGroup(max_length=8, bucket_by_length=(2, 8))
    assert named.bucket_lengths == SequenceGroup(max_length=8, bucket_by_length=(2,)).bucket_lengths == (2, 8)
    assert SequenceGroup(max_length=8).bucket_lengths == ()


def test_in_memory_and_in_a_pipeline_t_is_max_length():
    columns = make_spec(sequence_numeric_column("x"), SequenceGroup(max_length=4, bucket_by_length=(2,)))
    assert apply([{"x": [1.0]}], columns)["x"].shape == (1, 4, 1)
    with beam.Pipeline(FnApiRunner()) as pipeline:
        found = pipeline | beam.Create([{"x": [1.0]}]) | Densify(columns)
        shapes = found.good | beam.Map(lambda row: len(row["x"]))
        assert_that(shapes, equal_to([4]))


@pytest.mark.slow
def test_the_buckets_that_a_plan_proposes_take_what_it_says(folder, tmp_path):
    """A job with them has the padding, and the bytes, that were planned."""
    asked = Request(spec(None), [str(folder / "in-*.tfrecord")])
    planned = planning.plan(asked, budget=0.05, buckets=3).groups["watch"]
    proposed = planned["proposed"]
    policy = SequenceGroup(max_length=proposed["max_length"], bucket_by_length=tuple(proposed["bucket_by_length"]))
    columns = spec(None)
    columns = columns.model_copy(update={"sequence_groups": {**columns.sequence_groups, "watch": policy}})
    outcome = done(columns, folder / "in-*.tfrecord", tmp_path, format="parquet")
    names = ("videos", "seconds", "watch_length", "watch_mask")
    held = sum(arrays[name].nbytes for arrays in by_bucket(tmp_path).values() for name in names)
    counts = outcome.ledger["columns"]["videos"]
    assert held == planned["buckets"][-1]["bytes"]
    assert counts["padded"] / (counts["padded"] + counts["kept"]) == pytest.approx(planned["buckets"][-1]["padding"])


def test_a_manifest_whose_files_are_of_no_bucket_is_damaged(written):
    content = read_json(written, "manifest.json")
    content["examples"]["files"][0]["T"] = 5
    put_manifest(written, content)
    with pytest.raises(JobError, match=r"files\[0\]\.T: expected one of .*, got 5"):
        read_manifest(str(written))
    content["examples"]["files"][0]["T"] = 3
    content["examples"]["length_buckets"]["features"] = ["w", "nothing"]
    put_manifest(written, content)
    with pytest.raises(JobError, match="expected sequences, got 'w'"):
        read_manifest(str(written))
