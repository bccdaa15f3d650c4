"""The loaders against pyarrow and tf.io.parse_example: values, shapes, dtypes, order, shards; and what they refuse."""

from __future__ import annotations

import functools
import inspect
import itertools
import json
import pickle
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from pipeline.dataset import pieces
from pipeline.dataset.manifest import read as read_manifest
from pipeline.errors import UsageError
from pipeline.job.request import FORMATS
from pipeline.loaders import Batches, blocks, numpy_batches, tf_dataset, torch_dataset
from pipeline.sources.tfrecord.framing import framed
from tests import loader_sets
from tests.jobs import Arrays, arrays_of
from tests.loader_sets import ROWS, assert_same, expected, joined
from tests.marks import slow_but
from tests.object_store import SCHEME, Objects
from tests.prepared import put_manifest
from transforms import (
    JobError,
    SequenceGroup,
    make_spec,
    passthrough_column,
    sequence_categorical_column_with_identity,
)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Callable[[str], Path]:
    """Makes a data set of a format, once, in five files."""
    return functools.cache(lambda format: loader_sets.make(tmp_path_factory.mktemp("loaders"), format))


@pytest.fixture(scope="module", params=slow_but(FORMATS, "parquet", "tfrecord", "sequence_example"))
def root(request, made) -> Path:
    return made(request.param)


@pytest.fixture(scope="module")
def parquet(made) -> Path:
    return made("parquet")


@pytest.fixture(scope="module")
def records(made) -> Path:
    return made("tfrecord")


def with_tensorflow(root: Any, size: int, **more: Any) -> list[Arrays]:
    return list(tf_dataset(str(root), size, **more).as_numpy_iterator())


def with_numpy(root: Any, size: int, **more: Any) -> list[Arrays]:
    return list(numpy_batches(str(root), size, **more))


LOADERS: list[Callable[..., list[Arrays]]] = [with_numpy, with_tensorflow]
loader = pytest.mark.parametrize("load", LOADERS)


def numbers(batches: list[Arrays]) -> list[int]:
    """Which rows stand in batches, in their order."""
    return [int(n) for batch in batches for n in batch["number"]]


def together(lists: Iterable[list[int]]) -> list[int]:
    return list(itertools.chain.from_iterable(lists))


# Values


@loader
def test_batches_are_what_the_files_hold(root, load):
    want = expected(root)
    made = load(root, 16)
    assert [len(batch["number"]) for batch in made] == [16] * 6 + [7]
    assert_same(joined(made), want)
    assert sorted(want["number"]) == list(range(ROWS))


def test_batches_show_themselves_briefly(root):
    shown = repr(numpy_batches(root, 4, shards=2, shard=1))
    assert shown.startswith("Batches(") and f" rows of {str(root)!r}, shard 1 of 2, batches of 4; " in shown
    assert len(shown) < 1000


@loader
def test_shapes_and_dtypes_are_the_manifests(root, load):
    outputs = {output.name: output for output in read_manifest(str(root)).outputs}
    assert outputs["never"].shape == (0, 1) and outputs["half"].shape == (4, 1)  # T is the longest row's
    for batch in load(root, 50, drop_remainder=True):
        assert list(batch) == list(outputs)
        for name, array in batch.items():
            assert array.shape == (50, *outputs[name].shape)
            assert array.dtype.name == {"string": "object", "bytes": "object"}.get(
                outputs[name].dtype, outputs[name].dtype
            )


def test_text_is_str_and_bytes_are_bytes(root):
    batch = numpy_batches(str(root), ROWS).in_epoch(0).__next__()
    at = int(batch["number"][0])
    assert batch["name"][0] == f"n{at:03d} ü" and batch["raw"][0] == bytes([at, 255, 0])


def test_an_absent_sequence_is_a_row_of_padding(root):
    batch = joined(with_numpy(root, 10))
    absent = batch["number"] % 5 == 0
    assert absent.sum() == 21
    assert not batch["watch_length"][absent].any() and not batch["watch_mask"][absent].any()
    assert (batch["x"][absent] == -1).all() and (batch["ids"][absent] == -1).all()
    assert (batch["watch_mask"].sum(axis=1) == batch["watch_length"]).all() and batch["watch_length"].max() == 5


