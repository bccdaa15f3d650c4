"""Data sets made without a job: real shards, a ledger that balances, folders in place of the graphs. For tests of files."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from pipeline.dataset import graphs, layout, ledger, publish
from pipeline.dataset.layout import Layout
from pipeline.dataset.manifest import sealed
from pipeline.dataset.manifest_entries import features_of
from pipeline.job import cleaning
from pipeline.job.writing import REJECTED_OUTPUTS, Shard
from pipeline.sinks.formats import SINKS
from transforms import SequenceGroup, make_spec, sequence_numeric_column
from transforms.columns import Output
from transforms.rows import rejection

RUN = "20260101T000000-00000000"
"""Name of a run."""

SPEC = make_spec([sequence_numeric_column("x", 2)], SequenceGroup(max_length=3))

OUTPUTS = [
    Output("id", "int64", (), "values", "id"),
    Output("x", "float32", (3, 2), "values", "x", sequence=True),
    Output("small", "float16", (3,), "values", "small", sequence=True),
    Output("sequence_length", "int64", (), "length", "sequence"),
    Output("sequence_mask", "bool", (3,), "mask", "sequence", sequence=True),
]


def rows(count: int, first: int = 0) -> pa.RecordBatch:
    """Dense rows of `OUTPUTS`; no two have the same values."""
    at = np.arange(first, first + count)

    def lists(values: np.ndarray, width: int) -> pa.Array:
        return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), width)

    return pa.RecordBatch.from_pydict(
        {
            "id": pa.array(at),
            "x": lists((at[:, None] + np.arange(6) / 10).astype(np.float32), 6),
            "small": lists(np.tile(at[:, None], 3).astype(np.float32), 3),
            "sequence_length": pa.array(np.full(count, 3)),
            "sequence_mask": lists(np.ones((count, 3), bool), 3),
        }
    )


def rejects(count: int) -> pa.RecordBatch:
    """Rejected rows, whatever columns their table has."""
    values = {"string": "why", "int64": 5, "binary": b"record"}
    arrays = [pa.array([values.get(str(f.type), 0)] * count, f.type) for f in rejection.SCHEMA]
    return pa.RecordBatch.from_arrays(arrays, schema=rejection.SCHEMA)


@dataclass
class Prepared:
    """What a run has before it publishes."""

    place: Layout
    content: dict[str, Any]
    ledger: dict[str, Any]
    graphs: dict[str, str] = field(default_factory=dict)

    def publish(self, **more: Any) -> None:
        """Publishes as a run does, and cleans up after it."""
        with cleaning.run_in(self.place):
            publish.publish(
                self.place,
                self.content,
                self.ledger,
                {"rows": self.content["examples"]["rows"]},
                self.graphs.get("transform", ""),
                staged_serving=self.graphs.get("serving", ""),
                **more,
            )
            cleaning.clean(self.place, done=True)


def put_manifest(root: str | Path, content: Mapping[str, Any]) -> None:
    """Writes a manifest that says something else, as somebody would who does it with care: with the digest that fits."""
    (Path(root) / layout.MANIFEST).write_bytes(sealed(content))


def put_version_1(root: str | Path) -> None:
    """Writes the manifest of a data set as the first version was, which had no digest."""
    path = Path(root) / layout.MANIFEST
    content = {**json.loads(path.read_text()), "format_version": 1}
    del content["sha256"]
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n")


def prepare(
    root: str, format: str = "tfrecord", shards: tuple[int, ...] = (4, 4, 3), rejected: int = 2, run: str = RUN
) -> Prepared:
    """Writes shards of so many rows each, and a file of rejected rows."""
    place = Layout(root, run)
    for folder in (place.staging, place.at(layout.EXAMPLES), place.at(layout.REJECTED)):
        layout.make_dirs(folder)
    firsts = np.cumsum([0, *shards])
    examples = [
        _written(place, layout.EXAMPLES, k, format, OUTPUTS, rows(n, int(firsts[k]))) for k, n in enumerate(shards)
    ]
    refused = [_written(place, layout.REJECTED, 0, "parquet", REJECTED_OUTPUTS, rejects(rejected))] if rejected else []
    counted = {"read": sum(shards) + rejected, "written": sum(shards), "rejected": rejected}
    book = ledger.build(Counter({("in", "rows", what): n for what, n in counted.items()}), SPEC, {"sequence": 0})
    folders = {name: _graph(place, name) for name in ("transform", "serving")} if examples else {}
    content = {
        "run": run,
        "columns": "",
        "inputs": [],
        "format": format,
        "examples": {"rows": sum(shards), "features": features_of(OUTPUTS), "files": examples},
        "rejected": {"rows": rejected, "files": refused},
        "graph_sha256": {name: graphs.digest(path) for name, path in folders.items()},
    }
    layout.write_bytes(place.staged(layout.ALIVE), b"")
    return Prepared(place, content, book, folders)


def _written(
    place: Layout, folder: str, number: int, format: str, outputs: list[Output], batch: pa.RecordBatch
) -> dict[str, Any]:
    writer = SINKS[format].open(place.at(folder, f"{place.run_id}-{number}{SINKS[format].suffix}"), outputs)
    writer.write(batch)
    done = writer.close()
    return Shard(done.path, done.rows, done.bytes, done.sha256).entry(place.output)


def _graph(place: Layout, name: str) -> str:
    graph = Path(place.staged(name))
    (graph / "variables").mkdir(parents=True)
    (graph / "saved_model.pb").write_text(f"{name} of {place.run_id}")
    (graph / "variables" / "data").write_bytes(b"weights" * 100)
    return str(graph)
