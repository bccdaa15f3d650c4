"""Limits from the request to the readers and the rules: what a run says where it meets one, and that others change nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from pipeline.command.commands import cli
from pipeline.job import running
from pipeline.job.executing import Outcome
from pipeline.job.request import Request
from pipeline.sources import compression
from pipeline.sources.limits import DEFAULTS, Limits
from tests.faults.formats import KINDS, read, rows_of
from tests.marks import slow_but
from transforms import SequenceGroup, make_spec, numeric_column, sequence_numeric_column
from transforms.errors import JobError

ROWS = rows_of(50, 3)
LONG = sum(len(row["x"]) > 3 for row in ROWS)


def spec(name: str) -> Any:
    delimiter = ";" if "csv" in name else None
    return make_spec(
        [numeric_column("id"), sequence_numeric_column("x", delimiter=delimiter)], SequenceGroup(max_length=1)
    )


def checked(path: Path, **more: Any) -> Outcome:
    return running.check(Request(spec(path.name), [str(path)], max_rejected=1.0, **more))


@pytest.fixture(
    params=slow_but(
        ["a.tfrecord.gz", "a.jsonl.zst", "a.csv.bz2", "zstd.parquet", "deflate.avro"], "a.csv.bz2", "zstd.parquet"
    )
)
def path(request, tmp_path) -> Path:
    made: Path = tmp_path / request.param
    made.write_bytes(KINDS[request.param].make(ROWS))
    return made


def test_each_is_met(path, monkeypatch):
    outcome = checked(path)
    assert (outcome.status, outcome.ledger["rows"]["written"]) == ("done", len(ROWS))
    assert checked(path, max_batch_bytes=1).ledger == outcome.ledger
    outcome = checked(path, max_steps=3)
    assert outcome.ledger["rows"]["rejected_by_reason"] == {"over_limit": LONG}
    with pytest.raises(JobError, match=rf"^{path}.* \(?--max-record-bytes\)?"):
        refused = checked(path, max_record_bytes=20)  # the first file is looked at before the run, too
        raise JobError(refused.message)
    if "parquet" not in path.name:
        monkeypatch.setattr(compression, "MEASURED_BYTES", 0)
        with pytest.raises(JobError, match=rf"^{path}: unpacks to \S+ times its size .* \(--max-unpack-ratio\)"):
            refused = checked(path, max_unpack_ratio=1)
            raise JobError(refused.message)


def test_a_row_of_parquet_is_measured_by_itself(tmp_path):
    path = tmp_path / "none.parquet"
    data = [*rows_of(100, 1), {"id": 100, "x": [1.0] * 1000, "name": ""}, *rows_of(20, 2)]
    path.write_bytes(KINDS["none.parquet"].make(data))
    assert len(read(path, Limits(max_record_bytes=10_000))) == len(data)
    with pytest.raises(JobError, match=rf"^{path}: row 100: 8\d\d\d bytes as Arrow data, at most 8000 are allowed"):
        read(path, Limits(max_record_bytes=8000))


def test_options_take_sizes(tmp_path, monkeypatch):
    (tmp_path / "columns.yaml").write_text("columns: [{type: sequence_numeric_column, key: x}]")
    asked: list[Limits] = []

    def noted(request: Request, stream: Any) -> Any:
        asked.append(request.limits)
        raise JobError("enough")

    monkeypatch.setattr(running, "check", noted)
    command = ["check", str(tmp_path / "columns.yaml"), "--input", "a"]
    sizes = ["--max-record-bytes=1.5KiB", "--max-batch-bytes=77", "--max-steps=5", "--max-unpack-ratio=2.5"]
    for options in ([], sizes):
        assert CliRunner().invoke(cli, [*command, *options]).exit_code == 1
    assert asked == [DEFAULTS, Limits(1536, 5, 2.5, 77)]
    for wrong, says in [
        ("--max-record-bytes=many", "expected bytes, as 268435456 or 256MiB, got 'many'"),
        ("--max-record-bytes=3GiB", "--max-record-bytes: expected 1 to 2147483647 bytes, got 3221225472"),
        ("--max-steps=0", "--max-steps: expected 1 or more, got 0"),
    ]:
        made = CliRunner().invoke(cli, [*command, wrong])
        assert made.exit_code == 2 and says in made.stderr