def test_batches_are_ones_own(root):
    batches = numpy_batches(str(root), 16, shuffle=40)
    made = list(batches.in_epoch(0))
    for batch in made:
        for array in batch.values():
            assert array.flags.writeable and array.flags.c_contiguous
            array[...] = array.dtype.type(0) if array.dtype != object else None
    for again in (batches.in_epoch(0), numpy_batches(str(root), 16)):
        assert sorted(numbers(list(again))) == list(range(ROWS))


@loader
def test_only_the_features_asked_for_in_that_order(root, load):
    want = expected(root)
    made = joined(load(root, 16, features=["label", "x", "room_mask"]))
    assert_same(made, {name: want[name] for name in ("label", "x", "room_mask")})
    assert list(joined(load(root, 16, features="label"))) == ["label"]


def test_only_files_that_the_manifest_names_are_read(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "set")
    one = Path(read_manifest(str(copy)).files[0])
    shutil.copy(one, one.with_name("20991231T000000-ffffffff-000000000000" + "".join(one.suffixes)))
    for load in LOADERS:
        assert_same(joined(load(copy, 16)), expected(root))


# Order


@loader
def test_a_seed_decides_the_order(root, load):
    def order(**more: Any) -> list[int]:
        return numbers(load(root, 16, features=["number"], **more))

    first = order(shuffle=30, seed=1)
    assert sorted(first) == list(range(ROWS))
    assert first == order(shuffle=30, seed=1)
    assert first != order(shuffle=30, seed=2)
    assert first != order() == numbers(load(root, 16))
    twice = order(shuffle=30, seed=1, epochs=2)
    assert twice[:ROWS] == first and sorted(twice[ROWS:]) == sorted(first) and twice[ROWS:] != first


def test_the_order_is_the_same_in_every_format(parquet, records):
    orders = []
    for root in (parquet, records):
        in_files = numbers(with_numpy(root, 16))
        orders.append([in_files.index(n) for n in numbers(with_numpy(root, 16, shuffle=30))])
    assert orders[0] == orders[1]


@loader
def test_batches_do_not_reach_over_the_end_of_an_epoch(root, load):
    made = load(root, 50, features=["number"], epochs=3)
    assert [len(batch["number"]) for batch in made] == [50, 50, 3] * 3
    made = load(root, 50, features=["number"], epochs=3, drop_remainder=True)
    assert [len(batch["number"]) for batch in made] == [50, 50] * 3


def test_iterating_again_is_the_next_epoch(parquet):
    def batches(**more: Any) -> Batches:
        return numpy_batches(str(parquet), 16, features=["number"], shuffle=ROWS, **more)

    again = batches()
    orders = [numbers(list(again)) for _ in range(3)]
    assert together(orders) == numbers(list(batches(epochs=3)))
    assert len({tuple(order) for order in orders}) == 3
    assert numbers(list(pickle.loads(pickle.dumps(again)))) == numbers(list(again.in_epoch(3)))

    dataset = tf_dataset(str(parquet), 16, features=["number"], shuffle=ROWS)
    first, second = (numbers(list(dataset.as_numpy_iterator())) for _ in range(2))
    assert first != second and sorted(first) == sorted(second) == list(range(ROWS))


def test_without_end(parquet, records):
    endless = iter(numpy_batches(str(parquet), 50, features=["number"], epochs=None, shuffle=7))
    assert Counter(numbers([next(endless) for _ in range(3 * 7)])) == dict.fromkeys(range(ROWS), 7)
    for root in (parquet, records):
        dataset = tf_dataset(str(root), 50, features=["number"], epochs=None, shuffle=7)
        assert dataset.cardinality() == tf.data.INFINITE_CARDINALITY
        assert Counter(numbers(list(dataset.take(21).as_numpy_iterator()))) == dict.fromkeys(range(ROWS), 7)


