"""Small valid files that hold no rows: columns files and what they name, manifests, indexes of the analysis cache."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import random
from collections.abc import Iterator
from typing import Final

import numpy as np
import pyarrow as pa

from pipeline.dataset.manifest import sealed
from tests.fuzz.files import Entry, parquet_file

COLUMNS: Final = """\
version: 1
sequence_groups:
  history: {max_length: 64, truncate: tail, padding: post, mask: true}
  short: {max_length: longest, concatenate: true}
columns:
  - type: sequence_categorical_column_with_identity
    key: items
    num_buckets: 23360
    default_value: 0
    group: history
  - &churn
    type: sequence_numeric_column
    key: churn
    shape: [2, 3]
    dtype: float32
    normalizer_fn: [log1p, {type: clip, quantiles: [0.01, 0.99]}, {type: z_score, per: column}]
    non_finite: fill
    observed_mask: true
    group: history
  - {type: sequence_numeric_column, key: "t é", group: short, delimiter: ";"}   # a comment
  - type: sequence_categorical_column_with_vocabulary_list
    key: words
    vocabulary_list: [omar, "stringer", 'mar''lo', |2-
      a block]
  - type: embedding_column
    dimension: 4
    categorical_column:
      type: weighted_categorical_column
      weight_feature_key: w
      categorical_column: {type: categorical_column_with_identity, key: z, num_buckets: 3}
  - type: indicator_column
    categorical_column:
      type: bucketized_column
      boundaries: [0, 1.5, .inf]
      source_column: {type: numeric_column, key: v, normalizer_fn: {type: min_max, feature_range: [0, 1]}}
  - {type: passthrough_column, key: id, dtype: int64, default_value: 3}
"""


def columns_files(rng: random.Random) -> Iterator[Entry]:
    """Yields columns files, and a vocabulary and tables that one may name."""
    good = COLUMNS.replace(", .inf", "").replace(", |2-\n      a block", "")
    yield Entry("columns file", "columns.yaml", good.encode(), "yaml", columns="columns file")
    yield Entry("columns file", "columns.yaml", COLUMNS.encode(), "yaml", columns="columns file")
    flow = (
        '{"columns": [{"type": "numeric_column", "key": "x", "shape": [2], "default_value": [1, 2.5]}], "version": 1}'
    )
    yield Entry("columns file", "columns.yaml", flow.encode(), "yaml", columns="columns file")
    words = "omar\nstringer\r\nmarlo\nmcnulty\n7\n é\n"
    yield Entry("vocabulary file", "vocabulary.txt", words.encode(), "lines", columns="vocabulary")
    table = np.arange(12, dtype=np.float32).reshape(4, 3)
    held = io.BytesIO()
    np.save(held, table)
    yield Entry("embedding table", "table.npy", held.getvalue(), "bytes", columns="table")
    lists = pa.table({"vector": pa.array(table.tolist(), pa.list_(pa.float32(), 3))})
    yield Entry("embedding table", "table.parquet", parquet_file(lists), "parquet", columns="table")


def manifests(rng: random.Random) -> Iterator[Entry]:
    """Yields the manifest of a data set, and of an empty one: in version 1, without a digest, and as it is written today."""
    features = {
        "x": {"dtype": "float32", "shape": [4, 2], "kind": "values", "source": "x", "sequence": True},
        "sequence_length": {"dtype": "int64", "shape": [], "kind": "length", "source": "", "sequence": False},
        "name": {"dtype": "string", "shape": [], "kind": "values", "source": "name"},
    }
    sha = "0" * 64
    files = [
        {"path": f"examples/r-{k}.tfrecord", "rows": 3, "bytes": 99, "sha256": sha, "samples": {"a.csv": [[0, 0, 3]]}}
        for k in range(2)
    ]
    content = {
        "format_version": 1,
        "seqcols": "1.0",
        "run": "20260101T000000-00000000",
        "created": "2026-01-01T00:00:00Z",
        "format": "tfrecord",
        "columns": "columns: [{type: sequence_numeric_column, key: x, shape: [2]}]\n",
        "inputs": [{"path": "a.csv", "bytes": 10}],
        "examples": {"rows": 6, "features": features, "files": files},
        "rejected": {"rows": 1, "files": [{"path": "rejected/r-0.parquet", "rows": 1, "bytes": 9, "sha256": sha}]},
        "vocabularies": {},
        "embeddings": {},
        "graph_sha256": {"transform": sha, "serving": sha},
        "statistics": "statistics.json",
        "ledger": "ledger.json",
        "transform": "transform",
        "serving": "serving",
    }
    empty = {**content, "transform": None, "serving": None, "examples": {"rows": 0, "features": {}, "files": []}}
    for made in (content, empty):
        for text in (json.dumps(made, indent=1).encode(), sealed(made)):
            yield Entry("manifest", "manifest.json", text, "json", columns="manifest")


def index_file(content: bytes) -> bytes:
    """Returns an index of the analysis cache with the checksum that its contents have."""
    text = content.decode("utf-8", "surrogateescape")
    digest = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return json.dumps({"content": text.encode("utf-8", "replace").decode(), "sha256": digest}).encode()


INDEX_KEY: Final = b"analyzer"


def index_files(rng: random.Random) -> Iterator[Entry]:
    """Yields what an index of the cache holds; see `index_file`."""
    content = {
        "files": [{"path": "a.csv", "size": 10, "updated": 5.0, "version": ""}],
        "tally": [[["a.csv", "rows", "read"], 5], [["a.csv", "column", "x", "values"], 9]],
        "pieces": {
            base64.b64encode(INDEX_KEY).decode(): [
                {"path": "one.piece", "bytes": 11, "sha256": hashlib.sha256(b"accumulator").hexdigest()}
            ]
        },
    }
    yield Entry("analysis cache index", "index.json", json.dumps(content).encode(), "index", columns="index")
