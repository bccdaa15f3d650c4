"""What sequence groups cost: the columns of J3 with a group each, against the same columns in one group.

`python -m tests.benchmarks.groups MODEL INPUT_PATTERN` prints what a saved graph takes, in seconds by the clock and of CPU.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from tests.benchmarks import wide
from tests.benchmarks.measured import Measured

ONE_GROUP: Final = "seqcols, one group"
GROUPS: Final = "seqcols, 250 groups"
LOAD: Final = "loading the graph"
PROCESSES: Final = 3
TIMES: Final = 5
REQUESTS: Final = 100
ASK: Final = f"{REQUESTS} requests"


def columns_file(groups: int) -> str:
    """Returns the columns of J3, dealt out to so many groups with masks."""
    policy = f"{{max_length: {wide.T}, truncate: tail}}"
    lines = ["sequence_groups:", *(f"  g{k}: {policy}" for k in range(groups)), "columns:"]
    number = "type: sequence_numeric_column, normalizer_fn: z_score"
    identity = f"type: sequence_categorical_column_with_identity, num_buckets: {wide.BUCKETS}, padding_id: 0"
    for k, name in enumerate([*wide.NUMBERS, *wide.IDS]):
        lines.append(f"  - {{{number if k < len(wide.NUMBERS) else identity}, key: {name}, group: g{k % groups}}}")
    return "\n".join(lines) + "\n"


COLUMNS: Final = {ONE_GROUP: columns_file(1), GROUPS: columns_file(250)}


def least(function: Callable[[], object]) -> tuple[float, float]:
    """Returns wall and CPU seconds of that of several calls which took the least CPU: others on the machine only add to it."""
    took = []
    for _ in range(TIMES):
        began, cpu = time.perf_counter(), time.process_time()
        function()
        took.append((time.perf_counter() - began, time.process_time() - cpu))
    return min(took, key=lambda pair: pair[1])


def asked(model: str, pattern: str) -> dict[str, tuple[float, float]]:
    """Returns what loading a saved graph takes, and requests of one record each."""
    import tensorflow as tf

    tf.config.threading.set_inter_op_parallelism_threads(1)  # threads that wait for work take CPU time, too
    tf.config.threading.set_intra_op_parallelism_threads(1)
    answer = tf.saved_model.load(model).signatures["serving_default"]
    (record,) = tf.data.TFRecordDataset(sorted(tf.io.gfile.glob(pattern))).take(1)
    examples = tf.reshape(record, [1])
    return {
        LOAD: least(lambda: tf.saved_model.load(model)),
        ASK: least(lambda: [answer(examples=examples) for _ in range(REQUESTS)]),
    }


def served(output: Path, pattern: str) -> dict[str, Measured]:
    """Returns what `asked` finds of the graph of an output, the least of some processes. Memory is not looked at.

    One and the same model takes from one process to the next up to 40 % more.
    """
    command = [sys.executable, "-m", "tests.benchmarks.groups", str(output / "serving"), pattern]
    said = [json.loads(subprocess.run(command, check=True, capture_output=True).stdout) for _ in range(PROCESSES)]
    least = {what: min((found[what] for found in said), key=lambda pair: pair[1]) for what in said[0]}
    return {what: Measured(wall, cpu, 0) for what, (wall, cpu) in least.items()}


if __name__ == "__main__":
    print(json.dumps(asked(*sys.argv[1:])))