def test_a_pool_as_large_as_the_data_set_makes_every_place_as_likely(parquet):
    """Where row 0 comes out, over 400 seeds: uniform by a chi-squared test at a level of 1 in 10,000."""
    batches = numpy_batches(str(parquet), ROWS, features=["number"])
    stream = list(batches)
    places = np.zeros(10)
    for seed in range(400):
        order = np.concatenate([b["number"] for b in blocks.shuffled(stream, ROWS, np.random.default_rng(seed))])
        places[10 * int(np.flatnonzero(order == 0)[0]) // ROWS] += 1
    shares = np.bincount(10 * np.arange(ROWS) // ROWS) * 400 / ROWS
    assert ((places - shares) ** 2 / shares).sum() < 33.7


sizes = st.lists(st.integers(1, 900), max_size=6)


@given(sizes, st.integers(1, 700), st.integers(0, 2**32))
def test_shuffling_looks_at_rows_and_not_at_blocks(parts, pool, seed):
    whole = np.arange(sum(parts))
    bounds = np.cumsum([0, *parts])

    def order(stream: Any) -> list[int]:
        made = list(blocks.shuffled(stream, pool, np.random.default_rng(seed)))
        return np.concatenate([block["x"] for block in made]).tolist() if made else []

    found = order({"x": whole[a:b]} for a, b in itertools.pairwise(bounds))
    assert sorted(found) == whole.tolist()
    assert found == order([{"x": whole}] if len(whole) else [])


@given(sizes, st.integers(1, 500), st.booleans())
def test_cutting_keeps_every_row_in_its_place(parts, size, drop):
    whole, bounds = np.arange(sum(parts)), np.cumsum([0, *parts])
    made = list(blocks.cut(({"x": whole[a:b]} for a, b in itertools.pairwise(bounds)), size, drop))
    assert len(made) == blocks.batches_in(len(whole), size, drop)
    assert all(len(block["x"]) == size for block in made[:-1])
    kept = len(whole) // size * size if drop else len(whole)
    assert [x for block in made for x in block["x"]] == whole[:kept].tolist()


# Shards


@pytest.mark.parametrize("shuffle", [0, 20])
@pytest.mark.parametrize(
    ("load", "shards"),
    slow_but(
        [*itertools.product(LOADERS, (1, 2, 3, 5, 11)), (with_numpy, ROWS + 7)], *itertools.product(LOADERS, (1, 3))
    ),
)
def test_every_row_once_over_all_shards(parquet, records, load, shards, shuffle):
    for root in (parquet, records):
        made = [load(root, 8, features=["number"], shards=shards, shard=k, shuffle=shuffle) for k in range(shards)]
        found = [numbers(batches) for batches in made]
        assert sorted(together(found)) == list(range(ROWS))
        lengths = [len(numpy_batches(str(root), 8, shards=shards, shard=k)) for k in range(shards)]
        assert lengths == [len(batches) for batches in made]


@loader
def test_every_value_of_every_shard(root, load):
    """More shards than files: from the middle of a file to the middle of another."""
    made = [joined(load(root, 8, shards=7, shard=k)) for k in range(7)]
    assert_same({name: np.concatenate([part[name] for part in made]) for name in made[0]}, expected(root))


@loader
@pytest.mark.parametrize("drop", [False, True])
@pytest.mark.parametrize("shards", slow_but([2, 3, 4, 10], 3))
def test_even_shards_give_equally_many_batches(parquet, records, load, shards, drop):
    for root in (parquet, records):
        more: dict[str, Any] = {"features": ["number"], "shards": shards, "even": True, "drop_remainder": drop}
        made = [load(root, 5, shard=k, shuffle=9, **more) for k in range(shards)]
        assert len({len(batches) for batches in made}) == 1 and made[0]
        found = together(map(numbers, made))
        assert len(set(found)) == len(found)
        assert ROWS - len(found) <= shards * (5 if drop else 1)


@given(st.lists(st.integers(0, 40), max_size=9), st.integers(1, 12), st.booleans())
def test_a_plan_gives_every_row_to_one_shard(counts, shards, even):
    made = pieces.pieces(counts, shards, even)
    assert len(made) == shards
    found = [(p.file, row) for own in made for p in own for row in range(p.start, p.stop)]
    assert sorted(found) == [(file, row) for file, count in enumerate(counts) for row in range(count)]
    assert all(piece.rows > 0 for own in made for piece in own)
    loads = [sum(piece.rows for piece in own) for own in made]
    cut = [piece for own in made for piece in own if piece.rows != counts[piece.file]]
    if cut or even:
        assert max(loads) - min(loads) <= 1
    else:
        assert max(loads) * shards <= 1.1 * sum(counts) or max(loads) - min(loads) <= 1


def test_files_are_kept_whole_where_there_are_enough():
    made = pieces.pieces([100, 104, 96, 99, 101, 97], 3)
    assert all(piece.start == 0 and piece.rows > 90 for own in made for piece in own)
    assert [len(own) for own in made] == [2, 2, 2]
    assert pieces.pieces([100], 1) == [[pieces.Piece(0, 0, 100)]]
    assert pieces.pieces([], 2) == [[], []] and pieces.pieces([0, 1], 2) == [[], [pieces.Piece(1, 0, 1)]]


def test_a_shard_opens_no_file_of_another(parquet, monkeypatch):
    from pipeline.sinks import parquet as sink
    from pipeline.sources.parquet import opened

    seen = []

    def noted(path: str) -> Any:
        seen.append(path)
        return opened(path)

    monkeypatch.setattr(sink, "opened", noted)
    list(numpy_batches(str(parquet), 8, shards=11, shard=0))
    assert seen == read_manifest(str(parquet)).files[:1]


# What is refused


@loader
def test_a_data_set_that_is_not_finished_is_refused(root, load, tmp_path):
    copy = shutil.copytree(root, tmp_path / "set")
    (copy / "manifest.json").unlink()
    for where in (copy, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(JobError, match=r"holds no finished data set: there is no manifest.json"):
            load(where, 16)
    (copy / "manifest.json").write_text("{")
    with pytest.raises(JobError, match="damaged"):
        load(copy, 16)
    content = json.loads((root / "manifest.json").read_text())
    put_manifest(copy, {**content, "format": "tfrecords"})
    with pytest.raises(JobError, match=r"unknown format 'tfrecords'; did you mean 'tfrecord'\?"):
        load(copy, 16)


def test_verify_finds_what_reading_does_not(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "set")
    assert_same(joined(with_numpy(copy, 16, verify=True)), expected(root))
    assert_same(joined(with_tensorflow(copy, 16, verify=True)), expected(root))
    (copy / "statistics.json").write_text("{}")
    assert len(joined(with_numpy(copy, 16))["number"]) == ROWS
    for load in LOADERS:
        with pytest.raises(JobError, match=r"statistics.json: its SHA-256 is not what the manifest says$"):
            load(copy, 16, verify=True)
    (copy / "ledger.json").write_text("{}")
    with pytest.raises(JobError, match=r"\(and \d more faults: seqcols verify\)$"):
        numpy_batches(str(copy), 16, verify=True)


def _in_the_values(path: Path) -> int:
    """Where a byte of a checked value stands: the header of a page of Parquet has no checksum."""
    if path.suffix != ".parquet":
        return path.stat().st_size // 3
    column = pq.ParquetFile(path).metadata.row_group(0).column(0)
    return (column.dictionary_page_offset or column.data_page_offset) + column.total_compressed_size - 2


@loader
def test_a_flipped_bit_is_noticed_while_reading(root, load, tmp_path):
    copy = shutil.copytree(root, tmp_path / "set")
    path = Path(read_manifest(str(copy)).files[0])
    data = bytearray(path.read_bytes())
    data[_in_the_values(path)] ^= 4
    path.write_bytes(data)
    with pytest.raises((JobError, tf.errors.OpError)):
        load(copy, 16)
    with pytest.raises(JobError, match=path.name):
        load(copy, 16, verify=True)


def test_the_reader_names_the_file_that_is_damaged_or_gone(root, tmp_path):
    copy = shutil.copytree(root, tmp_path / "set")
    path = Path(read_manifest(str(copy)).files[1])
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(JobError, match=path.name):
        with_numpy(copy, 16)
    path.unlink()
    with pytest.raises(JobError, match=path.name):
        with_numpy(copy, 16)
    with pytest.raises(tf.errors.OpError, match=path.name):
        with_tensorflow(copy, 16)


@loader
@pytest.mark.parametrize("change", [-1, 1])
def test_a_file_with_fewer_or_more_rows_than_the_manifest_says(parquet, records, load, change, tmp_path):
    """A TFRecord that is cut between two records looks whole: only the manifest tells."""
    for k, root in enumerate((parquet, records)):
        copy = shutil.copytree(root, tmp_path / str(k))
        path = Path(read_manifest(str(copy)).files[3])
        if root is parquet:
            table = pq.read_table(path)
            pq.write_table(table.slice(0, 36) if change < 0 else pa.concat_tables([table, table.slice(0, 1)]), path)
        else:
            found = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
            path.write_bytes(framed(found[:-1] if change < 0 else [*found, found[0]]))
        with pytest.raises((JobError, tf.errors.OpError), match=r"expected|37 rows"):
            load(copy, 16)


def test_a_row_with_another_number_of_values_is_an_error(records, tmp_path):
    copy = shutil.copytree(records, tmp_path / "set")
    path = Path(read_manifest(str(copy)).files[0])
    found = [r.numpy() for r in tf.data.TFRecordDataset(str(path))]
    example = tf.train.Example.FromString(found[7])
    example.features.feature["x"].float_list.value.append(1.0)
    found[7] = example.SerializeToString()
    path.write_bytes(framed(found))
    with pytest.raises(JobError, match=r"feature 'x' has 401 values in 40 rows, the manifest says 10 a row"):
        with_numpy(copy, 16)


@loader
@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"size": 0}, "batch_size: expected an integer of 1 or more, got 0"),
        ({"size": True}, "batch_size: expected an integer of 1 or more, got True"),
        ({"shuffle": -1}, "shuffle: expected an integer of 0 or more, got -1"),
        ({"seed": 1.5}, "seed: expected an integer of 0 or more, got 1.5"),
        ({"epochs": 0}, "epochs: expected an integer of 1 or more, got 0"),
        ({"shards": 0}, "shards: expected an integer of 1 or more, got 0"),
        ({"shards": 3, "shard": 3}, r"shard: expected one of 0 to 2 \(3 shards\), got 3"),
        ({"features": ["lable"]}, "features: 'lable' is not in the data set; it has name, .*; did you mean 'label'?"),
        ({"features": ["x", "x"]}, "features: 'x' is named twice"),
        ({"features": []}, "features: expected at least one of name, "),
        ({"bucket": 4}, "bucket: expected none, as the data set has no length buckets, got 4"),
    ],
)
def test_arguments_that_make_no_sense(parquet, load, more, message):
    arguments = {"size": 4, **more}
    with pytest.raises(UsageError, match=message) as raised:
        load(parquet, **arguments)
    assert "\n" not in str(raised.value)


