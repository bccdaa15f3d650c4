"""Whole jobs for tests: run one here, and read what it left with TensorFlow and pyarrow, not with the package's sources."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf
from click.testing import CliRunner, Result

from pipeline.command.commands import cli
from pipeline.dataset.manifest import Manifest
from pipeline.dataset.manifest import read as read_manifest
from pipeline.job.executing import Outcome
from pipeline.job.request import Request
from pipeline.job.running import run as run_request
from transforms.spec.parse_specs import known_shape
from transforms.spec.spec import Spec

Arrays = dict[str, np.ndarray]


def run_job(spec: Spec, inputs: str | Path | Sequence[str | Path], output: str | Path, **more: Any) -> Outcome:
    """Runs the main job in this process, without a progress display."""
    patterns = [inputs] if isinstance(inputs, str | Path) else inputs
    request = Request(spec, [str(pattern) for pattern in patterns], str(output), **more)
    return run_request(request)


def done(spec: Spec, inputs: str | Path | Sequence[str | Path], output: str | Path, **more: Any) -> Outcome:
    """Runs the main job, which must succeed."""
    outcome = run_job(spec, inputs, output, **more)
    assert outcome.status == "done", outcome.message
    return outcome


def read_arrays(root: str | Path, sort_by: str | None = None) -> Arrays:
    """Returns every feature of a data set, `[rows, ...]`, in the order of the manifest or of one feature's values."""
    arrays = arrays_of(read_manifest(str(root)))
    if sort_by is not None:
        order = np.argsort(arrays[sort_by], kind="stable")
        arrays = {name: array[order] for name, array in arrays.items()}
    return arrays


def arrays_of(manifest: Manifest) -> Arrays:
    """Returns every feature of the files that a manifest names, `[rows, ...]`."""
    return _from_parquet(manifest) if manifest.format == "parquet" else _from_records(manifest)


def _from_parquet(manifest: Manifest) -> Arrays:
    table = pa.concat_tables([pq.read_table(path) for path in manifest.files])
    made = {}
    for output in manifest.outputs:
        column = table.column(output.name).combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = column.chunk(0)
        if 0 in output.shape:
            assert pa.types.is_list(column.type) and not len(column.flatten())
            made[output.name] = np.zeros((len(column), *known_shape(output)), output.dtype)
        elif output.shape:
            assert column.type.shape == list(output.shape)
            flat = column.storage.flatten().to_numpy(zero_copy_only=False)
            made[output.name] = flat.reshape(len(column), *output.shape)
        else:
            made[output.name] = column.to_numpy(zero_copy_only=False)
    return made


def _from_records(manifest: Manifest) -> Arrays:
    """As a trainer reads it: tf.data and the manifest's own parse spec, cast to the declared dtypes."""
    packed = "GZIP" if manifest.format.endswith(".gz") else ""
    data = tf.data.TFRecordDataset(manifest.files, compression_type=packed).batch(512)
    if manifest.format.startswith("sequence_example"):
        context, sequences = manifest.sequence_feature_spec()
        parsed = [tf.io.parse_sequence_example(records, context, sequences) for records in data]
        batches = [{**one[0], **one[1]} for one in parsed]
    else:
        spec = manifest.feature_spec()
        batches = [tf.io.parse_example(records, spec) for records in data]
    made = {}
    for output in manifest.outputs:
        tensor = tf.concat([batch[output.name] for batch in batches], axis=0)
        if output.dtype in ("string", "bytes"):
            made[output.name] = tensor.numpy()
        else:
            made[output.name] = tf.cast(tensor, output.dtype).numpy()
    return made


def read_rejected(files: Iterable[str]) -> pa.Table:
    """Returns the rejected rows of a run by file and row, `transforms.rows.rejection.SCHEMA`."""
    tables = [pq.read_table(path) for path in files]
    assert tables, "no row was rejected"
    return pa.concat_tables(tables).sort_by([("file", "ascending"), ("row", "ascending")])


def recovered(record: bytes) -> dict[str, Any]:
    """Returns a rejected row of a columnar source."""
    table = pa.ipc.open_stream(record).read_all()
    assert table.num_rows == 1
    return table.to_pylist()[0]


def read_json(root: str | Path, name: str) -> Any:
    """Returns one of the JSON files of a data set."""
    return json.loads((Path(root) / name).read_text())


def call(*arguments: Any) -> Result:
    """Runs the command in this process, with the fixture `command_line`; an exception that it lets through is raised."""
    result = CliRunner().invoke(cli, [str(argument) for argument in arguments], prog_name="seqcols")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def listing(root: str | Path) -> list[str]:
    """Returns every file under a directory, hidden ones too, relative and sorted."""
    return sorted(str(path.relative_to(root)) for path in Path(root).rglob("*") if path.is_file())


def assert_balanced(ledger: Mapping[str, Any]) -> None:
    """Asserts the sums that a ledger stands for: overall, in every file, and that the files add up to the whole."""
    for entry in [ledger, *ledger["files"].values()]:
        rows = entry["rows"]
        assert rows["read"] == rows["written"] + rows["rejected"]
        assert rows["rejected"] == sum(rows["rejected_by_reason"].values())
        for name, counts in entry["columns"].items():
            assert counts["values"] == counts["kept"] + counts["truncated"] + counts["rejected"], name
            assert all(count >= 0 for count in counts.values()), name
    for what in ("read", "written", "rejected"):
        assert ledger["rows"][what] == sum(entry["rows"][what] for entry in ledger["files"].values())
    for name, counts in ledger["columns"].items():
        for what, count in counts.items():
            assert count == sum(entry["columns"][name][what] for entry in ledger["files"].values()), (name, what)
