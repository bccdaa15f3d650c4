"""What is too large: each is rejected, or fails, by the limit that is stated for it, and within the memory that is stated."""

from __future__ import annotations

import gzip
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tfx_bsl.coders.example_coder import RecordBatchToExamplesEncoder

from pipeline.sources.tfrecord.framing import masked_crc
from tests.faults.figures import note
from tests.faults.formats import framed

ROOT = Path(__file__).parent.parent.parent
COLUMNS = "columns: [{type: sequence_numeric_column, key: x, normalizer_fn: z_score}]"  # T is the longest row
DELIMITED = COLUMNS.replace("key: x", 'key: x, delimiter: ";"')
IDS = "columns: [{type: sequence_categorical_column_with_identity, key: x, num_buckets: 5, max_ids: 20}]"
STEPS = 10_000_000
BLOCK = 64 << 20


def rows(lengths: list[int]) -> pa.RecordBatch:
    splits = np.concatenate([[0], np.cumsum(lengths)])
    values = pa.array(np.ones(splits[-1], np.float32))
    return pa.RecordBatch.from_pydict({"x": pa.LargeListArray.from_arrays(pa.array(splits), values)})


def tfrecord(path: Path, lengths: list[int]) -> None:
    path.write_bytes(framed(RecordBatchToExamplesEncoder().encode(rows(lengths))))


def parquet(path: Path, lengths: list[int]) -> None:
    pq.write_table(pa.Table.from_batches([rows(lengths)]), path)


def text(path: Path, make: Callable[[int], str], lengths: list[int]) -> None:
    with path.open("w") as file:
        file.writelines(make(n) for n in lengths)


def repeated(path: Path, part: bytes, size: int, head: bytes = b"") -> None:
    """Writes `size` bytes or a little more, without holding them."""
    with path.open("wb") as file:
        file.write(head)
        for _ in range(-(-size // len(part))):
            file.write(part)


def bomb(path: Path, head: bytes, part: bytes) -> None:
    """10 GiB of one byte, in 10 MB."""
    packed = gzip.compress(part * BLOCK, mtime=0)
    with path.open("wb") as file:
        file.write(gzip.compress(head, mtime=0))
        for _ in range((10 << 30) // BLOCK):
            file.write(packed)


def header(path: Path) -> None:
    """A good record, then one that claims 2^40 bytes."""
    length = struct.pack("<Q", 2**40)
    tfrecord(path, [3])
    with path.open("ab") as file:
        file.write(length + struct.pack("<I", masked_crc(length)) + bytes(1 << 20))


ORDINARY = [20 + k % 50 for k in range(2000)]
LONG = [3, STEPS, 4]

# name of the file, what writes it, columns, what must happen
FAULTS: dict[str, tuple[str, Callable[[Path], None], str, str]] = {
    "a row of 10 million steps, TFRecord": ("a.tfrecord", lambda path: tfrecord(path, LONG), COLUMNS, "over_limit"),
    "a row of 10 million steps, Parquet": ("a.parquet", lambda path: parquet(path, LONG), COLUMNS, "over_limit"),
    "a row of 10 million steps of 20 ids": ("ids.parquet", lambda path: parquet(path, LONG), IDS, "over_limit"),
    "a row of 10 million steps, CSV": (
        "a.csv",
        lambda path: text(path, lambda n: "1;" * n + "1\n" if n else "x\n", [0, *LONG]),
        DELIMITED,
        "over_limit",
    ),
    "a gzip bomb, TFRecord": (
        "bomb.tfrecord.gz",
        lambda path: bomb(path, framed([b""]), b"\0"),
        COLUMNS,
        "bad checksum (CRC-32C) of the header of the record at uncompressed byte 16",
    ),
    "a gzip bomb, JSON Lines": (
        "bomb.jsonl.gz",
        lambda path: bomb(path, b'{"x": [1]}\n', b"\n"),
        COLUMNS,
        "unpacks to",
    ),
    "a gzip bomb of one line": ("line.jsonl.gz", lambda path: bomb(path, b'{"x": [1]}\n', b"["), COLUMNS, "unpacks to"),
    "a gzip bomb, CSV": ("bomb.csv.gz", lambda path: bomb(path, b"x\n1;2\n", b"1"), DELIMITED, "unpacks to"),
    "a record header of 2^40 bytes": (
        "h.tfrecord",
        header,
        COLUMNS,
        "claims 1099511627776 bytes, at most 268435456 are",
    ),
    "a line of 300 MiB, JSON Lines": (
        "long.jsonl",
        lambda path: repeated(path, b"1," * (1 << 19), 300 << 20, b'{"x": [1]}\n{"x": ['),
        COLUMNS,
        "the line at byte 11: longer than 268435456 bytes (--max-record-bytes)",
    ),
    "a row of 300 MiB, CSV": (
        "long.csv",
        lambda path: repeated(path, b"1;" * (1 << 19), 300 << 20, b"x\n1\n"),
        DELIMITED,
        "row 1: it is longer than 268435456 bytes (--max-record-bytes) (the row starts at byte 4 of the text)",
    ),
}


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks are read from /proc, which Linux has")
def test_what_is_too_large_stays_within_its_budget(tmp_path):
    chosen = FAULTS if os.environ.get("SEQCOLS_FAULT_TRIALS") else dict(list(FAULTS.items())[:1])
    tfrecord(tmp_path / "ordinary.tfrecord", ORDINARY)
    jobs: list[dict[str, Any]] = [{"columns": COLUMNS, "inputs": [str(tmp_path / "ordinary.tfrecord")]}]
    for name, make, columns, _ in chosen.values():
        make(tmp_path / name)
        jobs.append({"columns": columns, "inputs": [str(tmp_path / name)], "max_rejected": 1.0})
    for number, job in enumerate(jobs):
        job["output"] = str(tmp_path / f"out-{number}")
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    command = [sys.executable, "-m", "tests.faults.bounded", str(tmp_path / "jobs.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    made = json.loads(done.stdout.splitlines()[-1])
    ordinary, *results = made["results"]
    assert ordinary["status"] == "done" and ordinary["rows"]["written"] == len(ORDINARY)
    for (name, (_, _, _, must)), result in zip(chosen.items(), results, strict=True):
        if must == "over_limit":
            assert result["status"] == "done", (name, result)
            assert result["rows"]["rejected_by_reason"] == {must: 1} and result["rows"]["written"] == 2, (name, result)
        else:
            assert result["status"] == "failed" and must in result["message"], (name, result)
        assert result["peak"] <= made["budget"], (name, result["peak"], made["budget"])
        figures = {
            "peak_mb": result["peak"] >> 20,
            "ordinary_mb": ordinary["peak"] >> 20,
            "budget_mb": made["budget"] >> 20,
        }
        note(f"too large: {name}", 1, **figures)