def test_the_loaders_take_the_same_arguments_by_name(parquet):
    """With the same defaults; PyTorch's has ranks in place of shards. A wrong name is one of the loader that was called."""
    given = inspect.signature(numpy_batches).parameters
    for load in (tf_dataset, torch_dataset):
        own = dict(inspect.signature(load).parameters)
        for name in ("rank", "world_size", "num_workers") if load is torch_dataset else ():
            del own[name]
        left_out = {"shards", "shard"} if load is torch_dataset else set()
        assert own == {name: one for name, one in given.items() if name not in left_out}
        assert all(one.kind is one.KEYWORD_ONLY for name, one in own.items() if name not in ("root", "batch_size"))
        with pytest.raises(TypeError, match=rf"^{load.__name__}\(\) got an unexpected keyword argument 'shufle'"):
            load(str(parquet), 4, **{"shufle": 1})


def test_many_features_are_shown_briefly(parquet):
    batches = numpy_batches(str(parquet), 4)
    many = replace(batches, outputs=[replace(batches.outputs[0], name=f"feature {k}") for k in range(500)])
    assert repr(many).endswith(" and 480 more)") and len(repr(many)) < 1000


def test_pytorch_that_is_missing_is_said_in_one_line(parquet, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "pipeline.loaders.torch_batches", raising=False)
    with pytest.raises(
        ModuleNotFoundError, match=r"^torch_dataset needs PyTorch, which is not installed: pip install .*$"
    ):
        torch_dataset(str(parquet), 16)


