"""What every Python must do alike: jobs by the command, and requests to the graphs that they save.

python -I job.py DIR

Run by the Python of an environment in which seqcols is installed, from no checkout. Prints, as one line of JSON, digests of all
that was written and answered.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

EVENTS = """
events: {key: viewer, order_by: time, features: {videos: video, hours: {since_previous: h}}}
split: {by: key, key: viewer, fractions: {train: 0.75, test: 0.25}}
sequence_groups:
  watch: {max_length: 6, truncate: tail}
columns:
  - {type: passthrough_column, key: viewer}
  - {type: sequence_categorical_column_with_learned_vocabulary, key: videos, num_oov_buckets: 1, group: watch}
  - {type: sequence_numeric_column, key: hours, normalizer_fn: [log1p, z_score], group: watch}
"""

REQUEST = """
import hashlib, sys
import tensorflow as tf

model = tf.saved_model.load(sys.argv[1])
records = next(iter(tf.data.TFRecordDataset(sys.argv[2]).batch(1000)))
made = model.signatures["serving_default"](examples=records)
assert made["__valid__"].numpy().sum() > 900, made["__valid__"]
digest = hashlib.sha256()
for name in sorted(made):
    digest.update(f"{name} {made[name].dtype} {made[name].shape} ".encode() + made[name].numpy().tobytes())
print(digest.hexdigest())
"""
"""What a server does: it has TensorFlow and the graph, and nothing of seqcols."""


def seqcols(*arguments: str) -> None:
    """Runs the command that belongs to this Python."""
    command = [str(Path(sys.executable).with_name("seqcols")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"seqcols {' '.join(arguments)} ended with {done.returncode}: {done.stderr[-3000:]}")


def answers(model: str, records: str) -> str:
    """Returns a digest of what a serving graph answers."""
    command = [sys.executable, "-I", "-c", REQUEST, model, records]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"the request to {model} failed: {done.stderr[-3000:]}")
    return done.stdout.strip()


REJECTED = """
import glob, json, os, sys
import pyarrow.parquet as pq

rows = [row for path in glob.glob(sys.argv[1] + "/*") for row in pq.read_table(path).to_pylist()]
names = ("row", "reason", "column", "value", "message")
print(json.dumps(sorted([os.path.basename(row["file"]), *map(str, map(row.get, names))] for row in rows)))
"""
"""Rejected rows without their records: the demo writes its tf.Examples anew, with their features in an order of no meaning."""


def digest(content: bytes) -> str:
    """Returns the SHA-256 of some bytes."""
    return hashlib.sha256(content).hexdigest()


def written(root: Path) -> dict[str, list[str]]:
    """Returns digests of what a job must make alike every time: its files of examples, its statistics, rejected rows and counts.

    Two runs of one Python differ in the rest of a ledger: its digests of rows are of records and of names of files, which are new
    every time.
    """
    ledger = json.loads((root / "ledger.json").read_text(encoding="utf-8"))
    counts = json.dumps({name: ledger[name] for name in ("rows", "columns")}, sort_keys=True)
    command = [sys.executable, "-I", "-c", REJECTED, str(root / "rejected")]
    rejected = subprocess.run(command, capture_output=True, check=True).stdout
    examples = [path.read_bytes() for path in (root / "examples").rglob("*") if path.is_file()]
    name = root.parent.name
    return {
        f"{name}: examples": sorted(map(digest, examples)),
        f"{name}: statistics": [digest((root / "statistics.json").read_bytes())],
        f"{name}: counts": [digest(counts.encode())],
        f"{name}: rejected": [digest(rejected)],
    }


def main(folder: Path) -> None:
    """Runs both jobs, has them verified, and prints what came out."""
    os.chdir(folder)
    seqcols("demo", "demo")
    seqcols("verify", "demo/output")
    Path("events").mkdir()
    Path("events/columns.yaml").write_text(EVENTS, encoding="utf-8")
    rows = ((k * 7 % 40, (k * 31) % 97 * 3600, f"film {(k * k) % 23}") for k in range(2000))
    lines = (json.dumps({"viewer": f"viewer {key}", "time": time, "video": film}) for key, time, film in rows)
    Path("events/rows.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    seqcols("run", "events/columns.yaml", "--input=events/rows.jsonl", "--output=events/output", "--format=parquet")
    seqcols("verify", "events/output")
    made = written(Path("demo/output")) | written(Path("events/output"))
    made["demo: served"] = [answers("demo/output/serving", "demo/input/viewers-00000-of-00002.tfrecord")]
    print(json.dumps(made))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
