"""Data sets for the tests of the loaders: every dtype, and as many files with as many rows as a test wants."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from pipeline.manifest import read as read_manifest
from tests.jobs import Arrays, arrays_of, done
from tests.prepared import put_manifest
from transforms import (
    SequenceGroup,
    categorical_column_with_identity,
    make_spec,
    numeric_column,
    passthrough_column,
    sequence_categorical_column_with_identity,
    sequence_numeric_column,
)

ROWS = 103
SIZES = (40, 3, 0, 37, 23)
"""Rows of the files of a data set: four of unlike length, and one without any."""

SPEC = make_spec(
    [
        passthrough_column("name"),
        passthrough_column("raw", "bytes"),
        passthrough_column("number", "int64"),
        sequence_categorical_column_with_identity("ids", 50, group="watch"),
        sequence_numeric_column("x", (2,), -1.0, non_finite="fill", observed_mask=True, group="watch"),
        sequence_numeric_column("half", dtype="float16", group="room"),
        sequence_numeric_column("brain", dtype="bfloat16", group="room"),
        sequence_numeric_column("double", dtype="float64", group="room"),
        sequence_numeric_column("small", dtype="int8", group="room"),
        sequence_numeric_column("never", group="nothing"),
        numeric_column("weight", (2, 3), 0.5),
        numeric_column("wide", dtype="uint32", default_value=0),
        categorical_column_with_identity("label", 2),
    ],
    {
        "watch": SequenceGroup(max_length=5, truncate="tail", padding="pre"),
        "room": SequenceGroup(max_length="longest"),
        "nothing": SequenceGroup(max_length="longest"),
    },
)


def rows(count: int = ROWS) -> list[dict[str, Any]]:
    """Rows of sequences of 0 to 7 steps; one row in five has no sequences at all."""
    rng = np.random.default_rng(5)
    made = []
    for k in range(count):
        steps = int(rng.integers(0, 8))
        row: dict[str, Any] = {"name": f"n{k:03d} ü", "raw": bytes([k, 255, 0]), "number": [k], "label": [k % 2]}
        row |= {"weight": rng.normal(size=6).tolist(), "wide": [2**32 - 1 - k], "never": []}
        row |= dict.fromkeys(("ids", "x", "half", "brain", "double", "small"))
        if k % 5:
            room = rng.normal(size=4)[: int(rng.integers(0, 5))]
            row |= {"ids": rng.integers(0, 50, steps).tolist(), "x": rng.normal(size=2 * steps).tolist()}
            row |= {"half": room.tolist(), "brain": room.tolist(), "double": room.tolist()}
            row["small"] = rng.integers(-128, 128, len(room)).tolist()
            if steps:
                row["x"][0] = float("nan")
        made.append(row)
    return made


def make(root: Path, format: str, sizes: Sequence[int] = SIZES) -> Path:
    """Makes a data set whose files have so many rows, in this order."""
    source = root / "rows.parquet"
    pq.write_table(pa.Table.from_pylist(rows(sum(sizes))), source)
    done(SPEC, source, root / format, format=format)
    split(root / format, sizes)
    return root / format


def split(root: Path, sizes: Sequence[int]) -> None:
    """Divides the rows of a data set anew, as if more workers had written it: other files, and a manifest that names them."""
    manifest = read_manifest(str(root))
    content = json.loads((root / "manifest.json").read_text())
    suffix = "".join(Path(manifest.files[0]).suffixes)
    paths = [root / "examples" / f"{content['run']}-{k:012x}{suffix}" for k in range(len(sizes))]
    write = _parquet if manifest.format == "parquet" else _records
    write(manifest, paths, sizes)
    content["examples"]["files"] = [
        {
            "path": f"examples/{path.name}",
            "rows": size,
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path, size in zip(paths, sizes, strict=True)
    ]
    for path in map(Path, manifest.files):
        path.unlink()
    put_manifest(root, content)


def _parquet(manifest: Any, paths: Sequence[Path], sizes: Sequence[int]) -> None:
    table = pa.concat_tables([pq.read_table(path) for path in manifest.files])
    assert table.num_rows == sum(sizes)
    start = 0
    for path, size in zip(paths, sizes, strict=True):
        pq.write_table(table.slice(start, size), path, row_group_size=7, write_page_checksum=True)
        start += size


def _records(manifest: Any, paths: Sequence[Path], sizes: Sequence[int]) -> None:
    packed = "GZIP" if manifest.format.endswith(".gz") else ""
    records = list(tf.data.TFRecordDataset(manifest.files, packed).as_numpy_iterator())
    assert len(records) == sum(sizes)
    start = 0
    for path, size in zip(paths, sizes, strict=True):
        with tf.io.TFRecordWriter(str(path), packed) as writer:
            for record in records[start : start + size]:
                writer.write(record)
        start += size


def expected(root: Path) -> Arrays:
    """Returns every feature as pyarrow and `tf.io.parse_example` read it; Arrow has no bfloat16."""
    manifest = read_manifest(str(root))
    arrays = arrays_of(manifest)
    kinds = {output.name: output.dtype for output in manifest.outputs}
    return {n: a.astype(ml_dtypes.bfloat16) if kinds[n] == "bfloat16" else a for n, a in arrays.items()}


def joined(batches: Any) -> Arrays:
    """Returns batches as one, in their order."""
    every = list(batches)
    return {name: np.concatenate([batch[name] for batch in every]) for name in every[0]}


def assert_same(got: Arrays, expected: Arrays) -> None:
    """Asserts that arrays are equal in names, shapes, dtypes and values (NaN to NaN); text as str or bytes."""
    assert list(got) == list(expected)
    for name, array in expected.items():
        assert got[name].shape == array.shape, name
        if array.dtype == object:
            assert [_bytes(v) for v in got[name].ravel()] == [_bytes(v) for v in array.ravel()], name
        else:
            assert got[name].dtype == array.dtype, name
            np.testing.assert_array_equal(got[name], array, err_msg=name)


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else value