# File systems, empty data sets, and what tf.data knows


@loader
def test_any_file_system_of_beam(root, load):
    target = f"{SCHEME}://bucket/set"
    try:
        for path in filter(Path.is_file, root.rglob("*")):
            Objects.put(f"{target}/{path.relative_to(root)}", path.read_bytes())
        assert_same(joined(load(target, 16, verify=True)), expected(root))
        assert_same(joined(load(f"{target}/", 16)), expected(root))
    finally:
        Objects.held.clear()


@pytest.fixture(scope="module")
def empty(tmp_path_factory) -> Path:
    from tests.jobs import done

    folder = tmp_path_factory.mktemp("empty")
    pq.write_table(pa.Table.from_pylist(loader_sets.rows(5)).slice(0, 0), folder / "rows.parquet")
    for format in ("parquet", "tfrecord"):
        done(loader_sets.SPEC, folder / "rows.parquet", folder / format, format=format, allow_empty=True)
    return folder


@loader
@pytest.mark.parametrize("format", slow_but(["parquet", "tfrecord"]))
@pytest.mark.parametrize("epochs", [1, 2, None])
def test_an_empty_data_set_gives_no_batch(empty, load, format, epochs):
    assert load(empty / format, 4, epochs=epochs, verify=True) == []
    assert load(empty / format, 4, epochs=epochs, shards=2, shard=1, shuffle=3, even=True) == []
    assert len(numpy_batches(str(empty / format), 4)) == 0


