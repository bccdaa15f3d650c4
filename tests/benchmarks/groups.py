"""What sequence groups cost: 250 columns with a group each against the same columns in one group.

    python -m tests.benchmarks.groups

CPU seconds of a run on 1,000 rows, of loading its saved graph (the least of 5), and of a request of one row (the least of 300).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import data, wide
from tests.benchmarks.measured import measure

ROWS = 1_000
LOADS = 5
REQUESTS = 300


def columns_file(groups: int) -> str:
    """Returns the columns of J3, dealt out to so many groups with masks."""
    policy = f"{{max_length: {wide.T}, truncate: tail}}"
    lines = ["sequence_groups:", *(f"  g{k}: {policy}" for k in range(groups)), "columns:"]
    number = "type: sequence_numeric_column, normalizer_fn: z_score"
    identity = f"type: sequence_categorical_column_with_identity, num_buckets: {wide.BUCKETS}, padding_id: 0"
    for k, name in enumerate([*wide.NUMBERS, *wide.IDS]):
        lines.append(f"  - {{{number if k < len(wide.NUMBERS) else identity}, key: {name}, group: g{k % groups}}}")
    return "\n".join(lines) + "\n"


def least(function: Callable[[], object], times: int) -> float:
    """Returns the fewest CPU seconds that a call took: what else the machine does only adds to them."""
    took = []
    for _ in range(times):
        began = time.process_time()
        function()
        took.append(time.process_time() - began)
    return min(took)


def served(model: str, records: str) -> dict[str, float]:
    """Returns CPU seconds of loading a saved graph, and of a request with one record."""
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)  # threads that wait for work take CPU time, too
    tf.config.threading.set_intra_op_parallelism_threads(1)
    answer = tf.saved_model.load(model).signatures["serving_default"]
    (record,) = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(records))).take(1)
    examples = tf.reshape(record, [1])
    return {
        "load": least(lambda: tf.saved_model.load(model), LOADS),
        "request": least(lambda: answer(examples=examples), REQUESTS),
    }


def measured(folder: Path, groups: int) -> dict[str, float]:
    """Returns CPU seconds of a run, and what `served` finds of its graph."""
    columns, output = folder / f"{groups}.yaml", folder / f"out-{groups}"
    columns.write_text(columns_file(groups))
    pattern = data.make(folder, ROWS, "tfrecord", 4, wide.batch, "wide-")
    run = [sys.executable, "-m", "pipeline.cli", "run", str(columns), "--input", pattern, "--output", str(output)]
    took = {"run": measure(run).cpu}
    asked = [sys.executable, "-m", "tests.benchmarks.groups", str(output / "serving"), pattern]
    return took | json.loads(subprocess.run(asked, check=True, capture_output=True).stdout)


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(json.dumps(served(*sys.argv[1:])))
    else:
        with tempfile.TemporaryDirectory() as folder:
            one, many = (measured(Path(folder), groups) for groups in (1, 250))
        for what, seconds in one.items():
            print(f"{what}: {seconds:.4g} s in one group, {many[what]:.4g} s in 250, {many[what] / seconds:.2f} times")
