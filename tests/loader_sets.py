"""Data sets for the tests of the loaders: every dtype, and as many files with as many rows as a test wants."""

from __future__ import annotations

import atexit
import functools
import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.dataset.manifest import read as read_manifest
from pipeline.sinks.formats import SINKS
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


@functools.cache
def _job(count: int) -> Path:
    """The data set that all others are made of, by the one job of a process: Parquet."""
    folder = Path(tempfile.mkdtemp(prefix="loader-sets-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    pq.write_table(pa.Table.from_pylist(rows(count)), folder / "rows.parquet")
    done(SPEC, folder / "rows.parquet", folder / "set", format="parquet")
    return folder / "set"


def make(root: Path, format: str, sizes: Sequence[int] = SIZES) -> Path:
    """Makes a data set whose files have so many rows, in this order."""
    shutil.copytree(_job(sum(sizes)), root / format)
    split(root / format, sizes, format)
    return root / format


def split(root: Path, sizes: Sequence[int], format: str = "parquet") -> None:
    """Writes the rows of a data set of Parquet anew, as if more workers had written it, and in any format."""
    manifest = read_manifest(str(root))
    content = json.loads((root / "manifest.json").read_text())
    suffix = SINKS[format].suffix
    paths = [root / "examples" / f"{content['run']}-{k:012x}{suffix}" for k in range(len(sizes))]
    table = pa.concat_tables([pq.read_table(path) for path in manifest.files])
    assert table.num_rows == sum(sizes)
    for path, part in zip(paths, _parts(table, sizes), strict=True):
        if format == "parquet":
            pq.write_table(part, path, row_group_size=7, write_page_checksum=True)
        else:
            _records(path, format, manifest, part)
    content["format"] = format
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


def _parts(table: pa.Table, sizes: Sequence[int]) -> list[pa.Table]:
    starts = np.cumsum([0, *sizes])
    return [table.slice(int(start), size) for start, size in zip(starts, sizes, strict=False)]


def _records(path: Path, format: str, manifest: Any, part: pa.Table) -> None:
    writer = SINKS[format].open(str(path), manifest.outputs)
    for output in manifest.outputs:
        if 0 in output.shape:  # a file of Parquet holds it as a plain list
            at = part.schema.get_field_index(output.name)
            kind = pa.list_(part.schema.field(at).type.value_type, 0)
            part = part.set_column(at, output.name, pa.array([[]] * part.num_rows, kind))
    for batch in part.combine_chunks().to_batches():
        writer.write(batch)
    writer.close()


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