@pytest.fixture(scope="module", params=slow_but(["parquet", "tfrecord", "sequence_example"], "tfrecord"))
def bucketed(request, tmp_path_factory) -> Path:
    from tests.jobs import done

    folder = tmp_path_factory.mktemp("bucketed")
    pq.write_table(pa.Table.from_pylist(loader_sets.rows()), folder / "rows.parquet")
    columns = [passthrough_column("number", "int64"), sequence_categorical_column_with_identity("ids", 50)]
    spec = make_spec(columns, SequenceGroup(max_length=6, bucket_by_length=(2, 4)))
    done(spec, folder / "rows.parquet", folder / "set", format=request.param)
    return folder / "set"


@pytest.mark.slow
@loader
def test_a_length_bucket_has_its_own_shapes(bucketed, load):
    manifest = read_manifest(str(bucketed))
    found = []
    for size in (2, 4, 6):
        bucket = joined(load(bucketed, 8, bucket=size, verify=size == 2))
        assert_same(bucket, arrays_of(manifest.bucket(size)))
        assert bucket["ids"].shape[1:] == (size,) and bucket["number"].shape[1:] == ()
        assert tf_dataset(str(bucketed), 8, bucket=size).element_spec["sequence_mask"].shape == (None, size)
        shards = [numbers(load(bucketed, 8, bucket=size, shards=5, shard=k, shuffle=9)) for k in range(5)]
        assert sorted(together(shards)) == sorted(bucket["number"].tolist())
        found += bucket["number"].tolist()
    assert sorted(found) == list(range(ROWS))
    for wrong in (None, 3):
        with pytest.raises(
            UsageError, match=rf"bucket: expected T of a length bucket, one of \[2, 4, 6\], got {wrong}"
        ):
            load(bucketed, 8, bucket=wrong)


def test_shapes_of_tensors_are_static(root):
    outputs = {o.name: o for o in read_manifest(str(root)).outputs}
    for drop, rows in ((True, 8), (False, None)):
        spec = tf_dataset(str(root), 8, drop_remainder=drop, shuffle=10).element_spec
        assert list(spec) == list(outputs)
        for name, tensor in spec.items():
            assert tensor.shape == (rows, *outputs[name].shape)
            assert tensor.dtype == {"bytes": "string"}.get(outputs[name].dtype, outputs[name].dtype)


def test_the_cardinality_is_known(root):
    for more, count in (
        ({}, 13),
        ({"drop_remainder": True}, 12),
        ({"epochs": 3}, 39),
        ({"shards": 4, "even": True}, 4),
    ):
        dataset = tf_dataset(str(root), 8, **more)
        assert int(dataset.cardinality()) == count == len(list(dataset))


def test_distributed_training(parquet, records):
    """As a strategy asks for it; and TensorFlow's own sharding, which would divide the rows again, is off."""
    for root in (parquet, records):

        def pipeline(context: tf.distribute.InputContext, root: Path = root) -> tf.data.Dataset:
            own = {"shards": context.num_input_pipelines, "shard": context.input_pipeline_id}
            return tf_dataset(str(root), context.get_per_replica_batch_size(16), features=["number"], **own)

        contexts = [tf.distribute.InputContext(2, k, 2) for k in range(2)]
        assert sorted(together(numbers(list(pipeline(c).as_numpy_iterator())) for c in contexts)) == list(range(ROWS))
        options = tf_dataset(str(root), 16).options().experimental_distribute
        assert options.auto_shard_policy == tf.data.experimental.AutoShardPolicy.OFF
        strategy = tf.distribute.MirroredStrategy(["CPU:0"])
        given = [batch["number"].numpy() for batch in strategy.distribute_datasets_from_function(pipeline)]
        assert sorted(np.concatenate(given)) == list(range(ROWS))
