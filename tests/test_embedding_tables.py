"""Embedding tables: what files may hold, what is refused, and how a table travels."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf
from apache_beam.io.localfilesystem import LocalFileSystem

from pipeline.columns_file.reader import dumps, load, loads
from tests.harness import pickled
from transforms.columns import embedding_column, sequence_categorical_column_with_identity, shared_embeddings
from transforms.columns.embedding_lookup import embedding_rows
from transforms.columns.vocabulary_lookup import keep_in
from transforms.errors import SpecError
from transforms.memory import apply
from transforms.spec.make_spec import make_spec
from transforms.stored.embedding_tables import EmbeddingTable, read_table, table_of

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3) / 8
IDS = sequence_categorical_column_with_identity("x", 4)


def parquet(path: Path, **columns: Any) -> Path:
    pq.write_table(pa.table(columns), path)
    return path


def saved(path: Path, values: Any) -> Path:
    np.save(path, values)
    return path


def lists(kind: Any) -> pa.Array:
    return pa.array(VALUES.tolist(), kind)


CLAIMS_MUCH = "{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776, 3), }\n"


def npy_header(text: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


def test_every_form_of_a_file_gives_the_same(tmp_path: Path):
    paths = [
        saved(tmp_path / "a.npy", VALUES),
        saved(tmp_path / "b.npy", np.asfortranarray(VALUES.astype(np.float64))),
        saved(tmp_path / "c.npy", VALUES.astype(np.float16)),
        parquet(tmp_path / "a.parquet", vector=lists(pa.list_(pa.float32(), 3))),
        parquet(tmp_path / "b.parquet", vector=lists(pa.list_(pa.float64()))),
        parquet(tmp_path / "c.parquet", z=VALUES[:, 0], a=VALUES[:, 1], m=VALUES[:, 2]),
    ]
    tables = [read_table(str(path)) for path in paths]
    for table in tables:
        assert table.values.dtype == np.float32
        np.testing.assert_array_equal(table.values, VALUES)
        assert not table.values.flags.writeable
        made = apply([{"x": [3, 0]}], embedding_column(IDS, 3, table=table))
        np.testing.assert_array_equal(made["x_embedding"], VALUES[[[3, 0]]])
    assert len(set(tables)) == 1
    assert tables[0] != table_of(VALUES.reshape(3, 4))


@pytest.mark.parametrize(
    ("name", "write", "message"),
    [
        ("a.npy", None, "no such file"),
        ("a.csv", lambda path: path.write_text("1,2"), "expected a file named *.npy or *.parquet"),
        ("a.npy", lambda path: path.write_bytes(b"1,2"), "cannot read"),
        ("a.npy", lambda path: path.write_bytes(npy_header("{'descr': ")), "expected an .npy file of numbers"),
        ("a.npy", lambda path: path.write_bytes(npy_header(CLAIMS_MUCH)), "expected an .npy file of numbers"),
        ("a.npy", lambda path: path.mkdir(), "expected a file"),
        ("a.npy", lambda path: saved(path, np.array([None, 3], object)), "cannot read"),
        ("a.npy", lambda path: saved(path, np.array(["a"])), "expected numbers, got str"),
        ("a.npy", lambda path: saved(path, np.array([[True]])), "expected numbers, got bool"),
        ("a.npy", lambda path: saved(path, VALUES[0]), "expected two dimensions, ids by values, got the shape [3]"),
        ("a.npy", lambda path: saved(path, VALUES[:3]), "expected the shape [4, 3], the ids of the column"),
        ("a.npy", lambda path: saved(path, VALUES * [1, 1, np.nan]), "got nan in row 0, column 2"),
        ("a.npy", lambda path: saved(path, VALUES.astype(np.float64) * 1e300), "got 1.25e+299 in row 0, column 1"),
        ("a.parquet", lambda path: path.write_bytes(b"PAR1"), "cannot read"),
        ("a.parquet", lambda path: parquet(path, a=["x"] * 4), "got a column 'a' of string"),
        (
            "a.parquet",
            lambda path: parquet(path, a=[1.0, 2.0, 3.0, None]),
            "expected no nulls, got some in the column 'a'",
        ),
        ("a.parquet", lambda path: parquet(path, a=[[1.0, None]]), "expected no nulls, got some in the lists"),
        ("a.parquet", lambda path: parquet(path, a=[[1.0, 2.0], [3.0]]), "expected lists of one length"),
        ("a.parquet", lambda path: parquet(path, a=[{"b": 1}]), "expected lists of numbers in the column 'a'"),
        ("a.parquet", parquet, "got none"),
    ],
)
def test_what_is_no_table_is_refused_when_the_spec_is_read(tmp_path: Path, name: str, write: Any, message: str):
    path = tmp_path / name
    if write is not None:
        write(path)
    with pytest.raises(ValueError, match=r"^table: ") as caught:
        embedding_column(IDS, 3, table=str(path))
    assert message.lower() in str(caught.value).lower()
    assert "\n" not in str(caught.value)
    text = "columns:\n  - {type: embedding_column, dimension: 3, table: %s, categorical_column: %s}"
    with pytest.raises(SpecError) as wrong:
        loads(text % (path, "{type: categorical_column_with_identity, key: x, num_buckets: 4}"))
    assert [fault.path for fault in wrong.value.faults] == ["columns[0].table"]
    assert wrong.value.faults[0].line == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"initializer": "zeros"}, "initializer: does not apply with a table"),
        ({"ckpt_to_load_from": "a", "tensor_name_in_ckpt": "b"}, "ckpt_to_load_from: does not apply with a table"),
        ({"use_safe_embedding_lookup": False}, "use_safe_embedding_lookup: must be true with a table"),
    ],
)
def test_what_only_training_uses_does_not_go_with_a_table(arguments: dict[str, Any], message: str):
    embedding_column(IDS, 3, **arguments)
    with pytest.raises(ValueError, match=message):
        embedding_column(IDS, 3, table=VALUES, **arguments)


def test_a_relative_path_begins_beside_the_columns_file(tmp_path: Path):
    saved(tmp_path / "films.npy", VALUES)
    spec = make_spec([embedding_column(IDS, 3, table=str(tmp_path / "films.npy"))])
    text = dumps(spec)
    (tmp_path / "columns.yaml").write_text(text.replace(f"{tmp_path}/", ""))
    assert f"table: {tmp_path}/films.npy" in text
    assert loads(text) == spec
    assert load(tmp_path / "columns.yaml") == spec
    with pytest.raises(SpecError, match=r"columns\[0\].table: expected the path of a table"):
        dumps(make_spec([embedding_column(IDS, 3, table=VALUES)]))


def test_a_changed_file_is_read_again(tmp_path: Path):
    path = str(saved(tmp_path / "a.npy", VALUES))
    first = read_table(path)
    assert read_table(path) is first
    np.save(path, np.concatenate([VALUES, VALUES]))
    assert read_table(path).values.shape == (8, 3)


class Elsewhere(LocalFileSystem):
    """One of Beam's file systems, which finds its classes by their scheme."""

    @classmethod
    def scheme(cls) -> str:
        return "elsewhere"

    def open(self, path: str, *arguments: Any, **more: Any) -> Any:
        return super().open(path.removeprefix("elsewhere:/"), *arguments, **more)

    def metadata(self, path: str) -> Any:
        return super().metadata(path.removeprefix("elsewhere:/"))


