"""For tests of `seqcols inspect`: rows as files of every source, and drafts that are put to use."""

from __future__ import annotations

import csv
import gzip
import json
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import tensorflow as tf

from pipeline.columns_file.reader import load, loads
from pipeline.command.tf_examples import encode
from pipeline.inputs.preflight import look
from pipeline.inspect.inspection import Inspected, Inspection, inspect_files
from pipeline.job.executing import Outcome
from pipeline.job.request import Request
from pipeline.job.running import check
from pipeline.sources.formats import source_for
from pipeline.sources.limits import Limits
from pipeline.sources.tfrecord.framing import framed
from transforms.spec.spec import Spec
from transforms.stages import parse_batch, validate_batch

Rows = Sequence[Mapping[str, Any]]


def tfrecord(path: Path, rows: Rows) -> None:
    """Writes tf.Examples."""
    path.write_bytes(framed([encode(row) for row in rows]))


def sequence_example(path: Path, rows: Rows) -> None:
    """Writes tf.SequenceExamples: lists as feature lists of one value a step, everything else as the context."""
    made = []
    for row in rows:
        record = tf.train.SequenceExample()
        own = {name: value for name, value in row.items() if not isinstance(value, list)}
        record.context.ParseFromString(tf.train.Example.FromString(encode(own)).features.SerializeToString())
        for name, values in row.items():
            if isinstance(values, list):
                steps = record.feature_lists.feature_list[name]
                for value in values:
                    one = tf.train.Example.FromString(encode({"x": value})).features.feature["x"]
                    steps.feature.add().CopyFrom(one)
        made.append(record.SerializeToString())
    path.write_bytes(framed(made))


def parquet(path: Path, rows: Rows) -> None:
    """Writes row groups of 100 rows."""
    pq.write_table(pa.Table.from_pylist(list(rows)), path, row_group_size=100)


def jsonl(path: Path, rows: Rows) -> None:
    """Writes JSON Lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def csv_file(path: Path, rows: Rows) -> None:
    """Writes CSV, lists with semicolons."""
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: ";".join(map(str, v)) if isinstance(v, list) else v for k, v in row.items()})


def avro(path: Path, rows: Rows) -> None:
    """Writes Avro; the first row tells the types."""
    kinds = {int: "long", float: "double", str: "string"}

    def kind(value: Any) -> Any:
        if isinstance(value, list):
            return {"type": "array", "items": kinds[type(value[0])]}
        return kinds[type(value)]

    fields = [{"name": name, "type": ["null", kind(value)]} for name, value in rows[0].items()]
    with path.open("wb") as file:
        fastavro.writer(file, {"type": "record", "name": "row", "fields": fields}, list(rows))


def packed(write: Callable[[Path, Rows], None]) -> Callable[[Path, Rows], None]:
    """The same, in a gzip file."""

    def writer(path: Path, rows: Rows) -> None:
        write(path, rows)
        path.write_bytes(gzip.compress(path.read_bytes()))

    return writer


WRITERS: dict[str, Callable[[Path, Rows], None]] = {
    "tfrecord": tfrecord,
    "sequence.tfrecord": sequence_example,
    "parquet": parquet,
    "jsonl": jsonl,
    "csv": csv_file,
    "avro": avro,
    "tfrecord.gz": packed(tfrecord),
    "jsonl.gz": packed(jsonl),
    "csv.gz": packed(csv_file),
}
"""Writers by the end of a file's name."""


def inspected(*inputs: str | Path, **more: Any) -> Inspected:
    """Looks at files."""
    return inspect_files(Inspection([str(path) for path in inputs], **more))


def drafted(folder: Path, *inputs: str | Path, **more: Any) -> tuple[Spec, Outcome]:
    """Drafts a columns file for files, loads it, and checks the files by it. What the draft says of the sample must be so."""
    found = inspected(*inputs, **more)
    made = found.text()
    path = folder / "drafted.yaml"
    path.write_text(made, encoding="utf-8")
    spec = load(path)
    assert spec == loads(made)
    outcome = check(Request(spec, [str(one) for one in inputs], max_rejected=1.0))
    assert outcome.status == "done", outcome.message
    if found.sample.is_whole:
        rejected = outcome.ledger["rows"]["rejected"]
        said = [line for line in made.splitlines() if line.startswith("# It rejects ")]
        own = int(said[0].split()[3].replace(",", "")) if said else 0
        undecoded = found.sample.bad
        if found.seen is not None:
            events = outcome.ledger["events"]
            assert events["rows"]["rejected"] == found.sample.bad + found.seen.bad, made
            assert events["sequences"]["rows"] == found.seen.sequences
            undecoded = 0
        assert rejected == undecoded + own, made
    return spec, outcome


def staged(spec: Spec, path: Path) -> dict[str, int]:
    """Puts a file through what a run does before the statistics, without Beam; returns how many rows were rejected for what."""
    assert look([str(path)], spec) is not None
    source, reasons, held = source_for(str(path)), Counter[str](), Counter[str]()
    carriers = {key: form.carrier for key, form in spec.features.items()}
    for split in source.parts(str(path)):
        for read in source.read(split, carriers, Limits()):
            if read.rejected is not None:
                reasons.update(read.rejected.column("reason").to_pylist())
            if read.batch is not None:
                parsed = parse_batch(read.batch, spec.columns)
                checked = validate_batch(parsed.batch, spec)
                for stage in (parsed, checked):
                    reasons.update(stage.rejected.column("reason").to_pylist() if stage.rejected is not None else [])
                held.update(
                    {key[2]: n for key, n in parsed.tally.items() if key[1] == "column" and key[3] == "present"}
                )
    assert all(held[column.name] for column in spec.columns)
    return dict(reasons)


def rejected(outcome: Outcome) -> int:
    """How many rows were rejected."""
    return int(outcome.ledger["rows"]["rejected"])


def same_number(ours: float, theirs: float) -> bool:
    """Whether two means are the same, but for the order of the sum."""
    return math.isclose(ours, theirs, rel_tol=1e-9, abs_tol=1e-12)
