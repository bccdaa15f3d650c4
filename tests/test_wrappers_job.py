"""Columns made of columns through whole jobs: the same as in memory and from the saved graph; the manifest; the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.columns_file.reader import load
from tests.jobs import assert_balanced, done, read_arrays, read_json
from tests.marks import slow_but
from transforms.groups import SequenceGroup
from transforms.memory import Applied, apply
from transforms.spec.spec import Spec

IDS = 2000
COLUMNS = """
sequence_groups:
  sequence: {{max_length: {length}, truncate: tail, concatenate: {concatenate}}}
columns:
  - {{type: passthrough_column, key: row, dtype: int64}}
  - type: indicator_column
    categorical_column:
      type: weighted_categorical_column
      weight_feature_key: w
      categorical_column: {{type: sequence_categorical_column_with_hash_bucket, key: word, hash_bucket_size: 5, max_ids: 2}}
  - type: embedding_column
    dimension: 4
    combiner: sqrtn
    max_norm: 2
    table: films.npy
    categorical_column: &films {{type: sequence_categorical_column_with_identity, key: film, num_buckets: {ids}, max_ids: 2}}
  - {{type: shared_embedding_column, dimension: 4, shared_embedding_collection_name: films, table: films.npy,
     max_norm: 2, categorical_column: *films}}
  - type: embedding_column
    dimension: 16
    initializer: glorot_uniform
    categorical_column:
      type: weighted_categorical_column
      weight_feature_key: w
      categorical_column: {{type: sequence_categorical_column_with_learned_vocabulary, key: word, num_oov_buckets: 3, max_ids: 2}}
  - type: indicator_column
    categorical_column:
      type: bucketized_column
      num_quantiles: 4
      source_column: {{type: sequence_numeric_column, key: x, shape: 2, normalizer_fn: z_score, non_finite: fill}}
  - {{type: bucketized_column, boundaries: [0, 0.5], source_column: {{type: numeric_column, key: c, default_value: 0.25}}}}
"""
KEPT = ["x_bucketized_indicator", "film_shared_embedding", "film_embedding", "word_weighted_by_w_indicator"]


def rows_of(count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(8)
    rows = []
    for k in range(count):
        steps = int(rng.integers(0, 9))
        sizes = rng.integers(0, 3, steps)
        row: dict[str, Any] = {
            "row": k,
            "word": [[f"w{n}" for n in rng.integers(0, 30, size)] for size in sizes],
            "w": [rng.choice([0.5, 1.0, 2.0], size).tolist() for size in sizes],
            "film": [rng.integers(0, IDS, rng.integers(0, 3)).tolist() for _ in sizes],
            "x": np.where(rng.random(steps * 2) < 0.1, np.nan, rng.normal(size=steps * 2)).tolist(),
            "c": None if rng.random() < 0.3 else float(rng.normal()),
        }
        if k % 10 == 3 and steps:
            row["w"][0] = [*row["w"][0], 1.0]
        rows.append(row)
    return rows


TYPES = pa.schema(
    [
        ("row", pa.int64()),
        ("word", pa.list_(pa.list_(pa.string()))),
        ("w", pa.list_(pa.list_(pa.float64()))),
        ("film", pa.list_(pa.list_(pa.int64()))),
        ("x", pa.list_(pa.float32())),
        ("c", pa.float32()),
    ]
)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the data in three files and the table."""
    folder = tmp_path_factory.mktemp("films")
    table = pa.Table.from_pylist(rows_of(300), TYPES)
    for k in range(3):
        pq.write_table(table.slice(k * 100, 100), folder / f"{k}.parquet")
    np.save(folder / "films.npy", np.random.default_rng(1).normal(size=(IDS, 4)).astype(np.float32))
    return folder


def spec_in(folder: Path, length: Any, concatenate: bool) -> Spec:
    path = folder / "columns.yaml"
    path.write_text(COLUMNS.format(length=length, concatenate=str(concatenate).lower(), ids=IDS))
    return load(path)


def same(arrays: Any, made: Applied) -> None:
    assert set(arrays) == set(made.arrays)
    order = np.argsort(made["row"])
    for name, array in arrays.items():
        assert array.dtype == made[name].dtype, name
        np.testing.assert_array_equal(array, made[name][order], name)


@pytest.mark.parametrize(("length", "concatenate"), slow_but([(5, True), ("longest", False)]))
def test_job_memory_and_graph_agree(inputs: Path, tmp_path: Path, length: Any, concatenate: bool):
    spec = spec_in(inputs, length, concatenate)
    outcome = done(spec, inputs / "*.parquet", tmp_path / "out", max_rejected=1.0)
    assert outcome.passes == 3  # moments, quantiles of what they make z-scores of, and writing
    arrays = read_arrays(tmp_path / "out", "row")
    data = rows_of(300)
    memory = apply(data, spec)
    same(arrays, memory)
    assert {"length_mismatch", "wrong_step_width"} == set(memory.rejected["reason"].to_pylist())
    good = [row for row in data if row["row"] in set(arrays["row"].tolist())]
    same(arrays, apply(good, spec, transform=str(tmp_path / "out" / "transform")))
    ledger = read_json(tmp_path / "out", "ledger.json")
    assert_balanced(ledger)
    assert ledger["rows"]["rejected"] == memory.rejected.num_rows > 0
    assert ledger["columns"]["film_embedding"]["values"] == sum(len(step) for row in data for step in row["film"])
    if concatenate:
        assert arrays["sequence_input"].shape[1:] == (5, 8 + 4 + 4 + 5)
        parts = apply(
            data, Spec(columns=spec.columns, sequence_groups={"sequence": SequenceGroup(max_length=5, truncate="tail")})
        )
        side_by_side = [parts[name].reshape(*parts[name].shape[:2], -1) for name in sorted(KEPT)]
        np.testing.assert_array_equal(
            arrays["sequence_input"], np.concatenate(side_by_side, axis=2)[np.argsort(parts["row"])]
        )
    _check_what_is_said_of_embeddings(tmp_path / "out", data, memory)


def _check_what_is_said_of_embeddings(root: Path, data: list[dict[str, Any]], memory: Applied) -> None:
    found = read_json(root, "manifest.json")["embeddings"]
    assert set(found) == {"film_embedding", "film_shared_embedding", "word_weighted_by_w_embedding"}
    learned = found["word_weighted_by_w_embedding"]
    assert (learned["ids"], learned["weights"]) == (
        "word_weighted_by_w_embedding",
        "word_weighted_by_w_embedding_weights",
    )
    words = {word for k in memory.rows for step in data[k]["word"][-5:] for word in step}
    assert len(words) <= learned["id_count"] - 3 <= 30
    assert memory[learned["ids"]].max() < learned["id_count"]
    assert (learned["dimension"], learned["initializer"], learned["collection"]) == (
        16,
        "glorot_uniform",
        "word_weighted_by_w_embedding",
    )
    given = found["film_embedding"]
    assert given["table"]["path"].endswith("films.npy")
    assert (given["combiner"], given["max_norm"], given["vectors"]) == ("sqrtn", 2, "film_embedding")
    assert found["film_shared_embedding"]["collection"] == "films"
    # Two columns look the table up, and it is in the graph once.
    held = list((root / "transform").rglob("variables.data*"))
    assert IDS * 4 * 4 <= sum(file.stat().st_size for file in held) < 2 * IDS * 4 * 4
    graph = sum(file.stat().st_size for file in (root / "transform").rglob("saved_model.pb"))
    assert graph < 8_000_000