@pytest.mark.parametrize("as_file", [True, False])
def test_a_table_travels_with_its_column(tmp_path: Path, as_file: bool):
    path = saved(tmp_path / "a.npy", VALUES)
    column = embedding_column(IDS, 3, table=str(path) if as_file else VALUES)
    packed = pickle.dumps(column)
    path.unlink()  # a worker does not see it
    for copy in (pickle.loads(packed), *pickled(column)):
        assert copy == column
        assert apply([{"x": [2]}], copy)["x_embedding"].tolist() == [[VALUES[2].tolist()]]
    assert "0.125" not in repr(column)


def test_a_table_on_another_file_system_is_read_by_the_workers(tmp_path: Path):
    path = f"elsewhere:/{saved(tmp_path / 'a.npy', VALUES)}"
    big = f"elsewhere:/{saved(tmp_path / 'b.npy', np.zeros((10_000, 3)))}"
    assert len(pickle.dumps(read_table(big))) < 1000
    column = embedding_column(IDS, 3, table=path)
    packed = pickle.dumps(column)
    assert pickle.loads(packed) == column
    saved(tmp_path / "a.npy", VALUES + 1)
    with pytest.raises(ValueError, match="has changed since the columns were built"):
        pickle.loads(packed)


def test_a_table_is_in_the_graph_once():
    made: dict[str, Any] = {}
    track = keep_in(made)
    table = table_of(VALUES)
    same = [embedding_rows(one, 1.0, track) for one in (table, EmbeddingTable(VALUES.copy()))]
    assert same[0] is same[1]
    assert embedding_rows(table, None, track) is not same[0]
    assert len(made) == 2
    np.testing.assert_allclose(same[0], tf.clip_by_norm(VALUES, 1.0, axes=[1]), rtol=1e-6)


def test_columns_of_a_collection_agree():
    other = sequence_categorical_column_with_identity("y", 5)
    (one,) = shared_embeddings([IDS], 3, shared_embedding_collection_name="films", table=VALUES)
    two = shared_embeddings([other], 4, "sum", "zeros", "films", max_norm=2)[0]
    with pytest.raises(SpecError) as caught:
        make_spec([one, two])
    where = "as columns[0] of the collection 'films' has it"
    assert {str(fault) for fault in caught.value.faults} >= {
        f"columns[1].categorical_column: expected 4 ids, {where}, got 5 ids",
        f"columns[1].dimension: expected 3, {where}, got 4",
        f"columns[1].combiner: expected 'mean', {where}, got 'sum'",
        f"columns[1].initializer: expected None, {where}, got 'zeros'",
        f"columns[1].max_norm: expected None, {where}, got 2.0",
        f"columns[1].table: expected EmbeddingTable(source=''), {where}, got None",
    }
    make_spec([one, *shared_embeddings([other], 4, shared_embedding_collection_name="songs")])


@pytest.mark.parametrize(
    ("initializer", "name"),
    [
        (None, None),
        ("glorot_uniform", "glorot_uniform"),
        (tf.constant_initializer(0.5), "Constant(value=0.5)"),
        (tf.zeros_initializer, "Zeros"),
        (len, "len"),
    ],
)
def test_an_initializer_is_named(initializer: Any, name: str | None):
    assert embedding_column(IDS, 3, initializer=initializer).metadata["initializer"] == name
